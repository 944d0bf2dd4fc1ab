//! Who is dead: beats, probes, suspicion.
//!
//! A beat that does not come starts a suspicion: two quick probes, one more through another peer, and word to all who expect
//! the suspect's beats, so that they look for themselves at once. Whoever gets no answer takes the suspect for dead. A node
//! that finds itself slow, or wrong, is more patient for a while (Lifeguard's local health).

use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt;

use super::super::Ctx;
use super::super::message::{CONTACTS_MAX, DataMessage};
use super::Persist;
use super::peers::Status;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// A node that is woken so much later than it asked for was stalled.
const STALL: Duration = Duration::from_millis(100);
/// A peer that has just proven itself alive is not suspected again for so long on another's word.
const REPRIEVE: Duration = Duration::from_millis(500);
/// Least time for a probe that needs a new link first.
const RELINK: Duration = Duration::from_secs(1);
/// A round trip longer than this is not believed.
const RTT_MAX: Duration = Duration::from_secs(10);
/// Suspicions of this node's own at one time that make it doubt itself, if they are more than half of its peers.
const DOUBT: usize = 3;

/// How well this node itself keeps up, as Lifeguard's local health multiplier.
#[derive(Debug, Default)]
pub(super) struct Health {
    score: u8,
    better_at: Time,
}

impl Health {
    const WORST: u8 = 3;
    const RECOVERY: Duration = Duration::from_secs(10);

    /// By how much every allowance is stretched.
    pub(super) fn patience(&self) -> u32 {
        1 + u32::from(self.score)
    }

    fn worse(&mut self, now: Time) {
        self.score = (self.score + 1).min(Health::WORST);
        self.better_at = now + Health::RECOVERY;
    }

    fn recover(&mut self, now: Time) {
        if self.score > 0 && self.better_at <= now {
            self.score -= 1;
            self.better_at = now + Health::RECOVERY;
        }
    }
}

impl Persist {
    /// A new peer: learns the round trip to it.
    pub(super) fn meet(&mut self, ctx: &mut Ctx<'_>, peer: NodeId) {
        ctx.send(peer, DataMessage::Probe { stamp: self.stamp(ctx.now), asker: None });
    }

    /// Sends the beats that are due, looks for those that did not come.
    pub(super) fn watch(&mut self, ctx: &mut Ctx<'_>) {
        self.health.recover(ctx.now);
        if ctx.now.since(self.next) >= STALL {
            self.health.worse(ctx.now);
            let patience = self.health.patience();
            self.peers.iter_mut().for_each(|peer| peer.excuse(ctx.now, patience));
        }
        let held = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        for beat in self.peers.due_beats(ctx.now, self.heartbeat, self.salt()) {
            // Rounded up: a beat may come before the announced moment, not after it.
            let next_ms = u32::try_from(beat.pause.as_micros().div_ceil(1_000)).unwrap_or(u32::MAX);
            ctx.send(beat.to, DataMessage::Beat { next_ms, digest: beat.digest, held });
            if beat.news {
                self.tell_friends(ctx, beat.to);
            }
        }
        self.look_for_silence(ctx);
    }

    /// Tells `peer` who else expects this node's beats.
    fn tell_friends(&self, ctx: &mut Ctx<'_>, peer: NodeId) {
        let others = self.peers.iter().filter(|other| other.id != peer && other.status != Status::Dead);
        let contacts = others.filter_map(|other| ctx.contact(other.id).cloned()).take(CONTACTS_MAX).collect();
        ctx.send(peer, DataMessage::Friends { contacts });
    }

    /// A peer tells who else expects its beats.
    pub(super) fn told_friends(&mut self, ctx: &mut Ctx<'_>, from: NodeId, contacts: &[Contact]) {
        let Some(peer) = self.peers.get_mut(from) else { return };
        peer.friends = contacts.iter().map(|contact| contact.id).filter(|&friend| friend != self.me).collect();
        contacts.iter().for_each(|contact| ctx.learn(contact));
    }

    fn look_for_silence(&mut self, ctx: &mut Ctx<'_>) {
        let mut missed = Vec::new();
        let mut again = Vec::new();
        let mut dead = Vec::new();
        for peer in self.peers.iter_mut() {
            match peer.status {
                Status::Suspected { until, .. } if until <= ctx.now => dead.push(peer.id),
                Status::Suspected { stamp, again: at, until } if at <= ctx.now => {
                    peer.status = Status::Suspected { stamp, again: Time::NEVER, until };
                    again.push((peer.id, stamp));
                }
                _ if peer.is_missed(ctx.now) => missed.push(peer.id),
                _ => {}
            }
        }
        if missed.len() >= DOUBT && missed.len() * 2 > self.peers.live() {
            self.health.worse(ctx.now);
        }
        for (peer, stamp) in again {
            ctx.send(peer, DataMessage::Probe { stamp, asker: None });
        }
        missed.into_iter().for_each(|peer| self.suspect(ctx, peer, true));
        dead.into_iter().for_each(|peer| self.found_dead(ctx, peer));
    }

    /// Probes `suspect` and has it probed by another peer. At `first_hand`, tells all who expect its beats.
    fn suspect(&mut self, ctx: &mut Ctx<'_>, suspect: NodeId, first_hand: bool) {
        let stamp = self.stamp(ctx.now);
        let patience = self.health.patience();
        let linked = ctx.is_linked(suspect);
        let Some(peer) = self.peers.get_mut(suspect).filter(|peer| peer.status == Status::Alive) else { return };
        let within = if linked { peer.probe_within() } else { peer.probe_within().max(RELINK) } * patience;
        peer.status = Status::Suspected { stamp, again: ctx.now + within / 2, until: ctx.now + within };
        let friends = peer.friends.clone();
        self.wake_at(ctx.now + within / 2);
        ctx.send(suspect, DataMessage::Probe { stamp, asker: None });
        let others: Vec<NodeId> = self.members_beside(suspect).into_iter().collect();
        if !others.is_empty() {
            let helper = others[ctx.random.random_range(0..others.len())];
            ctx.send(helper, DataMessage::ProbeFor { peer: suspect, stamp });
        }
        if first_hand {
            // To dial somebody whose address is not known takes longer than that one needs to notice by itself.
            let friends = friends.into_iter().filter(|&friend| ctx.is_linked(friend) || ctx.contact(friend).is_some());
            let told: BTreeSet<NodeId> = others.into_iter().chain(friends).collect();
            for other in told {
                ctx.send(other, DataMessage::Suspect { peer: suspect });
            }
        }
    }

    /// Live peers in those groups of this node that `peer` is in.
    fn members_beside(&self, peer: NodeId) -> BTreeSet<NodeId> {
        let groups = self.groups.values().filter(|view| view.contains(peer) && view.contains(self.me));
        let others = groups.flat_map(|view| view.members()).copied();
        others.filter(|&other| other != peer && other != self.me && self.is_live(other)).collect()
    }

    fn found_dead(&mut self, ctx: &mut Ctx<'_>, peer: NodeId) {
        self.peers.bury(peer);
        self.buddies.retain(|buddy| *buddy != peer);
        ctx.stats.peer_failures_detected += 1;
        let shared: Vec<BlockId> =
            self.groups.iter().filter(|(_, view)| view.contains(peer)).map(|(&id, _)| id).collect();
        self.revisits.bury(ctx.now, peer, ctx.contact(peer).cloned(), &shared);
        ctx.bury(peer);
        for id in shared {
            self.review(ctx, id);
            self.changed.push(id);
        }
        self.withdraw_invites(ctx, peer);
    }

    /// Something came from `from`: it lives.
    pub(in super::super) fn heard(&mut self, ctx: &mut Ctx<'_>, from: NodeId) {
        let patience = self.health.patience();
        match self.peers.spoke(from, ctx.now, self.heartbeat, patience) {
            None => {}
            Some(Status::Dead) => {
                self.health.worse(ctx.now);
                self.wake_at(ctx.now);
                let shared = self.groups.iter().filter(|(_, view)| view.contains(from)).map(|(&id, _)| id);
                self.changed.extend(shared);
            }
            Some(_) => {
                if let Some(peer) = self.peers.get_mut(from) {
                    peer.trusted_until = ctx.now + REPRIEVE;
                }
            }
        }
    }

    /// The transport says that `peer` may be gone.
    pub(super) fn hint(&mut self, ctx: &mut Ctx<'_>, peer: NodeId, unreachable: bool) {
        match self.peers.get(peer).map(|peer| peer.status) {
            Some(Status::Suspected { .. }) if unreachable => self.found_dead(ctx, peer),
            Some(Status::Alive) => self.suspect(ctx, peer, true),
            _ => {}
        }
    }

    pub(super) fn beat(&mut self, ctx: &mut Ctx<'_>, from: NodeId, next_ms: u32, digest: u64, held: u32) {
        let patience = self.health.patience();
        let Some(peer) = self.peers.get_mut(from) else {
            self.beaten_by_stranger(ctx, from, digest);
            return;
        };
        peer.beat(ctx.now, Duration::from_millis(next_ms.into()), patience);
        peer.held = held;
        let settled = ctx.now.since(peer.changed) >= super::peers::SETTLE && ctx.now >= peer.sync_after;
        if peer.digest != digest && settled {
            self.compare(ctx, from);
        }
    }

    pub(super) fn answered_probe(&mut self, ctx: &mut Ctx<'_>, from: NodeId, stamp: u64, asker: Option<NodeId>) {
        match asker {
            Some(asker) if self.peers.get(asker).is_some() => {
                ctx.send(asker, DataMessage::Vouch { peer: from, stamp });
            }
            Some(_) => {}
            None => {
                let sent = Time::from_micros(stamp ^ self.salt());
                let Some(peer) = self.peers.get_mut(from) else { return };
                if sent < ctx.now && ctx.now.since(sent) <= RTT_MAX {
                    peer.measured(ctx.now.since(sent));
                }
            }
        }
    }

    /// A peer asks for help in finding out about another, with which both share a group.
    pub(super) fn probe_for(&mut self, ctx: &mut Ctx<'_>, from: NodeId, peer: NodeId, stamp: u64) {
        if self.peers.get(from).is_some() && self.peers.get(peer).is_some() && ctx.is_linked(peer) {
            ctx.send(peer, DataMessage::Probe { stamp, asker: Some(from) });
        }
    }

    /// Another peer has reached the suspect: it lives, and the trouble is between the two of us.
    pub(super) fn vouched(&mut self, ctx: &mut Ctx<'_>, from: NodeId, suspect: NodeId, stamp: u64) {
        let asked = |status| matches!(status, Status::Suspected { stamp: own, .. } if own == stamp);
        if self.peers.get(from).is_some() && self.peers.get(suspect).is_some_and(|peer| asked(peer.status)) {
            self.health.worse(ctx.now);
            let patience = self.health.patience();
            self.peers.spoke(suspect, ctx.now, self.heartbeat, patience);
        }
    }

    /// Somebody misses a peer's beat. Believed of anybody: it costs two probes, and those not often.
    pub(super) fn told_of_suspicion(&mut self, ctx: &mut Ctx<'_>, suspect: NodeId) {
        let Some(peer) = self.peers.get(suspect).filter(|peer| peer.trusted_until <= ctx.now) else { return };
        if peer.status == Status::Alive {
            self.suspect(ctx, suspect, false);
        }
    }

    /// Names a probe and tells when it was sent, in a form of this node's own.
    fn stamp(&self, now: Time) -> u64 {
        now.as_micros() ^ self.salt()
    }
}
