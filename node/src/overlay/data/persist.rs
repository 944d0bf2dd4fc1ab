//! Peer Content Groups keep blocks alive.
//!
//! Each block has a group of r members that all store it. Every member has a copy of the [`GroupView`], which lists the members.
//! A change creates a greater view, and the greatest view wins everywhere.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`peers`] | peers that share groups with this node, and the heartbeat schedule |
//! | [`watch`] | failure detection by heartbeats and probes (SWIM: Das, Gupta, Motivala, DSN 2002; Lifeguard: Dadgar, Phillips, Currey 2018) |
//! | [`repair`] | under-replicated groups recruit members, one leader at a time |
//! | [`invited`] | blocks that others push to this node |
//! | [`invites`] | invitations under way: blocks are pushed, and their acknowledgements are waited for |
//! | [`haste`] | new blocks whose recruits take long are also given to peers that are near |
//! | [`pushes`] | how many bytes of them may be under way |
//! | [`failed_repairs`] | repairs that brought no copy, and why |
//! | [`candidates`] | selection of peers to recruit |
//! | [`balance`] | a node that holds few blocks gets some from those that hold more |
//! | [`describe`] | keywords reach every copy of a block |
//! | [`converge`] | anti-entropy: heartbeat digests detect views that differ |
//! | [`comeback`] | a node that restarts with its blocks takes its place in their groups again |
//! | [`ranges`] | where the views of two nodes differ, found by digests of ranges |
//! | [`possession`] | proofs that peers hold what they claim to hold |
//! | [`observed`] | what this node has seen of peers itself |
//! | [`completion`] | what goes on when a block was read or written |
//! | [`trim`] | surplus copies are dropped once the group confirms that it stores the block |
//! | [`revisit`] | peers declared dead are contacted again, in case they are alive |
//! | [`recent_counts`] | how often something has happened of late |
//! | [`objections`] | a live member that a view leaves out for no good reason holds on to its place |
//! | [`left_groups`] | groups that this node has left, for peers that still count on it |
//! | [`announce`] | changed views reach the other members |
//! | [`rechecks`] | live peers that were left out of a group hear of it once more |
//! | [`claims`] | groups of one block that have parted find each other by inventories |
//! | [`leave`] | graceful exit: hand over every group |

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use smallvec::SmallVec;

use super::message::DataMessage;
use super::view::{GroupView, mix};
use super::{DataConfig, DataCx, DataStats};
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

mod announce;
mod balance;
mod candidates;
mod claims;
mod comeback;
mod completion;
mod converge;
mod describe;
mod failed_repairs;
mod haste;
mod invited;
mod invites;
mod leave;
mod left_groups;
mod objections;
mod observed;
mod peers;
mod possession;
mod pushes;
mod ranges;
mod recent_counts;
mod rechecks;
mod repair;
mod revisit;
mod trim;
mod watch;

use balance::Balance;
use candidates::AvoidedPeers;
use claims::OutsideClaims;
use comeback::Comeback;
use completion::InviteAnswers;
use describe::ClaimedKeywords;
use failed_repairs::FailedRepairs;
pub use failed_repairs::{FailedRepair, RepairFailure};
use leave::LeaveState;
use left_groups::LeftGroups;
use objections::Objections;
use observed::ObservedPeers;
use peers::GroupPeers;
pub(super) use possession::PossessionRead;
use possession::{DistrustedPeers, Questions};
use recent_counts::RecentCounts;
use rechecks::Rechecks;
pub(super) use repair::OwnCopy;
use repair::Repairs;
use revisit::Revisits;
use trim::{ExtraCopy, SHRUNK_FOR};
use watch::{LocalHealth, ReceivedHeartbeat};

/// Largest step of an epoch that is accepted from a peer. Bounds the damage that a malicious peer can do.
const EPOCH_STEP_MAX: u64 = 1 << 16;
/// Greatest epoch of a group that is not known yet. From there, steps do not lead to an epoch that no message may hold.
const EPOCH_FIRST_MAX: u64 = 1 << 32;

/// The groups of this node and the protocol state that keeps them alive.
#[derive(Debug)]
pub(super) struct Persist {
    // What every input looks at comes first: together it is in few lines of the cache, of which a simulation has too few.
    me: NodeId,
    next: Time,
    heartbeat: Duration,
    health: LocalHealth,
    peers: GroupPeers,
    comeback: Comeback,
    leaving: Option<LeaveState>,
    /// Peers that have shown or acknowledged to hold a block, since [`Persist::take_proven`].
    proven: Vec<(BlockId, NodeId)>,
    /// Blocks whose groups have changed since [`Persist::take_changed`].
    changed: Vec<BlockId>,
    /// Surplus copies dropped since [`Persist::take_trimmed`].
    trimmed: Vec<BlockId>,
    /// Views to send to each peer, gathered while an input is handled.
    changed_views: BTreeMap<NodeId, BTreeSet<BlockId>>,
    /// Blocks whose keywords are to be sent to each peer, gathered while an input is handled.
    changed_keywords: BTreeMap<NodeId, BTreeSet<BlockId>>,
    claimed_keywords: ClaimedKeywords,
    questions: Questions,
    left_groups: LeftGroups,
    revisits: Revisits,
    rechecks: Rechecks,
    objections: Objections,
    claims: OutsideClaims,
    distrusted: DistrustedPeers,
    /// Blocks held beyond their groups.
    extras: BTreeMap<BlockId, ExtraCopy>,
    /// Groups that had too many members.
    shrunk: RecentCounts<BlockId>,
    repairs: Repairs,
    /// One for each block in the store.
    groups: BTreeMap<BlockId, GroupView>,
    replicas: usize,
    /// Drawn at the first heartbeat; 0 before.
    incarnation: u64,
    /// First choice for blocks of this node's own application; most recent last, at most [`candidates::PREFERRED_PEERS_MAX`].
    preferred_peers: SmallVec<[NodeId; 2]>,
    avoided: AvoidedPeers,
    observed: ObservedPeers,
    balance: Balance,
    /// New blocks of this node's application for which no peer has room, since [`Persist::take_without_room`].
    without_room: Vec<BlockId>,
    /// Answers to invitations whose blocks are being written.
    invite_answers: InviteAnswers,
    failed_repairs: FailedRepairs,
}

impl Persist {
    pub(super) fn new(config: &DataConfig) -> Self {
        Persist {
            me: NodeId([0; 32]),
            replicas: config.replicas,
            heartbeat: config.heartbeat,
            groups: BTreeMap::new(),
            peers: GroupPeers::default(),
            health: LocalHealth::default(),
            repairs: Repairs::default(),
            extras: BTreeMap::new(),
            shrunk: RecentCounts::new(SHRUNK_FOR),
            preferred_peers: SmallVec::new(),
            avoided: AvoidedPeers::default(),
            distrusted: DistrustedPeers::default(),
            observed: ObservedPeers::default(),
            balance: Balance::default(),
            questions: Questions::default(),
            proven: Vec::new(),
            revisits: Revisits::default(),
            left_groups: LeftGroups::default(),
            rechecks: Rechecks::default(),
            objections: Objections::default(),
            claims: OutsideClaims::default(),
            changed_views: BTreeMap::new(),
            changed_keywords: BTreeMap::new(),
            claimed_keywords: ClaimedKeywords::default(),
            changed: Vec::new(),
            trimmed: Vec::new(),
            without_room: Vec::new(),
            invite_answers: InviteAnswers::default(),
            failed_repairs: FailedRepairs::default(),
            leaving: None,
            comeback: Comeback::default(),
            incarnation: 0,
            next: Time::NEVER,
        }
    }

    /// Sets the id of this node.
    pub(super) fn set_me(&mut self, me: NodeId) {
        self.me = me;
    }

    /// Creates the group of a block that this node's application puts and that the store already has.
    pub(super) fn found_group(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId, own_copy: OwnCopy) {
        if !self.groups.contains_key(&id) {
            // After a put that was refused, others may still hold what they took.
            let view = self.left_groups.rejoined(ctx.now, id, self.me).unwrap_or_else(|| self.founding_view());
            self.set_view(ctx, id, view);
        }
        self.question_members(id, &[]);
        self.repairs.own(id, own_copy);
        self.schedule_repair(id, ctx.now);
    }

    /// The view of a group that this node founds.
    pub(super) fn founding_view(&self) -> GroupView {
        GroupView::new(1, [self.me]).wanting(self.replicas)
    }

    /// Blocks whose groups have changed since the last call.
    pub(super) fn take_changed(&mut self) -> Vec<BlockId> {
        std::mem::take(&mut self.changed)
    }

    /// Repairs that brought no copy: the last ones, oldest first.
    pub(super) fn failed_repairs(&self) -> impl Iterator<Item = &FailedRepair> {
        self.failed_repairs.iter()
    }

    /// Peers that have shown or acknowledged to hold a block, since the last call.
    pub(super) fn take_proven(&mut self) -> Vec<(BlockId, NodeId)> {
        std::mem::take(&mut self.proven)
    }

    /// Surplus copies dropped since the last call: r others store these blocks.
    pub(super) fn take_trimmed(&mut self) -> Vec<BlockId> {
        std::mem::take(&mut self.trimmed)
    }

    /// New blocks of this node's application for which no peer has room, since the last call.
    pub(super) fn take_without_room(&mut self) -> Vec<BlockId> {
        std::mem::take(&mut self.without_room)
    }

    /// Live peers that share groups with this node. They are linked and likely to store related blocks.
    pub(super) fn live_peers(&self) -> impl Iterator<Item = NodeId> + '_ {
        let live = self.peers.iter().filter(|peer| peer.status == peers::PeerStatus::Alive).map(|peer| peer.id);
        live.filter(|&peer| !self.distrusted.contains(peer))
    }

    /// Contacts of the live members of a block's group, for `peer`.
    pub(super) fn other_holders(&self, ctx: &DataCx<'_, '_>, id: BlockId, peer: NodeId) -> Vec<Contact> {
        self.viewed(id).map_or(Vec::new(), |viewed| self.contacts_of(ctx, peer, &[viewed]))
    }

    /// When [`Persist::wake`] is due.
    pub(super) fn due(&self) -> Time {
        self.next
    }

    /// Runs every timer that is due.
    pub(super) fn wake(&mut self, ctx: &mut DataCx<'_, '_>) {
        if ctx.now < self.next {
            return;
        }
        self.trust_again(ctx);
        self.watch(ctx);
        self.expire_invites(ctx);
        if self.leaving.is_none() {
            self.revisit(ctx);
            self.recheck(ctx);
            self.trim(ctx);
            self.seek_blocks(ctx);
        }
        self.settle(ctx);
        let leaving = self.leaving.as_ref().map_or(Time::NEVER, LeaveState::due);
        let extras =
            self.extras.values().filter(|_| self.leaving.is_none()).map(ExtraCopy::due).min().unwrap_or(Time::NEVER);
        let visits = self.revisits.due().min(self.rechecks.due()).min(self.claims.due()).min(self.seek_due());
        let visits = if self.leaving.is_none() { visits } else { Time::NEVER };
        let due = self.peers.due().min(self.repairs.due()).min(self.distrusted.due());
        self.next = due.min(extras).min(visits).min(leaving);
    }

    /// Completes the handling of an input: recruits members and broadcasts changed views.
    pub(super) fn settle(&mut self, ctx: &mut DataCx<'_, '_>) {
        self.repair(ctx);
        self.broadcast_changed_views(ctx);
        self.send_changed_keywords(ctx);
        self.ask_queued(ctx);
        self.send_absent(ctx);
        self.finish_leaving(ctx);
    }

    /// A link is down, or a dial failed.
    pub(super) fn link_lost(&mut self, ctx: &mut DataCx<'_, '_>, peer: NodeId, unreachable: bool) {
        self.link_lost_to(ctx, peer, unreachable);
        if unreachable {
            self.withdraw_invites(ctx, peer);
        } else {
            self.repeat_invites(peer);
        }
        self.settle(ctx);
    }

    /// Handles a message. The caller has checked its bounds and called [`Persist::note_alive`] for the sender.
    pub(super) fn handle(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, message: DataMessage) {
        match message {
            DataMessage::Heartbeat { next_ms, digest, held, incarnation, challenge, answer } => {
                let pause = Duration::from_millis(next_ms.into());
                let (challenge, answer) = (challenge.map(|challenge| *challenge), answer.map(|answer| *answer));
                let heartbeat = ReceivedHeartbeat { pause, digest, held, incarnation, challenge, answer };
                self.handle_heartbeat(ctx, from, heartbeat);
            }
            DataMessage::Probe { stamp, asker } => ctx.send(from, DataMessage::ProbeAck { stamp, asker }),
            DataMessage::ProbeAck { stamp, asker } => self.handle_probe_ack(ctx, from, stamp, asker),
            DataMessage::IndirectProbe { peer, stamp } => self.handle_indirect_probe(ctx, from, peer, stamp),
            DataMessage::IndirectAck { peer, stamp } => self.handle_indirect_ack(ctx, from, peer, stamp),
            DataMessage::Reunion => self.handle_reunion(ctx, from),
            DataMessage::Absent { peer, blocks } => self.handle_absent(ctx, from, peer, blocks),
            DataMessage::Suspect { peer } => self.handle_suspicion(ctx, peer),
            DataMessage::PeerList { contacts } => self.handle_peer_list(ctx, from, &contacts),
            DataMessage::Invite { batch, items, contacts } => {
                contacts.iter().for_each(|contact| ctx.learn(contact));
                self.handle_invite(ctx, from, batch, items);
            }
            DataMessage::Light { held } => self.handle_light(ctx, from, held),
            DataMessage::InviteReply { batch, taken, refused, views, held } => {
                self.handle_invite_reply(ctx, from, batch, &taken, &refused, views);
                self.note_load(ctx.now, from, held);
            }
            DataMessage::Views { views, contacts } => {
                contacts.iter().for_each(|contact| ctx.learn(contact));
                self.handle_views(ctx, from, views);
            }
            DataMessage::Sync { from: first, to, views } => self.handle_sync(ctx, from, first, to, views),
            DataMessage::SyncReply { views, lost } => self.handle_sync_reply(ctx, from, views, &lost),
            DataMessage::Ranges { ranges } => self.handle_ranges(ctx, from, &ranges),
            DataMessage::Vacant { from: first, to } => self.handle_vacant(ctx, from, first, to),
            DataMessage::Confirm { nonce, views } => self.handle_confirm(ctx, from, nonce, views),
            DataMessage::ConfirmReply { nonce, held, lost } => {
                self.handle_confirm_reply(ctx, from, nonce, (held, &lost));
            }
            DataMessage::Describe { blocks } => self.handle_describe(ctx, from, &blocks),
            DataMessage::Search { .. }
            | DataMessage::SearchReply { .. }
            | DataMessage::Find { .. }
            | DataMessage::FindReply { .. }
            | DataMessage::Flood { .. }
            | DataMessage::FloodReply { .. }
            | DataMessage::FloodAck { .. }
            | DataMessage::Inventories { .. }
            | DataMessage::InventoryRequests { .. } => unreachable!("these messages are handled elsewhere"),
        }
        self.settle(ctx);
    }

    /// Sets the gauges. Only the member with the highest id counts a group, so each group is counted once.
    pub(super) fn gauges(&self, stats: &mut DataStats) {
        stats.group_peers = self.peers.live() as u64;
        let led = self.groups.values().filter(|view| view.members().last() == Some(&self.me));
        for view in led {
            let live = view.members().iter().filter(|&&member| self.is_live(member)).count();
            *match live.cmp(&view.copies_for(self.replicas)) {
                std::cmp::Ordering::Less => &mut stats.groups_under_replicated,
                std::cmp::Ordering::Equal => &mut stats.groups_healthy,
                std::cmp::Ordering::Greater => &mut stats.groups_over_replicated,
            } += 1;
        }
    }

    /// Asks to be woken at `at` or earlier.
    fn wake_at(&mut self, at: Time) {
        self.next = self.next.min(at);
    }

    fn is_live(&self, member: NodeId) -> bool {
        if member == self.me {
            return self.leaving.is_none();
        }
        !self.peers.is_dead(member) && !self.distrusted.contains(member)
    }

    /// Whether `peer` is live and was not found to claim blocks that it does not hold.
    pub(super) fn counts(&self, peer: NodeId) -> bool {
        self.is_live(peer)
    }

    /// Replaces this node's view of a group by the `view` of another member.
    fn accept_view(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId, view: GroupView) {
        let old = ctx.store.described().of(id).and_then(|_| self.groups.get(&id).cloned());
        self.set_view(ctx, id, view);
        if let Some(old) = old {
            self.compare_keywords(ctx, id, &old);
        }
        self.defer_repair(ctx, id);
    }

    /// Gives a group its next view: this node's own, and that of the other members.
    fn set_view_of_all(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId, view: GroupView) {
        self.set_view(ctx, id, view);
        self.announce_view_to_members(id, self.me);
    }

    /// Replaces this node's view of a group whose block it stores.
    fn set_view(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId, view: GroupView) {
        let others = |view: &GroupView, me: NodeId| -> SmallVec<[NodeId; 3]> {
            let within = view.contains(me);
            view.members().iter().copied().filter(|&member| within && member != me).collect()
        };
        let digest = view.digest(id);
        for peer in others(&view, self.me) {
            let path = ctx.path(peer).copied();
            self.peers.share(peer, digest, ctx.now, self.heartbeat, path);
        }
        if view.contains(self.me) {
            self.extras.remove(&id);
        } else {
            let before = self.extras.remove(&id);
            let former = self.groups.get(&id).filter(|old| old.contains(self.me)).cloned();
            let due = self.comeback.not_before(ctx.now);
            self.extras.insert(id, ExtraCopy::new(due, before, former));
            self.wake_at(due);
        }
        let old = self.groups.insert(id, view);
        if let Some(old) = old {
            // The first view is noted together with the block.
            ctx.note_view(id, &self.groups[&id]);
            for peer in others(&old, self.me) {
                self.peers.unshare(peer, old.digest(id), ctx.now);
            }
            self.recheck_left_out(ctx.now, id, &old);
        }
        self.changed.push(id);
        self.wake_at(self.peers.due().min(self.rechecks.due()));
        self.review(ctx, id);
    }

    /// Drops a block and its group.
    fn drop_block(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId) {
        let group = self.groups.remove(&id);
        if let Some(view) = group.as_ref().filter(|view| !view.contains(self.me)) {
            self.left_groups.add(ctx.now, id, view.clone());
        }
        if let Some(view) = group.filter(|view| view.contains(self.me)) {
            let digest = view.digest(id);
            for &member in view.members().iter().filter(|&&member| member != self.me) {
                self.peers.unshare(member, digest, ctx.now);
            }
        }
        self.extras.remove(&id);
        self.repairs.forget(id);
        ctx.delete_block(id);
    }

    /// Whether this node stores the block as a member of its group or beyond it.
    pub(super) fn holds(&self, id: BlockId) -> bool {
        self.groups.contains_key(&id)
    }

    /// This node's view of a group whose block it holds.
    pub(super) fn view_of(&self, id: BlockId) -> Option<&GroupView> {
        self.groups.get(&id)
    }

    /// A constant of this node, different on every node. Spreads choices and heartbeat phases.
    fn salt(&self) -> u64 {
        mix(self.me.prefix())
    }
}
