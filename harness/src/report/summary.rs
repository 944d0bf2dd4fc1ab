//! The result of a run, as a terminal shows it: the verdict first, then what went wrong, then a table for each section.

use super::format::{plural, seconds};
use super::style::{TableStyle, fitted};
use super::{checks, connectivity, items, links, nodes, queries, rebind_recovery, repair, searches, traffic};
use crate::results::check_result::{CheckFailures, CheckResult};
use crate::results::result::{RunResult, RunVerdict};

/// Most errors, incidents and reasons of failure shown, of each.
const SHOWN_MAX: usize = 10;
/// Items or queries that the line of a failed check names.
const NAMED_MAX: usize = 3;

/// The summary, with a newline at its end.
pub fn render(result: &RunResult, style: TableStyle) -> String {
    let played = !result.steps.is_empty();
    let mut lines = vec![headline(result, played)];
    if played {
        lines.extend(result.environment_faults.iter().take(SHOWN_MAX).map(|fault| format!("  environment: {fault}")));
        lines.extend(result.errors.iter().take(SHOWN_MAX).map(|error| format!("  error: {error}")));
        lines.extend(failed_checks(result));
        lines.extend(incidents(result));
        lines.extend(failed_operations(result));
    }
    let mut text = style.charset.encode(&lines.join("\n"));
    text.push('\n');
    if !played {
        return text;
    }
    let tables = [
        checks::table(&result.checks, style).map(|table| table.to_string()),
        items::table(&result.items, style).map(|table| fitted(table, style, &[5, 4, 0])),
        nodes::table(&result.nodes, style).map(|table| table.to_string()),
        queries::table(&result.queries, style),
        searches::table(result.searches.as_ref(), style).map(|table| fitted(table, style, &[1, 6, 2, 8])),
        traffic::table(&result.traffic, style).map(|table| table.to_string()),
        repair::table(&result.repair, style).map(|table| fitted(table, style, &[1, 2])),
        connectivity::grid(&result.connectivity, style).map(|table| table.to_string()),
        rebind_recovery::table(&result.rebind_recovery, style).map(|table| fitted(table, style, &[6, 4])),
        links::table(&result.links, style).map(|table| fitted(table, style, &[3, 6])),
    ];
    for table in tables.into_iter().flatten() {
        text += &format!("\n{table}\n");
    }
    text
}

/// How the run came out, in one line.
pub fn headline_of(result: &RunResult, style: TableStyle) -> String {
    style.charset.encode(&headline(result, !result.steps.is_empty()))
}

fn headline(result: &RunResult, played: bool) -> String {
    let verdict = match result.verdict {
        RunVerdict::Passed => "PASSED",
        RunVerdict::Inconclusive => "INCONCLUSIVE",
        RunVerdict::Failed => "FAILED",
        RunVerdict::EnvironmentFailed => "ENVIRONMENT FAILED",
        RunVerdict::Interrupted => "INTERRUPTED",
        RunVerdict::TimeLimit => "STOPPED BY THE TIME LIMIT",
        RunVerdict::NotPlayed => "NOT PLAYED",
    };
    let (name, backend, seed) = (&result.name, &result.backend, result.seed);
    let run = format!("{name} on {backend}, seed {seed}: {verdict}");
    if !played {
        return if result.verdict == RunVerdict::NotPlayed { run } else { format!("{run} before the first step") };
    }
    let passed = result.checks.iter().filter(|check| check.passed).count();
    let checks = match result.checks.len() as u64 {
        0 => "the topology has no checks, so nothing says what must hold".to_owned(),
        all => format!("{passed} of {} passed", plural(all, "check")),
    };
    let fidelity = result.fidelity.map_or_else(String::new, |fidelity| format!("; fidelity {fidelity}"));
    format!("{run} after {} ({checks}{fidelity})", seconds(result.run_s))
}

/// `  persistence >= 99%: items 17, 20, 31 and 4 more failed`
fn failed_checks(result: &RunResult) -> impl Iterator<Item = String> {
    let line = |check: &CheckResult| {
        let CheckFailures { subject, total, first } = check.failures.as_ref()?;
        let numbers: Vec<String> = first.iter().take(NAMED_MAX).map(ToString::to_string).collect();
        let subject = match (subject.as_str(), *total) {
            (subject, 1) => subject.to_owned(),
            ("query", _) => "queries".to_owned(),
            ("search", _) => "searches".to_owned(),
            (subject, _) => format!("{subject}s"),
        };
        let more = total.saturating_sub(numbers.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!("  {}: {subject} {}{more} failed", check.text, numbers.join(", ")))
    };
    result.checks.iter().filter_map(line).take(SHOWN_MAX)
}

fn incidents(result: &RunResult) -> Vec<String> {
    let line = |incident: &crate::results::incidents::IncidentResult| {
        let node = incident.node.as_deref().map_or(String::new(), |node| format!("{node}: "));
        format!("  incident at {:.1} s: {node}{}", incident.at_s, incident.what)
    };
    let mut lines: Vec<String> = result.incidents.first.iter().take(SHOWN_MAX).map(line).collect();
    let more = result.incidents.total - lines.len();
    if more > 0 {
        lines.push(format!("  … and {} more in events.jsonl", plural(more as u64, "incident")));
    }
    lines
}

fn failed_operations(result: &RunResult) -> impl Iterator<Item = String> {
    result.failed_operations.iter().take(SHOWN_MAX).map(|failed| {
        let operations = plural(failed.count, failed.operation);
        format!("  {operations} failed: {}", failed.reason)
    })
}
