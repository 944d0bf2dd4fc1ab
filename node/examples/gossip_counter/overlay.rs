//! A counter that every node can increment and that all nodes agree on, without a server.
//!
//! It is a grow-only counter (G-counter, a CRDT: Shapiro et al., SSS 2011). Each node counts its own increments, and the value is
//! the sum over all nodes. Nodes gossip what they know to their neighbours; merging takes the greater count of each node. So all
//! nodes converge, in whatever order messages arrive.

use std::collections::BTreeMap;
use std::time::Duration;

use bincode::{Decode, Encode};
use butter::core::identity::NodeId;
use butter::core::stats::{Instrument, InstrumentKind, InstrumentValue, InstrumentVisitor};
use butter::core::time::{Deadline, Time};
use butter::overlay::{Overlay, OverlayContext, OverlayInput};

/// Pause between two rounds of gossip.
const GOSSIP_EVERY: Duration = Duration::from_millis(500);
/// Most nodes that a counter knows: their counts must fit a frame.
const NODES_MAX: usize = 1_024;

/// The state of one node.
#[derive(Debug, Default)]
pub(crate) struct GossipCounter {
    counts: BTreeMap<NodeId, u64>,
    next_gossip: Time,
}

/// The counts that the sender knows, by node.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct Counts(Vec<(NodeId, u64)>);

/// What an application can do. Both commands return the value of the counter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CounterCommand {
    Increment(u64),
    Read,
}

impl GossipCounter {
    pub(crate) fn value(&self) -> u64 {
        self.counts.values().sum()
    }

    fn merge(&mut self, Counts(counts): Counts) {
        for (node, count) in counts {
            if self.counts.len() < NODES_MAX || self.counts.contains_key(&node) {
                let known = self.counts.entry(node).or_default();
                *known = count.max(*known);
            }
        }
    }
}

impl Overlay for GossipCounter {
    type Message = Counts;
    type Command = CounterCommand;
    type Outcome = u64;

    fn handle(&mut self, input: OverlayInput<Counts, CounterCommand>, context: &mut OverlayContext<'_, Counts, u64>) {
        match input {
            OverlayInput::Message { message, .. } => self.merge(message),
            OverlayInput::Command { id, command } => {
                if let CounterCommand::Increment(by) = command {
                    *self.counts.entry(context.me.id).or_default() += by;
                }
                context.done(id, self.value());
            }
            OverlayInput::Wake if self.next_gossip <= context.now => {
                self.next_gossip = context.now + GOSSIP_EVERY;
                let counts = Counts(self.counts.iter().map(|(&node, &count)| (node, count)).collect());
                let neighbours: Vec<NodeId> = context.neighbours().collect();
                neighbours.into_iter().for_each(|peer| context.send(peer, counts.clone()));
            }
            OverlayInput::Leave => context.left(),
            _ => {}
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline { at: self.next_gossip, why: "a round of gossip" }
    }

    fn metrics(&self, visit: InstrumentVisitor<'_>) {
        let help = "Value of the counter as this node knows it";
        let value = Instrument { name: "gossip_counter_value", help, kind: InstrumentKind::Gauge };
        visit(value, &[], InstrumentValue::Number(self.value() as f64));
    }
}
