//! What a holder answers to a search: a page of its hits, and peers to ask next.

use std::ops::ControlFlow;

use super::super::DataCx;
use super::super::message::{CONTACTS_MAX, DataMessage};
use super::super::query::SearchQuery;
use super::super::retrieve::{Knowledge, neighbours_for};
use super::hit::HITS_BYTES_MAX;
use super::{Cursor, HITS_MAX, KeywordHit, SearchPage};
use crate::core::identity::{BlockId, NodeId};

/// Blocks with keywords that are looked at for one answer.
const SCANNED_MAX: usize = 4_096;
/// Most probable holders in one answer: some neighbours go along, for a search that must look everywhere.
const HOLDERS_NAMED_MAX: usize = CONTACTS_MAX * 3 / 4;

/// A [`DataMessage::Search`].
pub(super) struct Question {
    pub(super) search: u64,
    pub(super) query: String,
    pub(super) after: Cursor,
    pub(super) hits: u8,
    pub(super) hosts: bool,
}

/// A page of hits.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HitPage {
    pub(super) hits: Vec<KeywordHit>,
    /// The last block that was looked at, if there are others after it.
    pub(super) more: Cursor,
}

/// Answers a peer that searches. What is no query comes from no honest node.
pub(super) fn answer(ctx: &mut DataCx<'_, '_>, known: Knowledge<'_>, to: NodeId, question: Question) {
    let Question { search, query, after, hits, hosts } = question;
    let Ok(query) = SearchQuery::parse(&query) else { return };
    let HitPage { hits, more } = page(ctx, &query, after, usize::from(hits));
    let (holders, looked) = match hosts {
        true => known.inventories.holders_of_terms(&query, ctx.me.id.prefix() ^ search, (to, HOLDERS_NAMED_MAX)),
        false => (Vec::new(), 0),
    };
    let hosts = if hosts { neighbours_for(ctx, to, CONTACTS_MAX - holders.len()) } else { Vec::new() };
    let inventories = u16::try_from(looked).unwrap_or(u16::MAX);
    let page = SearchPage { hits, more, hosts, holders, inventories }.into();
    ctx.send(to, DataMessage::SearchReply { search, page });
}

/// The blocks of this node with an id after `after` that match, at most `most` of them and as many as fit a message.
pub(super) fn page(ctx: &DataCx<'_, '_>, query: &SearchQuery, after: Cursor, most: usize) -> HitPage {
    let described = ctx.store.described();
    if !query.may_match(|print| described.has_term(print)) {
        return HitPage::default();
    }
    let mut page = HitPage::default();
    let (mut bytes, mut scanned, mut last) = (0, 0, after);
    let full = described.after(after).try_for_each(|(id, keywords)| {
        if query.matches(keywords) {
            let hit = KeywordHit { id, keywords: keywords.clone() };
            bytes += hit.bytes();
            if page.hits.len() >= most.min(HITS_MAX) || bytes > HITS_BYTES_MAX {
                return ControlFlow::Break(last);
            }
            page.hits.push(hit);
        } else if scanned >= SCANNED_MAX {
            return ControlFlow::Break(last);
        }
        scanned += 1;
        last = Some(id);
        ControlFlow::Continue(())
    });
    page.more = full.break_value().flatten();
    page
}

/// Whether a page goes on after the one that began at `after`.
pub(super) fn goes_on(after: Cursor, more: Cursor) -> Option<BlockId> {
    more.filter(|next| after.is_none_or(|before| before < *next))
}
