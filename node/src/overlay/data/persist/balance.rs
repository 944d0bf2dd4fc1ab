//! Load balance: a node that holds next to nothing gets blocks from those that hold more.
//!
//! Repairs and puts choose among the peers that a node knows, and few know a newcomer. So a node that holds nothing, or far less
//! than its peers, says so to one of them, or to a neighbour. Whoever hears of it recruits it first, and hands some of its own
//! copies on to it: the light node becomes a member, and the giver leaves the group once all members have shown the block.
//!
//! Each block that moves may make more pairs of nodes that send each other heartbeats. So a gift is of one group's members where
//! it can be, and nodes do not strive to hold the same. A node that claims to hold few gets blocks, and is challenged for them
//! like every member. What it shares with the giver it cannot deny.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::{Rng, RngExt};

use super::super::DataCx;
use super::super::message::{BLOCKS_MAX, DataMessage};
use super::super::view::{GroupView, MEMBERS_MAX};
use super::peers::PeerStatus;
use super::{OwnCopy, Persist};
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Pause before a light node asks again. After each time in vain it is twice as long, up to four times.
const SEEK_EVERY: Duration = Duration::from_secs(1);
const SEEK_DOUBLED_MAX: u32 = 2;
/// Pause after blocks have come.
const SEEK_ON_AFTER: Duration = Duration::from_millis(250);
/// Least pause between two gifts of a node.
const GIFT_EVERY: Duration = Duration::from_millis(250);
/// How long a peer that has said that it holds few blocks is recruited first.
const LIGHT_FOR: Duration = Duration::from_secs(30);
/// Most peers remembered that have said so.
const LIGHT_MAX: usize = 32;
/// Differences up to so many blocks are not worth a move.
const UNEVEN_MIN: u64 = 32;
/// A node asks for blocks if its peers hold more than so many times as much on average.
const FAR_LESS: u64 = 4;
/// Whoever gives holds so many blocks more at least.
const GIVER_MORE: u64 = 3;
/// Groups that are looked at to find some to hand on.
const SCANNED_MAX: usize = 256;

/// More blocks than this are much more than `held`.
pub(super) fn heavier_than(held: u64) -> u64 {
    held + held / 8 + UNEVEN_MIN
}

#[derive(Clone, Copy, Debug)]
struct LightPeer {
    held: u32,
    until: Time,
}

/// What is known of peers that hold few blocks, and when this node asks for some.
#[derive(Debug, Default)]
pub(super) struct Balance {
    light: BTreeMap<NodeId, LightPeer>,
    /// When this node looks whether it holds less than others. At its first link at the earliest.
    seek_at: Option<Time>,
    /// Times in a row that asking brought nothing.
    in_vain: u32,
    /// Whether blocks have come since it last asked.
    was_fed: bool,
    give_after: Time,
}

impl Balance {
    pub(super) fn due(&self) -> Time {
        self.seek_at.unwrap_or(Time::NEVER)
    }

    /// What `peer` has said of late, as one that holds few blocks.
    fn light(&self, now: Time, peer: NodeId) -> Option<u64> {
        self.light.get(&peer).filter(|light| light.until > now).map(|light| light.held.into())
    }

    fn note(&mut self, now: Time, peer: NodeId, held: u32) {
        self.light.retain(|_, light| light.until > now);
        if self.light.len() < LIGHT_MAX || self.light.contains_key(&peer) {
            self.light.insert(peer, LightPeer { held, until: now + LIGHT_FOR });
        }
    }

    /// Blocks have come to this node: there may be more where they come from.
    fn fed(&mut self, now: Time) {
        (self.in_vain, self.was_fed) = (0, true);
        self.seek_at = self.seek_at.map(|at| at.min(now + SEEK_ON_AFTER));
    }
}

impl Persist {
    /// A link is up: from now on this node looks whether it holds less than others.
    pub(super) fn begin_seeking(&mut self, now: Time) {
        if self.balance.seek_at.is_none() {
            self.balance.seek_at = Some(now);
            self.wake_at(now);
        }
    }

    /// When this node asks for blocks next. With group peers it need not be woken to find that it holds enough: heartbeats do.
    pub(super) fn seek_due(&self) -> Time {
        let is_seeking = self.balance.in_vain > 0 || self.balance.was_fed || self.peers.live() == 0;
        if is_seeking { self.balance.due() } else { Time::NEVER }
    }

    /// If this node holds less than others, says so to one of them.
    pub(super) fn seek_blocks(&mut self, ctx: &mut DataCx<'_, '_>) {
        if ctx.now < self.balance.due() {
            return;
        }
        self.balance.was_fed = false;
        if !self.holds_few(ctx) {
            self.balance.in_vain = 0;
            self.balance.seek_at = Some(ctx.now + SEEK_EVERY);
            return;
        }
        self.balance.seek_at = Some(ctx.now + SEEK_EVERY * 2_u32.pow(self.balance.in_vain.min(SEEK_DOUBLED_MAX)));
        // The heaviest peer is the best giver, unless it gives nothing.
        let heaviest = self.live_loads().max().map(|(_, peer)| peer).filter(|_| self.balance.in_vain.is_multiple_of(2));
        let neighbours: Vec<NodeId> = ctx.neighbours().filter(|&peer| !self.distrusted.contains(peer)).collect();
        let random = (!neighbours.is_empty()).then(|| neighbours[ctx.random.random_range(0..neighbours.len())]);
        self.balance.in_vain += 1;
        if let Some(peer) = heaviest.or(random) {
            let held = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
            ctx.send(peer, DataMessage::Light { held });
        }
    }

    /// Whether this node holds less than its group peers on average, or has none, and has room.
    fn holds_few(&self, ctx: &DataCx<'_, '_>) -> bool {
        let (count, sum) = self.live_loads().fold((0, 0), |(count, sum), (load, _)| (count + 1, sum + load));
        let (own, mean) = (self.groups.len() as u64, sum.checked_div(count));
        let is_less = own == 0 || mean.is_some_and(|mean| own * FAR_LESS < mean);
        is_less && ctx.store.free() > ctx.store.limit() / 8
    }

    fn live_loads(&self) -> impl Iterator<Item = (u64, NodeId)> + '_ {
        let live = self.peers.iter().filter(|peer| peer.status == PeerStatus::Alive);
        live.filter(|peer| !self.distrusted.contains(peer.id)).map(|peer| (peer.load(), peer.id))
    }

    /// Blocks that live peers hold, as far as known.
    pub(super) fn known_loads(&self, now: Time) -> impl Iterator<Item = u64> + '_ {
        let strangers = self.balance.light.iter().filter(|(peer, _)| self.peers.get(**peer).is_none());
        let light = strangers.filter(move |(_, light)| light.until > now).map(|(_, light)| light.held.into());
        self.live_loads().map(|(load, _)| load).chain(light)
    }

    /// Blocks that `peer` holds, if that is known.
    pub(super) fn load_of(&self, now: Time, peer: NodeId) -> Option<u64> {
        self.peers.get(peer).map(|peer| peer.load()).or_else(|| self.balance.light(now, peer))
    }

    /// Whether `peer` has said of late that it holds few blocks, and still holds far less than this node.
    pub(super) fn is_light(&self, now: Time, peer: NodeId) -> bool {
        let theirs = self.balance.light(now, peer).and_then(|_| self.load_of(now, peer));
        theirs.is_some_and(|theirs| is_worth_a_move(self.groups.len() as u64, theirs))
    }

    /// Whether r others may hold a block instead of this node.
    pub(in super::super) fn can_hand_on(&self) -> bool {
        self.replicas < MEMBERS_MAX
    }

    /// What should become of this node's own copy of a new block: it goes if r others hold much less than this node.
    pub(in super::super) fn own_copy_wanted(&self, ctx: &DataCx<'_, '_>) -> OwnCopy {
        let mut loads: Vec<u64> = self.known_loads(ctx.now).collect();
        loads.sort_unstable();
        let bounds = self.load_bounds(ctx.now);
        let last = loads.get(self.replicas - 1).map(|&held| bounds.excess(held));
        let is_heavy = last.is_some_and(|last| bounds.excess(self.groups.len() as u64) > last);
        if is_heavy && self.can_hand_on() { OwnCopy::MayGo } else { OwnCopy::Stays }
    }

    /// `peer` says how many blocks it holds.
    pub(super) fn note_load(&mut self, now: Time, peer: NodeId, held: u32) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.held = held;
        }
        if self.balance.light(now, peer).is_some() {
            self.balance.note(now, peer, held);
        }
    }

    /// Blocks were taken from peers.
    pub(super) fn note_taken(&mut self, now: Time) {
        self.balance.fed(now);
    }

    /// A peer holds few blocks: it is recruited first, and gets some of this node's.
    pub(super) fn handle_light(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, held: u32) {
        let own = self.groups.len() as u64;
        let theirs = self.peers.get(from).map_or(0, |peer| peer.shared).max(held);
        let is_ready = self.leaving.is_none() && self.comeback.not_before(ctx.now) <= ctx.now;
        if !is_ready || self.distrusted.contains(from) {
            return;
        }
        self.balance.note(ctx.now, from, theirs);
        if !is_worth_a_move(own, theirs.into()) {
            return;
        }
        let is_busy = self.repairs.is_full() || self.repairs.pushes.queued_for(from).next().is_some();
        if ctx.now < self.balance.give_after || is_busy {
            return;
        }
        self.balance.give_after = ctx.now + GIFT_EVERY;
        let count = usize::try_from((own - u64::from(theirs)) / 4).unwrap_or(BLOCKS_MAX).clamp(1, BLOCKS_MAX);
        for id in self.movable_to(ctx, from, count) {
            self.repairs.begin_move(id, from);
        }
    }

    /// Blocks that may be handed on to `peer`: of whole groups without it, which are then spread over as many networks as before.
    fn movable_to(&self, ctx: &mut DataCx<'_, '_>, peer: NodeId, count: usize) -> Vec<BlockId> {
        let mut first = BlockId([0; 32]);
        ctx.random.fill_bytes(&mut first.0);
        let networks = (self.network_of(ctx, peer), self.network_of(ctx, self.me));
        let may_move = |id: BlockId, view: &GroupView| {
            let others = || view.members().iter().filter(|&&member| member != self.me);
            let has = |network: Option<u64>| {
                network.is_none() || others().any(|&other| self.network_of(ctx, other) == network)
            };
            let as_diverse = networks.0 == networks.1 || !has(networks.0) || has(networks.1);
            let is_whole = view.contains(self.me)
                && self.is_full(id, view)
                && view.members().len() <= view.copies_for(self.replicas);
            is_whole && !view.contains(peer) && as_diverse
        };
        let all = self.groups.range(first..).chain(self.groups.range(..first)).take(SCANNED_MAX);
        let mut all = all.filter(|(id, view)| may_move(**id, view));
        let Some((&id, of)) = all.next() else { return Vec::new() };
        let alike = all.filter(|(_, view)| view.members() == of.members()).map(|(&id, _)| id);
        [id].into_iter().chain(alike).take(count).collect()
    }
}

/// Whether whoever holds `own` blocks should give some to a peer that holds `theirs`.
fn is_worth_a_move(own: u64, theirs: u64) -> bool {
    own >= theirs * 2 + GIVER_MORE
}
