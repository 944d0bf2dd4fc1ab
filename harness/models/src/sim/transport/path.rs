//! What a transport measures of the paths of its links: round trips, bytes under way, and when a peer was last heard.
//!
//! Where nothing but delays is on the way, all of that follows from the link. Elsewhere it is what the side's [`Sender`] knows.

use butter::core::path::PathMeasurement;
use butter::core::transport::PATH_REPORT_PAUSE;

use super::congestion::WINDOW_FIRST;
use super::link::Link;
use super::sender::Sender;
use super::*;

/// Bytes in flight where no router limits the rate and only short messages were sent: about the window of the driver's QUIC.
const WINDOW_IDLE: u64 = 256 * 1024;

/// One side of a link that sends packet by packet.
#[derive(Clone, Debug)]
pub(super) struct SidePath {
    pub(super) sender: Sender,
    /// Bytes of messages under way.
    outstanding: u64,
    reported: Option<(Time, PathMeasurement)>,
    /// Whether an [`Event::PathCheck`] is to come.
    is_checked: bool,
}

impl SidePath {
    pub(super) fn new(now: Time, round_trip: Duration) -> Self {
        SidePath { sender: Sender::new(now, round_trip), outstanding: 0, reported: None, is_checked: false }
    }
}

/// When each side last heard of the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastHeard {
    /// By a message.
    message: [Time; 2],
    /// By the acknowledgement of a message: this is when the message arrived.
    delivered: [Time; 2],
}

impl LastHeard {
    pub(super) fn new(now: Time) -> Self {
        LastHeard { message: [now; 2], delivered: [now; 2] }
    }

    /// A message arrives at side `to`.
    pub(super) fn arrived(&mut self, now: Time, to: usize) {
        self.message[to] = now;
        self.delivered[1 - to] = now;
    }

    /// When `side` last heard of the other, whose acknowledgements take `way_back`.
    pub(super) fn by(&self, side: usize, now: Time, way_back: Duration) -> Time {
        let acknowledged = self.delivered[side] + way_back;
        if acknowledged <= now { self.message[side].max(acknowledged) } else { self.message[side] }
    }
}

impl<M: Debug + Encode + Decode<()>> Transport<M> {
    /// Carries out [`butter::core::io::Output::MeasurePath`] of a node.
    pub fn measure_path(&mut self, slot: NodeSlot, peer: NodeId) {
        if self.is_packet() {
            return self.measure_path_at_host(slot, peer);
        }
        if let Some(key) = self.link_to(slot, peer.prefix()) {
            self.report_path(key, self.links[key].side_of(slot));
        }
    }

    /// Bytes of a message leave a side, or are under way no more.
    pub(super) fn count_outstanding(&mut self, key: LinkKey, side: usize, change: impl FnOnce(u64) -> u64) {
        if let Some(path) = self.links.get_mut(key).and_then(|link| link.side_path_mut(side)) {
            path.outstanding = change(path.outstanding);
            self.check_path_later(key, side);
        }
    }

    /// Reports a path if it has changed enough.
    pub(super) fn check_path(&mut self, key: LinkKey, side: usize) {
        let Some(link) = self.links.get_mut(key) else { return };
        let Some(path) = link.side_path_mut(side) else { return };
        path.is_checked = false;
        let last = path.reported;
        let path = self.path_of(key, side);
        if last.is_none_or(|(_, last)| path.differs_from(&last)) {
            self.report_path(key, side);
        }
    }

    /// Tells a node about the path of the link that it uses.
    pub(super) fn report_path(&mut self, key: LinkKey, side: usize) {
        let link = &self.links[key];
        let (slot, peer) = (link.slots()[side], link.ids()[1 - side]);
        if self.link_to(slot, peer.prefix()) != Some(key) {
            return;
        }
        let path = self.path_of(key, side);
        let link = &mut self.links[key];
        if !link.pace.perfect {
            link.sender_mut(side, self.now);
        }
        if let Some(known) = link.side_path_mut(side) {
            known.reported = Some((self.now, path));
        }
        self.deliver(slot, TransportEvent::PathMeasured { peer, path });
    }

    /// Reports are as rare as the driver's.
    fn check_path_later(&mut self, key: LinkKey, side: usize) {
        let measured = self.path_of(key, side);
        let now = self.now;
        let link = &mut self.links[key];
        let slot = link.slots()[side];
        let Some(path) = link.side_path_mut(side) else { return };
        let at = match path.reported {
            // The report of a link that comes up is still to come.
            None => return,
            Some((_, last)) if path.is_checked || !measured.differs_from(&last) => return,
            Some((at, _)) => now.max(at + PATH_REPORT_PAUSE),
        };
        path.is_checked = true;
        self.schedule(slot, at, Event::PathCheck { link: key, side: side as u8 });
    }

    fn path_of(&self, key: LinkKey, side: usize) -> PathMeasurement {
        let link = &self.links[key];
        let silence = self.silence(link, side);
        let Some(SidePath { sender, outstanding, .. }) = link.side_path(side) else {
            return PathMeasurement {
                rtt: link.round_trip(),
                deviation: Duration::ZERO,
                window: if link.pace.perfect { WINDOW_IDLE } else { WINDOW_FIRST },
                outstanding: 0,
                silence,
            };
        };
        let deviation = if sender.is_measured { sender.round_trip.deviation } else { Duration::ZERO };
        PathMeasurement {
            rtt: sender.round_trip.smoothed,
            deviation,
            window: sender.window.bytes(),
            outstanding: *outstanding,
            silence,
        }
    }

    /// Silence after which a side takes a link for down.
    pub(super) fn idle_wait(&self, key: LinkKey, side: usize) -> Duration {
        idle_wait(&self.path_of(key, side))
    }

    /// Time since a side heard of its peer. Keep-alives, which are not simulated, come over every link that works.
    fn silence(&self, link: &Link, side: usize) -> Duration {
        let silence = self.now.since(link.heard.by(side, self.now, link.one_way(1 - side)));
        let works = !link.is_broken() && link.cut.is_none() && !link.is_parted();
        if works { silence.min(KEEP_ALIVE) } else { silence }
    }
}
