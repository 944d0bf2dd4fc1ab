//! Neighbours of other networks: links within one network must not use up the active view, or networks would come apart.

use super::{AddressedMessage, CANDIDATES_MAX, KnownHosts, PathLookup};
use crate::core::contact::Contact;
use crate::core::random::{Random, sample};
use crate::core::time::Time;

impl KnownHosts {
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
            contact.network() != self.own_network
                && self.active.iter().all(|neighbour| neighbour.network() != contact.network())
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
        self.active.iter().all(|contact| contact.network() == own)
    }

    /// Whether less than a third of the active view may be of other networks.
    pub(super) fn lacks_other_networks(&self, me: &Contact) -> bool {
        let own = me.network();
        self.active.iter().filter(|contact| contact.network() != own).count() * 3 < self.active_max
    }

    /// Whether a peer that asks without urgency is welcome as a neighbour.
    pub(super) fn wants(&self, contact: &Contact, me: &Contact) -> bool {
        let is_elsewhere = contact.network() != me.network();
        !self.is_full() || (is_elsewhere && self.lacks_other_networks(me))
    }
}
