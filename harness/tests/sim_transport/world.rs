//! Nodes that do nothing by themselves, on a simulated network.

use std::net::SocketAddr;
use std::time::Duration;

use butter::core::blob::Blob;
use butter::core::identity::NodeId;
use butter::core::io::{DialId, DialTarget};
use butter::core::message::Message;
use butter::core::time::Time;
use butter::core::transport::{DIAL_TIMEOUT, TransportEvent};
use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::NatConfig;
use butter_harness::plan::builder::PlanBuilder;
use butter_harness::plan::{FidelityChoice, NODE_PORT, Plan};
use butter_harness::sim::network::NodeSlot;
use butter_harness::sim::transport::Transport;

/// The node on the internet.
pub(crate) const OUT: NodeSlot = 0;
/// The node behind the first NAT.
pub(crate) const A: NodeSlot = 1;
/// The node behind the second.
pub(crate) const B: NodeSlot = 2;

/// A transport whose nodes do nothing by themselves, and what has reached them.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) transport: Transport<()>,
    pub(crate) arrived: Vec<(Time, NodeSlot, TransportEvent<()>)>,
}

/// Whether nodes run QUIC itself.
pub(crate) fn is_packet() -> bool {
    super::FIDELITY == FidelityChoice::Packet
}

pub(crate) fn id(slot: NodeSlot) -> NodeId {
    let mut id = [0; 32];
    id[7] = slot as u8 + 1;
    NodeId(id)
}

impl World {
    pub(crate) fn new(mut plan: Plan) -> Self {
        plan.fidelity = super::FIDELITY;
        let mut transport = Transport::new(&plan);
        for slot in 0..plan.nodes.len() as NodeSlot {
            transport.start(slot, id(slot));
        }
        World { plan, transport, arrived: Vec::new() }
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.transport.now() + time;
        while let Some((slot, arrival)) = self.transport.next(until) {
            self.arrived.push((self.transport.now(), slot, arrival));
        }
    }

    pub(crate) fn address(&self, slot: NodeSlot) -> SocketAddr {
        SocketAddr::from((self.plan.nodes[slot as usize].address, NODE_PORT))
    }

    pub(crate) fn dial(&mut self, from: NodeSlot, peer: NodeSlot, to: SocketAddr) {
        self.transport.dial(from, DialId(u64::from(peer)), Some(id(peer)), DialTarget::Address(to));
    }

    /// Dials and waits until it has led somewhere.
    pub(crate) fn link(&mut self, from: NodeSlot, to: NodeSlot) {
        self.dial(from, to, self.address(to));
        self.run(Duration::from_secs(1));
        assert!(self.is_up(from, to) && self.is_up(to, from), "{from} and {to} are linked");
    }

    /// Both are linked with [`OUT`], and dial the other where that sees it.
    pub(crate) fn punch(&mut self, one: NodeSlot, other: NodeSlot) {
        self.link(one, OUT);
        self.link(other, OUT);
        let outside = [one, other].map(|slot| self.seen(OUT, slot).expect("it is linked"));
        self.dial(one, other, outside[1]);
        self.dial(other, one, outside[0]);
        self.run(DIAL_TIMEOUT + Duration::from_secs(1));
        assert_eq!(self.is_up(one, other), self.is_up(other, one), "both sides agree");
    }

    /// Whether the last that a node has heard of a link is that it is up.
    pub(crate) fn is_up(&self, slot: NodeSlot, peer: NodeSlot) -> bool {
        self.arrived
            .iter()
            .rev()
            .find_map(|(_, at, arrival)| match arrival {
                TransportEvent::LinkUp { peer: up, .. } if *at == slot && *up == id(peer) => Some(true),
                TransportEvent::LinkDown { peer: down } if *at == slot && *down == id(peer) => Some(false),
                _ => None,
            })
            .unwrap_or(false)
    }

    /// The address at which `slot` last saw `peer` come up.
    pub(crate) fn seen(&self, slot: NodeSlot, peer: NodeSlot) -> Option<SocketAddr> {
        self.arrived.iter().rev().find_map(|(_, at, arrival)| match arrival {
            TransportEvent::LinkUp { peer: up, remote, .. } if *at == slot && *up == id(peer) => *remote,
            _ => None,
        })
    }

    pub(crate) fn say(&mut self, from: NodeSlot, to: NodeSlot, number: u64, bytes: usize) {
        let body = Blob::from(vec![0; bytes]);
        self.transport.send(from, id(to), Message::Ask { request: number, route: String::new(), body }).unwrap();
    }

    /// What `slot` received, in order of arrival, and when.
    pub(crate) fn heard(&self, slot: NodeSlot) -> Vec<(u64, Time)> {
        let heard = |(at, to, arrival): &(Time, NodeSlot, TransportEvent<()>)| match arrival {
            TransportEvent::Message { message: Message::Ask { request, .. }, .. } if *to == slot => {
                Some((*request, *at))
            }
            _ => None,
        };
        self.arrived.iter().filter_map(heard).collect()
    }

    pub(crate) fn failed_dials(&self) -> Vec<(NodeSlot, DialId, Time)> {
        let failed = |(at, slot, arrival): &(Time, NodeSlot, TransportEvent<()>)| match arrival {
            TransportEvent::DialFailed { dial } => Some((*slot, *dial, *at)),
            _ => None,
        };
        self.arrived.iter().filter_map(failed).collect()
    }

    pub(crate) fn downs(&self) -> Vec<(NodeSlot, Time)> {
        let down = |(at, slot, arrival): &(Time, NodeSlot, TransportEvent<()>)| {
            matches!(arrival, TransportEvent::LinkDown { .. }).then_some((*slot, *at))
        };
        self.arrived.iter().filter_map(down).collect()
    }
}

pub(crate) fn link(ms: u64) -> LinkConfig {
    LinkConfig { latency: Duration::from_millis(ms), ..LinkConfig::default() }
}

/// An ambassador (seat 0) on the internet, and one node behind each of two NATs.
pub(crate) fn two_homes(one: Option<NatConfig>, other: Option<NatConfig>, config: LinkConfig) -> World {
    let mut builder = PlanBuilder::new(3);
    builder.ambassador();
    for nat in [one, other] {
        let lan = builder.network(PlanBuilder::INTERNET, nat, config.clone());
        builder.node(lan);
    }
    World::new(builder.into_plan())
}
