//! How many addresses each network needs.

use super::{GroupModel, NetworkModel};
use crate::plan::NetworkIndex;

/// What a network needs of its subnet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AddressNeed {
    /// Nodes, with those that join for retrieve steps.
    pub(crate) nodes: u64,
    /// Routers of networks behind it.
    pub(crate) routers: u64,
    /// Nodes that move there, each as often as it does.
    pub(crate) arrivals: u64,
}

impl AddressNeed {
    /// Addresses that hosts have, the own router included.
    pub(crate) fn hosts(self) -> u64 {
        self.nodes + self.arrivals + self.routers + 1
    }
}

/// What each network needs, in their order.
pub(crate) fn needs(networks: &[NetworkModel], groups: &[GroupModel], fresh_steps: u64) -> Vec<AddressNeed> {
    let mut needs = vec![AddressNeed::default(); networks.len()];
    for group in groups {
        let Some(networks) = group.networks else { continue };
        let (each, more) = (group.size() / networks.count as u64, group.size() % networks.count as u64);
        for (number, NetworkIndex(network)) in networks.iter().enumerate() {
            let here = each + u64::from((number as u64) < more);
            needs[network].nodes = needs[network].nodes.saturating_add(here.saturating_mul(group.identities));
        }
    }
    for need in needs.iter_mut().filter(|need| need.nodes > 0) {
        need.nodes = need.nodes.saturating_add(fresh_steps);
    }
    for (network, need) in networks.iter().zip(&mut needs) {
        need.arrivals = network.arrivals;
    }
    for network in networks {
        if let Some(NetworkIndex(outer)) = network.behind {
            needs[outer].routers += network.outside_addresses() * (1 + network.rebinds);
        }
    }
    needs
}

impl NetworkModel {
    /// Addresses that its router has outside at a time.
    pub(crate) fn outside_addresses(&self) -> u64 {
        self.nat.as_ref().map_or(1, |nat| u64::from(nat.pool))
    }
}
