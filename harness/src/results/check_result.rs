//! How a check came out.

use serde::{Deserialize, Serialize};

use crate::plan::Comparison;

/// An entry of `checks` in `result.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The check as written in the file.
    pub text: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// Index of the step that evaluated the check; null for a check at the end of the run.
    pub step: Option<usize>,
    /// Unit of `value` and `bound`.
    pub unit: CheckUnit,
    /// How the value is compared with the bound.
    pub comparison: Comparison,
    /// The bound that the file sets.
    pub bound: f64,
    /// The measured value; null if nothing could be measured.
    pub value: Option<f64>,
    /// Whether the run did what is measured. If not, the check says nothing of the run.
    pub exercised: bool,
    /// Whether the value is within the bound. False if nothing could be measured.
    pub passed: bool,
    /// Why nothing could be measured.
    pub reason: Option<String>,
    /// The items or queries that a failed check is about.
    pub failures: Option<CheckFailures>,
}

/// Most failures that a check lists.
const FAILURES_MAX: usize = 100;

/// Items or queries because of which a check failed. `harness explain` tells the story of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckFailures {
    /// What they are: `item` or `query`.
    pub subject: String,
    /// How many there are.
    pub total: usize,
    /// Numbers of the first hundred.
    pub first: Vec<usize>,
}

impl CheckFailures {
    /// These failures; `None` if there are none.
    pub fn of(subject: &'static str, numbers: impl IntoIterator<Item = usize>) -> Option<Self> {
        let all: Vec<usize> = numbers.into_iter().collect();
        let first = all.iter().copied().take(FAILURES_MAX).collect();
        (!all.is_empty()).then_some(CheckFailures { subject: subject.to_owned(), total: all.len(), first })
    }
}

impl CheckResult {
    /// What was measured, in one clause: `it was 98 %`.
    pub fn measured_text(&self) -> String {
        match (self.value, self.unit, &self.reason) {
            (Some(value), CheckUnit::Share, _) => format!("it was {:.4} %", value * 100.0).replace(".0000 %", " %"),
            (Some(value), CheckUnit::Seconds, _) => format!("it was {value:.3} s"),
            (Some(value), CheckUnit::Plain, _) => format!("it was {value}"),
            (None, _, Some(reason)) => reason.clone(),
            (None, _, None) => "nothing was measured".to_owned(),
        }
    }

    /// Whether the run did what is measured, and not as well as the bound wants.
    pub fn has_failed(&self) -> bool {
        !self.passed && self.exercised
    }
}

/// Unit of a measured value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckUnit {
    /// A part of a whole, from 0 to 1.
    Share,
    /// A duration in seconds.
    Seconds,
    /// A plain number, or the unit that the metric's name says.
    Plain,
}
