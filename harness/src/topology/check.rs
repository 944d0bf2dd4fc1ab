//! Looks every name up and judges what only shows when the parts are put together.

use std::collections::BTreeMap;

use butter::core::config::{Config, KEYS};
use ipnet::Ipv4Net;

use super::diagnostics::{Lines, Problem, Problems, Span, quoted, suggestion};
use super::fields::Spanned;
use super::grammar;
use super::raw::link::RawLink;
use super::raw::nat::RawForward;
use super::raw::network::{RawIpv6, RawNetwork};
use super::raw::step::{Items, RawChurn, RawStep, RawVerb};
use super::raw::{NODES_MAX, Raw, RawGroup, Setting};
use super::units::Sizes;
use crate::net::link::LinkConfig;
use crate::net::nat::{NatConfig, Protocol};
use crate::plan::{Check, NetworkIndex, NetworkRange};
use crate::timeline::Replace;

mod ipv6;
mod networks;
mod places;

pub(super) use networks::hosts;
pub(super) use places::Places;

/// Most networks of a topology.
pub(super) const NETWORKS_MAX: usize = 4_096;
/// Names that mean something else where a network or a node group is named.
const RESERVED: [&str; 2] = ["all", "fresh"];
/// Nodes that join for a retrieve step are named so.
pub(super) const FRESH: &str = "fresh";

/// A topology in which every name is known.
#[derive(Debug)]
pub(super) struct Checked {
    /// One that others are behind comes before them.
    pub(super) networks: Vec<CheckedNetwork>,
    pub(super) groups: Vec<CheckedGroup>,
    /// Settings of nodes that belong to no group.
    pub(super) settings: Vec<(String, String)>,
    pub(super) steps: Vec<CheckedStep>,
    pub(super) checks: Vec<Spanned<Check>>,
}

/// A network with its place in the tree.
#[derive(Debug)]
pub(super) struct CheckedNetwork {
    /// With its number, if it has one.
    pub(super) name: Spanned<String>,
    /// As in the file.
    pub(super) group: String,
    pub(super) subnet: Option<Spanned<Ipv4Net>>,
    pub(super) ipv6: RawIpv6,
    pub(super) behind: Option<NetworkIndex>,
    pub(super) nat: Option<NatConfig>,
    pub(super) forwards: Vec<CheckedForward>,
    /// How often it gets new addresses outside.
    pub(super) rebinds: u64,
    pub(super) up: LinkConfig,
    pub(super) down: LinkConfig,
    pub(super) region: Option<String>,
}

/// A port that always leads to a node.
#[derive(Debug)]
pub(super) struct CheckedForward {
    pub(super) node: Who,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    pub(super) to: u16,
}

/// Some nodes of one sort.
#[derive(Debug)]
pub(super) struct CheckedGroup {
    pub(super) name: Spanned<String>,
    /// `None` only where the file names none that there is, which is reported.
    networks: Option<NetworkRange>,
    pub(super) count: Option<u64>,
    pub(super) ambassador: bool,
    /// As [`crate::plan::NodePlan::settings`].
    pub(super) settings: Vec<(String, String)>,
}

impl CheckedGroup {
    /// Where it is, once everything is checked.
    pub(super) fn networks(&self) -> NetworkRange {
        self.networks.expect("the groups of a checked topology are on networks")
    }

    /// Where its node number `number` is, counted from 0: they take the networks in turn.
    pub(super) fn network_of(&self, number: u64) -> NetworkIndex {
        self.networks().nth(number as usize)
    }

    /// Which nodes it has, for a message.
    fn members(&self) -> String {
        let name = &self.name.value;
        match self.count {
            None => format!("'{name}' is a single node"),
            Some(1) => format!("the only node of '{name}' is {name}-1"),
            Some(count) => format!("the nodes of '{name}' are {name}-1 to {name}-{count}"),
        }
    }

    /// How many nodes it has.
    pub(super) fn size(&self) -> u64 {
        self.count.unwrap_or(1)
    }
}

/// A step whose names are known.
#[derive(Debug)]
pub(super) struct CheckedStep {
    pub(super) span: Span,
    pub(super) line: usize,
    pub(super) verb: Verb,
}

/// What a step does.
#[derive(Debug)]
pub(super) enum Verb {
    Join { within: std::time::Duration },
    Store { items: u64, sizes: Sizes, from: Vec<Who> },
    Churn { time: std::time::Duration, die: f64, graceful: f64, replace: Replace, only: Vec<Who>, spare: Vec<Who> },
    Settle { time: std::time::Duration },
    Retrieve { items: Items, from: Vec<Who> },
    Rebind { networks: Vec<NetworkRange>, same_address: bool },
    Cross { within: std::time::Duration, pairs: Option<u64>, among: Vec<Who> },
    Link { networks: Vec<NetworkRange>, link: Box<RawLink> },
    Check { checks: Vec<Spanned<Check>> },
}

/// Nodes, by a name of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    All,
    Fresh,
    Networks(NetworkRange),
    /// Index into [`Checked::groups`].
    Group(usize),
    /// One node of a group, counted from 0.
    Node(usize, u64),
}

/// Checks everything. `None` if that was not possible; why is among `problems`.
pub(super) fn check(raw: Raw, source: &str, problems: &mut Problems) -> Option<Checked> {
    let tree = networks::order(&raw.networks, problems)?;
    let common = settings(&[&raw.config]);
    let groups = check_groups(&raw, &tree.places, problems);
    let by_name = groups.iter().enumerate().map(|(index, group)| (group.name.value.as_str(), index)).collect();
    let natted = raw.networks.iter().map(|network| network.nat.is_some()).collect();
    let linked = raw.networks.iter().map(|network| network.behind.is_some()).collect();
    let names =
        Names { natted, linked, networks: &tree.places, groups: &groups, by_name, source, lines: Lines::new(source) };
    let steps: Vec<_> = raw.steps.into_iter().map(|step| names.step(step, problems)).collect();
    let checks = names.checks(&raw.checks, problems);
    let forwards: Vec<_> = raw.networks.iter().flat_map(|network| names.forwards(network, problems)).collect();
    let fresh_steps = steps.iter().flatten().filter(|step| step.asks_fresh()).count() as u64;
    let mut networks = networks::in_order(raw.networks, &tree);
    forwards.into_iter().for_each(|(network, forward): (NetworkIndex, _)| networks[network.0].forwards.push(forward));
    for network in steps.iter().flatten().flat_map(CheckedStep::readdresses) {
        networks[network.0].rebinds += 1;
    }
    networks::capacities(&networks, &groups, fresh_steps, problems);
    // Whatever is missing here has been reported: nothing is planned from a part of a file.
    problems.none().then(|| Checked {
        networks,
        groups,
        settings: common,
        steps: steps.into_iter().flatten().collect(),
        checks,
    })
}

impl CheckedStep {
    /// Whether nodes join for it.
    pub(super) fn asks_fresh(&self) -> bool {
        matches!(&self.verb, Verb::Retrieve { from, .. } if from.contains(&Who::Fresh))
    }

    /// The networks whose NATs get new addresses.
    fn readdresses(&self) -> impl Iterator<Item = NetworkIndex> {
        let networks = match &self.verb {
            Verb::Rebind { networks, same_address: false } => networks.as_slice(),
            _ => &[],
        };
        networks.iter().flat_map(|networks| networks.iter())
    }
}

fn check_groups(raw: &Raw, places: &Places, problems: &mut Problems) -> Vec<CheckedGroup> {
    let mut groups: Vec<CheckedGroup> = Vec::with_capacity(raw.groups.len());
    for group in &raw.groups {
        check_group_name(group, places, problems);
        let on = group.on.as_ref().and_then(|on| places.known(on, problems));
        groups.push(CheckedGroup {
            name: group.name.clone(),
            networks: on.map(|(_, networks)| networks),
            count: group.count,
            ambassador: group.ambassador,
            settings: settings(&[&raw.config, &group.config]),
        });
    }
    check_node_names(&groups, problems);
    let total = groups.iter().fold(0_u64, |total, group| total.saturating_add(group.size()));
    if total > NODES_MAX {
        let last = groups.last().expect("no nodes are not too many");
        problems.add(Problem::at(&last.name.span, format!("{total} nodes are more than {NODES_MAX}")));
    }
    groups
}

fn check_group_name(group: &RawGroup, places: &Places, problems: &mut Problems) {
    let Spanned { value: name, span } = &group.name;
    if let Some((network, _)) = places.place(name) {
        problems.add(
            Problem::at(span, format!("{} is a network too, so `from: [{name}]` could mean either", quoted(name)))
                .label("the node group")
                .related(&network.span, "the network")
                .help("give one of them another name"),
        );
    }
    if RESERVED.contains(&name.as_str()) || is_fresh(name) {
        problems.add(
            Problem::at(span, format!("{} has a meaning of its own", quoted(name)))
                .help("'all' is every node, 'fresh', 'fresh-…', 'fresh2-…' are nodes that join for a retrieve step"),
        );
    }
}

/// `fresh-alpha` and `fresh2-alpha` are names of nodes that join for retrieve steps.
fn is_fresh(name: &str) -> bool {
    name.strip_prefix(FRESH).is_some_and(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('-'))
}

/// A group must not be named like a node of another: `a-1` beside five `a`.
fn check_node_names(groups: &[CheckedGroup], problems: &mut Problems) {
    let by_name: BTreeMap<&str, &CheckedGroup> =
        groups.iter().map(|group| (group.name.value.as_str(), group)).collect();
    for group in groups {
        let Some((name, number)) = numbered(&group.name.value) else { continue };
        let other = by_name.get(name).filter(|other| other.count.is_some_and(|count| number <= count));
        if let Some(other) = other {
            problems.add(
                Problem::at(&group.name.span, format!("{} is also the name of a node", quoted(&group.name.value)))
                    .label("the node group")
                    .related(&other.name.span, other.members())
                    .help("give one of them another name"),
            );
        }
    }
}

/// `a-3` is number 3 of `a`.
fn numbered(name: &str) -> Option<(&str, u64)> {
    let (group, number) = name.rsplit_once('-')?;
    let plain = !number.starts_with('0') && number.bytes().all(|b| b.is_ascii_digit());
    number.parse().ok().filter(|_| plain).map(|number| (group, number))
}

/// The last of several settings of a key, in the order of [`KEYS`], without those that are the default.
fn settings(configs: &[&Vec<Setting>]) -> Vec<(String, String)> {
    let chosen: BTreeMap<&str, &str> =
        configs.iter().flat_map(|config| config.iter()).map(|s| (s.key.as_str(), s.value.as_str())).collect();
    let differs = |key: &str, value: &str| {
        let mut config = Config::default();
        config.set(key, value).is_ok() && config != Config::default()
    };
    KEYS.iter()
        .filter_map(|key| chosen.get(key.name).map(|value| (key.name, *value)))
        .filter(|(key, value)| differs(key, value))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Everything that a step or a check can name.
struct Names<'c> {
    /// Entries of the file that have a NAT.
    natted: Vec<bool>,
    /// Entries of the file that are behind another.
    linked: Vec<bool>,
    networks: &'c Places,
    groups: &'c [CheckedGroup],
    by_name: BTreeMap<&'c str, usize>,
    source: &'c str,
    lines: Lines,
}

impl Names<'_> {
    /// `None` if the step has a fault.
    fn step(&self, step: RawStep, problems: &mut Problems) -> Option<CheckedStep> {
        let verb = match step.verb {
            RawVerb::Join { within } => Verb::Join { within: within?.0 },
            RawVerb::Settle { time } => Verb::Settle { time: time?.0 },
            RawVerb::Store { items, size, from } => {
                let from = self.all_of(&from, false, problems);
                Verb::Store { items: items?, sizes: size, from: or_all(from) }
            }
            RawVerb::Churn(churn) => self.churn(churn, problems)?,
            RawVerb::Retrieve { items, from } => {
                Verb::Retrieve { items, from: or_all(self.all_of(&from, true, problems)) }
            }
            RawVerb::Rebind { networks, same_address } => Verb::Rebind {
                networks: networks.iter().filter_map(|name| self.natted_networks(name, problems)).collect(),
                same_address,
            },
            RawVerb::Cross { within, pairs, among } => {
                let among = self.all_of(&among, false, problems);
                Verb::Cross {
                    within: within.0,
                    pairs,
                    among: if among.is_empty() { self.no_ambassadors() } else { among },
                }
            }
            RawVerb::Link { networks, link } => Verb::Link {
                networks: networks.iter().filter_map(|name| self.linked_networks(name, problems)).collect(),
                link,
            },
            RawVerb::Check { checks } => Verb::Check { checks: self.checks(&checks, problems) },
        };
        Some(CheckedStep { line: self.lines.of(step.span.start), span: step.span, verb })
    }

    fn churn(&self, churn: RawChurn, problems: &mut Problems) -> Option<Verb> {
        let only = or_all(self.all_of(&churn.only, false, problems));
        let spare = self.all_of(&churn.spare, false, problems);
        let (time, die) = (churn.time?.0, churn.die?.0);
        Some(Verb::Churn { time, die, graceful: churn.graceful.0, replace: churn.replace, only, spare })
    }

    fn natted_networks(&self, name: &Spanned<String>, problems: &mut Problems) -> Option<NetworkRange> {
        let (place, networks) = self.networks.known(name, problems)?;
        if !self.natted[place.entry] {
            problems.add(
                Problem::at(&name.span, format!("{} has no NAT that could forget anything", quoted(&name.value)))
                    .related(&place.span, "the network")
                    .help("name networks with a NAT, or give it one: nat: port-restricted"),
            );
            return None;
        }
        Some(networks)
    }

    fn linked_networks(&self, name: &Spanned<String>, problems: &mut Problems) -> Option<NetworkRange> {
        let (place, networks) = self.networks.known(name, problems)?;
        if !self.linked[place.entry] {
            problems.add(
                Problem::at(&name.span, format!("{} is behind nothing, so it has no link", quoted(&name.value)))
                    .related(&place.span, "the network")
                    .help("name networks that are behind another"),
            );
            return None;
        }
        Some(networks)
    }

    /// The ports of a network's NAT that always lead to a node, with that node's network; faults are reported.
    fn forwards(&self, network: &RawNetwork, problems: &mut Problems) -> Vec<(NetworkIndex, CheckedForward)> {
        let here = self.networks.find(&network.name.value);
        let forward = |forward: &RawForward| {
            let name = &forward.node;
            let node = self.who(name, false, problems)?;
            let (group, number) = match node {
                Who::Node(group, number) => (&self.groups[group], number),
                Who::Group(group) if self.groups[group].count.is_none() => (&self.groups[group], 0),
                _ => {
                    problems.add(
                        Problem::at(&name.span, format!("{} is not one node", quoted(&name.value)))
                            .help("a port leads to one, such as node: a-1"),
                    );
                    return None;
                }
            };
            group.networks?;
            let its_network = group.network_of(number);
            if here.is_none_or(|here| !here.contains(its_network)) {
                let what = format!("{} is not on {}", quoted(&name.value), quoted(&network.name.value));
                problems.add(
                    Problem::at(&name.span, what)
                        .related(&group.name.span, "it is declared here")
                        .help("a NAT's ports lead to nodes of its own network"),
                );
                return None;
            }
            let RawForward { protocol, port, to, .. } = *forward;
            Some((its_network, CheckedForward { node, protocol, port, to }))
        };
        network.forwards.iter().filter_map(forward).collect()
    }

    fn no_ambassadors(&self) -> Vec<Who> {
        let groups = self.groups.iter().enumerate().filter(|(_, group)| !group.ambassador);
        groups.map(|(index, _)| Who::Group(index)).collect()
    }

    fn all_of(&self, names: &[Spanned<String>], fresh: bool, problems: &mut Problems) -> Vec<Who> {
        names.iter().filter_map(|name| self.who(name, fresh, problems)).collect()
    }

    /// Nodes by name; `fresh` where new nodes can be asked for.
    fn who(&self, name: &Spanned<String>, fresh: bool, problems: &mut Problems) -> Option<Who> {
        let text = name.value.as_str();
        if text == "all" {
            return Some(Who::All);
        }
        if text == FRESH {
            if !fresh {
                problems.add(
                    Problem::at(&name.span, "no fresh nodes join for this step")
                        .help("only a retrieve step has them: retrieve: {from: [fresh]}"),
                );
            }
            return fresh.then_some(Who::Fresh);
        }
        if let Some(networks) = self.networks.find(text) {
            return Some(Who::Networks(networks));
        }
        if let Some(&group) = self.by_name.get(text) {
            return Some(Who::Group(group));
        }
        let node = numbered(text).and_then(|(group, number)| {
            let group = *self.by_name.get(group)?;
            let count = self.groups[group].count?;
            (1..=count).contains(&number).then(|| Who::Node(group, number - 1))
        });
        if node.is_none() {
            let groups = self.groups.iter().map(|group| group.name.value.as_str());
            let known = self.networks.names().chain(groups).chain(["all"]).chain(fresh.then_some(FRESH));
            let mut problem =
                Problem::at(&name.span, format!("there is no network, node group or node {}", quoted(text)));
            problem.help = match numbered(text).and_then(|(group, _)| self.by_name.get(group)) {
                Some(&group) => Some(self.groups[group].members()),
                None => self.networks.members(text).or_else(|| suggestion(text, known, "there are")),
            };
            problems.add(problem);
        }
        node
    }

    fn checks(&self, checks: &[Spanned<String>], problems: &mut Problems) -> Vec<Spanned<Check>> {
        let groups: Vec<&str> = self.groups.iter().map(|group| group.name.value.as_str()).collect();
        let names = grammar::Names { networks: self.networks, groups: &groups };
        let mut good = Vec::with_capacity(checks.len());
        for Spanned { value: text, span } in checks {
            match grammar::parse(text, self.lines.of(span.start), &names) {
                Ok(value) => good.push(Spanned { value, span: span.clone() }),
                Err(fault) => {
                    let mut problem = Problem::at(&within(self.source, span, text, fault.at), fault.what);
                    problem.help = fault.help;
                    problems.add(problem);
                }
            }
        }
        good
    }
}

fn or_all(named: Vec<Who>) -> Vec<Who> {
    if named.is_empty() { vec![Who::All] } else { named }
}

/// Where a part of a value's text is in the file: the whole value if it was quoted with escapes or made by a variable.
fn within(source: &str, span: &Span, text: &str, part: std::ops::Range<usize>) -> Span {
    let written = &source[span.clone()];
    match written.find(text) {
        Some(offset) if offset <= 1 => span.start + offset + part.start..span.start + offset + part.end,
        _ => span.clone(),
    }
}

/// What a network needs of its subnet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    /// Nodes, with those that join for retrieve steps.
    pub(super) nodes: u64,
    /// Routers of networks behind it.
    pub(super) routers: u64,
}

impl Need {
    /// Addresses that hosts have, the own router included.
    pub(super) fn hosts(self) -> u64 {
        self.nodes + self.routers + 1
    }
}

/// What each network needs, in their order.
pub(super) fn needs(networks: &[CheckedNetwork], groups: &[CheckedGroup], fresh_steps: u64) -> Vec<Need> {
    let mut needs = vec![Need::default(); networks.len()];
    for group in groups {
        let Some(networks) = group.networks else { continue };
        let (each, more) = (group.size() / networks.count as u64, group.size() % networks.count as u64);
        for (number, NetworkIndex(network)) in networks.iter().enumerate() {
            let here = each + u64::from((number as u64) < more);
            needs[network].nodes = needs[network].nodes.saturating_add(here);
        }
    }
    for need in needs.iter_mut().filter(|need| need.nodes > 0) {
        need.nodes = need.nodes.saturating_add(fresh_steps);
    }
    for network in networks {
        if let Some(NetworkIndex(outer)) = network.behind {
            needs[outer].routers += network.outside_addresses() * (1 + network.rebinds);
        }
    }
    needs
}

impl CheckedNetwork {
    /// Number `number` of those that `raw` makes, counted from 0.
    fn new(raw: &RawNetwork, number: usize, behind: Option<NetworkIndex>) -> Self {
        let RawNetwork { name, subnet, ipv6, nat, link, region, count, .. } = raw.clone();
        let (up, down) = link.over((&LinkConfig::default(), &LinkConfig::default()));
        let group = name.value.clone();
        let value = if count.is_some() { format!("{group}-{}", number + 1) } else { name.value };
        let name = Spanned { value, span: name.span };
        CheckedNetwork { name, group, subnet, ipv6, behind, nat, forwards: Vec::new(), rebinds: 0, up, down, region }
    }

    /// Addresses that its router has outside at a time.
    pub(super) fn outside_addresses(&self) -> u64 {
        self.nat.as_ref().map_or(1, |nat| u64::from(nat.pool))
    }
}
