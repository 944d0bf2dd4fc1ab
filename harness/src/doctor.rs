//! Which backends work here, and for each that does not: why, and the exact remedy.

use std::fmt;

use crate::backend::BackendError;
use crate::backend::docker;
use crate::backend::netns;
use crate::backend::process;
use crate::netns::access::Access;
use crate::programs;

/// Entries of the neighbour table below which large LANs on Docker lose packets: what Linux has without configuration.
const NEIGHBOURS_SMALL: usize = 1_024;

/// What was found.
#[derive(Debug)]
pub struct Examination {
    /// In the order in which `--backend auto` considers them.
    pub backends: Vec<Diagnosis>,
}

/// What was found about one backend.
#[derive(Debug)]
pub struct Diagnosis {
    /// As `--backend` takes it.
    pub backend: &'static str,
    /// Whether it works, and how.
    pub verdict: Verdict,
    /// What works with restrictions.
    pub warnings: Vec<Warning>,
}

/// Whether a backend works here.
#[derive(Debug)]
pub enum Verdict {
    /// It does: what it would use.
    Works(String),
    /// It does not.
    Fails(BackendError),
}

/// A restriction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Examination {
    /// Whether this backend works.
    pub fn works(&self, backend: &str) -> bool {
        self.backends.iter().any(|found| found.backend == backend && matches!(found.verdict, Verdict::Works(_)))
    }
}

impl fmt::Display for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for found in &self.backends {
            match &found.verdict {
                Verdict::Works(how) => writeln!(f, "{:8} works: {how}", found.backend)?,
                Verdict::Fails(error) => {
                    writeln!(f, "{:8} does not work: {:#}", found.backend, error.what)?;
                    if let Some(remedy) = &error.remedy {
                        writeln!(f, "{:8}   remedy: {remedy}", "")?;
                    }
                }
            }
            for warning in &found.warnings {
                writeln!(f, "{:8}   warning: {}\n{:8}   remedy: {}", "", warning.what, "", warning.remedy)?;
            }
        }
        Ok(())
    }
}

/// Looks at this machine. What it creates to try is gone when this returns.
pub async fn examine() -> Examination {
    let sim = Diagnosis {
        backend: "sim",
        verdict: Verdict::Works("simulated; needs nothing".to_owned()),
        warnings: Vec::new(),
    };
    Examination { backends: vec![docker_here().await, netns_here().await, sim] }
}

async fn docker_here() -> Diagnosis {
    let diagnosis = |verdict, warnings| Diagnosis { backend: "docker", verdict, warnings };
    let engine = match docker::connect().await {
        Ok(engine) => engine,
        Err(unusable) => return diagnosis(Verdict::Fails(unusable.into()), Vec::new()),
    };
    let node = match programs::node_origin().await {
        Ok(origin) => origin,
        Err(error) => return diagnosis(Verdict::Fails(error), Vec::new()),
    };
    let version = engine.info.server_version.as_deref().unwrap_or("of unknown version");
    let api = engine.docker.client_version();
    let works = Verdict::Works(format!("engine {version}, API {api}; node: {node}"));
    diagnosis(works, neighbour_warning(process::neighbours::limit(), docker::enters_namespaces()).into_iter().collect())
}

async fn netns_here() -> Diagnosis {
    let verdict = match netns::preflight().await {
        Ok(Access::Ready) => Verdict::Works("network namespaces, as root".to_owned()),
        Ok(Access::InUserNamespace) => {
            Verdict::Works("network namespaces, as an ordinary user in a user namespace".to_owned())
        }
        Err(error) => Verdict::Fails(error),
    };
    Diagnosis { backend: "netns", verdict, warnings: Vec::new() }
}

fn neighbour_warning(limit: Option<usize>, enters_namespaces: bool) -> Option<Warning> {
    let limit = limit.filter(|limit| *limit <= NEIGHBOURS_SMALL && !enters_namespaces)?;
    Some(Warning {
        what: format!(
            "the kernel's neighbour table holds {limit} entries for all containers together: a LAN of more than {} nodes that all talk \
             to each other loses packets",
            limit.isqrt()
        ),
        remedy: "run as root (neighbours are then told beforehand), or: sudo sysctl -w net.ipv4.neigh.default.gc_thresh3=65536".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn what_fails_is_shown_with_its_remedy() {
        let error = BackendError { what: anyhow!("no engine"), remedy: Some("start it".to_owned()) };
        let found = Diagnosis { backend: "docker", verdict: Verdict::Fails(error), warnings: Vec::new() };
        let examination = Examination { backends: vec![found] };
        let text = examination.to_string();
        assert!(text.contains("docker   does not work: no engine\n") && text.contains("remedy: start it\n"), "{text}");
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
