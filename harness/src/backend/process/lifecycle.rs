//! The lives of one node: started, killed and stopped in the order asked for, one thing at a time.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use butter::core::identity::NodeId;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::client::ApiClient;
use super::{Fleet, Host, node_api};
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

/// What can be asked of a node's life.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn {
    /// Start it.
    Start {
        /// With a new identity and an empty store.
        fresh: bool,
    },
    /// SIGKILL.
    Kill,
    /// Let it leave.
    Stop,
}

/// One run of a node's process.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    /// Cancelled when the process has ended.
    pub(crate) ended: CancellationToken,
    /// How it ended.
    exit: Arc<OnceLock<i64>>,
    /// Whether its end was asked for, or is nobody's surprise yet because it is still starting.
    expected: Arc<AtomicBool>,
}

impl Life {
    fn new() -> Self {
        let expected = Arc::new(AtomicBool::new(true));
        Life { ended: CancellationToken::new(), exit: Arc::default(), expected }
    }

    /// From now on its end is no surprise.
    pub(crate) fn foresee(&self) {
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
pub(crate) struct Node {
    pub(crate) client: ApiClient,
    turns: mpsc::Sender<(OpId, Turn)>,
    state: Mutex<State>,
    /// Whether its store outlives its process.
    pub(crate) keeps: bool,
}

#[derive(Debug, Default)]
struct State {
    /// Since it was started; also after it ended by itself, until it is asked for again.
    life: Option<Life>,
    /// Whether that life has answered.
    answers: bool,
}

/// Turns of one node that wait.
const TURNS_MAX: usize = 64;

/// The turns of each node that wait.
pub(crate) type Queues = Vec<mpsc::Receiver<(OpId, Turn)>>;

/// The nodes that are started with what they had.
pub(crate) fn keepers(plan: &Plan) -> BTreeSet<NodeIndex> {
    let ops = plan.steps.iter().flat_map(|step| &step.ops);
    ops.filter_map(|timed| match timed.op {
        Op::Start { node, fresh: false } => Some(node),
        _ => None,
    })
    .collect()
}

impl Node {
    /// A node that has not run, and the queue of its turns, for [`serve`].
    pub(crate) fn new(client: ApiClient, keeps: bool) -> (Self, mpsc::Receiver<(OpId, Turn)>) {
        let (turns, queue) = mpsc::channel(TURNS_MAX);
        (Node { client, turns, state: Mutex::default(), keeps }, queue)
    }

    /// Asks for a turn.
    pub(crate) fn submit(&self, op: OpId, turn: Turn) -> anyhow::Result<()> {
        self.turns
            .try_send((op, turn))
            .map_err(|_| anyhow!("more than {TURNS_MAX} starts and ends of this node wait already"))
    }

    /// The life of a node that runs and answers.
    pub(crate) fn live(&self) -> Option<Life> {
        let state = self.lock();
        state.life.clone().filter(|life| state.answers && !life.ended.is_cancelled())
    }

    /// The present or last life.
    pub(crate) fn life(&self) -> Option<Life> {
        self.lock().life.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the turns of one node in their order until the run is over.
pub(crate) async fn serve<H: Host>(fleet: Arc<Fleet<H>>, node: NodeIndex, mut queue: mpsc::Receiver<(OpId, Turn)>) {
    while let Some((op, turn)) = queue.recv().await {
        let done = match turn {
            Turn::Start { fresh } => start(&fleet, node, fresh).await.map(|id| OpResult::NodeStarted { id }),
            Turn::Kill => kill(&fleet, node).await.map(|()| OpResult::NodeStopped),
            Turn::Stop => stop(&fleet, node).await.map(|()| OpResult::NodeStopped),
        };
        let told = done.unwrap_or_else(|error| OpResult::Failed { node: Some(node), reason: format!("{error:#}") });
        fleet.tell(Some(op), told).await;
    }
}

/// Starts a node and waits until it answers.
async fn start<H: Host>(fleet: &Arc<Fleet<H>>, node: NodeIndex, fresh: bool) -> anyhow::Result<NodeId> {
    let life = launch(fleet, node, fresh).await?;
    release(fleet, node, &life).await
}

/// Starts the process of a node, which is held until [`release`].
pub(crate) async fn launch<H: Host>(fleet: &Arc<Fleet<H>>, node: NodeIndex, fresh: bool) -> anyhow::Result<Life> {
    let here = fleet.node(node);
    if here.live().is_some() {
        bail!("it runs already");
    }
    let ran = here.life().is_some();
    if !fresh && !here.keeps && ran {
        bail!("its store does not outlive it: the plan never starts it with what it had");
    }
    here.client.close_idle();
    let life = Life::new();
    {
        let mut state = here.lock();
        state.life = Some(life.clone());
        state.answers = false;
    }
    // Without a store that outlives it, a new process has forgotten everything anyway.
    let anew = fresh && ran && here.keeps;
    if let Err(error) = H::begin(fleet, node, anew, &life).await {
        // No process, so no word of its end will come.
        life.end(0);
        return Err(error);
    }
    Ok(life)
}

/// Lets a node that was launched begin, and waits until it answers.
pub(crate) async fn release<H: Host>(fleet: &Fleet<H>, node: NodeIndex, life: &Life) -> anyhow::Result<NodeId> {
    let id = tokio::select! {
        answered = timeout(ANSWER_DEADLINE, answer(fleet, node)) => match answered {
            Ok(id) => id,
            Err(_) => {
                let said = H::said(fleet, node).await;
                bail!("it does not answer within {} s{said}", ANSWER_DEADLINE.as_secs())
            }
        },
        () = life.ended.cancelled() => bail!("it ended at once{}{}", exit_text(life), H::said(fleet, node).await),
    };
    life.expected.store(false, Ordering::SeqCst);
    fleet.node(node).lock().answers = true;
    Ok(id)
}

/// Takes the word that a process has ended; reports it if nobody asked for that.
pub(crate) async fn ended<H: Host>(fleet: &Fleet<H>, node: NodeIndex, life: &Life, exit: i64) {
    if life.end(exit) {
        fleet.node(node).client.close_idle();
        let said = H::said(fleet, node).await;
        let why = format!("it ended by itself with exit status {exit}{said}");
        fleet.tell(None, OpResult::Failed { node: Some(node), reason: why }).await;
    }
}

/// Tells it to begin, and asks who it is, each until it answers.
async fn answer<H: Host>(fleet: &Fleet<H>, node: NodeIndex) -> NodeId {
    let client = &fleet.node(node).client;
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

async fn kill<H: Host>(fleet: &Fleet<H>, node: NodeIndex) -> anyhow::Result<()> {
    let life = leave_life(fleet, node)?;
    let killed = H::kill(fleet, node, &life).await;
    over(fleet, node, &life).await;
    killed
}

async fn stop<H: Host>(fleet: &Fleet<H>, node: NodeIndex) -> anyhow::Result<()> {
    let life = leave_life(fleet, node)?;
    H::stop(fleet, node, &life).await?;
    over(fleet, node, &life).await;
    match life.exit.get() {
        Some(&KILLED) => bail!("it did not leave within {} s and was killed", LEAVE_WITHIN.as_secs()),
        Some(0) | None => Ok(()),
        Some(_) => bail!("it ended{}{}", exit_text(&life), H::said(fleet, node).await),
    }
}

/// The life that is about to be ended.
fn leave_life<H: Host>(fleet: &Fleet<H>, node: NodeIndex) -> anyhow::Result<Life> {
    let life = fleet.node(node).live().context("it does not run")?;
    life.foresee();
    Ok(life)
}

/// Waits for the word that a life is over, so that the word is never taken for the next life's.
async fn over<H: Host>(fleet: &Fleet<H>, node: NodeIndex, life: &Life) {
    if timeout(DEATH_NOTICE_DEADLINE, life.ended.cancelled()).await.is_err() {
        life.ended.cancel();
    }
    fleet.node(node).client.close_idle();
}

fn exit_text(life: &Life) -> String {
    life.exit.get().map_or_else(String::new, |status| format!(" with exit status {status}"))
}
