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
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep, timeout};

use crate::backend::process::client::{ApiClient, Route, api_client};
use crate::backend::process::lifecycle::{self, LEAVE_WITHIN, Life};
use crate::backend::process::router_config::{self, CONTROL_PORT};
use crate::backend::process::{Fleet, Host, Operation, node_api, node_command};
use crate::backend::{Backend, BackendError};
use crate::events::RunTime;
use crate::netns::access::{self, Access};
use crate::netns::process::{Orders, Power, Process, Program};
use crate::netns::{Crew, Namespace, raise_descriptor_limit};
use crate::op::{BackendEvent, Op, OpId, OpResult, OpTarget};
use crate::plan::{API_PORT, NetworkIndex, NodeIndex, Plan};
use crate::probe::Probed;
use crate::probe::survey::Survey;
use crate::programs;
use crate::progress::Progress;
use crate::router::{CONFIG_VARIABLE, RouterConfig, Side};
use stores::Stores;
use wiring::Wired;

/// Threads that make namespaces and start processes. The kernel does most of it one at a time.
const CREW: usize = 4;
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
pub struct Options {
    /// Which programs are run.
    pub programs: programs::Choice,
    /// Where the logs of all processes are written.
    pub logs: Option<PathBuf>,
    /// Whether routers are probed before nodes start.
    pub probe: bool,
    /// For tests of the probe: what routers are told otherwise than the plan says.
    pub tamper: Option<fn(&mut RouterConfig)>,
}

/// A run on namespaces.
#[derive(Debug)]
pub struct NetnsBackend {
    plan: Plan,
    options: Options,
    operation: Operation<Namespaces>,
    probed: Probed,
}

/// Where the nodes of a run are.
#[derive(Debug)]
struct Namespaces {
    wired: Wired,
    node: Arc<Program>,
    /// The present or last process of each node.
    running: Vec<Mutex<Option<Arc<Process>>>>,
    routers: Vec<Process>,
    stores: Option<Stores>,
    power: Power,
    logs: Option<PathBuf>,
}

/// Whether a run on namespaces can be had here, and how.
///
/// # Errors
/// With the reason and the remedy.
pub async fn preflight() -> Result<Access, BackendError> {
    let access = tokio::task::spawn_blocking(access::access).await.context("the trial ended early")??;
    programs::node_origin().await?;
    Ok(access)
}

impl NetnsBackend {
    /// A run of `plan`. Nothing is created before [`Backend::up`].
    pub fn new(plan: Plan, options: Options) -> Self {
        NetnsBackend { plan, options, operation: Operation::new(), probed: Probed::Skipped }
    }

    /// What came of the self-probe.
    pub fn probed(&self) -> &Probed {
        &self.probed
    }

    /// The namespaces and programs, until every router answers.
    async fn routers(&self, progress: &mut dyn Progress) -> Result<(Namespaces, Vec<ApiClient>), BackendError> {
        let programs = programs::find(&self.options.programs, progress).await?;
        let (node, router) = (Program::open(&programs.node)?, Arc::new(Program::open(&programs.harness)?));
        if let Some(folder) = &self.options.logs {
            std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        raise_descriptor_limit()?;
        progress.begin("creating networks", 0);
        let plan = &self.plan;
        let wired = wiring::wire(Crew::new(CREW)?, plan).await.context("creating networks")?;
        progress.begin("starting routers", plan.networks.len() as u64);
        let (router, options) = (&router, &self.options);
        let start = |index: usize| {
            let (network, namespace) = (NetworkIndex(index), &wired.routers[index]);
            async move {
                let started = start_router(plan, network, namespace, router, options).await;
                started.with_context(|| format!("the router of {} does not start", plan.network(network).name))
            }
        };
        let starts = stream::iter((0..plan.networks.len()).map(start)).buffered(plan.networks.len().max(1));
        let (routers, clients) = starts.try_collect::<Vec<_>>().await?.into_iter().unzip();
        progress.advance(plan.networks.len() as u64);
        let change_user = !access::entered() && nix::unistd::geteuid().is_root();
        let keeps = !lifecycle::keepers(plan).is_empty();
        let host = Namespaces {
            wired,
            node: Arc::new(node),
            running: plan.nodes.iter().map(|_| Mutex::default()).collect(),
            routers,
            stores: keeps.then(|| Stores::new(change_user)).transpose()?,
            power: Power::Node { change_user },
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
            self.probed = probe(&self.plan, &host.wired, &routers, progress).await?;
        }
        let api = SocketAddrV4::new(Ipv4Addr::LOCALHOST, API_PORT);
        let nodes = host.wired.nodes.clone();
        let to_node =
            |node: NodeIndex| api_client(Route::FromNamespace { namespace: nodes[node.0].clone(), target: api }, None);
        let (fleet, queues) = self.operation.begin(host, self.plan.clone(), routers, to_node)?;
        for index in 0..fleet.host.routers.len() {
            self.operation.spawn(watch_router(Arc::clone(&fleet), NetworkIndex(index)));
        }
        fleet.start_nodes(progress).await?;
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
        let Some(fleet) = self.operation.end().await else { return Ok(()) };
        progress.begin("ending processes", 0);
        fleet.nodes.iter().filter_map(|node| node.life()).for_each(|life| life.foresee());
        let host = &fleet.host;
        let nodes: Vec<_> = (0..host.running.len()).filter_map(|index| host.process(NodeIndex(index))).collect();
        let all = || nodes.iter().map(|node| &**node).chain(&host.routers);
        all().for_each(|process| process.signal(Signal::SIGKILL));
        let ends = async {
            for process in all() {
                process.ended().await;
            }
        };
        timeout(END_DEADLINE, ends).await.context("not every process has ended")?;
        Ok(())
    }
}

async fn probe(
    plan: &Plan,
    wired: &Wired,
    routers: &[ApiClient],
    progress: &mut dyn Progress,
) -> Result<Probed, BackendError> {
    let (survey, mut findings) = Survey::of(plan, wiring::bridge, &BTreeSet::new());
    progress.begin("probing routers", survey.len() as u64);
    let stands = survey.stands(&wired.hub).await?;
    let found = |finding| {
        progress.advance(1);
        findings.take(finding)
    };
    survey.carry_out(&stands, found).await?;
    // Before the routers forget: afterwards nothing may come that was still under way to them.
    drop(stands);
    router_config::forget_probe(routers, findings.networks()).await?;
    Ok(findings.into_probed(progress)?)
}

impl Namespaces {
    fn process(&self, node: NodeIndex) -> Option<Arc<Process>> {
        self.running[node.0].lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The orders of a node's process.
    fn orders(&self, plan: &Plan, node: NodeIndex, folder: Option<std::os::fd::OwnedFd>) -> Orders {
        let store = folder.as_ref().map(|_| ".");
        Orders {
            program: Arc::clone(&self.node),
            arguments: node_command::arguments(plan, node, Ipv4Addr::LOCALHOST, store),
            variables: node_command::inherited_variables(),
            power: self.power,
            folder,
            log: self.logs.as_ref().map(|logs| logs.join(format!("{}.log", plan.node(node).name))),
        }
    }

    /// The store that a node's process gets.
    fn store(&self, fleet: &Fleet<Self>, node: NodeIndex, anew: bool) -> anyhow::Result<Option<std::os::fd::OwnedFd>> {
        let Some(stores) = self.stores.as_ref().filter(|_| fleet.node(node).keeps) else { return Ok(None) };
        let first = self.process(node).is_none();
        stores.of(&fleet.plan.node(node).name, first || anew).map(Some)
    }
}

impl Host for Namespaces {
    async fn begin(fleet: &Arc<Fleet<Self>>, node: NodeIndex, anew: bool, life: &Life) -> anyhow::Result<()> {
        let host = &fleet.host;
        let store = host.store(fleet, node, anew)?;
        let process = Process::start(&host.wired.nodes[node.0], host.orders(&fleet.plan, node, store)).await?;
        let (ended, life, weak) = (process.ended(), life.clone(), Arc::downgrade(fleet));
        *host.running[node.0].lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(process));
        tokio::spawn(async move {
            let exit = ended.await;
            if let Some(fleet) = weak.upgrade() {
                lifecycle::ended(&fleet, node, &life, exit).await;
            }
        });
        Ok(())
    }

    async fn kill(fleet: &Fleet<Self>, node: NodeIndex, _: &Life) -> anyhow::Result<()> {
        let process = fleet.host.process(node).context("it has no process")?;
        process.signal(Signal::SIGKILL);
        timeout(END_DEADLINE, process.ended()).await.map(drop).context("it does not end when it is killed")
    }

    async fn stop(fleet: &Fleet<Self>, node: NodeIndex, life: &Life) -> anyhow::Result<()> {
        let process = fleet.host.process(node).context("it has no process")?;
        process.signal(Signal::SIGTERM);
        match timeout(LEAVE_WITHIN, process.ended()).await {
            Ok(_) => Ok(()),
            Err(_) => Self::kill(fleet, node, life).await,
        }
    }

    async fn said(fleet: &Fleet<Self>, node: NodeIndex) -> String {
        fleet.host.process(node).map_or_else(String::new, |process| process.said())
    }
}

/// Starts a router and waits until it answers.
async fn start_router(
    plan: &Plan,
    network: NetworkIndex,
    namespace: &Namespace,
    program: &Arc<Program>,
    options: &Options,
) -> anyhow::Result<(Process, ApiClient)> {
    let control = Side { subnet: LOOPBACK.parse()?, address: Ipv4Addr::LOCALHOST, gateway: None };
    let mut config = router_config::config(plan, network, control);
    if let Some(tamper) = options.tamper {
        tamper(&mut config);
    }
    let orders = Orders {
        program: Arc::clone(program),
        arguments: vec!["router".to_owned()],
        variables: vec![(CONFIG_VARIABLE, serde_json::to_string(&config)?)],
        power: Power::Router,
        folder: None,
        log: options.logs.as_ref().map(|logs| logs.join(format!("router-{}.log", plan.network(network).name))),
    };
    let process = Process::start(namespace, orders).await?;
    let target = SocketAddrV4::new(Ipv4Addr::LOCALHOST, CONTROL_PORT);
    let client = api_client(Route::FromNamespace { namespace: namespace.clone(), target }, None)?;
    let deadline = Instant::now() + ROUTER_DEADLINE;
    loop {
        let answered = tokio::select! {
            answered = node_api::metrics(&client) => answered,
            exit = process.ended() => bail!("it ended at once with exit status {exit}{}", process.said()),
        };
        match answered {
            Ok(_) => return Ok((process, client)),
            Err(error) if Instant::now() > deadline => {
                let within = ROUTER_DEADLINE.as_secs();
                return Err(error.context(format!("it does not answer within {within} s{}", process.said())));
            }
            Err(_) => sleep(ROUTER_PAUSE).await,
        }
    }
}

async fn watch_router(fleet: Arc<Fleet<Namespaces>>, network: NetworkIndex) {
    let router = &fleet.host.routers[network.0];
    let exit = router.ended().await;
    let name = &fleet.plan.network(network).name;
    let why = format!("the router of {name} ended by itself with exit status {exit}{}", router.said());
    fleet.tell(None, OpResult::Failed { node: None, reason: why }).await;
}
