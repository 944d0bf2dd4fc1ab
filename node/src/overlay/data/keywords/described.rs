//! The keywords of the blocks that this node stores. A node whose blocks have none has three empty lists here.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{Keywords, print_of_term};
use crate::core::identity::BlockId;

/// Keywords by block, and how many blocks have each of them.
#[derive(Debug, Default)]
pub(in super::super) struct DescribedBlocks {
    by_block: BTreeMap<BlockId, Keywords>,
    /// Number of blocks for each print of a keyword.
    terms: BTreeMap<u32, u32>,
    /// Prints that have come (`true`) and gone since [`DescribedBlocks::take_changes`].
    changes: Vec<(u32, bool)>,
}

impl DescribedBlocks {
    /// The keywords of a block, if it has any.
    pub(in super::super) fn of(&self, id: BlockId) -> Option<&Keywords> {
        self.by_block.get(&id)
    }

    /// Sets the keywords of a block that has none yet, or replaces them by more.
    pub(in super::super) fn set(&mut self, id: BlockId, keywords: Keywords) {
        self.remove(id);
        if keywords.is_empty() {
            return;
        }
        for print in keywords.iter().map(print_of_term) {
            let blocks = self.terms.entry(print).or_default();
            *blocks += 1;
            if *blocks == 1 {
                self.changes.push((print, true));
            }
        }
        self.by_block.insert(id, keywords);
    }

    /// Forgets the keywords of a block.
    pub(in super::super) fn remove(&mut self, id: BlockId) {
        let Some(keywords) = self.by_block.remove(&id) else { return };
        for print in keywords.iter().map(print_of_term) {
            if let Some(blocks) = self.terms.get_mut(&print) {
                *blocks -= 1;
                if *blocks == 0 {
                    self.terms.remove(&print);
                    self.changes.push((print, false));
                }
            }
        }
    }

    /// Whether a block may have the keyword with this print.
    pub(in super::super) fn has_term(&self, print: u32) -> bool {
        self.terms.contains_key(&print)
    }

    /// Blocks with keywords, in order of their ids, after this one.
    pub(in super::super) fn after(&self, id: Option<BlockId>) -> impl Iterator<Item = (BlockId, &Keywords)> {
        let start = id.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_block.range((start, Bound::Unbounded)).map(|(&id, keywords)| (id, keywords))
    }

    /// Prints of keywords that have come (`true`) and gone since the last call, in order.
    pub(in super::super) fn take_changes(&mut self) -> Vec<(u32, bool)> {
        std::mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_comes_with_its_first_block_and_goes_with_its_last() {
        let (mut described, words) = (DescribedBlocks::default(), |list| Keywords::from_list(list).unwrap());
        let [nat, rust] = ["nat", "rust"].map(print_of_term);
        let id = |seed| BlockId([seed; 32]);
        described.set(id(1), words("rust"));
        described.set(id(2), words("nat, rust"));
        assert_eq!(described.take_changes(), [(rust, true), (nat, true)]);
        described.remove(id(1));
        described.remove(id(9));
        assert!(described.take_changes().is_empty() && described.has_term(rust));
        assert_eq!(described.after(Some(id(1))).map(|(id, _)| id).collect::<Vec<_>>(), [id(2)]);
        described.remove(id(2));
        assert_eq!(described.take_changes(), [(nat, false), (rust, false)]);
        assert!(!described.has_term(rust) && described.after(None).next().is_none());
    }
}
