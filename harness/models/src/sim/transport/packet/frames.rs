//! Frames that come over a connection: each is a stream, and they are taken in the order in which they are whole.

use std::collections::BTreeMap;
use std::time::Instant;

use butter::core::wire::FRAME_MAX;
use butter::quic::limits::FRAME_DEADLINE;
use bytes::Bytes;
use quinn_proto::{Connection, Dir, ReadError, StreamId, VarInt};

/// Streams of one connection that are not whole.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    partial: BTreeMap<StreamId, Partial>,
}

/// What has come of a stream.
#[derive(Debug)]
struct Partial {
    /// In the order of arrival, with their places.
    chunks: Vec<(u64, Bytes)>,
    bytes: usize,
    deadline: Instant,
}

/// A frame that is longer than any message.
#[derive(Debug)]
pub(super) struct FrameTooLong;

impl Partial {
    fn whole(mut self) -> Bytes {
        if self.chunks.len() == 1 {
            return self.chunks.swap_remove(0).1;
        }
        self.chunks.sort_unstable_by_key(|&(offset, _)| offset);
        let mut frame = Vec::with_capacity(self.bytes);
        self.chunks.iter().for_each(|(_, bytes)| frame.extend_from_slice(bytes));
        frame.into()
    }
}

impl FrameReader {
    /// Takes new streams of the peer, and reads what is whole of them into `frames`.
    ///
    /// # Errors
    /// If a frame is too long.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        quic: &mut Connection,
        frames: &mut Vec<Bytes>,
    ) -> Result<(), FrameTooLong> {
        while let Some(stream) = quic.streams().accept(Dir::Uni) {
            let partial = Partial { chunks: Vec::new(), bytes: 0, deadline: now + FRAME_DEADLINE };
            self.partial.insert(stream, partial);
            self.read(stream, quic, frames)?;
        }
        Ok(())
    }

    /// Reads what has come of a stream.
    ///
    /// # Errors
    /// If the frame is too long.
    pub(super) fn read(
        &mut self,
        stream: StreamId,
        quic: &mut Connection,
        frames: &mut Vec<Bytes>,
    ) -> Result<(), FrameTooLong> {
        let Some(partial) = self.partial.get_mut(&stream) else { return Ok(()) };
        let mut incoming = quic.recv_stream(stream);
        let Ok(mut chunks) = incoming.read(false) else {
            self.partial.remove(&stream);
            return Ok(());
        };
        let end = loop {
            match chunks.next(usize::MAX) {
                Ok(Some(chunk)) => {
                    if chunk.offset as usize + chunk.bytes.len() > FRAME_MAX {
                        return Err(FrameTooLong);
                    }
                    partial.bytes += chunk.bytes.len();
                    partial.chunks.push((chunk.offset, chunk.bytes));
                }
                Ok(None) => break Some(true),
                Err(ReadError::Blocked) => break None,
                Err(ReadError::Reset(_)) => break Some(false),
            }
        };
        // What it says is due is sent with whatever else the connection has.
        _ = chunks.finalize().should_transmit();
        if let Some(whole) = end
            && let Some(partial) = self.partial.remove(&stream)
            && whole
        {
            frames.push(partial.whole());
        }
        Ok(())
    }

    /// When the first of the streams has taken too long. Streams begin in the order of their ids.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.partial.first_key_value().map(|(_, partial)| partial.deadline)
    }

    /// Gives up what has taken too long.
    pub(super) fn give_up_overdue(&mut self, now: Instant, quic: &mut Connection) {
        while let Some(entry) = self.partial.first_entry().filter(|entry| entry.get().deadline <= now) {
            let (stream, _) = entry.remove_entry();
            // It may just have ended.
            _ = quic.recv_stream(stream).stop(VarInt::from_u32(0));
        }
    }
}
