//! Steps in words.

use super::describe;
use crate::plan::Act;
use crate::timeline::{Replace, SceneKind};
use crate::topology::check::{Checked, CheckedStep, FRESH, NodeSelector, Verb};
use crate::topology::raw::step::Items;
use crate::topology::units::{Share, Time};

/// Most names in a title.
const NAMES_SHOWN: usize = 6;

/// What a step does, in one line.
pub(crate) fn title(checked: &Checked, step: &CheckedStep, kind: &SceneKind) -> String {
    match &step.verb {
        Verb::Join { within } => format!("join within {}", Time(*within)),
        Verb::Settle { time } => format!("settle for {}", Time(*time)),
        Verb::Rebind { networks, same_address } => {
            let whom: Vec<NodeSelector> = networks.iter().map(|&network| NodeSelector::Networks(network)).collect();
            let which = if *same_address { "keep their addresses" } else { "get new addresses" };
            format!("rebind: the NATs of {} forget every mapping and {which}", names(checked, &whom))
        }
        Verb::Link { networks, .. } => {
            let whom: Vec<NodeSelector> = networks.iter().map(|&network| NodeSelector::Networks(network)).collect();
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

/// What the file calls these nodes.
pub(crate) fn name(checked: &Checked, who: &NodeSelector) -> String {
    match who {
        NodeSelector::All => "all".to_owned(),
        NodeSelector::Fresh => FRESH.to_owned(),
        NodeSelector::Networks(networks) => {
            let first = &checked.networks[networks.first.0];
            if networks.count == 1 { first.name.value.clone() } else { first.group.clone() }
        }
        NodeSelector::Group(group) => checked.groups[*group].name.value.clone(),
        NodeSelector::Node(group, number) => format!("{}-{}", checked.groups[*group].name.value, number + 1),
    }
}

/// The same of several; of many only the first.
pub(crate) fn names(checked: &Checked, all: &[NodeSelector]) -> String {
    let shown: Vec<String> = all.iter().take(NAMES_SHOWN).map(|who| name(checked, who)).collect();
    let more = if all.len() > NAMES_SHOWN { ", …" } else { "" };
    shown.join(", ") + more
}
