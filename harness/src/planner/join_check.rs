//! Whether nodes can meet.

use std::collections::BTreeSet;

use crate::plan::NetworkIndex;
use crate::topology::check::{Checked, Verb};
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, quoted};
use crate::topology::roster::NodeRoster;

/// A join step can only succeed if every network's nodes hear of all others: through ambassadors beyond their own LAN.
pub(crate) fn check(checked: &Checked, roster: &NodeRoster, problems: &mut DiagnosticSink) {
    let Some(join) = checked.steps.iter().find(|step| matches!(step.verb, Verb::Join { .. })) else { return };
    let inhabited: BTreeSet<NetworkIndex> = roster.nodes.iter().map(|node| node.network).collect();
    // Networks whose nodes can meet, by the least of their indices.
    let mut met: Vec<usize> = (0..checked.networks.len()).collect();
    for (network, reach) in
        roster.reach.iter().enumerate().filter(|(network, _)| inhabited.contains(&NetworkIndex(*network)))
    {
        for ambassador in reach {
            let (a, b) = (met[network], met[roster.nodes[ambassador.0].network.0]);
            let (least, other) = (a.min(b), a.max(b));
            met.iter_mut().filter(|set| **set == other).for_each(|set| *set = least);
        }
    }
    let mut apart =
        inhabited.iter().filter(|network| met[network.0] != met[inhabited.first().map_or(0, |first| first.0)]);
    if let (Some(first), Some(other)) = (inhabited.first(), apart.next()) {
        let label = |network: &NetworkIndex| quoted(&checked.networks[network.0].name.value);
        problems.add(
            Diagnostic::at(
                &join.span,
                format!("nodes on {} and on {} can never meet, so this join cannot end", label(first), label(other)),
            )
            .label("would run into its time limit")
            .related(
                &checked.networks[other.0].name.span,
                "no ambassador is on a way out of here that the others reach too",
            )
            .help("put an ambassador on the internet: {on: internet, ambassador: true}"),
        );
    }
}
