//! Whether backends agree, as a terminal shows it: a row for each measure of a topology.

use super::comparison::range;
use super::format::in_unit;
use super::style::{TableStyle, add_row, right_aligned};
use crate::results::agreement::{AgreementFigure, AgreementRow, AgreementVerdict};

/// The table with a line below it, and a newline at its end.
pub fn render(rows: &[AgreementRow], style: TableStyle) -> String {
    let backends = |index: usize| rows.first().map_or("", |row| row.backends[index].as_str());
    let (reference, backend) = (backends(0), backends(1));
    let header = ["topology", "measure", reference, "95 %", backend, "95 %", "agree"];
    let mut table = style.table(header);
    for row in rows {
        let unit = row.measure.unit();
        let mean =
            |figure: Option<AgreementFigure>| figure.map_or("–".to_owned(), |figure| in_unit(figure.mean, unit));
        let interval = |figure: Option<AgreementFigure>| {
            let interval = figure.and_then(|figure| figure.interval);
            interval.map_or("–".to_owned(), |(low, high)| range(low, high, unit))
        };
        let [one, other] = row.figures;
        let agrees = match row.verdict {
            AgreementVerdict::Agrees => "yes",
            AgreementVerdict::Differs => "NO",
            AgreementVerdict::Open => "open",
            AgreementVerdict::NotCompared => "–",
        };
        let (topology, measure) = (row.topology.clone(), row.measure.to_string());
        add_row(
            &mut table,
            style,
            [topology, measure, mean(one), interval(one), mean(other), interval(other), agrees.to_owned()],
        );
    }
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let (agree, open) = (count(AgreementVerdict::Agrees), count(AgreementVerdict::Open));
    let compared = rows.len() - count(AgreementVerdict::NotCompared);
    let open = if open > 0 { format!("; {open} open, which more seeds would decide") } else { String::new() };
    format!("{}\n{agree} of {compared} measures agree{open}\n", right_aligned(table, 2))
}
