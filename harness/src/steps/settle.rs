//! `settle`: lets time pass.

use crate::topology::form::ValueForm;
use std::time::Duration;

use super::state::PlanState;
use super::step::{StepSource, StepSpec, Verb};
use crate::plan::{EndCondition, TimedOp};
use crate::topology::diagnostics::DiagnosticSink;
use crate::topology::fields::{MapSpec, key};
use crate::topology::units::Time;

pub(super) static VERB: Verb = Verb {
    name: "settle",
    formerly: &[],
    doc: "Lets time pass without doing anything.",
    keys: &MapSpec {
        what: "a settle step",
        keys: &[key("for", "10s", "how long").of(ValueForm::quantity::<Time>()).needed()],
        later: &[],
    },
    short: None,
    example: "- settle: {for: 10s}",
    read,
};

#[derive(Debug)]
struct Settle {
    duration: Duration,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let time = source.fields(problems).needed_quantity::<Time>("for", problems);
    Box::new(Settle { duration: time.map_or(Duration::ZERO, |time| time.value.0) })
}

impl StepSpec for Settle {
    fn ends(&self, _: &[TimedOp], _: &PlanState<'_>) -> EndCondition {
        EndCondition::Elapsed { duration: self.duration }
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        format!("settle for {}", Time(self.duration))
    }
}
