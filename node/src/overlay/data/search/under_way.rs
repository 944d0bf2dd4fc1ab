//! One search: its hits, its questions and its end.

use std::collections::{BTreeMap, BTreeSet};

use super::super::message::DataMessage;
use super::super::query::SearchQuery;
use super::super::retrieve::Knowledge;
use super::super::{DataCx, DataOutcome, waits};
use super::answer::{goes_on, page};
use super::frontier::{FrontierStep, PageStop, SearchFrontier};
use super::{FinishedSearch, HITS_MAX, KeywordHit, SearchBounds, SearchPage, SearchStop};
use crate::core::identity::{BlockId, NodeId};
use crate::core::io::CommandId;
use crate::core::time::Time;

/// Fewest hits of a full page.
const PAGE_MIN: usize = 8;
/// Bytes of hits that an answer is expected to bring.
const PAGE_BYTES: u64 = 4_096;
/// Times that one question is repeated over a link that stays up.
const REPEATS_MAX: u32 = 2;
/// Probable holders that this node knows of itself.
const HOLDERS_HERE_MAX: usize = 1_024;

/// A question without an answer.
#[derive(Debug)]
struct OpenQuestion {
    stop: PageStop,
    late: bool,
    repeats: u32,
    /// When it is late, or is repeated; never once nothing but the answer can follow.
    next: Time,
}

/// A search under way.
#[derive(Debug)]
pub(super) struct KeywordSearch {
    pub(super) command: CommandId,
    query: SearchQuery,
    limit: usize,
    until: Time,
    found: BTreeSet<BlockId>,
    frontier: SearchFrontier,
    questions: BTreeMap<u64, OpenQuestion>,
    messages: u64,
}

/// What a search does next.
#[derive(Debug)]
pub(super) enum SearchMove {
    Ask(PageStop),
    Wait,
    End(SearchStop),
}

impl KeywordSearch {
    /// Hands out what this node holds itself.
    pub(super) fn new(
        ctx: &mut DataCx<'_, '_>,
        known: Knowledge<'_>,
        command: CommandId,
        (query, bounds): (SearchQuery, SearchBounds),
    ) -> Self {
        let (holders, _) = known.inventories.holders_of_terms(&query, 0, (ctx.me.id, HOLDERS_HERE_MAX));
        let mut search = KeywordSearch {
            command,
            limit: bounds.limit,
            until: ctx.now + bounds.time,
            found: BTreeSet::new(),
            frontier: SearchFrontier::new(ctx, known, holders),
            questions: BTreeMap::new(),
            messages: 0,
            query,
        };
        let mut after = None;
        loop {
            let own = page(ctx, &search.query, after, HITS_MAX);
            own.hits.into_iter().for_each(|hit| search.take(ctx, hit));
            after = own.more;
            if after.is_none() || search.found.len() >= search.limit {
                return search;
            }
        }
    }

    /// When it is to go on without an event.
    pub(super) fn due(&self) -> Time {
        let questions = self.questions.values().map(|question| question.next).min().unwrap_or(Time::NEVER);
        self.until.min(questions).min(self.frontier.due())
    }

    /// What to do now.
    pub(super) fn next(&mut self, ctx: &mut DataCx<'_, '_>, known: Knowledge<'_>) -> SearchMove {
        if self.found.len() >= self.limit {
            return SearchMove::End(SearchStop::Limit);
        }
        if self.until <= ctx.now || known.persist.is_leaving() {
            return SearchMove::End(SearchStop::Deadline);
        }
        let late = self.questions.values().filter(|question| question.late).count();
        match self.frontier.next(ctx, known, late) {
            FrontierStep::Ask(stop) => SearchMove::Ask(stop),
            FrontierStep::Wait => SearchMove::Wait,
            FrontierStep::AllAnswered => SearchMove::End(SearchStop::AllAnswered),
            FrontierStep::EnoughSeen => SearchMove::End(SearchStop::EnoughSeen),
            FrontierStep::Unreachable => SearchMove::End(SearchStop::Unreachable),
        }
    }

    /// Asks a peer for a page.
    pub(super) fn ask(&mut self, ctx: &mut DataCx<'_, '_>, number: u64, stop: PageStop) {
        let next = ctx.now + waits::answer(ctx, stop.peer, PAGE_BYTES);
        self.questions.insert(number, OpenQuestion { stop, late: false, repeats: 0, next });
        self.send(ctx, number, stop);
    }

    fn send(&mut self, ctx: &mut DataCx<'_, '_>, number: u64, stop: PageStop) {
        self.messages += 1;
        ctx.stats.search_messages += 1;
        let query = self.query.text().to_owned();
        let (after, hosts, hits) = (stop.after, stop.after.is_none(), self.page_hits() as u8);
        ctx.send(stop.peer, DataMessage::Search { search: number, query, after, hits, hosts });
    }

    /// Hits of one page: several peers are to bring what is wanted.
    fn page_hits(&self) -> usize {
        (self.limit / 4).clamp(PAGE_MIN, HITS_MAX)
    }

    /// Takes the answer to a question. Returns whether it was asked of this peer.
    pub(super) fn answered(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        (from, number): (NodeId, u64),
        mut page: SearchPage,
    ) -> bool {
        if self.questions.get(&number).is_none_or(|question| question.stop.peer != from) {
            return false;
        }
        let OpenQuestion { stop, .. } = self.questions.remove(&number).expect("it was just there");
        let most = self.page_hits();
        let mut has_hits = false;
        for hit in page.hits.drain(..).take(most) {
            if self.query.matches(&hit.keywords) {
                has_hits = true;
                self.take(ctx, hit);
            } else {
                ctx.stats.search_hits_refused += 1;
            }
        }
        let next = goes_on(stop.after, page.more);
        self.frontier.answered(stop, (next, has_hits), page);
        true
    }

    /// Hands out a hit that matches, unless it was found before or is beyond the limit.
    fn take(&mut self, ctx: &mut DataCx<'_, '_>, hit: KeywordHit) {
        if self.found.len() < self.limit && self.found.insert(hit.id) {
            ctx.partial(self.command, DataOutcome::Hit(hit));
        }
    }

    /// Notices questions that are late. They are repeated, in case they were lost with an older link.
    pub(super) fn repeat_late(&mut self, ctx: &mut DataCx<'_, '_>) {
        let due = self.questions.iter().filter(|(_, question)| question.next <= ctx.now);
        let due: Vec<u64> = due.map(|(&number, _)| number).collect();
        for number in due {
            let Some(question) = self.questions.get_mut(&number) else { continue };
            let stop = question.stop;
            let is_first = !std::mem::replace(&mut question.late, true);
            let repeats = !is_first && question.repeats < REPEATS_MAX;
            question.repeats += u32::from(repeats);
            let pause = waits::repeat(ctx, stop.peer, question.repeats);
            question.next = if question.repeats < REPEATS_MAX { ctx.now + pause } else { Time::NEVER };
            if repeats {
                self.send(ctx, number, stop);
            }
        }
    }

    /// A peer cannot be reached. Returns the questions that it does not answer any more.
    pub(super) fn lost(&mut self, peer: NodeId) -> Vec<u64> {
        let lost = self.questions.iter().filter(|(_, question)| question.stop.peer == peer);
        let lost: Vec<u64> = lost.map(|(&number, _)| number).collect();
        for number in &lost {
            if let Some(question) = self.questions.remove(number) {
                self.frontier.failed(question.stop);
            }
        }
        lost
    }

    /// How it ended.
    pub(super) fn finished(&self, ctx: &DataCx<'_, '_>, stop: SearchStop) -> FinishedSearch {
        let (hits, tally, messages) = (self.found.len(), self.frontier.tally(ctx), self.messages);
        FinishedSearch { hits, stop, tally, messages }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Cursor;
    use super::*;

    #[test]
    fn pages_only_go_forward() {
        let id = |seed| Some(BlockId([seed; 32]));
        let cases: [(Cursor, Cursor, Cursor); 5] = [
            (None, None, None),
            (None, id(1), id(1)),
            (id(1), id(2), id(2)),
            (id(2), id(2), None),
            (id(2), id(1), None),
        ];
        for (before, said, wanted) in cases {
            assert_eq!(goes_on(before, said), wanted);
        }
    }
}
