//! The metrics of a recorded run itself, at any moment of its clock, from its events.

use std::collections::BTreeSet;
use std::io::{self, BufRead};

use serde::Deserialize;

use super::faults::FaultCounts;
use super::run::{OUTCOMES, RunMetrics};
use crate::events::RunTime;

/// A line of `events.jsonl`, as far as metrics need it.
#[derive(Debug, Deserialize)]
struct ReplayedEvent {
    at_us: u64,
    event: String,
    step: Option<usize>,
    verb: Option<String>,
    /// A name, in events about one node.
    node: Option<serde_json::Value>,
    acknowledged: Option<usize>,
    persistent: Option<usize>,
    result: Option<serde_json::Value>,
}

/// What was true of a run at a moment.
#[derive(Debug, Default)]
pub struct Replay {
    events: std::vec::IntoIter<ReplayedEvent>,
    next: Option<ReplayedEvent>,
    metrics: RunMetrics,
    verb: Option<String>,
    faults: FaultCounts,
    live: BTreeSet<String>,
}

impl Replay {
    /// Reads the events of a record. A last line that was cut off is left out.
    ///
    /// # Errors
    /// If the stream fails, or a line before the last is no event.
    pub fn read(events: impl BufRead) -> io::Result<Self> {
        let mut read = Vec::new();
        let mut lines = events.lines().peekable();
        while let Some(line) = lines.next() {
            match serde_json::from_str::<ReplayedEvent>(&line?) {
                Ok(event) => read.push(event),
                Err(_) if lines.peek().is_none() => {}
                Err(error) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, format!("an event is wrong: {error}")));
                }
            }
        }
        let mut replay = Replay { events: read.into_iter(), ..Replay::default() };
        replay.metrics.queries = OUTCOMES.map(|outcome| (outcome, 0));
        replay.next = replay.events.next();
        Ok(replay)
    }

    /// Plays all events up to a moment. Moments do not go back.
    pub fn advance(&mut self, to: RunTime) -> (&RunMetrics, Option<&str>, &FaultCounts) {
        while let Some(event) = self.next.take_if(|event| event.at_us <= to.0) {
            self.take(event);
            self.next = self.events.next();
        }
        self.metrics.clock = to;
        self.metrics.nodes_live = self.live.len();
        (&self.metrics, self.verb.as_deref(), &self.faults)
    }

    fn take(&mut self, event: ReplayedEvent) {
        self.faults.add(&event.event);
        let node = event.node.and_then(|node| node.as_str().map(str::to_owned));
        match (event.event.as_str(), node) {
            ("started", Some(node)) => drop(self.live.insert(node)),
            ("killed" | "stopped" | "suspended" | "node_died", Some(node)) => drop(self.live.remove(&node)),
            ("step_began", _) => (self.metrics.step, self.verb) = (event.step, event.verb),
            ("inspected", _) => {
                self.metrics.items_acknowledged = event.acknowledged.unwrap_or_default();
                self.metrics.items_persistent = event.persistent;
            }
            ("retrieved", _) => {
                let outcome = event.result.as_ref().and_then(|result| result["outcome"].as_str());
                let count = self.metrics.queries.iter_mut().find(|(name, _)| Some(*name) == outcome);
                count.into_iter().for_each(|(_, count)| *count += 1);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_follow_the_events_up_to_a_moment() {
        let events = r#"{"at_us":0,"event":"started","id":"x","node":"a-1"}
{"at_us":1000000,"event":"step_began","step":0,"verb":"join"}
{"at_us":2000000,"event":"inspected","acknowledged":3,"persistent":2,"live":1}
{"at_us":2500000,"event":"retrieved","query":0,"node":"a-1","result":{"outcome":"found","hops":1,"messages":2}}
{"at_us":3000000,"event":"killed","node":"a-1"}
{"at_us":3000"#;
        let mut replay = Replay::read(events.as_bytes()).unwrap();
        let (metrics, verb, faults) = replay.advance(RunTime(2_000_000));
        assert_eq!((metrics.nodes_live, metrics.items_acknowledged, metrics.items_persistent), (1, 3, Some(2)));
        assert_eq!(
            (metrics.step, verb, faults.each().map(|(_, count)| count).sum::<u64>()),
            (Some(0), Some("join"), 0)
        );
        let (metrics, _, faults) = replay.advance(RunTime(9_000_000));
        assert_eq!((metrics.nodes_live, metrics.queries[0]), (0, ("found", 1)));
        assert_eq!(faults.each().find(|(name, _)| *name == "killed"), Some(("killed", 1)));
        assert!(Replay::read(&b"nonsense\n{}\n"[..]).is_err());
    }
}
