//! How long work reports what it is doing.

/// Receives what is being done, for a user who waits.
pub trait Progress {
    /// A new activity begins, such as `starting nodes`. It has `total` parts, or an unknown number when 0.
    fn begin(&mut self, what: &str, total: u64);
    /// So many more parts are done.
    fn advance(&mut self, done: u64);
    /// Shows a line that stays: a choice made, a warning.
    fn note(&mut self, line: &str);
}
