//! A backend on which runs are tested: deterministic, and at fault on request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use butter::api::{ConnectBody, PathBody};
use butter::core::identity::NodeId;
use bytes::Bytes;

use super::{MS, S};
use crate::backend::{Backend, BackendError};
use crate::events::RunTime;
use crate::op::{BackendEvent, FoundValue, LinkSnapshot, NodeSnapshot, Op, OpId, OpResult, OpTarget};
use crate::plan::{Item, NodeIndex, Plan};
use crate::progress::Progress;
use crate::series::{Scrape, Series, Source};

/// A backend with a virtual clock, on which a value is kept by its item's first three live nodes, and which can be made to
/// misbehave.
pub(super) struct FakeBackend {
    now: RunTime,
    /// In order of time, then of submission.
    due: BTreeMap<(RunTime, u64), BackendEvent>,
    sequence: u64,
    live: BTreeSet<NodeIndex>,
    items: Vec<Item>,
    lives: BTreeMap<NodeIndex, u8>,
    holders: BTreeMap<BlockIdKey, (Bytes, BTreeSet<NodeIndex>)>,
    faults: BackendFaults,
}

type BlockIdKey = butter::core::identity::BlockId;

/// What the backend does wrong.
#[derive(Default)]
pub(super) struct BackendFaults {
    pub(super) never_report_puts: bool,
    pub(super) never_report_looks: bool,
    pub(super) fail_looks: bool,
    /// Looks fail from then on.
    pub(super) blind_from: Option<RunTime>,
    pub(super) wrong_bytes: bool,
    /// No node knows another before then.
    pub(super) joined_at: RunTime,
    pub(super) start_takes: Duration,
    pub(super) clock_stands_still: bool,
    /// No node answers another before then, and the last of the initial nodes never does.
    pub(super) silent_until: RunTime,
    pub(super) crash: Option<(RunTime, NodeIndex)>,
}

impl FakeBackend {
    pub(super) fn new(plan: &Plan, faults: BackendFaults) -> Self {
        let live = plan.nodes.iter().enumerate().filter(|(_, n)| n.from_start).map(|(i, _)| NodeIndex(i)).collect();
        let mut fake = FakeBackend {
            now: RunTime(0),
            due: BTreeMap::new(),
            sequence: 0,
            live,
            items: plan.items.clone(),
            lives: BTreeMap::new(),
            holders: BTreeMap::new(),
            faults,
        };
        if let Some((at, node)) = fake.faults.crash {
            fake.live.remove(&node);
            fake.tell(at, None, OpResult::NodeDied { node, reason: "ended by itself".to_owned() });
        }
        fake
    }

    fn tell(&mut self, at: RunTime, op: Option<OpId>, result: OpResult) {
        self.sequence += 1;
        self.due.insert((at, self.sequence), BackendEvent { at, op, result });
    }

    fn id(&self, node: NodeIndex) -> NodeId {
        let mut id = [self.lives.get(&node).copied().unwrap_or(0); 32];
        id[0] = node.0 as u8;
        NodeId(id)
    }

    fn views(&self) -> Vec<NodeSnapshot> {
        let everyone: Vec<NodeId> = self.live.iter().map(|&node| self.id(node)).collect();
        let knows = if self.now < self.faults.joined_at { Vec::new() } else { everyone };
        let view = |&node: &NodeIndex| NodeSnapshot {
            node,
            id: self.id(node),
            neighbours: knows.len(),
            known_hosts: knows.clone(),
            links: self.links(node),
            blocks: self.holders.iter().filter(|(_, (_, by))| by.contains(&node)).map(|(&id, _)| id).collect(),
            failed_repairs: Vec::new(),
        };
        self.live.iter().map(view).collect()
    }

    /// Everybody is linked to everybody: to two through a relay, to others on the LAN.
    fn links(&self, node: NodeIndex) -> Vec<LinkSnapshot> {
        let others = self.live.iter().filter(|&&other| other != node);
        let remote = |other: &NodeIndex| (other.0 < 3).then(|| ([10, 0, 0, other.0 as u8], 1).into());
        others.map(|other| LinkSnapshot { peer: self.id(*other), remote: remote(other) }).collect()
    }

    fn end(&mut self, node: NodeIndex) {
        self.live.remove(&node);
        for (_, by) in self.holders.values_mut() {
            by.remove(&node);
        }
    }
}

impl Backend for FakeBackend {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn up(&mut self, _: &mut dyn Progress) -> Result<(), BackendError> {
        Ok(())
    }

    fn now(&self) -> RunTime {
        self.now
    }

    fn submit(&mut self, op: OpId, action: Op, target: OpTarget) {
        let soon = self.now.plus(10 * MS);
        match (action, target) {
            (Op::Start { node, .. }, _) => {
                self.live.insert(node);
                *self.lives.entry(node).or_default() += 1;
                let (at, id) = (self.now.plus(self.faults.start_takes), self.id(node));
                self.tell(at, Some(op), OpResult::NodeStarted { id });
            }
            (Op::Kill { node } | Op::Stop { node }, _) => {
                self.end(node);
                self.tell(soon, Some(op), OpResult::NodeStopped);
            }
            (Op::Put { .. }, _) if self.faults.never_report_puts => {}
            (Op::Put { item, .. }, _) => {
                let value = Bytes::from(self.items[item.0].bytes());
                let id = butter::core::identity::BlockId([value.len() as u8; 32]);
                let by = self.live.iter().copied().take(3).collect();
                self.holders.insert(id, (value, by));
                self.tell(soon, Some(op), OpResult::Stored(vec![id]));
            }
            (Op::Get { .. }, OpTarget::Item(id)) => {
                let kept = self.holders.get(&id).filter(|(_, by)| !by.is_empty());
                let what = match kept {
                    None => OpResult::NotFound { asked: Vec::new(), messages: 3 },
                    Some(_) if self.faults.wrong_bytes => OpResult::Found(found(Bytes::from_static(b"?"))),
                    Some((value, _)) => OpResult::Found(found(value.clone())),
                };
                self.tell(soon, Some(op), what);
            }
            (
                Op::Rebind { .. }
                | Op::Move { .. }
                | Op::SetFirewall { .. }
                | Op::SetLink { .. }
                | Op::Partition { .. }
                | Op::Heal { .. },
                _,
            ) => self.tell(soon, Some(op), OpResult::NetworkChanged),
            // First through a relay; a direct link takes the longer the higher the node.
            (Op::Connect { node, .. }, OpTarget::Peer(_)) => {
                let (took_us, direct_us) = (Some(20_000), Some(100_000 * node.0 as u64));
                let said = ConnectBody { path: Some(PathBody::Punched), took_us, direct_us, tries: 1 };
                self.tell(self.now.plus(S), Some(op), OpResult::Connected(said));
            }
            (Op::Ping { node, deadline: within, .. }, OpTarget::Peer(peer))
                if self.now < self.faults.silent_until || peer == self.id(NodeIndex(4)) =>
            {
                let (node, why) = (Some(node), "no answer in time".to_owned());
                self.tell(self.now.plus(within), Some(op), OpResult::Failed { node, reason: why });
            }
            (Op::Ping { .. }, OpTarget::Peer(_)) => self.tell(soon, Some(op), OpResult::PingAnswered),
            (Op::Inspect, _) if self.faults.never_report_looks => {}
            (Op::Inspect, _)
                if self.faults.fail_looks || self.faults.blind_from.is_some_and(|from| from <= self.now) =>
            {
                self.tell(self.now, Some(op), OpResult::Failed { node: None, reason: "engine gone".to_owned() });
            }
            (Op::Inspect, _) => self.tell(self.now, Some(op), OpResult::Inspected(self.views())),
            (Op::Sample, _) => {
                let series = |node: NodeIndex| Series { name: "m".into(), labels: Vec::new(), value: node.0 as f64 };
                let scrape =
                    |&node| Scrape { source: Source::Node(node), families: Arc::default(), series: vec![series(node)] };
                self.tell(self.now, Some(op), OpResult::Sampled(self.live.iter().map(scrape).collect()));
            }
            (op, target) => panic!("{op:?} for {target:?}"),
        }
    }

    async fn next(&mut self, until: RunTime) -> Option<BackendEvent> {
        match self.due.first_key_value() {
            Some((&(at, _), _)) if at <= until => {
                self.now = self.now.max(at);
                self.due.pop_first().map(|(_, report)| report)
            }
            _ => {
                if !self.faults.clock_stands_still {
                    self.now = self.now.max(until);
                }
                None
            }
        }
    }

    async fn down(&mut self, _: &mut dyn Progress) -> Result<(), BackendError> {
        Ok(())
    }
}

fn found(value: Bytes) -> FoundValue {
    FoundValue { value, hops: 2, messages: 5 }
}
