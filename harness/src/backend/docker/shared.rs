//! What the tasks of a run share.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use bollard::Docker;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::containers::Wiring;
use super::lives::Node;
use super::tunnel::Client;
use crate::backend::{OpId, Report, Told};
use crate::events::RunTime;
use crate::plan::{NetworkIndex, NodeIndex, Plan};

/// Containers that are started at once: more at a time costs the engine more in all, and it has been seen to leak endpoints.
pub(crate) const STARTS_AT_ONCE: usize = 4;
/// Questions for views and metrics under way at once.
pub(crate) const GLANCES_AT_ONCE: usize = 32;
/// Puts and gets under way at once.
pub(crate) const TRANSFERS_AT_ONCE: usize = 256;
/// Reports that wait to be taken.
pub(crate) const REPORTS_MAX: usize = 1_024;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) docker: Docker,
    /// Moved to subnets that are free here.
    pub(crate) plan: Plan,
    pub(crate) wiring: Wiring,
    /// One for each node of the plan.
    pub(crate) nodes: Vec<Node>,
    /// One for each network's router.
    pub(crate) routers: Vec<Client>,
    /// Link-layer addresses of the routers' inside ends; empty where neighbours cannot be told.
    pub(crate) gateways: BTreeMap<NetworkIndex, [u8; 6]>,
    /// How long each node takes at most for a put or get, by its own settings.
    pub(crate) deadlines: Vec<Duration>,
    pub(crate) starts: Semaphore,
    pub(crate) glances: Semaphore,
    pub(crate) transfers: Semaphore,
    /// When the run's clock started.
    pub(crate) clock: OnceLock<Instant>,
    pub(crate) reports: mpsc::Sender<Report>,
}

impl Shared {
    pub(crate) fn node(&self, node: NodeIndex) -> &Node {
        &self.nodes[node.0]
    }

    /// The run's clock; zero before it starts.
    pub(crate) fn now(&self) -> RunTime {
        self.clock.get().map_or(RunTime(0), |start| RunTime(start.elapsed().as_micros() as u64))
    }

    /// Reports. Waits while too much is untaken; what nobody takes any more is dropped with the run.
    pub(crate) async fn tell(&self, op: Option<OpId>, what: Told) {
        let _ = self.reports.send(Report { at: self.now(), op, what }).await;
    }
}
