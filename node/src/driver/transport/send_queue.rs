//! Frames on their way to a peer: bounded queues, and the task that empties them into a connection.
//!
//! Control has a queue of its own, so that it never waits for bulk ([`FrameClass`]). Bulk is handed to QUIC in portions: the
//! streams and the window that these leave free are for control.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use quinn::{Connection, SendStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::connection::close;
use crate::core::wire::FRAME_MAX;
use crate::quic::limits::{CLOSE_GRACE, CloseCode, SEND_QUEUE_BYTES, SEND_QUEUE_FRAMES, queue_cost};
use crate::quic::{BULK_BYTES_MAX, BULK_STREAMS_MAX, FrameClass};

/// Frames on their way to a connection, bounded in bytes and in number. When dropped, the connection is closed once all are delivered.
#[derive(Debug)]
pub(super) struct SendQueue {
    control: mpsc::Sender<Bytes>,
    bulk: mpsc::Sender<Bytes>,
    outstanding: Arc<AtomicUsize>,
}

/// The end that a [`write`] task reads.
#[derive(Debug)]
pub(super) struct SendQueueEnd {
    control: mpsc::Receiver<Bytes>,
    bulk: mpsc::Receiver<Bytes>,
    outstanding: Arc<AtomicUsize>,
}

impl SendQueue {
    pub(super) fn new() -> (Self, SendQueueEnd) {
        let (control, control_end) = mpsc::channel(SEND_QUEUE_FRAMES);
        let (bulk, bulk_end) = mpsc::channel(SEND_QUEUE_FRAMES);
        let outstanding = Arc::<AtomicUsize>::default();
        let end = SendQueueEnd { control: control_end, bulk: bulk_end, outstanding: outstanding.clone() };
        (SendQueue { control, bulk, outstanding }, end)
    }

    /// Whether there was room.
    pub(super) fn push(&self, frame: Bytes) -> bool {
        let length = queue_cost(frame.len());
        if self.outstanding.fetch_add(length, Ordering::Relaxed) + length > SEND_QUEUE_BYTES {
            self.outstanding.fetch_sub(length, Ordering::Relaxed);
            return false;
        }
        let frames = match FrameClass::of(frame.len()) {
            FrameClass::Control => &self.control,
            FrameClass::Bulk => &self.bulk,
        };
        match frames.try_send(frame) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.outstanding.fetch_sub(length, Ordering::Relaxed);
                false
            }
            // Without a receiver the connection is gone, which its other task reports.
            Err(mpsc::error::TrySendError::Closed(_)) => true,
        }
    }

    /// Bytes that wait here or are not acknowledged. Control counts only while it waits.
    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding.load(Ordering::Relaxed) as u64
    }
}

/// Writes whatever is queued, each class in order. When the queue is dropped, waits until all is delivered and closes.
pub(super) async fn write(connection: Connection, queue: SendQueueEnd) {
    let SendQueueEnd { control, bulk, outstanding } = queue;
    tokio::join!(write_control(&connection, control, &outstanding), write_bulk(&connection, bulk, &outstanding));
    close(&connection, CloseCode::Done);
}

async fn write_control(connection: &Connection, mut frames: mpsc::Receiver<Bytes>, outstanding: &AtomicUsize) {
    let mut last = None;
    while let Some(frame) = frames.recv().await {
        let length = queue_cost(frame.len());
        let written = write_frame(connection, frame).await;
        outstanding.fetch_sub(length, Ordering::Relaxed);
        match written {
            Some(stream) => last = Some(stream),
            None => return,
        }
    }
    if let Some(stream) = last {
        // Delivered or not, the time is up.
        _ = timeout(CLOSE_GRACE, stream.stopped()).await;
    }
}

async fn write_bulk(connection: &Connection, mut frames: mpsc::Receiver<Bytes>, outstanding: &AtomicUsize) {
    let mut in_flight = FuturesUnordered::new();
    let mut bytes = 0;
    loop {
        let has_room = in_flight.len() < BULK_STREAMS_MAX && bytes + FRAME_MAX <= BULK_BYTES_MAX;
        tokio::select! {
            Some((length, cost)) = in_flight.next(), if !in_flight.is_empty() => {
                bytes -= length;
                outstanding.fetch_sub(cost, Ordering::Relaxed);
            }
            frame = frames.recv(), if has_room => {
                let Some(frame) = frame else { break };
                let (length, cost) = (frame.len(), queue_cost(frame.len()));
                let Some(stream) = write_frame(connection, frame).await else { return };
                bytes += length;
                in_flight.push(async move {
                    // An error means that the connection is gone, and with it what was outstanding.
                    _ = stream.stopped().await;
                    (length, cost)
                });
            }
        }
    }
    // Delivered or not, the time is up.
    _ = timeout(CLOSE_GRACE, async { while in_flight.next().await.is_some() {} }).await;
}

async fn write_frame(connection: &Connection, frame: Bytes) -> Option<SendStream> {
    let mut stream = connection.open_uni().await.ok()?;
    let class = FrameClass::of(frame.len());
    if class != FrameClass::default() {
        stream.set_priority(class.priority()).ok()?;
    }
    match stream.write_chunk(frame).await {
        Ok(()) => {
            stream.finish().ok()?;
            Some(stream)
        }
        Err(quinn::WriteError::Stopped(_)) => Some(stream),
        Err(_) => None,
    }
}
