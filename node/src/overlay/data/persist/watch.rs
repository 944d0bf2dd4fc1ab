//! Failure detection: heartbeats, probes, suspicion.
//!
//! A missing heartbeat starts a suspicion: two quick probes, one indirect probe through another peer, and a `Suspect` message
//! to all other group peers of the suspect, which then probe it at once. A node without an answer declares the suspect dead. A
//! node that finds itself slow or wrong is more patient for a while (Lifeguard's local health).
//!
//! How long a suspicion lasts follows from the path to the suspect. A suspect from which anything has come since, be it an
//! acknowledgement of the transport, is not dead: its answer waits behind other messages.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt;

use super::super::DataCx;
use super::super::message::{CONTACTS_MAX, Challenge, ChallengeAnswer, DataMessage};
use super::Persist;
use super::peers::PeerStatus;
use super::possession::PossessionRecord;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::path::PathEstimate;
use crate::core::time::Time;

/// A node that is woken this much after its deadline was stalled.
const STALL: Duration = Duration::from_millis(100);
/// For this long after a peer proved itself alive, suspicions of other peers are ignored.
const REPRIEVE: Duration = Duration::from_millis(500);
/// Time in which the transport says when it last heard a suspect: it does so at once.
const VERDICT_AFTER: Duration = Duration::from_millis(5);
/// This many suspicions at once, if of more than half of the peers, count against this node's own health.
const DOUBT: usize = 3;

/// What a heartbeat says.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReceivedHeartbeat {
    /// Until the next one.
    pub(super) pause: Duration,
    pub(super) digest: u64,
    pub(super) held: u32,
    pub(super) incarnation: u64,
    pub(super) challenge: Option<Challenge>,
    pub(super) answer: Option<ChallengeAnswer>,
}

/// Lifeguard's local health multiplier: grows while this node is slow or wrong.
#[derive(Debug, Default)]
pub(super) struct LocalHealth {
    score: u8,
    better_at: Time,
}

impl LocalHealth {
    const WORST: u8 = 3;
    const RECOVERY: Duration = Duration::from_secs(10);

    /// Factor by which every allowance is extended.
    pub(super) fn patience(&self) -> u32 {
        1 + u32::from(self.score)
    }

    fn worse(&mut self, now: Time) {
        self.score = (self.score + 1).min(LocalHealth::WORST);
        self.better_at = now + LocalHealth::RECOVERY;
    }

    fn recover(&mut self, now: Time) {
        if self.score > 0 && self.better_at <= now {
            self.score -= 1;
            self.better_at = now + LocalHealth::RECOVERY;
        }
    }
}

impl Persist {
    /// Sends the heartbeats that are due and checks for missing ones.
    pub(super) fn watch(&mut self, ctx: &mut DataCx<'_, '_>) {
        self.health.recover(ctx.now);
        if ctx.now.since(self.next) >= STALL {
            self.health.worse(ctx.now);
            let patience = self.health.patience();
            self.peers.iter_mut().for_each(|peer| peer.extend_allowance(ctx.now, patience));
        }
        let held = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        while self.incarnation == 0 {
            self.incarnation = ctx.random.random();
        }
        let incarnation = self.incarnation;
        for heartbeat in self.peers.due_heartbeats(ctx.now, self.heartbeat, self.salt()) {
            // Rounded up: a heartbeat may arrive before the announced moment, not after it.
            let next_ms = u32::try_from(heartbeat.pause.as_micros().div_ceil(1_000)).unwrap_or(u32::MAX);
            let (challenge, answer) = self.possession_for(ctx, heartbeat.to);
            let digest = heartbeat.digest;
            // In boxes, since most heartbeats have neither: messages stay small.
            let (challenge, answer) = (challenge.map(Box::new), answer.map(Box::new));
            let message = DataMessage::Heartbeat { next_ms, digest, held, incarnation, challenge, answer };
            ctx.send(heartbeat.to, message);
            if heartbeat.list_changed {
                self.send_peer_list(ctx, heartbeat.to);
            }
        }
        self.check_missed_heartbeats(ctx);
        self.keep_contacts(ctx);
    }

    /// Sends `peer` the list of this node's other group peers.
    fn send_peer_list(&self, ctx: &mut DataCx<'_, '_>, peer: NodeId) {
        let others = self.peers.iter().filter(|other| other.id != peer && other.status != PeerStatus::Dead);
        let contacts = others.filter_map(|other| ctx.contact(other.id).cloned()).take(CONTACTS_MAX).collect();
        ctx.send(peer, DataMessage::PeerList { contacts });
    }

    /// A peer lists its other group peers.
    pub(super) fn handle_peer_list(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, contacts: &[Contact]) {
        let Some(peer) = self.peers.get_mut(from) else { return };
        peer.detail.peer_list = contacts.iter().map(|contact| contact.id).filter(|&friend| friend != self.me).collect();
        contacts.iter().for_each(|contact| ctx.learn(contact));
    }

    fn check_missed_heartbeats(&mut self, ctx: &mut DataCx<'_, '_>) {
        let mut missed = Vec::new();
        let mut again = Vec::new();
        let mut expired = Vec::new();
        for peer in self.peers.iter_mut() {
            match peer.status {
                PeerStatus::Suspected { until, .. } if until <= ctx.now => expired.push(peer.id),
                PeerStatus::Suspected { stamp, again: at, until, asked } if at <= ctx.now => {
                    peer.status = PeerStatus::Suspected { stamp, again: Time::NEVER, until, asked };
                    again.push((peer.id, stamp));
                }
                _ if peer.is_missed(ctx.now) => missed.push(peer.id),
                _ => {}
            }
        }
        let (now, patience) = (ctx.now, self.health.patience());
        missed.retain(|&peer| {
            let (heard, peer) = (ctx.path(peer).map(PathEstimate::heard), self.peers.get_mut(peer));
            peer.is_some_and(|peer| {
                heard.into_iter().for_each(|heard| peer.excuse(heard, patience));
                peer.is_missed(now)
            })
        });
        if missed.len() >= DOUBT && missed.len() * 2 > self.peers.live() {
            self.health.worse(ctx.now);
        }
        for (peer, stamp) in again {
            ctx.send(peer, DataMessage::Probe { stamp, asker: None });
        }
        missed.into_iter().for_each(|peer| self.suspect(ctx, peer, true));
        expired.into_iter().for_each(|peer| self.judge(ctx, peer));
    }

    /// The time of a suspect is up. Its link may still bring something: the transport is asked first.
    fn judge(&mut self, ctx: &mut DataCx<'_, '_>, suspect: NodeId) {
        let (now, salt) = (ctx.now, self.salt());
        let patience = self.health.patience();
        let Some(peer) = self.peers.get_mut(suspect) else { return };
        let PeerStatus::Suspected { stamp, asked, .. } = peer.status else { return };
        let Some(heard) = ctx.path(suspect).map(PathEstimate::heard) else { return self.declare_dead(ctx, suspect) };
        if heard > Time::from_micros(stamp ^ salt) {
            self.peers.heard_from(suspect, now, self.heartbeat, patience);
            return;
        }
        if asked {
            return self.declare_dead(ctx, suspect);
        }
        peer.status = PeerStatus::Suspected { stamp, again: Time::NEVER, until: now + VERDICT_AFTER, asked: true };
        self.wake_at(now + VERDICT_AFTER);
        ctx.measure_path(suspect);
    }

    /// Probes `suspect`, directly and through another peer. If `first_hand`, alerts its other group peers.
    fn suspect(&mut self, ctx: &mut DataCx<'_, '_>, suspect: NodeId, first_hand: bool) {
        let stamp = self.stamp(ctx.now);
        let patience = self.health.patience();
        let Some(peer) = self.peers.get_mut(suspect).filter(|peer| peer.status == PeerStatus::Alive) else { return };
        peer.note_path(ctx.node.path(suspect).copied());
        let within = peer.probe_wait(ctx.node.is_linked(suspect)) * patience;
        let (again, until) = (ctx.now + within / 2, ctx.now + within);
        peer.status = PeerStatus::Suspected { stamp, again, until, asked: false };
        let peer_list = peer.detail.peer_list.clone();
        self.wake_at(ctx.now + within / 2);
        ctx.send(suspect, DataMessage::Probe { stamp, asker: None });
        let others: Vec<NodeId> = self.members_beside(suspect).into_iter().collect();
        if !others.is_empty() {
            let helper = others[ctx.random.random_range(0..others.len())];
            ctx.send(helper, DataMessage::IndirectProbe { peer: suspect, stamp });
        }
        if first_hand {
            // Dialling an unknown address takes longer than that peer needs to notice by itself.
            let peer_list =
                peer_list.into_iter().filter(|&friend| ctx.is_linked(friend) || ctx.contact(friend).is_some());
            let watchers: BTreeSet<NodeId> = others.into_iter().chain(peer_list).collect();
            for other in watchers {
                ctx.send(other, DataMessage::Suspect { peer: suspect });
            }
        }
    }

    /// Other live members of the groups shared with `peer`.
    fn members_beside(&self, peer: NodeId) -> BTreeSet<NodeId> {
        let groups = self.groups.values().filter(|view| view.contains(peer) && view.contains(self.me));
        let others = groups.flat_map(|view| view.members()).copied();
        others.filter(|&other| other != peer && other != self.me && self.is_live(other)).collect()
    }

    fn declare_dead(&mut self, ctx: &mut DataCx<'_, '_>, peer: NodeId) {
        self.peers.mark_dead(peer);
        self.observed.forget(peer);
        self.preferred_peers.retain(|preferred| *preferred != peer);
        ctx.stats.peer_failures_detected += 1;
        let shared: Vec<BlockId> =
            self.groups.iter().filter(|(_, view)| view.contains(peer)).map(|(&id, _)| id).collect();
        self.revisits.add(ctx.now, peer, ctx.contact(peer).cloned(), &shared);
        ctx.evict(peer);
        for id in shared {
            self.review(ctx, id);
            self.changed.push(id);
        }
        self.withdraw_invites(ctx, peer);
    }

    /// A message from `from` proves that it is alive.
    pub(in super::super) fn note_alive(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId) {
        let patience = self.health.patience();
        self.comeback.heard(from);
        match self.peers.heard_from(from, ctx.now, self.heartbeat, patience) {
            None => {}
            Some(PeerStatus::Dead) => {
                self.health.worse(ctx.now);
                self.wake_at(ctx.now);
                let shared = self.groups.iter().filter(|(_, view)| view.contains(from)).map(|(&id, _)| id);
                self.changed.extend(shared);
                // What it was asked before, it may never have heard.
                if let Some(peer) = self.peers.get_mut(from) {
                    peer.detail.possession = PossessionRecord::default();
                }
                self.review_surplus(ctx, from);
            }
            Some(_) => {
                if let Some(peer) = self.peers.get_mut(from) {
                    peer.detail.trusted_until = ctx.now + REPRIEVE;
                }
            }
        }
    }

    /// There is a link to `peer`: it may have restarted, so it gets a heartbeat at once.
    pub(in super::super) fn link_up(&mut self, ctx: &mut DataCx<'_, '_>, peer: NodeId) {
        self.note_alive(ctx, peer);
        self.lost_peer_heard(ctx, peer);
        self.candidate_up(ctx.now, peer);
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.send_heartbeat_at(ctx.now);
            self.wake_at(ctx.now);
        }
    }

    /// The transport reports that `peer` may be gone.
    pub(super) fn link_lost_to(&mut self, ctx: &mut DataCx<'_, '_>, peer: NodeId, unreachable: bool) {
        if self.comeback.awaits(ctx.now, peer) {
            return;
        }
        match self.peers.get(peer).map(|peer| peer.status) {
            Some(PeerStatus::Suspected { .. }) if unreachable => self.declare_dead(ctx, peer),
            Some(PeerStatus::Alive) => self.suspect(ctx, peer, true),
            _ => {}
        }
    }

    pub(super) fn handle_heartbeat(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, heartbeat: ReceivedHeartbeat) {
        let ReceivedHeartbeat { pause, digest, held, incarnation, challenge, answer } = heartbeat;
        let patience = self.health.patience();
        let Some(peer) = self.peers.get_mut(from) else {
            self.handle_stranger_heartbeat(ctx, from, digest);
            return;
        };
        peer.note_path(ctx.node.path(from).copied());
        peer.record_heartbeat(ctx.now, pause, patience);
        peer.held = held;
        let before = std::mem::replace(&mut peer.detail.incarnation, incarnation);
        let restarted = before != 0 && before != incarnation;
        if restarted {
            peer.detail.possession = PossessionRecord::default();
        }
        // What it has after a restart is known at once, not after a pause.
        let settled = restarted
            || ctx.now.since(peer.detail.changed) >= super::peers::SETTLE && ctx.now >= peer.detail.sync_after;
        if peer.digest != digest && settled {
            self.begin_sync(ctx, from);
        }
        if let Some(challenge) = challenge {
            self.handle_challenge(ctx, from, challenge);
        }
        self.handle_challenge_answer(ctx, from, answer);
    }

    pub(super) fn handle_probe_ack(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        stamp: u64,
        asker: Option<NodeId>,
    ) {
        // Whatever comes from a peer proves that it is alive, its own answer too.
        if let Some(asker) = asker.filter(|&asker| self.peers.get(asker).is_some()) {
            ctx.send(asker, DataMessage::IndirectAck { peer: from, stamp });
        }
    }

    /// A peer asks this node to probe another, with which both share a group.
    pub(super) fn handle_indirect_probe(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, peer: NodeId, stamp: u64) {
        if self.peers.get(from).is_some() && self.peers.get(peer).is_some() && ctx.is_linked(peer) {
            ctx.send(peer, DataMessage::Probe { stamp, asker: Some(from) });
        }
    }

    /// Another peer has reached the suspect: it is alive, only the path from here is broken.
    pub(super) fn handle_indirect_ack(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, suspect: NodeId, stamp: u64) {
        let asked = |status| matches!(status, PeerStatus::Suspected { stamp: own, .. } if own == stamp);
        if self.peers.get(from).is_some() && self.peers.get(suspect).is_some_and(|peer| asked(peer.status)) {
            self.health.worse(ctx.now);
            let patience = self.health.patience();
            self.peers.heard_from(suspect, ctx.now, self.heartbeat, patience);
        }
    }

    /// Another peer misses a heartbeat. Accepted from any sender: it costs two probes, at a limited rate.
    pub(super) fn handle_suspicion(&mut self, ctx: &mut DataCx<'_, '_>, suspect: NodeId) {
        let Some(peer) = self.peers.get(suspect).filter(|peer| peer.detail.trusted_until <= ctx.now) else { return };
        if peer.status == PeerStatus::Alive {
            self.suspect(ctx, suspect, false);
        }
    }

    /// Identifies a probe and encodes its send time, masked by this node's salt.
    fn stamp(&self, now: Time) -> u64 {
        now.as_micros() ^ self.salt()
    }
}
