//! From a wish to a link: attempts from their first dial to their end.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::attempt::{AttemptStep, LinkAttempt};
use super::{ANSWERING_MAX, ATTEMPTS_MAX, Links};
use crate::core::contact::{AmbassadorAddress, Contact};
use crate::core::identity::NodeId;
use crate::core::io::{DialId, DialTarget, Output, Sink};
use crate::core::message::{Message, RendezvousMessage};
use crate::core::patience;
use crate::core::stats::Stats;
use crate::core::time::Time;

impl<M> Links<M> {
    /// Dials whoever is at `address`; the resulting link is recognised by its remote address.
    pub fn dial_address<O>(&mut self, address: SocketAddr, stats: &mut Stats, sink: &mut Sink<M, O>) -> DialId {
        stats.dials += 1;
        let dial = self.new_dial();
        sink.push(Output::Dial { dial, peer: None, to: DialTarget::Address(address) });
        dial
    }

    /// A link to `ambassador` is up: whoever waits to be introduced by it asks now.
    pub(super) fn ask_awaited<O>(&mut self, now: Time, ambassador: NodeId, stats: &mut Stats, sink: &mut Sink<M, O>) {
        for (&peer, attempt) in self.attempts.iter_mut().filter(|(_, attempt)| attempt.awaits(ambassador)) {
            attempt.asked(now, ambassador);
            ask(ambassador, peer, stats, sink);
        }
    }

    /// An ambassador has introduced `contact` on behalf of one side or the other: dial it.
    pub fn introduced<O>(
        &mut self,
        now: Time,
        by: NodeId,
        contact: &Contact,
        stats: &mut Stats,
        sink: &mut Sink<M, O>,
    ) {
        let peer = contact.id;
        let observed_ip = contact.external_address.map(|address| address.ip());
        if let Some(link) = self.up.get_mut(peer) {
            let distant = link.distant_mut();
            (distant.observed_ip, distant.asked) = (observed_ip, None);
        }
        if self.up.get(peer).is_some_and(|link| link.remote.is_some()) {
            return;
        }
        self.learn(contact);
        if !self.attempts.contains_key(&peer) && !self.may_answer() {
            return;
        }
        let pace = self.pace(Some(by));
        let attempt = self.attempts.entry(peer).or_insert_with(|| LinkAttempt::answering(now, pace));
        let addresses = attempt.introduced(now, by, observed_ip, self.place.dialable(contact));
        self.dial_all(peer, addresses, stats, sink);
    }

    /// Has an ambassador tell both sides of a relayed link where it sees them now.
    pub fn request_introduction<O>(&mut self, peer: NodeId, stats: &mut Stats, sink: &mut Sink<M, O>) {
        let Some(introducer) = self.introducer(self.contact(peer)) else { return };
        if let Some(link) = self.up.get_mut(peer) {
            link.distant_mut().asked = Some(introducer);
            ask(introducer, peer, stats, sink);
        }
    }

    /// Whether `ambassador` was asked to introduce this node to `peer`, and has not answered.
    pub fn has_asked(&self, ambassador: NodeId, peer: NodeId) -> bool {
        self.attempts.get(&peer).is_some_and(|attempt| attempt.has_asked(ambassador))
            || self.up.get(peer).is_some_and(|link| link.distant().asked == Some(ambassador))
    }

    /// Whether there is room for one more attempt on behalf of others.
    fn may_answer(&self) -> bool {
        self.attempts.values().filter(|attempt| attempt.is_answering()).count() < ANSWERING_MAX
            && self.attempts.len() < ATTEMPTS_MAX
    }

    /// A way past the relay has been found for a linked peer: dial it there.
    pub fn cross<O>(&mut self, now: Time, peer: NodeId, to: DialTarget, stats: &mut Stats, sink: &mut Sink<M, O>) {
        let relayed = self.up.get(peer).is_some_and(|link| link.remote.is_none());
        if relayed && (self.attempts.contains_key(&peer) || self.attempts.len() < ATTEMPTS_MAX) {
            let pace = self.pace(None);
            self.attempts.entry(peer).or_insert_with(|| LinkAttempt::answering(now, pace));
            self.dial(peer, to, stats, sink);
        }
    }

    /// An ambassador does not know the peer to which it was asked to introduce this node.
    pub fn introduction_refused<O>(&mut self, now: Time, peer: NodeId, stats: &mut Stats, sink: &mut Sink<M, O>) {
        if let Some(step) = self.attempts.get_mut(&peer).map(LinkAttempt::introduction_refused) {
            self.take_step(now, peer, step, stats, sink);
        }
    }

    /// A dial has failed. Whether it was one of an attempt's.
    pub fn dial_failed<O>(&mut self, now: Time, dial: DialId, stats: &mut Stats, sink: &mut Sink<M, O>) -> bool {
        stats.dials_failed += 1;
        let Some(peer) = self.dials.remove(&dial) else { return false };
        if let Some(attempt) = self.attempts.get_mut(&peer) {
            let step = attempt.dial_failed(now, dial);
            self.take_step(now, peer, step, stats, sink);
        }
        true
    }

    /// Begins an attempt; `false` if there is no way to try.
    pub(super) fn begin<O>(
        &mut self,
        now: Time,
        peer: NodeId,
        known: Option<&Contact>,
        stats: &mut Stats,
        sink: &mut Sink<M, O>,
    ) -> bool {
        if self.attempts.len() >= ATTEMPTS_MAX {
            return false;
        }
        let contact = self.book.get(peer).or(known);
        let mut addresses = contact.map(|contact| self.place.dialable(contact)).unwrap_or_default();
        let source = self.book.source_of(peer).or(self.speaker);
        let mut seen = BTreeSet::new();
        addresses.retain(|&address| seen.insert(address) && self.budget.take(now, peer, address, source));
        // A NAT's outside address may be near as well: then what is behind it is not.
        let local = |address: &SocketAddr| contact.is_some_and(|contact| contact.local.contains(address));
        let near = addresses.first().is_some_and(|address| local(address) && self.place.is_near(*address));
        // Without an ambassador of its own it may have been between two, or have none at all: then any may know it.
        let is_behind_nat = |contact: &Contact| contact.via.is_some() || contact.is_behind_nat();
        let needs_introduction = contact.is_none_or(is_behind_nat) && !near;
        // One heard of before it met its own ambassador has no address that means anything here.
        let introducer = if needs_introduction || addresses.is_empty() { self.introducer(contact) } else { None };
        // Its own ambassador is the last resort: there is no link to it yet.
        let via =
            contact.and_then(|contact| contact.via).filter(|via| needs_introduction && introducer != Some(via.id));
        if addresses.is_empty() && introducer.is_none() && via.is_none() {
            return false;
        }
        self.attempts.insert(peer, LinkAttempt::new(now, introducer, via, self.pace(introducer)));
        self.dial_all(peer, addresses, stats, sink);
        if let Some(introducer) = introducer {
            ask(introducer, peer, stats, sink);
        } else if via.is_some() {
            self.introduction_refused(now, peer, stats, sink);
        }
        true
    }

    /// The probe time-out of the path to an ambassador, or else to this node's own: what is known of the way to a peer.
    fn pace(&self, introducer: Option<NodeId>) -> Duration {
        let path = [introducer, self.home].into_iter().flatten().find_map(|id| self.path_estimate(id));
        path.map_or_else(|| patience::probe_timeout(&patience::unmeasured()), patience::probe_timeout)
    }

    /// A linked ambassador for an introduction: the peer's own if possible, else this node's.
    fn introducer(&self, contact: Option<&Contact>) -> Option<NodeId> {
        let via = contact.and_then(|contact| contact.via).map(|via| via.id);
        let likely = [via, self.home].into_iter().flatten().find(|id| self.up.contains(*id));
        likely.or_else(|| self.ambassadors().next())
    }

    fn dial_all<O>(&mut self, peer: NodeId, addresses: Vec<SocketAddr>, stats: &mut Stats, sink: &mut Sink<M, O>) {
        for address in addresses {
            self.dial(peer, DialTarget::Address(address), stats, sink);
        }
    }

    fn dial<O>(&mut self, peer: NodeId, to: DialTarget, stats: &mut Stats, sink: &mut Sink<M, O>) {
        if !self.attempts.get(&peer).is_some_and(LinkAttempt::may_dial) {
            return;
        }
        let dial = self.new_dial();
        stats.dials += 1;
        self.dials.insert(dial, peer);
        self.attempts.get_mut(&peer).expect("dials belong to an attempt").dialled(dial);
        sink.push(Output::Dial { dial, peer: Some(peer), to });
    }

    fn new_dial(&mut self) -> DialId {
        self.next_dial += 1;
        DialId(self.next_dial)
    }

    pub(super) fn take_step<O>(
        &mut self,
        now: Time,
        peer: NodeId,
        step: AttemptStep,
        stats: &mut Stats,
        sink: &mut Sink<M, O>,
    ) {
        match step {
            AttemptStep::Wait => {}
            AttemptStep::Relay(relay) if self.up.contains(relay) => {
                self.dial(peer, DialTarget::Relay { relay }, stats, sink);
            }
            AttemptStep::Relay(_) => {}
            AttemptStep::ContactAddresses(via) => self.addresses(now, peer, via, stats, sink),
            AttemptStep::GiveUp => self.end_attempt(peer),
        }
    }

    pub(super) fn end_attempt(&mut self, peer: NodeId) {
        self.dials.retain(|_, dialled| *dialled != peer);
        let Some(attempt) = self.attempts.remove(&peer) else { return };
        if !attempt.is_answering() && !self.up.contains(peer) {
            self.book.take(peer);
            self.fail(peer);
        }
    }

    /// Makes a link to the ambassador of `peer`, to ask for an introduction; or asks, if there is one.
    fn addresses<O>(
        &mut self,
        now: Time,
        peer: NodeId,
        via: AmbassadorAddress,
        stats: &mut Stats,
        sink: &mut Sink<M, O>,
    ) {
        let Some(attempt) = self.attempts.get_mut(&peer) else { return };
        attempt.reaching(now, via.id);
        if self.up.contains(via.id) {
            self.ask_awaited(now, via.id, stats, sink);
        } else if !self.attempts.contains_key(&via.id) {
            self.begin(now, via.id, Some(&Contact::public(via.id, via.address)), stats, sink);
        }
    }

    pub(super) fn fail(&mut self, peer: NodeId) {
        if !self.failed.contains(&peer) {
            self.failed.push(peer);
        }
    }
}

/// Asks `ambassador` to introduce this node to `peer`.
fn ask<M, O>(ambassador: NodeId, peer: NodeId, stats: &mut Stats, sink: &mut Sink<M, O>) {
    stats.messages_sent += 1;
    sink.send(ambassador, Message::Rendezvous(RendezvousMessage::Introduce { peer }));
}
