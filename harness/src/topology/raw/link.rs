//! A link as written: the name of a preset, or its parts. What is not named stays as it was before: perfect for a network, as
//! the network has it for a step that changes it.

use std::time::Duration;

use crate::net::link::{Distribution, LinkConfig, LinkMtu, REORDER_GAP, burst_min, presets};
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span, quoted, suggestion};
use crate::topology::fields::{Fields, KeySpec, MapSpec, Spanned, key, quantity, scalar, whole_number};
use crate::topology::form::{ValueForm, words_of};
use crate::topology::tree::{YamlNode, YamlValue};
use crate::topology::units::{Rate, Share, Size, Time};

/// Least queue of a link: one full packet must fit.
const QUEUE_BYTES_MIN: u64 = 1_514;
/// Least MTU of a link: IPv6 needs so much (RFC 8200 §5), and QUIC hardly less (RFC 9000 §14).
const MTU_MIN: u64 = 1_280;
/// Greatest: more does no network of a run take.
const MTU_MAX: u64 = 1_500;
/// Longest mean burst of losses, in packets.
const BURST_MAX: f64 = 1e6;

/// Both directions of a link.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkChange {
    pub(crate) up: LinkDirection,
    pub(crate) down: LinkDirection,
}

/// What a file says of one direction.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkDirection {
    preset: Option<LinkConfig>,
    latency: Option<Duration>,
    jitter: Option<(Duration, Distribution)>,
    loss: Option<(f64, Option<f64>)>,
    duplicate: Option<f64>,
    reorder: Option<(f64, Duration)>,
    corrupt: Option<f64>,
    rate_bps: Option<u64>,
    queue_bytes: Option<u64>,
    mtu: Option<LinkMtu>,
}

/// Keys of one direction, and of both.
const PARTS: [KeySpec; 9] = [
    key("latency", "40ms", "one-way delay").of(ValueForm::quantity::<Time>()),
    key("jitter", "5ms", "standard deviation of the delay, or {deviation: …, distribution: …}")
        .of(ValueForm::Either(&JITTER_FORMS)),
    key("loss", "0.5%", "share of packets lost, or {mean: …, burst: …}").of(ValueForm::Either(&LOSS_FORMS)),
    key("rate", "50mbit", "bits per second").of(ValueForm::quantity::<Rate>()),
    key("queue", "256KiB", "bytes that wait at that rate before packets are dropped").of(ValueForm::quantity::<Size>()),
    key("duplicate", "0.1%", "share of packets that arrive twice").of(ValueForm::quantity::<Share>()),
    key("reorder", "1%", "share of packets that arrive late, or {share: …, gap: …}")
        .of(ValueForm::Either(&REORDER_FORMS)),
    key("corrupt", "0.01%", "share of packets with a flipped bit").of(ValueForm::quantity::<Share>()),
    key("mtu", "1400", "bytes of the longest packet with its IP header, or {bytes: …, black-hole: …}")
        .of(ValueForm::Either(&MTU_FORMS)),
];

const BOTH: [KeySpec; 3] = [
    key("preset", "cable", "a link to start from").of(ValueForm::Words(|| presets::NAMES.to_vec())),
    key("up", "{rate: 10mbit}", "from the network outwards, in place of what is said of both")
        .of(ValueForm::Map(&DIRECTION)),
    key("down", "{rate: 100mbit}", "into the network, in place of what is said of both").of(ValueForm::Map(&DIRECTION)),
];

const fn with_parts<const N: usize>(more: &[KeySpec]) -> [KeySpec; N] {
    let mut keys = [key("", "", ""); N];
    let mut at = 0;
    while at < N {
        keys[at] = if at < PARTS.len() { PARTS[at] } else { more[at - PARTS.len()] };
        at += 1;
    }
    keys
}

/// The keys of a link and one more, for a step that changes links.
pub(crate) const fn keys_with<const N: usize>(more: KeySpec) -> [KeySpec; N] {
    with_parts(&[BOTH[0], BOTH[1], BOTH[2], more])
}

/// A link's value: a preset or its parts.
pub(crate) static LINK_FORMS: [ValueForm; 2] = [ValueForm::Words(|| presets::NAMES.to_vec()), ValueForm::Map(&LINK)];
static JITTER_FORMS: [ValueForm; 2] = [ValueForm::quantity::<Time>(), ValueForm::Map(&JITTER)];
static LOSS_FORMS: [ValueForm; 2] = [ValueForm::quantity::<Share>(), ValueForm::Map(&LOSS)];
static REORDER_FORMS: [ValueForm; 2] = [ValueForm::quantity::<Share>(), ValueForm::Map(&REORDER)];

static MTU_FORMS: [ValueForm; 2] = [ValueForm::Count(MTU_MIN, MTU_MAX), ValueForm::Map(&MTU)];

static LINK: MapSpec = MapSpec { what: "a link", keys: &with_parts::<12>(&BOTH), later: &[] };
static DIRECTION: MapSpec = MapSpec { what: "one direction of a link", keys: &PARTS, later: &[] };
static JITTER: MapSpec = MapSpec {
    what: "a jitter",
    keys: &[
        key("deviation", "5ms", "standard deviation of the delay").of(ValueForm::quantity::<Time>()).needed(),
        key("distribution", "pareto", "normal, uniform or pareto; normal if absent")
            .of(ValueForm::Words(|| words_of(&DISTRIBUTIONS))),
    ],
    later: &[],
};
static LOSS: MapSpec = MapSpec {
    what: "a loss",
    keys: &[
        key("mean", "2%", "share of packets lost").of(ValueForm::quantity::<Share>()).needed(),
        key("burst", "8", "mean number of packets lost in a row").of(ValueForm::Text),
    ],
    later: &[],
};
static MTU: MapSpec = MapSpec {
    what: "an MTU",
    keys: &[
        key("bytes", "1400", "bytes of the longest packet with its IP header")
            .of(ValueForm::Count(MTU_MIN, MTU_MAX))
            .needed(),
        key("black-hole", "true", "whether longer packets vanish without an ICMP error; false if absent")
            .of(ValueForm::Flag),
    ],
    later: &[],
};
static REORDER: MapSpec = MapSpec {
    what: "reordering",
    keys: &[
        key("share", "1%", "share of packets that arrive late").of(ValueForm::quantity::<Share>()).needed(),
        key("gap", "10ms", "how late they are").of(ValueForm::quantity::<Time>()),
    ],
    later: &[],
};

const DISTRIBUTIONS: [(&str, Distribution); 3] =
    [("normal", Distribution::Normal), ("uniform", Distribution::Uniform), ("pareto", Distribution::Pareto)];

/// Reads the value of `link:`, which belongs to the key at `owner`.
pub(crate) fn read(node: &YamlNode, owner: &Span, problems: &mut DiagnosticSink) -> LinkChange {
    if let YamlValue::Scalar(_) = node.value {
        return preset(node, problems).unwrap_or_default();
    }
    read_fields(&Fields::open(node, owner, &LINK, problems), problems)
}

/// Whether any key of a link is there.
pub(crate) fn names_a_part(fields: &Fields<'_>) -> bool {
    BOTH.iter().chain(&PARTS).any(|key| fields.get(key.name).is_some())
}

/// Reads the keys of a link, all of which are optional.
pub(crate) fn read_fields(fields: &Fields<'_>, problems: &mut DiagnosticSink) -> LinkChange {
    let LinkChange { up, down } = fields.get("preset").and_then(|node| preset(node, problems)).unwrap_or_default();
    let both = LinkDirection::read(fields, problems);
    let mut one_way = |name: &str, base: LinkDirection| {
        let base = base.then(&both);
        let Some((key, node)) = fields.entry(name) else { return base };
        base.then(&LinkDirection::read(&Fields::open(node, &key.span, &DIRECTION, problems), problems))
    };
    LinkChange { up: one_way("up", up), down: one_way("down", down) }
}

fn preset(node: &YamlNode, problems: &mut DiagnosticSink) -> Option<LinkChange> {
    let text = scalar(node, &format!("it can be: {}", presets::NAMES.join(", ")), problems)?;
    let Some((up, down)) = presets::named(text) else {
        let mut problem = Diagnostic::at(&node.span, format!("there is no link {}", quoted(text)));
        problem.help = suggestion(text, presets::NAMES, "it can be");
        problems.add(problem);
        return None;
    };
    Some(LinkChange::of_preset((up, down)))
}

impl LinkChange {
    /// A whole link in place of any other.
    pub(crate) fn of_preset((up, down): (LinkConfig, LinkConfig)) -> Self {
        let of = |preset| LinkDirection { preset: Some(preset), ..LinkDirection::default() };
        LinkChange { up: of(up), down: of(down) }
    }

    /// The link, up and down, of a network that had `before`.
    pub(crate) fn over(&self, (up, down): (&LinkConfig, &LinkConfig)) -> (LinkConfig, LinkConfig) {
        (self.up.over(up), self.down.over(down))
    }
}

impl LinkDirection {
    fn read(fields: &Fields<'_>, problems: &mut DiagnosticSink) -> Self {
        let share = |name: &str, problems: &mut DiagnosticSink| fields.quantity(name, problems).map(share_of);
        LinkDirection {
            preset: None,
            latency: fields.quantity("latency", problems).map(time_of),
            jitter: fields.entry("jitter").and_then(|(key, node)| jitter(node, &key.span, problems)),
            loss: fields.entry("loss").and_then(|(key, node)| loss(node, &key.span, problems)),
            duplicate: share("duplicate", problems),
            reorder: fields.entry("reorder").and_then(|(key, node)| reorder(node, &key.span, problems)),
            corrupt: share("corrupt", problems),
            rate_bps: fields.quantity::<Rate>("rate", problems).map(|rate| rate.value.0),
            queue_bytes: queue(fields, problems),
            mtu: fields.entry("mtu").and_then(|(key, node)| mtu(node, &key.span, problems)),
        }
    }

    /// What this says, unless `other` says otherwise.
    fn then(self, other: &LinkDirection) -> Self {
        LinkDirection {
            preset: other.preset.clone().or(self.preset),
            latency: other.latency.or(self.latency),
            jitter: other.jitter.or(self.jitter),
            loss: other.loss.or(self.loss),
            duplicate: other.duplicate.or(self.duplicate),
            reorder: other.reorder.or(self.reorder),
            corrupt: other.corrupt.or(self.corrupt),
            rate_bps: other.rate_bps.or(self.rate_bps),
            queue_bytes: other.queue_bytes.or(self.queue_bytes),
            mtu: other.mtu.or(self.mtu),
        }
    }

    fn over(&self, before: &LinkConfig) -> LinkConfig {
        let before = self.preset.as_ref().unwrap_or(before);
        let (jitter, distribution) = self.jitter.unwrap_or((before.jitter, before.distribution));
        let (loss, loss_burst) = self.loss.unwrap_or((before.loss, before.loss_burst));
        let (reorder, reorder_gap) = self.reorder.unwrap_or((before.reorder, before.reorder_gap));
        LinkConfig {
            latency: self.latency.unwrap_or(before.latency),
            jitter,
            distribution,
            loss,
            loss_burst,
            duplicate: self.duplicate.unwrap_or(before.duplicate),
            reorder,
            reorder_gap,
            corrupt: self.corrupt.unwrap_or(before.corrupt),
            rate_bps: self.rate_bps.or(before.rate_bps),
            queue_bytes: self.queue_bytes.unwrap_or(before.queue_bytes),
            mtu: self.mtu.or(before.mtu),
        }
    }
}

/// `5ms`, or `{deviation: 5ms, distribution: pareto}`.
fn jitter(node: &YamlNode, owner: &Span, problems: &mut DiagnosticSink) -> Option<(Duration, Distribution)> {
    let YamlValue::Map(_) = node.value else {
        return Some((time_of(quantity(node, problems)?), Distribution::default()));
    };
    let fields = Fields::open(node, owner, &JITTER, problems);
    let deviation = fields.needed_quantity("deviation", problems).map(time_of);
    let distribution = fields.word("distribution", &DISTRIBUTIONS, problems).unwrap_or_default();
    Some((deviation?, distribution))
}

/// `0.5%`, or `{mean: 2%, burst: 8}`.
fn loss(node: &YamlNode, owner: &Span, problems: &mut DiagnosticSink) -> Option<(f64, Option<f64>)> {
    let YamlValue::Map(_) = node.value else {
        return Some((share_of(quantity(node, problems)?), None));
    };
    let fields = Fields::open(node, owner, &LOSS, problems);
    let mean = fields.needed_quantity("mean", problems).map(share_of);
    let burst = fields.get("burst").and_then(|node| burst(node, mean, problems));
    Some((mean?, burst))
}

/// A mean number of packets, not less than losses of that share come to.
fn burst(node: &YamlNode, mean: Option<f64>, problems: &mut DiagnosticSink) -> Option<f64> {
    let text = scalar(node, "such as burst: 8, a mean number of packets", problems)?;
    let Some(burst) = text.parse::<f64>().ok().filter(|burst| (1.0..=BURST_MAX).contains(burst)) else {
        let what = format!("{} is not a number of packets from 1 to {BURST_MAX}", quoted(text));
        problems.add(Diagnostic::at(&node.span, what).help("such as burst: 8, the mean number lost in a row"));
        return None;
    };
    match mean {
        Some(mean) if mean >= 1.0 => {
            problems.add(
                Diagnostic::at(&node.span, "where everything is lost there are no bursts")
                    .help("write loss: 100% alone"),
            );
            None
        }
        Some(mean) if burst < burst_min(mean) => {
            let share = Share(mean);
            problems.add(
                Diagnostic::at(&node.span, format!("{share} cannot be lost in bursts of {burst} packets"))
                    .label("even if only one packet came through between two bursts")
                    .help(format!("at least burst: {}", (burst_min(mean) * 10.0).ceil() / 10.0)),
            );
            None
        }
        _ => Some(burst),
    }
}

/// `1%`, or `{share: 1%, gap: 10ms}`.
fn reorder(node: &YamlNode, owner: &Span, problems: &mut DiagnosticSink) -> Option<(f64, Duration)> {
    let YamlValue::Map(_) = node.value else {
        return Some((share_of(quantity(node, problems)?), REORDER_GAP));
    };
    let fields = Fields::open(node, owner, &REORDER, problems);
    let share = fields.needed_quantity("share", problems).map(share_of);
    let gap = fields.quantity("gap", problems).map_or(REORDER_GAP, time_of);
    Some((share?, gap))
}

/// `1400`, or `{bytes: 1400, black-hole: true}`.
fn mtu(node: &YamlNode, owner: &Span, problems: &mut DiagnosticSink) -> Option<LinkMtu> {
    let fields;
    let (bytes, is_black_hole) = match &node.value {
        YamlValue::Map(_) => {
            fields = Fields::open(node, owner, &MTU, problems);
            fields.need("bytes", problems);
            (fields.get("bytes")?, fields.flag("black-hole", problems).unwrap_or(false))
        }
        _ => (node, false),
    };
    let bytes = whole_number(bytes, "mtu", MTU_MIN, MTU_MAX, "1400", problems)?;
    Some(LinkMtu { bytes: u16::try_from(bytes).unwrap_or(u16::MAX), is_black_hole })
}

fn queue(fields: &Fields<'_>, problems: &mut DiagnosticSink) -> Option<u64> {
    let Spanned { value: Size(bytes), span } = fields.quantity("queue", problems)?;
    if bytes < QUEUE_BYTES_MIN {
        problems.add(
            Diagnostic::at(&span, format!("a queue of {bytes} bytes holds no packet"))
                .help(format!("at least {QUEUE_BYTES_MIN}B, one full packet")),
        );
    }
    Some(bytes)
}

fn share_of(share: Spanned<Share>) -> f64 {
    share.value.0
}

fn time_of(time: Spanned<Time>) -> Duration {
    time.value.0
}

/// A link in words, both ways.
pub(crate) fn describe_link(up: &LinkConfig, down: &LinkConfig) -> String {
    match (one_way(up), one_way(down)) {
        (up, down) if up == down => up,
        (up, down) => format!("up {up}, down {down}"),
    }
}

fn one_way(link: &LinkConfig) -> String {
    let mut parts = Vec::new();
    if !link.latency.is_zero() || !link.jitter.is_zero() {
        let distribution = match link.distribution {
            Distribution::Normal => "",
            Distribution::Uniform => " (uniform)",
            Distribution::Pareto => " (Pareto)",
        };
        let jitter =
            if link.jitter.is_zero() { String::new() } else { format!(" ± {}{distribution}", Time(link.jitter)) };
        parts.push(format!("{}{jitter}", Time(link.latency)));
    }
    let bursts = link.loss_burst.map_or_else(String::new, |burst| format!(" in bursts of {burst}"));
    for (share, what) in [
        (link.loss, format!("lost{bursts}")),
        (link.duplicate, "doubled".to_owned()),
        (link.reorder, format!("late by {}", Time(link.reorder_gap))),
        (link.corrupt, "corrupted".to_owned()),
    ] {
        if share > 0.0 {
            parts.push(format!("{} {what}", Share(share)));
        }
    }
    if let Some(bps) = link.rate_bps {
        parts.push(Rate(bps).to_string());
    }
    if let Some(mtu) = link.mtu {
        let hole = if mtu.is_black_hole { ", a black hole for longer packets" } else { "" };
        parts.push(format!("MTU {}{hole}", mtu.bytes));
    }
    if parts.is_empty() { "a perfect link".to_owned() } else { parts.join(" ") }
}
