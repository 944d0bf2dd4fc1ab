//! Plays the sessions of a file on the nodes of a step.

use std::collections::BTreeMap;
use std::time::Duration;

use butter::core::random::Random;
use rand::RngExt;

use super::super::state::PlanState;
use super::super::step::ScheduleError;
use super::Churn;
use super::trace::{ChurnTrace, TracedNode};
use crate::plan::{NodeIndex, TimedOp};

impl Churn {
    /// Each node of the trace is up as long as it says, and no other node changes.
    pub(super) fn play_trace(
        &self,
        trace: &ChurnTrace,
        speedup: u64,
        among: &[NodeIndex],
        state: &mut PlanState<'_>,
        random: &mut Random,
    ) -> Result<Vec<TimedOp>, ScheduleError> {
        let mut ops = Vec::new();
        for (traced, node) in trace.nodes.iter().zip(self.traced_nodes(trace, among, state)?) {
            self.play_node(traced, node, speedup, state, random, &mut ops);
            if ops.len() > state.ops_left() {
                return Err(ScheduleError::TooManyOps);
            }
        }
        // Stable, so what happens to a node stays in order.
        ops.sort_by_key(|timed| timed.after);
        Ok(ops)
    }

    fn play_node(
        &self,
        traced: &TracedNode,
        node: NodeIndex,
        speedup: u64,
        state: &mut PlanState<'_>,
        random: &mut Random,
        ops: &mut Vec<TimedOp>,
    ) {
        let scaled = |time: Duration| match time {
            Duration::MAX => time,
            time => Duration::from_nanos((time.as_nanos() / u128::from(speedup)) as u64),
        };
        let begins_up = traced.sessions.first().is_some_and(|first| first.up.is_zero());
        let mut end = |at: Duration, state: &mut PlanState<'_>, ops: &mut Vec<TimedOp>| {
            let graceful = random.random::<f64>() < self.graceful;
            self.end_session(node, at, graceful, state, ops);
        };
        if state.is_alive(node) && !begins_up {
            end(Duration::ZERO, state, ops);
        }
        for session in &traced.sessions {
            let (up, down) = (scaled(session.up), scaled(session.down));
            if up >= self.duration {
                break;
            }
            if !state.is_alive(node) {
                self.begin_session(node, up, state, ops);
            }
            if down < self.duration {
                end(down, state, ops);
            }
        }
    }

    /// The node of the plan for each node of the trace.
    fn traced_nodes(
        &self,
        trace: &ChurnTrace,
        among: &[NodeIndex],
        state: &PlanState<'_>,
    ) -> Result<Vec<NodeIndex>, ScheduleError> {
        let by_name: BTreeMap<&str, NodeIndex> =
            among.iter().map(|&node| (state.node(node).name.as_str(), node)).collect();
        let file = || trace.file.name.clone();
        if trace.nodes.iter().all(|traced| !by_name.contains_key(traced.name.as_str())) {
            let most = among.len();
            return match trace.nodes.get(most) {
                None => Ok(among[..trace.nodes.len()].to_vec()),
                Some(one) => Err(ScheduleError::TracedTooMany {
                    file: file(),
                    line: one.line,
                    traced: most + 1,
                    nodes: most,
                    names: self.only.text(),
                }),
            };
        }
        let find = |traced: &TracedNode| {
            by_name.get(traced.name.as_str()).copied().ok_or_else(|| ScheduleError::TracedStranger {
                file: file(),
                line: traced.line,
                node: traced.name.clone(),
                names: self.only.text(),
            })
        };
        trace.nodes.iter().map(find).collect()
    }
}
