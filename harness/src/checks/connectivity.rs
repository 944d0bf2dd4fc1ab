//! Connectivity: which pairs of nodes are connected, which of them directly, and how fast.

use super::check::{Activity, Form, MeasureFamily, Measurements};
use super::words::{Fault, Names, Word, from_to, group, is_quantile, nothing_more, quantile};
use crate::plan::{Measure, NodeIndex, Selection, Statistic};
use crate::results::check_result::CheckUnit;
use crate::results::connectivity::{ConnectivityFigures, LinkClass, LinkTest};

/// Measures of the pairs of nodes that `connect` steps test, for one class of links.
pub(super) struct Connectivity(pub(super) LinkClass);

const HELP: &str = "write connected or direct, followed by nothing, [from GROUP] [to GROUP], in every cell, or p95";

impl MeasureFamily for Connectivity {
    fn name(&self) -> &'static str {
        match self.0 {
            LinkClass::Connected => "connected",
            LinkClass::Direct => "direct",
        }
    }

    fn forms(&self) -> &'static [Form] {
        match self.0 {
            LinkClass::Connected => &CONNECTED,
            LinkClass::Direct => &DIRECT,
        }
    }

    fn parse(&self, rest: &[Word<'_>], names: &Names<'_>) -> Result<Measure, Fault> {
        let measure = |statistic| Measure::new(self.name(), statistic);
        match rest {
            [("in", _), ("every", _), ("cell", _), more @ ..] => nothing_more(measure(Statistic::WorstPair), more),
            [word, more @ ..] if is_quantile(word.0) => {
                nothing_more(measure(Statistic::Quantile(quantile(word)?)), more)
            }
            _ => from_to(measure(Statistic::Main), rest, HELP, |before, name| group(before, name, names.groups)),
        }
    }

    fn unit(&self, measure: &Measure) -> CheckUnit {
        match measure.statistic {
            Statistic::Quantile(_) => CheckUnit::Seconds,
            _ => CheckUnit::Share,
        }
    }

    fn missing(&self, measure: &Measure, before: &Activity) -> Option<&'static str> {
        let (from, to) = (group_of(&measure.from), group_of(&measure.to));
        let fits = |(a, b): &(String, String)| is_group(from, a) && is_group(to, b);
        match before.connected.iter().any(fits) {
            true => None,
            false if from.or(to).is_some() => Some("no connect step before it tests such a pair of nodes"),
            false => Some("no connect step before it tests a pair of nodes"),
        }
    }

    fn was_exercised(&self, run: &Measurements<'_>) -> bool {
        !run.tally.connectivity.tests.is_empty()
    }

    fn evaluate(&self, measure: &Measure, run: &Measurements<'_>) -> Result<f64, String> {
        let tests = &run.tally.connectivity.tests;
        match measure.statistic {
            Statistic::Quantile(share) => {
                ConnectivityFigures::of(tests).after_s(self.0, share).ok_or_else(|| "no such link came up".to_owned())
            }
            Statistic::WorstPair => {
                let pairs = run.tally.connectivity.by_pair(run.plan).into_values();
                let shares = pairs.filter_map(|tests| ConnectivityFigures::of(tests).share(self.0));
                shares.min_by(f64::total_cmp).ok_or_else(|| "no pair of nodes was tested".to_owned())
            }
            _ => {
                let (from, to) = (group_of(&measure.from), group_of(&measure.to));
                let is = |group, node: NodeIndex| is_group(group, &run.plan.node(node).group);
                // Either node may have dialled.
                let between =
                    |test: &&LinkTest| is(from, test.from) && is(to, test.to) || is(from, test.to) && is(to, test.from);
                let share = ConnectivityFigures::of(tests.iter().filter(between)).share(self.0);
                share.ok_or_else(|| "no such pair of nodes was tested".to_owned())
            }
        }
    }
}

const CONNECTED: [Form; 3] = [
    Form {
        syntax: "connected [from GROUP] [to GROUP]",
        example: "connected from a to b == 100%",
        meaning: "Share of the pairs of nodes that a connect step tests which are connected, by relay or directly.",
    },
    Form {
        syntax: "connected in every cell",
        example: "connected in every cell >= 99%",
        meaning: "The same share, of the pair of node groups where it is least.",
    },
    Form {
        syntax: "connected pN",
        example: "connected p95 <= 2s",
        meaning: "A percentile of the times until pairs are connected.",
    },
];

const DIRECT: [Form; 3] = [
    Form {
        syntax: "direct [from GROUP] [to GROUP]",
        example: "direct from a to b >= 95%",
        meaning: "Share of the pairs of nodes that a connect step tests which are connected without a relay.",
    },
    Form {
        syntax: "direct in every cell",
        example: "direct in every cell >= 90%",
        meaning: "The same share, of the pair of node groups where it is least.",
    },
    Form {
        syntax: "direct pN",
        example: "direct p50 <= 1s",
        meaning: "A percentile of the times until pairs are connected without a relay.",
    },
];

fn group_of(selection: &Option<Selection>) -> Option<&str> {
    match selection {
        Some(Selection::Group(group)) => Some(group),
        Some(Selection::Networks(_)) | None => None,
    }
}

fn is_group(wanted: Option<&str>, group: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == group)
}
