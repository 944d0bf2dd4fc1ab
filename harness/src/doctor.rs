//! Which backends are usable on this machine, and how to fix the others.

use std::fmt;

use crate::backend::BackendError;
use crate::backend::capacity::MachineRoom;
use crate::backend::docker;
use crate::backend::netns;
use crate::backend::process;
use crate::netns::access::NamespaceAccess;
use crate::programs;

/// Entries of the neighbour table below which large LANs on Docker lose packets: what Linux has without configuration.
const NEIGHBOURS_SMALL: usize = 1_024;

/// Which backends are usable on this machine.
#[derive(Debug)]
pub struct MachineReport {
    /// In the order in which `--backend auto` considers them.
    pub backends: Vec<BackendReport>,
    /// What there is of memory and descriptors.
    pub room: MachineRoom,
}

/// Whether one backend is usable, with its restrictions.
#[derive(Debug)]
pub struct BackendReport {
    /// As `--backend` takes it.
    pub backend: &'static str,
    /// Whether it works, and how.
    pub usability: Usability,
    /// Restrictions under which it works.
    pub warnings: Vec<BackendWarning>,
}

/// Whether a backend works here.
#[derive(Debug)]
pub enum Usability {
    /// It works; the text says with what.
    Works(String),
    /// It does not work: the cause, and the remedy if there is one.
    Fails(BackendError),
}

/// A restriction of a backend that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendWarning {
    /// The restriction and when it matters.
    pub what: String,
    /// A command or setting that lifts it.
    pub remedy: String,
}

impl MachineReport {
    /// Whether this backend works.
    pub fn works(&self, backend: &str) -> bool {
        self.backends.iter().any(|found| found.backend == backend && matches!(found.usability, Usability::Works(_)))
    }
}

impl fmt::Display for MachineReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for found in &self.backends {
            match &found.usability {
                Usability::Works(how) => writeln!(f, "{:8} works: {how}", found.backend)?,
                Usability::Fails(error) => {
                    writeln!(f, "{:8} does not work: {}", found.backend, butter_cli::chain::one_line(error))?;
                    if let Some(remedy) = error.remedy() {
                        writeln!(f, "{:8}   remedy: {remedy}", "")?;
                    }
                }
            }
            for warning in &found.warnings {
                writeln!(f, "{:8}   warning: {}\n{:8}   remedy: {}", "", warning.what, "", warning.remedy)?;
            }
        }
        if let Some(nodes) = self.room.nodes() {
            writeln!(f, "{:8} room for about {nodes} nodes on docker or netns, by memory and open files", "machine")?;
        }
        Ok(())
    }
}

/// Examines this machine. Whatever a trial creates is removed before this returns.
pub async fn examine() -> MachineReport {
    let sim = BackendReport {
        backend: "sim",
        usability: Usability::Works("simulated; needs nothing".to_owned()),
        warnings: Vec::new(),
    };
    let backends = vec![docker_here().await, netns_here().await, sim];
    MachineReport { backends, room: MachineRoom::look() }
}

async fn docker_here() -> BackendReport {
    let diagnosis = |usability, warnings| BackendReport { backend: "docker", usability, warnings };
    let engine = match docker::connect().await {
        Ok(engine) => engine,
        Err(unusable) => return diagnosis(Usability::Fails(unusable.into()), Vec::new()),
    };
    let node = match programs::node_origin().await {
        Ok(origin) => origin,
        Err(error) => return diagnosis(Usability::Fails(error.into()), Vec::new()),
    };
    let version = engine.info.server_version.as_deref().unwrap_or("of unknown version");
    let api = engine.docker.client_version();
    let works = Usability::Works(format!("engine {version}, API {api}; node: {node}"));
    diagnosis(works, neighbour_warning(process::neighbours::limit(), docker::enters_namespaces()).into_iter().collect())
}

async fn netns_here() -> BackendReport {
    let usability = match netns::preflight().await {
        Ok(NamespaceAccess::Ready) => Usability::Works("network namespaces, as root".to_owned()),
        Ok(NamespaceAccess::InUserNamespace) => {
            Usability::Works("network namespaces, as an ordinary user in a user namespace".to_owned())
        }
        Err(error) => Usability::Fails(error),
    };
    BackendReport { backend: "netns", usability, warnings: Vec::new() }
}

fn neighbour_warning(limit: Option<usize>, enters_namespaces: bool) -> Option<BackendWarning> {
    let limit = limit.filter(|limit| *limit <= NEIGHBOURS_SMALL && !enters_namespaces)?;
    Some(BackendWarning {
        what: format!(
            "the kernel's neighbour table holds {limit} entries for all containers together: a LAN of more than {} nodes, all connected to each other, \
             loses packets",
            limit.isqrt()
        ),
        remedy: "run as root, which adds neighbours to the table in advance, or: sudo sysctl -w net.ipv4.neigh.default.gc_thresh3=65536".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_shown_with_its_remedy() {
        let error = BackendError::Removal { left: "one network".to_owned(), remedy: "start it".to_owned() };
        let found = BackendReport { backend: "docker", usability: Usability::Fails(error), warnings: Vec::new() };
        let examination = MachineReport { backends: vec![found], room: MachineRoom::look() };
        let text = examination.to_string();
        assert!(
            text.contains("docker   does not work: cannot remove everything: one network\n")
                && text.contains("remedy: start it\n"),
            "{text}"
        );
        assert!(!examination.works("docker"));
    }

    #[test]
    fn a_small_neighbour_table_matters_only_to_those_who_cannot_go_around_it() {
        assert!(neighbour_warning(Some(1_024), false).unwrap().what.contains("more than 32 nodes"));
        assert_eq!(neighbour_warning(Some(1_024), true), None);
        assert_eq!(neighbour_warning(Some(65_536), false), None);
        assert_eq!(neighbour_warning(None, false), None);
    }

    #[tokio::test]
    async fn the_simulator_always_works() {
        let examination = examine().await;
        assert!(examination.works("sim"));
    }
}
