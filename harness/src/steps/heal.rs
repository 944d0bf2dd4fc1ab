//! `heal`: partitions end.

use super::named::names_in;
use super::rebind::CHANGE_DEADLINE;
use super::state::{PlanState, SeedStream};
use super::step::{ScheduleError, StepReader, StepSource, StepSpec, Verb};
use crate::op::Op;
use crate::plan::{EndCondition, TimedOp};
use crate::topology::diagnostics::DiagnosticSink;
use crate::topology::fields::{MapSpec, key};
use crate::topology::form::ValueForm;
use crate::topology::tree::YamlValue;

pub(super) static VERB: Verb = Verb {
    name: "heal",
    formerly: &[],
    doc: "Partitions end: what they cut off is reached again.",
    keys: &MapSpec {
        what: "a heal step",
        keys: &[key("name", "split", "partitions by their names; all that are in force if absent").of(ValueForm::NAMES)],
        later: &[],
    },
    short: Some(ValueForm::NAMES),
    example: "- heal: {name: split}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct Heal {
    /// None for all.
    names: Vec<String>,
}

/// Names of partitions, or a map with them, or nothing.
fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let node = match source.node.value {
        YamlValue::Scalar(_) | YamlValue::List(_) => Some(source.node),
        _ => source.fields(problems).get("name"),
    };
    let names = node.map(|node| names_in(node, "name", problems)).unwrap_or_default();
    Box::new(Heal { names: names.into_iter().map(|name| name.value).collect() })
}

impl StepSpec for Heal {
    fn schedule(&self, state: &mut PlanState<'_>, _: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let names = state.heal(&self.names)?;
        Ok(vec![TimedOp::at_once(Op::Heal { names })])
    }

    fn ends(&self, _: &[TimedOp], _: &PlanState<'_>) -> EndCondition {
        EndCondition::Done { deadline: CHANGE_DEADLINE }
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        if self.names.is_empty() {
            "heal every partition".to_owned()
        } else {
            format!("heal {}", self.names.join(", "))
        }
    }
}
