//! What crashed runs left on the Docker engine: found by label, removed, and told.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;

use crate::backend::docker::mark::{self, Living, Owner};
use crate::backend::docker::{self, teardown};
use crate::backend::{BackendError, Progress};

/// Which runs are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Those whose process has gone, unless their user kept them.
    Crashed,
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
    for (run, belongings) in teardown::find(&engine.docker, None).await? {
        let leftover = leftover(run, &belongings);
        match reason_to_spare(extent, &belongings.labels) {
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
    let started = label(mark::STARTED).and_then(|text| text.parse::<u64>().ok());
    Leftover {
        run,
        topology: label(mark::TOPOLOGY).unwrap_or("an unnamed topology").to_owned(),
        age: started.map(|started| Duration::from_secs(now.saturating_sub(started))),
        things: belongings.things.len(),
    }
}

fn reason_to_spare(extent: Extent, labels: &BTreeMap<String, String>) -> Option<&'static str> {
    if extent == Extent::All {
        return None;
    }
    if labels.contains_key(mark::KEPT) {
        return Some("it was kept on purpose");
    }
    match labels.get(mark::OWNER).and_then(|owner| Owner::parse(owner)).map_or(Living::Unknown, |owner| owner.living())
    {
        Living::Yes => Some("its process is running"),
        Living::Unknown => Some("its process is not of this machine's present boot"),
        Living::No => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::docker::mark::{Mark, Role};

    fn labels(kept: bool) -> BTreeMap<String, String> {
        Mark::new("t", kept).unwrap().labels(Role::Node, "a").into_iter().collect()
    }

    #[test]
    fn a_run_that_is_played_or_kept_is_spared_unless_all_are_wanted() {
        let (mut dead, mut kept) = (labels(false), labels(true));
        assert_eq!(reason_to_spare(Extent::Crashed, &dead), Some("its process is running"));
        for labels in [&mut dead, &mut kept] {
            let (pid, rest) = labels[mark::OWNER].split_once('/').unwrap();
            let (_, place) = rest.split_once('/').unwrap();
            let owner = format!("{pid}/1/{place}");
            labels.insert(mark::OWNER.to_owned(), owner);
        }
        assert_eq!(reason_to_spare(Extent::Crashed, &dead), None);
        assert_eq!(reason_to_spare(Extent::Crashed, &kept), Some("it was kept on purpose"));
        assert_eq!(reason_to_spare(Extent::All, &kept), None);
        dead.remove(mark::OWNER);
        assert!(reason_to_spare(Extent::Crashed, &dead).is_some());
    }
}
