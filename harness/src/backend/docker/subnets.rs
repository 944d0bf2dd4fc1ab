//! Which subnets this host can give to a run: not those of the engine's other networks, nor of the host's own routes.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;

use anyhow::Context;
use bollard::Docker;
use bollard::query_parameters::ListNetworksOptions;
use ipnet::Ipv4Net;

use crate::plan::{NetworkIndex, Plan};

/// Where a public network is moved to: the range for benchmarks (RFC 2544), which is routed nowhere.
const PUBLIC_POOL: [&str; 1] = ["198.18.0.0/15"];
/// Where a private network is moved to (RFC 1918), least used ranges first.
const PRIVATE_POOL: [&str; 4] = ["10.64.0.0/10", "10.128.0.0/9", "172.16.0.0/12", "192.168.0.0/16"];
/// Prefix of the management network unless the routers need more room.
const MANAGEMENT_PREFIX: u8 = 24;
/// Routes with a shorter prefix lead to the internet, not to a network: VPNs write the default route as two halves or more.
const ROUTE_PREFIX_MIN: u8 = 8;
/// The engine takes three addresses of a subnet: network, gateway, broadcast.
const RESERVED: u32 = 3;

/// Subnets that are taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct TakenSubnets(Vec<Ipv4Net>);

impl TakenSubnets {
    /// What the engine and this host use now.
    pub(crate) async fn look(docker: &Docker) -> anyhow::Result<Self> {
        let networks =
            docker.list_networks(None::<ListNetworksOptions>).await.context("asking the engine for its networks")?;
        let configured = networks.into_iter().filter_map(|network| network.ipam?.config).flatten();
        let mut taken: Vec<Ipv4Net> = configured.filter_map(|config| config.subnet?.parse().ok()).collect();
        taken.extend(host_routes()?);
        Ok(TakenSubnets(taken))
    }

    fn overlaps(&self, subnet: Ipv4Net) -> bool {
        self.0.iter().any(|taken| taken.contains(&subnet.network()) || subnet.contains(&taken.network()))
    }

    /// Takes `subnet`, so that it is not given again.
    pub(crate) fn take(&mut self, subnet: Ipv4Net) {
        self.0.push(subnet);
    }

    /// A free subnet of `pool` with this prefix. The search begins somewhere else for each `start`, so that runs that begin at
    /// once do not try for the same.
    fn free(&self, pool: &[&str], prefix: u8, start: u32) -> Option<Ipv4Net> {
        let pools = pool.iter().map(|pool| pool.parse::<Ipv4Net>().expect("a pool is a subnet"));
        pools.filter(|pool| pool.prefix_len() <= prefix).find_map(|pool| {
            let count = 1_u32 << (prefix - pool.prefix_len());
            let size = 1_u32 << (32 - prefix);
            let first = u32::from(pool.network());
            // A long prefix leaves too many to try them all; where these are taken, the next pool helps.
            const TRIES_MAX: u32 = 4_096;
            (0..count.min(TRIES_MAX)).find_map(|step| {
                let at = (start % count + step) % count;
                let subnet = Ipv4Net::new(Ipv4Addr::from(first + at * size), prefix).expect("the prefix was checked");
                (!self.overlaps(subnet)).then_some(subnet)
            })
        })
    }
}

/// Moves each network of the plan that is taken here to a free subnet of its size, and chooses one for the management network.
/// Returns that one, and what was moved where, for people.
pub(crate) fn fit(plan: &mut Plan, mut taken: TakenSubnets, start: u32) -> anyhow::Result<(Ipv4Net, Vec<String>)> {
    let mut moved = Vec::new();
    // Those that can stay are taken before others move into their way.
    let stays: Vec<bool> = plan.networks.iter().map(|network| !taken.overlaps(network.subnet)).collect();
    for network in plan.networks.iter().zip(&stays).filter_map(|(network, stays)| stays.then_some(network)) {
        taken.take(network.subnet);
    }
    for index in (0..plan.networks.len()).filter(|&index| !stays[index]) {
        let old = plan.networks[index].subnet;
        let pool: &[&str] = if old.network().is_private() { &PRIVATE_POOL } else { &PUBLIC_POOL };
        let new = taken.free(pool, old.prefix_len(), start.wrapping_add(index as u32)).with_context(|| {
            format!("this host has no free subnet of the size of {old} ({})", plan.networks[index].name)
        })?;
        taken.take(new);
        plan.relocate(NetworkIndex(index), new);
        moved.push(format!("{} {old} → {new}", plan.networks[index].name));
    }
    let wanted = plan.networks.len() as u32 + RESERVED;
    let prefix = MANAGEMENT_PREFIX.min(32 - wanted.next_power_of_two().trailing_zeros() as u8);
    let management = taken
        .free(&PRIVATE_POOL, prefix, start.wrapping_mul(31))
        .with_context(|| format!("this host has no free private subnet /{prefix} to reach routers through"))?;
    Ok((management, moved))
}

/// Addresses of a network that the engine gives to routers' inside ends: it refuses to give the gateway's, which the router takes by itself.
pub(crate) fn spare_addresses(plan: &Plan) -> anyhow::Result<BTreeMap<NetworkIndex, Ipv4Addr>> {
    let spare = |(index, network): (usize, &crate::plan::Network)| {
        let index = NetworkIndex(index);
        let free = plan.free_addresses(index).next();
        let free = free.with_context(|| {
            format!(
                "{} ({}) is full: one address must stay free for its router; give it a larger subnet",
                network.name, network.subnet
            )
        })?;
        Ok((index, free))
    };
    plan.networks.iter().enumerate().map(spare).collect()
}

/// Destinations of the host's routes but those to the internet. Empty where the kernel does not tell.
fn host_routes() -> anyhow::Result<Vec<Ipv4Net>> {
    match fs::read_to_string("/proc/net/route") {
        Ok(table) => Ok(routes(&table)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).context("/proc/net/route cannot be read"),
    }
}

/// Reads `/proc/net/route`: hexadecimal words in the machine's byte order, of which the second is the destination and the
/// eighth the mask.
fn routes(table: &str) -> Vec<Ipv4Net> {
    let address = |word: &str| u32::from_str_radix(word, 16).ok().map(|word| Ipv4Addr::from(word.to_ne_bytes()));
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let nets = lines.filter_map(|words| Ipv4Net::with_netmask(address(words.get(1)?)?, address(words.get(7)?)?).ok());
    nets.filter(|net| net.prefix_len() >= ROUTE_PREFIX_MIN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::plan;

    fn taken(subnets: &[&str]) -> TakenSubnets {
        TakenSubnets(subnets.iter().map(|subnet| subnet.parse().unwrap()).collect())
    }

    #[test]
    fn a_plan_stays_where_it_is_when_it_can() {
        let mut plan = plan();
        let before: Vec<_> = plan.networks.iter().map(|network| network.subnet).collect();
        let (management, moved) = fit(&mut plan, taken(&["172.17.0.0/16"]), 7).unwrap();
        assert!(moved.is_empty());
        assert_eq!(before, plan.networks.iter().map(|network| network.subnet).collect::<Vec<_>>());
        assert!(!taken(&["172.17.0.0/16", "203.0.113.0/24", "10.1.0.0/24", "10.2.0.0/24"]).overlaps(management));
    }

    #[test]
    fn what_is_taken_is_moved_and_stays_public_or_private() {
        let mut plan = plan();
        let (_, moved) = fit(&mut plan, taken(&["203.0.113.0/24", "10.1.0.128/25", "198.18.0.0/16"]), 0).unwrap();
        assert_eq!(moved.len(), 2, "{moved:?}");
        let subnets: Vec<_> = plan.networks.iter().map(|network| network.subnet.to_string()).collect();
        assert_eq!(subnets, ["198.19.0.0/24", "10.64.1.0/24", "10.2.0.0/24"]);
        assert!(plan.networks[0].subnet.contains(&plan.networks[1].behind.as_ref().unwrap().address));
        assert!(plan.nodes.iter().all(|node| plan.network(node.network).subnet.contains(&node.address)));
    }

    #[test]
    fn a_full_host_is_an_error_and_names_the_network() {
        let error = fit(&mut plan(), taken(&["0.0.0.0/0"]), 0).unwrap_err().to_string();
        assert!(error.contains("203.0.113.0/24 (internet)"), "{error}");
    }

    #[test]
    fn the_management_network_has_room_for_every_router() {
        let mut plan = plan();
        let network = plan.networks[1].clone();
        for third in 0..300_u32 {
            let subnet = Ipv4Net::new(Ipv4Addr::from(0x0a0a_0000 + (third << 8)), 24).unwrap();
            plan.networks.push(crate::plan::Network { subnet, ..network.clone() });
        }
        let (management, _) = fit(&mut plan, TakenSubnets::default(), 3).unwrap();
        assert_eq!(management.prefix_len(), 23);
    }

    #[test]
    fn the_routers_inside_address_is_nobody_elses() {
        let mut plan = plan();
        plan.nodes[0].address = "203.0.113.254".parse().unwrap();
        plan.networks[1].behind.as_mut().unwrap().address = "203.0.113.253".parse().unwrap();
        let spare = spare_addresses(&plan).unwrap();
        assert_eq!(spare[&NetworkIndex(0)].to_string(), "203.0.113.252");
        assert_eq!(spare[&NetworkIndex(1)].to_string(), "10.1.0.254");
    }

    #[test]
    fn the_kernels_table_is_read_without_routes_to_the_internet() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                     tun9\t00000000\t0100FF0A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n\
                     tun9\t00000080\t0100FF0A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n";
        assert_eq!(routes(table), ["172.17.0.0/16".parse().unwrap()]);
    }
}
