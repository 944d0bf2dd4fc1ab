//! The node, pure: `handle(now, input, &mut sink) -> Deadline`.
//!
//! [`NodeCore`] owns the protocol modules and is the only place where they meet: they never name each other, but return what
//! is to be said or done, and [`NodeCore`] carries it from one to the next. Time is an argument, randomness is seeded, and
//! everything that a node wants done goes into a [`Sink`]. The same code runs over real sockets and in the simulator.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::SocketAddr;
use std::sync::Arc;

use crate::overlay::{Overlay, OverlayContext, OverlayInput};

pub mod blob;
pub mod config;
pub mod connectivity;
pub mod contact;
pub mod identity;
mod introductions;
pub mod io;
pub mod membership;
pub mod message;
pub mod nat_report;
pub mod probe;
pub mod random;
pub mod requests;
pub mod stats;
pub mod time;
pub mod transport;
pub(crate) mod upgrade;
pub mod wire;

pub use upgrade::NatStatus;

use config::Config;
use connectivity::connect_requests::ConnectRequests;
use connectivity::holepunch::HolePunch;
use connectivity::links::{LinkInfo, Links};
use connectivity::port_map::PortMap;
use connectivity::reachability::Reachability;
use connectivity::rendezvous::Rendezvous;
use connectivity::suspects::Suspects;
use contact::{Contact, Quality};
use identity::NodeId;
use io::{AskError, Command, CommandId, Input, LocalAddress, Outcome, Output, Sink};
use membership::discovery;
use membership::discovery::{Discovery, DiscoveryOutcome};
use membership::known_hosts::{AddressedMessage, KnownHosts};
use message::{Announcement, Message, Refusal};
use random::Random;
use requests::{BODY_MAX, ROUTE_MAX, Requests};
use stats::{Instrument, InstrumentLabels, InstrumentValue, Stats};
use time::{Deadline, Time};
use upgrade::ProbeResponder;

/// Unreachable peers that one input reports; the rest follows at once after it.
const FAILURES_PER_INPUT: usize = 64;

/// A peer: known hosts, discovery, links, requests, and the overlay `V` on top.
#[derive(Debug)]
pub struct NodeCore<V: Overlay> {
    config: Arc<Config>,
    me: Contact,
    /// The addresses of `me`, with the sizes of their networks.
    local_addresses: Vec<LocalAddress>,
    random: Random,
    hosts: KnownHosts,
    discover: Discovery,
    rendezvous: Rendezvous,
    links: Links<V::Message>,
    connect_requests: ConnectRequests,
    port_map: PortMap,
    holepunch: HolePunch,
    suspects: Suspects,
    probe_responder: ProbeResponder,
    reachability: Reachability,
    requests: Requests,
    stats: Stats,
    overlay: V,
    leaving: Option<CommandId>,
    left: bool,
}

impl<V: Overlay> NodeCore<V> {
    /// A node that has just started and has no known host. Give it [`Input::Addresses`] and then [`Input::Wake`] to begin.
    ///
    /// `seed` decides all its randomness; two nodes of one network must not share one.
    pub fn new(id: NodeId, config: Arc<Config>, seed: u64, overlay: V) -> Self {
        let quality = Quality { uptime_s: 0, storage_free_kib: 0, hosts: 0 };
        let ambassador = config.ambassador;
        NodeCore {
            me: Contact { id, addresses: Arc::default(), ambassador, quality },
            local_addresses: Vec::new(),
            random: random::child(seed, 0),
            hosts: KnownHosts::new(id, config.active, config.passive),
            discover: Discovery::new(config.discover),
            rendezvous: Rendezvous::new(&config.join, &config.join_names),
            links: Links::new(ambassador),
            connect_requests: ConnectRequests::default(),
            port_map: PortMap::new(config.port_mapping),
            holepunch: HolePunch::new(random::child(seed, 1)),
            suspects: Suspects::default(),
            probe_responder: ProbeResponder::default(),
            reachability: Reachability::default(),
            requests: Requests::default(),
            stats: Stats::default(),
            overlay,
            leaving: None,
            left: false,
            config,
        }
    }

    /// Takes one input; what follows from it goes to `sink`. Returns when the node wants [`Input::Wake`] at the latest.
    pub fn handle(
        &mut self,
        now: Time,
        input: Input<V::Message, V::Command>,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) -> Deadline {
        match input {
            Input::LinkUp { peer, remote, dialled } => self.link_up(now, LinkInfo { peer, remote, dialled }, sink),
            Input::LinkDown { peer } => self.link_down(now, peer, sink),
            Input::DialFailed { dial } => {
                if !self.links.dial_failed(now, dial, &mut self.stats, sink) {
                    self.rendezvous.dial_failed(now, dial);
                }
            }
            Input::Message { from, message } => self.message(now, from, message, sink),
            Input::Announcement { from, announcement } => self.heard(now, from, announcement, sink),
            Input::Command { id, command } => self.command(now, id, command, sink),
            Input::Reply { request, result } => self.reply(now, request, result, sink),
            Input::ProbeReceived { socket, from, probe } => self.probed(now, socket, from, probe, sink),
            Input::SocketOpened { socket, port } => self.probe_responder.opened(socket, port),
            Input::PortMapped(mapping) => self.mapped(now, mapping, sink),
            Input::Addresses(mut local) => {
                local.truncate(contact::ADDRESSES_MAX);
                let addresses = Arc::make_mut(&mut self.me.addresses);
                addresses.local = local.iter().map(|own| own.address).collect();
                self.local_addresses = local;
                self.update_own_addresses(now, self.me.external_address, sink);
            }
            Input::Resolved { name, addresses } => self
                .rendezvous
                .resolved(now, &name, &addresses, |address| self.links.dial_address(address, &mut self.stats, sink)),
            Input::Wake => self.wake(now, sink),
        }
        self.report_unreachable(now, sink);
        self.clean_up_closed(now, sink);
        self.settle_connect_requests(now, sink);
        self.finish_leaving(sink);
        self.deadline(now)
    }

    /// This node's contact, as peers get it.
    pub fn me(&self) -> &Contact {
        &self.me
    }

    /// The neighbours, which form the active view.
    pub fn neighbours(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.hosts.neighbours()
    }

    /// Every known host, neighbours first.
    pub fn known_hosts(&self) -> impl Iterator<Item = &Contact> + '_ {
        self.hosts.contacts()
    }

    /// How the link to `peer` runs, if there is one.
    pub fn path(&self, peer: NodeId) -> Option<io::LinkPath> {
        self.links.path(peer)
    }

    /// Every linked peer with its address as seen from here; `None` if the link is relayed.
    pub fn linked(&self) -> impl Iterator<Item = (NodeId, Option<SocketAddr>)> + '_ {
        self.links.linked().map(|peer| (peer, self.links.remote(peer)))
    }

    /// What it has counted, with gauges as of now.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        stats.neighbours = self.hosts.neighbour_count() as u64;
        stats.known_hosts = self.hosts.len() as u64;
        self.links.gauges(&mut stats);
        stats
    }

    /// Hands every instrument of the core and then of the overlay to `visit`.
    pub fn metrics(&self, mut visit: impl FnMut(Instrument, InstrumentLabels, InstrumentValue<'_>)) {
        self.stats().each(&mut visit);
        self.overlay.metrics(&mut visit);
    }

    /// The transport tells how many bytes of messages it has carried.
    pub fn count_bytes(&mut self, sent: u64, received: u64) {
        self.stats.bytes_sent += sent;
        self.stats.bytes_received += received;
    }

    /// The transport has dropped a message that is too long for a frame ([`wire::FRAME_MAX`]).
    pub fn count_unsendable(&mut self) {
        self.stats.messages_unsendable += 1;
    }

    /// The overlay that this node runs.
    pub fn overlay(&self) -> &V {
        &self.overlay
    }

    fn link_up(&mut self, now: Time, link: LinkInfo, sink: &mut Sink<V::Message, V::Outcome>) {
        let LinkInfo { peer, remote, .. } = link;
        if peer == self.me.id {
            return;
        }
        let is_configured = self.rendezvous.link_up(peer, remote);
        self.refresh_me(now);
        if self.links.link_up(now, link, &self.me, &mut self.stats, sink) {
            self.notify_overlay(now, OverlayInput::LinkUp { peer }, sink);
        }
        self.cross(now, link, sink);
        self.update_own_addresses(now, self.me.external_address, sink);
        if is_configured {
            self.greet_configured_ambassador(now, peer, remote, sink);
        }
    }

    fn link_down(&mut self, now: Time, peer: NodeId, sink: &mut Sink<V::Message, V::Outcome>) {
        if self.links.link_down(peer) {
            self.lost(now, peer, sink);
            self.notify_overlay(now, OverlayInput::LinkDown { peer }, sink);
        }
    }

    /// A peer is out of reach: every module that counts on it takes note, except for the overlay.
    fn lost(&mut self, now: Time, peer: NodeId, sink: &mut Sink<V::Message, V::Outcome>) {
        self.rendezvous.link_down(now, peer);
        self.connect_requests.lost(now, peer);
        self.stop_crossing(now, peer, sink);
        self.update_own_addresses(now, self.me.external_address, sink);
        self.hosts.remove(peer);
        self.select_fallback_ambassador(now, sink);
        for command in self.requests.lost(peer) {
            sink.done(command, Outcome::Answered(Err(AskError::Unreachable)));
        }
    }

    fn report_unreachable(&mut self, now: Time, sink: &mut Sink<V::Message, V::Outcome>) {
        for _ in 0..FAILURES_PER_INPUT {
            let Some(peer) = self.links.take_failed() else { return };
            self.lost(now, peer, sink);
            self.notify_overlay(now, OverlayInput::Unreachable { peer }, sink);
        }
    }

    /// Links that this node has closed itself leave nothing behind.
    fn clean_up_closed(&mut self, now: Time, sink: &mut Sink<V::Message, V::Outcome>) {
        while let Some(peer) = self.links.take_closed() {
            self.connect_requests.lost(now, peer);
            self.stop_crossing(now, peer, sink);
            if self.rendezvous.wants(peer) {
                self.rendezvous.link_down(now, peer);
                self.update_own_addresses(now, self.me.external_address, sink);
                self.select_fallback_ambassador(now, sink);
            }
        }
    }

    fn message(
        &mut self,
        now: Time,
        from: NodeId,
        message: Message<V::Message>,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        if !self.links.is_up(from) {
            return;
        }
        self.stats.messages_received += 1;
        self.links.used(now, from);
        match message {
            Message::Membership(message) => {
                if let Some(contact) = message.sender().filter(|contact| contact.id == from && contact.is_bounded()) {
                    self.reintroduce_if_moved(contact, sink);
                    self.links.greeted(from, contact.clone());
                }
                let says = self.hosts.handle(now, from, message, &self.me, &mut self.random);
                self.say(now, says, sink);
            }
            Message::Rendezvous(message) => self.wider_message(now, from, message, sink),
            Message::Ask { request, route, body } => self.asked(now, from, request, route, body, sink),
            Message::Answer { request, result } => {
                if let Some((command, result)) = self.requests.answered(from, request, result) {
                    sink.done(command, Outcome::Answered(result));
                }
            }
            Message::Overlay(message) => self.notify_overlay(now, OverlayInput::Message { from, message }, sink),
        }
    }

    fn heard(
        &mut self,
        now: Time,
        from: SocketAddr,
        announcement: Announcement,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        self.stats.announcements_received += 1;
        let known = self.hosts.len();
        match self.discover.heard(now, from, announcement, self.me.id, known, &mut self.random) {
            DiscoveryOutcome::Newcomer { contact, answer } => {
                if answer {
                    self.answer_ping(from, contact.id, sink);
                }
                self.hosts.note_host(contact, &mut self.random);
            }
            DiscoveryOutcome::Hosts { contact, hosts } => {
                self.hosts.note_hosts(hosts, &mut self.random);
                self.meet(now, contact, sink);
            }
            DiscoveryOutcome::Nothing => {}
        }
        self.recruit_neighbours(now, sink);
    }

    fn answer_ping(&mut self, to: SocketAddr, newcomer: NodeId, sink: &mut Sink<V::Message, V::Outcome>) {
        let Some(port) = self.me.local.first().map(SocketAddr::port) else { return };
        let hosts = self.hosts.introduce_to(newcomer, discovery::HOSTS_PER_ANSWER, &mut self.random);
        let announcement = Announcement::Pong { id: self.me.id, port, quality: self.me.quality, hosts };
        self.stats.announcements_sent += 1;
        sink.push(Output::Unicast { to, announcement });
    }

    /// A peer has answered: the first one is asked to spread the word, others become candidates.
    fn meet(&mut self, now: Time, contact: Contact, sink: &mut Sink<V::Message, V::Outcome>) {
        if self.hosts.neighbour_count() == 0 {
            let says = self.hosts.join(contact, &self.me, &mut self.random);
            self.say(now, says, sink);
        } else {
            self.hosts.note_host(contact, &mut self.random);
        }
    }

    fn command(
        &mut self,
        now: Time,
        id: CommandId,
        command: Command<V::Command>,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        match command {
            Command::Ask { peer, route, body } => {
                let fits = route.len() <= ROUTE_MAX && body.0.len() <= BODY_MAX;
                let number =
                    if fits { self.requests.ask(now, peer, id, self.config.deadline) } else { Err(AskError::TooLarge) };
                match number {
                    Ok(request) => self.send(now, peer, Message::Ask { request, route, body }, sink),
                    Err(error) => sink.done(id, Outcome::Answered(Err(error))),
                }
            }
            Command::Connect { peer, contact } => self.connect(now, id, peer, contact, sink),
            Command::Leave if self.leaving.is_some() => sink.done(id, Outcome::Left),
            Command::Leave => {
                self.leaving = Some(id);
                self.notify_overlay(now, OverlayInput::Leave, sink);
            }
            Command::Overlay(command) => self.notify_overlay(now, OverlayInput::Command { id, command }, sink),
        }
    }

    fn asked(
        &mut self,
        now: Time,
        from: NodeId,
        number: u64,
        route: String,
        body: blob::Blob,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        match self.requests.serve(now, from, number, self.config.deadline) {
            Ok(request) if route.len() <= ROUTE_MAX => {
                self.stats.requests_served += 1;
                sink.push(Output::Request { request, from, route, body });
            }
            Ok(request) => self.reply(now, request, Err(Refusal::NoSuchRoute), sink),
            Err(refusal) => {
                self.send(now, from, Message::Answer { request: number, result: Err(refusal) }, sink);
            }
        }
    }

    fn reply(
        &mut self,
        now: Time,
        request: io::RequestId,
        result: Result<blob::Blob, Refusal>,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        let Some((peer, number)) = self.requests.served(request) else { return };
        let result = result.and_then(|body| if body.0.len() <= BODY_MAX { Ok(body) } else { Err(Refusal::Failed) });
        if self.links.is_up(peer) {
            self.send(now, peer, Message::Answer { request: number, result }, sink);
        }
    }

    fn wake(&mut self, now: Time, sink: &mut Sink<V::Message, V::Outcome>) {
        self.refresh_me(now);
        let lonely = self.hosts.is_empty();
        if let Some(ping) = self.discover.wake(now, &self.me, lonely, self.config.ping, &mut self.random) {
            self.stats.announcements_sent += 1;
            sink.push(Output::Announce(ping));
        }
        let names = self.rendezvous.wake(now, |address| self.links.dial_address(address, &mut self.stats, sink));
        for name in names {
            sink.push(Output::Resolve { name });
        }
        self.select_fallback_ambassador(now, sink);
        self.recruit_neighbours(now, sink);
        self.wake_crossings(now, sink);
        let wanted =
            |peer| self.hosts.is_neighbour(peer) || self.rendezvous.wants(peer) || self.connect_requests.wants(peer);
        self.links.wake(now, wanted, &mut self.stats, sink);
        for command in self.requests.expire(now) {
            sink.done(command, Outcome::Answered(Err(AskError::TimedOut)));
        }
        if self.overlay.deadline().at <= now {
            self.notify_overlay(now, OverlayInput::Wake, sink);
        }
    }

    fn recruit_neighbours(&mut self, now: Time, sink: &mut Sink<V::Message, V::Outcome>) {
        if self.leaving.is_none() && self.hosts.deadline().at <= now {
            let says = self.hosts.wake(now, self.config.refresh, &self.me, &mut self.random);
            self.say(now, says, sink);
        }
    }

    fn refresh_me(&mut self, now: Time) {
        self.me.quality = Quality {
            uptime_s: u32::try_from(now.as_micros() / 1_000_000).unwrap_or(u32::MAX),
            storage_free_kib: u32::try_from(self.overlay.storage_free() >> 10).unwrap_or(u32::MAX),
            hosts: u16::try_from(self.hosts.len()).unwrap_or(u16::MAX),
        };
    }

    fn finish_leaving(&mut self, sink: &mut Sink<V::Message, V::Outcome>) {
        if !std::mem::take(&mut self.left) {
            return;
        }
        let Some(command) = self.leaving else { return };
        let linked: Vec<NodeId> = self.links.linked().collect();
        for peer in linked {
            self.links.abandon(peer, sink);
        }
        sink.done(command, Outcome::Left);
    }

    fn deadline(&self, now: Time) -> Deadline {
        let failures = if self.links.has_failed() { now } else { Time::NEVER };
        let requests = self.requests.deadline().or(Deadline { at: failures, why: "telling of failed links" });
        let hosts = if self.leaving.is_some() { Deadline::NEVER } else { self.hosts.deadline() };
        let peers = hosts.or(self.discover.deadline()).or(self.rendezvous.deadline()).or(self.crossings_deadline());
        self.overlay.deadline().or(self.links.deadline()).or(peers).or(requests)
    }

    fn say(&mut self, now: Time, says: Vec<AddressedMessage>, sink: &mut Sink<V::Message, V::Outcome>) {
        for (contact, message) in says {
            let known = Some(&contact);
            self.links.send(now, contact.id, Message::Membership(message), known, &mut self.stats, sink);
        }
    }

    fn send(&mut self, now: Time, peer: NodeId, message: Message<V::Message>, sink: &mut Sink<V::Message, V::Outcome>) {
        self.links.send(now, peer, message, self.hosts.get(peer), &mut self.stats, sink);
    }

    fn notify_overlay(
        &mut self,
        now: Time,
        input: OverlayInput<V::Message, V::Command>,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        let mut context = OverlayContext {
            now,
            config: &self.config,
            random: &mut self.random,
            stats: &mut self.stats,
            me: &self.me,
            hosts: &mut self.hosts,
            links: &mut self.links,
            sink,
            left: &mut self.left,
        };
        self.overlay.handle(input, &mut context);
    }
}

#[cfg(test)]
mod tests;
