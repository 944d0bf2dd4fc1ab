//! What arrives, and when.

use std::time::Duration;

use butter::core::message::Announcement;
use butter::core::time::Time;
use butter::core::transport::TransportEvent;
use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::NatConfig;
use butter_harness::plan::builder::PlanBuilder;
use butter_harness::plan::{NODE_PORT, NetworkIndex};

use super::world::{World, id, link, two_homes};

#[test]
fn a_message_takes_the_path_s_time() {
    let mut world = two_homes(Some(NatConfig::port_restricted()), None, link(25));
    world.link(1, 2);
    let before = world.transport.now();
    world.say(1, 2, 7, 100);
    world.say(2, 1, 8, 100);
    world.run(Duration::from_secs(1));
    for slot in [1, 2] {
        let [(_, at)] = world.heard(slot)[..] else { panic!("one message each") };
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
    // Congestion control takes such losses for a path that carries little.
    world.run(Duration::from_secs(60));
    let mut heard: Vec<u64> = world.heard(2).into_iter().map(|(number, _)| number).collect();
    heard.sort_unstable();
    assert_eq!(heard, (0..500).collect::<Vec<u64>>());
    let late =
        |&&(number, at): &&(u64, Time)| at.since(begun + Duration::from_millis(10) * number as u32).as_millis() > 100;
    let late = world.heard(2).iter().filter(late).count();
    // 19 % of the single packets and nearly all of 17 lose something on one of two hops.
    assert!((80..500).contains(&late), "{late} were sent again");
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
fn multicast_stays_on_its_network() {
    let mut builder = PlanBuilder::new(1);
    let lans: Vec<NetworkIndex> = (0..2).map(|_| builder.network(PlanBuilder::INTERNET, None, link(1))).collect();
    for lan in [lans[0], lans[0], lans[0], lans[1]] {
        builder.node(lan);
    }
    let mut world = World::new(builder.into_plan());
    world.transport.kill(1);
    world.transport.announce(0, Announcement::Ping { id: id(0), port: NODE_PORT });
    world.run(Duration::from_secs(1));
    let heard: Vec<_> = world.arrived.iter().map(|(_, slot, _)| *slot).collect();
    assert_eq!(heard, [2], "neither the sender, nor the dead, nor another network");
    world.transport.unicast(2, world.address(0), Announcement::Ping { id: id(2), port: NODE_PORT });
    world.run(Duration::from_secs(1));
    assert!(matches!(world.arrived[1], (_, 0, TransportEvent::Announcement { from, .. }) if from == world.address(2)));
}
