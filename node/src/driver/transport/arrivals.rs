//! Packets that QUIC is to read although no UDP socket of its endpoint received them.

use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use quinn::udp::RecvMeta;
use tokio::sync::mpsc;

/// Packets that wait to be read by QUIC.
const ARRIVED_MAX: usize = 512;

/// A packet that a relay delivered, or that an extra socket received.
#[derive(Debug)]
pub(super) struct Arrived {
    /// Its sender's address, a virtual one if relayed.
    pub(super) from: SocketAddr,
    /// A QUIC packet.
    pub(super) packet: Bytes,
}

/// The end of a queue of them that an endpoint reads.
#[derive(Debug)]
pub(super) struct Arrivals(Mutex<mpsc::Receiver<Arrived>>);

impl Arrivals {
    /// With the end that is written to.
    pub(super) fn new() -> (mpsc::Sender<Arrived>, Self) {
        let (arriving, arrived) = mpsc::channel(ARRIVED_MAX);
        (arriving, Arrivals(Mutex::new(arrived)))
    }

    /// As [`quinn::AsyncUdpSocket::poll_recv`].
    pub(super) fn poll(&self, cx: &mut Context<'_>, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Poll<usize> {
        let mut arrived = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        while count < bufs.len().min(meta.len()) {
            // The queue cannot end: whoever holds this end holds who has the other.
            let Poll::Ready(Some(Arrived { from, packet })) = arrived.poll_recv(cx) else { break };
            if packet.len() > bufs[count].len() {
                continue;
            }
            bufs[count][..packet.len()].copy_from_slice(&packet);
            meta[count] = RecvMeta { addr: from, len: packet.len(), stride: packet.len(), ecn: None, dst_ip: None };
            count += 1;
        }
        if count == 0 { Poll::Pending } else { Poll::Ready(count) }
    }
}
