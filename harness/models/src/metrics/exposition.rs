//! Reads Prometheus' text exposition format (version 0.0.4), from nodes and routers that may send anything.
//!
//! See <https://prometheus.io/docs/instrumenting/exposition_formats/>. Timestamps are dropped, because whoever scrapes knows
//! the time; `HELP` and `TYPE` lines that are malformed count as comments. Everything is bounded, and nothing panics.

use std::sync::Arc;

use crate::series::{MetricFamily, MetricKind, Series};

/// Longest text, in bytes.
pub const TEXT_BYTES_MAX: usize = 4 << 20;
/// Most series in one text.
pub const SERIES_MAX: usize = 20_000;
/// Most metrics of one text of which help and type are read.
pub const FAMILIES_MAX: usize = 2_000;
/// Most labels of one series.
pub const LABELS_MAX: usize = 32;

/// Everything that a text exposes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition {
    /// Help and type of the metrics that have a `HELP` or `TYPE` line, in the order of the text.
    pub families: Vec<MetricFamily>,
    /// Every series, in the order of the text.
    pub series: Vec<Series>,
}

/// Why a text is not an exposition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpositionError {
    /// The text is longer than [`TEXT_BYTES_MAX`].
    #[error("the metrics have {0} bytes: expected at most {TEXT_BYTES_MAX}")]
    TooLong(usize),
    /// The text has more series than [`SERIES_MAX`].
    #[error("the metrics have more than {SERIES_MAX} series")]
    TooManySeries,
    /// A line is no sample.
    #[error("line {line} of the metrics is malformed")]
    Malformed {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with the line.
        source: SampleError,
    },
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// The line does not begin with a metric name.
    #[error("expected a metric name at the beginning")]
    Name,
    /// Something else stands where a label name belongs.
    #[error("expected a label name")]
    LabelName,
    /// A label has no `="…"`.
    #[error("expected a quoted value for a label")]
    LabelValue,
    /// A backslash stands before something else than `\`, `"` or `n`.
    #[error("unknown escape in a label's value")]
    Escape,
    /// Neither `,` nor `}` follows a label.
    #[error("expected a comma or a closing brace after a label")]
    Separator,
    /// The same label occurs twice.
    #[error("the same label occurs twice")]
    DuplicateLabel,
    /// The series has more labels than [`LABELS_MAX`].
    #[error("more than {LABELS_MAX} labels")]
    TooManyLabels,
    /// No number follows the name and its labels.
    #[error("expected a number after the name")]
    Value,
    /// Something else than a timestamp follows the value.
    #[error("expected nothing but a timestamp after the value")]
    Timestamp,
}

/// Reads a text.
///
/// # Errors
/// If it is no exposition, or exceeds a bound.
pub fn parse(text: &str) -> Result<Exposition, ExpositionError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(ExpositionError::TooLong(text.len()));
    }
    let mut all = Exposition::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_matches([' ', '\t']);
        if let Some(comment) = line.strip_prefix('#') {
            all.describe(comment);
        } else if !line.is_empty() {
            if all.series.len() == SERIES_MAX {
                return Err(ExpositionError::TooManySeries);
            }
            let malformed = |source| ExpositionError::Malformed { line: index + 1, source };
            all.series.push(sample(line, all.series.last()).map_err(malformed)?);
        }
    }
    Ok(all)
}

impl Exposition {
    /// Takes a comment, which may give the help or the type of a metric.
    fn describe(&mut self, comment: &str) {
        let Some((keyword, rest)) = comment.trim_start().split_once([' ', '\t']) else { return };
        let Some((name, rest)) = identifier(skip_blank(rest), true) else { return };
        let value = skip_blank(rest);
        match keyword {
            "HELP" => {
                if let Some(family) = self.family(name) {
                    family.help = unescaped(value).into();
                }
            }
            "TYPE" => {
                let kinds = [MetricKind::Counter, MetricKind::Gauge, MetricKind::Histogram];
                let kind = kinds.into_iter().find(|kind| kind.name() == value.trim_end());
                if let Some(kind) = kind
                    && let Some(family) = self.family(name)
                {
                    family.kind = kind;
                }
            }
            _ => {}
        }
    }

    /// The family of this name: the last one, or a new one unless there are too many. Lines of a family follow each other.
    fn family(&mut self, name: &str) -> Option<&mut MetricFamily> {
        if self.families.last().is_none_or(|last| *last.name != *name) {
            if self.families.len() == FAMILIES_MAX {
                return None;
            }
            let new = MetricFamily { name: name.into(), help: "".into(), kind: MetricKind::Untyped };
            self.families.push(new);
        }
        self.families.last_mut()
    }
}

/// Help without its escapes.
fn unescaped(help: &str) -> String {
    let mut text = String::with_capacity(help.len());
    let mut characters = help.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => text.push('\n'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            other => text.push(other),
        }
    }
    text
}

/// One line; shares its name with `before`, where that is the same.
fn sample(line: &str, before: Option<&Series>) -> Result<Series, SampleError> {
    let (name, rest) = identifier(line, true).ok_or(SampleError::Name)?;
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
    let value = words.next().and_then(number).ok_or(SampleError::Value)?;
    if words.next().is_some_and(|stamp| stamp.parse::<i64>().is_err()) || words.next().is_some() {
        return Err(SampleError::Timestamp);
    }
    Ok(Series { name, labels, value })
}

/// Labels and their values, in order.
type Labels = Vec<(Arc<str>, Arc<str>)>;

/// What stands after `{`, up to and with `}`; and what follows. A comma before `}` is allowed.
fn labels(mut rest: &str) -> Result<(Labels, &str), SampleError> {
    let mut labels = Labels::new();
    loop {
        rest = skip_blank(rest);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        if labels.len() == LABELS_MAX {
            return Err(SampleError::TooManyLabels);
        }
        let (name, after) = identifier(rest, false).ok_or(SampleError::LabelName)?;
        if labels.iter().any(|(known, _)| **known == *name) {
            return Err(SampleError::DuplicateLabel);
        }
        let after = skip_blank(after).strip_prefix('=').ok_or(SampleError::LabelValue)?;
        let (value, after) = quoted(skip_blank(after))?;
        labels.push((Arc::from(name), Arc::from(value)));
        rest = skip_blank(after);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return Err(SampleError::Separator),
        }
    }
}

/// A quoted text without its quotes and escapes, and what follows.
fn quoted(text: &str) -> Result<(String, &str), SampleError> {
    let inside = text.strip_prefix('"').ok_or(SampleError::LabelValue)?;
    let mut value = String::new();
    let mut characters = inside.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &inside[at + 1..])),
            '\\' => value.push(match characters.next() {
                Some((_, '\\')) => '\\',
                Some((_, '"')) => '"',
                Some((_, 'n')) => '\n',
                _ => return Err(SampleError::Escape),
            }),
            other => value.push(other),
        }
    }
    Err(SampleError::LabelValue)
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

    fn error(line: &str) -> SampleError {
        match parse(&format!("up 1\n{line}\n")) {
            Err(ExpositionError::Malformed { line: 2, source }) => source,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn example_of_the_format_description_parses() {
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
        let read = parse(text).unwrap();
        assert_eq!(read.series, expected);
        let family = MetricFamily {
            name: "http_requests_total".into(),
            help: "The total number of HTTP requests.".into(),
            kind: MetricKind::Counter,
        };
        assert_eq!(read.families, [family]);
    }

    #[test]
    fn help_and_type_belong_to_the_metric_they_name() {
        let text = "# HELP a One\\n\\\\ line\n# TYPE a gauge\n# TYPE b nonsense\n#TYPE c counter\n# HELP\n# c\nd 1\n";
        let family = |name: &str, help: &str, kind| MetricFamily { name: name.into(), help: help.into(), kind };
        let expected = [family("a", "One\n\\ line", MetricKind::Gauge), family("c", "", MetricKind::Counter)];
        assert_eq!(parse(text).unwrap().families, expected);
        let many: String = (0..=FAMILIES_MAX).map(|i| format!("# TYPE m{i} gauge\n")).collect();
        assert_eq!(parse(&many).unwrap().families.len(), FAMILIES_MAX);
    }

    #[test]
    fn blanks_and_unusual_numbers_parse() {
        let read = parse("a { b = \"c\" , } -Inf\r\n\tx:y\tNaN\nz{}1e3").unwrap().series;
        assert_eq!(read[0], series("a", &[("b", "c")], f64::NEG_INFINITY));
        assert!(read[1].value.is_nan() && &*read[1].name == "x:y");
        assert_eq!(read[2], series("z", &[], 1000.0));
    }

    #[test]
    fn malformed_line_is_an_error_with_its_number() {
        assert_eq!(error("9a 1"), SampleError::Name);
        assert_eq!(error("{a=\"b\"} 1"), SampleError::Name);
        assert_eq!(error("a{1=\"b\"} 1"), SampleError::LabelName);
        assert_eq!(error("a{b:c=\"d\"} 1"), SampleError::LabelValue);
        assert_eq!(error("a{b} 1"), SampleError::LabelValue);
        assert_eq!(error("a{b=c} 1"), SampleError::LabelValue);
        assert_eq!(error("a{b=\"c} 1"), SampleError::LabelValue);
        assert_eq!(error("a{b=\"\\t\"} 1"), SampleError::Escape);
        assert_eq!(error("a{b=\"\\"), SampleError::Escape);
        assert_eq!(error("a{b=\"c\" d=\"e\"} 1"), SampleError::Separator);
        assert_eq!(error("a{b=\"c\",b=\"d\"} 1"), SampleError::DuplicateLabel);
        assert_eq!(error("a"), SampleError::Value);
        assert_eq!(error("a one"), SampleError::Value);
        assert_eq!(error("a 1 soon"), SampleError::Timestamp);
        assert_eq!(error("a 1 2 3"), SampleError::Timestamp);
        let many: String = (0..=LABELS_MAX).map(|i| format!("l{i}=\"\",")).collect();
        assert_eq!(error(&format!("a{{{many}}} 1")), SampleError::TooManyLabels);
    }

    #[test]
    fn texts_beyond_the_bounds_are_errors() {
        assert_eq!(parse(&"a 1\n".repeat(SERIES_MAX)).unwrap().series.len(), SERIES_MAX);
        assert_eq!(parse(&"a 1\n".repeat(SERIES_MAX + 1)), Err(ExpositionError::TooManySeries));
        assert_eq!(parse(&"#".repeat(TEXT_BYTES_MAX + 1)), Err(ExpositionError::TooLong(TEXT_BYTES_MAX + 1)));
    }

    fn escaped(value: &str) -> String {
        value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn no_text_like_metrics_panics(text in "([a-c_:0-9{}=\",\\\\n #é+.-]{0,40}\n){0,8}") {
            let _ = parse(&text);
        }

        #[test]
        fn written_series_reads_back(
            name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,20}",
            labels in prop::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,10}", "[^\r]{0,20}", 0..6),
            value in prop::num::f64::ANY,
        ) {
            let inside: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let read = parse(&format!("{name}{{{}}} {value:?}\n", inside.join(","))).unwrap().series;
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(&*read[0].name, name.as_str());
            let seen: Vec<_> = read[0].labels.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            prop_assert_eq!(seen, labels.into_iter().collect::<Vec<_>>());
            prop_assert!(read[0].value == value || (read[0].value.is_nan() && value.is_nan()));
        }
    }
}
