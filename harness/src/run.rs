//! Plays a plan on a backend and writes down what happens.
//!
//! The timeline is kept by the backend's clock, whatever the backend is: actions are submitted at their times and reported
//! when they end. Every wait has a deadline. On a deterministic backend the record is the same, byte for byte, each time.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `crossings` | pairs of nodes that are to be linked |
//! | `ledger` | what is true by now: who lives, what was acknowledged, what is kept |
//! | `pending` | what was submitted and not reported yet |
//! | `recoveries` | links over NATs that have forgotten everything |
//! | `reports` | what a backend reports, taken into both |
//! | `stop` | how a run is ended early |

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use butter::core::connectivity::connect_requests::CONNECT_WITHIN;
use bytes::Bytes;

use crate::backend::Backend;
use crate::events::{Event, EventKind, LinkResult, Retrieved, RunTime};
use crate::metrics::run::RunMetrics;
use crate::metrics::series::Scrape;
use crate::metrics::watched::Watched;
use crate::op::Op;
use crate::plan::{Act, NodeIndex, Plan, Until};

mod backend_events;
mod pair_queue;
mod pending;
mod rebind_recovery;
mod state;
mod stop;
#[cfg(test)]
mod tests;

use pair_queue::{NodePair, PairQueue};
use pending::{Ops, Pending, What};
use rebind_recovery::{Rebind, RebindRecovery};
pub use state::QueryCounts;
use state::RunState;
pub use stop::{StopReason, StopSignal};

/// Pause between samples of all metrics.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Pause between looks while nodes are joining.
const LOOK_JOINING_EVERY: Duration = Duration::from_millis(250);
/// Pause between looks otherwise.
const LOOK_EVERY: Duration = Duration::from_secs(5);
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
    pub watched: Watched,
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

/// Who is told of a run while it is played.
pub trait RunObserver {
    /// Something was done or seen.
    fn event(&mut self, event: &Event);
    /// All metrics were sampled.
    fn sampled(&mut self, at: RunTime, scrapes: &Arc<Vec<Scrape>>);
    /// Time has passed, or something changed.
    fn status(&mut self, status: &RunStatus);
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunStatus {
    /// The run's clock.
    pub now: RunTime,
    /// The step being played, an index into the plan's steps.
    pub step: Option<usize>,
    /// When that step ends at the latest, if nothing goes wrong.
    pub step_ends: Option<RunTime>,
    /// Nodes that run.
    pub live: usize,
    /// Items acknowledged.
    pub acknowledged: usize,
    /// Items kept, and those that were acknowledged by then, when last looked at.
    pub kept: Option<(usize, usize)>,
    /// QueryCounts by how they ended.
    pub queries: QueryCounts,
}

impl RunStatus {
    /// The status as metrics.
    pub fn metrics(&self) -> RunMetrics {
        RunMetrics {
            clock: self.now,
            step: self.step,
            nodes_live: self.live,
            items_acknowledged: self.acknowledged,
            items_persistent: self.kept.map(|(persistent, _)| persistent),
            queries: self.queries.by_outcome(),
        }
    }
}

/// Plays `plan` on `backend`, which is up. `stop` ends it early.
pub async fn run_plan<B: Backend>(
    plan: &Plan,
    backend: &mut B,
    observer: &mut dyn RunObserver,
    stop: &StopSignal,
) -> RunRecord {
    let mut player = Runner {
        plan,
        backend,
        observer,
        stop,
        ops: Ops::default(),
        held: BTreeMap::new(),
        pair_queue: PairQueue::default(),
        rebind_recovery: RebindRecovery::default(),
        state: RunState::new(plan),
        events: Vec::new(),
        watched: Watched::of(plan),
        last_sample: None,
        next_sample: RunTime(0),
        last_look: None,
        look_begun: None,
        idle_turns: 0,
        status: RunStatus::default(),
    };
    let ended = player.run().await;
    RunRecord { events: player.events, watched: player.watched, last_sample: player.last_sample, ended }
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
    ops: Ops,
    /// What waits for a start, kill or stop of its node, with its step: a node's actions keep their order.
    held: BTreeMap<NodeIndex, VecDeque<(usize, Act)>>,
    pair_queue: PairQueue,
    rebind_recovery: RebindRecovery,
    state: RunState,
    events: Vec<Event>,
    watched: Watched,
    last_sample: Option<(RunTime, Arc<Vec<Scrape>>)>,
    next_sample: RunTime,
    last_look: Option<LastLook>,
    /// When a look was last begun.
    look_begun: Option<RunTime>,
    idle_turns: u32,
    status: RunStatus,
}

/// The latest look that was reported.
#[derive(Clone, Copy, Debug)]
struct LastLook {
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
        let mut ended = self.look_now().await.ends();
        for index in 0..self.plan.steps.len() {
            if ended != RunEnd::Finished {
                return ended;
            }
            ended = self.step(index).await;
        }
        if ended == RunEnd::Finished { self.finish().await.ends() } else { ended }
    }

    /// Waits for what is still pending, and looks a last time.
    async fn finish(&mut self) -> Leave {
        while self.ops.any_act() || !self.held.is_empty() || !self.rebind_recovery.is_empty() {
            if let Some(leave) = self.cut_short() {
                return leave;
            }
            self.turn(RunTime(u64::MAX)).await;
        }
        let now = self.backend.now();
        if self.last_sample.as_ref().is_none_or(|(at, _)| *at < now) {
            self.next_sample = now;
        }
        self.look_now().await
    }

    async fn step(&mut self, index: usize) -> RunEnd {
        let step = &self.plan.steps[index];
        let began = self.backend.now();
        self.status.step = Some(index);
        self.status.step_ends = Some(began.plus(limit(&step.until)));
        self.record(began, EventKind::StepBegan { step: index, verb: step.verb });
        let mut left = self.play_step(index, began).await;
        if matches!(left, Leave::Over) && matches!(step.until, Until::Elapsed { .. } | Until::Checked { .. }) {
            left = self.look_now().await;
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
        let mut acts = step.actions.iter().peekable();
        loop {
            if let Some(leave) = self.cut_short() {
                return leave;
            }
            let now = self.backend.now();
            while let Some(timed) = acts.next_if(|timed| began.plus(timed.after) <= now) {
                self.act_in_turn(index, timed.act.clone(), now);
            }
            self.begin_crossings(now);
            let undone = acts.len() + self.undone(index);
            if let Some(leave) = self.is_over(&step.until, began, now, undone) {
                return leave;
            }
            let mut wake = acts.peek().map_or(RunTime(u64::MAX), |timed| began.plus(timed.after));
            let end = began.plus(limit(&step.until));
            wake = if end > now { wake.min(end) } else { wake };
            if let Some(pause) = look_pause(&step.until) {
                let due = self.look_begun.map_or(now, |begun| begun.plus(pause));
                match self.ops.looks() {
                    true => {}
                    false if due <= now => self.submit_look(now),
                    false => wake = wake.min(due),
                }
            }
            self.turn(wake).await;
        }
    }

    /// Whether a step ends here and now, with so many of its actions not done yet.
    fn is_over(&self, until: &Until, began: RunTime, now: RunTime, undone: usize) -> Option<Leave> {
        let late = |within: &Duration| now >= began.plus(*within);
        match until {
            Until::Joined { within } => {
                let fresh_look = self.last_look.filter(|look| look.generation == self.state.generation());
                if undone == 0 && fresh_look.is_some_and(|look| look.components == 1) {
                    return Some(Leave::Over);
                }
                late(within).then(|| Leave::GiveUp(self.not_joined(*within, undone)))
            }
            Until::Elapsed { time } => (late(time) && undone == 0).then_some(Leave::Over),
            Until::Done { within } if undone > 0 => late(within).then(|| {
                Leave::Problem(format!(
                    "{undone} of its actions were not done within {}",
                    humantime::format_duration(*within)
                ))
            }),
            Until::Done { .. } | Until::Checked { .. } => (undone == 0).then_some(Leave::Over),
        }
    }

    fn not_joined(&self, within: Duration, undone: usize) -> String {
        let within = humantime::format_duration(within);
        match self.last_look {
            _ if undone > 0 => format!("{undone} of its actions were not done within {within}"),
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
            + self.ops.of_step(step)
            + self.held.values().flatten().filter(|(of, _)| *of == step).count()
    }

    /// Waits for one report, a deadline, the next sample or `until`, whichever comes first.
    async fn turn(&mut self, until: RunTime) {
        let now = self.backend.now();
        if self.next_sample <= now {
            if !self.ops.samples() {
                self.submit(now, What::Sample, Op::Sample, None, SEE_DEADLINE);
            }
            self.next_sample = now.plus(SAMPLE_EVERY);
        }
        self.ask_ends(now);
        let wake = until.min(self.next_sample).min(self.rebind_recovery.due());
        let wake = wake.min(self.ops.deadline().unwrap_or(RunTime(u64::MAX)));
        match self.backend.next(wake).await {
            Some(report) => {
                self.idle_turns = 0;
                self.take(report);
            }
            None if self.backend.now() <= now => self.idle_turns += 1,
            None => self.idle_turns = 0,
        }
        let now = self.backend.now();
        while let Some(pending) = self.ops.overdue(now) {
            self.fail(now, pending, "the backend never reported how it ended".to_owned(), true);
        }
        self.status.now = now;
        self.status.live = self.state.live();
        self.status.acknowledged = self.state.acknowledged();
        self.status.queries = self.state.queries;
        self.observer.status(&self.status);
    }

    /// Looks at all nodes and waits for what is seen. A look that fails leaves trouble in the record and is tried no more.
    async fn look_now(&mut self) -> Leave {
        let mut begun = false;
        while !begun || self.ops.looks() || self.ops.samples() {
            if !begun && !self.ops.looks() {
                self.submit_look(self.backend.now());
                begun = true;
            }
            if let Some(leave) = self.cut_short() {
                return leave;
            }
            self.turn(RunTime(u64::MAX)).await;
        }
        Leave::Over
    }

    fn submit_look(&mut self, now: RunTime) {
        self.look_begun = Some(now);
        let what = What::Look { generation: self.state.generation() };
        self.submit(now, what, Op::Inspect, None, SEE_DEADLINE);
    }

    fn submit(&mut self, now: RunTime, what: What, action: Op, step: Option<usize>, deadline: Duration) {
        let op = self.ops.insert(Pending { what, submitted: now, deadline: now.plus(deadline), step });
        self.backend.submit(op, action);
    }

    /// Does an action, or holds it until an earlier change of its node is done.
    fn act_in_turn(&mut self, step: usize, act: Act, now: RunTime) {
        match self.node_of(&act).filter(|node| self.ops.is_changing(*node) || self.held.contains_key(node)) {
            Some(node) => self.held.entry(node).or_default().push_back((step, act)),
            None => self.act(step, act, now),
        }
    }

    /// Whom an action is about; nobody if it is about a network.
    fn node_of(&self, act: &Act) -> Option<NodeIndex> {
        match act {
            Act::Start { node, .. } | Act::Kill { node } | Act::Stop { node } => Some(*node),
            Act::Get { node, .. } | Act::Link { node, .. } => Some(*node),
            Act::Put { item } => Some(self.plan.items[item.0].by),
            Act::Rebind { .. } | Act::SetLink { .. } => None,
        }
    }

    /// Does what was held for a node, up to its next change.
    fn release(&mut self, node: NodeIndex, now: RunTime) {
        let Some(mut queue) = self.held.remove(&node) else { return };
        while !self.ops.is_changing(node) {
            let Some((step, act)) = queue.pop_front() else { return };
            self.act(step, act, now);
        }
        if !queue.is_empty() {
            self.held.insert(node, queue);
        }
    }

    fn act(&mut self, step: usize, act: Act, now: RunTime) {
        let node = self.node_of(&act);
        match (node, act) {
            (Some(node), act) => self.act_on_node(step, act, node, now),
            (None, Act::Rebind { network, addresses }) => {
                self.rebind_recovery.wait(Rebind { step, network, addresses });
                if !self.ops.looks() {
                    self.submit_look(now);
                }
            }
            (None, Act::SetLink { network, up, down }) => {
                let action = Op::SetLink { network, up, down };
                self.submit(now, What::SetLink { network }, action, Some(step), CHANGE_DEADLINE);
            }
            (None, act) => unreachable!("{act:?} is about a node"),
        }
    }

    fn act_on_node(&mut self, step: usize, act: Act, node: NodeIndex, now: RunTime) {
        let lives = self.state.is_live(node);
        let (what, action, deadline) = match act {
            Act::Rebind { .. } | Act::SetLink { .. } => unreachable!("{act:?} is about a network"),
            Act::Start { .. } if lives => return self.trouble(now, Some(node), "was to be started, but runs already"),
            Act::Kill { .. } | Act::Stop { .. } if !lives => {
                return self.trouble(now, Some(node), "was to be ended, but does not run");
            }
            Act::Start { fresh, .. } => (What::Start { node }, Op::Start { node, fresh }, CHANGE_DEADLINE),
            Act::Kill { .. } => (What::Kill { node }, Op::Kill { node }, CHANGE_DEADLINE),
            Act::Stop { .. } => (What::Stop { node }, Op::Stop { node }, CHANGE_DEADLINE),
            Act::Put { item } if !lives => return self.stored(now, now, item, node, Err("it does not run".to_owned())),
            Act::Put { item } => {
                let value = Bytes::from(self.plan.items[item.0].bytes());
                (What::Put { item, node }, Op::Put { node, value }, self.answer_deadline(node))
            }
            Act::Link { peer, within, .. } => return self.pair_queue.add(NodePair { step, node, peer, within }),
            Act::Get { item, .. } => {
                let unasked = || Retrieved::Unasked { why: "it does not run".to_owned() };
                match self.state.id_of(item) {
                    None => return self.retrieved(now, now, item, node, Retrieved::NeverStored),
                    Some(_) if !lives => return self.retrieved(now, now, item, node, unasked()),
                    Some(id) => (What::Get { item, node }, Op::Get { node, id }, self.answer_deadline(node)),
                }
            }
        };
        self.submit(now, what, action, Some(step), deadline);
    }

    /// Has pairs linked whose turn it is.
    fn begin_crossings(&mut self, now: RunTime) {
        while let Some(NodePair { step, node, peer, within }) = self.pair_queue.begin() {
            match (self.state.is_live(node), self.state.identity(peer)) {
                (true, Some(id)) => {
                    let what = What::Link { node, peer, within };
                    self.submit(now, what, Op::Connect { node, peer: id }, Some(step), CONNECT_WITHIN + ANSWER_MARGIN);
                }
                _ => self.linked(now, node, peer, LinkResult::Down { why: "one of them does not run".to_owned() }),
            }
        }
    }

    fn answer_deadline(&self, node: NodeIndex) -> Duration {
        self.plan.node_config(self.plan.node(node)).deadline + ANSWER_MARGIN
    }
}

/// How long a step may last; what is checked takes no time.
fn limit(until: &Until) -> Duration {
    match until {
        Until::Joined { within } | Until::Done { within } => *within,
        Until::Elapsed { time } => *time,
        Until::Checked { .. } => Duration::ZERO,
    }
}

fn look_pause(until: &Until) -> Option<Duration> {
    match until {
        Until::Joined { .. } => Some(LOOK_JOINING_EVERY),
        Until::Elapsed { .. } => Some(LOOK_EVERY),
        Until::Done { .. } | Until::Checked { .. } => None,
    }
}
