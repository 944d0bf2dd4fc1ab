//! Items of a run: how many were stored, and how many of those the network still holds.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::events::{BlockSpread, Event, EventKind};
use crate::op::Op;
use crate::plan::{ItemIndex, Plan};
use crate::statistics::ratio;

/// Items as the events so far show them.
#[derive(Clone, Debug, Default)]
pub struct ItemTally {
    /// Items that the steps begun so far store.
    pub planned: usize,
    /// Items whose store was acknowledged.
    pub acknowledged: BTreeSet<ItemIndex>,
    /// Items whose store failed.
    pub refused: BTreeSet<ItemIndex>,
    /// Items of which no live node held every block at the last inspection.
    pub lost: BTreeSet<ItemIndex>,
    /// The last snapshot of all live nodes; `None` if the last look at them failed.
    pub snapshot: Option<ItemSnapshot>,
    /// Whether the last look at the nodes failed.
    pub look_failed: bool,
}

/// What a snapshot of all live nodes shows of the acknowledged items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemSnapshot {
    /// Items of which every block is held by a live node.
    pub persistent: usize,
    /// Items acknowledged by then.
    pub acknowledged: usize,
    /// Live copies of all blocks of acknowledged items.
    pub copies: usize,
    /// Blocks of acknowledged items.
    pub blocks: usize,
    /// Most live copies of one block.
    pub copies_max: usize,
    /// How blocks are spread over the live nodes.
    pub spread: BlockSpread,
}

impl ItemTally {
    /// Adds an event.
    pub(super) fn add(&mut self, plan: &Plan, event: &Event) {
        match &event.kind {
            EventKind::StepBegan { step, .. } => {
                let is_put = |op: &Op| matches!(op, Op::Put { .. });
                self.planned += plan.steps[*step].ops.iter().filter(|timed| is_put(&timed.op)).count();
            }
            EventKind::Stored { item, result: Ok(_), .. } => {
                self.acknowledged.insert(*item);
            }
            EventKind::Stored { item, result: Err(_), .. } => {
                self.refused.insert(*item);
            }
            EventKind::HoldersChanged { item, missing_blocks: 0, .. } => {
                self.lost.remove(item);
            }
            EventKind::HoldersChanged { item, .. } => {
                self.lost.insert(*item);
            }
            &EventKind::Inspected { persistent: kept, acknowledged, copies, blocks, copies_max, spread, .. } => {
                let persistent = kept;
                self.snapshot = Some(ItemSnapshot { persistent, acknowledged, copies, blocks, copies_max, spread });
                self.look_failed = false;
            }
            EventKind::LookFailed => {
                self.snapshot = None;
                self.look_failed = true;
            }
            _ => {}
        }
    }

    /// The last snapshot, unless all acknowledgements came after it.
    pub fn telling_snapshot(&self) -> Option<&ItemSnapshot> {
        self.snapshot.as_ref().filter(|snapshot| snapshot.acknowledged > 0 || self.acknowledged.is_empty())
    }
}

/// The section `items` of `result.json`.
#[derive(Clone, Debug, Serialize)]
pub struct ItemResults {
    /// Items that the steps begun were to store.
    pub planned: usize,
    /// Items whose store was acknowledged.
    pub acknowledged: usize,
    /// Acknowledged items of which a live node held every block at the last snapshot; null if there was none since the first
    /// acknowledgement, or the last look failed.
    pub persistent: Option<usize>,
    /// `persistent / acknowledged`, both as of the last snapshot.
    pub persistent_share: Option<f64>,
    /// Mean number of live copies per block of the acknowledged items.
    pub copies_mean: Option<f64>,
    /// Most live copies of one block.
    pub copies_max: usize,
    /// How blocks are spread over the live nodes at the last snapshot.
    pub spread: Option<BlockSpread>,
}

impl From<&ItemTally> for ItemResults {
    fn from(tally: &ItemTally) -> Self {
        let snapshot = tally.telling_snapshot();
        ItemResults {
            planned: tally.planned,
            acknowledged: tally.acknowledged.len(),
            persistent: snapshot.map(|snapshot| snapshot.persistent),
            persistent_share: snapshot.and_then(|s| ratio(s.persistent as u64, s.acknowledged as u64)),
            copies_mean: snapshot.and_then(|s| ratio(s.copies as u64, s.blocks as u64)),
            copies_max: snapshot.map_or(0, |snapshot| snapshot.copies_max),
            spread: snapshot.map(|snapshot| snapshot.spread),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture::{self, looked, stored};

    #[test]
    fn a_snapshot_from_before_the_first_acknowledgement_says_nothing_of_persistence() {
        let results = |events: &[Event]| {
            let mut tally = ItemTally::default();
            events.iter().for_each(|event| tally.add(&fixture::plan(), event));
            ItemResults::from(&tally)
        };
        let early = results(&[looked(0, 0), stored(0, true)]);
        assert_eq!((early.acknowledged, early.persistent, early.persistent_share), (1, None, None));
        let lost = results(&[stored(0, true), looked(0, 1)]);
        assert_eq!((lost.persistent, lost.persistent_share), (Some(0), Some(0.0)));
        assert_eq!(results(&[looked(0, 0)]).persistent, Some(0));
    }

    #[test]
    fn a_look_that_failed_takes_back_what_an_earlier_one_saw() {
        let mut tally = ItemTally::default();
        for event in [stored(0, true), looked(1, 1), fixture::event(EventKind::LookFailed)] {
            tally.add(&fixture::plan(), &event);
        }
        assert!(tally.look_failed && tally.telling_snapshot().is_none(), "{tally:?}");
        tally.add(&fixture::plan(), &looked(1, 1));
        assert!(!tally.look_failed && tally.telling_snapshot().is_some(), "{tally:?}");
    }
}
