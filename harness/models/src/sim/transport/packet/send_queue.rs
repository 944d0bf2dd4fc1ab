//! Frames on their way to a peer, as the driver queues them: control apart from bulk, and bulk in portions.

use std::collections::{BTreeMap, VecDeque};

use butter::core::wire::FRAME_MAX;
use butter::quic::limits::{SEND_QUEUE_BYTES, SEND_QUEUE_FRAMES, queue_cost};
use butter::quic::{BULK_BYTES_MAX, BULK_STREAMS_MAX, FrameClass};
use bytes::Bytes;
use quinn_proto::{Connection, Dir, StreamId, WriteError};

/// What waits to be written to one connection, and what of it is not acknowledged.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    control: ClassQueue,
    bulk: ClassQueue,
    /// The last control frame that is not acknowledged.
    last_control: Option<StreamId>,
    /// Bulk frames that are not acknowledged, by length.
    in_flight: BTreeMap<StreamId, usize>,
    in_flight_bytes: usize,
    outstanding: usize,
}

/// Frames of one class.
#[derive(Debug, Default)]
struct ClassQueue {
    waiting: VecDeque<Bytes>,
    writing: Option<Writing>,
}

/// A frame that is partly handed to QUIC.
#[derive(Debug)]
struct Writing {
    stream: StreamId,
    rest: Bytes,
    length: usize,
}

impl ClassQueue {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.writing.is_none()
    }
}

impl SendQueue {
    /// Whether there was room.
    pub(super) fn push(&mut self, frame: Bytes) -> bool {
        let (cost, class) = (queue_cost(frame.len()), FrameClass::of(frame.len()));
        let queue = self.class(class);
        if queue.waiting.len() >= SEND_QUEUE_FRAMES || self.outstanding + cost > SEND_QUEUE_BYTES {
            return false;
        }
        self.outstanding += cost;
        self.class(class).waiting.push_back(frame);
        true
    }

    /// Bytes that wait here or are not acknowledged. Control counts only while it waits.
    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding as u64
    }

    /// Whether everything is handed to QUIC.
    pub(super) fn is_written(&self) -> bool {
        self.control.is_empty() && self.bulk.is_empty()
    }

    /// Whether everything is acknowledged as well.
    pub(super) fn is_delivered(&self) -> bool {
        self.is_written() && self.last_control.is_none() && self.in_flight.is_empty()
    }

    /// Hands to QUIC as much as it takes.
    pub(super) fn write(&mut self, quic: &mut Connection) {
        for class in [FrameClass::Control, FrameClass::Bulk] {
            while self.write_one(class, quic) {}
        }
    }

    /// A peer has acknowledged a stream, or does not want the rest of it.
    pub(super) fn settled(&mut self, stream: StreamId) {
        if self.last_control == Some(stream) {
            self.last_control = None;
        }
        if let Some(length) = self.in_flight.remove(&stream) {
            self.in_flight_bytes -= length;
            self.outstanding -= queue_cost(length);
        }
    }

    fn class(&mut self, class: FrameClass) -> &mut ClassQueue {
        match class {
            FrameClass::Control => &mut self.control,
            FrameClass::Bulk => &mut self.bulk,
        }
    }

    fn has_room(&self, class: FrameClass) -> bool {
        class == FrameClass::Control
            || self.in_flight.len() < BULK_STREAMS_MAX && self.in_flight_bytes + FRAME_MAX <= BULK_BYTES_MAX
    }

    /// Writes at one frame. Whether there may be more to write.
    fn write_one(&mut self, class: FrameClass, quic: &mut Connection) -> bool {
        let has_room = self.has_room(class);
        let queue = self.class(class);
        if queue.writing.is_none() {
            if !has_room || queue.waiting.is_empty() {
                return false;
            }
            let Some(stream) = quic.streams().open(Dir::Uni) else { return false };
            if class != FrameClass::default() {
                quic.send_stream(stream).set_priority(class.priority()).expect("it was just opened");
            }
            let Some(rest) = queue.waiting.pop_front() else { return false };
            queue.writing = Some(Writing { stream, length: rest.len(), rest });
        }
        let Some(Writing { stream, rest, length }) = &mut queue.writing else { return false };
        let (stream, length) = (*stream, *length);
        match quic.send_stream(stream).write_chunks(std::slice::from_mut(rest)) {
            Ok(_) if !rest.is_empty() => return true,
            Ok(_) => quic.send_stream(stream).finish().expect("nothing else ends the stream"),
            Err(WriteError::Blocked) => return false,
            // The peer does not want it: as if it were delivered.
            Err(WriteError::Stopped(_) | WriteError::ClosedStream) => {}
        }
        queue.writing = None;
        match class {
            FrameClass::Control => {
                self.last_control = Some(stream);
                self.outstanding -= queue_cost(length);
            }
            FrameClass::Bulk => {
                self.in_flight.insert(stream, length);
                self.in_flight_bytes += length;
            }
        }
        true
    }
}
