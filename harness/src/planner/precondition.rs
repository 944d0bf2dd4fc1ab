//! Whether the steps before each check leave it something to measure.

use super::assemble::Assembled;
use crate::checks::{self, Activity};
use crate::plan::Check;
use crate::steps::StepEntry;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, quoted};
use crate::topology::fields::Spanned;

/// Reports every check that would measure nothing: its result could only mislead. `last` are those at the end of the run.
pub(crate) fn check(entries: &[StepEntry], plan: &Assembled, last: &[Spanned<Check>], problems: &mut DiagnosticSink) {
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
    for (entry, step) in entries.iter().zip(&plan.steps) {
        seen.add(step, &plan.nodes, &plan.items);
        judge(&seen, entry.spec.checks());
    }
    judge(&seen, last);
}
