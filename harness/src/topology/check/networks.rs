//! Networks as a tree: one internet, everything else behind something, no addresses twice, room for everybody.

use ipnet::Ipv4Net;

use super::network_names::NetworkNames;
use super::{GroupModel, NESTED_MAX, NETWORKS_MAX, NetworkModel, RESERVED, ipv6, needs};
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, quoted};
use crate::topology::fields::Spanned;
use crate::topology::raw::network::RawNetwork;

/// The file's networks in the order of the plan.
pub(crate) struct Tree {
    pub(crate) places: NetworkNames,
    /// Entries of the file, outer ones first, otherwise as written.
    order: Vec<usize>,
}

/// Gives every network its index: outer ones first, otherwise as in the file. `None` if there are too many.
pub(crate) fn order(raw: &[RawNetwork], problems: &mut DiagnosticSink) -> Option<Tree> {
    check_total(raw, problems)?;
    let places = |order: &[usize]| NetworkNames::new(order.iter().map(|&i| (i, &raw[i].name, raw[i].count)));
    let mut order: Vec<usize> = (0..raw.len()).collect();
    let as_written = places(&order);
    for network in raw {
        check_alone(network, &as_written, problems);
    }
    let outer: Vec<Option<usize>> =
        raw.iter().map(|network| outer_entry(network, raw, &as_written, problems)).collect();
    check_internet(raw, problems);
    check_overlaps(raw, problems);
    ipv6::check(raw, &outer, problems);
    let depths = depths(raw, &outer, problems);
    check_depths(raw, &depths, problems);
    order.sort_by_key(|&entry| depths[entry]);
    Some(Tree { places: places(&order), order })
}

/// The networks in their order, those of a count one by one.
pub(crate) fn in_order(raw: Vec<RawNetwork>, tree: &Tree) -> Vec<NetworkModel> {
    let mut left: Vec<Option<RawNetwork>> = raw.into_iter().map(Some).collect();
    tree.order
        .iter()
        .filter_map(|&entry| left[entry].take())
        .flat_map(|network| {
            let outer = network.behind.as_ref().and_then(|name| tree.places.find(&name.value));
            (0..network.size()).map(move |number| {
                // One network for all of them, or one for each: `outer_entry` has seen to that.
                NetworkModel::new(&network, number, outer.map(|outer| outer.nth(number)))
            })
        })
        .collect()
}

fn check_total(raw: &[RawNetwork], problems: &mut DiagnosticSink) -> Option<()> {
    let mut total = 0_usize;
    let excess = raw.iter().find(|network| {
        total = total.saturating_add(network.size());
        total > NETWORKS_MAX
    });
    if let Some(first) = excess {
        problems.add(Diagnostic::at(&first.name.span, format!("more than {NETWORKS_MAX} networks")));
    }
    excess.is_none().then_some(())
}

/// The entry that another one's networks are behind.
fn outer_entry(
    network: &RawNetwork,
    raw: &[RawNetwork],
    places: &NetworkNames,
    problems: &mut DiagnosticSink,
) -> Option<usize> {
    let behind = network.behind.as_ref()?;
    let (place, outer) = places.known(behind, problems)?;
    let is_internet = raw[place.entry].behind.is_none();
    if outer.count > 1 && outer.count != network.size() && !is_internet {
        let (name, of) = (&network.name.value, &behind.value);
        problems.add(
            Diagnostic::at(
                &behind.span,
                format!("{} makes {} networks, and {} {}", quoted(of), outer.count, quoted(name), network.size()),
            )
            .label("which of them is behind which?")
            .related(&place.span, format!("makes {} networks", outer.count))
            .help(format!("give both the same count, so that {name}-1 is behind {of}-1, or name one: behind: {of}-1")),
        );
    }
    Some(place.entry)
}

fn check_alone(network: &RawNetwork, places: &NetworkNames, problems: &mut DiagnosticSink) {
    let name = &network.name;
    if RESERVED.contains(&name.value.as_str()) {
        problems.add(
            Diagnostic::at(&name.span, format!("{} has a meaning of its own", quoted(&name.value)))
                .help("'all' is every node, 'fresh' are nodes that join for a retrieve step"),
        );
    }
    if let Some((place, _)) = places.member(&name.value) {
        problems.add(
            Diagnostic::at(
                &name.span,
                format!("{} is also the name of a network that a count makes", quoted(&name.value)),
            )
            .related(&place.span, format!("makes {} networks", place.networks.count))
            .help("give one of them another name"),
        );
    }
    if let (Some(subnet), 2..) = (&network.subnet, network.size()) {
        problems.add(
            Diagnostic::at(&subnet.span, format!("one subnet cannot be that of {} networks", network.size()))
                .help("leave it out, and each takes a free one"),
        );
    }
    if network.behind.is_none() {
        for key in &network.uplink_keys {
            problems.add(
                Diagnostic::at(
                    &key.span,
                    format!("{} is behind nothing, so it has no `{}`", quoted(&name.value), key.value),
                )
                .help("say what it is behind, such as behind: internet"),
            );
        }
    }
}

fn check_internet(raw: &[RawNetwork], problems: &mut DiagnosticSink) {
    let mut roots = raw.iter().filter(|network| network.behind.is_none());
    let Some(internet) = roots.next() else {
        if let Some(first) = raw.first() {
            problems.add(
                Diagnostic::at(&first.name.span, "every network is behind another: there is no internet")
                    .help("one network has no `behind`, such as internet: {}"),
            );
        }
        return;
    };
    for other in roots {
        problems.add(
            Diagnostic::at(
                &other.name.span,
                format!("{} is behind nothing, and so is {}", quoted(&other.name.value), quoted(&internet.name.value)),
            )
            .label("so the two would never meet")
            .related(&internet.name.span, "the internet is what is behind nothing")
            .help(format!("add behind: {}", internet.name.value)),
        );
    }
}

/// Networks from each one to the internet; those of a loop are reported and count as if they had none outside.
fn depths(raw: &[RawNetwork], outer: &[Option<usize>], problems: &mut DiagnosticSink) -> Vec<usize> {
    let mut depths: Vec<Option<usize>> = vec![None; raw.len()];
    for start in 0..raw.len() {
        let mut path = Vec::new();
        let mut at = start;
        let base = loop {
            if let Some(depth) = depths[at] {
                break depth + 1;
            }
            if let Some(begin) = path.iter().position(|&seen| seen == at) {
                problems.add(a_loop(raw, &path[begin..]));
                break 0;
            }
            path.push(at);
            match outer[at] {
                Some(next) => at = next,
                None => break 0,
            }
        };
        for (steps, &network) in path.iter().rev().enumerate() {
            depths[network] = Some(base + steps);
        }
    }
    depths.into_iter().map(|depth| depth.unwrap_or(0)).collect()
}

/// Reports the networks at which it gets too deep.
fn check_depths(raw: &[RawNetwork], depths: &[usize], problems: &mut DiagnosticSink) {
    for (network, _) in raw.iter().zip(depths).filter(|(_, depth)| **depth == NESTED_MAX + 1) {
        let Some(behind) = &network.behind else { continue };
        let name = quoted(&network.name.value);
        problems.add(
            Diagnostic::at(&behind.span, format!("{name} is behind {} networks, one behind the other", NESTED_MAX + 1))
                .label(format!("{} is the last one", quoted(&behind.value)))
                .help(format!(
                    "{NESTED_MAX} at most: a packet passes 63 routers, and two networks so deep are to reach each other"
                )),
        );
    }
}

fn a_loop(raw: &[RawNetwork], members: &[usize]) -> Diagnostic {
    let names: Vec<&str> = members.iter().take(8).map(|&i| raw[i].name.value.as_str()).collect();
    let first = &raw[members[0]];
    let span = first.behind.as_ref().map_or(&first.name.span, |behind| &behind.span);
    let what = if let [alone] = names[..] {
        format!("{} is behind itself", quoted(alone))
    } else {
        format!("these networks are behind each other in a circle: {}", names.join(", "))
    };
    Diagnostic::at(span, what).help("somewhere the internet begins: a network without `behind`")
}

fn check_overlaps(raw: &[RawNetwork], problems: &mut DiagnosticSink) {
    let mut given: Vec<_> =
        raw.iter().filter_map(|network| network.subnet.as_ref().map(|net| (net, network))).collect();
    given.sort_by_key(|(net, _)| (net.value.network(), net.value.prefix_len()));
    // In this order whatever overlaps an earlier one overlaps the one that reaches farthest.
    let mut farthest: Option<&(&Spanned<Ipv4Net>, &RawNetwork)> = None;
    for here in &given {
        let (net, network) = here;
        match farthest {
            Some((other, owner)) if overlap(&net.value, &other.value) => {
                let (later, earlier) = if net.span.start > other.span.start { (net, other) } else { (other, net) };
                let names = format!("{} and {}", quoted(&owner.name.value), quoted(&network.name.value));
                problems.add(
                    Diagnostic::at(&later.span, format!("the subnets of {names} overlap"))
                        .label(later.value.to_string())
                        .related(&earlier.span, earlier.value.to_string())
                        .help("leave one of them out, and a free subnet is taken"),
                );
            }
            _ => {}
        }
        if farthest.is_none_or(|(other, _)| net.value.broadcast() > other.value.broadcast()) {
            farthest = Some(here);
        }
    }
}

fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(b) || b.contains(a)
}

/// Reports subnets of the file that are too small.
pub(crate) fn capacities(
    networks: &[NetworkModel],
    groups: &[GroupModel],
    fresh_steps: u64,
    problems: &mut DiagnosticSink,
) {
    for (network, need) in networks.iter().zip(needs(networks, groups, fresh_steps)) {
        let Some(subnet) = &network.subnet else { continue };
        let room = hosts(subnet.value.prefix_len());
        if need.hosts() <= room {
            continue;
        }
        let least = (8..=29).rev().find(|&prefix| hosts(prefix) >= need.hosts());
        let what = format!("{} has room for {room} hosts and needs {}", subnet.value, need.hosts());
        let label = format!(
            "nodes, with those that join or move there later: {}; routers: {}",
            need.nodes + need.arrivals,
            need.routers + 1
        );
        let help = match least {
            Some(prefix) => format!("take a /{prefix}, or leave it out"),
            None => "no subnet is that large".to_owned(),
        };
        problems.add(Diagnostic::at(&subnet.span, what).label(label).help(help));
    }
}

/// Addresses for hosts in a subnet of this prefix length: all but its first and last.
pub(crate) fn hosts(prefix: u8) -> u64 {
    (1_u64 << (32 - prefix)) - 2
}
