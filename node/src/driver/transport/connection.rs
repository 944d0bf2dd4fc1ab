//! One connection: how it is read and closed. A message is a uni-directional stream.

use std::sync::Arc;

use bincode::Decode;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use quinn::{Connection, ReadToEndError, RecvStream, VarInt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Event;
use super::counters::Counters;
use super::relay::Relay;
use crate::core::identity::NodeId;
use crate::core::message::Message;
use crate::core::wire::{self, FRAME_MAX};
use crate::quic::STREAMS_MAX;
use crate::quic::limits::{CloseCode, FRAME_DEADLINE};
use crate::quic::link_table::ConnectionId;

/// Tells the other end and forgets the connection; what is not yet delivered is lost.
pub(super) fn close(connection: &Connection, code: CloseCode) {
    connection.close(VarInt::from_u32(code as u32), b"");
}

/// What a reader needs.
#[derive(Debug)]
pub(super) struct Reader<M> {
    pub(super) peer: NodeId,
    pub(super) id: ConnectionId,
    pub(super) connection: Connection,
    /// Of a direct connection: it may carry relayed packets.
    pub(super) relay: Option<Arc<Relay>>,
    pub(super) counters: Arc<Counters>,
    pub(super) events: mpsc::Sender<Event<M>>,
}

impl<M: Decode<()>> Reader<M> {
    /// Reads until the connection is gone, then says so.
    pub(super) async fn run(self) {
        tokio::select! {
            () = self.read_frames() => {}
            () = self.read_datagrams() => {}
        }
        // Without the transport no receiver is left.
        _ = self.events.send(Event::Lost { peer: self.peer, id: self.id }).await;
    }

    /// Frames in the order in which they are complete, so that a lost packet holds up only its own.
    async fn read_frames(&self) {
        let mut reading = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = self.connection.accept_uni(), if reading.len() < STREAMS_MAX as usize => match accepted {
                    Ok(stream) => reading.push(read_frame(stream)),
                    Err(_) => return,
                },
                Some(frame) = reading.next(), if !reading.is_empty() => match frame {
                    Frame::Whole(bytes) => self.take(&bytes).await,
                    Frame::TooLong => self.malformed("too long"),
                    Frame::Broken => {}
                },
            }
        }
    }

    async fn read_datagrams(&self) {
        let Some(relay) = &self.relay else { return std::future::pending().await };
        while let Ok(frame) = self.connection.read_datagram().await {
            relay.received(self.peer, &frame);
        }
    }

    async fn take(&self, bytes: &[u8]) {
        match wire::decode::<Message<M>>(bytes) {
            Ok(message) => {
                let frame = Event::Frame {
                    peer: self.peer,
                    id: self.id,
                    message: Box::new(message),
                    bytes: bytes.len() as u32,
                };
                // Without the transport no receiver is left.
                _ = self.events.send(frame).await;
            }
            Err(error) => self.malformed(&error.to_string()),
        }
    }

    fn malformed(&self, why: &str) {
        self.counters.frames_malformed.add(1);
        tracing::info!(peer = ?self.peer, why, "closing a link: a frame is no message");
        close(&self.connection, CloseCode::Malformed);
    }
}

enum Frame {
    Whole(Vec<u8>),
    TooLong,
    /// The stream was reset, ran out of time, or the connection is gone.
    Broken,
}

async fn read_frame(mut stream: RecvStream) -> Frame {
    match timeout(FRAME_DEADLINE, stream.read_to_end(FRAME_MAX)).await {
        Ok(Ok(bytes)) => Frame::Whole(bytes),
        Ok(Err(ReadToEndError::TooLong)) => Frame::TooLong,
        Ok(Err(ReadToEndError::Read(_))) | Err(_) => Frame::Broken,
    }
}
