//! `wait`: until checks hold, each look at the nodes anew. What is measured so far decides, as in a `check` step.

use std::time::Duration;

use super::check::{CHECKS, parse_checks, read_texts};
use super::state::PlanState;
use super::step::{StepReader, StepSource, StepSpec, Verb};
use crate::plan::{Check, EndCondition, TimedOp};
use crate::topology::check::NameTable;
use crate::topology::diagnostics::{DiagnosticSink, Span};
use crate::topology::fields::{MapSpec, Spanned, key};
use crate::topology::form::ValueForm;
use crate::topology::units::Time;

pub(super) static VERB: Verb = Verb {
    name: "wait",
    formerly: &[],
    doc: "Waits until checks hold, all at once. The run fails if they do not within the time.",
    keys: &MapSpec {
        what: "a wait step",
        keys: &[
            key("until", "copies >= 3", "one check or several, such as metric sum(butter_isolated) == 0")
                .of(CHECKS)
                .needed(),
            key("within", "30s", "how long at most").of(ValueForm::quantity::<Time>()).needed(),
        ],
        later: &[],
    },
    short: None,
    example: "- wait: {until: [persistence == 100%, copies >= 3], within: 30s}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct Wait {
    written: Vec<Spanned<String>>,
    checks: Vec<Spanned<Check>>,
    within: Duration,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    let written = fields.need("until", problems).map(|node| read_texts(node, problems)).unwrap_or_default();
    let within = fields.needed_quantity::<Time>("within", problems);
    Box::new(Wait { written, checks: Vec::new(), within: within.map_or(Duration::ZERO, |time| time.value.0) })
}

impl StepSpec for Wait {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.checks = parse_checks(&self.written, names, problems);
    }

    fn ends(&self, _: &[TimedOp], _: &PlanState<'_>) -> EndCondition {
        let checks = self.checks.iter().map(|check| check.value.clone()).collect();
        EndCondition::Until { checks, deadline: self.within }
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        let texts: Vec<&str> = self.checks.iter().map(|check| check.value.text.as_str()).collect();
        format!("wait until {}, at most {}", texts.join(", "), Time(self.within))
    }

    fn may_run_beside(&self) -> bool {
        false
    }

    fn checks(&self) -> &[Spanned<Check>] {
        &self.checks
    }
}
