//! Durations as text with their unit, such as `40ms`, wherever they are serialized.

use std::time::Duration;

use serde::Serializer;

/// Writes `1m 30s`, `40ms`, `0s`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&humantime::format_duration(*duration))
}
