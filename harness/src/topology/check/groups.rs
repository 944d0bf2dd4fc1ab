//! Node groups: each on a network that there is, none named so that a name could mean two things.

use std::collections::BTreeMap;

use butter::api::StoragePlace;
use butter::config::{NodeConfig, SETTINGS};

use super::{FRESH, NetworkNames, RESERVED, numbered};
use crate::adversary::Behaviour;
use crate::plan::{NetworkIndex, NetworkRange, NodeLimits};
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, quoted};
use crate::topology::fields::Spanned;
use crate::topology::raw::{NODES_MAX, RawGroup, RawTopology, Setting};

/// Some nodes of one sort.
#[derive(Debug)]
pub(crate) struct GroupModel {
    pub(crate) name: Spanned<String>,
    /// `None` only where the file names none that there is, which is reported.
    pub(crate) networks: Option<NetworkRange>,
    pub(crate) count: Option<u64>,
    pub(crate) ambassador: bool,
    /// As [`crate::plan::NodePlan::behaviours`].
    pub(crate) behaviours: Vec<Behaviour>,
    /// As [`crate::plan::NodePlan::identities`].
    pub(crate) identities: u64,
    pub(crate) store: StoragePlace,
    /// As [`crate::plan::NodePlan::limits`].
    pub(crate) limits: Option<NodeLimits>,
    /// As [`crate::plan::NodePlan::settings`].
    pub(crate) settings: Vec<(String, String)>,
}

impl GroupModel {
    /// Where it is, once everything is checked.
    pub(crate) fn networks(&self) -> NetworkRange {
        self.networks.expect("the groups of a checked topology are on networks")
    }

    /// Where its node number `number` is, counted from 0: they take the networks in turn.
    pub(crate) fn network_of(&self, number: u64) -> NetworkIndex {
        self.networks().nth(number as usize)
    }

    /// Which nodes it has, for a message.
    pub(crate) fn members(&self) -> String {
        let name = &self.name.value;
        match self.count {
            None => format!("'{name}' is a single node"),
            Some(1) => format!("the only node of '{name}' is {name}-1"),
            Some(count) => format!("the nodes of '{name}' are {name}-1 to {name}-{count}"),
        }
    }

    /// How many nodes it has.
    pub(crate) fn size(&self) -> u64 {
        self.count.unwrap_or(1)
    }

    /// How many identities its nodes have in all.
    pub(crate) fn identity_count(&self) -> u64 {
        self.size().saturating_mul(self.identities)
    }
}

/// Checks the groups one by one and beside each other.
pub(crate) fn check(raw: &RawTopology, places: &NetworkNames, problems: &mut DiagnosticSink) -> Vec<GroupModel> {
    let mut groups: Vec<GroupModel> = Vec::with_capacity(raw.groups.len());
    for group in &raw.groups {
        check_name(group, places, problems);
        let on = group.on.as_ref().and_then(|on| places.known(on, problems));
        groups.push(GroupModel {
            name: group.name.clone(),
            networks: on.map(|(_, networks)| networks),
            count: group.count,
            ambassador: group.ambassador,
            behaviours: group.behaviours.clone(),
            identities: if group.behaviours.is_empty() { 1 } else { group.sybil },
            store: group.store,
            limits: group.limits,
            settings: settings(&[&raw.config, &group.config]),
        });
    }
    check_node_names(&groups, problems);
    let total = groups.iter().fold(0_u64, |total, group| total.saturating_add(group.identity_count()));
    if total > NODES_MAX {
        let last = groups.last().expect("no nodes are not too many");
        problems.add(Diagnostic::at(&last.name.span, format!("{total} nodes are more than {NODES_MAX}")));
    }
    groups
}

fn check_name(group: &RawGroup, places: &NetworkNames, problems: &mut DiagnosticSink) {
    let Spanned { value: name, span } = &group.name;
    if let Some((network, _)) = places.place(name) {
        problems.add(
            Diagnostic::at(span, format!("{} is a network too, so `from: [{name}]` could mean either", quoted(name)))
                .label("the node group")
                .related(&network.span, "the network")
                .help("give one of them another name"),
        );
    }
    if RESERVED.contains(&name.as_str()) || is_fresh(name) {
        problems.add(
            Diagnostic::at(span, format!("{} has a meaning of its own", quoted(name)))
                .help("'all' is every node, 'fresh', 'fresh-…', 'fresh2-…' are nodes that join for a retrieve step"),
        );
    }
}

/// `fresh-alpha` and `fresh2-alpha` are names of nodes that join for retrieve steps.
fn is_fresh(name: &str) -> bool {
    name.strip_prefix(FRESH).is_some_and(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('-'))
}

/// A group must not be named like a node of another: `a-1` beside five `a`.
fn check_node_names(groups: &[GroupModel], problems: &mut DiagnosticSink) {
    let by_name: BTreeMap<&str, &GroupModel> = groups.iter().map(|group| (group.name.value.as_str(), group)).collect();
    for group in groups {
        let Some((name, number)) = numbered(&group.name.value) else { continue };
        let other = by_name.get(name).filter(|other| other.count.is_some_and(|count| number <= count));
        if let Some(other) = other {
            problems.add(
                Diagnostic::at(&group.name.span, format!("{} is also the name of a node", quoted(&group.name.value)))
                    .label("the node group")
                    .related(&other.name.span, other.members())
                    .help("give one of them another name"),
            );
        }
    }
}

/// The last of several settings of a key, in the order of [`SETTINGS`], without those that are the default.
pub(crate) fn settings(configs: &[&Vec<Setting>]) -> Vec<(String, String)> {
    let chosen: BTreeMap<&str, &str> =
        configs.iter().flat_map(|config| config.iter()).map(|s| (s.key.as_str(), s.value.as_str())).collect();
    let differs = |key: &str, value: &str| {
        let mut config = NodeConfig::default();
        config.set(key, value).is_ok() && config != NodeConfig::default()
    };
    SETTINGS
        .iter()
        .filter_map(|key| chosen.get(key.name).map(|value| (key.name, *value)))
        .filter(|(key, value)| differs(key, value))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
