//! Hosts that a node has lost: to be asked when it knows no other, as after its own network was cut off.

use std::time::Duration;

use super::{AddressedMessage, CANDIDATES_FROM_WALKS_MAX, KnownHosts, PathLookup};
use crate::core::contact::Contact;
use crate::core::identity::NodeId;
use crate::core::time::Time;

/// Most lost hosts that are remembered; beyond, the one that was lost first is forgotten.
const FORMER_MAX: usize = 16;
/// Pause before another lost host is asked.
const PAUSE: Duration = Duration::from_secs(1);
/// The same once [`EAGER_MAX`] were asked in vain.
const PAUSE_LONG: Duration = Duration::from_secs(10);
/// Lost hosts that are asked at the shorter pause. About two minutes: longer outages are rare, and dials cost packets.
const EAGER_MAX: u32 = 120;

/// Lost hosts. The next to be asked is at the end: the last one lost, or else the one that was asked longest ago.
#[derive(Debug, Default)]
pub(super) struct FormerHosts {
    contacts: Vec<Contact>,
    /// How many were asked since any came back.
    asked: u32,
}

impl FormerHosts {
    /// A host is lost. One that was asked in vain keeps its turn, or the others would never have theirs.
    pub(super) fn add(&mut self, contact: Contact) {
        if let Some(known) = self.contacts.iter_mut().find(|known| known.id == contact.id) {
            *known = contact;
            return;
        }
        if self.contacts.len() >= FORMER_MAX {
            self.contacts.remove(0);
        }
        self.contacts.push(contact);
    }

    /// A neighbour was found, perhaps one that was lost.
    pub(super) fn back(&mut self, peer: NodeId) {
        self.contacts.retain(|known| known.id != peer);
        self.asked = 0;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Contact> + '_ {
        self.contacts.iter()
    }
}

impl KnownHosts {
    /// No host is known: asks one of those that were lost.
    pub(super) fn turn_to_former(
        &mut self,
        now: Time,
        me: &Contact,
        paths: PathLookup<'_>,
        says: &mut Vec<AddressedMessage>,
    ) {
        if self.candidates.len() >= CANDIDATES_FROM_WALKS_MAX {
            return;
        }
        let Some(at) = self.former.contacts.iter().rposition(|contact| !self.is_candidate(contact.id)) else { return };
        let contact = self.former.contacts.remove(at);
        self.former.contacts.insert(0, contact.clone());
        says.push(self.ask(now, contact, me, paths));
        self.former.asked = self.former.asked.saturating_add(1);
        self.fill_at = now + if self.former.asked < EAGER_MAX { PAUSE } else { PAUSE_LONG };
    }
}
