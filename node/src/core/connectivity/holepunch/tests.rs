//! What a peer can do to a node that crosses NATs with it: nothing beyond its own address and a bound.

use super::pair::REINTRODUCTIONS_MAX;
use super::*;
use crate::core::probe::Token;
use crate::core::random::child;

const PEER: NodeId = NodeId([1; 32]);
const OTHER: NodeId = NodeId([2; 32]);

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn observed_ip() -> IpAddr {
    addr("203.0.113.7:1").ip()
}

/// Behind no NAT: it needs no survey.
fn outlook() -> PunchContext {
    PunchContext { reflectors: vec![], public: Some(addr("198.51.100.1:4001")) }
}

/// A node that follows `PEER` and `OTHER`, both at one address.
fn follower() -> HolePunch {
    let mut crossing = HolePunch::new(child(1, 0), true);
    for peer in [PEER, OTHER] {
        crossing.relayed(Time::ZERO, peer, false, observed_ip(), &mut Vec::new());
    }
    crossing
}

fn report(ports: MappingBehaviour) -> NatReport {
    NatReport { seen: SocketAddr::new(observed_ip(), 7_000), ports }
}

fn say(crossing: &mut HolePunch, from: NodeId, message: PunchMessage) -> Vec<PunchAction> {
    let mut acts = Vec::new();
    crossing.handle(Time::ZERO, from, message, &outlook(), &mut acts);
    acts
}

fn offer(number: u32, ports: MappingBehaviour) -> PunchMessage {
    PunchMessage::Offer { number, report: report(ports) }
}

/// Offers and has it begin. Returns the token of its probes.
fn begin(crossing: &mut HolePunch, ports: MappingBehaviour) -> Token {
    let acts = say(crossing, PEER, offer(1, ports));
    let [PunchAction::AddressedMessage(PEER, PunchMessage::Accept { token, .. })] = acts[..] else {
        panic!("{acts:?}")
    };
    let acts = say(crossing, PEER, PunchMessage::Go { number: 1, report: report(ports) });
    assert!(matches!(acts[0], PunchAction::Try(_)), "{acts:?}");
    token
}

fn probe(crossing: &mut HolePunch, from: &str, probe: Probe) -> Vec<PunchAction> {
    let mut acts = Vec::new();
    crossing.probed(Time::ZERO, SocketId::MAIN, addr(from), probe, &outlook(), &mut acts);
    acts
}

#[test]
fn probes_go_nowhere_but_to_where_an_ambassador_sees_the_peer() {
    let mut crossing = follower();
    let elsewhere = NatReport { seen: addr("192.0.2.66:53"), ports: MappingBehaviour::EndpointIndependent };
    let acts = say(&mut crossing, PEER, PunchMessage::Offer { number: 1, report: elsewhere });
    assert!(matches!(acts[..], [PunchAction::Introduce(PEER)]), "{acts:?}");
    begin(&mut crossing, MappingBehaviour::Random);
    let mut acts = say(&mut crossing, PEER, PunchMessage::Go { number: 1, report: elsewhere });
    for tick in 0..400 {
        crossing.wake(Time::from_micros(20_000 * tick), &outlook(), &mut acts);
    }
    let to = acts.iter().filter_map(|act| match act {
        PunchAction::Probe { to, .. } => Some(to.ip()),
        _ => None,
    });
    let to: Vec<IpAddr> = to.collect();
    assert!(to.len() > 900 && to.iter().all(|&ip| ip == observed_ip()), "{} probes", to.len());
}

#[test]
fn an_ambassador_is_asked_a_few_times_where_a_peer_is_that_says_otherwise() {
    let mut crossing = follower();
    let elsewhere = NatReport { seen: addr("192.0.2.66:53"), ports: MappingBehaviour::EndpointIndependent };
    let offers =
        (0..100).flat_map(|number| say(&mut crossing, PEER, PunchMessage::Offer { number, report: elsewhere }));
    let introductions = offers.filter(|act| matches!(act, PunchAction::Introduce(PEER))).count();
    assert_eq!(introductions, REINTRODUCTIONS_MAX as usize);
}

#[test]
fn a_probe_from_elsewhere_leads_to_no_dial() {
    let mut crossing = follower();
    let token = begin(&mut crossing, MappingBehaviour::Random);
    assert!(probe(&mut crossing, "192.0.2.66:9", Probe::Request { token }).is_empty());
    let strange = Probe::Request { token: Token([0xEE; 12]) };
    assert!(probe(&mut crossing, "203.0.113.7:9", strange).is_empty());
    let acts = probe(&mut crossing, "203.0.113.7:9", Probe::Request { token });
    assert!(matches!(acts[..], [PunchAction::Probe { .. }, PunchAction::Dial { peer: PEER, .. }]), "{acts:?}");
}

#[test]
fn a_flood_of_probes_leads_to_one_dial_and_a_bounded_number_of_answers() {
    let mut crossing = follower();
    let token = begin(&mut crossing, MappingBehaviour::Random);
    let acts: Vec<PunchAction> =
        (0..1_000).flat_map(|_| probe(&mut crossing, "203.0.113.7:9", Probe::Request { token })).collect();
    let dials = acts.iter().filter(|act| matches!(act, PunchAction::Dial { .. })).count();
    assert_eq!((dials, acts.len() - dials), (1, ANSWERS_MAX as usize));
}

#[test]
fn a_peer_is_expected_at_every_pair_of_endpoints_that_meets_up_to_a_bound() {
    let mut crossing = follower();
    let token = begin(&mut crossing, MappingBehaviour::Random);
    let mut acts = Vec::new();
    for port in 0..1_000 {
        let (socket, from) = (SocketId(2 + u32::from(port) % 7), SocketAddr::new(observed_ip(), 5_000 + port));
        crossing.probed(Time::ZERO, socket, from, Probe::Request { token }, &outlook(), &mut acts);
    }
    let expected = acts.iter().filter(|act| matches!(act, PunchAction::Expect { .. })).count();
    let dials = acts.iter().filter(|act| matches!(act, PunchAction::Dial { .. })).count();
    assert_eq!((expected, dials), (ANSWERS_MAX as usize, 1));
}

#[test]
fn many_probes_are_sent_for_one_peer_at_a_time() {
    let mut crossing = follower();
    begin(&mut crossing, MappingBehaviour::Random);
    let acts = say(&mut crossing, OTHER, offer(5, MappingBehaviour::Random));
    assert!(matches!(acts[..], [PunchAction::AddressedMessage(OTHER, PunchMessage::Busy { number: 5 })]), "{acts:?}");
    let mut acts = Vec::new();
    crossing.gone(PEER, &mut acts);
    let acts = say(&mut crossing, OTHER, offer(6, MappingBehaviour::Random));
    assert!(
        matches!(acts[..], [PunchAction::AddressedMessage(OTHER, PunchMessage::Accept { number: 6, .. })]),
        "{acts:?}"
    );
}

#[test]
fn a_peer_may_lead_a_bounded_number_of_tries() {
    let mut crossing = follower();
    let mut accepted = 0;
    for number in 0..10 * TRIES_MAX {
        let mut acts = Vec::new();
        let now = Time::ZERO + Duration::from_secs(4) * number;
        crossing.wake(now, &outlook(), &mut acts);
        crossing.handle(now, PEER, offer(number, MappingBehaviour::EndpointIndependent), &outlook(), &mut acts);
        accepted += acts
            .iter()
            .filter(|act| matches!(act, PunchAction::AddressedMessage(_, PunchMessage::Accept { .. })))
            .count();
    }
    assert_eq!(accepted, TRIES_MAX as usize);
}

#[test]
fn the_one_that_leads_gives_up_after_a_few_tries_and_says_so() {
    let mut crossing = HolePunch::new(child(1, 0), true);
    crossing.relayed(Time::ZERO, PEER, true, observed_ip(), &mut Vec::new());
    let mut said = Vec::new();
    let mut now = Time::ZERO;
    while crossing.progress(PEER).0 {
        now = crossing.deadline().at;
        assert!(now < Time::from_micros(60_000_000), "it gives up");
        crossing.wake(now, &outlook(), &mut said);
    }
    let offers =
        said.iter().filter(|act| matches!(act, PunchAction::AddressedMessage(_, PunchMessage::Offer { .. }))).count();
    assert_eq!(offers, MISSES_MAX as usize, "{said:?}");
    assert!(matches!(said.last(), Some(PunchAction::AddressedMessage(PEER, PunchMessage::End))), "{said:?}");
    assert_eq!(crossing.deadline().at, now + ROUNDS[0], "later it is tried anew");
}

#[test]
fn nothing_is_tried_between_two_nats_with_random_ports() {
    let reflectors = vec![addr("198.51.100.9:4001"), addr("198.51.100.8:4001")];
    let outlook = PunchContext { reflectors, public: None };
    let mut crossing = HolePunch::new(child(1, 0), true);
    crossing.relayed(Time::ZERO, PEER, false, observed_ip(), &mut Vec::new());
    let mut acts = Vec::new();
    crossing.handle(Time::ZERO, PEER, offer(1, MappingBehaviour::Random), &outlook, &mut acts);
    let mut port: u16 = 1_024;
    while !matches!(acts.last(), Some(PunchAction::AddressedMessage(..) | PunchAction::Close { .. })) {
        for act in std::mem::take(&mut acts) {
            if let PunchAction::Probe { socket, to, probe: Probe::Request { token } } = act {
                // Every question is seen to come from somewhere else.
                port = port.wrapping_mul(7).wrapping_add(1_024);
                let seen = SocketAddr::new(observed_ip(), port);
                let answer = Probe::Response { token, seen, other: None };
                assert!(crossing.probed(Time::ZERO, socket, to, answer, &outlook, &mut acts));
            }
        }
    }
    let said = acts.iter().find_map(|act| match act {
        PunchAction::AddressedMessage(_, message) => Some(*message),
        _ => None,
    });
    let Some(PunchMessage::Accept { report, .. }) = said else { panic!("{acts:?}") };
    assert_eq!((report.ports, crossing.nat()), (MappingBehaviour::Random, Some(MappingBehaviour::Random)));
    crossing.handle(Time::ZERO, PEER, PunchMessage::Go { number: 1, report }, &outlook, &mut acts);
    assert!(!acts.iter().any(|act| matches!(act, PunchAction::Try(_) | PunchAction::Dial { .. })), "{acts:?}");
}

/// A node behind a NAT, with two observers, that leads towards `PEER` and `OTHER`.
fn leader() -> (HolePunch, PunchContext) {
    let mut crossing = HolePunch::new(child(1, 0), true);
    for peer in [PEER, OTHER] {
        crossing.relayed(Time::ZERO, peer, true, observed_ip(), &mut Vec::new());
    }
    let reflectors = vec![addr("198.51.100.9:4001"), addr("198.51.100.8:4001")];
    (crossing, PunchContext { reflectors, public: None })
}

/// Wakes the node at its next deadline and answers its probes as `sees` says: which port an observer sees.
fn look(
    crossing: &mut HolePunch,
    outlook: &PunchContext,
    sees: impl Fn(SocketAddr) -> Option<u16>,
) -> (Time, Vec<PunchAction>) {
    let now = crossing.deadline().at;
    let (mut acts, mut said) = (Vec::new(), Vec::new());
    crossing.wake(now, outlook, &mut acts);
    while let Some(act) = acts.pop() {
        match act {
            PunchAction::Probe { socket, to, probe: Probe::Request { token } } => {
                if let Some(port) = sees(to) {
                    let answer = Probe::Response { token, seen: SocketAddr::new(observed_ip(), port), other: None };
                    crossing.probed(now, socket, to, answer, outlook, &mut acts);
                }
            }
            other => said.push(other),
        }
    }
    (now, said)
}

fn offers(acts: &[PunchAction]) -> Vec<(NodeId, NatReport)> {
    let offer = |act: &PunchAction| match act {
        PunchAction::AddressedMessage(peer, PunchMessage::Offer { report, .. }) => Some((*peer, *report)),
        _ => None,
    };
    acts.iter().filter_map(offer).collect()
}

#[test]
fn an_observer_that_does_not_answer_is_done_without() {
    let (mut crossing, outlook) = leader();
    let silent = outlook.reflectors[0];
    let mut said = Vec::new();
    while offers(&said).is_empty() {
        let (now, new) = look(&mut crossing, &outlook, |to| (to != silent).then_some(7_000));
        assert!(now < Time::from_micros(3_000_000), "{said:?}");
        said.extend(new);
    }
    assert_eq!(offers(&said)[0].1, report(MappingBehaviour::EndpointIndependent));
}

#[test]
fn a_peer_that_does_not_answer_keeps_no_other_waiting_and_costs_no_try() {
    let (mut crossing, outlook) = leader();
    let (mut said, mut now) = (Vec::new(), Time::ZERO);
    while now < Time::from_micros(1_000_000) {
        let (at, new) = look(&mut crossing, &outlook, |_| Some(7_000));
        now = at;
        said.extend(new);
    }
    let mut offered: Vec<NodeId> = offers(&said).into_iter().map(|(peer, _)| peer).collect();
    offered.sort_unstable();
    assert_eq!(offered, [PEER, OTHER]);
    assert_eq!([PEER, OTHER].map(|peer| crossing.progress(peer)), [(true, 0); 2]);
}

#[test]
fn where_ports_vary_one_pair_at_a_time_is_looked_after_and_others_wait_their_turn() {
    let (mut crossing, outlook) = leader();
    let sees = |to: SocketAddr| Some(if to == addr("198.51.100.9:4001") { 7_000 } else { 50_000 });
    let mut now = Time::ZERO;
    let mut said = Vec::new();
    // The first is never answered; its offers end, and the other's turn comes.
    while now < Time::from_micros(60_000_000) && offers(&said).iter().all(|(peer, _)| *peer == PEER) {
        let (at, new) = look(&mut crossing, &outlook, sees);
        now = at;
        said.extend(new);
    }
    let offered = offers(&said);
    assert_eq!(offered.last().map(|(peer, _)| *peer), Some(OTHER), "{offered:?}");
    assert!(now < Time::from_micros(10_000_000), "at {now:?}");
}

#[test]
fn a_leader_that_has_to_wait_after_all_sets_its_follower_free() {
    let mut crossing = follower();
    let acts = say(&mut crossing, PEER, offer(1, MappingBehaviour::Random));
    assert!(matches!(acts[..], [PunchAction::AddressedMessage(PEER, PunchMessage::Accept { .. })]), "{acts:?}");
    say(&mut crossing, PEER, PunchMessage::Busy { number: 1 });
    let acts = say(&mut crossing, OTHER, offer(5, MappingBehaviour::Random));
    assert!(
        matches!(acts[..], [PunchAction::AddressedMessage(OTHER, PunchMessage::Accept { number: 5, .. })]),
        "{acts:?}"
    );
}

#[test]
fn a_node_behind_another_nat_tries_anew_what_was_in_vain() {
    let (mut crossing, outlook) = leader();
    while crossing.progress(PEER).0 || crossing.progress(OTHER).0 {
        look(&mut crossing, &outlook, |_| None);
    }
    crossing.moved(Time::from_micros(60_000_000));
    assert_eq!(crossing.progress(PEER), (true, 0));
    assert_eq!(crossing.deadline().at, Time::from_micros(60_000_000));
}
