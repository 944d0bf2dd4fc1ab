//! One QUIC connection of a simulated node, and what the driver's tasks would do for it.

use std::time::Instant;

use butter::core::identity::NodeId;
use butter::core::io::DialId;
use butter::core::path::PathMeasurement;
use butter::core::time::Time;
use butter::core::transport::{PATH_REPORT_PAUSE, idle_wait};
use butter::quic;
use butter::quic::limits::CLOSE_GRACE;
use quinn_proto::{Connection, ConnectionHandle};

use super::frames::FrameReader;
use super::send_queue::SendQueue;

/// Which of a node's two endpoints a connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndpointKind {
    Direct = 0,
    Relayed = 1,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Until then.
    Handshaking(Instant),
    /// To a peer that is authenticated.
    Up(NodeId),
    /// As [`Stage::Up`], but closed as soon as all is delivered.
    Finishing(NodeId),
    /// Only QUIC still knows of it.
    Closed,
}

/// A connection and its queues.
#[derive(Debug)]
pub(super) struct HostConnection {
    pub(super) quic: Connection,
    pub(super) handle: ConnectionHandle,
    pub(super) kind: EndpointKind,
    /// The dial that it answers, on the side that dialled.
    pub(super) dial: Option<DialId>,
    pub(super) stage: Stage,
    pub(super) queue: SendQueue,
    pub(super) frames: FrameReader,
    /// When a connection that is not the link is closed.
    pub(super) retires: Option<Instant>,
    /// When it is closed although not all is delivered.
    pub(super) gives_up: Option<Instant>,
    pub(super) path: PathMonitor,
    /// When the entry in the event queue is due.
    pub(super) armed: Option<Time>,
    /// Whether it waits to be looked after.
    pub(super) is_dirty: bool,
}

impl HostConnection {
    pub(super) fn new(
        (handle, quic): (ConnectionHandle, Connection),
        kind: EndpointKind,
        dial: Option<DialId>,
        handshake_until: Instant,
    ) -> Self {
        HostConnection {
            quic,
            handle,
            kind,
            dial,
            stage: Stage::Handshaking(handshake_until),
            queue: SendQueue::default(),
            frames: FrameReader::default(),
            retires: None,
            gives_up: None,
            path: PathMonitor::default(),
            armed: None,
            is_dirty: false,
        }
    }

    /// The peer at the other end, while frames are read from it.
    pub(super) fn peer(&self) -> Option<NodeId> {
        match self.stage {
            Stage::Up(peer) | Stage::Finishing(peer) => Some(peer),
            Stage::Handshaking(_) | Stage::Closed => None,
        }
    }

    /// Writes what it can. When that ends what is left to deliver, says that it can be closed.
    pub(super) fn write(&mut self, now: Instant) -> bool {
        if self.peer().is_none() {
            return false;
        }
        self.queue.write(&mut self.quic);
        if !matches!(self.stage, Stage::Finishing(_)) || !self.queue.is_written() {
            return false;
        }
        self.queue.is_delivered() || *self.gives_up.get_or_insert(now + CLOSE_GRACE) <= now
    }

    /// When something is due: QUIC's timers, and those that the driver's tasks keep.
    pub(super) fn next_timeout(&mut self) -> Option<Instant> {
        let own = match self.stage {
            Stage::Handshaking(until) => [Some(until), None, None],
            Stage::Up(_) | Stage::Finishing(_) => [self.retires, self.gives_up, self.frames.deadline()],
            Stage::Closed => [None; 3],
        };
        own.into_iter().chain([self.quic.poll_timeout()]).flatten().min()
    }

    /// What is known of its path now.
    pub(super) fn measure(&mut self, now: Instant) -> Option<PathMeasurement> {
        let path = self.path.measure(now, &self.quic, self.queue.outstanding())?;
        self.path.reported = Some((now, path));
        Some(path)
    }

    /// Whether nothing has come for longer than the path, as last reported, explains.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        let silence = self.path.heard.map(|(_, at)| now.saturating_duration_since(at));
        let patience = self.path.reported.map(|(_, path)| idle_wait(&path));
        silence.zip(patience).is_some_and(|(silence, patience)| silence >= patience)
    }

    /// What is known of its path, if that has changed enough since it was last reported.
    pub(super) fn measure_change(&mut self, now: Instant) -> Option<PathMeasurement> {
        let path = self.path.measure(now, &self.quic, self.queue.outstanding())?;
        let is_due = |(at, last): (Instant, PathMeasurement)| {
            now.saturating_duration_since(at) >= PATH_REPORT_PAUSE && path.differs_from(&last)
        };
        self.path.reported.is_none_or(is_due).then(|| {
            self.path.reported = Some((now, path));
            path
        })
    }
}

/// Watches the path of one connection, as the driver does.
#[derive(Debug, Default)]
pub(super) struct PathMonitor {
    /// Datagrams that have come, and when there were last more of them than before.
    heard: Option<(u64, Instant)>,
    reported: Option<(Instant, PathMeasurement)>,
}

impl PathMonitor {
    fn measure(&mut self, now: Instant, quic: &Connection, outstanding: u64) -> Option<PathMeasurement> {
        let datagrams = quic.stats().udp_rx.datagrams;
        let heard = match self.heard {
            Some((known, at)) if known == datagrams => at,
            _ => now,
        };
        self.heard = Some((datagrams, heard));
        let silence = now.saturating_duration_since(heard);
        quic::measure(quic.rtt(), quic.congestion_state().clone_box(), outstanding, silence)
    }
}
