//! Peers declared dead are contacted again, in case the network between was at fault.
//!
//! When a network partitions, each side recruits until it has r members. Then neither side expects heartbeats of the other, and
//! nothing would detect that the group is over-replicated. So a node that declared a peer dead later sends it its views of the
//! groups that they shared. A live peer adopts the greater view of each, and surplus copies are trimmed.
//!
//! Two rules make that work however long a partition lasts and whoever dies meanwhile. A recruit learns which peers held its
//! blocks and may come back, so that somebody remembers them. And a node that hears a peer again that was given up visits all
//! the others at once, and tells its group peers to do so: where one comes back, more do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use smallvec::SmallVec;

use super::super::DataCx;
use super::super::message::{BlockGroup, DataMessage, VIEWS_MAX};
use super::Persist;
use super::peers::PeerStatus;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Most dead peers remembered; the one lost longest ago is forgotten first.
const LOST_MAX: usize = 64;
/// Most of them of which only others have said that they held a block.
const HEARSAY_MAX: usize = 32;
/// Most absent holders of a block that a recruit learns.
const ABSENT_MAX: usize = 3;
/// Most groups remembered for each.
const GROUPS_MAX: usize = 1_024;
/// Pause before the first visit. The pause before each further one is three times as long.
const FIRST_AFTER: Duration = Duration::from_secs(10);
/// Visits to a peer that does not answer.
const VISITS_MAX: u32 = 4;
/// Least pause between two reunions, in which all lost peers are visited.
const REUNION_EVERY: Duration = Duration::from_secs(5);
/// Pause between two visits of a reunion, so that the dials do not fill the link.
const REUNION_PACE: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct LostPeer {
    contact: Option<Contact>,
    groups: BTreeSet<BlockId>,
    due: Time,
    visits: u32,
    /// Another node has said that it held these blocks.
    is_hearsay: bool,
    /// Something has come from it since.
    is_heard: bool,
}

/// Peers declared dead while groups were shared with them.
#[derive(Debug, Default)]
pub(super) struct Revisits {
    lost: BTreeMap<NodeId, LostPeer>,
    /// What peers are to learn: of each the other holders that it may not know of, with the blocks.
    to_tell: BTreeMap<(NodeId, NodeId), BTreeSet<BlockId>>,
    /// When the next reunion may be.
    reunion_after: Time,
    /// Whether one has begun since [`Persist::take_reunion`].
    has_reunited: bool,
}

impl Revisits {
    /// Remembers a dead peer that shared these groups.
    pub(super) fn add(&mut self, now: Time, peer: NodeId, contact: Option<Contact>, groups: &[BlockId]) {
        if !self.lost.contains_key(&peer) {
            self.make_room(LOST_MAX, |_| true);
        }
        let groups = groups.iter().copied().take(GROUPS_MAX).collect();
        self.lost.insert(
            peer,
            LostPeer { contact, groups, due: now + FIRST_AFTER, visits: 0, is_hearsay: false, is_heard: false },
        );
    }

    /// Remembers that `contact` held these blocks, as another node says. Takes the place of no peer that this node lost itself.
    fn add_hearsay(&mut self, now: Time, contact: Contact, groups: &[BlockId]) {
        let groups = groups.iter().copied();
        if let Some(lost) = self.lost.get_mut(&contact.id) {
            let room = GROUPS_MAX.saturating_sub(lost.groups.len());
            lost.groups.extend(groups.take(room));
            return;
        }
        self.make_room(HEARSAY_MAX, |lost| lost.is_hearsay);
        let (peer, due) = (contact.id, now + FIRST_AFTER);
        let groups = groups.take(GROUPS_MAX).collect();
        self.lost.insert(
            peer,
            LostPeer { contact: Some(contact), groups, due, visits: 0, is_hearsay: true, is_heard: false },
        );
    }

    /// Forgets the one lost longest ago, if there are so many of this sort.
    fn make_room(&mut self, most: usize, of_sort: impl Fn(&LostPeer) -> bool) {
        let those = || self.lost.iter().filter(|(_, lost)| of_sort(lost));
        if those().count() >= most
            && let Some(oldest) = those().min_by_key(|(_, lost)| (lost.due, lost.visits)).map(|(&id, _)| id)
        {
            self.lost.remove(&oldest);
        }
    }

    /// A peer was heard from. If it was declared dead, it is visited now. Returns whether it was, and whether it was by this node,
    /// which hears from it for the first time since.
    pub(super) fn heard(&mut self, now: Time, peer: NodeId) -> Option<bool> {
        let lost = self.lost.get_mut(&peer)?;
        lost.due = now;
        lost.visits = VISITS_MAX - 1;
        Some(!std::mem::replace(&mut lost.is_heard, true) && !lost.is_hearsay)
    }

    /// Peers come back: all that were lost are visited soon. Returns whether a reunion begins.
    fn reunite(&mut self, now: Time) -> bool {
        if now < self.reunion_after {
            return false;
        }
        self.reunion_after = now + REUNION_EVERY;
        self.has_reunited = true;
        for (nth, lost) in (1..).zip(self.lost.values_mut()) {
            lost.due = lost.due.min(now + REUNION_PACE * nth);
        }
        true
    }

    /// A recruit has taken a block: it is to learn who held it and may come back.
    pub(super) fn recruited(&mut self, recruit: NodeId, block: BlockId) {
        let held = self.lost.iter().filter(|(peer, lost)| **peer != recruit && lost.groups.contains(&block));
        let held: SmallVec<[NodeId; ABSENT_MAX]> = held.take(ABSENT_MAX).map(|(&peer, _)| peer).collect();
        held.into_iter().for_each(|peer| self.queue_absent(recruit, peer, block));
    }

    /// `peer` is to learn that `holder` held a block that it holds.
    pub(super) fn queue_absent(&mut self, peer: NodeId, holder: NodeId, block: BlockId) {
        self.to_tell.entry((peer, holder)).or_default().insert(block);
    }

    /// When the next visit is due.
    pub(super) fn due(&self) -> Time {
        self.lost.values().map(|lost| lost.due).min().unwrap_or(Time::NEVER)
    }
}

impl Persist {
    /// There is a link to `peer`, or a message came from it. If it was given up, others that were given up may be back, too.
    pub(in super::super) fn lost_peer_heard(&mut self, ctx: &mut DataCx<'_, '_>, peer: NodeId) {
        let Some(is_reversed) = self.revisits.heard(ctx.now, peer) else { return };
        ctx.stats.peer_failures_reversed += u64::from(is_reversed);
        self.wake_at(ctx.now);
        if self.revisits.reunite(ctx.now) {
            let peers: Vec<NodeId> = self.live_peers().collect();
            peers.into_iter().for_each(|peer| ctx.send(peer, DataMessage::Reunion));
        }
    }

    /// Whether a reunion has begun since the last call.
    pub(in super::super) fn take_reunion(&mut self) -> bool {
        std::mem::take(&mut self.revisits.has_reunited)
    }

    /// A group peer sees peers come back that were given up.
    pub(super) fn handle_reunion(&mut self, ctx: &DataCx<'_, '_>, from: NodeId) {
        if self.peers.get(from).is_some() && self.revisits.reunite(ctx.now) {
            self.wake_at(ctx.now);
        }
    }

    /// A member of these groups says who held their blocks before and may come back.
    pub(super) fn handle_absent(
        &mut self,
        ctx: &DataCx<'_, '_>,
        from: NodeId,
        absent: Contact,
        mut blocks: Vec<BlockId>,
    ) {
        // It is a member, or this node has visited it for the sake of the block.
        let is_visited = |id: &BlockId| self.revisits.lost.get(&from).is_some_and(|lost| lost.groups.contains(id));
        blocks.retain(|id| self.groups.get(id).is_some_and(|view| view.contains(from) || is_visited(id)));
        let is_group_peer = self.peers.get(absent.id).is_some_and(|peer| peer.status == PeerStatus::Alive);
        if absent.id != self.me && !blocks.is_empty() && !is_group_peer {
            self.revisits.add_hearsay(ctx.now, absent, &blocks);
            self.wake_at(self.revisits.due());
        }
    }

    /// Says to peers who else held their blocks.
    pub(super) fn send_absent(&mut self, ctx: &mut DataCx<'_, '_>) {
        for ((peer, holder), blocks) in std::mem::take(&mut self.revisits.to_tell) {
            let lost = self.revisits.lost.get(&holder).and_then(|lost| lost.contact.as_ref());
            let Some(contact) = lost.or_else(|| ctx.contact(holder)).cloned() else { continue };
            let blocks: Vec<BlockId> = blocks.into_iter().collect();
            for blocks in blocks.chunks(VIEWS_MAX) {
                ctx.send(peer, DataMessage::Absent { peer: contact.clone(), blocks: blocks.to_vec() });
            }
        }
    }

    /// Visits the peers that are due.
    pub(super) fn revisit(&mut self, ctx: &mut DataCx<'_, '_>) {
        let due: Vec<NodeId> =
            self.revisits.lost.iter().filter(|(_, lost)| lost.due <= ctx.now).map(|(&peer, _)| peer).collect();
        for peer in due {
            let mut lost = self.revisits.lost.remove(&peer).expect("it was just there");
            let views: Vec<BlockGroup> = lost.groups.iter().filter_map(|&id| self.viewed(id)).collect();
            if views.is_empty() {
                continue;
            }
            if let Some(contact) = &lost.contact {
                ctx.learn(contact);
            }
            self.send_views(ctx, peer, &views);
            lost.visits += 1;
            if lost.visits < VISITS_MAX {
                lost.due = ctx.now + FIRST_AFTER * 3_u32.pow(lost.visits);
                self.revisits.lost.insert(peer, lost);
            }
        }
    }
}
