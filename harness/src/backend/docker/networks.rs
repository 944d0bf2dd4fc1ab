//! The run's networks on the engine: LANs that only their router leaves, and the management network.

use std::collections::HashMap;

use anyhow::{Context, anyhow};
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use ipnet::Ipv4Net;

use super::label::{ObjectRole, RunLabels};
use super::subnets::{self, TakenSubnets};
use crate::plan::Plan;

/// Times that other subnets are chosen when somebody was quicker.
const TRIES_MAX: usize = 16;

/// The networks of a run.
#[derive(Clone, Debug)]
pub(crate) struct Networks {
    /// Names on the engine, one for each network of the plan.
    pub(crate) names: Vec<String>,
    /// Name of the management network.
    pub(crate) management: String,
    /// Its addresses; the first is this host's.
    pub(crate) management_subnet: Ipv4Net,
    /// What was moved to another subnet, for people.
    pub(crate) moved: Vec<String>,
}

/// A network that the engine did not create.
struct Refused {
    subnet: Ipv4Net,
    error: Error,
}

/// Creates every network. The plan is moved to subnets that are free here.
pub(crate) async fn create(docker: &Docker, plan: &mut Plan, run_labels: &RunLabels) -> anyhow::Result<Networks> {
    let wanted = plan.clone();
    // The engine takes a subnet before it lists the network, and lists it no more before it gives the subnet back: what it
    // has refused counts as taken, or this would try for the same until somebody else is done.
    let mut refused: Vec<Refused> = Vec::new();
    while refused.len() < TRIES_MAX {
        let mut taken = TakenSubnets::look(docker).await?;
        refused.iter().for_each(|refused| taken.take(refused.subnet));
        *plan = wanted.clone();
        let (management_subnet, moved) = subnets::fit(plan, taken, run_labels.scatter())?;
        let networks = Networks {
            names: plan.networks.iter().map(|network| run_labels.name(ObjectRole::Network, &network.name)).collect(),
            management: run_labels.name(ObjectRole::Management, ""),
            management_subnet,
            moved,
        };
        match create_all(docker, plan, run_labels, &networks).await {
            Ok(()) => return Ok(networks),
            Err(again) if is_overlap(&again.error) => {
                remove_all(docker, &networks).await?;
                refused.push(again);
            }
            Err(Refused { error, .. }) => return Err(anyhow!(error).context("the engine could not create a network")),
        }
    }
    let last = refused.pop().expect("there was more than one try");
    Err(anyhow!(last.error).context(format!("{TRIES_MAX} times, somebody else took a subnet that was free")))
}

async fn create_all(docker: &Docker, plan: &Plan, run_labels: &RunLabels, networks: &Networks) -> Result<(), Refused> {
    for (network, name) in plan.networks.iter().zip(&networks.names) {
        let labels = run_labels.labels(ObjectRole::Network, &network.name);
        let lan = lan(name, network.subnet, network.gateway.to_string(), labels);
        let created = docker.create_network(lan).await;
        created.map_err(|error| Refused { subnet: network.subnet, error })?;
    }
    let subnet = networks.management_subnet;
    let management = management(&networks.management, subnet, run_labels.labels(ObjectRole::Management, ""));
    docker.create_network(management).await.map(drop).map_err(|error| Refused { subnet, error })
}

async fn remove_all(docker: &Docker, networks: &Networks) -> anyhow::Result<()> {
    for name in networks.names.iter().chain([&networks.management]) {
        match docker.remove_network(name).await {
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(error) => return Err(error).with_context(|| format!("removing the network {name}")),
        }
    }
    Ok(())
}

fn is_overlap(error: &Error) -> bool {
    // "Pool overlaps with other one on this address space", "invalid pool request: …", "cannot create network …: conflicts with network …"
    matches!(error, Error::DockerResponseServerError { status_code: 400 | 403 | 409 | 500, message }
        if message.contains("overlap") || message.contains("conflicts with network"))
}

/// A bridge without an address: containers send what leaves to the declared gateway, and only the router answers for it.
///
/// Not `internal`: its isolation rule drops what the router forwards.
fn lan(name: &str, subnet: Ipv4Net, gateway: String, labels: HashMap<String, String>) -> NetworkCreateRequest {
    let options = [
        ("com.docker.network.bridge.inhibit_ipv4", "true"),
        ("com.docker.network.bridge.enable_ip_masquerade", "false"),
    ];
    bridge(name, subnet, gateway, &options, false, labels)
}

/// A bridge with an address of this host, which nothing is forwarded to or from.
fn management(name: &str, subnet: Ipv4Net, labels: HashMap<String, String>) -> NetworkCreateRequest {
    let host = subnet.hosts().next().expect("the management network has room");
    let options = [("com.docker.network.bridge.enable_icc", "false")];
    bridge(name, subnet, host.to_string(), &options, true, labels)
}

fn bridge(
    name: &str,
    subnet: Ipv4Net,
    gateway: String,
    options: &[(&str, &str)],
    internal: bool,
    labels: HashMap<String, String>,
) -> NetworkCreateRequest {
    let config = IpamConfig { subnet: Some(subnet.to_string()), gateway: Some(gateway), ..IpamConfig::default() };
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        internal: Some(internal),
        enable_ipv6: Some(false),
        ipam: Some(Ipam { config: Some(vec![config]), ..Ipam::default() }),
        options: Some(options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()),
        labels: Some(labels),
        ..NetworkCreateRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_is_told_from_other_refusals() {
        let refused =
            |status_code, message: &str| Error::DockerResponseServerError { status_code, message: message.into() };
        assert!(is_overlap(&refused(403, "Pool overlaps with other one on this address space")));
        assert!(is_overlap(&refused(
            403,
            "cannot create network 1 (br-1): conflicts with network 2 (br-2): networks have overlapping IPv4"
        )));
        assert!(!is_overlap(&refused(409, "network with name butter already exists")));
        assert!(!is_overlap(&Error::RequestTimeoutError));
    }
}
