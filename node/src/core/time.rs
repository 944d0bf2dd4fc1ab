//! The core's clock: microseconds since the node (or the simulation) started.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment, in microseconds since start. Never runs backwards; it is an argument, never read from a clock here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The start of the run or program.
    pub const ZERO: Time = Time(0);
    /// Later than any other: a deadline that never comes.
    pub const NEVER: Time = Time(u64::MAX);

    /// The moment `us` microseconds after the start.
    pub const fn from_micros(us: u64) -> Self {
        Time(us)
    }

    /// Microseconds since the start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long `self` is after `earlier`; zero if it is not.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, by: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, by: Duration) -> Time {
        Time(self.0.saturating_sub(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// When a node wants to be woken if nothing else happens first. Waking early is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The absolute moment; [`Time::NEVER`] if nothing is pending.
    pub at: Time,
    /// What is due then, for traces and for finding busy loops.
    pub why: &'static str,
}

impl Deadline {
    /// No wake-up is needed at all.
    pub const NEVER: Deadline = Deadline { at: Time::NEVER, why: "nothing" };

    /// The earlier of two; the first wins a tie.
    #[must_use]
    pub fn or(self, other: Deadline) -> Deadline {
        if other.at < self.at { other } else { self }
    }
}
