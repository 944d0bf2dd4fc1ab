//! `corrupt-store`: blocks in the stores of nodes are damaged while the nodes run, as by bad sectors.

use crate::topology::form::{ALL, ValueForm};
use rand::Rng;

use super::named::NodeNames;
use super::state::{NodeLife, PlanState, SeedPurpose, SeedStream};
use super::step::{ScheduleError, StepReader, StepSource, StepSpec, Verb, count_text, done_after};
use crate::op::Op;
use crate::plan::{EndCondition, TimedOp};
use crate::topology::check::NameTable;
use crate::topology::diagnostics::{DiagnosticSink, Span};
use crate::topology::fields::{MapSpec, all_or_count, key};
use crate::topology::raw::NODES_MAX;
use crate::topology::units::Share;

pub(super) static VERB: Verb = Verb {
    name: "corrupt-store",
    formerly: &[],
    doc: "Blocks on the disks of nodes are damaged: of real nodes those of more than two kilobytes, and what a node has cached shows \
          it after a restart. Needs `store: disk`.",
    keys: &MapSpec {
        what: "a corrupt-store step",
        keys: &[
            key("nodes", "[alpha]", "networks, node groups or nodes").of(ValueForm::NAMES).needed(),
            key("count", "3", "how many of those alive, drawn at random, or all; all if absent")
                .of(ValueForm::Either(&[ALL, ValueForm::Count(1, NODES_MAX)])),
            key("share", "10%", "share of the blocks that are damaged; all if absent")
                .of(ValueForm::quantity::<Share>()),
        ],
        later: &[],
    },
    short: None,
    example: "- corrupt-store: {nodes: alpha, count: 2, share: 10%}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct CorruptStore {
    nodes: NodeNames,
    count: Option<u64>,
    share: f64,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    Box::new(CorruptStore {
        nodes: NodeNames::read_needed(&fields, "nodes", problems),
        count: all_or_count(&fields, "count", "3, or all", NODES_MAX, problems),
        share: fields.quantity("share", problems).map_or(1.0, |share| {
            let Share(share) = share.value;
            share
        }),
    })
}

impl StepSpec for CorruptStore {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.nodes.validate(names, false, problems);
    }

    fn schedule(&self, state: &mut PlanState<'_>, seeds: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let nodes = state.pick_with_disks(&self.nodes, NodeLife::Up, self.count, seeds)?;
        let mut random = seeds.random(SeedPurpose::Damage);
        let op = |node| TimedOp::at_once(Op::CorruptStore { node, share: self.share, seed: random.next_u64() });
        Ok(nodes.into_iter().map(op).collect())
    }

    fn ends(&self, ops: &[TimedOp], state: &PlanState<'_>) -> EndCondition {
        done_after(ops, state.grace)
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        format!("damage {} of the blocks of {} of {}", Share(self.share), count_text(self.count), self.nodes.text())
    }
}
