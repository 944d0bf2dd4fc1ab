//! Nodes and networks that a step names.

use std::collections::BTreeMap;

use crate::plan::{NetworkIndex, NetworkRange};
use crate::topology::check::{NameTable, NodeSelector};
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span, quoted};
use crate::topology::fields::{Fields, Spanned, scalar};
use crate::topology::tree::{YamlNode, YamlValue};

/// Most names in a summary.
const NAMES_SHOWN: usize = 6;

/// Nodes as a step names them: written first, looked up by `validate`.
#[derive(Debug, Default)]
pub(crate) struct NodeNames {
    written: Vec<Spanned<String>>,
    found: Vec<(String, NodeSelector)>,
}

impl NodeNames {
    /// The value of a key: a name or a list of names; none if the key is not there.
    pub(crate) fn read(fields: &Fields<'_>, key: &str, problems: &mut DiagnosticSink) -> Self {
        NodeNames { written: read_names(fields, key, problems), found: Vec::new() }
    }

    /// Looks the names up; `fresh` where nodes that join for the step can be meant.
    pub(crate) fn validate(&mut self, names: &NameTable<'_>, fresh: bool, problems: &mut DiagnosticSink) {
        let find = |name: &Spanned<String>| Some((name.value.clone(), names.node_selector(name, fresh, problems)?));
        self.found = self.written.iter().filter_map(find).collect();
    }

    /// Takes `default` where none are named.
    pub(crate) fn default_to(&mut self, default: impl IntoIterator<Item = (String, NodeSelector)>) {
        if self.written.is_empty() {
            self.found = default.into_iter().collect();
        }
    }

    /// A name or a list of names that is the value of `key`, or an element of it.
    pub(crate) fn read_value(node: &YamlNode, key: &str, problems: &mut DiagnosticSink) -> Self {
        NodeNames { written: names_in(node, key, problems), found: Vec::new() }
    }

    /// The value of a key that has to be there.
    pub(crate) fn read_needed(fields: &Fields<'_>, key: &str, problems: &mut DiagnosticSink) -> Self {
        fields.need(key, problems);
        NodeNames::read(fields, key, problems)
    }

    /// All nodes where none are named.
    pub(crate) fn default_to_all(&mut self) {
        self.default_to([("all".to_owned(), NodeSelector::All)]);
    }

    /// What was named, with its name.
    pub(crate) fn found(&self) -> &[(String, NodeSelector)] {
        &self.found
    }

    /// What was named.
    pub(crate) fn selectors(&self) -> impl Iterator<Item = &NodeSelector> {
        self.found.iter().map(|(_, selector)| selector)
    }

    /// The names for a summary; of many only the first.
    pub(crate) fn text(&self) -> String {
        joined(self.found.iter().map(|(name, _)| name.as_str()))
    }
}

/// Networks as a step names them.
#[derive(Debug, Default)]
pub(crate) struct NetworkRefs {
    written: Vec<Spanned<String>>,
    found: Vec<(String, NetworkRange)>,
}

impl NetworkRefs {
    /// The value of a key, as for [`NodeNames::read`].
    pub(crate) fn read(fields: &Fields<'_>, key: &str, problems: &mut DiagnosticSink) -> Self {
        NetworkRefs { written: read_names(fields, key, problems), found: Vec::new() }
    }

    /// A single name, if it is there.
    pub(crate) fn of_text(name: Option<Spanned<String>>) -> Self {
        NetworkRefs { written: name.into_iter().collect(), found: Vec::new() }
    }

    /// A name or a list of names that stands for a whole step, called `key`.
    pub(crate) fn read_value(node: &YamlNode, key: &str, problems: &mut DiagnosticSink) -> Self {
        NetworkRefs { written: names_in(node, key, problems), found: Vec::new() }
    }

    /// Looks the names up and keeps those of networks that are `fit`; of others it reports the diagnostic that `unfit` makes.
    pub(crate) fn validate(
        &mut self,
        names: &NameTable<'_>,
        problems: &mut DiagnosticSink,
        unfit: impl Fn(&Spanned<String>, &crate::topology::check::NamedNetworks<'_>) -> Option<Diagnostic>,
    ) {
        self.found.clear();
        for name in &self.written {
            let Some(named) = names.networks(name, problems) else { continue };
            match unfit(name, &named) {
                Some(problem) => problems.add(problem.related(named.span, "the network")),
                None => self.found.push((name.value.clone(), named.networks)),
            }
        }
    }

    /// Each network once, in the order of the plan.
    pub(crate) fn in_plan_order(&self) -> Vec<NetworkIndex> {
        super::state::in_plan_order(self.all())
    }

    /// Every network, as often as it is named.
    pub(crate) fn all(&self) -> impl Iterator<Item = NetworkIndex> {
        self.found.iter().flat_map(|(_, networks)| networks.iter())
    }

    /// The names for a summary; of many only the first.
    pub(crate) fn text(&self) -> String {
        joined(self.found.iter().map(|(name, _)| name.as_str()))
    }
}

fn joined<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let more = if names.len() > NAMES_SHOWN { ", …" } else { "" };
    names.take(NAMES_SHOWN).collect::<Vec<_>>().join(", ") + more
}

/// A name or a list of names; none if the key is not there.
fn read_names(fields: &Fields<'_>, key: &str, problems: &mut DiagnosticSink) -> Vec<Spanned<String>> {
    fields.get(key).map(|node| names_in(node, key, problems)).unwrap_or_default()
}

/// A name or a list of names.
pub(super) fn names_in(node: &YamlNode, key: &str, problems: &mut DiagnosticSink) -> Vec<Spanned<String>> {
    let list = match &node.value {
        YamlValue::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if list.is_empty() {
        problems.add(Diagnostic::at(&node.span, format!("`{key}` is an empty list")).help("leave it out to mean all"));
    }
    let mut seen: BTreeMap<&str, &Span> = BTreeMap::new();
    let mut read = Vec::with_capacity(list.len());
    for node in list {
        let Some(text) = scalar(node, "names of networks or node groups: [alpha, b]", problems) else { continue };
        match seen.insert(text, &node.span) {
            Some(first) => problems.add(
                Diagnostic::at(&node.span, format!("{} is named twice", quoted(text))).related(first, "first here"),
            ),
            None => read.push(Spanned { value: text.to_owned(), span: node.span.clone() }),
        }
    }
    read
}
