//! `join`: waits until all live nodes know each other, directly or through others.

use crate::topology::form::ValueForm;
use std::collections::BTreeSet;
use std::time::Duration;

use super::state::PlanState;
use super::step::{StepReader, StepSource, StepSpec, Verb};
use crate::plan::{EndCondition, NetworkIndex, TimedOp};
use crate::topology::check::TopologyModel;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span, quoted};
use crate::topology::fields::{MapSpec, key};
use crate::topology::roster::NodeRoster;
use crate::topology::units::Time;

pub(super) static VERB: Verb = Verb {
    name: "join",
    formerly: &[],
    doc: "Waits until the known-host graph of all live nodes is one component.",
    keys: &MapSpec {
        what: "a join step",
        keys: &[key("within", "30s", "the run fails if that takes longer").of(ValueForm::quantity::<Time>()).needed()],
        later: &[],
    },
    short: None,
    example: "- join: {within: 30s}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct Join {
    deadline: Duration,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let within = source.fields(problems).needed_quantity::<Time>("within", problems);
    Box::new(Join { deadline: within.map_or(Duration::ZERO, |within| within.value.0) })
}

impl StepSpec for Join {
    /// Every network's nodes must hear of all others: through ambassadors beyond their own LAN, unless they know each other.
    fn validate_nodes(&self, span: &Span, model: &TopologyModel, nodes: &NodeRoster, problems: &mut DiagnosticSink) {
        let Some((first, other)) = apart(model, nodes).filter(|_| !model.prescribes_graph) else { return };
        let name = |network: NetworkIndex| quoted(&model.networks[network.0].name.value);
        problems.add(
            Diagnostic::at(
                span,
                format!("nodes on {} and on {} can never meet, so this join cannot end", name(first), name(other)),
            )
            .label("would run into its time limit")
            .related(
                &model.networks[other.0].name.span,
                "no ambassador is on a way out of here that the others reach too",
            )
            .help("put an ambassador on the internet: {on: internet, ambassador: true}"),
        );
    }

    fn ends(&self, _: &[TimedOp], _: &PlanState<'_>) -> EndCondition {
        EndCondition::Joined { deadline: self.deadline }
    }

    fn may_run_beside(&self) -> bool {
        false
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        format!("join within {}", Time(self.deadline))
    }
}

/// The first network with nodes, and one whose nodes never meet those of the first.
fn apart(model: &TopologyModel, nodes: &NodeRoster) -> Option<(NetworkIndex, NetworkIndex)> {
    let inhabited: BTreeSet<NetworkIndex> = nodes.nodes.iter().map(|node| node.network).collect();
    // Networks whose nodes can meet, by the least of their indices.
    let mut met: Vec<usize> = (0..model.networks.len()).collect();
    for (network, reach) in
        nodes.reach.iter().enumerate().filter(|(index, _)| inhabited.contains(&NetworkIndex(*index)))
    {
        for ambassador in reach {
            let (a, b) = (met[network], met[nodes.nodes[ambassador.0].network.0]);
            let (least, other) = (a.min(b), a.max(b));
            met.iter_mut().filter(|set| **set == other).for_each(|set| *set = least);
        }
    }
    let first = *inhabited.first()?;
    let other = *inhabited.iter().find(|network| met[network.0] != met[first.0])?;
    Some((first, other))
}
