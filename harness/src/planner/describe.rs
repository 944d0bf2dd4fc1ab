//! A plan on one page, for a person.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use butter::api::StoragePlace;

use crate::net::firewall::Policy;
use crate::net::network_policy::NetworkPolicy;
use crate::op::Op;
use crate::plan::{EndCondition, NetworkRange, Plan, Step, TimedOp, Uplink};
use crate::topology::raw::firewall;
use crate::topology::raw::link::describe_link;
use crate::topology::units::Time;

mod nat;

pub(crate) use nat::summary as nat_summary;

/// Most lines of each kind; the rest is counted.
const LINES_MAX: usize = 40;

/// What a plan will do: networks, nodes, steps and checks.
pub fn describe(plan: &Plan) -> String {
    let mut page = Page { text: String::new() };
    page.line(&format!("{}, seed {}", plan.name, plan.seed));
    if !plan.description.is_empty() {
        page.line(&plan.description);
    }
    page.section("networks", plan.network_groups().into_iter().map(|(_, networks)| network(plan, networks)));
    page.section("nodes", groups(plan).into_iter());
    if let Some(graph) = &plan.graph {
        let degrees =
            || graph.neighbours.iter().zip(&plan.nodes).filter(|(_, node)| node.from_start).map(|(list, _)| list.len());
        let (least, most) = (degrees().min().unwrap_or(0), degrees().max().unwrap_or(0));
        let line = format!("{}: {} links, {least} to {most} at each node", graph.form, graph.links());
        page.section("graph of known hosts", std::iter::once(line));
    }
    page.section("steps", plan.steps.iter().enumerate().map(|(number, s)| format!("{}. {}", number + 1, step(s))));
    page.section("checks", plan.checks.iter().map(|check| check.text.clone()));
    page.text
}

struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn section(&mut self, title: &str, lines: impl ExactSizeIterator<Item = String>) {
        let count = lines.len();
        self.line(&format!("\n{title} ({count})"));
        for line in lines.take(LINES_MAX) {
            self.line(&format!("  {line}"));
        }
        if count > LINES_MAX {
            self.line(&format!("  … and {} more", count - LINES_MAX));
        }
    }
}

/// One line for all networks of one name.
fn network(plan: &Plan, networks: NetworkRange) -> String {
    let nodes = plan.nodes.iter().filter(|node| networks.contains(node.network) && node.from_start).count();
    let (network, last) = (plan.network(networks.first), plan.network(networks.nth(networks.count - 1)));
    let several = networks.count > 1;
    let to = |first: &dyn std::fmt::Display, last: &dyn std::fmt::Display| match several {
        true => format!("{first} to {last}"),
        false => first.to_string(),
    };
    let mut line = format!("{}: {}", to(&network.name, &last.name), to(&network.subnet, &last.subnet));
    if network.subnet_allocated {
        line.push_str(" (allocated)");
    }
    if !several {
        let _ = write!(line, ", router {}", network.gateway);
    }
    if let (Some(first), Some(last)) = (network.ipv6, last.ipv6) {
        let _ = write!(line, ", {}", to(&first.subnet, &last.subnet));
        if first.subnet_allocated {
            line.push_str(" (allocated)");
        }
    }
    let _ = write!(line, ", nodes: {nodes}");
    if let (Some(uplink), Some(last)) = (&network.behind, &last.behind) {
        let outer = to_names(plan, uplink, last);
        let address = to(&uplink.address, &last.address);
        let _ = write!(line, "; behind {outer} as {address}, {}", uplink_line(uplink));
    }
    if let Some(region) = &network.region {
        let _ = write!(line, "; region {region}");
    }
    if let Some(filter) = &network.log {
        let _ = write!(line, "; router logs {filter}");
    }
    line
}

/// What the networks from the first to the last are behind.
fn to_names(plan: &Plan, first: &Uplink, last: &Uplink) -> String {
    let (from, to) = (&plan.network(first.to).name, &plan.network(last.to).name);
    if from == to { from.clone() } else { format!("{from} to {to}") }
}

fn uplink_line(uplink: &Uplink) -> String {
    let nat = uplink.nat.as_ref().map_or("routed plainly".to_owned(), nat::summary);
    let link = describe_link(&uplink.up, &uplink.down);
    let more = match uplink.pool.len() {
        0 => String::new(),
        more => format!(" with {} addresses", more + 1),
    };
    let firewall = match uplink.ipv6.map(|ipv6| ipv6.firewall) {
        None => "",
        Some(Policy::Open) => ", IPv6 open",
        Some(Policy::Stateful) => ", IPv6 filtered",
    };
    let policy = match uplink.firewall {
        NetworkPolicy::Open => String::new(),
        policy => format!(", firewall {}", firewall::describe(policy)),
    };
    format!("{nat}{more}{firewall}{policy}, {link}")
}

/// One line for each group, in the order of their first nodes.
fn groups(plan: &Plan) -> Vec<String> {
    let mut order: Vec<&str> = Vec::new();
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, node) in plan.nodes.iter().enumerate() {
        let group = members.entry(&node.group).or_default();
        if group.is_empty() {
            order.push(&node.group);
        }
        group.push(index);
    }
    order.iter().map(|name| group(plan, name, &members[name])).collect()
}

fn group(plan: &Plan, name: &str, members: &[usize]) -> String {
    let (first, last) = (&plan.nodes[members[0]], &plan.nodes[*members.last().expect("a group has a first node")]);
    let one_network = members.iter().all(|&node| plan.nodes[node].network == first.network);
    let on = &plan.network(first.network).name;
    let mut line = match (one_network, members.len()) {
        (true, 1) => format!("{name}: on {on}, {}", first.address),
        (true, count) => format!("{name}: {count} on {on}, {} to {}", first.address, last.address),
        (false, count) if first.from_start => {
            format!("{name}: {count} on {}, taking its networks in turn", plan.network(first.network).group)
        }
        (false, count) => format!("{name}: {count}, on every network that has nodes"),
    };
    if first.ambassador {
        line.push_str(", ambassador");
    }
    if !first.behaviours.is_empty() {
        let names: Vec<&str> = first.behaviours.iter().map(|behaviour| behaviour.name()).collect();
        let _ = write!(line, ", hostile: {}", names.join(" and "));
        if first.identities > 1 {
            let _ = write!(line, ", {} identities each", first.identities);
        }
    }
    if first.store == StoragePlace::Disk {
        line.push_str(", blocks on disk");
    }
    if !first.from_start {
        line.push_str(", started by a retrieve step");
    } else if first.join.is_empty() && !first.ambassador {
        line.push_str(", finds others by multicast");
    }
    for (key, value) in &first.settings {
        let _ = write!(line, ", {key} {value}");
    }
    line
}

fn step(step: &Step) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for timed in &step.ops {
        *counts.entry(timed.op.plural()).or_default() += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{name}: {count}")).collect();
    let mut line = step.summary.clone();
    if !counts.is_empty() {
        let _ = write!(line, " [{}]", counts.join(", "));
    }
    // Pairs wait for their turn, so when they begin is not known.
    let is_connect = |timed: &TimedOp| matches!(timed.op, Op::Connect { .. });
    let last = step.ops.last().filter(|last| !is_connect(last));
    if let (EndCondition::Done { deadline }, Some(last)) = (&step.ends, last) {
        let _ = write!(line, ", begun within {}, done within {}", rounded(last.after), rounded(*deadline));
    }
    line
}

/// To tenths of a second, upwards.
fn rounded(time: std::time::Duration) -> Time {
    Time(std::time::Duration::from_millis(time.as_millis().div_ceil(100) as u64 * 100))
}
