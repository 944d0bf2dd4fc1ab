//! A small plan and events, for tests of what is made of them.

use std::sync::Arc;
use std::time::Duration;

use butter::core::identity::{BlockId, NodeId};

use crate::events::{BlockSpread, Event, EventKind, Retrieved, RunTime, ViewGraph};
use crate::op::Op;
use crate::plan::builder::PlanBuilder;
use crate::plan::{
    Aggregate, Check, Comparison, EndCondition, Item, ItemIndex, Measure, NetworkIndex, NodeIndex, Plan, Statistic,
    Step, TimedOp,
};
use crate::results::check_result::{CheckResult, CheckUnit};
use crate::series::{Scrape, Series, Source};

/// Two networks of two nodes each (0, 1 on alpha; 2, 3 on beta) and one that is started later on beta (4); two items,
/// stored from alpha and beta; a store step and a retrieve step.
pub(crate) fn plan() -> Plan {
    let mut builder = PlanBuilder::empty("fixture", 7);
    builder.network_named("alpha", "10.0.0.0/24", None);
    builder.network_named("beta", "10.1.0.0/24", None);
    for index in 0..5_u8 {
        let network = u8::from(index >= 2);
        let address = [10, network, 0, 2 + index].into();
        let node = builder.node_named(&format!("n-{index}"), NetworkIndex(network.into()), address);
        (node.group, node.from_start) = ("n".to_owned(), index < 4);
    }
    let puts = |item| TimedOp::at_once(Op::Put { node: NodeIndex(0), item: ItemIndex(item) });
    let step = |verb, ops| Step {
        verb,
        summary: format!("{verb} something"),
        ops,
        ends: EndCondition::Done { deadline: Duration::from_secs(30) },
        line: 1,
    };
    let persistence = Measure::new("persistence", Statistic::Main);
    Plan {
        description: "A plan for tests".to_owned(),
        topology_hash: "00".to_owned(),
        source: "name: fixture\n".to_owned(),
        items: [(0, 0), (1, 2)]
            .map(|(i, by)| Item { size: 10 + i, seed: 1, by: NodeIndex(by), keywords: Vec::new() })
            .to_vec(),
        steps: vec![step("store", vec![puts(0), puts(1)]), step("retrieve", Vec::new())],
        checks: vec![check("persistence >= 99%", persistence, Comparison::AtLeast, 0.99)],
        ..builder.into_plan()
    }
}

pub(crate) fn check(text: &str, measure: Measure, comparison: Comparison, bound: f64) -> Check {
    Check { text: text.to_owned(), line: 1, measure, comparison, bound }
}

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

/// Name, labels and value of a series.
pub(crate) type SeriesSpec<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

pub(crate) fn scrape(source: Source, series: &[SeriesSpec<'_>]) -> Scrape {
    let one = |&(name, labels, value): &SeriesSpec<'_>| Series {
        name: name.into(),
        labels: labels.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
        value,
    };
    Scrape { source, families: Arc::default(), series: series.iter().map(one).collect() }
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
