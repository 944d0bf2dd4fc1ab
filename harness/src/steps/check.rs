//! `check`: evaluates checks on the state of the run at this point.

use crate::topology::form::ValueForm;
use std::ops::Range;

use super::state::PlanState;
use super::step::{StepReader, StepSource, StepSpec, Verb};
use crate::checks;
use crate::plan::{Check, EndCondition, TimedOp};
use crate::topology::check::NameTable;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span};
use crate::topology::fields::{MapSpec, Spanned};
use crate::topology::raw::{items, read_check};
use crate::topology::tree::{YamlNode, YamlValue};

/// One check or several.
pub(super) const CHECKS: ValueForm = ValueForm::Either(&[ValueForm::Text, ValueForm::List(1, &ValueForm::Text)]);

pub(super) static VERB: Verb = Verb {
    name: "check",
    formerly: &[],
    doc: "Evaluates one or more checks here and now; the run fails if one does.",
    keys: &MapSpec { what: "a check step", keys: &[], later: &[] },
    short: Some(CHECKS),
    example: "- check: [persistence >= 99%, stored == 100%]",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct CheckNow {
    written: Vec<Spanned<String>>,
    checks: Vec<Spanned<Check>>,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    Box::new(CheckNow { written: read_texts(source.node, problems), checks: Vec::new() })
}

pub(super) fn read_texts(node: &YamlNode, problems: &mut DiagnosticSink) -> Vec<Spanned<String>> {
    if matches!(node.value, YamlValue::Scalar(_)) {
        return read_check(node, problems).into_iter().collect();
    }
    let list = items(Some(node), "check", "- persistence >= 99%", problems);
    if list.is_empty() && !matches!(node.value, YamlValue::Map(_)) {
        problems
            .add(Diagnostic::at(&node.span, "nothing is checked here").help("such as - check: [persistence >= 99%]"));
    }
    list.iter().filter_map(|node| read_check(node, problems)).collect()
}

impl StepSpec for CheckNow {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.checks = parse_checks(&self.written, names, problems);
    }

    fn ends(&self, _: &[TimedOp], _: &PlanState<'_>) -> EndCondition {
        EndCondition::Checked { checks: self.checks.iter().map(|check| check.value.clone()).collect() }
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        let texts: Vec<&str> = self.checks.iter().map(|check| check.value.text.as_str()).collect();
        format!("check {}", texts.join(", "))
    }

    fn may_run_beside(&self) -> bool {
        false
    }

    fn checks(&self) -> &[Spanned<Check>] {
        &self.checks
    }
}

/// Reads checks, wherever in the file they are; what is wrong with one is reported at its place.
pub(crate) fn parse_checks(
    texts: &[Spanned<String>],
    names: &NameTable<'_>,
    problems: &mut DiagnosticSink,
) -> Vec<Spanned<Check>> {
    let groups = names.group_names();
    let table = checks::Names { networks: names.network_names(), groups: &groups };
    let mut good = Vec::with_capacity(texts.len());
    for Spanned { value: text, span } in texts {
        match checks::parse(text, names.line_of(span), &table) {
            Ok(value) => good.push(Spanned { value, span: span.clone() }),
            Err(fault) => {
                let mut problem = Diagnostic::at(&within(names.source(), span, text, fault.at), fault.what);
                problem.help = fault.help;
                problems.add(problem);
            }
        }
    }
    good
}

/// Where a part of a value's text is in the file: the whole value if it was quoted with escapes or made by a variable.
fn within(source: &str, span: &Span, text: &str, part: Range<usize>) -> Span {
    let written = &source[span.clone()];
    match written.find(text) {
        Some(offset) if offset <= 1 => span.start + offset + part.start..span.start + offset + part.end,
        _ => span.clone(),
    }
}
