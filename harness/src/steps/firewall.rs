//! `firewall`: routers let other things through from then on, as a portal that lets guests in.

use super::named::NetworkRefs;
use super::rebind::CHANGE_DEADLINE;
use super::state::{PlanState, SeedStream};
use super::step::{ScheduleError, StepReader, StepSource, StepSpec, Verb};
use crate::net::network_policy::NetworkPolicy;
use crate::op::Op;
use crate::plan::{EndCondition, TimedOp};
use crate::topology::check::NameTable;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span, quoted};
use crate::topology::fields::{MapSpec, key};
use crate::topology::form::ValueForm;
use crate::topology::raw::firewall::{self, FIREWALL_FORMS};

pub(super) static VERB: Verb = Verb {
    name: "firewall",
    formerly: &[],
    doc: "The routers of networks let other things through from then on.",
    keys: &MapSpec {
        what: "a firewall step",
        keys: &[
            key("networks", "[alpha]", "networks behind another one").of(ValueForm::NAMES).needed(),
            key("policy", "udp-blocked", "what they let through, as the key `firewall` of a network")
                .of(ValueForm::Either(&FIREWALL_FORMS))
                .needed(),
        ],
        later: &[],
    },
    short: None,
    example: "- firewall: {networks: [alpha], policy: udp-blocked}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct ChangeFirewalls {
    networks: NetworkRefs,
    policy: NetworkPolicy,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    fields.need("networks", problems);
    fields.need("policy", problems);
    Box::new(ChangeFirewalls {
        networks: NetworkRefs::read(&fields, "networks", problems),
        policy: firewall::read(&fields, "policy", problems).unwrap_or_default(),
    })
}

impl StepSpec for ChangeFirewalls {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.networks.validate(names, problems, |name, named| {
            let problem = || {
                let what = format!("{} is behind nothing, so nothing passes its router", quoted(&name.value));
                Diagnostic::at(&name.span, what).help("name networks that are behind another")
            };
            (!named.is_behind).then(problem)
        });
    }

    fn schedule(&self, _: &mut PlanState<'_>, _: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let change = |network| TimedOp::at_once(Op::SetFirewall { network, policy: self.policy });
        Ok(self.networks.in_plan_order().into_iter().map(change).collect())
    }

    fn ends(&self, _: &[TimedOp], _: &PlanState<'_>) -> EndCondition {
        EndCondition::Done { deadline: CHANGE_DEADLINE }
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        format!("the firewalls of {} become {}", self.networks.text(), firewall::describe(self.policy))
    }
}
