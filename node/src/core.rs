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
pub mod cx;
pub mod identity;
pub mod interposer;
pub mod io;
pub mod membership;
pub mod message;
pub mod nat_report;
pub mod path;
pub mod patience;
pub mod peer_map;
pub mod probe;
pub mod random;
pub mod requests;
pub mod stats;
pub mod storage;
pub mod time;
pub mod transport;
pub mod wire;

pub use connectivity::upgrade::NatStatus;

use config::Config;
use connectivity::Connectivity;
use connectivity::links::{LinkInfo, work_budget};
use contact::{Contact, Quality};
use cx::Cx;
use identity::NodeId;
use io::{AskError, Command, CommandId, Input, Outcome, Output, Sink};
use membership::discovery;
use membership::discovery::{Discovery, DiscoveryOutcome};
use membership::isolation::Isolation;
use membership::known_hosts::KnownHosts;
use message::{Announcement, Message, Refusal};
use random::Random;
use requests::{BODY_MAX, ROUTE_MAX, Requests};
use stats::{Instrument, InstrumentLabels, InstrumentValue, MessagePurpose, Stats};
use time::{Deadline, Time};

/// Unreachable peers that one input reports; the rest follows at once after it.
const FAILURES_PER_INPUT: usize = 64;

/// A peer: known hosts, discovery, links, requests, and the overlay `V` on top.
#[derive(Debug)]
pub struct NodeCore<V: Overlay> {
    config: Arc<Config>,
    me: Contact,
    random: Random,
    hosts: KnownHosts,
    discover: Discovery,
    connectivity: Connectivity<V::Message>,
    requests: Requests,
    isolation: Isolation,
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
            random: random::child(seed, 0),
            hosts: KnownHosts::new(id, config.active, config.passive),
            discover: Discovery::new(config.discover),
            connectivity: Connectivity::new(&config, random::child(seed, 1)),
            requests: Requests::default(),
            isolation: Isolation::default(),
            stats: Stats::default(),
            overlay,
            leaving: None,
            left: false,
            config,
        }
    }

    /// Gives it these neighbours, which it keeps, and no others: for simulations on a given graph. Before its first input.
    pub fn prescribe_neighbours(&mut self, neighbours: Vec<Contact>) {
        self.hosts.prescribe(neighbours);
    }

    /// Takes one input; what follows from it goes to `sink`. Returns when the node wants [`Input::Wake`] at the latest.
    pub fn handle(
        &mut self,
        now: Time,
        input: Input<V::Message, V::Command>,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) -> Deadline {
        self.connectivity.links_mut().own_doing();
        match input {
            Input::LinkUp { peer, remote, dialled } => self.link_up(now, LinkInfo { peer, remote, dialled }, sink),
            Input::LinkDown { peer } => self.link_down(now, peer, sink),
            Input::PathMeasured { peer, path } => {
                self.connectivity.path_measured(now, peer, &path);
                // Waits that begin later follow from it; nothing is to be done now.
                return self.deadline(now);
            }
            Input::DialFailed { dial } => self.with(now, sink, |net, cx| net.dial_failed(cx, dial)),
            Input::Message { from, message } => self.message(now, from, message, sink),
            Input::Announcement { from, announcement } => self.heard(now, from, announcement, sink),
            Input::Command { id, command } => self.command(now, id, command, sink),
            Input::Reply { request, result } => self.reply(now, request, result, sink),
            Input::ProbeReceived { socket, from, probe } => {
                self.with(now, sink, |net, cx| net.probed(cx, socket, from, probe));
            }
            Input::SocketOpened { socket, port } => self.connectivity.socket_opened(socket, port),
            Input::PortMapped(mapping) => self.with(now, sink, |net, cx| net.mapped(cx, mapping)),
            Input::Addresses(local) => self.with(now, sink, |net, cx| net.set_local_addresses(cx, local)),
            Input::Resolved { name, addresses } => self.with(now, sink, |net, cx| net.resolved(cx, &name, &addresses)),
            Input::StoreOpened(contents) => self.notify_overlay(now, OverlayInput::StoreOpened(contents), sink),
            Input::Stored(completion) => self.notify_overlay(now, OverlayInput::Stored(completion), sink),
            Input::Wake => self.wake(now, sink),
        }
        self.report_unreachable(now, sink);
        self.with(now, sink, |net, cx| {
            net.clean_up_closed(cx);
            net.settle_connect_requests(cx);
        });
        self.finish_leaving(sink);
        self.isolation.update(now, self.hosts.neighbour_count());
        self.deadline(now)
    }

    /// Where another node with this node's identity was heard last.
    pub fn double(&self) -> Option<SocketAddr> {
        self.discover.double()
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

    /// How long this node has been without a neighbour.
    pub fn isolation(&self) -> &Isolation {
        &self.isolation
    }

    /// How the link to `peer` runs, if there is one.
    pub fn path(&self, peer: NodeId) -> Option<io::LinkPath> {
        self.connectivity.links().path(peer)
    }

    /// What is known of the NAT before this node; `None` before the first survey.
    pub fn nat(&self) -> Option<NatStatus> {
        self.connectivity.nat()
    }

    /// Every linked peer with its address as seen from here; `None` if the link is relayed.
    pub fn linked(&self) -> impl Iterator<Item = (NodeId, Option<SocketAddr>)> + '_ {
        self.connectivity.links().linked().map(|peer| (peer, self.connectivity.links().remote(peer)))
    }

    /// What it has counted, with gauges as of now.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        stats.neighbours = self.hosts.neighbour_count() as u64;
        stats.known_hosts = self.hosts.len() as u64;
        stats.isolated = u64::from(self.isolation.since().is_some());
        stats.isolated_longest_s = self.isolation.longest().as_secs_f64();
        self.connectivity.links().gauges(&mut stats);
        stats
    }

    /// Hands every instrument of the core and then of the overlay to `visit`.
    pub fn metrics(&self, mut visit: impl FnMut(Instrument, InstrumentLabels, InstrumentValue<'_>)) {
        self.stats().each(&mut visit);
        self.overlay.metrics(&mut visit);
    }

    /// The transport has taken a message for a peer, of so many bytes; 0 of one for which there was no link.
    pub fn count_sent(&mut self, purpose: MessagePurpose, bytes: u64) {
        if bytes > 0 {
            self.stats.count_sent(purpose, bytes);
        }
    }

    /// So many bytes of messages have arrived.
    pub fn count_received(&mut self, bytes: u64) {
        self.stats.bytes_received += bytes;
    }

    /// The transport has dropped a message that is too long for a frame ([`wire::FRAME_MAX`]).
    pub fn count_unsendable(&mut self) {
        self.stats.messages_unsendable += 1;
    }

    /// The overlay that this node runs.
    pub fn overlay(&self) -> &V {
        &self.overlay
    }

    /// Has the connectivity machine handle something, with the rest of the node as its context.
    fn with<R>(
        &mut self,
        now: Time,
        sink: &mut Sink<V::Message, V::Outcome>,
        handle: impl FnOnce(&mut Connectivity<V::Message>, &mut Cx<'_, V::Message, V::Outcome>) -> R,
    ) -> R {
        let mut cx = Cx {
            now,
            config: &self.config,
            me: &mut self.me,
            hosts: &mut self.hosts,
            random: &mut self.random,
            stats: &mut self.stats,
            sink,
            is_leaving: self.leaving.is_some(),
        };
        handle(&mut self.connectivity, &mut cx)
    }

    fn link_up(&mut self, now: Time, link: LinkInfo, sink: &mut Sink<V::Message, V::Outcome>) {
        let peer = link.peer;
        if peer == self.me.id {
            return;
        }
        self.refresh_me(now);
        if let Some(remote) = link.remote {
            self.hosts.note_seen(peer, self.me.network_seen_at(remote));
        }
        let registration = self.with(now, sink, |net, cx| net.register_link(cx, link));
        if registration.is_new {
            self.notify_overlay(now, OverlayInput::LinkUp { peer }, sink);
        }
        self.with(now, sink, |net, cx| net.follow_up_link(cx, link, registration));
    }

    fn link_down(&mut self, now: Time, peer: NodeId, sink: &mut Sink<V::Message, V::Outcome>) {
        if self.connectivity.link_down(peer) {
            self.lost(now, peer, sink);
            self.notify_overlay(now, OverlayInput::LinkDown { peer }, sink);
        }
    }

    /// A peer is out of reach: every module that counts on it takes note, except for the overlay.
    fn lost(&mut self, now: Time, peer: NodeId, sink: &mut Sink<V::Message, V::Outcome>) {
        self.with(now, sink, |net, cx| net.peer_lost(cx, peer));
        self.fail_requests_to(peer, sink);
    }

    fn fail_requests_to(&mut self, peer: NodeId, sink: &mut Sink<V::Message, V::Outcome>) {
        for command in self.requests.lost(peer) {
            sink.done(command, Outcome::Answered(Err(AskError::Unreachable)));
        }
    }

    fn report_unreachable(&mut self, now: Time, sink: &mut Sink<V::Message, V::Outcome>) {
        for _ in 0..FAILURES_PER_INPUT {
            let Some(peer) = self.connectivity.take_failed() else { return };
            self.lost(now, peer, sink);
            self.notify_overlay(now, OverlayInput::Unreachable { peer }, sink);
        }
    }

    fn message(
        &mut self,
        now: Time,
        from: NodeId,
        message: Message<V::Message>,
        sink: &mut Sink<V::Message, V::Outcome>,
    ) {
        if !self.connectivity.links().is_up(from) {
            return;
        }
        self.stats.messages_received += 1;
        let price = work_budget::price(&message, |message| self.overlay.price(message));
        if !self.connectivity.links_mut().hears(now, from, price) {
            self.stats.messages_refused += 1;
            return;
        }
        match message {
            Message::Membership(message) => {
                self.with(now, sink, |net, cx| net.membership_message(cx, from, message));
            }
            Message::Rendezvous(message) => {
                self.with(now, sink, |net, cx| net.rendezvous_message(cx, from, message));
            }
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
        match self.discover.heard(now, from, announcement, &self.me, known, &mut self.random) {
            DiscoveryOutcome::Newcomer { contact, answer } => {
                if answer {
                    self.answer_ping(from, contact.id, sink);
                }
                self.hosts.note_host(contact, &mut self.random);
            }
            DiscoveryOutcome::Hosts { contact, hosts } => {
                self.hosts.note_hosts(hosts, &mut self.random);
                self.with(now, sink, |net, cx| net.meet(cx, contact));
            }
            DiscoveryOutcome::Double => self.stats.doubles_heard += 1,
            DiscoveryOutcome::Nothing => {}
        }
        self.with(now, sink, |net, cx| net.recruit_neighbours(cx));
    }

    fn answer_ping(&mut self, to: SocketAddr, newcomer: NodeId, sink: &mut Sink<V::Message, V::Outcome>) {
        let Some(port) = self.me.local.first().map(SocketAddr::port) else { return };
        let hosts = self.hosts.introduce_to(newcomer, discovery::HOSTS_PER_ANSWER, &mut self.random);
        let announcement = Announcement::Pong { id: self.me.id, port, quality: self.me.quality, hosts };
        self.stats.announcements_sent += 1;
        sink.push(Output::Unicast { to, announcement });
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
                    Ok(request) => {
                        self.with(now, sink, |net, cx| net.send(cx, peer, Message::Ask { request, route, body }))
                    }
                    Err(error) => sink.done(id, Outcome::Answered(Err(error))),
                }
            }
            Command::Connect { peer, contact } => self.with(now, sink, |net, cx| net.connect(cx, id, peer, contact)),
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
                self.with(now, sink, |net, cx| {
                    net.send(cx, from, Message::Answer { request: number, result: Err(refusal) })
                });
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
        if self.connectivity.links().is_up(peer) {
            self.with(now, sink, |net, cx| net.send(cx, peer, Message::Answer { request: number, result }));
        }
    }

    fn wake(&mut self, now: Time, sink: &mut Sink<V::Message, V::Outcome>) {
        self.refresh_me(now);
        let lonely = self.hosts.is_empty();
        if let Some(ping) = self.discover.wake(now, &self.me, lonely, self.config.ping, &mut self.random) {
            self.stats.announcements_sent += 1;
            sink.push(Output::Announce(ping));
        }
        let dead = self.with(now, sink, |net, cx| {
            net.wake_rendezvous(cx);
            net.recruit_neighbours(cx);
            net.wake_upgrades(cx)
        });
        // What was asked over a dead link is lost with it.
        dead.into_iter().for_each(|peer| self.fail_requests_to(peer, sink));
        self.with(now, sink, |net, cx| net.wake_links(cx));
        for command in self.requests.expire(now) {
            sink.done(command, Outcome::Answered(Err(AskError::TimedOut)));
        }
        if self.overlay.deadline().at <= now {
            self.notify_overlay(now, OverlayInput::Wake, sink);
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
        let linked: Vec<NodeId> = self.connectivity.links().linked().collect();
        for peer in linked {
            self.connectivity.links_mut().abandon(peer, sink);
        }
        sink.done(command, Outcome::Left);
    }

    fn deadline(&self, now: Time) -> Deadline {
        let failures = if self.connectivity.links().has_failed() { now } else { Time::NEVER };
        let requests = self.requests.deadline().or(Deadline { at: failures, why: "telling of failed links" });
        let hosts = if self.leaving.is_some() { Deadline::NEVER } else { self.hosts.deadline() };
        let peers = hosts.or(self.discover.deadline()).or(self.connectivity.deadline());
        self.overlay.deadline().or(self.connectivity.links().deadline()).or(peers).or(requests)
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
            links: self.connectivity.links_mut(),
            sink,
            left: &mut self.left,
        };
        self.overlay.handle(input, &mut context);
    }
}

#[cfg(test)]
mod tests;
