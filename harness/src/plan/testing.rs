//! A plan for this folder's tests.

use std::net::Ipv4Addr;

use crate::net::link::LinkConfig;
use crate::net::nat::NatConfig;
use crate::plan::{Network, NetworkIndex, NodeIndex, NodePlan, Plan, Uplink};

/// `internet` with an ambassador; `alpha` (behind a NAT) and `beta` (routed plainly) with a node each.
pub(crate) fn plan() -> Plan {
    let network = |name: &str, subnet: &str, behind: Option<Uplink>| {
        let subnet: ipnet::Ipv4Net = subnet.parse().unwrap();
        let gateway = Ipv4Addr::from(u32::from(subnet.network()) + 1);
        Network {
            name: name.into(),
            group: name.into(),
            subnet,
            subnet_allocated: false,
            gateway,
            ipv6: None,
            behind,
            region: None,
        }
    };
    let uplink = |address: &str, nat: Option<NatConfig>| Uplink {
        to: NetworkIndex(0),
        address: address.parse().unwrap(),
        pool: vec![],
        forwards: vec![],
        ipv6: None,
        nat,
        up: LinkConfig::default(),
        down: LinkConfig::default(),
    };
    let node = |name: &str, network: usize, address: &str, ambassador: bool| NodePlan {
        name: name.into(),
        group: name.into(),
        network: NetworkIndex(network),
        address: address.parse().unwrap(),
        address6: None,
        ambassador,
        join: if ambassador { vec![] } else { vec![NodeIndex(0)] },
        settings: vec![("heartbeat".into(), "1s".into())],
        from_start: true,
    };
    Plan {
        name: "test".into(),
        description: String::new(),
        seed: 7,
        topology_hash: String::new(),
        source: String::new(),
        networks: vec![
            network("internet", "203.0.113.0/24", None),
            network("alpha", "10.1.0.0/24", Some(uplink("203.0.113.2", Some(NatConfig::full_cone())))),
            network("beta", "10.2.0.0/24", Some(uplink("203.0.113.3", None))),
        ],
        nodes: vec![
            node("ambassador", 0, "203.0.113.10", true),
            node("a", 1, "10.1.0.10", false),
            node("b", 2, "10.2.0.10", false),
        ],
        items: vec![],
        steps: vec![],
        checks: vec![],
    }
}
