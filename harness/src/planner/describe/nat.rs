//! A NAT in a few words: the closest preset, and every setting that differs from it.

use serde::Serialize;

use crate::net::nat::NatConfig;
use crate::topology::units::Time;

/// `port-restricted NAT`, or `full-cone NAT with udp_timeout 30s, hairpin false`. Keys are those of a topology file.
pub(crate) fn summary(nat: &NatConfig) -> String {
    let differences = |(_, preset): &(&str, NatConfig)| {
        let pairs = settings(nat).into_iter().zip(settings(preset));
        pairs.filter(|(own, other)| own != other).map(|((key, value), _)| format!("{key} {value}")).collect::<Vec<_>>()
    };
    let presets = NatConfig::presets();
    let closest = presets.iter().min_by_key(|preset| differences(preset).len()).expect("there are presets");
    match differences(closest) {
        none if none.is_empty() => format!("{} NAT", closest.0),
        some => format!("{} NAT with {}", closest.0, some.join(", ")),
    }
}

/// All settings, in the order of a topology file.
fn settings(nat: &NatConfig) -> [(&'static str, String); 10] {
    let NatConfig {
        mapping,
        filtering,
        ports,
        hairpin,
        udp_timeout,
        tcp_timeout,
        pool,
        port_block,
        quota,
        mapping_protocols,
    } = nat;
    let none = || "none".to_owned();
    [
        ("mapping", name(mapping)),
        ("filtering", name(filtering)),
        ("ports", name(ports)),
        ("hairpin", hairpin.to_string()),
        ("udp_timeout", Time(*udp_timeout).to_string()),
        ("tcp_timeout", Time(*tcp_timeout).to_string()),
        ("pool", pool.to_string()),
        ("port_block", port_block.map_or_else(none, |block| format!("{} x {}", block.limit, block.size))),
        ("quota", quota.map_or_else(none, |quota| quota.to_string())),
        ("mapping_protocols", mapping_protocols.iter().map(name).collect::<Vec<_>>().join(" and ")),
    ]
}

/// The name of a choice, as a topology file writes it.
fn name(choice: &impl Serialize) -> String {
    let value = serde_json::to_value(choice).expect("a choice without data is JSON");
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::nat::PortBlock;

    #[test]
    fn presets_have_their_name_and_others_say_what_differs() {
        for (name, preset) in NatConfig::presets() {
            assert_eq!(summary(&preset), format!("{name} NAT"));
        }
        let short = NatConfig { udp_timeout: Duration::from_secs(30), hairpin: false, ..NatConfig::port_restricted() };
        assert_eq!(summary(&short), "port-restricted NAT with hairpin false, udp_timeout 30s");
        let blocks =
            NatConfig { port_block: Some(PortBlock { size: 64, limit: 2 }), quota: Some(9), ..NatConfig::cgnat() };
        assert_eq!(summary(&blocks), "cgnat NAT with port_block 2 x 64, quota 9");
    }
}
