//! The system's monotonic clock as the core's [`Time`].

use tokio::time::Instant;

use crate::core::time::Time;

/// Counts from when it was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Clock { start: Instant::now() }
    }

    pub(super) fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// When `time` is; `None` for [`Time::NEVER`] and whatever the system's clock cannot tell.
    pub(super) fn instant(&self, time: Time) -> Option<Instant> {
        (time != Time::NEVER).then(|| self.start.checked_add(time.since(Time::ZERO)))?
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn both_clocks_run_together() {
        let clock = Clock::start();
        let now = clock.now();
        let instant = clock.instant(now).unwrap();
        assert!(instant <= Instant::now());
        let later = clock.instant(now + Duration::from_millis(1_500)).unwrap();
        assert_eq!(later - instant, Duration::from_millis(1_500));
        assert!(clock.now() >= now);
        assert_eq!(clock.instant(Time::NEVER), None);
    }
}
