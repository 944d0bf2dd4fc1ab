//! What a peer can do to a node that crosses NATs with it: nothing beyond its own address and a bound.

use super::pair::MEETINGS_MAX;
use super::*;
use crate::core::probe::Token;
use crate::core::random::child;

const PEER: NodeId = NodeId([1; 32]);
const OTHER: NodeId = NodeId([2; 32]);

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn vouched() -> IpAddr {
    addr("203.0.113.7:1").ip()
}

/// Behind no NAT: it needs no survey.
fn outlook() -> Outlook {
    Outlook { observers: vec![], public: Some(addr("198.51.100.1:4001")) }
}

/// A node that follows `PEER` and `OTHER`, both at one address.
fn follower() -> Crossing {
    let mut crossing = Crossing::new(child(1, 0));
    for peer in [PEER, OTHER] {
        crossing.relayed(Time::ZERO, peer, false, vouched(), &mut Vec::new());
    }
    crossing
}

fn report(ports: Ports) -> Report {
    Report { seen: SocketAddr::new(vouched(), 7_000), ports }
}

fn say(crossing: &mut Crossing, from: NodeId, message: CrossMessage) -> Vec<Act> {
    let mut acts = Vec::new();
    crossing.handle(Time::ZERO, from, message, &outlook(), &mut acts);
    acts
}

fn offer(number: u32, ports: Ports) -> CrossMessage {
    CrossMessage::Offer { number, report: report(ports) }
}

/// Offers and has it begin. Returns the token of its probes.
fn begin(crossing: &mut Crossing, ports: Ports) -> Token {
    let acts = say(crossing, PEER, offer(1, ports));
    let [Act::Say(PEER, CrossMessage::Accept { token, .. })] = acts[..] else { panic!("{acts:?}") };
    let acts = say(crossing, PEER, CrossMessage::Go { number: 1, report: report(ports) });
    assert!(matches!(acts[0], Act::Try(_)), "{acts:?}");
    token
}

fn probe(crossing: &mut Crossing, from: &str, probe: Probe) -> Vec<Act> {
    let mut acts = Vec::new();
    crossing.probed(Time::ZERO, SocketId::MAIN, addr(from), probe, &outlook(), &mut acts);
    acts
}

#[test]
fn probes_go_nowhere_but_to_where_an_ambassador_sees_the_peer() {
    let mut crossing = follower();
    let elsewhere = Report { seen: addr("192.0.2.66:53"), ports: Ports::Kept };
    let acts = say(&mut crossing, PEER, CrossMessage::Offer { number: 1, report: elsewhere });
    assert!(matches!(acts[..], [Act::Introduce(PEER)]), "{acts:?}");
    begin(&mut crossing, Ports::Random);
    let mut acts = say(&mut crossing, PEER, CrossMessage::Go { number: 1, report: elsewhere });
    for tick in 0..400 {
        crossing.wake(Time::from_micros(20_000 * tick), &outlook(), &mut acts);
    }
    let to = acts.iter().filter_map(|act| match act {
        Act::Probe { to, .. } => Some(to.ip()),
        _ => None,
    });
    let to: Vec<IpAddr> = to.collect();
    assert!(to.len() > 900 && to.iter().all(|&ip| ip == vouched()), "{} probes", to.len());
}

#[test]
fn an_ambassador_is_asked_a_few_times_where_a_peer_is_that_says_otherwise() {
    let mut crossing = follower();
    let elsewhere = Report { seen: addr("192.0.2.66:53"), ports: Ports::Kept };
    let offers =
        (0..100).flat_map(|number| say(&mut crossing, PEER, CrossMessage::Offer { number, report: elsewhere }));
    let introductions = offers.filter(|act| matches!(act, Act::Introduce(PEER))).count();
    assert_eq!(introductions, MEETINGS_MAX as usize);
}

#[test]
fn a_probe_from_elsewhere_leads_to_no_dial() {
    let mut crossing = follower();
    let token = begin(&mut crossing, Ports::Random);
    assert!(probe(&mut crossing, "192.0.2.66:9", Probe::Request { token }).is_empty());
    let strange = Probe::Request { token: Token([0xEE; 12]) };
    assert!(probe(&mut crossing, "203.0.113.7:9", strange).is_empty());
    let acts = probe(&mut crossing, "203.0.113.7:9", Probe::Request { token });
    assert!(matches!(acts[..], [Act::Probe { .. }, Act::Dial { peer: PEER, .. }]), "{acts:?}");
}

#[test]
fn a_flood_of_probes_leads_to_one_dial_and_a_bounded_number_of_answers() {
    let mut crossing = follower();
    let token = begin(&mut crossing, Ports::Random);
    let acts: Vec<Act> =
        (0..1_000).flat_map(|_| probe(&mut crossing, "203.0.113.7:9", Probe::Request { token })).collect();
    let dials = acts.iter().filter(|act| matches!(act, Act::Dial { .. })).count();
    assert_eq!((dials, acts.len() - dials), (1, ANSWERS_MAX as usize));
}

#[test]
fn many_probes_are_sent_for_one_peer_at_a_time() {
    let mut crossing = follower();
    begin(&mut crossing, Ports::Random);
    let acts = say(&mut crossing, OTHER, offer(5, Ports::Random));
    assert!(matches!(acts[..], [Act::Say(OTHER, CrossMessage::Busy { number: 5 })]), "{acts:?}");
    let mut acts = Vec::new();
    crossing.gone(PEER, &mut acts);
    let acts = say(&mut crossing, OTHER, offer(6, Ports::Random));
    assert!(matches!(acts[..], [Act::Say(OTHER, CrossMessage::Accept { number: 6, .. })]), "{acts:?}");
}

#[test]
fn a_peer_may_lead_a_bounded_number_of_tries() {
    let mut crossing = follower();
    let mut accepted = 0;
    for number in 0..10 * TRIES_MAX {
        let mut acts = Vec::new();
        let now = Time::ZERO + ANSWER_WITHIN * number;
        crossing.wake(now, &outlook(), &mut acts);
        crossing.handle(now, PEER, offer(number, Ports::Kept), &outlook(), &mut acts);
        accepted += acts.iter().filter(|act| matches!(act, Act::Say(_, CrossMessage::Accept { .. }))).count();
    }
    assert_eq!(accepted, TRIES_MAX as usize);
}

#[test]
fn the_one_that_leads_gives_up_after_a_few_tries_and_says_so() {
    let mut crossing = Crossing::new(child(1, 0));
    crossing.relayed(Time::ZERO, PEER, true, vouched(), &mut Vec::new());
    let mut said = Vec::new();
    let mut now = Time::ZERO;
    while crossing.progress(PEER).0 {
        now = crossing.deadline().at;
        assert!(now < Time::from_micros(60_000_000), "it gives up");
        crossing.wake(now, &outlook(), &mut said);
    }
    let offers = said.iter().filter(|act| matches!(act, Act::Say(_, CrossMessage::Offer { .. }))).count();
    assert_eq!(offers, MISSES_MAX as usize, "{said:?}");
    assert!(matches!(said.last(), Some(Act::Say(PEER, CrossMessage::End))), "{said:?}");
    assert_eq!(crossing.deadline().at, now + ROUNDS[0], "later it is tried anew");
}

#[test]
fn nothing_is_tried_between_two_nats_with_random_ports() {
    let observers = vec![addr("198.51.100.9:4001"), addr("198.51.100.8:4001")];
    let outlook = Outlook { observers, public: None };
    let mut crossing = Crossing::new(child(1, 0));
    crossing.relayed(Time::ZERO, PEER, false, vouched(), &mut Vec::new());
    let mut acts = Vec::new();
    crossing.handle(Time::ZERO, PEER, offer(1, Ports::Random), &outlook, &mut acts);
    let mut port: u16 = 1_024;
    while !matches!(acts.last(), Some(Act::Say(..) | Act::Close { .. })) {
        for act in std::mem::take(&mut acts) {
            if let Act::Probe { socket, to, probe: Probe::Request { token } } = act {
                // Every question is seen to come from somewhere else.
                port = port.wrapping_mul(7).wrapping_add(1_024);
                let seen = SocketAddr::new(vouched(), port);
                let answer = Probe::Response { token, seen, other: None };
                assert!(crossing.probed(Time::ZERO, socket, to, answer, &outlook, &mut acts));
            }
        }
    }
    let said = acts.iter().find_map(|act| match act {
        Act::Say(_, message) => Some(*message),
        _ => None,
    });
    let Some(CrossMessage::Accept { report, .. }) = said else { panic!("{acts:?}") };
    assert_eq!((report.ports, crossing.nat()), (Ports::Random, Some(Ports::Random)));
    crossing.handle(Time::ZERO, PEER, CrossMessage::Go { number: 1, report }, &outlook, &mut acts);
    assert!(!acts.iter().any(|act| matches!(act, Act::Try(_) | Act::Dial { .. })), "{acts:?}");
}

/// A node behind a NAT, with two observers, that leads towards `PEER` and `OTHER`.
fn leader() -> (Crossing, Outlook) {
    let mut crossing = Crossing::new(child(1, 0));
    for peer in [PEER, OTHER] {
        crossing.relayed(Time::ZERO, peer, true, vouched(), &mut Vec::new());
    }
    let observers = vec![addr("198.51.100.9:4001"), addr("198.51.100.8:4001")];
    (crossing, Outlook { observers, public: None })
}

/// Wakes the node at its next deadline and answers its probes as `sees` says: which port an observer sees.
fn look(crossing: &mut Crossing, outlook: &Outlook, sees: impl Fn(SocketAddr) -> Option<u16>) -> (Time, Vec<Act>) {
    let now = crossing.deadline().at;
    let (mut acts, mut said) = (Vec::new(), Vec::new());
    crossing.wake(now, outlook, &mut acts);
    while let Some(act) = acts.pop() {
        match act {
            Act::Probe { socket, to, probe: Probe::Request { token } } => {
                if let Some(port) = sees(to) {
                    let answer = Probe::Response { token, seen: SocketAddr::new(vouched(), port), other: None };
                    crossing.probed(now, socket, to, answer, outlook, &mut acts);
                }
            }
            other => said.push(other),
        }
    }
    (now, said)
}

fn offers(acts: &[Act]) -> Vec<(NodeId, Report)> {
    let offer = |act: &Act| match act {
        Act::Say(peer, CrossMessage::Offer { report, .. }) => Some((*peer, *report)),
        _ => None,
    };
    acts.iter().filter_map(offer).collect()
}

#[test]
fn an_observer_that_does_not_answer_is_done_without() {
    let (mut crossing, outlook) = leader();
    let silent = outlook.observers[0];
    let mut said = Vec::new();
    while offers(&said).is_empty() {
        let (now, new) = look(&mut crossing, &outlook, |to| (to != silent).then_some(7_000));
        assert!(now < Time::from_micros(3_000_000), "{said:?}");
        said.extend(new);
    }
    assert_eq!(offers(&said)[0].1, report(Ports::Kept));
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
    let acts = say(&mut crossing, PEER, offer(1, Ports::Random));
    assert!(matches!(acts[..], [Act::Say(PEER, CrossMessage::Accept { .. })]), "{acts:?}");
    say(&mut crossing, PEER, CrossMessage::Busy { number: 1 });
    let acts = say(&mut crossing, OTHER, offer(5, Ports::Random));
    assert!(matches!(acts[..], [Act::Say(OTHER, CrossMessage::Accept { number: 5, .. })]), "{acts:?}");
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
