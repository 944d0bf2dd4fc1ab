//! A topology as written: every key understood, every value of its type, and no name looked up yet.

use butter::core::config::{Config, ConfigError, KEYS};

use super::diagnostics::{Problem, Problems, Span, quoted, suggestion};
use super::fields::{Fields, Kind, Spanned, from_variable, scalar};
use super::tree::{Key, Node, Value};

pub(super) mod link;
pub(super) mod nat;
pub(super) mod network;
pub(super) mod step;

use network::RawNetwork;
use step::RawStep;

/// Longest name of a network, node group or topology: they become names of containers and directories.
pub(super) const NAME_BYTES_MAX: usize = 40;
/// Most nodes of a topology.
pub(super) const NODES_MAX: u64 = 1_000_000;
/// Most steps, and most checks in one place.
pub(super) const ITEMS_OF_LIST_MAX: usize = 1_000;

/// The whole file.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) name: Option<String>,
    pub(super) description: String,
    pub(super) seed: Option<u64>,
    pub(super) networks: Vec<RawNetwork>,
    pub(super) groups: Vec<RawGroup>,
    pub(super) config: Vec<Setting>,
    pub(super) steps: Vec<RawStep>,
    pub(super) checks: Vec<Spanned<String>>,
}

/// Some nodes of one sort on one network.
#[derive(Debug)]
pub(super) struct RawGroup {
    pub(super) name: Spanned<String>,
    pub(super) on: Option<Spanned<String>>,
    /// `None`: one node that bears the group's own name.
    pub(super) count: Option<u64>,
    pub(super) ambassador: bool,
    pub(super) config: Vec<Setting>,
}

/// A setting of nodes, accepted by [`Config::set`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) value: String,
}

static TOPOLOGY: Kind = Kind {
    what: "a topology",
    keys: &[
        ("name", "three-lans"),
        ("description", "what it shows, in one line"),
        ("seed", "7"),
        ("vars", "{die: 1/100}"),
        ("networks", "{lan: {}}"),
        ("nodes", "{a: {on: lan, count: 5}}"),
        ("config", "{replicas: 3}"),
        ("steps", "[{join: {within: 30s}}]"),
        ("checks", "[persistence >= 99%]"),
    ],
    later: &["sweep", "runs"],
};

static GROUP: Kind = Kind {
    what: "a node group",
    keys: &[("on", "alpha"), ("count", "5"), ("ambassador", "true"), ("config", "{storage: 64MiB}")],
    later: &[],
};

impl Raw {
    /// Reads the tree.
    pub(super) fn read(root: &Node, problems: &mut Problems) -> Self {
        let start = root.span.start..root.span.start;
        let fields = Fields::open(root, &start, &TOPOLOGY, problems);
        Raw {
            name: fields.text("name", problems).and_then(|name| checked_name(&name, "a topology", problems)),
            description: fields.text("description", problems).map(|text| one_line(&text.value)).unwrap_or_default(),
            seed: fields.count("seed", 0, u64::MAX, problems),
            networks: named(&fields, "networks", problems, network::read),
            groups: named(&fields, "nodes", problems, read_group),
            config: fields.get("config").map(|node| read_config(node, problems)).unwrap_or_default(),
            steps: read_steps(&fields, problems),
            checks: read_checks(fields.get("checks"), problems),
        }
    }
}

impl Raw {
    /// Puts settings of the command line in place of those of the file's `config`.
    pub(super) fn override_config(&mut self, set: Vec<(String, String)>) {
        self.config.extend(set.into_iter().map(|(key, value)| Setting { key, value }));
    }
}

/// The entries of a map of named things that has to be there and hold at least one.
fn named<T>(
    fields: &Fields<'_>,
    name: &'static str,
    problems: &mut Problems,
    read: impl Fn(&Key, &Node, &mut Problems) -> T,
) -> Vec<T> {
    let Some(node) = fields.need(name, problems) else { return Vec::new() };
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            let mut things = Vec::with_capacity(entries.len());
            for (key, node) in entries {
                check_name(&key.name, &key.span, "networks and node groups", problems);
                things.push(read(key, node, problems));
            }
            things
        }
        Value::Map(_) | Value::Empty => {
            problems.add(Problem::at(&node.span, format!("`{name}` is empty: a topology has at least one")));
            Vec::new()
        }
        _ => {
            problems.add(
                Problem::at(&node.span, format!("`{name}` is a map of names, not {}", node.shape()))
                    .help("write `name: {…}` for each"),
            );
            Vec::new()
        }
    }
}

fn read_group(key: &Key, node: &Node, problems: &mut Problems) -> RawGroup {
    let fields = Fields::open(node, &key.span, &GROUP, problems);
    fields.need("on", problems);
    RawGroup {
        name: Spanned { value: key.name.clone(), span: key.span.clone() },
        on: fields.text("on", problems),
        count: fields.count("count", 1, NODES_MAX, problems),
        ambassador: fields.flag("ambassador", problems).unwrap_or(false),
        config: fields.get("config").map(|node| read_config(node, problems)).unwrap_or_default(),
    }
}

fn read_config(node: &Node, problems: &mut Problems) -> Vec<Setting> {
    let entries = match &node.value {
        Value::Map(entries) => entries.as_slice(),
        Value::Empty => &[],
        _ => {
            problems.add(
                Problem::at(&node.span, format!("`config` is a map of settings, not {}", node.shape()))
                    .help("such as {replicas: 3, heartbeat: 2s}"),
            );
            &[]
        }
    };
    entries.iter().filter_map(|(key, node)| read_setting(key, node, problems)).collect()
}

fn read_setting(key: &Key, node: &Node, problems: &mut Problems) -> Option<Setting> {
    let known = KEYS.iter().find(|known| known.name == key.name);
    let example = known.map_or(String::new(), |known| format!("{}: {} ({})", known.name, known.example, known.help));
    let problem = match known {
        None => Problem::at(&key.span, format!("nodes have no setting {}", quoted(&key.name))),
        Some(_) => {
            let value = scalar(node, &format!("such as {example}"), problems)?;
            match Config::default().set(&key.name, value) {
                Ok(()) => return Some(Setting { key: key.name.clone(), value: value.to_owned() }),
                Err(ConfigError::BadValue { value, reason, .. }) => {
                    let what = format!("{} is no value for `{}`: {reason}", quoted(&value), key.name);
                    from_variable(Problem::at(&node.span, what).help(format!("such as {example}")), node)
                }
                Err(error @ ConfigError::UnknownKey(_)) => Problem::at(&key.span, error.to_string()),
            }
        }
    };
    let help = match key.name.as_str() {
        _ if problem.help.is_some() => problem.help.clone(),
        "ambassador" => Some("it belongs to the node group itself: {on: …, ambassador: true}".to_owned()),
        "join" => Some("nodes join through every ambassador that they can reach: nothing is to be set".to_owned()),
        name => suggestion(name, KEYS.iter().map(|key| key.name), "settings"),
    };
    problems.add(Problem { help, ..problem });
    None
}

fn read_steps(fields: &Fields<'_>, problems: &mut Problems) -> Vec<RawStep> {
    let Some(node) = fields.need("steps", problems) else { return Vec::new() };
    let example = "- join: {within: 30s}";
    match &node.value {
        Value::Empty => problems.add(Problem::at(&node.span, "`steps` is empty: nothing would be done").help(example)),
        Value::List(steps) if steps.is_empty() => {
            problems.add(Problem::at(&node.span, "`steps` is empty: nothing would be done").help(example));
        }
        _ => {}
    }
    items(Some(node), "steps", example, problems).iter().filter_map(|node| step::read(node, problems)).collect()
}

fn read_checks(node: Option<&Node>, problems: &mut Problems) -> Vec<Spanned<String>> {
    items(node, "checks", "- persistence >= 99%", problems)
        .iter()
        .filter_map(|node| read_check(node, problems))
        .collect()
}

/// One check, still a text.
pub(super) fn read_check(node: &Node, problems: &mut Problems) -> Option<Spanned<String>> {
    let text = scalar(node, "a check is a line such as persistence >= 99%", problems)?;
    Some(Spanned { value: text.to_owned(), span: node.span.clone() })
}

/// The items of a list; nothing is as good as an empty one.
fn items<'t>(node: Option<&'t Node>, name: &str, example: &str, problems: &mut Problems) -> &'t [Node] {
    match node.map(|node| (&node.value, node)) {
        None | Some((Value::Empty, _)) => &[],
        Some((Value::List(items), _)) if items.len() <= ITEMS_OF_LIST_MAX => items,
        Some((Value::List(items), _)) => {
            let first = &items[ITEMS_OF_LIST_MAX];
            problems.add(Problem::at(&first.span, format!("`{name}` has more than {ITEMS_OF_LIST_MAX} items")));
            &items[..ITEMS_OF_LIST_MAX]
        }
        Some((_, node)) => {
            problems.add(
                Problem::at(&node.span, format!("`{name}` is a list, not {}", node.shape()))
                    .help(format!("each on its line: {example}")),
            );
            &[]
        }
    }
}

fn checked_name(name: &Spanned<String>, what: &str, problems: &mut Problems) -> Option<String> {
    check_name(&name.value, &name.span, what, problems).then(|| name.value.clone())
}

fn check_name(name: &str, span: &Span, what: &str, problems: &mut Problems) -> bool {
    let valid = is_name(name);
    if !valid {
        problems.add(
            Problem::at(span, format!("{} cannot be a name", quoted(name))).help(format!(
                "names of {what} have ASCII letters, digits, '-' and '_', begin with a letter, and are at most {NAME_BYTES_MAX} long"
            )),
        );
    }
    valid
}

/// Whether a text can name a network, a node group or a topology.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
