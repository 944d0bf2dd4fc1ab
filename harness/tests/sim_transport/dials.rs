//! How links come up.

use std::time::Duration;

use butter::core::io::DialId;
use butter::core::transport::DIAL_TIMEOUT;
use butter_harness::net::nat::NatConfig;
use butter_harness::plan::builder::PlanBuilder;

use super::world::{OUT, World, id, link, two_homes};

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
    world.punch(1, 2);
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
    let mut builder = PlanBuilder::new(3);
    builder.ambassador();
    let isp = builder.network(PlanBuilder::INTERNET, Some(NatConfig::cgnat()), link(5));
    for _ in 0..2 {
        let home = builder.network(isp, Some(NatConfig::port_restricted()), link(2));
        builder.node(home);
    }
    let mut world = World::new(builder.into_plan());
    world.punch(1, 2);
    let outside = [1, 2].map(|slot| world.seen(OUT, slot).expect("it is linked").ip());
    assert_eq!(outside[0], outside[1], "both are seen at the carrier's address");
    assert!(world.is_up(1, 2), "through the carrier's hairpin");
    let before = world.transport.now();
    world.say(1, 2, 1, 10);
    world.run(Duration::from_secs(1));
    let took = world.heard(2)[0].1.since(before);
    assert!((Duration::from_millis(4)..Duration::from_millis(5)).contains(&took), "only the homes' links: {took:?}");
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
    assert_eq!(world.downs().iter().map(|&(slot, _)| slot).collect::<Vec<_>>(), [2], "closing it once closes it");
}
