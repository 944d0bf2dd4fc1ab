//! What a search costs: messages, time and success for keys that are there and keys that are not, by strategy and size of the
//! network, and what the inventories cost that make it cheap: `harness bench find`.
//!
//! Nodes in LANs of fifty, as in [`mod@super`], store items. Once all is quiet, nodes that do not hold an item ask for it.

use std::fmt;
use std::time::Duration;

use butter::core::identity::BlockId;
use butter::core::random::child;
use rand::RngExt;

use super::{join, place, play, rest};
use crate::backend::sim::SimBackend;
use crate::op::{Op, OpResult, OpTarget};
use crate::plan::builder::PlanBuilder;
use crate::plan::{Item, ItemIndex, NodeIndex, Plan};
use crate::statistics::{mean_and_deviation, mean_interval, quantile, ratio};

/// Most items, however many nodes there are.
const ITEMS_MAX: usize = 1_000;
/// Length of an item, in bytes: one block.
const ITEM_BYTES: usize = 256;
/// Virtual time in which the items are stored.
const STORE_WITHIN: Duration = Duration::from_secs(20);
/// Virtual time in which inventories spread.
const SPREAD_FOR: Duration = Duration::from_secs(120);
/// Virtual time at rest, in which the upkeep of inventories is measured.
const REST_FOR: Duration = Duration::from_secs(240);
/// Queries that begin per second.
const QUERIES_PER_SECOND: u32 = 20;

/// A measurement to make.
#[derive(Clone, Debug)]
pub struct FindSpec {
    /// Number of nodes in the network.
    pub nodes: usize,
    /// Search strategy: a value of the setting `retrieval`.
    pub strategy: String,
    /// Whether searches ask every peer before they end without success.
    pub exhaustive: bool,
    /// Queries for keys that are there, and as many for keys that are not.
    pub queries: usize,
}

/// What queries of one kind came to in one run.
#[derive(Clone, Debug)]
pub struct FindFigures {
    /// Share of the queries that found the right bytes.
    pub found: f64,
    /// Mean number of query messages, of all nodes and queries.
    pub messages: f64,
    /// Durations of all queries in ascending order, in microseconds.
    pub took_us: Vec<u64>,
    /// Mean number of hops of those that succeeded.
    pub hops: f64,
}

/// What one run has shown.
#[derive(Clone, Debug)]
pub struct FindRun {
    /// Queries for keys that are there.
    pub present: FindFigures,
    /// Queries for keys that are not.
    pub absent: FindFigures,
    /// Bytes about inventories that a node sent per second at rest.
    pub upkeep_bytes: f64,
    /// Inventories that a node kept.
    pub inventories: f64,
    /// Nodes, as a node estimates.
    pub estimated_nodes: f64,
}

/// Several runs that differ in their seeds.
#[derive(Clone, Debug)]
pub struct FindBench {
    /// What each run has measured.
    pub spec: FindSpec,
    /// The runs, in the order of their seeds.
    pub runs: Vec<FindRun>,
}

impl FindBench {
    /// Makes the measurement once for each seed.
    pub fn measure(spec: FindSpec, seeds: impl IntoIterator<Item = u64>) -> Self {
        let runs = seeds.into_iter().map(|seed| run(&spec, seed)).collect();
        FindBench { spec, runs }
    }
}

fn run(spec: &FindSpec, seed: u64) -> FindRun {
    let plan = plan(spec, seed);
    let items = plan.items.len();
    let mut sim = SimBackend::new(&plan);
    sim.start_all();
    join(&mut sim);
    let put = |item: usize| Op::Put { node: plan.items[item].by, item: ItemIndex(item) };
    let puts = (0..items).map(|item| (put(item), OpTarget::InPlan)).collect();
    let stored = play(&mut sim, puts, STORE_WITHIN, 0);
    let acknowledged: Vec<(usize, BlockId)> = (0..items)
        .filter_map(|item| match &stored[item].1 {
            Some(OpResult::Stored(blocks)) => Some((item, *blocks.first()?)),
            _ => None,
        })
        .collect();
    rest(&mut sim, SPREAD_FOR);
    let before = sum(&sim, |stats| stats.inventory_bytes);
    rest(&mut sim, REST_FOR);
    let count = sim.engine().nodes().count() as f64;
    let upkeep_bytes = (sum(&sim, |stats| stats.inventory_bytes) - before) / count / REST_FOR.as_secs_f64();
    let (inventories, estimated) = (sum(&sim, |stats| stats.inventories), sum(&sim, |stats| stats.network_nodes));

    let mut random = child(seed, 1);
    let mut any = |count: usize| random.random_range(0..count as u64) as usize;
    let asked = |any: &mut dyn FnMut(usize) -> usize| NodeIndex(any(plan.nodes.len()));
    let there = (0..spec.queries).map(|_| acknowledged[any(acknowledged.len())]).collect::<Vec<_>>();
    let there = there.into_iter().map(|(item, id)| (asked(&mut any), ItemIndex(item), id)).collect();
    let present = figures(&mut sim, &plan, there);
    // Of the item only the id is asked for, and nothing has this one.
    let mut keys = child(seed, 2);
    let not_there = (0..spec.queries).map(|_| (asked(&mut any), ItemIndex(0), BlockId(keys.random()))).collect();
    let absent = figures(&mut sim, &plan, not_there);
    FindRun { present, absent, upkeep_bytes, inventories: inventories / count, estimated_nodes: estimated / count }
}

/// The nodes and the items that they store.
fn plan(spec: &FindSpec, seed: u64) -> Plan {
    let exhaustive = spec.exhaustive.to_string();
    let builder = PlanBuilder::new(seed).with("retrieval", &spec.strategy).with("exhaustive", &exhaustive);
    let mut plan = place(builder, spec.nodes);
    let count = plan.nodes.len().min(ITEMS_MAX);
    let by = |item: usize| NodeIndex(item % count * plan.nodes.len() / count);
    let item = |item: usize| Item {
        size: ITEM_BYTES,
        seed: plan.seed << 32 ^ item as u64,
        by: by(item),
        keywords: Vec::new(),
    };
    plan.items = (0..count).map(item).collect();
    plan
}

/// Has nodes look for items by these ids, one after the other.
fn figures(sim: &mut SimBackend, plan: &Plan, wanted: Vec<(NodeIndex, ItemIndex, BlockId)>) -> FindFigures {
    let before = sum(sim, |stats| stats.retrieval_messages);
    let get = |&(node, item, id): &(NodeIndex, ItemIndex, BlockId)| {
        (Op::Get { node, item, exhaustive: false }, OpTarget::Item(id))
    };
    let gets = wanted.iter().map(get).collect();
    let within = Duration::from_secs(1) * wanted.len() as u32 / QUERIES_PER_SECOND;
    let results = play(sim, gets, within, 1 << 32);
    let messages = sum(sim, |stats| stats.retrieval_messages) - before;
    let (mut took_us, mut found, mut hops_sum) = (Vec::new(), 0, 0);
    for (&(_, item, _), (took, result)) in wanted.iter().zip(&results) {
        took_us.push(took.as_micros() as u64);
        if let Some(OpResult::Found(value)) = result
            && value.value[..] == plan.items[item.0].bytes()[..]
        {
            found += 1;
            hops_sum += u64::from(value.hops);
        }
    }
    took_us.sort_unstable();
    FindFigures {
        found: ratio(found, wanted.len() as u64).unwrap_or_default(),
        messages: messages / wanted.len() as f64,
        took_us,
        hops: ratio(hops_sum, found).unwrap_or_default(),
    }
}

fn sum(sim: &SimBackend, figure: impl Fn(&butter::overlay::data::DataStats) -> u64) -> f64 {
    sim.engine().nodes().map(|(_, node)| figure(&node.overlay().stats()) as f64).sum()
}

/// A mean over runs with half the width of its 95 % interval.
struct MeanOf(Vec<f64>);

impl fmt::Display for MeanOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = mean_and_deviation(&self.0).map_or(0.0, |(mean, _)| mean);
        let half = mean_interval(&self.0).map(|(low, high)| (high - low) / 2.0);
        let text = half.map_or(format!("{mean:.1}"), |half| format!("{mean:.1}±{half:.1}"));
        f.pad(&text)
    }
}

impl fmt::Display for FindBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |figure: &dyn Fn(&FindRun) -> f64| MeanOf(self.runs.iter().map(figure).collect());
        let FindSpec { nodes, strategy, queries, .. } = &self.spec;
        write!(f, "{strategy:<12} {nodes:>7} nodes, {} runs of {queries} queries:", self.runs.len())?;
        for (name, of) in [("present", present as fn(&FindRun) -> &FindFigures), ("absent", absent)] {
            write!(
                f,
                "\n  {name:<8} found {:>8} %  messages {:>10}  hops {:>5}  p50 {:>8} ms  p95 {:>8} ms",
                each(&|run| 100.0 * of(run).found),
                each(&|run| of(run).messages),
                each(&|run| of(run).hops),
                each(&|run| milliseconds(of(run), 0.5)),
                each(&|run| milliseconds(of(run), 0.95)),
            )?;
        }
        write!(
            f,
            "\n  upkeep {} bytes/s a node, which keeps {} inventories and estimates {} nodes",
            each(&|run| run.upkeep_bytes),
            each(&|run| run.inventories),
            each(&|run| run.estimated_nodes),
        )
    }
}

fn present(run: &FindRun) -> &FindFigures {
    &run.present
}

fn absent(run: &FindRun) -> &FindFigures {
    &run.absent
}

fn milliseconds(figures: &FindFigures, share: f64) -> f64 {
    quantile(&figures.took_us, share).map_or(0.0, |us| us as f64 / 1e3)
}
