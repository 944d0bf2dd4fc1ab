//! How a check came out.

use serde::Serialize;

use crate::plan::Comparison;

/// An entry of `checks` in `result.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    /// Whether the value is within the bound. False if nothing could be measured.
    pub passed: bool,
    /// Why nothing could be measured.
    pub reason: Option<String>,
}

/// Unit of a measured value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckUnit {
    /// A part of a whole, from 0 to 1.
    Share,
    /// A duration in seconds.
    Seconds,
    /// A plain number, or the unit that the metric's name says.
    Plain,
}
