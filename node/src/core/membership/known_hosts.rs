//! Known hosts: a small active view of neighbours, and a bounded, diverse passive view of candidates.
//!
//! The active view is HyParView's (Leitão, Pereira, Rodrigues: DSN 2007): symmetric, bounded, mended when a neighbour goes.
//! The passive view is held to Butter's quality classes: see [`classes`]. A peer that has no neighbour is never refused.
//!
//! Everything here changes tables and returns what to say; [`crate::core`] says it.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;

use crate::core::contact::Contact;
use crate::core::identity::NodeId;
use crate::core::message::HostsMessage;
use crate::core::random::{Random, sample};
use crate::core::time::{Deadline, Time};

pub mod classes;

/// Steps of a newcomer's random walk (HyParView's ARWL).
const WALK: u8 = 5;
/// Steps left at which a walk leaves the newcomer in the passive view (HyParView's PRWL).
const WALK_PASSIVE: u8 = 3;
/// Neighbours and others in a shuffle's sample (HyParView's ka and kp).
const SHUFFLE_ACTIVE: usize = 3;
const SHUFFLE_PASSIVE: usize = 5;
/// Most contacts taken from one message.
pub const CONTACTS_MAX: usize = 16;
/// Candidates asked at a time to fill the active view.
const COURTING_MAX: usize = 2;
/// Candidates asked at a time in all, with those that random walks have brought.
const COURTING_WALKS_MAX: usize = 8;
/// How long a candidate may take.
const COURTING_WITHIN: Duration = Duration::from_secs(3);
/// Pause before the active view is filled further, after a refusal.
const AFTER_REFUSAL: Duration = Duration::from_secs(2);

/// What to say, and to whom.
pub type Say = (Contact, HostsMessage);

/// A candidate that was asked to be a neighbour.
#[derive(Debug)]
struct Courted {
    contact: Contact,
    until: Time,
}

/// Both views.
#[derive(Debug)]
pub struct KnownHosts {
    own: NodeId,
    active: Vec<Contact>,
    passive: Vec<Contact>,
    courting: Vec<Courted>,
    active_max: usize,
    passive_max: usize,
    fill_at: Time,
    refresh_at: Time,
}

impl KnownHosts {
    /// Nobody yet; at most `active_max` neighbours and `passive_max` others.
    pub fn new(own: NodeId, active_max: usize, passive_max: usize) -> Self {
        KnownHosts {
            own,
            active: Vec::new(),
            passive: Vec::new(),
            courting: Vec::new(),
            active_max,
            passive_max,
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

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.active.is_empty() && self.passive.is_empty()
    }

    /// How many neighbours there are.
    pub fn neighbour_count(&self) -> usize {
        self.active.len()
    }

    /// Whether `peer` is a neighbour.
    pub fn is_neighbour(&self, peer: NodeId) -> bool {
        self.active.iter().any(|contact| contact.id == peer)
    }

    /// Forgets a host. Whether it was a neighbour.
    pub fn remove(&mut self, peer: NodeId) -> bool {
        self.passive.retain(|contact| contact.id != peer);
        self.courting.retain(|courted| courted.contact.id != peer);
        let before = self.active.len();
        self.active.retain(|contact| contact.id != peer);
        self.active.len() < before
    }

    /// Hears of a host from somebody: into the passive view, if its class has room there.
    pub fn hear_of(&mut self, contact: Contact, random: &mut Random) {
        if contact.id == self.own || !contact.is_bounded() {
            return;
        }
        if let Some(known) = self.active.iter_mut().chain(&mut self.passive).find(|known| known.id == contact.id) {
            if contact.quality.uptime_s >= known.quality.uptime_s {
                *known = contact;
            }
            return;
        }
        classes::insert(&mut self.passive, contact, self.passive_max, random);
    }

    /// The first peer that this node has met: becomes a neighbour and is asked to spread the word.
    pub fn join(&mut self, host: Contact, me: &Contact, random: &mut Random) -> Vec<Say> {
        let mut says = self.admit(host.clone(), random);
        says.push((host, HostsMessage::Join(me.clone())));
        says
    }

    /// Takes a message from the authenticated peer `from`.
    pub fn handle(
        &mut self,
        now: Time,
        from: NodeId,
        message: HostsMessage,
        me: &Contact,
        random: &mut Random,
    ) -> Vec<Say> {
        // Whoever speaks for another, or at too great length, is not heard.
        if message.sender().is_some_and(|contact| contact.id != from || !contact.is_bounded()) {
            return Vec::new();
        }
        match message {
            HostsMessage::Join(contact) => self.joined(contact, random),
            HostsMessage::ForwardJoin { newcomer, ttl } => self.walk(now, from, newcomer, ttl, me, random),
            HostsMessage::Neighbour { contact, urgent } => {
                let accepted = urgent || self.is_neighbour(from) || self.wants(&contact);
                let mut says = if accepted { self.admit(contact.clone(), random) } else { Vec::new() };
                says.push((contact, HostsMessage::NeighbourReply { accepted }));
                says
            }
            HostsMessage::NeighbourReply { accepted } => self.answered(now, from, accepted, random),
            HostsMessage::Part => {
                self.demote(from, random);
                self.fill_at = self.fill_at.max(now);
                Vec::new()
            }
            HostsMessage::Shuffle { contact, sample: heard } => {
                let reply = HostsMessage::ShuffleReply {
                    contact: me.clone(),
                    sample: self.sample_for(from, heard.len(), random),
                };
                let to = contact.clone();
                self.hear_all(std::iter::once(contact).chain(heard), random);
                vec![(to, reply)]
            }
            HostsMessage::ShuffleReply { contact, sample: heard } => {
                self.hear_all(std::iter::once(contact).chain(heard), random);
                Vec::new()
            }
            HostsMessage::Refresh { contact } => {
                self.hear_of(contact, random);
                Vec::new()
            }
        }
    }

    /// Takes contacts told by a peer or an ambassador.
    pub fn hear_all(&mut self, contacts: impl IntoIterator<Item = Contact>, random: &mut Random) {
        for contact in contacts.into_iter().take(CONTACTS_MAX + 1) {
            self.hear_of(contact, random);
        }
    }

    /// Some known hosts for somebody else, of as many networks as can be, at most [`CONTACTS_MAX`].
    pub fn introduce_to(&self, peer: NodeId, count: usize, random: &mut Random) -> Vec<Contact> {
        let others: Vec<&Contact> = self.contacts().filter(|contact| contact.id != peer).collect();
        let mut of_network: BTreeMap<u64, usize> = BTreeMap::new();
        let mut ranked: Vec<(usize, &Contact)> = Vec::with_capacity(others.len());
        for contact in sample(random, others, usize::MAX) {
            let before = of_network.entry(contact.network()).or_default();
            ranked.push((*before, contact));
            *before += 1;
        }
        // The first of every network, then the second of each, and so on; at random within.
        ranked.sort_by_key(|(before, _)| *before);
        ranked.into_iter().take(count.min(CONTACTS_MAX)).map(|(_, contact)| contact.clone()).collect()
    }

    /// What is due: candidates for an active view with room, the regular exchange.
    pub fn wake(&mut self, now: Time, refresh: Duration, me: &Contact, random: &mut Random) -> Vec<Say> {
        let mut says = Vec::new();
        self.courting.retain(|courted| courted.until > now);
        if now >= self.fill_at {
            self.court(now, me, random, &mut says);
        }
        if self.refresh_at == Time::NEVER && !self.is_empty() {
            // The first exchange comes early and at random, so that nodes that start together do not beat in step.
            self.refresh_at = now + refresh.mul_f64(random.random_range(0.1..1.0));
        }
        if now >= self.refresh_at {
            self.refresh_at = now + refresh.mul_f64(random.random_range(0.9..1.1));
            self.exchange(me, random, &mut says);
        }
        says
    }

    /// When [`KnownHosts::wake`] is due.
    pub fn deadline(&self) -> Deadline {
        let courted = self.courting.iter().map(|courted| courted.until).min().unwrap_or(Time::NEVER);
        let fill = if self.can_court() { self.fill_at } else { courted };
        let refresh = if self.refresh_at == Time::NEVER && !self.is_empty() { Time::ZERO } else { self.refresh_at };
        Deadline { at: fill, why: "filling the active view" }
            .or(Deadline { at: refresh, why: "exchanging known hosts" })
    }

    fn can_court(&self) -> bool {
        self.active.len() + self.courting.len() < self.active_max
            && self.courting.len() < COURTING_MAX
            && self.passive.iter().any(|contact| !self.is_courting(contact.id))
    }

    fn is_courting(&self, peer: NodeId) -> bool {
        self.courting.iter().any(|courted| courted.contact.id == peer)
    }

    fn court(&mut self, now: Time, me: &Contact, random: &mut Random, says: &mut Vec<Say>) {
        while self.can_court() {
            let free: Vec<usize> =
                (0..self.passive.len()).filter(|&at| !self.is_courting(self.passive[at].id)).collect();
            let foreign: Vec<usize> =
                free.iter().copied().filter(|&at| self.passive[at].network() != me.network()).collect();
            let pool = if self.lacks_foreigners(me) && !foreign.is_empty() { foreign } else { free };
            let candidate = self.passive[pool[random.random_range(0..pool.len())]].clone();
            says.push(self.ask(now, candidate, me));
        }
    }

    fn ask(&mut self, now: Time, contact: Contact, me: &Contact) -> Say {
        self.courting.push(Courted { contact: contact.clone(), until: now + COURTING_WITHIN });
        (contact, HostsMessage::Neighbour { contact: me.clone(), urgent: self.active.is_empty() })
    }

    /// Links within one network must not use up the active view, or networks would come apart.
    fn lacks_foreigners(&self, me: &Contact) -> bool {
        self.active.iter().filter(|contact| contact.network() != me.network()).count() * 3 < self.active_max
    }

    fn exchange(&mut self, me: &Contact, random: &mut Random, says: &mut Vec<Say>) {
        if self.active.is_empty() {
            return;
        }
        let partner = random.random_range(0..self.active.len());
        for (at, neighbour) in self.active.iter().enumerate() {
            let message = if at == partner {
                let sample = self.sample_for(neighbour.id, SHUFFLE_ACTIVE + SHUFFLE_PASSIVE, random);
                HostsMessage::Shuffle { contact: me.clone(), sample }
            } else {
                HostsMessage::Refresh { contact: me.clone() }
            };
            says.push((neighbour.clone(), message));
        }
    }

    fn sample_for(&self, peer: NodeId, count: usize, random: &mut Random) -> Vec<Contact> {
        let not_them = |contact: &&Contact| contact.id != peer;
        let active: Vec<&Contact> = self.active.iter().filter(not_them).collect();
        let passive: Vec<&Contact> = self.passive.iter().filter(not_them).collect();
        let mut chosen = sample(random, active, SHUFFLE_ACTIVE.min(count));
        chosen.extend(sample(random, passive, SHUFFLE_PASSIVE.min(count.saturating_sub(chosen.len()))));
        chosen.into_iter().cloned().collect()
    }

    fn joined(&mut self, newcomer: Contact, random: &mut Random) -> Vec<Say> {
        let mut says = self.admit(newcomer.clone(), random);
        for neighbour in self.active.iter().filter(|neighbour| neighbour.id != newcomer.id) {
            says.push((neighbour.clone(), HostsMessage::ForwardJoin { newcomer: newcomer.clone(), ttl: WALK }));
        }
        says
    }

    fn walk(
        &mut self,
        now: Time,
        from: NodeId,
        newcomer: Contact,
        ttl: u8,
        me: &Contact,
        random: &mut Random,
    ) -> Vec<Say> {
        if newcomer.id == self.own || !newcomer.is_bounded() {
            return Vec::new();
        }
        let ttl = ttl.min(WALK);
        let next: Vec<&Contact> =
            self.active.iter().filter(|contact| contact.id != from && contact.id != newcomer.id).collect();
        if ttl == 0 || next.is_empty() {
            let ask = !self.is_neighbour(newcomer.id)
                && !self.is_courting(newcomer.id)
                && self.courting.len() < COURTING_WALKS_MAX;
            return if ask { vec![self.ask(now, newcomer, me)] } else { Vec::new() };
        }
        let next = next[random.random_range(0..next.len())].clone();
        if ttl == WALK_PASSIVE {
            self.hear_of(newcomer.clone(), random);
        }
        vec![(next, HostsMessage::ForwardJoin { newcomer, ttl: ttl - 1 })]
    }

    fn answered(&mut self, now: Time, from: NodeId, accepted: bool, random: &mut Random) -> Vec<Say> {
        let Some(at) = self.courting.iter().position(|courted| courted.contact.id == from) else {
            return Vec::new();
        };
        let contact = self.courting.remove(at).contact;
        if accepted {
            return self.admit(contact, random);
        }
        self.fill_at = now + AFTER_REFUSAL;
        Vec::new()
    }

    /// Whether a peer that asks without urgency is welcome as a neighbour.
    fn wants(&self, _contact: &Contact) -> bool {
        self.active.len() < self.active_max
    }

    /// Takes `contact` into the active view; whoever has to make room is told.
    fn admit(&mut self, contact: Contact, random: &mut Random) -> Vec<Say> {
        if contact.id == self.own {
            return Vec::new();
        }
        self.courting.retain(|courted| courted.contact.id != contact.id);
        self.passive.retain(|known| known.id != contact.id);
        if let Some(known) = self.active.iter_mut().find(|known| known.id == contact.id) {
            *known = contact;
            return Vec::new();
        }
        let mut says = Vec::new();
        if self.active.len() >= self.active_max {
            let evicted = self.active.remove(self.to_evict(random));
            classes::insert(&mut self.passive, evicted.clone(), self.passive_max, random);
            says.push((evicted, HostsMessage::Part));
        }
        self.active.push(contact);
        says
    }

    /// Somebody of the network that has most neighbours, so that no network takes the whole view.
    fn to_evict(&self, random: &mut Random) -> usize {
        let count_like =
            |at: usize| self.active.iter().filter(|other| other.network() == self.active[at].network()).count();
        let most = (0..self.active.len()).map(count_like).max().unwrap_or(0);
        let pool: Vec<usize> = (0..self.active.len()).filter(|&at| count_like(at) == most).collect();
        pool[random.random_range(0..pool.len())]
    }

    fn demote(&mut self, peer: NodeId, random: &mut Random) {
        if let Some(at) = self.active.iter().position(|contact| contact.id == peer) {
            let contact = self.active.remove(at);
            classes::insert(&mut self.passive, contact, self.passive_max, random);
        }
    }
}

#[cfg(test)]
mod tests;
