//! Under-replicated groups recruit members.
//!
//! The live member with the highest id acts at once. The next in rank acts after a pause if nothing happens, and so on. An
//! invitation carries block and view in one message. Its acknowledgement makes the recruit a member, and the others get the new
//! view. A put is the same: a group of one that recruits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use smallvec::SmallVec;

use super::super::block::Block;
use super::super::message::{InviteRefusal, InvitedBlock};
use super::super::view::{GroupView, MEMBERS_MAX};
use super::super::{DataCx, waits};
use super::Persist;
use super::candidates::CandidateQuery;
use super::failed_repairs::RepairFailure;
use super::invites::Invites;
use super::pushes::Pushes;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Most invitations under way at one time.
const INVITES_MAX: usize = 16;
/// Most peers remembered for each block that did not take it.
const REFUSALS_MAX: usize = 16;
/// Times that one repair waits for another member: a member that goes on announcing changes cannot stop it.
const DEFERRALS_MAX: u32 = 4;
/// Pause before a group without candidates looks for some again. No peer is waited for, so no path says how long. Each further
/// pause is twice as long, up to 16 times: candidates without room are sent the block in vain.
const RECRUIT_EVERY: Duration = Duration::from_secs(1);
const RECRUIT_DOUBLED_MAX: u32 = 4;

/// Steps of the epoch. Where a group is repaired and one of its members hands its copy on at the same time, the repair wins.
const MOVE_STEP: u64 = 1;
const REPAIR_STEP: u64 = 2;

/// What becomes of this node's own copy when a group recruits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum OwnCopy {
    /// It is one of the r copies.
    #[default]
    Stays,
    /// It goes once r others hold the block. It stays if there are not as many.
    MayGo,
    /// The store is full: it goes once r others hold the block.
    MustGo,
}

/// Repair of an under-replicated group.
#[derive(Debug, Default)]
struct RepairJob {
    /// When it acts next; never while it only awaits answers.
    due: Time,
    /// Members that report that they lack the block.
    missing: SmallVec<[NodeId; 1]>,
    /// Peers that were invited and have not answered.
    asked: SmallVec<[NodeId; 2]>,
    /// Peers that declined the block.
    declined_by: SmallVec<[NodeId; 2]>,
    /// Times that it waited for another member to complete the group.
    deferrals: u32,
    /// The block is new and of this node's own application.
    own: bool,
    own_copy: OwnCopy,
    /// Times that it found no candidate.
    fruitless: u32,
    /// Peers that did not take a block of this node's own application, and why: `None` without an answer.
    refusals: Vec<(NodeId, Option<InviteRefusal>)>,
}

/// Repair jobs and invitations under way.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    jobs: BTreeMap<BlockId, RepairJob>,
    /// Every job with a due time.
    queue: BTreeSet<(Time, BlockId)>,
    pub(super) invites: Invites,
    pub(super) pushes: Pushes,
}

impl Repairs {
    /// When the next timer is due.
    pub(super) fn due(&self) -> Time {
        let answers = self.invites.due();
        self.queue.first().filter(|_| !self.is_full()).map_or(answers, |&(due, _)| due.min(answers))
    }

    /// Whether no more candidates are to be invited now.
    pub(super) fn is_full(&self) -> bool {
        self.invites.under_way() >= INVITES_MAX || self.pushes.is_full()
    }

    /// Whether `peer` is a member of a group and is known to lack its block.
    pub(super) fn awaits_copies_at(&self, peer: NodeId) -> bool {
        self.jobs.values().any(|job| job.missing.contains(&peer))
    }

    /// Whether a member is known to lack the block of its group.
    pub(super) fn is_missing(&self, id: BlockId, member: NodeId) -> bool {
        self.jobs.get(&id).is_some_and(|job| job.missing.contains(&member))
    }

    /// Whether no job is left.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Marks a block as new and of this node's own application.
    pub(super) fn own(&mut self, id: BlockId, own_copy: OwnCopy) {
        let job = self.jobs.entry(id).or_insert_with(|| RepairJob { due: Time::NEVER, ..RepairJob::default() });
        (job.own, job.own_copy) = (true, own_copy);
    }

    /// The peers that are asked to take a block, and those that have declined it.
    pub(super) fn asked(&self, id: BlockId) -> Option<(&[NodeId], &[NodeId])> {
        self.jobs.get(&id).map(|job| (&job.asked[..], &job.declined_by[..]))
    }

    /// Asks `peer` too to take a block.
    pub(super) fn invite_too(&mut self, id: BlockId, peer: NodeId) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.asked.push(peer);
            self.pushes.queue(peer, [id]);
        }
    }

    /// Begins to hand this node's copy on to `peer`. A group that is being repaired has other cares: returns whether it is not.
    pub(super) fn begin_move(&mut self, id: BlockId, peer: NodeId) -> bool {
        if self.jobs.contains_key(&id) {
            return false;
        }
        let asked = SmallVec::from_slice(&[peer]);
        let job = RepairJob { due: Time::NEVER, asked, own_copy: OwnCopy::MayGo, ..RepairJob::default() };
        self.jobs.insert(id, job);
        self.pushes.queue(peer, [id]);
        true
    }

    /// Whether this node hands its copy of a whole group on.
    fn is_move(&self, id: BlockId) -> bool {
        self.jobs.get(&id).is_some_and(|job| !job.own && job.own_copy == OwnCopy::MayGo)
    }

    /// Whether this node's copy is to go.
    pub(super) fn goes(&self, id: BlockId) -> bool {
        self.jobs.get(&id).is_some_and(|job| job.own_copy != OwnCopy::Stays)
    }

    /// Whether the block is new and of this node's own application.
    pub(super) fn is_own(&self, id: BlockId) -> bool {
        self.jobs.get(&id).is_some_and(|job| job.own)
    }

    /// Ends a job.
    pub(super) fn forget(&mut self, id: BlockId) {
        if let Some(job) = self.jobs.remove(&id) {
            self.queue.remove(&(job.due, id));
        }
    }

    fn schedule(&mut self, id: BlockId, due: Time) {
        let job = self.jobs.entry(id).or_insert_with(|| RepairJob { due: Time::NEVER, ..RepairJob::default() });
        if due < job.due {
            self.queue.remove(&(job.due, id));
            job.due = due;
            self.queue.insert((due, id));
        }
    }

    /// Blocks that found too few candidates, now that `peer` can be asked: one that has not refused them.
    fn wanting_candidates(&mut self, peer: NodeId) -> Vec<BlockId> {
        let refused = |job: &RepairJob| job.refusals.iter().any(|(other, reason)| *other == peer && reason.is_some());
        let wanting =
            self.jobs.iter_mut().filter(|(_, job)| job.fruitless > 0 && job.due < Time::NEVER && !refused(job));
        wanting
            .map(|(&id, job)| {
                job.declined_by.retain(|other| *other != peer);
                id
            })
            .collect()
    }

    /// Takes the first job that is due off the queue.
    fn pop(&mut self, now: Time) -> Option<BlockId> {
        let &(due, id) = self.queue.first().filter(|(due, _)| *due <= now)?;
        self.queue.remove(&(due, id));
        self.jobs.get_mut(&id).expect("the queue names jobs").due = Time::NEVER;
        Some(id)
    }
}

impl Persist {
    /// Checks whether a group is under-replicated and, if so, schedules this node's turn to act.
    pub(super) fn review(&mut self, ctx: &DataCx<'_, '_>, id: BlockId) {
        let Some(view) = self.groups.get(&id).filter(|view| view.contains(self.me)) else {
            self.repairs.forget(id);
            return;
        };
        let able = |member: &&NodeId| self.is_able(id, **member);
        let goes = self.leaving.is_some() || self.repairs.goes(id);
        if view.members().iter().filter(able).count() >= self.copies_wanted(id, view) && !goes {
            // The job stays while answers are awaited, so that they are recognised.
            if self.surplus_members(id).is_some() {
                self.schedule_repair(id, ctx.now + self.shrink_pause(ctx.now, id));
            } else if self.repairs.jobs.get(&id).is_some_and(|job| job.asked.is_empty()) {
                self.repairs.forget(id);
            }
            return;
        }
        let above = view.members().iter().filter(able).filter(|&&member| member > self.me).count() as u32;
        let rank = if goes { 0 } else { above };
        let pause = if rank == 0 { Duration::ZERO } else { waits::rank_pause(ctx, self.peer_ids()) * rank };
        self.schedule_repair(id, self.comeback.not_before(ctx.now) + pause);
    }

    /// Copies that this node makes of a block: for a put of its own as many as it wants itself.
    fn copies_wanted(&self, id: BlockId, view: &GroupView) -> usize {
        if self.repairs.is_own(id) { self.replicas } else { view.copies_for(self.replicas) }
    }

    /// Whether a member counts as one of the r that store the block.
    pub(super) fn is_able(&self, id: BlockId, member: NodeId) -> bool {
        let goes = member == self.me && self.repairs.goes(id);
        self.is_live(member) && !goes && !self.repairs.is_missing(id, member)
    }

    /// Another member has changed the group and may still be repairing it: postpones this node's turn.
    pub(super) fn defer_repair(&mut self, ctx: &DataCx<'_, '_>, id: BlockId) {
        let may_wait = |job: &&RepairJob| !job.own && job.asked.is_empty() && job.deferrals < DEFERRALS_MAX;
        let Some(job) = self.repairs.jobs.get(&id).filter(may_wait) else { return };
        let rank = job.due.since(ctx.now);
        self.repairs.queue.remove(&(job.due, id));
        let job = self.repairs.jobs.get_mut(&id).expect("just seen");
        (job.due, job.deferrals) = (Time::NEVER, job.deferrals + 1);
        self.schedule_repair(id, ctx.now + waits::others_turn(ctx, self.peer_ids()) + rank * 2);
    }

    fn peer_ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.peers.iter().map(|peer| peer.id)
    }

    pub(super) fn schedule_repair(&mut self, id: BlockId, due: Time) {
        self.repairs.schedule(id, due);
        self.wake_at(due);
    }

    /// A member reports that it lacks the block of its group.
    pub(super) fn member_lost(&mut self, ctx: &DataCx<'_, '_>, id: BlockId, peer: NodeId) {
        if !self.groups.get(&id).is_some_and(|view| view.contains(peer) && view.contains(self.me)) {
            return;
        }
        let job = self.repairs.jobs.entry(id).or_insert_with(|| RepairJob { due: Time::NEVER, ..RepairJob::default() });
        if !job.missing.contains(&peer) && job.missing.len() < MEMBERS_MAX {
            job.missing.push(peer);
        }
        self.review(ctx, id);
    }

    /// Runs every job that is due, as far as the limits of invitations allow.
    pub(super) fn repair(&mut self, ctx: &mut DataCx<'_, '_>) {
        let mut last: Option<(SmallVec<[NodeId; 4]>, Vec<NodeId>)> = None;
        while !self.repairs.is_full()
            && let Some(id) = self.repairs.pop(ctx.now)
        {
            for candidate in self.recruits(ctx, id, &mut last) {
                self.repairs.pushes.queue(candidate, [id]);
            }
        }
        self.push_queued(ctx);
        self.wake_at(self.repairs.due());
    }

    /// Selects recruits for a group. `last` caches the selection for the previous group, which is often the same.
    fn recruits(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        id: BlockId,
        last: &mut Option<(SmallVec<[NodeId; 4]>, Vec<NodeId>)>,
    ) -> Vec<NodeId> {
        let (Some(view), Some(job)) = (self.groups.get(&id), self.repairs.jobs.get(&id)) else { return Vec::new() };
        let able = view.members().iter().filter(|&&member| self.is_able(id, member));
        let mut lacking = self.copies_wanted(id, view).saturating_sub(able.count() + job.asked.len());
        if lacking == 0 {
            if job.asked.is_empty() {
                self.repair_done(ctx, id);
            }
            return Vec::new();
        }
        // Members that lack the block may get it again: those that have just come back empty have room.
        let others = view.members().iter().filter(|member| !job.missing.contains(member));
        let mut members: SmallVec<[NodeId; 4]> = others.chain(&job.asked).copied().collect();
        members.push(self.me);
        let chosen = match last {
            Some((same, chosen)) if *same == members && job.declined_by.is_empty() && chosen.len() == lacking => {
                chosen.clone()
            }
            _ => {
                let wanted =
                    CandidateQuery { members: &members, declined_by: &job.declined_by, count: lacking, own: job.own };
                self.candidates(ctx, &wanted)
            }
        };
        let job = self.repairs.jobs.get_mut(&id).expect("it was just there");
        if job.declined_by.is_empty() {
            *last = Some((members, chosen.clone()));
        }
        job.asked.extend(chosen.iter().copied());
        if chosen.len() < lacking && job.own_copy == OwnCopy::MayGo {
            (job.own_copy, lacking) = (OwnCopy::Stays, lacking - 1);
        }
        if chosen.len() < lacking {
            self.recruit_later(ctx, id);
        }
        chosen
    }

    /// There are too few candidates: looks again after a pause.
    fn recruit_later(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId) {
        let Some(job) = self.repairs.jobs.get_mut(&id) else { return };
        if job.own && job.asked.is_empty() {
            let full = self.avoided.without_room(ctx.now, true).map(|peer| (peer, Some(InviteRefusal::NoRoom)));
            let known: Vec<NodeId> = job.refusals.iter().map(|(peer, _)| *peer).collect();
            job.refusals.extend(full.filter(|(peer, _)| !known.contains(peer)));
            job.refusals.truncate(REFUSALS_MAX);
            let is_full = |(_, reason): &(NodeId, _)| *reason == Some(InviteRefusal::NoRoom);
            if job.refusals.iter().any(is_full) && (job.fruitless > 0 || job.refusals.iter().all(is_full)) {
                self.without_room.push(id);
            }
        } else if job.asked.is_empty() {
            self.failed_repairs.note(id, RepairFailure::NoCandidate);
        }
        job.declined_by.clear();
        let pause = RECRUIT_EVERY * 2_u32.pow(job.fruitless.min(RECRUIT_DOUBLED_MAX));
        job.fruitless += 1;
        self.schedule_repair(id, ctx.now + pause);
    }

    /// There is a link to `peer`: groups that have looked for candidates in vain ask it at once. It may have been out of reach.
    pub(super) fn candidate_up(&mut self, now: Time, peer: NodeId) {
        for id in self.repairs.wanting_candidates(peer) {
            self.schedule_repair(id, now);
        }
    }

    /// The group has enough members. A node that leaves it, or the network, removes itself from it.
    fn repair_done(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId) {
        let goes = self.leaving.is_some() || self.repairs.goes(id);
        if let Some(surplus) = self.surplus_members(id).filter(|_| !goes) {
            return self.shrink(ctx, id, &surplus);
        }
        self.repairs.forget(id);
        let Some(view) = self.groups.get(&id) else { return };
        if goes && view.contains(self.me) {
            let rest = view.members().iter().copied().filter(|&member| member != self.me && self.is_live(member));
            let without = view.followed_by(REPAIR_STEP, rest);
            self.set_view_of_all(ctx, id, without);
        }
    }

    pub(super) fn invited_item(
        &self,
        ctx: &DataCx<'_, '_>,
        to: NodeId,
        (id, block): (BlockId, Block),
    ) -> Option<InvitedBlock> {
        let view = self.groups.get(&id)?;
        let view = if view.contains(to) { view.clone() } else { self.grown(id, view, to) };
        let keywords = ctx.store.described().of(id).cloned().unwrap_or_default();
        Some(InvitedBlock { id, view, founded: self.repairs.is_own(id), block, keywords })
    }

    /// The next view: with `recruit`, without dead members and members that lack the block. Without this node, if its copy is to
    /// go and the others are enough.
    fn grown(&self, id: BlockId, view: &GroupView, recruit: NodeId) -> GroupView {
        let others = view.members().iter().copied().filter(|&member| member != self.me && self.is_able(id, member));
        let mut members: SmallVec<[NodeId; 4]> = others.chain([recruit]).collect();
        let stays = !self.repairs.goes(id) || members.len() < view.copies_for(self.replicas);
        members.extend(Some(self.me).filter(|&me| stays && view.contains(me) && self.is_live(me)));
        let step = if self.repairs.is_move(id) { MOVE_STEP } else { REPAIR_STEP };
        view.followed_by(step, members)
    }

    /// `recruit` stores the block now and becomes a member if the group still needs one. `offered` is the digest of the view
    /// that came with the block.
    pub(super) fn admit(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId, recruit: NodeId, offered: Option<u64>) {
        self.proven.push((id, recruit));
        let moves = self.repairs.is_move(id);
        let own = self.repairs.jobs.get_mut(&id).is_some_and(|job| {
            job.asked.retain(|asked| *asked != recruit);
            job.missing.retain(|missing| *missing != recruit);
            job.own
        });
        let Some(view) = self.groups.get(&id).filter(|view| view.contains(self.me)) else {
            // The group has gone on without this node: the recruit must not believe in the one that it was invited to.
            match self.holds(id) {
                true => self.announce_view_to(recruit, id),
                false => self.tell_left_group(ctx.now, recruit, id),
            }
            return;
        };
        if !view.contains(recruit) {
            if self.is_full(id, view) {
                self.announce_view_to(recruit, id);
            } else {
                let grown = self.grown(id, view, recruit);
                if offered != Some(grown.digest(id)) {
                    self.announce_view_to(recruit, id);
                }
                self.set_view(ctx, id, grown);
                self.announce_view_to_members(id, recruit);
                ctx.stats.repairs += u64::from(!own && !moves);
                ctx.stats.blocks_moved += u64::from(moves);
                self.revisits.recruited(recruit, id);
            }
        }
        if own {
            self.prefer(recruit);
        }
        self.review(ctx, id);
    }

    /// Peers that did not take a block of this node's own application, and why: `None` without an answer so far.
    pub(in super::super) fn refusals(&self, id: BlockId) -> impl Iterator<Item = (NodeId, Option<InviteRefusal>)> + '_ {
        let job = self.repairs.jobs.get(&id);
        let asked = job.map_or(&[][..], |job| &job.asked).iter().map(|&asked| (asked, None));
        asked.chain(job.map_or(&[][..], |job| &job.refusals).iter().copied())
    }

    /// Whether `peer` is still wanted as a holder of the block.
    pub(super) fn is_asked(&self, id: BlockId, peer: NodeId) -> bool {
        self.repairs.jobs.get(&id).is_some_and(|job| job.asked.contains(&peer))
    }

    /// `peer` is not awaited as a holder of the block any more.
    pub(super) fn not_asked(&mut self, id: BlockId, peer: NodeId) {
        if let Some(job) = self.repairs.jobs.get_mut(&id) {
            job.asked.retain(|asked| *asked != peer);
        }
    }

    /// Whether enough live members store the block.
    pub(super) fn is_full(&self, id: BlockId, view: &GroupView) -> bool {
        view.members().iter().filter(|&&member| self.is_able(id, member)).count() >= self.copies_wanted(id, view)
    }

    /// Whether the store is full, so that this node's own copy does not count.
    pub(in super::super) fn must_go(&self, id: BlockId) -> bool {
        self.repairs.jobs.get(&id).is_some_and(|job| job.own_copy == OwnCopy::MustGo)
    }

    /// A put has found too little room: this node's own copies that others do not need are dropped, and those beyond the limit.
    pub(in super::super) fn withdraw(&mut self, ctx: &mut DataCx<'_, '_>, blocks: &[BlockId]) {
        for &id in blocks {
            let Some(view) = self.groups.get(&id).filter(|view| view.contains(self.me)) else { continue };
            let is_alone = self.repairs.is_own(id) && view.members().len() == 1;
            if !is_alone && !self.must_go(id) {
                continue;
            }
            let rest: Vec<NodeId> = view.members().iter().copied().filter(|&member| member != self.me).collect();
            if !rest.is_empty() {
                let without = view.followed_by(1, rest);
                self.set_view_of_all(ctx, id, without);
                self.broadcast_changed_views(ctx);
            }
            self.drop_block(ctx, id);
        }
    }

    /// `peer` declines the block, or does not answer.
    pub(super) fn declined(&mut self, ctx: &DataCx<'_, '_>, id: BlockId, peer: NodeId, reason: Option<InviteRefusal>) {
        if let Some(job) = self.repairs.jobs.get_mut(&id) {
            job.asked.retain(|asked| *asked != peer);
            if !job.own && job.own_copy == OwnCopy::MayGo {
                job.own_copy = OwnCopy::Stays;
                return self.review(ctx, id);
            }
            if job.own {
                job.refusals.retain(|(other, _)| *other != peer);
                job.refusals.truncate(REFUSALS_MAX - 1);
                job.refusals.push((peer, reason));
            } else {
                let unanswered = RepairFailure::Unanswered(peer);
                let failure = reason.map_or(unanswered, |reason| RepairFailure::Refused(peer, reason));
                self.failed_repairs.note(id, failure);
            }
            if !job.declined_by.contains(&peer) {
                job.declined_by.push(peer);
            }
            self.schedule_repair(id, ctx.now);
        }
    }
}
