//! The program of a hostile node: a node of this testbed's own build with an adversary before its network.
//!
//! It takes the place of `butter` in a namespace or container. Hostile nodes of a run know each other: their keys follow from the
//! run's seed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context;
use butter::Node;
use butter::api::StoragePlace;
use butter::app::{Identity, NodeBuilder};
use butter::config::NodeConfig;
use butter::core::config::Config;
use butter::core::identity::NodeId;
use butter::core::random::child;
use butter::driver::api::{ApiAddress, ApiSettings, TOKEN_VARIABLE};
use butter::overlay::data::DataOverlay;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::adversary::{Adversary, Behaviour};
use crate::plan::{API_PORT, NODE_PORT, NodeIndex, Plan};

/// The program's hidden command that runs a hostile node.
pub(crate) const COMMAND: &str = "adversary";

/// A hostile node, in the words of [`COMMAND`]'s argument (JSON).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostileNode {
    behaviours: Vec<Behaviour>,
    /// Decides the keys of all hostile nodes of the run, by their numbers.
    seed: u64,
    /// The number of this node.
    number: usize,
    /// The numbers of all of them, with how many identities each has.
    all: Vec<(usize, u64)>,
    /// Of the first identity; those of the others follow it.
    listen: SocketAddr,
    api: SocketAddr,
    join: Vec<SocketAddr>,
    settings: Vec<(String, String)>,
    store: Option<PathBuf>,
    blocks_in_memory: bool,
    ambassador: bool,
}

impl HostileNode {
    /// What `node` is to run as, if it is hostile. The control API listens on `api`.
    pub(super) fn of(plan: &Plan, index: NodeIndex, api: Ipv4Addr, store: Option<&str>) -> Option<Self> {
        let node = plan.node(index);
        if node.behaviours.is_empty() {
            return None;
        }
        let any =
            if node.address6.is_some() { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { Ipv4Addr::UNSPECIFIED.into() };
        let hostile = plan.nodes.iter().enumerate().filter(|(_, node)| !node.behaviours.is_empty());
        Some(HostileNode {
            behaviours: node.behaviours.clone(),
            seed: plan.seed,
            number: index.0,
            all: hostile.map(|(number, node)| (number, node.identities)).collect(),
            listen: SocketAddr::new(any, NODE_PORT),
            api: SocketAddr::new(api.into(), API_PORT),
            join: plan.join_addresses(node).into_iter().map(SocketAddr::V4).collect(),
            settings: node.settings.clone(),
            store: store.map(PathBuf::from),
            blocks_in_memory: node.store == StoragePlace::Memory,
            ambassador: node.ambassador,
        })
    }

    /// One of the identities of a hostile node, counted from 0.
    fn identity_of(&self, number: usize, which: u64) -> Identity {
        let mut seed = [0; 32];
        child(self.seed ^ which << 32, number as u64).fill_bytes(&mut seed);
        Identity::from_seed(&seed)
    }

    /// How many identities this node has.
    fn identities(&self) -> u64 {
        self.all.iter().find(|(number, _)| *number == self.number).map_or(1, |(_, count)| *count)
    }

    fn adversary(&self, which: u64) -> Adversary {
        let each = self.all.iter().flat_map(|&(number, count)| (0..count).map(move |which| (number, which)));
        let allies: Vec<NodeId> = each.map(|(number, which)| self.identity_of(number, which).id()).collect();
        let me = self.identity_of(self.number, which).id();
        Adversary::new(me, &self.behaviours, &allies, self.seed ^ self.number as u64 ^ which << 32)
    }

    /// A node under one of the identities, on a port of its own.
    fn node_as(&self, which: u64) -> anyhow::Result<NodeBuilder<DataOverlay>> {
        let mut listen = self.listen;
        listen.set_port(self.listen.port() + u16::try_from(which).context("an identity too many")?);
        let node = Node::builder().config(self.config()?).listen(listen);
        Ok(node.identity(self.identity_of(self.number, which)).interpose(self.adversary(which)))
    }

    fn config(&self) -> anyhow::Result<NodeConfig> {
        let mut config = NodeConfig::from(Config { ambassador: self.ambassador, ..Config::default() });
        for (key, value) in &self.settings {
            config.set(key, value)?;
        }
        config.core_mut().join.extend(&self.join);
        Ok(config)
    }

    async fn run(self) -> anyhow::Result<()> {
        let token = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
        let mut node =
            self.node_as(0)?.api(ApiSettings { address: ApiAddress::Tcp(self.api), token, start_paused: true });
        for which in 1..self.identities() {
            // It begins once the first one does, which the run starts.
            let other = self.node_as(which)?;
            node = node.client(move |_| async move {
                if let Err(why) = other.run().await {
                    eprintln!("identity {which} has ended: {why:#}");
                }
            });
        }
        if let Some(folder) = self.store {
            node = node.store(folder);
            if self.blocks_in_memory {
                node = node.blocks_in_memory();
            }
        }
        node.run().await.context("running a hostile node")
    }
}

/// What the command [`COMMAND`] does.
pub(crate) fn main(node: &str) -> anyhow::Result<()> {
    let node: HostileNode = serde_json::from_str(node).context("reading what a hostile node is")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
    runtime.block_on(node.run())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::builder::PlanBuilder;

    fn plan() -> Plan {
        let mut builder = PlanBuilder::new(7).with("heartbeat", "1s");
        let ambassador = builder.ambassador();
        for _ in 0..3 {
            builder.node_joining(PlanBuilder::INTERNET, vec![ambassador]);
        }
        let mut plan = builder.into_plan();
        for node in &mut plan.nodes[2..] {
            node.behaviours = vec![Behaviour::Drop, Behaviour::StealViews];
        }
        plan.nodes[3].identities = 4;
        plan
    }

    #[test]
    fn a_hostile_node_survives_its_way_to_the_program() {
        let plan = plan();
        assert_eq!(HostileNode::of(&plan, NodeIndex(1), Ipv4Addr::LOCALHOST, None), None);
        let node = HostileNode::of(&plan, NodeIndex(2), Ipv4Addr::LOCALHOST, Some("/store")).unwrap();
        let text = serde_json::to_string(&node).unwrap();
        assert_eq!(serde_json::from_str::<HostileNode>(&text).unwrap(), node);
        assert_eq!(node.config().unwrap().core.join.len(), 1);
    }

    #[test]
    fn hostile_nodes_know_each_other_and_are_different() {
        let plan = plan();
        let [first, second] =
            [2, 3].map(|node| HostileNode::of(&plan, NodeIndex(node), Ipv4Addr::LOCALHOST, None).unwrap());
        assert_eq!(first.all, [(2, 1), (3, 4)]);
        assert_eq!((first.identities(), second.identities()), (1, 4));
        assert_eq!(first.identity_of(3, 0).id(), second.identity_of(second.number, 0).id());
        assert_ne!(first.identity_of(2, 0).id(), first.identity_of(3, 0).id());
        assert_ne!(second.identity_of(3, 0).id(), second.identity_of(3, 3).id());
    }
}
