//! Links through a relay.

use super::*;
use crate::quic::relay::{DELIVER, RelayFrame};

/// Three nodes: a and b linked to the relay r only.
async fn around_a_relay() -> (Node, Node, Node) {
    let (mut a, mut b, mut r) = (node(), node(), node());
    a.dial(1, &r);
    b.dial(1, &r);
    a.up().await;
    b.up().await;
    r.up().await;
    r.up().await;
    (a, b, r)
}

#[tokio::test]
async fn peers_talk_through_a_relay_that_counts_what_it_carries() {
    let (mut a, mut b, mut r) = around_a_relay().await;
    r.transport.allow_relay(a.id, b.id);
    a.transport.dial(DialId(2), Some(b.id), DialTarget::Relay { relay: r.id });
    let (up_a, up_b) = tokio::join!(a.up(), b.up());
    assert_eq!(up_a, (b.id, None, true));
    assert_eq!(up_b, (a.id, None, false));
    for length in [10, 4_096, 60_000] {
        a.transport.send(b.id, &message(length)).unwrap();
        b.transport.send(a.id, &message(length)).unwrap();
        for node in [&mut a, &mut b] {
            assert!(
                matches!(node.next().await, TransportEvent::Message { message: got, .. } if got == message(length))
            );
        }
    }
    let counters = r.transport.counters();
    assert!(counters.relay_bytes.get() > 2 * 64_000, "{}", counters.relay_bytes.get());
    assert!(counters.relay_packets.get() > 2 * 50);
    assert!(r.transport.links.peers().count() == 2, "the relay is no end of the link that it carries");
}

#[tokio::test]
async fn a_direct_link_takes_over_from_a_relayed_one() {
    let (mut a, mut b, mut r) = around_a_relay().await;
    r.transport.allow_relay(a.id, b.id);
    a.transport.dial(DialId(2), Some(b.id), DialTarget::Relay { relay: r.id });
    tokio::join!(a.up(), b.up());
    b.dial(3, &a);
    let (up_a, up_b) = tokio::join!(a.up(), b.up());
    assert_eq!(up_a, (b.id, Some(b.address), false));
    assert_eq!(up_b, (a.id, Some(a.address), true));
    a.transport.send(b.id, &message(5)).unwrap();
    assert!(matches!(b.next().await, TransportEvent::Message { .. }));
}

#[tokio::test]
async fn a_relay_carries_nothing_that_it_did_not_allow() {
    let (mut a, b, r) = around_a_relay().await;
    a.transport.dial(DialId(2), Some(b.id), DialTarget::Relay { relay: r.id });
    assert!(matches!(a.next().await, TransportEvent::DialFailed { dial: DialId(2) }));
    assert!(r.transport.counters().relay_refused.get() > 0);
    assert_eq!(r.transport.counters().relay_packets.get(), 0);
    assert_eq!(b.transport.counters().connections.get(), 1);
}

#[tokio::test]
async fn a_relay_forgets_a_pair_when_one_of_it_is_gone() {
    let (mut a, b, mut r) = around_a_relay().await;
    r.transport.allow_relay(a.id, b.id);
    b.transport.shutdown().await;
    r.until(|event| matches!(event, TransportEvent::LinkDown { .. }).then_some(())).await;
    a.transport.dial(DialId(2), Some(b.id), DialTarget::Relay { relay: r.id });
    assert!(matches!(a.next().await, TransportEvent::DialFailed { dial: DialId(2) }));
    assert!(r.transport.counters().relay_refused.get() > 0);
}

#[tokio::test]
async fn what_led_through_a_relay_is_forgotten_with_its_link() {
    let (mut a, b, r) = around_a_relay().await;
    let route = RelayRoute { relay: r.id, peer: b.id };
    let delivered = RelayFrame::encode(DELIVER, b.id, b"a packet");
    a.transport.relay.received(r.id, &delivered);
    let address = a.transport.relay.routes.address(route);
    assert_eq!((a.transport.relay.routes.route(address), a.transport.counters.relay_lost.get()), (Some(route), 0));
    a.transport.close(r.id);
    assert_eq!(a.transport.relay.routes.route(address), None);
    a.transport.relay.received(r.id, &delivered);
    assert_eq!(a.transport.counters.relay_lost.get(), 1, "what still comes makes no route that would never be removed");
}
