//! `link`: the uplinks of networks change their latency, loss or rate from then on.

use super::named::NetworkRefs;
use super::rebind::CHANGE_DEADLINE;
use super::state::{PlanState, SeedStream};
use super::step::{ScheduleError, StepReader, StepSource, StepSpec, Verb};
use crate::op::Op;
use crate::plan::{EndCondition, TimedOp};
use crate::topology::check::NameTable;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span, quoted};
use crate::topology::fields::{MapSpec, key};
use crate::topology::form::ValueForm;
use crate::topology::raw::link::{self, LinkChange, describe_link};

pub(super) static VERB: Verb = Verb {
    name: "link",
    formerly: &[],
    doc: "The uplinks of networks change. What is not named stays as it was.",
    keys: &MapSpec {
        what: "a link step",
        keys: &link::keys_with::<13>(
            key("networks", "[alpha]", "networks behind another one").of(ValueForm::NAMES).needed(),
        ),
        later: &[],
    },
    short: None,
    example: "- link: {networks: [alpha], loss: 5%, up: {rate: 1mbit}}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct ChangeLinks {
    networks: NetworkRefs,
    change: LinkChange,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    let change = link::read_fields(&fields, problems);
    if !link::names_a_part(&fields) {
        problems.add(
            Diagnostic::at(source.span, "nothing is changed here").help("such as link: {networks: [alpha], loss: 5%}"),
        );
    }
    fields.need("networks", problems);
    Box::new(ChangeLinks { networks: NetworkRefs::read(&fields, "networks", problems), change })
}

impl StepSpec for ChangeLinks {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.networks.validate(names, problems, |name, named| {
            let problem = || {
                Diagnostic::at(&name.span, format!("{} is behind nothing, so it has no link", quoted(&name.value)))
                    .help("name networks that are behind another")
            };
            (!named.is_behind).then(problem)
        });
    }

    fn schedule(&self, state: &mut PlanState<'_>, _: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let change = |network| TimedOp::at_once(state.uplinks().change(network, &self.change));
        Ok(self.networks.in_plan_order().into_iter().map(change).collect())
    }

    fn ends(&self, _: &[TimedOp], _: &PlanState<'_>) -> EndCondition {
        EndCondition::Done { deadline: CHANGE_DEADLINE }
    }

    fn summary(&self, ops: &[TimedOp]) -> String {
        format!("the links of {} become {}", self.networks.text(), new_links(ops))
    }
}

/// How links are after the step, if all are alike.
fn new_links(ops: &[TimedOp]) -> String {
    let link = |timed: &TimedOp| match &timed.op {
        Op::SetLink { up, down, .. } => Some(describe_link(up, down)),
        _ => None,
    };
    let mut links: Vec<String> = ops.iter().filter_map(link).collect();
    links.dedup();
    if let [alike] = &mut links[..] { std::mem::take(alike) } else { "others, each of its own".to_owned() }
}
