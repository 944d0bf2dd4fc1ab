//! Links through an ambassador.

use std::time::Duration;

use butter::core::io::{DialId, DialTarget};
use butter::core::transport::DIAL_TIMEOUT;
use butter::core::transport::RelayQuota;
use butter_harness::net::nat::NatConfig;
use butter_harness::plan::builder::PlanBuilder;
use butter_harness::sim::network::NodeSlot;

use super::world::{World, id, link, two_homes};

#[test]
fn a_relayed_link_carries_until_its_relay_dies() {
    let mut world = two_homes(Some(NatConfig::symmetric()), Some(NatConfig::symmetric()), link(20));
    world.link(1, 0);
    world.link(2, 0);
    let over = DialTarget::Relay { relay: id(0) };
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
    let mut builder = PlanBuilder::new(3);
    builder.ambassador();
    // Enough for one pair more than the bound.
    let peers: Vec<NodeSlot> = (1..=92).collect();
    for _ in &peers {
        builder.node(PlanBuilder::INTERNET);
    }
    let mut world = World::new(builder.into_plan());
    for &peer in &peers {
        world.dial(peer, 0, world.address(0));
    }
    world.run(Duration::from_secs(1));
    let pairs = peers.iter().flat_map(|&a| peers.iter().map(move |&b| (a, b))).filter(|(a, b)| a < b);
    for (a, b) in pairs.take(RelayQuota::AMBASSADOR.pairs + 1) {
        world.transport.allow_relay(0, id(a), id(b));
    }
    let over = DialTarget::Relay { relay: id(0) };
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
    world.transport.dial(1, DialId(1), Some(id(2)), DialTarget::Relay { relay: id(0) });
    world.run(Duration::from_secs(1));
    assert_eq!(world.seen(2, 1), None);
    world.link(2, 1);
    assert_eq!(world.seen(1, 2), Some(world.address(2)), "the other side sees it as well");
    world.transport.kill(0);
    world.run(Duration::from_secs(10));
    assert!(world.is_up(1, 2) && world.is_up(2, 1), "it needs no relay any more");
}
