//! What is measured of links, and what goes ahead over them.

use super::*;
use crate::core::path::PathMeasurement;

/// The next measurement of the path from `node` to `of`.
async fn measured(node: &mut Node, of: NodeId) -> PathMeasurement {
    timeout(DEADLINE, async {
        loop {
            if let TransportEvent::PathMeasured { peer, path } = node.transport.next().await
                && peer == of
            {
                return path;
            }
        }
    })
    .await
    .expect("a measurement within the deadline")
}

#[tokio::test]
async fn path_is_measured_with_the_link_when_asked_and_when_bytes_are_outstanding() {
    let (mut a, mut b) = linked().await;
    let path = measured(&mut a, b.id).await;
    assert!(!path.rtt.is_zero() && path.rtt < DEADLINE && path.window >= 10_000 && path.outstanding == 0, "{path:?}");
    a.transport.measure_path(b.id);
    assert!(measured(&mut a, b.id).await.silence < DEADLINE);
    a.transport.measure_path(NodeId([9; 32]));
    for _ in 0..100 {
        a.transport.send(b.id, &message(60_000)).unwrap();
    }
    // Asked for before anything of it can be on its way: reports by themselves may come only when all has arrived.
    a.transport.measure_path(b.id);
    while measured(&mut a, b.id).await.outstanding < 60_000 {}
    let to = b.id;
    let arrive = async {
        for _ in 0..100 {
            b.next().await;
        }
    };
    let settle = async { while measured(&mut a, to).await.outstanding > 0 {} };
    tokio::join!(arrive, settle);
}

#[tokio::test]
async fn short_messages_overtake_long_ones() {
    let (mut a, mut b) = linked().await;
    for _ in 0..200 {
        a.transport.send(b.id, &message(60_000)).unwrap();
    }
    a.transport.send(b.id, &message(10)).unwrap();
    let mut long = 0;
    b.until(|event| match event {
        TransportEvent::Message { message: got, .. } if got == message(10) => Some(()),
        TransportEvent::Message { .. } => {
            long += 1;
            None
        }
        other => panic!("{other:?}"),
    })
    .await;
    assert!(long < 100, "{long} of 200 long messages came first");
}
