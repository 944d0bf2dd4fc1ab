//! The backend `netns`: every node and every router in a network namespace of its own, without Docker and without any other
//! program; as root, or as an ordinary user in a user namespace.
//!
//! | module | what it does |
//! | --- | --- |
//! | `wiring` | namespaces, bridges and the cables between them |
//! | `stores` | where nodes keep what outlives them |
//!
//! Invariant: nothing has a name outside of this process. Namespaces and files are held by descriptors, and processes are killed by
//! the kernel when the thread that started them ends; so whatever becomes of this process, nothing is left.

mod stores;
mod wiring;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep, timeout};

use crate::backend::capacity::MachineRoom;
use crate::backend::held::{HeldApi, HeldBackend, HeldHost, HeldHosts, LogSource};
use crate::backend::limits::LimitError;
use crate::backend::process::client::{ApiClient, Route, api_client};
use crate::backend::process::exit::how_it_ended;
use crate::backend::process::lifecycle::{self, LEAVE_WITHIN, ProcessInstance};
use crate::backend::process::moves::NodePlace;
use crate::backend::process::node_command::NodeProgram;
use crate::backend::process::router_config::{self, CONTROL_PORT};
use crate::backend::process::{ProcessBackend, ProcessHost, ProcessRun, node_api, node_command};
use crate::backend::{Backend, BackendError};
use crate::events::RunTime;
use crate::netns::access::{self, NamespaceAccess};
use crate::netns::arrival_filter::ArrivalFilter;
use crate::netns::control_group::ControlGroup;
use crate::netns::process::{Privileges, Process, ProcessSpec, Program};
use crate::netns::{Namespace, NamespaceWorkers, raise_descriptor_limit};
use crate::op::{BackendEvent, Op, OpId, OpResult, OpTarget};
use crate::plan::{API_PORT, NetworkIndex, NodeIndex, NodePlan, Plan};
use crate::probe::ProbeOutcome;
use crate::probe::survey::Survey;
use crate::programs;
use crate::progress::Progress;
use crate::router::{CONFIG_VARIABLE, RouterConfig, SideConfig};
use stores::NodeStores;
use wiring::RunNamespaces;

/// Threads that make namespaces and start processes. The kernel does most of it one at a time.
const WORKERS: usize = 4;
/// How long a router may take to answer after its start.
const ROUTER_DEADLINE: Duration = Duration::from_secs(30);
/// Pause between questions to a router that does not answer yet.
const ROUTER_PAUSE: Duration = Duration::from_millis(5);
/// How long the end of a process may take after it was killed.
const END_DEADLINE: Duration = Duration::from_secs(10);
/// The loopback interface: each host is controlled from within its own namespace.
const LOOPBACK: &str = "127.0.0.0/8";

/// How a run on namespaces is set up.
#[derive(Clone, Debug, Default)]
pub struct NetnsOptions {
    /// Which programs are run.
    pub programs: programs::ProgramChoice,
    /// Where the logs of all processes are written.
    pub logs: Option<PathBuf>,
    /// Whether routers are probed before nodes start.
    pub probe: bool,
    /// Whether nodes write down the secrets of their connections, for captures of a lab that is held.
    pub keys: bool,
    /// Whether it is left up for commands: any node may be started again with what it had.
    pub held: bool,
    /// For tests of the probe: changes the configuration of routers, against the plan.
    pub tamper: Option<fn(&mut RouterConfig)>,
}

/// A run on namespaces.
#[derive(Debug)]
pub struct NetnsBackend {
    plan: Plan,
    options: NetnsOptions,
    operation: ProcessBackend<Namespaces>,
    probed: ProbeOutcome,
}

/// Where the nodes of a run are.
#[derive(Debug)]
struct Namespaces {
    namespaces: RunNamespaces,
    node: Arc<Program>,
    harness: Arc<Program>,
    /// The present or last process of each node.
    running: Vec<Mutex<Option<Arc<Process>>>>,
    routers: Vec<Process>,
    stores: Option<NodeStores>,
    /// What limits each node; nothing for most.
    groups: Vec<Option<ControlGroup>>,
    /// Whether nodes write secrets to their stores.
    keys: bool,
    privileges: Privileges,
    logs: Option<PathBuf>,
}

/// Whether a run on namespaces can be had here, and how.
///
/// # Errors
/// With the reason and the remedy.
pub async fn preflight() -> Result<NamespaceAccess, BackendError> {
    let access = tokio::task::spawn_blocking(access::access).await.context("the trial ended early")??;
    programs::node_origin().await?;
    Ok(access)
}

impl NetnsBackend {
    /// A run of `plan`. Nothing is created before [`Backend::up`].
    pub fn new(plan: Plan, options: NetnsOptions) -> Self {
        NetnsBackend { plan, options, operation: ProcessBackend::new(), probed: ProbeOutcome::Skipped }
    }

    /// What came of the self-probe.
    pub fn probed(&self) -> &ProbeOutcome {
        &self.probed
    }

    /// The namespaces and programs, until every router answers.
    async fn routers(&self, progress: &mut dyn Progress) -> Result<(Namespaces, Vec<ApiClient>), BackendError> {
        let programs = programs::find(&self.options.programs, progress).await?;
        let (node, router) = (Program::open(&programs.node)?, Arc::new(Program::open(&programs.harness)?));
        if let Some(folder) = &self.options.logs {
            std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        MachineRoom::look().check(&self.plan)?;
        let groups = control_groups(&self.plan)?;
        raise_descriptor_limit()?;
        progress.begin("creating networks", 0);
        let plan = &self.plan;
        let namespaces = wiring::wire(NamespaceWorkers::new(WORKERS)?, plan).await.context("creating networks")?;
        progress.begin("starting routers", plan.networks.len() as u64);
        let (router, options) = (&router, &self.options);
        let start = |index: usize| {
            let (network, namespace) = (NetworkIndex(index), &namespaces.routers[index]);
            async move {
                let started = start_router(plan, network, namespace, router, options).await;
                started.with_context(|| format!("the router of {} does not start", plan.network(network).name))
            }
        };
        let starts = stream::iter((0..plan.networks.len()).map(start)).buffered(plan.networks.len().max(1));
        let (routers, clients) = starts.try_collect::<Vec<_>>().await?.into_iter().unzip();
        progress.advance(plan.networks.len() as u64);
        let change_user = !access::entered() && nix::unistd::geteuid().is_root();
        let persistent = !lifecycle::persistent_nodes(plan, options.held).is_empty();
        let host = Namespaces {
            namespaces,
            node: Arc::new(node),
            harness: Arc::clone(router),
            running: plan.nodes.iter().map(|_| Mutex::default()).collect(),
            routers,
            groups,
            stores: persistent.then(|| NodeStores::new(change_user)).transpose()?,
            keys: self.options.keys,
            privileges: Privileges::Node { change_user },
            logs: self.options.logs.clone(),
        };
        Ok((host, clients))
    }
}

impl Backend for NetnsBackend {
    fn name(&self) -> &'static str {
        "netns"
    }

    async fn up(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        let (host, routers) = self.routers(progress).await?;
        if self.options.probe {
            self.probed = probe(&self.plan, &host.namespaces, &routers, progress).await?;
        }
        let api = SocketAddrV4::new(Ipv4Addr::LOCALHOST, API_PORT);
        let nodes = host.namespaces.nodes.clone();
        let to_node =
            |node: NodeIndex| api_client(Route::FromNamespace { namespace: nodes[node.0].clone(), target: api }, None);
        let persistent = lifecycle::persistent_nodes(&self.plan, self.options.held);
        let (run, queues) = self.operation.begin(host, self.plan.clone(), routers, &persistent, to_node)?;
        for index in 0..run.host.routers.len() {
            self.operation.spawn(watch_router(Arc::clone(&run), NetworkIndex(index)));
        }
        run.start_nodes(progress).await?;
        self.operation.start_clock(queues)?;
        Ok(())
    }

    fn now(&self) -> RunTime {
        self.operation.now()
    }

    fn submit(&mut self, id: OpId, op: Op, target: OpTarget) {
        self.operation.submit(id, op, target);
    }

    async fn next(&mut self, until: RunTime) -> Option<BackendEvent> {
        self.operation.next(until).await
    }

    async fn down(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        let Some(run) = self.operation.end().await else { return Ok(()) };
        progress.begin("ending processes", 0);
        run.nodes.iter().filter_map(|node| node.instance()).for_each(|instance| instance.expect_end());
        let host = &run.host;
        let nodes: Vec<_> = (0..host.running.len()).filter_map(|index| host.process(NodeIndex(index))).collect();
        let all = || nodes.iter().map(|node| &**node).chain(&host.routers);
        all().for_each(|process| process.signal(Signal::SIGKILL));
        let all_ended = async {
            for process in all() {
                process.ended().await;
            }
        };
        timeout(END_DEADLINE, all_ended).await.context("not every process has ended")?;
        Ok(())
    }
}

impl HeldBackend for NetnsBackend {
    fn held(&self) -> Option<Arc<dyn HeldHosts>> {
        self.operation.run().map(|run| Arc::clone(run) as Arc<dyn HeldHosts>)
    }
}

async fn probe(
    plan: &Plan,
    namespaces: &RunNamespaces,
    routers: &[ApiClient],
    progress: &mut dyn Progress,
) -> Result<ProbeOutcome, BackendError> {
    let (survey, mut findings) = Survey::of(plan, wiring::bridge, &BTreeSet::new());
    progress.begin("probing routers", survey.len() as u64);
    let hosts = survey.hosts(&namespaces.bridges).await?;
    let found = |finding| {
        progress.advance(1);
        findings.take(finding)
    };
    survey.carry_out(&hosts, found).await?;
    // Before the routers forget: afterwards nothing may come that was still under way to them.
    drop(hosts);
    router_config::forget_probe(routers, findings.networks()).await?;
    Ok(findings.into_probed(progress)?)
}

impl Namespaces {
    fn process(&self, node: NodeIndex) -> Option<Arc<Process>> {
        self.running[node.0].lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The orders of a node's process.
    fn process_spec(
        &self,
        plan: &Plan,
        node: NodeIndex,
        folder: Option<std::os::fd::OwnedFd>,
    ) -> anyhow::Result<ProcessSpec> {
        let doors = self.groups[node.0].as_ref().map(ControlGroup::doors).transpose();

        let store = folder.as_ref().map(|_| ".");
        let (program, arguments) = node_command::command(plan, node, Ipv4Addr::LOCALHOST, store);
        let program = match program {
            NodeProgram::Butter => &self.node,
            NodeProgram::Harness => &self.harness,
        };
        Ok(ProcessSpec {
            program: Arc::clone(program),
            arguments,
            variables: node_command::variables(folder.as_ref().filter(|_| self.keys).map(|_| ".")),
            privileges: self.privileges,
            folder,
            groups: doors.context("opening its control group")?.unwrap_or_default(),
            log: self.logs.as_ref().map(|logs| logs.join(format!("{}.log", plan.node(node).name))),
        })
    }

    /// The store that a node's process gets.
    fn store(
        &self,
        run: &ProcessRun<Self>,
        node: NodeIndex,
        anew: bool,
    ) -> anyhow::Result<Option<std::os::fd::OwnedFd>> {
        let Some(stores) = self.stores.as_ref().filter(|_| run.node(node).persistent) else { return Ok(None) };
        let first = self.process(node).is_none();
        stores.of(&run.present().node(node).name, first || anew).map(Some)
    }
}

impl ProcessHost for Namespaces {
    async fn begin(
        run: &Arc<ProcessRun<Self>>,
        node: NodeIndex,
        anew: bool,
        instance: &ProcessInstance,
    ) -> anyhow::Result<()> {
        let host = &run.host;
        let store = host.store(run, node, anew)?;
        let process_spec = host.process_spec(&run.present(), node, store)?;
        let process = Process::start(&host.namespaces.nodes[node.0], process_spec).await?;
        let (ended, instance, weak) = (process.ended(), instance.clone(), Arc::downgrade(run));
        *host.running[node.0].lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(process));
        tokio::spawn(async move {
            let exit = ended.await;
            if let Some(run) = weak.upgrade() {
                lifecycle::ended(&run, node, &instance, exit).await;
            }
        });
        Ok(())
    }

    async fn kill(run: &ProcessRun<Self>, node: NodeIndex, _: &ProcessInstance) -> anyhow::Result<()> {
        let process = run.host.process(node).context("it has no process")?;
        process.signal(Signal::SIGKILL);
        timeout(END_DEADLINE, process.ended()).await.map(drop).context("it does not end when it is killed")
    }

    async fn signal(run: &ProcessRun<Self>, node: NodeIndex, signal: Signal) -> anyhow::Result<()> {
        run.host.process(node).context("it has no process")?.signal(signal);
        Ok(())
    }

    async fn stop(run: &ProcessRun<Self>, node: NodeIndex, instance: &ProcessInstance) -> anyhow::Result<()> {
        let process = run.host.process(node).context("it has no process")?;
        process.signal(Signal::SIGTERM);
        match timeout(LEAVE_WITHIN, process.ended()).await {
            Ok(_) => Ok(()),
            Err(_) => Self::kill(run, node, instance).await,
        }
    }

    async fn filter(run: &ProcessRun<Self>, node: NodeIndex, filter: ArrivalFilter) -> anyhow::Result<()> {
        run.host.namespaces.nodes[node.0].run(move || filter.install()).await
    }

    async fn is_out_of_memory(run: &ProcessRun<Self>, node: NodeIndex) -> bool {
        run.host.groups[node.0].as_ref().is_some_and(|group| group.memory_kills() > 0)
    }

    async fn rewire(run: &ProcessRun<Self>, node: NodeIndex, there: &Plan) -> anyhow::Result<()> {
        run.host.namespaces.move_node(there, node).await.context("wiring it to its new network")
    }

    /// It is asked from within its own namespace.
    fn route(_: &ProcessRun<Self>, _: NodePlace) -> Option<Route> {
        None
    }

    /// A node works in its store.
    const STORE: &str = "cwd";

    async fn process_id(run: &ProcessRun<Self>, node: NodeIndex) -> anyhow::Result<i32> {
        run.host.process(node).and_then(|process| process.id()).context("it has no process")
    }

    /// Each start has its own orders, and a store is replaced by name when its node is fresh.
    async fn discard(_: &ProcessRun<Self>, _: NodeIndex, _: bool) -> anyhow::Result<()> {
        Ok(())
    }

    async fn namespace(run: &ProcessRun<Self>, host: HeldHost) -> anyhow::Result<PathBuf> {
        let namespaces = &run.host.namespaces;
        let namespace = match host {
            HeldHost::Node(node) => &namespaces.nodes[node.0],
            HeldHost::Router(network) => &namespaces.routers[network.0],
        };
        Ok(format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd()).into())
    }

    fn log(run: &ProcessRun<Self>, host: HeldHost) -> Option<LogSource> {
        let file = match host {
            HeldHost::Node(node) => format!("{}.log", run.present().node(node).name),
            HeldHost::Router(network) => format!("router-{}.log", run.present().network(network).name),
        };
        run.host.logs.as_ref().map(|logs| LogSource::File(logs.join(file)))
    }

    async fn keys(run: &ProcessRun<Self>, node: NodeIndex) -> anyhow::Result<Option<PathBuf>> {
        let Some(stores) = run.host.stores.as_ref().filter(|_| run.host.keys) else { return Ok(None) };
        let (process, root) = (std::process::id(), stores.as_raw_fd());
        let store = format!("/proc/{process}/fd/{root}/{}", run.present().node(node).name);
        Ok(Some(PathBuf::from(store).join(node_command::KEY_FILE)))
    }

    fn api(_: &ProcessRun<Self>, _: NodeIndex) -> HeldApi {
        HeldApi { address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, API_PORT), token: None }
    }

    async fn last_output(run: &ProcessRun<Self>, node: NodeIndex) -> String {
        run.host.process(node).map_or_else(String::new, |process| process.last_output())
    }
}

/// Starts a router and waits until it answers.
/// The control groups of nodes with limits.
fn control_groups(plan: &Plan) -> Result<Vec<Option<ControlGroup>>, LimitError> {
    let group = |node: &NodePlan| {
        let limits = node.limits?;
        let made = ControlGroup::make(&node.name, limits);
        Some(made.map_err(|source| LimitError::NoControlGroup { node: node.name.clone(), limits, source }))
    };
    plan.nodes.iter().map(|node| group(node).transpose()).collect()
}

async fn start_router(
    plan: &Plan,
    network: NetworkIndex,
    namespace: &Namespace,
    program: &Arc<Program>,
    options: &NetnsOptions,
) -> anyhow::Result<(Process, ApiClient)> {
    let control = SideConfig { subnet: LOOPBACK.parse()?, address: Ipv4Addr::LOCALHOST, gateway: None };
    let mut config = router_config::config(plan, network, control);
    if let Some(tamper) = options.tamper {
        tamper(&mut config);
    }
    let process_spec = ProcessSpec {
        program: Arc::clone(program),
        arguments: vec!["router".to_owned()],
        variables: [
            vec![(CONFIG_VARIABLE, serde_json::to_string(&config)?)],
            node_command::router_variables(plan.network(network)),
        ]
        .concat(),
        privileges: Privileges::Router,
        folder: None,
        groups: Vec::new(),
        log: options.logs.as_ref().map(|logs| logs.join(format!("router-{}.log", plan.network(network).name))),
    };
    let process = Process::start(namespace, process_spec).await?;
    let target = SocketAddrV4::new(Ipv4Addr::LOCALHOST, CONTROL_PORT);
    let client = api_client(Route::FromNamespace { namespace: namespace.clone(), target }, None)?;
    let deadline = Instant::now() + ROUTER_DEADLINE;
    loop {
        let answered = tokio::select! {
            answered = node_api::metrics(&client) => answered,
            exit = process.ended() => bail!("it {} at its start{}", how_it_ended(exit), process.last_output()),
        };
        match answered {
            Ok(_) => return Ok((process, client)),
            Err(error) if Instant::now() > deadline => {
                let within = ROUTER_DEADLINE.as_secs();
                return Err(error.context(format!("it does not answer within {within} s{}", process.last_output())));
            }
            Err(_) => sleep(ROUTER_PAUSE).await,
        }
    }
}

async fn watch_router(run: Arc<ProcessRun<Namespaces>>, network: NetworkIndex) {
    let router = &run.host.routers[network.0];
    let exit = router.ended().await;
    let reason = format!("the router {} unexpectedly{}", how_it_ended(exit), router.last_output());
    run.report(None, OpResult::RouterDied { network, reason }).await;
}
