//! Searches for values by their keywords.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`hit`] | what a search finds, and how it ends |
//! | [`answer`] | what a holder answers |
//! | [`frontier`] | which peer is asked next |
//! | [`under_way`] | one search: its hits, its questions, its end |
//!
//! A search asks peers whose inventories have the keywords, page by page, and then others, breadth first. Each hit is handed out as
//! it comes. It is a claim: its keywords match the query, but only who fetches the value knows that it is there. A peer brings a
//! bounded number of hits, and everyone's first page comes before anyone's second.
//!
//! As in a get, a peer that is late is waited for while others are asked beside it, and is given up only with its link.

use std::collections::BTreeMap;
use std::time::Duration;

use super::message::DataMessage;
use super::query::SearchQuery;
use super::retrieve::Knowledge;
use super::{DataCx, DataOutcome};
use crate::core::identity::{BlockId, NodeId};
use crate::core::io::CommandId;
use crate::core::time::Time;

mod answer;
mod frontier;
mod hit;
mod under_way;

pub use hit::{FinishedSearch, KeywordHit, SEARCH_LIMIT_MAX, SEARCH_TIME_MAX, SearchPage, SearchRefusal, SearchStop};
pub(super) use hit::{HITS_MAX, hits_bounded};

use under_way::{KeywordSearch, SearchMove};

/// Most searches under way.
const SEARCHES_MAX: usize = 128;

/// The bounds of a search, as its command has them.
#[derive(Clone, Copy, Debug)]
pub(super) struct SearchBounds {
    pub(super) limit: usize,
    pub(super) time: Duration,
}

/// Searches under way.
#[derive(Debug, Default)]
pub(super) struct Searches {
    under_way: BTreeMap<u64, KeywordSearch>,
    /// Questions that were asked: the search of each.
    asked: BTreeMap<u64, u64>,
    last_search: u64,
    last_question: u64,
}

impl Searches {
    /// Begins a search. What this node holds itself comes first.
    pub(super) fn begin(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        known: Knowledge<'_>,
        command: CommandId,
        (query, bounds): (SearchQuery, SearchBounds),
    ) {
        let refusal = if self.under_way.len() >= SEARCHES_MAX || known.persist.is_leaving() {
            Some(SearchRefusal::Busy)
        } else if !(1..=SEARCH_LIMIT_MAX).contains(&bounds.limit) {
            Some(SearchRefusal::Limit(bounds.limit))
        } else if bounds.time.is_zero() || bounds.time > SEARCH_TIME_MAX {
            Some(SearchRefusal::Time(bounds.time))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            ctx.stats.searches_refused += 1;
            ctx.done(command, DataOutcome::Searched(Err(refusal)));
            return;
        }
        self.last_search += 1;
        let search = KeywordSearch::new(ctx, known, command, (query, bounds));
        self.under_way.insert(self.last_search, search);
        self.advance(ctx, known, self.last_search);
    }

    /// When [`Searches::wake`] is due.
    pub(super) fn due(&self) -> Time {
        self.under_way.values().map(KeywordSearch::due).min().unwrap_or(Time::NEVER)
    }

    /// Notices what is late, repeats questions and ends searches whose time is up.
    pub(super) fn wake(&mut self, ctx: &mut DataCx<'_, '_>, known: Knowledge<'_>) {
        let due = self.under_way.iter().filter(|(_, search)| search.due() <= ctx.now || known.persist.is_leaving());
        let due: Vec<u64> = due.map(|(&number, _)| number).collect();
        for number in due {
            if let Some(search) = self.under_way.get_mut(&number) {
                search.repeat_late(ctx);
            }
            self.advance(ctx, known, number);
        }
    }

    /// A peer cannot be reached.
    pub(super) fn lost(&mut self, ctx: &mut DataCx<'_, '_>, known: Knowledge<'_>, peer: NodeId) {
        let numbers: Vec<u64> = self.under_way.keys().copied().collect();
        for number in numbers {
            let search = self.under_way.get_mut(&number).expect("only advancing removes one, and only itself");
            for question in search.lost(peer) {
                self.asked.remove(&question);
            }
            self.advance(ctx, known, number);
        }
    }

    /// Takes one of the messages of searches; others are handed back.
    pub(super) fn handle(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        known: Knowledge<'_>,
        from: NodeId,
        message: DataMessage,
    ) -> Option<DataMessage> {
        match message {
            DataMessage::Search { search, query, after, hits, hosts } => {
                answer::answer(ctx, known, from, answer::Question { search, query, after, hits, hosts });
            }
            DataMessage::SearchReply { search, page } => self.answered(ctx, known, (from, search), *page),
            other => return Some(other),
        }
        None
    }

    fn answered(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        known: Knowledge<'_>,
        (from, question): (NodeId, u64),
        page: SearchPage,
    ) {
        let Some(&number) = self.asked.get(&question) else { return };
        let Some(search) = self.under_way.get_mut(&number) else { return };
        // Only an answer of the peer that was asked counts.
        if search.answered(ctx, (from, question), page) {
            self.asked.remove(&question);
            self.advance(ctx, known, number);
        }
    }

    /// Asks whoever is to be asked next, or ends the search.
    fn advance(&mut self, ctx: &mut DataCx<'_, '_>, known: Knowledge<'_>, number: u64) {
        while let Some(search) = self.under_way.get_mut(&number) {
            match search.next(ctx, known) {
                SearchMove::Wait => return,
                SearchMove::Ask(stop) => {
                    self.last_question += 1;
                    self.asked.insert(self.last_question, number);
                    search.ask(ctx, self.last_question, stop);
                }
                SearchMove::End(stop) => self.end(ctx, number, stop),
            }
        }
    }

    fn end(&mut self, ctx: &mut DataCx<'_, '_>, number: u64, stop: SearchStop) {
        let Some(search) = self.under_way.remove(&number) else { return };
        self.asked.retain(|_, of| *of != number);
        let finished = search.finished(ctx, stop);
        *if finished.is_complete() { &mut ctx.stats.searches_complete } else { &mut ctx.stats.searches_incomplete } +=
            1;
        ctx.done(search.command, DataOutcome::Searched(Ok(finished)));
    }
}

/// What a [`DataMessage::Search`] is answered from: ids after this one.
type Cursor = Option<BlockId>;
