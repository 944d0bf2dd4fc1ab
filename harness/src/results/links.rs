//! How links ran, by network, when last sampled.

use std::sync::Arc;

use serde::Serialize;

use crate::metrics::series::{Scrape, Source};
use crate::plan::{NetworkRange, Plan};

/// Links of one network's nodes, by how they ran.
#[derive(Clone, Debug, Serialize)]
pub struct Links {
    /// Whose nodes.
    pub network: String,
    /// Nodes that told.
    pub nodes: usize,
    /// Within the LAN.
    pub lan: u64,
    /// Dialled as told.
    pub direct: u64,
    /// Through a port that a NAT was asked to forward.
    pub mapped: u64,
    /// Punched through NATs.
    pub punched: u64,
    /// To a port that was predicted.
    pub predicted: u64,
    /// Through a relay.
    pub relayed: u64,
}

/// Of every network whose nodes told.
pub(crate) fn links(plan: &Plan, scrapes: &[Scrape]) -> Vec<Links> {
    let of = |(name, networks): (&str, NetworkRange)| {
        let here = |scrape: &&Scrape| match scrape.source {
            Source::Node(node) => networks.contains(plan.node(node).network),
            Source::Router(_) => false,
        };
        let scrapes: Vec<&Scrape> = scrapes.iter().filter(here).collect();
        let count = |path: &str| scrapes.iter().map(|scrape| links_by(scrape, path)).sum::<f64>() as u64;
        Links {
            network: name.to_owned(),
            nodes: scrapes.len(),
            lan: count("lan"),
            direct: count("direct"),
            mapped: count("mapped"),
            punched: count("punched"),
            predicted: count("predicted"),
            relayed: count("relayed"),
        }
    };
    plan.network_groups().into_iter().map(of).filter(|links| links.nodes > 0).collect()
}

fn links_by(scrape: &Scrape, path: &str) -> f64 {
    let by_path = |(name, value): &(Arc<str>, Arc<str>)| &**name == "path" && &**value == path;
    let links =
        scrape.series.iter().filter(|series| &*series.name == "butter_links" && series.labels.iter().any(by_path));
    links.map(|series| series.value).sum()
}
