use std::net::SocketAddr;

use super::*;
use crate::core::contact::Quality;
use crate::core::random::child;

fn contact(number: u8) -> Contact {
    Contact::at(NodeId([number; 32]), SocketAddr::from(([10, 0, 0, number], 4001)))
}

fn hosts(number: u8, active: usize) -> KnownHosts {
    KnownHosts::new(NodeId([number; 32]), active, 8)
}

/// Plays messages between peers until no message is left.
fn settle(peers: &mut [KnownHosts], mut says: Vec<(u8, AddressedMessage)>, random: &mut Random) {
    for _ in 0..10_000 {
        let Some((from, (to, message))) = says.pop() else { return };
        let at = usize::from(to.id.0[0]);
        let me = contact(to.id.0[0]);
        let more = peers[at].handle(Time::ZERO, NodeId([from; 32]), message, &me, random, &|_| None);
        says.extend(more.into_iter().map(|say| (me.id.0[0], say)));
    }
    panic!("they never stop talking");
}

#[test]
fn a_node_that_nobody_knows_is_let_in() {
    // Butter's example: three nodes with room for one neighbour each must not strand the third.
    let random = &mut child(1, 1);
    let mut peers: Vec<KnownHosts> = (0..3).map(|number| hosts(number, 1)).collect();
    let says = peers[0].join(contact(1), &contact(0), random);
    settle(&mut peers, says.into_iter().map(|say| (0, say)).collect(), random);
    let says = peers[2].join(contact(1), &contact(2), random);
    settle(&mut peers, says.into_iter().map(|say| (2, say)).collect(), random);
    assert!(peers[1].is_neighbour(NodeId([2; 32])));
    assert!(peers[2].is_neighbour(NodeId([1; 32])));
    assert!(!peers[1].is_neighbour(NodeId([0; 32])));
    // The evicted one asks urgently and may not be refused.
    let mut says = Vec::new();
    peers[0].recruit_neighbours(Time::ZERO, &contact(0), random, &|_| None, &mut says);
    assert!(matches!(says[0].1, MembershipMessage::Neighbour { urgent: true, .. }), "{says:?}");
    settle(&mut peers, says.into_iter().map(|say| (0, say)).collect(), random);
    assert_eq!(peers[0].neighbour_count(), 1);
}

#[test]
fn views_are_bounded_and_hold_nobody_twice() {
    let random = &mut child(2, 1);
    let mut known = hosts(0, 4);
    for number in 1..=200 {
        known.note_host(contact(number % 100), random);
        known.handle(
            Time::ZERO,
            NodeId([number % 50 + 1; 32]),
            MembershipMessage::Join(contact(number % 50 + 1)),
            &contact(0),
            random,
            &|_| None,
        );
        let mut ids: Vec<NodeId> = known.contacts().map(|contact| contact.id).collect();
        assert!(known.neighbour_count() <= 4 && ids.len() <= 12);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), known.len());
        assert!(!ids.contains(&NodeId([0; 32])));
    }
}

#[test]
fn the_passive_view_keeps_classes_apart() {
    let random = &mut child(3, 1);
    let mut known = hosts(0, 4);
    for number in 1..=200 {
        let rare = number % 20 == 0;
        let quality = Quality { uptime_s: if rare { 1_000 } else { 10 }, storage_free_kib: 1, hosts: 1 };
        known.note_host(Contact { quality, ..contact(number) }, random);
    }
    let rare = known.contacts().filter(|contact| contact.quality.uptime_s == 1_000).count();
    assert!((3..=5).contains(&rare), "one in twenty is rare, but of a view of 8 they hold {rare}");
}

#[test]
fn nobody_speaks_for_another() {
    let random = &mut child(4, 1);
    let mut known = hosts(0, 4);
    let forged = MembershipMessage::Neighbour { contact: contact(5), urgent: true };
    assert!(known.handle(Time::ZERO, NodeId([6; 32]), forged, &contact(0), random, &|_| None).is_empty());
    assert!(known.is_empty());
}

#[test]
fn an_introduction_spans_networks() {
    let random = &mut child(5, 1);
    let mut known = hosts(0, 4);
    for number in 1..=6 {
        known.note_host(contact(number), random);
    }
    let mut elsewhere = contact(7);
    elsewhere.set_external(Some(SocketAddr::from(([203, 0, 113, 9], 5))), None);
    known.note_host(elsewhere, random);
    let reported = known.introduce_to(NodeId([9; 32]), 2, random);
    assert_eq!(reported.len(), 2);
    assert!(reported.iter().any(|contact| contact.id.0[0] == 7), "{reported:?}");
}

#[test]
fn node_that_has_lost_all_hosts_asks_them_again_one_each_second() {
    let random = &mut child(3, 1);
    let mut known = hosts(0, 4);
    for number in 1..=40 {
        known.note_host(contact(number), random);
    }
    for number in 1..=40 {
        known.remove(NodeId([number; 32]));
    }
    assert!(known.is_empty());
    let mut asked = std::collections::BTreeSet::new();
    let mut now = Time::ZERO;
    for _ in 0..5 {
        let says = known.wake(now, Duration::from_secs(10), &contact(0), random, &|_| None);
        let [(to, MembershipMessage::Neighbour { urgent: true, .. })] = &says[..] else { panic!("{says:?}") };
        assert!(asked.insert(to.id), "{to:?} was asked a moment ago");
        assert_eq!(known.deadline().at, now + Duration::from_secs(1));
        now = known.deadline().at;
    }
    let (peer, reply) = (asked.pop_first().unwrap(), MembershipMessage::NeighbourReply { accepted: true });
    known.ask(now, contact(peer.0[0]), &contact(0), &|_| None);
    known.handle(now, peer, reply, &contact(0), random, &|_| None);
    assert!(known.is_neighbour(peer));
    known.remove(peer);
    assert!(known.former.iter().count() <= 16 && known.former.iter().any(|contact| contact.id == peer));
}

#[test]
fn lost_host_that_is_asked_in_vain_does_not_take_the_turn_of_others() {
    let random = &mut child(4, 1);
    let mut known = hosts(0, 4);
    for number in 1..=6 {
        known.note_host(contact(number), random);
    }
    for number in 1..=6 {
        known.remove(NodeId([number; 32]));
    }
    let mut asked = Vec::new();
    for at in 0..6 {
        let now = Time::from_micros(at * 1_000_000);
        let says = known.wake(now, Duration::from_secs(10), &contact(0), random, &|_| None);
        asked.extend(says.into_iter().map(|(to, _)| to.id.0[0]));
        // The dial to the one before has failed meanwhile.
        if let [.., before, _] = asked[..] {
            known.remove(NodeId([before; 32]));
        }
    }
    assert_eq!(asked, [6, 5, 4, 3, 2, 1]);
}

#[test]
fn node_with_neighbours_of_its_own_network_alone_is_let_in_elsewhere() {
    let random = &mut child(6, 1);
    let elsewhere = |number: u8| {
        let mut host = contact(number);
        host.set_external(Some(SocketAddr::from(([203, 0, 113, number], 5))), None);
        host
    };
    let mut known = hosts(0, 4);
    known.admit(contact(1), random);
    known.note_host(elsewhere(7), random);
    let asks = |known: &mut KnownHosts, random: &mut Random| {
        let mut says = Vec::new();
        known.recruit_neighbours(Time::ZERO, &contact(0), random, &|_| None, &mut says);
        let is_urgent =
            |message: &MembershipMessage| matches!(message, MembershipMessage::Neighbour { urgent: true, .. });
        says.iter().map(|(to, message)| (to.id.0[0], is_urgent(message))).collect::<Vec<_>>()
    };
    assert_eq!(asks(&mut known, random), [(7, true)]);
    let reply = MembershipMessage::NeighbourReply { accepted: true };
    known.handle(Time::ZERO, NodeId([7; 32]), reply, &contact(0), random, &|_| None);
    known.note_host(elsewhere(8), random);
    assert_eq!(asks(&mut known, random), [(8, false)]);
}

#[test]
fn node_with_few_neighbours_insists_once_it_was_refused() {
    let random = &mut child(8, 1);
    let elsewhere = |number: u8| {
        let mut host = contact(number);
        host.set_external(Some(SocketAddr::from(([203, 0, number, 1], 5))), None);
        host
    };
    let mut known = hosts(0, 6);
    known.admit(elsewhere(1), random);
    let asked = |known: &mut KnownHosts, number: u8, accepted: bool, random: &mut Random| {
        let mut says = Vec::new();
        known.note_host(elsewhere(number), random);
        known.recruit_neighbours(Time::ZERO, &contact(0), random, &|_| None, &mut says);
        let [(to, MembershipMessage::Neighbour { urgent, .. })] = &says[..] else { panic!("{says:?}") };
        let reply = MembershipMessage::NeighbourReply { accepted };
        known.handle(Time::ZERO, to.id, reply, &contact(0), random, &|_| None);
        known.remove(NodeId([number; 32]));
        if accepted {
            known.admit(elsewhere(number), random);
        }
        *urgent
    };
    assert!(!asked(&mut known, 7, false, random), "others may have room");
    assert!(asked(&mut known, 8, true, random), "the only neighbour may be hostile");
    assert!(!asked(&mut known, 9, false, random));
    assert!(asked(&mut known, 10, true, random));
    assert!(!asked(&mut known, 11, false, random));
    assert!(!asked(&mut known, 12, false, random), "three are enough");
}

#[test]
fn newcomers_in_a_hurry_do_not_take_the_view_over() {
    let random = &mut child(7, 1);
    let mut known = hosts(0, 8);
    for number in 1..=8 {
        known.admit(contact(number), random);
    }
    for number in 100..110 {
        let (from, newcomer) = (NodeId([number; 32]), contact(number));
        let message = match number % 2 {
            0 => MembershipMessage::Neighbour { contact: newcomer, urgent: true },
            _ => MembershipMessage::Join(newcomer),
        };
        known.handle(Time::ZERO, from, message, &contact(0), random, &|_| None);
        assert!(known.is_neighbour(from), "whoever has no neighbour is let in");
    }
    let honest = known.neighbours().filter(|peer| peer.0[0] < 100).count();
    assert_eq!((honest, known.neighbour_count()), (6, 8));
}

#[test]
fn hosts_are_taken_from_neighbours_and_from_answers_alone() {
    let random = &mut child(8, 1);
    let mut known = hosts(0, 4);
    known.admit(contact(1), random);
    let sample: Vec<Contact> = (50..60).map(contact).collect();
    let stranger = NodeId([9; 32]);
    for message in [
        MembershipMessage::ShuffleReply { walk: 0, sample: sample.clone() },
        MembershipMessage::Shuffle { walk: 0, ttl: 0, contact: contact(9), sample: sample.clone() },
        MembershipMessage::ForwardJoin { newcomer: contact(51), ttl: 0 },
        MembershipMessage::ForwardJoin { newcomer: contact(52), ttl: WALK_PASSIVE },
    ] {
        known.handle(Time::ZERO, stranger, message, &contact(0), random, &|_| None);
    }
    let reply = |walk| MembershipMessage::ShuffleReply { walk, sample: sample.clone() };
    known.handle(Time::ZERO, NodeId([1; 32]), reply(0), &contact(0), random, &|_| None);
    assert_eq!((known.len(), known.candidates.len()), (1, 0), "nothing was asked for");
    let mut says = Vec::new();
    known.exchange(&contact(0), random, &mut says);
    let walk = says.iter().find_map(|(_, message)| match message {
        MembershipMessage::Shuffle { walk, .. } => Some(*walk),
        _ => None,
    });
    let walk = walk.expect("an exchange begins a walk");
    known.handle(Time::ZERO, NodeId([1; 32]), reply(walk ^ 1), &contact(0), random, &|_| None);
    assert_eq!(known.len(), 1, "another walk was not begun");
    known.handle(Time::ZERO, NodeId([1; 32]), reply(walk), &contact(0), random, &|_| None);
    let after_one = known.len();
    assert!(after_one > 1);
    known.passive.clear();
    known.handle(Time::ZERO, NodeId([1; 32]), reply(walk), &contact(0), random, &|_| None);
    assert_eq!(known.len(), 1, "one answer to one question");
}

#[test]
fn full_view_of_one_network_takes_a_neighbour_of_another_that_lacks_one_too() {
    let random = &mut child(9, 1);
    let elsewhere = |number: u8| {
        let mut host = contact(number);
        host.set_external(Some(SocketAddr::from(([203, 0, 113, number], 5))), None);
        host
    };
    let mut known = hosts(0, 4);
    for number in 1..=4 {
        known.admit(contact(number), random);
    }
    let wake = |known: &mut KnownHosts, at: u64, random: &mut Random| {
        known.wake(Time::from_micros(at), Duration::from_secs(10), &contact(0), random, &|_| None)
    };
    wake(&mut known, 0, random);
    known.note_host(elsewhere(7), random);
    assert_eq!(known.deadline().at, Time::ZERO, "a host of another network is asked at once");
    let asked: Vec<u8> = wake(&mut known, 1, random).iter().map(|(to, _)| to.id.0[0]).collect();
    assert_eq!(asked, [7]);
    assert!(known.deadline().at > Time::ZERO);

    let asks = |number: u8| MembershipMessage::Neighbour { contact: elsewhere(number), urgent: false };
    let ask = |known: &mut KnownHosts, number: u8, random: &mut Random| {
        let from = NodeId([number; 32]);
        known.handle(Time::ZERO, from, asks(number), &contact(0), random, &|_| None);
        known.is_neighbour(from)
    };
    assert!(ask(&mut known, 8, random) && ask(&mut known, 9, random), "it lacks neighbours elsewhere");
    assert!(!ask(&mut known, 10, random), "two of four are enough");
    assert_eq!(known.neighbour_count(), 4);
}

#[test]
fn prescribed_hosts_are_the_only_neighbours_and_are_asked_again_when_lost() {
    let random = &mut child(9, 1);
    let mut peers: Vec<KnownHosts> = (0..4).map(|number| hosts(number, 8)).collect();
    peers[0].prescribe(vec![contact(1), contact(2)]);
    peers[1].prescribe(vec![contact(0)]);
    peers[2].prescribe(vec![contact(0)]);
    let wake = |peers: &mut [KnownHosts], number: u8, at: u64, random: &mut Random| {
        let (now, refresh) = (Time::from_micros(at * 1_000_000), Duration::from_secs(10));
        let says = peers[usize::from(number)].wake(now, refresh, &contact(number), random, &|_| None);
        settle(peers, says.into_iter().map(|say| (number, say)).collect(), random);
    };
    wake(&mut peers, 0, 1, random);
    let neighbours = |hosts: &KnownHosts| {
        let mut ids: Vec<u8> = hosts.neighbours().map(|id| id.0[0]).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!((neighbours(&peers[0]), neighbours(&peers[1])), (vec![1, 2], vec![0]));
    // Strangers are heard of, ask, and insist.
    peers[0].note_host(contact(3), random);
    for message in
        [MembershipMessage::Join(contact(3)), MembershipMessage::Neighbour { contact: contact(3), urgent: true }]
    {
        peers[0].handle(Time::ZERO, NodeId([3; 32]), message, &contact(0), random, &|_| None);
    }
    assert!(peers[0].join(contact(3), &contact(0), random).is_empty());
    assert_eq!((neighbours(&peers[0]), peers[0].len()), (vec![1, 2], 2));
    // A lost one is not forgotten, and is asked again, though not at once.
    assert!(peers[0].remove(NodeId([1; 32])) && peers[1].remove(NodeId([0; 32])));
    wake(&mut peers, 0, 2, random);
    assert_eq!(neighbours(&peers[0]), [2]);
    for at in [20, 40, 60] {
        wake(&mut peers, 0, at, random);
    }
    assert_eq!(neighbours(&peers[0]), [1, 2]);
}

#[test]
fn hosts_that_claim_other_networks_and_are_seen_here_get_no_seats_for_it() {
    let random = &mut child(10, 1);
    let boaster = |number: u8| {
        let mut host = contact(number);
        host.set_external(Some(SocketAddr::from(([198, 18, number, 1], 5))), None);
        host
    };
    let mut known = hosts(0, 8);
    for number in 1..=8 {
        known.admit(contact(number), random);
    }
    let own = contact(0);
    known.wake(Time::ZERO, Duration::from_secs(10), &own, random, &|_| None);
    for number in 100..103 {
        // Each is asked for its network's sake, once; the link then shows where it is.
        known.note_host(boaster(number), random);
        let says = known.wake(Time::ZERO, Duration::from_secs(10), &own, random, &|_| None);
        assert_eq!(says.iter().map(|(to, _)| to.id.0[0]).collect::<Vec<_>>(), [number]);
        let peer = NodeId([number; 32]);
        known.note_seen(peer, own.network_seen_at(SocketAddr::from(([10, 0, 0, number], 4001))));
        let reply = MembershipMessage::NeighbourReply { accepted: true };
        let says = known.handle(Time::ZERO, peer, reply, &own, random, &|_| None);
        assert!(matches!(says[..], [(_, MembershipMessage::Part)]), "{says:?}");
        let asks = MembershipMessage::Neighbour { contact: boaster(number), urgent: false };
        known.handle(Time::ZERO, peer, asks, &own, random, &|_| None);
        assert!(!known.is_neighbour(peer), "it is of this network, which has seats enough");
    }
    let asked = known.wake(Time::from_micros(1), Duration::from_secs(10), &own, random, &|_| None);
    assert!(asked.is_empty(), "none is asked again: {asked:?}");
    assert_eq!(known.neighbours().filter(|peer| peer.0[0] < 100).count(), 8);
}

/// Peers in a row, each a neighbour of the next.
fn row(length: u8, random: &mut Random) -> Vec<KnownHosts> {
    let mut peers: Vec<KnownHosts> = (0..length).map(|number| hosts(number, 4)).collect();
    for number in 1..length {
        peers[usize::from(number)].admit(contact(number - 1), random);
        peers[usize::from(number - 1)].admit(contact(number), random);
    }
    peers
}

#[test]
fn shuffle_walks_away_and_its_answer_comes_back() {
    let random = &mut child(12, 1);
    let mut peers = row(8, random);
    let mut says = Vec::new();
    peers[0].exchange(&contact(0), random, &mut says);
    settle(&mut peers, says.into_iter().map(|say| (0, say)).collect(), random);
    let knows = |at: usize, other: u8| peers[at].passive.iter().any(|contact| contact.id == NodeId([other; 32]));
    let ends: Vec<usize> = (1..8).filter(|&at| knows(at, 0)).collect();
    assert_eq!(ends, [4], "a walk of four steps ends at the fourth peer");
    assert!(knows(0, 4), "whoever answers names itself");
    assert!(!knows(0, 2) && !knows(0, 1), "peers on the way only pass it on");
}

#[test]
fn shuffles_that_are_too_long_or_lead_nowhere_are_dropped() {
    let random = &mut child(13, 1);
    let mut peers = row(3, random);
    let mut walk = |sample: Vec<Contact>| {
        let message = MembershipMessage::Shuffle { walk: 7, ttl: u8::MAX, contact: contact(0), sample };
        peers[1].handle(Time::ZERO, NodeId([0; 32]), message, &contact(1), random, &|_| None)
    };
    let says = walk((100..200).map(contact).collect());
    let [(to, MembershipMessage::Shuffle { ttl, sample, .. })] = &says[..] else { panic!("{says:?}") };
    assert_eq!((to.id, *ttl, sample.len()), (NodeId([2; 32]), 2, 8));
    for _ in 0..100 {
        assert_eq!(walk(Vec::new()).len(), 1);
    }
    let answer = |walk| MembershipMessage::ShuffleReply { walk, sample: vec![contact(50)] };
    let mut hears = |from: u8, walk| {
        peers[1].handle(Time::ZERO, NodeId([from; 32]), answer(walk), &contact(1), random, &|_| None).len()
    };
    assert_eq!((hears(0, 7), hears(2, 8)), (0, 0), "not from where it was sent, and no such walk");
    let passed = (0..200).filter(|_| hears(2, 7) == 1).count();
    assert_eq!(passed, 32, "so many walks are remembered");
}

#[test]
fn a_node_that_lost_most_neighbours_insists_beyond_a_full_view() {
    let random = &mut child(11, 1);
    let mut known = hosts(0, 4);
    (1..=4).for_each(|number| drop(known.admit(contact(number), random)));
    (5..=12).for_each(|number| known.note_host(contact(number), random));
    let mut asked = |known: &mut KnownHosts| {
        let mut asked = Vec::new();
        for second in 0..30 {
            let now = Time::from_micros(second * 1_000_000);
            for (host, message) in known.wake(now, Duration::from_secs(1_000), &contact(0), random, &|_| None) {
                let MembershipMessage::Neighbour { urgent, .. } = message else { continue };
                asked.push((known.neighbour_count(), urgent));
                let answer = MembershipMessage::NeighbourReply { accepted: true };
                known.handle(now, host.id, answer, &contact(0), random, &|_| None);
            }
        }
        asked
    };
    known.remove(NodeId([1; 32]));
    assert_eq!(asked(&mut known).len(), 1, "one lost neighbour is replaced");
    for id in known.neighbours().take(3).collect::<Vec<_>>() {
        known.remove(id);
    }
    let after = asked(&mut known);
    assert_eq!((after.len(), after.last()), (4, Some(&(4, true))), "{after:?}");
    assert_eq!(known.neighbour_count(), 4);
}

#[test]
fn exchanged_hosts_change_places() {
    let random = &mut child(12, 1);
    let mut known = hosts(0, 4);
    known.admit(contact(1), random);
    (2..=9).for_each(|number| known.note_host(contact(number), random));
    let mut says = Vec::new();
    known.exchange(&contact(0), random, &mut says);
    let Some((_, MembershipMessage::Shuffle { walk, sample, .. })) = says.pop() else { panic!("{says:?}") };
    assert_eq!(sample.len(), 5);
    let answer = MembershipMessage::ShuffleReply { walk, sample: (20..25).map(contact).collect() };
    known.handle(Time::ZERO, NodeId([1; 32]), answer, &contact(0), random, &|_| None);
    assert!((20..25).all(|number| known.get(NodeId([number; 32])).is_some()));
    assert!(sample.iter().all(|given| known.get(given.id).is_none()));
    assert_eq!(known.len(), 9);
}
