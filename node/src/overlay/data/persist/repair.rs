//! Groups with too few members recruit.
//!
//! The live member with the highest id acts at once, the next in rank after a pause if it sees nothing happen, and so on. An
//! invitation carries block and group in one message; once it is acknowledged, the new member is in, and the others are told.
//! A put is the same thing: a group of one that recruits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use smallvec::SmallVec;

use super::super::Ctx;
use super::super::block::Block;
use super::super::message::{BLOCKS_MAX, DataMessage, Invited, Viewed};
use super::super::store::Store;
use super::super::view::{MEMBERS_MAX, View};
use super::Persist;
use super::candidates::Wanted;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Invitations under way at one time.
const INVITES_MAX: usize = 16;
/// Least pause for each rank below the highest.
const RANK: Duration = Duration::from_millis(300);
/// Whoever has changed a group last has so long to complete it.
const OTHERS_TURN: Duration = Duration::from_secs(2);
/// Pause after which a group looks again for candidates when there were none.
const RETRY: Duration = Duration::from_secs(1);
/// Least time for an answer over a link that is up, and over one that has to be made.
const ANSWER_LINKED: Duration = Duration::from_millis(300);
const ANSWER_UNLINKED: Duration = Duration::from_secs(1);
/// The slowest link for which the time to answer allows, in bytes per millisecond.
const BYTES_PER_MS: u64 = 256;

/// A group that has too few members.
#[derive(Debug, Default)]
struct Job {
    /// When it is looked at next; never while only answers are awaited.
    due: Time,
    /// Members that say they do not have the block.
    missing: SmallVec<[NodeId; 1]>,
    /// Who was invited and has not answered.
    asked: SmallVec<[NodeId; 2]>,
    /// Who will not have it.
    tried: SmallVec<[NodeId; 2]>,
    /// The block is this node's own and new.
    own: bool,
}

#[derive(Debug)]
struct Invite {
    to: NodeId,
    /// The blocks, each with the digest of the view in which it was offered.
    offers: Vec<(BlockId, u64)>,
    until: Time,
    bytes: u64,
}

/// Groups to repair and invitations under way.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    jobs: BTreeMap<BlockId, Job>,
    /// Every job with a due time.
    queue: BTreeSet<(Time, BlockId)>,
    invites: BTreeMap<u64, Invite>,
    /// Bytes of blocks in invitations under way.
    in_flight: u64,
    last_batch: u64,
}

impl Repairs {
    /// When there is next something to do.
    pub(super) fn due(&self) -> Time {
        let answers = self.invites.values().map(|invite| invite.until).min().unwrap_or(Time::NEVER);
        let full = self.invites.len() >= INVITES_MAX;
        self.queue.first().filter(|_| !full).map_or(answers, |&(due, _)| due.min(answers))
    }

    /// Whether nothing is to be repaired.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Marks a block as this node's own and new.
    pub(super) fn own(&mut self, id: BlockId) {
        self.jobs.entry(id).or_insert_with(|| Job { due: Time::NEVER, ..Job::default() }).own = true;
    }

    /// Ends a job.
    pub(super) fn forget(&mut self, id: BlockId) {
        if let Some(job) = self.jobs.remove(&id) {
            self.queue.remove(&(job.due, id));
        }
    }

    fn schedule(&mut self, id: BlockId, due: Time) {
        let job = self.jobs.entry(id).or_insert_with(|| Job { due: Time::NEVER, ..Job::default() });
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
    /// Sees whether a group has too few members, and if so, when it is this node's turn to act.
    pub(super) fn review(&mut self, ctx: &Ctx<'_>, id: BlockId) {
        let Some(view) = self.groups.get(&id).filter(|view| view.contains(self.me)) else {
            self.repairs.forget(id);
            return;
        };
        let missing = self.repairs.jobs.get(&id).map_or(&[][..], |job| &job.missing);
        let able = |member: &&NodeId| self.is_live(**member) && !missing.contains(member);
        if view.members().iter().filter(able).count() >= self.replicas && self.leaving.is_none() {
            // Kept while answers are awaited, so that they are not taken for strangers'.
            if self.repairs.jobs.get(&id).is_some_and(|job| job.asked.is_empty()) {
                self.repairs.forget(id);
            }
            return;
        }
        let above = view.members().iter().filter(able).filter(|&&member| member > self.me).count() as u32;
        let rank = if self.leaving.is_some() { 0 } else { above };
        self.schedule_repair(id, ctx.now + self.rank_pause() * rank);
    }

    /// A group has changed at another member's doing: if it still has too few, that member is at work. Its turn comes first.
    pub(super) fn defer_repair(&mut self, ctx: &Ctx<'_>, id: BlockId) {
        let Some(job) = self.repairs.jobs.get(&id).filter(|job| !job.own && job.asked.is_empty()) else { return };
        let rank = job.due.since(ctx.now);
        self.repairs.queue.remove(&(job.due, id));
        self.repairs.jobs.get_mut(&id).expect("just seen").due = Time::NEVER;
        self.schedule_repair(id, ctx.now + OTHERS_TURN + rank * 2);
    }

    /// Two round trips to the farthest peer, and not less than [`RANK`].
    fn rank_pause(&self) -> Duration {
        self.peers.iter().filter_map(|peer| peer.rtt()).max().map_or(RANK, |rtt| (rtt * 2).clamp(RANK, RETRY))
    }

    pub(super) fn schedule_repair(&mut self, id: BlockId, due: Time) {
        self.repairs.schedule(id, due);
        self.wake_at(due);
    }

    /// `peer` says that it does not have a block of whose group it is a member.
    pub(super) fn member_lost(&mut self, ctx: &Ctx<'_>, id: BlockId, peer: NodeId) {
        if !self.groups.get(&id).is_some_and(|view| view.contains(peer) && view.contains(self.me)) {
            return;
        }
        let job = self.repairs.jobs.entry(id).or_insert_with(|| Job { due: Time::NEVER, ..Job::default() });
        if !job.missing.contains(&peer) && job.missing.len() < MEMBERS_MAX {
            job.missing.push(peer);
        }
        self.review(ctx, id);
    }

    /// Acts for every group that is due, as far as the window of invitations allows.
    pub(super) fn repair(&mut self, ctx: &mut Ctx<'_>, store: &Store) {
        let mut batches: BTreeMap<NodeId, Vec<BlockId>> = BTreeMap::new();
        let mut last: Option<(SmallVec<[NodeId; 4]>, Vec<NodeId>)> = None;
        while self.repairs.invites.len() + batches.len() < INVITES_MAX
            && let Some(id) = self.repairs.pop(ctx.now)
        {
            for candidate in self.recruits(ctx, id, &mut last) {
                let batch = batches.entry(candidate).or_default();
                batch.push(id);
                if batch.len() == BLOCKS_MAX {
                    let batch = std::mem::take(batch);
                    batches.remove(&candidate);
                    self.invite(ctx, store, candidate, batch);
                }
            }
        }
        for (candidate, ids) in batches {
            self.invite(ctx, store, candidate, ids);
        }
        self.wake_at(self.repairs.due());
    }

    /// Whom to invite for a group that is due. `last` remembers the answer for the group before: often it is the same.
    fn recruits(
        &mut self,
        ctx: &mut Ctx<'_>,
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
        let mut members: SmallVec<[NodeId; 4]> = view.members().iter().chain(&job.asked).copied().collect();
        members.push(self.me);
        let chosen = match last {
            Some((same, chosen)) if *same == members && job.tried.is_empty() && chosen.len() == lacking => {
                chosen.clone()
            }
            _ => {
                let wanted = Wanted { members: &members, tried: &job.tried, count: lacking, own: job.own };
                self.candidates(ctx, &wanted)
            }
        };
        let job = self.repairs.jobs.get_mut(&id).expect("it was just there");
        if job.tried.is_empty() {
            *last = Some((members, chosen.clone()));
        }
        job.asked.extend(chosen.iter().copied());
        if chosen.len() < lacking {
            job.tried.clear();
            self.schedule_repair(id, ctx.now + RETRY);
        }
        chosen
    }

    /// A group has enough members without anybody being recruited: a leaving node takes itself out.
    fn repair_done(&mut self, ctx: &mut Ctx<'_>, id: BlockId) {
        self.repairs.forget(id);
        let Some(view) = self.groups.get(&id) else { return };
        if self.leaving.is_some() && view.contains(self.me) {
            let rest = view.members().iter().copied().filter(|&member| self.is_live(member));
            let without = View::new(view.epoch + 1, rest);
            self.adopt(ctx, id, without);
            self.tell_members(id, self.me);
        }
    }

    /// Pushes blocks to `to`, whether or not jobs ask for it.
    pub(super) fn invite(&mut self, ctx: &mut Ctx<'_>, store: &Store, to: NodeId, ids: Vec<BlockId>) {
        let items: Vec<Invited> = ids.iter().filter_map(|&id| self.invited_item(store, to, id)).collect();
        let views: Vec<Viewed> = items.iter().map(|item| Viewed { id: item.id, view: item.view.clone() }).collect();
        let bytes: u64 = items.iter().map(|item| item.block.len() as u64).sum();
        self.repairs.last_batch += 1;
        let batch = self.repairs.last_batch;
        let rtt = self.peers.get(to).and_then(|peer| peer.rtt());
        let linked = rtt.map_or(ANSWER_LINKED, |rtt| ANSWER_LINKED.max(rtt * 3));
        let least = if ctx.is_linked(to) { linked } else { ANSWER_UNLINKED };
        self.repairs.in_flight += bytes;
        let within = least + Duration::from_millis(self.repairs.in_flight / BYTES_PER_MS);
        let offers = views.iter().map(|viewed| (viewed.id, viewed.view.digest(viewed.id))).collect();
        self.repairs.invites.insert(batch, Invite { to, offers, until: ctx.now + within, bytes });
        let contacts = self.contacts_of(ctx, to, &views);
        ctx.send(to, DataMessage::Invite { batch, items, contacts });
    }

    fn invited_item(&self, store: &Store, to: NodeId, id: BlockId) -> Option<Invited> {
        let view = self.groups.get(&id)?;
        let block: Block = store.get(id)?.clone();
        let view = if view.contains(to) { view.clone() } else { self.grown(id, view, to) };
        Some(Invited { id, view, block })
    }

    /// The view that follows from `view` when `recruit` is in and those who cannot hold the block are out.
    fn grown(&self, id: BlockId, view: &View, recruit: NodeId) -> View {
        let missing = self.repairs.jobs.get(&id).map_or(&[][..], |job| &job.missing);
        let able = view.members().iter().copied().filter(|member| self.is_live(*member) && !missing.contains(member));
        View::new(view.epoch + 1, able.chain([recruit]))
    }

    /// Takes an invitation: keeps the blocks that match their ids and for which there is room.
    pub(super) fn invited(
        &mut self,
        ctx: &mut Ctx<'_>,
        store: &mut Store,
        from: NodeId,
        batch: u64,
        items: Vec<Invited>,
    ) {
        let (mut taken, mut refused, mut views) = (Vec::new(), Vec::new(), Vec::new());
        for Invited { id, view, block } in items {
            if self.leaving.is_some() || !view.contains(self.me) {
                refused.push(id);
            } else if self.groups.contains_key(&id) {
                taken.push(id);
                views.extend(self.merge(ctx, from, id, view));
            } else if block.is(id) && store.insert(id, block, Some(from)) {
                taken.push(id);
                self.follow(ctx, id, view);
            } else {
                refused.push(id);
            }
        }
        ctx.send(from, DataMessage::InviteReply { batch, taken, refused, views });
    }

    /// Takes the answer to an invitation.
    pub(super) fn invite_answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        from: NodeId,
        batch: u64,
        taken: &[BlockId],
        refused: &[BlockId],
        views: Vec<Viewed>,
    ) {
        self.told_views(ctx, from, views);
        if self.repairs.invites.get(&batch).is_none_or(|invite| invite.to != from) {
            // Too late: somebody else was recruited. What the sender holds beyond its group it will drop.
            taken.iter().for_each(|&id| self.tell(from, id));
            return;
        }
        let invite = self.repairs.invites.remove(&batch).expect("it was just there");
        self.repairs.in_flight -= invite.bytes;
        if !refused.is_empty() {
            self.avoided.add(ctx.now, from);
        }
        for (id, offered) in invite.offers {
            if taken.contains(&id) {
                self.admit(ctx, id, from, Some(offered));
            } else {
                self.declined(ctx, id, from);
            }
        }
    }

    /// `recruit` holds the block now: it becomes a member if the group still wants one. `offered` is the digest of the view
    /// that it was told with the block.
    pub(super) fn admit(&mut self, ctx: &mut Ctx<'_>, id: BlockId, recruit: NodeId, offered: Option<u64>) {
        let own = self.repairs.jobs.get_mut(&id).is_some_and(|job| {
            job.asked.retain(|asked| *asked != recruit);
            job.missing.retain(|missing| *missing != recruit);
            job.own
        });
        let Some(view) = self.groups.get(&id).filter(|view| view.contains(self.me)) else { return };
        if !view.contains(recruit) {
            if self.is_full(id, view) {
                self.tell(recruit, id);
            } else {
                let grown = self.grown(id, view, recruit);
                if offered != Some(grown.digest(id)) {
                    self.tell(recruit, id);
                }
                self.adopt(ctx, id, grown);
                self.tell_members(id, recruit);
                ctx.stats.repairs += u64::from(!own);
            }
        }
        if own {
            self.befriend(recruit);
        }
        self.review(ctx, id);
    }

    /// Whether the group has enough members that can hold the block.
    pub(super) fn is_full(&self, id: BlockId, view: &View) -> bool {
        let missing = self.repairs.jobs.get(&id).map_or(&[][..], |job| &job.missing);
        view.members().iter().filter(|&&member| self.is_live(member) && !missing.contains(&member)).count()
            >= self.replicas
    }

    /// `peer` does not take the block.
    fn declined(&mut self, ctx: &Ctx<'_>, id: BlockId, peer: NodeId) {
        if let Some(job) = self.repairs.jobs.get_mut(&id) {
            job.asked.retain(|asked| *asked != peer);
            if !job.tried.contains(&peer) {
                job.tried.push(peer);
            }
            self.schedule_repair(id, ctx.now);
        }
    }

    /// Gives up invitations that were not answered in time.
    pub(super) fn expire_invites(&mut self, ctx: &mut Ctx<'_>) {
        self.give_up(ctx, |invite, now| invite.until <= now);
    }

    /// Gives up invitations to a peer that is out of reach.
    pub(super) fn withdraw_invites(&mut self, ctx: &mut Ctx<'_>, peer: NodeId) {
        self.give_up(ctx, |invite, _| invite.to == peer);
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>, over: impl Fn(&Invite, Time) -> bool) {
        let gone: Vec<u64> =
            self.repairs.invites.iter().filter(|(_, invite)| over(invite, ctx.now)).map(|(&batch, _)| batch).collect();
        for batch in gone {
            let invite = self.repairs.invites.remove(&batch).expect("it was just there");
            self.repairs.in_flight -= invite.bytes;
            self.avoided.add(ctx.now, invite.to);
            self.buddies.retain(|buddy| *buddy != invite.to);
            invite.offers.into_iter().for_each(|(id, _)| self.declined(ctx, id, invite.to));
        }
    }
}
