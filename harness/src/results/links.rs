//! Links of nodes by network and path, as of the last sample of their metrics.

use std::sync::Arc;

use serde::Serialize;

use crate::plan::{NetworkRange, NodePlaces, Plan};
use crate::series::{Scrape, Source};

/// An entry of `links` in `result.json`: link ends of one network's nodes, by path.
#[derive(Clone, Debug, Serialize)]
pub struct NetworkLinks {
    /// Name of the network, or of all networks that one entry of the file stands for.
    pub network: String,
    /// Nodes of the network whose metrics were sampled.
    pub nodes: usize,
    /// Link ends within the LAN.
    pub lan: u64,
    /// Link ends to an address that the peer has itself.
    pub direct: u64,
    /// Link ends through a port that a NAT was asked to forward.
    pub mapped: u64,
    /// Link ends by simultaneous hole punching.
    pub punched: u64,
    /// Link ends by hole punching to predicted ports.
    pub predicted: u64,
    /// Link ends through a relay.
    pub relayed: u64,
}

/// Links of every network whose nodes were sampled, each counted where it is at the end.
pub(super) fn links(plan: &Plan, places: &NodePlaces, scrapes: &[Scrape]) -> Vec<NetworkLinks> {
    let of = |(name, networks): (&str, NetworkRange)| {
        let here = |scrape: &&Scrape| match scrape.source {
            Source::Node(node) => networks.contains(places.network(&plan.nodes, node)),
            Source::Router(_) => false,
        };
        let scrapes: Vec<&Scrape> = scrapes.iter().filter(here).collect();
        let count = |path: &str| scrapes.iter().map(|scrape| links_by(scrape, path)).sum::<f64>() as u64;
        NetworkLinks {
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
