//! The run so far, summed up as the page's data by a thread of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::recorded;
use super::state::{EndedRun, LiveState, PartName, list_ended};
use crate::checks;
use crate::events::{Event, RunTime};
use crate::metrics::samples::{labels, names};
use crate::plan::Plan;
use crate::report_page::PAGE_FILE;
use crate::report_page::run_files::{RunFiles, SampleRow};
use crate::report_page::run_page::{RESULT_BYTES_MAX, RunPage, circumstances};
use crate::report_page::section::{PageSection, SECTIONS};
use crate::report_page::thin;
use crate::results::event_line;
use crate::results::outline::RunOutline;
use crate::results::result::RunResult;
use crate::results::under_way::{RunUnderWay, SumPace};
use crate::run::RunStatus;
use crate::series::Scrape;

/// How often it looks whether anything is to be summed up.
const TICK: Duration = Duration::from_millis(200);
/// Most news that are taken before it looks at the clock.
const BATCH: usize = 5_000;

/// What a run has to say.
pub(super) enum News {
    Prepares { name: String, what: String },
    Begins { plan: Arc<Plan>, backend: String, directory: PathBuf },
    Event(Box<Event>),
    Sampled(RunTime, Arc<Vec<Scrape>>),
    Status(RunStatus),
    Ended { directory: PathBuf },
    SetPage { page: PathBuf },
    Over,
}

/// Sums up what is said.
pub(super) struct Gatherer {
    states: watch::Sender<Arc<LiveState>>,
    shown: Shown,
    /// Whether the latest state lacks something.
    is_stale: bool,
    pace: SumPace,
    runs: u64,
    ended: Vec<EndedRun>,
    sets: Vec<Value>,
    is_over: bool,
}

/// What the page is about.
enum Shown {
    Prepares { name: String, what: String },
    Runs(Box<ShownRun>),
    Ended(PathBuf),
}

/// A run that is being played.
struct ShownRun {
    under_way: RunUnderWay,
    sections: Vec<Box<dyn PageSection>>,
    files: RunFiles,
}

impl Gatherer {
    pub(super) fn new(states: watch::Sender<Arc<LiveState>>) -> Self {
        Gatherer {
            states,
            shown: Shown::Prepares { name: "harness run".to_owned(), what: "about to begin".to_owned() },
            is_stale: true,
            pace: SumPace::default(),
            runs: 0,
            ended: Vec::new(),
            sets: Vec::new(),
            is_over: false,
        }
    }

    /// Works until no more can come.
    pub(super) fn run(mut self, news: &mpsc::Receiver<News>) {
        loop {
            match news.recv_timeout(TICK) {
                Ok(first) => {
                    self.take(first);
                    (0..BATCH).map_while(|_| news.try_recv().ok()).for_each(|news| self.take(news));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            if self.is_stale && self.states.receiver_count() > 0 && self.pace.begin() {
                self.publish();
                self.pace.end();
            }
        }
    }

    fn take(&mut self, news: News) {
        self.is_stale = true;
        match news {
            News::Prepares { name, what } => self.shown = Shown::Prepares { name, what },
            News::Begins { plan, backend, directory } => {
                self.runs += 1;
                self.shown = Shown::Runs(Box::new(ShownRun::new(plan, &backend, &directory)));
            }
            News::Event(event) => self.with_run(|run| run.event(*event)),
            News::Sampled(at, scrapes) => self.with_run(|run| run.sampled(at, scrapes)),
            News::Status(status) => self.with_run(|run| run.under_way.status = status),
            News::Ended { directory } => self.end(directory),
            News::SetPage { page } => self.list_set(page),
            News::Over => {
                self.is_over = true;
                // Clients wait for the word that what they show is final.
                self.pace.hurry();
            }
        }
    }

    fn with_run(&mut self, take: impl FnOnce(&mut ShownRun)) {
        if let Shown::Runs(run) = &mut self.shown {
            take(run);
        }
    }

    fn end(&mut self, directory: PathBuf) {
        // Without a result there is no page either, and the command line says why.
        if let Ok(outline) = RunOutline::load(&directory) {
            let page = page_path(&directory, 2);
            self.serves(page.clone(), directory.join(PAGE_FILE));
            let verdict = serde_json::to_value(outline.verdict).unwrap_or_default();
            let verdict = verdict.as_str().unwrap_or_default().to_owned();
            list_ended(&mut self.ended, EndedRun { name: outline.name, seed: Some(outline.seed), verdict, page });
        }
        self.shown = Shown::Ended(directory);
        // The verdict is not kept waiting.
        self.pace.hurry();
    }

    fn list_set(&mut self, page: PathBuf) {
        let directory = page.parent().unwrap_or(Path::new("."));
        let path = page_path(directory, 1);
        self.sets.push(json!({"name": directory.display().to_string(), "page": path}));
        self.serves(path, page);
    }

    fn serves(&self, path: String, file: PathBuf) {
        let mut next = LiveState::clone(&self.states.borrow());
        let mut pages = BTreeMap::clone(&next.pages);
        pages.insert(path, file);
        next.pages = Arc::new(pages);
        self.states.send_replace(Arc::new(next));
    }

    fn publish(&mut self) {
        self.is_stale = false;
        let live = self.live();
        let parts = match &mut self.shown {
            Shown::Prepares { .. } => Vec::new(),
            Shown::Runs(run) => run.parts(),
            Shown::Ended(directory) => match recorded(directory) {
                Ok(page) => parts_of(page),
                Err(error) => {
                    let problem =
                        json!([format!("the record cannot be shown: {}", butter_cli::chain::one_line(&error))]);
                    let state = self.states.borrow().changed(vec![(("data", "notes"), problem), live]);
                    self.states.send_replace(Arc::new(state));
                    return;
                }
            },
        };
        let parts = parts.into_iter().chain([live]).collect();
        let next = self.states.borrow().next(self.runs, parts);
        self.states.send_replace(Arc::new(next));
    }

    /// Where the program is: what the page shows beside the data that the file has.
    fn live(&self) -> (PartName, Value) {
        let mut live = match &self.shown {
            Shown::Prepares { name, what } => json!({"state": "prepares", "name": name, "what": what}),
            Shown::Runs(run) => run.standing(),
            Shown::Ended(directory) => {
                json!({"state": "ended", "base": page_path(directory, 2).trim_end_matches(PAGE_FILE)})
            }
        };
        live["ended"] = json!(self.ended);
        live["sets"] = json!(self.sets);
        live["is_over"] = json!(self.is_over);
        (("page", "live"), live)
    }
}

impl ShownRun {
    fn new(plan: Arc<Plan>, backend: &str, directory: &Path) -> Self {
        let plan_value = serde_json::to_value(&*plan).expect("a plan is always JSON");
        let under_way = RunUnderWay::new(plan, backend);
        let outline = RunOutline::from(&RunResult::of(&under_way.plan, backend, &under_way.record, Vec::new()));
        let files = RunFiles::of_running(directory, outline, plan_value);
        let sections = SECTIONS.iter().map(|section| (section.begin)()).collect();
        ShownRun { under_way, sections, files }
    }

    fn event(&mut self, event: Event) {
        if let Ok(value) = event_line::value(&event, &self.under_way.plan) {
            let name = value["event"].as_str().unwrap_or_default();
            self.sections.iter_mut().for_each(|section| section.event(event.at.0, name, &value, &self.files));
        }
        self.under_way.event(event);
    }

    fn sampled(&mut self, at: RunTime, scrapes: Arc<Vec<Scrape>>) {
        for scrape in &*scrapes {
            let (node, _, group) = names(&self.under_way.plan, scrape.source);
            for series in scrape.series.iter().filter(|series| series.value.is_finite()) {
                let labels = labels(series);
                let (at_ms, metric, value) = (at.0 / 1_000, &*series.name, series.value);
                let row = SampleRow { at_ms, node, group, metric, labels: &labels, value };
                self.sections.iter_mut().for_each(|section| section.sample(row));
            }
        }
        self.under_way.sampled(at, scrapes);
    }

    /// Everything that the page shows, of what has happened so far.
    fn parts(&mut self) -> Vec<(PartName, Value)> {
        let RunUnderWay { plan, backend, record, status } = &self.under_way;
        let checks = checks::evaluate(plan, &record.events, &record.metric_history);
        let mut result = RunResult::of(plan, backend, record, checks);
        result.run_s = result.run_s.max(status.now.as_secs_f64());
        self.files.outline = RunOutline::from(&result);
        let files = &self.files;
        let mut result = serde_json::to_value(result).expect("a result is always JSON");
        result["verdict"] = json!("running");
        let cuts = thin::cut_to(&mut result, RESULT_BYTES_MAX);
        let sections = SECTIONS.iter().zip(&self.sections);
        let sections = sections.map(|(kind, section)| (("sections", kind.name), section.data(files)));
        let others = [
            (("data", "result"), result),
            (("data", "cuts"), json!(cuts)),
            (("data", "notes"), json!(files.notes)),
            (("page", "circumstances"), circumstances(files)),
        ];
        others.into_iter().chain(sections).collect()
    }

    fn standing(&self) -> Value {
        let RunUnderWay { plan, status: RunStatus { now, step, live, .. }, .. } = &self.under_way;
        let summary = step.and_then(|step| plan.steps.get(step)).map(|step| &step.summary);
        json!({
            "state": "runs",
            "name": plan.name,
            "step": step,
            "steps": plan.steps.len(),
            "what": summary,
            "clock_s": now.as_secs_f64(),
            "nodes": live,
        })
    }
}

fn parts_of(page: RunPage) -> Vec<(PartName, Value)> {
    let RunPage { result, cuts, notes, mut sections, circumstances, .. } = page;
    let others = [
        (("data", "result"), result),
        (("data", "cuts"), json!(cuts)),
        (("data", "notes"), json!(notes)),
        (("page", "circumstances"), circumstances),
    ];
    let sections =
        SECTIONS.iter().map(|kind| (("sections", kind.name), sections.remove(kind.name).unwrap_or_default()));
    others.into_iter().chain(sections).collect()
}

/// The path at which the page in a directory is served: with so many names of the directory, so that links from the page of a set to
/// those of its runs lead there.
fn page_path(directory: &Path, names: usize) -> String {
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let all: Vec<String> = absolute.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    let last = &all[all.len().saturating_sub(names)..];
    format!("/pages/{}/{PAGE_FILE}", last.join("/").trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_a_set_lead_to_the_pages_of_its_runs() {
        let set = page_path(Path::new("/a/set"), 1);
        assert_eq!(set, "/pages/set/report.html");
        assert_eq!(page_path(Path::new("/a/set/run-1"), 2), "/pages/set/run-1/report.html");
    }
}
