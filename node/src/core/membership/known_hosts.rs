//! Known hosts: a small active view of neighbours, and a bounded, diverse passive view of candidates.
//!
//! The active view is HyParView's (Leitão, Pereira, Rodrigues: DSN 2007): symmetric, bounded, mended when a neighbour goes.
//! The passive view is held to Butter's quality classes: see [`classes`]. A peer that has no neighbour is never refused.
//!
//! Everything here changes tables and returns what to say; [`crate::core`] says it.

use std::time::Duration;

use rand::RngExt;

use crate::core::contact::Contact;
use crate::core::identity::NodeId;
use crate::core::message::MembershipMessage;
use crate::core::path::PathEstimate;
use crate::core::patience::{self, Bounds, Exchange};
use crate::core::random::Random;
use crate::core::time::{Deadline, Time};

pub mod classes;
mod diversity;
mod former;
mod newcomers;
mod prescribed;
mod shuffles;

use diversity::SeenNetworks;
use former::FormerHosts;
use newcomers::Newcomers;
use prescribed::PrescribedHosts;
use shuffles::{ShuffleWalk, Shuffles};

/// Steps of a newcomer's random walk (HyParView's ARWL).
const WALK: u8 = 5;
/// Steps left at which a walk leaves the newcomer in the passive view (HyParView's PRWL).
const WALK_PASSIVE: u8 = 3;
/// Most contacts taken from one message.
pub const CONTACTS_MAX: usize = 16;
/// Candidates asked at a time to fill the active view.
const CANDIDATES_MAX: usize = 2;
/// Candidates asked at a time in all, with those that random walks have brought.
const CANDIDATES_FROM_WALKS_MAX: usize = 8;
/// How long a candidate may take to answer.
const CANDIDATE_ANSWER: Bounds = Bounds::new(Duration::from_secs(1), Duration::from_secs(10));
/// Tries that finding a way to a candidate without a link is worth, in the back-off of its wait.
const UNLINKED_ATTEMPT: u32 = 1;
/// Length of the question to a candidate, and of the answer.
const CANDIDATE_BYTES: u64 = 256;
/// Pause before the active view is filled further, after a refusal.
const AFTER_REFUSAL: Duration = Duration::from_secs(2);

/// The path to a peer, if it is linked.
pub type PathLookup<'a> = &'a dyn Fn(NodeId) -> Option<PathEstimate>;

/// A message, and the peer that receives it.
pub type AddressedMessage = (Contact, MembershipMessage);

/// A candidate that was asked to be a neighbour.
#[derive(Debug)]
struct NeighbourCandidate {
    contact: Contact,
    until: Time,
}

/// The active and the passive view of known hosts.
#[derive(Debug)]
pub struct KnownHosts {
    own: NodeId,
    active: Vec<Contact>,
    passive: Vec<Contact>,
    candidates: Vec<NeighbourCandidate>,
    former: FormerHosts,
    /// Whether a candidate has refused since a neighbour was found.
    was_refused: bool,
    /// After most neighbours were lost, so many more hosts are to answer before a full view is left as it is.
    to_reunite: usize,
    /// The only hosts that this node may know, if they are prescribed.
    prescribed: Option<PrescribedHosts>,
    newcomers: Newcomers,
    /// Neighbours that came when the active view was full, the latest last.
    latecomers: Vec<NodeId>,
    shuffles: Shuffles,
    active_max: usize,
    passive_max: usize,
    own_network: u64,
    seen: SeenNetworks,
    /// When a full view with too few of other networks asks one of those.
    diversify_at: Time,
    fill_at: Time,
    refresh_at: Time,
}

impl KnownHosts {
    /// No hosts yet; at most `active_max` neighbours and `passive_max` others.
    pub fn new(own: NodeId, active_max: usize, passive_max: usize) -> Self {
        KnownHosts {
            own,
            active: Vec::new(),
            passive: Vec::new(),
            candidates: Vec::new(),
            former: FormerHosts::default(),
            was_refused: false,
            to_reunite: 0,
            prescribed: None,
            newcomers: Newcomers::default(),
            latecomers: Vec::new(),
            shuffles: Shuffles::default(),
            active_max,
            passive_max,
            own_network: 0,
            seen: SeenNetworks::default(),
            diversify_at: Time::NEVER,
            fill_at: Time::ZERO,
            refresh_at: Time::NEVER,
        }
    }

    /// The active view, in a stable order.
    pub fn neighbours(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.active.iter().map(|contact| contact.id)
    }

    /// Every known host, neighbours first, in a stable order.
    pub fn contacts(&self) -> impl Iterator<Item = &Contact> + '_ {
        self.active.iter().chain(&self.passive)
    }

    /// What is known of a host.
    pub fn get(&self, peer: NodeId) -> Option<&Contact> {
        self.contacts().find(|contact| contact.id == peer)
    }

    /// How many hosts are known.
    pub fn len(&self) -> usize {
        self.active.len() + self.passive.len()
    }

    /// Whether no host is known.
    pub fn is_empty(&self) -> bool {
        self.active.is_empty() && self.passive.is_empty()
    }

    /// Whether no host is known any more.
    pub fn has_lost_all(&self) -> bool {
        self.is_empty() && self.former.iter().next().is_some()
    }

    /// How many neighbours there are.
    pub fn neighbour_count(&self) -> usize {
        self.active.len()
    }

    /// Whether `peer` is a neighbour.
    pub fn is_neighbour(&self, peer: NodeId) -> bool {
        self.active.iter().any(|contact| contact.id == peer)
    }

    /// Forgets a host, but for when no other is left. Whether it was a neighbour.
    pub fn remove(&mut self, peer: NodeId) -> bool {
        let mut known = self.contacts().chain(self.candidates.iter().map(|candidate| &candidate.contact));
        let lost = known.find(|contact| contact.id == peer).cloned();
        drop(known);
        if let Some(contact) = lost {
            self.put_aside(contact);
        }
        self.passive.retain(|contact| contact.id != peer);
        self.candidates.retain(|candidate| candidate.contact.id != peer);
        self.latecomers.retain(|late| *late != peer);
        let before = self.active.len();
        self.active.retain(|contact| contact.id != peer);
        let was_neighbour = self.active.len() < before;
        if was_neighbour {
            self.note_scattered();
        }
        was_neighbour
    }

    /// Hears of a host from somebody: into the passive view, if its class has room there.
    pub fn note_host(&mut self, contact: Contact, random: &mut Random) {
        self.note_host_for(contact, &[], random);
    }

    /// The same, for one of the hosts that were `given` away in an exchange.
    fn note_host_for(&mut self, contact: Contact, given: &[NodeId], random: &mut Random) {
        if contact.id == self.own || !contact.is_bounded() || !self.admits(contact.id) {
            return;
        }
        if let Some(known) = self.active.iter_mut().chain(&mut self.passive).find(|known| known.id == contact.id) {
            if contact.quality.uptime_s >= known.quality.uptime_s {
                *known = contact;
            }
            return;
        }
        if self.network_of(&contact) != self.own_network {
            self.diversify_at = Time::ZERO;
        }
        classes::insert(&mut self.passive, contact, self.passive_max, given, random);
    }

    /// The first peer that this node has met: becomes a neighbour and is asked to spread the word.
    pub fn join(&mut self, host: Contact, me: &Contact, random: &mut Random) -> Vec<AddressedMessage> {
        if !self.admits(host.id) {
            return Vec::new();
        }
        let mut says = self.admit(host.clone(), random);
        says.push((host, MembershipMessage::Join(me.clone())));
        says
    }

    /// Takes a message from the authenticated peer `from`.
    pub fn handle(
        &mut self,
        now: Time,
        from: NodeId,
        message: MembershipMessage,
        me: &Contact,
        random: &mut Random,
        paths: PathLookup<'_>,
    ) -> Vec<AddressedMessage> {
        // Whoever speaks for another, or at too great length, is not heard. A shuffle is passed on for another.
        let is_passed_on = matches!(message, MembershipMessage::Shuffle { .. });
        let is_forged = |contact: &Contact| (contact.id != from && !is_passed_on) || !contact.is_bounded();
        if message.sender().is_some_and(is_forged) {
            return Vec::new();
        }
        match message {
            MembershipMessage::Join(contact) => self.joined(now, contact, random),
            MembershipMessage::ForwardJoin { newcomer, ttl } => {
                // A walk goes from neighbour to neighbour: a stranger has none to send.
                if self.is_neighbour(from) {
                    self.walk(now, from, (newcomer, ttl), me, random, paths)
                } else {
                    Vec::new()
                }
            }
            MembershipMessage::Neighbour { contact, urgent } => {
                let is_wanted = self.wants(&contact, me);
                let accepted = self.admits(from) && (is_wanted || urgent || self.is_neighbour(from));
                let mut says = if accepted { self.seat(contact.clone(), !is_wanted, random) } else { Vec::new() };
                says.push((contact, MembershipMessage::NeighbourReply { accepted }));
                says
            }
            MembershipMessage::NeighbourReply { accepted } => self.answered(now, from, accepted, random),
            MembershipMessage::Part => {
                self.demote(from, random);
                self.fill_at = if self.active.is_empty() { now } else { self.fill_at.max(now) };
                Vec::new()
            }
            MembershipMessage::Shuffle { walk, ttl, contact, sample } => {
                // Like any walk, it goes from neighbour to neighbour.
                if self.is_neighbour(from) {
                    self.pass_shuffle(from, ShuffleWalk { walk, ttl, contact, sample }, me, random)
                } else {
                    Vec::new()
                }
            }
            MembershipMessage::ShuffleReply { walk, sample } => self.shuffle_answered(from, walk, sample, random),
            MembershipMessage::Refresh { contact } => {
                self.note_host(contact, random);
                Vec::new()
            }
        }
    }

    /// Takes contacts that a peer or an ambassador sent.
    pub fn note_hosts(&mut self, contacts: impl IntoIterator<Item = Contact>, random: &mut Random) {
        self.note_exchanged(contacts, &[], random);
    }

    /// What is due: candidates for an active view with room, the regular exchange.
    pub fn wake(
        &mut self,
        now: Time,
        refresh: Duration,
        me: &Contact,
        random: &mut Random,
        paths: PathLookup<'_>,
    ) -> Vec<AddressedMessage> {
        let mut says = Vec::new();
        self.candidates.retain(|candidate| candidate.until > now);
        self.own_network = me.network();
        if now >= self.diversify_at {
            self.diversify(now, me, random, paths, &mut says);
        }
        if now >= self.fill_at {
            self.recruit_neighbours(now, me, random, paths, &mut says);
        }
        if self.refresh_at == Time::NEVER && !self.is_empty() {
            // The first exchange comes early and at random, so that nodes that start together do not beat in step.
            self.refresh_at = now + refresh.mul_f64(random.random_range(0.1..1.0));
        }
        if now >= self.refresh_at {
            self.refresh_at = now + refresh.mul_f64(random.random_range(0.9..1.1));
            self.recall_absent();
            self.exchange(me, random, &mut says);
            self.diversify(now, me, random, paths, &mut says);
        }
        says
    }

    /// When [`KnownHosts::wake`] is due.
    pub fn deadline(&self) -> Deadline {
        let candidate = self.candidates.iter().map(|candidate| candidate.until).min().unwrap_or(Time::NEVER);
        let fill = if self.can_recruit() { self.fill_at } else { candidate };
        let refresh = if self.refresh_at == Time::NEVER && !self.is_empty() { Time::ZERO } else { self.refresh_at };
        let diversify = if self.is_full() { self.diversify_at } else { Time::NEVER };
        Deadline { at: fill.min(diversify), why: "filling the active view" }
            .or(Deadline { at: refresh, why: "exchanging known hosts" })
    }

    fn can_recruit(&self) -> bool {
        if self.is_empty() {
            return self.candidates.len() < CANDIDATES_FROM_WALKS_MAX
                && self.former.iter().any(|contact| !self.is_candidate(contact.id));
        }
        (self.to_reunite > 0 || self.active.len() + self.candidates.len() < self.active_max)
            && self.candidates.len() < CANDIDATES_MAX
            && self.passive.iter().any(|contact| !self.is_candidate(contact.id))
    }

    fn is_candidate(&self, peer: NodeId) -> bool {
        self.candidates.iter().any(|candidate| candidate.contact.id == peer)
    }

    fn recruit_neighbours(
        &mut self,
        now: Time,
        me: &Contact,
        random: &mut Random,
        paths: PathLookup<'_>,
        says: &mut Vec<AddressedMessage>,
    ) {
        if self.is_empty() {
            return self.turn_to_former(now, me, paths, says);
        }
        while self.can_recruit() {
            let mut pool: Vec<usize> =
                (0..self.passive.len()).filter(|&at| !self.is_candidate(self.passive[at].id)).collect();
            if self.lacks_other_networks(me) {
                let own = me.network();
                let is_elsewhere = |at: &usize| self.network_of(&self.passive[*at]) != own;
                let elsewhere: Vec<usize> = pool.iter().copied().filter(is_elsewhere).collect();
                pool = if elsewhere.is_empty() { pool } else { elsewhere };
            }
            let candidate = self.passive[pool[random.random_range(0..pool.len())]].clone();
            says.push(self.ask(now, candidate, me, paths));
        }
    }

    fn ask(&mut self, now: Time, contact: Contact, me: &Contact, paths: PathLookup<'_>) -> AddressedMessage {
        let path = paths(contact.id);
        let attempt = if path.is_some() { 0 } else { UNLINKED_ATTEMPT };
        let exchange = Exchange { request_bytes: CANDIDATE_BYTES, answer_bytes: CANDIDATE_BYTES, attempt };
        let until = now + patience::answer_wait(path.as_ref(), exchange, CANDIDATE_ANSWER);
        self.candidates.push(NeighbourCandidate { contact: contact.clone(), until });
        let urgent = self.may_insist()
            || self.reunites()
            || self.is_cut_off(me) && (self.active.is_empty() || self.network_of(&contact) != me.network());
        (contact, MembershipMessage::Neighbour { contact: me.clone(), urgent })
    }

    fn joined(&mut self, now: Time, newcomer: Contact, random: &mut Random) -> Vec<AddressedMessage> {
        let mut says = self.admit(newcomer.clone(), random);
        if !self.newcomers.is_news(now, newcomer.id) {
            return says;
        }
        for neighbour in self.active.iter().filter(|neighbour| neighbour.id != newcomer.id) {
            says.push((neighbour.clone(), MembershipMessage::ForwardJoin { newcomer: newcomer.clone(), ttl: WALK }));
        }
        says
    }

    fn walk(
        &mut self,
        now: Time,
        from: NodeId,
        (newcomer, ttl): (Contact, u8),
        me: &Contact,
        random: &mut Random,
        paths: PathLookup<'_>,
    ) -> Vec<AddressedMessage> {
        if newcomer.id == self.own || !newcomer.is_bounded() || !self.admits(newcomer.id) {
            return Vec::new();
        }
        let ttl = ttl.min(WALK);
        let next: Vec<&Contact> =
            self.active.iter().filter(|contact| contact.id != from && contact.id != newcomer.id).collect();
        if ttl == 0 || next.is_empty() {
            let ask = !self.is_neighbour(newcomer.id)
                && !self.is_candidate(newcomer.id)
                && self.candidates.len() < CANDIDATES_FROM_WALKS_MAX;
            return if ask { vec![self.ask(now, newcomer, me, paths)] } else { Vec::new() };
        }
        let next = next[random.random_range(0..next.len())].clone();
        if ttl == WALK_PASSIVE {
            self.note_host(newcomer.clone(), random);
        }
        vec![(next, MembershipMessage::ForwardJoin { newcomer, ttl: ttl - 1 })]
    }

    fn answered(&mut self, now: Time, from: NodeId, accepted: bool, random: &mut Random) -> Vec<AddressedMessage> {
        let Some(at) = self.candidates.iter().position(|candidate| candidate.contact.id == from) else {
            return Vec::new();
        };
        let contact = self.candidates.remove(at).contact;
        self.to_reunite = self.to_reunite.saturating_sub(1);
        if accepted && self.is_full() && self.claims_wrongly_to_be_elsewhere(&contact) {
            return vec![(contact, MembershipMessage::Part)];
        }
        if accepted {
            return self.seat(contact, false, random);
        }
        self.was_refused = true;
        self.fill_at = if self.active.is_empty() { now } else { now + AFTER_REFUSAL };
        Vec::new()
    }

    /// Takes a peer that asks for it into the active view: a latecomer, if that is full.
    fn admit(&mut self, contact: Contact, random: &mut Random) -> Vec<AddressedMessage> {
        self.seat(contact, true, random)
    }

    /// Takes `contact` into the active view; a peer that has to make room is notified. Who `is_late` was not wanted there.
    fn seat(&mut self, contact: Contact, is_late: bool, random: &mut Random) -> Vec<AddressedMessage> {
        if contact.id == self.own || !self.admits(contact.id) {
            return Vec::new();
        }
        self.candidates.retain(|candidate| candidate.contact.id != contact.id);
        self.passive.retain(|known| known.id != contact.id);
        self.is_back(contact.id);
        if let Some(known) = self.active.iter_mut().find(|known| known.id == contact.id) {
            *known = contact;
            return Vec::new();
        }
        let mut says = Vec::new();
        if self.is_full() {
            let evicted = self.take_active(self.to_evict(is_late, random));
            if is_late {
                self.latecomers.push(contact.id);
            }
            classes::insert(&mut self.passive, evicted.clone(), self.passive_max, &[], random);
            says.push((evicted, MembershipMessage::Part));
        }
        self.active.push(contact);
        self.was_refused = false;
        says
    }

    /// Somebody of the network that has most neighbours, so that no network takes the whole view. For a latecomer, once a
    /// quarter of the view are such, the first of those: whoever sends many newcomers moves only each other out.
    fn to_evict(&self, for_latecomer: bool, random: &mut Random) -> usize {
        let has_share = for_latecomer && self.latecomers.len() >= (self.active_max / 4).max(1);
        let first = self.latecomers.first().filter(|_| has_share);
        if let Some(at) = first.and_then(|late| self.active.iter().position(|contact| contact.id == *late)) {
            return at;
        }
        let networks: Vec<u64> = self.active.iter().map(|contact| self.network_of(contact)).collect();
        let count_like = |at: usize| networks.iter().filter(|&&other| other == networks[at]).count();
        let most = (0..self.active.len()).map(count_like).max().unwrap_or(0);
        let pool: Vec<usize> = (0..self.active.len()).filter(|&at| count_like(at) == most).collect();
        pool[random.random_range(0..pool.len())]
    }

    fn take_active(&mut self, at: usize) -> Contact {
        let contact = self.active.remove(at);
        self.latecomers.retain(|late| *late != contact.id);
        contact
    }

    fn demote(&mut self, peer: NodeId, random: &mut Random) {
        if let Some(at) = self.active.iter().position(|contact| contact.id == peer) {
            let contact = self.take_active(at);
            classes::insert(&mut self.passive, contact, self.passive_max, &[], random);
        }
    }
}

#[cfg(test)]
mod tests;
