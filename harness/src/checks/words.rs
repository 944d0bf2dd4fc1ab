//! The words of a check, each with its place in the text.

use std::ops::Range;

use crate::plan::{Measure, Selection, Statistic};
use crate::topology::check::NetworkNames;
use crate::topology::diagnostics::{quoted, suggestion};
use crate::topology::units::{hundredth, is_plain_number};

/// What is wrong with a check, and where in its text.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) at: Range<usize>,
    pub(crate) what: String,
    pub(crate) help: Option<String>,
}

/// Names that a check can use.
#[derive(Debug)]
pub(crate) struct Names<'n> {
    pub(crate) networks: &'n NetworkNames,
    /// Names of node groups.
    pub(crate) groups: &'n [&'n str],
}

/// A word and its place in the text.
pub(crate) type Word<'t> = (&'t str, Range<usize>);

/// The words of a part of `text`.
pub(super) fn words(text: &str, range: Range<usize>) -> Vec<Word<'_>> {
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

/// `measure`, if no word follows.
pub(super) fn nothing_more(measure: Measure, rest: &[Word<'_>]) -> Result<Measure, Fault> {
    match rest {
        [] => Ok(measure),
        [word, ..] => Err(unexpected(word, "compare the measure here, such as persistence >= 99%")),
    }
}

/// A word that has no meaning in its place.
pub(super) fn unexpected((word, at): &Word<'_>, help: &str) -> Fault {
    Fault { at: at.clone(), what: format!("{} has no meaning here", quoted(word)), help: Some(help.to_owned()) }
}

/// Whether a word has the form of a quantile: `p95`.
pub(super) fn is_quantile(word: &str) -> bool {
    word.strip_prefix('p').is_some_and(is_plain_number)
}

/// A quantile (0..1) from a word for which [`is_quantile`] holds.
pub(super) fn quantile((word, at): &Word<'_>) -> Result<f64, Fault> {
    let quantile = hundredth(&word[1..]);
    if quantile <= 0.0 || quantile > 1.0 {
        let help = Some("expected a quantile above p0 and up to p100, such as p95".to_owned());
        return Err(Fault { at: at.clone(), what: format!("there is no quantile {}", quoted(word)), help });
    }
    Ok(quantile)
}

/// A measure of this name, or a percentile of what it measures.
pub(super) fn main_or_quantile(name: &'static str, rest: &[Word<'_>]) -> Result<Measure, Fault> {
    match rest {
        [word, more @ ..] if is_quantile(word.0) => {
            nothing_more(Measure::new(name, Statistic::Quantile(quantile(word)?)), more)
        }
        more => nothing_more(Measure::new(name, Statistic::Main), more),
    }
}

/// Adds `[from NAME] [to NAME]` to a measure. `select` gets the word before the name, and the name if there is one.
pub(super) fn from_to(
    measure: Measure,
    rest: &[Word<'_>],
    help: &str,
    select: impl Fn(&Word<'_>, Option<&Word<'_>>) -> Result<Selection, Fault>,
) -> Result<Measure, Fault> {
    let mut measure = measure;
    for pair in rest.chunks(2) {
        let end = match pair[0].0 {
            "from" if measure.from.is_none() => &mut measure.from,
            "to" if measure.to.is_none() => &mut measure.to,
            _ => return Err(unexpected(&pair[0], help)),
        };
        *end = Some(select(&pair[0], pair.get(1))?);
    }
    Ok(measure)
}

/// A node group by its name.
pub(super) fn group(before: &Word<'_>, name: Option<&Word<'_>>, groups: &[&str]) -> Result<Selection, Fault> {
    let Some((name, at)) = name else {
        let example = groups.first().unwrap_or(&"a");
        return Err(no_name("a node group", before, format!("such as direct {} {example}", before.0)));
    };
    let known = groups.iter().find(|known| *known == name);
    known.map(|name| Selection::Group((*name).to_owned())).ok_or_else(|| Fault {
        at: at.clone(),
        what: format!("there is no node group {}", quoted(name)),
        help: suggestion(name, groups.iter().copied(), "node groups"),
    })
}

/// Networks by their name.
pub(super) fn network(before: &Word<'_>, name: Option<&Word<'_>>, networks: &NetworkNames) -> Result<Selection, Fault> {
    let Some((name, at)) = name else {
        let example = networks.names().next().unwrap_or("alpha");
        return Err(no_name("a network", before, format!("such as retrieval {} {example}", before.0)));
    };
    networks.find(name).map(Selection::Networks).ok_or_else(|| Fault {
        at: at.clone(),
        what: format!("there is no network {}", quoted(name)),
        help: networks.suggestion(name),
    })
}

fn no_name(what: &str, (before, at): &Word<'_>, help: String) -> Fault {
    Fault { at: at.clone(), what: format!("{what} is missing after '{before}'"), help: Some(help) }
}
