//! Two runs side by side.

use comfy_table::Table;

use super::format::{optional, percent, plural, seconds};
use super::style::{TableStyle, add_row, right_aligned};
use crate::results::compare::{MeasuredShare, RunComparison};

/// Both runs, a table of their shares, and how many agree; with a newline at the end.
pub fn render(comparison: &RunComparison, style: TableStyle) -> String {
    let [a, b] = &comparison.runs;
    let mut text = format!("A: {a}\nB: {b}\n{}\n", table(comparison, style));
    if !comparison.in_one_run.is_empty() {
        text += &format!("Only one run measured: {}\n", comparison.in_one_run.join(", "));
    }
    let agreeing = comparison.shares.iter().filter(|compared| compared.agrees).count();
    let all = plural(comparison.shares.len() as u64, "share");
    let agree = if agreeing == 1 { "agrees" } else { "agree" };
    text + &format!("{agreeing} of {all} {agree} (99.9 % confidence in each)\n")
}

fn table(comparison: &RunComparison, style: TableStyle) -> Table {
    let mut table = style.table(["share", "A", "B", "p50 A", "p50 B", "agree"]);
    for compared in &comparison.shares {
        let [a, b] = compared.runs.map(sample);
        let [a50, b50] = compared.runs.map(|measured| optional(measured.p50_s, seconds));
        let agree = if compared.agrees { "yes" } else { "NO" };
        add_row(&mut table, style, [compared.name.clone(), a, b, a50, b50, agree.to_owned()]);
    }
    right_aligned(table, 1)
}

/// `95 % of 20`
fn sample(measured: MeasuredShare) -> String {
    format!("{} of {}", optional(measured.share.share(), percent), measured.share.whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::compare::ComparedShare;
    use crate::statistics::Proportion;

    #[test]
    fn comparison_shows_samples_and_counts_agreement() {
        let share = |part, whole| MeasuredShare { share: Proportion { part, whole }, p50_s: None };
        let comparison = RunComparison {
            runs: ["t on netns, seed 7: passed".to_owned(), "t on sim, seed 7: passed".to_owned()],
            shares: vec![ComparedShare {
                name: "stored".to_owned(),
                runs: [share(19, 20), share(10, 10)],
                agrees: true,
            }],
            in_one_run: vec!["retrieval".to_owned()],
        };
        let text = render(&comparison, TableStyle::default());
        assert!(text.starts_with("A: t on netns, seed 7: passed\nB: t on sim, seed 7: passed\n"), "{text}");
        assert!(text.contains("95 % of 20") && text.contains("\nOnly one run measured: retrieval\n"), "{text}");
        assert!(text.ends_with("1 of 1 share agrees (99.9 % confidence in each)\n"), "{text}");
    }
}
