//! One lane for each node: when it ran, how that ended, and when it had no neighbour.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Value, json};

use super::super::log_lines::{self, LogExcerpt};
use super::super::run_files::{RunFiles, SampleRow};
use super::super::section::PageSection;
use super::super::thin::ThinList;

/// Most lanes that the page has.
const LANES_MAX: usize = 400;
/// Most entries of each kind in a lane.
const ENTRIES_MAX: usize = 60;
/// Most bytes of logs that the page has.
const LOG_BYTES_MAX: usize = 384 << 10;
/// The gauge that is 1 while a node has no neighbour.
const ISOLATED: &str = "butter_isolated";

/// Lanes by node.
#[derive(Debug, Default)]
pub(in super::super) struct LaneData {
    lanes: BTreeMap<String, NodeLane>,
    /// When the run's clock was zero; `None` of a simulated clock.
    began: Option<SystemTime>,
}

/// What became of a node.
#[derive(Clone, Debug, Default, Serialize)]
struct NodeLane {
    node: String,
    group: String,
    network: String,
    /// Whether it was not there from the beginning.
    is_later: bool,
    lives: Vec<NodeRun>,
    marks: Vec<LaneMark>,
    /// Stretches without a neighbour, by its metrics: from the first such sample to the next other one.
    isolated: Vec<(u64, Option<u64>)>,
    /// Entries that the page does not have.
    left_out: usize,
    /// What its log says of its ends and incidents.
    log: Option<LogExcerpt>,
}

/// From a start to what ended it.
#[derive(Clone, Debug, Serialize)]
struct NodeRun {
    from_ms: u64,
    to_ms: Option<u64>,
    /// How it ended; null if it ran to the end.
    end: Option<&'static str>,
}

/// Something that happened to a node and did not end it.
#[derive(Clone, Debug, Serialize)]
struct LaneMark {
    at_ms: u64,
    kind: &'static str,
}

impl NodeLane {
    /// Lanes in which something went wrong unasked come first, then those in which most happened.
    fn rank(&self) -> (bool, bool, usize) {
        let is_unasked = |run: &NodeRun| run.end == Some("died");
        let has_trouble = self.lives.iter().any(is_unasked) || self.marks.iter().any(|mark| mark.kind == "incident");
        (has_trouble, !self.isolated.is_empty(), self.lives.len() + self.marks.len())
    }

    fn ends(&mut self, at_ms: u64, how: &'static str) {
        match self.lives.last_mut() {
            Some(run) if run.to_ms.is_none() => (run.to_ms, run.end) = (Some(at_ms), Some(how)),
            _ => self.lives.push(NodeRun { from_ms: at_ms, to_ms: Some(at_ms), end: Some(how) }),
        }
        if let Some((_, to @ None)) = self.isolated.last_mut() {
            *to = Some(at_ms);
        }
    }

    fn begins(&mut self, from_ms: u64) {
        self.lives.push(NodeRun { from_ms, to_ms: None, end: None });
    }

    fn bounded(mut self) -> Self {
        let lost = [cut_off(&mut self.lives), cut_off(&mut self.marks), cut_off(&mut self.isolated)];
        self.left_out = lost.iter().sum();
        self
    }
}

/// Shortens a list. Returns how many entries it lost.
fn cut_off<T>(list: &mut Vec<T>) -> usize {
    let lost = list.len().saturating_sub(ENTRIES_MAX);
    list.truncate(ENTRIES_MAX);
    lost
}

impl LaneData {
    fn lane(&mut self, node: &str) -> &mut NodeLane {
        self.lanes.entry(node.to_owned()).or_default()
    }
}

impl PageSection for LaneData {
    fn event(&mut self, at_us: u64, name: &str, event: &Value, _: &RunFiles) {
        let at_ms = at_us / 1_000;
        if self.began.is_none() {
            let utc = event["utc"].as_str().and_then(|utc| humantime::parse_rfc3339(utc).ok());
            self.began = utc.and_then(|utc| utc.checked_sub(Duration::from_micros(at_us)));
        }
        let Some(node) = event["node"].as_str() else { return };
        match name {
            "started" => self.lane(node).begins(at_ms),
            "killed" => self.lane(node).ends(at_ms, "killed"),
            "stopped" => self.lane(node).ends(at_ms, "left"),
            "suspended" => self.lane(node).ends(at_ms, "suspended"),
            "node_died" => self.lane(node).ends(at_ms, "died"),
            "incident" => self.lane(node).marks.push(LaneMark { at_ms, kind: "incident" }),
            "store_changed" => self.lane(node).marks.push(LaneMark { at_ms, kind: "disk" }),
            _ => {}
        }
    }

    fn sample(&mut self, sample: SampleRow<'_>) {
        if sample.metric != ISOLATED {
            return;
        }
        let Some(lane) = self.lanes.get_mut(sample.node) else { return };
        match lane.isolated.last_mut() {
            Some((_, to @ None)) if sample.value == 0.0 => *to = Some(sample.at_ms),
            Some((_, None)) => {}
            _ if sample.value > 0.0 => lane.isolated.push((sample.at_ms, None)),
            _ => {}
        }
    }

    fn data(&self, files: &RunFiles) -> Value {
        let mut lanes = self.lanes.clone();
        let mut ordered = Vec::new();
        for planned in files.plan["nodes"].as_array().into_iter().flatten() {
            let name = planned["name"].as_str().unwrap_or_default();
            if let Some(lane) = lanes.remove(name) {
                let network = files.network_of(name).unwrap_or_default().to_owned();
                let group = planned["group"].as_str().unwrap_or_default().to_owned();
                ordered.push(NodeLane {
                    node: name.to_owned(),
                    group,
                    network,
                    is_later: !files.runs_from_start(name),
                    ..lane
                });
            }
        }
        // Without a plan, by name.
        ordered.extend(lanes.into_iter().map(|(node, lane)| NodeLane { node, ..lane }));
        if ordered.is_empty() {
            return Value::Null;
        }
        let mut lanes = shown(ordered);
        if !files.is_running {
            self.add_logs(&mut lanes.rows, files);
        }
        json!({"lanes": lanes})
    }
}

impl LaneData {
    /// Adds what logs say, of the lanes with most trouble first, as long as there is room.
    fn add_logs(&self, lanes: &mut [NodeLane], files: &RunFiles) {
        let mut ranked: Vec<&mut NodeLane> = lanes.iter_mut().collect();
        ranked.sort_by_key(|lane| std::cmp::Reverse(lane.rank()));
        let mut room = LOG_BYTES_MAX;
        for lane in ranked {
            let ends = lane.lives.iter().filter_map(|life| life.end.and(life.to_ms));
            let moments: Vec<u64> = ends.chain(lane.marks.iter().map(|mark| mark.at_ms)).collect();
            let excerpt = log_lines::excerpt(files.directory(), &lane.node, self.began, &moments);
            lane.log = excerpt.filter(|excerpt| excerpt.bytes() <= room);
            room -= lane.log.as_ref().map_or(0, LogExcerpt::bytes);
        }
    }
}

/// The lanes that say most, in their order.
fn shown(lanes: Vec<NodeLane>) -> ThinList<NodeLane> {
    let of = lanes.len();
    let mut ranked: Vec<usize> = (0..of).collect();
    ranked.sort_by_key(|&at| std::cmp::Reverse(lanes[at].rank()));
    ranked.truncate(LANES_MAX);
    let kept: std::collections::BTreeSet<usize> = ranked.into_iter().collect();
    let rows = lanes.into_iter().enumerate().filter(|(at, _)| kept.contains(at)).map(|(_, lane)| lane.bounded());
    ThinList { rows: rows.collect(), of }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lane_has_lives_ends_and_times_without_a_neighbour() {
        let mut data = LaneData::default();
        data.lane("n-1").begins(0);
        for (at_ms, value) in [(1_000, 0.0), (2_000, 1.0), (3_000, 1.0), (4_000, 0.0), (5_000, 1.0)] {
            data.sample(SampleRow { at_ms, node: "n-1", group: "n", metric: ISOLATED, labels: "", value });
        }
        let lane = data.lane("n-1");
        assert_eq!(lane.isolated, [(2_000, Some(4_000)), (5_000, None)]);
        lane.ends(6_000, "killed");
        lane.begins(7_000);
        let lives: Vec<_> = lane.lives.iter().map(|run| (run.from_ms, run.to_ms, run.end)).collect();
        assert_eq!(lives, [(0, Some(6_000), Some("killed")), (7_000, None, None)]);
        assert_eq!(lane.isolated.last(), Some(&(5_000, Some(6_000))), "a dead node has no neighbours to miss");
    }

    #[test]
    fn of_many_lanes_those_stay_to_which_most_happened_in_their_order() {
        let lane = |number: usize| {
            let mut lane = NodeLane { node: number.to_string(), ..NodeLane::default() };
            lane.begins(0);
            if number.is_multiple_of(2) {
                lane.ends(1, "killed");
                (0..100).for_each(|at| lane.begins(at));
            }
            lane
        };
        let shown = shown((0..2 * LANES_MAX).map(lane).collect());
        assert_eq!((shown.of, shown.rows.len()), (2 * LANES_MAX, LANES_MAX));
        assert!(shown.rows.iter().all(|lane| lane.lives.len() == ENTRIES_MAX && lane.left_out == 41));
        assert_eq!(shown.rows[1].node, "2");
    }
}
