//! What QUIC measures of the path of a link, and when that is worth a report.

use std::time::Instant;

use bincode::{Decode, Encode};
use quinn::Connection;

use super::connection;
use super::{Connected, Transport, remote_of};
use crate::core::identity::NodeId;
use crate::core::path::PathMeasurement;
use crate::core::transport::{PATH_REPORT_PAUSE, TransportEvent, idle_wait};
use crate::quic;
use crate::quic::limits::CloseCode;

/// Watches the path of one connection.
#[derive(Debug)]
pub(super) struct PathMonitor {
    /// Datagrams that have come, when last looked.
    datagrams: u64,
    /// When there were more of them than before.
    heard: Instant,
    reported: Option<(Instant, PathMeasurement)>,
}

impl PathMonitor {
    /// Of a connection that was just made.
    pub(super) fn new(now: Instant) -> Self {
        PathMonitor { datagrams: 0, heard: now, reported: None }
    }

    /// The path as it is now, to be reported.
    pub(super) fn report(
        &mut self,
        now: Instant,
        connection: &Connection,
        outstanding: u64,
    ) -> Option<PathMeasurement> {
        let path = self.measure(now, connection, outstanding)?;
        self.reported = Some((now, path));
        Some(path)
    }

    /// The path as it is now, if it has changed enough since the last report, and that was not just now.
    pub(super) fn report_change(
        &mut self,
        now: Instant,
        connection: &Connection,
        outstanding: u64,
    ) -> Option<PathMeasurement> {
        let path = self.measure(now, connection, outstanding)?;
        let is_due = |(at, last): (Instant, PathMeasurement)| {
            now.saturating_duration_since(at) >= PATH_REPORT_PAUSE && path.differs_from(&last)
        };
        self.reported.is_none_or(is_due).then(|| {
            self.reported = Some((now, path));
            path
        })
    }

    /// Whether nothing has come for longer than the path, as last reported, explains.
    fn is_silent(&self, now: Instant) -> bool {
        let silence = now.saturating_duration_since(self.heard);
        self.reported.is_some_and(|(_, path)| silence >= idle_wait(&path))
    }

    fn measure(&mut self, now: Instant, connection: &Connection, outstanding: u64) -> Option<PathMeasurement> {
        let datagrams = connection.stats().udp_rx.datagrams;
        if datagrams != self.datagrams {
            (self.datagrams, self.heard) = (datagrams, now);
        }
        let silence = now.saturating_duration_since(self.heard);
        quic::measure(connection.rtt(), connection.congestion_state(), outstanding, silence)
    }
}

impl Connected {
    fn measure_path(&mut self) -> Option<PathMeasurement> {
        self.monitor.report(Instant::now(), &self.connection, self.queue.outstanding())
    }
}

impl<M: Encode + Decode<()> + Send + 'static> Transport<M> {
    /// As [`crate::core::io::Output::MeasurePath`].
    pub fn measure_path(&mut self, peer: NodeId) {
        let path = self.links.link_mut(peer).and_then(|link| link.connection.measure_path());
        self.ready.extend(path.map(|path| TransportEvent::PathMeasured { peer, path }));
    }

    /// A peer that dialled may have come to another address: then that is reported like a new link. A path may have changed, or
    /// carry nothing any more.
    pub(super) fn check_links(&mut self) {
        let now = Instant::now();
        self.is_busy = false;
        for (peer, link) in self.links.links_mut() {
            let Connected { connection, queue, monitor } = &mut link.connection;
            let remote = remote_of(connection);
            if remote != link.remote {
                link.remote = remote;
                self.ready.push_back(TransportEvent::LinkUp { peer, remote, dialled: link.dialled });
            }
            let outstanding = queue.outstanding();
            self.is_busy |= outstanding > 0;
            let path = monitor.report_change(now, connection, outstanding);
            if monitor.is_silent(now) {
                tracing::debug!(?peer, "a link is silent for too long");
                connection::close(connection, CloseCode::Silent);
            }
            self.ready.extend(path.map(|path| TransportEvent::PathMeasured { peer, path }));
        }
        if self.is_busy {
            self.link_check.reset_after(PATH_REPORT_PAUSE);
        }
    }
}
