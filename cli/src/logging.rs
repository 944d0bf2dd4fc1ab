//! The log of a program, on standard error, filtered by a variable.

use std::ffi::OsString;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::output;

/// A variable that is no log filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid value `{value}` for {variable}: {reason}; expected levels such as `info` or `warn,butter=debug`")]
pub struct LogFilterError {
    variable: &'static str,
    value: String,
    reason: String,
}

/// Starts the log with the filter of the variable, or with `default` if the variable is unset or empty.
///
/// # Errors
/// If the variable is no log filter.
pub fn start(variable: &'static str, value: Option<OsString>, default: &str) -> Result<(), LogFilterError> {
    let value = value.filter(|value| !value.is_empty());
    let value = value.map_or_else(|| default.to_owned(), |value| value.to_string_lossy().into_owned());
    let filter = parse(&value).map_err(|reason| LogFilterError { variable, value, reason })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(output::stderr().color)
        // A log that cannot be written may not end the program.
        .log_internal_errors(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(())
}

/// A log filter, as an option takes it.
///
/// # Errors
/// If the text is none.
pub fn filter(text: &str) -> Result<String, String> {
    match parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(reason) => Err(format!("{reason}; expected levels such as `info` or `warn,butter=debug`")),
    }
}

/// Checks a filter for another program, such as one that inherits the variable.
///
/// # Errors
/// If the variable is no log filter.
pub fn check(variable: &'static str, value: Option<OsString>) -> Result<(), LogFilterError> {
    let value = value.map(|value| value.to_string_lossy().into_owned()).unwrap_or_default();
    parse(&value).map(drop).map_err(|reason| LogFilterError { variable, value, reason })
}

/// `LEVEL` or `TARGET=LEVEL`, separated by commas. A target alone is refused: it is more likely a misspelt level.
fn parse(text: &str) -> Result<Targets, String> {
    let mut filter = Targets::new();
    for directive in text.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        filter = match directive.split_once('=') {
            Some((target, level)) => filter.with_target(target.trim(), parse_level(level)?),
            None => filter.with_default(parse_level(directive)?),
        };
    }
    Ok(filter)
}

fn parse_level(text: &str) -> Result<LevelFilter, String> {
    text.trim().parse().map_err(|_| format!("`{}` is none of off, error, warn, info, debug, trace", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_take_levels_and_levels_of_targets() {
        let filter = parse("warn, butter=DEBUG,quinn_udp=off").unwrap();
        assert!(filter.would_enable("butter::core", &tracing::Level::DEBUG));
        assert!(!filter.would_enable("hyper", &tracing::Level::INFO));
        assert!(!filter.would_enable("quinn_udp", &tracing::Level::ERROR));
    }

    #[test]
    fn misspelt_levels_are_refused() {
        for text in ["inffo", "butter=loud", "info,debgu"] {
            assert!(parse(text).unwrap_err().contains("is none of off, error"), "{text}");
        }
    }
}
