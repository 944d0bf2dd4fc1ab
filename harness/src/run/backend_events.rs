//! Events of the backend, taken into the state and the record of the run.

use std::sync::Arc;

use butter::api::AskedPeerBody;
use butter::core::identity::BlockId;

use super::pending::PendingOp;
use super::rebind_recovery::LinkEnd;
use super::{Inspection, Runner, absents};
use crate::backend::Backend;
use crate::events::{AbsentResult, AskedNode, Event, EventKind, LinkResult, Retrieved, RunTime};
use crate::op::{BackendEvent, Lifecycle, NodeSnapshot, Op, OpResult};
use crate::plan::{ItemIndex, NodeIndex};
use crate::series::Scrape;

impl<B: Backend> Runner<'_, B> {
    pub(super) fn take(&mut self, event: BackendEvent) {
        let at = event.at;
        let Some(id) = event.op else { return self.take_unasked(at, event.result) };
        let Some(pending) = self.pending.remove(id) else {
            return self.incident(at, None, "the backend completed an operation twice, or too late");
        };
        let began = pending.submitted;
        match (&pending.op, event.result) {
            (op, OpResult::NodeStarted { id }) if op.lifecycle() == Some(Lifecycle::Begins) => {
                let Some(node) = op.node() else { return };
                self.state.started(node, id);
                self.record(at, EventKind::Started { node, id });
                self.release(node, at);
            }
            (&Op::Kill { node }, OpResult::NodeStopped) => self.ended(at, node, EventKind::Killed { node }),
            (&Op::Stop { node }, OpResult::NodeStopped) => self.ended(at, node, EventKind::Stopped { node }),
            (op, OpResult::NodeStopped) if op.lifecycle() == Some(Lifecycle::Ends) => {
                let (Some(node), op) = (op.node(), op.name()) else { return };
                self.ended(at, node, EventKind::Suspended { node, op });
            }
            (&Op::Put { node, item }, OpResult::Stored(blocks)) if !blocks.is_empty() => {
                self.stored(began, at, item, node, Ok(blocks));
            }
            (&Op::Get { node, item, .. }, OpResult::Found(found)) => {
                let right = found.value[..] == self.plan.items[item.0].bytes()[..];
                let (hops, messages) = (found.hops, found.messages);
                let result = if right { Retrieved::Found { hops, messages } } else { Retrieved::WrongBytes };
                self.retrieved(began, at, item, node, result);
            }
            (&Op::Get { node, item, .. }, OpResult::NotFound { asked, .. }) => {
                self.not_found(began, at, (item, node), Retrieved::NotFound, &asked);
            }
            (&Op::Get { node, item, .. }, OpResult::Incomplete { search, asked }) => {
                self.not_found(began, at, (item, node), Retrieved::Incomplete(search), &asked);
            }
            (&Op::Get { node, item, .. }, OpResult::Unanswered) => {
                self.retrieved(began, at, item, node, Retrieved::TimedOut);
            }
            (&Op::GetAbsent { node, .. }, result) if absents::result_of(&result).is_some() => {
                absents::result_of(&result).into_iter().for_each(|result| self.sought_absent(began, at, node, result));
            }
            (Op::Search { node, query, limit }, OpResult::Searched(found)) => {
                self.searched(began, at, (*node, query, *limit), Ok(Some(found)));
            }
            (Op::Search { node, query, limit }, OpResult::Unanswered) => {
                self.searched(began, at, (*node, query, *limit), Ok(None));
            }
            (Op::Rebind { network, addresses }, OpResult::NetworkChanged) => {
                self.rebound(id, began, at, *network, addresses.clone());
            }
            (&Op::Ping { node, peer, .. }, OpResult::PingAnswered) => self.answered(at, LinkEnd { node, peer }),
            (&Op::SetLink { network, .. }, OpResult::NetworkChanged) => self.record(at, EventKind::LinkSet { network }),
            (&Op::Move { node, network, address, .. }, OpResult::NetworkChanged) => {
                self.record(at, EventKind::Moved { node, network, address });
            }
            (Op::Partition { name, sides, .. }, OpResult::NetworkChanged) => {
                self.record(at, EventKind::Partitioned { name: name.clone(), sides: sides.clone() });
            }
            (Op::Heal { names }, OpResult::NetworkChanged) => {
                self.record(at, EventKind::Healed { names: names.clone() })
            }
            (op, OpResult::StoreChanged) if op.node().is_some() => {
                let (Some(node), op) = (op.node(), op.name()) else { return };
                self.record(at, EventKind::StoreChanged { node, op });
            }
            (op, OpResult::NetworkChanged) if op.node().is_none() => {
                self.record(at, EventKind::NetworkChanged { op: op.name() });
            }
            (&Op::Connect { node, peer, deadline }, OpResult::Connected(link)) => {
                self.linked(at, node, peer, LinkResult::of(link, deadline));
            }
            (Op::Inspect, OpResult::Inspected(snapshots)) => self.inspected(at, &snapshots),
            (Op::Sample, OpResult::Sampled(scrapes)) => self.sampled(at, scrapes),
            (_, OpResult::Failed { reason, .. }) => self.fail(at, &pending, reason, false),
            (_, other) => {
                let reason = format!("the backend gave a result that does not belong to it: {other:?}");
                self.fail(at, &pending, reason, true);
            }
        }
    }

    fn take_unasked(&mut self, at: RunTime, result: OpResult) {
        match result {
            OpResult::NodeDied { node, reason } => {
                self.state.ended(node);
                self.record(at, EventKind::NodeDied { node, message: reason });
            }
            OpResult::RouterDied { network, reason } => {
                self.record(at, EventKind::RouterDied { network, message: reason });
            }
            OpResult::Failed { node, reason } => self.incident(at, node, &reason),
            other => self.incident(at, None, &format!("the backend reported a result of no operation: {other:?}")),
        }
    }

    /// An operation failed. If the backend is at fault, the record has an incident even where a result says as much.
    pub(super) fn fail(&mut self, at: RunTime, pending: &PendingOp, reason: String, broken: bool) {
        let began = pending.submitted;
        let about = format!("{} failed: {reason}", pending.op.name());
        let has_result = matches!(
            pending.op,
            Op::Put { .. }
                | Op::Get { .. }
                | Op::GetAbsent { .. }
                | Op::Search { .. }
                | Op::Connect { .. }
                | Op::Ping { .. }
        );
        if broken || !has_result {
            self.incident(at, pending.op.node(), &about);
        }
        match &pending.op {
            &Op::Put { node, item } => self.stored(began, at, item, node, Err(reason)),
            &Op::Get { node, item, .. } => self.retrieved(began, at, item, node, Retrieved::Unasked { why: reason }),
            &Op::GetAbsent { node, .. } => self.sought_absent(began, at, node, AbsentResult::Unasked { why: reason }),
            Op::Search { node, query, limit } => self.searched(began, at, (*node, query, *limit), Err(reason)),
            &Op::Connect { node, peer, .. } => self.linked(at, node, peer, LinkResult::Down { why: reason }),
            &Op::Ping { node, peer, .. } => self.unanswered(at, LinkEnd { node, peer }),
            Op::Inspect => {
                self.record(at, EventKind::LookFailed);
                self.rebind_waiting(at, &[]);
            }
            Op::Rebind { .. } => self.rebind_recovery.forget(pending.id),
            op => {
                op.lifecycle_of().into_iter().for_each(|node| self.release(node, at));
            }
        }
    }

    fn sampled(&mut self, at: RunTime, scrapes: Vec<Scrape>) {
        let scrapes = Arc::new(scrapes);
        self.metric_history.take(at, &scrapes);
        self.observer.sampled(at, &scrapes);
        self.last_sample = Some((at, scrapes));
        self.seen += 1;
    }

    fn ended(&mut self, at: RunTime, node: NodeIndex, event: EventKind) {
        self.state.ended(node);
        self.record(at, event);
        self.release(node, at);
    }

    pub(super) fn stored(
        &mut self,
        began: RunTime,
        at: RunTime,
        item: ItemIndex,
        node: NodeIndex,
        result: Result<Vec<BlockId>, String>,
    ) {
        if let Ok(blocks) = &result {
            self.state.acknowledge(item, blocks.clone());
        }
        self.record(at, EventKind::Stored { item, node, took_us: at.0.saturating_sub(began.0), result });
    }

    /// A get has ended otherwise than by an answer of peers.
    pub(super) fn retrieved(
        &mut self,
        began: RunTime,
        at: RunTime,
        item: ItemIndex,
        node: NodeIndex,
        result: Retrieved,
    ) {
        self.not_found(began, at, (item, node), result, &[]);
    }

    /// A get has ended, after it has asked these peers.
    fn not_found(
        &mut self,
        began: RunTime,
        at: RunTime,
        (item, node): (ItemIndex, NodeIndex),
        result: Retrieved,
        asked: &[AskedPeerBody],
    ) {
        let query = self.queries_ended;
        self.queries_ended += 1;
        self.state.queries.count(&result);
        let took_us = at.0.saturating_sub(began.0);
        let asked_nodes = asked.iter().map(|asked| AskedNode {
            node: self.state.node_of(asked.peer),
            after_us: asked.after_us,
            took_us: asked.took_us,
            path: asked.path,
            answer: asked.answer,
        });
        let asked_nodes = asked_nodes.collect();
        self.record(at, EventKind::Retrieved { query, item, node, took_us, result, asked_nodes });
    }

    pub(super) fn linked(&mut self, at: RunTime, from: NodeIndex, to: NodeIndex, result: LinkResult) {
        self.pair_queue.end(from, to);
        self.record(at, EventKind::Connected { from, to, result });
    }

    fn inspected(&mut self, at: RunTime, views: &[NodeSnapshot]) {
        let generation = self.inspect_generation;
        for view in views {
            if self.state.identify(view.node, view.id) {
                self.record(at, EventKind::Started { node: view.node, id: view.id });
            }
        }
        self.seen += 1;
        let looked = self.state.look(views);
        if let EventKind::Inspected { components, persistent: kept, acknowledged, .. } = looked {
            self.last_inspection = Some(Inspection { generation, components });
            self.status.persistent = Some((kept, acknowledged));
        }
        self.record(at, looked);
        // What was tried comes before what came of it.
        let failed = self.state.new_failed_repairs(views);
        for event in failed.into_iter().chain(self.state.holder_changes(views)) {
            self.record(at, event);
        }
        self.rebind_waiting(at, views);
    }

    pub(super) fn incident(&mut self, at: RunTime, node: Option<NodeIndex>, what: &str) {
        self.record(at, EventKind::Incident { node, message: what.to_owned() });
    }

    /// Writes an event down. Reports that overtook each other are put at the later one's time: the record never runs backwards.
    pub(super) fn record(&mut self, at: RunTime, kind: EventKind) {
        let at = self.events.last().map_or(at, |last| last.at.max(at));
        let event = Event { at, kind };
        self.observer.event(&event);
        self.events.push(event);
    }
}
