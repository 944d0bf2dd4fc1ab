//! What a node sends and receives across networks: greetings, introductions, hosts known to ambassadors.

use std::net::SocketAddr;

use super::connectivity::links::OwnAddresses;
use super::connectivity::rendezvous;
use crate::core::NodeCore;
use crate::core::contact::{AmbassadorAddress, Contact};
use crate::core::identity::NodeId;
use crate::core::io::{Output, Sink};
use crate::core::membership::known_hosts::CONTACTS_MAX;
use crate::core::message::{MembershipMessage, Message, RendezvousMessage};
use crate::core::time::Time;
use crate::overlay::Overlay;

impl<V: Overlay> NodeCore<V> {
    pub(in crate::core) fn wider_message(
        &mut self,
        now: Time,
        from: NodeId,
        message: RendezvousMessage,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        match message {
            RendezvousMessage::Hello { contact, seen } => self.greeted(now, from, contact, seen, sink),
            RendezvousMessage::Introduce { peer } => self.introduce(now, from, peer, sink),
            RendezvousMessage::Introduced { contact } => self.introduced(now, from, &contact, sink),
            RendezvousMessage::Unknown { peer } => {
                if self.links.has_asked(from, peer) {
                    self.links.introduction_refused(now, peer, &mut self.stats, sink);
                }
            }
            RendezvousMessage::Punch(message) => self.cross_message(now, from, message, sink),
            RendezvousMessage::GetHosts => {
                let contacts = self.hosts.introduce_to(from, CONTACTS_MAX, &mut self.random);
                self.send(now, from, Message::Rendezvous(RendezvousMessage::Hosts { contacts }), sink);
            }
            RendezvousMessage::Hosts { contacts } => {
                if self.rendezvous.wants(from) {
                    self.hosts.note_hosts(contacts, &mut self.random);
                    self.recruit_neighbours(now, sink);
                }
            }
        }
    }

    /// `from` has brought this node and another together: if that is its business, dial the other.
    fn introduced(&mut self, now: Time, from: NodeId, contact: &Contact, sink: &mut Sink<V::Message, V::Outcome>) {
        if contact.id == self.me.id || !contact.is_bounded() || !self.lets_introduce(now, from, contact.id) {
            return;
        }
        // A peer with a direct link asks for no introduction, unless it has lost that.
        self.suspect(now, contact.id);
        self.links.introduced(now, from, contact, &mut self.stats, sink);
        self.cross_relayed(now, contact.id, sink);
    }

    /// Whoever introduces makes this node dial: that may be done by those who were asked to, the ambassadors through which this
    /// node is met, and, a few times, those that it has chosen itself.
    fn lets_introduce(&mut self, now: Time, from: NodeId, peer: NodeId) -> bool {
        self.links.has_asked(from, peer)
            || self.rendezvous.wants(from)
            || (self.links.has_chosen(from) && self.rendezvous.may_be_introduced(now, from))
    }

    /// A configured ambassador is linked: ask it for hosts, or join through it if this node has no neighbour.
    pub(in crate::core) fn greet_configured_ambassador(
        &mut self,
        now: Time,
        peer: NodeId,
        remote: Option<SocketAddr>,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        if let (0, Some(address)) = (self.hosts.neighbour_count(), remote) {
            let contact = Contact { ambassador: true, ..Contact::public(peer, address) };
            self.meet(now, contact, sink);
        }
        self.send(now, peer, Message::Rendezvous(RendezvousMessage::GetHosts), sink);
    }

    fn greeted(
        &mut self,
        now: Time,
        from: NodeId,
        contact: Contact,
        seen: Option<SocketAddr>,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        if contact.id != from || !contact.is_bounded() {
            return;
        }
        self.links.greeted(from, contact);
        self.links.seen_as(from, seen);
        if let Some(host) = self.links.unsolicited_caller(from) {
            self.reachability.record_caller(host);
            self.update_own_addresses(now, self.me.external_address, sink);
        }
        // An IPv6 address as seen by others says nothing of the NAT that IPv4 may have to pass.
        let seen = seen.filter(SocketAddr::is_ipv4);
        if let Some(seen) = seen.filter(|&seen| self.believes(from, seen)) {
            self.seen_at(now, seen, sink);
        }
        self.select_fallback_ambassador(now, sink);
    }

    /// Whether this node is where `reflector` sees it: the configured ambassador is believed, others only if enough of
    /// them agree, each at another address. A neighbour on the LAN sees a local address anyway.
    fn believes(&self, reflector: NodeId, seen: SocketAddr) -> bool {
        match self.rendezvous.gate() {
            Some(gate) => gate.id == reflector,
            None => !self.config.ambassador && self.me.external_address != Some(seen) && self.links.agree_on(seen.ip()),
        }
    }

    fn seen_at(&mut self, now: Time, seen: SocketAddr, sink: &mut Sink<V::Message, V::Outcome>) {
        let moved = self.me.external_address.is_some_and(|external_address| external_address != seen);
        if self.me.external_address.is_some_and(|external_address| external_address.ip() != seen.ip()) {
            self.reachability.moved();
            self.holepunch.moved(now);
        }
        if moved {
            self.port_map.moved();
        }
        self.update_own_addresses(now, Some(seen), sink);
        if moved {
            self.suspect_all_distant(now);
        }
    }

    /// While no configured ambassador can be reached, selects another one: a linked one, else a known one.
    pub(in crate::core) fn select_fallback_ambassador(&mut self, now: Time, sink: &mut Sink<V::Message, V::Outcome>) {
        if self.me.ambassador || self.leaving.is_some() || !self.rendezvous.is_fallback_due(now) {
            return;
        }
        if let Some(via) = self.links.fallback_ambassador(self.me.id) {
            self.rendezvous.set_fallback_ambassador(via);
            return self.update_own_addresses(now, self.me.external_address, sink);
        }
        let place = self.links.place();
        let leads_out = |contact: &&Contact| {
            let public = contact.external_address.or(contact.local.first().copied());
            contact.ambassador && contact.via.is_none() && public.is_some_and(|address| !place.is_near(address))
        };
        let known = self.hosts.contacts().filter(leads_out).min_by_key(|c| c.id.prefix() ^ self.me.id.prefix());
        if let Some(known) = known.cloned() {
            self.links.want(now, known.id, Some(&known), &mut self.stats, sink);
        }
    }

    /// Takes note of where this node is; if that changes how peers can reach it, sends a `Refresh` to every linked peer.
    pub(in crate::core) fn update_own_addresses(
        &mut self,
        now: Time,
        external_address: Option<SocketAddr>,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        // A NAT behind another forwards from an address that means nothing beyond that one.
        let reachable =
            |mapped: &SocketAddr| external_address.is_none_or(|external_address| external_address.ip() == mapped.ip());
        let mapped = self.port_map.address().filter(reachable);
        let place = OwnAddresses { local: self.local_addresses.clone(), external_address, mapped };
        let home = self.rendezvous.home();
        self.links.set_home(home.map(|via| via.id));
        let via = home.filter(|_| place.is_behind_nat());
        let volunteers = self.config.auto_ambassador && place.is_public() && self.reachability.is_publicly_reachable();
        let serves = self.config.ambassador || volunteers;
        let changed = *self.links.place() != place || self.me.via != via || self.me.ambassador != serves;
        self.me.set_external(external_address, via);
        self.me.set_mapped(mapped);
        if !changed {
            return;
        }
        self.links.set_place(place);
        self.links.set_serving(serves);
        self.me.ambassador = serves;
        self.open_alternate_socket(sink);
        let linked: Vec<NodeId> = self.links.linked().collect();
        for peer in linked {
            let contact = self.me.clone();
            self.send(now, peer, Message::Membership(MembershipMessage::Refresh { contact }), sink);
        }
    }

    /// Brings `from` and `peer` together, if both are linked here: each gets the other's contact at the same time.
    fn introduce(&mut self, now: Time, from: NodeId, peer: NodeId, sink: &mut Sink<V::Message, V::Outcome>) {
        if !self.me.ambassador || !self.rendezvous.may_introduce(now, from) {
            return self.send(now, from, Message::Rendezvous(RendezvousMessage::Unknown { peer }), sink);
        }
        let (Some(asker), Some(asked)) = (self.seen_from_here(from), self.seen_from_here(peer)) else {
            return self.send(now, from, Message::Rendezvous(RendezvousMessage::Unknown { peer }), sink);
        };
        self.stats.introductions += 1;
        sink.push(Output::AllowRelay { a: from, b: peer });
        self.send(now, peer, Message::Rendezvous(RendezvousMessage::Introduced { contact: asker }), sink);
        self.send(now, from, Message::Rendezvous(RendezvousMessage::Introduced { contact: asked }), sink);
    }

    /// A linked peer's contact, with its address as seen from this ambassador.
    fn seen_from_here(&self, peer: NodeId) -> Option<Contact> {
        let contact = self.links.is_up(peer).then(|| self.links.contact(peer)).flatten()?.clone();
        let address = self.me.external_address.or(self.me.local.first().copied())?;
        Some(rendezvous::as_seen(contact, self.links.remote(peer), AmbassadorAddress { id: self.me.id, address }))
    }
}
