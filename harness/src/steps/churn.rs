//! `churn`: nodes fail and others take their place. In each second each node fails with the same chance, as in Butter's own test
//! rig; or each node stays for sessions and is away between them, as long as in networks that were measured.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use butter::core::random::Random;
use rand::RngExt;

mod diurnal;
mod lifetime;
mod play_trace;
mod trace;

use diurnal::{ARRIVAL_FORMS, Diurnal};
pub(crate) use lifetime::lifetime_presets;
use lifetime::{DOWNTIME_FORMS, Lifetime, LifetimeKind, SESSION_FORMS};
use trace::ChurnTrace;

use super::named::NodeNames;
use super::state::{NodeLife, PlanState, SeedPurpose, SeedStream};
use super::step::{ScheduleError, StepReader, StepSource, StepSpec, Verb};
use crate::op::Op;
use crate::plan::{EndCondition, NodeIndex, TimedOp, TopologyFile};
use crate::topology::check::NameTable;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span};
use crate::topology::fields::{Fields, MapSpec, Spanned, key};
use crate::topology::form::{ValueForm, words_of};
use crate::topology::units::{ChancePerSecond, Share, Time};

/// Most draws of one step: nodes times seconds.
pub(super) const CHURN_DRAWS_MAX: u64 = 500_000_000;
/// A file without a folder.
const TRACE_PATTERN: &str = r"^[^/\\]+\.(csv|tsv|txt)$";
/// Endings of such a file.
const TRACE_ENDINGS: [&str; 3] = [".csv", ".tsv", ".txt"];
/// Most times faster than life.
const SPEEDUP_MAX: u64 = 1_000_000;

pub(super) static VERB: Verb = Verb {
    name: "churn",
    formerly: &[],
    doc: "Nodes fail and others take their place: with the same chance each second, or after sessions of given lengths.",
    keys: &MapSpec {
        what: "a churn step",
        keys: &[
            key("for", "60s", "how long").of(ValueForm::quantity::<Time>()).needed(),
            key("die", "1/100/s", "chance of each node to fail in each second; this or session")
                .of(ValueForm::quantity::<ChancePerSecond>()),
            key("session", "{weibull: {shape: 0.6, scale: 3h}}", "how long nodes stay, or a preset: kad, ipfs, rig …")
                .of(ValueForm::Either(&SESSION_FORMS)),
            key("downtime", "{exponential: 20s}", "how long they are away, or a preset: kad; no time if absent")
                .of(ValueForm::Either(&DOWNTIME_FORMS)),
            key("arrivals", "diurnal", "diurnal, or {period: 24h, amplitude: 50%, peak: 20h}: nodes that are away come back by the hour of the day; evenly if absent")
                .of(ValueForm::Either(&ARRIVAL_FORMS)),
            key("trace", "sessions.csv", "a file beside this one with the sessions of nodes in seconds: node,up,down; this, die or session")
                .of(ValueForm::Matching(TRACE_PATTERN)),
            key("speedup", "300", "how many times faster than said sessions, downtimes, days and traces pass")
                .of(ValueForm::Count(1, SPEEDUP_MAX)),
            key("graceful", "20%", "share of the failures that are a graceful stop; the others are kills")
                .of(ValueForm::quantity::<Share>()),
            key("replace", "fresh", "what takes the place of a failed node: fresh (a new node), same (itself) or none; fresh if absent, and same for a trace")
                .of(ValueForm::Words(|| words_of(&REPLACEMENTS))),
            key("only", "[alpha]", "networks, node groups or nodes that may fail; all if absent").of(ValueForm::NAMES),
            key("spare", "[ambassador]", "those of them that may not").of(ValueForm::NAMES),
        ],
        later: &["outage"],
    },
    short: None,
    example: "- churn: {for: 60s, die: 1/100/s, graceful: 20%, spare: ambassador}",
    read: StepReader::One(read),
};

const REPLACEMENTS: [(&str, Replacement); 3] =
    [("fresh", Replacement::Fresh), ("same", Replacement::Same), ("none", Replacement::None)];

#[derive(Debug)]
struct Churn {
    duration: Duration,
    failures: FailureTimes,
    /// Share of the failures that are a graceful stop, 0..1.
    graceful: f64,
    replacement: Replacement,
    only: NodeNames,
    spare: NodeNames,
}

/// When nodes fail.
#[derive(Debug)]
enum FailureTimes {
    /// Each node with this chance in each second, 0..1.
    EachSecond(f64),
    /// Each node at the end of its session.
    AfterSessions(Sessions),
    /// As a file says: its name, and what it holds once it is read.
    Traced { name: Spanned<String>, trace: Option<ChurnTrace>, speedup: u64 },
}

/// How long nodes stay and are away.
#[derive(Clone, Copy, Debug)]
struct Sessions {
    session: Lifetime,
    downtime: Option<Lifetime>,
    arrivals: Option<Diurnal>,
    speedup: u64,
}

/// What takes the place of a failed node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replacement {
    /// A new node: another identity and an empty store.
    Fresh,
    /// The node itself, with what it stored.
    Same,
    None,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    let duration = fields.needed_quantity::<Time>("for", problems);
    let usual = if fields.entry("trace").is_some() { Replacement::Same } else { Replacement::Fresh };
    let replacement = fields.word("replace", &REPLACEMENTS, problems).unwrap_or(usual);
    let failures = read_failures(source, &fields, replacement, problems);
    Box::new(Churn {
        duration: duration.map_or(Duration::ZERO, |time| time.value.0),
        failures: failures.unwrap_or(FailureTimes::EachSecond(0.0)),
        graceful: fields.quantity("graceful", problems).map_or(0.0, |share| {
            let Share(share) = share.value;
            share
        }),
        replacement,
        only: NodeNames::read(&fields, "only", problems),
        spare: NodeNames::read(&fields, "spare", problems),
    })
}

fn read_failures(
    source: &StepSource<'_>,
    fields: &Fields<'_>,
    replacement: Replacement,
    problems: &mut DiagnosticSink,
) -> Option<FailureTimes> {
    let die = fields.quantity::<ChancePerSecond>("die", problems).map(|chance| chance.value.0);
    let mut lifetime = |kind: LifetimeKind| {
        let (key, node) = fields.entry(kind.key())?;
        Lifetime::read(node, &key.span, kind, problems)
    };
    let (session, downtime) = (lifetime(LifetimeKind::Session), lifetime(LifetimeKind::Downtime));
    let speedup = fields.count("speedup", 1, SPEEDUP_MAX, problems).unwrap_or(1);
    let arrivals = Diurnal::read(fields, problems);
    let given: Vec<_> = ["die", "session", "trace"].into_iter().filter_map(|name| fields.entry(name)).collect();
    if let [(first, _), .., (last, _)] = &given[..] {
        let what =
            format!("a churn step has `die`, `session` or `trace`, and this has `{}` and `{}`", first.name, last.name);
        problems.add(Diagnostic::at(&last.span, what).related(&first.span, "the other").help("remove one of them"));
        return None;
    }
    if let Some((key, _)) = fields.entry("arrivals")
        && (fields.entry("downtime").is_none() || replacement == Replacement::None)
    {
        let problem = Diagnostic::at(&key.span, "nodes that are never away do not arrive");
        problems.add(problem.help("add how long they are away, such as downtime: {exponential: 2h}"));
    }
    if fields.entry("trace").is_some() {
        return read_trace(fields, replacement, speedup, problems);
    }
    if fields.entry("session").is_some() {
        if let (Replacement::None, Some((away, _))) = (replacement, fields.entry("downtime")) {
            let problem = Diagnostic::at(&away.span, "nothing comes back after this: the step has `replace: none`");
            problems.add(problem.help("remove `downtime`, or write replace: same"));
        }
        return Some(FailureTimes::AfterSessions(Sessions { session: session?, downtime, arrivals, speedup }));
    }
    for name in ["downtime", "speedup"] {
        if let Some((key, _)) = fields.entry(name) {
            let problem = Diagnostic::at(&key.span, format!("`{name}` goes with `session`, which is not there"));
            problems.add(problem.help("such as session: kad"));
        }
    }
    if fields.entry("die").is_none() {
        problems.add(
            Diagnostic::at(source.span, "a churn step needs `die`, `session` or `trace`")
                .help("add die: 1/100/s, or session: kad, or trace: sessions.csv"),
        );
    }
    die.map(FailureTimes::EachSecond)
}

/// The name of a file with sessions.
fn read_trace(
    fields: &Fields<'_>,
    replacement: Replacement,
    speedup: u64,
    problems: &mut DiagnosticSink,
) -> Option<FailureTimes> {
    if let (Replacement::None, Some((key, _))) = (replacement, fields.entry("replace")) {
        let problem = Diagnostic::at(&key.span, "a trace says itself who comes back");
        problems.add(problem.help("write replace: same, or replace: fresh for new identities"));
    }
    if let Some((key, _)) = fields.entry("downtime") {
        let problem = Diagnostic::at(&key.span, "a trace says itself how long nodes are away");
        problems.add(problem.help("remove `downtime`"));
    }
    let name = fields.text("trace", problems)?;
    if name.value.contains(['/', '\\']) || !TRACE_ENDINGS.iter().any(|ending| name.value.ends_with(ending)) {
        let what = format!("a trace is beside the topology, and its name ends in {}", TRACE_ENDINGS.join(", "));
        problems.add(Diagnostic::at(&name.span, what).help("such as trace: sessions.csv"));
        return None;
    }
    Some(FailureTimes::Traced { name, trace: None, speedup })
}

const SECOND: Duration = Duration::from_secs(1);
const SECOND_US: u64 = 1_000_000;

impl StepSpec for Churn {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.only.validate(names, false, problems);
        self.only.default_to_all();
        self.spare.validate(names, false, problems);
        if let FailureTimes::Traced { name, trace, .. } = &mut self.failures {
            match ChurnTrace::read(names.folder(), &name.value) {
                Ok(read) => *trace = Some(read),
                Err((what, help)) => problems.add(Diagnostic::at(&name.span, what).help(help)),
            }
        }
    }

    fn files(&self) -> Vec<TopologyFile> {
        match &self.failures {
            FailureTimes::Traced { trace: Some(trace), .. } => vec![trace.file.clone()],
            _ => Vec::new(),
        }
    }

    fn schedule(&self, state: &mut PlanState<'_>, seeds: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let spared = BTreeSet::from_iter(state.nodes_of(self.spare.selectors()));
        let mut among = state.nodes_of(self.only.selectors());
        among.retain(|node| !spared.contains(node));
        let mut random = seeds.random(SeedPurpose::Deaths);
        match &self.failures {
            FailureTimes::EachSecond(die) => self.fail_each_second(*die, &among, state, &mut random),
            FailureTimes::AfterSessions(sessions) => self.play_sessions(sessions, &among, state, &mut random),
            FailureTimes::Traced { trace: Some(trace), speedup, .. } => {
                self.play_trace(trace, *speedup, &among, state, &mut random)
            }
            // It could not be read, which is reported: nothing is planned.
            FailureTimes::Traced { trace: None, .. } => Ok(Vec::new()),
        }
    }

    fn ends(&self, _: &[TimedOp], _: &PlanState<'_>) -> EndCondition {
        EndCondition::Elapsed { duration: self.duration }
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        let spared =
            if self.spare.found().is_empty() { String::new() } else { format!(" except {}", self.spare.text()) };
        let graceful =
            if self.graceful > 0.0 { format!(" ({} gracefully)", Share(self.graceful)) } else { String::new() };
        let after = match self.replacement {
            Replacement::Fresh => "replaced by fresh nodes",
            Replacement::Same => "restarted with their stores",
            Replacement::None => "not replaced",
        };
        let (time, nodes) = (Time(self.duration), format!("{} nodes{spared}", self.only.text()));
        match &self.failures {
            FailureTimes::EachSecond(die) => {
                format!("churn for {time}: {}/s of {nodes} fail{graceful}, {after}", Share(*die))
            }
            FailureTimes::AfterSessions(sessions) => {
                format!("churn for {time}: {nodes} fail{graceful} after {sessions}, {after}")
            }
            FailureTimes::Traced { name, speedup, .. } => {
                let faster = if *speedup > 1 { format!(", {speedup} times faster") } else { String::new() };
                format!("churn for {time}: {nodes} come and go{graceful} by {}{faster}, {after}", name.value)
            }
        }
    }
}

impl fmt::Display for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let median = |lifetime: &Lifetime| {
            let median = lifetime.median() / u32::try_from(self.speedup).unwrap_or(u32::MAX);
            Time(Duration::from_millis(median.as_millis() as u64))
        };
        write!(f, "sessions with a median of {}", median(&self.session))?;
        if let Some(downtime) = &self.downtime {
            write!(f, " and are away for a median of {}", median(downtime))?;
        }
        if self.arrivals.is_some() { f.write_str(", by the hour of the day") } else { Ok(()) }
    }
}

impl Sessions {
    /// How long a node is away that leaves at this time of the step.
    fn away(&self, at: Duration, random: &mut Random) -> Duration {
        let speedup = self.speedup as f64;
        let away = self.downtime.map_or(Duration::ZERO, |away| away.draw(speedup, random));
        let Some(day) = &self.arrivals else { return away };
        let seconds = day.away(at.as_secs_f64() * speedup, away.as_secs_f64() * speedup) / speedup;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

impl Churn {
    /// Each node with the same chance in each second, as Butter's rig does it.
    fn fail_each_second(
        &self,
        die: f64,
        among: &[NodeIndex],
        state: &mut PlanState<'_>,
        random: &mut Random,
    ) -> Result<Vec<TimedOp>, ScheduleError> {
        let seconds = self.duration.as_nanos().div_ceil(SECOND.as_nanos()) as u64;
        if seconds.saturating_mul(among.len() as u64) > CHURN_DRAWS_MAX {
            return Err(ScheduleError::TooManyDraws);
        }
        let mut ops = Vec::new();
        for second in 0..seconds {
            let begin = ops.len();
            for &node in among {
                if !state.is_alive(node) || random.random::<f64>() >= die {
                    continue;
                }
                let at = SECOND * second as u32 + Duration::from_micros(random.random_range(0..SECOND_US));
                let graceful = random.random::<f64>() < self.graceful;
                // In a last second that is cut short, failures after its end are of a time that does not come.
                if at < self.duration {
                    self.fail(node, at, graceful, state, &mut ops);
                }
            }
            // Stable, so a start stays behind the failure that it follows. A node fails once a second at most.
            ops[begin..].sort_by_key(|timed| timed.after);
            if ops.len() > state.ops_left() {
                return Err(ScheduleError::TooManyOps);
            }
        }
        Ok(ops)
    }

    /// Each node in sessions of its own, the first from the beginning of the step (an alternating renewal process).
    fn play_sessions(
        &self,
        sessions: &Sessions,
        among: &[NodeIndex],
        state: &mut PlanState<'_>,
        random: &mut Random,
    ) -> Result<Vec<TimedOp>, ScheduleError> {
        let speedup = sessions.speedup as f64;
        let mut ops = Vec::new();
        for &node in among {
            let mut now = Duration::ZERO;
            while state.is_alive(node) {
                now = now.saturating_add(sessions.session.draw(speedup, random));
                if now >= self.duration {
                    break;
                }
                let graceful = random.random::<f64>() < self.graceful;
                let away = sessions.away(now, random);
                self.end_session(node, now, graceful, state, &mut ops);
                now = now.saturating_add(away);
                if self.replacement != Replacement::None && now < self.duration {
                    self.begin_session(node, now, state, &mut ops);
                }
                if ops.len() > state.ops_left() {
                    return Err(ScheduleError::TooManyOps);
                }
            }
        }
        // Stable, so what happens to a node stays in order.
        ops.sort_by_key(|timed| timed.after);
        Ok(ops)
    }

    fn fail(
        &self,
        node: NodeIndex,
        after: Duration,
        graceful: bool,
        state: &mut PlanState<'_>,
        ops: &mut Vec<TimedOp>,
    ) {
        self.end_session(node, after, graceful, state, ops);
        if self.replacement != Replacement::None {
            self.begin_session(node, after, state, ops);
        }
    }

    fn end_session(
        &self,
        node: NodeIndex,
        after: Duration,
        graceful: bool,
        state: &mut PlanState<'_>,
        ops: &mut Vec<TimedOp>,
    ) {
        let op = if graceful { Op::Stop { node } } else { Op::Kill { node } };
        ops.push(TimedOp { after, op });
        state.set_life(node, NodeLife::Down);
    }

    fn begin_session(&self, node: NodeIndex, after: Duration, state: &mut PlanState<'_>, ops: &mut Vec<TimedOp>) {
        ops.push(TimedOp { after, op: Op::Start { node, fresh: self.replacement == Replacement::Fresh } });
        state.set_life(node, NodeLife::Up);
    }
}
