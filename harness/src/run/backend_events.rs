//! What a backend reports, taken into the books and the record.

use std::sync::Arc;

use butter::core::identity::BlockId;

use super::pending::{Pending, What};
use super::{LastLook, Runner};
use crate::backend::Backend;
use crate::events::{Event, EventKind, LinkResult, Retrieved, RunTime};
use crate::op::{BackendEvent, NodeSnapshot, OpResult};
use crate::plan::{ItemIndex, NodeIndex};

impl<B: Backend> Runner<'_, B> {
    pub(super) fn take(&mut self, report: BackendEvent) {
        let at = report.at;
        let Some(op) = report.op else { return self.take_unasked(at, report.result) };
        let Some(pending) = self.ops.remove(op) else {
            return self.trouble(at, None, "the backend reported something twice, or too late");
        };
        let began = pending.submitted;
        match (pending.what, report.result) {
            (What::Start { node }, OpResult::NodeStarted { id }) => {
                self.state.started(node, id);
                self.record(at, EventKind::Started { node, id });
                self.release(node, at);
            }
            (What::Kill { node }, OpResult::NodeStopped) => self.ended(at, node, EventKind::Killed { node }),
            (What::Stop { node }, OpResult::NodeStopped) => self.ended(at, node, EventKind::Stopped { node }),
            (What::Put { item, node }, OpResult::Stored(blocks)) if !blocks.is_empty() => {
                self.stored(began, at, item, node, Ok(blocks));
            }
            (What::Get { item, node }, OpResult::Found(found)) => {
                let right = found.value[..] == self.plan.items[item.0].bytes()[..];
                let (hops, messages) = (found.hops, found.messages);
                let result = if right { Retrieved::Found { hops, messages } } else { Retrieved::WrongBytes };
                self.retrieved(began, at, item, node, result);
            }
            (What::Get { item, node }, OpResult::NotFound { certain: sure }) => {
                let result = if sure { Retrieved::NotFound } else { Retrieved::TimedOut };
                self.retrieved(began, at, item, node, result);
            }
            (What::Rebind { network, addresses, ends }, OpResult::NetworkChanged) => {
                self.rebound(began, at, network, addresses, ends);
            }
            (What::Ask { end }, OpResult::PingAnswered) => self.answered(at, end),
            (What::SetLink { network }, OpResult::NetworkChanged) => self.record(at, EventKind::LinkSet { network }),
            (What::Link { node, peer, within }, OpResult::Connected(said)) => {
                self.linked(at, node, peer, LinkResult::of(said, within));
            }
            (What::Look { generation }, OpResult::Inspected(views)) => self.looked(at, generation, &views),
            (What::Sample, OpResult::Sampled(scrapes)) => {
                let scrapes = Arc::new(scrapes);
                self.watched.take(at, &scrapes);
                self.observer.sampled(at, &scrapes);
                self.last_sample = Some((at, scrapes));
            }
            (what, OpResult::Failed { reason: why, .. }) => self.fail(at, Pending { what, ..pending }, why, false),
            (what, other) => {
                let why = format!("the backend gave an answer that does not fit: {other:?}");
                self.fail(at, Pending { what, ..pending }, why, true);
            }
        }
    }

    fn take_unasked(&mut self, at: RunTime, what: OpResult) {
        match what {
            OpResult::Failed { node, reason: why } => {
                self.trouble(at, node, &why);
                if let Some(node) = node {
                    self.state.ended(node);
                }
            }
            other => self.trouble(at, None, &format!("the backend told something unasked: {other:?}")),
        }
    }

    /// An action did not come about. If `broken`, it is the backend's fault, and told even where a result says as much.
    pub(super) fn fail(&mut self, at: RunTime, pending: Pending, why: String, broken: bool) {
        let began = pending.submitted;
        let about = format!("{}: {why}", pending.what.describe());
        match pending.what {
            What::Start { node } | What::Kill { node } | What::Stop { node } => {
                self.trouble(at, Some(node), &about);
                self.release(node, at);
            }
            What::Put { item, node } => {
                if broken {
                    self.trouble(at, Some(node), &about);
                }
                self.stored(began, at, item, node, Err(why));
            }
            What::Get { item, node } => {
                if broken {
                    self.trouble(at, Some(node), &about);
                }
                self.retrieved(began, at, item, node, Retrieved::Unasked { why });
            }
            What::Link { node, peer, .. } => {
                if broken {
                    self.trouble(at, Some(node), &about);
                }
                self.linked(at, node, peer, LinkResult::Down { why });
            }
            What::Ask { end } => {
                if broken {
                    self.trouble(at, Some(end.node), &about);
                }
                self.unanswered(at, end);
            }
            What::Look { .. } => {
                self.trouble(at, None, &about);
                self.rebind_waiting(at, &[]);
            }
            What::Rebind { .. } | What::SetLink { .. } | What::Sample => self.trouble(at, None, &about),
        }
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

    pub(super) fn retrieved(
        &mut self,
        began: RunTime,
        at: RunTime,
        item: ItemIndex,
        node: NodeIndex,
        result: Retrieved,
    ) {
        self.state.queries.count(&result);
        self.record(at, EventKind::Retrieved { item, node, took_us: at.0.saturating_sub(began.0), result });
    }

    pub(super) fn linked(&mut self, at: RunTime, from: NodeIndex, to: NodeIndex, result: LinkResult) {
        self.pair_queue.end(from, to);
        self.record(at, EventKind::Linked { from, to, result });
    }

    fn looked(&mut self, at: RunTime, generation: u64, views: &[NodeSnapshot]) {
        for view in views {
            if self.state.identify(view.node, view.id) {
                self.record(at, EventKind::Started { node: view.node, id: view.id });
            }
        }
        let looked = self.state.look(views);
        if let EventKind::Looked { components, kept, acknowledged, .. } = looked {
            self.last_look = Some(LastLook { generation, components });
            self.status.kept = Some((kept, acknowledged));
        }
        self.record(at, looked);
        self.rebind_waiting(at, views);
    }

    pub(super) fn trouble(&mut self, at: RunTime, node: Option<NodeIndex>, what: &str) {
        self.record(at, EventKind::Trouble { node, what: what.to_owned() });
    }

    /// Writes an event down. Reports that overtook each other are put at the later one's time: the record never runs backwards.
    pub(super) fn record(&mut self, at: RunTime, kind: EventKind) {
        let at = self.events.last().map_or(at, |last| last.at.max(at));
        let event = Event { at, kind };
        self.observer.event(&event);
        self.events.push(event);
    }
}
