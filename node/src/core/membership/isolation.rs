//! How long a node has been without a neighbour: then it finds nothing and keeps nothing but what it has.

use std::time::Duration;

use crate::core::time::Time;

/// Times without a neighbour.
#[derive(Clone, Copy, Debug, Default)]
pub struct Isolation {
    /// Since when there is none; `None` while there is one.
    since: Option<Time>,
    /// Whether there was one before.
    had_neighbours: bool,
    /// The longest time without one after there was one, as of when it was last looked at.
    longest: Duration,
}

impl Isolation {
    /// There are so many neighbours now.
    pub fn update(&mut self, now: Time, neighbours: usize) {
        if neighbours > 0 {
            (self.since, self.had_neighbours) = (None, true);
            return;
        }
        let since = *self.since.get_or_insert(now);
        if self.had_neighbours {
            self.longest = self.longest.max(now.since(since));
        }
    }

    /// Since when there is no neighbour; `None` while there is one.
    pub fn since(&self) -> Option<Time> {
        self.since
    }

    /// Whether there was ever a neighbour.
    pub fn had_neighbours(&self) -> bool {
        self.had_neighbours
    }

    /// The longest time without a neighbour, not counting the time before the first one.
    pub fn longest(&self) -> Duration {
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_after_the_first_neighbour_counts() {
        let at = |s: u64| Time::from_micros(s * 1_000_000);
        let mut isolation = Isolation::default();
        isolation.update(at(0), 0);
        isolation.update(at(9), 0);
        assert_eq!((isolation.since(), isolation.longest()), (Some(at(0)), Duration::ZERO));
        isolation.update(at(10), 1);
        assert_eq!((isolation.since(), isolation.had_neighbours()), (None, true));
        isolation.update(at(20), 0);
        isolation.update(at(23), 0);
        isolation.update(at(24), 2);
        isolation.update(at(30), 0);
        isolation.update(at(31), 0);
        assert_eq!((isolation.since(), isolation.longest()), (Some(at(30)), Duration::from_secs(3)));
    }
}
