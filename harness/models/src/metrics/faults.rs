//! How often a run has caused or met each sort of fault: what dashboards mark on their time axes.

use crate::events::EventKind;

/// Names of the events that are counted, as in `events.jsonl`.
pub const FAULTS: [&str; 12] = [
    "killed",
    "stopped",
    "suspended",
    "node_died",
    "router_died",
    "moved",
    "rebound",
    "link_set",
    "network_changed",
    "store_changed",
    "partitioned",
    "healed",
];

/// Number of faults by the names of their events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts([u64; FAULTS.len()]);

impl FaultCounts {
    /// Counts an event if it is a fault.
    pub fn take(&mut self, event: &EventKind) {
        let name = match event {
            EventKind::Killed { .. } => "killed",
            EventKind::Stopped { .. } => "stopped",
            EventKind::Suspended { .. } => "suspended",
            EventKind::NodeDied { .. } => "node_died",
            EventKind::RouterDied { .. } => "router_died",
            EventKind::Moved { .. } => "moved",
            EventKind::Rebound { .. } => "rebound",
            EventKind::LinkSet { .. } => "link_set",
            EventKind::NetworkChanged { .. } => "network_changed",
            EventKind::StoreChanged { .. } => "store_changed",
            EventKind::Partitioned { .. } => "partitioned",
            EventKind::Healed { .. } => "healed",
            _ => return,
        };
        self.add(name);
    }

    /// Counts an event by its name if it is a fault.
    pub fn add(&mut self, name: &str) {
        if let Some(at) = FAULTS.iter().position(|fault| *fault == name) {
            self.0[at] += 1;
        }
    }

    /// Each name with its number, always in the same order.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
        FAULTS.into_iter().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::NodeIndex;

    #[test]
    fn faults_are_counted_by_the_names_of_their_events() {
        let mut counts = FaultCounts::default();
        let killed = EventKind::Killed { node: NodeIndex(1) };
        counts.take(&killed);
        counts.take(&EventKind::LookFailed);
        counts.add("killed");
        counts.add("retrieved");
        assert_eq!(counts.each().filter(|(_, count)| *count > 0).collect::<Vec<_>>(), [("killed", 2)]);
        let name = serde_json::to_value(&killed).unwrap()["event"].as_str().unwrap().to_owned();
        assert!(FAULTS.contains(&name.as_str()));
    }
}
