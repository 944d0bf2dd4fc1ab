//! `move`: nodes come to another network, as a laptop does that is carried from one Wi-Fi to another: same identity, same disk,
//! other addresses.

use super::named::{NetworkRefs, NodeNames};
use super::rebind::CHANGE_DEADLINE;
use super::state::{NodeLife, PlanState, SeedStream};
use super::step::{ScheduleError, StepReader, StepSource, StepSpec, Verb, count_text};
use crate::plan::{EndCondition, NetworkIndex, TimedOp};
use crate::topology::check::NameTable;
use crate::topology::diagnostics::{DiagnosticSink, Span};
use crate::topology::fields::{MapSpec, all_or_count, key};
use crate::topology::form::{ALL, ValueForm};
use crate::topology::raw::NODES_MAX;

pub(super) static VERB: Verb = Verb {
    name: "move",
    formerly: &[],
    doc: "Nodes come to another network, with the identities and stores that they have: their interfaces go down here and up there, and they get new addresses.",
    keys: &MapSpec {
        what: "a move step",
        keys: &[
            key("nodes", "[a-1]", "networks, node groups or nodes").of(ValueForm::NAMES).needed(),
            key("to", "beta", "the network that they come to; of several of one name, they take them in turn")
                .of(ValueForm::Text)
                .needed(),
            key("count", "3", "how many of those alive, drawn at random, or all; all if absent")
                .of(ValueForm::Either(&[ALL, ValueForm::Count(1, NODES_MAX)])),
        ],
        later: &[],
    },
    short: None,
    example: "- move: {nodes: a-1, to: beta}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct Move {
    nodes: NodeNames,
    to: NetworkRefs,
    count: Option<u64>,
    /// Most nodes that move.
    most: u64,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    fields.need("to", problems);
    Box::new(Move {
        nodes: NodeNames::read_needed(&fields, "nodes", problems),
        to: NetworkRefs::of_text(fields.text("to", problems)),
        count: all_or_count(&fields, "count", "3, or all", NODES_MAX, problems),
        most: 0,
    })
}

impl Move {
    /// The network that the node at `place` among those that move comes to.
    fn destination(&self, place: usize) -> Option<NetworkIndex> {
        let networks = self.to.in_plan_order();
        networks.get(place % networks.len().max(1)).copied()
    }
}

impl StepSpec for Move {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.nodes.validate(names, false, problems);
        self.to.validate(names, problems, |_, _| None);
        let named: u64 = self.nodes.selectors().map(|selector| names.count_of(selector)).sum();
        self.most = self.count.map_or(named, |count| count.min(named));
    }

    fn schedule(&self, state: &mut PlanState<'_>, seeds: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let nodes = state.pick(&self.nodes, NodeLife::Up, self.count, seeds)?;
        let places = nodes.into_iter().enumerate();
        let moves = places.filter_map(|(place, node)| Some((node, self.destination(place)?)));
        moves.map(|(node, network)| Ok(TimedOp::at_once(state.move_node(node, network)?))).collect()
    }

    fn ends(&self, _: &[TimedOp], _: &PlanState<'_>) -> EndCondition {
        EndCondition::Done { deadline: 2 * CHANGE_DEADLINE }
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        format!("{} of {} move to {}", count_text(self.count), self.nodes.text(), self.to.text())
    }

    fn arrivals(&self) -> Vec<(NetworkIndex, u64)> {
        let places = 0..usize::try_from(self.most).unwrap_or(usize::MAX);
        places.filter_map(|place| Some((self.destination(place)?, 1))).collect()
    }
}
