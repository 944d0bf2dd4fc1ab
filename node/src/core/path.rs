//! What is known of the path to a linked peer: what the transport measures, and what the node keeps of it.
//!
//! Waits follow from it: see [`super::patience`].

use std::num::NonZeroU32;
use std::time::Duration;

use super::time::Time;

/// Bytes below which a change of what is outstanding is not reported: about one packet.
const OUTSTANDING_STEP: u64 = 2_048;
/// Round trip that QUIC assumes before it has measured one. An initial packet is sent again after three of them.
pub const INITIAL_RTT: Duration = Duration::from_millis(100);
/// Longest time for which a peer holds an acknowledgement back (RFC 9000 §18.2).
pub const MAX_ACK_DELAY: Duration = Duration::from_millis(25);
/// Bytes that QUIC may have in flight before it has heard of any (RFC 9002 §7.2).
pub const INITIAL_WINDOW: u64 = 14_720;

/// What a transport has measured of the path to a linked peer, as of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathMeasurement {
    /// Smoothed round trip (RFC 9002 §5.3).
    pub rtt: Duration,
    /// Mean deviation of the round trip (`rttvar` of RFC 9002 §5.3).
    pub deviation: Duration,
    /// Bytes that may be in flight: the congestion window. Divided by the round trip it is the rate.
    pub window: u64,
    /// Bytes of messages to the peer that it has not acknowledged yet, those that wait here included.
    pub outstanding: u64,
    /// Time since anything came from the peer, be it a mere acknowledgement.
    pub silence: Duration,
}

impl PathMeasurement {
    /// Whether waits that follow from this differ much from those that follow from `last`: a transport reports such changes.
    pub fn differs_from(&self, last: &PathMeasurement) -> bool {
        let wait = |path: &PathMeasurement| path.rtt + 4 * path.deviation;
        let (now, before) = (wait(self), wait(last));
        let step = before.max(now) / 4;
        now.abs_diff(before) > step.max(MAX_ACK_DELAY)
            || apart(self.window, last.window, INITIAL_WINDOW)
            || apart(self.outstanding, last.outstanding, OUTSTANDING_STEP)
    }
}

/// Whether two numbers of bytes differ by half of the greater one, and by more than `step`.
fn apart(x: u64, y: u64, step: u64) -> bool {
    x.abs_diff(y) > step.max(x.max(y) / 2)
}

/// What a node knows of the path to a linked peer. Small: a simulated node has many links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathEstimate {
    /// Never zero, so that a path that is not measured takes no more room.
    rtt_us: NonZeroU32,
    deviation_us: u32,
    window: u32,
    outstanding: u32,
    heard: Time,
}

impl PathEstimate {
    /// Of a path that was measured at `now`. The peer was heard at `heard` at the earliest.
    pub fn new(now: Time, heard: Time, measured: &PathMeasurement) -> Self {
        let us = |duration: Duration| u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
        let bytes = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
        PathEstimate {
            rtt_us: NonZeroU32::new(us(measured.rtt)).unwrap_or(NonZeroU32::MIN),
            deviation_us: us(measured.deviation),
            window: bytes(measured.window),
            outstanding: bytes(measured.outstanding),
            heard: heard.max(now - measured.silence),
        }
    }

    /// Smoothed round trip.
    pub fn rtt(&self) -> Duration {
        Duration::from_micros(u32::from(self.rtt_us).into())
    }

    /// Mean deviation of the round trip.
    pub fn deviation(&self) -> Duration {
        Duration::from_micros(self.deviation_us.into())
    }

    /// Bytes that may be in flight at once: what a bulk transfer may have under way.
    pub fn window(&self) -> u64 {
        self.window.into()
    }

    /// Bytes of messages to the peer that it had not acknowledged when the path was measured.
    pub fn outstanding(&self) -> u64 {
        self.outstanding.into()
    }

    /// When anything last came from the peer, as far as is known here. [`super::io::Output::MeasurePath`] brings it up to date.
    pub fn heard(&self) -> Time {
        self.heard
    }

    /// Bytes per second that the path is known to carry.
    pub fn rate(&self) -> u64 {
        (u64::from(self.window) * 1_000_000 / u64::from(u32::from(self.rtt_us))).max(1)
    }

    /// Time that so many bytes take over this path, beside the round trip.
    pub fn transfer_time(&self, bytes: u64) -> Duration {
        Duration::from_micros(bytes.saturating_mul(1_000_000) / self.rate())
    }

    /// A message came from the peer at `now`.
    pub(in crate::core) fn note_heard(&mut self, now: Time) {
        self.heard = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURED: PathMeasurement = PathMeasurement {
        rtt: Duration::from_millis(100),
        deviation: Duration::from_millis(10),
        window: 20_000,
        outstanding: 0,
        silence: Duration::from_millis(300),
    };

    #[test]
    fn estimate_keeps_the_latest_moment_at_which_the_peer_was_heard() {
        let now = Time::from_micros(5_000_000);
        let path = PathEstimate::new(now, Time::ZERO, &MEASURED);
        assert_eq!(path.heard(), Time::from_micros(4_700_000));
        let later = Time::from_micros(4_900_000);
        assert_eq!(PathEstimate::new(now, later, &MEASURED).heard(), later);
    }

    #[test]
    fn rate_is_a_window_a_round_trip() {
        let path = PathEstimate::new(Time::ZERO, Time::ZERO, &MEASURED);
        assert_eq!(path.rate(), 200_000);
        assert_eq!(path.transfer_time(50_000), Duration::from_millis(250));
    }

    #[test]
    fn only_changes_that_matter_are_reported() {
        let with = |change: fn(&mut PathMeasurement)| {
            let mut changed = MEASURED;
            change(&mut changed);
            changed.differs_from(&MEASURED)
        };
        assert!(!with(|path| path.silence *= 9), "silence is asked for when it matters");
        assert!(!with(|path| path.rtt = Duration::from_millis(120)));
        assert!(with(|path| path.rtt = Duration::from_millis(200)));
        assert!(with(|path| path.deviation = Duration::from_millis(30)));
        assert!(!with(|path| path.outstanding = 2_000));
        assert!(with(|path| path.outstanding = 10_000));
        assert!(with(|path| path.window = 80_000));
    }
}
