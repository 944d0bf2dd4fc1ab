//! Numbers with their units, as tables and messages show them.

use crate::results::check_result::{CheckResult, CheckUnit};

/// `3 nodes`, `1 node`.
pub(crate) fn plural(count: u64, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// The value, or a dash if there is none.
pub(crate) fn optional(value: Option<f64>, show: fn(f64) -> String) -> String {
    value.map_or("–".to_owned(), show)
}

/// At most two decimals, rounded down: only a whole is shown as 100 %.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", plain((share * 10_000.0 + 1e-6).floor() / 100.0))
}

/// At most two decimals.
pub(crate) fn plain(value: f64) -> String {
    let text = format!("{value:.2}");
    text.strip_suffix(".00").map_or_else(|| text.clone(), ToOwned::to_owned)
}

/// Milliseconds below a second.
pub(crate) fn seconds(value: f64) -> String {
    if value < 1.0 { format!("{} ms", plain(value * 1e3)) } else { format!("{value:.2} s") }
}

/// A duration with three digits at most, for narrow cells.
pub(crate) fn brief_seconds(value: f64) -> String {
    if value < 0.9995 { format!("{:.0} ms", value * 1e3) } else { format!("{value:.1} s") }
}

/// The measured value of a check in its unit, or why there is none.
pub(crate) fn measured(check: &CheckResult) -> String {
    match check.value {
        Some(value) => in_unit(value, check.unit),
        None => format!("not measurable: {}", check.reason.as_deref().unwrap_or("no reason is known")),
    }
}

/// A value of a check, or its bound, in its unit.
pub(crate) fn in_unit(value: f64, unit: CheckUnit) -> String {
    match unit {
        CheckUnit::Share => percent(value),
        CheckUnit::Seconds => seconds(value),
        CheckUnit::Plain => plain(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture;

    #[test]
    fn only_a_whole_is_a_hundred_percent() {
        assert_eq!([1.0, 0.99999, 0.995, 0.0].map(percent), ["100 %", "99.99 %", "99.50 %", "0 %"]);
        assert_eq!([0.0412, 1.5, 90.0].map(seconds), ["41.20 ms", "1.50 s", "90.00 s"]);
        assert_eq!([0.0412, 0.9996].map(brief_seconds), ["41 ms", "1.0 s"]);
    }

    #[test]
    fn one_of_something_is_singular() {
        assert_eq!([0, 1, 2].map(|count| plural(count, "node")), ["0 nodes", "1 node", "2 nodes"]);
    }

    #[test]
    fn unmeasured_check_says_why() {
        let reason = Some("no snapshot of the nodes was taken".to_owned());
        let check = CheckResult { reason, ..fixture::check_result(None, false) };
        assert_eq!(measured(&check), "not measurable: no snapshot of the nodes was taken");
        assert_eq!(measured(&CheckResult { value: Some(0.5), ..check }), "50 %");
    }
}
