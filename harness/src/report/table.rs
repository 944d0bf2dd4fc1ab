//! The verdict, for people.

use std::fmt::Write;

use comfy_table::modifiers::UTF8_ROUND_CORNERS;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use crate::checks::{Unit, Verdict};
use crate::results::crossing::grid;
use crate::results::failures::Failure;
use crate::results::links::Links;
use crate::results::recovery::recovered;
use crate::results::result::{Outcome, Retrieval, RunResult};

/// Most columns of the matrix; of more networks only the askers are shown.
const MATRIX_MAX: usize = 8;
/// Most problems and troubles shown of each.
const SHOWN_MAX: usize = 10;

/// Everything that a user wants to know first.
pub fn render(result: &RunResult) -> String {
    let mut text = format!("{}\n", headline(result));
    if result.verdict == Outcome::NotPlayed {
        return text;
    }
    for problem in result.problems.iter().take(SHOWN_MAX) {
        writeln!(text, "  problem: {problem}").expect("a string takes everything");
    }
    for trouble in result.troubles.iter().take(SHOWN_MAX) {
        let node = trouble.node.as_deref().map_or(String::new(), |node| format!("{node}: "));
        writeln!(text, "  trouble at {:.1} s: {node}{}", trouble.at_s, trouble.what)
            .expect("a string takes everything");
    }
    if result.troubles_total > SHOWN_MAX {
        let more = result.troubles_total - SHOWN_MAX;
        writeln!(text, "  … and {more} more troubles, in events.jsonl").expect("a string takes everything");
    }
    for failure in result.failures.iter().take(SHOWN_MAX) {
        let Failure { what, why, count } = failure;
        writeln!(text, "  {count} {what}s failed: {why}").expect("a string takes everything");
    }
    if !result.checks.is_empty() {
        text += &format!("\n{}\n", checks(result));
    }
    if result.persistence.items > 0 {
        text += &format!("\n{}\n", persistence(result));
    }
    if result.retrieval.queries > 0 {
        text += &format!("\n{}\n", retrieval(result));
    }
    if let Some(grid) = grid(&result.crossings) {
        text += &format!("\n{grid}\n");
    }
    if let Some(recovered) = recovered(&result.recoveries) {
        text += &format!("\n{recovered}\n");
    }
    if !result.links.is_empty() {
        text += &format!("\n{}\n", links(&result.links));
    }
    text
}

fn headline(result: &RunResult) -> String {
    let held = result.checks.iter().filter(|check| check.holds).count();
    let verdict = match result.verdict {
        Outcome::Passed => "PASSED",
        Outcome::Failed => "FAILED",
        Outcome::Interrupted => "INTERRUPTED",
        Outcome::TimeLimit => "ENDED BY THE TIME LIMIT",
        Outcome::NotPlayed => "NOT PLAYED",
    };
    let (name, backend, seed) = (&result.name, &result.backend, result.seed);
    if result.verdict == Outcome::NotPlayed {
        return format!("{name} on {backend}, seed {seed}: {verdict}");
    }
    let checks = match result.checks.len() {
        0 => "it has no checks".to_owned(),
        all => format!("{held} of {all} checks hold"),
    };
    format!("{name} on {backend}, seed {seed}: {verdict} after {} ({checks})", seconds(result.run_s))
}

fn checks(result: &RunResult) -> Table {
    let mut table = table(["check", "measured", "holds"]);
    for check in &result.checks {
        let place = check.step.map_or(String::new(), |step| format!(" (step {})", step + 1));
        let holds = if check.holds { "yes" } else { "NO" };
        table.add_row([format!("{}{place}", check.text), measured(check), holds.to_owned()]);
    }
    table
}

/// What a check found, or why nothing.
pub(crate) fn measured(check: &Verdict) -> String {
    match (check.value, check.unit) {
        (Some(value), Unit::Share) => percent(value),
        (Some(value), Unit::Seconds) => seconds(value),
        (Some(value), Unit::Plain) => plain(value),
        (None, _) => format!("not measurable: {}", check.why.as_deref().unwrap_or("nothing was told")),
    }
}

fn persistence(result: &RunResult) -> Table {
    let kept = &result.persistence;
    let nodes = &result.nodes;
    let mut table = table(["items", "stored", "kept", "copies mean (max)", "killed", "left", "started", "live"]);
    table.add_row([
        kept.items.to_string(),
        kept.acknowledged.to_string(),
        format!("{} ({})", kept.kept, optional(kept.share, percent)),
        format!("{} ({})", optional(kept.copies_mean, plain), kept.copies_max),
        nodes.killed.to_string(),
        nodes.stopped.to_string(),
        nodes.started.to_string(),
        nodes.live.to_string(),
    ]);
    right_aligned(table, 0)
}

fn retrieval(result: &RunResult) -> Table {
    let mut to: Vec<&str> = result.matrix.iter().map(|cell| cell.to.as_str()).collect();
    to.sort_unstable();
    to.dedup();
    if to.len() > MATRIX_MAX {
        to.clear();
    }
    let columns = to.iter().map(|to| (*to).to_owned());
    let fixed = ["queries", "right", "p50", "p95", "max", "messages", "hops"].map(str::to_owned);
    let mut table = table(["asked in ↓ stored in →".to_owned()].into_iter().chain(columns).chain(fixed));
    for asked in &result.asked {
        let share = |to: &&str| {
            let cell = result.matrix.iter().find(|cell| cell.from == asked.from && cell.to == **to);
            optional(cell.and_then(|cell| cell.retrieval.share), percent)
        };
        let row = [asked.from.clone()].into_iter().chain(to.iter().map(share));
        table.add_row(row.chain(figures(&asked.retrieval)));
    }
    let blanks = to.iter().map(|_| String::new());
    table.add_row(["all".to_owned()].into_iter().chain(blanks).chain(figures(&result.retrieval)));
    right_aligned(table, 1)
}

fn figures(retrieval: &Retrieval) -> [String; 7] {
    let latency = &retrieval.latency_s;
    [
        retrieval.queries.to_string(),
        optional(retrieval.share, percent),
        optional(latency.p50, seconds),
        optional(latency.p95, seconds),
        optional(latency.max, seconds),
        optional(retrieval.messages_mean, plain),
        optional(retrieval.hops_mean, plain),
    ]
}

fn links(links: &[Links]) -> Table {
    let mut table = table(["links of", "nodes", "lan", "direct", "mapped", "punched", "predicted", "relayed"]);
    for of in links {
        let counts = [of.nodes as u64, of.lan, of.direct, of.mapped, of.punched, of.predicted, of.relayed];
        let counts = counts.map(|count| count.to_string());
        table.add_row([of.network.clone()].into_iter().chain(counts));
    }
    right_aligned(table, 1)
}

pub(crate) fn table<T: Into<String>>(header: impl IntoIterator<Item = T>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).apply_modifier(UTF8_ROUND_CORNERS);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.into_iter().map(|title| Cell::new(title.into())));
    table
}

/// Numbers from this column on.
pub(crate) fn right_aligned(mut table: Table, from: usize) -> Table {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

pub(crate) fn optional(value: Option<f64>, show: fn(f64) -> String) -> String {
    value.map_or("–".to_owned(), show)
}

/// Two decimals, rounded down: only what is all of it is shown as 100 %.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", plain((share * 10_000.0 + 1e-6).floor() / 100.0))
}

/// At most two decimals.
fn plain(value: f64) -> String {
    let text = format!("{value:.2}");
    text.strip_suffix(".00").map_or_else(|| text.clone(), ToOwned::to_owned)
}

pub(crate) fn seconds(value: f64) -> String {
    if value < 1.0 { format!("{} ms", plain(value * 1e3)) } else { format!("{value:.2} s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::evaluate;
    use crate::metrics::watched::Watched;
    use crate::results::fixture;

    #[test]
    fn only_all_of_it_is_a_hundred_percent() {
        assert_eq!([1.0, 0.99999, 0.995, 0.0].map(percent), ["100 %", "99.99 %", "99.50 %", "0 %"]);
        assert_eq!([0.0412, 1.5, 90.0].map(seconds), ["41.20 ms", "1.50 s", "90.00 s"]);
    }

    #[test]
    fn a_check_that_was_not_measured_says_why() {
        let verdict = &evaluate(&fixture::plan(), &[], &Watched::default())[0];
        assert_eq!(measured(verdict), "not measurable: the nodes were never looked at");
    }
}
