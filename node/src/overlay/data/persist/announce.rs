//! Changed views reach the other members, gathered while an input is handled: each peer gets one message.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use super::super::DataCx;
use super::super::message::{BlockGroup, CONTACTS_MAX, DataMessage, VIEWS_MAX};
use super::Persist;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};

impl Persist {
    /// Queues this group's view for `peer`.
    pub(super) fn announce_view_to(&mut self, peer: NodeId, id: BlockId) {
        if peer != self.me && !self.peers.is_dead(peer) {
            self.changed_views.entry(peer).or_default().insert(id);
        }
    }

    /// Queues this group's view for all members except one.
    pub(super) fn announce_view_to_members(&mut self, id: BlockId, except: NodeId) {
        let Some(view) = self.groups.get(&id) else { return };
        let others: SmallVec<[NodeId; 3]> = view.members().iter().copied().filter(|&member| member != except).collect();
        others.into_iter().for_each(|member| self.announce_view_to(member, id));
    }

    pub(super) fn broadcast_changed_views(&mut self, ctx: &mut DataCx<'_, '_>) {
        while let Some((peer, ids)) = self.changed_views.pop_first() {
            let views: Vec<BlockGroup> = ids.iter().filter_map(|&id| self.viewed(id)).collect();
            self.send_views(ctx, peer, &views);
        }
    }

    /// Sends these views to `peer`, with the contacts of their members.
    pub(super) fn send_views(&self, ctx: &mut DataCx<'_, '_>, peer: NodeId, views: &[BlockGroup]) {
        for views in views.chunks(VIEWS_MAX) {
            let contacts = self.contacts_of(ctx, peer, views);
            ctx.send(peer, DataMessage::Views { views: views.to_vec(), contacts });
        }
    }

    pub(super) fn viewed(&self, id: BlockId) -> Option<BlockGroup> {
        self.groups.get(&id).map(|view| BlockGroup { id, view: view.clone() })
    }

    /// Contacts of the members of these groups, for `peer`.
    pub(super) fn contacts_of(&self, ctx: &DataCx<'_, '_>, peer: NodeId, views: &[BlockGroup]) -> Vec<Contact> {
        let members: BTreeSet<NodeId> = views.iter().flat_map(|viewed| viewed.view.members()).copied().collect();
        let others = members.into_iter().filter(|&member| member != peer && member != self.me && self.is_live(member));
        others.filter_map(|member| ctx.contact(member).cloned()).take(CONTACTS_MAX).collect()
    }
}
