//! Which flooded queries each neighbour has answered, for strategies that choose neighbours by it.

use std::collections::{BTreeMap, VecDeque};

use crate::core::identity::{BlockId, NodeId};

/// Most neighbours of which answers are remembered.
const NEIGHBOURS_MAX: usize = 64;
/// Answers of one neighbour that are remembered, as in the paper on ISM.
const ANSWERS_MAX: usize = 32;

/// The last answers of neighbours.
#[derive(Debug, Default)]
pub(super) struct AnswerHistory {
    answered: BTreeMap<NodeId, VecDeque<BlockId>>,
}

impl AnswerHistory {
    /// The block has come from this neighbour.
    pub(super) fn answered(&mut self, neighbour: NodeId, id: BlockId) {
        if self.answered.len() >= NEIGHBOURS_MAX && !self.answered.contains_key(&neighbour) {
            return;
        }
        let answers = self.answered.entry(neighbour).or_default();
        answers.push_back(id);
        if answers.len() > ANSWERS_MAX {
            answers.pop_front();
        }
    }

    /// Number of results that a neighbour has brought, of the last ones.
    pub(super) fn results(&self, neighbour: NodeId) -> usize {
        self.answered.get(&neighbour).map_or(0, VecDeque::len)
    }

    /// How like its queries were to one for `id`. Two ids are alike if they are the same; a hash says no more.
    pub(super) fn likeness(&self, neighbour: NodeId, id: BlockId) -> usize {
        self.answered.get(&neighbour).map_or(0, |answers| answers.iter().filter(|&&answered| answered == id).count())
    }

    /// A neighbour cannot be reached.
    pub(super) fn lost(&mut self, neighbour: NodeId) {
        self.answered.remove(&neighbour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_the_last_answers_of_each_neighbour() {
        let mut history = AnswerHistory::default();
        let (peer, other) = (NodeId([1; 32]), NodeId([2; 32]));
        (0..40).for_each(|number| history.answered(peer, BlockId([number % 4; 32])));
        assert_eq!((history.results(peer), history.results(other)), (ANSWERS_MAX, 0));
        assert_eq!((history.likeness(peer, BlockId([3; 32])), history.likeness(peer, BlockId([9; 32]))), (8, 0));
        history.lost(peer);
        assert_eq!(history.results(peer), 0);
    }
}
