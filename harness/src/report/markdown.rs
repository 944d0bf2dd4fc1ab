//! How runs came out, as Markdown for the summary of a CI job: verdict, checks with bound and value, and where the report is.

use std::path::{Path, PathBuf};

use super::format::{measured, plural, seconds};
use super::junit::bound;
use crate::results::check_result::CheckResult;
use crate::results::outline::RunOutline;
use crate::results::result::RunVerdict;

/// Most runs with a section of their own: the others are in the table alone.
const SECTIONS_MAX: usize = 20;
/// Most errors of a run.
const ERRORS_MAX: usize = 10;
/// Longest text: GitHub refuses summaries of more than a mebibyte.
const BYTES_MAX: usize = 900 << 10;

/// One run as the summary shows it.
#[derive(Debug)]
pub struct SummarizedRun<'a> {
    /// The topology file, as given on the command line.
    pub file: &'a str,
    /// The result; `None` if the run had not begun.
    pub result: Option<&'a RunOutline>,
    /// What went wrong beside the result.
    pub errors: &'a [String],
    /// Directory of the record, if there is one.
    pub record: Option<&'a Path>,
    /// The page of the run, if there is one.
    pub page: Option<PathBuf>,
    /// Why checks failed: a story for each check of the result, or less.
    pub stories: Vec<Option<String>>,
}

/// The Markdown of these runs.
pub fn summary(runs: &[SummarizedRun<'_>]) -> String {
    let mut text = String::new();
    if runs.len() > 1 {
        text += &overview(runs);
    }
    // What went wrong is what a reader looks for.
    let mut order: Vec<&SummarizedRun<'_>> = runs.iter().collect();
    order.sort_by_key(|run| run.result.is_some_and(|result| result.verdict == RunVerdict::Passed));
    for run in order.iter().take(SECTIONS_MAX) {
        let section = section(run);
        if text.len() + section.len() > BYTES_MAX {
            break;
        }
        text += &section;
    }
    text
}

fn overview(runs: &[SummarizedRun<'_>]) -> String {
    let passed = runs.iter().filter(|run| mark(run) == PASSED).count();
    let mut text = format!(
        "## {passed} of {} passed\n\n| | run | verdict | checks |\n| --- | --- | --- | --- |\n",
        plural(runs.len() as u64, "run")
    );
    for run in runs {
        let row = format!("| {} | {} | {} | {} |\n", mark(run), cell(&name(run)), verdict(run), checks_passed(run));
        if text.len() + row.len() > BYTES_MAX / 2 {
            text += "| … | | | |\n";
            break;
        }
        text += &row;
    }
    text + "\n"
}

const PASSED: &str = "✅";

fn mark(run: &SummarizedRun<'_>) -> &'static str {
    match run.result.map(|result| result.verdict) {
        Some(RunVerdict::Passed) if run.errors.is_empty() => PASSED,
        Some(RunVerdict::Inconclusive) => "❔",
        Some(RunVerdict::Passed | RunVerdict::Failed) => "❌",
        Some(RunVerdict::Interrupted) => "⏹️",
        Some(RunVerdict::EnvironmentFailed | RunVerdict::TimeLimit | RunVerdict::NotPlayed) | None => "⚠️",
    }
}

fn name(run: &SummarizedRun<'_>) -> String {
    match run.result {
        Some(result) => format!("{} on {}, seed {}", result.name, result.backend, result.seed),
        None => run.file.to_owned(),
    }
}

fn verdict(run: &SummarizedRun<'_>) -> &'static str {
    match run.result.map(|result| result.verdict) {
        Some(RunVerdict::Passed) => "passed",
        Some(RunVerdict::Inconclusive) => "inconclusive",
        Some(RunVerdict::Failed) => "failed",
        Some(RunVerdict::EnvironmentFailed) => "the environment failed",
        Some(RunVerdict::Interrupted) => "interrupted",
        Some(RunVerdict::TimeLimit) => "stopped by the time limit",
        Some(RunVerdict::NotPlayed) => "not played",
        None => "not begun",
    }
}

fn checks_passed(run: &SummarizedRun<'_>) -> String {
    let checks = run.result.map_or(&[][..], |result| &result.checks);
    format!("{} of {}", checks.iter().filter(|check| check.passed).count(), checks.len())
}

fn section(run: &SummarizedRun<'_>) -> String {
    let mut text = format!("### {} {}: {}\n\n", mark(run), plain(&name(run)), verdict(run));
    if let Some(result) = run.result {
        if result.run_s > 0.0 {
            text += &format!("{} by the clock of the run. ", seconds(result.run_s));
        }
        text += &format!("Checks passed: {}.\n\n", checks_passed(run));
        if !result.checks.is_empty() {
            text += "| | check | expected | measured |\n| --- | --- | --- | --- |\n";
            result.checks.iter().for_each(|check| text += &row(check));
            text.push('\n');
        }
    }
    let of_result = run.result.iter().flat_map(|result| result.environment_faults.iter().chain(&result.errors));
    let mut errors: Vec<&String> = of_result.chain(run.errors).collect();
    errors.dedup();
    for error in errors.iter().take(ERRORS_MAX) {
        text += &match error.trim().contains('\n') {
            true => block(error),
            false => format!("- {}\n", plain(error)),
        };
    }
    if errors.len() > ERRORS_MAX {
        text += &format!("- … and {} more\n", errors.len() - ERRORS_MAX);
    }
    if !errors.is_empty() {
        text.push('\n');
    }
    let checks = run.result.iter().flat_map(|result| &result.checks);
    for (check, story) in checks.zip(&run.stories) {
        let Some(story) = story else { continue };
        let title = format!("Why <code>{}</code> failed", plain(&check.text));
        text += &format!("<details><summary>{title}</summary>\n\n{}\n</details>\n\n", block(story));
    }
    if let Some(record) = run.record {
        let page = run.page.as_ref().map(|page| format!(" Report: [{0}]({0}).", page.display()));
        text += &format!("Record: `{}`.{}\n\n", record.display(), page.unwrap_or_default());
    }
    text
}

fn row(check: &CheckResult) -> String {
    let mark = match (check.passed, check.has_failed()) {
        (true, _) => PASSED,
        (false, true) => "❌",
        (false, false) => "❔",
    };
    let step = check.step.map_or(String::new(), |step| format!(" (step {})", step + 1));
    let (text, measured) = (code(&check.text), cell(&measured(check)));
    format!("| {mark} | {text}{step} | {} | {measured} |\n", bound(check))
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    plain(text).replace('|', "\\|")
}

/// A text as code in a cell of a table. A check has no backquotes.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace('|', "\\|"))
}

/// A text on one line that is no markup.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('<', "&lt;")
}

/// A text as it is, between more backquotes than it has.
fn block(text: &str) -> String {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture;
    use crate::results::result::RunResult;

    fn outline(verdict: RunVerdict) -> RunOutline {
        let result = RunResult::not_played(&fixture::plan(), "netns", verdict, "beta loses more".to_owned());
        let check = fixture::check_result(Some(0.5), false);
        RunOutline { verdict, checks: vec![check], ..RunOutline::from(&result) }
    }

    fn run<'a>(result: Option<&'a RunOutline>, errors: &'a [String]) -> SummarizedRun<'a> {
        let record = result.map(|_| Path::new("runs/a"));
        let page = record.map(|record| record.join("report.html"));
        let stories = vec![Some("item 3: ```lost```".to_owned())];
        SummarizedRun { file: "one.yaml", result, errors, record, page, stories }
    }

    #[test]
    fn section_has_verdict_checks_story_and_report() {
        let failed = outline(RunVerdict::Failed);
        let text = summary(&[run(Some(&failed), &[])]);
        for part in [
            "### ❌ fixture on netns, seed 7: failed\n",
            "| ❌ | `persistence >= 99%` | at least 99 % | 50 % |",
            "- beta loses more\n",
            "````text\nitem 3: ```lost```\n````",
            "Report: [runs/a/report.html](runs/a/report.html).",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(!text.contains("## 0 of"), "one run needs no table of runs");
    }

    #[test]
    fn several_runs_have_a_table_and_what_failed_comes_first() {
        let (passed, failed) = (outline(RunVerdict::Passed), outline(RunVerdict::Failed));
        let errors = ["line 3: <b>|".to_owned()];
        let text = summary(&[run(Some(&passed), &[]), run(Some(&failed), &[]), run(None, &errors)]);
        assert!(text.starts_with("## 1 of 3 runs passed\n"), "{text}");
        assert!(
            text.contains("| ⚠️ | one.yaml | not begun | 0 of 0 |") && text.contains("- line 3: &lt;b>|"),
            "{text}"
        );
        assert!(text.find("### ❌").unwrap() < text.find("### ✅").unwrap(), "{text}");
    }

    #[test]
    fn summary_of_many_runs_is_bounded() {
        let failed = outline(RunVerdict::Failed);
        let text = summary(&(0..30_000).map(|_| run(Some(&failed), &[])).collect::<Vec<_>>());
        assert!(text.len() <= BYTES_MAX && text.matches("### ").count() <= SECTIONS_MAX, "{}", text.len());
    }
}
