//! A step as written: its verb and what the verb takes.

use std::collections::BTreeMap;

use butter::core::connectivity::connect_requests::CONNECT_WITHIN;

use super::link::{self, RawLink};
use super::{items, read_check};
use crate::timeline::Replace;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span, quoted, suggestion};
use crate::topology::fields::{Fields, MapSpec, Spanned, not_yet, scalar, whole_number};
use crate::topology::tree::{YamlNode, YamlValue};
use crate::topology::units::{ChancePerSecond, Share, Size, Sizes, Time};

/// Most items that one step stores.
pub(crate) const ITEMS_MAX: u64 = 1_000_000;
/// Largest item, in bytes.
pub(crate) const ITEM_BYTES_MAX: u64 = butter::overlay::data::VALUE_MAX as u64;

/// One step.
#[derive(Debug)]
pub(crate) struct RawStep {
    /// NetworkEntry of its verb.
    pub(crate) span: Span,
    pub(crate) verb: RawVerb,
}

/// What it does. Fields are `None` where the file has a fault, which is reported.
#[derive(Debug)]
pub(crate) enum RawVerb {
    Join { within: Option<Time> },
    Store { items: Option<u64>, size: Sizes, from: Vec<Spanned<String>> },
    Churn(RawChurn),
    Settle { time: Option<Time> },
    Retrieve { items: Items, from: Vec<Spanned<String>> },
    Rebind { networks: Vec<Spanned<String>>, same_address: bool },
    Cross { within: Time, pairs: Option<u64>, among: Vec<Spanned<String>> },
    Link { networks: Vec<Spanned<String>>, link: Box<RawLink> },
    Check { checks: Vec<Spanned<String>> },
}

/// A churn step.
#[derive(Debug)]
pub(crate) struct RawChurn {
    pub(crate) time: Option<Time>,
    pub(crate) die: Option<ChancePerSecond>,
    pub(crate) graceful: Share,
    pub(crate) replace: Replace,
    /// Empty: everybody.
    pub(crate) only: Vec<Spanned<String>>,
    pub(crate) spare: Vec<Spanned<String>>,
}

/// Which items are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Items {
    /// All that were stored before.
    All,
    /// So many of them, at random.
    Some(u64),
}

const VERBS: [&str; 9] = ["join", "store", "churn", "settle", "retrieve", "rebind", "link", "cross", "check"];

const VERBS_LATER: [&str; 16] = [
    "partition",
    "heal",
    "outage",
    "kill",
    "start",
    "stop",
    "pause",
    "resume",
    "disk-full",
    "corrupt-store",
    "skew",
    "load",
    "wait",
    "exec",
    "parallel",
    "repeat",
];

static JOIN: MapSpec = MapSpec { what: "a join step", keys: &[("within", "30s")], later: &[] };
static STORE: MapSpec = MapSpec {
    what: "a store step",
    keys: &[("items", "60"), ("size", "1KiB..32KiB"), ("from", "all")],
    later: &["keywords"],
};
static CHURN: MapSpec = MapSpec {
    what: "a churn step",
    keys: &[
        ("for", "60s"),
        ("die", "1/100/s"),
        ("graceful", "20%"),
        ("replace", "fresh"),
        ("only", "[alpha]"),
        ("spare", "[ambassador]"),
    ],
    later: &["session", "downtime", "trace", "outage"],
};
static SETTLE: MapSpec = MapSpec { what: "a settle step", keys: &[("for", "10s")], later: &[] };
static RETRIEVE: MapSpec =
    MapSpec { what: "a retrieve step", keys: &[("items", "all"), ("from", "[alpha, fresh]")], later: &[] };

static REBIND: MapSpec =
    MapSpec { what: "a rebind step", keys: &[("networks", "[alpha]"), ("address", "new")], later: &[] };

const ADDRESSES: [(&str, bool); 2] = [("new", false), ("same", true)];
static CROSS: MapSpec =
    MapSpec { what: "a cross step", keys: &[("pairs", "20"), ("within", "30s"), ("among", "[a, b]")], later: &[] };

const REPLACES: [(&str, Replace); 3] = [("fresh", Replace::Fresh), ("same", Replace::Same), ("none", Replace::None)];

/// Size of items where the file names none: one of Butter's blocks.
const ITEM_BYTES: u64 = 4_096;

pub(crate) fn read(node: &YamlNode, problems: &mut DiagnosticSink) -> Option<RawStep> {
    let nothing = YamlNode { value: YamlValue::Empty, span: node.span.clone(), expanded: None };
    let (name, span, value) = match &node.value {
        YamlValue::Scalar(name) => (name.trim(), &node.span, &nothing),
        YamlValue::Map(entries) => match entries.as_slice() {
            [(key, value)] => (key.name.as_str(), &key.span, value),
            several => {
                problems.add(several_verbs(several, node));
                return None;
            }
        },
        _ => {
            problems.add(
                Diagnostic::at(&node.span, format!("a step is a verb, not {}", node.shape()))
                    .help("such as - join: {within: 30s}"),
            );
            return None;
        }
    };
    let verb = read_verb(name, span, value, problems)?;
    Some(RawStep { span: span.clone(), verb })
}

fn several_verbs(entries: &[(crate::topology::tree::YamlKey, YamlNode)], node: &YamlNode) -> Diagnostic {
    let is_verb = |name: &str| VERBS.contains(&name) || VERBS_LATER.contains(&name);
    match entries {
        [(verb, YamlNode { value: YamlValue::Empty, .. }), (setting, _), ..] if !is_verb(&setting.name) => {
            Diagnostic::at(&setting.span, format!("`{}` is beside its verb, not under it", setting.name))
                .label("indent this further")
                .related(&verb.span, "the verb")
                .help(format!("or write it in one line: {}: {{{}: …}}", verb.name, setting.name))
        }
        [_, (second, _), ..] => Diagnostic::at(&second.span, "a step has one verb, and this is a second")
            .help("begin another step with '-'"),
        _ => Diagnostic::at(&node.span, "a step has one verb, and this has none").help("such as - join: {within: 30s}"),
    }
}

fn read_verb(name: &str, span: &Span, node: &YamlNode, problems: &mut DiagnosticSink) -> Option<RawVerb> {
    let open = |kind, problems: &mut DiagnosticSink| Fields::open(node, span, kind, problems);
    Some(match name {
        "join" => RawVerb::Join { within: value(open(&JOIN, problems).needed_quantity("within", problems)) },
        "settle" => RawVerb::Settle { time: value(open(&SETTLE, problems).needed_quantity("for", problems)) },
        "store" => read_store(&open(&STORE, problems), problems),
        "churn" => RawVerb::Churn(read_churn(&open(&CHURN, problems), problems)),
        "retrieve" => read_retrieve(&open(&RETRIEVE, problems), problems),
        "rebind" => read_rebind(node, span, problems),
        "cross" => read_cross(&open(&CROSS, problems), problems),
        "link" => {
            let (fields, link) = link::read_change(node, span, problems);
            fields.need("networks", problems);
            RawVerb::Link { networks: names(&fields, "networks", problems), link: Box::new(link) }
        }
        "check" => RawVerb::Check { checks: read_check_step(node, problems) },
        _ => {
            problems.add(unknown_verb(name, span));
            return None;
        }
    })
}

fn unknown_verb(name: &str, span: &Span) -> Diagnostic {
    if VERBS_LATER.contains(&name) {
        return not_yet(span, &format!("the step `{name}`"));
    }
    let mut problem = Diagnostic::at(span, format!("there is no step {}", quoted(name)));
    problem.help = suggestion(name, VERBS, "steps");
    problem
}

fn read_store(fields: &Fields<'_>, problems: &mut DiagnosticSink) -> RawVerb {
    fields.need("items", problems);
    let size = fields.quantity::<Sizes>("size", problems);
    if let Some(Spanned { value: Sizes { least, most }, span }) = &size
        && (*least == 0 || *most > ITEM_BYTES_MAX)
    {
        problems.add(
            Diagnostic::at(span, format!("items have from 1 byte to {}", Size(ITEM_BYTES_MAX)))
                .help("such as 1KiB..32KiB"),
        );
    }
    RawVerb::Store {
        items: fields.count("items", 1, ITEMS_MAX, problems),
        size: size.map_or(Sizes { least: ITEM_BYTES, most: ITEM_BYTES }, |size| size.value),
        from: names(fields, "from", problems),
    }
}

fn read_churn(fields: &Fields<'_>, problems: &mut DiagnosticSink) -> RawChurn {
    RawChurn {
        time: value(fields.needed_quantity("for", problems)),
        die: value(fields.needed_quantity("die", problems)),
        graceful: fields.quantity("graceful", problems).map_or(Share(0.0), |share| share.value),
        replace: fields.word("replace", &REPLACES, problems).unwrap_or(Replace::Fresh),
        only: names(fields, "only", problems),
        spare: names(fields, "spare", problems),
    }
}

fn read_retrieve(fields: &Fields<'_>, problems: &mut DiagnosticSink) -> RawVerb {
    let items = all_or_some(fields.get("items"), "items", "60, or all", problems).map_or(Items::All, Items::Some);
    RawVerb::Retrieve { items, from: names(fields, "from", problems) }
}

/// Networks, or a map that says more.
fn read_rebind(node: &YamlNode, span: &Span, problems: &mut DiagnosticSink) -> RawVerb {
    if matches!(node.value, YamlValue::Scalar(_) | YamlValue::List(_)) {
        return RawVerb::Rebind { networks: names_in(node, "rebind", problems), same_address: false };
    }
    let fields = Fields::open(node, span, &REBIND, problems);
    fields.need("networks", problems);
    RawVerb::Rebind {
        networks: names(&fields, "networks", problems),
        same_address: fields.word("address", &ADDRESSES, problems).unwrap_or(false),
    }
}

fn read_cross(fields: &Fields<'_>, problems: &mut DiagnosticSink) -> RawVerb {
    let within = fields.quantity::<Time>("within", problems);
    if let Some(Spanned { value: Time(time), span }) = &within
        && (time.is_zero() || *time > CONNECT_WITHIN)
    {
        problems.add(
            Diagnostic::at(span, format!("a pair has more than nothing and at most {}", Time(CONNECT_WITHIN)))
                .help("by then a node tells how its link runs"),
        );
    }
    RawVerb::Cross {
        within: within.map_or(Time(CONNECT_WITHIN), |time| time.value),
        pairs: all_or_some(fields.get("pairs"), "pairs", "20, or all", problems),
        among: names(fields, "among", problems),
    }
}

/// A number, or `None` for all of them, which nothing means too.
fn all_or_some(node: Option<&YamlNode>, name: &str, example: &str, problems: &mut DiagnosticSink) -> Option<u64> {
    match node? {
        YamlNode { value: YamlValue::Scalar(text), .. } if text.trim() == "all" => None,
        node => whole_number(node, name, 1, ITEMS_MAX, example, problems),
    }
}

fn read_check_step(node: &YamlNode, problems: &mut DiagnosticSink) -> Vec<Spanned<String>> {
    if matches!(node.value, YamlValue::Scalar(_)) {
        return read_check(node, problems).into_iter().collect();
    }
    let list = items(Some(node), "check", "- persistence >= 99%", problems);
    if list.is_empty() && !matches!(node.value, YamlValue::Map(_)) {
        problems
            .add(Diagnostic::at(&node.span, "nothing is checked here").help("such as - check: [persistence >= 99%]"));
    }
    list.iter().filter_map(|node| read_check(node, problems)).collect()
}

/// A name or a list of names; none if the key is not there.
fn names(fields: &Fields<'_>, name: &str, problems: &mut DiagnosticSink) -> Vec<Spanned<String>> {
    fields.get(name).map(|node| names_in(node, name, problems)).unwrap_or_default()
}

/// A name or a list of names.
fn names_in(node: &YamlNode, name: &str, problems: &mut DiagnosticSink) -> Vec<Spanned<String>> {
    let list = match &node.value {
        YamlValue::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if list.is_empty() {
        problems
            .add(Diagnostic::at(&node.span, format!("`{name}` names nobody")).help("leave it out to mean everybody"));
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

fn value<T>(read: Option<Spanned<T>>) -> Option<T> {
    read.map(|read| read.value)
}
