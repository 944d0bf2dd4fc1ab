//! A topology as written: every key understood, every value of its type, and no name looked up yet.

use std::collections::BTreeMap;

use butter::api::StoragePlace;
use butter::config::{NodeConfig, SETTINGS};
use butter::core::config::ConfigError;

use super::diagnostics::{Diagnostic, DiagnosticSink, Span, quoted, suggestion};
use super::fields::{Fields, MapSpec, Spanned, from_variable, key, scalar};
use super::form::{ValueForm, words_of};
use super::internet;
use super::tree::{YamlKey, YamlNode, YamlValue};
use crate::adversary::Behaviour;
use crate::plan::sweep::{RUNS_MAX, Sweep};
use crate::plan::{FidelityChoice, NodeLimits, ResolvedInput};

pub(crate) mod field;
pub(crate) mod firewall;
pub(crate) mod graph;
mod limits;
pub(crate) mod link;
pub(crate) mod nat;
pub(crate) mod network;

use network::RawNetwork;

/// Longest name of a network, node group or topology: they become names of containers and directories.
pub(crate) const NAME_BYTES_MAX: usize = 40;
/// Most nodes of a topology.
pub(crate) const NODES_MAX: u64 = 1_000_000;
/// Most steps, and most checks in one place.
pub(crate) const ITEMS_OF_LIST_MAX: usize = 1_000;

/// The whole file.
#[derive(Debug)]
pub(crate) struct RawTopology {
    pub(crate) name: Option<String>,
    pub(crate) description: String,
    pub(crate) seed: Option<u64>,
    pub(crate) fidelity: Option<FidelityChoice>,
    pub(crate) networks: Vec<RawNetwork>,
    pub(crate) groups: Vec<RawGroup>,
    pub(crate) graph: Option<graph::RawGraph>,
    pub(crate) config: Vec<Setting>,
    /// Not read yet: see [`crate::steps`].
    pub(crate) steps: Vec<YamlNode>,
    pub(crate) checks: Vec<Spanned<String>>,
    pub(crate) sweep: Sweep,
}

/// Some nodes of one sort on one network.
#[derive(Debug)]
pub(crate) struct RawGroup {
    pub(crate) name: Spanned<String>,
    pub(crate) on: Option<Spanned<String>>,
    /// `None`: one node that bears the group's own name.
    pub(crate) count: Option<u64>,
    pub(crate) ambassador: bool,
    /// What its nodes do to others.
    pub(crate) behaviours: Vec<Behaviour>,
    /// Identities of each of them.
    pub(crate) sybil: u64,
    pub(crate) store: StoragePlace,
    pub(crate) limits: Option<NodeLimits>,
    pub(crate) config: Vec<Setting>,
}

/// A setting of nodes, accepted by [`NodeConfig::set`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// What `behaviour` may be: a list, or words in one text.
const BEHAVIOURS: ValueForm = ValueForm::JoinedWords(|| words_of(&Behaviour::NAMES));
static BEHAVIOUR_FORMS: [ValueForm; 2] = [BEHAVIOURS, ValueForm::List(0, &BEHAVIOURS)];

/// A list of checks, which may be empty as long as it is there.
static CHECKS_FORMS: [ValueForm; 2] = [ValueForm::List(0, &ValueForm::Text), ValueForm::Absent];

pub(crate) static TOPOLOGY: MapSpec = MapSpec {
    what: "a topology",
    keys: &[
        key("name", "three-lans", "names the run's directory; the file's name if absent").of(ValueForm::Name),
        key("description", "what it shows, in one line", "shown in reports").of(ValueForm::Text),
        key("seed", "7", "decides everything random; 1 if absent").of(ValueForm::Count(0, u64::MAX)),
        key(
            "fidelity",
            "packet",
            "how closely the simulator follows QUIC: auto (packet for up to 100 nodes), message or packet; auto if absent",
        ).of(ValueForm::Words(|| words_of(&FidelityChoice::NAMES))),
        key("vars", "{die: 1/100}", "variables for `${name}` in values; --set overrides them").of(ValueForm::Entries(&ValueForm::Text)),
        key(
            internet::KEY,
            "2025",
            "homes as they are, in place of networks and nodes or beside them: kinds of NAT, access and regions by measured shares",
        )
        .of(ValueForm::Either(&internet::FORMS)),
        key("networks", "{lan: {}}", "the internet and all networks behind it").of(ValueForm::NamedMaps(&network::NETWORK)).needed(),
        key("nodes", "{a: {on: lan, count: 5}}", "node groups").of(ValueForm::NamedMaps(&GROUP)).needed(),
        key("graph", "regular(8)", graph::DOC).of(ValueForm::Matching(graph::PATTERN)),
        key("config", "{replicas: 3}", "settings of all nodes").of(ValueForm::Settings),
        key("steps", "[{join: {within: 30s}}]", "what happens, in order").of(ValueForm::Steps).needed(),
        key("checks", "[persistence >= 99%]", "what must hold at the end").of(ValueForm::Either(&CHECKS_FORMS)),
        key("sweep", "{die: [1/50, 1/20]}", "variables or settings with the values that they take in turn").of(ValueForm::Entries(&ValueForm::List(1, &ValueForm::Text))),
        key("runs", "5", "how often each combination is run, each time with a seed of its own").of(ValueForm::Count(1, RUNS_MAX)),
    ],
    later: &[],
};

/// Most identities of one node.
const SYBIL_MAX: u64 = 64;

/// What `behaviour` means; names every one.
const BEHAVIOUR_DOC: &str = "what its nodes do to others: a list, or words joined by '+', of drop, boast, steal-views, \
    invent-members, accuse, wrong-bytes, mute, poison, flood, fill, eclipse, delay, reflect and claim-all; none if absent";

static GROUP: MapSpec = MapSpec {
    what: "a node group",
    keys: &[
        key("on", "alpha", "the network, or networks of one name, that its nodes are on").of(ValueForm::Text).needed(),
        key("count", "5", "how many nodes; one node with the group's own name if absent")
            .of(ValueForm::Count(1, NODES_MAX)),
        key("ambassador", "true", "whether its nodes serve as ambassadors; false if absent").of(ValueForm::Flag),
        key("behaviour", "[drop, boast]", BEHAVIOUR_DOC).of(ValueForm::Either(&BEHAVIOUR_FORMS)),
        key("sybil", "10", "identities under which each of its nodes takes part, if it has a behaviour; 1 if absent")
            .of(ValueForm::Count(1, SYBIL_MAX)),
        key(
            "store",
            "disk",
            "where its nodes keep blocks: memory, or disk, where they outlive the process; memory if absent",
        )
        .of(ValueForm::Words(|| words_of(&STORES))),
        key(
            "limits",
            "{cpu: 50%, memory: 64MiB}",
            "what each of its nodes may use of the machine; all of it if absent",
        )
        .of(ValueForm::Map(&limits::LIMITS)),
        key("config", "{storage: 64MiB}", "settings of its nodes").of(ValueForm::Settings),
    ],
    later: &[],
};

/// Where nodes keep blocks, as users write it.
const STORES: [(&str, StoragePlace); 2] = [("memory", StoragePlace::Memory), ("disk", StoragePlace::Disk)];

impl RawTopology {
    /// Reads the tree.
    pub(crate) fn read(root: &YamlNode, problems: &mut DiagnosticSink) -> Self {
        let start = root.span.start..root.span.start;
        let fields = Fields::open(root, &start, &TOPOLOGY, problems);
        RawTopology {
            name: fields.text("name", problems).and_then(|name| checked_name(&name, "a topology", problems)),
            description: fields.text("description", problems).map(|text| one_line(&text.value)).unwrap_or_default(),
            seed: fields.count("seed", 0, u64::MAX, problems),
            fidelity: fields.word("fidelity", &FidelityChoice::NAMES, problems),
            networks: named(&fields, "networks", problems, network::read),
            groups: named(&fields, "nodes", problems, read_group),
            graph: graph::read(&fields, problems),
            config: fields.get("config").map(|node| read_config(node, problems)).unwrap_or_default(),
            steps: read_steps(&fields, problems),
            checks: read_checks(fields.get("checks"), problems),
            sweep: read_sweep(&fields, problems),
        }
    }
}

impl RawTopology {
    /// Puts settings of the command line in place of those of the file's `config`. Returns all, by name.
    pub(crate) fn override_config(&mut self, set: Vec<(String, String)>) -> Vec<ResolvedInput> {
        let of_file = self.config.len();
        self.config.extend(set.into_iter().map(|(key, value)| Setting { key, value }));
        // Of several values for one name the last counts.
        let by_name: BTreeMap<&str, (usize, &Setting)> =
            self.config.iter().enumerate().map(|(at, setting)| (setting.key.as_str(), (at, setting))).collect();
        let resolved = |(at, setting): (usize, &Setting)| ResolvedInput {
            name: setting.key.clone(),
            value: setting.value.clone(),
            overridden: at >= of_file,
        };
        by_name.into_values().map(resolved).collect()
    }
}

/// What the file varies.
fn read_sweep(fields: &Fields<'_>, problems: &mut DiagnosticSink) -> Sweep {
    let mut sweep = Sweep { variables: Vec::new(), runs: fields.count("runs", 1, RUNS_MAX, problems) };
    let Some((key, node)) = fields.entry("sweep") else { return sweep };
    let example = "such as sweep: {die: [1/50, 1/20]}";
    let YamlValue::Map(entries) = &node.value else {
        problems.add(Diagnostic::at(&node.span, format!("`sweep` is a map, not {}", node.shape())).help(example));
        return sweep;
    };
    for (name, values) in entries {
        match &values.value {
            YamlValue::List(values) if !values.is_empty() => {
                let values = values.iter().filter_map(|value| scalar(value, example, problems));
                sweep.variables.push((name.name.clone(), values.map(str::to_owned).collect()));
            }
            _ => problems.add(
                Diagnostic::at(&values.span, format!("{} takes a list of values", quoted(&name.name))).help(example),
            ),
        }
    }
    if sweep.len() > RUNS_MAX {
        problems.add(Diagnostic::at(&key.span, format!("a sweep has at most {RUNS_MAX} runs, not {}", sweep.len())));
    }
    sweep
}

/// The entries of a map of named things that has to be there and hold at least one.
fn named<T>(
    fields: &Fields<'_>,
    name: &'static str,
    problems: &mut DiagnosticSink,
    read: impl Fn(&YamlKey, &YamlNode, &mut DiagnosticSink) -> T,
) -> Vec<T> {
    let Some(node) = fields.need(name, problems) else { return Vec::new() };
    match &node.value {
        YamlValue::Map(entries) if !entries.is_empty() => {
            let mut things = Vec::with_capacity(entries.len());
            for (key, node) in entries {
                check_name(&key.name, &key.span, "networks and node groups", problems);
                things.push(read(key, node, problems));
            }
            things
        }
        YamlValue::Map(_) | YamlValue::Empty => {
            problems.add(Diagnostic::at(&node.span, format!("`{name}` is empty: a topology has at least one")));
            Vec::new()
        }
        _ => {
            problems.add(
                Diagnostic::at(&node.span, format!("`{name}` is a map of names, not {}", node.shape()))
                    .help("write `name: {…}` for each"),
            );
            Vec::new()
        }
    }
}

fn read_group(key: &YamlKey, node: &YamlNode, problems: &mut DiagnosticSink) -> RawGroup {
    let fields = Fields::open(node, &key.span, &GROUP, problems);
    fields.need("on", problems);
    RawGroup {
        name: Spanned { value: key.name.clone(), span: key.span.clone() },
        on: fields.text("on", problems),
        count: fields.count("count", 1, NODES_MAX, problems),
        ambassador: fields.flag("ambassador", problems).unwrap_or(false),
        behaviours: fields.get("behaviour").map(|node| read_behaviours(node, problems)).unwrap_or_default(),
        sybil: fields.count("sybil", 1, SYBIL_MAX, problems).unwrap_or(1),
        store: fields.word("store", &STORES, problems).unwrap_or_default(),
        limits: fields.entry("limits").and_then(|(key, node)| limits::read(node, &key.span, problems)),
        config: fields.get("config").map(|node| read_config(node, problems)).unwrap_or_default(),
    }
}

/// A list of behaviours, or one text that joins them by `+`, so that a sweep may vary it.
fn read_behaviours(node: &YamlNode, problems: &mut DiagnosticSink) -> Vec<Behaviour> {
    let example = "such as behaviour: [drop, boast]";
    let words: Vec<(&YamlNode, &str)> = match &node.value {
        YamlValue::List(items) => {
            items.iter().filter_map(|item| Some((item, scalar(item, example, problems)?))).collect()
        }
        _ => {
            let text = scalar(node, example, problems).unwrap_or("none");
            if text == "none" { Vec::new() } else { text.split('+').map(|word| (node, word.trim())).collect() }
        }
    };
    let mut behaviours = Vec::new();
    for (node, word) in words {
        match Behaviour::NAMES.iter().find(|(name, _)| *name == word) {
            Some(&(_, behaviour)) if !behaviours.contains(&behaviour) => behaviours.push(behaviour),
            Some(_) => {}
            None => {
                let problem = Diagnostic::at(&node.span, format!("{} is no behaviour", quoted(word)));
                let help = suggestion(word, Behaviour::NAMES.iter().map(|(name, _)| *name), "behaviours");
                problems.add(Diagnostic { help, ..from_variable(problem, node) });
            }
        }
    }
    behaviours
}

fn read_config(node: &YamlNode, problems: &mut DiagnosticSink) -> Vec<Setting> {
    let entries = match &node.value {
        YamlValue::Map(entries) => entries.as_slice(),
        YamlValue::Empty => &[],
        _ => {
            problems.add(
                Diagnostic::at(&node.span, format!("`config` is a map of settings, not {}", node.shape()))
                    .help("such as {replicas: 3, heartbeat: 2s}"),
            );
            &[]
        }
    };
    entries.iter().filter_map(|(key, node)| read_setting(key, node, problems)).collect()
}

fn read_setting(key: &YamlKey, node: &YamlNode, problems: &mut DiagnosticSink) -> Option<Setting> {
    let known = SETTINGS.iter().find(|known| known.name == key.name);
    let example = known.map_or(String::new(), |known| format!("{}: {} ({})", known.name, known.example, known.help));
    let problem = match known {
        None => Diagnostic::at(&key.span, format!("nodes have no setting {}", quoted(&key.name))),
        Some(_) => {
            let value = scalar(node, &format!("such as {example}"), problems)?;
            match NodeConfig::default().set(&key.name, value) {
                Ok(()) => return Some(Setting { key: key.name.clone(), value: value.to_owned() }),
                Err(ConfigError::BadValue { value, reason, .. }) => {
                    let what = format!("{} is no value for `{}`: {reason}", quoted(&value), key.name);
                    from_variable(Diagnostic::at(&node.span, what).help(format!("such as {example}")), node)
                }
                Err(error @ ConfigError::UnknownKey(_)) => Diagnostic::at(&key.span, error.to_string()),
            }
        }
    };
    let help = match key.name.as_str() {
        _ if problem.help.is_some() => problem.help.clone(),
        "ambassador" => Some("it belongs to the node group itself: {on: …, ambassador: true}".to_owned()),
        "join" => Some("nodes join through every ambassador that they can reach: nothing is to be set".to_owned()),
        name => suggestion(name, SETTINGS.iter().map(|key| key.name), "settings"),
    };
    problems.add(Diagnostic { help, ..problem });
    None
}

fn read_steps(fields: &Fields<'_>, problems: &mut DiagnosticSink) -> Vec<YamlNode> {
    let Some(node) = fields.need("steps", problems) else { return Vec::new() };
    let example = "- join: {within: 30s}";
    match &node.value {
        YamlValue::Empty => {
            problems.add(Diagnostic::at(&node.span, "`steps` is empty: nothing would be done").help(example))
        }
        YamlValue::List(steps) if steps.is_empty() => {
            problems.add(Diagnostic::at(&node.span, "`steps` is empty: nothing would be done").help(example));
        }
        _ => {}
    }
    items(Some(node), "steps", example, problems).to_vec()
}

fn read_checks(node: Option<&YamlNode>, problems: &mut DiagnosticSink) -> Vec<Spanned<String>> {
    items(node, "checks", "- persistence >= 99%", problems)
        .iter()
        .filter_map(|node| read_check(node, problems))
        .collect()
}

/// One check, still a text.
pub(crate) fn read_check(node: &YamlNode, problems: &mut DiagnosticSink) -> Option<Spanned<String>> {
    let text = scalar(node, "a check is a line such as persistence >= 99%", problems)?;
    Some(Spanned { value: text.to_owned(), span: node.span.clone() })
}

/// The items of a list; nothing is as good as an empty one.
pub(crate) fn items<'t>(
    node: Option<&'t YamlNode>,
    name: &str,
    example: &str,
    problems: &mut DiagnosticSink,
) -> &'t [YamlNode] {
    match node.map(|node| (&node.value, node)) {
        None | Some((YamlValue::Empty, _)) => &[],
        Some((YamlValue::List(items), _)) if items.len() <= ITEMS_OF_LIST_MAX => items,
        Some((YamlValue::List(items), _)) => {
            let first = &items[ITEMS_OF_LIST_MAX];
            problems.add(Diagnostic::at(&first.span, format!("`{name}` has more than {ITEMS_OF_LIST_MAX} items")));
            &items[..ITEMS_OF_LIST_MAX]
        }
        Some((_, node)) => {
            problems.add(
                Diagnostic::at(&node.span, format!("`{name}` is a list, not {}", node.shape()))
                    .help(format!("each on its line: {example}")),
            );
            &[]
        }
    }
}

fn checked_name(name: &Spanned<String>, what: &str, problems: &mut DiagnosticSink) -> Option<String> {
    check_name(&name.value, &name.span, what, problems).then(|| name.value.clone())
}

fn check_name(name: &str, span: &Span, what: &str, problems: &mut DiagnosticSink) -> bool {
    let valid = is_name(name);
    if !valid {
        problems.add(
            Diagnostic::at(span, format!("{} cannot be a name", quoted(name))).help(format!(
                "names of {what} have ASCII letters, digits, '-' and '_', begin with a letter, and are at most {NAME_BYTES_MAX} long"
            )),
        );
    }
    valid
}

/// Whether a text can name a network, a node group or a topology.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
