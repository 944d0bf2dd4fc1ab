//! What networks say of IPv6: nothing twice, nothing that contradicts the rest.

use std::collections::BTreeMap;

use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, quoted};
use crate::topology::raw::network::RawNetwork;

/// Checks all networks; `outer` is, for each, the entry that it is behind.
pub(crate) fn check(raw: &[RawNetwork], outer: &[Option<usize>], problems: &mut DiagnosticSink) {
    for (network, outer) in raw.iter().zip(outer) {
        check_subnet(network, problems);
        check_firewall(network, outer.map(|outer| &raw[outer]), problems);
    }
    check_distinct(raw, problems);
}

fn check_subnet(network: &RawNetwork, problems: &mut DiagnosticSink) {
    let Some(subnet) = &network.ipv6.subnet else { return };
    if network.ipv6.wanted == Some(false) {
        problems.add(
            Diagnostic::at(&subnet.span, format!("{} has an IPv6 subnet and no IPv6", quoted(&network.name.value)))
                .help("leave out one of the two: ipv6: false, or subnet6"),
        );
    }
    if network.size() > 1 {
        problems.add(
            Diagnostic::at(&subnet.span, format!("one subnet cannot be that of {} networks", network.size()))
                .help("write ipv6: true instead, and each takes a free one"),
        );
    }
}

fn check_firewall(network: &RawNetwork, outer: Option<&RawNetwork>, problems: &mut DiagnosticSink) {
    let Some(firewall) = &network.ipv6.firewall else { return };
    let name = quoted(&network.name.value);
    if !network.ipv6.is_on() {
        problems.add(
            Diagnostic::at(&firewall.span, format!("{name} has no IPv6 to be filtered"))
                .help("add ipv6: true, or leave it out"),
        );
    } else if let Some(outer) = outer.filter(|outer| !outer.ipv6.is_on()) {
        problems.add(
            Diagnostic::at(
                &firewall.span,
                format!("{} has no IPv6, so none of {name} passes its router", quoted(&outer.name.value)),
            )
            .related(&outer.name.span, "without IPv6")
            .help(format!("add ipv6: true to {}, or leave it out", quoted(&outer.name.value))),
        );
    }
}

/// All are of one size, so that they overlap only if they are the same.
fn check_distinct(raw: &[RawNetwork], problems: &mut DiagnosticSink) {
    let mut seen = BTreeMap::new();
    for network in raw {
        let Some(subnet) = &network.ipv6.subnet else { continue };
        let Some((earlier, owner)) = seen.insert(subnet.value, (subnet, network)) else { continue };
        let names = format!("{} and {}", quoted(&owner.name.value), quoted(&network.name.value));
        problems.add(
            Diagnostic::at(&subnet.span, format!("{names} have the same IPv6 subnet"))
                .related(&earlier.span, "the same")
                .help("write ipv6: true instead of one of them, and a free subnet is taken"),
        );
    }
}
