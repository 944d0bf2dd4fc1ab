//! `repeat`: steps are played several times, one round after the other. Every round draws anew.

use super::step::{Rounds, StepReader, StepSource, Verb};
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink};
use crate::topology::fields::{MapSpec, key};
use crate::topology::form::ValueForm;
use crate::topology::raw::items;

/// Most rounds.
const TIMES_MAX: u64 = 1_000;

pub(super) static VERB: Verb = Verb {
    name: "repeat",
    formerly: &[],
    doc: "Steps are played several times, one round after the other. Every round draws anew.",
    keys: &MapSpec {
        what: "a repeat step",
        keys: &[
            key("times", "3", "how many rounds").of(ValueForm::Count(1, TIMES_MAX)).needed(),
            key("steps", "[settle: {for: 5s}]", "what happens in each round, in order").of(ValueForm::Steps).needed(),
        ],
        later: &[],
    },
    short: None,
    example: "- repeat: {times: 3, steps: [partition: [alpha, rest], settle: {for: 10s}, heal]}",
    read: StepReader::Rounds(read),
};

fn read<'t>(source: &StepSource<'t>, problems: &mut DiagnosticSink) -> Rounds<'t> {
    let fields = source.fields(problems);
    fields.need("times", problems);
    let times = fields.count("times", 1, TIMES_MAX, problems).unwrap_or(1);
    let node = fields.need("steps", problems);
    let steps = items(node, "steps", "- settle: {for: 5s}", problems);
    if let Some(node) = node.filter(|_| steps.is_empty()) {
        problems.add(Diagnostic::at(&node.span, "nothing is repeated here").help("such as steps: [settle: {for: 5s}]"));
    }
    Rounds { times, steps }
}
