//! `churn`: in each second each node fails with the same chance, as in Butter's own test rig.

use crate::topology::form::{ValueForm, words_of};
use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt;

use super::named::NodeNames;
use super::state::{NodeLife, PlanState, SeedPurpose, SeedStream};
use super::step::{ScheduleError, StepSource, StepSpec, Verb};
use crate::op::Op;
use crate::plan::{EndCondition, NodeIndex, TimedOp};
use crate::topology::check::NameTable;
use crate::topology::diagnostics::{DiagnosticSink, Span};
use crate::topology::fields::{MapSpec, key};
use crate::topology::units::{ChancePerSecond, Share, Time};

/// Most draws of one step: nodes times seconds.
pub(super) const CHURN_DRAWS_MAX: u64 = 500_000_000;

pub(super) static VERB: Verb = Verb {
    name: "churn",
    formerly: &[],
    doc: "Each second each node fails with the same chance, and is replaced.",
    keys: &MapSpec {
        what: "a churn step",
        keys: &[
            key("for", "60s", "how long").of(ValueForm::quantity::<Time>()).needed(),
            key("die", "1/100/s", "chance of each node to fail in each second")
                .of(ValueForm::quantity::<ChancePerSecond>())
                .needed(),
            key("graceful", "20%", "share of the failures that are a graceful stop; the others are kills")
                .of(ValueForm::quantity::<Share>()),
            key("replace", "fresh", "what takes the place of a failed node: fresh (a new node), same (itself) or none")
                .of(ValueForm::Words(|| words_of(&REPLACEMENTS))),
            key("only", "[alpha]", "networks, node groups or nodes that may fail; all if absent").of(ValueForm::NAMES),
            key("spare", "[ambassador]", "those of them that may not").of(ValueForm::NAMES),
        ],
        later: &["session", "downtime", "trace", "outage"],
    },
    short: None,
    example: "- churn: {for: 60s, die: 1/100/s, graceful: 20%, spare: ambassador}",
    read,
};

const REPLACEMENTS: [(&str, Replacement); 3] =
    [("fresh", Replacement::Fresh), ("same", Replacement::Same), ("none", Replacement::None)];

#[derive(Debug)]
struct Churn {
    duration: Duration,
    /// Chance of each node in each second, 0..1.
    die: f64,
    /// Share of the failures that are a graceful stop, 0..1.
    graceful: f64,
    replacement: Replacement,
    only: NodeNames,
    spare: NodeNames,
}

/// What takes the place of a failed node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replacement {
    /// A new node: another identity and an empty store.
    Fresh,
    /// The node itself, with what it stored.
    Same,
    None,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    let duration = fields.needed_quantity::<Time>("for", problems);
    let die = fields.needed_quantity::<ChancePerSecond>("die", problems);
    Box::new(Churn {
        duration: duration.map_or(Duration::ZERO, |time| time.value.0),
        die: die.map_or(0.0, |chance| chance.value.0),
        graceful: fields.quantity("graceful", problems).map_or(0.0, |share| {
            let Share(share) = share.value;
            share
        }),
        replacement: fields.word("replace", &REPLACEMENTS, problems).unwrap_or(Replacement::Fresh),
        only: NodeNames::read(&fields, "only", problems),
        spare: NodeNames::read(&fields, "spare", problems),
    })
}

const SECOND: Duration = Duration::from_secs(1);
const SECOND_US: u64 = 1_000_000;

impl StepSpec for Churn {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.only.validate(names, false, problems);
        self.only.default_to_all();
        self.spare.validate(names, false, problems);
    }

    fn schedule(&self, state: &mut PlanState<'_>, seeds: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let spared = BTreeSet::from_iter(state.nodes_of(self.spare.selectors()));
        let mut among = state.nodes_of(self.only.selectors());
        among.retain(|node| !spared.contains(node));
        let mut random = seeds.random(SeedPurpose::Deaths);
        let seconds = self.duration.as_nanos().div_ceil(SECOND.as_nanos()) as u64;
        if seconds.saturating_mul(among.len() as u64) > CHURN_DRAWS_MAX {
            return Err(ScheduleError::TooManyDraws);
        }
        let mut ops = Vec::new();
        for second in 0..seconds {
            let begin = ops.len();
            for &node in &among {
                if !state.is_alive(node) || random.random::<f64>() >= self.die {
                    continue;
                }
                let at = SECOND * second as u32 + Duration::from_micros(random.random_range(0..SECOND_US));
                let graceful = random.random::<f64>() < self.graceful;
                // In a last second that is cut short, failures after its end are of a time that does not come.
                if at < self.duration {
                    self.fail(node, at, graceful, state, &mut ops);
                }
            }
            // Stable, so a start stays behind the failure that it follows. A node fails once a second at most.
            ops[begin..].sort_by_key(|timed| timed.after);
            if ops.len() > state.ops_left() {
                return Err(ScheduleError::TooManyOps);
            }
        }
        Ok(ops)
    }

    fn ends(&self, _: &[TimedOp], _: &PlanState<'_>) -> EndCondition {
        EndCondition::Elapsed { duration: self.duration }
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        let spared =
            if self.spare.found().is_empty() { String::new() } else { format!(" except {}", self.spare.text()) };
        let graceful =
            if self.graceful > 0.0 { format!(" ({} gracefully)", Share(self.graceful)) } else { String::new() };
        let after = match self.replacement {
            Replacement::Fresh => "replaced by fresh nodes",
            Replacement::Same => "restarted with their stores",
            Replacement::None => "not replaced",
        };
        let (time, die) = (Time(self.duration), Share(self.die));
        format!("churn for {time}: {die}/s of {} nodes{spared} fail{graceful}, {after}", self.only.text())
    }
}

impl Churn {
    fn fail(
        &self,
        node: NodeIndex,
        after: Duration,
        graceful: bool,
        state: &mut PlanState<'_>,
        ops: &mut Vec<TimedOp>,
    ) {
        let end = if graceful { Op::Stop { node } } else { Op::Kill { node } };
        ops.push(TimedOp { after, op: end });
        match self.replacement {
            Replacement::None => state.set_life(node, NodeLife::Down),
            replacement => {
                ops.push(TimedOp { after, op: Op::Start { node, fresh: replacement == Replacement::Fresh } });
            }
        }
    }
}
