//! What a node says and hears across networks: greetings, introductions, hosts told by ambassadors.

use std::net::SocketAddr;

use super::contact::{Contact, Via};
use super::identity::NodeId;
use super::io::{Output, Sink};
use super::known_hosts::CONTACTS_MAX;
use super::links::Place;
use super::message::{HostsMessage, Message, WiderMessage};
use super::time::Time;
use super::{Node, wider};
use crate::overlay::Overlay;

impl<V: Overlay> Node<V> {
    pub(super) fn wider_message(
        &mut self,
        now: Time,
        from: NodeId,
        message: WiderMessage,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        match message {
            WiderMessage::Hello { contact, seen } => self.greeted(now, from, contact, seen, sink),
            WiderMessage::Introduce { peer } => self.introduce(now, from, peer, sink),
            WiderMessage::Introduced { contact } if contact.is_bounded() && contact.id != self.me.id => {
                // A peer with a direct link asks for no introduction, unless it has lost that.
                self.doubt(now, contact.id);
                self.links.introduced(now, from, &contact, &mut self.stats, sink);
                self.cross_relayed(now, contact.id, sink);
            }
            WiderMessage::Introduced { .. } => {}
            WiderMessage::Unknown { peer } => self.links.not_introduced(peer),
            WiderMessage::Cross(message) => self.cross_message(now, from, message, sink),
            WiderMessage::GetHosts => {
                let contacts = self.hosts.introduce_to(from, CONTACTS_MAX, &mut self.random);
                self.send(now, from, Message::Wider(WiderMessage::Hosts { contacts }), sink);
            }
            WiderMessage::Hosts { contacts } => {
                if self.wider.wants(from) {
                    self.hosts.hear_all(contacts, &mut self.random);
                    self.court(now, sink);
                }
            }
        }
    }

    /// An ambassador that this node was told of is linked: ask it for hosts, or to make this node known if it knows nobody.
    pub(super) fn meet_ambassador(
        &mut self,
        now: Time,
        peer: NodeId,
        remote: Option<SocketAddr>,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        if let (0, Some(address)) = (self.hosts.neighbour_count(), remote) {
            let mut contact = Contact { ambassador: true, ..Contact::at(peer, address) };
            contact.set_reach(Some(address), None);
            self.meet(now, contact, sink);
        }
        self.send(now, peer, Message::Wider(WiderMessage::GetHosts), sink);
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
        // An IPv6 address as seen by others says nothing of the NAT that IPv4 may have to pass.
        let seen = seen.filter(SocketAddr::is_ipv4);
        // Only the ambassador through which this node is met is believed; a neighbour on the LAN sees a local address anyway.
        if self.wider.home().is_some_and(|via| via.id == from) && seen.is_some() {
            let moved = self.me.outside.is_some() && self.me.outside != seen;
            self.settle_place(now, seen, sink);
            if moved {
                self.port_map.moved();
                self.doubt_all(now);
            }
        }
    }

    /// Takes note of where this node is; if that changes how it can be met, every linked peer is told.
    pub(super) fn settle_place(
        &mut self,
        now: Time,
        outside: Option<SocketAddr>,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        let mapped = self.port_map.address();
        let place = Place { local: self.me.local.clone(), outside, mapped };
        let via = self.wider.home().filter(|_| place.is_behind_nat());
        let changed = *self.links.place() != place || self.me.via != via;
        self.me.set_reach(outside, via);
        self.me.set_mapped(mapped);
        if !changed {
            return;
        }
        self.links.set_place(place);
        let linked: Vec<NodeId> = self.links.linked().collect();
        for peer in linked {
            let contact = self.me.clone();
            self.send(now, peer, Message::Hosts(HostsMessage::Refresh { contact }), sink);
        }
    }

    /// Brings `from` and `peer` together, if both are linked here: each is told of the other at the same time.
    fn introduce(&mut self, now: Time, from: NodeId, peer: NodeId, sink: &mut Sink<V::Message, V::Outcome>) {
        if !self.config.ambassador || !self.wider.may_introduce(now, from) {
            return self.send(now, from, Message::Wider(WiderMessage::Unknown { peer }), sink);
        }
        let (Some(asker), Some(asked)) = (self.seen_from_here(from), self.seen_from_here(peer)) else {
            return self.send(now, from, Message::Wider(WiderMessage::Unknown { peer }), sink);
        };
        self.stats.introductions += 1;
        sink.push(Output::AllowRelay { a: from, b: peer });
        self.send(now, peer, Message::Wider(WiderMessage::Introduced { contact: asker }), sink);
        self.send(now, from, Message::Wider(WiderMessage::Introduced { contact: asked }), sink);
    }

    /// A linked peer's contact, with its address as seen from this ambassador.
    fn seen_from_here(&self, peer: NodeId) -> Option<Contact> {
        let contact = self.links.is_up(peer).then(|| self.links.contact(peer)).flatten()?.clone();
        let address = self.me.local.first().copied()?;
        Some(wider::as_seen(contact, self.links.remote(peer), Via { id: self.me.id, address }))
    }
}
