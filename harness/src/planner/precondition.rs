//! Whether checks are about something that happens.

use std::collections::BTreeSet;

use crate::plan::{Act, Check, Item, Measure, NetworkIndex, NodePlan, Step};
use crate::timeline::Timeline;
use crate::topology::check::{Checked, Verb};
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, quoted};
use crate::topology::fields::Spanned;

/// What the steps so far have made measurable.
#[derive(Default)]
struct Measurable {
    stored: bool,
    /// Networks that asked, with those whose items were asked for.
    asked: BTreeSet<(NetworkIndex, NetworkIndex)>,
    /// Node groups of pairs that were linked, either way round.
    linked: BTreeSet<(String, String)>,
    rebound: bool,
}

impl Measurable {
    fn see(&mut self, step: &Step, nodes: &[NodePlan], items: &[Item]) {
        for action in &step.actions {
            match action.act {
                Act::Put { .. } => self.stored = true,
                Act::Get { item, node } => {
                    let by = items[item.0].by;
                    self.asked.insert((nodes[node.0].network, nodes[by.0].network));
                }
                Act::Link { node, peer, .. } => {
                    let (a, b) = (&nodes[node.0].group, &nodes[peer.0].group);
                    self.linked.extend([(a.clone(), b.clone()), (b.clone(), a.clone())]);
                }
                Act::Rebind { .. } => self.rebound = true,
                _ => {}
            }
        }
    }

    /// Why a check could not be evaluated.
    fn lacks(&self, check: &Check) -> Option<&'static str> {
        match &check.measure {
            Measure::Persistence | Measure::Stored | Measure::Copies if !self.stored => {
                Some("nothing is stored before")
            }
            Measure::RetrievalLatency { .. } | Measure::RetrievalMessages | Measure::RetrievalWorstCell
                if self.asked.is_empty() =>
            {
                Some("nothing is retrieved before")
            }
            Measure::Retrieval { from, to } => {
                let fits = |(f, t): &(NetworkIndex, NetworkIndex)| {
                    from.is_none_or(|from| from.contains(*f)) && to.is_none_or(|to| to.contains(*t))
                };
                match (self.asked.iter().any(fits), from, to) {
                    (true, ..) => None,
                    (false, None, None) => Some("nothing is retrieved before"),
                    (false, Some(_), None) => Some("nobody on that network retrieves anything"),
                    (false, None, Some(_)) => Some("no item that is retrieved was stored from that network"),
                    (false, Some(_), Some(_)) => {
                        Some("the one network retrieves no item that was stored from the other")
                    }
                }
            }
            Measure::Linked { from, to, .. } => {
                let is = |name: &Option<String>, group: &String| name.as_ref().is_none_or(|name| name == group);
                let any = self.linked.iter().any(|(a, b)| is(from, a) && is(to, b));
                (!any).then_some("no such pair of nodes is linked by a cross step before")
            }
            Measure::LinkedWorstCell { .. } | Measure::LinkedAfter { .. } if self.linked.is_empty() => {
                Some("no nodes are linked by a cross step before")
            }
            Measure::Recovered | Measure::RecoveredAfter { .. } if !self.rebound => {
                Some("no NAT forgets anything in a rebind step before")
            }
            _ => None,
        }
    }
}

/// A check of what never happens could only mislead.
pub(crate) fn check(checked: &Checked, nodes: &[NodePlan], timeline: &Timeline, problems: &mut DiagnosticSink) {
    let mut seen = Measurable::default();
    let mut judge = |seen: &Measurable, checks: &[Spanned<Check>]| {
        for check in checks {
            if let Some(why) = seen.lacks(&check.value) {
                problems.add(
                    Diagnostic::at(&check.span, format!("{} measures nothing: {why}", quoted(&check.value.text)))
                        .help("remove the check, or add the step that it is about"),
                );
            }
        }
    };
    for (step, planned) in checked.steps.iter().zip(&timeline.steps) {
        seen.see(planned, nodes, &timeline.items);
        if let Verb::Check { checks } = &step.verb {
            judge(&seen, checks);
        }
    }
    judge(&seen, &checked.checks);
}
