//! Whether this machine has room for a plan, asked before anything is created.

use std::fs;

use butter_cli::chain;
use nix::sys::resource::{Resource, getrlimit};

use crate::plan::{NetworkIndex, Plan};

/// Ports of a Linux bridge (`BR_MAX_PORTS` in net/bridge/br_private.h, less the one that is never given).
const BRIDGE_PORTS: usize = 1_023;
/// Ports of a bridge that are not for nodes: the router's, and that of the host which probes it.
const BRIDGE_PORTS_TAKEN: usize = 2;
/// Memory that a node takes at rest, with its network namespace. What it stores comes on top.
const NODE_BYTES: u64 = 12 << 20;
/// Memory that a router takes.
const ROUTER_BYTES: u64 = 10 << 20;
/// Descriptors for a node or router: namespace, log, output, two connections.
const DESCRIPTORS_EACH: u64 = 6;
/// Descriptors for everything else of this process.
const DESCRIPTORS_BASE: u64 = 128;

/// What this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineRoom {
    /// Bytes that new processes can get; `None` where the system does not tell.
    pub memory: Option<u64>,
    /// Descriptors that this process may have open; `None` where the system does not tell.
    pub descriptors: Option<u64>,
}

/// What of this machine is too small for a plan. Nothing was created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapacityError {
    /// A bridge has fewer ports than a network has nodes.
    #[error("network `{network}` has {nodes} nodes, and a Linux bridge connects at most {most}")]
    Bridge {
        /// Name of the network.
        network: String,
        /// Nodes that the plan puts there.
        nodes: usize,
        /// Most nodes of a network.
        most: usize,
    },
    /// The processes would not fit into the memory that is free.
    #[error("{processes} nodes and routers need about {} MiB of memory, and {} MiB are free", .needed >> 20, .free >> 20)]
    Memory {
        /// Nodes and routers.
        processes: usize,
        /// Bytes that they need, about.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// This process may not have enough descriptors.
    #[error("{processes} nodes and routers need about {needed} open files, and this process may open {most}")]
    Descriptors {
        /// Nodes and routers.
        processes: usize,
        /// Descriptors that they need, about.
        needed: u64,
        /// Descriptors that this process may have.
        most: u64,
    },
}

impl CapacityError {
    /// What the user can do about it.
    pub fn remedy(&self) -> String {
        match self {
            CapacityError::Bridge { .. } => "Spread the nodes over more networks, or use the backend sim.".to_owned(),
            CapacityError::Memory { .. } => {
                "Use fewer nodes, end other programs, or use the backend sim, which takes about 60 KiB for a node."
                    .to_owned()
            }
            CapacityError::Descriptors { needed, .. } => {
                format!("Raise the limit: ulimit -n {}; or use the backend sim.", needed.next_power_of_two())
            }
        }
    }
}

impl MachineRoom {
    /// What there is now.
    pub fn look() -> Self {
        let memory = match fs::read_to_string("/proc/meminfo") {
            Ok(text) => available_bytes(&text),
            Err(error) => {
                tracing::debug!("/proc/meminfo cannot be read: {}", chain::one_line(&error));
                None
            }
        };
        // Backends raise the soft limit to the hard one.
        MachineRoom { memory, descriptors: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(_, hard)| hard) }
    }

    /// Most nodes that fit, each alone with its share of nothing else.
    pub fn nodes(&self) -> Option<u64> {
        let by_memory = self.memory.map(|memory| memory / NODE_BYTES);
        let by_descriptors =
            self.descriptors.map(|descriptors| descriptors.saturating_sub(DESCRIPTORS_BASE) / DESCRIPTORS_EACH);
        [by_memory, by_descriptors].into_iter().flatten().min()
    }

    /// Whether a plan fits.
    ///
    /// # Errors
    /// With the first thing of which there is too little.
    pub fn check(&self, plan: &Plan) -> Result<(), CapacityError> {
        let mut nodes = vec![0; plan.networks.len()];
        for node in &plan.nodes {
            let NetworkIndex(network) = node.network;
            nodes[network] += 1;
        }
        let most = BRIDGE_PORTS - BRIDGE_PORTS_TAKEN;
        if let Some((network, nodes)) = plan.networks.iter().zip(nodes).find(|(_, nodes)| *nodes > most) {
            return Err(CapacityError::Bridge { network: network.name.clone(), nodes, most });
        }
        let (nodes, routers) = (plan.nodes.len() as u64, plan.networks.len() as u64);
        let processes = plan.nodes.len() + plan.networks.len();
        let needed = nodes * NODE_BYTES + routers * ROUTER_BYTES;
        if let Some(free) = self.memory.filter(|free| *free < needed) {
            return Err(CapacityError::Memory { processes, needed, free });
        }
        let needed = DESCRIPTORS_BASE + (nodes + routers) * DESCRIPTORS_EACH;
        match self.descriptors.filter(|most| *most < needed) {
            Some(most) => Err(CapacityError::Descriptors { processes, needed, most }),
            None => Ok(()),
        }
    }
}

/// The line `MemAvailable` of `/proc/meminfo` (proc(5)), which is in KiB.
fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::builder::PlanBuilder;

    const AMPLE: MachineRoom = MachineRoom { memory: Some(1 << 40), descriptors: Some(1 << 20) };

    fn plan(nodes: usize) -> Plan {
        let mut builder = PlanBuilder::empty("large", 1);
        let network = builder.network_named("lan", "10.0.0.0/16", None);
        for index in 0..nodes as u32 {
            let address = std::net::Ipv4Addr::from(0x0A00_000A + index);
            builder.node_named(&format!("n-{index}"), network, address);
        }
        builder.into_plan()
    }

    #[test]
    fn a_plan_that_fits_is_let_through() {
        AMPLE.check(&plan(1_021)).unwrap();
        assert!(MachineRoom::look().nodes().is_some_and(|nodes| nodes > 0));
        MachineRoom { memory: None, descriptors: None }.check(&plan(50)).unwrap();
    }

    #[test]
    fn what_is_too_small_is_named_with_a_remedy() {
        let most = AMPLE.check(&plan(1_022)).unwrap_err();
        assert_eq!(most.to_string(), "network `lan` has 1022 nodes, and a Linux bridge connects at most 1021");
        let memory = MachineRoom { memory: Some(64 << 20), ..AMPLE }.check(&plan(10)).unwrap_err();
        assert_eq!(memory.to_string(), "11 nodes and routers need about 130 MiB of memory, and 64 MiB are free");
        let files = MachineRoom { descriptors: Some(150), ..AMPLE }.check(&plan(10)).unwrap_err();
        assert_eq!(files.to_string(), "11 nodes and routers need about 194 open files, and this process may open 150");
        assert!(files.remedy().contains("ulimit -n 256"), "{}", files.remedy());
    }

    #[test]
    fn available_memory_is_read_from_its_line() {
        assert_eq!(available_bytes("MemTotal: 100 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
        assert_eq!(available_bytes("MemTotal: 100 kB\n"), None);
    }
}
