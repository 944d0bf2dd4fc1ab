//! How well the machine kept up with a run on real processes: timers that fire late, and tasks that wait for a core.
//!
//! A node that gets no processor time looks to its peers like one that has died. A run on such a machine measures the
//! machine, so it is judged as a failure of the environment. Pressure alone does not decide: a machine may be busy and
//! still serve every process in time.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::statistics::quantile;

/// Pause between two timers.
const TICK: Duration = Duration::from_millis(20);
/// A timer that is later than this stalls whoever waits for it: protocols take a tenth of a second for a slow peer.
const STALL: Duration = Duration::from_millis(100);
/// Largest share of a run that may pass in stalls.
const STALLED_SHARE_MAX: f64 = 0.05;
/// What a shorter run counts as.
const SHORTEST: Duration = Duration::from_secs(10);
/// Where Linux reports how long tasks waited for a core (pressure stall information).
const PRESSURE: &str = "/proc/pressure/cpu";

/// How well the machine kept up with a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MachineLoad {
    /// Cores that this process may use.
    pub cores: usize,
    /// By how much timers of 20 ms were late: the 99th percentile, in milliseconds.
    pub timer_late_p99_ms: f64,
    /// By how much the latest of them was late, in milliseconds.
    pub timer_late_max_ms: f64,
    /// Share of the run that passed while a timer was more than 100 ms late. A run of less than ten seconds counts as one of ten: one
    /// late timer does not make a machine saturated.
    pub stalled_share: f64,
    /// Share of the run in which some task waited for a core; `None` where the system does not tell.
    pub cpu_pressure_share: Option<f64>,
}

impl MachineLoad {
    /// Why a run under this load proves nothing, if so.
    pub fn fault(&self) -> Option<String> {
        (self.stalled_share > STALLED_SHARE_MAX).then(|| {
            format!(
                "the machine was saturated: for {:.0} % of the run its timers were more than {} ms late \
                 (at most {:.0} ms): use fewer nodes, or a larger or quieter machine",
                100.0 * self.stalled_share,
                STALL.as_millis(),
                self.timer_late_max_ms
            )
        })
    }
}

/// Observes the machine in a thread of its own, from [`LoadMonitor::begin`] to [`LoadMonitor::finish`].
#[derive(Debug)]
pub struct LoadMonitor {
    stop: mpsc::Sender<()>,
    observer: JoinHandle<Vec<Duration>>,
    began: Instant,
    waited_us: Option<u64>,
}

impl LoadMonitor {
    /// Begins to observe.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn begin() -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let observer = std::thread::Builder::new().name("machine-load".to_owned()).spawn(move || observe(&stopped))?;
        Ok(LoadMonitor { stop, observer, began: Instant::now(), waited_us: waited_us() })
    }

    /// Ends the observation. `None` if it was too short to say anything.
    pub fn finish(self) -> Option<MachineLoad> {
        // The observer waits for this or for the sender's end: either wakes it.
        drop(self.stop);
        let late = self.observer.join().ok()?;
        let elapsed = self.began.elapsed();
        let waited = self.waited_us.zip(waited_us()).map(|(before, after)| after.saturating_sub(before));
        let cpu_pressure_share = waited.map(|waited| (waited as f64 / elapsed.as_micros() as f64).min(1.0));
        summary(late, elapsed, cpu_pressure_share)
    }
}

/// Lateness of every timer until `stopped`.
fn observe(stopped: &mpsc::Receiver<()>) -> Vec<Duration> {
    let mut late = Vec::new();
    loop {
        let began = Instant::now();
        match stopped.recv_timeout(TICK) {
            Err(RecvTimeoutError::Timeout) => late.push(began.elapsed().saturating_sub(TICK)),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return late,
        }
    }
}

fn summary(mut late: Vec<Duration>, elapsed: Duration, cpu_pressure_share: Option<f64>) -> Option<MachineLoad> {
    late.sort_unstable();
    let ms = |late: Duration| late.as_secs_f64() * 1e3;
    let stalled: Duration = late.iter().filter(|late| **late > STALL).sum();
    Some(MachineLoad {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        timer_late_p99_ms: ms(quantile(&late, 0.99)?),
        timer_late_max_ms: ms(*late.last()?),
        stalled_share: (stalled.as_secs_f64() / elapsed.max(SHORTEST).as_secs_f64()).min(1.0),
        cpu_pressure_share,
    })
}

/// Microseconds since boot in which some task waited for a core.
fn waited_us() -> Option<u64> {
    parse_pressure(&std::fs::read_to_string(PRESSURE).ok()?)
}

/// The figure `total` of the line `some`.
fn parse_pressure(text: &str) -> Option<u64> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    some.split_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_read_from_the_line_of_some_tasks() {
        let text =
            "some avg10=1.53 avg60=0.87 avg300=0.73 total=65265221\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        assert_eq!(parse_pressure(text), Some(65_265_221));
        assert_eq!(parse_pressure("full total=7"), None);
    }

    #[test]
    fn a_machine_is_saturated_if_stalls_take_more_than_a_twentieth_of_the_run() {
        let load = |stalls: usize| {
            let mut late = vec![Duration::from_millis(2); 500];
            late.extend(vec![Duration::from_millis(300); stalls]);
            summary(late, Duration::from_secs(10), None).unwrap()
        };
        assert_eq!(load(1).fault(), None);
        let fault = load(2).fault().unwrap();
        assert!(fault.contains("6 %") && fault.contains("300 ms"), "{fault}");
        assert_eq!(load(2).timer_late_p99_ms, 2.0);
        // A run of a second in which one timer was late.
        let short = summary(vec![Duration::from_millis(110)], Duration::from_secs(1), None).unwrap();
        assert_eq!(short.fault(), None);
        assert_eq!(summary(Vec::new(), Duration::from_secs(1), None), None);
    }

    #[test]
    fn an_observation_ends_when_it_is_asked_to() {
        let monitor = LoadMonitor::begin().unwrap();
        while monitor.began.elapsed() < 3 * TICK {
            std::thread::yield_now();
        }
        assert!(monitor.finish().is_some_and(|load| load.cores > 0));
    }
}
