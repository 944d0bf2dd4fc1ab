//! Hosts for which the passive view had no room: it takes them back when all that it held are gone.
//!
//! When 95 of 100 nodes fail at once, a passive view of 30 holds no survivor in a fifth of all cases.

use std::collections::VecDeque;

use super::{KnownHosts, classes};
use crate::core::contact::Contact;
use crate::core::identity::NodeId;
use crate::core::random::Random;

/// Most hosts that are remembered; the first is forgotten first.
const DISPLACED_MAX: usize = 32;

/// Hosts that were moved out of the passive view, or were not taken into it, the latest last.
#[derive(Debug, Default)]
pub(super) struct DisplacedHosts(VecDeque<Contact>);

impl DisplacedHosts {
    fn add(&mut self, contact: Contact) {
        self.remove(contact.id);
        if self.0.len() >= DISPLACED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(contact);
    }

    /// Forgets a host.
    pub(super) fn remove(&mut self, peer: NodeId) {
        self.0.retain(|known| known.id != peer);
    }
}

impl KnownHosts {
    /// Puts a host into the passive view, if its class has room there.
    pub(super) fn shelve(&mut self, contact: Contact, random: &mut Random) {
        if let Some(displaced) = classes::insert(&mut self.passive, contact, self.passive_max, random) {
            self.displaced.add(displaced);
        }
    }

    /// If the passive view is empty, it takes back what it had no room for.
    pub(super) fn recall_displaced(&mut self) {
        if !self.passive.is_empty() {
            return;
        }
        let first = self.displaced.0.len().saturating_sub(self.passive_max);
        let latest = self.displaced.0.split_off(first);
        let is_known = |contact: &Contact| self.is_neighbour(contact.id) || self.is_candidate(contact.id);
        let unknown: Vec<Contact> = latest.into_iter().filter(|contact| !is_known(contact)).collect();
        self.passive = unknown;
    }
}
