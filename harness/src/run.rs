//! Plays a plan on a backend and writes down what happens.
//!
//! The timeline is kept by the backend's clock, whatever the backend is: actions are submitted at their times and reported
//! when they end. Every wait has a deadline. On a deterministic backend the record is the same, byte for byte, each time.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `absents` | keys that no item has |
//! | `holders` | who holds each item, from one inspection to the next |
//! | `looks` | when all nodes are looked at |
//! | `pair_queue` | pairs of nodes that are to be linked |
//! | `state` | what is true by now: who lives, what was acknowledged, what is persistent |
//! | `pending` | what was submitted and not reported yet |
//! | `rebind_recovery` | links over NATs that have forgotten everything |
//! | `backend_events` | what a backend reports, taken into both |
//! | `status` | where a run stands, for those who watch it |
//! | `stop` | how a run is ended early |
//! | `waiting` | steps that last until checks hold |

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use butter::core::connectivity::connect_requests::CONNECT_WITHIN;

use crate::backend::Backend;
use crate::events::{AbsentResult, Event, EventKind, LinkResult, Retrieved, RunTime};
use crate::metrics::history::MetricHistory;
use crate::op::{Lifecycle, Op, OpId, OpTarget};
use crate::plan::{Check, EndCondition, NodeIndex, Plan};
use crate::series::Scrape;

mod absents;
mod backend_events;
mod failed_repairs;
mod holders;
mod looks;
mod pair_queue;
mod pending;
mod rebind_recovery;
mod searches;
mod state;
mod status;
mod stop;
#[cfg(test)]
mod tests;
mod waiting;

use looks::{changes_holders, inspect_pause};
use pair_queue::{NodePair, PairQueue};
use pending::PendingOps;
use rebind_recovery::{Rebind, RebindRecovery};
pub use state::QueryCounts;
use state::RunState;
pub use status::RunStatus;
pub use stop::{StopReason, StopSignal};
pub use waiting::RunSoFar;

/// Why a node that is down does nothing.
const IS_DOWN: &str = "the node is down";
/// Pause between samples of all metrics.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// How long a backend may take to start or end a node before it counts as broken; backends keep shorter deadlines.
const CHANGE_DEADLINE: Duration = Duration::from_secs(180);
/// The same for looks and samples.
const SEE_DEADLINE: Duration = Duration::from_secs(60);
/// The same for puts and gets, beyond the node's own deadline.
const ANSWER_MARGIN: Duration = Duration::from_secs(60);
/// How often a backend may return early with nothing before its clock counts as broken.
const IDLE_TURNS_MAX: u32 = 10_000;

/// The record of a run.
#[derive(Debug)]
pub struct RunRecord {
    /// Everything done and seen.
    pub events: Vec<Event>,
    /// The metrics that checks are about.
    pub metric_history: MetricHistory,
    /// The last sample of all metrics.
    pub last_sample: Option<(RunTime, Arc<Vec<Scrape>>)>,
    /// How it ended.
    pub ended: RunEnd,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// All steps were played.
    Finished,
    /// A step failed in a way that makes the following ones pointless.
    GaveUp,
    /// It was stopped from outside.
    Stopped(StopReason),
}

/// Observer of a run while it is played.
pub trait RunObserver {
    /// Something was done or seen.
    fn event(&mut self, event: &Event);
    /// All metrics were sampled.
    fn sampled(&mut self, at: RunTime, scrapes: &Arc<Vec<Scrape>>);
    /// Time has passed, or something changed.
    fn status(&mut self, status: &RunStatus);
    /// Why checks that a step waits for do not all hold by what has happened so far; `None` if they do. Checks are above a run,
    /// so that who observes it judges them.
    fn unmet(&mut self, wanted: &[Check], so_far: &RunSoFar<'_>) -> Option<String> {
        _ = (wanted, so_far);
        Some("no judge of checks observes this run".to_owned())
    }
}

/// Plays `plan` on `backend`, which is up. `stop` ends it early.
pub async fn run_plan<B: Backend>(
    plan: &Plan,
    backend: &mut B,
    observer: &mut dyn RunObserver,
    stop: &StopSignal,
) -> RunRecord {
    let from_start = plan.nodes.iter().enumerate().filter(|(_, node)| node.from_start);
    let live: Vec<_> = from_start.map(|(index, _)| NodeIndex(index)).collect();
    run_plan_on(plan, backend, &live, observer, stop).await
}

/// As [`run_plan`], on a backend that has been up for a while: by now, these nodes are `live`.
pub async fn run_plan_on<B: Backend>(
    plan: &Plan,
    backend: &mut B,
    live: &[NodeIndex],
    observer: &mut dyn RunObserver,
    stop: &StopSignal,
) -> RunRecord {
    let mut player = Runner {
        plan,
        backend,
        observer,
        stop,
        pending: PendingOps::default(),
        held: BTreeMap::new(),
        pair_queue: PairQueue::default(),
        rebind_recovery: RebindRecovery::default(),
        state: RunState::new(live),
        events: Vec::new(),
        metric_history: MetricHistory::of(plan),
        last_sample: None,
        next_sample: RunTime(0),
        last_inspection: None,
        inspect_begun: None,
        inspect_generation: 0,
        queries_ended: 0,
        searches_ended: 0,
        idle_turns: 0,
        seen: 0,
        judged: None,
        status: RunStatus::default(),
    };
    let ended = player.run().await;
    RunRecord { events: player.events, metric_history: player.metric_history, last_sample: player.last_sample, ended }
}

impl Leave {
    fn ends(self) -> RunEnd {
        match self {
            Leave::Over | Leave::Problem(_) => RunEnd::Finished,
            Leave::GiveUp(_) => RunEnd::GaveUp,
            Leave::Stopped(stopped) => RunEnd::Stopped(stopped),
        }
    }
}

struct Runner<'a, B> {
    plan: &'a Plan,
    backend: &'a mut B,
    observer: &'a mut dyn RunObserver,
    stop: &'a StopSignal,
    pending: PendingOps,
    /// What waits for a start, kill or stop of its node, with its step: a node's actions keep their order.
    held: BTreeMap<NodeIndex, VecDeque<(usize, Op)>>,
    pair_queue: PairQueue,
    rebind_recovery: RebindRecovery,
    state: RunState,
    events: Vec<Event>,
    metric_history: MetricHistory,
    last_sample: Option<(RunTime, Arc<Vec<Scrape>>)>,
    next_sample: RunTime,
    last_inspection: Option<Inspection>,
    /// When an inspection was last begun.
    inspect_begun: Option<RunTime>,
    /// As [`RunState::generation`] then.
    inspect_generation: u64,
    /// Queries that have ended, those that were never sent included.
    queries_ended: usize,
    searches_ended: usize,
    idle_turns: u32,
    /// Looks and samples so far.
    seen: u64,
    /// As [`Runner::seen`] when a waiting step was last judged.
    judged: Option<u64>,
    status: RunStatus,
}

/// The latest look that was reported.
#[derive(Clone, Copy, Debug)]
struct Inspection {
    /// Of the live nodes when it was submitted.
    generation: u64,
    components: usize,
}

/// Why a step's loop is left.
enum Leave {
    /// As planned.
    Over,
    /// Not as planned.
    Problem(String),
    /// Not as planned, and so that nothing can follow.
    GiveUp(String),
    Stopped(StopReason),
}

impl<B: Backend> Runner<'_, B> {
    async fn run(&mut self) -> RunEnd {
        let mut ended = self.inspect_now().await.ends();
        for index in 0..self.plan.steps.len() {
            if ended != RunEnd::Finished {
                return ended;
            }
            ended = self.step(index).await;
        }
        if ended == RunEnd::Finished { self.finish().await.ends() } else { ended }
    }

    /// Waits for what is still pending, and inspects a last time.
    async fn finish(&mut self) -> Leave {
        while self.pending.any_of_plan() || !self.held.is_empty() || !self.rebind_recovery.is_empty() {
            if let Some(leave) = self.cut_short() {
                return leave;
            }
            self.turn(RunTime(u64::MAX)).await;
        }
        self.see_now().await
    }

    async fn step(&mut self, index: usize) -> RunEnd {
        let step = &self.plan.steps[index];
        let began = self.backend.now();
        self.status.step = Some(index);
        self.status.step_ends = Some(began.plus(step.ends.limit()));
        self.record(began, EventKind::StepBegan { step: index, verb: step.verb });
        // What was seen before a step says nothing of what it waits for.
        self.judged = Some(self.seen);
        let mut left = self.play_step(index, began).await;
        if matches!(left, Leave::Over) {
            left = match step.ends {
                EndCondition::Checked { .. } => self.see_now().await,
                EndCondition::Elapsed { .. } | EndCondition::Watched { .. } => self.inspect_now().await,
                _ if changes_holders(step) => self.inspect_now().await,
                _ => left,
            };
        }
        // What the step had no time for will not be tried.
        self.pair_queue.forget();
        let problem = match &left {
            Leave::Over => None,
            Leave::Problem(problem) | Leave::GiveUp(problem) => Some(problem.clone()),
            Leave::Stopped(stopped) => Some(stopped.to_string()),
        };
        self.record(self.backend.now(), EventKind::StepEnded { step: index, problem });
        left.ends()
    }

    /// Why the run cannot go on, if so.
    fn cut_short(&self) -> Option<Leave> {
        if self.idle_turns >= IDLE_TURNS_MAX {
            return Some(Leave::GiveUp("the backend's clock stands still".to_owned()));
        }
        self.stop.requested().map(Leave::Stopped)
    }

    async fn play_step(&mut self, index: usize, began: RunTime) -> Leave {
        let step = &self.plan.steps[index];
        let mut ops = step.ops.iter().peekable();
        loop {
            if let Some(leave) = self.cut_short() {
                return leave;
            }
            let now = self.backend.now();
            while let Some(timed) = ops.next_if(|timed| began.plus(timed.after) <= now) {
                self.begin_in_turn(index, timed.op.clone(), now);
            }
            self.begin_connects(now);
            let undone = ops.len() + self.undone(index);
            if let Some(leave) = self.is_over(&step.ends, began, now, undone) {
                return leave;
            }
            let mut wake = ops.peek().map_or(RunTime(u64::MAX), |timed| began.plus(timed.after));
            let end = began.plus(step.ends.limit());
            wake = if end > now { wake.min(end) } else { wake };
            if let Some(pause) = inspect_pause(&step.ends) {
                let due = self.inspect_begun.map_or(now, |begun| begun.plus(pause));
                match self.pending.inspects() {
                    true => {}
                    false if due <= now => self.submit_inspect(now),
                    false => wake = wake.min(due),
                }
            }
            self.turn(wake).await;
        }
    }

    /// Whether a step ends here and now, with so many of its actions not done yet.
    fn is_over(&mut self, ends: &EndCondition, began: RunTime, now: RunTime, undone: usize) -> Option<Leave> {
        let late = |limit: &Duration| now >= began.plus(*limit);
        match ends {
            EndCondition::Joined { deadline } => {
                let fresh_look = self.last_inspection.filter(|look| look.generation == self.state.generation());
                if undone == 0 && fresh_look.is_some_and(|look| look.components == 1) {
                    return Some(Leave::Over);
                }
                late(deadline).then(|| Leave::GiveUp(self.not_joined(*deadline, undone)))
            }
            EndCondition::Elapsed { duration } | EndCondition::Watched { duration, .. } => {
                (late(duration) && undone == 0).then_some(Leave::Over)
            }
            EndCondition::Done { deadline } if undone > 0 => late(deadline).then(|| {
                Leave::Problem(format!(
                    "{undone} of its operations were not done within {}",
                    humantime::format_duration(*deadline)
                ))
            }),
            EndCondition::Until { checks, deadline } => self.waited(checks, *deadline, late(deadline)),
            EndCondition::Done { .. } | EndCondition::Checked { .. } => (undone == 0).then_some(Leave::Over),
        }
    }

    fn not_joined(&self, within: Duration, undone: usize) -> String {
        let within = humantime::format_duration(within);
        match self.last_inspection {
            _ if undone > 0 => format!("{undone} of its operations were not done within {within}"),
            None => format!("no look at the nodes succeeded within {within}"),
            Some(look) => format!(
                "the {} live nodes were still in {} groups that do not know each other after {within}",
                self.state.live(),
                look.components
            ),
        }
    }

    /// Actions of a step that were begun or held and are not done.
    fn undone(&self, step: usize) -> usize {
        self.pair_queue.waiting()
            + self.rebind_recovery.waiting_of(step)
            + self.pending.of_step(step)
            + self.held.values().flatten().filter(|(of, _)| *of == step).count()
    }

    /// Waits for one report, a deadline, the next sample or `until`, whichever comes first.
    async fn turn(&mut self, until: RunTime) {
        let now = self.backend.now();
        if self.next_sample <= now {
            if !self.pending.samples() {
                self.submit(now, Op::Sample, OpTarget::InPlan, None, SEE_DEADLINE);
            }
            self.next_sample = now.plus(SAMPLE_EVERY);
        }
        self.ping_ends(now);
        let wake = until.min(self.next_sample).min(self.rebind_recovery.due());
        let wake = wake.min(self.pending.deadline().unwrap_or(RunTime(u64::MAX)));
        match self.backend.next(wake).await {
            Some(report) => {
                self.idle_turns = 0;
                self.take(report);
            }
            None if self.backend.now() <= now => self.idle_turns += 1,
            None => self.idle_turns = 0,
        }
        let now = self.backend.now();
        while let Some(pending) = self.pending.overdue(now) {
            self.fail(now, &pending, "the backend never reported how it ended".to_owned(), true);
        }
        self.status.now = now;
        self.status.live = self.state.live();
        self.status.acknowledged = self.state.acknowledged();
        self.status.queries = self.state.queries;
        self.observer.status(&self.status);
    }

    fn submit(&mut self, now: RunTime, op: Op, target: OpTarget, step: Option<usize>, deadline: Duration) -> OpId {
        let id = self.pending.insert(op.clone(), now, now.plus(deadline), step);
        self.backend.submit(id, op, target);
        id
    }

    /// Begins an operation, or holds it until an earlier change of its node is done.
    fn begin_in_turn(&mut self, step: usize, op: Op, now: RunTime) {
        match op.node().filter(|node| self.pending.is_changing(*node) || self.held.contains_key(node)) {
            Some(node) => self.held.entry(node).or_default().push_back((step, op)),
            None => self.begin(step, op, now),
        }
    }

    /// Begins what was held for a node, up to its next change.
    fn release(&mut self, node: NodeIndex, now: RunTime) {
        let Some(mut queue) = self.held.remove(&node) else { return };
        while !self.pending.is_changing(node) {
            let Some((step, op)) = queue.pop_front() else { return };
            self.begin(step, op, now);
        }
        if !queue.is_empty() {
            self.held.insert(node, queue);
        }
    }

    fn begin(&mut self, step: usize, op: Op, now: RunTime) {
        let is_up = op.node().is_none_or(|node| self.state.is_live(node));
        let (target, deadline) = match &op {
            Op::Rebind { network, addresses } => {
                self.rebind_recovery.wait(Rebind { step, network: *network, addresses: addresses.clone() });
                if !self.pending.inspects() {
                    self.submit_inspect(now);
                }
                return;
            }
            &Op::Connect { node, peer, deadline } => {
                return self.pair_queue.add(NodePair { step, node, peer, deadline });
            }
            op if op.lifecycle() == Some(Lifecycle::Begins) && is_up => {
                return self.incident(now, op.node(), "cannot start: it is up already");
            }
            op if op.lifecycle() == Some(Lifecycle::Ends) && !is_up => {
                return self.incident(now, op.node(), "cannot be ended: it is down");
            }
            &Op::Put { node, item } if !is_up => return self.stored(now, now, item, node, Err(IS_DOWN.to_owned())),
            Op::Put { node, .. } => (OpTarget::InPlan, self.answer_deadline(*node)),
            &Op::GetAbsent { node, key, .. } => match is_up {
                true => (OpTarget::Item(absents::key_of(key)), self.answer_deadline(node)),
                false => return self.sought_absent(now, now, node, AbsentResult::Unasked { why: IS_DOWN.to_owned() }),
            },
            &Op::Get { node, item, .. } => match self.state.id_of(item) {
                None => return self.retrieved(now, now, item, node, Retrieved::NeverStored),
                Some(_) if !is_up => {
                    return self.retrieved(now, now, item, node, Retrieved::Unasked { why: IS_DOWN.to_owned() });
                }
                Some(id) => (OpTarget::Item(id), self.answer_deadline(node)),
            },
            Op::Search { node, query, limit } => {
                if !is_up {
                    let asked = (*node, query.as_str(), *limit);
                    return self.searched(now, now, asked, Err(IS_DOWN.to_owned()));
                }
                (OpTarget::InPlan, self.answer_deadline(*node))
            }
            _ => (OpTarget::InPlan, CHANGE_DEADLINE),
        };
        self.submit(now, op, target, Some(step), deadline);
    }

    /// Has pairs connect whose turn it is.
    fn begin_connects(&mut self, now: RunTime) {
        while let Some(NodePair { step, node, peer, deadline }) = self.pair_queue.begin() {
            match (self.state.is_live(node), self.state.identity(peer)) {
                (true, Some(id)) => {
                    let op = Op::Connect { node, peer, deadline };
                    self.submit(now, op, OpTarget::Peer(id), Some(step), CONNECT_WITHIN + ANSWER_MARGIN);
                }
                _ => self.linked(now, node, peer, LinkResult::Down { why: "one of the two nodes is down".to_owned() }),
            }
        }
    }

    fn answer_deadline(&self, node: NodeIndex) -> Duration {
        self.plan.node_config(self.plan.node(node)).core.deadline + ANSWER_MARGIN
    }
}
