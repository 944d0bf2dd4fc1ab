//! Invitations under way: blocks are pushed to recruits, and their acknowledgements are waited for.
//!
//! A late acknowledgement does not mean that the peer is dead: its link may be busy. So the transport is asked when it last
//! heard the peer. As long as it hears it, the peer is waited for. Only if it does not is another peer invited, and the answer
//! still counts if it comes after all.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::block::Block;
use super::super::keywords::Keywords;
use super::super::message::{BlockGroup, DataMessage, InviteRefusal, InvitedBlock, RefusedBlock, places_for};
use super::super::store::ReadPurpose;
use super::super::{DataCx, waits};
use super::Persist;
use super::candidates::FullFor;
use super::pushes::{PushSize, SentPush};
use crate::core::identity::{BlockId, NodeId};
use crate::core::path::PathEstimate;
use crate::core::time::Time;

/// Times that an invitation is extended because its peer is heard. Each lasts twice as long as the one before.
const EXTENSIONS_MAX: u32 = 5;
/// Most invitations remembered after they were given up, in case the answer still comes.
const GIVEN_UP_MAX: usize = 64;
/// Time in which the transport says when it last heard a peer: it does so at once.
const VERDICT_AFTER: Duration = Duration::from_millis(5);

#[derive(Debug)]
struct Invite {
    push: SentPush,
    /// The blocks, each with the digest of the offered view.
    offers: Vec<(BlockId, u64)>,
    /// When it is looked into.
    until: Time,
    /// Whether the transport was asked when it last heard the peer.
    asked: bool,
    /// Times that it was extended.
    extensions: u32,
    /// The peer is alive if it was heard since then.
    since: Time,
}

/// All invitations that are not answered.
#[derive(Debug, Default)]
pub(super) struct Invites {
    open: BTreeMap<u64, Invite>,
    /// Given up, with the peer and the blocks.
    given_up: BTreeMap<u64, (NodeId, Vec<BlockId>)>,
    last_batch: u64,
    /// Invitations whose blocks are being read.
    reading: usize,
}

impl Invites {
    /// Number of invitations under way.
    pub(super) fn under_way(&self) -> usize {
        self.open.len() + self.reading
    }

    /// When the next one is looked into.
    pub(super) fn due(&self) -> Time {
        self.open.values().map(|invite| invite.until).min().unwrap_or(Time::NEVER)
    }

    /// The blocks of an invitation have been read.
    pub(super) fn read_done(&mut self) {
        self.reading -= 1;
    }

    fn to_peer(&self, peer: NodeId) -> Vec<u64> {
        self.open.iter().filter(|(_, invite)| invite.push.to == peer).map(|(&batch, _)| batch).collect()
    }

    fn give_up(&mut self, batch: u64) -> Option<Invite> {
        let invite = self.open.remove(&batch)?;
        if self.given_up.len() >= GIVEN_UP_MAX {
            self.given_up.pop_first();
        }
        let ids = invite.offers.iter().map(|(id, _)| *id).collect();
        self.given_up.insert(batch, (invite.push.to, ids));
        Some(invite)
    }
}

impl Persist {
    /// Sends as many of the queued blocks as the paths carry.
    pub(super) fn push_queued(&mut self, ctx: &mut DataCx<'_, '_>) {
        for to in self.repairs.pushes.waiting_peers() {
            self.withdraw_surplus(ctx, to);
            while let Some((ids, bytes)) = self.take_queued(ctx, to) {
                self.repairs.pushes.sent(to, bytes);
                match ctx.read_blocks(&ids, ReadPurpose::Invite { to, bytes }) {
                    Some(blocks) => self.send_invite(ctx, (to, bytes), blocks),
                    None => self.repairs.invites.reading += 1,
                }
            }
        }
    }

    /// Does not push to `to` what its groups do not need any more: a peer that was given up has taken it after all. With one more
    /// member than that, a group would keep it.
    fn withdraw_surplus(&mut self, ctx: &DataCx<'_, '_>, to: NodeId) {
        let is_surplus = |&id: &BlockId| {
            let full = self.groups.get(&id).is_some_and(|view| !view.contains(to) && self.is_full(id, view));
            full && !self.extras.contains_key(&id)
        };
        let surplus: Vec<BlockId> = self.repairs.pushes.queued_for(to).filter(is_surplus).collect();
        for id in surplus {
            self.repairs.pushes.withdraw(to, id);
            self.not_asked(id, to);
            self.review(ctx, id);
        }
    }

    fn take_queued(&mut self, ctx: &DataCx<'_, '_>, to: NodeId) -> Option<(Vec<BlockId>, u64)> {
        let mut pushes = std::mem::take(&mut self.repairs.pushes);
        let is_wanted = |id| self.is_asked(id, to) || self.extras.contains_key(&id);
        let size_of = |id| {
            let keywords = ctx.store.described().of(id);
            let bytes = ctx.store.bytes_of(id)? + keywords.map_or(0, Keywords::bytes) as u64;
            Some(PushSize { bytes, places: places_for(keywords) })
        };
        let taken = pushes.take(to, |id| size_of(id).filter(|_| is_wanted(id)));
        self.repairs.pushes = pushes;
        taken
    }

    /// Sends blocks that were read. So many bytes are counted as under way to `to`.
    pub(super) fn send_invite(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        (to, bytes): (NodeId, u64),
        blocks: Vec<(BlockId, Block)>,
    ) {
        let items: Vec<InvitedBlock> =
            blocks.into_iter().filter_map(|found| self.invited_item(ctx, to, found)).collect();
        if items.is_empty() {
            return self.repairs.pushes.over(to, bytes);
        }
        let views: Vec<BlockGroup> =
            items.iter().map(|item| BlockGroup { id: item.id, view: item.view.clone() }).collect();
        let offers = views.iter().map(|viewed| (viewed.id, viewed.view.digest(viewed.id))).collect();
        let push = SentPush { to, bytes, sent: ctx.now, target: waits::push_target(ctx, to, bytes) };
        let until = ctx.now + waits::invite(ctx, to, bytes, 0);
        let invite = Invite { push, offers, until, asked: false, extensions: 0, since: ctx.now };
        self.repairs.invites.last_batch += 1;
        let batch = self.repairs.invites.last_batch;
        self.repairs.invites.open.insert(batch, invite);
        self.wake_at(until);
        let contacts = self.contacts_of(ctx, to, &views);
        ctx.send(to, DataMessage::Invite { batch, items, contacts });
    }

    /// Handles the answer to an invitation.
    pub(super) fn handle_invite_reply(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        batch: u64,
        taken: &[BlockId],
        refused: &[RefusedBlock],
        views: Vec<BlockGroup>,
    ) {
        self.handle_views(ctx, from, views);
        if self.repairs.invites.open.get(&batch).is_none_or(|invite| invite.push.to != from) {
            return self.handle_late_reply(ctx, from, batch, taken);
        }
        let invite = self.repairs.invites.open.remove(&batch).expect("it was just there");
        self.repairs.pushes.acknowledged(ctx.now, invite.push);
        if !refused.is_empty() {
            let full = |own| {
                let is_full = |refused: &RefusedBlock| refused.reason == InviteRefusal::NoRoom;
                refused.iter().any(|refused| is_full(refused) && self.repairs.is_own(refused.id) == own)
            };
            let full = FullFor { new: full(true), repair: full(false) };
            self.avoided.add(ctx.now, from, full);
        }
        for (id, offered) in invite.offers {
            if taken.contains(&id) {
                self.admit(ctx, id, from, Some(offered));
            } else {
                let reason = refused.iter().find(|refused| refused.id == id).map(|refused| refused.reason);
                self.declined(ctx, id, from, reason);
            }
        }
    }

    /// A peer that was given up has taken blocks after all. If the group has enough members by now, the peer trims its copy.
    fn handle_late_reply(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, batch: u64, taken: &[BlockId]) {
        let late = self.repairs.invites.given_up.get(&batch).filter(|(to, _)| *to == from);
        let offered = late.map_or(Vec::new(), |(_, ids)| ids.clone());
        if !offered.is_empty() {
            self.repairs.invites.given_up.remove(&batch);
        }
        for &id in taken {
            if !self.holds(id) {
                self.tell_left_group(ctx.now, from, id);
            } else if offered.contains(&id) {
                self.admit(ctx, id, from, None);
            } else {
                self.announce_view_to(from, id);
            }
        }
    }

    /// Looks into invitations that are not answered in time.
    pub(super) fn expire_invites(&mut self, ctx: &mut DataCx<'_, '_>) {
        let open = self.repairs.invites.open.iter();
        let due: Vec<u64> = open.filter(|(_, invite)| invite.until <= ctx.now).map(|(&batch, _)| batch).collect();
        for batch in due {
            let invite = self.repairs.invites.open.get_mut(&batch).expect("it was just there");
            let SentPush { to, bytes, .. } = invite.push;
            let heard = ctx.path(to).map(PathEstimate::heard);
            if heard.is_some_and(|heard| heard > invite.since) && invite.extensions < EXTENSIONS_MAX {
                invite.extensions += 1;
                (invite.asked, invite.since) = (false, ctx.now);
                invite.until = ctx.now + waits::invite(ctx, to, bytes, invite.extensions);
            } else if heard.is_some() && !invite.asked && invite.extensions < EXTENSIONS_MAX {
                invite.asked = true;
                invite.until = ctx.now + VERDICT_AFTER;
                ctx.measure_path(to);
            } else {
                self.give_up_invite(ctx, batch);
            }
        }
    }

    /// Withdraws all that was to be pushed to an unreachable peer.
    pub(super) fn withdraw_invites(&mut self, ctx: &mut DataCx<'_, '_>, peer: NodeId) {
        for batch in self.repairs.invites.to_peer(peer) {
            self.give_up_invite(ctx, batch);
        }
        for id in self.repairs.pushes.take_queued(peer) {
            self.declined(ctx, id, peer, None);
        }
    }

    /// A link is lost, and what was under way with it: it is pushed again. That makes a link, or the peer is unreachable.
    pub(super) fn repeat_invites(&mut self, peer: NodeId) {
        for batch in self.repairs.invites.to_peer(peer) {
            let Some(invite) = self.repairs.invites.open.remove(&batch) else { continue };
            self.repairs.pushes.over(peer, invite.push.bytes);
            self.repairs.pushes.queue(peer, invite.offers.into_iter().map(|(id, _)| id));
        }
    }

    fn give_up_invite(&mut self, ctx: &mut DataCx<'_, '_>, batch: u64) {
        let Some(Invite { push, offers, .. }) = self.repairs.invites.give_up(batch) else { return };
        self.repairs.pushes.over(push.to, push.bytes);
        self.avoided.add(ctx.now, push.to, FullFor::default());
        self.preferred_peers.retain(|preferred| *preferred != push.to);
        offers.into_iter().for_each(|(id, _)| self.declined(ctx, id, push.to, None));
    }
}
