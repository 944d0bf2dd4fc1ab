//! The queue before a rate.

/// A queue that empties at a rate, as the moment at which it will be empty.
#[derive(Debug)]
pub(super) struct Rate {
    bps: u64,
    queue_bytes: u64,
    /// In nanoseconds: a small packet on a fast link takes less than a microsecond.
    busy_until_ns: u64,
}

/// Nanoseconds that a byte takes at one bit per second.
const BIT_NS_PER_BYTE: u128 = 8_000_000_000;

impl Rate {
    /// An empty one.
    ///
    /// # Panics
    /// If the rate is zero.
    pub(super) fn new(bps: u64, queue_bytes: u64) -> Self {
        assert!(bps > 0, "a rate is at least one bit per second");
        Rate { bps, queue_bytes, busy_until_ns: 0 }
    }

    /// When a packet has left, or nothing if it does not fit.
    pub(super) fn enqueue(&mut self, now_ns: u64, bytes: usize) -> Option<u64> {
        let backlog_ns = self.busy_until_ns.saturating_sub(now_ns);
        // Compared in bits times nanoseconds, which needs no division.
        if u128::from(backlog_ns) * u128::from(self.bps) > u128::from(self.queue_bytes) * BIT_NS_PER_BYTE {
            return None;
        }
        let takes_ns = (bytes as u64).saturating_mul(BIT_NS_PER_BYTE as u64).div_ceil(self.bps);
        self.busy_until_ns = self.busy_until_ns.max(now_ns).saturating_add(takes_ns);
        Some(self.busy_until_ns)
    }
}
