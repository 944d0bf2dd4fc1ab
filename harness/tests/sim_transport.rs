//! The promise of the simulated network: links come up, carry and go down as QUIC's do through the NATs and links of a plan.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use butter::core::blob::Blob;
use butter::core::identity::NodeId;
use butter::core::io::{DialId, Target};
use butter::core::message::{Announcement, Message};
use butter::core::time::Time;
use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::NatConfig;
use butter_harness::plan::{NODE_PORT, NetworkIndex, Plan};
use butter_harness::router::stats::Cause;
use butter_harness::sim::network::Seat;
use butter_harness::sim::terrain::Terrain;
use butter_harness::sim::transport::{Arrival, DIAL_TIMEOUT, IDLE_TIMEOUT, KEEP_ALIVE, RELAYED_PAIRS_MAX, Transport};

/// A transport whose nodes do nothing by themselves, and what has reached them.
struct World {
    plan: Plan,
    transport: Transport<()>,
    arrived: Vec<(Time, Seat, Arrival<()>)>,
}

fn id(seat: Seat) -> NodeId {
    let mut id = [0; 32];
    id[7] = seat as u8 + 1;
    NodeId(id)
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut transport = Transport::new(&plan);
        for seat in 0..plan.nodes.len() as Seat {
            transport.start(seat, id(seat));
        }
        World { plan, transport, arrived: Vec::new() }
    }

    fn run(&mut self, time: Duration) {
        let until = self.transport.now() + time;
        while let Some((seat, arrival)) = self.transport.next(until) {
            self.arrived.push((self.transport.now(), seat, arrival));
        }
    }

    fn address(&self, seat: Seat) -> SocketAddr {
        SocketAddr::from((self.plan.nodes[seat as usize].address, NODE_PORT))
    }

    fn dial(&mut self, from: Seat, peer: Seat, to: SocketAddr) {
        self.transport.dial(from, DialId(u64::from(peer)), Some(id(peer)), Target::Address(to));
    }

    /// Dials and waits until it has led somewhere.
    fn link(&mut self, from: Seat, to: Seat) {
        self.dial(from, to, self.address(to));
        self.run(Duration::from_secs(1));
        assert!(self.is_up(from, to) && self.is_up(to, from), "{from} and {to} are linked");
    }

    /// Whether the last that a node has heard of a link is that it is up.
    fn is_up(&self, seat: Seat, peer: Seat) -> bool {
        self.arrived
            .iter()
            .rev()
            .find_map(|(_, at, arrival)| match arrival {
                Arrival::LinkUp { peer: up, .. } if *at == seat && *up == id(peer) => Some(true),
                Arrival::LinkDown { peer: down } if *at == seat && *down == id(peer) => Some(false),
                _ => None,
            })
            .unwrap_or(false)
    }

    /// The address at which `seat` last saw `peer` come up.
    fn seen(&self, seat: Seat, peer: Seat) -> Option<SocketAddr> {
        self.arrived.iter().rev().find_map(|(_, at, arrival)| match arrival {
            Arrival::LinkUp { peer: up, remote, .. } if *at == seat && *up == id(peer) => *remote,
            _ => None,
        })
    }

    fn say(&mut self, from: Seat, to: Seat, number: u64, bytes: usize) {
        let body = Blob::from(vec![0; bytes]);
        self.transport.send(from, id(to), Message::Ask { request: number, route: String::new(), body });
    }

    /// What `seat` was told, in order of arrival, and when.
    fn heard(&self, seat: Seat) -> Vec<(u64, Time)> {
        let heard = |(at, to, arrival): &(Time, Seat, Arrival<()>)| match arrival {
            Arrival::Message { message: Message::Ask { request, .. }, .. } if *to == seat => Some((*request, *at)),
            _ => None,
        };
        self.arrived.iter().filter_map(heard).collect()
    }

    fn failed_dials(&self) -> Vec<(Seat, DialId, Time)> {
        let failed = |(at, seat, arrival): &(Time, Seat, Arrival<()>)| match arrival {
            Arrival::DialFailed { dial } => Some((*seat, *dial, *at)),
            _ => None,
        };
        self.arrived.iter().filter_map(failed).collect()
    }

    fn downs(&self) -> Vec<(Seat, Time)> {
        let down = |(at, seat, arrival): &(Time, Seat, Arrival<()>)| {
            matches!(arrival, Arrival::LinkDown { .. }).then_some((*seat, *at))
        };
        self.arrived.iter().filter_map(down).collect()
    }
}

fn link(ms: u64) -> LinkConfig {
    LinkConfig { latency: Duration::from_millis(ms), ..LinkConfig::default() }
}

/// An ambassador (seat 0) on the internet, and one node behind each of two NATs.
fn two_homes(one: Option<NatConfig>, other: Option<NatConfig>, config: LinkConfig) -> World {
    let mut terrain = Terrain::new(3);
    terrain.ambassador();
    for nat in [one, other] {
        let lan = terrain.network(Terrain::INTERNET, nat, config.clone());
        terrain.node(lan);
    }
    World::new(terrain.into_plan())
}

type Home = (&'static str, fn() -> NatConfig);

const HOMES: [Home; 4] = [
    ("full-cone", NatConfig::full_cone),
    ("address-restricted", NatConfig::address_restricted),
    ("port-restricted", NatConfig::port_restricted),
    ("symmetric", NatConfig::symmetric),
];

/// Whether two nodes that both dial the address at which an ambassador sees the other get a link.
fn punches(one: fn() -> NatConfig, other: fn() -> NatConfig) -> bool {
    let mut world = two_homes(Some(one()), Some(other()), link(20));
    world.link(1, 0);
    world.link(2, 0);
    let outside = [1, 2].map(|seat| world.seen(0, seat).expect("the ambassador sees it"));
    world.dial(1, 2, outside[1]);
    world.dial(2, 1, outside[0]);
    world.run(Duration::from_secs(6));
    assert_eq!(world.is_up(1, 2), world.is_up(2, 1), "both sides agree");
    world.is_up(1, 2)
}

#[test]
fn simultaneous_dials_cross_what_their_nats_let_through() {
    for (i, (one, one_nat)) in HOMES.into_iter().enumerate() {
        for (j, (other, other_nat)) in HOMES.into_iter().enumerate() {
            // Symmetric mappings show the ambassador another port than the peer: whoever filters ports shuts it out.
            let expected = !(i.max(j) == 3 && i.min(j) >= 2);
            assert_eq!(punches(one_nat, other_nat), expected, "{one} with {other}");
        }
    }
}

#[test]
fn only_a_full_cone_answers_strangers() {
    for (at, (name, nat)) in HOMES.into_iter().enumerate() {
        let mut world = two_homes(None, Some(nat()), link(20));
        world.link(2, 0);
        let outside = world.seen(0, 2).expect("the ambassador sees it");
        world.dial(1, 2, outside);
        world.run(Duration::from_secs(6));
        assert_eq!(world.is_up(1, 2), at == 0, "{name}");
    }
}

#[test]
fn a_private_address_elsewhere_leads_nowhere() {
    let mut world = two_homes(Some(NatConfig::full_cone()), Some(NatConfig::full_cone()), link(1));
    let begun = world.transport.now();
    world.dial(1, 2, world.address(2));
    world.run(Duration::from_secs(6));
    assert_eq!(world.failed_dials(), [(1, DialId(2), begun + DIAL_TIMEOUT)]);
}

#[test]
fn an_answer_by_somebody_else_fails_the_dial_at_once() {
    let mut world = two_homes(None, None, link(10));
    world.dial(1, 2, world.address(0));
    world.run(Duration::from_millis(200));
    assert_eq!(world.failed_dials().len(), 1);
    assert!(!world.is_up(0, 1), "the one who answered never hears of a link");
}

#[test]
fn two_layers_of_nat_and_a_hairpin() {
    let mut terrain = Terrain::new(3);
    terrain.ambassador();
    let isp = terrain.network(Terrain::INTERNET, Some(NatConfig::cgnat()), link(5));
    for _ in 0..2 {
        let home = terrain.network(isp, Some(NatConfig::port_restricted()), link(2));
        terrain.node(home);
    }
    let mut world = World::new(terrain.into_plan());
    world.link(1, 0);
    world.link(2, 0);
    let outside = [1, 2].map(|seat| world.seen(0, seat).expect("the ambassador sees it"));
    assert_eq!(outside[0].ip(), outside[1].ip(), "both are seen at the carrier's address");
    world.dial(1, 2, outside[1]);
    world.dial(2, 1, outside[0]);
    world.run(Duration::from_secs(6));
    assert!(world.is_up(1, 2), "through the carrier's hairpin");
    let before = world.transport.now();
    world.say(1, 2, 1, 10);
    world.run(Duration::from_secs(1));
    let took = world.heard(2)[0].1.since(before);
    assert!((Duration::from_millis(4)..Duration::from_millis(5)).contains(&took), "only the homes' links: {took:?}");
}

#[test]
fn a_message_takes_the_path_s_time() {
    let mut world = two_homes(Some(NatConfig::port_restricted()), None, link(25));
    world.link(1, 2);
    let before = world.transport.now();
    world.say(1, 2, 7, 100);
    world.say(2, 1, 8, 100);
    world.run(Duration::from_secs(1));
    for seat in [1, 2] {
        let [(_, at)] = world.heard(seat)[..] else { panic!("one message each") };
        let took = at.since(before);
        assert!((Duration::from_millis(50)..Duration::from_millis(51)).contains(&took), "{took:?}");
    }
}

#[test]
fn a_lossy_link_delivers_everything_once_and_later() {
    let lossy = LinkConfig { loss: 0.1, jitter: Duration::from_millis(3), ..link(20) };
    let mut world = two_homes(None, None, lossy);
    world.dial(1, 2, world.address(2));
    world.run(Duration::from_secs(5));
    let begun = world.transport.now();
    for number in 0..500 {
        world.say(1, 2, number, if number % 10 == 0 { 20_000 } else { 50 });
        world.run(Duration::from_millis(10));
    }
    world.run(Duration::from_secs(5));
    let mut heard: Vec<u64> = world.heard(2).into_iter().map(|(number, _)| number).collect();
    heard.sort_unstable();
    assert_eq!(heard, (0..500).collect::<Vec<u64>>());
    let late =
        |&&(number, at): &&(u64, Time)| at.since(begun + Duration::from_millis(10) * number as u32).as_millis() > 100;
    let late = world.heard(2).iter().filter(late).count();
    // 19 % of the single packets and nearly all trains of 17 lose something on one of two hops.
    assert!((80..240).contains(&late), "{late} were sent again");
}

#[test]
fn a_rate_spreads_what_exceeds_it() {
    let slow = LinkConfig { rate_bps: Some(1_000_000), ..link(1) };
    let mut world = two_homes(None, None, slow);
    world.link(1, 2);
    let begun = world.transport.now();
    for number in 0..50 {
        world.say(1, 2, number, 10_000);
    }
    world.run(Duration::from_secs(20));
    let heard = world.heard(2);
    assert_eq!(heard.len(), 50, "all arrive, though the queue holds only half of them");
    let last = heard.iter().map(|&(_, at)| at.since(begun)).max().expect("some");
    // 4 Mbit and headers at 1 Mbit/s, twice behind each other.
    assert!((Duration::from_secs(4)..Duration::from_secs(8)).contains(&last), "{last:?}");
}

#[test]
fn a_silent_death_is_noticed_after_the_idle_time() {
    let mut world = two_homes(None, None, link(10));
    world.link(1, 2);
    world.link(1, 0);
    let death = world.transport.now();
    world.transport.kill(1);
    world.run(Duration::from_secs(10));
    let downs = world.downs();
    assert_eq!(downs.iter().map(|&(seat, _)| seat).collect::<Vec<_>>(), [0, 2]);
    for (_, at) in downs {
        let after = at.since(death);
        assert!(after >= IDLE_TIMEOUT && after < IDLE_TIMEOUT + Duration::from_millis(100), "{after:?}");
    }
}

#[test]
fn who_leaves_or_closes_is_missed_at_once() {
    let mut world = two_homes(None, None, link(10));
    world.link(1, 2);
    world.link(1, 0);
    world.transport.close(1, id(2));
    world.run(Duration::from_millis(100));
    assert_eq!(world.downs().iter().map(|&(seat, _)| seat).collect::<Vec<_>>(), [2]);
    world.say(2, 1, 1, 10);
    world.transport.leave(1);
    world.run(Duration::from_millis(100));
    assert_eq!(world.downs().iter().map(|&(seat, _)| seat).collect::<Vec<_>>(), [2, 0]);
    world.run(Duration::from_secs(10));
    assert_eq!(world.downs().len(), 2, "nobody is told twice");
    assert_eq!(world.heard(1), [], "nothing comes over a closed link");
}

#[test]
fn a_restart_at_the_same_place_is_somebody_new() {
    let mut world = two_homes(None, None, link(10));
    world.link(1, 2);
    world.say(2, 1, 1, 10);
    world.transport.kill(1);
    world.transport.start(1, id(9));
    world.run(Duration::from_secs(10));
    assert_eq!(world.heard(1), []);
    assert!(!world.is_up(2, 1));
    assert_eq!(world.downs().len(), 1, "the old identity is gone");
}

#[test]
fn simultaneous_dials_become_one_link() {
    let mut world = two_homes(None, None, link(10));
    world.dial(1, 2, world.address(2));
    world.dial(2, 1, world.address(1));
    world.run(Duration::from_secs(1));
    for number in 0..10 {
        world.say(1, 2, number, 10);
        world.say(2, 1, number, 10);
    }
    world.run(Duration::from_secs(1));
    assert_eq!((world.heard(1).len(), world.heard(2).len()), (10, 10));
    world.transport.close(1, id(2));
    world.run(Duration::from_secs(10));
    assert_eq!(world.downs().iter().map(|&(seat, _)| seat).collect::<Vec<_>>(), [2], "closing it once closes it");
}

#[test]
fn a_relayed_link_carries_until_its_relay_dies() {
    let mut world = two_homes(Some(NatConfig::symmetric()), Some(NatConfig::symmetric()), link(20));
    world.link(1, 0);
    world.link(2, 0);
    let over = Target::Relay { relay: id(0) };
    world.transport.dial(1, DialId(1), Some(id(2)), over);
    world.run(Duration::from_secs(6));
    assert_eq!(world.failed_dials().len(), 1, "an ambassador relays only what it has allowed");

    world.transport.allow_relay(0, id(1), id(2));
    world.transport.dial(1, DialId(2), Some(id(2)), over);
    world.run(Duration::from_secs(1));
    assert!(world.is_up(1, 2) && world.is_up(2, 1));
    assert_eq!((world.seen(1, 2), world.seen(2, 1)), (None, None), "no address is seen through a relay");
    let before = world.transport.now();
    world.say(2, 1, 5, 10);
    world.run(Duration::from_secs(1));
    let took = world.heard(1)[0].1.since(before);
    assert!((Duration::from_millis(40)..Duration::from_millis(41)).contains(&took), "up and down again: {took:?}");

    world.transport.kill(0);
    world.run(Duration::from_secs(10));
    assert!(!world.is_up(1, 2) && !world.is_up(2, 1));
}

#[test]
fn beyond_its_bound_an_ambassador_gives_up_the_pair_that_it_allowed_first() {
    let mut terrain = Terrain::new(3);
    terrain.ambassador();
    // Enough for one pair more than the bound.
    let peers: Vec<Seat> = (1..=92).collect();
    for _ in &peers {
        terrain.node(Terrain::INTERNET);
    }
    let mut world = World::new(terrain.into_plan());
    for &peer in &peers {
        world.dial(peer, 0, world.address(0));
    }
    world.run(Duration::from_secs(1));
    let pairs = peers.iter().flat_map(|&a| peers.iter().map(move |&b| (a, b))).filter(|(a, b)| a < b);
    for (a, b) in pairs.take(RELAYED_PAIRS_MAX + 1) {
        world.transport.allow_relay(0, id(a), id(b));
    }
    let over = Target::Relay { relay: id(0) };
    world.transport.dial(1, DialId(1), Some(id(2)), over);
    world.transport.dial(1, DialId(2), Some(id(3)), over);
    world.run(DIAL_TIMEOUT + Duration::from_secs(1));
    assert!(world.is_up(1, 3) && world.failed_dials().len() == 1, "{:?}", world.failed_dials());
}

#[test]
fn a_direct_link_takes_over_from_a_relayed_one() {
    let mut world = two_homes(None, None, link(20));
    world.link(1, 0);
    world.link(2, 0);
    world.transport.allow_relay(0, id(1), id(2));
    world.transport.dial(1, DialId(1), Some(id(2)), Target::Relay { relay: id(0) });
    world.run(Duration::from_secs(1));
    assert_eq!(world.seen(2, 1), None);
    world.link(2, 1);
    assert_eq!(world.seen(1, 2), Some(world.address(2)), "the other side is told as well");
    world.transport.kill(0);
    world.run(Duration::from_secs(10));
    assert!(world.is_up(1, 2) && world.is_up(2, 1), "it needs no relay any more");
}

#[test]
fn keep_alives_keep_mappings() {
    let mut world = two_homes(Some(NatConfig::symmetric()), None, link(20));
    world.link(1, 2);
    let mappings = |world: &World| world.transport.networks().router(1).expect("a router").1;
    for _ in 0..20 {
        world.run(Duration::from_secs(60));
        world.dial(1, 0, world.address(0));
        world.run(Duration::from_secs(1));
        world.transport.close(1, id(0));
        assert!(mappings(&world).expect("a NAT") <= 2, "what is not used any more expires");
    }
    let outside = world.seen(2, 1).expect("seen");
    world.transport.close(2, id(1));
    world.run(Duration::from_secs(1));
    world.dial(2, 1, outside);
    world.run(Duration::from_secs(1));
    assert!(world.is_up(2, 1), "the mapping has outlived 20 minutes of silence");
}

#[test]
fn multicast_stays_on_its_network() {
    let mut terrain = Terrain::new(1);
    let lans: Vec<NetworkIndex> = (0..2).map(|_| terrain.network(Terrain::INTERNET, None, link(1))).collect();
    for lan in [lans[0], lans[0], lans[0], lans[1]] {
        terrain.node(lan);
    }
    let mut world = World::new(terrain.into_plan());
    world.transport.kill(1);
    world.transport.announce(0, Announcement::Ping { id: id(0), port: NODE_PORT });
    world.run(Duration::from_secs(1));
    let heard: Vec<_> = world.arrived.iter().map(|(_, seat, _)| *seat).collect();
    assert_eq!(heard, [2], "neither the sender, nor the dead, nor another network");
    world.transport.unicast(2, world.address(0), Announcement::Ping { id: id(2), port: NODE_PORT });
    world.run(Duration::from_secs(1));
    assert!(matches!(world.arrived[1], (_, 0, Arrival::Heard { from, .. }) if from == world.address(2)));
}

/// Two networks behind these NATs, a node on each, and the internet with one.
fn two_nats(nats: [NatConfig; 2]) -> World {
    let mut terrain = Terrain::new(1);
    terrain.node(Terrain::INTERNET);
    for nat in nats {
        let link = LinkConfig { latency: Duration::from_millis(20), ..LinkConfig::default() };
        let network = terrain.network(Terrain::INTERNET, Some(nat), link);
        terrain.node(network);
    }
    World::new(terrain.into_plan())
}

const OUT: Seat = 0;
const A: Seat = 1;
const B: Seat = 2;

impl World {
    /// Has the NAT of `seat`'s network forget, and keep its address or not.
    fn rebind(&mut self, seat: Seat, new: bool) {
        let network = self.plan.nodes[seat as usize].network;
        let address = self.plan.networks[network.0].behind.as_ref().unwrap().address;
        let address = if new { Ipv4Addr::from(u32::from(address) + 100) } else { address };
        self.transport.rebind(network, &[address]);
    }

    /// Whether a message from one to the other arrives within a time.
    fn hears(&mut self, from: Seat, to: Seat, within: Duration) -> bool {
        let number = 1_000 + self.arrived.len() as u64;
        let sent = self.transport.now();
        self.say(from, to, number, 10);
        self.run(within);
        self.heard(to).iter().any(|&(request, at)| request == number && at >= sent)
    }
}

/// RFC 9000 §9: a server lets its client migrate.
#[test]
fn a_link_goes_on_over_a_nat_that_forgets_if_its_client_is_behind_it() {
    for new in [false, true] {
        let mut world = two_nats([NatConfig::port_restricted(), NatConfig::port_restricted()]);
        world.link(A, OUT);
        world.rebind(A, new);
        assert!(world.hears(A, OUT, Duration::from_millis(100)), "what it sends makes a new mapping at once");
        assert!(world.hears(OUT, A, Duration::from_millis(100)), "which is answered to");
        world.run(IDLE_TIMEOUT * 3);
        assert!(world.is_up(A, OUT) && world.is_up(OUT, A));
    }
}

/// Until the inside sends again, nothing comes in; what was lost is sent again.
#[test]
fn what_comes_for_a_forgotten_mapping_waits_for_the_inside_to_send() {
    let mut world = two_nats([NatConfig::port_restricted(), NatConfig::port_restricted()]);
    world.link(A, OUT);
    world.rebind(A, true);
    assert!(!world.hears(OUT, A, Duration::from_millis(60)), "40 ms would do");
    let dropped = world.transport.networks().router(1).unwrap().0.dropped(Cause::NoMapping);
    assert!(dropped >= 1, "{dropped}");
    world.run(KEEP_ALIVE + Duration::from_secs(2));
    assert_eq!(world.heard(A).len(), 1, "it was sent again after the next keep-alive");
}

/// A client does not let its server migrate, unless the NAT gives the server the same endpoint again.
#[test]
fn a_link_to_a_server_behind_a_nat_that_forgets_survives_only_with_the_same_endpoint() {
    for new in [false, true] {
        let mut world = two_nats([NatConfig::full_cone(), NatConfig::full_cone()]);
        world.link(A, OUT);
        let outside = world.seen(OUT, A).unwrap();
        world.dial(B, A, outside);
        world.run(Duration::from_secs(1));
        assert!(world.is_up(B, A));
        world.rebind(A, new);
        let rebound = world.transport.now();
        world.run(IDLE_TIMEOUT * 2);
        assert_eq!([world.is_up(A, B), world.is_up(B, A)], [!new; 2], "new address: {new}");
        let noticed = |(at, _, what): &(Time, Seat, Arrival<()>)| {
            matches!(what, Arrival::LinkDown { .. }).then(|| at.since(rebound))
        };
        assert!(world.arrived.iter().filter_map(noticed).all(|after| after >= IDLE_TIMEOUT));
        assert!(world.is_up(A, OUT), "this one migrates");
    }
}

/// The peer's NAT does not let a new address in, so that migration never begins.
#[test]
fn a_punched_link_breaks_where_the_other_nat_does_not_know_the_new_endpoint() {
    for (other, survives) in [(NatConfig::full_cone(), true), (NatConfig::port_restricted(), false)] {
        let mut world = two_nats([other, NatConfig::port_restricted()]);
        world.link(A, OUT);
        world.link(B, OUT);
        let [a, b] = [A, B].map(|seat| world.seen(OUT, seat).unwrap());
        world.dial(A, B, b);
        world.dial(B, A, a);
        world.run(Duration::from_secs(2));
        // Of two links the one that the greater id dialled stays: A would let B migrate.
        assert!(world.is_up(A, B) && world.is_up(B, A));
        world.rebind(B, true);
        world.run(IDLE_TIMEOUT * 2);
        assert_eq!([world.is_up(A, B), world.is_up(B, A)], [survives; 2]);
    }
}

/// Each side opens its own NAT for the other again, if both keep their endpoints.
#[test]
fn a_punched_link_survives_two_nats_that_forget_and_keep_their_endpoints() {
    for new in [false, true] {
        let mut world = two_nats([NatConfig::port_restricted(), NatConfig::port_restricted()]);
        world.link(A, OUT);
        world.link(B, OUT);
        let [a, b] = [A, B].map(|seat| world.seen(OUT, seat).unwrap());
        world.dial(A, B, b);
        world.dial(B, A, a);
        world.run(Duration::from_secs(2));
        assert!(world.is_up(A, B) && world.is_up(B, A));
        world.rebind(A, new);
        world.rebind(B, new);
        world.run(IDLE_TIMEOUT * 2);
        assert_eq!([world.is_up(A, B), world.is_up(B, A)], [!new; 2]);
    }
}

#[test]
fn a_changed_link_is_as_slow_as_it_says() {
    let mut world = two_nats([NatConfig::full_cone(), NatConfig::full_cone()]);
    world.link(A, OUT);
    assert!(world.hears(A, OUT, Duration::from_millis(30)));
    let slow = LinkConfig { latency: Duration::from_millis(300), ..LinkConfig::default() };
    world.transport.set_link(NetworkIndex(1), &slow, &LinkConfig::default());
    assert!(!world.hears(A, OUT, Duration::from_millis(299)));
    assert!(world.hears(OUT, A, Duration::from_millis(1)), "the other way is perfect now");
    world.transport.set_link(NetworkIndex(1), &LinkConfig { loss: 1.0, ..LinkConfig::default() }, &slow);
    assert!(!world.hears(A, OUT, Duration::from_secs(2)));
    world.transport.set_link(NetworkIndex(1), &LinkConfig::default(), &LinkConfig::default());
    assert!(world.hears(A, OUT, Duration::from_millis(10)));
}
