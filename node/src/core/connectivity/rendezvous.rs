//! The wider internet: ambassadors, to which a node keeps a link, which tell it the address they see and introduce peers.
//!
//! An ambassador is an ordinary, publicly reachable peer that is willing: one that was told to serve, or one that found itself
//! open to everybody ([`super::reachability`]). A node keeps a link to each ambassador that it was told of, its gates. While none
//! of those can be reached it takes shelter with one of the others. What an ambassador says of a third peer is hearsay until a
//! link proves it; what it relays it cannot read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::core::contact::{AmbassadorAddress, Contact};
use crate::core::identity::NodeId;
use crate::core::io::DialId;
use crate::core::time::{Deadline, Time};

/// Pause before an ambassador that did not answer, or was lost, is dialled again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Pause between looks for a shelter, while none of the ambassadors that a node was told of is linked.
const FALLBACK_RETRY_AFTER: Duration = Duration::from_secs(3);
/// The same for a node that was told of none: it may never need one.
const FALLBACK_RETRY_AFTER_UNCONFIGURED: Duration = Duration::from_secs(30);
/// Longest dial to an ambassador.
const DIAL_WITHIN: Duration = Duration::from_secs(6);
/// Introductions that an ambassador makes for one peer within [`INTRODUCTIONS_PER`].
pub const INTRODUCTIONS_MAX: u32 = 256;
/// Introductions that a node takes from one ambassador through which it is not met, within [`INTRODUCTIONS_PER`].
const INTRODUCED_MAX: u32 = 32;
/// See [`INTRODUCTIONS_MAX`].
pub const INTRODUCTIONS_PER: Duration = Duration::from_secs(10);

/// Ambassadors that this node was told of, the one it met by itself, and the peers that it introduces if it is one itself.
#[derive(Debug)]
pub struct Rendezvous {
    configured: Vec<ConfiguredAmbassador>,
    fallback_ambassador: Option<AmbassadorAddress>,
    /// When to look for a shelter; [`Time::NEVER`] while a gate is linked.
    fallback_at: Time,
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
struct ConfiguredAmbassador {
    address: SocketAddr,
    state: AmbassadorState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AmbassadorState {
    /// To be dialled then.
    Idle(Time),
    /// Not longer than until then.
    Dialling(DialId, Time),
    Linked(NodeId),
}

impl Rendezvous {
    /// To join through these addresses.
    pub fn new(join: &[SocketAddr]) -> Self {
        let configured = join
            .iter()
            .map(|&address| ConfiguredAmbassador { address, state: AmbassadorState::Idle(Time::ZERO) })
            .collect();
        Rendezvous {
            configured,
            fallback_ambassador: None,
            fallback_at: Time::ZERO,
            asked: Budget::default(),
            introduced: Budget::default(),
        }
    }

    /// Addresses to dial now: `dial` does it and names the dial.
    pub fn wake(&mut self, now: Time, mut dial: impl FnMut(SocketAddr) -> DialId) {
        for gate in &mut self.configured {
            if matches!(gate.state, AmbassadorState::Idle(at) | AmbassadorState::Dialling(_, at) if at <= now) {
                gate.state = AmbassadorState::Dialling(dial(gate.address), now + DIAL_WITHIN);
            }
        }
    }

    /// When [`Rendezvous::wake`] is due.
    pub fn deadline(&self) -> Deadline {
        let due = self.configured.iter().filter_map(|gate| match gate.state {
            AmbassadorState::Idle(at) | AmbassadorState::Dialling(_, at) => Some(at),
            AmbassadorState::Linked(_) => None,
        });
        Deadline { at: due.min().unwrap_or(Time::NEVER), why: "dialling an ambassador" }
    }

    /// A link is up. Whether it leads to an ambassador that this node was told of.
    pub fn link_up(&mut self, peer: NodeId, remote: Option<SocketAddr>) -> bool {
        let Some(gate) = self.configured.iter_mut().find(|gate| Some(gate.address) == remote) else { return false };
        gate.state = AmbassadorState::Linked(peer);
        (self.fallback_ambassador, self.fallback_at) = (None, Time::NEVER);
        true
    }

    /// A link is down: its ambassador is dialled again soon.
    pub fn link_down(&mut self, now: Time, peer: NodeId) {
        for gate in self.configured.iter_mut().filter(|gate| gate.state == AmbassadorState::Linked(peer)) {
            gate.state = AmbassadorState::Idle(now + RETRY_AFTER / 4);
            self.fallback_at = now;
        }
        self.fallback_ambassador = self.fallback_ambassador.filter(|via| via.id != peer);
    }

    /// A dial has failed.
    pub fn dial_failed(&mut self, now: Time, dial: DialId) {
        for gate in self
            .configured
            .iter_mut()
            .filter(|gate| matches!(gate.state, AmbassadorState::Dialling(own, _) if own == dial))
        {
            gate.state = AmbassadorState::Idle(now + RETRY_AFTER);
        }
    }

    /// Whether a link to `peer` is to be kept although nothing is said over it.
    pub fn wants(&self, peer: NodeId) -> bool {
        self.configured.iter().any(|gate| gate.state == AmbassadorState::Linked(peer))
            || self.fallback_ambassador.is_some_and(|via| via.id == peer)
    }

    /// The ambassador through which this node can be met.
    pub fn home(&self) -> Option<AmbassadorAddress> {
        self.gate().or(self.fallback_ambassador)
    }

    /// Whether it is time to look for a shelter.
    pub fn is_fallback_due(&mut self, now: Time) -> bool {
        let seeks = self.fallback_at <= now && self.home().is_none();
        if seeks {
            self.fallback_at =
                now + if self.configured.is_empty() { FALLBACK_RETRY_AFTER_UNCONFIGURED } else { FALLBACK_RETRY_AFTER };
        }
        seeks
    }

    /// This node can be met through `via` as long as none of those that it was told of is linked.
    pub fn set_fallback_ambassador(&mut self, via: AmbassadorAddress) {
        self.fallback_ambassador = Some(via);
    }

    /// The first linked ambassador of those that this node was told of.
    pub fn gate(&self) -> Option<AmbassadorAddress> {
        self.configured.iter().find_map(|gate| match gate.state {
            AmbassadorState::Linked(id) => Some(AmbassadorAddress { id, address: gate.address }),
            AmbassadorState::Idle(_) | AmbassadorState::Dialling(..) => None,
        })
    }

    /// Linked ambassadors that this node was told of.
    pub fn linked(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.configured.iter().filter_map(|gate| match gate.state {
            AmbassadorState::Linked(id) => Some(id),
            AmbassadorState::Idle(_) | AmbassadorState::Dialling(..) => None,
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
pub fn as_seen(mut contact: Contact, remote: Option<SocketAddr>, by: AmbassadorAddress) -> Contact {
    // Nothing translates IPv6: an address of that kind is among the local ones.
    let external_address = remote.filter(SocketAddr::is_ipv4).or(contact.external_address);
    let behind_nat = external_address.is_some_and(|external_address| !contact.local.contains(&external_address));
    contact.set_external(external_address, behind_nat.then_some(by));
    let mapped = contact
        .mapped
        .filter(|mapped| external_address.is_none_or(|external_address| external_address.ip() == mapped.ip()));
    contact.set_mapped(mapped);
    contact
}
