//! Peers that do what no node of ours does, with a deadline that a thread of its own keeps: a hang would hold a task's up.

use std::future::Future;
use std::io::IoSliceMut;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::mpsc as threads;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Endpoint, EndpointConfig, UdpPoller};

use super::*;
use crate::quic::limits::SERVER_NAME;
use crate::quic::relay::DELIVER;

/// A socket that holds back what it is to send, once it is asked to.
#[derive(Debug)]
struct Tapped {
    real: Arc<dyn AsyncUdpSocket>,
    held: Mutex<Option<Vec<Bytes>>>,
}

impl Tapped {
    fn hold(&self) {
        *self.held.lock().unwrap() = Some(Vec::new());
    }

    /// What was held back that is neither short nor a probe of how much the path takes.
    fn held(&self) -> Option<Bytes> {
        let held = self.held.lock().unwrap();
        held.as_ref()?.iter().find(|packet| (1_000..1_200).contains(&packet.len())).cloned()
    }
}

impl AsyncUdpSocket for Tapped {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.real.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match &mut *self.held.lock().unwrap() {
            Some(held) => held.push(Bytes::copy_from_slice(transmit.contents)),
            None => return self.real.try_send(transmit),
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.real.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.real.local_addr()
    }
}

/// One identity at an address of its own.
struct Hostile {
    tls: Tls,
    endpoint: Endpoint,
    socket: Arc<Tapped>,
}

impl Hostile {
    fn new(identity: &Identity) -> Self {
        let real = TokioRuntime.wrap_udp_socket(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
        let socket = Arc::new(Tapped { real, held: Mutex::default() });
        let runtime = Arc::new(TokioRuntime);
        let config = EndpointConfig::default();
        let endpoint = Endpoint::new_with_abstract_socket(config, None, socket.clone(), runtime).unwrap();
        Hostile { tls: Tls::new(identity).unwrap(), endpoint, socket }
    }

    /// A link to `node`, which has reported it.
    async fn link(&self, node: &mut Node) -> Connection {
        let config = self.tls.client(Some(node.id), false).unwrap();
        let connecting = self.endpoint.connect_with(config, node.address, SERVER_NAME).unwrap();
        let (connected, _) = tokio::join!(connecting, node.up());
        connected.unwrap()
    }

    /// A packet of `link` that is not sent, as nothing is after it: a message, since a server answers at a new address only what
    /// is not short.
    async fn held_back(&self, link: &Connection) -> Bytes {
        self.socket.hold();
        let mut stream = link.open_uni().await.unwrap();
        stream.write_all(&wire::encode(&message(1_000)).unwrap()).await.unwrap();
        stream.finish().unwrap();
        loop {
            tokio::task::yield_now().await;
            if let Some(packet) = self.socket.held() {
                return packet;
            }
        }
    }
}

/// Has `over` deliver `packet` as a relay does for somebody behind it.
fn deliver(over: &Connection, packet: &Bytes) {
    let frame = [&[DELIVER][..], &[9; 32], packet].concat();
    over.send_datagram(frame.into()).unwrap();
}

/// Runs it on threads of its own and waits for it, but not forever.
fn within_deadline<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let (done, wait) = threads::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(test());
        done.send(()).unwrap();
    });
    wait.recv_timeout(DEADLINE).expect("it neither hangs nor panics");
}

/// A node still takes links and messages, and knows `peers` by their plain addresses.
async fn is_well(node: &mut Node, peers: &[NodeId]) {
    let mut other = super::node();
    other.dial(1, node);
    tokio::join!(other.up(), node.up());
    other.transport.send(node.id, &message(60_000)).unwrap();
    node.until(|event| match event {
        TransportEvent::Message { message: got, .. } => (got == message(60_000)).then_some(()),
        _ => None,
    })
    .await;
    let is_direct = |peer: &NodeId| node.transport.link(*peer).is_some_and(|link| link.remote.is_some());
    assert!(peers.iter().all(is_direct), "a direct link stays direct");
}

/// Else the link would be its own carrier, and sending over it would wait for itself.
#[test]
fn a_peer_that_delivers_packets_of_its_own_link_as_a_relay_does_no_harm() {
    within_deadline(async || {
        let (identity, mut node) = (Identity::generate().unwrap(), node());
        let (first, second) = (Hostile::new(&identity), Hostile::new(&identity));
        let beside = first.link(&mut node).await;
        let link = second.link(&mut node).await;
        deliver(&beside, &second.held_back(&link).await);
        is_well(&mut node, &[identity.id()]).await;
    });
}

/// Else each link could be the other's carrier, and two threads that send over them would wait for each other.
#[test]
fn a_peer_that_delivers_packets_of_another_s_link_is_sent_nothing_of_it() {
    within_deadline(async || {
        let (a, b, mut node) = (Identity::generate().unwrap(), Identity::generate().unwrap(), node());
        let (at_a, at_b) = (Hostile::new(&a), Hostile::new(&b));
        let (link_a, link_b) = (at_a.link(&mut node).await, at_b.link(&mut node).await);
        deliver(&link_b, &at_a.held_back(&link_a).await);
        is_well(&mut node, &[a.id(), b.id()]).await;
        assert!(link_b.read_datagram().now_or_never().is_none());
    });
}

/// Between real addresses, though, a link may move: a NAT that forgets brings that about.
#[tokio::test]
async fn a_peer_that_comes_to_another_address_keeps_its_link() {
    let (identity, mut node) = (Identity::generate().unwrap(), node());
    let moving = Hostile::new(&identity);
    let link = moving.link(&mut node).await;
    let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = elsewhere.local_addr().unwrap();
    moving.endpoint.rebind(elsewhere).unwrap();
    let mut stream = link.open_uni().await.unwrap();
    stream.write_all(&wire::encode(&message(1_000)).unwrap()).await.unwrap();
    assert_eq!(node.up().await, (identity.id(), Some(address), false));
    assert!(link.close_reason().is_none());
}
