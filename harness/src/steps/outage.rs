//! `outage`: whole networks fail for a time: their uplinks carry nothing, or the power of all their nodes is cut.

use std::time::Duration;

use super::named::NetworkRefs;
use super::rebind::CHANGE_DEADLINE;
use super::state::{NodeLife, PlanState, SeedStream};
use super::step::{ScheduleError, StepReader, StepSource, StepSpec, Verb, done_after};
use crate::op::Op;
use crate::plan::{EndCondition, TimedOp};
use crate::topology::check::NameTable;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span, quoted};
use crate::topology::fields::{MapSpec, key};
use crate::topology::form::{ValueForm, words_of};
use crate::topology::units::Time;

pub(super) static VERB: Verb = Verb {
    name: "outage",
    formerly: &[],
    doc: "Whole networks fail for a time: their uplinks lose everything, or all their nodes are killed and start again.",
    keys: &MapSpec {
        what: "an outage step",
        keys: &[
            key("networks", "[alpha]", "networks that fail").of(ValueForm::NAMES).needed(),
            key("for", "30s", "how long").of(ValueForm::quantity::<Time>()).needed(),
            key("after", "2s", "how long after the step begins, so that it falls into what runs beside it; 0s if absent")
                .of(ValueForm::quantity::<Time>()),
            key(
                "of",
                "power",
                "what fails: uplink (nodes still reach each other inside) or power (nodes die, what they have on disks stays); uplink if absent",
            )
            .of(ValueForm::Words(|| words_of(&FAILURES))),
        ],
        later: &[],
    },
    short: None,
    example: "- outage: {networks: [alpha], for: 30s, of: uplink}",
    read: StepReader::One(read),
};

/// What fails of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NetworkFailure {
    Uplink,
    Power,
}

const FAILURES: [(&str, NetworkFailure); 2] = [("uplink", NetworkFailure::Uplink), ("power", NetworkFailure::Power)];

#[derive(Debug)]
struct Outage {
    networks: NetworkRefs,
    after: Duration,
    duration: Duration,
    of: NetworkFailure,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    let duration = fields.needed_quantity::<Time>("for", problems);
    fields.need("networks", problems);
    Box::new(Outage {
        networks: NetworkRefs::read(&fields, "networks", problems),
        after: fields.quantity::<Time>("after", problems).map_or(Duration::ZERO, |time| time.value.0),
        duration: duration.map_or(Duration::ZERO, |time| time.value.0),
        of: fields.word("of", &FAILURES, problems).unwrap_or(NetworkFailure::Uplink),
    })
}

impl StepSpec for Outage {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        let of = self.of;
        self.networks.validate(names, problems, |name, named| {
            let problem = || {
                let what = format!("{} is behind nothing, so it has no uplink that fails", quoted(&name.value));
                Diagnostic::at(&name.span, what).help("name networks that are behind another, or write of: power")
            };
            (of == NetworkFailure::Uplink && !named.is_behind).then(problem)
        });
    }

    fn schedule(&self, state: &mut PlanState<'_>, _: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let mut ops = Vec::new();
        let (begins, ends) = (self.after, self.after + self.duration);
        let mut add = |cut: Op, restored: Op| {
            ops.extend([TimedOp { after: begins, op: cut }, TimedOp { after: ends, op: restored }]);
        };
        for network in self.networks.in_plan_order() {
            match self.of {
                NetworkFailure::Uplink => {
                    let (cut, restored) = state.uplinks().cut(network);
                    add(cut, restored);
                }
                NetworkFailure::Power => {
                    for node in state.nodes_on(network, NodeLife::Up) {
                        add(Op::Kill { node }, Op::Start { node, fresh: false });
                    }
                }
            }
        }
        if ops.is_empty() {
            return Err(ScheduleError::NoneAlive { names: self.networks.text() });
        }
        ops.sort_by_key(|timed| timed.after);
        Ok(ops)
    }

    fn ends(&self, ops: &[TimedOp], _: &PlanState<'_>) -> EndCondition {
        done_after(ops, CHANGE_DEADLINE)
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        let what = match self.of {
            NetworkFailure::Uplink => "the uplinks",
            NetworkFailure::Power => "the power",
        };
        let after = if self.after.is_zero() { String::new() } else { format!(" after {}", Time(self.after)) };
        format!("{what} of {} fail{after} for {}", self.networks.text(), Time(self.duration))
    }
}
