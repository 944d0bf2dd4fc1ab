//! One node and what it says, without a network.

use std::sync::Arc;

use super::*;
use crate::core::NodeCore;
use crate::core::config::Config;
use crate::core::connectivity::links::UNUSED_AFTER;
use crate::core::contact::AmbassadorAddress;
use crate::core::io::{AskError, Sink};
use crate::core::io::{Command, ForwardedPort, Input};
use crate::core::message::MembershipMessage;
use crate::core::nat_report::NatReport;
use crate::core::tests::{Nothing, Silent};

const AMBASSADOR: NodeId = NodeId([1; 32]);
const PEER: NodeId = NodeId([2; 32]);
const AMBASSADOR_AT: &str = "203.0.113.9:4001";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn contact(id: NodeId, local: &[&str]) -> Contact {
    let mut contact = Contact::at(id, address("10.9.0.2:4001"));
    Arc::make_mut(&mut contact.addresses).local = local.iter().map(|text| address(text)).collect();
    contact
}

struct Bench(NodeCore<Silent>, Time);

impl Bench {
    /// A node with these addresses and a link to an ambassador.
    fn new(local: &[&str]) -> Self {
        let config = Config { join: vec![address(AMBASSADOR_AT)], discover: false, ..Config::default() };
        let mut bench = Bench(NodeCore::new(NodeId([9; 32]), Arc::new(config), 1, Silent), Time::ZERO);
        bench.give(Input::Addresses(local.iter().map(|text| address(text).into()).collect()));
        bench.give(Input::LinkUp { peer: AMBASSADOR, remote: Some(address(AMBASSADOR_AT)), dialled: true });
        let mut ambassador = contact(AMBASSADOR, &[AMBASSADOR_AT]);
        ambassador.ambassador = true;
        let seen = Some(address("198.51.100.1:5000"));
        bench.hear(AMBASSADOR, Message::Rendezvous(RendezvousMessage::Hello { contact: ambassador, seen }));
        bench
    }

    fn give(&mut self, input: Input<Nothing, ()>) -> Vec<Output<Nothing, ()>> {
        let mut sink = Sink::default();
        self.0.handle(self.1, input, &mut sink);
        sink.0
    }

    fn hear(&mut self, from: NodeId, message: Message<Nothing>) -> Vec<Output<Nothing, ()>> {
        self.give(Input::Message { from, message })
    }

    /// The ambassador introduces the peer, and a link comes of it.
    fn link(&mut self, remote: Option<&str>) {
        let mut seen = contact(PEER, &["10.9.0.2:4001"]);
        seen.set_external(Some(address("198.51.100.2:6000")), None);
        self.hear(AMBASSADOR, Message::Rendezvous(RendezvousMessage::Introduced { contact: seen.clone() }));
        self.give(Input::LinkUp { peer: PEER, remote: remote.map(address), dialled: false });
        self.hear(PEER, Message::Rendezvous(RendezvousMessage::Hello { contact: seen, seen: None }));
    }

    /// Whether the node wants to be introduced to the peer once that has sent these addresses.
    fn meets_anew(&mut self, local: &[&str]) -> bool {
        let mut contact = contact(PEER, local);
        contact.set_external(Some(address("198.51.100.2:6000")), None);
        let said = self.hear(PEER, Message::Membership(MembershipMessage::Refresh { contact }));
        said.iter().any(introduces)
    }
}

/// Whether the ambassador is asked for the peer.
fn introduces(said: &Output<Nothing, ()>) -> bool {
    let Output::Send { to: AMBASSADOR, message } = said else { return false };
    matches!(message, Message::Rendezvous(RendezvousMessage::Introduce { peer: PEER }))
}

const HERE: [&str; 2] = ["10.1.0.2:4001", "[2001:db8:1::2]:4001"];

#[test]
fn a_relayed_peer_that_comes_to_ipv6_is_met_anew_a_few_times() {
    let mut bench = Bench::new(&HERE);
    bench.link(None);
    assert!(!bench.meets_anew(&["10.9.0.2:4001"]), "nothing is new");
    assert!(!bench.meets_anew(&["10.9.0.2:4001", "10.8.0.2:4001"]), "it is behind the same NAT");
    assert!(!bench.meets_anew(&["10.9.0.2:4001", "[fe80::2]:4001"]), "no other host can dial that");
    let met = (0..100).filter(|i| bench.meets_anew(&["10.9.0.2:4001", &format!("[2001:db8:2::{i}]:4001")])).count();
    assert_eq!(met, 4);
}

#[test]
fn a_relayed_peer_whose_nat_has_another_address_is_met_anew() {
    let mut bench = Bench::new(&HERE[..1]);
    bench.link(None);
    let mut met = |external_address: &str| {
        let mut moved = contact(PEER, &["10.9.0.2:4001"]);
        moved.set_external(Some(address(external_address)), None);
        bench.hear(PEER, Message::Membership(MembershipMessage::Refresh { contact: moved })).iter().any(introduces)
    };
    assert!(!met("198.51.100.2:6001"), "another port only");
    assert!(met("198.51.100.3:6000"));
    assert!(!met("198.51.100.3:6000"), "that was sent already");
}

#[test]
fn an_ambassador_keeps_links_that_nobody_uses() {
    let closes = |ambassador| {
        let config = Config { ambassador, discover: false, ..Config::default() };
        let mut bench = Bench(NodeCore::new(NodeId([9; 32]), Arc::new(config), 1, Silent), Time::ZERO);
        bench.give(Input::LinkUp { peer: PEER, remote: Some(address("198.51.100.2:6000")), dialled: false });
        bench.1 = Time::ZERO + 2 * UNUSED_AFTER;
        bench.give(Input::Wake).iter().any(|said| matches!(said, Output::Close { peer: PEER }))
    };
    assert_eq!((closes(true), closes(false)), (false, true));
}

#[test]
fn a_nat_is_looked_at_also_where_the_ambassador_is_linked_over_ipv6() {
    let mut bench = Bench::new(&HERE);
    let over_ipv6 = Some(address("[2001:db8:9::9]:4001"));
    bench.give(Input::LinkUp { peer: AMBASSADOR, remote: over_ipv6, dialled: true });
    bench.link(None);
    let report = NatReport { seen: address("198.51.100.2:6000"), ports: MappingBehaviour::Random };
    let offer = Message::Rendezvous(RendezvousMessage::Punch(PunchMessage::Offer { number: 1, report }));
    let said = bench.hear(PEER, offer);
    let reported = address(AMBASSADOR_AT);
    assert!(said.iter().any(|out| matches!(out, Output::Probe { to, .. } if *to == reported)), "{said:?}");
}

#[test]
fn who_wants_a_better_link_than_a_relayed_one_waits_for_the_dials_over_ipv6() {
    let mut bench = Bench::new(&HERE);
    bench.link(None);
    assert!(bench.meets_anew(&["10.9.0.2:4001", "[2001:db8:2::2]:4001"]));
    // The leader has given up.
    bench.hear(PEER, Message::Rendezvous(RendezvousMessage::Punch(PunchMessage::End)));
    let reported = |said: &[Output<Nothing, ()>]| said.iter().any(|out| matches!(out, Output::Done { .. }));
    let said = bench.give(Input::Command { id: CommandId(7), command: Command::Connect { peer: PEER, contact: None } });
    assert!(said.iter().any(introduces) && !reported(&said), "{said:?}");
    bench.1 = bench.1 + Duration::from_secs(1);
    let said = bench.give(Input::Wake);
    assert!(reported(&said), "{said:?}");
}

#[test]
fn only_a_relayed_link_between_two_with_ipv6_is_made_anew() {
    let there = ["10.9.0.2:4001", "[2001:db8:2::2]:4001"];
    let mut direct = Bench::new(&HERE);
    direct.link(Some("198.51.100.2:6000"));
    assert!(!direct.meets_anew(&there));
    let mut without = Bench::new(&HERE[..1]);
    without.link(None);
    assert!(!without.meets_anew(&there));
}

#[test]
fn a_peer_heard_of_before_it_met_its_ambassador_is_asked_for() {
    let mut bench = Bench::new(&HERE[..1]);
    let early = Some(Box::new(contact(PEER, &["10.9.0.2:4001"])));
    let said =
        bench.give(Input::Command { id: CommandId(7), command: Command::Connect { peer: PEER, contact: early } });
    assert!(said.iter().any(introduces), "{said:?}");
}

#[test]
fn what_was_asked_over_a_link_that_is_found_dead_has_no_answer() {
    let mut bench = Bench::new(&HERE[..1]);
    bench.link(Some("198.51.100.2:6000"));
    let command = Command::Ask { peer: PEER, route: String::new(), body: Default::default() };
    bench.give(Input::Command { id: CommandId(7), command });
    // The peer has itself introduced anew, and answers no probe.
    let seen = contact(PEER, &["10.9.0.2:4001"]);
    bench.hear(AMBASSADOR, Message::Rendezvous(RendezvousMessage::Introduced { contact: seen }));
    let mut said = Vec::new();
    for _ in 0..4 {
        said.extend(bench.give(Input::Wake));
        bench.1 = bench.1 + Duration::from_millis(250);
    }
    let closed = said.iter().position(|out| matches!(out, Output::Close { peer: PEER }));
    let reported = said.iter().position(|out| {
        let Output::Done { id: CommandId(7), outcome } = out else { return false };
        matches!(outcome, Outcome::Answered(Err(AskError::Unreachable)))
    });
    assert!(closed.is_some() && reported > closed, "{said:?}");
}

/// Whether the node dials the peer after what it received.
fn dials(said: &[Output<Nothing, ()>]) -> bool {
    said.iter().any(|out| matches!(out, Output::Dial { peer: Some(PEER), .. }))
}

fn introduced() -> Message<Nothing> {
    let mut seen = contact(PEER, &["10.9.0.2:4001"]);
    seen.set_external(Some(address("198.51.100.2:6000")), None);
    Message::Rendezvous(RendezvousMessage::Introduced { contact: seen })
}

const STRANGER: NodeId = NodeId([3; 32]);

impl Bench {
    /// Links another that says that it is an ambassador.
    fn stranger(&mut self, dialled: bool) {
        self.give(Input::LinkUp { peer: STRANGER, remote: Some(address("203.0.113.66:4001")), dialled });
        let mut stranger = contact(STRANGER, &["203.0.113.66:4001"]);
        stranger.ambassador = true;
        self.hear(STRANGER, Message::Rendezvous(RendezvousMessage::Hello { contact: stranger, seen: None }));
    }

    fn wants(&mut self) -> Vec<Output<Nothing, ()>> {
        let mut peer = contact(PEER, &["10.9.0.2:4001"]);
        peer.set_external(
            Some(address("198.51.100.2:6000")),
            Some(AmbassadorAddress { id: AMBASSADOR, address: address(AMBASSADOR_AT) }),
        );
        let command = Command::Connect { peer: PEER, contact: Some(Box::new(peer)) };
        self.give(Input::Command { id: CommandId(7), command })
    }
}

#[test]
fn only_who_may_introduce_makes_a_node_dial() {
    let mut bench = Bench::new(&HERE[..1]);
    bench.stranger(false);
    assert!(!dials(&bench.hear(STRANGER, introduced())), "it has come by itself");
    assert!(dials(&bench.hear(AMBASSADOR, introduced())), "the node is met through it");

    let mut chosen = Bench::new(&HERE[..1]);
    chosen.stranger(true);
    let mut seen = contact(PEER, &["10.9.0.2:4001"]);
    let dialled = (0..100).filter(|number| {
        seen.id = NodeId([100 + number; 32]);
        seen.set_external(Some(address("192.0.2.66:53")), None);
        let said = chosen.hear(STRANGER, Message::Rendezvous(RendezvousMessage::Introduced { contact: seen.clone() }));
        said.iter().any(|out| matches!(out, Output::Dial { .. }))
    });
    assert_eq!(dialled.count(), 32, "one that it has chosen may do so a few times");
}

#[test]
fn only_who_was_asked_for_a_peer_can_say_that_it_does_not_know_it() {
    let mut bench = Bench::new(&HERE[..1]);
    bench.stranger(true);
    assert!(bench.wants().iter().any(introduces));
    bench.hear(STRANGER, Message::Rendezvous(RendezvousMessage::Unknown { peer: PEER }));
    // The ambassador is still waited for: its word leads to the relay.
    bench.hear(AMBASSADOR, introduced());
    // Its path is not measured: the probe time-out is that of QUIC's initial round trip.
    bench.1 = bench.1 + Duration::from_millis(325);
    let said = bench.give(Input::Wake);
    let relayed = |out: &Output<Nothing, ()>| matches!(out, Output::Dial { to: DialTarget::Relay { .. }, .. });
    assert!(said.iter().any(relayed), "{said:?}");
}

#[test]
fn a_relayed_link_that_has_outlived_its_attempt_is_got_rid_of_all_the_same() {
    let mut bench = Bench::new(&HERE[..1]);
    let said = bench.give(Input::LinkUp { peer: PEER, remote: None, dialled: true });
    assert!(said.iter().any(introduces), "{said:?}");
    bench.hear(AMBASSADOR, introduced());
    bench.1 = bench.1 + Duration::from_millis(150);
    let said = bench.give(Input::Wake);
    assert!(said.iter().any(|out| matches!(out, Output::Probe { .. })), "it looks at its NAT: {said:?}");
}

#[test]
fn nothing_is_tried_any_more_for_a_relayed_link_that_was_closed_unused() {
    let mut bench = Bench::new(&HERE[..1]);
    bench.link(None);
    assert!(!bench.0.connectivity.holepunch.is_empty());
    bench.1 = bench.1 + 2 * UNUSED_AFTER;
    let said = bench.give(Input::Wake);
    assert!(said.iter().any(|out| matches!(out, Output::Close { peer: PEER })), "{said:?}");
    assert!(bench.0.connectivity.holepunch.is_empty());
}

#[test]
fn a_port_that_an_inner_nat_forwards_is_not_told_to_others() {
    let mut bench = Bench::new(&HERE[..1]);
    let mut reported = |external_address: &str| {
        bench.give(Input::PortMapped(Some(ForwardedPort {
            external_address: address(external_address),
            lifetime: port_map::LIFETIME,
        })));
        bench.0.me().mapped
    };
    assert_eq!(reported("192.168.0.7:4001"), None);
    assert_eq!(reported("198.51.100.1:4001"), Some(address("198.51.100.1:4001")));
}

#[test]
fn a_flood_of_probes_does_not_silence_a_node_towards_its_peers() {
    let mut bench = Bench::new(&HERE[..1]);
    let mut answers = |from: &str| {
        let probe = Probe::Request { token: Token([1; 12]) };
        let said = bench.give(Input::ProbeReceived { socket: SocketId::MAIN, from: address(from), probe });
        said.iter().any(|out| matches!(out, Output::Probe { .. }))
    };
    assert_eq!((0..1_100).filter(|_| answers("192.0.2.66:53")).count(), ANSWERS_MAX as usize);
    assert!(answers(AMBASSADOR_AT));
}
