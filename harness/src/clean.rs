//! What crashed runs left on the Docker engine: found by label, removed, and told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;

use crate::backend::BackendError;
use crate::backend::docker::{self, label, teardown};
use crate::progress::Progress;

/// Which runs are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Those whose process has gone, unless their user kept them.
    Crashed,
    /// The one with this id, whatever it is doing.
    Run(String),
    /// Every run, also one that another process plays at this moment.
    All,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Runs that were removed.
    pub removed: Vec<Leftover>,
    /// Runs that were let be, and why.
    pub spared: Vec<(Leftover, &'static str)>,
}

/// What is on the engine of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its id.
    pub run: String,
    /// Name of its topology.
    pub topology: String,
    /// How long ago it began, in whole seconds; `None` if it does not say.
    pub age: Option<Duration>,
    /// Containers, networks and volumes.
    pub things: usize,
}

impl std::fmt::Display for Leftover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "run {} of {}", self.run, self.topology)?;
        if let Some(age) = self.age {
            write!(f, ", begun {} ago", humantime::format_duration(age))?;
        }
        write!(f, ": {} containers, networks and volumes", self.things)
    }
}

/// Removes runs.
///
/// # Errors
/// If the engine cannot be used, or with the list of what it does not remove.
pub async fn clean(extent: Extent, progress: &mut dyn Progress) -> Result<Cleaned, BackendError> {
    let engine = docker::connect().await?;
    let mut cleaned = Cleaned::default();
    let mut things = Vec::new();
    let only = match &extent {
        Extent::Run(run) => Some(run.as_str()),
        Extent::Crashed | Extent::All => None,
    };
    for (run, belongings) in teardown::find(&engine.docker, only).await? {
        let leftover = leftover(run, &belongings);
        match belongings.reason_to_spare().filter(|_| extent == Extent::Crashed) {
            Some(reason) => cleaned.spared.push((leftover, reason)),
            None => {
                things.extend(belongings.things);
                cleaned.removed.push(leftover);
            }
        }
    }
    progress.begin("removing what is left of runs", things.len() as u64);
    let left = teardown::remove(&engine.docker, &things, progress).await;
    if left.is_empty() {
        return Ok(cleaned);
    }
    Err(BackendError {
        what: anyhow!("not everything could be removed; what is left:{}", teardown::describe(&left)),
        remedy: Some("Restart the engine and try again: sudo systemctl restart docker".to_owned()),
    })
}

fn leftover(run: String, belongings: &teardown::Belongings) -> Leftover {
    let label = |name: &str| belongings.labels.get(name).map(String::as_str);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let started = label(label::STARTED).and_then(|text| text.parse::<u64>().ok());
    Leftover {
        run,
        topology: label(label::TOPOLOGY).unwrap_or("an unnamed topology").to_owned(),
        age: started.map(|started| Duration::from_secs(now.saturating_sub(started))),
        things: belongings.things.len(),
    }
}
