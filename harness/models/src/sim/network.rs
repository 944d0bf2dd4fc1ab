//! Routers and the networks between them: where a packet goes, and what each router does to it.
//!
//! A packet is on one network at a time. Whoever is addressed there takes it; what is not addressed there goes to the
//! network's own router and outwards. A router translates ([`Nat`]) and then sends over the uplink ([`Link`]) of its inner
//! network; inwards likewise over the downlink. Every network crossed costs [`LAN_LATENCY`].
//!
//! A packet with a flipped bit is lost behind the link, as its receiver would drop it. A copy is counted and goes no further: QUIC
//! knows packets that it has seen by their numbers (RFC 9000 §12.3).

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use butter::core::time::Time;
use ipnet::Ipv4Net;
use smallvec::SmallVec;

use crate::net::firewall::UDP_TIMEOUT;
use crate::net::link::{Alteration, Link, LinkConfig, LinkDrop, Transit};
use crate::net::nat::{Flow, Granted, Nat, Protocol, Wanted};
use crate::net::network_policy::{NetworkFilter, NetworkPolicy};
use crate::plan::{Fidelity, Plan};
use crate::router::stats::{DropCause, ForwardDirection, RouterStats};

pub mod ipv6;
mod moves;
mod passage;

use ipv6::{Home, PacketFate6};

/// Time to cross one network from device to device: a switch and two stacks.
pub const LAN_LATENCY: Duration = Duration::from_micros(100);
/// Routers that a packet may pass: each takes one off its TTL, with which hosts begin at 64 (RFC 1700), and what has but 1 left goes
/// no further.
const HOPS_MAX: usize = 63;
/// Content of a packet, in bytes: what QUIC may assume of any path (RFC 9000 §14).
pub const PACKET_BYTES: usize = 1_200;
/// IP and UDP headers, in bytes.
pub const HEADER_BYTES: usize = 28;

/// A node's place in the plan; the same as its [`crate::plan::NodeIndex`].
pub type NodeSlot = u32;

/// One passage of a router: whose, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterHop {
    /// The network on the router's inside.
    pub network: u32,
    /// Direction in which it passes the router.
    pub way: Way,
}

/// Which way a packet passes a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the inner network outwards.
    Up,
    /// From outside into the inner network.
    Down,
    /// From inside back inside, by the NAT's hairpin.
    Turn,
}

impl Way {
    /// Which of a router's links it takes: 0 up, 1 down.
    fn side(self) -> Option<usize> {
        match self {
            Way::Up => Some(0),
            Way::Down => Some(1),
            Way::Turn => None,
        }
    }

    fn direction(self) -> ForwardDirection {
        match self {
            Way::Up => ForwardDirection::Up,
            Way::Down => ForwardDirection::Down,
            Way::Turn => ForwardDirection::Within,
        }
    }
}

impl RouterHop {
    /// The same router, the other way.
    #[must_use]
    pub fn mirrored(self) -> Self {
        let way = match self.way {
            Way::Up => Way::Down,
            Way::Down => Way::Up,
            Way::Turn => Way::Turn,
        };
        RouterHop { way, ..self }
    }
}

/// Every router passed, in order.
pub type Hops = SmallVec<[RouterHop; 4]>;

/// A UDP packet under way.
#[derive(Clone, Debug)]
pub struct SimPacket {
    /// Its addresses, as they are now.
    pub flow: Flow,
    /// Where it arrives next.
    pub device: PacketStop,
    /// The routers passed so far, in order.
    pub hops: Hops,
    /// Its size, with headers.
    pub bytes: usize,
}

/// Where a packet arrives next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketStop {
    /// The socket of a node.
    Node(NodeSlot),
    /// The router of this network, from inside.
    Outwards(usize),
    /// The router of this network, from outside.
    Inwards(usize),
}

/// What a device did with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketFate {
    /// It arrives at [`SimPacket::device`] then.
    At(Time),
    /// It is for this node.
    Delivered(NodeSlot),
    /// It goes no further.
    Dropped,
}

/// All networks of a plan.
#[derive(Debug)]
pub struct Networks {
    networks: Vec<Network>,
    /// See [`ipv6::homes`].
    homes: Vec<Option<Home>>,
    fidelity: Fidelity,
}

#[derive(Debug)]
struct Network {
    subnet: Ipv4Net,
    /// By address.
    hosts: Vec<(Ipv4Addr, Host)>,
    /// Networks behind plain routers on this one, and theirs: reachable by their own addresses.
    routes: Vec<(Ipv4Net, usize)>,
    router: Option<Router>,
}

#[derive(Clone, Copy, Debug)]
enum Host {
    Node(NodeSlot),
    Router(usize),
}

#[derive(Debug)]
struct Router {
    outside: usize,
    nat: Option<Nat>,
    filter: NetworkFilter,
    nat_timeout: Duration,
    ipv6: Option<PacketFate6>,
    /// Up, down.
    pipes: [Pipe; 2],
    stats: RouterStats,
}

#[derive(Debug)]
struct Pipe {
    link: Link,
    latency: Duration,
    /// Nothing but a delay: what passes through does not depend on what else does.
    perfect: bool,
    /// Whether a packet's size or number matters.
    counts_packets: bool,
}

impl Pipe {
    fn new(config: &LinkConfig, seed: u64, fidelity: Fidelity) -> Self {
        let config = &modelled(config, fidelity);
        Pipe {
            link: Link::new(config.clone(), seed),
            latency: config.latency,
            perfect: config.only_delays(),
            counts_packets: config.counts_packets(),
        }
    }

    fn change(&mut self, config: &LinkConfig, fidelity: Fidelity) {
        let config = &modelled(config, fidelity);
        self.link.change(config.clone());
        self.latency = config.latency;
        self.perfect = config.only_delays();
        self.counts_packets = config.counts_packets();
    }
}

/// A link as it is simulated. The model of QUIC has datagrams of one length, as if it had found the MTU of its path: only QUIC itself
/// looks for that.
fn modelled(config: &LinkConfig, fidelity: Fidelity) -> LinkConfig {
    match fidelity {
        Fidelity::Packet => config.clone(),
        Fidelity::Message => LinkConfig { mtu: None, ..config.clone() },
    }
}

impl Networks {
    /// The networks of `plan`, idle.
    pub fn new(plan: &Plan) -> Self {
        let fidelity = plan.sim_fidelity();
        let mut networks: Vec<Network> = plan
            .networks
            .iter()
            .enumerate()
            .map(|(index, network)| Network {
                subnet: network.subnet,
                hosts: Vec::new(),
                routes: Vec::new(),
                router: network.behind.as_ref().map(|uplink| {
                    let seed = |purpose: u64| {
                        plan.seed.wrapping_add((index as u64 * 3 + purpose + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
                    };
                    Router {
                        outside: uplink.to.0,
                        nat: uplink.nat.clone().map(|config| {
                            Nat::new(config, &uplink.addresses(), seed(0)).with_forwards(&uplink.forwards)
                        }),
                        filter: NetworkFilter::new(uplink.firewall, 0),
                        ipv6: PacketFate6::of(network),
                        nat_timeout: uplink.nat.as_ref().map_or(Duration::MAX, |config| config.udp_timeout),
                        pipes: [Pipe::new(&uplink.up, seed(1), fidelity), Pipe::new(&uplink.down, seed(2), fidelity)],
                        stats: RouterStats::default(),
                    }
                }),
            })
            .collect();
        for (slot, node) in plan.nodes.iter().enumerate() {
            networks[node.network.0].hosts.push((node.address, Host::Node(slot as NodeSlot)));
        }
        for (index, network) in plan.networks.iter().enumerate() {
            if let Some(uplink) = &network.behind {
                let addresses = uplink.addresses().into_iter();
                networks[uplink.to.0].hosts.extend(addresses.map(|address| (address, Host::Router(index))));
                if uplink.nat.is_none() {
                    networks[uplink.to.0].routes.push((network.subnet, index));
                }
            }
        }
        // A network comes after the one it is behind: from the last to the first, plain routes are handed outwards.
        for index in (0..plan.networks.len()).rev() {
            if let Some(uplink) = plan.networks[index].behind.as_ref().filter(|uplink| uplink.nat.is_none()) {
                let inner: Vec<_> = networks[index].routes.iter().map(|&(subnet, _)| (subnet, index)).collect();
                networks[uplink.to.0].routes.extend(inner);
            }
            networks[index].hosts.sort_by_key(|&(address, _)| address);
            networks[index].routes.sort();
        }
        Networks { networks, homes: ipv6::homes(plan), fidelity }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.networks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// What the router of a network has counted, and its NAT's live mappings if it has one; `None` for the internet.
    pub fn router(&self, network: usize) -> Option<(&RouterStats, Option<usize>)> {
        let router = self.networks[network].router.as_ref()?;
        Some((&router.stats, router.nat.as_ref().map(Nat::mappings)))
    }

    /// A host of `network` asks its router to forward a port. Where that leads from outside; `None` where no router does that.
    pub fn map_port(
        &mut self,
        now: Time,
        network: usize,
        protocol: Protocol,
        inside: SocketAddrV4,
        lifetime: Duration,
    ) -> Option<Granted> {
        let nat = self.networks[network].router.as_mut()?.nat.as_mut()?;
        if nat.config().mapping_protocols.is_empty() {
            return None;
        }
        nat.request(now, protocol, inside, Wanted::Rather(inside.port()), lifetime).ok()
    }

    /// A packet leaves a node of `network`. It arrives at the next device after [`LAN_LATENCY`], if anywhere.
    pub fn launch(&self, network: usize, flow: Flow, bytes: usize) -> Option<SimPacket> {
        let device = self.next_device(network, *flow.destination.ip())?;
        Some(SimPacket { flow, device, hops: Hops::new(), bytes })
    }

    /// A packet arrives at its device.
    pub fn pass(&mut self, now: Time, packet: &mut SimPacket) -> PacketFate {
        let (network, ahead) = match packet.device {
            PacketStop::Node(slot) => return PacketFate::Delivered(slot),
            PacketStop::Outwards(network) => (network, Way::Up),
            PacketStop::Inwards(network) => (network, Way::Down),
        };
        let router = self.networks[network].router.as_mut().expect("only a network behind another has a router");
        let Some((flow, way)) = router.translate(now, packet.flow, ahead) else { return PacketFate::Dropped };
        let left_at = match router.send(way, now, packet.bytes) {
            Transit::Arrives(at) | Transit::Altered(at, Alteration { flipped: None, .. }) => at,
            Transit::Altered(..) | Transit::Drop(_) => return PacketFate::Dropped,
        };
        let hop = RouterHop { network: network as u32, way };
        let next = self.beyond(hop, flow).filter(|_| packet.hops.len() < HOPS_MAX);
        let Some(device) = next else {
            let cause = if packet.hops.len() < HOPS_MAX { DropCause::NoRoute } else { DropCause::TtlExceeded };
            self.router_mut(hop).stats.drop(cause);
            return PacketFate::Dropped;
        };
        packet.flow = flow;
        packet.device = device;
        packet.hops.push(hop);
        PacketFate::At(left_at + LAN_LATENCY)
    }

    /// Has a network's NAT forget every mapping, and gives it these addresses.
    pub fn rebind(&mut self, now: Time, network: usize, addresses: &[Ipv4Addr]) {
        let router = self.networks[network].router.as_mut().expect("only a network behind another has a NAT");
        let nat = router.nat.as_mut().expect("a plan rebinds NATs only");
        nat.rebind(now, addresses);
        let outside = router.outside;
        let outside = &mut self.networks[outside];
        outside.hosts.retain(|(_, host)| !matches!(host, Host::Router(inner) if *inner == network));
        outside.hosts.extend(addresses.iter().map(|&address| (address, Host::Router(network))));
        outside.hosts.sort_by_key(|&(address, _)| address);
    }

    /// Changes a network's uplink.
    pub fn set_link(&mut self, network: usize, up: &LinkConfig, down: &LinkConfig) {
        let router = self.networks[network].router.as_mut().expect("only a network behind another has an uplink");
        router.pipes[0].change(up, self.fidelity);
        router.pipes[1].change(down, self.fidelity);
    }

    /// Changes what a network's router lets through.
    pub fn set_firewall(&mut self, network: usize, policy: NetworkPolicy) {
        let router = self.networks[network].router.as_mut().expect("only a network behind another has a firewall");
        router.filter.change(policy);
    }

    /// The node that a packet would reach that a node of `network` sent now, and as what; every NAT on the way takes note of it.
    pub fn resolve(&mut self, now: Time, network: usize, flow: Flow) -> Option<(NodeSlot, Flow)> {
        self.resolve_way(now, network, flow).map(|(slot, flow, _)| (slot, flow))
    }

    /// The same, with the routers on the way.
    pub fn resolve_way(&mut self, now: Time, network: usize, mut flow: Flow) -> Option<(NodeSlot, Flow, Hops)> {
        let mut hops = Hops::new();
        let mut device = self.next_device(network, *flow.destination.ip())?;
        for _ in 0..=HOPS_MAX {
            let (network, ahead) = match device {
                PacketStop::Node(slot) => return Some((slot, flow, hops)),
                PacketStop::Outwards(network) => (network, Way::Up),
                PacketStop::Inwards(network) => (network, Way::Down),
            };
            let router = self.networks[network].router.as_mut().expect("only a network behind another has a router");
            let (translated, way) = router.translate(now, flow, ahead)?;
            flow = translated;
            let hop = RouterHop { network: network as u32, way };
            device = self.beyond(hop, flow)?;
            hops.push(hop);
        }
        None
    }

    /// Counts packets that a NAT drops because it has forgotten their mapping.
    pub fn forgotten(&mut self, hop: RouterHop, packets: u16) {
        let stats = &mut self.router_mut(hop).stats;
        (0..packets).for_each(|_| stats.drop(DropCause::NoMapping));
    }

    /// Sends packets of a known path, with so many bytes of UDP payload in all, through one hop. Returns how many were lost, how
    /// many found the queue full, and when the last of the others leaves the link.
    pub fn carry(&mut self, hop: RouterHop, now: Time, packets: u16, bytes: usize) -> Carried {
        let router = self.router_mut(hop);
        let mut carried = Carried { lost: 0, refused: 0, at: now };
        let full = bytes.div_ceil(usize::from(packets.max(1)));
        let mut left = bytes;
        for _ in 0..packets {
            let size = left.min(full);
            left -= size;
            match router.send(hop.way, now, size + HEADER_BYTES) {
                Transit::Arrives(at) | Transit::Altered(at, Alteration { flipped: None, .. }) => {
                    carried.at = carried.at.max(at);
                }
                Transit::Altered(..) | Transit::Drop(LinkDrop::Lost | LinkDrop::TooBig) => carried.lost += 1,
                Transit::Drop(LinkDrop::QueueFull) => carried.refused += 1,
            }
        }
        carried
    }

    /// Counts packets that pass a perfect hop.
    pub fn count(&mut self, hop: RouterHop, packets: u16, bytes: usize) {
        let bytes = bytes + usize::from(packets) * HEADER_BYTES;
        self.router_mut(hop).stats.forward(hop.way.direction(), u64::from(packets), bytes as u64);
    }

    /// The delay of a hop's link without its jitter, and whether it is nothing but that.
    pub fn latency(&self, hop: RouterHop) -> (Duration, bool) {
        let router = self.networks[hop.network as usize].router.as_ref().expect("a hop passes a router");
        hop.way.side().map_or((Duration::ZERO, true), |side| (router.pipes[side].latency, router.pipes[side].perfect))
    }

    /// Whether a packet's size or number matters to the links of a router, either way.
    pub fn counts_packets(&self, hop: RouterHop) -> bool {
        let router = self.networks[hop.network as usize].router.as_ref().expect("a hop passes a router");
        router.pipes.iter().any(|pipe| pipe.counts_packets)
    }

    /// The shortest life of a mapping that nodes of this network depend on; `None` where no NAT is on the way out.
    pub fn shortest_mapping(&self, network: usize) -> Option<Duration> {
        let mut shortest = None::<Duration>;
        let mut router = self.networks[network].router.as_ref();
        while let Some(here) = router {
            let filters = here.ipv6.as_ref().is_some_and(|ipv6| ipv6.firewall.is_some());
            let lives = [here.nat.is_some().then_some(here.nat_timeout), filters.then_some(UDP_TIMEOUT)];
            shortest = lives.into_iter().chain([shortest]).flatten().min();
            router = self.networks[here.outside].router.as_ref();
        }
        shortest
    }

    /// Keeps the mappings of a flow alive along its known way out, as a packet without content would.
    pub fn refresh(&mut self, now: Time, mut flow: Flow, hops: impl Iterator<Item = RouterHop>) {
        for hop in hops.take_while(|hop| hop.way != Way::Down) {
            match self.router_mut(hop).translate(now, flow, Way::Up) {
                Some((onwards, Way::Up)) => flow = onwards,
                _ => return,
            }
        }
    }

    /// Where a packet goes from a router.
    fn beyond(&self, hop: RouterHop, flow: Flow) -> Option<PacketStop> {
        let network = hop.network as usize;
        let router = self.networks[network].router.as_ref().expect("a hop passes a router");
        let on = if hop.way == Way::Up { router.outside } else { network };
        // What came in does not go out again by the same router.
        let came_in = hop.way == Way::Down;
        let next = self.next_device(on, *flow.destination.ip())?;
        (!came_in || next != PacketStop::Outwards(network)).then_some(next)
    }

    fn next_device(&self, on: usize, to: Ipv4Addr) -> Option<PacketStop> {
        let network = &self.networks[on];
        if network.subnet.contains(&to) {
            let found = network.hosts.binary_search_by_key(&to, |&(address, _)| address).ok()?;
            return Some(match network.hosts[found].1 {
                Host::Node(slot) => PacketStop::Node(slot),
                Host::Router(inner) => PacketStop::Inwards(inner),
            });
        }
        if let Some(&(_, inner)) = network.routes.iter().find(|(subnet, _)| subnet.contains(&to)) {
            return Some(PacketStop::Inwards(inner));
        }
        if ipv6::is_label(to) {
            return self.next_device6(on, to);
        }
        network.router.is_some().then_some(PacketStop::Outwards(on))
    }

    fn router_mut(&mut self, hop: RouterHop) -> &mut Router {
        self.networks[hop.network as usize].router.as_mut().expect("a hop passes a router")
    }
}

/// What became of packets at a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Lost by bad luck, or corrupted.
    pub lost: u16,
    /// Dropped before a full queue.
    pub refused: u16,
    /// When the last of the others has left the link.
    pub at: Time,
}
