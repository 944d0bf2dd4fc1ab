//! Small plans and scrapes, for tests of this package and of those above it.

use std::sync::Arc;
use std::time::Duration;

use crate::net::link::LinkConfig;
use crate::net::nat::NatConfig;
use crate::op::Op;
use crate::plan::builder::PlanBuilder;
use crate::plan::{
    Check, Comparison, EndCondition, Item, ItemIndex, Measure, NetworkIndex, NodeIndex, Plan, Statistic, Step, TimedOp,
    Uplink,
};
use crate::series::{Scrape, Series, Source};

/// `internet` with an ambassador; `alpha` (behind a NAT) and `beta` (routed plainly) with a node each.
pub fn plan() -> Plan {
    let mut builder = PlanBuilder::empty("test", 7).with("heartbeat", "1s");
    let uplink =
        |host: u8, nat| Some(Uplink::new(NetworkIndex(0), [203, 0, 113, host].into(), nat, LinkConfig::default()));
    let internet = builder.network_named("internet", "203.0.113.0/24", None);
    let alpha = builder.network_named("alpha", "10.1.0.0/24", uplink(2, Some(NatConfig::full_cone())));
    let beta = builder.network_named("beta", "10.2.0.0/24", uplink(3, None));
    builder.node_named("ambassador", internet, [203, 0, 113, 10].into()).ambassador = true;
    builder.node_named("a", alpha, [10, 1, 0, 10].into()).join = vec![NodeIndex(0)];
    builder.node_named("b", beta, [10, 2, 0, 10].into()).join = vec![NodeIndex(0)];
    builder.into_plan()
}

/// Two networks of two nodes each (0, 1 on alpha; 2, 3 on beta) and one that is started later on beta (4); two items,
/// stored from alpha and beta; a store step and a retrieve step.
pub fn plan_with_items() -> Plan {
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

/// A check as a file has it in line 1.
pub fn check(text: &str, measure: Measure, comparison: Comparison, bound: f64) -> Check {
    Check { text: text.to_owned(), line: 1, measure, comparison, bound }
}

/// Name, labels and value of a series.
pub type SeriesSpec<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

/// A scrape of one source.
pub fn scrape(source: Source, series: &[SeriesSpec<'_>]) -> Scrape {
    let one = |&(name, labels, value): &SeriesSpec<'_>| Series {
        name: name.into(),
        labels: labels.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
        value,
    };
    Scrape { source, families: Arc::default(), series: series.iter().map(one).collect() }
}
