//! The page of a run while it lasts, pushed to browsers by server-sent events: the page that `report.html` will be, with what is known
//! so far.
//!
//! A run hands over what happens and never waits: a thread of its own sums it up, at most once a second and for a twentieth of the time
//! at most, and only while somebody looks. What it has summed up is there once, for all clients. A client that is slow gets fewer states,
//! one that comes back gets a whole one.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `gather` | the run so far, summed up as the page's data |
//! | `state` | that data in parts, each with the version in which it last changed |
//! | `serve` | the page, its events and the pages of runs that have ended, over HTTP |

use std::path::Path;
use std::sync::{Arc, mpsc};

use tokio::sync::watch;

use super::PageError;
use crate::events::{Event, RunTime};
use crate::plan::Plan;
use crate::run::RunStatus;
use crate::series::Scrape;

mod gather;
mod serve;
mod state;

use gather::{Gatherer, News};
use state::LiveState;

/// The live page of all runs of this process, one after the other. Clones share it.
#[derive(Clone, Debug)]
pub struct LivePage {
    news: mpsc::Sender<News>,
    states: watch::Sender<Arc<LiveState>>,
}

impl LivePage {
    /// A page that shows nothing yet.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start() -> std::io::Result<Self> {
        let (news, taken) = mpsc::channel();
        let (states, _) = watch::channel(Arc::default());
        let gatherer = Gatherer::new(states.clone());
        std::thread::Builder::new().name("live page".to_owned()).spawn(move || gatherer.run(&taken))?;
        Ok(LivePage { news, states })
    }

    /// A run of this name is being prepared: `what` says how far that is.
    pub fn prepares(&self, name: &str, what: &str) {
        self.tell(News::Prepares { name: name.to_owned(), what: what.to_owned() });
    }

    /// A run begins to be played, with its record in `directory`.
    pub fn begin(&self, plan: &Arc<Plan>, backend: &str, directory: &Path) {
        let (plan, backend, directory) = (Arc::clone(plan), backend.to_owned(), directory.to_owned());
        self.tell(News::Begins { plan, backend, directory });
    }

    /// Takes an event of the run.
    pub fn event(&self, event: &Event) {
        self.tell(News::Event(Box::new(event.clone())));
    }

    /// Takes a sample of all metrics.
    pub fn sampled(&self, at: RunTime, scrapes: &Arc<Vec<Scrape>>) {
        self.tell(News::Sampled(at, Arc::clone(scrapes)));
    }

    /// Takes where the run stands.
    pub fn status(&self, status: &RunStatus) {
        self.tell(News::Status(*status));
    }

    /// A run has ended, and its record is written: from now on the page is that of the record, for whoever looks.
    pub fn ended(&self, directory: &Path) {
        self.tell(News::Ended { directory: directory.to_owned() });
    }

    /// Several runs have a page together, at this path.
    pub fn set_page(&self, page: &Path) {
        self.tell(News::SetPage { page: page.to_owned() });
    }

    /// No further run comes. What is shown stays.
    pub fn over(&self) {
        self.tell(News::Over);
    }

    fn tell(&self, news: News) {
        // The thread ends only with the process.
        _ = self.news.send(news);
    }
}

/// The page of a run that has ended, as its file has it.
fn recorded(directory: &Path) -> Result<super::run_page::RunPage, PageError> {
    Ok(super::run_page::RunPage::read(directory)?)
}
