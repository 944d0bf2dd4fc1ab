//! Proof of possession: whoever says that it holds a block shows it.
//!
//! A holder proves itself by a hash of a nonce, its own id and the block. Its id is in it so that no peer can pass on the proof
//! of another. A proof is asked for twice:
//!
//! - A heartbeat asks the peer for one random block of the shared groups. The next heartbeat of the peer has the answer. So a
//!   peer that keeps nothing is found out within seconds, at the same cost for one block or ten thousand. After a proof the peer
//!   is left alone for some heartbeats.
//! - A question about certain blocks ([`DataMessage::Confirm`]) is asked before a surplus copy is dropped, before the view of a
//!   stranger counts, and when a put finds its blocks already stored.
//!
//! A peer that fails, or that is caught at giving false bytes, is distrusted for a while: it counts as no member and is no candidate. No peer learns of that, so there is
//! nothing to accuse others with.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeInclusive};
use std::time::Duration;

use rand::{Rng, RngExt};
use sha2::{Digest, Sha256};

use super::super::block::Block;
use super::super::message::{
    BlockGroup, Challenge, ChallengeAnswer, DataMessage, HeldBlock, Nonce, PROOFS_MAX, PossessionProof,
};
use super::super::store::ReadPurpose;
use super::super::view::GroupView;
use super::super::{DataCx, waits};
use super::Persist;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Times that a peer may be asked in vain, each time with a heartbeat from it after it should have answered. Heartbeats that come all at
/// once, as after an outage or a pause, count as one.
const ASKED_IN_VAIN_MAX: u32 = 3;
/// Heartbeats without a challenge after a proof: hashing a block costs more than all else in a heartbeat. Drawn at random, so that
/// a peer does not know how long it is safe to have dropped its blocks.
const REST_AFTER_PROOF: RangeInclusive<u32> = 4..=16;
/// Challenged blocks lost in a row, after which a peer is taken to have lost all.
const LOSSES_MAX: u32 = 3;
/// Groups that are looked at to find one that is shared with a peer.
const SCANNED_MAX: usize = 256;
/// How long a peer is distrusted the first time. Each further time lasts twice as long, up to 64 times.
const DISTRUSTED_FOR: Duration = Duration::from_secs(60);
const DISTRUST_DOUBLED_MAX: u32 = 6;
/// Most peers remembered as distrusted.
const DISTRUSTED_MAX: usize = 256;
/// A nonce is used for questions to one peer for so long.
pub(super) const NONCE_FOR: Duration = Duration::from_secs(10);
/// Most peers with a question under way.
const QUESTIONED_MAX: usize = 256;

/// A challenge that a peer has not answered yet.
#[derive(Debug)]
pub(super) struct OpenChallenge {
    challenge: Challenge,
    /// When the peer was asked, unless that was in vain.
    asked: Option<Time>,
    in_vain: u32,
}

/// What is known of a peer's possession of the shared blocks.
#[derive(Debug, Default)]
pub(super) struct PossessionRecord {
    open: Option<OpenChallenge>,
    /// Answer for the next heartbeat.
    answer: Option<ChallengeAnswer>,
    /// Lost blocks in a row.
    losses: u32,
    /// Heartbeats without a challenge that the peer has earned by its last proof.
    rest: u32,
    /// Where the search for a shared block goes on, if the last one found none.
    scan_from: Option<BlockId>,
}

/// What happens when blocks are read for the sake of a proof.
#[derive(Clone, Debug)]
pub(in super::super) enum PossessionRead {
    /// The block answers the challenge of a heartbeat.
    Challenge { to: NodeId, challenge: Challenge },
    /// The answer to a challenge is compared with the block.
    VerifyChallenge { from: NodeId, nonce: Nonce, proof: PossessionProof },
    /// They answer a question. Blocks in `lost` are not held.
    Confirm { to: NodeId, nonce: Nonce, lost: Vec<BlockId> },
    /// Proofs are compared with the blocks.
    VerifyHeld { from: NodeId, nonce: Nonce, held: Vec<HeldBlock> },
}

/// Peers that have failed to prove what they claimed.
#[derive(Debug, Default)]
pub(super) struct DistrustedPeers(BTreeMap<NodeId, Distrust>);

#[derive(Debug)]
struct Distrust {
    until: Time,
    times: u32,
    active: bool,
}

impl DistrustedPeers {
    fn add(&mut self, now: Time, peer: NodeId) {
        if self.0.len() >= DISTRUSTED_MAX
            && !self.0.contains_key(&peer)
            && let Some(first) = self.0.iter().min_by_key(|(_, distrust)| distrust.until).map(|(&id, _)| id)
        {
            self.0.remove(&first);
        }
        let distrust = self.0.entry(peer).or_insert(Distrust { until: now, times: 0, active: true });
        distrust.until = now + DISTRUSTED_FOR * 2_u32.pow(distrust.times.min(DISTRUST_DOUBLED_MAX));
        (distrust.times, distrust.active) = (distrust.times + 1, true);
    }

    pub(super) fn contains(&self, peer: NodeId) -> bool {
        self.0.get(&peer).is_some_and(|distrust| distrust.active)
    }

    /// Peers whose time is over; their next failure is remembered as a further one.
    fn expired(&mut self, now: Time) -> Vec<NodeId> {
        let over = self.0.iter_mut().filter(|(_, distrust)| distrust.active && distrust.until <= now);
        over.map(|(&peer, distrust)| {
            distrust.active = false;
            peer
        })
        .collect()
    }

    pub(super) fn due(&self) -> Time {
        self.0.values().filter(|distrust| distrust.active).map(|distrust| distrust.until).min().unwrap_or(Time::NEVER)
    }
}

/// Questions about certain blocks: the nonce for each peer, and the blocks that wait to be asked about.
#[derive(Debug, Default)]
pub(super) struct Questions {
    nonces: BTreeMap<NodeId, (Nonce, Time)>,
    queued: BTreeMap<NodeId, BTreeSet<BlockId>>,
}

impl Questions {
    /// The nonce for questions to `peer`, which are answered within [`NONCE_FOR`] or not at all.
    fn nonce_for(&mut self, ctx: &mut DataCx<'_, '_>, peer: NodeId) -> Nonce {
        let now = ctx.now;
        self.nonces.retain(|_, (_, until)| *until > now);
        if let Some((nonce, _)) = self.nonces.get(&peer) {
            return *nonce;
        }
        if self.nonces.len() >= QUESTIONED_MAX {
            self.nonces.pop_first();
        }
        let nonce = fresh_nonce(ctx);
        self.nonces.insert(peer, (nonce, now + NONCE_FOR));
        nonce
    }

    fn is_asked(&self, now: Time, peer: NodeId, nonce: Nonce) -> bool {
        self.nonces.get(&peer).is_some_and(|&(asked, until)| asked == nonce && until > now)
    }
}

/// Unpredictable to peers, although the generator is none for keys: what they see of it is hashed.
fn fresh_nonce(ctx: &mut DataCx<'_, '_>) -> Nonce {
    let mut drawn = [0; 32];
    ctx.random.fill_bytes(&mut drawn);
    let hash: [u8; 32] = Sha256::digest(drawn).into();
    Nonce(std::array::from_fn(|at| hash[at]))
}

/// Shows that `holder` has the block.
fn proof_of(block: &Block, nonce: Nonce, holder: NodeId) -> PossessionProof {
    let hash = Sha256::new().chain_update(nonce.0).chain_update(holder.0).chain_update(block.bytes.as_ref());
    PossessionProof(hash.finalize().into())
}

impl Persist {
    /// What goes along with a heartbeat to `to`: a question, and the answer to the peer's last one.
    pub(super) fn possession_for(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        to: NodeId,
    ) -> (Option<Challenge>, Option<ChallengeAnswer>) {
        let Some(peer) = self.peers.get_mut(to) else { return (None, None) };
        let answer = peer.detail.possession.answer.take();
        if let Some(open) = &mut peer.detail.possession.open {
            open.asked.get_or_insert(ctx.now);
            return (Some(open.challenge), answer);
        }
        if peer.detail.possession.rest > 0 {
            peer.detail.possession.rest -= 1;
            return (None, answer);
        }
        let id = self.shared_block(ctx, to);
        let challenge = id.map(|id| Challenge { id, nonce: fresh_nonce(ctx) });
        if let Some(peer) = self.peers.get_mut(to) {
            let open = challenge.map(|challenge| OpenChallenge { challenge, asked: Some(ctx.now), in_vain: 0 });
            peer.detail.possession.open = open;
        }
        (challenge, answer)
    }

    /// A random block of a group that is shared with `peer`, if one is found within [`SCANNED_MAX`] groups.
    fn shared_block(&mut self, ctx: &mut DataCx<'_, '_>, peer: NodeId) -> Option<BlockId> {
        let mut first = BlockId([0; 32]);
        match self.peers.get(peer)?.detail.possession.scan_from {
            Some(from) => first = from,
            None => ctx.random.fill_bytes(&mut first.0),
        }
        let beyond = self.groups.range((Bound::Excluded(first), Bound::Unbounded));
        let mut last = first;
        let scanned = beyond.chain(self.groups.range(..=first)).take(SCANNED_MAX);
        // What the peer is known to lack, as after a restart, is not asked for.
        let is_shared = |id: BlockId, view: &GroupView| {
            view.contains(peer) && view.contains(self.me) && !self.repairs.is_missing(id, peer)
        };
        let found = scanned.inspect(|(id, _)| last = **id).find(|(id, view)| is_shared(**id, view)).map(|(&id, _)| id);
        self.peers.get_mut(peer)?.detail.possession.scan_from = found.is_none().then_some(last);
        found
    }

    /// A heartbeat asks for a block: the answer goes with the next one to that peer.
    pub(super) fn handle_challenge(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, challenge: Challenge) {
        let id = challenge.id;
        if !self.holds(id) {
            return self.note_answer(from, ChallengeAnswer { challenge, proof: None });
        }
        let purpose = ReadPurpose::Possession(PossessionRead::Challenge { to: from, challenge });
        if let Some(blocks) = ctx.read_blocks(&[id], purpose) {
            self.answer_challenge(from, challenge, &blocks);
        }
    }

    fn answer_challenge(&mut self, to: NodeId, challenge: Challenge, blocks: &[(BlockId, Block)]) {
        let proof = blocks.first().map(|(_, block)| proof_of(block, challenge.nonce, self.me));
        self.note_answer(to, ChallengeAnswer { challenge, proof });
    }

    fn note_answer(&mut self, to: NodeId, answer: ChallengeAnswer) {
        if let Some(peer) = self.peers.get_mut(to) {
            peer.detail.possession.answer = Some(answer);
        }
    }

    /// A heartbeat has come, perhaps with the answer to the open challenge.
    pub(super) fn handle_challenge_answer(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        answer: Option<ChallengeAnswer>,
    ) {
        let patience = waits::proof(ctx, from);
        let Some(peer) = self.peers.get_mut(from) else { return };
        let Some(open) = &mut peer.detail.possession.open else { return };
        let Challenge { id, nonce } = open.challenge;
        match answer.filter(|answer| answer.challenge == open.challenge) {
            None => {
                if open.asked.is_some_and(|asked| ctx.now.since(asked) >= patience) {
                    (open.asked, open.in_vain) = (None, open.in_vain + 1);
                }
                if open.in_vain >= ASKED_IN_VAIN_MAX {
                    self.distrust(ctx, from);
                }
            }
            Some(ChallengeAnswer { proof: None, .. }) => {
                peer.detail.possession.open = None;
                if self.repairs.is_missing(id, from) {
                    return;
                }
                peer.detail.possession.losses += 1;
                if peer.detail.possession.losses >= LOSSES_MAX {
                    self.distrust(ctx, from);
                } else {
                    self.member_lost(ctx, id, from);
                }
            }
            Some(ChallengeAnswer { proof: Some(proof), .. }) => {
                peer.detail.possession.open = None;
                let purpose = ReadPurpose::Possession(PossessionRead::VerifyChallenge { from, nonce, proof });
                if let Some(blocks) = ctx.read_blocks(&[id], purpose) {
                    self.verify_challenge(ctx, from, (nonce, proof), &blocks);
                }
            }
        }
    }

    fn verify_challenge(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        (nonce, proof): (Nonce, PossessionProof),
        blocks: &[(BlockId, Block)],
    ) {
        // Without the block here there is nothing to compare with.
        let Some((_, block)) = blocks.first() else { return };
        let rest = ctx.random.random_range(REST_AFTER_PROOF);
        if proof_of(block, nonce, from) != proof {
            self.distrust(ctx, from);
        } else if let Some(peer) = self.peers.get_mut(from) {
            (peer.detail.possession.losses, peer.detail.possession.rest) = (0, rest);
        }
    }

    /// A peer did not show what it claimed, or gave false bytes: its places go to others.
    pub(in super::super) fn distrust(&mut self, ctx: &mut DataCx<'_, '_>, peer: NodeId) {
        self.distrusted.add(ctx.now, peer);
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.detail.possession = PossessionRecord::default();
        }
        self.preferred_peers.retain(|preferred| *preferred != peer);
        let shared: Vec<BlockId> =
            self.groups.iter().filter(|(_, view)| view.contains(peer)).map(|(&id, _)| id).collect();
        for id in shared {
            self.review(ctx, id);
            self.changed.push(id);
            if let Some(extra) = self.extras.get_mut(&id) {
                extra.ask_at(ctx.now);
            }
        }
        self.withdraw_invites(ctx, peer);
        self.wake_at(ctx.now);
    }

    /// Peers are trusted again once their time is over.
    pub(super) fn trust_again(&mut self, ctx: &DataCx<'_, '_>) {
        for peer in self.distrusted.expired(ctx.now) {
            self.review_surplus(ctx, peer);
        }
    }

    /// Queues a question to `peer`: does it hold the block?
    pub(super) fn question(&mut self, peer: NodeId, id: BlockId) {
        if peer != self.me && !self.distrusted.contains(peer) {
            self.questions.queued.entry(peer).or_default().insert(id);
        }
    }

    /// Asks the other members of a group whether they hold its block, except for those in `known`.
    pub(in super::super) fn question_members(&mut self, id: BlockId, known: &[NodeId]) {
        let Some(view) = self.groups.get(&id) else { return };
        let others: Vec<NodeId> = view.members().iter().copied().filter(|member| !known.contains(member)).collect();
        others.into_iter().for_each(|member| self.question(member, id));
    }

    /// There is a new link to `peer`: what it was asked over an older one may be lost. Asks it again for those of `ids` that it is said
    /// to hold.
    pub(in super::super) fn question_again(&mut self, peer: NodeId, ids: &[BlockId]) {
        for &id in ids {
            if self.groups.get(&id).is_some_and(|view| view.contains(peer)) {
                self.question(peer, id);
            }
        }
    }

    /// Sends the questions that were queued.
    pub(in super::super) fn ask_queued(&mut self, ctx: &mut DataCx<'_, '_>) {
        while let Some((peer, ids)) = self.questions.queued.pop_first() {
            let views: Vec<BlockGroup> = ids.iter().filter_map(|&id| self.viewed(id)).collect();
            if views.is_empty() {
                continue;
            }
            let nonce = self.questions.nonce_for(ctx, peer);
            for views in views.chunks(PROOFS_MAX) {
                ctx.send(peer, DataMessage::Confirm { nonce, views: views.to_vec() });
            }
        }
    }

    /// Answers a peer that asks whether this node holds blocks.
    pub(super) fn handle_confirm(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        nonce: Nonce,
        views: Vec<BlockGroup>,
    ) {
        let (mut held, mut lost) = (Vec::new(), Vec::new());
        for BlockGroup { id, view } in views {
            if !self.holds(id) {
                lost.push(id);
                continue;
            }
            let is_outside = !view.contains(from);
            self.merge(ctx, from, id, view);
            if is_outside && self.would_readmit(id, from) {
                self.question(from, id);
            }
            held.push(id);
        }
        let purpose = ReadPurpose::Possession(PossessionRead::Confirm { to: from, nonce, lost: lost.clone() });
        if let Some(blocks) = ctx.read_blocks(&held, purpose) {
            self.answer_confirm(ctx, from, nonce, (&blocks, lost));
        }
    }

    fn answer_confirm(
        &self,
        ctx: &mut DataCx<'_, '_>,
        to: NodeId,
        nonce: Nonce,
        (blocks, lost): (&[(BlockId, Block)], Vec<BlockId>),
    ) {
        let proven = |(id, block): &(BlockId, Block)| {
            let view = self.groups.get(id)?.clone();
            Some(HeldBlock { id: *id, view, proof: proof_of(block, nonce, self.me) })
        };
        let held = blocks.iter().filter_map(proven).collect();
        ctx.send(to, DataMessage::ConfirmReply { nonce, held, lost });
    }

    /// Handles the answer to a question of this node. Answers that were not asked for change nothing.
    pub(super) fn handle_confirm_reply(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        nonce: Nonce,
        (held, lost): (Vec<HeldBlock>, &[BlockId]),
    ) {
        if !self.questions.is_asked(ctx.now, from, nonce) || self.distrusted.contains(from) {
            return;
        }
        self.give_lost(from, lost);
        // Dropped since it was asked for: the holder must not be left alone with what it believes.
        let (ids, dropped): (Vec<BlockId>, Vec<BlockId>) =
            held.iter().map(|held| held.id).partition(|&id| self.holds(id));
        dropped.into_iter().for_each(|id| self.tell_left_group(ctx.now, from, id));
        let purpose = ReadPurpose::Possession(PossessionRead::VerifyHeld { from, nonce, held: held.clone() });
        if let Some(blocks) = ctx.read_blocks(&ids, purpose) {
            self.verify_held(ctx, from, nonce, (held, &blocks));
        }
    }

    fn verify_held(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        nonce: Nonce,
        (held, blocks): (Vec<HeldBlock>, &[(BlockId, Block)]),
    ) {
        let blocks: BTreeMap<BlockId, &Block> = blocks.iter().map(|(id, block)| (*id, block)).collect();
        for HeldBlock { id, view, proof } in held {
            let Some(block) = blocks.get(&id) else { continue };
            if proof_of(block, nonce, from) != proof {
                return self.distrust(ctx, from);
            }
            self.possession_proven(ctx, from, id, view);
        }
    }

    /// Blocks are read that a question or an answer is about.
    pub(in super::super) fn possession_read(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        purpose: PossessionRead,
        blocks: &[(BlockId, Block)],
    ) {
        match purpose {
            PossessionRead::Challenge { to, challenge } => self.answer_challenge(to, challenge, blocks),
            PossessionRead::VerifyChallenge { from, nonce, proof } => {
                self.verify_challenge(ctx, from, (nonce, proof), blocks);
            }
            PossessionRead::Confirm { to, nonce, lost } => self.answer_confirm(ctx, to, nonce, (blocks, lost)),
            PossessionRead::VerifyHeld { from, nonce, held } => self.verify_held(ctx, from, nonce, (held, blocks)),
        }
    }
}
