//! `disk-full`: no space is left on the disks of nodes, until another such step says otherwise.

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
    name: "disk-full",
    formerly: &[],
    doc: "No space is left on the disks of nodes, until they restart or the step says so. Needs `store: disk`.",
    keys: &MapSpec {
        what: "a disk-full step",
        keys: &[
            key("nodes", "[alpha]", "networks, node groups or nodes").of(ValueForm::NAMES).needed(),
            key("count", "3", "how many of those alive, drawn at random, or all; all if absent")
                .of(ValueForm::Either(&[ALL, ValueForm::Count(1, NODES_MAX)])),
            key("full", "false", "false: the disks have room again; true if absent").of(ValueForm::Flag),
        ],
        later: &[],
    },
    short: None,
    example: "- disk-full: {nodes: alpha, count: 2}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct DiskFull {
    nodes: NodeNames,
    count: Option<u64>,
    full: bool,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    Box::new(DiskFull {
        nodes: NodeNames::read_needed(&fields, "nodes", problems),
        count: all_or_count(&fields, "count", "3, or all", NODES_MAX, problems),
        full: fields.flag("full", problems).unwrap_or(true),
    })
}

impl StepSpec for DiskFull {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.nodes.validate(names, false, problems);
    }

    fn schedule(&self, state: &mut PlanState<'_>, seeds: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let nodes = state.pick_with_disks(&self.nodes, NodeLife::Up, self.count, seeds)?;
        Ok(nodes.into_iter().map(|node| TimedOp::at_once(Op::FillDisk { node, full: self.full })).collect())
    }

    fn ends(&self, ops: &[TimedOp], state: &PlanState<'_>) -> EndCondition {
        done_after(ops, state.grace)
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        let what = if self.full { "fill the disks" } else { "make room on the disks" };
        format!("{what} of {} of {}", count_text(self.count), self.nodes.text())
    }
}
