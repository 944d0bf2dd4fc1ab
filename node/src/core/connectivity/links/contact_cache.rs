//! Hearsay: how peers without a link may be reached.

use std::collections::VecDeque;

use crate::core::contact::Contact;
use crate::core::identity::NodeId;

/// Most contacts that are remembered; the one heard of longest ago goes first.
pub(super) const CONTACT_CACHE_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct ContactCache(VecDeque<HeardContact>);

#[derive(Debug)]
struct HeardContact {
    contact: Contact,
    /// Who said so; `None` if that is not known.
    source: Option<NodeId>,
}

impl ContactCache {
    pub(super) fn note(&mut self, contact: &Contact, source: Option<NodeId>) {
        self.take(contact.id);
        if self.0.len() == CONTACT_CACHE_MAX {
            self.0.pop_front();
        }
        self.0.push_back(HeardContact { contact: contact.clone(), source });
    }

    pub(super) fn get(&self, peer: NodeId) -> Option<&Contact> {
        self.0.iter().find(|heard| heard.contact.id == peer).map(|heard| &heard.contact)
    }

    /// Who spoke of `peer`.
    pub(super) fn source_of(&self, peer: NodeId) -> Option<NodeId> {
        self.0.iter().find(|heard| heard.contact.id == peer)?.source
    }

    pub(super) fn take(&mut self, peer: NodeId) -> Option<Contact> {
        let at = self.0.iter().position(|heard| heard.contact.id == peer)?;
        self.0.remove(at).map(|heard| heard.contact)
    }
}
