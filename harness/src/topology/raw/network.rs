//! A network as written: its addresses, its NAT, its link.

use ipnet::Ipv4Net;

use super::link::{self, RawLink};
use crate::net::nat::{Dependence, NatConfig, Ports};
use crate::topology::check::NETWORKS_MAX;
use crate::topology::diagnostics::{Problem, Problems, Span, quoted, suggestion};
use crate::topology::fields::{Fields, Kind, Spanned, from_variable, scalar};
use crate::topology::tree::{Key, Node, Value};
use crate::topology::units::Time;

/// Largest subnets have this prefix length, smallest [`PREFIX_MAX`].
const PREFIX_MIN: u8 = 8;
/// See [`PREFIX_MIN`].
const PREFIX_MAX: u8 = 29;

/// A network.
#[derive(Clone, Debug)]
pub(in crate::topology) struct RawNetwork {
    pub(in crate::topology) name: Spanned<String>,
    pub(in crate::topology) subnet: Option<Spanned<Ipv4Net>>,
    pub(in crate::topology) behind: Option<Spanned<String>>,
    /// `None`: one network that bears the name itself.
    pub(in crate::topology) count: Option<u64>,
    pub(in crate::topology) nat: Option<NatConfig>,
    pub(in crate::topology) link: RawLink,
    pub(in crate::topology) region: Option<String>,
    /// Keys that mean something only for a network behind another.
    pub(in crate::topology) uplink_keys: Vec<Spanned<&'static str>>,
}

impl RawNetwork {
    /// How many networks it makes.
    pub(in crate::topology) fn size(&self) -> usize {
        self.count.map_or(1, |count| count as usize)
    }
}

static NETWORK: Kind = Kind {
    what: "a network",
    keys: &[
        ("subnet", "10.1.0.0/24"),
        ("behind", "internet"),
        ("nat", "port-restricted"),
        ("link", "{latency: 10ms}"),
        ("region", "eu"),
        ("count", "7"),
    ],
    later: &["ipv6", "mtu"],
};

static NAT: Kind = Kind {
    what: "a NAT",
    keys: &[
        ("mapping", "endpoint-independent"),
        ("filtering", "address-and-port-dependent"),
        ("ports", "preserve"),
        ("hairpin", "true"),
        ("udp_timeout", "30s"),
        ("tcp_timeout", "2h"),
    ],
    later: &["pool", "forward", "mapping_protocols"],
};

const NAT_NAMES: [&str; 6] = ["none", "full-cone", "address-restricted", "port-restricted", "symmetric", "cgnat"];

const DEPENDENCES: [(&str, Dependence); 3] = [
    ("endpoint-independent", Dependence::EndpointIndependent),
    ("address-dependent", Dependence::AddressDependent),
    ("address-and-port-dependent", Dependence::AddressAndPortDependent),
];

const PORTS: [(&str, Ports); 3] =
    [("preserve", Ports::Preserve), ("sequential", Ports::Sequential), ("random", Ports::Random)];

pub(super) fn read(key: &Key, node: &Node, problems: &mut Problems) -> RawNetwork {
    let fields = Fields::open(node, &key.span, &NETWORK, problems);
    let uplink_keys = ["nat", "link", "count"]
        .into_iter()
        .filter_map(|name| fields.entry(name).map(|(key, _)| Spanned { value: name, span: key.span.clone() }))
        .collect();
    RawNetwork {
        name: Spanned { value: key.name.clone(), span: key.span.clone() },
        subnet: fields.get("subnet").and_then(|node| read_subnet(node, problems)),
        behind: fields.text("behind", problems),
        count: fields.count("count", 1, NETWORKS_MAX as u64, problems),
        nat: fields.entry("nat").and_then(|(key, node)| read_nat(node, &key.span, problems)),
        link: fields.entry("link").map(|(key, node)| link::read(node, &key.span, problems)).unwrap_or_default(),
        region: fields.text("region", problems).map(|region| region.value),
        uplink_keys,
    }
}

fn read_subnet(node: &Node, problems: &mut Problems) -> Option<Spanned<Ipv4Net>> {
    let text = scalar(node, "such as subnet: 10.1.0.0/24", problems)?;
    match subnet(text) {
        Ok(value) => Some(Spanned { value, span: node.span.clone() }),
        Err((why, help)) => {
            let problem = Problem::at(&node.span, format!("{} cannot be a subnet: {why}", quoted(text))).help(help);
            problems.add(from_variable(problem, node));
            None
        }
    }
}

fn subnet(text: &str) -> Result<Ipv4Net, (String, String)> {
    let example = || "such as 10.1.0.0/24".to_owned();
    if text.contains(':') {
        return Err(("IPv6 is not supported yet".into(), example()));
    }
    if text.parse::<std::net::Ipv4Addr>().is_ok() {
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

fn read_nat(node: &Node, owner: &Span, problems: &mut Problems) -> Option<NatConfig> {
    if matches!(node.value, Value::Map(_)) {
        return Some(read_nat_map(node, owner, problems));
    }
    let text = scalar(node, &format!("it can be: {}, or a map", NAT_NAMES.join(", ")), problems)?;
    match text {
        "none" => None,
        "full-cone" => Some(NatConfig::full_cone()),
        "address-restricted" => Some(NatConfig::address_restricted()),
        "port-restricted" => Some(NatConfig::port_restricted()),
        "symmetric" => Some(NatConfig::symmetric()),
        "cgnat" => Some(NatConfig::cgnat()),
        _ => {
            let mut problem = Problem::at(&node.span, format!("there is no NAT {}", quoted(text)));
            problem.help = suggestion(text, NAT_NAMES, "it can be");
            problems.add(problem);
            None
        }
    }
}

/// RFC 4787's terms; what is not named is as in `port-restricted`, the commonest.
fn read_nat_map(node: &Node, owner: &Span, problems: &mut Problems) -> NatConfig {
    let fields = Fields::open(node, owner, &NAT, problems);
    let base = NatConfig::port_restricted();
    let timeout = |name: &str, problems: &mut Problems| {
        let time = fields.quantity::<Time>(name, problems)?;
        if time.value.0.is_zero() {
            problems.add(Problem::at(&time.span, "such a NAT forgets at once").help("such as 30s"));
        }
        Some(time.value.0)
    };
    NatConfig {
        mapping: fields.word("mapping", &DEPENDENCES, problems).unwrap_or(base.mapping),
        filtering: fields.word("filtering", &DEPENDENCES, problems).unwrap_or(base.filtering),
        ports: fields.word("ports", &PORTS, problems).unwrap_or(base.ports),
        hairpin: fields.flag("hairpin", problems).unwrap_or(base.hairpin),
        udp_timeout: timeout("udp_timeout", problems).unwrap_or(base.udp_timeout),
        tcp_timeout: timeout("tcp_timeout", problems).unwrap_or(base.tcp_timeout),
        ..base
    }
}
