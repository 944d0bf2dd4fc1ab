//! What a link does to a packet: delay, jitter, loss, rate with a bounded queue.

use std::time::Duration;

use butter::core::time::Time;
use serde::{Deserialize, Serialize};

/// How a link behaves, in one direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkConfig {
    /// One-way delay.
    pub latency: Duration,
    /// Standard deviation of the delay; packets keep their order.
    pub jitter: Duration,
    /// Share of packets lost, 0..1, independently.
    pub loss: f64,
    /// Bits per second; `None` is unbounded.
    pub rate_bps: Option<u64>,
    /// Longest queue before a rate, in bytes; what does not fit is dropped.
    pub queue_bytes: u64,
}

/// Queue before a rate where the file names none, in bytes.
pub const QUEUE_BYTES: u64 = 256 * 1024;

impl Default for LinkConfig {
    /// A perfect link.
    fn default() -> Self {
        LinkConfig {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            rate_bps: None,
            queue_bytes: QUEUE_BYTES,
        }
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transit {
    /// It arrives then.
    Arrives(Time),
    /// It does not.
    Drop(LinkDrop),
}

/// Why a link drops a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinkDrop {
    /// Bad luck.
    Lost,
    /// The queue is full.
    QueueFull,
}

/// A link with its queue and its luck.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
}

impl Link {
    /// An idle one.
    pub fn new(config: LinkConfig, _seed: u64) -> Self {
        Link { config }
    }

    /// Sends a packet of so many bytes (with its IP header).
    pub fn send(&mut self, now: Time, _bytes: usize) -> Transit {
        Transit::Arrives(now + self.config.latency)
    }
}
