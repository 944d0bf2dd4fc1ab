//! `partition`: nothing passes between the nodes of different sides, on any network between them or on one that they share.

use super::named::NodeNames;
use super::rebind::CHANGE_DEADLINE;
use super::state::{PlanState, SeedStream};
use super::step::{ScheduleError, StepReader, StepSource, StepSpec, Verb};
use crate::net::zone::CutDirection;
use crate::op::Op;
use crate::plan::{EndCondition, NodeIndex, TimedOp};
use crate::topology::check::NameTable;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span};
use crate::topology::fields::{MapSpec, key};
use crate::topology::form::ValueForm;
use crate::topology::tree::{YamlNode, YamlValue};

/// Stands for the nodes that no other side names.
const REST: &str = "rest";
/// The name of a partition that the file gives none.
const NAME_DEFAULT: &str = "partition";

/// Two sides or more, each a name or a list of names.
const SIDES: ValueForm = ValueForm::List(2, &ValueForm::NAMES);

pub(super) static VERB: Verb = Verb {
    name: "partition",
    formerly: &[],
    doc: "Nothing passes between nodes of different sides until a heal step. Nodes that no side names reach all.",
    keys: &MapSpec {
        what: "a partition step",
        keys: &[
            key(
                "sides",
                "[alpha, [beta, c-1]]",
                "two sides or more, each of networks, node groups or nodes, or `rest`",
            )
            .of(SIDES)
            .needed(),
            key("name", "split", "what a heal step calls it, where several are in force").of(ValueForm::Text),
            key(
                "one-way",
                "true",
                "what a side sends does not reach the sides after it, which still reach it; false if absent",
            )
            .of(ValueForm::Flag),
        ],
        later: &["established", "reject"],
    },
    short: Some(SIDES),
    example: "- partition: {sides: [alpha, [beta, c-1]], name: split}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct Partition {
    name: String,
    sides: Vec<Side>,
    direction: CutDirection,
}

#[derive(Debug)]
enum Side {
    Named(NodeNames),
    Rest,
}

/// The sides, or a map that says more.
fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    if matches!(source.node.value, YamlValue::List(_)) {
        let sides = read_sides(source.node, problems);
        return Box::new(Partition { name: NAME_DEFAULT.to_owned(), sides, direction: CutDirection::Both });
    }
    let fields = source.fields(problems);
    let sides = fields.need("sides", problems).map(|node| read_sides(node, problems)).unwrap_or_default();
    let name = fields.text("name", problems).map_or_else(|| NAME_DEFAULT.to_owned(), |name| name.value);
    let is_one_way = fields.flag("one-way", problems).unwrap_or(false);
    let direction = if is_one_way { CutDirection::OneWay } else { CutDirection::Both };
    Box::new(Partition { name, sides, direction })
}

fn read_sides(node: &YamlNode, problems: &mut DiagnosticSink) -> Vec<Side> {
    let sides = match &node.value {
        YamlValue::List(sides) if sides.len() >= 2 => sides,
        _ => {
            let problem = Diagnostic::at(&node.span, "a partition has two sides at least");
            problems.add(problem.help("name both: [alpha, beta], or what is cut off from all others: [alpha, rest]"));
            return Vec::new();
        }
    };
    let rests: Vec<&YamlNode> = sides.iter().filter(|side| is_rest(side)).collect();
    if let [first, second, ..] = rests[..] {
        let problem = Diagnostic::at(&second.span, "`rest` is the nodes of no other side, and stands for one side");
        problems.add(problem.related(&first.span, "first here"));
    }
    let side = |node: &YamlNode| match is_rest(node) {
        true => Side::Rest,
        false => Side::Named(NodeNames::read_value(node, "sides", problems)),
    };
    sides.iter().map(side).collect()
}

fn is_rest(side: &YamlNode) -> bool {
    matches!(&side.value, YamlValue::Scalar(name) if name.trim() == REST)
}

impl Side {
    fn text(&self) -> String {
        match self {
            Side::Named(nodes) => nodes.text(),
            Side::Rest => "the rest".to_owned(),
        }
    }
}

impl StepSpec for Partition {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        for side in &mut self.sides {
            if let Side::Named(nodes) = side {
                nodes.validate(names, false, problems);
            }
        }
    }

    fn schedule(&self, state: &mut PlanState<'_>, _: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let named = |side: &Side| match side {
            Side::Named(nodes) => Some(state.nodes_of(nodes.selectors())),
            Side::Rest => None,
        };
        let named: Vec<Option<Vec<NodeIndex>>> = self.sides.iter().map(named).collect();
        let sides: Vec<Vec<NodeIndex>> =
            named.iter().map(|side| side.clone().unwrap_or_else(|| state.others(named.iter().flatten()))).collect();
        for (side, nodes) in self.sides.iter().zip(&sides) {
            if nodes.is_empty() {
                return Err(ScheduleError::EmptySide { names: side.text() });
            }
        }
        state.partition(&self.name, &sides)?;
        Ok(vec![TimedOp::at_once(Op::Partition { name: self.name.clone(), sides, direction: self.direction })])
    }

    fn ends(&self, _: &[TimedOp], _: &PlanState<'_>) -> EndCondition {
        EndCondition::Done { deadline: CHANGE_DEADLINE }
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        let sides: Vec<String> = self.sides.iter().map(Side::text).collect();
        match self.direction {
            CutDirection::Both => format!("partition: nothing passes between {}", sides.join(" | ")),
            CutDirection::OneWay => {
                format!("partition: what one sends does not reach those after it: {}", sides.join(" | "))
            }
        }
    }
}
