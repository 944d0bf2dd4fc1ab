//! Ambassadors: a node keeps a link to them, they report the address at which they see it, and they introduce peers.
//!
//! An ambassador is a publicly reachable peer: one that is configured as such, or one that found itself reachable
//! ([`super::reachability`]). A node keeps a link to each configured ambassador. While none of those can be reached, it
//! falls back to another one. What an ambassador says of a third peer is hearsay until a
//! link proves it; what it relays it cannot read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use smallvec::SmallVec;

use crate::core::contact::{AmbassadorAddress, Contact};
use crate::core::identity::NodeId;
use crate::core::io::DialId;
use crate::core::time::{Deadline, Time};

/// Pause before an ambassador that did not answer, or was lost, is dialled again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Pause between searches for a fallback ambassador, while no configured one is linked.
const FALLBACK_RETRY_AFTER: Duration = Duration::from_secs(3);
/// The same for a node without configured ambassadors: it may never need one.
const FALLBACK_RETRY_AFTER_UNCONFIGURED: Duration = Duration::from_secs(30);
/// Longest dial to an ambassador: the transport's own time-out is shorter.
const DIAL_WITHIN: Duration = Duration::from_secs(6);
/// The same for a node without neighbours: it dials anew, so that packets go out soon after its network has come back. QUIC
/// sends those of one dial at growing pauses.
const REDIAL_ISOLATED: Duration = Duration::from_millis(1_500);
/// Longest lookup of an ambassador's name; the driver's own time-out is shorter.
const RESOLVE_WITHIN: Duration = Duration::from_secs(10);
/// Longest pause before a name that does not resolve is looked up again.
const LOOKUP_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Doublings of that pause, from [`RETRY_AFTER`].
const DOUBLINGS_MAX: u32 = 5;
/// Most addresses of one name that are dialled.
const ADDRESSES_PER_NAME_MAX: usize = 8;
/// Introductions that an ambassador makes for one peer within [`INTRODUCTIONS_PER`].
pub const INTRODUCTIONS_MAX: u32 = 256;
/// Introductions that a node takes from one ambassador through which it is not met, within [`INTRODUCTIONS_PER`].
const INTRODUCED_MAX: u32 = 32;
/// Period over which introductions are counted; see [`INTRODUCTIONS_MAX`].
pub const INTRODUCTIONS_PER: Duration = Duration::from_secs(10);

/// The configured ambassadors, the fallback, and how often peers were introduced of late.
#[derive(Debug)]
pub struct Rendezvous {
    configured: Vec<ConfiguredAmbassador>,
    /// When the next try of one of them is due: asked for after every input.
    due: Time,
    fallback_ambassador: Option<AmbassadorAddress>,
    /// When to look for a fallback; [`Time::NEVER`] while a configured ambassador is linked.
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

/// An ambassador to join through.
#[derive(Debug)]
struct ConfiguredAmbassador {
    /// The name to look up before each try; `None` if it is configured by address.
    name: Option<String>,
    /// The configured address, or what the name stood for when last looked up.
    addresses: Vec<SocketAddr>,
    /// Dials under way, one for each address.
    dials: SmallVec<[DialId; 1]>,
    /// Lookups without a result since the last one with a result.
    failed_lookups: u32,
    state: AmbassadorState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AmbassadorState {
    /// The next try begins then.
    Idle(Time),
    /// The name is being looked up, until then at the latest.
    Resolving(Time),
    /// Its addresses are being dialled, until then at the latest.
    Dialling(Time),
    /// The link to it is up.
    Linked(AmbassadorAddress),
}

impl ConfiguredAmbassador {
    fn new(name: Option<String>, addresses: Vec<SocketAddr>) -> Self {
        let state = AmbassadorState::Idle(Time::ZERO);
        ConfiguredAmbassador { name, addresses, dials: SmallVec::new(), failed_lookups: 0, state }
    }

    fn dial_all(&mut self, until: Time, dial: impl FnMut(SocketAddr) -> DialId) {
        self.dials = self.addresses.iter().copied().map(dial).collect();
        self.state = AmbassadorState::Dialling(until);
    }

    fn linked(&self) -> Option<AmbassadorAddress> {
        match self.state {
            AmbassadorState::Linked(ambassador) => Some(ambassador),
            _ => None,
        }
    }

    fn is_linked_to(&self, peer: NodeId) -> bool {
        self.linked().is_some_and(|ambassador| ambassador.id == peer)
    }
}

impl Rendezvous {
    /// To join through these addresses, and through what these names (HOST:PORT) stand for.
    pub fn new(addresses: &[SocketAddr], names: &[String]) -> Self {
        let by_address = addresses.iter().map(|&address| ConfiguredAmbassador::new(None, vec![address]));
        let by_name = names.iter().map(|name| ConfiguredAmbassador::new(Some(name.clone()), Vec::new()));
        Rendezvous {
            configured: by_address.chain(by_name).collect(),
            due: Time::ZERO,
            fallback_ambassador: None,
            fallback_at: Time::ZERO,
            asked: Budget::default(),
            introduced: Budget::default(),
        }
    }

    /// Begins the tries that are due. `dial` dials an address and names the dial. Returns the names to look up. An isolated node,
    /// one without neighbours, does not wait for dials to fail.
    pub fn wake(&mut self, now: Time, is_isolated: bool, mut dial: impl FnMut(SocketAddr) -> DialId) -> Vec<String> {
        let mut names = Vec::new();
        if self.due > now {
            return names;
        }
        let within = if is_isolated { REDIAL_ISOLATED } else { DIAL_WITHIN };
        for ambassador in &mut self.configured {
            let (AmbassadorState::Idle(at) | AmbassadorState::Resolving(at) | AmbassadorState::Dialling(at)) =
                ambassador.state
            else {
                continue;
            };
            if at > now {
                continue;
            }
            match &ambassador.name {
                Some(name) => {
                    names.push(name.clone());
                    ambassador.state = AmbassadorState::Resolving(now + RESOLVE_WITHIN);
                }
                None => ambassador.dial_all(now + within, &mut dial),
            }
        }
        self.update_due();
        names
    }

    /// A name was looked up: dials what it stands for. If that is nothing, it is looked up again after a growing pause.
    pub fn resolved(
        &mut self,
        now: Time,
        name: &str,
        addresses: &[SocketAddr],
        mut dial: impl FnMut(SocketAddr) -> DialId,
    ) {
        for ambassador in &mut self.configured {
            let awaited = matches!(ambassador.state, AmbassadorState::Resolving(_));
            if !awaited || ambassador.name.as_deref() != Some(name) {
                continue;
            }
            if addresses.is_empty() {
                let pause = RETRY_AFTER * 2_u32.saturating_pow(ambassador.failed_lookups.min(DOUBLINGS_MAX));
                ambassador.failed_lookups += 1;
                ambassador.state = AmbassadorState::Idle(now + pause.min(LOOKUP_PAUSE_MAX));
                continue;
            }
            ambassador.failed_lookups = 0;
            ambassador.addresses = addresses.iter().copied().take(ADDRESSES_PER_NAME_MAX).collect();
            ambassador.dial_all(now + DIAL_WITHIN, &mut dial);
        }
        self.update_due();
    }

    /// When [`Rendezvous::wake`] is due.
    pub fn deadline(&self) -> Deadline {
        Deadline { at: self.due, why: "dialling an ambassador" }
    }

    fn update_due(&mut self) {
        let due = self.configured.iter().filter_map(|ambassador| match ambassador.state {
            AmbassadorState::Idle(at) | AmbassadorState::Resolving(at) | AmbassadorState::Dialling(at) => Some(at),
            AmbassadorState::Linked(_) => None,
        });
        self.due = due.min().unwrap_or(Time::NEVER);
    }

    /// A link is up. Whether it leads to a configured ambassador.
    pub fn link_up(&mut self, peer: NodeId, remote: Option<SocketAddr>) -> bool {
        let Some(address) = remote else { return false };
        let leads_there = |ambassador: &&mut ConfiguredAmbassador| ambassador.addresses.contains(&address);
        let Some(ambassador) = self.configured.iter_mut().find(leads_there) else { return false };
        ambassador.state = AmbassadorState::Linked(AmbassadorAddress { id: peer, address });
        (self.fallback_ambassador, self.fallback_at) = (None, Time::NEVER);
        self.update_due();
        true
    }

    /// A link is down: its ambassador is dialled again soon.
    pub fn link_down(&mut self, now: Time, peer: NodeId) {
        for ambassador in self.configured.iter_mut().filter(|ambassador| ambassador.is_linked_to(peer)) {
            ambassador.state = AmbassadorState::Idle(now + RETRY_AFTER / 4);
            self.fallback_at = now;
        }
        self.update_due();
        self.fallback_ambassador = self.fallback_ambassador.filter(|via| via.id != peer);
    }

    /// A dial has failed. The next try begins soon after the last of an ambassador's dials.
    pub fn dial_failed(&mut self, now: Time, dial: DialId) {
        for ambassador in self.configured.iter_mut().filter(|ambassador| ambassador.dials.contains(&dial)) {
            ambassador.dials.retain(|own| *own != dial);
            if ambassador.dials.is_empty() && matches!(ambassador.state, AmbassadorState::Dialling(_)) {
                ambassador.state = AmbassadorState::Idle(now + RETRY_AFTER);
            }
        }
        self.update_due();
    }

    /// Whether a link to `peer` is to be kept although nothing is said over it.
    pub fn wants(&self, peer: NodeId) -> bool {
        self.configured.iter().any(|ambassador| ambassador.is_linked_to(peer))
            || self.fallback_ambassador.is_some_and(|via| via.id == peer)
    }

    /// The ambassador through which this node can be met.
    pub fn home(&self) -> Option<AmbassadorAddress> {
        self.gate().or(self.fallback_ambassador)
    }

    /// Whether it is time to look for a fallback ambassador.
    pub fn is_fallback_due(&mut self, now: Time) -> bool {
        let seeks = self.fallback_at <= now && self.home().is_none();
        if seeks {
            self.fallback_at =
                now + if self.configured.is_empty() { FALLBACK_RETRY_AFTER_UNCONFIGURED } else { FALLBACK_RETRY_AFTER };
        }
        seeks
    }

    /// Peers reach this node through `via` while no configured ambassador is linked.
    pub fn set_fallback_ambassador(&mut self, via: AmbassadorAddress) {
        self.fallback_ambassador = Some(via);
    }

    /// The first configured ambassador that is linked.
    pub fn gate(&self) -> Option<AmbassadorAddress> {
        self.configured.iter().find_map(ConfiguredAmbassador::linked)
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
    contact.set_external(external_address, Some(by));
    if !contact.is_behind_nat() {
        contact.set_external(external_address, None);
    }
    let mapped = contact
        .mapped
        .filter(|mapped| external_address.is_none_or(|external_address| external_address.ip() == mapped.ip()));
    contact.set_mapped(mapped);
    contact
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "ambassador.test:4001";

    fn at(s: u64) -> Time {
        Time::from_micros(1_000_000 * s)
    }

    fn addresses() -> [SocketAddr; 2] {
        ["[2001:db8::1]:4001", "203.0.113.1:4001"].map(|text| text.parse().unwrap())
    }

    fn by_name() -> Rendezvous {
        Rendezvous::new(&[], &[NAME.to_owned()])
    }

    /// Answers a lookup; the addresses that are dialled then.
    fn resolved(rendezvous: &mut Rendezvous, now: Time, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        let mut dialled = Vec::new();
        rendezvous.resolved(now, NAME, addresses, |address| {
            dialled.push(address);
            DialId(dialled.len() as u64)
        });
        dialled
    }

    fn wake(rendezvous: &mut Rendezvous, now: Time) -> Vec<String> {
        rendezvous.wake(now, false, |address| panic!("{address} is not known by name"))
    }

    #[test]
    fn name_that_does_not_resolve_is_looked_up_again_after_growing_pauses() {
        let mut rendezvous = by_name();
        let mut now = at(0);
        for pause_s in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(wake(&mut rendezvous, now), [NAME]);
            assert!(wake(&mut rendezvous, now).is_empty(), "one lookup at a time");
            assert!(resolved(&mut rendezvous, now, &[]).is_empty());
            assert_eq!(rendezvous.deadline().at, now + Duration::from_secs(pause_s));
            now = rendezvous.deadline().at;
        }
    }

    #[test]
    fn every_address_of_a_name_is_dialled_and_any_of_them_leads_to_the_ambassador() {
        let mut rendezvous = by_name();
        wake(&mut rendezvous, at(0));
        assert_eq!(resolved(&mut rendezvous, at(1), &addresses()), addresses());
        rendezvous.dial_failed(at(2), DialId(1));
        assert_eq!(rendezvous.deadline().at, at(1) + DIAL_WITHIN, "the other dial is under way");
        let peer = NodeId([7; 32]);
        assert!(rendezvous.link_up(peer, Some(addresses()[1])));
        assert_eq!(rendezvous.home(), Some(AmbassadorAddress { id: peer, address: addresses()[1] }));
    }

    #[test]
    fn name_is_looked_up_again_after_the_link_is_lost_or_every_dial_has_failed() {
        let mut rendezvous = by_name();
        wake(&mut rendezvous, at(0));
        resolved(&mut rendezvous, at(0), &addresses());
        rendezvous.link_up(NodeId([7; 32]), Some(addresses()[0]));
        rendezvous.link_down(at(9), NodeId([7; 32]));
        assert_eq!(wake(&mut rendezvous, at(10)), [NAME]);
        let elsewhere = "198.51.100.1:4001".parse().unwrap();
        assert_eq!(resolved(&mut rendezvous, at(10), &[elsewhere]), [elsewhere]);
        rendezvous.dial_failed(at(11), DialId(1));
        assert_eq!(wake(&mut rendezvous, at(12)), [NAME]);
    }

    #[test]
    fn lookup_that_is_never_answered_is_repeated() {
        let mut rendezvous = by_name();
        wake(&mut rendezvous, at(0));
        assert_eq!(wake(&mut rendezvous, at(10)), [NAME]);
    }
}
