//! Writes Prometheus' text exposition format (version 0.0.4).

use std::fmt::Write;

use crate::series::MetricKind;

/// Content type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A text in the making. All series of a family have to follow its head.
#[derive(Debug, Default)]
pub struct ExpositionWriter(String);

impl ExpositionWriter {
    /// Writes the help and the type of a metric.
    pub fn family(&mut self, name: &str, help: &str, kind: MetricKind) {
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        let kind = kind.name();
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes everything");
    }

    /// Writes one series with its value.
    pub fn series(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(&line(name, labels, value));
        self.0.push('\n');
    }

    /// Writes a line that [`line()`] has made.
    pub fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// The whole text that was written.
    pub fn finish(self) -> String {
        self.0
    }
}

/// The line of a series, without its end.
pub fn line(name: &str, labels: &[(&str, &str)], value: f64) -> String {
    let escaped = |text: &str| text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    let value = match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    };
    if pairs.is_empty() { format!("{name} {value}") } else { format!("{name}{{{}}} {value}", pairs.join(",")) }
}
