//! Links over NATs that forget their mappings, and over links that change.

use std::net::Ipv4Addr;
use std::time::Duration;

use butter::core::time::Time;
use butter::core::transport::{IDLE, KEEP_ALIVE, TransportEvent};
use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::NatConfig;
use butter_harness::plan::NetworkIndex;
use butter_harness::router::stats::DropCause;
use butter_harness::sim::network::NodeSlot;

use super::world::{A, B, OUT, World, is_packet, link, two_homes};

/// Two networks behind these NATs, a node on each, and the internet with one.
fn two_nats([one, other]: [NatConfig; 2]) -> World {
    two_homes(Some(one), Some(other), link(20))
}

impl World {
    /// Has the NAT of `slot`'s network forget, and keep its address or not.
    fn rebind(&mut self, slot: NodeSlot, new: bool) {
        let network = self.plan.nodes[slot as usize].network;
        let address = self.plan.networks[network.0].behind.as_ref().unwrap().address;
        let address = if new { Ipv4Addr::from(u32::from(address) + 100) } else { address };
        self.transport.rebind(network, &[address]);
    }

    /// Whether a message from one to the other arrives within a time.
    fn hears(&mut self, from: NodeSlot, to: NodeSlot, within: Duration) -> bool {
        let number = 1_000 + self.arrived.len() as u64;
        let sent = self.transport.now();
        self.say(from, to, number, 10);
        self.run(within);
        self.heard(to).iter().any(|&(request, at)| request == number && at >= sent)
    }
}

/// RFC 9000 §9: a server lets its client migrate.
#[test]
fn a_link_goes_on_over_a_nat_that_forgets_if_its_client_is_behind_it() {
    for new in [false, true] {
        let mut world = two_nats([NatConfig::port_restricted(), NatConfig::port_restricted()]);
        world.link(A, OUT);
        world.rebind(A, new);
        assert!(world.hears(A, OUT, Duration::from_millis(100)), "what it sends makes a new mapping at once");
        assert!(world.hears(OUT, A, Duration::from_millis(100)), "which is answered to");
        world.run(IDLE.floor * 3);
        assert!(world.is_up(A, OUT) && world.is_up(OUT, A));
    }
}

/// Until the inside sends again, nothing comes in; what was lost is sent again.
#[test]
fn what_comes_for_a_forgotten_mapping_waits_for_the_inside_to_send() {
    let mut world = two_nats([NatConfig::port_restricted(), NatConfig::port_restricted()]);
    world.link(A, OUT);
    world.rebind(A, true);
    assert!(!world.hears(OUT, A, Duration::from_millis(60)), "40 ms would do");
    if !is_packet() {
        // A packet for an address that is not there any more reaches no router.
        let dropped = world.transport.networks().router(1).unwrap().0.dropped(DropCause::NoMapping);
        assert!(dropped >= 1, "{dropped}");
    }
    world.run(KEEP_ALIVE + Duration::from_secs(2));
    assert_eq!(world.heard(A).len(), 1, "it was sent again after the next keep-alive");
}

/// A client does not let its server migrate, unless the NAT gives the server the same endpoint again.
#[test]
fn a_link_to_a_server_behind_a_nat_that_forgets_survives_only_with_the_same_endpoint() {
    for new in [false, true] {
        let mut world = two_nats([NatConfig::full_cone(), NatConfig::full_cone()]);
        world.link(A, OUT);
        let outside = world.seen(OUT, A).unwrap();
        world.dial(B, A, outside);
        world.run(Duration::from_secs(1));
        assert!(world.is_up(B, A));
        world.rebind(A, new);
        let rebound = world.transport.now();
        world.run(IDLE.floor * 2);
        assert_eq!([world.is_up(A, B), world.is_up(B, A)], [!new; 2], "new address: {new}");
        let noticed = |(at, _, what): &(Time, NodeSlot, TransportEvent<()>)| {
            matches!(what, TransportEvent::LinkDown { .. }).then(|| at.since(rebound))
        };
        // QUIC counts from what it heard last, which may have been before (RFC 9000 §10.1).
        let spread = if is_packet() { KEEP_ALIVE } else { Duration::ZERO };
        assert!(world.arrived.iter().filter_map(noticed).all(|after| after >= IDLE.floor - spread));
        assert!(world.is_up(A, OUT), "this one migrates");
    }
}

/// The peer's NAT does not let a new address in, so that migration never begins.
#[test]
fn a_punched_link_breaks_where_the_other_nat_does_not_know_the_new_endpoint() {
    for (other, survives) in [(NatConfig::full_cone(), true), (NatConfig::port_restricted(), false)] {
        let mut world = two_nats([other, NatConfig::port_restricted()]);
        world.punch(A, B);
        // Of two links the one that the greater id dialled stays: A would let B migrate.
        assert!(world.is_up(A, B));
        world.rebind(B, true);
        world.run(IDLE.floor * 2);
        assert_eq!([world.is_up(A, B), world.is_up(B, A)], [survives; 2]);
    }
}

/// Each side opens its own NAT for the other again, if both keep their endpoints.
#[test]
fn a_punched_link_survives_two_nats_that_forget_and_keep_their_endpoints() {
    for new in [false, true] {
        let mut world = two_nats([NatConfig::port_restricted(), NatConfig::port_restricted()]);
        world.punch(A, B);
        assert!(world.is_up(A, B));
        world.rebind(A, new);
        world.rebind(B, new);
        world.run(IDLE.floor * 2);
        assert_eq!([world.is_up(A, B), world.is_up(B, A)], [!new; 2]);
    }
}

#[test]
fn a_changed_link_is_as_slow_as_it_says() {
    let mut world = two_nats([NatConfig::full_cone(), NatConfig::full_cone()]);
    world.link(A, OUT);
    assert!(world.hears(A, OUT, Duration::from_millis(30)));
    let slow = LinkConfig { latency: Duration::from_millis(300), ..LinkConfig::default() };
    world.transport.set_link(NetworkIndex(1), &slow, &LinkConfig::default());
    assert!(!world.hears(A, OUT, Duration::from_millis(299)));
    assert!(world.hears(OUT, A, Duration::from_millis(1)), "the other way is perfect now");
    world.transport.set_link(NetworkIndex(1), &LinkConfig { loss: 1.0, ..LinkConfig::default() }, &slow);
    assert!(!world.hears(A, OUT, Duration::from_secs(2)));
    world.transport.set_link(NetworkIndex(1), &LinkConfig::default(), &LinkConfig::default());
    assert!(world.hears(A, OUT, Duration::from_millis(10)));
}
