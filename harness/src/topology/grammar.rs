//! Checks: `persistence >= 99%`, `retrieval from gamma to alpha >= 95%`, `direct from a to b >= 95%`, `recovered p50 <= 5s`,
//! `metric max(butter_known_hosts) <= 64`.

use std::ops::Range;

use butter::core::stats::{InstrumentKind, Stats};

use super::check::NetworkNames;
use super::diagnostics::{quoted, suggestion};
use super::units::{Size, Time, Unit, any_share, hundredth, is_plain_number};
use crate::plan::{Aggregate, Check, Comparison, Measure, NetworkRange};

/// Metrics of routers begin so.
pub(crate) const ROUTER_METRICS: &str = "butter_router_";

/// What is wrong with a check, and where in its text.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) at: Range<usize>,
    pub(crate) what: String,
    pub(crate) help: Option<String>,
}

/// What a check can name.
#[derive(Debug)]
pub(crate) struct Names<'n> {
    pub(crate) networks: &'n NetworkNames,
    /// Node groups.
    pub(crate) groups: &'n [&'n str],
}

const MEASURES: [&str; 8] = ["persistence", "stored", "copies", "retrieval", "linked", "direct", "recovered", "metric"];
const AGGREGATES: [(&str, Aggregate); 4] =
    [("max", Aggregate::Max), ("min", Aggregate::Min), ("avg", Aggregate::Avg), ("sum", Aggregate::Sum)];
/// Longer ones first, so that `>=` is not read as `>`.
const COMPARISONS: [(&str, Comparison); 5] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    ("==", Comparison::Equal),
    (">", Comparison::Above),
    ("<", Comparison::Below),
];

/// Reads a check.
pub(crate) fn parse(text: &str, line: usize, names: &Names<'_>) -> Result<Check, Fault> {
    let (measured, comparison, bound) = split(text)?;
    let measure = measure(text, measured.clone(), names)?;
    let value = bound_value(&measure, &text[bound.clone()]).map_err(|(why, help)| Fault {
        at: bound.clone(),
        what: format!("{} is no bound for {}: {why}", quoted(&text[bound.clone()]), &text[measured.clone()]),
        help: Some(help),
    })?;
    possible(&measure, comparison, value).map_err(|(what, help)| Fault {
        at: 0..text.len(),
        what: format!("{} {what}", quoted(text)),
        help: Some(help),
    })?;
    Ok(Check { text: text.to_owned(), line, measure, comparison, bound: value })
}

/// What is measured, how it is compared, and the bound.
fn split(text: &str) -> Result<(Range<usize>, Comparison, Range<usize>), Fault> {
    let whole = |what: &str| Fault {
        at: 0..text.len(),
        what: what.to_owned(),
        help: Some("such as persistence >= 99%, with >=, >, <=, < or ==".into()),
    };
    let start = text.find(['<', '>', '=', '!']).ok_or_else(|| whole("this check compares nothing"))?;
    let operator = text[start..].find(|c| !"<>=!".contains(c)).map_or(&text[start..], |end| &text[start..start + end]);
    let Some((_, comparison)) = COMPARISONS.iter().find(|(written, _)| *written == operator) else {
        return Err(Fault {
            at: start..start + operator.len(),
            what: format!("{} compares nothing", quoted(operator)),
            help: Some("compare with >=, >, <=, < or ==".into()),
        });
    };
    let measured = trimmed(text, 0..start);
    let bound = trimmed(text, start + operator.len()..text.len());
    if measured.is_empty() {
        return Err(whole("this check measures nothing"));
    }
    if bound.is_empty() {
        return Err(whole("this check has no bound"));
    }
    Ok((measured, *comparison, bound))
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let start = range.start + part.len() - part.trim_start().len();
    start..start + part.trim().len()
}

/// A word and where it is.
type Word<'t> = (&'t str, Range<usize>);

fn words(text: &str, range: Range<usize>) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut at = range.start;
    for word in text[range].split(char::is_whitespace) {
        if !word.is_empty() {
            words.push((word, at..at + word.len()));
        }
        // Every blank that can stand in a line of a topology has its own length.
        at += word.len() + text[at + word.len()..].chars().next().map_or(0, char::len_utf8);
    }
    words
}

fn measure(text: &str, range: Range<usize>, names: &Names<'_>) -> Result<Measure, Fault> {
    let words = words(text, range.clone());
    let ((first, first_at), rest) = words.split_first().expect("a measure that is not empty has a word");
    match *first {
        "persistence" => alone(Measure::Persistence, rest),
        "stored" => alone(Measure::Stored, rest),
        "copies" => alone(Measure::Copies, rest),
        "retrieval" => retrieval(rest, names.networks),
        "linked" => linked(rest, false, names.groups),
        "direct" => linked(rest, true, names.groups),
        "recovered" => recovered(rest),
        "metric" => metric(rest, range.end),
        other => Err(Fault {
            at: first_at.clone(),
            what: format!("nothing is measured under the name {}", quoted(other)),
            help: suggestion(other, MEASURES, "there are"),
        }),
    }
}

fn alone(measure: Measure, rest: &[Word<'_>]) -> Result<Measure, Fault> {
    match rest {
        [] => Ok(measure),
        [(word, at), ..] => {
            let help = "it is compared at once, such as persistence >= 99%".to_owned();
            Err(Fault { at: at.clone(), what: format!("{} has no meaning here", quoted(word)), help: Some(help) })
        }
    }
}

fn retrieval(rest: &[Word<'_>], networks: &NetworkNames) -> Result<Measure, Fault> {
    match rest {
        [] => return Ok(Measure::Retrieval { from: None, to: None }),
        [("in", _), ("every", _), ("cell", _), more @ ..] => return alone(Measure::RetrievalWorstCell, more),
        [("messages", _), more @ ..] => return alone(Measure::RetrievalMessages, more),
        [(word, at), more @ ..] if is_quantile(word) => {
            return alone(Measure::RetrievalLatency { quantile: quantile(word, at)? }, more);
        }
        _ => {}
    }
    let help = "retrieval [from NETWORK] [to NETWORK], retrieval in every cell, retrieval p95, or retrieval messages";
    let (from, to) = ends(rest, help, |name, before| network(name, before, networks))?;
    Ok(Measure::Retrieval { from, to })
}

/// Of links; only of those without a relay if `direct`.
fn linked(rest: &[Word<'_>], direct: bool, groups: &[&str]) -> Result<Measure, Fault> {
    match rest {
        [] => return Ok(Measure::Linked { direct, from: None, to: None }),
        [("in", _), ("every", _), ("cell", _), more @ ..] => return alone(Measure::LinkedWorstCell { direct }, more),
        [(word, at), more @ ..] if is_quantile(word) => {
            return alone(Measure::LinkedAfter { direct, quantile: quantile(word, at)? }, more);
        }
        _ => {}
    }
    let help = "linked or direct, then nothing, [from GROUP] [to GROUP], in every cell, or p95";
    let (from, to) = ends(rest, help, |name, before| group(name, before, groups))?;
    Ok(Measure::Linked { direct, from, to })
}

/// Of links over NATs that were rebound.
fn recovered(rest: &[Word<'_>]) -> Result<Measure, Fault> {
    match rest {
        [(word, at), more @ ..] if is_quantile(word) => {
            alone(Measure::RecoveredAfter { quantile: quantile(word, at)? }, more)
        }
        more => alone(Measure::Recovered, more),
    }
}

fn quantile(word: &str, at: &Range<usize>) -> Result<f64, Fault> {
    let quantile = hundredth(&word[1..]);
    if quantile <= 0.0 || quantile > 1.0 {
        let help = Some("such as p95".to_owned());
        return Err(Fault { at: at.clone(), what: format!("there is no quantile {}", quoted(word)), help });
    }
    Ok(quantile)
}

/// `[from NAME] [to NAME]`; `read` gets the name, if there is one, and the word before it.
fn ends<T>(
    rest: &[Word<'_>],
    help: &str,
    read: impl Fn(Option<&Word<'_>>, &Word<'_>) -> Result<T, Fault>,
) -> Result<(Option<T>, Option<T>), Fault> {
    let (mut from, mut to) = (None, None);
    for pair in rest.chunks(2) {
        let (word, at) = &pair[0];
        let end = match *word {
            "from" if from.is_none() => &mut from,
            "to" if to.is_none() => &mut to,
            other => {
                let what = format!("{} has no meaning here", quoted(other));
                return Err(Fault { at: at.clone(), what, help: Some(help.to_owned()) });
            }
        };
        *end = Some(read(pair.get(1), &pair[0])?);
    }
    Ok((from, to))
}

fn group(word: Option<&Word<'_>>, (before, before_at): &Word<'_>, groups: &[&str]) -> Result<String, Fault> {
    let Some((name, at)) = word else {
        let help = Some(format!("such as direct {before} {}", groups.first().unwrap_or(&"a")));
        return Err(Fault { at: before_at.clone(), what: format!("a node group is missing after '{before}'"), help });
    };
    groups.iter().find(|known| *known == name).map(|name| (*name).to_owned()).ok_or_else(|| Fault {
        at: at.clone(),
        what: format!("there is no node group {}", quoted(name)),
        help: suggestion(name, groups.iter().copied(), "node groups"),
    })
}

fn network(
    word: Option<&Word<'_>>,
    (before, before_at): &Word<'_>,
    networks: &NetworkNames,
) -> Result<NetworkRange, Fault> {
    let Some((name, at)) = word else {
        let help = Some(format!("such as retrieval {before} {}", networks.names().next().unwrap_or("alpha")));
        return Err(Fault { at: before_at.clone(), what: format!("a network is missing after '{before}'"), help });
    };
    networks.find(name).ok_or_else(|| Fault {
        at: at.clone(),
        what: format!("there is no network {}", quoted(name)),
        help: networks.suggestion(name),
    })
}

fn is_quantile(word: &str) -> bool {
    word.strip_prefix('p').is_some_and(is_plain_number)
}

/// `max(NAME)`, blanks allowed.
fn metric(rest: &[Word<'_>], end: usize) -> Result<Measure, Fault> {
    let at = rest.first().map_or(end..end, |(_, first)| first.start..end);
    let written: String = rest.iter().map(|(word, _)| *word).collect();
    let call = written.strip_suffix(')').and_then(|call| call.split_once('('));
    let fault = |what: String, help: Option<String>| Fault { at: at.clone(), what, help };
    let Some((over, name)) = call else {
        let help = "such as metric max(butter_known_hosts) <= 64".to_owned();
        return Err(fault("a metric is written max(NAME), or with min, avg or sum".into(), Some(help)));
    };
    let Some((_, over)) = AGGREGATES.iter().find(|(known, _)| *known == over) else {
        let help = suggestion(over, AGGREGATES.iter().map(|(name, _)| *name), "there are");
        return Err(fault(format!("there is no {} of a metric", quoted(over)), help));
    };
    known_metric(name).map_err(|(what, help)| fault(what, help))?;
    Ok(Measure::Metric { name: name.to_owned(), over: *over })
}

/// Names of all series that nodes expose and a check can use.
fn known_metrics() -> Vec<(&'static str, InstrumentKind)> {
    let mut names = Vec::new();
    Stats::default().each(|instrument, _, _| {
        if names.last() != Some(&(instrument.name, instrument.kind)) {
            names.push((instrument.name, instrument.kind));
        }
    });
    names
}

fn known_metric(name: &str) -> Result<(), (String, Option<String>)> {
    if name.starts_with(ROUTER_METRICS) && name.len() > ROUTER_METRICS.len() {
        return Ok(());
    }
    let known = known_metrics();
    let base = ["_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    if let Some(base) = base
        && known.contains(&(base, InstrumentKind::Histogram))
    {
        return Ok(());
    }
    match known.iter().find(|(known, _)| *known == name) {
        Some((_, InstrumentKind::Histogram)) => {
            let help = format!("compare {name}_sum or {name}_count");
            Err((format!("{} is a histogram and has no one value", quoted(name)), Some(help)))
        }
        Some(_) => Ok(()),
        None => {
            let help = suggestion(name, known.iter().map(|(name, _)| *name), "metrics");
            Err((format!("nodes have no metric {}", quoted(name)), help))
        }
    }
}

/// The bound in the unit of what is measured. With what is wrong, and what would be right.
fn bound_value(measure: &Measure, text: &str) -> Result<f64, (String, String)> {
    let number = || text.parse().ok().filter(|_| is_plain_number(text)).ok_or_else(|| "it is not a number".to_owned());
    match measure {
        measure if is_share(measure) => any_share(text).map_err(|why| (why, "a share, such as 99% or 9/10".into())),
        Measure::RetrievalLatency { .. } | Measure::LinkedAfter { .. } | Measure::RecoveredAfter { .. } => {
            Time::parse(text)
                .map(|Time(time)| time.as_secs_f64())
                .map_err(|why| (why, "a duration, such as 500ms or 2s".into()))
        }
        Measure::Copies | Measure::RetrievalMessages => number().map_err(|why| (why, "such as 3.2".into())),
        Measure::Metric { name, .. } if name.contains("_seconds") && !name.ends_with("_count") => number()
            .or_else(|_| Time::parse(text).map(|Time(time)| time.as_secs_f64()))
            .map_err(|why| (why, "a number of seconds, or a duration such as 2s".into())),
        Measure::Metric { name, .. } if name.contains("_bytes") => number()
            .or_else(|_| Size::parse(text).map(|Size(size)| size as f64))
            .map_err(|why| (why, "a number of bytes, or a size such as 64MiB".into())),
        _ => number().map_err(|why| (why, "such as 64".into())),
    }
}

/// Whether it lies between nothing and all.
fn is_share(measure: &Measure) -> bool {
    match measure {
        Measure::Persistence | Measure::Stored | Measure::Retrieval { .. } | Measure::RetrievalWorstCell => true,
        Measure::Linked { .. } | Measure::LinkedWorstCell { .. } | Measure::Recovered => true,
        Measure::Copies | Measure::RetrievalLatency { .. } | Measure::RetrievalMessages => false,
        Measure::LinkedAfter { .. } | Measure::RecoveredAfter { .. } | Measure::Metric { .. } => false,
    }
}

/// Whether a run could pass the check, and another fail it.
fn possible(measure: &Measure, comparison: Comparison, bound: f64) -> Result<(), (&'static str, String)> {
    let is_share = is_share(measure);
    let most = if is_share { 1.0 } else { f64::INFINITY };
    let (never, always) = match comparison {
        Comparison::AtLeast => (bound > most, bound <= 0.0),
        Comparison::Above => (bound >= most, false),
        Comparison::AtMost => (false, bound >= most),
        Comparison::Below => (bound <= 0.0, bound > most),
        Comparison::Equal => (bound > most, false),
    };
    let range = if is_share { "it lies between 0% and 100%" } else { "it is never below 0" };
    if never {
        return Err(("can never hold", range.into()));
    }
    if always { Err(("always holds, so it checks nothing", range.into())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::fields::Spanned;

    fn check(text: &str) -> Result<(Measure, Comparison, f64), String> {
        let name = |name: &str| Spanned { value: name.to_owned(), span: 0..0 };
        let names = [(name("alpha"), None), (name("gamma"), None), (name("home"), Some(3))];
        let networks = NetworkNames::new(names.iter().enumerate().map(|(i, (name, count))| (i, name, *count)));
        parse(text, 1, &Names { networks: &networks, groups: &["a", "upnp"] })
            .map(|check| (check.measure, check.comparison, check.bound))
            .map_err(|fault| {
                assert!(text.is_char_boundary(fault.at.start) && text.is_char_boundary(fault.at.end), "{fault:?}");
                format!("{}|{}|{}", &text[fault.at.clone()], fault.what, fault.help.unwrap_or_default())
            })
    }

    #[test]
    fn every_measure_is_read() {
        use Comparison::{Above, AtLeast, AtMost, Equal};
        let retrieval = |from, to| Measure::Retrieval { from, to };
        let (alpha, gamma) = (Some(NetworkRange::new(0, 1)), Some(NetworkRange::new(1, 1)));
        let linked = |direct, from: Option<&str>, to: Option<&str>| Measure::Linked {
            direct,
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
        };
        let metric = |name: &str, over| Measure::Metric { name: name.into(), over };
        for (text, measure, comparison, bound) in [
            ("persistence >= 99%", Measure::Persistence, AtLeast, 0.99),
            ("stored == 100%", Measure::Stored, Equal, 1.0),
            ("copies<=3.2", Measure::Copies, AtMost, 3.2),
            ("retrieval > 9/10", retrieval(None, None), Above, 0.9),
            ("retrieval from gamma >= 95%", retrieval(gamma, None), AtLeast, 0.95),
            ("retrieval  from gamma to alpha >= 95%", retrieval(gamma, alpha), AtLeast, 0.95),
            ("retrieval to alpha >= 95%", retrieval(None, alpha), AtLeast, 0.95),
            ("retrieval to home >= 95%", retrieval(None, Some(NetworkRange::new(2, 3))), AtLeast, 0.95),
            ("retrieval to home-2 >= 95%", retrieval(None, Some(NetworkRange::new(3, 1))), AtLeast, 0.95),
            ("retrieval in every cell >= 99%", Measure::RetrievalWorstCell, AtLeast, 0.99),
            ("retrieval p95 <= 2s", Measure::RetrievalLatency { quantile: 0.95 }, AtMost, 2.0),
            ("retrieval p99.9 <= 250ms", Measure::RetrievalLatency { quantile: 0.999 }, AtMost, 0.25),
            ("retrieval messages <= 40", Measure::RetrievalMessages, AtMost, 40.0),
            ("linked == 100%", linked(false, None, None), Equal, 1.0),
            ("direct from a to upnp >= 95%", linked(true, Some("a"), Some("upnp")), AtLeast, 0.95),
            ("linked in every cell >= 99%", Measure::LinkedWorstCell { direct: false }, AtLeast, 0.99),
            ("recovered == 100%", Measure::Recovered, Equal, 1.0),
            ("recovered p50 <= 5s", Measure::RecoveredAfter { quantile: 0.5 }, AtMost, 5.0),
            ("direct p50 <= 1s", Measure::LinkedAfter { direct: true, quantile: 0.5 }, AtMost, 1.0),
            ("metric max(butter_known_hosts) <= 64", metric("butter_known_hosts", Aggregate::Max), AtMost, 64.0),
            (
                "metric sum( butter_stored_bytes ) <= 1KiB",
                metric("butter_stored_bytes", Aggregate::Sum),
                AtMost,
                1024.0,
            ),
            ("metric avg(butter_router_x) <= 1", metric("butter_router_x", Aggregate::Avg), AtMost, 1.0),
        ] {
            assert_eq!(check(text), Ok((measure, comparison, bound)), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_underlined_and_put_right() {
        for (text, expected) in [
            (
                "persistense >= 99%",
                "persistense|nothing is measured under the name 'persistense'|did you mean 'persistence'?",
            ),
            ("persistence => 99%", "=>|'=>' compares nothing|compare with >=, >, <=, < or =="),
            (
                "persistence >= 99",
                "99|'99' is no bound for persistence: its '%' is missing|a share, such as 99% or 9/10",
            ),
            (
                "persistence >= 120%",
                "persistence >= 120%|'persistence >= 120%' can never hold|it lies between 0% and 100%",
            ),
            (
                "retrieval >= 0%",
                "retrieval >= 0%|'retrieval >= 0%' always holds, so it checks nothing|it lies between 0% and 100%",
            ),
            ("retrieval from gama >= 9%", "gama|there is no network 'gama'|did you mean 'gamma'?"),
            (
                "retrieval from home-4 >= 9%",
                "home-4|there is no network 'home-4'|the networks of 'home' are home-1 to home-3",
            ),
            ("retrieval from >= 9%", "from|a network is missing after 'from'|such as retrieval from alpha"),
            ("direct from home >= 9%", "home|there is no node group 'home'|node groups: a, upnp"),
            ("linked to >= 9%", "to|a node group is missing after 'to'|such as direct to a"),
            (
                "linked p50 <= 9%",
                "9%|'9%' is no bound for linked p50: invalid character at 1|a duration, such as 500ms or 2s",
            ),
            (
                "retrieval p95 <= 2",
                "2|'2' is no bound for retrieval p95: its unit is missing|a duration, such as 500ms or 2s",
            ),
            (
                "metric max(butter_knwon_hosts) <= 64",
                "max(butter_knwon_hosts)|nodes have no metric 'butter_knwon_hosts'|did you mean 'butter_known_hosts'?",
            ),
            (
                "metric max(butter_retrieval_seconds) <= 1",
                "max(butter_retrieval_seconds)|'butter_retrieval_seconds' is a histogram and has no one value|compare butter_retrieval_seconds_sum or butter_retrieval_seconds_count",
            ),
            ("copies < 0", "copies < 0|'copies < 0' can never hold|it is never below 0"),
        ] {
            assert_eq!(check(text).unwrap_err(), expected);
        }
    }

    #[test]
    fn odd_texts_are_refused_quietly() {
        for text in
            ["", "<", "é >= é", ">= 1%", "retrieval from", "metric >= 1", "metric max( >= 1", "retrieval p0 <= 1s"]
        {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
