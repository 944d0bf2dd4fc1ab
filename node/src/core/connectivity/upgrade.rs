//! Getting links as direct as they can be: links that the application wants, forwarded ports, probes.

use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;

use super::Connectivity;
use super::connect_requests::LinkStanding;
use super::holepunch::{PunchAction, PunchContext};
use super::links::{LinkInfo, is_ipv6_host};
use super::port_map;
use super::suspects::SuspectAction;
use crate::core::contact::Contact;
use crate::core::cx::Cx;
use crate::core::identity::NodeId;
use crate::core::io::{CommandId, ConnectReport, DialTarget, ForwardedPort, Outcome, Output, SocketId};
use crate::core::message::{Message, PunchMessage, RendezvousMessage};
use crate::core::nat_report::{MappingBehaviour, PunchMethod};
use crate::core::patience;
use crate::core::probe::{Probe, Token};
use crate::core::time::{Deadline, Time};

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

impl<M> Connectivity<M> {
    /// The application wants a link.
    pub(in crate::core) fn connect<O>(
        &mut self,
        cx: &mut Cx<'_, M, O>,
        command: CommandId,
        peer: NodeId,
        contact: Option<Box<Contact>>,
    ) {
        let contact = contact.filter(|contact| contact.id == peer);
        if let Some(contact) = &contact {
            self.links.learn(contact);
        }
        if peer == cx.me.id || !self.connect_requests.add(cx.now, command, peer, contact) {
            let nothing = ConnectReport { path: None, took: None, direct_after: None, tries: 0 };
            return cx.sink.done(command, Outcome::Connected(nothing));
        }
        self.holepunch.hurry(cx.now, peer);
        self.reintroduce_over_ipv6(cx, peer);
        self.links.want(cx.now, peer, cx.hosts.get(peer), cx.stats, cx.sink);
    }

    /// Tells of wanted links that are as direct as they will be, or whose time is up.
    pub(in crate::core) fn settle_connect_requests<O>(&mut self, cx: &mut Cx<'_, M, O>) {
        if self.connect_requests.is_empty() {
            return;
        }
        let (links, crossing) = (&self.links, &self.holepunch);
        let standing = |peer| {
            let (improving, tries) = crossing.progress(peer);
            LinkStanding { path: links.path(peer), greeted: links.is_greeted(peer), improving, tries }
        };
        for (command, report) in self.connect_requests.settle(cx.now, standing) {
            cx.sink.done(command, Outcome::Connected(report));
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
    pub(in crate::core) fn cross<O>(&mut self, cx: &mut Cx<'_, M, O>, link: LinkInfo) {
        let LinkInfo { peer, remote, .. } = link;
        self.suspects.forget(peer);
        if remote.is_none() {
            if let Some((_, None)) = self.links.relayed(peer) {
                // It has outlived what made it: where the peer is must be said once more.
                self.links.request_introduction(peer, cx.stats, cx.sink);
            }
            return self.cross_relayed(cx, peer);
        }
        let mut acts = Vec::new();
        if let Some(method) = self.holepunch.direct(peer, &mut acts) {
            self.links.record_punch_method(peer, method);
            cx.stats.holepunches_succeeded += 1;
        }
        self.act(cx, acts);
    }

    /// Takes note of a relayed link, and of where the peer was seen.
    pub(in crate::core) fn cross_relayed<O>(&mut self, cx: &mut Cx<'_, M, O>, peer: NodeId) {
        if let Some((leads, Some(observed_ip))) = self.links.relayed(peer) {
            let mut acts = Vec::new();
            self.holepunch.relayed(cx.now, peer, leads, observed_ip, &mut acts);
            self.act(cx, acts);
        }
    }

    /// A peer with a relayed link says where it is. If it has come to IPv6, which this node has too, or has a port forwarded, no
    /// NAT is in the way any more; if its NAT has another address, only an ambassador can vouch for that one. So it is
    /// introduced again.
    pub(in crate::core) fn reintroduce_if_moved<O>(&mut self, cx: &mut Cx<'_, M, O>, contact: &Contact) {
        let peer = contact.id;
        let Some(known) = self.links.contact(peer) else { return };
        let is_new = |address: &SocketAddr| is_ipv6_host(address) && !known.local.contains(address);
        let has_ipv6 = cx.me.local.iter().any(is_ipv6_host) && contact.local.iter().any(is_new);
        let external_address = [known.external_address, contact.external_address]
            .map(|external_address| external_address.map(|address| address.ip()));
        let has_moved = external_address[0].is_some() && external_address[0] != external_address[1];
        let has_mapped = contact.mapped.is_some() && contact.mapped != known.mapped;
        if !(has_ipv6 || has_moved || has_mapped) || !self.holepunch.may_reintroduce(peer) {
            return;
        }
        self.links.request_introduction(peer, cx.stats, cx.sink);
    }

    /// A better link to `peer` than a relayed one is wanted. Where both have IPv6 the dials of the first introduction have missed
    /// each other.
    fn reintroduce_over_ipv6<O>(&mut self, cx: &mut Cx<'_, M, O>, peer: NodeId) {
        let has_ipv6 = |local: &[SocketAddr]| local.iter().any(is_ipv6_host);
        let both = has_ipv6(&cx.me.local) && self.links.contact(peer).is_some_and(|contact| has_ipv6(&contact.local));
        if both && self.holepunch.may_reintroduce_and_wait(cx.now, peer) {
            self.links.request_introduction(peer, cx.stats, cx.sink);
        }
    }

    /// The link to `peer`, if it is a direct one, may be dead.
    pub(in crate::core) fn suspect<O>(&mut self, cx: &mut Cx<'_, M, O>, peer: NodeId) {
        if let Some(remote) = self.links.remote(peer) {
            let expected_reflection = self.links.expected_reflection(peer);
            let probe_timeout = self.links.path_estimate(peer).map(patience::probe_timeout).unwrap_or_default();
            let token = Token(cx.random.random());
            self.suspects.suspect(cx.now, peer, remote, expected_reflection, token, probe_timeout);
        }
    }

    /// This node's NAT has forgotten everything, or is another.
    pub(in crate::core) fn suspect_all_distant<O>(&mut self, cx: &mut Cx<'_, M, O>) {
        for peer in self.links.distant() {
            if !self.rendezvous.wants(peer) {
                self.suspect(cx, peer);
            }
        }
    }

    /// Probes suspect links and replaces dead ones. Returns the peers whose links were dead.
    fn check_suspects<O>(&mut self, cx: &mut Cx<'_, M, O>) -> Vec<NodeId> {
        let mut dead = Vec::new();
        for due in self.suspects.wake(cx.now) {
            match due {
                SuspectAction::Probe(to, token) => {
                    let probe = Probe::Request { token };
                    self.act(cx, vec![PunchAction::Probe { socket: SocketId::MAIN, to, probe }]);
                }
                SuspectAction::Dead(peer) => {
                    self.links.replace_link(cx.now, peer, cx.stats, cx.sink);
                    dead.push(peer);
                }
            }
        }
        dead
    }

    /// There is no link to `peer` any more.
    pub(in crate::core) fn stop_crossing<O>(&mut self, cx: &mut Cx<'_, M, O>, peer: NodeId) {
        self.suspects.forget(peer);
        let mut acts = Vec::new();
        self.holepunch.gone(peer, &mut acts);
        self.act(cx, acts);
    }

    /// A peer speaks of getting rid of the relay.
    pub(in crate::core) fn cross_message<O>(&mut self, cx: &mut Cx<'_, M, O>, from: NodeId, message: PunchMessage) {
        let mut acts = Vec::new();
        self.holepunch.handle(cx.now, from, message, &self.outlook(cx), &mut acts);
        self.act(cx, acts);
    }

    /// A probe has come.
    pub(in crate::core) fn probed<O>(
        &mut self,
        cx: &mut Cx<'_, M, O>,
        socket: SocketId,
        from: SocketAddr,
        probe: Probe,
    ) {
        cx.stats.probes_received += 1;
        let mut acts = Vec::new();
        if !self.holepunch.is_empty()
            && self.holepunch.probed(cx.now, socket, from, probe, &self.outlook(cx), &mut acts)
        {
            return self.act(cx, acts);
        }
        if let Probe::Response { token, seen, .. } = probe
            && self.suspects.answered(cx.now, token, from, seen)
        {
            return;
        }
        if let Probe::Request { token } = probe
            && (self.probe_responder.may_answer(cx.now) || self.links.leads_to(from))
        {
            let ip = cx.me.external_address.or(cx.me.local.first().copied()).map(|address| address.ip());
            let alternate_port = self.probe_responder.alternate_port.filter(|_| socket == SocketId::MAIN);
            let other = alternate_port.and_then(|port| Some(SocketAddr::new(ip?, port)));
            let probe = Probe::Response { token, seen: from, other };
            self.act(cx, vec![PunchAction::Probe { socket, to: from, probe }]);
        }
    }

    /// An ambassador answers probes at a second port as well.
    pub(in crate::core) fn open_alternate_socket<O>(&mut self, cx: &mut Cx<'_, M, O>) {
        if cx.me.ambassador && !std::mem::replace(&mut self.probe_responder.listening, true) {
            cx.sink.push(Output::OpenSocket { socket: SocketId::ALTERNATE });
        }
    }

    fn act<O>(&mut self, cx: &mut Cx<'_, M, O>, acts: Vec<PunchAction>) {
        for act in acts {
            match act {
                PunchAction::AddressedMessage(peer, message) => {
                    cx.stats.holepunches_given_up += u64::from(message == PunchMessage::End);
                    self.send(cx, peer, Message::Rendezvous(RendezvousMessage::Punch(message)));
                }
                PunchAction::Probe { socket, to, probe } => {
                    cx.stats.probes_sent += 1;
                    cx.sink.push(Output::Probe { socket, to, probe });
                }
                PunchAction::Dial { peer, socket, to } => {
                    let to = if socket == SocketId::MAIN {
                        DialTarget::Address(to)
                    } else {
                        DialTarget::From { socket, to }
                    };
                    self.links.cross(cx.now, peer, to, cx.stats, cx.sink);
                }
                PunchAction::Introduce(peer) => self.links.request_introduction(peer, cx.stats, cx.sink),
                PunchAction::Expect { socket, from } => cx.sink.push(Output::ExpectDial { socket, from }),
                PunchAction::Close { socket } => cx.sink.push(Output::CloseSocket { socket }),
                PunchAction::Try(PunchMethod::Simultaneous) => cx.stats.tries_simultaneous += 1,
                PunchAction::Try(PunchMethod::Predicted) => cx.stats.tries_port_prediction += 1,
                PunchAction::Try(PunchMethod::Birthday) => cx.stats.tries_birthday += 1,
            }
        }
    }

    fn outlook<O>(&self, cx: &Cx<'_, M, O>) -> PunchContext {
        let place = self.links.place();
        let public = if cx.me.ambassador { place.local.first().map(|own| own.address) } else { None };
        let public = public.or(place.external_address.filter(|_| !place.is_behind_nat()));
        let mut reflectors = self.links.reflectors(|peer| self.rendezvous.wants(peer));
        if reflectors.is_empty() {
            // The link to the ambassador may run over IPv6, where no NAT can be looked at.
            let fallback = self.rendezvous.home().map(|via| via.address);
            reflectors.extend(fallback.filter(|address| address.is_ipv4() && !place.is_near(*address)));
        }
        PunchContext { reflectors, public }
    }

    /// The NAT was asked to forward a port.
    pub(in crate::core) fn mapped<O>(&mut self, cx: &mut Cx<'_, M, O>, mapping: Option<ForwardedPort>) {
        if self.port_map.answered(cx.now, mapping) {
            self.refresh_own_addresses(cx);
        }
    }

    /// Goes on with what is due. Returns the peers whose links were found dead: requests sent over them have no answer.
    pub(in crate::core) fn wake_upgrades<O>(&mut self, cx: &mut Cx<'_, M, O>) -> Vec<NodeId> {
        for (peer, contact) in self.connect_requests.due(cx.now) {
            if let Some(contact) = contact {
                self.links.learn(&contact);
            }
            self.links.want(cx.now, peer, cx.hosts.get(peer), cx.stats, cx.sink);
        }
        let dead = self.check_suspects(cx);
        if self.holepunch.deadline().at <= cx.now {
            let mut acts = Vec::new();
            self.holepunch.wake(cx.now, &self.outlook(cx), &mut acts);
            self.act(cx, acts);
        }
        if self.links.is_behind_nat()
            && self.port_map.wake(cx.now)
            && let Some(port) = cx.me.local.first().map(SocketAddr::port)
        {
            cx.sink.push(Output::MapPort { port, lifetime: port_map::LIFETIME });
        }
        dead
    }

    /// When [`Connectivity::wake_upgrades`] is due.
    pub(in crate::core) fn upgrades_deadline(&self) -> Deadline {
        let mapping = if self.links.is_behind_nat() { self.port_map.deadline() } else { Deadline::NEVER };
        self.connect_requests.deadline().or(mapping).or(self.holepunch.deadline()).or(self.suspects.deadline())
    }
}

#[cfg(test)]
mod tests;
