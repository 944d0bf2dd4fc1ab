//! The backend `docker`: every node and every router in a container of its own, on bridges that only routers leave.
//!
//! | module | what it does |
//! | --- | --- |
//! | `engine` | reaches the engine, or says why it cannot be used and what to do |
//! | `mark` | names, labels, and whose a run is |
//! | `subnets`, `networks` | chooses free subnets; creates the bridges |
//! | `routing`, `containers` | what routers are told; what containers may do |
//! | `deploy` | all of these in order, until everything answers |
//! | `lives` | starts, kills and stops each node in order |
//! | `watch` | notices what ends by itself |
//! | `tunnel`, `node_api` | the control API, through the routers |
//! | `neighbours` | keeps large LANs out of the kernel's neighbour table |
//! | `logs`, `teardown` | what is left of a run, and that nothing else is |
//!
//! Invariant: everything created carries the run's label, so whatever becomes of this process, [`Backend::down`] or
//! `harness clean` finds it.

mod containers;
mod deploy;
mod engine;
mod lives;
mod logs;
pub(crate) mod mark;
mod neighbours;
mod networks;
mod node_api;
mod routing;
mod shared;
mod subnets;
pub(crate) mod teardown;
#[cfg(test)]
mod testing;
mod tunnel;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bollard::Docker;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

pub(crate) use engine::connect;
pub(crate) use neighbours::{enters_namespaces, limit as neighbour_limit};

use crate::backend::{Action, Backend, BackendError, OpId, Progress, Report, Scrape, Source, Told};
use crate::events::RunTime;
use crate::image;
use crate::plan::{NetworkIndex, NodeIndex, Plan};
use lives::Turn;
use mark::Mark;
use shared::Shared;

/// A wait without an end, for the timer: a day.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the engine may still be at a request that was given up, for all that is known here.
const GIVEN_UP_SETTLES: Duration = Duration::from_millis(1_000);
/// Times that a run's belongings are looked for again.
const REMOVAL_ROUNDS_MAX: usize = 5;

/// How a run on Docker is set up.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which programs the image gets.
    pub programs: image::Choice,
    /// Label the run as kept, so that `harness clean` leaves it once this process has gone.
    pub keep: bool,
    /// Where [`Backend::down`] leaves the logs of all containers before it removes them.
    pub logs: Option<PathBuf>,
}

/// A run on Docker.
#[derive(Debug)]
pub struct DockerBackend {
    plan: Plan,
    options: Options,
    /// What there is to take down, from the moment that anything is created.
    begun: Option<(Docker, Mark)>,
    shared: Option<Arc<Shared>>,
    reports: mpsc::Receiver<Report>,
    sender: mpsc::Sender<Report>,
    tasks: JoinSet<()>,
}

/// Whether a run on Docker can be had here.
///
/// # Errors
/// With the reason and the remedy.
pub async fn preflight() -> Result<(), BackendError> {
    engine::connect().await?;
    image::node_origin().await?;
    Ok(())
}

impl DockerBackend {
    /// A run of `plan`. Nothing is created before [`Backend::up`].
    pub fn new(plan: Plan, options: Options) -> Self {
        let (sender, reports) = mpsc::channel(shared::REPORTS_MAX);
        DockerBackend { plan, options, begun: None, shared: None, reports, sender, tasks: JoinSet::new() }
    }

    /// The plan as it is played: after [`Backend::up`], with the subnets that were free.
    pub fn plan(&self) -> &Plan {
        self.shared.as_ref().map_or(&self.plan, |shared| &shared.plan)
    }

    /// Which run this is: the value of its label `butter.run`, once [`Backend::up`] has begun.
    pub fn run_id(&self) -> Option<&str> {
        self.begun.as_ref().map(|(_, mark)| mark.run.as_str())
    }

    /// Writes the log of each node and router into `folder`, at most 4 MiB of each.
    ///
    /// # Errors
    /// If the engine does not give one or the folder cannot be written.
    pub async fn collect_logs(&self, folder: &Path) -> anyhow::Result<()> {
        match &self.shared {
            Some(shared) => logs::collect(shared, folder).await,
            None => Ok(()),
        }
    }

    fn up_and_running(&self) -> &Arc<Shared> {
        self.shared.as_ref().expect("actions are submitted to a backend that is up")
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

impl Backend for DockerBackend {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn up(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        let engine = engine::connect().await?;
        note_crashed_runs(&engine.docker, progress).await?;
        let programs = image::find(&self.options.programs, progress).await?;
        let image = image::ensure(&engine.docker, &programs, progress).await?;
        let mark = Mark::new(&self.plan.name, self.options.keep)?;
        self.begun = Some((engine.docker.clone(), mark.clone()));
        let deployment =
            deploy::Deployment { docker: engine.docker, mark, image: image.tag, reports: self.sender.clone() };
        let (shared, queues) = deploy::routers(deployment, self.plan.clone(), progress).await?;
        let shared = Arc::new(shared);
        // Already now, so that the logs of a deployment that fails can be kept.
        self.shared = Some(Arc::clone(&shared));
        self.tasks.spawn(watch::serve(Arc::clone(&shared)));
        deploy::nodes(&shared, progress).await?;
        for (node, queue) in queues.into_iter().enumerate() {
            self.tasks.spawn(lives::serve(Arc::clone(&shared), NodeIndex(node), queue));
        }
        shared.clock.set(Instant::now()).map_err(|_| anyhow!("the backend is up already"))?;
        Ok(())
    }

    fn now(&self) -> RunTime {
        self.shared.as_ref().map_or(RunTime(0), |shared| shared.now())
    }

    fn submit(&mut self, op: OpId, action: Action) {
        self.reap();
        let shared = Arc::clone(self.up_and_running());
        match action {
            Action::Start { node, fresh } => self.turn(shared, op, node, Turn::Start { fresh }),
            Action::Kill { node } => self.turn(shared, op, node, Turn::Kill),
            Action::Stop { node } => self.turn(shared, op, node, Turn::Stop),
            other => {
                self.tasks.spawn(async move {
                    let told = perform(&shared, other).await;
                    shared.tell(Some(op), told).await;
                });
            }
        }
    }

    async fn next(&mut self, until: RunTime) -> Option<Report> {
        self.reap();
        let start = *self.up_and_running().clock.get().expect("the clock starts when the backend is up");
        let wake = start + Duration::from_micros(until.0).min(start.elapsed() + LONGEST_WAIT);
        tokio::select! {
            biased;
            report = self.reports.recv() => report,
            () = sleep_until(wake) => None,
        }
    }

    async fn down(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        // Also the watch: what is removed now is no surprise.
        self.tasks.shutdown().await;
        let logs = match self.options.logs.clone() {
            Some(folder) => self.collect_logs(&folder).await,
            None => Ok(()),
        };
        self.shared = None;
        if let Some((docker, mark)) = self.begun.take() {
            remove_run(&docker, &mark.run, progress).await?;
        }
        logs.context("everything is removed, but not every log could be kept").map_err(BackendError::from)
    }
}

impl DockerBackend {
    fn turn(&mut self, shared: Arc<Shared>, op: OpId, node: NodeIndex, turn: Turn) {
        if let Err(error) = shared.node(node).submit(op, turn) {
            let told = Told::Failed { node: Some(node), why: error.to_string() };
            self.tasks.spawn(async move { shared.tell(Some(op), told).await });
        }
    }
}

/// What crashed runs left takes up subnets and memory.
async fn note_crashed_runs(docker: &Docker, progress: &mut dyn Progress) -> anyhow::Result<()> {
    let runs = teardown::find(docker, None).await?;
    let crashed = runs.values().filter(|belongings| belongings.crashed()).count();
    if crashed > 0 {
        progress.note(&format!("{crashed} crashed runs left containers or networks; to remove them: harness clean"));
    }
    Ok(())
}

/// Removes what carries the run's label, until nothing does. A request that was given up may still be under way in the
/// engine, so what it creates is waited for.
async fn remove_run(docker: &Docker, run: &str, progress: &mut dyn Progress) -> Result<(), BackendError> {
    let settled = Instant::now() + GIVEN_UP_SETTLES;
    let mut left = Vec::new();
    for round in 0..REMOVAL_ROUNDS_MAX {
        if round > 0 {
            sleep_until(settled).await;
        }
        let found = teardown::find(docker, Some(run)).await?;
        let things: Vec<_> = found.into_values().flat_map(|belongings| belongings.things).collect();
        if things.is_empty() && round > 0 {
            return Ok(());
        }
        if !things.is_empty() {
            progress.begin("removing containers and networks", things.len() as u64);
        }
        left = teardown::remove(docker, &things, progress).await;
        if !left.is_empty() {
            break;
        }
    }
    let what = match left.is_empty() {
        true => anyhow!("not everything could be removed: run {run} goes on growing"),
        false => anyhow!("not everything could be removed; what is left:{}", teardown::describe(&left)),
    };
    let remedy = format!(
        "Try again with: harness clean --run {run}; if the engine still refuses, restart it: sudo systemctl restart docker"
    );
    Err(BackendError { what, remedy: Some(remedy) })
}

/// Does what is not a turn in a node's life.
async fn perform(shared: &Shared, action: Action) -> Told {
    match action {
        Action::Put { node, value } => {
            let deadline = shared.deadlines[node.0];
            transfer(shared, node, node_api::put(&shared.node(node).client, value, deadline)).await
        }
        Action::Get { node, id } => {
            let deadline = shared.deadlines[node.0];
            transfer(shared, node, node_api::get(&shared.node(node).client, id, deadline)).await
        }
        Action::Look => Told::Seen(look(shared).await),
        Action::Sample => Told::Sampled(sample(shared).await),
        Action::Start { .. } | Action::Kill { .. } | Action::Stop { .. } => unreachable!("a turn in a node's life"),
    }
}

/// Waits for a put or get of a node that lives, until that life ends.
async fn transfer(shared: &Shared, node: NodeIndex, call: impl Future<Output = anyhow::Result<Told>>) -> Told {
    let failed = |why: String| Told::Failed { node: Some(node), why };
    let Some(life) = shared.node(node).live() else { return failed("it does not run".to_owned()) };
    let within = shared.deadlines[node.0] + 2 * node_api::MARGIN;
    let call = timeout(within, async {
        let _permit = shared.transfers.acquire().await.context("the run is over")?;
        call.await
    });
    tokio::select! {
        told = call => match told {
            Ok(Ok(told)) => told,
            Ok(Err(error)) => failed(format!("{error:#}")),
            Err(_) => failed(format!("no answer within {} s", within.as_secs())),
        },
        () = life.ended.cancelled() => failed("it ended before it answered".to_owned()),
    }
}

async fn look(shared: &Shared) -> Vec<crate::backend::NodeView> {
    let looks = live(shared).map(|node| async move {
        let _permit = shared.glances.acquire().await.ok()?;
        let seen = node_api::view(&shared.node(node).client, node).await;
        told_or_logged(shared, node, seen)
    });
    // In order of nodes, whoever answers first.
    stream::iter(looks).buffered(shared::GLANCES_AT_ONCE).filter_map(std::future::ready).collect().await
}

async fn sample(shared: &Shared) -> Vec<Scrape> {
    let nodes = live(shared).map(|node| async move {
        let _permit = shared.glances.acquire().await.ok()?;
        let series = told_or_logged(shared, node, node_api::metrics(&shared.node(node).client).await)?;
        Some(Scrape { source: Source::Node(node), series })
    });
    let nodes: Vec<_> =
        stream::iter(nodes).buffered(shared::GLANCES_AT_ONCE).filter_map(std::future::ready).collect().await;
    let routers = (0..shared.routers.len()).map(|index| async move {
        let _permit = shared.glances.acquire().await.ok()?;
        let scraped = node_api::metrics(&shared.routers[index]).await;
        let scraped = scraped.inspect_err(|error| tracing::debug!("router {index} shows no metrics: {error:#}"));
        Some(Scrape { source: Source::Router(NetworkIndex(index)), series: scraped.ok()? })
    });
    let routers = stream::iter(routers).buffered(shared::GLANCES_AT_ONCE).filter_map(std::future::ready);
    nodes.into_iter().chain(routers.collect::<Vec<_>>().await).collect()
}

fn live(shared: &Shared) -> impl Iterator<Item = NodeIndex> {
    (0..shared.nodes.len()).map(NodeIndex).filter(|node| shared.node(*node).live().is_some())
}

/// A node that ends meanwhile does not answer; its end is told elsewhere.
fn told_or_logged<T>(shared: &Shared, node: NodeIndex, answer: anyhow::Result<T>) -> Option<T> {
    answer.inspect_err(|error| tracing::debug!("{} does not answer: {error:#}", shared.plan.node(node).name)).ok()
}
