//! The lives of one node: started, killed and stopped in the order asked for, one thing at a time.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use butter::api::StoragePlace;
use butter::core::identity::NodeId;
use nix::sys::signal::Signal;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::client::ApiClient;
use super::exit::how_it_ended;
use super::{ProcessHost, ProcessRun, node_api, partition};
use crate::op::{Op, OpId, OpResult};
use crate::plan::{NodeIndex, Plan};

/// How long a node may take to answer after its start.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
/// Pauses between questions to a node that does not answer yet: doubled from the first up to the second.
const ASK_PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(160));
/// How long one question may take while a node starts.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a node may take to leave before it is killed.
pub(crate) const LEAVE_WITHIN: Duration = Duration::from_secs(20);
/// How long the word that a process has ended may take after it was ended.
const DEATH_NOTICE_DEADLINE: Duration = Duration::from_secs(5);
/// Exit status of a process that SIGKILL ended, as shells and Docker show it.
const KILLED: i64 = 128 + 9;

/// One run of a node's process.
#[derive(Clone, Debug)]
pub(crate) struct ProcessInstance {
    /// Cancelled when the process has ended.
    pub(crate) ended: CancellationToken,
    /// How it ended.
    exit: Arc<OnceLock<i64>>,
    /// Whether its end was asked for, or may happen because it is still starting.
    expected: Arc<AtomicBool>,
}

impl ProcessInstance {
    fn new() -> Self {
        let expected = Arc::new(AtomicBool::new(true));
        ProcessInstance { ended: CancellationToken::new(), exit: Arc::default(), expected }
    }

    /// From now on its end is no surprise.
    pub(crate) fn expect_end(&self) {
        self.expected.store(true, Ordering::SeqCst);
    }

    /// Notes that the process has ended; returns whether that comes as a surprise.
    pub(crate) fn end(&self, exit: i64) -> bool {
        // Only the first word counts.
        let _ = self.exit.set(exit);
        let news = !self.ended.is_cancelled();
        self.ended.cancel();
        news && !self.expected.load(Ordering::SeqCst)
    }
}

/// A node of the run.
#[derive(Debug)]
pub(crate) struct ProcessNode {
    pub(crate) client: ApiClient,
    lifecycle_ops: mpsc::Sender<(OpId, Op)>,
    state: Mutex<NodeState>,
    /// Whether its store outlives its process.
    pub(crate) persistent: bool,
    /// Held while what it receives is changed.
    pub(crate) filtering: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct NodeState {
    /// Since it was started; also after it ended by itself, until it is asked for again.
    instance: Option<ProcessInstance>,
    /// Whether its process has begun.
    begun: bool,
    /// Whether that life has answered.
    answers: bool,
}

/// Turns of one node that wait.
const LIFECYCLE_OPS_MAX: usize = 64;

/// The turns of each node that wait.
pub(crate) type LifecycleQueues = Vec<mpsc::Receiver<(OpId, Op)>>;

/// The nodes that are started with what they had, and those with blocks on a disk; all of a lab that is `held`, where any may be.
pub(crate) fn persistent_nodes(plan: &Plan, held: bool) -> BTreeSet<NodeIndex> {
    if held {
        return (0..plan.nodes.len()).map(NodeIndex).collect();
    }
    let ops = plan.steps.iter().flat_map(|step| &step.ops);
    let restarted = ops.filter_map(|timed| match timed.op {
        Op::Start { node, fresh: false } => Some(node),
        _ => None,
    });
    let on_disk = (0..plan.nodes.len()).map(NodeIndex).filter(|&node| plan.node(node).store == StoragePlace::Disk);
    restarted.chain(on_disk).collect()
}

impl ProcessNode {
    /// A node that has not run, and the queue of its turns, for [`serve`].
    pub(crate) fn new(client: ApiClient, persistent: bool) -> (Self, mpsc::Receiver<(OpId, Op)>) {
        let (lifecycle_ops, queue) = mpsc::channel(LIFECYCLE_OPS_MAX);
        let (state, filtering) = Default::default();
        (ProcessNode { client, lifecycle_ops, state, persistent, filtering }, queue)
    }

    /// Asks for a turn.
    pub(crate) fn submit(&self, id: OpId, op: Op) -> anyhow::Result<()> {
        self.lifecycle_ops
            .try_send((id, op))
            .map_err(|_| anyhow!("more than {LIFECYCLE_OPS_MAX} starts and ends of this node wait already"))
    }

    /// The life of a node that runs and answers.
    pub(crate) fn live(&self) -> Option<ProcessInstance> {
        let state = self.lock();
        state.instance.clone().filter(|instance| state.answers && !instance.ended.is_cancelled())
    }

    /// The life of a node whose process has begun and not ended.
    pub(crate) fn begun(&self) -> Option<ProcessInstance> {
        let state = self.lock();
        state.instance.clone().filter(|instance| state.begun && !instance.ended.is_cancelled())
    }

    /// The present or last life.
    pub(crate) fn instance(&self) -> Option<ProcessInstance> {
        self.lock().instance.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, NodeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the turns of one node in their order until the run is over.
pub(crate) async fn serve<H: ProcessHost>(
    run: Arc<ProcessRun<H>>,
    node: NodeIndex,
    mut queue: mpsc::Receiver<(OpId, Op)>,
) {
    while let Some((id, op)) = queue.recv().await {
        let done = match &op {
            Op::Start { fresh, .. } => start(&run, node, *fresh).await.map(|id| OpResult::NodeStarted { id }),
            Op::Kill { .. } => kill(&run, node).await.map(|()| OpResult::NodeStopped),
            Op::Stop { .. } => stop(&run, node).await.map(|()| OpResult::NodeStopped),
            Op::Pause { .. } => pause(&run, node).await.map(|()| OpResult::NodeStopped),
            Op::Resume { .. } => resume(&run, node).await.map(|id| OpResult::NodeStarted { id }),
            op => Err(anyhow!("a {} is no change of a node's life", op.name())),
        };
        let result = done.unwrap_or_else(|error| OpResult::Failed { node: Some(node), reason: format!("{error:#}") });
        run.report(Some(id), result).await;
    }
}

/// Starts a node and waits until it answers.
async fn start<H: ProcessHost>(run: &Arc<ProcessRun<H>>, node: NodeIndex, fresh: bool) -> anyhow::Result<NodeId> {
    let instance = launch(run, node, fresh).await?;
    release(run, node, &instance).await
}

/// Starts the process of a node, which is held until [`release`].
pub(crate) async fn launch<H: ProcessHost>(
    run: &Arc<ProcessRun<H>>,
    node: NodeIndex,
    fresh: bool,
) -> anyhow::Result<ProcessInstance> {
    let here = run.node(node);
    if here.live().is_some() {
        bail!("the node is running already");
    }
    let ran = here.instance().is_some();
    if !fresh && !here.persistent && ran {
        bail!("its store does not outlive it: the plan never starts it with what it had");
    }
    here.client.close_idle();
    let instance = ProcessInstance::new();
    {
        let mut state = here.lock();
        state.instance = Some(instance.clone());
        (state.begun, state.answers) = (false, false);
    }
    // Without a store that outlives it, a new process has forgotten everything anyway.
    let anew = fresh && ran && here.persistent;
    if let Err(error) = H::begin(run, node, anew, &instance).await {
        // No process, so no word of its end will come.
        instance.end(0);
        return Err(error);
    }
    here.lock().begun = true;
    partition::keep(run, node).await?;
    Ok(instance)
}

/// Lets a node that was launched begin, and waits until it answers.
pub(crate) async fn release<H: ProcessHost>(
    run: &ProcessRun<H>,
    node: NodeIndex,
    instance: &ProcessInstance,
) -> anyhow::Result<NodeId> {
    let id = tokio::select! {
        answered = timeout(ANSWER_DEADLINE, answer(run, node)) => match answered {
            Ok(id) => id,
            Err(_) => {
                let last_output = H::last_output(run, node).await;
                bail!("the node does not answer within {} s{last_output}", ANSWER_DEADLINE.as_secs())
            }
        },
        () = instance.ended.cancelled() => bail!("the node {} at its start{}", exit_text(instance), H::last_output(run, node).await),
    };
    instance.expected.store(false, Ordering::SeqCst);
    run.node(node).lock().answers = true;
    Ok(id)
}

/// Takes the word that a process has ended; reports it unless it was asked for.
pub(crate) async fn ended<H: ProcessHost>(run: &ProcessRun<H>, node: NodeIndex, instance: &ProcessInstance, exit: i64) {
    if instance.end(exit) {
        run.node(node).client.close_idle();
        let last_output = H::last_output(run, node).await;
        let cause = match run.present().node(node).limits.and_then(|limits| limits.memory) {
            Some(bytes) if exit == KILLED && H::is_out_of_memory(run, node).await => {
                format!(" by the kernel, at its limit of {} MiB of memory", bytes >> 20)
            }
            _ => String::new(),
        };
        let reason = format!("the node {}{cause} unexpectedly{last_output}", how_it_ended(exit));
        run.report(None, OpResult::NodeDied { node, reason }).await;
    }
}

/// Tells it to begin, and asks who it is, each until it answers.
async fn answer<H: ProcessHost>(run: &ProcessRun<H>, node: NodeIndex) -> NodeId {
    let client = &run.node(node).client;
    until_answered(|| node_api::start(client)).await;
    until_answered(|| node_api::identity(client)).await
}

async fn until_answered<T, F: Future<Output = anyhow::Result<T>>>(ask: impl Fn() -> F) -> T {
    let (mut pause, longest) = ASK_PAUSES;
    loop {
        if let Ok(Ok(answer)) = timeout(ASK_TIMEOUT, ask()).await {
            return answer;
        }
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

async fn kill<H: ProcessHost>(run: &ProcessRun<H>, node: NodeIndex) -> anyhow::Result<()> {
    let instance = instance_to_end(run, node)?;
    let killed = H::kill(run, node, &instance).await;
    await_end(run, node, &instance).await;
    killed
}

async fn stop<H: ProcessHost>(run: &ProcessRun<H>, node: NodeIndex) -> anyhow::Result<()> {
    let instance = instance_to_end(run, node)?;
    H::stop(run, node, &instance).await?;
    await_end(run, node, &instance).await;
    match instance.exit.get() {
        Some(&KILLED) => bail!("the node did not leave within {} s and was killed", LEAVE_WITHIN.as_secs()),
        Some(0) | None => Ok(()),
        Some(_) => bail!("the node {}{}", exit_text(&instance), H::last_output(run, node).await),
    }
}

/// Freezes the process of a node: nothing is asked of it until it goes on.
async fn pause<H: ProcessHost>(run: &ProcessRun<H>, node: NodeIndex) -> anyhow::Result<()> {
    run.node(node).live().context("the node is down")?;
    H::signal(run, node, Signal::SIGSTOP).await?;
    run.node(node).lock().answers = false;
    Ok(())
}

/// Lets a frozen process go on, and waits until it answers.
async fn resume<H: ProcessHost>(run: &ProcessRun<H>, node: NodeIndex) -> anyhow::Result<NodeId> {
    let here = run.node(node);
    let instance = here.instance().filter(|instance| !instance.ended.is_cancelled());
    let instance = instance.filter(|_| here.live().is_none()).context("the node is not paused")?;
    H::signal(run, node, Signal::SIGCONT).await?;
    release(run, node, &instance).await
}

/// The life that is about to be ended.
fn instance_to_end<H: ProcessHost>(run: &ProcessRun<H>, node: NodeIndex) -> anyhow::Result<ProcessInstance> {
    let instance = run.node(node).live().context("the node is down")?;
    instance.expect_end();
    Ok(instance)
}

/// Waits for the word that a life is over, so that the word is never taken for the next life's.
async fn await_end<H: ProcessHost>(run: &ProcessRun<H>, node: NodeIndex, instance: &ProcessInstance) {
    if timeout(DEATH_NOTICE_DEADLINE, instance.ended.cancelled()).await.is_err() {
        instance.ended.cancel();
    }
    run.node(node).client.close_idle();
}

fn exit_text(instance: &ProcessInstance) -> String {
    instance.exit.get().map_or_else(|| "ended".to_owned(), |status| how_it_ended(*status))
}
