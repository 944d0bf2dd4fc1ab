//! Removal by label: the end of a run, and what a crashed one left.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveVolumeOptions,
};
use futures_util::{StreamExt, stream};
use tokio::time::{Duration, sleep};

use super::label::{self, Owner, OwnerState};
use crate::progress::Progress;

/// Containers that are removed at once.
const REMOVALS_AT_ONCE: usize = 4;
/// Times that a network which still "has active endpoints" is tried, and the pause between: the engine lets go of them a
/// moment after their container.
const TRIES_MAX: usize = 10;
const PAUSE: Duration = Duration::from_millis(300);

/// Something on the engine that carries a run's label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DockerObject {
    /// A container.
    Container(String),
    /// A network.
    Network(String),
    /// A volume.
    Volume(String),
}

impl std::fmt::Display for DockerObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DockerObject::Container(name) => write!(f, "container {name}"),
            DockerObject::Network(name) => write!(f, "network {name}"),
            DockerObject::Volume(name) => write!(f, "volume {name}"),
        }
    }
}

/// All that one run has on the engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunObjects {
    /// In order of removal: containers, networks, volumes.
    pub(crate) objects: Vec<DockerObject>,
    /// The labels that every thing of a run carries.
    pub(crate) labels: BTreeMap<String, String>,
}

impl RunObjects {
    /// Whether the run's process is known to have gone, and no user asked to keep what it left.
    pub(crate) fn crashed(&self) -> bool {
        self.reason_to_spare().is_none()
    }

    /// Why this is not what a crashed run left.
    pub(crate) fn reason_to_spare(&self) -> Option<&'static str> {
        if self.labels.contains_key(label::KEPT) {
            return Some("it was kept on purpose");
        }
        let owner = self.labels.get(label::OWNER).and_then(|owner| Owner::parse(owner));
        match owner.map_or(OwnerState::Unknown, |owner| owner.living()) {
            OwnerState::Yes => Some("its process is running"),
            OwnerState::Unknown => Some("its process is not of this machine's present boot"),
            OwnerState::No => None,
        }
    }
}

/// What every run has, by run; or only `run`'s.
pub(crate) async fn find(docker: &Docker, run: Option<&str>) -> anyhow::Result<BTreeMap<String, RunObjects>> {
    let label = run.map_or_else(|| label::RUN.to_owned(), |run| format!("{}={run}", label::RUN));
    let filters = HashMap::from([("label", vec![label])]);
    let mut runs: BTreeMap<String, RunObjects> = BTreeMap::new();
    let mut add = |thing: DockerObject, labels: HashMap<String, String>| {
        if let Some(run) = labels.get(label::RUN).cloned() {
            let objects_of_run = runs.entry(run).or_default();
            objects_of_run.objects.push(thing);
            objects_of_run.labels.extend(labels);
        }
    };
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    for container in docker.list_containers(Some(options)).await.context("asking the engine for its containers")? {
        let name = container.names.and_then(|names| Some(names.first()?.trim_start_matches('/').to_owned()));
        if let Some(name) = name.or(container.id) {
            add(DockerObject::Container(name), container.labels.unwrap_or_default());
        }
    }
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    for network in docker.list_networks(Some(options)).await.context("asking the engine for its networks")? {
        if let Some(name) = network.name {
            add(DockerObject::Network(name), network.labels.unwrap_or_default());
        }
    }
    let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let volumes = docker.list_volumes(Some(options)).await.context("asking the engine for its volumes")?;
    for volume in volumes.volumes.unwrap_or_default() {
        add(DockerObject::Volume(volume.name), volume.labels);
    }
    for objects_of_run in runs.values_mut() {
        objects_of_run.objects.sort();
    }
    Ok(runs)
}

/// Removes things and returns those that are left, each with the reason.
pub(crate) async fn remove(
    docker: &Docker,
    objects: &[DockerObject],
    progress: &mut dyn Progress,
) -> Vec<(DockerObject, Error)> {
    let mut left = Vec::new();
    // Containers before the networks and volumes that they use.
    let (containers, others): (Vec<_>, Vec<_>) =
        objects.iter().partition(|thing| matches!(thing, DockerObject::Container(_)));
    let removals = containers.into_iter().map(|thing| async move { (thing, remove_one(docker, thing).await) });
    let mut removals = stream::iter(removals).buffer_unordered(REMOVALS_AT_ONCE);
    while let Some((thing, removed)) = removals.next().await {
        left.extend(removed.err().map(|error| (thing.clone(), error)));
        progress.advance(1);
    }
    for thing in others {
        left.extend(remove_one(docker, thing).await.err().map(|error| (thing.clone(), error)));
        progress.advance(1);
    }
    left
}

async fn remove_one(docker: &Docker, thing: &DockerObject) -> Result<(), Error> {
    for attempt in 1.. {
        let removed = match thing {
            DockerObject::Container(name) => {
                let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
                docker.remove_container(name, Some(options)).await
            }
            DockerObject::Network(name) => docker.remove_network(name).await,
            DockerObject::Volume(name) => docker.remove_volume(name, None::<RemoveVolumeOptions>).await,
        };
        match removed {
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(()),
            // 403: active endpoints; 409: removal already in progress, or a volume in use; 500: the engine's own hiccup.
            Err(Error::DockerResponseServerError { status_code: 403 | 409 | 500, .. }) if attempt < TRIES_MAX => {
                sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
    unreachable!("the last try returns")
}

/// Text for what could not be removed: each thing on its line, with the reason.
pub(crate) fn describe(left: &[(DockerObject, Error)]) -> String {
    left.iter().map(|(thing, error)| format!("\n  {thing}: {error}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::docker::label::{ObjectRole, RunLabels};

    fn of_this_process(kept: bool) -> RunObjects {
        let labels = RunLabels::new("t", kept).unwrap().labels(ObjectRole::Node, "a").into_iter().collect();
        RunObjects { objects: Vec::new(), labels }
    }

    #[test]
    fn only_what_nobody_owns_or_kept_is_left_of_a_crash() {
        let (mut dead, mut kept) = (of_this_process(false), of_this_process(true));
        assert_eq!(dead.reason_to_spare(), Some("its process is running"));
        for objects_of_run in [&mut dead, &mut kept] {
            // The same process number, but another beginning.
            let mut parts = objects_of_run.labels[label::OWNER].splitn(3, '/').map(str::to_owned).collect::<Vec<_>>();
            parts[1] = "1".to_owned();
            objects_of_run.labels.insert(label::OWNER.to_owned(), parts.join("/"));
        }
        assert_eq!(dead.reason_to_spare(), None);
        assert_eq!(kept.reason_to_spare(), Some("it was kept on purpose"));
        dead.labels.remove(label::OWNER);
        assert!(!dead.crashed(), "whose it is is not known");
    }
}
