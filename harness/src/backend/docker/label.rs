//! Whose a container, network or volume is: names and labels, and whether the process that made it still lives.

use std::collections::HashMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;

/// Label with the run's id; what carries it is the testbed's.
pub(crate) const RUN: &str = "butter.run";
/// Label with the topology's name.
pub(crate) const TOPOLOGY: &str = "butter.topology";
/// Label with the time of creation, in seconds since 1970.
pub(crate) const STARTED: &str = "butter.started";
/// Label with an [`Owner`].
pub(crate) const OWNER: &str = "butter.owner";
/// Label with a [`ObjectRole`].
pub(crate) const ROLE: &str = "butter.role";
/// Label with the name of the node or network in the topology.
pub(crate) const NAME: &str = "butter.name";
/// Label of a run that its user asked to keep: `clean` takes it only by its id, or with `--all`.
pub(crate) const KEPT: &str = "butter.kept";

/// What a container, network or volume is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectRole {
    /// A node, or its store.
    Node,
    /// The router of a network.
    Router,
    /// A network of the topology.
    Network,
    /// What probes the routers.
    Prober,
    /// What sets the filter of a node.
    Filter,
    /// The network that the harness reaches routers through.
    Management,
}

impl ObjectRole {
    fn text(self) -> &'static str {
        match self {
            ObjectRole::Node => "node",
            ObjectRole::Router => "router",
            ObjectRole::Network => "network",
            ObjectRole::Prober => "prober",
            ObjectRole::Filter => "filter",
            ObjectRole::Management => "management",
        }
    }
}

/// One run's names and labels.
#[derive(Clone, Debug)]
pub(crate) struct RunLabels {
    /// Eight hexadecimal digits, random.
    pub(crate) run: String,
    topology: String,
    started: u64,
    owner: String,
    kept: bool,
}

impl RunLabels {
    /// Of a new run, owned by this process.
    pub(crate) fn new(topology: &str, kept: bool) -> anyhow::Result<Self> {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let owner = Owner::this().map_or_else(String::new, |owner| owner.to_string());
        Ok(RunLabels { run: random_hex(4)?, topology: topology.to_owned(), started, owner, kept })
    }

    /// A number that differs from run to run.
    pub(crate) fn scatter(&self) -> u32 {
        u32::from_str_radix(&self.run, 16).unwrap_or_default()
    }

    /// What a thing of this run is called.
    pub(crate) fn name(&self, role: ObjectRole, name: &str) -> String {
        match role {
            ObjectRole::Prober | ObjectRole::Management => format!("butter-{}-{}", self.run, role.text()),
            _ => format!("butter-{}-{}-{name}", self.run, role.text()),
        }
    }

    /// The labels of a thing of this run.
    pub(crate) fn labels(&self, role: ObjectRole, name: &str) -> HashMap<String, String> {
        let mut labels: HashMap<String, String> = [
            (RUN, self.run.as_str()),
            (TOPOLOGY, &self.topology),
            (STARTED, &self.started.to_string()),
            (OWNER, &self.owner),
            (ROLE, role.text()),
            (NAME, name),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        if self.kept {
            labels.insert(KEPT.to_owned(), "yes".to_owned());
        }
        labels
    }
}

/// A process, so named that another with the same number is not taken for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pid: u32,
    /// Clock ticks after the boot.
    began: u64,
    /// Boot and process namespace: numbers mean nothing in another.
    place: String,
}

/// Whether a process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnerState {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It belongs to another machine or container.
    Unknown,
}

impl Owner {
    /// This process; `None` where there is no `/proc`.
    pub(crate) fn this() -> Option<Self> {
        let pid = std::process::id();
        Some(Owner { pid, began: began(pid)?, place: place()? })
    }

    /// Reads what `Display` wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/');
        let owner = Owner {
            pid: parts.next()?.parse().ok()?,
            began: parts.next()?.parse().ok()?,
            place: parts.next()?.to_owned(),
        };
        Some(owner)
    }

    /// Whether it lives, as far as this process can see.
    pub(crate) fn living(&self) -> OwnerState {
        // Another boot of this machine and another machine on the same engine cannot be distinguished.
        if place().as_ref() != Some(&self.place) {
            return OwnerState::Unknown;
        }
        if began(self.pid) == Some(self.began) { OwnerState::Yes } else { OwnerState::No }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.pid, self.began, self.place)
    }
}

fn place() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

/// When a process began: field 22 of `/proc/PID/stat` (proc_pid_stat(5)). A dead one that was not waited for counts as gone.
fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Random bytes from the kernel, as hexadecimal digits.
pub(crate) fn random_hex(bytes: usize) -> anyhow::Result<String> {
    use std::io::Read;
    let mut random = vec![0; bytes];
    let mut source = fs::File::open("/dev/urandom").context("/dev/urandom cannot be opened")?;
    source.read_exact(&mut random).context("/dev/urandom cannot be read")?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_survives_being_written_down() {
        let owner = Owner::this().unwrap();
        assert_eq!(Owner::parse(&owner.to_string()), Some(owner.clone()));
        assert_eq!(owner.living(), OwnerState::Yes);
        assert_eq!(Owner::parse("12/x/y"), None);
    }

    #[test]
    fn a_process_with_the_same_number_is_another() {
        let mut owner = Owner::this().unwrap();
        owner.began += 1;
        assert_eq!(owner.living(), OwnerState::No);
        owner.place = "elsewhere".to_owned();
        assert_eq!(owner.living(), OwnerState::Unknown);
    }

    #[test]
    fn names_of_one_run_differ_from_each_other_and_from_those_of_another_run() {
        let (run_labels, other) = (RunLabels::new("t", false).unwrap(), RunLabels::new("t", true).unwrap());
        let names = [
            run_labels.name(ObjectRole::Node, "a"),
            run_labels.name(ObjectRole::Router, "a"),
            run_labels.name(ObjectRole::Network, "a"),
            run_labels.name(ObjectRole::Management, ""),
            other.name(ObjectRole::Node, "a"),
        ];
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name}");
        }
        assert!(
            !run_labels.labels(ObjectRole::Node, "a").contains_key(KEPT)
                && other.labels(ObjectRole::Node, "a").contains_key(KEPT)
        );
    }
}
