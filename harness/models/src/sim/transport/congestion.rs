//! What QUIC may have in flight, how fast it sends that, and what it knows of the round trip: as `quinn-proto` and the node's
//! controller reckon.
//!
//! Cubic (RFC 9438) as in `quinn-proto`, above what the path is known to carry ([`CarriedWindow`]); its pacer; and RFC 9002's
//! estimate of the round trip. Persistent congestion is left out: a window that has lost everything for so long is as small
//! already. Numbers are integers, or floating point by single operations that are rounded alike everywhere.

use std::time::Duration;

use butter::core::time::Time;
use butter::quic::CarriedWindow;

/// UDP payload of a full packet: what `quinn-proto` finds by probing on Ethernet.
pub(super) const DATAGRAM_BYTES: u64 = 1_452;
/// Bytes that may be in flight at first: ten packets of QUIC's least size (RFC 9002 §7.2).
pub(super) const WINDOW_FIRST: u64 = 12_000;
/// Least window, in packets (RFC 9002 §7.2).
const WINDOW_LEAST: u64 = 2;
/// What a loss leaves of the window, in tenths (β of RFC 9438 §4.6).
const KEPT_TENTHS: u64 = 7;
/// Growth of the window, in packets per cubed second (C of RFC 9438 §5).
const GROWTH: f64 = 0.4;
/// Timers are no finer (RFC 9002 §6.1.2).
const GRANULARITY: Duration = Duration::from_millis(1);
/// The pacer lets out a burst as long as this, at once.
const BURST: Duration = Duration::from_millis(2);
/// Bounds of a burst, in packets.
const BURST_PACKETS: [u64; 2] = [10, 256];

/// What is known of the round trip (RFC 9002 §5).
#[derive(Clone, Copy, Debug)]
pub(super) struct RoundTrip {
    pub(super) smoothed: Duration,
    pub(super) deviation: Duration,
    latest: Duration,
    pub(super) shortest: Duration,
}

impl RoundTrip {
    /// After the handshake, which has taken one sample.
    pub(super) fn new(first: Duration) -> Self {
        RoundTrip { smoothed: first, deviation: first / 2, latest: first, shortest: first }
    }

    pub(super) fn sample(&mut self, sample: Duration) {
        self.latest = sample;
        self.shortest = self.shortest.min(sample);
        self.deviation = (3 * self.deviation + self.smoothed.abs_diff(sample)) / 4;
        self.smoothed = (7 * self.smoothed + sample) / 8;
    }

    /// A packet is lost that was sent before one that has arrived, and is so old (RFC 9002 §6.1.2).
    pub(super) fn loss_delay(&self) -> Duration {
        let round_trip = self.smoothed.max(self.latest);
        (round_trip + round_trip / 8).max(GRANULARITY)
    }

    /// Probe time-out without the delay of acknowledgements (RFC 9002 §6.2.1).
    pub(super) fn probe_timeout(&self) -> Duration {
        self.smoothed + (4 * self.deviation).max(GRANULARITY)
    }
}

/// What may be in flight, in bytes.
#[derive(Clone, Debug)]
pub(super) struct SendWindow {
    cubic: CubicWindow,
    carried: CarriedWindow,
}

impl SendWindow {
    pub(super) fn new(now: Time) -> Self {
        SendWindow { cubic: CubicWindow::new(), carried: CarriedWindow::new(now) }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.cubic.bytes.max(self.carried.window())
    }

    /// Something is acknowledged that was sent at `sent`. Whether the sender has less to send than it may.
    pub(super) fn acknowledged(&mut self, now: Time, sent: Time, bytes: u64, known: &RoundTrip, is_idle: bool) {
        self.carried.acknowledged(sent, bytes, known.shortest);
        if !is_idle {
            self.cubic.acknowledged(now, sent, bytes, known.smoothed);
        }
    }

    /// All that one acknowledgement says was counted.
    pub(super) fn acknowledgement_ended(&mut self, now: Time, is_idle: bool) {
        self.carried.acknowledgement_ended(now, is_idle);
    }

    /// So much is lost. The last of it was sent at `sent`.
    pub(super) fn lost(&mut self, now: Time, sent: Time, bytes: u64) {
        self.carried.lost(bytes, false);
        self.cubic.lost(now, sent);
    }
}

/// Cubic's window, in bytes.
#[derive(Clone, Debug)]
struct CubicWindow {
    bytes: u64,
    threshold: u64,
    /// When the last reduction was, or growth beyond the threshold began.
    since: Option<Time>,
    /// The window before the last reduction.
    most: u64,
    /// Time from a reduction until the window is what it was, in seconds.
    plateau_s: f64,
    grown: u64,
}

impl CubicWindow {
    fn new() -> Self {
        CubicWindow { bytes: WINDOW_FIRST, threshold: u64::MAX, since: None, most: 0, plateau_s: 0.0, grown: 0 }
    }

    /// Something is acknowledged that was sent at `sent`, while the window was what limits the sender.
    fn acknowledged(&mut self, now: Time, sent: Time, bytes: u64, round_trip: Duration) {
        if self.since.is_some_and(|since| sent <= since) {
            return;
        }
        if self.bytes < self.threshold {
            self.bytes += bytes;
            return;
        }
        let since = *self.since.get_or_insert_with(|| {
            (self.most, self.plateau_s) = (self.bytes, 0.0);
            now
        });
        let target = self.target(now.since(since), round_trip);
        self.grown += target - self.bytes;
        if self.grown >= DATAGRAM_BYTES {
            self.bytes += DATAGRAM_BYTES;
            self.grown = 0;
        }
    }

    /// Where the window goes, as one acknowledgement moves it.
    fn target(&self, elapsed: Duration, round_trip: Duration) -> u64 {
        let packet = DATAGRAM_BYTES as f64;
        let most = self.most as f64 / packet;
        let kept = KEPT_TENTHS as f64 / 10.0;
        let ahead = (elapsed + round_trip).as_secs_f64() - self.plateau_s;
        let cubic = (GROWTH * ahead * ahead * ahead + most) * packet;
        let rounds = elapsed.as_secs_f64() / round_trip.max(GRANULARITY).as_secs_f64();
        let friendly = (most * kept + 3.0 * (1.0 - kept) / (1.0 + kept) * rounds) * packet;
        if cubic < friendly {
            self.bytes.max(friendly as u64)
        } else if self.bytes < cubic as u64 {
            let bytes = self.bytes as f64;
            self.bytes + ((cubic - bytes) / bytes * packet) as u64
        } else {
            self.bytes
        }
    }

    /// Something is lost that was sent at `sent`.
    fn lost(&mut self, now: Time, sent: Time) {
        if self.since.is_some_and(|since| sent <= since) {
            return;
        }
        self.since = Some(now);
        // Fast convergence (RFC 9438 §4.7).
        self.most = if self.bytes < self.most { self.bytes * (10 + KEPT_TENTHS) / 20 } else { self.bytes };
        self.threshold = (self.bytes * KEPT_TENTHS / 10).max(WINDOW_LEAST * DATAGRAM_BYTES);
        self.bytes = self.threshold;
        // K of RFC 9438 §4.2: the cube root of packets · (1 − β) / C, here in cubed milliseconds.
        let cubed_ms = self.most * (10 - KEPT_TENTHS) * 250_000_000 / DATAGRAM_BYTES;
        self.plateau_s = cube_root(cubed_ms) as f64 / 1e3;
        self.grown = self.grown * KEPT_TENTHS / 10;
    }
}

/// The whole part of a cube root.
fn cube_root(number: u64) -> u64 {
    let (mut low, mut high) = (0u64, 2_642_245u64);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if middle * middle * middle <= number { low = middle } else { high = middle - 1 }
    }
    low
}

/// Spreads a window over a round trip: a bucket of tokens that fills at 5/4 of that pace.
#[derive(Clone, Debug)]
pub(super) struct PacketPacer {
    capacity: u64,
    tokens: u64,
    filled: Time,
    window: u64,
}

impl PacketPacer {
    pub(super) fn new(now: Time, round_trip: Duration, window: u64) -> Self {
        let capacity = Self::burst(round_trip, window);
        PacketPacer { capacity, tokens: capacity, filled: now, window }
    }

    /// Bytes that may be sent now, at least one packet; or when there is something to send again.
    pub(super) fn allows(&mut self, now: Time, round_trip: Duration, window: u64) -> Result<u64, Time> {
        if window != self.window {
            self.capacity = Self::burst(round_trip, window);
            self.tokens = self.tokens.min(self.capacity);
            self.window = window;
        }
        if self.tokens >= DATAGRAM_BYTES {
            return Ok(self.tokens);
        }
        let round_trip_us = (round_trip.as_micros() as u64).max(1);
        let elapsed_us = u128::from(now.since(self.filled).as_micros() as u64);
        let gained = u128::from(window) * elapsed_us * 5 / (4 * u128::from(round_trip_us));
        self.tokens = self.tokens.saturating_add(gained as u64).min(self.capacity);
        self.filled = now;
        if self.tokens >= DATAGRAM_BYTES {
            return Ok(self.tokens);
        }
        let lacking = u128::from(self.capacity - self.tokens);
        let wait_us = lacking * u128::from(round_trip_us) * 4 / (5 * u128::from(window));
        Err(now + Duration::from_micros((wait_us as u64).max(1)))
    }

    pub(super) fn sent(&mut self, bytes: u64) {
        self.tokens = self.tokens.saturating_sub(bytes);
    }

    fn burst(round_trip: Duration, window: u64) -> u64 {
        let bytes = u128::from(window) * BURST.as_nanos() / round_trip.as_nanos().max(1);
        let [least, most] = BURST_PACKETS.map(|packets| packets * DATAGRAM_BYTES);
        (bytes.min(most.into()) as u64).max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_millis(100);

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1_000)
    }

    #[test]
    fn a_window_doubles_each_round_until_something_is_lost_and_comes_back_to_what_it_was() {
        let mut window = CubicWindow::new();
        window.acknowledged(at(100), at(0), WINDOW_FIRST, ROUND);
        assert_eq!(window.bytes, 2 * WINDOW_FIRST);
        let (lost, reduced) = (at(200), 2 * WINDOW_FIRST * 7 / 10);
        window.lost(lost, at(150));
        window.lost(at(210), at(160));
        assert_eq!(window.bytes, reduced, "once for what was in flight together");
        window.acknowledged(at(250), at(190), DATAGRAM_BYTES, ROUND);
        assert_eq!(window.bytes, reduced, "nothing grows by what was sent before");
        let mut now = lost;
        while window.bytes < 2 * WINDOW_FIRST {
            now = now + Duration::from_millis(5);
            window.acknowledged(now, now - Duration::from_millis(1), DATAGRAM_BYTES, ROUND);
        }
        // Five packets, at 0.53 a round: so small a window grows as Reno's does (RFC 9438 §4.3).
        let took = now.since(lost);
        assert!((7 * ROUND..10 * ROUND).contains(&took), "{took:?}");
    }

    #[test]
    fn a_cube_root_is_whole() {
        for (number, root) in [(0, 0), (7, 1), (8, 2), (26, 2), (27, 3), (u64::MAX, 2_642_245)] {
            assert_eq!(cube_root(number), root, "{number}");
        }
    }

    #[test]
    fn a_pacer_lets_ten_packets_out_and_then_a_window_in_four_fifths_of_a_round() {
        let window = 40 * DATAGRAM_BYTES;
        let mut pacer = PacketPacer::new(at(0), ROUND, window);
        assert_eq!(pacer.allows(at(0), ROUND, window), Ok(10 * DATAGRAM_BYTES));
        pacer.sent(10 * DATAGRAM_BYTES);
        let again = pacer.allows(at(0), ROUND, window).expect_err("the bucket is empty");
        assert_eq!(again, at(20), "a quarter of the window takes a fifth of a round");
        assert_eq!(pacer.allows(again, ROUND, window), Ok(10 * DATAGRAM_BYTES));
    }

    #[test]
    fn a_round_trip_is_smoothed() {
        let mut known = RoundTrip::new(ROUND);
        assert_eq!(known.probe_timeout(), 3 * ROUND);
        known.sample(Duration::from_millis(180));
        assert_eq!(known.smoothed, Duration::from_millis(110));
        assert_eq!(known.deviation, Duration::from_micros(57_500));
        assert_eq!(known.loss_delay(), Duration::from_micros(202_500));
    }
}
