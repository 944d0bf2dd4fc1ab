//! Real endpoints on loopback. Every wait is for an event, with a deadline.

use std::net::UdpSocket;
use std::time::Duration;

use super::*;
use crate::core::blob::Blob;
use crate::quic::limits::SEND_QUEUE_BYTES;

mod hostile;
mod paths;
mod relayed;

const DEADLINE: Duration = Duration::from_secs(20);

struct Node {
    transport: Transport<Blob>,
    address: SocketAddr,
    id: NodeId,
}

fn node() -> Node {
    let identity = Identity::generate().unwrap();
    let transport = Transport::listen(&identity, "127.0.0.1:0".parse().unwrap(), RelayQuota::AMBASSADOR).unwrap();
    Node { address: transport.local_addr().unwrap(), transport, id: identity.id() }
}

impl Node {
    /// The next event but measurements of paths.
    async fn next(&mut self) -> TransportEvent<Blob> {
        self.until(Some).await
    }

    /// The first event that is wanted; measurements of paths may come at any time and are left out.
    async fn until<T>(&mut self, mut wanted: impl FnMut(TransportEvent<Blob>) -> Option<T>) -> T {
        timeout(DEADLINE, async {
            loop {
                let event = self.transport.next().await;
                if matches!(event, TransportEvent::PathMeasured { .. }) {
                    continue;
                }
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        })
        .await
        .expect("the event within the deadline")
    }

    async fn up(&mut self) -> (NodeId, Option<SocketAddr>, bool) {
        self.until(|event| match event {
            TransportEvent::LinkUp { peer, remote, dialled } => Some((peer, remote, dialled)),
            _ => None,
        })
        .await
    }

    fn dial(&mut self, number: u64, to: &Node) {
        self.transport.dial(DialId(number), Some(to.id), DialTarget::Address(to.address));
    }
}

fn message(length: usize) -> Message<Blob> {
    Message::Overlay(Blob::from(vec![7; length]))
}

async fn linked() -> (Node, Node) {
    let (mut a, mut b) = (node(), node());
    a.dial(1, &b);
    let (up_a, up_b) = tokio::join!(a.up(), b.up());
    assert_eq!(up_a, (b.id, Some(b.address), true));
    assert_eq!(up_b, (a.id, Some(a.address), false));
    (a, b)
}

#[tokio::test]
async fn messages_of_every_size_arrive_from_who_sent_them() {
    let (mut a, mut b) = linked().await;
    for length in [0, 1, 1_400, 4_096, 60_000] {
        a.transport.send(b.id, &message(length)).unwrap();
        b.transport.send(a.id, &message(length)).unwrap();
        let ids = (a.id, b.id);
        for (to, from) in [(&mut b, ids.0), (&mut a, ids.1)] {
            match to.next().await {
                TransportEvent::Message { from: sender, message: got, .. } => {
                    assert_eq!((sender, got), (from, message(length)))
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn many_messages_arrive_once_each() {
    let (mut a, mut b) = linked().await;
    const COUNT: u64 = 2_000;
    for number in 0..COUNT {
        a.transport.send(b.id, &Message::Overlay(Blob::from(number.to_le_bytes().to_vec()))).unwrap();
    }
    let mut seen = std::collections::BTreeSet::new();
    b.until(|event| {
        let TransportEvent::Message { message: Message::Overlay(body), .. } = event else { panic!("{event:?}") };
        assert!(seen.insert(u64::from_le_bytes(body.as_ref().try_into().unwrap())), "twice");
        (seen.len() as u64 == COUNT).then_some(())
    })
    .await;
    assert_eq!(a.transport.counters().frames_overflowed.get(), 0);
}

#[tokio::test]
async fn a_full_send_queue_drops_and_counts() {
    let (mut a, b) = linked().await;
    // The node of b does not read: its event queue, its windows and then a's send queue fill.
    for _ in 0..SEND_QUEUE_BYTES / 60_000 + 200 {
        a.transport.send(b.id, &message(60_000)).unwrap();
    }
    assert!(a.transport.counters().frames_overflowed.get() > 0);
}

#[tokio::test]
async fn somebody_else_at_the_address_is_refused() {
    let (mut a, b, c) = (node(), node(), node());
    a.transport.dial(DialId(3), Some(c.id), DialTarget::Address(b.address));
    assert!(matches!(a.next().await, TransportEvent::DialFailed { dial: DialId(3) }));
    assert!(a.transport.link(b.id).is_none());
    assert!(a.transport.link(c.id).is_none());
}

#[tokio::test]
async fn anybody_may_be_at_an_address_dialled_without_a_name_but_oneself() {
    let (mut a, mut b) = (node(), node());
    a.transport.dial(DialId(1), None, DialTarget::Address(b.address));
    assert_eq!(a.up().await.0, b.id);
    assert_eq!(b.up().await.0, a.id);
    a.transport.dial(DialId(2), None, DialTarget::Address(a.address));
    assert!(matches!(a.next().await, TransportEvent::DialFailed { dial: DialId(2) }));
}

#[tokio::test]
async fn impossible_dials_fail_at_once() {
    let (mut a, b) = (node(), node());
    let dials = [
        (Some(b.id), DialTarget::Address("240.0.0.1:1".parse().unwrap())),
        (Some(b.id), DialTarget::Address("0.0.0.0:4001".parse().unwrap())),
        (Some(b.id), DialTarget::Address("224.0.0.1:9999".parse().unwrap())),
        (Some(b.id), DialTarget::Address("127.0.0.1:0".parse().unwrap())),
        (Some(a.id), DialTarget::Address(b.address)),
        (Some(b.id), DialTarget::Relay { relay: NodeId([9; 32]) }),
        (None, DialTarget::Relay { relay: b.id }),
    ];
    for (number, (peer, to)) in (0..).zip(dials) {
        a.transport.dial(DialId(number), peer, to);
        match a.transport.ready.pop_front() {
            Some(TransportEvent::DialFailed { dial }) => assert_eq!(dial, DialId(number)),
            other => panic!("{to:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn simultaneous_dials_end_in_one_link_and_lose_nothing() {
    let (mut a, mut b) = (node(), node());
    a.dial(1, &b);
    b.dial(2, &a);
    let (from_a, from_b) = tokio::join!(a.up(), b.up());
    assert_eq!((from_a.0, from_b.0), (b.id, a.id));
    a.transport.send(b.id, &message(10)).unwrap();
    b.transport.send(a.id, &message(20)).unwrap();
    for (node, length) in [(&mut a, 20), (&mut b, 10)] {
        node.until(|event| match event {
            TransportEvent::Message { message: got, .. } if got == message(length) => Some(()),
            TransportEvent::LinkUp { .. } => None,
            other => panic!("{other:?}"),
        })
        .await;
    }
    // The one that is not kept goes away by itself; no link is reported as down.
    let one_left = async |node: &mut Node| {
        timeout(DEADLINE, async {
            while node.transport.endpoints.open_connections() > 1 {
                if let Ok(event) = timeout(Duration::from_millis(20), node.transport.next()).await {
                    let expected = matches!(event, TransportEvent::LinkUp { .. } | TransportEvent::PathMeasured { .. });
                    assert!(expected, "{event:?}");
                }
            }
        })
        .await
        .expect("one connection within the deadline");
    };
    one_left(&mut a).await;
    one_left(&mut b).await;
    let greater_dialled = |me: &Node, peer: &Node| me.transport.link(peer.id).unwrap().dialled == (me.id > peer.id);
    assert!(greater_dialled(&a, &b) && greater_dialled(&b, &a));
}

#[tokio::test]
async fn closing_delivers_what_was_sent_before() {
    let (mut a, mut b) = linked().await;
    for _ in 0..50 {
        a.transport.send(b.id, &message(30_000)).unwrap();
    }
    a.transport.close(b.id);
    assert!(a.transport.link(b.id).is_none());
    let mut got = 0;
    b.until(|event| match event {
        TransportEvent::Message { .. } => {
            got += 1;
            None
        }
        TransportEvent::LinkDown { .. } => Some(()),
        other => panic!("{other:?}"),
    })
    .await;
    assert_eq!(got, 50);
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_down() {
    // On a runtime of its own, whose end silences all its tasks at once.
    let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut a = node();
    let (address, id) = (a.address, a.id);
    let b = other.spawn(async move {
        let mut b = node();
        b.transport.dial(DialId(1), Some(id), DialTarget::Address(address));
        b.up().await;
        b
    });
    let b = b.await.unwrap();
    assert_eq!(a.up().await.0, b.id);
    other.shutdown_background();
    a.until(|event| matches!(event, TransportEvent::LinkDown { .. }).then_some(())).await;
    drop(b);
}

#[tokio::test]
async fn a_frame_that_is_no_message_closes_the_link() {
    let oversized = vec![wire::VERSION; wire::FRAME_MAX + 1];
    for frame in [&b""[..], &[wire::VERSION, 200, 1, 2], &[99], &oversized] {
        let (mut a, mut b) = linked().await;
        let connection = a.transport.links.link(b.id).unwrap().connection.connection.clone();
        let mut stream = connection.open_uni().await.unwrap();
        // The other end may close before it has read all of it.
        _ = stream.write_all(frame).await;
        _ = stream.finish();
        b.until(|event| matches!(event, TransportEvent::LinkDown { .. }).then_some(())).await;
        a.until(|event| matches!(event, TransportEvent::LinkDown { .. }).then_some(())).await;
        assert_eq!(b.transport.counters().frames_malformed.get(), 1);
    }
}

/// A node that listens at every address of both kinds.
fn both_kinds() -> Node {
    let identity = Identity::generate().unwrap();
    let transport = Transport::listen(&identity, "[::]:0".parse().unwrap(), RelayQuota::AMBASSADOR).unwrap();
    let address = transport.local_addr().unwrap();
    Node { address: SocketAddr::new("127.0.0.1".parse().unwrap(), address.port()), transport, id: identity.id() }
}

/// One socket for both: peers of IPv4, of IPv6 and behind a relay, each by its plain address.
#[tokio::test]
async fn a_socket_for_any_address_reaches_peers_of_either_kind_and_relayed_ones() {
    let (mut a, mut r, mut b) = (both_kinds(), both_kinds(), node());
    if r.transport.local_addr().unwrap().is_ipv4() {
        return eprintln!("SKIPPED: this machine has no IPv6");
    }
    r.address.set_ip(std::net::Ipv6Addr::LOCALHOST.into());
    a.dial(1, &r);
    assert_eq!(a.up().await.1, Some(r.address));
    assert!(r.up().await.1.is_some_and(|remote| remote.is_ipv6()));
    r.dial(1, &b);
    assert_eq!(r.up().await.1, Some(b.address));
    b.up().await;
    r.transport.allow_relay(a.id, b.id);
    a.transport.dial(DialId(2), Some(b.id), DialTarget::Relay { relay: r.id });
    let (up_a, up_b) = tokio::join!(a.up(), b.up());
    assert_eq!((up_a, up_b), ((b.id, None, true), (a.id, None, false)));
    a.transport.send(b.id, &message(60_000)).unwrap();
    assert!(matches!(b.next().await, TransportEvent::Message { message: got, .. } if got == message(60_000)));
    b.dial(3, &a);
    let (up_a, up_b) = tokio::join!(a.up(), b.up());
    assert_eq!((up_a.1, up_b.1), (Some(b.address), Some(a.address)), "IPv4 is reported as IPv4");
}

#[tokio::test]
async fn whoever_comes_back_with_its_identity_is_linked_again() {
    let (mut a, b) = linked().await;
    let identity = Identity::generate().unwrap();
    let mut first: Transport<Blob> =
        Transport::listen(&identity, "127.0.0.1:0".parse().unwrap(), RelayQuota::AMBASSADOR).unwrap();
    first.dial(DialId(1), Some(a.id), DialTarget::Address(a.address));
    assert_eq!(a.up().await.0, identity.id());
    drop(first);
    let mut second: Transport<Blob> =
        Transport::listen(&identity, "127.0.0.1:0".parse().unwrap(), RelayQuota::AMBASSADOR).unwrap();
    second.dial(DialId(1), Some(a.id), DialTarget::Address(a.address));
    let up = a
        .until(|event| match event {
            TransportEvent::LinkUp { peer, .. } => Some(peer),
            TransportEvent::LinkDown { .. } => None,
            other => panic!("{other:?}"),
        })
        .await;
    assert_eq!(up, identity.id());
    assert!(a.transport.link(b.id).is_some());
}

#[tokio::test]
async fn whoever_was_silenced_and_comes_back_at_its_address_is_linked_again() {
    // The one that comes back has the lesser id: so the other one, that still holds a dead link, decides which link is kept.
    let mut a = node();
    let lesser =
        std::iter::repeat_with(|| Identity::generate().unwrap()).find(|identity| identity.id() < a.id).unwrap();
    let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (entered, anywhere) = (other.enter(), "127.0.0.1:0".parse().unwrap());
    let first: Transport<Blob> = Transport::listen(&lesser, anywhere, RelayQuota::AMBASSADOR).unwrap();
    drop(entered);
    let address = first.local_addr().unwrap();
    a.transport.dial(DialId(1), Some(lesser.id()), DialTarget::Address(address));
    assert_eq!(a.up().await.0, lesser.id());
    other.shutdown_background();
    // Silent, its socket is closed all the same; until then the address is taken.
    let listen = async || loop {
        match Transport::<Blob>::listen(&lesser, address, RelayQuota::AMBASSADOR) {
            Ok(transport) => break transport,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    drop(first);
    let mut second = timeout(DEADLINE, listen()).await.expect("the address is free again");
    let exchange = async {
        let mut dials = 1;
        second.dial(DialId(dials), Some(a.id), DialTarget::Address(a.address));
        loop {
            tokio::select! {
                event = second.next() => match event {
                    TransportEvent::LinkUp { peer, .. } => _ = second.send(peer, &message(3)).unwrap(),
                    TransportEvent::LinkDown { .. } | TransportEvent::DialFailed { .. } => {
                        dials += 1;
                        second.dial(DialId(dials), Some(a.id), DialTarget::Address(a.address));
                    }
                    TransportEvent::Message { .. } => break,
                    _ => {}
                },
                event = a.transport.next() => if let TransportEvent::Message { from, .. } = event {
                    a.transport.send(from, &message(4)).unwrap();
                },
            }
        }
    };
    timeout(DEADLINE, exchange).await.expect("both ends talk again");
}

async fn probed(node: &mut Node) -> (SocketId, SocketAddr, Probe) {
    node.until(|event| match event {
        TransportEvent::ProbeReceived { socket, from, probe } => Some((socket, from, probe)),
        _ => None,
    })
    .await
}

fn request(number: u8) -> Probe {
    Probe::Request { token: crate::core::probe::Token([number; 12]) }
}

#[tokio::test]
async fn a_probe_is_told_and_answered_from_the_socket_at_which_the_node_listens() {
    let mut a = node();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.set_read_timeout(Some(DEADLINE)).unwrap();
    let mine = stranger.local_addr().unwrap();
    stranger.send_to(&[0; 20], a.address).unwrap();
    stranger.send_to(&request(1).encode(), a.address).unwrap();
    let (socket, from, probe) = probed(&mut a).await;
    assert_eq!((socket, from, probe), (SocketId::MAIN, mine, request(1)));
    let answer = Probe::Response { token: probe.token(), seen: from, other: None };
    a.transport.probe(SocketId::MAIN, from, &answer);
    let mut buffer = [0; 100];
    let (length, from) = stranger.recv_from(&mut buffer).unwrap();
    assert_eq!((from, Probe::decode(&buffer[..length])), (a.address, Some(answer)));
}

#[tokio::test]
async fn a_link_runs_from_an_extra_socket_to_an_extra_socket_until_it_is_closed() {
    extra_to_extra(node(), node()).await;
}

/// They cross NATs of IPv4, whatever the socket at which the node listens takes beside it.
#[tokio::test]
async fn extra_sockets_of_nodes_for_either_kind_take_ipv4() {
    extra_to_extra(both_kinds(), both_kinds()).await;
    extra_to_extra(both_kinds(), node()).await;
}

async fn extra_to_extra(mut a: Node, mut b: Node) {
    let (at_a, at_b) = (SocketId(7), SocketId(300));
    a.transport.open_socket(at_a);
    b.transport.open_socket(at_b);
    let port = async |node: &mut Node| {
        node.until(|event| match event {
            TransportEvent::SocketOpened { port, .. } => Some(SocketAddr::from(([127, 0, 0, 1], port))),
            _ => None,
        })
        .await
    };
    let (address_a, address_b) = (port(&mut a).await, port(&mut b).await);
    a.transport.probe(at_a, address_b, &request(2));
    assert_eq!(probed(&mut b).await, (at_b, address_a, request(2)));
    // Both dial, as they do when their probes have met.
    a.transport.dial(DialId(1), Some(b.id), DialTarget::From { socket: at_a, to: address_b });
    b.transport.dial(DialId(2), Some(a.id), DialTarget::From { socket: at_b, to: address_a });
    let (up_a, up_b) = tokio::join!(a.up(), b.up());
    assert_eq!((up_a.0, up_a.1, up_b.0, up_b.1), (b.id, Some(address_b), a.id, Some(address_a)));
    for socket in [at_a, at_b] {
        a.transport.close_socket(socket);
        b.transport.close_socket(socket);
    }
    for length in [1, 60_000] {
        a.transport.send(b.id, &message(length)).unwrap();
        let got = b.until(|event| match event {
            TransportEvent::Message { message, .. } => Some(message),
            _ => None,
        });
        let (got, _) = tokio::join!(got, async {
            while let Ok(_event) = timeout(Duration::from_millis(50), a.transport.next()).await {}
        });
        assert_eq!(got, message(length));
    }
    assert!(UdpSocket::bind(address_a).is_err(), "it is in use");
    a.transport.close(b.id);
    let freed = async {
        while UdpSocket::bind(address_a).is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, freed).await.expect("the socket is given back");
}

#[tokio::test]
async fn what_comes_to_an_extra_socket_from_strangers_is_not_quics() {
    let (mut a, mut b) = (node(), node());
    a.transport.open_socket(SocketId(9));
    let port = a.until(|event| match event {
        TransportEvent::SocketOpened { port, .. } => Some(port),
        _ => None,
    });
    let there = SocketAddr::from(([127, 0, 0, 1], port.await));
    b.transport.dial(DialId(4), Some(a.id), DialTarget::Address(there));
    let failed = b.until(|event| matches!(event, TransportEvent::DialFailed { dial: DialId(4) }).then_some(()));
    tokio::select! {
        () = failed => {}
        _ = a.up() => panic!("a stranger got in"),
    }
}

/// Each side dials over the pair of endpoints that it saw meet first. The other expects that.
#[tokio::test]
async fn a_peer_that_is_expected_at_an_extra_socket_gets_in_there() {
    let (mut a, mut b) = (node(), node());
    let (dialled, other, from) = (SocketId(9), SocketId(10), SocketId(11));
    let port = async |node: &mut Node, socket| {
        node.transport.open_socket(socket);
        node.until(|event| match event {
            TransportEvent::SocketOpened { port, .. } => Some(SocketAddr::from(([127, 0, 0, 1], port))),
            _ => None,
        })
        .await
    };
    let (at_a, _, at_b) = (port(&mut a, dialled).await, port(&mut a, other).await, port(&mut b, from).await);
    // It would dial from another socket itself.
    a.transport.expect_dial(other, at_b);
    a.transport.expect_dial(dialled, at_b);
    b.transport.dial(DialId(4), Some(a.id), DialTarget::From { socket: from, to: at_a });
    let (up_a, up_b) = tokio::join!(a.up(), b.up());
    assert_eq!((up_a.0, up_a.1, up_b.0, up_b.1), (b.id, Some(at_b), a.id, Some(at_a)));
}

#[tokio::test]
async fn message_that_is_too_long_for_a_frame_is_refused_and_the_link_stays_up() {
    let (mut a, mut b) = linked().await;
    assert!(matches!(a.transport.send(b.id, &message(wire::FRAME_MAX)), Err(WireError::TooLong(_))));
    a.transport.send(b.id, &message(1)).unwrap();
    let got = b.until(|event| match event {
        TransportEvent::Message { message, .. } => Some(message),
        _ => None,
    });
    assert_eq!(got.await, message(1));
}
