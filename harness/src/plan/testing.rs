//! A plan for tests of plans, backends and runs.

use crate::net::link::LinkConfig;
use crate::net::nat::NatConfig;
use crate::plan::builder::PlanBuilder;
use crate::plan::{NetworkIndex, NodeIndex, Plan, Uplink};

/// `internet` with an ambassador; `alpha` (behind a NAT) and `beta` (routed plainly) with a node each.
pub(crate) fn plan() -> Plan {
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
