//! Nodes that come to another network.

use std::net::Ipv4Addr;

use super::ipv6::Home;
use super::{Host, Networks, NodeSlot};

impl Networks {
    /// Takes a node to another network: to an address there, and if it has a label there, from one label to another.
    pub(in crate::sim) fn move_host(
        &mut self,
        slot: NodeSlot,
        networks: (usize, usize),
        address: Ipv4Addr,
        labels: (Option<u32>, Option<u32>),
    ) {
        let (from, to) = networks;
        self.networks[from].hosts.retain(|(_, host)| !matches!(host, Host::Node(here) if *here == slot));
        let hosts = &mut self.networks[to].hosts;
        let place = hosts.partition_point(|&(other, _)| other < address);
        hosts.insert(place, (address, Host::Node(slot)));
        labels.0.into_iter().for_each(|label| self.homes[label as usize] = None);
        labels.1.into_iter().for_each(|label| self.homes[label as usize] = Some(Home { network: to as u32, slot }));
    }
}
