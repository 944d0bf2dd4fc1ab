//! A NAT as written: one of the kinds that have names, or RFC 4787's terms.

use std::collections::BTreeSet;

use crate::net::nat::{Dependence, MappingProtocol, NatConfig, PORT_MIN, PortBlock, Ports, Protocol};
use crate::plan::NODE_PORT;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span, quoted, suggestion};
use crate::topology::fields::{Fields, MapSpec, Spanned, key, scalar};
use crate::topology::form::{ValueForm, words_of};
use crate::topology::raw::items;
use crate::topology::tree::{YamlNode, YamlValue};
use crate::topology::units::Time;

/// Most outside addresses of a NAT.
const POOL_MAX: u64 = 64;
/// Most ports that always lead inside, of a NAT.
const FORWARDS_MAX: usize = 256;

/// What a file says of a NAT.
#[derive(Debug, Default)]
pub(crate) struct RawNat {
    /// `None` for none.
    pub(crate) config: Option<NatConfig>,
    pub(crate) forwards: Vec<RawForward>,
}

/// A port that always leads to a node.
#[derive(Clone, Debug)]
pub(crate) struct RawForward {
    pub(crate) node: Spanned<String>,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    /// The node's port.
    pub(crate) to: u16,
}

/// A NAT's value: a kind with a name, or its parts.
pub(crate) static NAT_FORMS: [ValueForm; 2] = [ValueForm::Words(kinds), ValueForm::Map(&NAT)];
static PROTOCOL_FORM: ValueForm = ValueForm::Words(|| words_of(&MappingProtocol::NAMES));
static FORWARD_FORM: ValueForm = ValueForm::Map(&FORWARD);

/// What a NAT may be called: none, or a preset.
fn kinds() -> Vec<&'static str> {
    std::iter::once("none").chain(NatConfig::presets().map(|(name, _)| name)).collect()
}

static NAT: MapSpec = MapSpec {
    what: "a NAT",
    keys: &[
        key("preset", "port-restricted", "the NAT to start from")
            .of(ValueForm::Words(|| words_of(&NatConfig::presets()))),
        key("mapping", "endpoint-independent", "which packets share a mapping (RFC 4787)")
            .of(ValueForm::Words(|| words_of(&DEPENDENCES))),
        key("filtering", "address-and-port-dependent", "which packets are let in (RFC 4787)")
            .of(ValueForm::Words(|| words_of(&DEPENDENCES))),
        key("ports", "preserve", "how external ports are chosen").of(ValueForm::Words(|| words_of(&PORTS))),
        key("hairpin", "true", "whether nodes inside reach each other by their external addresses").of(ValueForm::Flag),
        key("udp_timeout", "30s", "idle time after which a UDP mapping is dropped").of(ValueForm::quantity::<Time>()),
        key("tcp_timeout", "2h", "the same for TCP").of(ValueForm::quantity::<Time>()),
        key("pool", "4", "how many external addresses it has, 1 to 64").of(ValueForm::Count(1, POOL_MAX)),
        key("port_block", "{size: 512, limit: 2}", "external ports that each node inside gets")
            .of(ValueForm::Map(&PORT_BLOCK)),
        key("quota", "1000", "most mappings of each node inside").of(ValueForm::Count(1, u32::MAX as u64)),
        key("forward", "[{node: a-1}]", "external ports that always lead to a node")
            .of(ValueForm::List(0, &FORWARD_FORM)),
        key("mapping_protocols", "[upnp, nat-pmp, pcp]", "protocols by which nodes ask for ports")
            .of(ValueForm::List(0, &PROTOCOL_FORM)),
    ],
    later: &[],
};

static PORT_BLOCK: MapSpec = MapSpec {
    what: "a port block",
    keys: &[
        key("size", "512", "ports of a block").of(ValueForm::Count(1, (u16::MAX - PORT_MIN) as u64 + 1)).needed(),
        key("limit", "2", "most blocks of each node; 1 if absent").of(ValueForm::Count(1, u16::MAX as u64)),
    ],
    later: &[],
};

static FORWARD: MapSpec = MapSpec {
    what: "a forwarded port",
    keys: &[
        key("node", "a-1", "the node that the port leads to").of(ValueForm::Text).needed(),
        key("port", "4001", "the external port; 4001 if absent").of(ValueForm::Count(1, u16::MAX as u64)),
        key("to", "4001", "the node's port; 4001 if absent").of(ValueForm::Count(1, u16::MAX as u64)),
        key("protocol", "udp", "udp or tcp; udp if absent").of(ValueForm::Words(|| words_of(&PROTOCOLS))),
    ],
    later: &[],
};

const DEPENDENCES: [(&str, Dependence); 3] = [
    ("endpoint-independent", Dependence::EndpointIndependent),
    ("address-dependent", Dependence::AddressDependent),
    ("address-and-port-dependent", Dependence::AddressAndPortDependent),
];

const PORTS: [(&str, Ports); 3] =
    [("preserve", Ports::Preserve), ("sequential", Ports::Sequential), ("random", Ports::Random)];

const PROTOCOLS: [(&str, Protocol); 2] = [("udp", Protocol::Udp), ("tcp", Protocol::Tcp)];

pub(crate) fn read(node: &YamlNode, owner: &Span, problems: &mut DiagnosticSink) -> RawNat {
    if matches!(node.value, YamlValue::Map(_)) {
        return read_map(node, owner, problems);
    }
    let names = kinds();
    let Some(text) = scalar(node, &format!("it can be: {}, or a map", names.join(", ")), problems) else {
        return RawNat::default();
    };
    let config = NatConfig::presets().into_iter().find(|(name, _)| *name == text).map(|(_, preset)| preset);
    if config.is_none() && text != "none" {
        let mut problem = Diagnostic::at(&node.span, format!("there is no NAT {}", quoted(text)));
        problem.help = suggestion(text, names, "it can be");
        problems.add(problem);
    }
    RawNat { config, forwards: Vec::new() }
}

/// RFC 4787's terms; what is not named is as in the preset, and that is `port-restricted`, the commonest, unless named.
fn read_map(node: &YamlNode, owner: &Span, problems: &mut DiagnosticSink) -> RawNat {
    let fields = Fields::open(node, owner, &NAT, problems);
    let presets = NatConfig::presets().map(|(name, _)| (name, name));
    let preset = fields.word("preset", &presets, problems).unwrap_or("port-restricted");
    let base = NatConfig::presets().into_iter().find(|(name, _)| *name == preset).expect("it is one of them").1;
    let timeout = |name: &str, problems: &mut DiagnosticSink| {
        let time = fields.quantity::<Time>(name, problems)?;
        if time.value.0.is_zero() {
            problems.add(Diagnostic::at(&time.span, "such a NAT forgets at once").help("such as 30s"));
        }
        Some(time.value.0)
    };
    let config = NatConfig {
        mapping: fields.word("mapping", &DEPENDENCES, problems).unwrap_or(base.mapping),
        filtering: fields.word("filtering", &DEPENDENCES, problems).unwrap_or(base.filtering),
        ports: fields.word("ports", &PORTS, problems).unwrap_or(base.ports),
        hairpin: fields.flag("hairpin", problems).unwrap_or(base.hairpin),
        udp_timeout: timeout("udp_timeout", problems).unwrap_or(base.udp_timeout),
        tcp_timeout: timeout("tcp_timeout", problems).unwrap_or(base.tcp_timeout),
        pool: fields.count("pool", 1, POOL_MAX, problems).map_or(base.pool, |count| count as u8),
        port_block: read_port_block(&fields, problems),
        quota: fields.count("quota", 1, u64::from(u32::MAX), problems).map(|quota| quota as u32),
        mapping_protocols: read_protocols(&fields, problems),
    };
    RawNat { config: Some(config), forwards: read_forwards(&fields, problems) }
}

fn read_port_block(fields: &Fields<'_>, problems: &mut DiagnosticSink) -> Option<PortBlock> {
    let (key, node) = fields.entry("port_block")?;
    let fields = Fields::open(node, &key.span, &PORT_BLOCK, problems);
    fields.need("size", problems);
    let size = fields.count("size", 1, u64::from(u16::MAX - PORT_MIN) + 1, problems);
    let limit = fields.count("limit", 1, u64::from(u16::MAX), problems);
    Some(PortBlock { size: size? as u16, limit: limit.unwrap_or(1) as u16 })
}

fn read_protocols(fields: &Fields<'_>, problems: &mut DiagnosticSink) -> BTreeSet<MappingProtocol> {
    let list = items(fields.get("mapping_protocols"), "mapping_protocols", "[upnp, nat-pmp, pcp]", problems);
    let mut protocols = BTreeSet::new();
    for node in list {
        let Some(text) = scalar(node, "such as [upnp, nat-pmp, pcp]", problems) else { continue };
        match MappingProtocol::NAMES.iter().find(|(name, _)| *name == text) {
            Some((_, protocol)) if protocols.insert(*protocol) => {}
            Some(_) => problems.add(Diagnostic::at(&node.span, format!("{} is named twice", quoted(text)))),
            None => {
                let what = format!("there is no mapping protocol {}", quoted(text));
                let mut problem = Diagnostic::at(&node.span, what);
                problem.help = suggestion(text, MappingProtocol::NAMES.map(|(name, _)| name), "there are");
                problems.add(problem);
            }
        }
    }
    protocols
}

fn read_forwards(fields: &Fields<'_>, problems: &mut DiagnosticSink) -> Vec<RawForward> {
    let list = items(fields.get("forward"), "forward", "[{node: a-1}]", problems);
    if let Some(first) = list.get(FORWARDS_MAX) {
        problems.add(Diagnostic::at(&first.span, format!("more than {FORWARDS_MAX} forwarded ports")));
    }
    let mut forwards: Vec<RawForward> = Vec::new();
    for node in list.iter().take(FORWARDS_MAX) {
        let fields = Fields::open(node, &node.span, &FORWARD, problems);
        fields.need("node", problems);
        let port = |name: &str, problems: &mut DiagnosticSink| {
            fields.count(name, 1, u64::from(u16::MAX), problems).map_or(NODE_PORT, |port| port as u16)
        };
        let (port, to) = (port("port", problems), port("to", problems));
        let protocol = fields.word("protocol", &PROTOCOLS, problems).unwrap_or(Protocol::Udp);
        let Some(name) = fields.text("node", problems) else { continue };
        if let Some(other) = forwards.iter().find(|other| (other.protocol, other.port) == (protocol, port)) {
            problems.add(
                Diagnostic::at(&node.span, format!("port {port} leads elsewhere already"))
                    .related(&other.node.span, "to this node")
                    .help("give it another port, such as port: 4002"),
            );
            continue;
        }
        let leads_there =
            |other: &&RawForward| (other.protocol, &other.node.value, other.to) == (protocol, &name.value, to);
        if let Some(other) = forwards.iter().find(leads_there) {
            problems.add(
                Diagnostic::at(
                    &node.span,
                    format!("another port leads to port {to} of {} already", quoted(&name.value)),
                )
                .related(&other.node.span, "this one")
                .help("a port of a node is seen outside as one port"),
            );
            continue;
        }
        forwards.push(RawForward { node: name, protocol, port, to });
    }
    forwards
}
