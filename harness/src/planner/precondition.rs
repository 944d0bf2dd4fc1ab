//! Whether the steps before each check leave it something to measure.

use crate::checks::{self, Activity};
use crate::plan::{Check, NodePlan};
use crate::timeline::Timeline;
use crate::topology::check::{Checked, Verb};
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, quoted};
use crate::topology::fields::Spanned;

/// Reports every check that would measure nothing: its result could only mislead.
pub(crate) fn check(checked: &Checked, nodes: &[NodePlan], timeline: &Timeline, problems: &mut DiagnosticSink) {
    let mut seen = Activity::default();
    let mut judge = |seen: &Activity, checks: &[Spanned<Check>]| {
        for check in checks {
            if let Some(why) = checks::missing(&check.value, seen) {
                problems.add(
                    Diagnostic::at(&check.span, format!("{} measures nothing: {why}", quoted(&check.value.text)))
                        .help("remove the check, or add the step that it is about"),
                );
            }
        }
    };
    for (step, planned) in checked.steps.iter().zip(&timeline.steps) {
        seen.add(planned, nodes, &timeline.items);
        if let Verb::Check { checks } = &step.verb {
            judge(&seen, checks);
        }
    }
    judge(&seen, &checked.checks);
}
