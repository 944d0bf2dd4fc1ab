//! What two plans do not have in common, by name.

use std::collections::BTreeMap;
use std::fmt;

use crate::plan::{Network, NodePlan, Plan};

/// A difference between the plan of a lab and that of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlanDifference {
    /// What is concerned.
    pub(crate) subject: DifferenceSubject,
    /// Name of the node or network.
    pub(crate) name: String,
    /// How it differs.
    pub(crate) change: PlanChange,
}

/// What a difference is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DifferenceSubject {
    /// A node.
    Node,
    /// A network with its router.
    Network,
}

/// How something differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PlanChange {
    /// The file has it, the lab does not.
    Added,
    /// The lab has it, the file does not.
    Removed,
    /// Only the models of its uplink differ.
    Link,
    /// These properties differ.
    Properties(Vec<&'static str>),
}

impl fmt::Display for PlanDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = match self.subject {
            DifferenceSubject::Node => "node",
            DifferenceSubject::Network => "network",
        };
        let name = &self.name;
        match &self.change {
            PlanChange::Added => write!(f, "+ {subject} {name}"),
            PlanChange::Removed => write!(f, "- {subject} {name}"),
            PlanChange::Link => write!(f, "~ {subject} {name}: link"),
            PlanChange::Properties(properties) => write!(f, "~ {subject} {name}: {}", properties.join(", ")),
        }
    }
}

/// How `file` differs from `lab`: networks first. Nodes that only a step starts do not count.
pub(crate) fn differences(lab: &Plan, file: &Plan) -> Vec<PlanDifference> {
    let network = |plan: &Plan| named(&plan.networks, |network| &network.name);
    let nodes = |plan: &Plan| {
        let from_start: Vec<NodePlan> = plan.nodes.iter().filter(|node| node.from_start).cloned().collect();
        named(&from_start, |node| &node.name)
    };
    let networks = compare(network(lab), network(file), DifferenceSubject::Network, |here, there| {
        network_change(lab, here, file, there)
    });
    let nodes =
        compare(nodes(lab), nodes(file), DifferenceSubject::Node, |here, there| node_change(lab, here, file, there));
    networks.into_iter().chain(nodes).collect()
}

fn named<T: Clone>(things: &[T], name: impl Fn(&T) -> &String) -> BTreeMap<String, T> {
    things.iter().map(|thing| (name(thing).clone(), thing.clone())).collect()
}

fn compare<T>(
    lab: BTreeMap<String, T>,
    file: BTreeMap<String, T>,
    subject: DifferenceSubject,
    change: impl Fn(&T, &T) -> Option<PlanChange>,
) -> Vec<PlanDifference> {
    let difference = |name: &String, change| PlanDifference { subject, name: name.clone(), change };
    let gone = lab.keys().filter(|name| !file.contains_key(*name)).map(|name| difference(name, PlanChange::Removed));
    let rest = file.iter().filter_map(|(name, there)| match lab.get(name) {
        None => Some(difference(name, PlanChange::Added)),
        Some(here) => change(here, there).map(|change| difference(name, change)),
    });
    gone.chain(rest).collect()
}

/// The names of those that differ.
fn differing(properties: &[(&'static str, bool)]) -> Option<PlanChange> {
    let differing: Vec<_> = properties.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
    (!differing.is_empty()).then_some(PlanChange::Properties(differing))
}

fn node_change(lab: &Plan, here: &NodePlan, file: &Plan, there: &NodePlan) -> Option<PlanChange> {
    let join = |plan: &Plan, node: &NodePlan| -> Vec<String> {
        node.join.iter().map(|ambassador| plan.node(*ambassador).name.clone()).collect()
    };
    differing(&[
        ("on", lab.network(here.network).name == file.network(there.network).name),
        ("ambassador", here.ambassador == there.ambassador),
        ("join", join(lab, here) == join(file, there)),
        ("store", here.store == there.store),
        ("limits", here.limits == there.limits),
        ("config", here.settings == there.settings),
        ("behaviour", json(&here.behaviours) == json(&there.behaviours)),
        ("sybil", here.identities == there.identities),
    ])
}

fn network_change(lab: &Plan, here: &Network, file: &Plan, there: &Network) -> Option<PlanChange> {
    let (Some(from), Some(to)) = (&here.behind, &there.behind) else {
        return differing(&[
            ("behind", here.behind.is_none() == there.behind.is_none()),
            ("ipv6", here.ipv6.is_some() == there.ipv6.is_some()),
        ]);
    };
    // Addresses inside and outside follow from the plan as a whole: their number is what a network is declared with.
    let ports = |forwards: &[crate::net::nat::Forward]| -> Vec<String> {
        forwards
            .iter()
            .map(|forward| format!("{:?} {} {}", forward.protocol, forward.port, forward.to.port()))
            .collect()
    };
    let properties = differing(&[
        ("behind", lab.network(from.to).name == file.network(to.to).name),
        ("ipv6", here.ipv6.is_some() == there.ipv6.is_some()),
        (
            "firewall6",
            json(&from.ipv6.as_ref().map(|ipv6| &ipv6.firewall)) == json(&to.ipv6.as_ref().map(|ipv6| &ipv6.firewall)),
        ),
        ("nat", json(&from.nat) == json(&to.nat)),
        ("firewall", from.firewall == to.firewall),
        ("external addresses", from.pool.len() == to.pool.len()),
        ("forward", ports(&from.forwards) == ports(&to.forwards)),
    ]);
    let link = (json(&from.up), json(&from.down)) != (json(&to.up), json(&to.down));
    match properties {
        Some(PlanChange::Properties(properties)) if link => {
            Some(PlanChange::Properties([properties, vec!["link"]].concat()))
        }
        None if link => Some(PlanChange::Link),
        properties => properties,
    }
}

fn json(value: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("plain data is always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::LAB;
    use crate::planner;
    use crate::topology::Overrides;

    fn check(from: &str, to: &str, expected: &[&str]) {
        let plan = |text: &str| planner::read("lab.yaml", text, &Overrides::default()).unwrap();
        let found: Vec<String> =
            differences(&plan(LAB), &plan(&LAB.replace(from, to))).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn differences_are_named() {
        check("join: {within: 30s}", "settle: {for: 9s}", &[]);
        check("count: 2", "count: 3", &["+ node n-3"]);
        check("  n: {on: home, count: 2}\n", "", &["- node n-1", "- node n-2"]);
        check("5ms", "50ms", &["~ network home: link"]);
        check("full-cone, link: {latency: 5ms}", "symmetric, link: {latency: 9ms}", &["~ network home: nat, link"]);
        check("count: 2", "count: 2, store: disk", &["~ node n-1: store", "~ node n-2: store"]);
    }
}
