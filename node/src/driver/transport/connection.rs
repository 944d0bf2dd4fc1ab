//! One connection: a task that reads from it and one that writes to it. A message is a uni-directional stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bincode::Decode;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use quinn::{Connection, ReadToEndError, RecvStream, SendStream, VarInt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::counters::Counters;
use super::links::ConnectionId;
use super::relay::Relay;
use super::{CLOSE_GRACE, Event, FRAME_DEADLINE, SEND_QUEUE_BYTES, SEND_QUEUE_FRAMES, STREAMS_MAX};
use crate::core::identity::NodeId;
use crate::core::message::Message;
use crate::core::wire::{self, FRAME_MAX};

/// Why a connection was closed, as sent to the other end.
#[derive(Clone, Copy, Debug)]
pub(super) enum CloseCode {
    /// The link is not wanted any more.
    Done = 0,
    /// Another connection to the same peer is kept.
    Superseded = 1,
    /// A frame was no message.
    Malformed = 2,
    /// The dialler meant somebody else, or itself.
    Unwanted = 3,
}

/// Tells the other end and forgets the connection; what is not yet delivered is lost.
pub(super) fn close(connection: &Connection, code: CloseCode) {
    connection.close(VarInt::from_u32(code as u32), b"");
}

/// Frames on their way to a connection, bounded in bytes and in number. When dropped, the connection is closed once all are delivered.
#[derive(Debug)]
pub(super) struct SendQueue {
    frames: mpsc::Sender<Bytes>,
    waiting: Arc<AtomicUsize>,
}

/// The end that a [`write`] task reads.
#[derive(Debug)]
pub(super) struct SendQueueEnd {
    frames: mpsc::Receiver<Bytes>,
    waiting: Arc<AtomicUsize>,
}

impl SendQueue {
    pub(super) fn new() -> (Self, SendQueueEnd) {
        let (sender, frames) = mpsc::channel(SEND_QUEUE_FRAMES);
        let waiting = Arc::<AtomicUsize>::default();
        (SendQueue { frames: sender, waiting: waiting.clone() }, SendQueueEnd { frames, waiting })
    }

    /// Whether there was room.
    pub(super) fn push(&self, frame: Bytes) -> bool {
        let length = cost(&frame);
        if self.waiting.fetch_add(length, Ordering::Relaxed) + length > SEND_QUEUE_BYTES {
            self.waiting.fetch_sub(length, Ordering::Relaxed);
            return false;
        }
        match self.frames.try_send(frame) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.waiting.fetch_sub(length, Ordering::Relaxed);
                false
            }
            // Without a reader the connection is gone, which its other task reports.
            Err(mpsc::error::TrySendError::Closed(_)) => true,
        }
    }
}

/// What a frame counts for: its bytes and about what it costs to queue it.
fn cost(frame: &Bytes) -> usize {
    frame.len() + 64
}

/// Writes whatever is queued, in order; when the queue is dropped, waits until it is delivered and closes.
pub(super) async fn write(connection: Connection, mut queue: SendQueueEnd) {
    let mut last = None;
    while let Some(frame) = queue.frames.recv().await {
        let length = cost(&frame);
        let written = write_frame(&connection, frame).await;
        queue.waiting.fetch_sub(length, Ordering::Relaxed);
        match written {
            Some(stream) => last = Some(stream),
            None => return,
        }
    }
    if let Some(stream) = last {
        // Delivered or not, the time is up.
        _ = timeout(CLOSE_GRACE, stream.stopped()).await;
    }
    close(&connection, CloseCode::Done);
}

async fn write_frame(connection: &Connection, frame: Bytes) -> Option<SendStream> {
    let mut stream = connection.open_uni().await.ok()?;
    match stream.write_chunk(frame).await {
        Ok(()) => {
            stream.finish().ok()?;
            Some(stream)
        }
        Err(quinn::WriteError::Stopped(_)) => Some(stream),
        Err(_) => None,
    }
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
