//! Checks: bounds for values that are measured in a run. Nothing here has seen a backend.
//!
//! Every measure is in the file of its family, behind [`check::MeasureFamily`], and in one table, [`FAMILIES`]: parsing,
//! suggestions, preconditions, evaluation and the reference come from it. A check whose value cannot be measured
//! leaves the run without a verdict, and says why.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `check` | what a family has to say of itself |
//! | `items`, `spread`, `retrieval`, `absent_keys`, `search`, `connectivity`, `rebind_recovery`, `views_connected`, `views_healed`, `repair_overhead`, `incidents`, `metric` | the families |
//! | `parse`, `words` | the text of a check: measure, comparison, bound |
//! | `evaluate` | the checks of a run, with what was measured |

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt::Write;

use crate::plan::Check;
use crate::results::connectivity::LinkClass;

mod absent_keys;
mod check;
mod connectivity;
mod evaluate;
mod incidents;
mod items;
mod metric;
mod parse;
mod rebind_recovery;
mod repair_overhead;
mod retrieval;
mod search;
mod spread;
mod views_connected;
mod views_healed;
mod words;

pub(crate) use check::Activity;
use check::{Form, MeasureFamily};
pub use evaluate::{evaluate, unmet};
pub(crate) use parse::parse;
pub(crate) use words::Names;

/// Every family of measures, in the order of the reference.
const FAMILIES: [&dyn MeasureFamily; 15] = [
    &items::Persistence,
    &items::Stored,
    &items::Copies,
    &spread::Spread,
    &retrieval::Retrieval,
    &absent_keys::AbsentKeys,
    &search::Search,
    &connectivity::Connectivity(LinkClass::Connected),
    &connectivity::Connectivity(LinkClass::Direct),
    &rebind_recovery::RebindRecovered,
    &views_connected::ViewsConnected,
    &views_healed::ViewsHealed,
    &repair_overhead::RepairOverhead,
    &incidents::Incidents,
    &metric::Metric,
];

/// Measures that had another name, or of which a word is missing: what to write instead.
const RENAMED: [(&str, &str); 4] = [
    ("linked", "connected"),
    ("recovered", "rebind recovered"),
    ("rebind", "rebind recovered"),
    ("kept", "persistence"),
];

/// Why the steps before a check leave it nothing to measure; `None` if they leave something.
pub(crate) fn missing(check: &Check, before: &Activity) -> Option<&'static str> {
    family(check.measure.family).missing(&check.measure, before)
}

/// Every form of every check.
pub(crate) fn forms() -> impl Iterator<Item = &'static Form> {
    FAMILIES.iter().flat_map(|family| family.forms())
}

/// A reference of every check: its forms, with an example and what it measures.
pub fn reference() -> String {
    let mut text = String::from("A check is a measure, one of >=, >, <=, < and ==, and a bound.\n");
    for form in forms() {
        let Form { syntax, example, meaning } = form;
        write!(text, "\n{syntax}\n    {meaning}\n    Example: {example}\n").expect("a string takes everything");
    }
    text
}

fn family(name: &str) -> &'static dyn MeasureFamily {
    let known = FAMILIES.into_iter().find(|family| family.name() == name);
    known.unwrap_or_else(|| panic!("a check was made of the family `{name}`, which is not in the table"))
}

#[cfg(test)]
mod tests;
