//! Reads a check: the measure by its family, a comparison, and a bound in the measure's unit.

use std::ops::Range;

use super::check::MeasureFamily;
use super::words::{Fault, Names, words};
use super::{FAMILIES, RENAMED};
use crate::plan::{Check, Comparison, Measure};
use crate::results::check_result::CheckUnit;
use crate::topology::diagnostics::{quoted, suggestion};

/// Longer ones first, so that `>=` is not read as `>`.
const COMPARISONS: [(&str, Comparison); 5] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    ("==", Comparison::Equal),
    (">", Comparison::Above),
    ("<", Comparison::Below),
];

/// Reads the check on a line of the file.
///
/// # Errors
/// If it is none, or if its bound makes it pointless.
pub(crate) fn parse(text: &str, line: usize, names: &Names<'_>) -> Result<Check, Fault> {
    let (measured, comparison, bound) = split(text)?;
    let (family, measure) = measure(text, measured.clone(), names)?;
    let value = family.bound(&measure, &text[bound.clone()]).map_err(|error| Fault {
        at: bound.clone(),
        what: format!("{} is no bound for {}: {}", quoted(&text[bound.clone()]), &text[measured.clone()], error.why),
        help: Some(error.help.to_owned()),
    })?;
    possible(family.unit(&measure), comparison, value).map_err(|(what, help)| Fault {
        at: 0..text.len(),
        what: format!("{} {what}", quoted(text)),
        help: Some(help.to_owned()),
    })?;
    Ok(Check { text: text.to_owned(), line, measure, comparison, bound: value })
}

/// The places of the measure and the bound, and the comparison between them.
fn split(text: &str) -> Result<(Range<usize>, Comparison, Range<usize>), Fault> {
    let whole = |what: &str| Fault {
        at: 0..text.len(),
        what: what.to_owned(),
        help: Some("write a measure, one of >=, >, <=, < and ==, and a bound, such as persistence >= 99%".into()),
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

fn measure(text: &str, range: Range<usize>, names: &Names<'_>) -> Result<(&'static dyn MeasureFamily, Measure), Fault> {
    let words = words(text, range);
    for family in FAMILIES {
        let name = family.name().split(' ');
        let length = name.clone().count();
        if words.len() >= length && name.eq(words[..length].iter().map(|(word, _)| *word)) {
            return Ok((family, family.parse(&words[length..], names)?));
        }
    }
    let (first, at) = words.first().expect("a measure that is not empty has a word");
    let renamed = RENAMED.iter().find(|(old, _)| old == first).map(|(_, new)| format!("did you mean '{new}'?"));
    let known = FAMILIES.iter().map(|family| family.name());
    Err(Fault {
        at: at.clone(),
        what: format!("unknown measure {}", quoted(first)),
        help: renamed.or_else(|| suggestion(first, known, "measures")),
    })
}

/// Whether one run could pass the check, and another fail it.
fn possible(unit: CheckUnit, comparison: Comparison, bound: f64) -> Result<(), (&'static str, &'static str)> {
    let is_share = unit == CheckUnit::Share;
    let most = if is_share { 1.0 } else { f64::INFINITY };
    let (never, always) = match comparison {
        Comparison::AtLeast => (bound > most, bound <= 0.0),
        Comparison::Above => (bound >= most, false),
        Comparison::AtMost => (false, bound >= most),
        Comparison::Below => (bound <= 0.0, bound > most),
        Comparison::Equal => (bound > most, false),
    };
    let range = if is_share { "a share lies between 0% and 100%" } else { "the value is never below 0" };
    match (never, always) {
        (true, _) => Err(("can never pass", range)),
        (false, true) => Err(("always passes, so it checks nothing", range)),
        (false, false) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
