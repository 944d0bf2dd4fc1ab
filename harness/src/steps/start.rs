//! `start`: nodes that are down come back, as they were or as new ones.

use super::named::NodeNames;
use super::state::{NodeLife, PlanState, SeedStream};
use super::step::{ScheduleError, StepReader, StepSource, StepSpec, Verb, count_text, done_after};
use crate::op::Op;
use crate::plan::{EndCondition, TimedOp};
use crate::topology::check::NameTable;
use crate::topology::diagnostics::{DiagnosticSink, Span};
use crate::topology::fields::{MapSpec, all_or_count, key};
use crate::topology::form::{ALL, ValueForm};
use crate::topology::raw::NODES_MAX;

pub(super) static VERB: Verb = Verb {
    name: "start",
    formerly: &[],
    doc: "Nodes that are down start, all at once.",
    keys: &MapSpec {
        what: "a start step",
        keys: &[
            key("nodes", "[alpha]", "networks, node groups or nodes").of(ValueForm::NAMES).needed(),
            key("fresh", "true", "whether they get new identities and empty stores; false if absent")
                .of(ValueForm::Flag),
            key("count", "3", "how many of those down, drawn at random, or all; all if absent")
                .of(ValueForm::Either(&[ALL, ValueForm::Count(1, NODES_MAX)])),
        ],
        later: &[],
    },
    short: None,
    example: "- start: {nodes: alpha, fresh: true}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct Start {
    nodes: NodeNames,
    fresh: bool,
    count: Option<u64>,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    Box::new(Start {
        nodes: NodeNames::read_needed(&fields, "nodes", problems),
        fresh: fields.flag("fresh", problems).unwrap_or(false),
        count: all_or_count(&fields, "count", "3, or all", NODES_MAX, problems),
    })
}

impl StepSpec for Start {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.nodes.validate(names, false, problems);
    }

    fn schedule(&self, state: &mut PlanState<'_>, seeds: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let nodes = state.pick(&self.nodes, NodeLife::Down, self.count, seeds)?;
        nodes.iter().for_each(|&node| state.set_life(node, NodeLife::Up));
        Ok(nodes.into_iter().map(|node| TimedOp::at_once(Op::Start { node, fresh: self.fresh })).collect())
    }

    fn ends(&self, ops: &[TimedOp], state: &PlanState<'_>) -> EndCondition {
        done_after(ops, state.grace)
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        let how = if self.fresh { "as fresh nodes" } else { "with their stores" };
        format!("start {} of {} {how}", count_text(self.count), self.nodes.text())
    }
}
