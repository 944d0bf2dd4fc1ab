//! Getting links as direct as they can be: links that the application wants, forwarded ports, probes.

use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;

use super::connectivity::connect_requests::LinkStanding;
use super::connectivity::holepunch::{PunchAction, PunchContext};
use super::connectivity::links::{LinkInfo, is_ipv6_host};
use super::connectivity::port_map;
use super::connectivity::suspects::SuspectAction;
use super::nat_report::{MappingBehaviour, PunchMethod};
use crate::core::NodeCore;
use crate::core::contact::Contact;
use crate::core::identity::NodeId;
use crate::core::io::{AskError, CommandId, ConnectReport, DialTarget, ForwardedPort, Outcome, Output, Sink, SocketId};
use crate::core::message::{Message, PunchMessage, RendezvousMessage};
use crate::core::probe::{Probe, Token};
use crate::core::time::{Deadline, Time};
use crate::overlay::Overlay;

/// Probes that are answered within [`ANSWERS_PER`]; those of linked peers beyond that, too.
const ANSWERS_MAX: u32 = 1_000;
/// See [`ANSWERS_MAX`].
const ANSWERS_PER: Duration = Duration::from_secs(1);

/// Answering the probes of others.
#[derive(Debug, Default)]
pub(in crate::core) struct ProbeResponder {
    /// The port of [`SocketId::ALTERNATE`].
    alternate_port: Option<u16>,
    /// Whether it was asked for.
    listening: bool,
    since: Time,
    count: u32,
}

impl ProbeResponder {
    pub(in crate::core) fn opened(&mut self, socket: SocketId, port: u16) {
        if socket == SocketId::ALTERNATE {
            self.alternate_port = Some(port);
        }
    }

    fn may_answer(&mut self, now: Time) -> bool {
        if now.since(self.since) >= ANSWERS_PER {
            (self.since, self.count) = (now, 0);
        }
        self.count += 1;
        self.count <= ANSWERS_MAX
    }
}

/// What stands between a node and other networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatStatus {
    /// Nothing: the node is seen at an address of its own.
    Absent,
    /// A NAT, which gives outside ports like this.
    Translated(MappingBehaviour),
}

impl<V: Overlay> NodeCore<V> {
    /// The application wants a link.
    pub(in crate::core) fn connect(
        &mut self,
        now: Time,
        command: CommandId,
        peer: NodeId,
        contact: Option<Box<Contact>>,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        let contact = contact.filter(|contact| contact.id == peer);
        if let Some(contact) = &contact {
            self.links.learn(contact);
        }
        if peer == self.me.id || !self.connect_requests.add(now, command, peer, contact) {
            let nothing = ConnectReport { path: None, took: None, direct_after: None, tries: 0 };
            return sink.done(command, Outcome::Connected(nothing));
        }
        self.holepunch.hurry(now, peer);
        self.reintroduce_over_ipv6(now, peer, sink);
        self.links.want(now, peer, self.hosts.get(peer), &mut self.stats, sink);
    }

    /// Tells of wanted links that are as direct as they will be, or whose time is up.
    pub(in crate::core) fn settle_connect_requests(&mut self, now: Time, sink: &mut Sink<V::Message, V::Outcome>) {
        if self.connect_requests.is_empty() {
            return;
        }
        let (links, crossing) = (&self.links, &self.holepunch);
        let standing = |peer| {
            let (improving, tries) = crossing.progress(peer);
            LinkStanding { path: links.path(peer), greeted: links.is_greeted(peer), improving, tries }
        };
        for (command, report) in self.connect_requests.settle(now, standing) {
            sink.done(command, Outcome::Connected(report));
        }
    }

    /// What is known of the NAT before this node: `None` before the first survey.
    pub fn nat(&self) -> Option<NatStatus> {
        match self.holepunch.nat() {
            _ if self.links.place().is_public() => Some(NatStatus::Absent),
            ports => ports.map(NatStatus::Translated),
        }
    }

    /// A link is up: over a relay, it may be got rid of; direct, it may be the fruit of that.
    pub(in crate::core) fn cross(&mut self, now: Time, link: LinkInfo, sink: &mut Sink<V::Message, V::Outcome>) {
        let LinkInfo { peer, remote, .. } = link;
        self.suspects.forget(peer);
        if remote.is_none() {
            if let Some((_, None)) = self.links.relayed(peer) {
                // It has outlived what made it: where the peer is must be said once more.
                self.links.request_introduction(peer, &mut self.stats, sink);
            }
            return self.cross_relayed(now, peer, sink);
        }
        let mut acts = Vec::new();
        if let Some(method) = self.holepunch.direct(peer, &mut acts) {
            self.links.record_punch_method(peer, method);
            self.stats.holepunches_succeeded += 1;
        }
        self.act(now, acts, sink);
    }

    /// Takes note of a relayed link, and of where the peer was seen.
    pub(in crate::core) fn cross_relayed(&mut self, now: Time, peer: NodeId, sink: &mut Sink<V::Message, V::Outcome>) {
        if let Some((leads, Some(observed_ip))) = self.links.relayed(peer) {
            let mut acts = Vec::new();
            self.holepunch.relayed(now, peer, leads, observed_ip, &mut acts);
            self.act(now, acts, sink);
        }
    }

    /// A peer with a relayed link says where it is. If it has come to IPv6, which this node has too, or has a port forwarded, no
    /// NAT is in the way any more; if its NAT has another address, only an ambassador can vouch for that one. So it is
    /// introduced again.
    pub(in crate::core) fn reintroduce_if_moved(&mut self, contact: &Contact, sink: &mut Sink<V::Message, V::Outcome>) {
        let peer = contact.id;
        let Some(known) = self.links.contact(peer) else { return };
        let is_new = |address: &SocketAddr| is_ipv6_host(address) && !known.local.contains(address);
        let has_ipv6 = self.me.local.iter().any(is_ipv6_host) && contact.local.iter().any(is_new);
        let external_address = [known.external_address, contact.external_address]
            .map(|external_address| external_address.map(|address| address.ip()));
        let has_moved = external_address[0].is_some() && external_address[0] != external_address[1];
        let has_mapped = contact.mapped.is_some() && contact.mapped != known.mapped;
        if !(has_ipv6 || has_moved || has_mapped) || !self.holepunch.may_reintroduce(peer) {
            return;
        }
        self.links.request_introduction(peer, &mut self.stats, sink);
    }

    /// A better link to `peer` than a relayed one is wanted. Where both have IPv6 the dials of the first introduction have missed
    /// each other.
    fn reintroduce_over_ipv6(&mut self, now: Time, peer: NodeId, sink: &mut Sink<V::Message, V::Outcome>) {
        let has_ipv6 = |local: &[SocketAddr]| local.iter().any(is_ipv6_host);
        let both = has_ipv6(&self.me.local) && self.links.contact(peer).is_some_and(|contact| has_ipv6(&contact.local));
        if both && self.holepunch.may_reintroduce_and_wait(now, peer) {
            self.links.request_introduction(peer, &mut self.stats, sink);
        }
    }

    /// The link to `peer`, if it is a direct one, may be dead.
    pub(in crate::core) fn suspect(&mut self, now: Time, peer: NodeId) {
        if let Some(remote) = self.links.remote(peer) {
            let expected_reflection = self.links.expected_reflection(peer);
            self.suspects.suspect(now, peer, remote, expected_reflection, Token(self.random.random()));
        }
    }

    /// This node's NAT has forgotten everything, or is another.
    pub(in crate::core) fn suspect_all_distant(&mut self, now: Time) {
        for peer in self.links.distant() {
            if !self.rendezvous.wants(peer) {
                self.suspect(now, peer);
            }
        }
    }

    fn check_suspects(&mut self, now: Time, sink: &mut Sink<V::Message, V::Outcome>) {
        for due in self.suspects.wake(now) {
            match due {
                SuspectAction::Probe(to, token) => {
                    let probe = Probe::Request { token };
                    self.act(now, vec![PunchAction::Probe { socket: SocketId::MAIN, to, probe }], sink);
                }
                SuspectAction::Dead(peer) => {
                    self.links.replace_link(now, peer, &mut self.stats, sink);
                    // What was asked over the old link is lost with it.
                    for command in self.requests.lost(peer) {
                        sink.done(command, Outcome::Answered(Err(AskError::Unreachable)));
                    }
                }
            }
        }
    }

    /// There is no link to `peer` any more.
    pub(in crate::core) fn stop_crossing(&mut self, now: Time, peer: NodeId, sink: &mut Sink<V::Message, V::Outcome>) {
        self.suspects.forget(peer);
        let mut acts = Vec::new();
        self.holepunch.gone(peer, &mut acts);
        self.act(now, acts, sink);
    }

    /// A peer speaks of getting rid of the relay.
    pub(in crate::core) fn cross_message(
        &mut self,
        now: Time,
        from: NodeId,
        message: PunchMessage,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        let mut acts = Vec::new();
        self.holepunch.handle(now, from, message, &self.outlook(), &mut acts);
        self.act(now, acts, sink);
    }

    /// A probe has come.
    pub(in crate::core) fn probed(
        &mut self,
        now: Time,
        socket: SocketId,
        from: SocketAddr,
        probe: Probe,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        self.stats.probes_received += 1;
        let mut acts = Vec::new();
        if !self.holepunch.is_empty() && self.holepunch.probed(now, socket, from, probe, &self.outlook(), &mut acts) {
            return self.act(now, acts, sink);
        }
        if let Probe::Response { token, seen, .. } = probe
            && self.suspects.answered(now, token, from, seen)
        {
            return;
        }
        if let Probe::Request { token } = probe
            && (self.probe_responder.may_answer(now) || self.links.leads_to(from))
        {
            let ip = self.me.external_address.or(self.me.local.first().copied()).map(|address| address.ip());
            let alternate_port = self.probe_responder.alternate_port.filter(|_| socket == SocketId::MAIN);
            let other = alternate_port.and_then(|port| Some(SocketAddr::new(ip?, port)));
            let probe = Probe::Response { token, seen: from, other };
            self.act(now, vec![PunchAction::Probe { socket, to: from, probe }], sink);
        }
    }

    /// An ambassador answers probes at a second port as well.
    pub(in crate::core) fn open_alternate_socket(&mut self, sink: &mut Sink<V::Message, V::Outcome>) {
        if self.me.ambassador && !std::mem::replace(&mut self.probe_responder.listening, true) {
            sink.push(Output::OpenSocket { socket: SocketId::ALTERNATE });
        }
    }

    fn act(&mut self, now: Time, acts: Vec<PunchAction>, sink: &mut Sink<V::Message, V::Outcome>) {
        for act in acts {
            match act {
                PunchAction::AddressedMessage(peer, message) => {
                    self.stats.holepunches_given_up += u64::from(message == PunchMessage::End);
                    self.send(now, peer, Message::Rendezvous(RendezvousMessage::Punch(message)), sink);
                }
                PunchAction::Probe { socket, to, probe } => {
                    self.stats.probes_sent += 1;
                    sink.push(Output::Probe { socket, to, probe });
                }
                PunchAction::Dial { peer, socket, to } => {
                    let to = if socket == SocketId::MAIN {
                        DialTarget::Address(to)
                    } else {
                        DialTarget::From { socket, to }
                    };
                    self.links.cross(now, peer, to, &mut self.stats, sink);
                }
                PunchAction::Introduce(peer) => self.links.request_introduction(peer, &mut self.stats, sink),
                PunchAction::Close { socket } => sink.push(Output::CloseSocket { socket }),
                PunchAction::Try(PunchMethod::Simultaneous) => self.stats.tries_simultaneous += 1,
                PunchAction::Try(PunchMethod::Predicted) => self.stats.tries_port_prediction += 1,
                PunchAction::Try(PunchMethod::Birthday) => self.stats.tries_birthday += 1,
            }
        }
    }

    fn outlook(&self) -> PunchContext {
        let place = self.links.place();
        let public = if self.me.ambassador { place.local.first().map(|own| own.address) } else { None };
        let public = public.or(place.external_address.filter(|_| !place.is_behind_nat()));
        let mut reflectors = self.links.reflectors(|peer| self.rendezvous.wants(peer));
        if reflectors.is_empty() {
            // The link to the ambassador may run over IPv6, where no NAT can be looked at.
            let told = self.rendezvous.home().map(|via| via.address);
            reflectors.extend(told.filter(|address| address.is_ipv4() && !place.is_near(*address)));
        }
        PunchContext { reflectors, public }
    }

    /// The NAT was asked to forward a port.
    pub(in crate::core) fn mapped(
        &mut self,
        now: Time,
        mapping: Option<ForwardedPort>,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        if self.port_map.answered(now, mapping) {
            self.update_own_addresses(now, self.me.external_address, sink);
        }
    }

    /// Goes on with what is due.
    pub(in crate::core) fn wake_crossings(&mut self, now: Time, sink: &mut Sink<V::Message, V::Outcome>) {
        for (peer, contact) in self.connect_requests.due(now) {
            if let Some(contact) = contact {
                self.links.learn(&contact);
            }
            self.links.want(now, peer, self.hosts.get(peer), &mut self.stats, sink);
        }
        self.check_suspects(now, sink);
        if self.holepunch.deadline().at <= now {
            let mut acts = Vec::new();
            self.holepunch.wake(now, &self.outlook(), &mut acts);
            self.act(now, acts, sink);
        }
        if self.links.is_behind_nat()
            && self.port_map.wake(now)
            && let Some(port) = self.me.local.first().map(SocketAddr::port)
        {
            sink.push(Output::MapPort { port, lifetime: port_map::LIFETIME });
        }
    }

    /// When [`Node::wake_crossings`] is due.
    pub(in crate::core) fn crossings_deadline(&self) -> Deadline {
        let mapping = if self.links.is_behind_nat() { self.port_map.deadline() } else { Deadline::NEVER };
        self.connect_requests.deadline().or(mapping).or(self.holepunch.deadline()).or(self.suspects.deadline())
    }
}

#[cfg(test)]
mod tests;
