//! JUnit XML, as CI systems read it: a suite per run, a case per step and per check.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::table;
use crate::checks::Verdict;
use crate::results::result::{Outcome, RunResult, StepResult};

/// The XML of these runs.
///
/// # Errors
/// If it cannot be written down.
pub fn xml(results: &[RunResult]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("butter-harness");
    report.add_test_suites(results.iter().map(suite));
    report.to_string()
}

fn suite(result: &RunResult) -> TestSuite {
    let mut suite = TestSuite::new(format!("{} on {}", result.name, result.backend));
    suite.add_test_cases(result.steps.iter().enumerate().map(|(index, step)| step_case(index, step)));
    suite.add_test_cases(result.checks.iter().map(check_case));
    let not_ended = match result.verdict {
        Outcome::Passed | Outcome::Failed => None,
        Outcome::Interrupted | Outcome::TimeLimit => Some("the run was ended early".to_owned()),
        Outcome::NotPlayed => Some(result.problems.join("; ")),
    };
    if let Some(why) = not_ended {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(why);
        suite.add_test_case(TestCase::new("the run came to its end", status));
    }
    suite
}

fn step_case(index: usize, step: &StepResult) -> TestCase {
    let status = match &step.problem {
        None => TestCaseStatus::success(),
        Some(problem) => failure(problem),
    };
    let mut case = TestCase::new(format!("step {}: {}", index + 1, step.title), status);
    if let Some(took_s) = step.took_s {
        case.set_time(std::time::Duration::from_secs_f64(took_s));
    }
    case
}

fn check_case(check: &Verdict) -> TestCase {
    let status = match check.holds {
        true => TestCaseStatus::success(),
        false => failure(&table::measured(check)),
    };
    let place = check.step.map_or(String::new(), |step| format!(" (step {})", step + 1));
    TestCase::new(format!("check{place}: {}", check.text), status)
}

fn failure(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(message);
    status
}
