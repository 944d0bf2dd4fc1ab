//! `harness run --full-screen`: a run on the whole terminal, which is left as it was found, also by a signal and by a bug.
//!
//! A thread of its own draws. Who observes the run sends it what happens and never waits for it. Lines that would stay on the terminal
//! are among its last events, and are written once it has left.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `screen` | the terminal: another screen, no echo, and back |
//! | `view` | a run so far, as that screen shows it |

use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use butter_cli::output;

use crate::events::{Event, RunTime};
use crate::plan::Plan;
use crate::run::RunStatus;
use crate::series::Scrape;

mod screen;
mod view;

use screen::Screen;
use view::RunView;

/// Pause between two drawings.
const DRAW_EVERY: Duration = Duration::from_millis(150);
/// Most news that are taken before it draws.
const BATCH: usize = 20_000;

/// Where lines go while a run fills the terminal.
static LINES: Mutex<Option<mpsc::Sender<ScreenNews>>> = Mutex::new(None);

/// What is to be shown.
enum ScreenNews {
    Event(Box<Event>),
    Sampled(RunTime, Arc<Vec<Scrape>>),
    Status(RunStatus),
    Line(String),
    End,
}

/// A run that fills the terminal until this is dropped.
pub(super) struct FullScreen {
    news: mpsc::Sender<ScreenNews>,
    drawing: Option<JoinHandle<Vec<String>>>,
}

impl FullScreen {
    /// Takes the terminal that standard error is.
    ///
    /// # Errors
    /// If it is none, or cannot be taken.
    pub(super) fn enter(plan: &Arc<Plan>, backend: &str) -> io::Result<Self> {
        let terminal = output::stderr();
        if !terminal.animation {
            return Err(io::Error::other("standard error is no terminal, or one that cannot draw"));
        }
        let screen = Screen::enter()?;
        let (news, taken) = mpsc::channel();
        let view = RunView::new(Arc::clone(plan), backend, terminal);
        let drawing =
            std::thread::Builder::new().name("full screen".to_owned()).spawn(move || draw(screen, view, &taken))?;
        *lines() = Some(news.clone());
        Ok(FullScreen { news, drawing: Some(drawing) })
    }

    /// Takes an event of the run.
    pub(super) fn event(&self, event: &Event) {
        self.tell(ScreenNews::Event(Box::new(event.clone())));
    }

    /// Takes a sample of all metrics.
    pub(super) fn sampled(&self, at: RunTime, scrapes: &Arc<Vec<Scrape>>) {
        self.tell(ScreenNews::Sampled(at, Arc::clone(scrapes)));
    }

    /// Takes where the run stands.
    pub(super) fn status(&self, status: &RunStatus) {
        self.tell(ScreenNews::Status(*status));
    }

    fn tell(&self, news: ScreenNews) {
        // A thread that could not draw any longer has ended, and the run goes on without it.
        _ = self.news.send(news);
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        *lines() = None;
        self.tell(ScreenNews::End);
        let kept = self.drawing.take().map(JoinHandle::join);
        // A thread that has panicked has said why.
        kept.and_then(Result::ok).unwrap_or_default().iter().for_each(|line| output::message(line));
    }
}

/// Keeps a line for later if a run fills the terminal. Whether it was kept.
pub(super) fn keeps(line: &str) -> bool {
    lines().as_ref().is_some_and(|news| news.send(ScreenNews::Line(line.to_owned())).is_ok())
}

/// Whether a run fills the terminal.
pub(super) fn is_on() -> bool {
    lines().is_some()
}

/// Gives the terminal back at once: the program is about to end.
pub(super) fn leave_at_once() {
    *lines() = None;
    screen::restore();
}

fn lines() -> std::sync::MutexGuard<'static, Option<mpsc::Sender<ScreenNews>>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Draws until the end, or until drawing fails. Returns the lines that are to stay.
fn draw(mut screen: Screen, mut view: RunView, news: &mpsc::Receiver<ScreenNews>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut due = Instant::now();
    let mut can_draw = true;
    'runs: loop {
        let first = news.recv_timeout(due.saturating_duration_since(Instant::now()));
        let more = std::iter::from_fn(|| news.try_recv().ok()).take(BATCH);
        for news in first.into_iter().chain(more) {
            match news {
                ScreenNews::Event(event) => view.event(*event),
                ScreenNews::Sampled(at, scrapes) => view.sampled(at, scrapes),
                ScreenNews::Status(status) => view.status(status),
                ScreenNews::Line(line) => {
                    view.line(line.trim());
                    kept.push(line);
                }
                ScreenNews::End => break 'runs,
            }
        }
        if Instant::now() >= due {
            view.judge();
            can_draw = can_draw && screen.draw(|frame| view.draw(frame)).is_ok();
            due = Instant::now() + DRAW_EVERY;
        }
    }
    drop(screen);
    kept
}
