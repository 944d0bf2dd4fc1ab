//! The simulator, with what must hold at each inspection and at each acknowledgement.

use std::time::Duration;

use butter::config::NodeConfig;
use butter::overlay::data::DataOverlay;

use super::breach::Breach;
use crate::backend::sim::SimBackend;
use crate::backend::{Backend, BackendError};
use crate::events::RunTime;
use crate::op::{BackendEvent, Op, OpId, OpResult, OpTarget};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::sim::engine::SimEngine;
use crate::sim::invariants;

/// Most breaches that are kept of a run: the first.
const BREACHES_MAX: usize = 20;
/// How long after the last end or partition of a node its peers must know of it.
const KNOWN_AFTER: Duration = Duration::from_secs(60);

/// The simulator, watched.
#[derive(Debug)]
pub(super) struct WatchedSim {
    sim: SimBackend,
    config: NodeConfig,
    /// When an operation last took something away from the network.
    disturbed: Option<RunTime>,
    breaches: Vec<Breach>,
}

impl WatchedSim {
    /// # Panics
    /// If the plan has no node.
    pub(super) fn new(plan: &Plan) -> Self {
        let config = plan.node_config(plan.nodes.first().expect("a scenario has nodes"));
        WatchedSim { sim: SimBackend::new(plan), config, disturbed: None, breaches: Vec::new() }
    }

    pub(super) fn engine(&self) -> &SimEngine<DataOverlay> {
        self.sim.engine()
    }

    /// What did not hold so far.
    pub(super) fn breaches(&mut self) -> Vec<Breach> {
        std::mem::take(&mut self.breaches)
    }

    fn add(&mut self, breach: Breach) {
        if self.breaches.len() < BREACHES_MAX {
            self.breaches.push(breach);
        }
    }

    fn inspect(&mut self) {
        let at = self.sim.now();
        for violation in invariants::views(self.sim.engine(), &self.config.core) {
            self.add(Breach::View { at, violation });
        }
    }

    /// A put was acknowledged. Its copies count only if every peer had the time to hear of those that have ended.
    fn acknowledged(&mut self, event: &BackendEvent) {
        let OpResult::Stored(blocks) = &event.result else { return };
        let at = self.sim.now();
        if self.disturbed.is_some_and(|disturbed| at < disturbed.plus(KNOWN_AFTER)) {
            return;
        }
        let copies = invariants::copies(self.sim.engine());
        let fewest = blocks.iter().map(|block| copies.get(block).copied().unwrap_or(0)).min().unwrap_or(0);
        let wanted = self.config.data.replicas;
        if fewest < wanted {
            self.add(Breach::EarlyAcknowledgement { at, copies: fewest, wanted });
        }
    }
}

impl Backend for WatchedSim {
    fn name(&self) -> &'static str {
        self.sim.name()
    }

    async fn up(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        self.sim.up(progress).await
    }

    fn now(&self) -> RunTime {
        self.sim.now()
    }

    fn submit(&mut self, id: OpId, op: Op, target: OpTarget) {
        match &op {
            Op::Inspect => self.inspect(),
            Op::Kill { .. }
            | Op::Stop { .. }
            | Op::Pause { .. }
            | Op::Resume { .. }
            | Op::Partition { .. }
            | Op::Heal { .. }
            | Op::Rebind { .. } => self.disturbed = Some(self.sim.now()),
            _ => {}
        }
        self.sim.submit(id, op, target);
    }

    async fn next(&mut self, until: RunTime) -> Option<BackendEvent> {
        let event = self.sim.next(until).await?;
        self.acknowledged(&event);
        Some(event)
    }

    async fn down(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        self.sim.down(progress).await
    }
}
