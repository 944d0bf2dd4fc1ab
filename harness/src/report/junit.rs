//! JUnit XML, as CI systems read it: a suite per run, a case per step and per check.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::format::{in_unit, measured};
use crate::plan::Comparison;
use crate::results::check_result::CheckResult;
use crate::results::result::{RunResult, RunVerdict};
use crate::results::steps::StepResult;

/// The XML of these runs.
///
/// # Errors
/// If the text cannot be encoded.
pub fn xml(results: &[RunResult]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("butter-harness");
    report.add_test_suites(results.iter().map(suite));
    report.to_string()
}

fn suite(result: &RunResult) -> TestSuite {
    let mut suite = TestSuite::new(format!("{} on {}", result.name, result.backend));
    suite.add_test_cases(result.steps.iter().enumerate().map(|(index, step)| step_case(index, step)));
    suite.add_test_cases(result.checks.iter().map(check_case));
    let error = match result.verdict {
        RunVerdict::Passed | RunVerdict::Failed => None,
        RunVerdict::Interrupted => Some("the run was interrupted".to_owned()),
        RunVerdict::TimeLimit => Some("the run reached its time limit".to_owned()),
        RunVerdict::NotPlayed => Some(result.errors.join("; ")),
    };
    if let Some(message) = error {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(message);
        suite.add_test_case(TestCase::new("the run completes", status));
    }
    suite
}

fn step_case(index: usize, step: &StepResult) -> TestCase {
    let status = match &step.error {
        None => TestCaseStatus::success(),
        Some(error) => failure(error),
    };
    let mut case = TestCase::new(format!("step {}: {}", index + 1, step.summary), status);
    if let Some(took_s) = step.took_s {
        case.set_time(std::time::Duration::from_secs_f64(took_s));
    }
    case
}

fn check_case(check: &CheckResult) -> TestCase {
    let status = match check.passed {
        true => TestCaseStatus::success(),
        false => failure(&format!("measured {}, expected {}", measured(check), bound(check))),
    };
    let step = check.step.map_or(String::new(), |step| format!(" (step {})", step + 1));
    TestCase::new(format!("check{step}: {}", check.text), status)
}

/// `at least 99 %`
fn bound(check: &CheckResult) -> String {
    let comparison = match check.comparison {
        Comparison::AtLeast => "at least",
        Comparison::Above => "more than",
        Comparison::AtMost => "at most",
        Comparison::Below => "less than",
        Comparison::Equal => "exactly",
    };
    format!("{comparison} {}", in_unit(check.bound, check.unit))
}

fn failure(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(message);
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::BackendError;
    use crate::probe::ProbeOutcome;
    use crate::results::check_result::CheckUnit;
    use crate::results::fixture;

    fn not_played() -> RunResult {
        let error = BackendError::from(anyhow::anyhow!("beta loses more"));
        RunResult::not_played(&fixture::plan(), "netns", ProbeOutcome::Skipped, &error)
    }

    #[test]
    fn run_that_was_not_played_is_an_error() {
        let junit = xml(&[not_played()]).unwrap();
        assert!(junit.contains("errors=\"1\"") && junit.contains("beta loses more"), "{junit}");
    }

    #[test]
    fn failed_check_names_the_value_and_the_bound() {
        let check = CheckResult {
            text: "retrieval p95 <= 2s".to_owned(),
            line: 1,
            step: None,
            unit: CheckUnit::Seconds,
            comparison: Comparison::AtMost,
            bound: 2.0,
            value: Some(3.0),
            passed: false,
            reason: None,
        };
        let result = RunResult { verdict: RunVerdict::Failed, checks: vec![check], ..not_played() };
        let junit = xml(&[result]).unwrap();
        assert!(
            junit.contains("failures=\"1\"") && junit.contains("measured 3.00 s, expected at most 2.00 s"),
            "{junit}"
        );
    }
}
