//! What lies between nodes: links as QUIC makes and keeps them, and discovery on a LAN.
//!
//! There are two fidelities ([`Fidelity`]). With `packet` every node runs QUIC itself: see [`packet`]. With `message` QUIC is
//! modelled: messages are passed by value, and cost as many packets as their encoding would take. The model:
//!
//! - **Dial**: an initial packet through every NAT on the way, sent again after [`DIAL_RETRIES`], given up after
//!   [`DIAL_TIMEOUT`]; its answer; a confirmation. See [`dial`].
//! - **Message**: reliable, in packets that QUIC's congestion control and pacer let out one by one, and its loss recovery sends
//!   again; short messages first. Only acknowledgements are no packets: they are neither lost nor queued. What fits the first
//!   window of a path that nothing but delays is one event. See [`flight`], [`sender`] and [`congestion`]. How far that is from
//!   QUIC itself, `harness bench fidelity` measures.
//! - **Silence**: whoever dies is missed by its peers after [`idle_wait`]. A link whose packets no longer get through is
//!   gone as late.
//! - **Keep-alives** are not simulated one by one: NAT mappings of a live link are refreshed often enough that they never
//!   expire. A mapping that lives shorter than [`KEEP_ALIVE`] is kept nevertheless.
//! - **Rebind**: a link over a NAT that forgets goes on if QUIC would migrate it. See [`rewire`].
//! - **Move**: so do links that a node has dialled and that lead to the same peer from its new network. See [`moved`].
//! - **Partition**: what arrives from a node that is cut off is lost. See [`partition`].
//! - **Relay**: a link through an ambassador takes the way of the two links that carry it, and goes down with either.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

use bincode::{Decode, Encode};
use butter::core::identity::NodeId;
use butter::core::io::{DialId, DialTarget};
use butter::core::message::Message;
use butter::core::path::INITIAL_RTT;
use butter::core::time::Time;
use butter::core::transport::{DIAL_TIMEOUT, KEEP_ALIVE, RelayQuota, TransportEvent, idle_wait};
use butter::core::wire::WireError;
use slotmap::SlotMap;

use crate::net::nat::{Flow, Protocol};
use crate::plan::partitions::PartitionState;
use crate::plan::{Fidelity, NODE_PORT, Plan};

use super::network::ipv6::{self, is_label, label, labelled};
use super::network::{Networks, NodeSlot, PACKET_BYTES, SimPacket};
use super::queue::EventQueue;

mod congestion;
mod dial;
mod discovery;
mod flight;
mod link;
mod moved;
mod packet;
mod partition;
mod path;
mod port_map;
mod probe;
mod rewire;
mod sender;

use dial::{Dialling, Handshake};
use discovery::Datagram;
use flight::Flight;
use link::Link;
pub use moved::NewPlace;
pub use packet::{PacketTap, TappedDatagram};

use packet::PacketModel;
use probe::{Content, Extra};

/// When an unanswered initial packet is sent again, after the first: three times [`INITIAL_RTT`], doubling.
pub const DIAL_RETRIES: [Duration; 4] = [
    INITIAL_RTT.saturating_mul(3),
    INITIAL_RTT.saturating_mul(9),
    INITIAL_RTT.saturating_mul(21),
    INITIAL_RTT.saturating_mul(45),
];
/// Largest constant difference between links of one LAN, in microseconds: keeps nodes from moving in step.
const SPREAD_US: u64 = 50;

slotmap::new_key_type! {
    /// A link, up or coming up.
    struct LinkKey;
    /// A message under way.
    struct FlightKey;
    /// A dial under way.
    struct DialKey;
    /// A packet under way that belongs to no link.
    struct PacketKey;
    /// A discovery datagram under way.
    struct DatagramKey;
}

/// Links, networks and the clock of a simulation. `M` is the overlay's messages.
#[derive(Debug)]
pub struct Transport<M> {
    now: Time,
    queue: EventQueue<Event>,
    networks: Networks,
    partitions: PartitionState,
    /// By network: the seats of live nodes, in order.
    live: Vec<Vec<NodeSlot>>,
    ends: Vec<End>,
    /// IPv6 addresses by the numbers of their labels, and the other way round.
    addresses6: Vec<Option<Ipv6Addr>>,
    labels: BTreeMap<Ipv6Addr, u32>,
    /// Sequences of sources that are no node: one per network.
    sequences: Vec<u64>,
    links: SlotMap<LinkKey, Link>,
    flights: SlotMap<FlightKey, Flight<M>>,
    dials: SlotMap<DialKey, Dialling>,
    packets: SlotMap<PacketKey, (SimPacket, Content)>,
    datagrams: SlotMap<DatagramKey, Datagram>,
    ready: VecDeque<(NodeSlot, TransportEvent<M>)>,
    events: u64,
    /// With fidelity `packet`.
    packet: Option<Box<PacketModel<M>>>,
}

/// A node's socket.
#[derive(Debug)]
struct End {
    id: NodeId,
    network: u32,
    address: Ipv4Addr,
    /// The number of its label, if it has IPv6.
    label: Option<u32>,
    alive: bool,
    /// Counts its lives: what belongs to an earlier one is void.
    life: u32,
    /// Links up, by the peer's [`NodeId::prefix`], in order.
    links: Vec<(u64, LinkKey)>,
    sequence: u64,
    luck: u64,
    /// Pairs between which this node relays, the lower seat first, in the order allowed.
    relayed: VecDeque<(NodeSlot, NodeSlot)>,
    /// What it relays at most; beyond, the pair that it allowed first is given up.
    quota: RelayQuota,
    extra: Extra,
}

#[derive(Debug)]
enum Event {
    Wake(NodeSlot),
    /// A whole message of a path without luck or queues arrives.
    Arrive(FlightKey),
    /// Packets that a side has sent together reach the given hop of their path, or its end.
    Train {
        link: LinkKey,
        number: u32,
        hop: u8,
        side: u8,
    },
    /// A side hears what of its packets has arrived, up to a number.
    Acknowledged {
        link: LinkKey,
        number: u32,
        side: u8,
    },
    /// The time at which a side wanted to look again at what it has sent.
    SenderTimer {
        link: LinkKey,
        side: u8,
    },
    SimPacket(PacketKey),
    DialTick(DialKey),
    /// A side of a link notices that nothing comes any more.
    Silence {
        link: LinkKey,
        side: u8,
    },
    Datagram(DatagramKey),
    Refresh(u32),
    /// One of a link's ends sends a keep-alive after a NAT on its way has forgotten it.
    Revive(LinkKey),
    /// Nothing has arrived over a link for long, if it is still cut by the same partition.
    Parted {
        link: LinkKey,
        parting: u32,
    },
    /// A side of a link sees that its peer has come to another address.
    Moved {
        link: LinkKey,
        side: u8,
    },
    /// A side of a link looks whether its path has changed.
    PathCheck {
        link: LinkKey,
        side: u8,
    },
    /// The time that a connection of a node's QUIC wanted to be woken at.
    QuicTimer {
        slot: NodeSlot,
        connection: u32,
    },
    /// A node looks at its links.
    LinkCheck(NodeSlot),
    /// A process that leaves has waited for long enough.
    HostEnds {
        slot: NodeSlot,
        life: u32,
    },
}

// Millions are pending, and each is moved twice.
const _: () = assert!(size_of::<Event>() == 16);

impl<M: Debug + Encode + Decode<()>> Transport<M> {
    /// The networks of `plan`, with every node still down.
    pub fn new(plan: &Plan) -> Self {
        let networks = Networks::new(plan);
        let addresses6 = ipv6::addresses(plan);
        let ends = plan.nodes.iter().enumerate().map(|(slot, node)| End {
            id: NodeId([0; 32]),
            network: node.network.0 as u32,
            address: node.address,
            label: node.address6.map(|_| slot as u32),
            alive: false,
            life: 0,
            links: Vec::new(),
            sequence: 0,
            luck: plan.seed ^ (slot as u64 + 1).wrapping_mul(0xD6E8_FEB8_6659_FD93),
            relayed: VecDeque::new(),
            quota: RelayQuota::of(node.ambassador),
            extra: Extra::default(),
        });
        let mut transport = Transport {
            now: Time::ZERO,
            queue: EventQueue::default(),
            live: vec![Vec::new(); networks.len()],
            ends: ends.collect(),
            labels: addresses6.iter().zip(0..).filter_map(|(address, number)| Some(((*address)?, number))).collect(),
            addresses6,
            sequences: vec![0; networks.len()],
            networks,
            partitions: PartitionState::new(plan),
            links: SlotMap::with_key(),
            flights: SlotMap::with_key(),
            dials: SlotMap::with_key(),
            packets: SlotMap::with_key(),
            datagrams: SlotMap::with_key(),
            ready: VecDeque::new(),
            events: 0,
            packet: (plan.sim_fidelity() == Fidelity::Packet).then(|| Box::new(PacketModel::new(plan))),
        };
        if !transport.is_packet() {
            for network in 0..transport.networks.len() {
                transport.schedule_refresh(network);
            }
        }
        transport
    }

    /// The moment of the last event.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Events that were handled so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The networks that packets cross.
    pub fn networks(&self) -> &Networks {
        &self.networks
    }

    /// A node comes up at its place.
    pub fn start(&mut self, slot: NodeSlot, id: NodeId) {
        let end = self.end_mut(slot);
        assert!(!end.alive, "a node is started once at a time");
        end.alive = true;
        end.life += 1;
        end.extra = Extra::default();
        end.id = id;
        let network = end.network as usize;
        if let Err(place) = self.live[network].binary_search(&slot) {
            self.live[network].insert(place, slot);
        }
        self.start_host(slot, id);
    }

    /// A node falls silent. What it has sent still arrives.
    pub fn kill(&mut self, slot: NodeSlot) {
        let links = self.take_out(slot);
        self.end_mut(slot).extra = Extra::default();
        for (_, key) in links {
            self.forsake(key, slot);
        }
        self.kill_host(slot);
    }

    /// A node lives no more; returns the links that it had.
    fn take_out(&mut self, slot: NodeSlot) -> Vec<(u64, LinkKey)> {
        let end = self.end_mut(slot);
        end.alive = false;
        end.relayed = VecDeque::new();
        let links = std::mem::take(&mut end.links);
        let network = end.network as usize;
        if let Ok(place) = self.live[network].binary_search(&slot) {
            self.live[network].remove(place);
        }
        self.ready.retain(|&(to, _)| to != slot);
        links
    }

    /// A node closes all its links and goes.
    pub fn leave(&mut self, slot: NodeSlot) {
        if self.is_packet() {
            return self.leave_host(slot);
        }
        let peers: Vec<u64> = self.end(slot).links.iter().map(|&(prefix, _)| prefix).collect();
        for prefix in peers {
            self.close_to(slot, prefix);
        }
        self.kill(slot);
    }

    /// Has a node woken at `at`. Not before the next microsecond.
    pub fn wake_at(&mut self, slot: NodeSlot, at: Time) -> Time {
        self.schedule(slot, at, Event::Wake(slot))
    }

    /// As [`butter::core::io::Output::Send`]. Returns the length of the frame, in bytes; 0 if there is no link.
    ///
    /// # Errors
    /// If the message has no frame, because it is too long.
    pub fn send(&mut self, from: NodeSlot, to: NodeId, message: Message<M>) -> Result<usize, WireError> {
        if self.is_packet() {
            return self.send_over_host(from, to, &message);
        }
        let Some(link) = self.link_to(from, to.prefix()) else { return Ok(0) };
        let bytes = butter::core::wire::encoded_len(&message)?;
        self.launch(link, from, flight::Content::Message(message), bytes);
        Ok(bytes)
    }

    /// Carries out [`butter::core::io::Output::Dial`] of a node.
    pub fn dial(&mut self, from: NodeSlot, dial: DialId, peer: Option<NodeId>, to: DialTarget) {
        if self.is_packet() {
            return self.dial_from_host(from, dial, peer, to);
        }
        self.begin_dial(from, dial, peer, to);
    }

    /// Carries out [`butter::core::io::Output::Close`] of a node.
    pub fn close(&mut self, from: NodeSlot, peer: NodeId) {
        if self.is_packet() {
            return self.close_at_host(from, peer);
        }
        self.close_to(from, peer.prefix());
    }

    /// Carries out [`butter::core::io::Output::AllowRelay`] of a node.
    pub fn allow_relay(&mut self, relay: NodeSlot, a: NodeId, b: NodeId) {
        if self.is_packet() {
            return self.allow_relay_at_host(relay, a, b);
        }
        let seat_of = |peer: NodeId| {
            let link = self.link_to(relay, peer.prefix())?;
            Some(self.links[link].peer_of(relay))
        };
        let (Some(a), Some(b)) = (seat_of(a), seat_of(b)) else { return };
        let pair = (a.min(b), a.max(b));
        let End { relayed, quota, .. } = self.end_mut(relay);
        relayed.retain(|known| *known != pair);
        if relayed.len() >= quota.pairs {
            relayed.pop_front();
        }
        relayed.push_back(pair);
    }

    /// What happens next, up to and including `until`. When nothing does, the clock stands at `until`.
    pub fn next(&mut self, until: Time) -> Option<(NodeSlot, TransportEvent<M>)> {
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                return Some(arrival);
            }
            if self.is_packet() {
                self.settle_hosts();
                if !self.ready.is_empty() {
                    continue;
                }
            }
            let Some((at, event)) = self.queue.pop(until) else {
                self.now = self.now.max(until);
                return None;
            };
            debug_assert!(at >= self.now, "time runs forwards");
            self.now = at;
            self.events += 1;
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake(slot) => self.deliver(slot, TransportEvent::Wake),
            Event::Arrive(flight) => self.arrive(flight),
            Event::Train { link, number, hop, side } => self.train(link, number, hop, usize::from(side)),
            Event::Acknowledged { link, number, side } => self.hear_acknowledgement(link, number, usize::from(side)),
            Event::SenderTimer { link, side } => self.sender_times_out(link, usize::from(side)),
            Event::SimPacket(key) => self.packet_arrives(key),
            Event::DialTick(dial) => self.dial_tick(dial),
            Event::Silence { link, side } => self.notice_silence(link, usize::from(side)),
            Event::Datagram(key) => self.datagram_arrives(key),
            Event::Refresh(network) => self.refresh(network as usize),
            Event::Revive(link) => self.revive(link),
            Event::Parted { link, parting } => self.parted_for_long(link, parting),
            Event::Moved { link, side } => self.moved(link, usize::from(side)),
            Event::PathCheck { link, side } => self.check_path(link, usize::from(side)),
            Event::QuicTimer { slot, connection } => self.quic_timer(slot, connection),
            Event::LinkCheck(slot) => self.check_links(slot),
            Event::HostEnds { slot, life } => self.host_ends(slot, life),
        }
    }

    fn deliver(&mut self, to: NodeSlot, arrival: TransportEvent<M>) {
        if let Some(arrival) = self.hold(to, arrival) {
            self.ready.push_back((to, arrival));
        }
    }

    /// Nothing takes effect at the moment that it is decided: the earliest is the next microsecond.
    fn schedule(&mut self, source: NodeSlot, at: Time, event: Event) -> Time {
        let at = at.max(self.now + Duration::from_micros(1));
        let end = &mut self.ends[source as usize];
        end.sequence += 1;
        self.queue.push(at, source, end.sequence, event);
        at
    }

    fn schedule_refresh(&mut self, network: usize) {
        if let Some(life) = self.networks.shortest_mapping(network) {
            let at = self.now + (life / 3).max(KEEP_ALIVE);
            self.sequences[network] += 1;
            let source = (self.ends.len() + network) as u32;
            self.queue.push(at, source, self.sequences[network], Event::Refresh(network as u32));
        }
    }

    /// Every link of the network's nodes has sent a keep-alive lately.
    fn refresh(&mut self, network: usize) {
        for &slot in &self.live[network] {
            for &(_, key) in &self.ends[slot as usize].links {
                let link = &self.links[key];
                let port = link.local_port(slot);
                if let Some(flow) = link.keeps_alive(slot).map(|to| udp(self.source_for(slot, port, to), to)) {
                    self.networks.refresh(self.now, flow, link.hops_from(link.side_of(slot)));
                }
            }
        }
        self.schedule_refresh(network);
    }

    /// The address from which a node sends from a port of its own to another.
    fn source_for(&self, slot: NodeSlot, port: u16, to: SocketAddrV4) -> SocketAddrV4 {
        let end = self.end(slot);
        // Without IPv6 nothing is sent there, unless it is lost on the way.
        let ip = if is_label(*to.ip()) { label(end.label.unwrap_or(slot)) } else { end.address };
        SocketAddrV4::new(ip, port)
    }

    /// What nodes call an address.
    fn reported_address(&self, address: SocketAddrV4) -> SocketAddr {
        let ip = labelled(*address.ip()).and_then(|number| *self.addresses6.get(number as usize)?);
        ip.map_or(address.into(), |ip| SocketAddrV6::new(ip, address.port(), 0, 0).into())
    }

    /// What stands for an IPv6 address that a node can send to; nothing if it cannot.
    fn label_of(&self, from: NodeSlot, to: SocketAddrV6) -> Option<SocketAddrV4> {
        self.end(from).label?;
        let number = self.labels.get(to.ip())?;
        Some(SocketAddrV4::new(label(*number), to.port()))
    }

    /// A small delay that differs from node to node and time to time.
    fn spread(&mut self, slot: NodeSlot) -> Duration {
        let luck = &mut self.end_mut(slot).luck;
        // SplitMix64 (Steele, Lea, Flood: OOPSLA 2014).
        *luck = luck.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (*luck ^ (*luck >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Duration::from_micros((mixed ^ (mixed >> 31)) % SPREAD_US)
    }

    fn address(&self, slot: NodeSlot) -> SocketAddrV4 {
        SocketAddrV4::new(self.end(slot).address, NODE_PORT)
    }

    fn end(&self, slot: NodeSlot) -> &End {
        &self.ends[slot as usize]
    }

    fn end_mut(&mut self, slot: NodeSlot) -> &mut End {
        &mut self.ends[slot as usize]
    }
}

fn udp(source: SocketAddrV4, destination: SocketAddrV4) -> Flow {
    Flow { protocol: Protocol::Udp, source, destination }
}
