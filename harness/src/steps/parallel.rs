//! `parallel`: steps run beside each other, all from one moment on. Nodes that work for one are chosen among those that no other
//! starts or ends at the time.

use std::time::Duration;

use super::meanwhile::Meanwhile;
use super::state::{PlanState, SeedStream};
use super::step::{ScheduleError, StepReader, StepSource, StepSpec, Verb};
use super::{StepEntry, read_into, validate};
use crate::plan::{EndCondition, NetworkIndex, TimedOp};
use crate::topology::check::{NameTable, TopologyModel};
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span};
use crate::topology::fields::MapSpec;
use crate::topology::form::ValueForm;
use crate::topology::raw::items;
use crate::topology::roster::NodeRoster;

pub(super) static VERB: Verb = Verb {
    name: "parallel",
    formerly: &[],
    doc: "Steps run beside each other, all from one moment on. Ends when each of them has ended.",
    keys: &MapSpec { what: "a parallel step", keys: &[], later: &[] },
    short: Some(ValueForm::Steps),
    example: "- parallel: [churn: {for: 60s, die: 1/100/s}, load: {rate: 10/s, for: 60s}]",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct Parallel {
    steps: Vec<StepEntry>,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let example = "- settle: {for: 5s}";
    let nodes = items(Some(source.node), "parallel", example, problems);
    if nodes.is_empty() {
        problems.add(Diagnostic::at(source.span, "nothing runs here").help("such as parallel: [settle: {for: 5s}]"));
    }
    let mut steps = Vec::new();
    read_into(&mut steps, nodes, source.lines, None, problems);
    for step in &steps {
        if !step.spec.may_run_beside() || step.round.is_some() {
            let what = if step.round.is_some() { "repeat" } else { step.verb.name };
            let problem = Diagnostic::at(&step.span, format!("a {what} step cannot run beside others"));
            problems.add(problem.help("put it before or after the parallel step"));
        }
    }
    Box::new(Parallel { steps })
}

impl StepSpec for Parallel {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        validate(&mut self.steps, names, problems);
    }

    fn validate_nodes(&self, _: &Span, model: &TopologyModel, nodes: &NodeRoster, problems: &mut DiagnosticSink) {
        for step in &self.steps {
            step.spec.validate_nodes(&step.span, model, nodes, problems);
        }
    }

    /// First what is done to nodes, then what they do.
    fn schedule(&self, state: &mut PlanState<'_>, seeds: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        if self.steps.iter().filter(|step| step.spec.wants_fresh_nodes()).count() > 1 {
            return Err(ScheduleError::FreshTwice);
        }
        let mut meanwhile = Meanwhile::new(state.lives(), state.items.len());
        let mut ops = Vec::new();
        for works in [false, true] {
            for (place, step) in self.steps.iter().enumerate().filter(|(_, step)| step.spec.uses_nodes() == works) {
                let own = step.spec.schedule(state, &seeds.inner(place))?;
                if let Some(node) = meanwhile.add(&own) {
                    return Err(ScheduleError::EndedTwice { node: state.node(node).name.clone() });
                }
                ops.extend(own);
                if ops.len() > state.ops_left() {
                    return Err(ScheduleError::TooManyOps);
                }
            }
            state.meanwhile = (!works).then(|| meanwhile.clone());
        }
        // Stable: what one step does to a node stays in order.
        ops.sort_by_key(|timed| timed.after);
        Ok(ops)
    }

    fn ends(&self, ops: &[TimedOp], state: &PlanState<'_>) -> EndCondition {
        let ends: Vec<EndCondition> = self.steps.iter().map(|step| step.spec.ends(ops, state)).collect();
        together(&ends)
    }

    fn summary(&self, ops: &[TimedOp]) -> String {
        let each: Vec<String> = self.steps.iter().map(|step| step.spec.summary(ops)).collect();
        format!("at once: {}", each.join("; "))
    }

    fn may_run_beside(&self) -> bool {
        false
    }

    fn wants_fresh_nodes(&self) -> bool {
        self.steps.iter().any(|step| step.spec.wants_fresh_nodes())
    }

    fn readdressed(&self) -> Vec<NetworkIndex> {
        self.steps.iter().flat_map(|step| step.spec.readdressed()).collect()
    }
}

/// When all have ended. A time that one of them lasts is waited for, and so are all operations.
fn together(ends: &[EndCondition]) -> EndCondition {
    let longest = |of: &dyn Fn(&EndCondition) -> Option<Duration>| ends.iter().filter_map(of).max();
    let lasts = longest(&|end| match end {
        EndCondition::Elapsed { duration } | EndCondition::Watched { duration, .. } => Some(*duration),
        _ => None,
    });
    let looks = ends.iter().filter_map(|end| match end {
        EndCondition::Watched { inspect, .. } => Some(*inspect),
        _ => None,
    });
    match (lasts, looks.min()) {
        (Some(duration), Some(inspect)) => EndCondition::Watched { duration, inspect },
        (Some(duration), None) => EndCondition::Elapsed { duration },
        (None, _) => EndCondition::Done { deadline: longest(&|end| Some(end.limit())).unwrap_or_default() },
    }
}
