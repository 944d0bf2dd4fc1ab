//! How links come about and go, as this side sees it.

use super::*;
use crate::core::contact::AmbassadorAddress;
use crate::core::io::DialTarget;

type Out = Output<(), ()>;

const ME: NodeId = NodeId([1; 32]);
const PEER: NodeId = NodeId([2; 32]);
const OWN: NodeId = NodeId([3; 32]);
const THEIRS: NodeId = NodeId([4; 32]);

struct Side {
    links: Links<()>,
    stats: Stats,
    sink: Sink<(), ()>,
    now: Time,
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A node behind a NAT.
fn side() -> Side {
    let mut links = Links::new(false);
    let external_address = Some(address("203.0.113.1:50000"));
    links.set_place(OwnAddresses { local: vec![address("10.1.0.2:4001").into()], external_address, mapped: None });
    Side { links, stats: Stats::default(), sink: Sink::default(), now: Time::ZERO }
}

/// A peer behind a NAT whose ambassador is [`THEIRS`].
fn peer() -> Contact {
    let mut contact = Contact::at(PEER, address("10.2.0.2:4001"));
    contact.set_external(
        Some(address("203.0.113.2:50000")),
        Some(AmbassadorAddress { id: THEIRS, address: address("203.0.113.9:4001") }),
    );
    contact
}

impl Side {
    fn up(&mut self, peer: NodeId, remote: Option<&str>, dialled: bool) {
        let me = Contact::at(ME, address("10.1.0.2:4001"));
        let link = LinkInfo { peer, remote: remote.map(address), dialled };
        self.links.link_up(self.now, link, &me, &mut self.stats, &mut self.sink);
    }

    fn ambassador(&mut self, id: NodeId, remote: &str, dialled: bool) {
        self.up(id, Some(remote), dialled);
        self.links.greeted(id, Contact { ambassador: true, ..Contact::public(id, address(remote)) });
    }

    fn want(&mut self, contact: &Contact) {
        self.links.want(self.now, contact.id, Some(contact), &mut self.stats, &mut self.sink);
    }

    fn wake_after(&mut self, pause: Duration) {
        self.now = self.now + pause;
        self.links.wake(self.now, |_| false, &mut self.stats, &mut self.sink);
    }

    fn took(&mut self) -> Vec<Out> {
        std::mem::take(&mut self.sink.0).into_iter().collect()
    }

    fn dials(&mut self) -> Vec<(DialId, DialTarget)> {
        let dial = |output| if let Output::Dial { dial, to, .. } = output { Some((dial, to)) } else { None };
        self.took().into_iter().filter_map(dial).collect()
    }

    /// Who is asked for an introduction.
    fn asked(&mut self) -> Vec<NodeId> {
        let asked = |output| match output {
            Output::Send { to, message: Message::Rendezvous(RendezvousMessage::Introduce { .. }) } => Some(to),
            _ => None,
        };
        self.took().into_iter().filter_map(asked).collect()
    }
}

#[test]
fn a_link_that_is_wanted_while_the_peer_makes_it_is_reported_when_it_fails() {
    let mut side = side();
    side.ambassador(OWN, "203.0.113.8:4001", true);
    side.took();
    side.links.introduced(side.now, OWN, &peer(), &mut side.stats, &mut side.sink);
    side.want(&peer());
    let dials = side.dials();
    assert_eq!(dials.len(), 1, "{dials:?}");
    side.links.dial_failed(side.now, dials[0].0, &mut side.stats, &mut side.sink);
    assert_eq!(side.links.take_failed(), Some(PEER));
}

#[test]
fn an_answered_attempt_that_nobody_waits_for_ends_without_a_word() {
    let mut side = side();
    side.links.introduced(side.now, OWN, &peer(), &mut side.stats, &mut side.sink);
    let dials = side.dials();
    side.links.dial_failed(side.now, dials[0].0, &mut side.stats, &mut side.sink);
    assert_eq!(side.links.take_failed(), None);
}

#[test]
fn where_ones_own_ambassador_does_not_know_the_peer_its_ambassador_is_linked_and_asked() {
    let mut side = side();
    side.ambassador(OWN, "203.0.113.8:4001", true);
    side.took();
    side.want(&peer());
    assert_eq!(side.asked(), [OWN]);
    side.links.introduction_refused(side.now, PEER, &mut side.stats, &mut side.sink);
    let dials: Vec<DialTarget> = side.dials().into_iter().map(|(_, to)| to).collect();
    assert_eq!(dials, [DialTarget::Address(address("203.0.113.9:4001"))]);
    side.up(THEIRS, Some("203.0.113.9:4001"), true);
    assert_eq!(side.asked(), [THEIRS]);
}

#[test]
fn an_ambassador_that_does_not_answer_is_none() {
    let mut side = side();
    side.ambassador(OWN, "203.0.113.8:4001", true);
    side.want(&peer());
    side.took();
    side.wake_after(Duration::from_secs(2));
    let dials: Vec<DialTarget> = side.dials().into_iter().map(|(_, to)| to).collect();
    assert_eq!(dials, [DialTarget::Address(address("203.0.113.9:4001"))]);
    side.wake_after(Duration::from_secs(2));
    let mut failed: Vec<NodeId> = std::iter::from_fn(|| side.links.take_failed()).collect();
    failed.sort_unstable();
    assert_eq!(failed, [PEER, THEIRS]);
}

#[test]
fn without_any_ambassador_of_ones_own_the_peers_is_asked_at_once() {
    let mut side = side();
    side.want(&peer());
    let dials: Vec<DialTarget> = side.dials().into_iter().map(|(_, to)| to).collect();
    let expected = ["203.0.113.2:50000", "203.0.113.9:4001"].map(|text| DialTarget::Address(address(text)));
    assert_eq!(dials, expected);
}

#[test]
fn a_peer_behind_a_nat_that_had_no_ambassador_when_it_was_heard_of_is_asked_for() {
    let mut side = side();
    side.ambassador(OWN, "203.0.113.8:4001", true);
    side.took();
    let mut between = peer();
    between.set_external(between.external_address, None);
    side.want(&between);
    assert_eq!(side.asked(), [OWN]);
}

#[test]
fn three_hosts_of_other_networks_must_agree() {
    let mut side = side();
    let seen = address("203.0.113.1:50007");
    let reflectors = ["203.0.113.8:4001", "203.0.113.8:4002", "10.1.0.9:4001", "203.0.113.9:4001", "203.0.113.10:4001"];
    for (number, reflector) in (10..).zip(reflectors) {
        assert!(!side.links.agree_on(seen.ip()), "before {reflector}");
        side.up(NodeId([number; 32]), Some(reflector), true);
        side.links.seen_as(NodeId([number; 32]), Some(seen));
    }
    assert!(side.links.agree_on(seen.ip()));
    assert!(!side.links.agree_on(address("203.0.113.77:1").ip()));
}

#[test]
fn only_who_dials_unasked_from_another_network_proves_that_strangers_can() {
    let behind_nat = peer();
    let neighbour = Contact::at(NodeId([5; 32]), address("10.1.0.9:4001"));
    let stranger = Contact::at(NodeId([6; 32]), address("10.1.0.99:4001"));
    let cases = [
        (&behind_nat, "203.0.113.2:50000", false, true),
        (&behind_nat, "203.0.113.2:50000", true, false),
        (&neighbour, "10.1.0.9:4001", false, false),
        // It comes through a NAT that has an address of this very network.
        (&stranger, "10.1.0.77:50000", false, true),
    ];
    for (contact, remote, dialled, expected) in cases {
        let mut side = side();
        side.up(contact.id, Some(remote), dialled);
        assert_eq!(side.links.unsolicited_caller(contact.id), None, "it has not said who it is");
        side.links.greeted(contact.id, contact.clone());
        assert_eq!(
            side.links.unsolicited_caller(contact.id),
            expected.then(|| address(remote).ip()),
            "{remote} {dialled}"
        );
    }
    let mut side = side();
    side.want(&behind_nat);
    side.up(PEER, Some("203.0.113.2:50000"), false);
    side.links.greeted(PEER, behind_nat);
    assert_eq!(side.links.unsolicited_caller(PEER), None, "this side had dialled as well");
}

#[test]
fn an_ambassador_keeps_silent_links_that_others_have_dialled() {
    for serving in [true, false] {
        let mut side = side();
        side.links.set_serving(serving);
        side.up(PEER, Some("203.0.113.2:50000"), false);
        side.up(OWN, Some("203.0.113.3:50000"), true);
        side.wake_after(UNUSED_AFTER);
        assert_eq!((side.links.is_up(PEER), side.links.is_up(OWN)), (serving, false));
    }
}

#[test]
fn what_may_carry_a_relayed_link_is_kept() {
    let mut side = side();
    side.ambassador(OWN, "203.0.113.8:4001", true);
    side.up(PEER, None, true);
    side.now = side.now + UNUSED_AFTER / 2;
    assert!(side.links.hears(side.now, PEER, 1));
    side.wake_after(UNUSED_AFTER / 2);
    assert!(side.links.is_up(OWN));
    side.wake_after(UNUSED_AFTER);
    assert!(!side.links.is_up(PEER));
    side.wake_after(UNUSED_AFTER);
    assert!(!side.links.is_up(OWN), "nothing is carried any more");
}

#[test]
fn what_a_link_is_like_outlasts_a_second_connection_to_the_same_end() {
    let mut side = side();
    let remote = "203.0.113.2:50000";
    side.up(PEER, None, true);
    side.up(PEER, Some(remote), true);
    side.links.record_punch_method(PEER, PunchMethod::Predicted);
    side.links.seen_as(PEER, Some(address("203.0.113.1:50007")));
    side.up(PEER, Some(remote), false);
    assert_eq!(side.links.path(PEER), Some(crate::core::io::LinkPath::Predicted));
    assert_eq!(side.links.expected_reflection(PEER), Some(address("203.0.113.1:50007")));
    side.up(PEER, Some("203.0.113.2:50001"), false);
    assert_eq!(side.links.expected_reflection(PEER), None, "that may be seen otherwise");
}

#[test]
fn a_flood_of_introductions_leaves_room_for_what_this_node_wants() {
    let mut side = side();
    for number in 0..=u8::MAX {
        let contact = Contact::at(NodeId([number; 32]), address("10.2.0.2:4001"));
        let mut contact = contact;
        contact.set_external(Some(address("203.0.113.2:50000")), None);
        for _ in 0..50 {
            side.links.introduced(side.now, OWN, &contact, &mut side.stats, &mut side.sink);
        }
    }
    let dials = side.dials();
    assert!(dials.len() <= ANSWERING_MAX * 16, "{} dials", dials.len());
    side.want(&Contact::public(NodeId([77; 32]), address("203.0.113.99:4001")));
    side.want(&peer());
    assert_eq!(side.links.take_failed(), None);
}
