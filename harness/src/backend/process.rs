//! What backends with real processes share: nodes that are started and ended, asked over their control API, and reported on.
//!
//! | module | what it does |
//! | --- | --- |
//! | `lifecycle` | starts, kills and stops each node in order; tells of what ends by itself |
//! | `operations` | puts, gets, looks and samples |
//! | `exit` | how a process ended, in words |
//! | `node_api`, `client` | the control API, and the ways to it |
//! | `router_config` | the configuration of routers |
//! | `hostile_node` | the program of hostile nodes |
//! | `node_command` | the command line of nodes |
//! | `partition` | what nodes do not receive while a partition is in force |
//! | `moves` | nodes that come to another network |
//! | `disks` | disks that are full or damaged |
//! | `neighbours` | hosts that a node may meet on its LAN |

pub(crate) mod client;
mod disks;
pub(crate) mod exit;
pub(crate) mod hostile_node;
pub(crate) mod lifecycle;
pub(crate) mod moves;
pub(crate) mod neighbours;
pub(crate) mod node_api;
pub(crate) mod node_command;
pub(crate) mod operations;
pub(crate) mod partition;
pub(crate) mod router_config;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures_util::{StreamExt, TryStreamExt, stream};
use nix::sys::signal::Signal;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::backend::BackendError;
use crate::backend::held::{HeldApi, HeldHost, LogSource};
use crate::events::RunTime;
use crate::netns::arrival_filter::ArrivalFilter;
use crate::op::{BackendEvent, Op, OpId, OpResult, OpTarget};
use crate::plan::partitions::PartitionState;
use crate::plan::{Item, ItemIndex, NodeIndex, Plan};
use crate::progress::Progress;
use client::{ApiClient, Route};
use lifecycle::{LifecycleQueues, ProcessInstance, ProcessNode};
use moves::NodePlace;

/// Nodes that are let begin at once.
const RELEASES_AT_ONCE: usize = 64;
/// Questions for views and metrics under way at once.
const INSPECTIONS_AT_ONCE: usize = 32;
/// Puts and gets under way at once.
const TRANSFERS_AT_ONCE: usize = 256;
/// Questions to peers under way at once: they are short, and are not to wait for transfers.
const PINGS_AT_ONCE: usize = 512;
/// Reports that wait to be taken.
const REPORTS_MAX: usize = 1_024;
/// A wait without an end, for the timer: a day.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What the processes of nodes run in.
pub(crate) trait ProcessHost: Send + Sync + Sized + 'static {
    /// Starts the process of a node; with `anew` it finds nothing of what an earlier one kept. Its end is reported to
    /// [`lifecycle::ended`] together with `instance`.
    fn begin(run: &Arc<ProcessRun<Self>>, node: NodeIndex, anew: bool, instance: &ProcessInstance) -> impl HostFuture;

    /// SIGKILL. That the process has ended already is no error.
    fn kill(run: &ProcessRun<Self>, node: NodeIndex, instance: &ProcessInstance) -> impl HostFuture;

    /// Sends a signal to the process.
    fn signal(run: &ProcessRun<Self>, node: NodeIndex, signal: Signal) -> impl HostFuture;

    /// Asks the process to leave, and kills it if it does not within [`lifecycle::LEAVE_WITHIN`].
    fn stop(run: &ProcessRun<Self>, node: NodeIndex, instance: &ProcessInstance) -> impl HostFuture;

    /// Has a node that has begun receive nothing that the filter drops, in place of an earlier filter.
    fn filter(run: &ProcessRun<Self>, node: NodeIndex, filter: ArrivalFilter) -> impl HostFuture;

    /// Whether the process of a node, which was killed, had reached a limit of its memory.
    fn is_out_of_memory(run: &ProcessRun<Self>, node: NodeIndex) -> impl Future<Output = bool> + Send;

    /// Takes the host of a node, which may run, from the network where it is to the one where it is in the plan `there`.
    fn rewire(run: &ProcessRun<Self>, node: NodeIndex, there: &Plan) -> impl HostFuture;

    /// The way to the control API of a node at another place; `None` if it is the same wherever the node is.
    fn route(run: &ProcessRun<Self>, to: NodePlace) -> Option<Route>;

    /// Where a node's process has its store, within its folder of proc(5).
    const STORE: &str;

    /// The number of the process of a node, which runs.
    fn process_id(run: &ProcessRun<Self>, node: NodeIndex) -> impl Future<Output = anyhow::Result<i32>> + Send;

    /// Forgets what a node that has ended was started from; with `store`, also what it kept.
    fn discard(run: &ProcessRun<Self>, node: NodeIndex, store: bool) -> impl HostFuture;

    /// The network namespace of a host, as a path that its owner may open.
    fn namespace(run: &ProcessRun<Self>, host: HeldHost) -> impl Future<Output = anyhow::Result<PathBuf>> + Send;

    /// Where the log of a host is; `None` if none is kept.
    fn log(run: &ProcessRun<Self>, host: HeldHost) -> Option<LogSource>;

    /// Where a node writes down the secrets of its connections, in its present life or the next; `None` if it does not.
    fn keys(run: &ProcessRun<Self>, node: NodeIndex) -> impl Future<Output = anyhow::Result<Option<PathBuf>>> + Send;

    /// The control API of a node, as seen from its host.
    fn api(run: &ProcessRun<Self>, node: NodeIndex) -> HeldApi;

    /// The last lines that a node wrote, ready to follow an error message; empty when there are none.
    fn last_output(run: &ProcessRun<Self>, node: NodeIndex) -> impl Future<Output = String> + Send;
}

/// What a [`ProcessHost`] does, within a deadline that it keeps.
pub(crate) trait HostFuture: Future<Output = anyhow::Result<()>> + Send {}
impl<F: Future<Output = anyhow::Result<()>> + Send> HostFuture for F {}

/// What the tasks of a run share.
#[derive(Debug)]
pub(crate) struct ProcessRun<H> {
    pub(crate) host: H,
    /// As it was deployed: with the subnets that were free.
    pub(crate) plan: Plan,
    /// The same with what it has become since: nodes that have moved, and what a held lab was changed to. The number of nodes and
    /// networks stays.
    present: Mutex<Arc<Plan>>,
    /// Held while a node moves: one at a time.
    moving: tokio::sync::Mutex<()>,
    /// One for each node of the plan.
    pub(crate) nodes: Vec<ProcessNode>,
    /// One for each network's router.
    pub(crate) routers: Vec<ApiClient>,
    /// The values that nodes store: the plan's, or those of a file that is played on a held lab.
    items: Mutex<Arc<Vec<Item>>>,
    partitions: Mutex<PartitionState>,
    inspections: Semaphore,
    transfers: Semaphore,
    pings: Semaphore,
    /// When the run's clock started.
    clock: OnceLock<Instant>,
    reports: mpsc::Sender<BackendEvent>,
}

impl<H: ProcessHost> ProcessRun<H> {
    pub(crate) fn node(&self, node: NodeIndex) -> &ProcessNode {
        &self.nodes[node.0]
    }

    /// What nodes and networks are by now.
    pub(crate) fn present(&self) -> Arc<Plan> {
        Arc::clone(&self.present.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Nodes and networks are something else from now on, or from their next start.
    pub(crate) fn set_present(&self, plan: Plan) {
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
    }

    /// One thing about nodes or networks is something else from now on.
    pub(crate) fn change_present(&self, change: impl FnOnce(&mut Plan)) {
        change(Arc::make_mut(&mut self.present.lock().unwrap_or_else(PoisonError::into_inner)));
    }

    /// How long a node takes at most for a put or get, by its own settings.
    fn deadline(&self, node: NodeIndex) -> Duration {
        let plan = self.present();
        plan.node_config(plan.node(node)).core.deadline
    }

    /// The value of this number.
    fn item(&self, item: ItemIndex) -> Option<Item> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).get(item.0).cloned()
    }

    /// Other values take the place of the plan's.
    pub(crate) fn set_items(&self, items: Vec<Item>) {
        *self.items.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(items);
    }

    /// The run's clock; zero before it starts.
    fn now(&self) -> RunTime {
        self.clock.get().map_or(RunTime(0), |start| RunTime(start.elapsed().as_micros() as u64))
    }

    /// Reports. Waits while too much is untaken; what is never taken is dropped with the run.
    pub(crate) async fn report(&self, op: Option<OpId>, result: OpResult) {
        let _ = self.reports.send(BackendEvent { at: self.now(), op, result }).await;
    }

    /// Starts every node that runs from the start, lets them begin together once all processes are there, and waits until all of
    /// them answer. Else the first would have been at work for as long as the host takes to start the last, and at its expense.
    pub(crate) async fn start_nodes(self: &Arc<Self>, progress: &mut dyn Progress) -> Result<(), BackendError> {
        let launched = self.launch(progress).await?;
        progress.begin("letting nodes begin", launched.len() as u64);
        // Ambassadors first: whoever finds them at its first try joins sooner.
        let (first, then): (Vec<_>, Vec<_>) =
            launched.into_iter().partition(|(node, _)| self.plan.node(*node).ambassador);
        for group in [first, then] {
            let release = |(node, instance)| async move {
                lifecycle::release(self, node, &instance).await.with_context(|| self.cannot_start(node))
            };
            let mut releases = stream::iter(group.into_iter().map(release)).buffer_unordered(RELEASES_AT_ONCE);
            while releases.try_next().await?.is_some() {
                progress.advance(1);
            }
        }
        Ok(())
    }

    /// Starts the processes of all nodes that run from the start.
    async fn launch(
        self: &Arc<Self>,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<Vec<(NodeIndex, ProcessInstance)>> {
        let from_start: Vec<_> =
            (0..self.nodes.len()).map(NodeIndex).filter(|node| self.plan.node(*node).from_start).collect();
        let count = from_start.len();
        progress.begin("starting nodes", count as u64);
        let launch = |node| async move {
            let instance = lifecycle::launch(self, node, true).await.with_context(|| self.cannot_start(node))?;
            anyhow::Ok((node, instance))
        };
        // The host bounds how many at once.
        let mut launches = stream::iter(from_start.into_iter().map(launch)).buffer_unordered(count.max(1));
        let mut launched = Vec::with_capacity(count);
        while let Some(instance) = launches.try_next().await? {
            launched.push(instance);
            progress.advance(1);
        }
        Ok(launched)
    }

    fn cannot_start(&self, node: NodeIndex) -> String {
        format!("the node {} does not start", self.plan.node(node).name)
    }
}

/// A fleet that may be under way, the tasks that serve it, and its events.
#[derive(Debug)]
pub(crate) struct ProcessBackend<H> {
    run: Option<Arc<ProcessRun<H>>>,
    reports: mpsc::Receiver<BackendEvent>,
    sender: mpsc::Sender<BackendEvent>,
    tasks: JoinSet<()>,
}

impl<H: ProcessHost> ProcessBackend<H> {
    /// One without a fleet yet.
    pub(crate) fn new() -> Self {
        let (sender, reports) = mpsc::channel(REPORTS_MAX);
        ProcessBackend { run: None, reports, sender, tasks: JoinSet::new() }
    }

    /// The fleet, from [`ProcessBackend::begin`] to [`ProcessBackend::end`].
    pub(crate) fn run(&self) -> Option<&Arc<ProcessRun<H>>> {
        self.run.as_ref()
    }

    /// Takes the fleet over: its networks and routers are up, its nodes are not. The stores of `persistent_nodes` outlive them;
    /// `to_node` is the way to a node's control API.
    pub(crate) fn begin(
        &mut self,
        host: H,
        plan: Plan,
        routers: Vec<ApiClient>,
        persistent_nodes: &BTreeSet<NodeIndex>,
        to_node: impl Fn(NodeIndex) -> anyhow::Result<ApiClient>,
    ) -> anyhow::Result<(Arc<ProcessRun<H>>, LifecycleQueues)> {
        let node = |index| anyhow::Ok(ProcessNode::new(to_node(index)?, persistent_nodes.contains(&index)));
        let nodes: Vec<_> = (0..plan.nodes.len()).map(|index| node(NodeIndex(index))).collect::<Result<_, _>>()?;
        let (nodes, queues) = nodes.into_iter().unzip();
        let run = Arc::new(ProcessRun {
            host,
            partitions: Mutex::new(PartitionState::new(&plan)),
            items: Mutex::new(Arc::new(plan.items.clone())),
            present: Mutex::new(Arc::new(plan.clone())),
            moving: tokio::sync::Mutex::default(),
            plan,
            nodes,
            routers,
            inspections: Semaphore::new(INSPECTIONS_AT_ONCE),
            transfers: Semaphore::new(TRANSFERS_AT_ONCE),
            pings: Semaphore::new(PINGS_AT_ONCE),
            clock: OnceLock::new(),
            reports: self.sender.clone(),
        });
        self.run = Some(Arc::clone(&run));
        Ok((run, queues))
    }

    /// A task that ends with the operation.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// All nodes answer: serves their turns from now on, and starts the run's clock.
    pub(crate) fn start_clock(&mut self, queues: LifecycleQueues) -> anyhow::Result<()> {
        let run = Arc::clone(self.up_and_running());
        for (node, queue) in queues.into_iter().enumerate() {
            self.tasks.spawn(lifecycle::serve(Arc::clone(&run), NodeIndex(node), queue));
        }
        run.clock.set(Instant::now()).map_err(|_| anyhow!("the backend is up already"))
    }

    /// See [`crate::backend::Backend::now`].
    pub(crate) fn now(&self) -> RunTime {
        self.run.as_ref().map_or(RunTime(0), |run| run.now())
    }

    /// See [`crate::backend::Backend::submit`].
    pub(crate) fn submit(&mut self, id: OpId, op: Op, target: OpTarget) {
        self.reap();
        match op {
            op if op.lifecycle().is_some() => self.lifecycle_op(id, op),
            other => {
                let run = Arc::clone(self.up_and_running());
                self.tasks.spawn(async move {
                    let result = operations::perform(&run, other, target).await;
                    run.report(Some(id), result).await;
                });
            }
        }
    }

    /// See [`crate::backend::Backend::next`].
    pub(crate) async fn next(&mut self, until: RunTime) -> Option<BackendEvent> {
        self.reap();
        let start = *self.up_and_running().clock.get().expect("the clock starts when the backend is up");
        let wake = start + Duration::from_micros(until.0).min(start.elapsed() + LONGEST_WAIT);
        tokio::select! {
            biased;
            report = self.reports.recv() => report,
            () = sleep_until(wake) => None,
        }
    }

    /// Ends all tasks: what is removed afterwards is no surprise to anybody.
    pub(crate) async fn end(&mut self) -> Option<Arc<ProcessRun<H>>> {
        self.tasks.shutdown().await;
        self.run.take()
    }

    fn lifecycle_op(&mut self, id: OpId, op: Op) {
        let Some(node) = op.node() else { return };
        let run = Arc::clone(self.up_and_running());
        if let Err(error) = run.node(node).submit(id, op) {
            let result = OpResult::Failed { node: Some(node), reason: error.to_string() };
            self.tasks.spawn(async move { run.report(Some(id), result).await });
        }
    }

    fn up_and_running(&self) -> &Arc<ProcessRun<H>> {
        self.run.as_ref().expect("actions are submitted to a backend that is up")
    }

    /// Takes note of tasks that have ended; one that panicked takes this one with it, as its action would never be reported.
    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }
}
