//! A node that restarts with its blocks takes its place in their groups again.
//!
//! What was noted of each block names its group, and the kept state says how to reach the members. To the others the node has
//! hardly been away: their digests agree, or views are compared where they differ. For some time after the start the node
//! neither gives a member up nor recruits another, because all of them may just be starting, as after a power cut.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::DataCx;
use super::super::note::BlockNote;
use super::Persist;
use crate::core::blob::Blob;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;
use crate::core::wire;

/// Time after a start with blocks in which their groups may come together. No path is known yet.
const REUNION: Duration = Duration::from_secs(10);
/// Least pause between two states that are kept.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// Most contacts that are kept: they fit a frame.
const KEPT_CONTACTS_MAX: usize = 128;

/// Restart of this node, if it came back with blocks.
#[derive(Debug, Default)]
pub(super) struct Comeback {
    /// No peer is given up before this.
    until: Time,
    /// Members of restored groups that have not been heard yet.
    awaited: BTreeSet<NodeId>,
    /// When the state may be kept again.
    keep_after: Time,
    /// Digest of the group peers whose contacts were kept last.
    kept: u64,
}

impl Comeback {
    /// The earliest time, from `now` on, to repair or trim a group.
    pub(super) fn not_before(&self, now: Time) -> Time {
        self.until.max(now)
    }

    /// A peer was heard.
    pub(super) fn heard(&mut self, peer: NodeId) {
        if !self.awaited.is_empty() {
            self.awaited.remove(&peer);
        }
    }

    /// Whether a peer may just be starting, too.
    pub(super) fn awaits(&self, now: Time, peer: NodeId) -> bool {
        now < self.until && self.awaited.contains(&peer)
    }
}

impl Persist {
    /// These blocks are in the store, with what was noted of each; and what this overlay has kept for itself.
    pub(in super::super) fn come_back(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        noted: Vec<(BlockId, Option<BlockNote>)>,
        state: Option<Blob>,
    ) {
        let contacts: Vec<Contact> = state.and_then(|state| wire::decode(state.as_ref()).ok()).unwrap_or_default();
        let known = contacts.iter().filter(|contact| contact.is_bounded() && contact.id != self.me);
        known.take(KEPT_CONTACTS_MAX).for_each(|contact| ctx.learn(contact));
        if noted.is_empty() {
            return;
        }
        self.comeback.until = ctx.now + REUNION;
        for (id, note) in noted {
            // Without a note the group is unknown: its members find this copy, or it is copied anew.
            let view = note.map_or_else(|| self.founding_view(), |note| note.view);
            self.set_view(ctx, id, view);
        }
        self.comeback.awaited = self.peers.iter().map(|peer| peer.id).collect();
        let until = self.comeback.until;
        self.peers.iter_mut().for_each(|peer| peer.excuse(until, 1));
    }

    /// Keeps the contacts of the group peers, if these have changed.
    pub(super) fn keep_contacts(&mut self, ctx: &mut DataCx<'_, '_>) {
        let version = self.peers.version();
        if !ctx.store.is_lasting() || self.comeback.kept == version || ctx.now < self.comeback.keep_after {
            return;
        }
        let contacts = self.peers.iter().filter_map(|peer| ctx.contact(peer.id).cloned());
        let contacts: Vec<Contact> = contacts.take(KEPT_CONTACTS_MAX).collect();
        match wire::encode(&contacts) {
            Ok(state) => ctx.keep_state(Blob::from(state)),
            Err(_) => return,
        }
        (self.comeback.kept, self.comeback.keep_after) = (version, ctx.now + KEEP_EVERY);
    }
}
