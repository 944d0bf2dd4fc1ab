//! What each step does to which nodes and networks.

use std::collections::BTreeSet;

use super::titles::{name, names, title};
use crate::plan::{Network, NetworkIndex, NetworkRange, NodeIndex};
use crate::timeline::{Asker, Churn, Cross, Retrieve, Scene, SceneKind, Store};
use crate::topology::addresses::HostAddresses;
use crate::topology::check::{Checked, CheckedStep, NodeSelector, Verb};
use crate::topology::raw::step::Items;
use crate::topology::roster::NodeRoster;
use crate::topology::uplinks::Uplinks;

/// One for each step, in order.
pub(crate) fn scenes(
    checked: &Checked,
    roster: &NodeRoster,
    networks: &[Network],
    hosts: &mut [HostAddresses],
) -> Vec<Scene> {
    let mut fresh = roster.fresh.iter();
    let mut uplinks = Uplinks::new(networks, hosts);
    checked
        .steps
        .iter()
        .map(|step| {
            let fresh: &[NodeIndex] = if step.asks_fresh() { fresh.next().map_or(&[], Vec::as_slice) } else { &[] };
            let kind = scene(checked, roster, &mut uplinks, step, fresh);
            Scene { title: title(checked, step, &kind), kind, line: step.line }
        })
        .collect()
}

/// Each of them once, in the order of the plan.
fn all(networks: &[NetworkRange]) -> BTreeSet<NetworkIndex> {
    networks.iter().flat_map(|networks| networks.iter()).collect()
}

fn scene(
    checked: &Checked,
    roster: &NodeRoster,
    uplinks: &mut Uplinks<'_>,
    step: &CheckedStep,
    fresh: &[NodeIndex],
) -> SceneKind {
    match &step.verb {
        Verb::Rebind { networks, same_address } => SceneKind::Networks {
            verb: "rebind",
            acts: all(networks).into_iter().map(|network| uplinks.rebind(network, *same_address)).collect(),
        },
        Verb::Link { networks, link } => SceneKind::Networks {
            verb: "link",
            acts: all(networks).into_iter().map(|network| uplinks.change(network, link)).collect(),
        },
        Verb::Join { within } => SceneKind::Join { within: *within },
        Verb::Settle { time } => SceneKind::Settle { time: *time },
        Verb::Check { checks } => SceneKind::Check { checks: checks.iter().map(|check| check.value.clone()).collect() },
        Verb::Store { items, sizes, from } => SceneKind::Store(Store {
            items: *items,
            sizes: (sizes.least, sizes.most),
            from: roster.all_of(checked, from).into_iter().collect(),
            whom: names(checked, from),
        }),
        Verb::Churn { time, die, graceful, replace, only, spare } => {
            let spared = roster.all_of(checked, spare);
            SceneKind::Churn(Churn {
                time: *time,
                die: *die,
                graceful: *graceful,
                replace: *replace,
                among: roster.all_of(checked, only).difference(&spared).copied().collect(),
            })
        }
        Verb::Cross { within, pairs, among } => SceneKind::Cross(Cross {
            among: roster.all_of(checked, among).into_iter().collect(),
            whom: names(checked, among),
            pairs: *pairs,
            within: *within,
        }),
        Verb::Retrieve { items, from } => {
            let mut askers = Vec::new();
            for who in from {
                match who {
                    NodeSelector::Fresh => askers.extend(fresh.iter().map(|&node| Asker::Fresh { node })),
                    who => askers.push(Asker::OneOf { whom: name(checked, who), nodes: roster.who(checked, who) }),
                }
            }
            let items = match items {
                Items::All => None,
                Items::Some(count) => Some(*count),
            };
            SceneKind::Retrieve(Retrieve { items, askers })
        }
    }
}
