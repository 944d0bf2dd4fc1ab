//! `retrieve`: nodes fetch items that were stored before, spread evenly over time.

use crate::topology::form::{ALL, ValueForm};
use std::time::Duration;

use butter::core::random::sample;
use rand::RngExt;

use super::named::NodeNames;
use super::state::{NodeLife, PlanState, SeedPurpose, SeedStream, shuffle};
use super::step::{ScheduleError, StepSource, StepSpec, Verb, done_after};
use super::store::{ITEMS_MAX, slot};
use crate::op::Op;
use crate::plan::{EndCondition, ItemIndex, NodeIndex, TimedOp};
use crate::topology::check::{NameTable, NodeSelector};
use crate::topology::diagnostics::{DiagnosticSink, Span};
use crate::topology::fields::{MapSpec, all_or_count, key};

/// Gets that begin per second, however few nodes read.
const GETS_PER_SECOND: f64 = 40.0;
/// Gets that a reading node begins per second where there are many.
const GETS_PER_READER_AND_SECOND: f64 = 0.5;
/// How long a fresh node has to join before it reads.
const FRESH_JOIN: Duration = Duration::from_secs(5);

pub(super) static VERB: Verb = Verb {
    name: "retrieve",
    formerly: &[],
    doc: "Nodes fetch items that were stored before: each item once from each name. Ends when each get has ended.",
    keys: &MapSpec {
        what: "a retrieve step",
        keys: &[
            key("items", "all", "how many, drawn at random, or all; all if absent")
                .of(ValueForm::Either(&[ALL, ValueForm::Count(1, ITEMS_MAX)])),
            key("from", "[alpha, fresh]", "networks, node groups or nodes that fetch; `fresh` nodes join first")
                .of(ValueForm::NAMES),
        ],
        later: &[],
    },
    short: None,
    example: "- retrieve: {items: all, from: [alpha, fresh]}",
    read,
};

#[derive(Debug)]
struct Retrieve {
    /// `None` for all that were stored before.
    items: Option<u64>,
    from: NodeNames,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    Box::new(Retrieve {
        items: all_or_count(&fields, "items", "60, or all", ITEMS_MAX, problems),
        from: NodeNames::read(&fields, "from", problems),
    })
}

impl StepSpec for Retrieve {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.from.validate(names, true, problems);
        self.from.default_to_all();
    }

    fn schedule(&self, state: &mut PlanState<'_>, seeds: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let items = self.choose(state, seeds)?;
        let fresh = if self.wants_fresh_nodes() { state.take_fresh() } else { Vec::new() };
        let standing = self.from.found().iter().filter(|(_, selector)| *selector != NodeSelector::Fresh);
        if items.len().saturating_mul(standing.clone().count() + fresh.len()) > state.ops_left() {
            return Err(ScheduleError::TooManyOps);
        }
        let mut random = seeds.random(SeedPurpose::Readers);
        let mut now = Vec::new();
        for (name, selector) in standing {
            let live = state.live_of(&state.nodes_of([selector]));
            if live.is_empty() {
                return Err(ScheduleError::NoneAlive { names: name.clone() });
            }
            let mut any = || live[random.random_range(0..live.len() as u64) as usize];
            now.extend(items.iter().map(|&item| Get { item, node: any() }));
        }
        let later = fresh.iter().flat_map(|&node| items.iter().map(move |&item| Get { item, node })).collect();
        let rate = GETS_PER_SECOND.max(readers(&now, fresh.len()) as f64 * GETS_PER_READER_AND_SECOND);
        let mut ops: Vec<TimedOp> =
            fresh.iter().map(|&node| TimedOp::at_once(Op::Start { node, fresh: true })).collect();
        fresh.iter().for_each(|&node| state.set_life(node, NodeLife::Up));
        ops.extend(spread(seeds, now, later, rate));
        Ok(ops)
    }

    fn ends(&self, ops: &[TimedOp], state: &PlanState<'_>) -> EndCondition {
        done_after(ops, state.grace)
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        let items = self.items.map_or("all".to_owned(), |count| count.to_string());
        format!("retrieve {items} items from {}", self.from.text())
    }

    fn wants_fresh_nodes(&self) -> bool {
        self.from.selectors().any(|selector| *selector == NodeSelector::Fresh)
    }
}

impl Retrieve {
    fn choose(&self, state: &PlanState<'_>, seeds: &SeedStream) -> Result<Vec<ItemIndex>, ScheduleError> {
        let all: Vec<ItemIndex> = (0..state.items.len()).map(ItemIndex).collect();
        match self.items {
            _ if all.is_empty() => Err(ScheduleError::NothingStored),
            None => Ok(all),
            Some(wanted) if wanted > all.len() as u64 => {
                Err(ScheduleError::FewerStored { wanted, stored: all.len() as u64 })
            }
            Some(wanted) => {
                let mut some = sample(&mut seeds.random(SeedPurpose::Choice), all, wanted as usize);
                some.sort();
                Ok(some)
            }
        }
    }
}

/// A get without its time.
#[derive(Clone, Copy)]
struct Get {
    item: ItemIndex,
    node: NodeIndex,
}

impl Get {
    fn at(self, after: Duration) -> TimedOp {
        TimedOp { after, op: Op::Get { node: self.node, item: self.item } }
    }
}

/// How many nodes read.
fn readers(now: &[Get], fresh: usize) -> usize {
    let nodes: std::collections::BTreeSet<NodeIndex> = now.iter().map(|get| get.node).collect();
    nodes.len() + fresh
}

/// Both in random order at an even pace; those of `later` not before fresh nodes had time to join.
fn spread(seeds: &SeedStream, mut now: Vec<Get>, mut later: Vec<Get>, rate: f64) -> Vec<TimedOp> {
    let mut random = seeds.random(SeedPurpose::Order);
    shuffle(&mut random, &mut now);
    // As many as fit before the fresh nodes may read; the rest is mixed with theirs.
    let early = if later.is_empty() { now.len() } else { now.len().min((FRESH_JOIN.as_secs_f64() * rate) as usize) };
    later.extend(now.drain(early..));
    shuffle(&mut random, &mut later);
    let early = now.into_iter().enumerate().map(|(number, get)| get.at(slot(number as u64, rate)));
    let late = later.into_iter().enumerate().map(|(number, get)| get.at(FRESH_JOIN + slot(number as u64, rate)));
    early.chain(late).collect()
}
