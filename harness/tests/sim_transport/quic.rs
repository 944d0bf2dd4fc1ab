//! What only QUIC itself shows: loss recovery, congestion control, resets, and the buffers of a node that does not run.

use std::time::Duration;

use butter::core::io::{DialId, DialTarget};
use butter::core::time::Time;
use butter::core::transport::IDLE;
use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::NatConfig;
use butter_harness::router::stats::DropCause;

use super::world::{A, B, OUT, World, id, link, two_homes};

/// A frame of nearly the greatest length.
const LARGE: usize = 60_000;

/// When `to` has heard everything that was said, if within a time.
fn heard_all(world: &mut World, to: u32, count: usize, within: Duration) -> Option<Time> {
    let until = world.transport.now() + within;
    while world.transport.now() < until {
        world.run(Duration::from_millis(5));
        if world.heard(to).len() >= count {
            return Some(world.transport.now());
        }
    }
    None
}

fn world_over(config: LinkConfig) -> World {
    let mut world = two_homes(None, None, config);
    world.dial(A, B, world.address(B));
    world.run(Duration::from_secs(6));
    assert!(world.is_up(A, B) && world.is_up(B, A));
    world
}

#[test]
fn what_is_lost_is_sent_again() {
    let mut world = world_over(LinkConfig { loss: 0.03, ..link(50) });
    let (sent, lost) = world.transport.packets_sent_and_lost(A);
    for number in 0..8 {
        world.say(A, B, number, LARGE);
    }
    assert!(heard_all(&mut world, B, 8, Duration::from_secs(60)).is_some(), "everything arrives");
    let (sent, lost) = {
        let (now_sent, now_lost) = world.transport.packets_sent_and_lost(A);
        (now_sent - sent, now_lost - lost)
    };
    // 480 kB are 350 packets at least; one in seventeen is lost on one of two hops.
    assert!(sent > 350 && (8..80).contains(&lost), "{lost} of {sent}");
    let stats = world.transport.networks().router(1).expect("a router").0;
    assert!(stats.dropped(DropCause::Lost) > 0, "the router has counted them");
}

#[test]
fn a_transfer_begins_slowly_and_loss_slows_it_down() {
    let time = |loss: f64, bytes: usize| {
        let mut world = world_over(LinkConfig { loss, ..link(50) });
        let begun = world.transport.now();
        world.say(A, B, 1, bytes);
        heard_all(&mut world, B, 1, Duration::from_secs(60)).expect("it arrives").since(begun)
    };
    let (small, large) = (time(0.0, 1_000), time(0.0, LARGE));
    assert!((Duration::from_millis(100)..Duration::from_millis(110)).contains(&small), "one way: {small:?}");
    // Ten packets, then twenty, then the rest: two round trips more.
    assert!((Duration::from_millis(400)..Duration::from_millis(700)).contains(&large), "slow start: {large:?}");
    assert!(time(0.1, LARGE) > large + Duration::from_millis(200), "losses are noticed and sent again");
}

/// Its next life has the keys with which resets are signed.
#[test]
fn a_node_that_comes_back_as_itself_resets_what_it_has_forgotten() {
    let mut world = two_homes(None, None, link(10));
    world.link(A, B);
    world.transport.kill(A);
    world.transport.start(A, id(A));
    world.say(B, A, 1, 10);
    let begun = world.transport.now();
    world.run(Duration::from_secs(1));
    let downs = world.downs();
    assert!(matches!(downs[..], [(B, at)] if at.since(begun) < Duration::from_millis(100)), "{downs:?}");
}

#[test]
fn a_short_pause_costs_no_link_and_no_message() {
    let mut world = two_homes(Some(NatConfig::port_restricted()), None, link(10));
    world.link(A, B);
    world.transport.freeze(A);
    world.say(B, A, 1, 10);
    world.run(Duration::from_secs(3));
    assert_eq!(world.heard(A), [], "it does not run");
    assert!(world.transport.thaw(A, id(A)));
    world.run(Duration::from_millis(1));
    assert_eq!(world.heard(A).len(), 1, "its machine has received for it");
    world.run(Duration::from_secs(10));
    assert_eq!(world.downs(), []);
}

#[test]
fn a_long_pause_ends_a_link_on_both_sides() {
    let mut world = two_homes(None, None, link(10));
    world.link(A, B);
    world.transport.freeze(A);
    world.run(IDLE.ceiling * 2);
    assert_eq!(world.downs().iter().map(|&(slot, _)| slot).collect::<Vec<_>>(), [B]);
    world.transport.thaw(A, id(A));
    world.say(A, B, 1, 10);
    world.run(IDLE.ceiling * 2);
    assert_eq!(world.downs().iter().map(|&(slot, _)| slot).collect::<Vec<_>>(), [B, A]);
    assert_eq!(world.heard(B), []);
}

/// What passes a symmetric NAT is QUIC in QUIC.
#[test]
fn large_messages_pass_a_relay() {
    let mut world = two_homes(Some(NatConfig::symmetric()), Some(NatConfig::symmetric()), link(20));
    world.link(A, OUT);
    world.link(B, OUT);
    world.transport.allow_relay(OUT, id(A), id(B));
    let over = DialTarget::Relay { relay: id(OUT) };
    world.transport.dial(A, DialId(9), Some(id(B)), over);
    world.run(Duration::from_secs(1));
    for number in 0..4 {
        world.say(A, B, number, LARGE);
        world.say(B, A, number, LARGE);
    }
    assert!(heard_all(&mut world, A, 4, Duration::from_secs(20)).is_some());
    assert!(heard_all(&mut world, B, 4, Duration::from_secs(20)).is_some());
}

/// Everything that happens, as text.
fn story(seed: u64) -> String {
    let lossy = LinkConfig { loss: 0.05, jitter: Duration::from_millis(4), rate_bps: Some(2_000_000), ..link(30) };
    let mut world = two_homes(Some(NatConfig::port_restricted()), Some(NatConfig::symmetric()), lossy.clone());
    world.plan.seed = seed;
    world = World::new(world.plan);
    world.dial(A, OUT, world.address(OUT));
    world.dial(B, OUT, world.address(OUT));
    world.run(Duration::from_secs(5));
    for number in 0..20 {
        world.say(A, OUT, number, 20_000);
        world.say(OUT, B, number, 3_000);
        world.run(Duration::from_millis(100));
    }
    world.transport.kill(B);
    world.run(Duration::from_secs(20));
    format!("{:?} {:?}", world.arrived, world.transport.events())
}

#[test]
fn the_same_seed_has_the_same_story() {
    assert_eq!(story(1), story(1));
    assert_ne!(story(1), story(2));
}
