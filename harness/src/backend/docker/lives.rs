//! The lives of one node: started, killed and stopped in the order asked for, one thing at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bollard::query_parameters::{KillContainerOptionsBuilder, StopContainerOptionsBuilder};
use butter::core::identity::NodeId;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use super::tunnel::Client;
use super::{logs, neighbours, node_api};
use crate::backend::{OpId, Told};
use crate::plan::NodeIndex;

/// How long a container may take to answer after its start.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
/// Pauses between questions to a node that does not answer yet: doubled from the first up to the second.
const ASK_PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));
/// How long one question may take while a node starts.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a node may take to leave before the engine kills it.
const LEAVE_SECONDS: i32 = 20;
/// How long the engine may take to start, kill or stop a container, beyond the time given for leaving.
const ENGINE_DEADLINE: Duration = Duration::from_secs(60);
/// How long the engine's word that a container has ended may take after it was ended.
const DEATH_NOTICE_DEADLINE: Duration = Duration::from_secs(5);
/// Exit status of a process that SIGKILL ended, as the engine shows it.
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
    exit: std::sync::Arc<OnceLock<i64>>,
    /// Whether its end was asked for, or is nobody's surprise yet because it is still starting.
    expected: std::sync::Arc<AtomicBool>,
}

impl Life {
    fn new() -> Self {
        let expected = std::sync::Arc::new(AtomicBool::new(true));
        Life { ended: CancellationToken::new(), exit: std::sync::Arc::default(), expected }
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
    pub(crate) client: Client,
    turns: mpsc::Sender<(OpId, Turn)>,
    state: Mutex<State>,
    /// Whether its store outlives its process.
    keeps: bool,
}

#[derive(Debug, Default)]
struct State {
    created: bool,
    /// Since it was started; also after it ended by itself, until it is asked for again.
    life: Option<Life>,
    /// Whether that life has answered.
    answers: bool,
}

/// Turns of one node that wait.
const TURNS_MAX: usize = 64;

impl Node {
    /// A node that has not run, and the queue of its turns, for [`serve`].
    pub(crate) fn new(client: Client, keeps: bool) -> (Self, mpsc::Receiver<(OpId, Turn)>) {
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
pub(crate) async fn serve(shared: std::sync::Arc<Shared>, node: NodeIndex, mut queue: mpsc::Receiver<(OpId, Turn)>) {
    while let Some((op, turn)) = queue.recv().await {
        let done = match turn {
            Turn::Start { fresh } => start(&shared, node, fresh).await.map(|id| Told::Started { id }),
            Turn::Kill => kill(&shared, node).await.map(|()| Told::Ended),
            Turn::Stop => stop(&shared, node).await.map(|()| Told::Ended),
        };
        let told = done.unwrap_or_else(|error| Told::Failed { node: Some(node), why: format!("{error:#}") });
        shared.tell(Some(op), told).await;
    }
}

/// Starts a node and waits until it answers.
pub(crate) async fn start(shared: &Shared, node: NodeIndex, fresh: bool) -> anyhow::Result<NodeId> {
    let here = shared.node(node);
    if here.live().is_some() {
        bail!("it runs already");
    }
    if !fresh && !here.keeps && here.life().is_some() {
        bail!("its store does not outlive it: the plan never starts it with what it had");
    }
    let life = begin(shared, node, fresh).await?;
    let id = tokio::select! {
        answered = timeout(ANSWER_DEADLINE, answer(shared, node)) => match answered {
            Ok(id) => id,
            Err(_) => bail!("it does not answer within {} s{}", ANSWER_DEADLINE.as_secs(), logs::tail(shared, node).await),
        },
        () = life.ended.cancelled() => bail!("it ended at once{}{}", exit_text(&life), logs::tail(shared, node).await),
    };
    life.expected.store(false, Ordering::SeqCst);
    here.lock().answers = true;
    Ok(id)
}

/// Creates the container if needed, starts it, and tells it its neighbours.
async fn begin(shared: &Shared, node: NodeIndex, fresh: bool) -> anyhow::Result<Life> {
    let here = shared.node(node);
    let _permit = shared.starts.acquire().await.context("the run is over")?;
    create(shared, node, fresh).await?;
    here.client.forget();
    let life = Life::new();
    {
        let mut state = here.lock();
        state.life = Some(life.clone());
        state.answers = false;
    }
    let name = shared.wiring.node_name(&shared.plan, node);
    let started = timeout(
        ENGINE_DEADLINE,
        shared.docker.start_container(&name, None::<bollard::query_parameters::StartContainerOptions>),
    );
    let started =
        started.await.map_err(|_| anyhow!("the engine does not start it within {} s", ENGINE_DEADLINE.as_secs()));
    if let Err(error) = started.and_then(|started| started.context("the engine cannot start it")) {
        // No process, so no word of its end will come.
        life.end(0);
        return Err(error);
    }
    tell_neighbours(shared, node, &name).await?;
    Ok(life)
}

async fn create(shared: &Shared, node: NodeIndex, fresh: bool) -> anyhow::Result<()> {
    let here = shared.node(node);
    let (created, ran) = {
        let state = here.lock();
        (state.created, state.life.is_some())
    };
    // Without a store that outlives it, a new process has forgotten everything anyway.
    if created && !(fresh && ran && here.keeps) {
        return Ok(());
    }
    if created {
        shared.wiring.remove_node(&shared.docker, &shared.plan, node).await?;
        here.lock().created = false;
    }
    shared.wiring.create_node(&shared.docker, &shared.plan, node, here.keeps).await?;
    here.lock().created = true;
    Ok(())
}

async fn tell_neighbours(shared: &Shared, node: NodeIndex, name: &str) -> anyhow::Result<()> {
    let network = shared.plan.node(node).network;
    let Some(gateway) = shared.gateways.get(&network) else { return Ok(()) };
    let inspected =
        shared.docker.inspect_container(name, None::<bollard::query_parameters::InspectContainerOptions>).await;
    let state = inspected.context("asking the engine for its process")?.state;
    // Without a process it has ended, which others notice.
    let Some(pid) = state.and_then(|state| state.pid).filter(|pid| *pid > 0) else { return Ok(()) };
    let told = neighbours::of(&shared.plan, node, *gateway);
    match neighbours::install(pid, shared.plan.node(node).address, told).await {
        Err(error) if std::path::Path::new(&format!("/proc/{pid}")).exists() => {
            Err(error.context("telling it its neighbours"))
        }
        _ => Ok(()),
    }
}

/// Asks until it answers.
async fn answer(shared: &Shared, node: NodeIndex) -> NodeId {
    let client = &shared.node(node).client;
    let (mut pause, longest) = ASK_PAUSES;
    loop {
        if let Ok(Ok(id)) = timeout(ASK_TIMEOUT, node_api::identity(client)).await {
            return id;
        }
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

async fn kill(shared: &Shared, node: NodeIndex) -> anyhow::Result<()> {
    let life = leave_life(shared, node)?;
    let name = shared.wiring.node_name(&shared.plan, node);
    let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
    let killed = timeout(ENGINE_DEADLINE, shared.docker.kill_container(&name, Some(options))).await;
    let killed = killed.map_err(|_| anyhow!("the engine does not kill it within {} s", ENGINE_DEADLINE.as_secs()))?;
    over(shared, node, &life).await;
    match killed {
        // It ended by itself a moment before.
        Err(_) if life.ended.is_cancelled() => Ok(()),
        other => other.context("the engine cannot kill it"),
    }
}

async fn stop(shared: &Shared, node: NodeIndex) -> anyhow::Result<()> {
    let life = leave_life(shared, node)?;
    let name = shared.wiring.node_name(&shared.plan, node);
    let options = StopContainerOptionsBuilder::default().t(LEAVE_SECONDS).build();
    let within = ENGINE_DEADLINE + Duration::from_secs(LEAVE_SECONDS as u64);
    let stopped = timeout(within, shared.docker.stop_container(&name, Some(options))).await;
    stopped
        .map_err(|_| anyhow!("the engine does not stop it within {} s", within.as_secs()))?
        .context("the engine cannot stop it")?;
    over(shared, node, &life).await;
    match life.exit.get() {
        Some(&KILLED) => bail!("it did not leave within {LEAVE_SECONDS} s and was killed"),
        Some(0) | None => Ok(()),
        Some(_) => bail!("it ended{}{}", exit_text(&life), logs::tail(shared, node).await),
    }
}

/// The life that is about to be ended: from now on its end is no surprise.
fn leave_life(shared: &Shared, node: NodeIndex) -> anyhow::Result<Life> {
    let life = shared.node(node).live().context("it does not run")?;
    life.expected.store(true, Ordering::SeqCst);
    Ok(life)
}

/// Waits for the engine's word that a life is over, so that the word is never taken for the next life's.
async fn over(shared: &Shared, node: NodeIndex, life: &Life) {
    if timeout(DEATH_NOTICE_DEADLINE, life.ended.cancelled()).await.is_err() {
        life.ended.cancel();
    }
    shared.node(node).client.forget();
}

fn exit_text(life: &Life) -> String {
    life.exit.get().map_or_else(String::new, |status| format!(" with exit status {status}"))
}
