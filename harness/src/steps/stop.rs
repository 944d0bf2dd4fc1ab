//! `stop`: nodes leave gracefully: they hand over what they hold and close their links.

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
    name: "stop",
    formerly: &[],
    doc: "Nodes leave gracefully, all at once; they stay down until a start step.",
    keys: &MapSpec {
        what: "a stop step",
        keys: &[
            key("nodes", "[alpha]", "networks, node groups or nodes").of(ValueForm::NAMES).needed(),
            key("count", "3", "how many of those alive, drawn at random, or all; all if absent")
                .of(ValueForm::Either(&[ALL, ValueForm::Count(1, NODES_MAX)])),
        ],
        later: &[],
    },
    short: None,
    example: "- stop: {nodes: alpha, count: 2}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct Stop {
    nodes: NodeNames,
    count: Option<u64>,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    Box::new(Stop {
        nodes: NodeNames::read_needed(&fields, "nodes", problems),
        count: all_or_count(&fields, "count", "3, or all", NODES_MAX, problems),
    })
}

impl StepSpec for Stop {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.nodes.validate(names, false, problems);
    }

    fn schedule(&self, state: &mut PlanState<'_>, seeds: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let nodes = state.pick(&self.nodes, NodeLife::Up, self.count, seeds)?;
        nodes.iter().for_each(|&node| state.set_life(node, NodeLife::Down));
        Ok(nodes.into_iter().map(|node| TimedOp::at_once(Op::Stop { node })).collect())
    }

    fn ends(&self, ops: &[TimedOp], state: &PlanState<'_>) -> EndCondition {
        done_after(ops, state.grace)
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        format!("stop {} of {}", count_text(self.count), self.nodes.text())
    }
}
