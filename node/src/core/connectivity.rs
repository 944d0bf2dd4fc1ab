//! How peers are reached: links, introductions, hole punching, forwarded ports.
//!
//! | module | content |
//! | --- | --- |
//! | [`links`] | which links are up, which are being made, what waits to be sent |
//! | [`rendezvous`] | ambassadors: the configured ones and the fallback |
//! | `introductions` | greetings and introductions, as [`Connectivity`] carries them out |
//! | [`holepunch`] | from a relayed link to a direct one |
//! | `upgrade` | hole punching, probes and port mapping, as [`Connectivity`] carries them out |
//! | [`connect_requests`] | links that the application asked for |
//! | [`port_map`] | when to ask the NAT to forward a port |
//! | [`reachability`] | whether this node is publicly reachable |
//! | [`suspects`] | links that may be dead |

use std::net::SocketAddr;
use std::sync::Arc;

use super::config::Config;
use super::contact::{ADDRESSES_MAX, Contact};
use super::cx::Cx;
use super::identity::NodeId;
use super::io::{DialId, LocalAddress, Output, SocketId};
use super::membership::known_hosts::AddressedMessage;
use super::message::{MembershipMessage, Message};
use super::path::PathMeasurement;
use super::patience;
use super::random::Random;
use super::time::{Deadline, Time};
use connect_requests::ConnectRequests;
use holepunch::HolePunch;
use links::{LinkInfo, Links};
use port_map::PortMap;
use reachability::Reachability;
use rendezvous::Rendezvous;
use suspects::Suspects;
use upgrade::ProbeResponder;

pub mod connect_requests;
pub mod holepunch;
mod introductions;
pub mod links;
pub mod port_map;
pub mod reachability;
pub mod rendezvous;
pub mod suspects;
pub(crate) mod upgrade;

/// Everything that decides how peers are reached.
///
/// Its methods take a [`Cx`]: the rest of the node while one input is handled. They return what the node has to tell its other
/// modules: which links are new, which peers are out of reach.
#[derive(Debug)]
pub struct Connectivity<M> {
    links: Links<M>,
    rendezvous: Rendezvous,
    connect_requests: ConnectRequests,
    port_map: PortMap,
    holepunch: HolePunch,
    suspects: Suspects,
    probe_responder: ProbeResponder,
    reachability: Reachability,
    /// The node's own addresses, with the sizes of their networks.
    local_addresses: Vec<LocalAddress>,
}

/// What the transport's word of a link means to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkRegistration {
    /// Whether there was no link to the peer before.
    pub is_new: bool,
    /// Whether it leads to a configured ambassador.
    pub is_configured: bool,
}

impl<M> Connectivity<M> {
    /// Without a link. `random` is drawn from by hole punching alone.
    pub fn new(config: &Config, random: Random) -> Self {
        Connectivity {
            links: Links::new(config.ambassador),
            rendezvous: Rendezvous::new(&config.join, &config.join_names),
            connect_requests: ConnectRequests::default(),
            port_map: PortMap::new(config.port_mapping),
            holepunch: HolePunch::new(random, config.port_search),
            suspects: Suspects::default(),
            probe_responder: ProbeResponder::default(),
            reachability: Reachability::default(),
            local_addresses: Vec::new(),
        }
    }

    /// The links, for reading and for sending over them.
    pub fn links(&self) -> &Links<M> {
        &self.links
    }

    /// The links, for sending over them.
    pub fn links_mut(&mut self) -> &mut Links<M> {
        &mut self.links
    }

    /// A link is up, or runs over a better path: greets the peer and sends what has waited.
    pub fn register_link<O>(&mut self, cx: &mut Cx<'_, M, O>, link: LinkInfo) -> LinkRegistration {
        let is_configured = self.rendezvous.link_up(link.peer, link.remote);
        let is_new = self.links.link_up(cx.now, link, cx.me, cx.stats, cx.sink);
        LinkRegistration { is_new, is_configured }
    }

    /// Does what follows from a link that was registered: hole punching, and asking an ambassador for hosts.
    pub fn follow_up_link<O>(&mut self, cx: &mut Cx<'_, M, O>, link: LinkInfo, registration: LinkRegistration) {
        self.cross(cx, link);
        self.refresh_own_addresses(cx);
        if registration.is_configured {
            self.greet_configured_ambassador(cx, link.peer, link.remote);
        }
    }

    /// The transport's last link to `peer` is down. Whether it was known.
    pub fn link_down(&mut self, peer: NodeId) -> bool {
        self.links.link_down(peer)
    }

    /// A peer is out of reach.
    pub fn peer_lost<O>(&mut self, cx: &mut Cx<'_, M, O>, peer: NodeId) {
        self.rendezvous.link_down(cx.now, peer);
        self.connect_requests.lost(cx.now, peer);
        self.stop_crossing(cx, peer);
        self.refresh_own_addresses(cx);
        cx.hosts.remove(peer);
        self.turn_to_linked(cx);
        self.select_fallback_ambassador(cx);
    }

    /// The next peer that could not be linked, since the last call.
    pub fn take_failed(&mut self) -> Option<NodeId> {
        self.links.take_failed()
    }

    /// Forgets what belonged to links that this node has closed itself.
    pub fn clean_up_closed<O>(&mut self, cx: &mut Cx<'_, M, O>) {
        while let Some(peer) = self.links.take_closed() {
            self.connect_requests.lost(cx.now, peer);
            self.stop_crossing(cx, peer);
            if self.rendezvous.wants(peer) {
                self.rendezvous.link_down(cx.now, peer);
                self.refresh_own_addresses(cx);
                self.select_fallback_ambassador(cx);
            }
        }
    }

    /// The transport has measured the path of a link.
    pub fn path_measured(&mut self, now: Time, peer: NodeId, path: &PathMeasurement) {
        self.links.path_measured(now, peer, path);
        if let Some(path) = self.links.path_estimate(peer) {
            self.holepunch.note_probe_timeout(peer, patience::probe_timeout(path));
        }
    }

    /// A dial has failed.
    pub fn dial_failed<O>(&mut self, cx: &mut Cx<'_, M, O>, dial: DialId) {
        if !self.links.dial_failed(cx.now, dial, cx.stats, cx.sink) {
            self.rendezvous.dial_failed(cx.now, dial);
        }
    }

    /// An extra socket is open.
    pub fn socket_opened(&mut self, socket: SocketId, port: u16) {
        self.probe_responder.opened(socket, port);
    }

    /// The name of an ambassador was looked up.
    pub fn resolved<O>(&mut self, cx: &mut Cx<'_, M, O>, name: &str, addresses: &[SocketAddr]) {
        let dial = |address| self.links.dial_address(address, cx.stats, cx.sink);
        self.rendezvous.resolved(cx.now, name, addresses, dial);
    }

    /// This node listens at these addresses now.
    pub fn set_local_addresses<O>(&mut self, cx: &mut Cx<'_, M, O>, mut local: Vec<LocalAddress>) {
        local.truncate(ADDRESSES_MAX);
        Arc::make_mut(&mut cx.me.addresses).local = local.iter().map(|own| own.address).collect();
        self.local_addresses = local;
        self.refresh_own_addresses(cx);
    }

    /// Dials ambassadors that are due, and finds another one while none of them is linked.
    pub fn wake_rendezvous<O>(&mut self, cx: &mut Cx<'_, M, O>) {
        let dial = |address| self.links.dial_address(address, cx.stats, cx.sink);
        let is_isolated = cx.hosts.neighbour_count() == 0;
        for name in self.rendezvous.wake(cx.now, is_isolated, dial) {
            cx.sink.push(Output::Resolve { name });
        }
        self.select_fallback_ambassador(cx);
    }

    /// Goes on with attempts, and closes links that are not used.
    pub fn wake_links<O>(&mut self, cx: &mut Cx<'_, M, O>) {
        let Connectivity { links, rendezvous, connect_requests, .. } = self;
        let hosts = &*cx.hosts;
        let wanted = |peer| hosts.is_neighbour(peer) || rendezvous.wants(peer) || connect_requests.wants(peer);
        links.wake(cx.now, wanted, cx.stats, cx.sink);
    }

    /// When one of the wakes is due, links apart.
    pub fn deadline(&self) -> Deadline {
        self.rendezvous.deadline().or(self.upgrades_deadline())
    }

    /// A peer sends word of known hosts, and perhaps of itself.
    pub fn membership_message<O>(&mut self, cx: &mut Cx<'_, M, O>, from: NodeId, message: MembershipMessage) {
        if let Some(contact) = message.sender().filter(|contact| contact.id == from && contact.is_bounded()) {
            self.reintroduce_if_moved(cx, contact);
            self.links.greeted(from, contact.clone());
        }
        let paths = |peer| self.links.path_estimate(peer).copied();
        let says = cx.hosts.handle(cx.now, from, message, cx.me, cx.random, &paths);
        self.say(cx, says);
    }

    fn refresh_own_addresses<O>(&mut self, cx: &mut Cx<'_, M, O>) {
        let external_address = cx.me.external_address;
        self.update_own_addresses(cx, external_address);
    }

    /// A peer has answered: the first one is asked to spread the word, others become candidates.
    pub(in crate::core) fn meet<O>(&mut self, cx: &mut Cx<'_, M, O>, contact: Contact) {
        if cx.hosts.neighbour_count() == 0 {
            let says = cx.hosts.join(contact, cx.me, cx.random);
            self.say(cx, says);
        } else {
            cx.hosts.note_host(contact, cx.random);
        }
    }

    pub(in crate::core) fn recruit_neighbours<O>(&mut self, cx: &mut Cx<'_, M, O>) {
        if !cx.is_leaving && cx.hosts.deadline().at <= cx.now {
            let paths = |peer| self.links.path_estimate(peer).copied();
            let says = cx.hosts.wake(cx.now, cx.config.refresh, cx.me, cx.random, &paths);
            self.say(cx, says);
        }
    }

    fn say<O>(&mut self, cx: &mut Cx<'_, M, O>, says: Vec<AddressedMessage>) {
        for (contact, message) in says {
            self.links.send(cx.now, contact.id, Message::Membership(message), || Some(&contact), cx.stats, cx.sink);
        }
    }

    pub(in crate::core) fn send<O>(&mut self, cx: &mut Cx<'_, M, O>, peer: NodeId, message: Message<M>) {
        self.links.send(cx.now, peer, message, || cx.hosts.get(peer), cx.stats, cx.sink);
    }
}
