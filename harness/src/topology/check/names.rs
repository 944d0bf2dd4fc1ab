//! What steps, checks and forwards name: looked up.

use std::collections::BTreeMap;

use super::{CheckedForward, CheckedGroup, CheckedStep, FRESH, NetworkNames, NodeSelector, Verb, numbered};
use crate::checks;
use crate::plan::{Check, NetworkIndex, NetworkRange};
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, LineIndex, Span, quoted, suggestion};
use crate::topology::fields::Spanned;
use crate::topology::raw::nat::RawForward;
use crate::topology::raw::network::RawNetwork;
use crate::topology::raw::step::{RawChurn, RawStep, RawVerb};

/// Everything that a step or a check can name.
pub(crate) struct Names<'c> {
    /// Entries of the file that have a NAT.
    natted: Vec<bool>,
    /// Entries of the file that are behind another.
    linked: Vec<bool>,
    networks: &'c NetworkNames,
    groups: &'c [CheckedGroup],
    by_name: BTreeMap<&'c str, usize>,
    source: &'c str,
    lines: LineIndex,
}

impl<'c> Names<'c> {
    /// Of these networks, as the file has them and with their places, and these groups.
    pub(crate) fn new(
        raw: &[RawNetwork],
        networks: &'c NetworkNames,
        groups: &'c [CheckedGroup],
        source: &'c str,
    ) -> Self {
        let by_name = groups.iter().enumerate().map(|(index, group)| (group.name.value.as_str(), index));
        Names {
            natted: raw.iter().map(|network| network.nat.is_some()).collect(),
            linked: raw.iter().map(|network| network.behind.is_some()).collect(),
            networks,
            groups,
            by_name: by_name.collect(),
            source,
            lines: LineIndex::new(source),
        }
    }

    /// `None` if the step has a fault.
    pub(crate) fn step(&self, step: RawStep, problems: &mut DiagnosticSink) -> Option<CheckedStep> {
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

    fn churn(&self, churn: RawChurn, problems: &mut DiagnosticSink) -> Option<Verb> {
        let only = or_all(self.all_of(&churn.only, false, problems));
        let spare = self.all_of(&churn.spare, false, problems);
        let (time, die) = (churn.time?.0, churn.die?.0);
        Some(Verb::Churn { time, die, graceful: churn.graceful.0, replace: churn.replace, only, spare })
    }

    fn natted_networks(&self, name: &Spanned<String>, problems: &mut DiagnosticSink) -> Option<NetworkRange> {
        let (place, networks) = self.networks.known(name, problems)?;
        if !self.natted[place.entry] {
            problems.add(
                Diagnostic::at(&name.span, format!("{} has no NAT that could forget anything", quoted(&name.value)))
                    .related(&place.span, "the network")
                    .help("name networks with a NAT, or give it one: nat: port-restricted"),
            );
            return None;
        }
        Some(networks)
    }

    fn linked_networks(&self, name: &Spanned<String>, problems: &mut DiagnosticSink) -> Option<NetworkRange> {
        let (place, networks) = self.networks.known(name, problems)?;
        if !self.linked[place.entry] {
            problems.add(
                Diagnostic::at(&name.span, format!("{} is behind nothing, so it has no link", quoted(&name.value)))
                    .related(&place.span, "the network")
                    .help("name networks that are behind another"),
            );
            return None;
        }
        Some(networks)
    }

    /// The ports of a network's NAT that always lead to a node, with that node's network; faults are reported.
    pub(crate) fn forwards(
        &self,
        network: &RawNetwork,
        problems: &mut DiagnosticSink,
    ) -> Vec<(NetworkIndex, CheckedForward)> {
        let here = self.networks.find(&network.name.value);
        let forward = |forward: &RawForward| {
            let name = &forward.node;
            let node = self.who(name, false, problems)?;
            let (group, number) = match node {
                NodeSelector::Node(group, number) => (&self.groups[group], number),
                NodeSelector::Group(group) if self.groups[group].count.is_none() => (&self.groups[group], 0),
                _ => {
                    problems.add(
                        Diagnostic::at(&name.span, format!("{} is not one node", quoted(&name.value)))
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
                    Diagnostic::at(&name.span, what)
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

    fn no_ambassadors(&self) -> Vec<NodeSelector> {
        let groups = self.groups.iter().enumerate().filter(|(_, group)| !group.ambassador);
        groups.map(|(index, _)| NodeSelector::Group(index)).collect()
    }

    fn all_of(&self, names: &[Spanned<String>], fresh: bool, problems: &mut DiagnosticSink) -> Vec<NodeSelector> {
        names.iter().filter_map(|name| self.who(name, fresh, problems)).collect()
    }

    /// Nodes by name; `fresh` where new nodes can be asked for.
    fn who(&self, name: &Spanned<String>, fresh: bool, problems: &mut DiagnosticSink) -> Option<NodeSelector> {
        let text = name.value.as_str();
        if text == "all" {
            return Some(NodeSelector::All);
        }
        if text == FRESH {
            if !fresh {
                problems.add(
                    Diagnostic::at(&name.span, "no fresh nodes join for this step")
                        .help("only a retrieve step has them: retrieve: {from: [fresh]}"),
                );
            }
            return fresh.then_some(NodeSelector::Fresh);
        }
        if let Some(networks) = self.networks.find(text) {
            return Some(NodeSelector::Networks(networks));
        }
        if let Some(&group) = self.by_name.get(text) {
            return Some(NodeSelector::Group(group));
        }
        let node = numbered(text).and_then(|(group, number)| {
            let group = *self.by_name.get(group)?;
            let count = self.groups[group].count?;
            (1..=count).contains(&number).then(|| NodeSelector::Node(group, number - 1))
        });
        if node.is_none() {
            let groups = self.groups.iter().map(|group| group.name.value.as_str());
            let known = self.networks.names().chain(groups).chain(["all"]).chain(fresh.then_some(FRESH));
            let mut problem =
                Diagnostic::at(&name.span, format!("there is no network, node group or node {}", quoted(text)));
            problem.help = match numbered(text).and_then(|(group, _)| self.by_name.get(group)) {
                Some(&group) => Some(self.groups[group].members()),
                None => self.networks.members(text).or_else(|| suggestion(text, known, "there are")),
            };
            problems.add(problem);
        }
        node
    }

    pub(crate) fn checks(&self, checks: &[Spanned<String>], problems: &mut DiagnosticSink) -> Vec<Spanned<Check>> {
        let groups: Vec<&str> = self.groups.iter().map(|group| group.name.value.as_str()).collect();
        let names = checks::Names { networks: self.networks, groups: &groups };
        let mut good = Vec::with_capacity(checks.len());
        for Spanned { value: text, span } in checks {
            match checks::parse(text, self.lines.of(span.start), &names) {
                Ok(value) => good.push(Spanned { value, span: span.clone() }),
                Err(fault) => {
                    let mut problem = Diagnostic::at(&within(self.source, span, text, fault.at), fault.what);
                    problem.help = fault.help;
                    problems.add(problem);
                }
            }
        }
        good
    }
}

fn or_all(named: Vec<NodeSelector>) -> Vec<NodeSelector> {
    if named.is_empty() { vec![NodeSelector::All] } else { named }
}

/// Where a part of a value's text is in the file: the whole value if it was quoted with escapes or made by a variable.
fn within(source: &str, span: &Span, text: &str, part: std::ops::Range<usize>) -> Span {
    let written = &source[span.clone()];
    match written.find(text) {
        Some(offset) if offset <= 1 => span.start + offset + part.start..span.start + offset + part.end,
        _ => span.clone(),
    }
}
