//! Two sets of runs side by side.

use comfy_table::Table;

use super::format::{in_unit, plain, plural};
use super::style::{TableStyle, add_row, right_aligned};
use crate::results::check_result::CheckUnit;
use crate::results::compare::{Agreement, CompareMethod, ComparedMeasure, RunComparison, SetFigure};

/// Both sets, a table of what they measured, and how it was judged; with a newline at the end.
pub fn render(comparison: &RunComparison, style: TableStyle) -> String {
    let [a, b] = &comparison.sets;
    let counts = [Agreement::Agrees, Agreement::Differs, Agreement::NotJudged].map(|one| comparison.count(one));
    let tolerance = match comparison.tolerance {
        0.0 => String::new(),
        tolerance => format!("; differences up to {} are tolerated", in_unit(tolerance, CheckUnit::Share)),
    };
    let method = match comparison.method {
        CompareMethod::OverRuns => "tested over runs",
        CompareMethod::WithinRuns => "too few runs to test over runs: only independent trials are judged",
    };
    let [agree, differ, not_judged] = counts;
    let all = plural(comparison.measures.len() as u64, "measure");
    format!(
        "A: {a}\nB: {b}\n{}\n{all}: {agree} agree, {differ} differ, {not_judged} not judged\n\
         {method}; at most 5 % of comparisons of like sets find a difference{tolerance}\n",
        table(comparison, style)
    )
}

fn table(comparison: &RunComparison, style: TableStyle) -> Table {
    let mut table = style.table(["measure", "A", "B", "p", "agree"]);
    for measure in &comparison.measures {
        let [a, b] = measure.sets.map(|figure| figure.map_or("–".to_owned(), |figure| shown(measure, figure)));
        let p = measure.p.map_or("–".to_owned(), |p| format!("{p:.3}"));
        let agree = match measure.agreement {
            Agreement::Agrees => "yes",
            Agreement::Differs => "NO",
            Agreement::NotJudged => "–",
        };
        add_row(&mut table, style, [measure.name.clone(), a, b, p, agree.to_owned()]);
    }
    right_aligned(table, 1)
}

/// `98.50 % (97.2–99.8)`: mean and 95 % interval over runs.
fn shown(measure: &ComparedMeasure, figure: SetFigure) -> String {
    let mean = in_unit(figure.mean, measure.unit);
    match figure.interval {
        Some((low, high)) if high > low => format!("{mean} ({})", range(low, high, measure.unit)),
        _ => mean,
    }
}

/// An interval in the unit of its mean, which is not repeated.
pub(super) fn range(low: f64, high: f64, unit: CheckUnit) -> String {
    match unit {
        CheckUnit::Share => format!("{}–{}", plain(100.0 * low.max(0.0)), plain(100.0 * high.min(1.0))),
        CheckUnit::Seconds => format!("{}–{}", in_unit(low.max(0.0), unit), in_unit(high, unit)),
        CheckUnit::Plain => format!("{}–{}", plain(low), plain(high)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::results::fixture::record;
    use crate::results::run_set::RunFigures;

    #[test]
    fn comparison_shows_means_intervals_and_how_it_was_judged() {
        let run =
            |seed: u64, direct| RunFigures::read(Path::new("r"), &record("sim", seed, 20, direct).to_string()).unwrap();
        let set = |direct: [u64; 4]| [run(1, direct[0]), run(2, direct[1]), run(3, direct[2]), run(4, direct[3])];
        let (one, other) = (set([10, 11, 10, 11]), set([19, 20, 19, 20]));
        let text = render(&RunComparison::of([&one, &other], 0.0).unwrap(), TableStyle::default());
        assert!(text.starts_with("A: t on sim, 4 runs (seeds 1 to 4): 4 passed\nB: "), "{text}");
        assert!(text.contains("52.50 % (47.91–57.09)") && text.contains("0.029") && text.contains("NO"), "{text}");
        assert!(text.contains("\n5 measures: 4 agree, 1 differ, 0 not judged\ntested over runs; "), "{text}");
        let text = render(&RunComparison::of([&one[..1], &other[..1]], 0.05).unwrap(), TableStyle::default());
        assert!(text.contains("too few runs") && text.ends_with("differences up to 5 % are tolerated\n"), "{text}");
    }
}
