//! A network as written: its addresses, its NAT, its link.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::field::{self, FieldPreset};
use super::firewall;
use super::link::{self, LinkChange};
use super::nat::{self, RawForward, RawNat};
use crate::net::firewall::Policy;
use crate::net::nat::NatConfig;
use crate::net::network_policy::NetworkPolicy;
use crate::plan::ipv6::PREFIX_LEN;
use crate::topology::check::NETWORKS_MAX;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, quoted};
use crate::topology::fields::{Fields, MapSpec, Spanned, from_variable, key, scalar};
use crate::topology::form::{ValueForm, words_of};
use crate::topology::tree::{YamlKey, YamlNode};

/// Largest subnets have this prefix length, smallest [`PREFIX_MAX`].
const PREFIX_MIN: u8 = 8;
/// See [`PREFIX_MIN`].
const PREFIX_MAX: u8 = 29;

/// An IPv4 address and a length: matches more than there is.
const SUBNET_PATTERN: &str = r"^\s*[0-9]+(\.[0-9]+){3}/[0-9]+\s*$";
/// The same for IPv6.
const SUBNET6_PATTERN: &str = r"^\s*[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*/[0-9]+\s*$";

/// A network.
#[derive(Clone, Debug)]
pub(crate) struct RawNetwork {
    pub(crate) name: Spanned<String>,
    pub(crate) subnet: Option<Spanned<Ipv4Net>>,
    pub(crate) ipv6: RawIpv6,
    pub(crate) behind: Option<Spanned<String>>,
    /// `None`: one network that bears the name itself.
    pub(crate) count: Option<u64>,
    pub(crate) nat: Option<NatConfig>,
    pub(crate) firewall: NetworkPolicy,
    pub(crate) forwards: Vec<RawForward>,
    pub(crate) link: LinkChange,
    pub(crate) region: Option<String>,
    /// Log filter of its router.
    pub(crate) log: Option<String>,
    /// Keys that mean something only for a network behind another.
    pub(crate) uplink_keys: Vec<Spanned<&'static str>>,
}

/// IPv6 of a network.
#[derive(Clone, Debug)]
pub(crate) struct RawIpv6 {
    /// Whether it has any, if the file says so.
    pub(crate) wanted: Option<bool>,
    pub(crate) subnet: Option<Spanned<Ipv6Net>>,
    /// What its router lets in, and where the file says so.
    pub(crate) firewall: Option<Spanned<Policy>>,
}

impl RawIpv6 {
    /// Whether the network has any.
    pub(crate) fn is_on(&self) -> bool {
        self.wanted.unwrap_or(self.subnet.is_some())
    }
}

impl RawNetwork {
    /// How many networks it makes.
    pub(crate) fn size(&self) -> usize {
        self.count.map_or(1, |count| count as usize)
    }
}

pub(crate) static NETWORK: MapSpec = MapSpec {
    what: "a network",
    keys: &[
        key("subnet", "10.1.0.0/24", "its addresses; a free subnet if absent").of(ValueForm::Matching(SUBNET_PATTERN)),
        key("behind", "internet", "the network on the other side of its router; none for the internet")
            .of(ValueForm::Text),
        key("nat", "port-restricted", "address translation of its router: a preset or a map; plain routing if absent")
            .of(ValueForm::Either(&nat::NAT_FORMS)),
        key("link", "{latency: 10ms}", "its uplink: a preset or a map; perfect if absent")
            .of(ValueForm::Either(&link::LINK_FORMS)),
        key("field", "hotel", "a network as it is met on the way: its NAT, link and IPv6, unless said otherwise here")
            .of(ValueForm::Words(|| words_of(&field::FIELDS))),
        key("firewall", "udp-blocked", "what its router lets through: see Firewalls; open if absent")
            .of(ValueForm::Either(&firewall::FIREWALL_FORMS)),
        key("region", "eu", "where it is said to be, shown in reports").of(ValueForm::Text),
        key("log", "debug", "log filter of its router; that of the harness if absent").of(ValueForm::Text),
        key("count", "7", "how many such networks").of(ValueForm::Count(1, NETWORKS_MAX as u64)),
        key("ipv6", "true", "whether it has IPv6 beside IPv4").of(ValueForm::Flag),
        key("subnet6", "2001:db8:7::/64", "its IPv6 addresses, a /64; a free subnet if absent")
            .of(ValueForm::Matching(SUBNET6_PATTERN)),
        key("firewall6", "stateful", "what its router lets in by IPv6: stateful or open")
            .of(ValueForm::Words(|| words_of(&POLICIES))),
    ],
    later: &["dns"],
};

/// Keys that mean something only for a network behind another.
pub(crate) const UPLINK_KEYS: [&str; 7] = ["nat", "link", "field", "count", "firewall", "firewall6", "log"];

const POLICIES: [(&str, Policy); 2] = [("stateful", Policy::Stateful), ("open", Policy::Open)];

pub(crate) fn read(key: &YamlKey, node: &YamlNode, problems: &mut DiagnosticSink) -> RawNetwork {
    let fields = Fields::open(node, &key.span, &NETWORK, problems);
    let uplink_keys = UPLINK_KEYS
        .into_iter()
        .filter_map(|name| fields.entry(name).map(|(key, _)| Spanned { value: name, span: key.span.clone() }))
        .collect();
    let field = fields.word("field", &field::FIELDS, problems);
    let nat = match fields.entry("nat") {
        Some((key, node)) => nat::read(node, &key.span, problems),
        None => RawNat { config: field.map(FieldPreset::nat), forwards: Vec::new() },
    };
    let link = match fields.entry("link") {
        Some((key, node)) => link::read(node, &key.span, problems),
        None => field.map(FieldPreset::link).unwrap_or_default(),
    };
    RawNetwork {
        name: Spanned { value: key.name.clone(), span: key.span.clone() },
        subnet: fields.get("subnet").and_then(|node| read_subnet(node, problems, "subnet: 10.1.0.0/24", subnet)),
        ipv6: RawIpv6 {
            wanted: fields.flag("ipv6", problems),
            subnet: fields
                .get("subnet6")
                .and_then(|node| read_subnet(node, problems, "subnet6: 2001:db8:7::/64", subnet6)),
            firewall: fields.entry("firewall6").and_then(|(_, node)| {
                let value = fields.word("firewall6", &POLICIES, problems)?;
                Some(Spanned { value, span: node.span.clone() })
            }),
        },
        behind: fields.text("behind", problems),
        count: fields.count("count", 1, NETWORKS_MAX as u64, problems),
        nat: nat.config,
        firewall: firewall::read(&fields, "firewall", problems).unwrap_or_default(),
        forwards: nat.forwards,
        link,
        region: fields.text("region", problems).map(|region| region.value),
        log: fields.text("log", problems).and_then(|text| log_filter(text, problems)),
        uplink_keys,
    }
}

fn log_filter(text: Spanned<String>, problems: &mut DiagnosticSink) -> Option<String> {
    match butter_cli::logging::filter(&text.value) {
        Ok(filter) => Some(filter),
        Err(reason) => {
            let what = format!("{} is no log filter", quoted(&text.value));
            problems.add(Diagnostic::at(&text.span, what).help(reason));
            None
        }
    }
}

fn read_subnet<T>(
    node: &YamlNode,
    problems: &mut DiagnosticSink,
    example: &str,
    parse: impl Fn(&str) -> Result<T, (String, String)>,
) -> Option<Spanned<T>> {
    let text = scalar(node, &format!("such as {example}"), problems)?;
    match parse(text) {
        Ok(value) => Some(Spanned { value, span: node.span.clone() }),
        Err((why, help)) => {
            let problem = Diagnostic::at(&node.span, format!("{} cannot be a subnet: {why}", quoted(text))).help(help);
            problems.add(from_variable(problem, node));
            None
        }
    }
}

fn subnet(text: &str) -> Result<Ipv4Net, (String, String)> {
    let example = || "such as 10.1.0.0/24".to_owned();
    if text.parse::<Ipv6Net>().is_ok() {
        return Err((
            "it is one of IPv6".into(),
            format!("every network has IPv4; for IPv6 beside it: subnet6: {text}"),
        ));
    }
    if text.parse::<Ipv4Addr>().is_ok() {
        return Err(("its length is missing".into(), format!("such as {text}/24")));
    }
    let net: Ipv4Net = text.parse().map_err(|_| ("it is not an address and a length".to_owned(), example()))?;
    if net != net.trunc() {
        return Err(("it is an address within one".into(), format!("write {}", net.trunc())));
    }
    if !(PREFIX_MIN..=PREFIX_MAX).contains(&net.prefix_len()) {
        return Err((format!("its length is not from /{PREFIX_MIN} to /{PREFIX_MAX}"), example()));
    }
    let first = net.network();
    let unusable = first.octets()[0] == 0 || first.octets()[0] >= 224 || first.is_loopback() || first.is_link_local();
    if unusable {
        return Err(("nodes cannot have such addresses".into(), example()));
    }
    Ok(net)
}

fn subnet6(text: &str) -> Result<Ipv6Net, (String, String)> {
    let example = || "such as 2001:db8:7::/64".to_owned();
    if text.parse::<Ipv4Net>().is_ok() {
        return Err(("it is one of IPv4".into(), format!("write subnet: {text}")));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(("its length is missing".into(), format!("write {text}/{PREFIX_LEN}")));
    }
    let net: Ipv6Net = text.parse().map_err(|_| ("it is not an address and a length".to_owned(), example()))?;
    if net.prefix_len() != PREFIX_LEN {
        let help = format!("write {}/{PREFIX_LEN}", net.network());
        return Err((format!("hosts make their addresses in a /{PREFIX_LEN} only"), help));
    }
    if net != net.trunc() {
        return Err(("it is an address within one".into(), format!("write {}", net.trunc())));
    }
    // Global unicast (RFC 4291 section 2.4) or unique local (RFC 4193).
    let first = net.network().octets()[0];
    if first & 0xe0 != 0x20 && first & 0xfe != 0xfc {
        return Err(("nodes cannot have such addresses".into(), "it is one of 2000::/3 or of fc00::/7".to_owned()));
    }
    Ok(net)
}
