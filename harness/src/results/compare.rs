//! Two runs of a topology held against each other: on two backends, before and after a change, with two settings.
//!
//! Shares are compared as samples: they agree if one true share may be behind both ([`Proportion::agrees_with`], at 99.9 %, so
//! that a whole grid seldom differs by chance alone). Times are shown and not judged: they depend on the machine.

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::Table;
use serde::Deserialize;

use super::result::SCHEMA_VERSION;
use crate::report::table::{optional, percent, right_aligned, seconds, table};
use crate::statistics::{Proportion, Z_999};

/// What is read of a `result.json`.
#[derive(Clone, Debug, Deserialize)]
struct Record {
    name: String,
    verdict: String,
    backend: String,
    seed: u64,
    persistence: Persistence,
    retrieval: Retrieval,
    #[serde(default)]
    matrix: Vec<Cell>,
    #[serde(default)]
    crossings: Vec<Crossing>,
}

#[derive(Clone, Debug, Deserialize)]
struct Persistence {
    items: u64,
    acknowledged: u64,
    kept: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Retrieval {
    queries: u64,
    found: u64,
    latency_s: Latency,
}

#[derive(Clone, Debug, Deserialize)]
struct Latency {
    p50: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
struct Cell {
    from: String,
    to: String,
    #[serde(flatten)]
    retrieval: Retrieval,
}

#[derive(Clone, Debug, Deserialize)]
struct Crossing {
    from: String,
    to: String,
    pairs: u64,
    linked: u64,
    direct: u64,
    linked_s: Latency,
}

/// A share that a run has come to, and the median time that goes with it.
#[derive(Clone, Copy, Debug)]
struct Figure {
    share: Proportion,
    p50_s: Option<f64>,
}

/// A text that is no `result.json` of this version.
#[derive(Debug, thiserror::Error)]
pub enum NotARecord {
    /// It is not the JSON of one.
    #[error("it is not a run's result.json")]
    Json(#[from] serde_json::Error),
    /// Another version of this program wrote it.
    #[error("it has the schema version {0}, and this program reads {SCHEMA_VERSION}: play it again")]
    Version(u32),
}

/// A share in both runs.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Of what.
    pub what: String,
    one: Figure,
    other: Figure,
    /// Whether chance explains the difference.
    pub agrees: bool,
}

/// Two runs, side by side.
#[derive(Clone, Debug)]
pub struct Comparison {
    runs: [String; 2],
    /// Every share that both have.
    pub shares: Vec<Compared>,
    /// Shares that only one of them has.
    pub alone: Vec<String>,
}

impl Comparison {
    /// Of two texts of `result.json`.
    ///
    /// # Errors
    /// If one is not such a text, with its index.
    pub fn of(texts: [&str; 2]) -> Result<Self, (usize, NotARecord)> {
        let read = |index: usize| Record::read(texts[index]).map_err(|error| (index, error));
        let records = [read(0)?, read(1)?];
        let [one, mut other] = [records[0].figures(), records[1].figures()];
        let (mut shares, mut alone) = (Vec::new(), Vec::new());
        for (what, figure) in one {
            match other.remove(&what).map(|second| (figure.share.agrees_with(second.share, Z_999), second)) {
                Some((Some(agrees), other)) => {
                    shares.push(Compared { what: what.to_string(), one: figure, other, agrees })
                }
                _ => alone.push(what.to_string()),
            }
        }
        alone.extend(other.into_keys().map(|what| what.to_string()));
        Ok(Comparison { runs: records.map(|record| record.title()), shares, alone })
    }

    /// Whether all shares that both runs have agree.
    pub fn agrees(&self) -> bool {
        self.shares.iter().all(|compared| compared.agrees)
    }

    fn table(&self) -> Table {
        let mut table = table(["share", "A", "B", "p50 A", "p50 B", "agree"]);
        for Compared { what, one, other, agrees } in &self.shares {
            let [a, b] = [one, other].map(|figure| text(figure.share));
            let [a50, b50] = [one, other].map(|figure| optional(figure.p50_s, seconds));
            table.add_row([what.clone(), a, b, a50, b50, if *agrees { "yes" } else { "NO" }.to_owned()]);
        }
        right_aligned(table, 1)
    }
}

/// `95 % of 20`
fn text(share: Proportion) -> String {
    format!("{} of {}", optional(share.share(), percent), share.whole)
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = &self.runs;
        writeln!(f, "A: {a}\nB: {b}\n{}", self.table())?;
        if !self.alone.is_empty() {
            writeln!(f, "in one of them only: {}", self.alone.join(", "))?;
        }
        let agreeing = self.shares.iter().filter(|compared| compared.agrees).count();
        write!(f, "{agreeing} of {} shares agree (99.9 % confidence in each)", self.shares.len())
    }
}

/// What a share is of, in the order in which it is shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Stored,
    Kept,
    Found,
    FoundBetween(String, String),
    Linked(String, String),
    Direct(String, String),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Stored => f.write_str("stored"),
            What::Kept => f.write_str("persistence"),
            What::Found => f.write_str("retrieval"),
            What::FoundBetween(from, to) => write!(f, "retrieval from {from} to {to}"),
            What::Linked(one, other) => write!(f, "linked: {one}, {other}"),
            What::Direct(one, other) => write!(f, "direct: {one}, {other}"),
        }
    }
}

impl Record {
    fn read(text: &str) -> Result<Self, NotARecord> {
        /// Whatever else the version is of.
        #[derive(Deserialize)]
        struct Version {
            schema_version: u32,
        }
        match serde_json::from_str::<Version>(text)?.schema_version {
            SCHEMA_VERSION => Ok(serde_json::from_str(text)?),
            other => Err(NotARecord::Version(other)),
        }
    }

    fn title(&self) -> String {
        let Record { name, backend, seed, verdict, .. } = self;
        format!("{name} on {backend}, seed {seed}: {verdict}")
    }

    /// Every share of something.
    fn figures(&self) -> BTreeMap<What, Figure> {
        let Persistence { items, acknowledged, kept } = self.persistence;
        let of = |part, whole, p50_s| Figure { share: Proportion { part, whole }, p50_s };
        let found = |retrieval: &Retrieval| of(retrieval.found, retrieval.queries, retrieval.latency_s.p50);
        let mut figures = BTreeMap::from([
            (What::Stored, of(acknowledged, items, None)),
            (What::Kept, of(kept, acknowledged, None)),
            (What::Found, found(&self.retrieval)),
        ]);
        for cell in &self.matrix {
            figures.insert(What::FoundBetween(cell.from.clone(), cell.to.clone()), found(&cell.retrieval));
        }
        for Crossing { from, to, pairs, linked, direct, linked_s } in &self.crossings {
            figures.insert(What::Linked(from.clone(), to.clone()), of(*linked, *pairs, linked_s.p50));
            figures.insert(What::Direct(from.clone(), to.clone()), of(*direct, *pairs, None));
        }
        figures.retain(|_, figure| figure.share.whole > 0);
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(backend: &str, pairs: u64, direct: u64) -> String {
        serde_json::json!({
            "schema_version": 1, "name": "t", "verdict": "passed", "backend": backend, "seed": 7,
            "persistence": {"items": 10, "acknowledged": 10, "kept": 10},
            "retrieval": {"queries": 0, "found": 0, "latency_s": {"p50": null}},
            "crossings": [{
                "from": "a", "to": "b", "pairs": pairs, "linked": pairs, "direct": direct, "linked_s": {"p50": 0.05},
            }],
        })
        .to_string()
    }

    fn compared(one: &str, other: &str) -> Comparison {
        Comparison::of([one, other]).unwrap()
    }

    #[test]
    fn samples_of_one_share_agree_whatever_their_sizes() {
        let same = compared(&record("netns", 20, 19), &record("sim", 1_000, 980));
        assert!(same.agrees());
        let text = same.to_string();
        assert!(text.starts_with("A: t on netns, seed 7: passed\nB: t on sim, seed 7: passed\n"), "{text}");
        assert!(
            text.contains("95 % of 20") && text.ends_with("4 of 4 shares agree (99.9 % confidence in each)"),
            "{text}"
        );
    }

    #[test]
    fn a_share_that_chance_does_not_explain_is_named() {
        let far = compared(&record("netns", 20, 5), &record("sim", 1_000, 980));
        assert!(!far.agrees());
        let differing: Vec<_> =
            far.shares.iter().filter(|compared| !compared.agrees).map(|c| c.what.as_str()).collect();
        assert_eq!(differing, ["direct: a, b"]);
    }

    #[test]
    fn what_only_one_run_has_is_told_and_not_judged() {
        let without = record("sim", 0, 0);
        let comparison = compared(&record("netns", 20, 20), &without);
        assert_eq!(comparison.alone, ["linked: a, b", "direct: a, b"]);
        assert!(comparison.agrees());
    }

    #[test]
    fn only_results_of_this_version_are_compared() {
        let newer = record("sim", 1, 1).replace("\"schema_version\":1", "\"schema_version\":2");
        let error = |text: &str| Comparison::of([&record("sim", 1, 1), text]).unwrap_err();
        assert!(matches!(error(&newer), (1, NotARecord::Version(2))));
        assert!(matches!(error("{}"), (1, NotARecord::Json(_))));
    }
}
