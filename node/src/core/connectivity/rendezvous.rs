//! The wider internet: ambassadors, to which a node keeps a link, which tell it the address they see and introduce peers.
//!
//! An ambassador is an ordinary, publicly reachable peer that is willing: one that was told to serve, or one that found itself
//! open to everybody ([`super::reachability`]). A node keeps a link to each ambassador that it was told of, its gates. While none
//! of those can be reached it takes shelter with one of the others. What an ambassador says of a third peer is hearsay until a
//! link proves it; what it relays it cannot read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::core::contact::{Contact, Via};
use crate::core::identity::NodeId;
use crate::core::io::DialId;
use crate::core::time::{Deadline, Time};

/// Pause before an ambassador that did not answer, or was lost, is dialled again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Pause between looks for a shelter, while none of the ambassadors that a node was told of is linked.
const SEEK_AGAIN_AFTER: Duration = Duration::from_secs(3);
/// The same for a node that was told of none: it may never need one.
const SEEK_SELDOM: Duration = Duration::from_secs(30);
/// Longest dial to an ambassador.
const DIAL_WITHIN: Duration = Duration::from_secs(6);
/// Introductions that an ambassador makes for one peer within [`INTRODUCTIONS_PER`].
pub const INTRODUCTIONS_MAX: u32 = 256;
/// Introductions that a node takes from one ambassador through which it is not met, within [`INTRODUCTIONS_PER`].
const INTRODUCED_MAX: u32 = 32;
/// See [`INTRODUCTIONS_MAX`].
pub const INTRODUCTIONS_PER: Duration = Duration::from_secs(10);

/// What an ambassador carries for others at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayQuota {
    /// Pairs of peers at once.
    pub pairs: usize,
    /// Bytes a second for one pair, both ways together, and in one burst.
    pub pair_rate: u64,
    /// Bytes a second in all, and in one burst.
    pub total_rate: u64,
}

impl RelayQuota {
    /// Of a node that was told to serve.
    pub const AMBASSADOR: Self = RelayQuota { pairs: 4_096, pair_rate: 1 << 20, total_rate: 16 << 20 };
    /// Of one that found itself open to everybody.
    pub const VOLUNTEER: Self = RelayQuota { pairs: 128, pair_rate: 1 << 18, total_rate: 1 << 21 };

    /// Of a node.
    pub fn of(ambassador: bool) -> Self {
        if ambassador { RelayQuota::AMBASSADOR } else { RelayQuota::VOLUNTEER }
    }
}

/// Ambassadors that this node was told of, the one it met by itself, and the peers that it introduces if it is one itself.
#[derive(Debug)]
pub struct Wider {
    gates: Vec<Gate>,
    shelter: Option<Via>,
    /// When to look for a shelter; [`Time::NEVER`] while a gate is linked.
    seek_at: Time,
    asked: Budget,
    introduced: Budget,
}

/// How often each of some peers has done something of late.
#[derive(Debug, Default)]
struct Budget(BTreeMap<NodeId, (Time, u32)>);

impl Budget {
    /// Whether `peer` may once more, having been allowed to `max` times within [`INTRODUCTIONS_PER`].
    fn take(&mut self, now: Time, peer: NodeId, max: u32) -> bool {
        self.0.retain(|_, (since, _)| now.since(*since) < INTRODUCTIONS_PER);
        let (_, count) = self.0.entry(peer).or_insert((now, 0));
        *count = count.saturating_add(1);
        *count <= max
    }
}

/// An address at which an ambassador should be.
#[derive(Debug)]
struct Gate {
    address: SocketAddr,
    state: GateState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GateState {
    /// To be dialled then.
    Idle(Time),
    /// Not longer than until then.
    Dialling(DialId, Time),
    Linked(NodeId),
}

impl Wider {
    /// To join through these addresses.
    pub fn new(join: &[SocketAddr]) -> Self {
        let gates = join.iter().map(|&address| Gate { address, state: GateState::Idle(Time::ZERO) }).collect();
        Wider { gates, shelter: None, seek_at: Time::ZERO, asked: Budget::default(), introduced: Budget::default() }
    }

    /// Addresses to dial now: `dial` does it and names the dial.
    pub fn wake(&mut self, now: Time, mut dial: impl FnMut(SocketAddr) -> DialId) {
        for gate in &mut self.gates {
            if matches!(gate.state, GateState::Idle(at) | GateState::Dialling(_, at) if at <= now) {
                gate.state = GateState::Dialling(dial(gate.address), now + DIAL_WITHIN);
            }
        }
    }

    /// When [`Wider::wake`] is due.
    pub fn deadline(&self) -> Deadline {
        let due = self.gates.iter().filter_map(|gate| match gate.state {
            GateState::Idle(at) | GateState::Dialling(_, at) => Some(at),
            GateState::Linked(_) => None,
        });
        Deadline { at: due.min().unwrap_or(Time::NEVER), why: "dialling an ambassador" }
    }

    /// A link is up. Whether it leads to an ambassador that this node was told of.
    pub fn link_up(&mut self, peer: NodeId, remote: Option<SocketAddr>) -> bool {
        let Some(gate) = self.gates.iter_mut().find(|gate| Some(gate.address) == remote) else { return false };
        gate.state = GateState::Linked(peer);
        (self.shelter, self.seek_at) = (None, Time::NEVER);
        true
    }

    /// A link is down: its ambassador is dialled again soon.
    pub fn link_down(&mut self, now: Time, peer: NodeId) {
        for gate in self.gates.iter_mut().filter(|gate| gate.state == GateState::Linked(peer)) {
            gate.state = GateState::Idle(now + RETRY_AFTER / 4);
            self.seek_at = now;
        }
        self.shelter = self.shelter.filter(|via| via.id != peer);
    }

    /// A dial has failed.
    pub fn dial_failed(&mut self, now: Time, dial: DialId) {
        for gate in
            self.gates.iter_mut().filter(|gate| matches!(gate.state, GateState::Dialling(own, _) if own == dial))
        {
            gate.state = GateState::Idle(now + RETRY_AFTER);
        }
    }

    /// Whether a link to `peer` is to be kept although nothing is said over it.
    pub fn wants(&self, peer: NodeId) -> bool {
        self.gates.iter().any(|gate| gate.state == GateState::Linked(peer))
            || self.shelter.is_some_and(|via| via.id == peer)
    }

    /// The ambassador through which this node can be met.
    pub fn home(&self) -> Option<Via> {
        self.gate().or(self.shelter)
    }

    /// Whether it is time to look for a shelter.
    pub fn seeks_shelter(&mut self, now: Time) -> bool {
        let seeks = self.seek_at <= now && self.home().is_none();
        if seeks {
            self.seek_at = now + if self.gates.is_empty() { SEEK_SELDOM } else { SEEK_AGAIN_AFTER };
        }
        seeks
    }

    /// This node can be met through `via` as long as none of those that it was told of is linked.
    pub fn take_shelter(&mut self, via: Via) {
        self.shelter = Some(via);
    }

    /// The first linked ambassador of those that this node was told of.
    pub fn gate(&self) -> Option<Via> {
        self.gates.iter().find_map(|gate| match gate.state {
            GateState::Linked(id) => Some(Via { id, address: gate.address }),
            GateState::Idle(_) | GateState::Dialling(..) => None,
        })
    }

    /// Linked ambassadors that this node was told of.
    pub fn linked(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.gates.iter().filter_map(|gate| match gate.state {
            GateState::Linked(id) => Some(id),
            GateState::Idle(_) | GateState::Dialling(..) => None,
        })
    }

    /// Whether `peer` may have one more introduction.
    pub fn may_introduce(&mut self, now: Time, peer: NodeId) -> bool {
        self.asked.take(now, peer, INTRODUCTIONS_MAX)
    }

    /// Whether `ambassador`, through which this node is not met, may introduce it once more.
    pub fn may_be_introduced(&mut self, now: Time, ambassador: NodeId) -> bool {
        self.introduced.take(now, ambassador, INTRODUCED_MAX)
    }
}

/// A contact with the address at which the ambassador itself sees the peer in place of what the peer claims.
pub fn as_seen(mut contact: Contact, remote: Option<SocketAddr>, by: Via) -> Contact {
    // Nothing translates IPv6: an address of that kind is among the local ones.
    let outside = remote.filter(SocketAddr::is_ipv4).or(contact.outside);
    let behind_nat = outside.is_some_and(|outside| !contact.local.contains(&outside));
    contact.set_reach(outside, behind_nat.then_some(by));
    let mapped = contact.mapped.filter(|mapped| outside.is_none_or(|outside| outside.ip() == mapped.ip()));
    contact.set_mapped(mapped);
    contact
}
