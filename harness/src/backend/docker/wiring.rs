//! What a node's and a router's container may do, and how they are wired.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::Context;
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, HostConfigLogConfig, NetworkConnectRequest,
    NetworkDisconnectRequest, NetworkingConfig, VolumeCreateRequest,
};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions};
use butter::driver::api::TOKEN_VARIABLE;

use super::label::{ObjectRole, RunLabels};
use super::networks::Networks;
use crate::backend::process::client::Route;
use crate::backend::process::node_command::NodeProgram;
use crate::backend::process::router_config::CONTROL_PORT;
use crate::backend::process::{node_command, router_config};
use crate::net::autoconf::mac;
use crate::netns::arrival_filter::COMMAND as FILTER_COMMAND;
use crate::plan::{API_PORT, Network, NetworkIndex, NodeIndex, Plan};
use crate::router::{CONFIG_VARIABLE, RouterConfig, SideConfig};

/// A user without a name: owns nothing on the host either.
const NODE_USER: &str = "65534:65534";
/// Memory of a node beyond what it may store: program, connections, buffers.
const NODE_MEMORY: u64 = 256 << 20;
const ROUTER_MEMORY: i64 = 256 << 20;
/// Threads of a node or router: it has one for each core of the machine, and some that wait for files.
const TASKS_MAX: i64 = 1_024;
/// A log is cut at this size; the newest part stays.
const LOG_MAX: &str = "4m";
const STORE: &str = "/store";
/// Each of the up to 512 namespaces of a probe takes some of the kernel's memory.
const PROBER_MEMORY: i64 = 1 << 30;
/// Memory of what sets a filter.
const FILTER_MEMORY: i64 = 64 << 20;
/// Where the prober finds what to probe, from the root.
pub(crate) const SURVEY: &str = "survey.json";

/// What all containers of a run are made from.
#[derive(Clone, Debug)]
pub(crate) struct Wiring {
    pub(crate) run_labels: RunLabels,
    pub(crate) networks: Networks,
    pub(crate) image: String,
    pub(crate) token: String,
    /// Whether the engine takes settings of single interfaces among a container's.
    pub(crate) sets_interfaces: bool,
    /// What the engine calls each router's inside address.
    pub(crate) spare: std::collections::BTreeMap<NetworkIndex, Ipv4Addr>,
    /// Changes to the configuration of routers, against the plan.
    pub(crate) tamper: Option<fn(&mut RouterConfig)>,
    /// Whether nodes with a store write down their secrets there.
    pub(crate) keys: bool,
}

impl Wiring {
    /// Name of a node's container.
    pub(crate) fn node_name(&self, plan: &Plan, node: NodeIndex) -> String {
        self.run_labels.name(ObjectRole::Node, &plan.node(node).name)
    }

    /// Name of the container of a network's router.
    pub(crate) fn router_name(&self, plan: &Plan, network: NetworkIndex) -> String {
        self.run_labels.name(ObjectRole::Router, &plan.network(network).name)
    }

    /// Where a network's router listens on the management network: the host has the first address, routers the next ones.
    pub(crate) fn router_management(&self, network: NetworkIndex) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.networks.management_subnet.network()) + 2 + network.0 as u32)
    }

    /// Creates a node's container, and the volume of its store if it keeps one. `persistent` says whether it does.
    pub(crate) async fn create_node(
        &self,
        docker: &Docker,
        plan: &Plan,
        node: NodeIndex,
        persistent: bool,
    ) -> anyhow::Result<()> {
        let name = self.node_name(plan, node);
        if persistent {
            let volume = VolumeCreateRequest {
                name: Some(name.clone()),
                labels: Some(self.run_labels.labels(ObjectRole::Node, &plan.node(node).name)),
                ..VolumeCreateRequest::default()
            };
            docker.create_volume(volume).await.with_context(|| format!("creating the volume {name}"))?;
        }
        create(docker, &name, self.node_body(plan, node, persistent)).await
    }

    /// Removes a node's container and store, so that it can be created afresh.
    pub(crate) async fn remove_node(&self, docker: &Docker, plan: &Plan, node: NodeIndex) -> anyhow::Result<()> {
        self.remove_container(docker, plan, node).await?;
        let name = self.node_name(plan, node);
        gone(docker.remove_volume(&name, None::<RemoveVolumeOptions>).await)
            .with_context(|| format!("removing the volume {name}"))
    }

    /// Removes a node's container alone.
    pub(crate) async fn remove_container(&self, docker: &Docker, plan: &Plan, node: NodeIndex) -> anyhow::Result<()> {
        let name = self.node_name(plan, node);
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        gone(docker.remove_container(&name, Some(options)).await)
            .with_context(|| format!("removing the container {name}"))
    }

    /// Takes a node's container from the network where it is in the plan `here` to the one where it is in `there`.
    pub(crate) async fn move_node(
        &self,
        docker: &Docker,
        here: &Plan,
        there: &Plan,
        node: NodeIndex,
    ) -> anyhow::Result<()> {
        let container = self.node_name(here, node);
        let [from, to] = [here, there].map(|plan| &self.networks.names[plan.node(node).network.0]);
        let leave = NetworkDisconnectRequest { container: container.clone(), force: Some(false) };
        docker
            .disconnect_network(from, leave)
            .await
            .with_context(|| format!("disconnecting {container} from {from}"))?;
        let enter = NetworkConnectRequest {
            container: container.clone(),
            endpoint_config: Some(endpoint(there.node(node).address)),
        };
        docker.connect_network(to, enter).await.with_context(|| format!("connecting {container} to {to}"))
    }

    /// The way to the control API of a node: through the proxy of its network's router.
    pub(crate) fn way_to_node(&self, network: NetworkIndex, address: Ipv4Addr) -> Route {
        Route::ThroughProxy {
            proxy: SocketAddrV4::new(self.router_management(network), CONTROL_PORT),
            target: SocketAddrV4::new(address, API_PORT),
        }
    }

    /// Creates the container of a network's router, with all its interfaces.
    pub(crate) async fn create_router(
        &self,
        docker: &Docker,
        plan: &Plan,
        network: NetworkIndex,
    ) -> anyhow::Result<()> {
        let name = self.router_name(plan, network);
        create(docker, &name, self.router_body(plan, network)?).await?;
        let mut others = vec![(self.networks.management.as_str(), self.router_management(network))];
        if let Some(uplink) = &plan.network(network).behind {
            others.push((&self.networks.names[uplink.to.0], uplink.address));
        }
        for (other, address) in others {
            let request = NetworkConnectRequest { container: name.clone(), endpoint_config: Some(endpoint(address)) };
            docker.connect_network(other, request).await.with_context(|| format!("connecting {name} to {other}"))?;
        }
        Ok(())
    }

    /// Creates the container that probes routers, and returns its name. It is in this machine's own network, and may wire hosts to
    /// its bridges.
    pub(crate) async fn create_prober(&self, docker: &Docker) -> anyhow::Result<String> {
        let name = self.run_labels.name(ObjectRole::Prober, "");
        create(docker, &name, self.prober_body()).await?;
        Ok(name)
    }

    fn prober_body(&self) -> ContainerCreateBody {
        let confined = confined(PROBER_MEMORY);
        // SELinux lets no container touch what is not its own.
        let security = confined.security_opt.into_iter().flatten().chain(["label=disable".to_owned()]);
        let host = HostConfig {
            cap_add: Some(["NET_ADMIN", "SYS_ADMIN"].map(str::to_owned).to_vec()),
            security_opt: Some(security.collect()),
            network_mode: Some("host".to_owned()),
            userns_mode: Some("host".to_owned()),
            // What to probe is put into it.
            readonly_rootfs: Some(false),
            ..confined
        };
        ContainerCreateBody {
            image: Some(self.image.clone()),
            user: Some("0:0".to_owned()),
            entrypoint: Some(vec!["/harness".to_owned()]),
            cmd: Some(vec!["prober".to_owned(), format!("/{SURVEY}")]),
            labels: Some(self.run_labels.labels(ObjectRole::Prober, "")),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        }
    }

    /// Creates the container that sets the filter of a node, whose network namespace it shares. Returns its name.
    pub(crate) async fn create_filter(
        &self,
        docker: &Docker,
        plan: &Plan,
        node: NodeIndex,
        filter: String,
    ) -> anyhow::Result<String> {
        let node_name = &plan.node(node).name;
        let name = self.run_labels.name(ObjectRole::Filter, node_name);
        let host = HostConfig {
            cap_add: Some(vec!["NET_ADMIN".to_owned()]),
            network_mode: Some(format!("container:{}", self.node_name(plan, node))),
            ..confined(FILTER_MEMORY)
        };
        let body = ContainerCreateBody {
            image: Some(self.image.clone()),
            user: Some("0:0".to_owned()),
            entrypoint: Some(vec!["/harness".to_owned()]),
            cmd: Some(vec![FILTER_COMMAND.to_owned(), filter]),
            labels: Some(self.run_labels.labels(ObjectRole::Filter, node_name)),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        };
        create(docker, &name, body).await?;
        Ok(name)
    }

    fn node_body(&self, plan: &Plan, index: NodeIndex, persistent: bool) -> ContainerCreateBody {
        let node = plan.node(index);
        let storage = plan.node_config(node).data.storage;
        let memory = storage.saturating_mul(2).saturating_add(NODE_MEMORY).min(i64::MAX as u64) as i64;
        let limits = node.limits;
        let mut host = confined(limits.and_then(|limits| limits.memory).map_or(memory, |bytes| bytes as i64));
        host.nano_cpus = limits.and_then(|limits| limits.cpu).map(|share| (share * 1e9) as i64);
        if node.address6.is_some() {
            host.sysctls = Some(self.autoconfiguration());
        }
        if persistent {
            host.binds = Some(vec![format!("{}:{STORE}", self.run_labels.name(ObjectRole::Node, &node.name))]);
        }
        let (program, arguments) =
            node_command::command(plan, index, Ipv4Addr::UNSPECIFIED, persistent.then_some(STORE));
        let program = match program {
            NodeProgram::Butter => "/butter",
            NodeProgram::Harness => "/harness",
        };
        ContainerCreateBody {
            user: Some(NODE_USER.to_owned()),
            env: Some(node_environment(&self.token, (persistent && self.keys).then_some(STORE))),
            entrypoint: Some(vec![program.to_owned()]),
            cmd: Some(arguments),
            host_config: Some(host),
            ..self.body(ObjectRole::Node, &node.name, &self.networks.names[node.network.0], node.address)
        }
    }

    /// Has a container's kernel make an IPv6 address of what its router advertises. It is unique: looking for that would
    /// take a second, and where the engine takes no settings of single interfaces it does.
    fn autoconfiguration(&self) -> HashMap<String, String> {
        let mut sysctls = vec![("net.ipv6.conf.all.disable_ipv6", "0")];
        if self.sets_interfaces {
            sysctls.extend([
                ("net.ipv6.conf.eth0.accept_ra", "1"),
                ("net.ipv6.conf.eth0.dad_transmits", "0"),
                ("net.ipv6.conf.eth0.router_solicitation_delay", "0"),
            ]);
        }
        sysctls.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn router_body(&self, plan: &Plan, network: NetworkIndex) -> anyhow::Result<ContainerCreateBody> {
        let (subnet, address) = (self.networks.management_subnet, self.router_management(network));
        let mut config = router_config::config(plan, network, SideConfig { subnet, address, gateway: None });
        if let Some(tamper) = self.tamper {
            tamper(&mut config);
        }
        let config = serde_json::to_string(&config).context("a router's configuration as JSON")?;
        let capabilities = ["NET_ADMIN", "NET_RAW"].map(str::to_owned).to_vec();
        // Forwarding is on in containers because the engine turns it on for the host; the kernel would pass around the NAT.
        let mut sysctls = HashMap::from([("net.ipv4.ip_forward".to_owned(), "0".to_owned())]);
        if plan.network(network).ipv6.is_some() {
            // The router process does it all.
            sysctls.insert("net.ipv6.conf.all.disable_ipv6".to_owned(), "1".to_owned());
        }
        let host = HostConfig { cap_add: Some(capabilities), sysctls: Some(sysctls), ..confined(ROUTER_MEMORY) };
        Ok(ContainerCreateBody {
            // Only root's processes are given capabilities by the engine.
            user: Some("0:0".to_owned()),
            env: Some(router_environment(&config, plan.network(network))),
            entrypoint: Some(vec!["/harness".to_owned()]),
            cmd: Some(vec!["router".to_owned()]),
            host_config: Some(host),
            ..self.body(
                ObjectRole::Router,
                &plan.network(network).name,
                &self.networks.names[network.0],
                self.spare[&network],
            )
        })
    }

    fn body(&self, role: ObjectRole, name: &str, network: &str, address: Ipv4Addr) -> ContainerCreateBody {
        let endpoints = HashMap::from([(network.to_owned(), endpoint(address))]);
        ContainerCreateBody {
            image: Some(self.image.clone()),
            hostname: Some(name.to_owned()),
            labels: Some(self.run_labels.labels(role, name)),
            networking_config: Some(NetworkingConfig { endpoints_config: Some(endpoints) }),
            ..ContainerCreateBody::default()
        }
    }
}

fn endpoint(address: Ipv4Addr) -> EndpointSettings {
    let [a, b, c, d, e, f] = mac(address);
    EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(address.to_string()),
            ..EndpointIpamConfig::default()
        }),
        mac_address: Some(format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")),
        ..EndpointSettings::default()
    }
}

/// Nothing but its networks: no capability, nothing to write to, bounded in memory, tasks and log.
pub(super) fn confined(memory: i64) -> HostConfig {
    let log = [("max-size", LOG_MAX), ("max-file", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    HostConfig {
        cap_drop: Some(vec!["ALL".to_owned()]),
        readonly_rootfs: Some(true),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        memory: Some(memory),
        memory_swap: Some(memory),
        pids_limit: Some(TASKS_MAX),
        log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(log.into()) }),
        ..HostConfig::default()
    }
}

/// Creates a container of this name.
pub(super) async fn create(docker: &Docker, name: &str, body: ContainerCreateBody) -> anyhow::Result<()> {
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    docker
        .create_container(Some(options), body)
        .await
        .map(drop)
        .with_context(|| format!("creating the container {name}"))
}

/// Takes "no such thing" as success.
fn gone(removed: Result<(), Error>) -> Result<(), Error> {
    match removed {
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        other => other,
    }
}

/// The variables of a node's container: the token of its control API, and what nodes inherit from this process.
fn node_environment(token: &str, keys: Option<&str>) -> Vec<String> {
    let variables = [(TOKEN_VARIABLE, token.to_owned())].into_iter().chain(node_command::variables(keys));
    variables.map(|(name, value)| format!("{name}={value}")).collect()
}

/// The variables of a router's container: its configuration and its log filter.
fn router_environment(config: &str, network: &Network) -> Vec<String> {
    let log = node_command::router_variables(network);
    let variables = [(CONFIG_VARIABLE, config.to_owned())].into_iter().chain(log);
    variables.map(|(name, value)| format!("{name}={value}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn wiring(plan: &Plan) -> Wiring {
        let run_labels = RunLabels::new(&plan.name, false).unwrap();
        let networks = Networks {
            names: plan.networks.iter().map(|network| run_labels.name(ObjectRole::Network, &network.name)).collect(),
            management: run_labels.name(ObjectRole::Management, ""),
            management_subnet: "10.64.0.0/24".parse().unwrap(),
            moved: vec![],
        };
        let spare = super::super::subnets::spare_addresses(plan).unwrap();
        Wiring {
            run_labels,
            networks,
            image: "image".into(),
            token: "secret".into(),
            sets_interfaces: true,
            spare,
            tamper: None,
            keys: false,
        }
    }

    #[test]
    fn a_node_has_no_power_and_knows_its_ambassadors() {
        let plan = testing::plan();
        let body = wiring(&plan).node_body(&plan, NodeIndex(1), false);
        let host = body.host_config.unwrap();
        assert_eq!((host.cap_drop, host.cap_add), (Some(vec!["ALL".into()]), None));
        assert_eq!((host.readonly_rootfs, host.binds), (Some(true), None));
        assert_eq!(body.user.as_deref(), Some("65534:65534"));
        let command = body.cmd.unwrap().join(" ");
        assert_eq!(
            command,
            "run --start-paused --listen 0.0.0.0:4001 --api 0.0.0.0:4080 --join 203.0.113.10:4001 --set heartbeat=1s"
        );
    }

    #[test]
    fn a_node_with_ipv6_configures_itself_and_its_router_does_not() {
        let mut plan = testing::plan();
        let subnet = "2001:db8:1::/64".parse().unwrap();
        plan.networks[1].ipv6 = Some(crate::plan::ipv6::Network6::new(subnet, true));
        plan.nodes[1].address6 = Some(crate::net::autoconf::autoconfigured(subnet, plan.nodes[1].address));
        let wiring = wiring(&plan);
        let disabled = |body: ContainerCreateBody| {
            body.host_config.unwrap().sysctls.unwrap_or_default().get("net.ipv6.conf.all.disable_ipv6").cloned()
        };
        assert_eq!(disabled(wiring.node_body(&plan, NodeIndex(0), false)), None);
        assert_eq!(disabled(wiring.node_body(&plan, NodeIndex(1), false)).as_deref(), Some("0"));
        assert_eq!(disabled(wiring.router_body(&plan, NetworkIndex(1)).unwrap()).as_deref(), Some("1"));
        assert!(wiring.node_body(&plan, NodeIndex(1), false).cmd.unwrap().contains(&"[::]:4001".to_owned()));
    }

    #[test]
    fn the_prober_may_wire_and_nothing_else() {
        let body = wiring(&testing::plan()).prober_body();
        let host = body.host_config.unwrap();
        assert_eq!(host.cap_drop, Some(vec!["ALL".into()]));
        assert_eq!(host.cap_add, Some(vec!["NET_ADMIN".into(), "SYS_ADMIN".into()]));
        assert_eq!((host.network_mode.as_deref(), host.privileged, host.binds), (Some("host"), None, None));
        assert!(host.security_opt.unwrap().contains(&"no-new-privileges".to_owned()));
    }

    #[test]
    fn a_node_that_keeps_its_store_has_a_volume() {
        let plan = testing::plan();
        let body = wiring(&plan).node_body(&plan, NodeIndex(0), true);
        assert!(
            body.cmd.unwrap().ends_with(&["--store", "/store", "--blocks-in-memory", "--ambassador"].map(String::from))
        );
        assert!(body.host_config.unwrap().binds.unwrap()[0].ends_with("-node-ambassador:/store"));
    }

    #[test]
    fn a_router_gets_its_configuration_and_an_address_that_is_not_the_gateway() {
        let plan = testing::plan();
        let wiring = wiring(&plan);
        let body = wiring.router_body(&plan, NetworkIndex(1)).unwrap();
        let config = body.env.unwrap()[0].strip_prefix("BUTTER_ROUTER=").map(serde_json::from_str::<RouterConfig>);
        assert_eq!(config.unwrap().unwrap().inside.address, plan.networks[1].gateway);
        let endpoints = body.networking_config.unwrap().endpoints_config.unwrap();
        let endpoint = &endpoints[&wiring.networks.names[1]];
        assert_eq!(endpoint.ipam_config.as_ref().unwrap().ipv4_address.as_deref(), Some("10.1.0.254"));
        assert_eq!(endpoint.mac_address.as_deref(), Some("02:42:0a:01:00:fe"));
    }
}
