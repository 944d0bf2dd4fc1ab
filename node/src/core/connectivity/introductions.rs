//! What a node sends and receives across networks: greetings, introductions, hosts known to ambassadors.

use std::net::SocketAddr;

use super::Connectivity;
use super::links::OwnAddresses;
use super::rendezvous;
use crate::core::contact::{AmbassadorAddress, Contact};
use crate::core::cx::Cx;
use crate::core::identity::NodeId;
use crate::core::io::Output;
use crate::core::membership::known_hosts::CONTACTS_MAX;
use crate::core::message::{MembershipMessage, Message, RendezvousMessage};

impl<M> Connectivity<M> {
    pub(in crate::core) fn rendezvous_message<O>(
        &mut self,
        cx: &mut Cx<'_, M, O>,
        from: NodeId,
        message: RendezvousMessage,
    ) {
        match message {
            RendezvousMessage::Hello { contact, seen } => self.greeted(cx, from, contact, seen),
            RendezvousMessage::Introduce { peer } => self.introduce(cx, from, peer),
            RendezvousMessage::Introduced { contact } => self.introduced(cx, from, &contact),
            RendezvousMessage::Unknown { peer } => {
                if self.links.has_asked(from, peer) {
                    self.links.introduction_refused(cx.now, peer, cx.stats, cx.sink);
                }
            }
            RendezvousMessage::Punch(message) => self.cross_message(cx, from, message),
            RendezvousMessage::GetHosts => {
                let contacts = cx.hosts.introduce_to(from, CONTACTS_MAX, cx.random);
                self.send(cx, from, Message::Rendezvous(RendezvousMessage::Hosts { contacts }));
            }
            RendezvousMessage::Hosts { contacts } => {
                if self.rendezvous.wants(from) {
                    cx.hosts.note_hosts(contacts, cx.random);
                    self.recruit_neighbours(cx);
                }
            }
        }
    }

    /// `from` has brought this node and another together: if that is its business, dial the other.
    fn introduced<O>(&mut self, cx: &mut Cx<'_, M, O>, from: NodeId, contact: &Contact) {
        if contact.id == cx.me.id || !contact.is_bounded() || !self.lets_introduce(cx, from, contact.id) {
            return;
        }
        // A peer with a direct link asks for no introduction, unless it has lost that.
        self.suspect(cx, contact.id);
        self.links.introduced(cx.now, from, contact, cx.stats, cx.sink);
        self.cross_relayed(cx, contact.id);
    }

    /// Whoever introduces makes this node dial: that may be done by those who were asked to, the ambassadors through which this
    /// node is met, and, a few times, those that it has chosen itself.
    fn lets_introduce<O>(&mut self, cx: &mut Cx<'_, M, O>, from: NodeId, peer: NodeId) -> bool {
        self.links.has_asked(from, peer)
            || self.rendezvous.wants(from)
            || (self.links.has_chosen(from) && self.rendezvous.may_be_introduced(cx.now, from))
    }

    /// A configured ambassador is linked: ask it for hosts, or join through it if this node has no neighbour.
    pub(in crate::core) fn greet_configured_ambassador<O>(
        &mut self,
        cx: &mut Cx<'_, M, O>,
        peer: NodeId,
        remote: Option<SocketAddr>,
    ) {
        if let (0, Some(address)) = (cx.hosts.neighbour_count(), remote) {
            let contact = Contact { ambassador: true, ..Contact::public(peer, address) };
            self.meet(cx, contact);
        }
        self.send(cx, peer, Message::Rendezvous(RendezvousMessage::GetHosts));
    }

    /// A node that has lost all hosts takes those for known that are linked. An ambassador cannot dial the hosts it has lost behind NATs;
    /// they link to it again, but if they have each other they look for no other host.
    pub(in crate::core) fn turn_to_linked<O>(&mut self, cx: &mut Cx<'_, M, O>) {
        if cx.hosts.has_lost_all() {
            let linked = self.links.linked().filter_map(|peer| self.links.contact(peer)).take(CONTACTS_MAX);
            cx.hosts.note_hosts(linked.cloned(), cx.random);
        }
    }

    fn greeted<O>(&mut self, cx: &mut Cx<'_, M, O>, from: NodeId, contact: Contact, seen: Option<SocketAddr>) {
        if contact.id != from || !contact.is_bounded() {
            return;
        }
        self.links.greeted(from, contact);
        self.links.seen_as(from, seen);
        self.turn_to_linked(cx);
        if let Some(host) = self.links.unsolicited_caller(from) {
            self.reachability.record_caller(host);
            self.refresh_own_addresses(cx);
        }
        // An IPv6 address as seen by others says nothing of the NAT that IPv4 may have to pass.
        let seen = seen.filter(SocketAddr::is_ipv4);
        if let Some(seen) = seen.filter(|&seen| self.believes(cx, from, seen)) {
            self.seen_at(cx, seen);
        }
        self.select_fallback_ambassador(cx);
    }

    /// Whether this node is where `reflector` sees it: the configured ambassador is believed, others only if enough of
    /// them agree, each at another address. A neighbour on the LAN sees a local address anyway.
    fn believes<O>(&self, cx: &Cx<'_, M, O>, reflector: NodeId, seen: SocketAddr) -> bool {
        match self.rendezvous.gate() {
            Some(gate) => gate.id == reflector,
            None => !cx.config.ambassador && cx.me.external_address != Some(seen) && self.links.agree_on(seen.ip()),
        }
    }

    fn seen_at<O>(&mut self, cx: &mut Cx<'_, M, O>, seen: SocketAddr) {
        let moved = cx.me.external_address.is_some_and(|external_address| external_address != seen);
        if cx.me.external_address.is_some_and(|external_address| external_address.ip() != seen.ip()) {
            self.reachability.moved();
            self.holepunch.moved(cx.now);
        }
        if moved {
            self.port_map.moved();
        }
        self.update_own_addresses(cx, Some(seen));
        if moved {
            self.suspect_all_distant(cx);
        }
    }

    /// While no configured ambassador can be reached, selects another one: a linked one, else a known one.
    pub(in crate::core) fn select_fallback_ambassador<O>(&mut self, cx: &mut Cx<'_, M, O>) {
        if cx.me.ambassador || cx.is_leaving || !self.rendezvous.is_fallback_due(cx.now) {
            return;
        }
        if let Some(via) = self.links.fallback_ambassador(cx.me.id) {
            self.rendezvous.set_fallback_ambassador(via);
            return self.refresh_own_addresses(cx);
        }
        let place = self.links.place();
        let leads_out = |contact: &&Contact| {
            let public = contact.external_address.or(contact.local.first().copied());
            contact.ambassador && contact.via.is_none() && public.is_some_and(|address| !place.is_near(address))
        };
        let known = cx.hosts.contacts().filter(leads_out).min_by_key(|c| c.id.prefix() ^ cx.me.id.prefix());
        if let Some(known) = known.cloned() {
            self.links.want(cx.now, known.id, Some(&known), cx.stats, cx.sink);
        }
    }

    /// Takes note of where this node is; if that changes how peers can reach it, sends a `Refresh` to every linked peer.
    pub(in crate::core) fn update_own_addresses<O>(
        &mut self,
        cx: &mut Cx<'_, M, O>,
        external_address: Option<SocketAddr>,
    ) {
        // A NAT behind another forwards from an address that means nothing beyond that one.
        let reachable =
            |mapped: &SocketAddr| external_address.is_none_or(|external_address| external_address.ip() == mapped.ip());
        let mapped = self.port_map.address().filter(reachable);
        let place = OwnAddresses { local: self.local_addresses.clone(), external_address, mapped };
        let home = self.rendezvous.home();
        self.links.set_home(home.map(|via| via.id));
        let via = home.filter(|_| place.is_behind_nat());
        let volunteers = cx.config.auto_ambassador && place.is_public() && self.reachability.is_publicly_reachable();
        let serves = cx.config.ambassador || volunteers;
        let changed = *self.links.place() != place || cx.me.via != via || cx.me.ambassador != serves;
        cx.me.set_external(external_address, via);
        cx.me.set_mapped(mapped);
        if !changed {
            return;
        }
        self.links.set_place(place);
        self.links.set_serving(serves);
        cx.me.ambassador = serves;
        self.open_alternate_socket(cx);
        let linked: Vec<NodeId> = self.links.linked().collect();
        for peer in linked {
            let contact = cx.me.clone();
            self.send(cx, peer, Message::Membership(MembershipMessage::Refresh { contact }));
        }
    }

    /// Brings `from` and `peer` together, if both are linked here: each gets the other's contact at the same time.
    fn introduce<O>(&mut self, cx: &mut Cx<'_, M, O>, from: NodeId, peer: NodeId) {
        if !cx.me.ambassador || !self.rendezvous.may_introduce(cx.now, from) {
            return self.send(cx, from, Message::Rendezvous(RendezvousMessage::Unknown { peer }));
        }
        let (Some(asker), Some(asked)) = (self.seen_from_here(cx, from), self.seen_from_here(cx, peer)) else {
            return self.send(cx, from, Message::Rendezvous(RendezvousMessage::Unknown { peer }));
        };
        cx.stats.introductions += 1;
        cx.sink.push(Output::AllowRelay { a: from, b: peer });
        self.send(cx, peer, Message::Rendezvous(RendezvousMessage::Introduced { contact: asker }));
        self.send(cx, from, Message::Rendezvous(RendezvousMessage::Introduced { contact: asked }));
    }

    /// A linked peer's contact, with its address as seen from this ambassador.
    fn seen_from_here<O>(&self, cx: &Cx<'_, M, O>, peer: NodeId) -> Option<Contact> {
        let contact = self.links.is_up(peer).then(|| self.links.contact(peer)).flatten()?.clone();
        let address = cx.me.external_address.or(cx.me.local.first().copied())?;
        Some(rendezvous::as_seen(contact, self.links.remote(peer), AmbassadorAddress { id: cx.me.id, address }))
    }
}
