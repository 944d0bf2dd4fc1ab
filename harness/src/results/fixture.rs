//! Events of a small plan, for tests of what is made of them.

use butter::core::identity::{BlockId, NodeId};

use crate::events::{BlockSpread, Event, EventKind, Retrieved, RunTime, ViewGraph};
use crate::plan::{Aggregate, Comparison, ItemIndex, Measure, NodeIndex, Statistic};
use crate::results::check_result::{CheckResult, CheckUnit};
pub(crate) use crate::testing::{SeriesSpec, check, plan_with_items as plan, scrape};

/// What became of `persistence >= 99%`.
pub(crate) fn check_result(value: Option<f64>, passed: bool) -> CheckResult {
    CheckResult {
        text: "persistence >= 99%".to_owned(),
        line: 1,
        step: None,
        unit: CheckUnit::Share,
        comparison: Comparison::AtLeast,
        bound: 0.99,
        value,
        exercised: value.is_some(),
        passed,
        reason: None,
        failures: None,
    }
}

pub(crate) fn metric(name: &str, over: Aggregate) -> Measure {
    Measure::new("metric", Statistic::Metric { name: name.to_owned(), over })
}

pub(crate) fn event(kind: EventKind) -> Event {
    Event { at: RunTime(1_000_000), kind }
}

pub(crate) fn step_began(step: usize) -> Event {
    event(EventKind::StepBegan { step, verb: "store" })
}

pub(crate) fn step_ended(step: usize) -> Event {
    event(EventKind::StepEnded { step, problem: None })
}

pub(crate) fn started(node: usize) -> Event {
    event(EventKind::Started { node: NodeIndex(node), id: NodeId([node as u8; 32]) })
}

pub(crate) fn stored(item: usize, acknowledged: bool) -> Event {
    let result = if acknowledged { Ok(vec![BlockId([item as u8; 32])]) } else { Err("no room".to_owned()) };
    event(EventKind::Stored { item: ItemIndex(item), node: NodeIndex(0), took_us: 5, result })
}

pub(crate) fn found(hops: u32, messages: u64) -> Retrieved {
    Retrieved::Found { hops, messages }
}

pub(crate) fn retrieved(item: usize, node: usize, took_us: u64, result: Retrieved) -> Event {
    event(EventKind::Retrieved {
        query: 0,
        item: ItemIndex(item),
        node: NodeIndex(node),
        took_us,
        result,
        asked_nodes: Vec::new(),
    })
}

pub(crate) fn looked(kept: usize, acknowledged: usize) -> Event {
    event(EventKind::Inspected {
        live: 4,
        components: 1,
        persistent: kept,
        acknowledged,
        copies: 3 * kept,
        blocks: acknowledged,
        copies_max: 4,
        spread: BlockSpread::of([0, 2, 3, 3]),
        views: ViewGraph { components: 1, largest: 4 },
    })
}

/// A `result.json` of a run in which so many pairs of the groups `a` and `b` were to link, so many of them directly.
pub(crate) fn record(backend: &str, seed: u64, pairs: u64, direct: u64) -> serde_json::Value {
    serde_json::json!({
        "schema_version": super::result::SCHEMA_VERSION, "name": "t", "verdict": "passed", "backend": backend, "seed": seed,
        "topology": {"networks": ["a", "b"], "groups": ["a", "b"], "steps": ["store", "connect"]},
        "items": {"planned": 10, "acknowledged": 10, "persistent": 10},
        "queries": {"total": {"queries": 0, "found": 0, "latency_s": {}}, "by_pair": []},
        "connectivity": [{
            "from": "a", "to": "b", "pairs": pairs, "connected": pairs, "direct": direct,
            "connected_s": {"p50": (pairs > 0).then_some(0.05)},
        }],
    })
}
