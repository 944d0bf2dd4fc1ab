//! Parsers of values, for options and variables alike. Each error says what was expected.

use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Words that switch something on, in lower case.
const ON: [&str; 4] = ["true", "yes", "on", "1"];
/// Words that switch something off, in lower case.
const OFF: [&str; 4] = ["false", "no", "off", "0"];

/// A switch, in any case of letters.
///
/// # Errors
/// If the text is no such word.
pub fn switch(text: &str) -> Result<bool, String> {
    let word = text.trim().to_ascii_lowercase();
    match (ON.contains(&word.as_str()), OFF.contains(&word.as_str())) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(format!("expected one of {} or {}", ON.join(", "), OFF.join(", "))),
    }
}

/// A parser of whole numbers in a range. A range that ends with the largest number of the type counts as open.
pub fn count<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: TryFrom<u64> + Into<u64> + Copy + Send + Sync + 'static,
{
    let (least, most) = ((*range.start()).into(), (*range.end()).into());
    move |text| {
        let number: Option<u64> = text.trim().parse().ok();
        let number =
            number.filter(|number| (least..=most).contains(number)).and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| {
            if is_open(most) { format!("expected {least} or more") } else { format!("expected {least} to {most}") }
        })
    }
}

/// Whether a bound is only that of a type.
fn is_open(most: u64) -> bool {
    [u64::from(u16::MAX), u64::from(u32::MAX), u64::MAX].contains(&most)
}

/// A part of a whole, as `5%` or `0.05`.
///
/// # Errors
/// If the text is no such part.
pub fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = text.trim().strip_suffix('%').map_or((text.trim(), 1.0), |number| (number.trim_end(), 0.01));
    let share = number.parse().ok().map(|number: f64| number * unit).filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a share from 0% to 100%, such as 5%".to_owned())
}

/// A duration of more than nothing, with its unit.
///
/// # Errors
/// If the text is no duration, or one of nothing.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text.trim()).ok().filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| "expected a duration above zero, with its unit, such as 90s or 5m".to_owned())
}

/// A socket address as `IP:PORT` or `HOST:PORT`. A name is resolved at once; of its addresses, IPv4 comes first.
///
/// # Errors
/// If the text is no such address, or the name does not resolve.
pub fn socket_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let is_host_and_port =
        |(host, port): (&str, &str)| !host.is_empty() && !host.contains(['/', ':']) && port.parse::<u16>().is_ok();
    if !text.rsplit_once(':').is_some_and(is_host_and_port) {
        return Err("expected IP:PORT or HOST:PORT, such as localhost:9464".to_owned());
    }
    let mut found: Vec<_> =
        text.to_socket_addrs().map_err(|error| format!("the name does not resolve: {error}"))?.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied().ok_or_else(|| "the name has no address".to_owned())
}

/// A setting, split at its first equals sign.
///
/// # Errors
/// If there is no key or no equals sign.
pub fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as heartbeat=2s".to_owned()),
    }
}

/// The settings of a variable: a comma starts the next one only where `KEY=` follows, so that values may hold commas.
pub fn split_settings(text: &str) -> Vec<&str> {
    let mut settings = Vec::new();
    let mut start = 0;
    for (comma, _) in text.match_indices(',') {
        if starts_setting(&text[comma + 1..]) {
            settings.push(text[start..comma].trim());
            start = comma + 1;
        }
    }
    settings.push(text[start..].trim());
    settings
}

fn starts_setting(text: &str) -> bool {
    let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    text.split_once('=').is_some_and(|(key, _)| is_key(key.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_take_the_usual_words_in_any_case() {
        for (words, on) in [(["true", "YES", "On", "1"], true), (["false", "No", "OFF", "0"], false)] {
            for word in words {
                assert_eq!(switch(word), Ok(on), "{word}");
            }
        }
        assert_eq!(switch("maybe").unwrap_err(), "expected one of true, yes, on, 1 or false, no, off, 0");
    }

    #[test]
    fn counts_outside_their_range_say_the_range() {
        assert_eq!(count(1..=100u16)("7"), Ok(7));
        for (text, range, why) in [
            ("0", 1..=100, "expected 1 to 100"),
            ("-1", 1..=100, "expected 1 to 100"),
            ("many", 2..=u16::MAX, "expected 2 or more"),
            ("70000", 2..=u16::MAX, "expected 2 or more"),
        ] {
            assert_eq!(count(range)(text).unwrap_err(), why, "{text}");
        }
        assert_eq!(count(0..=u64::MAX)("18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn shares_are_percents_or_parts_of_one() {
        assert_eq!(["5%", "0.05", "0%", "100 %"].map(share), [Ok(0.05), Ok(0.05), Ok(0.0), Ok(1.0)]);
        for text in ["101%", "-1%", "5", "", "nan"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit_and_a_length() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        for text in ["90", "0s", "-10s", ""] {
            assert!(duration(text).unwrap_err().contains("such as 90s"), "{text}");
        }
    }

    #[test]
    fn names_resolve_to_socket_addresses() {
        assert_eq!(socket_address("localhost:9464").unwrap().port(), 9464);
        assert!(socket_address("localhost:9464").unwrap().ip().is_loopback());
        assert_eq!(socket_address("[::1]:80").unwrap().to_string(), "[::1]:80");
        for text in ["localhost", "9464", ":9464", "http://localhost:9464", "localhost:many"] {
            assert!(socket_address(text).unwrap_err().starts_with("expected IP:PORT"), "{text}");
        }
    }

    #[test]
    fn settings_split_at_their_first_equals_sign() {
        assert_eq!(setting("die=1/50"), Ok(("die".to_owned(), "1/50".to_owned())));
        assert_eq!(setting("a=b=c,d"), Ok(("a".to_owned(), "b=c,d".to_owned())));
        assert!(setting("die").is_err() && setting("=1").is_err());
    }

    #[test]
    fn settings_of_a_variable_may_hold_commas() {
        assert_eq!(split_settings("die=1/50,heartbeat=2s"), ["die=1/50", "heartbeat=2s"]);
        assert_eq!(split_settings("from=a,b, to=c"), ["from=a,b", "to=c"]);
        assert_eq!(split_settings("from=a,b"), ["from=a,b"]);
    }
}
