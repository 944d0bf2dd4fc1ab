//! How long to wait for a peer: from what is known of the path to it, from the bytes under way, and from the number of the try.
//!
//! The base is QUIC's own probe time-out (RFC 9002 §6.2): after it, QUIC sends a lost packet again, and once more after twice
//! that. So an answer over a link that loses packets may take several of them. What waits ahead of it takes time as well.
//! Every wait has a [`Bounds`] of its own, with a name.

use std::time::Duration;

use super::path::{INITIAL_RTT, INITIAL_WINDOW, MAX_ACK_DELAY, PathEstimate, PathMeasurement};
use super::time::Time;

/// Least variation that a timer allows for (`kGranularity` of RFC 9002 §6.1.2).
pub const GRANULARITY: Duration = Duration::from_millis(1);
/// Probe time-outs that an exchange may take: either its request or its answer is lost twice in a row, or each of them once.
const PROBE_TIMEOUTS: u32 = 4;
/// Doublings of a wait by back-off, at most.
const DOUBLINGS_MAX: u32 = 6;

/// The shortest and the longest that a wait may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// However fast the path is: a peer needs time as well.
    pub floor: Duration,
    /// However slow the path is: what waits for this one goes on then.
    pub ceiling: Duration,
}

impl Bounds {
    /// From `floor` to `ceiling`, which must not be less.
    pub const fn new(floor: Duration, ceiling: Duration) -> Self {
        assert!(floor.as_nanos() <= ceiling.as_nanos(), "a ceiling is above its floor");
        Bounds { floor, ceiling }
    }

    /// `wait`, or the bound that it is beyond.
    pub fn clamp(self, wait: Duration) -> Duration {
        wait.clamp(self.floor, self.ceiling)
    }
}

/// What is waited for: a request and its answer, and which try this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// Bytes that go to the peer.
    pub request_bytes: u64,
    /// Bytes that are expected back.
    pub answer_bytes: u64,
    /// Tries before this one: each doubles the wait.
    pub attempt: u32,
}

/// What is assumed of a path before it is measured: QUIC's initial round trip and window.
pub fn unmeasured() -> PathEstimate {
    let measured = PathMeasurement {
        rtt: INITIAL_RTT,
        deviation: INITIAL_RTT / 2,
        window: INITIAL_WINDOW,
        outstanding: 0,
        silence: Duration::ZERO,
    };
    PathEstimate::new(Time::ZERO, Time::ZERO, &measured)
}

/// QUIC's probe time-out: when a packet that is not acknowledged is sent again.
pub fn probe_timeout(path: &PathEstimate) -> Duration {
    path.rtt() + (4 * path.deviation()).max(GRANULARITY) + MAX_ACK_DELAY
}

/// How long the answer to an exchange may take over `path`, which is assumed to be as QUIC assumes it if it is not known.
pub fn answer_wait(path: Option<&PathEstimate>, exchange: Exchange, bounds: Bounds) -> Duration {
    let assumed = unmeasured();
    let path = path.unwrap_or(&assumed);
    let bytes = path.outstanding().saturating_add(exchange.request_bytes).saturating_add(exchange.answer_bytes);
    let wait = (PROBE_TIMEOUTS * probe_timeout(path)).saturating_add(path.transfer_time(bytes));
    bounds.clamp(back_off(wait, exchange.attempt))
}

/// So many probe time-outs, within `bounds`: for waits that take several messages or dials.
pub fn probe_timeouts(count: u32, probe_timeout: Duration, bounds: Bounds) -> Duration {
    bounds.clamp(probe_timeout.saturating_mul(count))
}

/// `wait`, doubled for each try before.
pub fn back_off(wait: Duration, attempt: u32) -> Duration {
    wait.saturating_mul(1 << attempt.min(DOUBLINGS_MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds::new(Duration::from_millis(200), Duration::from_secs(20));

    fn path(rtt_ms: u64, deviation_ms: u64, window: u64, outstanding: u64) -> PathEstimate {
        let measured = PathMeasurement {
            rtt: Duration::from_millis(rtt_ms),
            deviation: Duration::from_millis(deviation_ms),
            window,
            outstanding,
            silence: Duration::ZERO,
        };
        PathEstimate::new(Time::ZERO, Time::ZERO, &measured)
    }

    fn wait(path: &PathEstimate, bytes: u64, attempt: u32) -> Duration {
        answer_wait(Some(path), Exchange { request_bytes: bytes, answer_bytes: 0, attempt }, BOUNDS)
    }

    #[test]
    fn fast_path_is_given_the_floor_and_a_slow_one_several_probe_timeouts() {
        assert_eq!(wait(&path(1, 0, 100_000, 0), 100, 0), BOUNDS.floor);
        let mobile = path(300, 40, 15_000, 0);
        assert_eq!(probe_timeout(&mobile), Duration::from_millis(485));
        assert_eq!(wait(&mobile, 0, 0), Duration::from_millis(4 * 485));
        assert_eq!(wait(&mobile, 50_000, 0), Duration::from_millis(4 * 485 + 1_000));
    }

    #[test]
    fn path_that_is_not_known_is_taken_for_one_of_the_initial_round_trip() {
        assert_eq!(probe_timeout(&unmeasured()), Duration::from_millis(325));
        let exchange = Exchange::default();
        assert_eq!(answer_wait(None, exchange, BOUNDS), answer_wait(Some(&unmeasured()), exchange, BOUNDS));
    }

    proptest! {
        #[test]
        fn wait_is_within_its_bounds_and_grows_with_all_that_it_follows_from(
            (rtt, more_rtt) in (0_u64..100_000, 0_u64..100_000),
            (deviation, more_deviation) in (0_u64..100_000, 0_u64..100_000),
            (outstanding, more_outstanding) in (any::<u32>(), any::<u32>()),
            (bytes, more_bytes) in (any::<u64>(), any::<u64>()),
            (attempt, more_attempts) in (any::<u32>(), any::<u32>()),
            (window, less_window) in (any::<u64>(), any::<u64>()),
        ) {
            let known = path(rtt, deviation, window, outstanding.into());
            let least = wait(&known, bytes, attempt);
            prop_assert!((BOUNDS.floor..=BOUNDS.ceiling).contains(&least));
            // A longer round trip of the same window is a lower rate, too.
            let slower = path(rtt + more_rtt, deviation, window, outstanding.into());
            let less_steady = path(rtt, deviation + more_deviation, window, outstanding.into());
            let busier = path(rtt, deviation, window, u64::from(outstanding) + u64::from(more_outstanding));
            let narrower = path(rtt, deviation, window.min(less_window), outstanding.into());
            for other in [slower, less_steady, busier, narrower] {
                prop_assert!(wait(&other, bytes, attempt) >= least);
            }
            prop_assert!(wait(&known, bytes.saturating_add(more_bytes), attempt) >= least);
            prop_assert!(wait(&known, bytes, attempt.saturating_add(more_attempts)) >= least);
        }
    }
}
