//! Neighbours of other networks: links within one network must not use up the active view, or networks would come apart.
//!
//! Only who is not linked yet is of the network that it claims: else whoever claims one of its own would be everybody's neighbour.

use std::collections::BTreeMap;

use super::{AddressedMessage, CANDIDATES_MAX, CONTACTS_MAX, KnownHosts, PathLookup};
use crate::core::contact::Contact;
use crate::core::identity::NodeId;
use crate::core::peer_map::PeerMap;
use crate::core::random::{Random, sample};
use crate::core::time::Time;

/// So many neighbours a node has a right to, where half of its active view has room for them.
const FEW: usize = 3;
/// Most peers remembered with the network in which they were seen.
const SEEN_MAX: usize = 512;

/// Labels of the networks in which peers were seen over direct links.
#[derive(Debug, Default)]
pub(super) struct SeenNetworks(PeerMap<u64>);

impl KnownHosts {
    /// A direct link shows `peer` in the network with this label.
    pub fn note_seen(&mut self, peer: NodeId, network: u64) {
        if self.seen.0.len() >= SEEN_MAX {
            let is_known = |peer| self.active.iter().chain(&self.passive).any(|contact| contact.id == peer);
            self.seen.0.retain(is_known);
        }
        self.seen.0.insert(peer, network);
    }

    /// The network of a host: where it was seen, unless it says itself that it is of this node's own.
    pub fn network_of(&self, contact: &Contact) -> u64 {
        let claimed = contact.network();
        let seen = self.seen.0.get(contact.id).filter(|_| claimed != self.own_network);
        seen.copied().unwrap_or(claimed)
    }

    /// Whether a host claims another network, perhaps to be asked for the sake of that, and was seen in this node's own.
    pub(super) fn claims_wrongly_to_be_elsewhere(&self, contact: &Contact) -> bool {
        contact.network() != self.own_network && self.network_of(contact) == self.own_network
    }

    /// Some known hosts for somebody else, of as many networks as can be, at most [`CONTACTS_MAX`].
    pub fn introduce_to(&self, peer: NodeId, count: usize, random: &mut Random) -> Vec<Contact> {
        let others: Vec<&Contact> = self.contacts().filter(|contact| contact.id != peer).collect();
        let mut of_network: BTreeMap<u64, usize> = BTreeMap::new();
        let mut ranked: Vec<(usize, &Contact)> = Vec::with_capacity(others.len());
        for contact in sample(random, others, usize::MAX) {
            let before = of_network.entry(self.network_of(contact)).or_default();
            ranked.push((*before, contact));
            *before += 1;
        }
        // The first of every network, then the second of each, and so on; at random within.
        ranked.sort_by_key(|(before, _)| *before);
        ranked.into_iter().take(count.min(CONTACTS_MAX)).map(|(_, contact)| contact.clone()).collect()
    }

    /// A full view with too few neighbours of other networks asks one of those: after a partition each side has filled its views
    /// alone, and would stay so.
    pub(super) fn diversify(
        &mut self,
        now: Time,
        me: &Contact,
        random: &mut Random,
        paths: PathLookup<'_>,
        says: &mut Vec<AddressedMessage>,
    ) {
        self.diversify_at = Time::NEVER;
        if !self.is_full() || !self.lacks_other_networks(me) || self.candidates.len() >= CANDIDATES_MAX {
            return;
        }
        let is_elsewhere = |contact: &&Contact| {
            let network = self.network_of(contact);
            network != self.own_network
                && self.active.iter().all(|neighbour| self.network_of(neighbour) != network)
                && !self.is_candidate(contact.id)
        };
        let elsewhere: Vec<&Contact> = self.passive.iter().filter(is_elsewhere).collect();
        if let Some(candidate) = sample(random, elsewhere, 1).first().copied().cloned() {
            says.push(self.ask(now, candidate, me, paths));
        }
    }

    /// Whether no neighbour is on another network: a few nodes of one network, whose views have room for them alone, would else
    /// never be found while the views of all others are full.
    pub(super) fn is_cut_off(&self, me: &Contact) -> bool {
        let own = me.network();
        self.active.iter().all(|contact| self.network_of(contact) == own)
    }

    /// Whether there are so few neighbours, those asked included, that a full host may not refuse, after one has. In HyParView only a
    /// node without any has that right. But one or two may be hostile, or soon gone.
    pub(super) fn may_insist(&self) -> bool {
        self.was_refused && self.active.len() + self.candidates.len() <= FEW.min(self.active_max / 2)
    }

    /// A neighbour was lost. If hardly any is left, many hosts have failed at once, and those that are left may come together in small
    /// groups whose views are full. HyParView leaves those apart: walks of exchanges go from neighbour to neighbour. So this node goes
    /// on asking the hosts that it knows, and insists, until as many have answered as it has places.
    pub(super) fn note_scattered(&mut self) {
        if self.active.len() * 4 <= self.active_max {
            self.to_reunite = self.active_max;
        }
    }

    /// Whether the candidates are more than a view has room for after such a loss.
    pub(super) fn reunites(&self) -> bool {
        self.to_reunite > 0 && self.active.len() + self.candidates.len() > self.active_max
    }

    /// Whether the active view has no room.
    pub(super) fn is_full(&self) -> bool {
        self.active.len() >= self.active_max
    }

    /// Whether less than a third of the active view may be of other networks.
    pub(super) fn lacks_other_networks(&self, me: &Contact) -> bool {
        let own = me.network();
        self.active.iter().filter(|contact| self.network_of(contact) != own).count() * 3 < self.active_max
    }

    /// Whether a peer that asks without urgency is welcome as a neighbour.
    pub(super) fn wants(&self, contact: &Contact, me: &Contact) -> bool {
        let is_elsewhere = self.network_of(contact) != me.network();
        !self.is_full() || (is_elsewhere && self.lacks_other_networks(me))
    }
}
