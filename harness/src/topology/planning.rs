//! From a checked topology to the plan: addresses, nodes, who joins through whom, the timeline.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::time::Duration;

use butter::core::config::Config;
use ipnet::Ipv4Net;

use super::addresses::{self, Hosts};
use super::check::{Checked, CheckedNetwork, CheckedStep, FRESH, Need, Verb, Who, needs};
use super::describe;
use super::diagnostics::{Problem, Problems, quoted};
use super::fields::Spanned;
use super::raw::step::Items;
use super::units::{Share, Time};
use crate::net::firewall::Policy;
use crate::net::nat::Forward;
use crate::plan::ipv6::{Network6, Uplink6, autoconfigured};
use crate::plan::{Act, Check, Item, Measure, Network, NetworkIndex, NetworkRange, NodeIndex, NodePlan, Step, Uplink};
use crate::timeline::{self, Asker, Churn, Cross, Replace, Retrieve, Scene, SceneKind, Store, Timeline, TimelineError};

mod uplinks;

use uplinks::Uplinks;

/// Most ambassadors that a node is told of. Where more can be reached, each node is told of others.
pub(super) const AMBASSADORS_TOLD: usize = 32;
/// Most names in a title.
const NAMES_SHOWN: usize = 6;

/// Networks, nodes and the timeline of a plan.
pub(super) struct Planned {
    pub(super) networks: Vec<Network>,
    pub(super) nodes: Vec<NodePlan>,
    pub(super) timeline: Timeline,
    pub(super) checks: Vec<Check>,
}

/// Plans everything. `None` if that is impossible; why is among `problems`.
pub(super) fn plan(checked: &Checked, seed: u64, problems: &mut Problems) -> Option<Planned> {
    let fresh_steps = checked.steps.iter().filter(|step| step.asks_fresh()).count();
    let needs = needs(&checked.networks, &checked.groups, fresh_steps as u64);
    let subnets = match addresses::subnets(&checked.networks, &needs) {
        Ok(subnets) => subnets,
        Err(network) => {
            let name = &checked.networks[network].name;
            problems.add(
                Problem::at(&name.span, format!("no free subnet is left for {}", quoted(&name.value)))
                    .help("name subnets yourself, or take fewer or smaller networks"),
            );
            return None;
        }
    };
    let mut hosts: Vec<Hosts> = subnets.iter().zip(&needs).map(|(subnet, need)| Hosts::new(*subnet, *need)).collect();
    let subnets6 = addresses::subnets6(&checked.networks);
    let mut networks = networks(checked, &subnets, &subnets6, &mut hosts);
    let mut cast = Cast::new(checked, &needs, fresh_steps, &mut hosts);
    for node in &mut cast.nodes {
        let subnet = networks[node.network.0].ipv6.map(|ipv6| ipv6.subnet);
        node.address6 = subnet.map(|subnet| autoconfigured(subnet, node.address));
    }
    set_forwards(checked, &cast, &mut networks);
    check_meeting(checked, &cast, problems);
    let scenes = scenes(checked, &cast, &networks, &mut hosts);
    match timeline::expand(seed, &cast.nodes, longest_deadline(checked), &scenes) {
        Ok(timeline) => {
            check_measured(checked, &cast.nodes, &timeline, problems);
            let checks = checked.checks.iter().map(|check| check.value.clone()).collect();
            Some(Planned { networks, nodes: cast.nodes, timeline, checks })
        }
        Err((step, error)) => {
            problems.add(Problem { help: remedy(&error), ..Problem::at(&checked.steps[step].span, error.to_string()) });
            None
        }
    }
}

fn remedy(error: &TimelineError) -> Option<String> {
    let text = match error {
        TimelineError::NoPair { .. } => "name at least two: among: [a, b]",
        TimelineError::NobodyLeft { .. } => "have churn replace or spare some of them",
        TimelineError::NothingStored => "store before: - store: {items: 60}",
        TimelineError::FewerStored { .. } => "ask for all of them: items: all",
        TimelineError::TooManyPairs => "name fewer nodes: among: [a, b]",
        TimelineError::TooManyActions | TimelineError::TooManyDraws => "take fewer nodes or items, or less time",
    };
    Some(text.to_owned())
}

fn networks(
    checked: &Checked,
    subnets: &[Ipv4Net],
    subnets6: &[Option<Network6>],
    hosts: &mut [Hosts],
) -> Vec<Network> {
    let network = |((network, &subnet), &ipv6): ((&CheckedNetwork, &Ipv4Net), &Option<Network6>)| Network {
        name: network.name.value.clone(),
        group: network.group.clone(),
        subnet,
        subnet_allocated: network.subnet.is_none(),
        gateway: Hosts::gateway(subnet),
        ipv6,
        behind: network.behind.map(|to| uplink(network, to, &mut hosts[to.0], ipv6.and(subnets6[to.0]))),
        region: network.region.clone(),
    };
    checked.networks.iter().zip(subnets).zip(subnets6).map(network).collect()
}

/// How a network is joined to `to`, whose addresses `hosts` hands out; `outer6` if both have IPv6.
fn uplink(network: &CheckedNetwork, to: NetworkIndex, hosts: &mut Hosts, outer6: Option<Network6>) -> Uplink {
    let firewall = network.ipv6.firewall.as_ref().map_or(Policy::Stateful, |firewall| firewall.value);
    let address = hosts.router();
    Uplink {
        to,
        address,
        pool: (1..network.outside_addresses()).map(|_| hosts.router()).collect(),
        forwards: Vec::new(),
        ipv6: outer6.map(|outer| Uplink6 { address: autoconfigured(outer.subnet, address), firewall }),
        nat: network.nat.clone(),
        up: network.up.clone(),
        down: network.down.clone(),
    }
}

/// Ports that always lead to nodes, whose addresses are known only now.
fn set_forwards(checked: &Checked, cast: &Cast, networks: &mut [Network]) {
    for (network, planned) in checked.networks.iter().zip(networks) {
        let Some(uplink) = &mut planned.behind else { continue };
        uplink.forwards = network
            .forwards
            .iter()
            .flat_map(|forward| {
                let to = |node: NodeIndex| SocketAddrV4::new(cast.nodes[node.0].address, forward.to);
                cast.who(checked, &forward.node).into_iter().map(move |node| Forward {
                    protocol: forward.protocol,
                    port: forward.port,
                    to: to(node),
                })
            })
            .collect();
    }
}

/// Every node, and where to find it.
struct Cast {
    nodes: Vec<NodePlan>,
    /// Per group its first node.
    groups: Vec<usize>,
    /// Per retrieve step with fresh nodes: those.
    fresh: Vec<Vec<NodeIndex>>,
    /// Per network the ambassadors that its nodes reach: those on the way to the internet.
    reach: Vec<Vec<NodeIndex>>,
}

impl Cast {
    fn new(checked: &Checked, needs: &[Need], fresh_steps: usize, hosts: &mut [Hosts]) -> Self {
        let mut cast = Cast { nodes: Vec::new(), groups: Vec::new(), fresh: Vec::new(), reach: Vec::new() };
        for group in &checked.groups {
            cast.groups.push(cast.nodes.len());
            for number in 1..=group.size() {
                let name = match group.count {
                    Some(_) => format!("{}-{number}", group.name.value),
                    None => group.name.value.clone(),
                };
                let network = group.network_of(number - 1);
                cast.nodes.push(NodePlan {
                    name,
                    group: group.name.value.clone(),
                    network,
                    address: hosts[network.0].node(),
                    address6: None,
                    ambassador: group.ambassador,
                    join: Vec::new(),
                    settings: group.settings.clone(),
                    from_start: true,
                });
            }
        }
        for step in 1..=fresh_steps {
            cast.add_fresh(checked, needs, step, hosts);
        }
        cast.meet(checked);
        cast
    }

    /// One more node on each network that has any.
    fn add_fresh(&mut self, checked: &Checked, needs: &[Need], step: usize, hosts: &mut [Hosts]) {
        let prefix = if step == 1 { FRESH.to_owned() } else { format!("{FRESH}{step}") };
        let inhabited = needs.iter().enumerate().filter(|(_, need)| need.nodes > 0);
        let mut added = Vec::new();
        for (network, _) in inhabited {
            added.push(NodeIndex(self.nodes.len()));
            self.nodes.push(NodePlan {
                name: format!("{prefix}-{}", checked.networks[network].name.value),
                group: FRESH.to_owned(),
                network: NetworkIndex(network),
                address: hosts[network].node(),
                address6: None,
                ambassador: false,
                join: Vec::new(),
                settings: checked.settings.clone(),
                from_start: false,
            });
        }
        self.fresh.push(added);
    }

    /// Tells every node of ambassadors.
    fn meet(&mut self, checked: &Checked) {
        let mut here = vec![Vec::new(); checked.networks.len()];
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.ambassador) {
            here[node.network.0].push(NodeIndex(index));
        }
        // Outer networks come first, so theirs are known.
        for (index, own) in here.into_iter().enumerate() {
            let outside = checked.networks[index].behind.map(|outer| self.reach[outer.0].clone()).unwrap_or_default();
            self.reach.push(own.into_iter().chain(outside).collect());
        }
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let reach = &self.reach[node.network.0];
            let begin = if reach.len() > AMBASSADORS_TOLD { index % reach.len() } else { 0 };
            let others = reach[begin..].iter().chain(&reach[..begin]).copied();
            node.join = others.filter(|ambassador| ambassador.0 != index).take(AMBASSADORS_TOLD).collect();
        }
    }

    /// The nodes that a name stands for, in order.
    fn who(&self, checked: &Checked, who: &Who) -> Vec<NodeIndex> {
        let of_group = |group: usize| self.groups[group]..self.groups[group] + checked.groups[group].size() as usize;
        match who {
            Who::All => (0..self.nodes.len()).map(NodeIndex).collect(),
            // Which fresh ones depends on the step: see `scenes`.
            Who::Fresh => Vec::new(),
            Who::Networks(networks) => {
                let here = self.nodes.iter().enumerate().filter(|(_, node)| networks.contains(node.network));
                here.map(|(index, _)| NodeIndex(index)).collect()
            }
            Who::Group(group) => of_group(*group).map(NodeIndex).collect(),
            Who::Node(group, number) => vec![NodeIndex(of_group(*group).start + *number as usize)],
        }
    }

    fn all_of(&self, checked: &Checked, names: &[Who]) -> BTreeSet<NodeIndex> {
        names.iter().flat_map(|who| self.who(checked, who)).collect()
    }
}

fn scenes(checked: &Checked, cast: &Cast, networks: &[Network], hosts: &mut [Hosts]) -> Vec<Scene> {
    let mut fresh = cast.fresh.iter();
    let mut uplinks = Uplinks::new(networks, hosts);
    checked
        .steps
        .iter()
        .map(|step| {
            let fresh: &[NodeIndex] = if step.asks_fresh() { fresh.next().map_or(&[], Vec::as_slice) } else { &[] };
            let kind = scene(checked, cast, &mut uplinks, step, fresh);
            Scene { title: title(checked, step, &kind), kind, line: step.line }
        })
        .collect()
}

/// Each of them once, in the order of the plan.
fn all(networks: &[NetworkRange]) -> BTreeSet<NetworkIndex> {
    networks.iter().flat_map(|networks| networks.iter()).collect()
}

fn scene(
    checked: &Checked,
    cast: &Cast,
    uplinks: &mut Uplinks<'_>,
    step: &CheckedStep,
    fresh: &[NodeIndex],
) -> SceneKind {
    match &step.verb {
        Verb::Rebind { networks, same_address } => SceneKind::Networks {
            verb: "rebind",
            acts: all(networks).into_iter().map(|network| uplinks.rebind(network, *same_address)).collect(),
        },
        Verb::Link { networks, link } => SceneKind::Networks {
            verb: "link",
            acts: all(networks).into_iter().map(|network| uplinks.change(network, link)).collect(),
        },
        Verb::Join { within } => SceneKind::Join { within: *within },
        Verb::Settle { time } => SceneKind::Settle { time: *time },
        Verb::Check { checks } => SceneKind::Check { checks: checks.iter().map(|check| check.value.clone()).collect() },
        Verb::Store { items, sizes, from } => SceneKind::Store(Store {
            items: *items,
            sizes: (sizes.least, sizes.most),
            from: cast.all_of(checked, from).into_iter().collect(),
            whom: names(checked, from),
        }),
        Verb::Churn { time, die, graceful, replace, only, spare } => {
            let spared = cast.all_of(checked, spare);
            SceneKind::Churn(Churn {
                time: *time,
                die: *die,
                graceful: *graceful,
                replace: *replace,
                among: cast.all_of(checked, only).difference(&spared).copied().collect(),
            })
        }
        Verb::Cross { within, pairs, among } => SceneKind::Cross(Cross {
            among: cast.all_of(checked, among).into_iter().collect(),
            whom: names(checked, among),
            pairs: *pairs,
            within: *within,
        }),
        Verb::Retrieve { items, from } => {
            let mut askers = Vec::new();
            for who in from {
                match who {
                    Who::Fresh => askers.extend(fresh.iter().map(|&node| Asker::Fresh { node })),
                    who => askers.push(Asker::OneOf { whom: name(checked, who), nodes: cast.who(checked, who) }),
                }
            }
            let items = match items {
                Items::All => None,
                Items::Some(count) => Some(*count),
            };
            SceneKind::Retrieve(Retrieve { items, askers })
        }
    }
}

fn title(checked: &Checked, step: &CheckedStep, kind: &SceneKind) -> String {
    match &step.verb {
        Verb::Join { within } => format!("join within {}", Time(*within)),
        Verb::Settle { time } => format!("settle for {}", Time(*time)),
        Verb::Rebind { networks, same_address } => {
            let whom: Vec<Who> = networks.iter().map(|&network| Who::Networks(network)).collect();
            let which = if *same_address { "keep their addresses" } else { "get new addresses" };
            format!("rebind: the NATs of {} forget every mapping and {which}", names(checked, &whom))
        }
        Verb::Link { networks, .. } => {
            let whom: Vec<Who> = networks.iter().map(|&network| Who::Networks(network)).collect();
            format!("the links of {} become {}", names(checked, &whom), new_links(kind))
        }
        Verb::Check { checks } => {
            let texts: Vec<&str> = checks.iter().map(|check| check.value.text.as_str()).collect();
            format!("check {}", texts.join(", "))
        }
        Verb::Store { items, sizes, from } => {
            format!("store {items} items of {sizes} from {}", names(checked, from))
        }
        Verb::Churn { time, die, graceful, replace, only, spare } => {
            let spared = if spare.is_empty() { String::new() } else { format!(" but {}", names(checked, spare)) };
            let graceful =
                if *graceful > 0.0 { format!(", {} of them in good order", Share(*graceful)) } else { String::new() };
            let after = match replace {
                Replace::Fresh => "new ones take their places",
                Replace::Same => "they come back",
                Replace::None => "nothing takes their places",
            };
            let (time, die, only) = (Time(*time), Share(*die), names(checked, only));
            format!("churn for {time}: {die} of {only}{spared} die each second{graceful}; {after}")
        }
        Verb::Cross { within, pairs, among } => {
            let pairs = pairs.map_or("all".to_owned(), |count| count.to_string());
            format!("cross: link {pairs} pairs of each two of {} within {}", names(checked, among), Time(*within))
        }
        Verb::Retrieve { items, from } => {
            let items = match items {
                Items::All => "all".to_owned(),
                Items::Some(count) => count.to_string(),
            };
            format!("retrieve {items} items from {}", names(checked, from))
        }
    }
}

/// How links are after a step, if all are alike.
fn new_links(kind: &SceneKind) -> String {
    let SceneKind::Networks { acts, .. } = kind else { return String::new() };
    let link = |act: &Act| match act {
        Act::SetLink { up, down, .. } => Some(describe::link(up, down)),
        _ => None,
    };
    let mut links: Vec<String> = acts.iter().filter_map(link).collect();
    links.dedup();
    if let [alike] = &mut links[..] { std::mem::take(alike) } else { "others, each of its own".to_owned() }
}

fn name(checked: &Checked, who: &Who) -> String {
    match who {
        Who::All => "all".to_owned(),
        Who::Fresh => FRESH.to_owned(),
        Who::Networks(networks) => {
            let first = &checked.networks[networks.first.0];
            if networks.count == 1 { first.name.value.clone() } else { first.group.clone() }
        }
        Who::Group(group) => checked.groups[*group].name.value.clone(),
        Who::Node(group, number) => format!("{}-{}", checked.groups[*group].name.value, number + 1),
    }
}

fn names(checked: &Checked, all: &[Who]) -> String {
    let shown: Vec<String> = all.iter().take(NAMES_SHOWN).map(|who| name(checked, who)).collect();
    let more = if all.len() > NAMES_SHOWN { ", …" } else { "" };
    shown.join(", ") + more
}

/// The longest after which a node gives a put or get up.
fn longest_deadline(checked: &Checked) -> Duration {
    let deadline = |settings: &[(String, String)]| {
        let mut config = Config::default();
        for (key, value) in settings {
            config.set(key, value).expect("settings were checked");
        }
        config.deadline
    };
    let groups = checked.groups.iter().map(|group| deadline(&group.settings));
    groups.fold(deadline(&checked.settings), Duration::max)
}

/// A join step can only succeed if every network's nodes hear of all others: through ambassadors beyond their own LAN.
fn check_meeting(checked: &Checked, cast: &Cast, problems: &mut Problems) {
    let Some(join) = checked.steps.iter().find(|step| matches!(step.verb, Verb::Join { .. })) else { return };
    let inhabited: BTreeSet<NetworkIndex> = cast.nodes.iter().map(|node| node.network).collect();
    // Networks whose nodes can meet, by the least of their indices.
    let mut met: Vec<usize> = (0..checked.networks.len()).collect();
    for (network, reach) in
        cast.reach.iter().enumerate().filter(|(network, _)| inhabited.contains(&NetworkIndex(*network)))
    {
        for ambassador in reach {
            let (a, b) = (met[network], met[cast.nodes[ambassador.0].network.0]);
            let (least, other) = (a.min(b), a.max(b));
            met.iter_mut().filter(|set| **set == other).for_each(|set| *set = least);
        }
    }
    let mut apart =
        inhabited.iter().filter(|network| met[network.0] != met[inhabited.first().map_or(0, |first| first.0)]);
    if let (Some(first), Some(other)) = (inhabited.first(), apart.next()) {
        let label = |network: &NetworkIndex| quoted(&checked.networks[network.0].name.value);
        problems.add(
            Problem::at(
                &join.span,
                format!("nodes on {} and on {} can never meet, so this join cannot end", label(first), label(other)),
            )
            .label("would run into its time limit")
            .related(
                &checked.networks[other.0].name.span,
                "no ambassador is on a way out of here that the others reach too",
            )
            .help("put an ambassador on the internet: {on: internet, ambassador: true}"),
        );
    }
}

/// What the steps so far have made measurable.
#[derive(Default)]
struct Measurable {
    stored: bool,
    /// Networks that asked, with those whose items were asked for.
    asked: BTreeSet<(NetworkIndex, NetworkIndex)>,
    /// Node groups of pairs that were linked, either way round.
    linked: BTreeSet<(String, String)>,
}

impl Measurable {
    fn see(&mut self, step: &Step, nodes: &[NodePlan], items: &[Item]) {
        for action in &step.actions {
            match action.act {
                Act::Put { .. } => self.stored = true,
                Act::Get { item, node } => {
                    let by = items[item.0].by;
                    self.asked.insert((nodes[node.0].network, nodes[by.0].network));
                }
                Act::Link { node, peer, .. } => {
                    let (a, b) = (&nodes[node.0].group, &nodes[peer.0].group);
                    self.linked.extend([(a.clone(), b.clone()), (b.clone(), a.clone())]);
                }
                _ => {}
            }
        }
    }

    /// Why a check could not be evaluated.
    fn lacks(&self, check: &Check) -> Option<&'static str> {
        match &check.measure {
            Measure::Persistence | Measure::Stored | Measure::Copies if !self.stored => {
                Some("nothing is stored before")
            }
            Measure::RetrievalLatency { .. } | Measure::RetrievalMessages | Measure::RetrievalWorstCell
                if self.asked.is_empty() =>
            {
                Some("nothing is retrieved before")
            }
            Measure::Retrieval { from, to } => {
                let fits = |(f, t): &(NetworkIndex, NetworkIndex)| {
                    from.is_none_or(|from| from.contains(*f)) && to.is_none_or(|to| to.contains(*t))
                };
                match (self.asked.iter().any(fits), from, to) {
                    (true, ..) => None,
                    (false, None, None) => Some("nothing is retrieved before"),
                    (false, Some(_), None) => Some("nobody on that network retrieves anything"),
                    (false, None, Some(_)) => Some("no item that is retrieved was stored from that network"),
                    (false, Some(_), Some(_)) => {
                        Some("the one network retrieves no item that was stored from the other")
                    }
                }
            }
            Measure::Linked { from, to, .. } => {
                let is = |name: &Option<String>, group: &String| name.as_ref().is_none_or(|name| name == group);
                let any = self.linked.iter().any(|(a, b)| is(from, a) && is(to, b));
                (!any).then_some("no such pair of nodes is linked by a cross step before")
            }
            Measure::LinkedWorstCell { .. } | Measure::LinkedAfter { .. } if self.linked.is_empty() => {
                Some("no nodes are linked by a cross step before")
            }
            _ => None,
        }
    }
}

/// A check of what never happens could only mislead.
fn check_measured(checked: &Checked, nodes: &[NodePlan], timeline: &Timeline, problems: &mut Problems) {
    let mut seen = Measurable::default();
    let mut judge = |seen: &Measurable, checks: &[Spanned<Check>]| {
        for check in checks {
            if let Some(why) = seen.lacks(&check.value) {
                problems.add(
                    Problem::at(&check.span, format!("{} measures nothing: {why}", quoted(&check.value.text)))
                        .help("remove the check, or add the step that it is about"),
                );
            }
        }
    };
    for (step, planned) in checked.steps.iter().zip(&timeline.steps) {
        seen.see(planned, nodes, &timeline.items);
        if let Verb::Check { checks } = &step.verb {
            judge(&seen, checks);
        }
    }
    judge(&seen, &checked.checks);
}
