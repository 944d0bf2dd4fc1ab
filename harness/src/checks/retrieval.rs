//! Retrieval: how many queries succeed, how fast, and with how many messages.

use super::check::{Activity, Form, MeasureFamily, Measurements};
use super::words::{Fault, Names, Word, from_to, is_quantile, network, nothing_more, quantile};
use crate::events::Retrieved;
use crate::plan::{Measure, NetworkIndex, NetworkRange, Selection, Statistic};
use crate::results::check_result::{CheckFailures, CheckUnit};
use crate::results::queries::QueryFigures;

/// Measures of queries.
pub(super) struct Retrieval;

const HELP: &str =
    "write retrieval [from NETWORK] [to NETWORK], retrieval in every cell, retrieval p95, or retrieval messages";

impl MeasureFamily for Retrieval {
    fn name(&self) -> &'static str {
        "retrieval"
    }

    fn forms(&self) -> &'static [Form] {
        &[
            Form {
                syntax: "retrieval [from NETWORK] [to NETWORK]",
                example: "retrieval from gamma to alpha >= 95%",
                meaning: "Share of the queries from one network, for items stored in another, that return the right bytes in time.",
            },
            Form {
                syntax: "retrieval in every cell",
                example: "retrieval in every cell >= 99%",
                meaning: "The same share, of the pair of networks where it is least.",
            },
            Form {
                syntax: "retrieval pN",
                example: "retrieval p95 <= 2s",
                meaning: "A percentile of the durations of successful queries.",
            },
            Form {
                syntax: "retrieval messages",
                example: "retrieval messages <= 40",
                meaning: "Mean number of query messages of a successful query.",
            },
        ]
    }

    fn parse(&self, rest: &[Word<'_>], names: &Names<'_>) -> Result<Measure, Fault> {
        let measure = |statistic| Measure::new(self.name(), statistic);
        match rest {
            [("in", _), ("every", _), ("cell", _), more @ ..] => nothing_more(measure(Statistic::WorstPair), more),
            [("messages", _), more @ ..] => nothing_more(measure(Statistic::Mean("messages")), more),
            [word, more @ ..] if is_quantile(word.0) => {
                nothing_more(measure(Statistic::Quantile(quantile(word)?)), more)
            }
            _ => from_to(measure(Statistic::Main), rest, HELP, |before, name| network(before, name, names.networks)),
        }
    }

    fn unit(&self, measure: &Measure) -> CheckUnit {
        match measure.statistic {
            Statistic::Quantile(_) => CheckUnit::Seconds,
            Statistic::Mean(_) => CheckUnit::Plain,
            _ => CheckUnit::Share,
        }
    }

    fn missing(&self, measure: &Measure, before: &Activity) -> Option<&'static str> {
        let (from, to) = (networks(&measure.from), networks(&measure.to));
        let fits = |(f, t): &(NetworkIndex, NetworkIndex)| is_in(from, *f) && is_in(to, *t);
        match (before.queried.iter().any(fits), from, to) {
            (true, ..) => None,
            (false, None, None) => Some("no step before it retrieves an item"),
            (false, Some(_), None) => Some("no node of that network retrieves an item before it"),
            (false, None, Some(_)) => Some("no item that was stored from that network is retrieved before it"),
            (false, Some(_), Some(_)) => {
                Some("the one network retrieves no item that was stored from the other before it")
            }
        }
    }

    fn was_exercised(&self, run: &Measurements<'_>) -> bool {
        !run.tally.queries.queries.is_empty()
    }

    fn evaluate(&self, measure: &Measure, run: &Measurements<'_>) -> Result<f64, String> {
        let figures = || QueryFigures::of(&run.tally.queries.queries);
        let no_success = || "no query succeeded".to_owned();
        match measure.statistic {
            Statistic::Quantile(share) => figures().latency_s(share).ok_or_else(no_success),
            Statistic::Mean(_) => figures().messages_mean().ok_or_else(no_success),
            Statistic::WorstPair => worst_pair(run),
            _ => success_share(run, networks(&measure.from), networks(&measure.to)),
        }
    }

    fn failures(&self, measure: &Measure, run: &Measurements<'_>) -> Option<CheckFailures> {
        if !matches!(measure.statistic, Statistic::Main | Statistic::WorstPair) {
            return None;
        }
        let (from, to) = (networks(&measure.from), networks(&measure.to));
        let queries = run.tally.queries.queries.iter().filter(|query| is_in(from, query.from) && is_in(to, query.to));
        let failed = queries.filter(|query| !matches!(query.result, Retrieved::Found { .. }));
        CheckFailures::of("query", failed.map(|query| query.number))
    }
}

fn success_share(run: &Measurements<'_>, from: Option<NetworkRange>, to: Option<NetworkRange>) -> Result<f64, String> {
    let queries = run.tally.queries.queries.iter().filter(|query| is_in(from, query.from) && is_in(to, query.to));
    QueryFigures::of(queries).success_share().ok_or_else(|| {
        let place = |word: &str, networks: Option<NetworkRange>| {
            networks.map_or(String::new(), |networks| format!(" {word} {}", run.plan.name_of_networks(networks)))
        };
        format!("no query was made{}{}", place("from", from), place("for items stored from", to))
    })
}

fn worst_pair(run: &Measurements<'_>) -> Result<f64, String> {
    let pairs = run.tally.queries.by_pair(run.plan);
    let shares = pairs.into_values().filter_map(|queries| QueryFigures::of(queries).success_share());
    shares.min_by(f64::total_cmp).ok_or_else(|| "no query was made".to_owned())
}

fn networks(selection: &Option<Selection>) -> Option<NetworkRange> {
    match selection {
        Some(Selection::Networks(networks)) => Some(*networks),
        Some(Selection::Group(_)) | None => None,
    }
}

fn is_in(networks: Option<NetworkRange>, network: NetworkIndex) -> bool {
    networks.is_none_or(|networks| networks.contains(network))
}
