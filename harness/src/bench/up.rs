//! How fast a run is up, every node answering, and gone again: `harness bench up`.

use std::fmt;
use std::time::{Duration, Instant};

use crate::backend::{Backend, BackendError};
use crate::net::link::LinkConfig;
use crate::net::nat::NatConfig;
use crate::plan::builder::PlanBuilder;
use crate::plan::{NetworkIndex, Plan};
use crate::progress::Progress;
use crate::results::timing::{Stopwatch, TimedPart};

/// Networks beside the internet, each with so many nodes.
#[derive(Clone, Copy, Debug)]
pub struct BenchSize {
    /// Home networks, behind NATs of three kinds in turn.
    pub lans: usize,
    /// Number of nodes in each LAN.
    pub nodes: usize,
}

/// How long each part took.
#[derive(Clone, Debug)]
pub struct UpBench {
    backend: &'static str,
    nodes: usize,
    routers: usize,
    /// What the backend said it was doing.
    activities: Vec<TimedPart>,
    up_s: f64,
    down_s: f64,
    /// Seconds that the engine takes to start as many containers that do nothing, where there is an engine.
    bare_s: Option<f64>,
}

impl UpBench {
    /// Seconds from the beginning until every node answered, the programs found and the image there.
    pub fn up_s(&self) -> f64 {
        self.up_s
    }

    /// How many containers or processes there were.
    pub fn hosts(&self) -> usize {
        self.nodes + self.routers
    }

    /// Takes note of how long the engine took for as many containers that do nothing.
    pub fn beside_bare(&mut self, took: Duration) {
        self.bare_s = Some(took.as_secs_f64());
    }
}

/// An ambassador on the internet, and home networks.
pub fn plan(size: BenchSize) -> Plan {
    let mut builder = PlanBuilder::new(1);
    let internet = &mut builder.plan_mut().networks[0];
    internet.subnet = "203.0.113.0/24".parse().expect("a constant");
    internet.gateway = internet.subnet.hosts().next().expect("a /24 has hosts");
    builder.ambassador();
    let kinds = [NatConfig::full_cone(), NatConfig::port_restricted(), NatConfig::symmetric()];
    for nat in kinds.into_iter().cycle().take(size.lans) {
        let lan: NetworkIndex = builder.network(PlanBuilder::INTERNET, Some(nat), LinkConfig::default());
        for _ in 0..size.nodes {
            builder.node(lan);
        }
    }
    builder.into_plan()
}

/// Brings the plan up on a backend, and takes it down.
///
/// # Errors
/// When the backend fails; what was made is removed.
pub async fn measure(plan: &Plan, backend: &mut impl Backend) -> Result<UpBench, BackendError> {
    let mut activities = Activities(Stopwatch::default());
    let began = Instant::now();
    let up = backend.up(&mut activities).await;
    let up_s = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let down = backend.down(&mut activities).await;
    let down_s = began.elapsed().as_secs_f64();
    up?;
    down?;
    let (nodes, routers) = (plan.nodes.len(), plan.networks.len());
    Ok(UpBench {
        backend: backend.name(),
        nodes,
        routers,
        activities: activities.0.finish(),
        up_s,
        down_s,
        bare_s: None,
    })
}

struct Activities(Stopwatch);

impl Progress for Activities {
    fn begin(&mut self, what: &str, _: u64) {
        self.0.begin(what);
    }

    fn advance(&mut self, _: u64) {}

    fn note(&mut self, _: &str) {}
}

impl fmt::Display for UpBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UpBench { backend, nodes, routers, up_s, down_s, .. } = self;
        writeln!(f, "{nodes} nodes and {routers} routers on {backend}")?;
        for TimedPart { name, took_s } in &self.activities {
            writeln!(f, "  {took_s:>7.3} s {name}")?;
        }
        write!(f, "  up, every node answering, in {up_s:.3} s; gone in {down_s:.3} s")?;
        let Some(bare_s) = self.bare_s else { return Ok(()) };
        let (hosts, ratio) = (self.hosts(), up_s / bare_s);
        write!(f, "\n  {hosts} bare containers of the same engine take {bare_s:.3} s: that is {ratio:.2} times as long")
    }
}
