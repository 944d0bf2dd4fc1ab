//! Under-replicated groups recruit members.
//!
//! The live member with the highest id acts at once. The next in rank acts after a pause if nothing happens, and so on. An
//! invitation carries block and view in one message. Its acknowledgement makes the recruit a member, and the others get the new
//! view. A put is the same: a group of one that recruits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use smallvec::SmallVec;

use super::super::block::Block;
use super::super::message::{InviteRefusal, InvitedBlock, RefusedBlock};
use super::super::store::WritePurpose;
use super::super::view::{GroupView, MEMBERS_MAX};
use super::super::{DataCx, waits};
use super::candidates::CandidateQuery;
use super::completion::InviteAnswer;
use super::failed_repairs::RepairFailure;
use super::invites::Invites;
use super::pushes::Pushes;
use super::{EPOCH_FIRST_MAX, Persist};
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Most invitations under way at one time.
const INVITES_MAX: usize = 16;
/// Most peers remembered for each block that did not take it.
const REFUSALS_MAX: usize = 16;
/// Times that one repair waits for another member: a member that goes on announcing changes cannot stop it.
const DEFERRALS_MAX: u32 = 4;
/// Pause before a group without candidates looks for some again. No peer is waited for, so no path says how long.
const RECRUIT_EVERY: Duration = Duration::from_secs(1);

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
    fn is_full(&self) -> bool {
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
    pub(super) fn own(&mut self, id: BlockId) {
        self.jobs.entry(id).or_insert_with(|| RepairJob { due: Time::NEVER, ..RepairJob::default() }).own = true;
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
        let missing = self.repairs.jobs.get(&id).map_or(&[][..], |job| &job.missing);
        let able = |member: &&NodeId| self.is_live(**member) && !missing.contains(member);
        if view.members().iter().filter(able).count() >= self.replicas && self.leaving.is_none() {
            // The job stays while answers are awaited, so that they are recognised.
            if self.repairs.jobs.get(&id).is_some_and(|job| job.asked.is_empty()) {
                self.repairs.forget(id);
            }
            return;
        }
        let above = view.members().iter().filter(able).filter(|&&member| member > self.me).count() as u32;
        let rank = if self.leaving.is_some() { 0 } else { above };
        let pause = if rank == 0 { Duration::ZERO } else { waits::rank_pause(ctx, self.peer_ids()) * rank };
        self.schedule_repair(id, self.comeback.not_before(ctx.now) + pause);
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
        let able = view.members().iter().filter(|&&member| self.is_live(member) && !job.missing.contains(&member));
        let lacking = self.replicas.saturating_sub(able.count() + job.asked.len());
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
        if chosen.len() < lacking {
            if !job.own && job.asked.is_empty() {
                self.failed_repairs.note(id, RepairFailure::NoCandidate);
            }
            job.declined_by.clear();
            self.schedule_repair(id, ctx.now + RECRUIT_EVERY);
        }
        chosen
    }

    /// The group has enough members. A leaving node removes itself from it.
    fn repair_done(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId) {
        self.repairs.forget(id);
        let Some(view) = self.groups.get(&id) else { return };
        if self.leaving.is_some() && view.contains(self.me) {
            let rest = view.members().iter().copied().filter(|&member| self.is_live(member));
            let without = GroupView::new(view.epoch + 1, rest);
            self.set_view(ctx, id, without);
            self.announce_view_to_members(id, self.me);
        }
    }

    pub(super) fn invited_item(&self, to: NodeId, id: BlockId, block: Block) -> Option<InvitedBlock> {
        let view = self.groups.get(&id)?;
        let view = if view.contains(to) { view.clone() } else { self.grown(id, view, to) };
        Some(InvitedBlock { id, view, block })
    }

    /// The next view: with `recruit`, without dead members and members that lack the block.
    fn grown(&self, id: BlockId, view: &GroupView, recruit: NodeId) -> GroupView {
        let missing = self.repairs.jobs.get(&id).map_or(&[][..], |job| &job.missing);
        let able = view.members().iter().copied().filter(|member| self.is_live(*member) && !missing.contains(member));
        GroupView::new(view.epoch + 1, able.chain([recruit]))
    }

    /// Handles an invitation: stores the blocks that match their ids, as far as there is room.
    pub(super) fn handle_invite(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        batch: u64,
        items: Vec<InvitedBlock>,
    ) {
        let (mut taken, mut refused, mut views, mut writing) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for InvitedBlock { id, view, block } in items {
            let refuse = |reason| RefusedBlock { id, reason };
            if self.leaving.is_some() {
                refused.push(refuse(InviteRefusal::Leaving));
            } else if !view.contains(self.me) || (!self.holds(id) && view.epoch > EPOCH_FIRST_MAX) {
                refused.push(refuse(InviteRefusal::NoRoom));
            } else if self.groups.contains_key(&id) {
                taken.push(id);
                views.extend(self.merge(ctx, from, id, view));
            } else if block.is(id) && ctx.store.reserve(id, block.len(), Some(from)) {
                let answer = self.invite_answers.next_number();
                let purpose = || WritePurpose::Invited { answer, view: view.clone() };
                match ctx.write_block(id, block, &view, purpose) {
                    Some(true) => {
                        taken.push(id);
                        self.accept_view(ctx, id, view);
                    }
                    Some(false) => {
                        ctx.delete_block(id);
                        refused.push(refuse(InviteRefusal::StoreFailed));
                    }
                    None => writing += 1,
                }
            } else {
                refused.push(refuse(InviteRefusal::NoRoom));
            }
        }
        let answer = InviteAnswer { to: from, batch, taken, refused, views, writing };
        if let Some(answer) = self.invite_answers.add(answer) {
            answer.send(ctx);
        }
    }

    /// `recruit` stores the block now and becomes a member if the group still needs one. `offered` is the digest of the view
    /// that came with the block.
    pub(super) fn admit(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId, recruit: NodeId, offered: Option<u64>) {
        self.proven.push((id, recruit));
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
                ctx.stats.repairs += u64::from(!own);
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
        let missing = self.repairs.jobs.get(&id).map_or(&[][..], |job| &job.missing);
        view.members().iter().filter(|&&member| self.is_live(member) && !missing.contains(&member)).count()
            >= self.replicas
    }

    /// `peer` declines the block, or does not answer.
    pub(super) fn declined(&mut self, ctx: &DataCx<'_, '_>, id: BlockId, peer: NodeId, reason: Option<InviteRefusal>) {
        if let Some(job) = self.repairs.jobs.get_mut(&id) {
            job.asked.retain(|asked| *asked != peer);
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
