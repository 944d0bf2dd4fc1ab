//! Getting links as direct as they can be: links that the application wants, forwarded ports, probes.

use std::net::SocketAddr;

use super::Node;
use super::contact::Contact;
use super::identity::NodeId;
use super::io::{CommandId, LinkReport, Outcome, Output, Sink, SocketId};
use super::port_map;
use super::probe::Probe;
use super::time::{Deadline, Time};
use super::wanted::Standing;
use crate::overlay::Overlay;

impl<V: Overlay> Node<V> {
    /// The application wants a link.
    pub(super) fn want_link(
        &mut self,
        now: Time,
        command: CommandId,
        peer: NodeId,
        contact: Option<&Contact>,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        if peer == self.me.id || !self.wanted.add(now, command, peer) {
            let nothing = LinkReport { path: None, took: None, direct_after: None, tries: 0 };
            return sink.done(command, Outcome::Linked(nothing));
        }
        if let Some(contact) = contact.filter(|contact| contact.id == peer) {
            self.links.learn(contact);
        }
        self.links.want(now, peer, self.hosts.get(peer), &mut self.stats, sink);
    }

    /// Tells of wanted links that are as direct as they will be, or whose time is up.
    pub(super) fn settle_wanted(&mut self, now: Time, sink: &mut Sink<V::Message, V::Outcome>) {
        if self.wanted.is_empty() {
            return;
        }
        let links = &self.links;
        let standing = |peer| Standing { path: links.path(peer), improving: false, tries: 0 };
        for (command, report) in self.wanted.settle(now, standing) {
            sink.done(command, Outcome::Linked(report));
        }
    }

    /// A probe has come.
    pub(super) fn probed(
        &mut self,
        _now: Time,
        socket: SocketId,
        from: SocketAddr,
        probe: Probe,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        self.stats.probes_received += 1;
        if let Probe::Request { token } = probe {
            let answer = Probe::Response { token, seen: from, other: None };
            self.stats.probes_sent += 1;
            sink.push(Output::Probe { socket, to: from, probe: answer });
        }
    }

    /// The NAT was asked to forward a port.
    pub(super) fn mapped(&mut self, now: Time, address: Option<SocketAddr>, sink: &mut Sink<V::Message, V::Outcome>) {
        if self.port_map.answered(now, address) {
            self.settle_place(now, self.me.outside, sink);
        }
    }

    /// Goes on with what is due.
    pub(super) fn wake_crossings(&mut self, now: Time, sink: &mut Sink<V::Message, V::Outcome>) {
        for peer in self.wanted.due(now) {
            self.links.want(now, peer, self.hosts.get(peer), &mut self.stats, sink);
        }
        let port = self.me.local.first().map(SocketAddr::port);
        if let Some(port) = port.filter(|_| self.links.place().is_behind_nat() && self.port_map.wake(now)) {
            sink.push(Output::MapPort { port, lifetime: port_map::LIFETIME });
        }
    }

    /// When [`Node::wake_crossings`] is due.
    pub(super) fn crossings_deadline(&self) -> Deadline {
        let mapping = if self.links.place().is_behind_nat() { self.port_map.deadline() } else { Deadline::NEVER };
        self.wanted.deadline().or(mapping)
    }
}
