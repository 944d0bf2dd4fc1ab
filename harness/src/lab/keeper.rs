//! The keeper of a lab: deploys it, answers for it while it is up, and removes it.

use std::os::unix::fs::PermissionsExt;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use butter_cli::terminal::Charset;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::LabError;
use super::converge::Convergence;
use super::difference::differences;
use super::directory::{LabDirectory, LabState};
use super::homes::LabHomes;
use super::play::{self, PlayBackend, PlayObserver};
use super::play_record::PlayRecord;
use super::protocol::{LabBody, LabReply, PlayRequest};
use super::serve;
use crate::backend::held::{HeldBackend, HeldHosts, HeldState};
use crate::backend::{Backend, BackendError};
use crate::checks;
use crate::error_class::ErrorClass;
use crate::events::RunTime;
use crate::op::{BackendEvent, Op, OpId, OpResult, OpTarget};
use crate::plan::{NodeIndex, Plan};
use crate::planner;
use crate::progress::Progress;
use crate::report::style::TableStyle;
use crate::report::summary;
use crate::results::directory::DirectoryError;
use crate::results::result::RunResult;
use crate::run::{StopReason, StopSignal, run_plan_on};
use crate::topology::Overrides;

/// Orders that wait.
const ORDERS_MAX: usize = 8;
/// Numbers of operations that one play has for itself.
const OPS_OF_A_PLAY: u64 = 1 << 32;
/// How long one operation may take while no file is played: backends keep shorter deadlines.
const OP_DEADLINE: Duration = Duration::from_secs(180);
/// How long the last answers may take to be sent.
const FAREWELL: Duration = Duration::from_secs(2);

/// What only the holder of the backend can do.
#[derive(Debug)]
pub(super) enum LabOrder {
    /// Plays a file; ends early when the token is cancelled.
    Play(Box<PlayRequest>, mpsc::Sender<LabReply>, CancellationToken),
    /// Brings the lab to a changed file.
    Converge {
        /// The changed file.
        file: Box<PlayRequest>,
        /// Whether the changes are only listed.
        dry_run: bool,
        /// The way back.
        replies: mpsc::Sender<LabReply>,
    },
    /// Removes the lab.
    Down(mpsc::Sender<LabReply>),
}

/// What the connections to a lab share.
pub(super) struct SharedLab {
    pub(super) name: String,
    pub(super) backend: &'static str,
    pub(super) hosts: Arc<dyn HeldHosts>,
    pub(super) began: Instant,
    /// The file that is being played.
    pub(super) playing: Mutex<Option<String>>,
    pub(super) orders: mpsc::Sender<LabOrder>,
    /// Cancelled when the lab is about to go.
    pub(super) over: CancellationToken,
}

/// How a lab ended that was not deployed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperError {
    /// Its folder cannot be used. Nothing is left.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// It could not be deployed, or not be removed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// It was interrupted before it was up. Nothing is left.
    #[error("{0} before the lab was up")]
    Interrupted(StopReason),
}

/// Deploys a lab and keeps it until `stop` is asked or a command removes it. `up` is called once it answers.
///
/// # Errors
/// If it cannot be deployed or removed.
pub(crate) async fn keep<B: HeldBackend>(
    mut backend: B,
    directory: LabDirectory,
    (topology, overrides): (&str, Overrides),
    (progress, stop): (&mut dyn Progress, &StopSignal),
    up: impl FnOnce(LabBody),
) -> Result<(), KeeperError> {
    let deployed = deploy(&mut backend, (&directory, topology), progress, stop).await;
    let (hosts, listener) = match deployed {
        Ok(deployed) => deployed,
        Err(error) => {
            let removed = backend.down(progress).await;
            directory.remove()?;
            removed?;
            return Err(error);
        }
    };
    let (orders, queue) = mpsc::channel(ORDERS_MAX);
    let shared = Arc::new(SharedLab {
        name: directory.name().to_owned(),
        backend: backend.name(),
        hosts: Arc::clone(&hosts),
        began: Instant::now(),
        playing: Mutex::default(),
        orders,
        over: CancellationToken::new(),
    });
    let server = tokio::spawn(serve::serve(listener, Arc::clone(&shared)));
    up(serve::body(&shared));
    let homes = LabHomes::of(hosts.plan());
    let mut keeper = Keeper { backend, hosts, homes, overrides, shared, orders: queue, plays: 0 };
    let asked = keeper.keep(stop).await;
    keeper.shared.over.cancel();
    let removed = match &asked {
        Some(replies) => keeper.backend.down(&mut LineProgress(replies.clone())).await,
        None => keeper.backend.down(progress).await,
    };
    if let (Err(error), Some(replies)) = (&removed, &asked) {
        let error_text = butter_cli::chain::one_line(error);
        let refused = LabReply::Refused { error: error_text, remedy: error.remedy(), class: error.class() };
        let _ = replies.send(refused).await;
    }
    // The folder stays where something is left: `harness down` finds by it what that is.
    let removed = removed.map_err(KeeperError::from).and_then(|()| Ok(directory.remove()?));
    if let (Ok(()), Some(replies)) = (&removed, &asked) {
        let _ = replies.send(LabReply::Removed).await;
    }
    drop(asked);
    let _ = timeout(FAREWELL, server).await;
    removed
}

/// Deploys, and opens the socket.
async fn deploy<B: HeldBackend>(
    backend: &mut B,
    (directory, topology): (&LabDirectory, &str),
    progress: &mut dyn Progress,
    stop: &StopSignal,
) -> Result<(Arc<dyn HeldHosts>, UnixListener), KeeperError> {
    let mut state = LabState::begun(backend.name(), topology);
    directory.set_state(&state)?;
    tokio::select! {
        up = backend.up(progress) => up?,
        why = stop.wait() => return Err(KeeperError::Interrupted(why)),
    }
    let hosts = backend.held().expect("it is up");
    let path = directory.socket();
    let failed = |source| LabError::Io { path: path.clone(), source };
    let listener = UnixListener::bind(&path).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    state.up = true;
    directory.set_state(&state)?;
    Ok((hosts, listener))
}

struct Keeper<B> {
    backend: B,
    hosts: Arc<dyn HeldHosts>,
    homes: LabHomes,
    /// With which the lab was planned.
    overrides: Overrides,
    shared: Arc<SharedLab>,
    orders: mpsc::Receiver<LabOrder>,
    /// Files played so far.
    plays: u64,
}

impl<B: Backend> Keeper<B> {
    /// Carries out orders until the lab is to go. Returns the way to the command that wants that, if one does.
    async fn keep(&mut self, stop: &StopSignal) -> Option<mpsc::Sender<LabReply>> {
        loop {
            tokio::select! {
                _ = stop.wait() => return None,
                order = self.orders.recv() => match order? {
                    LabOrder::Down(replies) => return Some(replies),
                    LabOrder::Converge { file, dry_run, replies } => {
                        let reply = self.converge(&file, dry_run, &replies).await.unwrap_or_else(|refused| refused);
                        let _ = replies.send(reply).await;
                    }
                    LabOrder::Play(request, replies, cancelled) => {
                        *self.playing() = Some(request.file.display().to_string());
                        let down = self.play(*request, replies, cancelled, stop).await;
                        *self.playing() = None;
                        if down.is_some() {
                            return down;
                        }
                    }
                },
                event = self.backend.next(RunTime(u64::MAX)) => note(&self.hosts.plan(), event),
            }
        }
    }

    fn playing(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.shared.playing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plays a file. Returns the way to a command that wants the lab gone meanwhile.
    async fn play(
        &mut self,
        request: PlayRequest,
        replies: mpsc::Sender<LabReply>,
        cancelled: CancellationToken,
        stop: &StopSignal,
    ) -> Option<mpsc::Sender<LabReply>> {
        self.stop_fresh().await;
        let planned = play::plan_of(&request, &*self.hosts, &self.overrides, &self.homes);
        let begun = planned.and_then(|(plan, places)| {
            let plan = Arc::new(plan);
            Ok((self.begin_record(&request, &plan)?, plan, places))
        });
        let (mut record, plan, places) = match begun {
            Ok(begun) => begun,
            Err(refused) => {
                let _ = replies.send(refused).await;
                return None;
            }
        };
        let live = places.of_play(&play::live(&*self.hosts));
        self.hosts.set_items(plan.items.clone());
        self.plays += 1;
        let mut observer = PlayObserver {
            plan: &plan,
            replies: replies.clone(),
            recorder: record.as_mut().map(|record| &mut record.recorder),
        };
        let mut backend = PlayBackend::new(&mut self.backend, self.plays * OPS_OF_A_PLAY, &places);
        let (stopped, mut down) = (StopSignal::default(), None);
        let played = {
            let mut run = pin!(run_plan_on(&plan, &mut backend, &live, &mut observer, &stopped));
            loop {
                let ends = stopped.requested().is_some();
                tokio::select! {
                    played = &mut run => break played,
                    () = cancelled.cancelled(), if !ends => drop(stopped.request(StopReason::Interrupted)),
                    why = stop.wait(), if !ends => drop(stopped.request(why)),
                    Some(order) = self.orders.recv(), if !ends => match order {
                        LabOrder::Down(asked) => {
                            down = Some(asked);
                            stopped.request(StopReason::Interrupted);
                        }
                        LabOrder::Play(_, asked, _) | LabOrder::Converge { replies: asked, .. } => {
                            let _ = asked.try_send(busy());
                        }
                    },
                }
            }
        };
        let checks = checks::evaluate(&plan, &played.events, &played.metric_history);
        let result = RunResult::of(&plan, self.shared.backend, &played, checks);
        let record_error = record.and_then(|record| record.end(&result).err());
        let record_error = record_error.map(|error| butter_cli::chain::one_line(&error));
        let charset = if request.ascii { Charset::Ascii } else { Charset::Utf8 };
        let summary = summary::render(&result, TableStyle { width: request.width, charset });
        let played = LabReply::Played { verdict: result.verdict, summary, result: result.to_json(), record_error };
        let _ = replies.send(played).await;
        down
    }

    /// Begins the record that a request asks for, if it does.
    fn begin_record(&self, request: &PlayRequest, plan: &Arc<Plan>) -> Result<Option<PlayRecord>, LabReply> {
        let Some(record) = &request.record else { return Ok(None) };
        let begun = PlayRecord::begin((request, record), &self.overrides, (plan, self.shared.backend));
        begun.map(Some).map_err(|error| LabReply::Refused {
            error: butter_cli::chain::one_line(&error),
            remedy: None,
            class: if matches!(error, DirectoryError::NotEmpty(_)) {
                ErrorClass::User
            } else {
                ErrorClass::Environment
            },
        })
    }

    /// Has the nodes leave that an earlier file started: they are fresh once more.
    async fn stop_fresh(&mut self) {
        let plan = self.hosts.plan();
        let live = play::live(&*self.hosts);
        for node in live.into_iter().filter(|node| !plan.node(*node).from_start) {
            if let Err(why) = self.perform(Op::Stop { node }).await {
                tracing::error!(node = plan.node(node).name, "it does not leave: {why}");
            }
        }
    }

    /// Carries out one operation, while no file is played.
    async fn perform(&mut self, op: Op) -> Result<(), String> {
        self.plays += 1;
        let id = OpId(self.plays * OPS_OF_A_PLAY);
        self.backend.submit(id, op, OpTarget::InPlan);
        let done = async {
            loop {
                match self.backend.next(RunTime(u64::MAX)).await {
                    Some(event) if event.op == Some(id) => return event.result,
                    event => note(&self.hosts.plan(), event),
                }
            }
        };
        match timeout(OP_DEADLINE, done).await {
            Ok(OpResult::Failed { reason, .. }) => Err(reason),
            Ok(_) => Ok(()),
            Err(_) => Err(format!("it is not done within {} s", OP_DEADLINE.as_secs())),
        }
    }

    /// Brings the lab to a changed file. Each change is a line.
    async fn converge(
        &mut self,
        file: &PlayRequest,
        dry_run: bool,
        replies: &mpsc::Sender<LabReply>,
    ) -> Result<LabReply, LabReply> {
        let overrides = Overrides { seed: file.seed, set: file.set.clone(), folder: None };
        let planned = planner::read(&file.file.display().to_string(), &file.text, &overrides);
        let planned =
            planned.map_err(|problems| LabReply::Invalid(problems.render(file.color).trim_end().to_owned()))?;
        let lab = self.hosts.plan();
        let differences = differences(&lab, &planned);
        let line = |line: String| drop(replies.try_send(LabReply::Line(line)));
        let convergence = Convergence::of(&lab, &planned, &differences).map_err(|refused| LabReply::Refused {
            error: format!("the lab cannot be brought to the file in place:\n  {}", refused.join("\n  ")),
            remedy: Some(format!("bring it up anew: harness down {}, then harness up FILE", self.shared.name)),
            class: ErrorClass::User,
        })?;
        for difference in &differences {
            line(difference.to_string());
        }
        if differences.is_empty() {
            line("no difference: the lab is as the file has it".to_owned());
        }
        if !dry_run {
            self.carry_out(convergence).await.map_err(|error| LabReply::Refused {
                error,
                remedy: Some("try again; if it fails again, bring the lab up anew".to_owned()),
                class: ErrorClass::Environment,
            })?;
            self.overrides = overrides;
            self.homes.settle(&self.hosts.plan());
        }
        Ok(LabReply::Lab(Box::new(serve::body(&self.shared))))
    }

    async fn carry_out(&mut self, convergence: Convergence) -> Result<(), String> {
        let Convergence { plan, removed, changed, added, links } = convergence;
        for node in removed {
            self.end(node, true).await?;
        }
        self.hosts.set_plan(plan);
        for op in links {
            self.perform(op).await.map_err(|why| format!("a link cannot be changed: {why}"))?;
        }
        // One at a time: what they keep stays among the others.
        for node in changed {
            self.end(node, false).await?;
            self.start(node, false).await?;
        }
        for node in added {
            self.start(node, true).await?;
        }
        Ok(())
    }

    /// Has a node leave, and forgets what it was started from; with `store`, also what it kept.
    async fn end(&mut self, node: NodeIndex, store: bool) -> Result<(), String> {
        let name = self.hosts.plan().node(node).name.clone();
        let failed = |why: String| format!("{name} cannot be ended: {why}");
        if self.hosts.state(node) == HeldState::Paused {
            self.perform(Op::Resume { node }).await.map_err(failed)?;
        }
        if self.hosts.state(node) == HeldState::Up {
            self.perform(Op::Stop { node }).await.map_err(failed)?;
        }
        self.hosts.discard(node, store).await.map_err(|error| failed(format!("{error:#}")))
    }

    async fn start(&mut self, node: NodeIndex, fresh: bool) -> Result<(), String> {
        let started = self.perform(Op::Start { node, fresh }).await;
        started.map_err(|why| format!("{} does not start: {why}", self.hosts.plan().node(node).name))
    }
}

/// What happens while no file is played goes to the keeper's log.
fn note(plan: &Plan, event: Option<BackendEvent>) {
    match event.map(|event| event.result) {
        Some(OpResult::NodeDied { node, reason }) => tracing::error!(node = plan.node(node).name, "{reason}"),
        Some(OpResult::RouterDied { network, reason }) => {
            tracing::error!(network = plan.network(network).name, "{reason}");
        }
        _ => {}
    }
}

fn busy() -> LabReply {
    LabReply::Refused {
        error: "a file is being played on the lab".to_owned(),
        remedy: Some("wait until it has ended, or end it with Ctrl-C where it runs".to_owned()),
        class: ErrorClass::User,
    }
}

/// Progress as lines for the command that waits.
struct LineProgress(mpsc::Sender<LabReply>);

impl Progress for LineProgress {
    fn begin(&mut self, what: &str, total: u64) {
        self.note(&if total > 0 { format!("{what} ({total})") } else { what.to_owned() });
    }

    fn advance(&mut self, _: u64) {}

    fn note(&mut self, line: &str) {
        let _ = self.0.try_send(LabReply::Line(line.to_owned()));
    }
}
