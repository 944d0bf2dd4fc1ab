//! What a family of measures has to say of itself: its grammar, its precondition, its unit, and its value.

use std::collections::BTreeSet;

use super::words::{Fault, Names, Word};
use crate::metrics::history::MetricHistory;
use crate::op::Op;
use crate::plan::{Item, Measure, NetworkIndex, NodePlaces, NodePlan, Plan, Step};
use crate::results::check_result::{CheckFailures, CheckUnit};
use crate::results::tally::Tally;
use crate::topology::units::{Time, Unit, any_share, is_plain_number};

/// All measures whose checks begin with the same name.
pub(crate) trait MeasureFamily: Sync {
    /// The words with which its checks begin.
    fn name(&self) -> &'static str;

    /// Every form of its checks, for the reference and for messages.
    fn forms(&self) -> &'static [Form];

    /// Reads the words after the name.
    ///
    /// # Errors
    /// If they make no form of this family.
    fn parse(&self, rest: &[Word<'_>], names: &Names<'_>) -> Result<Measure, Fault>;

    /// The unit of the measured value.
    fn unit(&self, measure: &Measure) -> CheckUnit;

    /// Reads a bound. The default reads the notation of the unit.
    ///
    /// # Errors
    /// If it is not in the unit.
    fn bound(&self, measure: &Measure, text: &str) -> Result<f64, BoundError> {
        bound_in(self.unit(measure), text)
    }

    /// Why the steps before the check leave nothing to measure; `None` if they leave something.
    fn missing(&self, measure: &Measure, before: &Activity) -> Option<&'static str>;

    /// The measured value.
    ///
    /// # Errors
    /// If there is nothing to measure, with the reason.
    fn evaluate(&self, measure: &Measure, run: &Measurements<'_>) -> Result<f64, String>;

    /// The items or queries that keep the value from its best.
    fn failures(&self, measure: &Measure, run: &Measurements<'_>) -> Option<CheckFailures> {
        _ = (measure, run);
        None
    }

    /// Whether the run did what is measured, although there is no value: such as times of queries of which none succeeded. A check
    /// then fails; otherwise it is left open.
    fn was_exercised(&self, _run: &Measurements<'_>) -> bool {
        false
    }
}

/// A form of a family's checks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// The words before the comparison; optional parts in brackets.
    pub(crate) syntax: &'static str,
    /// A valid check of this form.
    pub(crate) example: &'static str,
    /// What it measures, in one sentence.
    pub(crate) meaning: &'static str,
}

/// Why a text is no bound.
pub(crate) struct BoundError {
    /// What is wrong with the text, in a clause.
    pub(crate) why: String,
    /// What to write instead.
    pub(crate) help: &'static str,
}

/// Everything of a run that checks are evaluated on.
pub(crate) struct Measurements<'r> {
    pub(crate) plan: &'r Plan,
    /// Events up to the check.
    pub(crate) tally: &'r Tally,
    pub(crate) metrics: &'r MetricHistory,
}

/// What the steps before a check do, as far as preconditions of checks depend on it.
#[derive(Default)]
pub(crate) struct Activity {
    /// Whether an item is stored.
    pub(crate) stored: bool,
    /// Networks that send queries, with the networks that stored the items.
    pub(crate) queried: BTreeSet<(NetworkIndex, NetworkIndex)>,
    /// Whether a node looks for a key that no item has.
    pub(crate) sought_absent: bool,
    /// Whether a node searches for keywords.
    pub(crate) searched: bool,
    /// Node groups of the pairs that a `connect` step tests, either way round.
    pub(crate) connected: BTreeSet<(String, String)>,
    /// Whether a NAT is made to drop its mappings.
    pub(crate) rebound: bool,
    /// Whether a node is killed.
    pub(crate) killed: bool,
    /// Whether a node is killed or stopped.
    pub(crate) ended: bool,
    /// Where nodes are by then.
    places: NodePlaces,
}

impl Activity {
    /// Adds what a step does.
    pub(crate) fn add(&mut self, step: &Step, nodes: &[NodePlan], items: &[Item]) {
        for timed in &step.ops {
            match timed.op {
                Op::Put { .. } => self.stored = true,
                Op::GetAbsent { .. } => self.sought_absent = true,
                Op::Get { item, node, .. } => {
                    let by = items[item.0].by;
                    let [from, to] = [node, by].map(|node| self.places.network(nodes, node));
                    self.queried.insert((from, to));
                }
                Op::Connect { node, peer, .. } => {
                    let (a, b) = (&nodes[node.0].group, &nodes[peer.0].group);
                    self.connected.extend([(a.clone(), b.clone()), (b.clone(), a.clone())]);
                }
                Op::Move { node, network, .. } => self.places.moved(node, network),
                Op::Search { .. } => self.searched = true,
                Op::Rebind { .. } => self.rebound = true,
                Op::Kill { .. } => (self.killed, self.ended) = (true, true),
                Op::Stop { .. } => self.ended = true,
                _ => {}
            }
        }
    }
}

/// A bound in the notation of a unit.
fn bound_in(unit: CheckUnit, text: &str) -> Result<f64, BoundError> {
    match unit {
        CheckUnit::Share => {
            any_share(text).map_err(|why| BoundError { why, help: "write a share, such as 99% or 9/10" })
        }
        CheckUnit::Seconds => Time::parse(text)
            .map(|Time(time)| time.as_secs_f64())
            .map_err(|why| BoundError { why, help: "write a duration, such as 500ms or 2s" }),
        CheckUnit::Plain => plain_number(text).map_err(|why| BoundError { why, help: "write a number, such as 3.2" }),
    }
}

/// A number without sign or exponent.
pub(super) fn plain_number(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|_| is_plain_number(text)).ok_or_else(|| "it is not a number".to_owned())
}
