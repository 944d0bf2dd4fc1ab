//! `connect`: pairs of nodes link as directly as they can: in every cell of the grid of node groups, all or some of its pairs.

use crate::topology::form::{ALL, ValueForm};
use std::collections::BTreeMap;
use std::time::Duration;

use butter::core::connectivity::connect_requests::CONNECT_WITHIN;
use butter::core::random::sample;
use rand::RngExt;

use super::named::NodeNames;
use super::state::{PlanState, SeedPurpose, SeedStream, WORKLOAD_GRACE, shuffle};
use super::step::{ScheduleError, StepReader, StepSource, StepSpec, Verb};
use super::store::ITEMS_MAX;
use crate::op::Op;
use crate::plan::{EndCondition, NodeIndex, TimedOp};
use crate::topology::check::NameTable;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span};
use crate::topology::fields::{MapSpec, Spanned, all_or_count, key};
use crate::topology::units::Time;

/// Most pairs from which a step chooses.
pub(super) const PAIRS_MAX: u64 = 20_000_000;

pub(super) static VERB: Verb = Verb {
    name: "connect",
    formerly: &["cross"],
    doc: "Pairs of nodes link as directly as they can; pairs of different networks are preferred.",
    keys: &MapSpec {
        what: "a connect step",
        keys: &[
            key("pairs", "20", "how many of each two node groups, drawn at random, or all; all if absent")
                .of(ValueForm::Either(&[ALL, ValueForm::Count(1, ITEMS_MAX)])),
            key("within", "30s", "a link counts that is up, and direct, by then").of(ValueForm::quantity::<Time>()),
            key("among", "[a, b]", "networks, node groups or nodes that take part; all but ambassadors if absent")
                .of(ValueForm::NAMES),
        ],
        later: &[],
    },
    short: None,
    example: "- connect: {pairs: 20, within: 30s}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct Connect {
    among: NodeNames,
    /// How many pairs of each two groups; `None` for all.
    pairs: Option<u64>,
    /// How long each pair has.
    deadline: Duration,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    let within = fields.quantity::<Time>("within", problems);
    if let Some(Spanned { value: Time(time), span }) = &within
        && (time.is_zero() || *time > CONNECT_WITHIN)
    {
        problems.add(
            Diagnostic::at(span, format!("a pair has more than nothing and at most {}", Time(CONNECT_WITHIN)))
                .help("a node reports how its link runs by then"),
        );
    }
    Box::new(Connect {
        deadline: within.map_or(CONNECT_WITHIN, |time| time.value.0),
        pairs: all_or_count(&fields, "pairs", "20, or all", ITEMS_MAX, problems),
        among: NodeNames::read(&fields, "among", problems),
    })
}

impl StepSpec for Connect {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.among.validate(names, false, problems);
        self.among.default_to(names.groups_without_ambassadors());
    }

    fn schedule(&self, state: &mut PlanState<'_>, seeds: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let groups = by_group(state, &state.live_of(&state.nodes_of(self.among.selectors())));
        let possible: u64 = cells(&groups).map(|(a, b)| a.len() as u64 * b.len() as u64).sum();
        if possible > PAIRS_MAX {
            return Err(ScheduleError::TooManyPairs);
        }
        let mut random = seeds.random(SeedPurpose::Pairs);
        let mut chosen = Vec::new();
        for (a, b) in cells(&groups) {
            let pairs = pairs_of(state, a, b);
            chosen.extend(match self.pairs {
                Some(count) if count < pairs.len() as u64 => sample(&mut random, pairs, count as usize),
                _ => pairs,
            });
        }
        if chosen.is_empty() {
            return Err(ScheduleError::NoPair { names: self.among.text() });
        }
        if chosen.len() > state.ops_left() {
            return Err(ScheduleError::TooManyOps);
        }
        shuffle(&mut random, &mut chosen);
        let connect = |(a, b)| {
            let (node, peer) = if random.random() { (a, b) } else { (b, a) };
            TimedOp::at_once(Op::Connect { node, peer, deadline: self.deadline })
        };
        Ok(chosen.into_iter().map(connect).collect())
    }

    /// One after the other at worst: whatever is true of the nodes, every pair has had its time by then.
    fn ends(&self, ops: &[TimedOp], _: &PlanState<'_>) -> EndCondition {
        EndCondition::Done { deadline: self.deadline.saturating_mul(ops.len() as u32).saturating_add(WORKLOAD_GRACE) }
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        let pairs = self.pairs.map_or("all".to_owned(), |count| count.to_string());
        format!("connect {pairs} pairs of each two groups of {} within {}", self.among.text(), Time(self.deadline))
    }
}

/// Nodes by their groups, in order.
fn by_group(state: &PlanState<'_>, nodes: &[NodeIndex]) -> Vec<Vec<NodeIndex>> {
    let mut groups: BTreeMap<&str, Vec<NodeIndex>> = BTreeMap::new();
    for &node in nodes {
        groups.entry(&state.node(node).group).or_default().push(node);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort();
    groups
}

/// Pairs of two groups, or of one with itself: those on different networks, or all if there are no such.
fn pairs_of(state: &PlanState<'_>, a: &[NodeIndex], b: &[NodeIndex]) -> Vec<(NodeIndex, NodeIndex)> {
    let all = || a.iter().flat_map(|&one| b.iter().map(move |&other| (one, other)));
    let distinct = || all().filter(|(one, other)| one != other && (a[0] != b[0] || one < other));
    let network = |node: NodeIndex| state.node(node).network;
    let apart: Vec<_> = distinct().filter(|(one, other)| network(*one) != network(*other)).collect();
    if apart.is_empty() { distinct().collect() } else { apart }
}

/// Every two groups, and each with itself.
fn cells<'g>(groups: &'g [Vec<NodeIndex>]) -> impl Iterator<Item = (&'g [NodeIndex], &'g [NodeIndex])> {
    let from = move |(i, one): (usize, &'g Vec<NodeIndex>)| {
        groups[i..].iter().map(move |other| (one.as_slice(), other.as_slice()))
    };
    groups.iter().enumerate().flat_map(from)
}
