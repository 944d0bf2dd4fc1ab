//! JUnit XML, as CI systems read it: a suite per run, a case per step and per check.
//!
//! Every end of a run has a suite. What proves nothing about the nodes is an `<error>`: a file that is wrong, an environment
//! that fails, a death that nothing asked for. A check that could not be measured is `<skipped>`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::format::{in_unit, measured};
use crate::plan::Comparison;
use crate::results::check_result::CheckResult;
use crate::results::outline::RunOutline;
use crate::results::result::RunVerdict;
use crate::results::steps::StepResult;

/// Name of the whole report.
const REPORT: &str = "butter-harness";

/// One run as its suite shows it.
#[derive(Debug)]
pub struct JunitRun<'a> {
    /// The topology file, as given on the command line.
    pub file: &'a str,
    /// When the run began, by the wall clock.
    pub began: SystemTime,
    /// How long it took, deployment and removal included.
    pub took: Duration,
    /// The result; `None` if the run had not begun.
    pub result: Option<&'a RunOutline>,
    /// What went wrong beside the result.
    pub errors: &'a [String],
}

/// The XML of these runs.
///
/// # Errors
/// If the text cannot be encoded.
pub fn xml(runs: &[JunitRun<'_>]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new(REPORT);
    if let Some(began) = runs.iter().map(|run| run.began).min() {
        report.set_timestamp(DateTime::<Utc>::from(began));
    }
    report.set_time(runs.iter().map(|run| run.took).sum());
    let mut names = BTreeMap::new();
    report.add_test_suites(runs.iter().map(|run| suite(run, &mut names)));
    report.to_string()
}

/// A suite under a name that no other suite of the report has.
fn suite(run: &JunitRun<'_>, names: &mut BTreeMap<String, u32>) -> TestSuite {
    let name = match run.result {
        Some(result) => format!("{} on {}, seed {}", result.name, result.backend, result.seed),
        None => run.file.to_owned(),
    };
    let taken = names.entry(name.clone()).or_default();
    *taken += 1;
    let mut suite = TestSuite::new(if *taken == 1 { name } else { format!("{name} ({taken})") });
    suite.set_timestamp(DateTime::<Utc>::from(run.began));
    suite.set_time(run.took);
    suite.add_property(("file", run.file));
    let class = match run.result {
        Some(result) => format!("{}.{}", result.name, result.backend),
        None => run.file.to_owned(),
    };
    let mut cases = Vec::new();
    if let Some(result) = run.result {
        for (name, value) in properties(result) {
            suite.add_property(Property::new(name, value));
        }
        cases.extend(result.steps.iter().enumerate().map(|(index, step)| step_case(index, step)));
        cases.extend(result.checks.iter().map(check_case));
    }
    cases.push(completion_case(run));
    for mut case in cases {
        case.set_classname(&class);
        suite.add_test_case(case);
    }
    suite
}

fn properties(result: &RunOutline) -> Vec<(&'static str, String)> {
    vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("topology", result.name.clone()),
        ("topology_hash", result.topology_hash.clone()),
        ("backend", result.backend.clone()),
        ("seed", result.seed.to_string()),
        ("run_s", result.run_s.to_string()),
    ]
}

/// Whether the run came to its end in the environment that the topology declares.
fn completion_case(run: &JunitRun<'_>) -> TestCase {
    let verdict = run.result.map(|result| result.verdict);
    let mut reasons: Vec<String> = match verdict {
        None
        | Some(RunVerdict::Passed | RunVerdict::Inconclusive | RunVerdict::Failed | RunVerdict::EnvironmentFailed) => {
            Vec::new()
        }
        Some(RunVerdict::Interrupted) => vec!["the run was interrupted".to_owned()],
        Some(RunVerdict::TimeLimit) => vec!["the run reached its time limit".to_owned()],
        Some(RunVerdict::NotPlayed) => run.result.map(|result| result.errors.clone()).unwrap_or_default(),
    };
    reasons.extend(run.result.iter().flat_map(|result| result.environment_faults.clone()));
    let more: Vec<String> = run.errors.iter().filter(|error| !reasons.contains(error)).cloned().collect();
    reasons.extend(more);
    let status = match (reasons.is_empty(), run.result) {
        (true, Some(_)) => TestCaseStatus::success(),
        (true, None) => error("the run did not begin"),
        (false, _) => error(&reasons.join("; ")),
    };
    TestCase::new("the run completes", status)
}

fn step_case(index: usize, step: &StepResult) -> TestCase {
    let status = match &step.error {
        None => TestCaseStatus::success(),
        Some(error) => failure(error),
    };
    let mut case = TestCase::new(format!("step {}: {}", index + 1, step.summary), status);
    if let Some(took_s) = step.took_s {
        case.set_time(Duration::from_secs_f64(took_s));
    }
    case
}

fn check_case(check: &CheckResult) -> TestCase {
    let status = match (check.passed, check.has_failed()) {
        (true, _) => TestCaseStatus::success(),
        (false, true) => failure(&format!("measured {}, expected {}", measured(check), bound(check))),
        (false, false) => {
            let reason = check.reason.as_deref().unwrap_or("nothing was measured");
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("not measured: {reason}; expected {}", bound(check)));
            status
        }
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
    non_success(NonSuccessKind::Failure, message)
}

fn error(message: &str) -> TestCaseStatus {
    non_success(NonSuccessKind::Error, message)
}

fn non_success(kind: NonSuccessKind, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message);
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::check_result::CheckUnit;
    use crate::results::fixture;
    use crate::results::result::RunResult;

    fn not_played() -> RunOutline {
        let reason = "beta loses more".to_owned();
        RunOutline::from(&RunResult::not_played(&fixture::plan(), "netns", RunVerdict::NotPlayed, reason))
    }

    fn run<'a>(result: Option<&'a RunOutline>, errors: &'a [String]) -> JunitRun<'a> {
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(86_399);
        JunitRun { file: "fixture.yaml", began, took: Duration::from_secs(2), result, errors }
    }

    fn check(value: Option<f64>) -> CheckResult {
        CheckResult {
            text: "retrieval p95 <= 2s".to_owned(),
            line: 1,
            step: None,
            unit: CheckUnit::Seconds,
            comparison: Comparison::AtMost,
            bound: 2.0,
            value,
            exercised: value.is_some(),
            passed: false,
            reason: value.is_none().then(|| "no query was made".to_owned()),
            failures: None,
        }
    }

    #[track_caller]
    fn has(junit: &str, parts: &[&str]) {
        for part in parts {
            assert!(junit.contains(part), "{part:?} is not in:\n{junit}");
        }
    }

    #[test]
    fn run_that_was_not_played_is_one_error() {
        let result = not_played();
        let junit = xml(&[run(Some(&result), &result.errors)]).unwrap();
        has(&junit, &["errors=\"1\"", "message=\"beta loses more\"", "classname=\"fixture.netns\""]);
    }

    #[test]
    fn run_that_never_began_is_an_error_under_the_name_of_its_file() {
        let errors = ["line 3: unknown key".to_owned()];
        let junit = xml(&[run(None, &errors), run(None, &[])]).unwrap();
        has(&junit, &["errors=\"2\"", "line 3: unknown key", "the run did not begin", "name=\"fixture.yaml (2)\""]);
    }

    #[test]
    fn failed_check_names_the_value_and_the_bound() {
        let result = RunOutline { verdict: RunVerdict::Failed, checks: vec![check(Some(3.0))], ..not_played() };
        let junit = xml(&[run(Some(&result), &[])]).unwrap();
        has(&junit, &["failures=\"1\"", "errors=\"0\"", "measured 3.00 s, expected at most 2.00 s"]);
    }

    #[test]
    fn check_without_a_value_is_skipped_and_says_why() {
        let result = RunOutline { verdict: RunVerdict::Failed, checks: vec![check(None)], ..not_played() };
        let junit = xml(&[run(Some(&result), &[])]).unwrap();
        has(&junit, &["skipped=\"1\"", "not measured: no query was made; expected at most 2.00 s"]);
    }

    #[test]
    fn a_death_that_nothing_asked_for_is_an_error() {
        let fault = "network `alpha`: the router was killed (SIGKILL) unexpectedly after 5.0 s".to_owned();
        let verdict = RunVerdict::EnvironmentFailed;
        let result = RunOutline { verdict, environment_faults: vec![fault], errors: Vec::new(), ..not_played() };
        let junit = xml(&[run(Some(&result), &[])]).unwrap();
        has(&junit, &["errors=\"1\"", "the router was killed (SIGKILL)"]);
    }

    #[test]
    fn suites_carry_their_time_and_what_they_are_about() {
        let result = not_played();
        let junit = xml(&[run(Some(&result), &[]), run(Some(&result), &[])]).unwrap();
        has(
            &junit,
            &[
                "timestamp=\"1970-01-01T23:59:59",
                "time=\"2.000\"",
                "<property name=\"seed\" value=\"7\"/>",
                "<property name=\"file\" value=\"fixture.yaml\"/>",
                "name=\"fixture on netns, seed 7\"",
                "name=\"fixture on netns, seed 7 (2)\"",
            ],
        );
    }
}
