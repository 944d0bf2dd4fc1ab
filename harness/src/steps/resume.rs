//! `resume`: nodes that are paused go on.

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
    name: "resume",
    formerly: &[],
    doc: "Nodes that are paused go on, all at once, with the identities and stores that they had.",
    keys: &MapSpec {
        what: "a resume step",
        keys: &[
            key("nodes", "[alpha]", "networks, node groups or nodes").of(ValueForm::NAMES).needed(),
            key("count", "3", "how many of those paused, drawn at random, or all; all if absent")
                .of(ValueForm::Either(&[ALL, ValueForm::Count(1, NODES_MAX)])),
        ],
        later: &[],
    },
    short: None,
    example: "- resume: {nodes: alpha, count: 2}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct Resume {
    nodes: NodeNames,
    count: Option<u64>,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    Box::new(Resume {
        nodes: NodeNames::read_needed(&fields, "nodes", problems),
        count: all_or_count(&fields, "count", "3, or all", NODES_MAX, problems),
    })
}

impl StepSpec for Resume {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.nodes.validate(names, false, problems);
    }

    fn schedule(&self, state: &mut PlanState<'_>, seeds: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let nodes = state.pick(&self.nodes, NodeLife::Paused, self.count, seeds)?;
        nodes.iter().for_each(|&node| state.set_life(node, NodeLife::Up));
        Ok(nodes.into_iter().map(|node| TimedOp::at_once(Op::Resume { node })).collect())
    }

    fn ends(&self, ops: &[TimedOp], state: &PlanState<'_>) -> EndCondition {
        done_after(ops, state.grace)
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        format!("resume {} of {}", count_text(self.count), self.nodes.text())
    }
}
