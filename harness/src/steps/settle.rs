//! `settle`: lets time pass.

use crate::topology::form::ValueForm;
use std::time::Duration;

use super::state::PlanState;
use super::step::{StepReader, StepSource, StepSpec, Verb};
use crate::plan::{EndCondition, TimedOp};
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink};
use crate::topology::fields::{MapSpec, key};
use crate::topology::units::Time;

pub(super) static VERB: Verb = Verb {
    name: "settle",
    formerly: &[],
    doc: "Lets time pass without doing anything.",
    keys: &MapSpec {
        what: "a settle step",
        keys: &[
            key("for", "10s", "how long").of(ValueForm::quantity::<Time>()).needed(),
            key("inspect", "500ms", "pause between looks at all nodes, 100ms or more; 5s if absent")
                .of(ValueForm::quantity::<Time>()),
        ],
        later: &[],
    },
    short: None,
    example: "- settle: {for: 10s}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct Settle {
    duration: Duration,
    /// Pause between looks, if the file names one.
    inspect: Option<Duration>,
}

/// Least pause between looks at all nodes.
const INSPECT_MIN: Duration = Duration::from_millis(100);

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    let time = fields.needed_quantity::<Time>("for", problems);
    let inspect = fields.quantity::<Time>("inspect", problems);
    if let Some(pause) = inspect.as_ref().filter(|pause| pause.value.0 < INSPECT_MIN) {
        problems.add(
            Diagnostic::at(&pause.span, format!("looks at all nodes are {} apart at least", Time(INSPECT_MIN)))
                .help("such as inspect: 500ms"),
        );
    }
    let duration = time.map_or(Duration::ZERO, |time| time.value.0);
    Box::new(Settle { duration, inspect: inspect.map(|pause| pause.value.0) })
}

impl StepSpec for Settle {
    fn ends(&self, _: &[TimedOp], _: &PlanState<'_>) -> EndCondition {
        let duration = self.duration;
        match self.inspect {
            Some(inspect) => EndCondition::Watched { duration, inspect },
            None => EndCondition::Elapsed { duration },
        }
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        format!("settle for {}", Time(self.duration))
    }
}
