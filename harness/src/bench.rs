//! How fast and how true the testbed itself is: in [`mod@router`] the router, in [`mod@up`] a backend, in
//! [`mod@false_alarms`] the comparison of runs, in [`mod@fidelity`] the model of QUIC, in [`mod@find`] searches, in [`mod@published`] figures that others have published, and here the
//! simulator, with the memory that a simulated node takes: `harness bench sim`.
//!
//! LANs of 50 nodes behind plain routers, and ambassadors on the internet. Everybody joins, everybody stores one item, and
//! then 60 virtual seconds pass with a heartbeat of one second.

pub mod false_alarms;
pub mod fidelity;
pub mod find;
pub mod published;
pub mod router;
pub mod up;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::time::Duration;

use anyhow::Context;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::backend::Backend;
use crate::backend::sim::SimBackend;
use crate::events::RunTime;
use crate::net::link::LinkConfig;
use crate::op::{Op, OpId, OpResult, OpTarget};
use crate::plan::builder::PlanBuilder;
use crate::plan::{Item, ItemIndex, NodeIndex, Plan};
use crate::sim::invariants;

/// Sizes that have targets, with CPU seconds for all of it and, where one is set, peak memory in bytes.
pub const TARGETS: [BenchTarget; 2] = [
    BenchTarget { nodes: 1_000, cpu_s: 3.0, peak_bytes: None },
    BenchTarget { nodes: 20_000, cpu_s: 90.0, peak_bytes: Some(1 << 30) },
];

/// Nodes of a LAN.
const LAN_NODES: usize = 50;
/// Nodes per ambassador.
const NODES_PER_AMBASSADOR: usize = 250;
/// Ambassadors that a node is configured with.
const AMBASSADORS_TOLD: usize = 3;
/// Length of an item, in bytes.
const ITEM_BYTES: usize = 1_024;
/// Longest virtual time to join.
const JOIN_WITHIN: Duration = Duration::from_secs(60);
/// Virtual time over which the items are stored.
const STORE_WITHIN: Duration = Duration::from_secs(10);
/// Virtual time of heartbeats.
const BEAT_FOR: Duration = Duration::from_secs(60);

/// What a size should take at most.
#[derive(Clone, Copy, Debug)]
pub struct BenchTarget {
    /// Number of nodes in the simulation.
    pub nodes: usize,
    /// CPU seconds that it may take.
    pub cpu_s: f64,
    /// Peak resident memory, in bytes.
    pub peak_bytes: Option<u64>,
}

/// What a simulation took.
#[derive(Clone, Debug)]
pub struct SimBench {
    /// Number of nodes in the simulation.
    pub nodes: usize,
    /// The phases join, store and beat.
    pub phases: Vec<BenchPhase>,
    /// Items stored, of as many as there are nodes.
    pub stored: usize,
    /// Components of the known-host graph at the end of the join.
    pub components: usize,
    /// Peak resident memory of the process since the simulation began, in bytes.
    pub peak_bytes: u64,
    /// Anonymous memory at the end, less that at the beginning, in bytes per node.
    pub bytes_per_node: u64,
}

/// What one phase took.
#[derive(Clone, Debug)]
pub struct BenchPhase {
    /// The name of the phase.
    pub name: &'static str,
    /// Seconds of the virtual clock.
    pub virtual_s: f64,
    /// CPU seconds, user and system.
    pub cpu_s: f64,
    /// Events of the queue.
    pub events: u64,
    /// Inputs handled by nodes.
    pub inputs: u64,
}

impl SimBench {
    /// CPU seconds of all phases.
    pub fn cpu_s(&self) -> f64 {
        self.phases.iter().map(|phase| phase.cpu_s).sum()
    }

    /// Whether it keeps to the target of its size; `None` if that has none.
    pub fn keeps_target(&self) -> Option<bool> {
        let target = TARGETS.iter().find(|target| target.nodes == self.nodes)?;
        let fits = target.peak_bytes.is_none_or(|bytes| self.peak_bytes < bytes);
        Some(fits && self.cpu_s() < target.cpu_s && self.components == 1 && self.stored == self.nodes)
    }
}

/// Simulates so many nodes and tells what it took. One at a time in a process: CPU and memory are the process's.
///
/// # Errors
/// Where the system does not tell what the process has used.
pub fn sim(nodes: usize, seed: u64) -> anyhow::Result<SimBench> {
    // Where the kernel cannot forget the peak so far, the figure includes it.
    fs::write("/proc/self/clear_refs", "5").ok();
    let before = status("RssAnon")?;
    let mut stopwatch = Stopwatch::new()?;
    let plan = plan(nodes, seed);
    let mut sim = SimBackend::new(&plan);

    sim.start_all();
    let components = join(&mut sim);
    stopwatch.lap("join", &sim)?;
    let stored = store(&mut sim, &plan);
    stopwatch.lap("store", &sim)?;
    rest(&mut sim, BEAT_FOR);
    stopwatch.lap("beat", &sim)?;

    let after = status("RssAnon")?;
    Ok(SimBench {
        nodes,
        phases: stopwatch.phases,
        stored,
        components,
        peak_bytes: status("VmHWM")?,
        bytes_per_node: after.saturating_sub(before) / nodes as u64,
    })
}

fn plan(nodes: usize, seed: u64) -> Plan {
    let mut plan = place(PlanBuilder::new(seed).with("heartbeat", "1s"), nodes);
    let item =
        |node| Item { size: ITEM_BYTES, seed: plan.seed ^ node as u64, by: NodeIndex(node), keywords: Vec::new() };
    plan.items = (0..plan.nodes.len()).map(item).collect();
    plan
}

/// Adds nodes in LANs, and their ambassadors.
fn place(mut builder: PlanBuilder, nodes: usize) -> Plan {
    let ambassadors: Vec<NodeIndex> = (0..nodes.div_ceil(NODES_PER_AMBASSADOR)).map(|_| builder.ambassador()).collect();
    let mut lan = PlanBuilder::INTERNET;
    for place in 0..nodes - ambassadors.len() {
        if place % LAN_NODES == 0 {
            let link = LinkConfig { latency: Duration::from_millis(10), ..LinkConfig::default() };
            lan = builder.network(PlanBuilder::INTERNET, None, link);
        }
        let configured =
            ambassadors.iter().copied().cycle().skip(place / LAN_NODES).take(AMBASSADORS_TOLD.min(ambassadors.len()));
        builder.node_joining(lan, configured.collect());
    }
    builder.into_plan()
}

fn join(sim: &mut SimBackend) -> usize {
    let give_up = sim.now().plus(JOIN_WITHIN);
    loop {
        let next = sim.now().plus(Duration::from_secs(1));
        while sim.advance(next).is_some() {}
        let components = invariants::components(sim.engine());
        if components == 1 || next >= give_up {
            return components;
        }
    }
}

/// Everybody stores an item, one after the other; returns how many were acknowledged.
fn store(sim: &mut SimBackend, plan: &Plan) -> usize {
    let put = |node| (Op::Put { node: NodeIndex(node), item: ItemIndex(node) }, OpTarget::InPlan);
    let results = play(sim, (0..plan.nodes.len()).map(put).collect(), STORE_WITHIN, 0);
    results.iter().filter(|(_, result)| matches!(result, Some(OpResult::Stored(_)))).count()
}

/// Begins operations at an even pace within this time, the first with number `first`. Returns how long each took and what it came
/// to.
fn play(
    sim: &mut SimBackend,
    ops: Vec<(Op, OpTarget)>,
    within: Duration,
    first: u64,
) -> Vec<(Duration, Option<OpResult>)> {
    let (begun, count) = (sim.now(), ops.len());
    let mut results: Vec<(Duration, Option<OpResult>)> = (0..count).map(|_| (Duration::ZERO, None)).collect();
    let mut starts = Vec::with_capacity(count);
    let mut open = BTreeSet::new();
    let mut take = |sim: &mut SimBackend, until, starts: &[RunTime], open: &mut BTreeSet<u64>| {
        while let Some(report) = sim.advance(until) {
            let Some(OpId(id)) = report.op else { continue };
            if open.remove(&id) {
                let at = (id - first) as usize;
                let took = Duration::from_micros(report.at.0.saturating_sub(starts[at].0));
                results[at] = (took, Some(report.result));
            }
            if open.is_empty() && until == RunTime(u64::MAX) {
                return;
            }
        }
    };
    for (at, (op, target)) in ops.into_iter().enumerate() {
        take(sim, begun.plus(within * at as u32 / count as u32), &starts, &mut open);
        starts.push(sim.now());
        open.insert(first + at as u64);
        sim.submit(OpId(first + at as u64), op, target);
    }
    take(sim, RunTime(u64::MAX), &starts, &mut open);
    results
}

/// Lets so much virtual time pass.
fn rest(sim: &mut SimBackend, time: Duration) {
    let end = sim.now().plus(time);
    while sim.advance(end).is_some() {}
}

struct Stopwatch {
    cpu_s: f64,
    at_s: f64,
    counts: (u64, u64),
    phases: Vec<BenchPhase>,
}

impl Stopwatch {
    fn new() -> anyhow::Result<Self> {
        Ok(Stopwatch { cpu_s: cpu_s()?, at_s: 0.0, counts: (0, 0), phases: Vec::new() })
    }

    fn lap(&mut self, name: &'static str, sim: &SimBackend) -> anyhow::Result<()> {
        let (cpu_s, counts) = (cpu_s()?, sim.engine().counts());
        let at_s = sim.engine().now().as_micros() as f64 / 1e6;
        self.phases.push(BenchPhase {
            name,
            virtual_s: at_s - self.at_s,
            cpu_s: cpu_s - self.cpu_s,
            events: counts.0 - self.counts.0,
            inputs: counts.1 - self.counts.1,
        });
        (self.cpu_s, self.at_s, self.counts) = (cpu_s, at_s, counts);
        Ok(())
    }
}

fn cpu_s() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).context("asking the system for the CPU time used")?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
}

/// A quantity of this process's memory, in bytes.
fn status(key: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/self/status").context("reading /proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    Ok(kib.with_context(|| format!("/proc/self/status does not tell {key}"))? * 1_024)
}

impl fmt::Display for SimBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: f64 = 1_048_576.0;
        writeln!(f, "{} nodes in LANs of {LAN_NODES}", self.nodes)?;
        for BenchPhase { name, virtual_s, cpu_s, events, inputs } in &self.phases {
            let (each, rate) = (cpu_s / *inputs as f64 * 1e6, *events as f64 / cpu_s / 1e6);
            writeln!(
                f,
                "  {name:<6} {virtual_s:>6.1} virtual s {cpu_s:>8.2} CPU s {events:>10} events {rate:>6.2} M/s {inputs:>10} inputs {each:>6.2} µs each",
            )?;
        }
        let (peak, per_node) = (self.peak_bytes as f64 / MIB, self.bytes_per_node as f64 / 1_024.0);
        writeln!(f, "  memory {peak:.0} MiB at most, {per_node:.1} KiB a node")?;
        writeln!(f, "  stored {} items; {} component(s)", self.stored, self.components)?;
        write!(f, "  total  {:.2} CPU s", self.cpu_s())?;
        if let Some(target) = TARGETS.iter().find(|target| target.nodes == self.nodes) {
            write!(f, "; target {} CPU s", target.cpu_s)?;
            if let Some(bytes) = target.peak_bytes {
                write!(f, " and {:.0} MiB", bytes as f64 / MIB)?;
            }
            write!(f, ": {}", if self.keeps_target() == Some(true) { "kept" } else { "missed" })?;
        }
        Ok(())
    }
}
