//! Removes what crashed runs left on the Docker engine. Labels tell what belongs to which run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::backend::BackendError;
use crate::backend::docker::{self, label, teardown};
use crate::progress::Progress;

/// Which runs to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CleanScope {
    /// Runs whose process has ended, except kept ones.
    Crashed,
    /// The run with this id, even if it is in progress.
    Run(String),
    /// The runs of one process: the value of the label `butter.owner`.
    Owner(String),
    /// Every run, even those in progress.
    All,
}

/// Which runs were removed, and which were not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanReport {
    /// Runs that were removed.
    pub removed: Vec<RunLeftover>,
    /// Runs that were not removed, each with the reason.
    pub spared: Vec<(RunLeftover, &'static str)>,
}

/// What the engine still holds of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunLeftover {
    /// Id of the run: the value of the label `butter.run`.
    pub run: String,
    /// Name of its topology.
    pub topology: String,
    /// Time since the run started, in whole seconds; `None` without a label that says so.
    pub age: Option<Duration>,
    /// Number of containers, networks and volumes.
    pub objects: usize,
}

impl std::fmt::Display for RunLeftover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "run {} of {}", self.run, self.topology)?;
        if let Some(age) = self.age {
            write!(f, ", started {} ago", humantime::format_duration(age))?;
        }
        match self.objects {
            1 => write!(f, ": 1 container, network or volume"),
            several => write!(f, ": {several} containers, networks and volumes"),
        }
    }
}

/// Removes the runs of this scope from the engine.
///
/// # Errors
/// If the engine cannot be used, or does not remove everything. Then the error lists what is left.
pub async fn clean(scope: CleanScope, progress: &mut dyn Progress) -> Result<CleanReport, BackendError> {
    let engine = docker::connect().await?;
    let mut cleaned = CleanReport::default();
    let mut objects = Vec::new();
    let only = match &scope {
        CleanScope::Run(run) => Some(run.as_str()),
        CleanScope::Crashed | CleanScope::Owner(_) | CleanScope::All => None,
    };
    for (run, objects_of_run) in teardown::find(&engine.docker, only).await? {
        if let CleanScope::Owner(owner) = &scope
            && objects_of_run.labels.get(label::OWNER) != Some(owner)
        {
            continue;
        }
        let leftover = leftover(run, &objects_of_run);
        match objects_of_run.reason_to_spare().filter(|_| scope == CleanScope::Crashed) {
            Some(reason) => cleaned.spared.push((leftover, reason)),
            None => {
                objects.extend(objects_of_run.objects);
                cleaned.removed.push(leftover);
            }
        }
    }
    progress.begin("removing leftovers", objects.len() as u64);
    let left = teardown::remove(&engine.docker, &objects, progress).await;
    if left.is_empty() {
        return Ok(cleaned);
    }
    Err(BackendError::Removal {
        left: format!("what is left:{}", teardown::describe(&left)),
        remedy: "Restart the engine and try again: sudo systemctl restart docker".to_owned(),
    })
}

fn leftover(run: String, objects_of_run: &teardown::RunObjects) -> RunLeftover {
    let label = |name: &str| objects_of_run.labels.get(name).map(String::as_str);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let started = label(label::STARTED).and_then(|text| text.parse::<u64>().ok());
    RunLeftover {
        run,
        topology: label(label::TOPOLOGY).unwrap_or("an unnamed topology").to_owned(),
        age: started.map(|started| Duration::from_secs(now.saturating_sub(started))),
        objects: objects_of_run.objects.len(),
    }
}
