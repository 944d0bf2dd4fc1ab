//! Reads Prometheus' text exposition format (version 0.0.4), from nodes and routers that may say anything.
//!
//! See <https://prometheus.io/docs/instrumenting/exposition_formats/>. Comments, `HELP` and `TYPE` are skipped and
//! timestamps dropped: whoever scrapes knows the time. Everything is bounded; nothing panics.

use std::sync::Arc;

use crate::metrics::series::Series;

/// Longest text, in bytes.
pub const TEXT_BYTES_MAX: usize = 4 << 20;
/// Most series in one text.
pub const SERIES_MAX: usize = 20_000;
/// Most labels of one series.
pub const LABELS_MAX: usize = 32;

/// Why a text is not an exposition. `line` counts from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScrapeError {
    /// Longer than [`TEXT_BYTES_MAX`].
    #[error("metrics of {0} bytes, more than {TEXT_BYTES_MAX}")]
    TooLong(usize),
    /// More than [`SERIES_MAX`].
    #[error("more than {SERIES_MAX} series")]
    TooManySeries,
    /// A line that is no sample.
    #[error("line {line} of the metrics: {what}")]
    Malformed {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        what: Flaw,
    },
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// No metric name at the beginning.
    #[error("no metric name at its beginning")]
    Name,
    /// Something else than a label name where one belongs.
    #[error("no label name where one belongs")]
    LabelName,
    /// A label without `="…"`.
    #[error("a label without a quoted value")]
    LabelValue,
    /// A backslash before something else than `\`, `"` or `n`.
    #[error("an unknown escape in a label's value")]
    Escape,
    /// No `,` or `}` after a label.
    #[error("no comma or closing brace after a label")]
    Separator,
    /// The same label twice.
    #[error("a label given twice")]
    DuplicateLabel,
    /// More than [`LABELS_MAX`].
    #[error("more than {LABELS_MAX} labels")]
    TooManyLabels,
    /// No number after the name.
    #[error("no number after the name")]
    Value,
    /// Something else than a timestamp after the value.
    #[error("something else than a timestamp after the value")]
    Timestamp,
}

/// Every series in `text`, in its order.
///
/// # Errors
/// If it is no exposition, or exceeds a bound.
pub fn parse(text: &str) -> Result<Vec<Series>, ScrapeError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(ScrapeError::TooLong(text.len()));
    }
    let mut all: Vec<Series> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_matches([' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if all.len() == SERIES_MAX {
            return Err(ScrapeError::TooManySeries);
        }
        let series = sample(line, all.last()).map_err(|what| ScrapeError::Malformed { line: index + 1, what })?;
        all.push(series);
    }
    Ok(all)
}

/// One line; shares its name with `before`, where that is the same.
fn sample(line: &str, before: Option<&Series>) -> Result<Series, Flaw> {
    let (name, rest) = identifier(line, true).ok_or(Flaw::Name)?;
    let name = match before {
        Some(before) if *before.name == *name => Arc::clone(&before.name),
        _ => Arc::from(name),
    };
    let rest = skip_blank(rest);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    let mut words = rest.split_ascii_whitespace();
    let value = words.next().and_then(number).ok_or(Flaw::Value)?;
    if words.next().is_some_and(|stamp| stamp.parse::<i64>().is_err()) || words.next().is_some() {
        return Err(Flaw::Timestamp);
    }
    Ok(Series { name, labels, value })
}

/// Labels and their values, in order.
type Labels = Vec<(Arc<str>, Arc<str>)>;

/// What stands after `{`, up to and with `}`; and what follows. A comma before `}` is allowed.
fn labels(mut rest: &str) -> Result<(Labels, &str), Flaw> {
    let mut labels = Labels::new();
    loop {
        rest = skip_blank(rest);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        if labels.len() == LABELS_MAX {
            return Err(Flaw::TooManyLabels);
        }
        let (name, after) = identifier(rest, false).ok_or(Flaw::LabelName)?;
        if labels.iter().any(|(known, _)| **known == *name) {
            return Err(Flaw::DuplicateLabel);
        }
        let after = skip_blank(after).strip_prefix('=').ok_or(Flaw::LabelValue)?;
        let (value, after) = quoted(skip_blank(after))?;
        labels.push((Arc::from(name), Arc::from(value)));
        rest = skip_blank(after);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return Err(Flaw::Separator),
        }
    }
}

/// A quoted text without its quotes and escapes, and what follows.
fn quoted(text: &str) -> Result<(String, &str), Flaw> {
    let inside = text.strip_prefix('"').ok_or(Flaw::LabelValue)?;
    let mut value = String::new();
    let mut characters = inside.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &inside[at + 1..])),
            '\\' => value.push(match characters.next() {
                Some((_, '\\')) => '\\',
                Some((_, '"')) => '"',
                Some((_, 'n')) => '\n',
                _ => return Err(Flaw::Escape),
            }),
            other => value.push(other),
        }
    }
    Err(Flaw::LabelValue)
}

/// The name at the beginning, and what follows. Metric names may hold colons, label names may not.
fn identifier(text: &str, colons: bool) -> Option<(&str, &str)> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (colons && byte == b':');
    let end = text.bytes().position(|byte| !fits(byte)).unwrap_or(text.len());
    let starts = text.bytes().next().is_some_and(|byte| fits(byte) && !byte.is_ascii_digit());
    starts.then(|| text.split_at(end))
}

/// A number as Go writes it: Rust reads those, `+Inf` and `NaN` too.
fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn skip_blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series(name: &str, labels: &[(&str, &str)], value: f64) -> Series {
        let labels = labels.iter().map(|&(name, value)| (Arc::from(name), Arc::from(value))).collect();
        Series { name: Arc::from(name), labels, value }
    }

    fn flaw(line: &str) -> Flaw {
        match parse(&format!("up 1\n{line}\n")) {
            Err(ScrapeError::Malformed { line: 2, what }) => what,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_formats_own_example_is_read() {
        let text = r#"
# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9
metric_without_timestamp_and_labels 12.47
something_weird{problem="division by zero"} +Inf -3982045
http_request_duration_seconds_bucket{le="+Inf",} 144320
"#;
        let expected = [
            series("http_requests_total", &[("method", "post"), ("code", "200")], 1027.0),
            series(
                "msdos_file_access_time_seconds",
                &[("path", "C:\\DIR\\FILE.TXT"), ("error", "Cannot find file:\n\"FILE.TXT\"")],
                1.458_255_915e9,
            ),
            series("metric_without_timestamp_and_labels", &[], 12.47),
            series("something_weird", &[("problem", "division by zero")], f64::INFINITY),
            series("http_request_duration_seconds_bucket", &[("le", "+Inf")], 144_320.0),
        ];
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn blanks_and_unusual_numbers_are_read() {
        let read = parse("a { b = \"c\" , } -Inf\r\n\tx:y\tNaN\nz{}1e3").unwrap();
        assert_eq!(read[0], series("a", &[("b", "c")], f64::NEG_INFINITY));
        assert!(read[1].value.is_nan() && &*read[1].name == "x:y");
        assert_eq!(read[2], series("z", &[], 1000.0));
    }

    #[test]
    fn each_flaw_is_told_with_its_line() {
        assert_eq!(flaw("9a 1"), Flaw::Name);
        assert_eq!(flaw("{a=\"b\"} 1"), Flaw::Name);
        assert_eq!(flaw("a{1=\"b\"} 1"), Flaw::LabelName);
        assert_eq!(flaw("a{b:c=\"d\"} 1"), Flaw::LabelValue);
        assert_eq!(flaw("a{b} 1"), Flaw::LabelValue);
        assert_eq!(flaw("a{b=c} 1"), Flaw::LabelValue);
        assert_eq!(flaw("a{b=\"c} 1"), Flaw::LabelValue);
        assert_eq!(flaw("a{b=\"\\t\"} 1"), Flaw::Escape);
        assert_eq!(flaw("a{b=\"\\"), Flaw::Escape);
        assert_eq!(flaw("a{b=\"c\" d=\"e\"} 1"), Flaw::Separator);
        assert_eq!(flaw("a{b=\"c\",b=\"d\"} 1"), Flaw::DuplicateLabel);
        assert_eq!(flaw("a"), Flaw::Value);
        assert_eq!(flaw("a one"), Flaw::Value);
        assert_eq!(flaw("a 1 soon"), Flaw::Timestamp);
        assert_eq!(flaw("a 1 2 3"), Flaw::Timestamp);
        let many: String = (0..=LABELS_MAX).map(|i| format!("l{i}=\"\",")).collect();
        assert_eq!(flaw(&format!("a{{{many}}} 1")), Flaw::TooManyLabels);
    }

    #[test]
    fn the_bounds_hold() {
        assert_eq!(parse(&"a 1\n".repeat(SERIES_MAX)).unwrap().len(), SERIES_MAX);
        assert_eq!(parse(&"a 1\n".repeat(SERIES_MAX + 1)), Err(ScrapeError::TooManySeries));
        assert_eq!(parse(&"#".repeat(TEXT_BYTES_MAX + 1)), Err(ScrapeError::TooLong(TEXT_BYTES_MAX + 1)));
    }

    fn escaped(value: &str) -> String {
        value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn nothing_that_looks_like_metrics_makes_it_panic(text in "([a-c_:0-9{}=\",\\\\n #é+.-]{0,40}\n){0,8}") {
            let _ = parse(&text);
        }

        #[test]
        fn whatever_is_written_is_read_back(
            name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,20}",
            labels in prop::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,10}", "[^\r]{0,20}", 0..6),
            value in prop::num::f64::ANY,
        ) {
            let inside: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let read = parse(&format!("{name}{{{}}} {value:?}\n", inside.join(","))).unwrap();
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(&*read[0].name, name.as_str());
            let seen: Vec<_> = read[0].labels.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            prop_assert_eq!(seen, labels.into_iter().collect::<Vec<_>>());
            prop_assert!(read[0].value == value || (read[0].value.is_nan() && value.is_nan()));
        }
    }
}
