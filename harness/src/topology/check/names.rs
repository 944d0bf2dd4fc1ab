//! Looks up what steps, checks and forwards name.

use std::collections::BTreeMap;
use std::path::Path;

use super::{FRESH, ForwardModel, GroupModel, NetworkNames, NodeSelector, numbered};
use crate::plan::{NetworkIndex, NetworkRange};
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, LineIndex, Span, quoted, suggestion};
use crate::topology::fields::Spanned;
use crate::topology::raw::nat::RawForward;
use crate::topology::raw::network::RawNetwork;

/// Everything that a step or a check can name.
pub(crate) struct NameTable<'c> {
    /// Entries of the file that have a NAT.
    natted: Vec<bool>,
    /// Entries of the file that are behind another.
    linked: Vec<bool>,
    networks: &'c NetworkNames,
    groups: &'c [GroupModel],
    by_name: BTreeMap<&'c str, usize>,
    source: &'c str,
    folder: &'c Path,
    lines: LineIndex,
}

/// Networks that a name stands for, and what the entry of the file that made them says.
#[derive(Debug)]
pub(crate) struct NamedNetworks<'c> {
    pub(crate) networks: NetworkRange,
    /// Place of the entry's name.
    pub(crate) span: &'c Span,
    pub(crate) has_nat: bool,
    /// Whether they are behind another network.
    pub(crate) is_behind: bool,
}

impl<'c> NameTable<'c> {
    /// Of these networks, as the file has them and with their places, and these groups.
    pub(crate) fn new(
        raw: &[RawNetwork],
        networks: &'c NetworkNames,
        groups: &'c [GroupModel],
        (source, folder): (&'c str, &'c Path),
    ) -> Self {
        let by_name = groups.iter().enumerate().map(|(index, group)| (group.name.value.as_str(), index));
        NameTable {
            natted: raw.iter().map(|network| network.nat.is_some()).collect(),
            linked: raw.iter().map(|network| network.behind.is_some()).collect(),
            networks,
            groups,
            by_name: by_name.collect(),
            source,
            folder,
            lines: LineIndex::new(source),
        }
    }

    /// The networks that a name stands for; one that stands for none is reported.
    pub(crate) fn networks(&self, name: &Spanned<String>, problems: &mut DiagnosticSink) -> Option<NamedNetworks<'c>> {
        let (entry, networks) = self.networks.known(name, problems)?;
        Some(NamedNetworks {
            networks,
            span: &entry.span,
            has_nat: self.natted[entry.entry],
            is_behind: self.linked[entry.entry],
        })
    }

    /// Node groups without ambassadors, with their names.
    pub(crate) fn groups_without_ambassadors(&self) -> Vec<(String, NodeSelector)> {
        let groups = self.groups.iter().enumerate().filter(|(_, group)| !group.ambassador);
        groups.map(|(index, group)| (group.name.value.clone(), NodeSelector::Group(index))).collect()
    }

    /// How many nodes the file puts where a name says.
    pub(crate) fn count_of(&self, selector: &NodeSelector) -> u64 {
        let on = |networks: NetworkRange| {
            let group = |group: &GroupModel| match group.networks {
                Some(_) => {
                    (0..group.size()).filter(|number| networks.contains(group.network_of(*number))).count() as u64
                }
                None => 0,
            };
            self.groups.iter().map(group).sum()
        };
        match selector {
            NodeSelector::All => self.groups.iter().map(GroupModel::size).sum(),
            NodeSelector::Fresh => 0,
            NodeSelector::Networks(networks) => on(*networks),
            NodeSelector::Group(group) => self.groups[*group].size(),
            NodeSelector::Node(..) => 1,
        }
    }

    /// The names of all node groups.
    pub(crate) fn group_names(&self) -> Vec<&'c str> {
        self.groups.iter().map(|group| group.name.value.as_str()).collect()
    }

    /// The names of all networks.
    pub(crate) fn network_names(&self) -> &'c NetworkNames {
        self.networks
    }

    /// Where files are that the topology names.
    pub(crate) fn folder(&self) -> &'c Path {
        self.folder
    }

    /// The text of the file.
    pub(crate) fn source(&self) -> &'c str {
        self.source
    }

    /// The line of a place, from 1.
    pub(crate) fn line_of(&self, span: &Span) -> usize {
        self.lines.of(span.start)
    }

    /// The ports of a network's NAT that always lead to a node, with that node's network; faults are reported.
    pub(crate) fn forwards(
        &self,
        network: &RawNetwork,
        problems: &mut DiagnosticSink,
    ) -> Vec<(NetworkIndex, ForwardModel)> {
        let here = self.networks.find(&network.name.value);
        let forward = |forward: &RawForward| {
            let name = &forward.node;
            let node = self.node_selector(name, false, problems)?;
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
            Some((its_network, ForwardModel { node, protocol, port, to }))
        };
        network.forwards.iter().filter_map(forward).collect()
    }

    /// Nodes by name; `fresh` where new nodes can be asked for.
    pub(crate) fn node_selector(
        &self,
        name: &Spanned<String>,
        fresh: bool,
        problems: &mut DiagnosticSink,
    ) -> Option<NodeSelector> {
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
}
