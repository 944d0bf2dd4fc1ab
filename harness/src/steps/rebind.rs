//! `rebind`: NATs drop every mapping, as home routers do when they restart or get a new address.

use crate::topology::form::{ValueForm, words_of};
use std::time::Duration;

use super::named::NetworkRefs;
use super::state::{PlanState, SeedStream};
use super::step::{ScheduleError, StepReader, StepSource, StepSpec, Verb};
use crate::plan::{EndCondition, NetworkIndex, TimedOp};
use crate::topology::check::NameTable;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span, quoted};
use crate::topology::fields::{MapSpec, key};
use crate::topology::tree::YamlValue;

/// How long networks may take to be changed.
pub(super) const CHANGE_DEADLINE: Duration = Duration::from_secs(30);

pub(super) static VERB: Verb = Verb {
    name: "rebind",
    formerly: &[],
    doc: "The NATs of networks drop every mapping. Both ends of each link over them are watched until it works again.",
    keys: &MapSpec {
        what: "a rebind step",
        keys: &[
            key("networks", "[alpha]", "networks with a NAT").of(ValueForm::NAMES).needed(),
            key("address", "new", "whether their external addresses become new ones or stay the same")
                .of(ValueForm::Words(|| words_of(&ADDRESSES))),
        ],
        later: &[],
    },
    short: Some(ValueForm::NAMES),
    example: "- rebind: [alpha]",
    read: StepReader::One(read),
};

const ADDRESSES: [(&str, bool); 2] = [("new", false), ("same", true)];

#[derive(Debug)]
struct Rebind {
    networks: NetworkRefs,
    same_address: bool,
}

/// Networks, or a map that says more.
fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    if matches!(source.node.value, YamlValue::Scalar(_) | YamlValue::List(_)) {
        let networks = NetworkRefs::read_value(source.node, "rebind", problems);
        return Box::new(Rebind { networks, same_address: false });
    }
    let fields = source.fields(problems);
    fields.need("networks", problems);
    Box::new(Rebind {
        networks: NetworkRefs::read(&fields, "networks", problems),
        same_address: fields.word("address", &ADDRESSES, problems).unwrap_or(false),
    })
}

impl StepSpec for Rebind {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.networks.validate(names, problems, |name, named| {
            let problem = || {
                Diagnostic::at(
                    &name.span,
                    format!("{} has no NAT whose mappings could be dropped", quoted(&name.value)),
                )
                .help("name networks with a NAT, or give it one: nat: port-restricted")
            };
            (!named.has_nat).then(problem)
        });
    }

    fn schedule(&self, state: &mut PlanState<'_>, _: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let rebind = |network| TimedOp::at_once(state.uplinks().rebind(network, self.same_address));
        Ok(self.networks.in_plan_order().into_iter().map(rebind).collect())
    }

    fn ends(&self, _: &[TimedOp], _: &PlanState<'_>) -> EndCondition {
        EndCondition::Done { deadline: CHANGE_DEADLINE }
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        let addresses = if self.same_address { "keep their addresses" } else { "get new addresses" };
        format!("rebind: the NATs of {} drop every mapping and {addresses}", self.networks.text())
    }

    fn readdressed(&self) -> Vec<NetworkIndex> {
        if self.same_address { Vec::new() } else { self.networks.all().collect() }
    }
}
