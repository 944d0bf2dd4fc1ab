//! JUnit XML, as CI systems read it: a suite per run, a case per step and per check.
//!
//! Every end of a run has a suite. What proves nothing about the nodes is an `<error>`: a file that is wrong, an environment
//! that fails, a death that nothing asked for. A check that could not be measured is `<skipped>`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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
    /// Directory of the record, if there is one.
    pub record: Option<&'a Path>,
    /// The page of the run, if there is one.
    pub page: Option<PathBuf>,
    /// Why checks failed: a story for each check of the result, or less if there is nothing to tell.
    pub stories: Vec<Option<String>>,
}

/// The XML of these runs.
///
/// # Errors
/// If the text cannot be encoded.
pub fn xml(runs: &[JunitRun<'_>]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new(REPORT);
    report.set_time(runs.iter().map(|run| run.took).sum());
    let mut names = BTreeMap::new();
    report.add_test_suites(runs.iter().map(|run| suite(run, &mut names)));
    Ok(without_skipped(&report.to_string()?))
}

/// The XML without the attribute `skipped` of the root, which the schema of Jenkins does not know. Each suite has its own.
fn without_skipped(xml: &str) -> String {
    let Some((before, rest)) = xml.split_once("<testsuites ") else { return xml.to_owned() };
    let (root, rest) = rest.split_once('>').unwrap_or((rest, ""));
    let kept: Vec<&str> = match root.split_once(" skipped=\"") {
        Some((one, other)) => vec![one, other.split_once('"').map_or("", |(_, other)| other)],
        None => vec![root],
    };
    format!("{before}<testsuites {}>{rest}", kept.concat())
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
        let stories = run.stories.iter().map(Option::as_deref).chain(std::iter::repeat(None));
        cases.extend(result.checks.iter().zip(stories).map(|(check, story)| check_case(check, story)));
    }
    if let Some(record) = run.record.map(Path::display) {
        suite.add_property(Property::new("record", record.to_string()));
        let page = run.page.as_ref().map_or_else(String::new, |page| format!("report: {}\n", page.display()));
        let commands = format!("explain: harness explain {record}\nrepeat: harness run {record}\n");
        suite.set_system_out(format!("record: {record}\n{page}{commands}"));
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
        ("verdict", word(result.verdict)),
        ("run_s", result.run_s.to_string()),
    ]
}

/// The word for a verdict in `result.json`.
fn word(verdict: RunVerdict) -> String {
    serde_json::to_value(verdict).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
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
        (true, Some(result)) if result.checks.is_empty() && verdict == Some(RunVerdict::Inconclusive) => {
            skipped("the topology has no checks, so nothing says what must hold")
        }
        (true, Some(_)) => TestCaseStatus::success(),
        (true, None) => non_success(NonSuccessKind::Error, ENVIRONMENT, "the run did not begin", None),
        (false, _) => {
            let lines: Vec<&str> = reasons.iter().filter_map(|reason| reason.lines().next()).collect();
            non_success(NonSuccessKind::Error, ENVIRONMENT, &lines.join("; "), Some(&reasons.join("\n")))
        }
    };
    case("the run completes", status, None)
}

fn step_case(index: usize, step: &StepResult) -> TestCase {
    let status = match &step.error {
        None => TestCaseStatus::success(),
        Some(error) => non_success(NonSuccessKind::Failure, "step", error, None),
    };
    case(&format!("step {}: {}", index + 1, step.summary), status, step.took_s)
}

fn check_case(check: &CheckResult, story: Option<&str>) -> TestCase {
    let status = match (check.passed, check.has_failed()) {
        (true, _) => TestCaseStatus::success(),
        (false, true) => {
            let message = format!("measured {}, expected {}", measured(check), bound(check));
            let line = check.line;
            let body = format!("{}\nline {line}: {message}\n{}", check.text, story.unwrap_or_default());
            non_success(NonSuccessKind::Failure, "check", &message, Some(body.trim_end()))
        }
        (false, false) => {
            let reason = check.reason.as_deref().unwrap_or("nothing was measured");
            skipped(&format!("not measured: {reason}; expected {}", bound(check)))
        }
    };
    let step = check.step.map_or(String::new(), |step| format!(" (step {})", step + 1));
    case(&format!("check{step}: {}", check.text), status, None)
}

/// A case with a time, which some readers want of each.
fn case(name: &str, status: TestCaseStatus, took_s: Option<f64>) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_time(took_s.and_then(|took_s| Duration::try_from_secs_f64(took_s).ok()).unwrap_or_default());
    case
}

/// `at least 99 %`
pub(super) fn bound(check: &CheckResult) -> String {
    let comparison = match check.comparison {
        Comparison::AtLeast => "at least",
        Comparison::Above => "more than",
        Comparison::AtMost => "at most",
        Comparison::Below => "less than",
        Comparison::Equal => "exactly",
    };
    format!("{comparison} {}", in_unit(check.bound, check.unit))
}

/// The type of what is no fault of the nodes.
const ENVIRONMENT: &str = "environment";

fn skipped(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(message);
    status
}

fn non_success(kind: NonSuccessKind, of: &str, message: &str, body: Option<&str>) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message);
    status.set_type(of);
    if let Some(body) = body {
        status.set_description(body);
    }
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
        JunitRun {
            file: "fixture.yaml",
            began,
            took: Duration::from_secs(2),
            result,
            errors,
            record: None,
            page: None,
            stories: Vec::new(),
        }
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
    fn failed_check_has_its_story_as_body_and_the_suite_names_the_record() {
        let result = RunOutline { verdict: RunVerdict::Failed, checks: vec![check(Some(3.0))], ..not_played() };
        let stories = vec![Some("query 4: n-1 asked n-2, which was down\n".to_owned())];
        let run = JunitRun { record: Some(Path::new("runs/a")), stories, ..run(Some(&result), &[]) };
        let junit = xml(&[run]).unwrap();
        has(
            &junit,
            &[
                "type=\"check\">retrieval p95 &lt;= 2s\nline 1: measured 3.00 s, expected at most 2.00 s\nquery 4:",
                "<property name=\"record\" value=\"runs/a\"/>",
                "harness explain runs/a",
            ],
        );
    }

    #[test]
    fn run_without_checks_is_skipped() {
        let result = RunOutline { verdict: RunVerdict::Inconclusive, errors: Vec::new(), ..not_played() };
        has(&xml(&[run(Some(&result), &[])]).unwrap(), &["skipped=\"1\"", "the topology has no checks"]);
    }

    #[test]
    fn root_has_no_attribute_that_the_schema_of_jenkins_lacks() {
        let junit = xml(&[run(None, &[])]).unwrap();
        let root = junit.split_once("<testsuites ").unwrap().1.split_once('>').unwrap().0.to_owned();
        assert!(!root.contains("skipped") && root.contains("errors=\"1\""), "{root}");
        assert_eq!(without_skipped("<testsuites a=\"1\" skipped=\"0\" b=\"2\">x"), "<testsuites a=\"1\" b=\"2\">x");
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
