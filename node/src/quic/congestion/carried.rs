//! What a path has carried of late, and the window that follows: a loss does not bring the window of a connection below it.
//!
//! A path with random losses still delivers as much as it did. One whose queue overflows delivers what its bottleneck lets
//! through, so its window comes down to that. As with BBR (draft-ietf-ccwg-bbr), twice the product of rate and shortest round
//! trip may be in flight: so acknowledgements that are late or come together do not hold the sender back, and a sender finds
//! out whether the path carries more. A path that loses a large share of its packets is left to Cubic.

use std::time::Duration;

use crate::core::time::Time;

/// Round trips whose rates count.
const ROUNDS: usize = 8;
/// In flight at most, in products of rate and shortest round trip: `cwnd_gain` of BBR.
const GAIN: u64 = 2;
/// A path that loses one byte in so many, or more, is congested. A radio link that is of any use loses less.
const CONGESTED_ONE_IN: u64 = 5;

/// What a path has carried.
#[derive(Clone, Copy, Debug)]
pub struct CarriedWindow {
    /// The round trip under way, and when it began. It ends once something is acknowledged that was sent in it.
    round: Round,
    began: Time,
    ends: bool,
    /// The latest round trips. The oldest one is in the place `next`.
    rounds: [Round; ROUNDS],
    next: usize,
    min_rtt: Duration,
}

/// One round trip.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    delivered: u64,
    lost: u64,
    /// Bytes per second that were delivered.
    rate: u64,
}

impl CarriedWindow {
    /// Of a path that has carried nothing yet.
    pub fn new(now: Time) -> Self {
        let round = Round::default();
        CarriedWindow { round, began: now, ends: false, rounds: [round; ROUNDS], next: 0, min_rtt: Duration::ZERO }
    }

    /// `bytes` that were sent at `sent` have arrived. The shortest round trip so far is `min_rtt`.
    pub fn acknowledged(&mut self, sent: Time, bytes: u64, min_rtt: Duration) {
        self.round.delivered += bytes;
        self.ends |= sent >= self.began;
        self.min_rtt = min_rtt;
    }

    /// All that was acknowledged at `now` has been counted.
    pub fn acknowledgement_ended(&mut self, now: Time, app_limited: bool) {
        if !std::mem::take(&mut self.ends) {
            return;
        }
        let took = now.since(self.began).max(self.min_rtt);
        let rate = u128::from(self.round.delivered) * 1_000_000 / took.as_micros().max(1);
        let round = Round { rate: u64::try_from(rate).unwrap_or(u64::MAX), ..std::mem::take(&mut self.round) };
        self.began = now;
        // A sender that had nothing more to send has not shown how little the path carries.
        if !app_limited || round.rate > self.rate() {
            self.rounds[self.next] = round;
            self.next = (self.next + 1) % ROUNDS;
        }
    }

    /// `bytes` are lost. If that is `persistent`, nothing arrives any more: what the path has carried says nothing of it.
    pub fn lost(&mut self, bytes: u64, persistent: bool) {
        self.round.lost += bytes;
        if persistent {
            self.rounds = Default::default();
        }
    }

    /// The window in bytes below which losses do not bring the connection; 0 if the path is congested.
    pub fn window(&self) -> u64 {
        let sum = |bytes: fn(&Round) -> u64| self.rounds.iter().map(bytes).sum::<u64>();
        let (delivered, lost) = (sum(|round| round.delivered), sum(|round| round.lost));
        if lost.saturating_mul(CONGESTED_ONE_IN) >= delivered.saturating_add(lost) {
            return 0;
        }
        let in_one_round = u128::from(self.rate()) * self.min_rtt.as_micros() / 1_000_000;
        u64::try_from(in_one_round).unwrap_or(u64::MAX).saturating_mul(GAIN)
    }

    /// The highest rate of late, in bytes per second.
    fn rate(&self) -> u64 {
        self.rounds.iter().map(|round| round.rate).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(300);
    const PACKET: u64 = 1_200;

    /// A path that delivers `packets` in each of so many round trips, loses `lost` beside them, and its sender.
    struct SteadyPath {
        carried: CarriedWindow,
        now: Time,
    }

    impl SteadyPath {
        fn new() -> Self {
            let now = Time::ZERO;
            SteadyPath { carried: CarriedWindow::new(now), now }
        }

        fn carry(&mut self, rounds: usize, packets: u64, lost: u64, app_limited: bool) -> u64 {
            for _ in 0..rounds {
                let sent = self.now;
                self.now = self.now + RTT;
                self.carried.lost(lost * PACKET, false);
                for _ in 0..packets {
                    self.carried.acknowledged(sent, PACKET, RTT);
                }
                self.carried.acknowledgement_ended(self.now, app_limited);
            }
            self.carried.window()
        }
    }

    #[test]
    fn window_is_twice_what_a_round_trip_has_delivered() {
        assert_eq!(SteadyPath::new().carry(1, 40, 0, false), 2 * 40 * PACKET);
    }

    #[test]
    fn random_losses_leave_the_window_and_those_of_a_congested_path_do_not() {
        assert_eq!(SteadyPath::new().carry(20, 40, 2, false), 2 * 40 * PACKET);
        assert_eq!(SteadyPath::new().carry(20, 40, 10, false), 0);
        let mut path = SteadyPath::new();
        path.carry(20, 40, 10, false);
        assert_eq!(path.carry(ROUNDS, 40, 1, false), 2 * 40 * PACKET, "it has recovered");
    }

    #[test]
    fn path_that_carries_less_is_given_less_after_some_round_trips() {
        let mut path = SteadyPath::new();
        path.carry(20, 40, 1, false);
        assert_eq!(path.carry(ROUNDS - 1, 10, 0, false), 2 * 40 * PACKET);
        assert_eq!(path.carry(1, 10, 0, false), 2 * 10 * PACKET);
    }

    #[test]
    fn sender_that_had_little_to_send_keeps_its_window() {
        let mut path = SteadyPath::new();
        path.carry(1, 40, 0, false);
        assert_eq!(path.carry(20, 1, 0, true), 2 * 40 * PACKET);
    }

    #[test]
    fn path_that_delivers_nothing_any_more_has_no_window() {
        let mut path = SteadyPath::new();
        path.carry(20, 40, 1, false);
        path.carried.lost(PACKET, true);
        assert_eq!(path.carried.window(), 0);
    }
}
