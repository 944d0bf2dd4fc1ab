//! How links end, and how not.

use std::time::Duration;

use butter::core::transport::{IDLE, KEEP_ALIVE};
use butter_harness::net::nat::NatConfig;

use super::world::{World, id, is_packet, link, two_homes};

#[test]
fn a_silent_death_is_noticed_after_the_idle_time() {
    let mut world = two_homes(None, None, link(10));
    world.link(1, 2);
    world.link(1, 0);
    let death = world.transport.now();
    world.transport.kill(1);
    world.run(Duration::from_secs(10));
    let downs = world.downs();
    assert_eq!(downs.iter().map(|&(slot, _)| slot).collect::<Vec<_>>(), [0, 2]);
    // QUIC counts from what it heard last, or from the first keep-alive that it has sent since (RFC 9000 §10.1).
    let spread = if is_packet() { KEEP_ALIVE } else { Duration::ZERO };
    for (_, at) in downs {
        let after = at.since(death);
        let expected = IDLE.floor - spread..IDLE.floor + spread + Duration::from_millis(100);
        assert!(expected.contains(&after), "{after:?}");
    }
}

#[test]
fn who_leaves_or_closes_is_missed_at_once() {
    let mut world = two_homes(None, None, link(10));
    world.link(1, 2);
    world.link(1, 0);
    world.transport.close(1, id(2));
    world.run(Duration::from_millis(100));
    assert_eq!(world.downs().iter().map(|&(slot, _)| slot).collect::<Vec<_>>(), [2]);
    world.say(2, 1, 1, 10);
    world.transport.leave(1);
    world.run(Duration::from_millis(100));
    assert_eq!(world.downs().iter().map(|&(slot, _)| slot).collect::<Vec<_>>(), [2, 0]);
    world.run(Duration::from_secs(10));
    assert_eq!(world.downs().len(), 2, "no side gets the event twice");
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
