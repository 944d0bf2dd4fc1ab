//! Searches that have ended, compared with what the plan says.

use std::collections::{BTreeMap, BTreeSet};

use butter::core::blob::Blob;
use butter::core::identity::BlockId;
use butter::overlay::data::SearchQuery;
use butter::overlay::data::block::split;

use super::Runner;
use crate::backend::Backend;
use crate::events::{EventKind, RunTime, SearchResult};
use crate::op::FoundHits;
use crate::plan::{ItemIndex, NodeIndex};

/// Missing items that an event names.
const MISSING_MAX: usize = 8;

impl<B: Backend> Runner<'_, B> {
    /// A search for `query` has ended: with hits, without an answer (`None`), or with a reason why it was not made.
    pub(super) fn searched(
        &mut self,
        began: RunTime,
        at: RunTime,
        (node, query, limit): (NodeIndex, &str, usize),
        ended: Result<Option<FoundHits>, String>,
    ) {
        let result = match ended {
            Ok(Some(found)) => self.judge(query, limit, &found),
            Ok(None) => SearchResult::TimedOut,
            Err(why) => SearchResult::Unasked { why },
        };
        let (search, query) = (self.searches_ended, query.to_owned());
        self.searches_ended += 1;
        let took_us = at.0.saturating_sub(began.0);
        self.record(at, EventKind::Searched { search, node, query, took_us, result });
    }

    fn judge(&self, query: &str, limit: usize, found: &FoundHits) -> SearchResult {
        let query = match SearchQuery::parse(query) {
            Ok(query) => query,
            Err(error) => return SearchResult::Unasked { why: error.to_string() },
        };
        let items = self.plan.items.iter().enumerate().map(|(index, item)| (ItemIndex(index), item));
        let matching: Vec<ItemIndex> = items
            .filter(|(_, item)| !item.keywords.is_empty() && query.matches(&item.words()))
            .map(|(index, _)| index)
            .collect();
        let named = matching.iter().filter_map(|&item| Some((self.state.id_of(item)?, item)));
        let acknowledged: BTreeMap<BlockId, ItemIndex> = named.collect();
        let hits: BTreeSet<BlockId> = found.hits.iter().copied().collect();
        let (right, others): (Vec<BlockId>, Vec<BlockId>) =
            hits.iter().copied().partition(|id| acknowledged.contains_key(id));
        // A put that was not acknowledged may have made copies all the same: they match as well.
        let unacknowledged: BTreeSet<BlockId> = match others.is_empty() {
            true => BTreeSet::new(),
            false => matching
                .iter()
                .filter(|&&item| self.state.id_of(item).is_none())
                .map(|&item| self.own_id(item))
                .collect(),
        };
        let missing = acknowledged.iter().filter(|(id, _)| !hits.contains(id)).map(|(_, &item)| item);
        SearchResult::Ended {
            expected: acknowledged.len().min(limit),
            found: right.len(),
            wrong: others.iter().filter(|id| !unacknowledged.contains(id)).count(),
            missing: missing.take(MISSING_MAX).collect(),
            messages: found.end.messages,
            unanswered: found.end.search.asked - found.end.search.answered.min(found.end.search.asked),
            stop: found.end.stop.clone(),
        }
    }

    /// The id of an item, from its bytes.
    fn own_id(&self, item: ItemIndex) -> BlockId {
        split(&Blob::from(self.plan.items[item.0].bytes()))[0].0
    }
}
