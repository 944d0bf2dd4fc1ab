//! `sleep`: nodes freeze for a time and wake, as a laptop whose lid is closed: by their clocks no time has been between.

use std::time::Duration;

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
use crate::topology::units::Time;

pub(super) static VERB: Verb = Verb {
    name: "sleep",
    formerly: &[],
    doc: "Nodes freeze for a time and wake: what was due meanwhile is due at once. Ends when they are awake.",
    keys: &MapSpec {
        what: "a sleep step",
        keys: &[
            key("nodes", "[alpha]", "networks, node groups or nodes").of(ValueForm::NAMES).needed(),
            key("for", "30s", "how long").of(ValueForm::quantity::<Time>()).needed(),
            key("count", "3", "how many of those alive, drawn at random, or all; all if absent")
                .of(ValueForm::Either(&[ALL, ValueForm::Count(1, NODES_MAX)])),
        ],
        later: &[],
    },
    short: None,
    example: "- sleep: {nodes: alpha, count: 2, for: 30s}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct Sleep {
    nodes: NodeNames,
    duration: Duration,
    count: Option<u64>,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    let duration = fields.needed_quantity::<Time>("for", problems);
    Box::new(Sleep {
        nodes: NodeNames::read_needed(&fields, "nodes", problems),
        duration: duration.map_or(Duration::ZERO, |time| time.value.0),
        count: all_or_count(&fields, "count", "3, or all", NODES_MAX, problems),
    })
}

impl StepSpec for Sleep {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.nodes.validate(names, false, problems);
    }

    fn schedule(&self, state: &mut PlanState<'_>, seeds: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let nodes = state.pick(&self.nodes, NodeLife::Up, self.count, seeds)?;
        let sleep = nodes.iter().map(|&node| TimedOp::at_once(Op::Pause { node }));
        let wake = nodes.iter().map(|&node| TimedOp { after: self.duration, op: Op::Resume { node } });
        Ok(sleep.chain(wake).collect())
    }

    fn ends(&self, ops: &[TimedOp], state: &PlanState<'_>) -> EndCondition {
        done_after(ops, state.grace)
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        format!("{} of {} sleep for {}", count_text(self.count), self.nodes.text(), Time(self.duration))
    }
}
