//! What a network's router lets through, as written: a word, or a portal with its time.

use crate::net::network_policy::NetworkPolicy;
use crate::topology::diagnostics::DiagnosticSink;
use crate::topology::fields::{Fields, MapSpec, key};
use crate::topology::form::{ValueForm, words_of};
use crate::topology::tree::YamlValue;
use crate::topology::units::Time;

/// Each with its meaning.
pub(crate) const POLICIES: [(&str, NetworkPolicy, &str); 5] = [
    ("open", NetworkPolicy::Open, "everything that the NAT lets through, if there is one"),
    (
        "stateful",
        NetworkPolicy::Stateful,
        "by IPv4, from outside only answers to what was sent from inside; for IPv6 there is `firewall6`",
    ),
    ("udp-blocked", NetworkPolicy::UdpBlocked, "no UDP, neither way"),
    ("web-only", NetworkPolicy::WebOnly, "only TCP to the ports 80 and 443, and its answers"),
    (
        "captive",
        NetworkPolicy::Captive { lets_in_after: None },
        "nothing, until a `firewall` step says otherwise; `{captive: 30s}` until so long after the first packet that is stopped",
    ),
];

const WORDS: [(&str, NetworkPolicy); 5] = {
    let mut words = [("", NetworkPolicy::Open); 5];
    let mut at = 0;
    while at < words.len() {
        words[at] = (POLICIES[at].0, POLICIES[at].1);
        at += 1;
    }
    words
};

static PORTAL: MapSpec = MapSpec {
    what: "a portal",
    keys: &[key("captive", "30s", "time from the first packet that it stops until it lets the network in")
        .of(ValueForm::quantity::<Time>())
        .needed()],
    later: &[],
};

/// A word, or a map with the time of a portal.
pub(crate) static FIREWALL_FORMS: [ValueForm; 2] = [ValueForm::Words(|| words_of(&WORDS)), ValueForm::Map(&PORTAL)];

/// The value of `key` of a map, which is the network's or the step's. `None` if it is absent, or faulty and reported.
pub(crate) fn read(of: &Fields<'_>, key: &str, problems: &mut DiagnosticSink) -> Option<NetworkPolicy> {
    let (key_of_map, node) = of.entry(key)?;
    if let YamlValue::Map(_) = node.value {
        let fields = Fields::open(node, &key_of_map.span, &PORTAL, problems);
        let after = fields.needed_quantity::<Time>("captive", problems)?;
        return Some(NetworkPolicy::Captive { lets_in_after: Some(after.value.0) });
    }
    of.word(key, &WORDS, problems)
}

/// In the words of the file.
pub(crate) fn describe(policy: NetworkPolicy) -> String {
    match policy {
        NetworkPolicy::Captive { lets_in_after: Some(after) } => format!("captive for {}", Time(after)),
        policy => WORDS.iter().find(|(_, known)| *known == policy).map_or("", |(word, _)| word).to_owned(),
    }
}
