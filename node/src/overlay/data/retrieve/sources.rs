//! Peers that have blocks of a value, and which of them is asked for what.
//!
//! The number of blocks under way at a source adapts to the path: it starts small, grows with every answer in time, and halves
//! when one is late. A block whose source is late is asked for elsewhere too; the first answer counts. A source whose link was
//! lost is asked again after a pause.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use super::super::message::BLOCKS_MAX;
use super::super::{DataCx, waits};
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Blocks under way at a source at first, and at least: one request's.
const WINDOW_MIN: usize = BLOCKS_MAX;
/// Most blocks under way at one source.
const WINDOW_MAX: usize = 4 * BLOCKS_MAX;
/// Peers that are asked for parts.
const SOURCES_MAX: usize = 8;
/// Sources that one block is asked from at a time.
const ASKED_MAX: usize = 3;
/// Peers remembered that are said to have the value.
const HINTS_MAX: usize = 4;

/// A peer that had a block of the value.
#[derive(Debug)]
struct Source {
    peer: NodeId,
    lacks: BTreeSet<BlockId>,
    /// Blocks under way.
    under_way: usize,
    /// Blocks that may be under way.
    window: usize,
    /// Whether its last answer is late.
    late: bool,
    /// Times that its link was lost.
    losses: u32,
    /// Nothing is asked of it before this.
    not_before: Time,
}

/// Where a block was asked for.
#[derive(Debug, Default)]
struct PartRequest {
    at: SmallVec<[NodeId; 2]>,
    /// Whether the last of them may still answer in time.
    is_prompt: bool,
}

/// A request for parts of a value.
#[derive(Debug)]
pub(super) struct SourceRequest {
    pub(super) peer: NodeId,
    pub(super) ids: Vec<BlockId>,
}

/// The sources of one value.
#[derive(Debug, Default)]
pub(super) struct Sources {
    list: Vec<Source>,
    asked: BTreeMap<BlockId, PartRequest>,
    /// Peers that a holder has named as other holders.
    hints: Vec<Contact>,
}

impl Sources {
    /// `peer` has a block of the value.
    pub(super) fn add(&mut self, now: Time, peer: NodeId) {
        if self.list.len() < SOURCES_MAX && self.list.iter().all(|source| source.peer != peer) {
            self.list.push(Source {
                peer,
                lacks: BTreeSet::new(),
                under_way: 0,
                window: WINDOW_MIN,
                late: false,
                losses: 0,
                not_before: now,
            });
        }
    }

    /// A holder has named other holders.
    pub(super) fn add_hints(&mut self, hints: Vec<Contact>) {
        for hint in hints {
            let known = self.list.iter().any(|source| source.peer == hint.id)
                || self.hints.iter().any(|known| known.id == hint.id);
            if !known && self.hints.len() < HINTS_MAX {
                self.hints.push(hint);
            }
        }
    }

    /// Makes a source of a peer that is said to be one. Returns whether there was one.
    pub(super) fn take_hint(&mut self, cx: &mut DataCx<'_, '_>) -> bool {
        let Some(hint) = self.hints.pop() else { return false };
        let before = self.list.len();
        if hint.id != cx.me.id {
            cx.learn(&hint);
            self.add(cx.now, hint.id);
        }
        self.list.len() > before || self.take_hint(cx)
    }

    /// The next request for some of `missing`: first at sources that answer in time.
    pub(super) fn next_request<'m>(
        &mut self,
        now: Time,
        missing: impl Iterator<Item = &'m BlockId> + Clone,
    ) -> Option<SourceRequest> {
        for late in [false, true] {
            for source in &mut self.list {
                let room = source.window.saturating_sub(source.under_way);
                let waits_for_late = source.late && source.under_way > 0;
                if source.late != late || waits_for_late || room == 0 || source.not_before > now {
                    continue;
                }
                let wanted = |id: &&BlockId| {
                    let request = self.asked.get(*id);
                    let free = request.is_none_or(|request| {
                        !request.is_prompt && request.at.len() < ASKED_MAX && !request.at.contains(&source.peer)
                    });
                    free && !source.lacks.contains(*id)
                };
                let ids: Vec<BlockId> = missing.clone().filter(wanted).copied().take(room.min(BLOCKS_MAX)).collect();
                if ids.is_empty() {
                    continue;
                }
                source.under_way += ids.len();
                for &id in &ids {
                    let request = self.asked.entry(id).or_default();
                    request.at.push(source.peer);
                    request.is_prompt = true;
                }
                return Some(SourceRequest { peer: source.peer, ids });
            }
        }
        None
    }

    /// Whether a source may still answer for this block in time.
    pub(super) fn is_awaited(&self, id: BlockId) -> bool {
        self.asked.get(&id).is_some_and(|request| request.is_prompt)
    }

    /// Whether a source is expected to answer in time, and so to be asked for more soon.
    pub(super) fn has_prompt(&self) -> bool {
        self.list.iter().any(|source| !source.late && source.under_way > 0)
    }

    /// Whether nothing is awaited from any source, and none waits for its next try.
    pub(super) fn is_idle(&self, now: Time) -> bool {
        self.list.iter().all(|source| source.under_way == 0 && source.not_before <= now)
    }

    /// A block has arrived from wherever.
    pub(super) fn arrived(&mut self, id: BlockId) {
        self.asked.remove(&id);
    }

    /// A source has answered; it lacks those of `ids` that are in `lacking`.
    pub(super) fn answered(&mut self, peer: NodeId, ids: &[BlockId], lacking: Vec<BlockId>) {
        let brought = ids.len() - lacking.len();
        if let Some(source) = self.list.iter_mut().find(|source| source.peer == peer) {
            source.under_way -= ids.len();
            if !std::mem::replace(&mut source.late, false) {
                source.window = (source.window + brought).min(WINDOW_MAX);
            }
            source.losses = 0;
            source.lacks.extend(lacking);
        }
        self.release(peer, ids);
    }

    /// A source is late with its answer for `ids`.
    pub(super) fn is_late(&mut self, peer: NodeId, ids: &[BlockId]) {
        if let Some(source) = self.list.iter_mut().find(|source| source.peer == peer) {
            source.late = true;
            source.window = (source.window / 2).max(WINDOW_MIN);
        }
        for id in ids {
            if let Some(request) = self.asked.get_mut(id)
                && request.at.last() == Some(&peer)
            {
                request.is_prompt = false;
            }
        }
    }

    /// A source will not answer for `ids`: its link is lost. It is asked again after a pause.
    pub(super) fn lost(&mut self, now: Time, peer: NodeId, ids: &[BlockId]) {
        if let Some(source) = self.list.iter_mut().find(|source| source.peer == peer) {
            source.under_way -= ids.len();
            if source.not_before <= now {
                source.not_before = now + waits::round_pause(source.losses);
                source.losses += 1;
            }
            source.window = WINDOW_MIN;
        }
        self.release(peer, ids);
    }

    fn release(&mut self, peer: NodeId, ids: &[BlockId]) {
        for &id in ids {
            let Some(request) = self.asked.get_mut(&id) else { continue };
            request.is_prompt &= request.at.last() != Some(&peer);
            request.at.retain(|asked| *asked != peer);
            if request.at.is_empty() {
                self.asked.remove(&id);
            }
        }
    }

    /// When a source may be asked again whose link was lost.
    pub(super) fn due(&self, now: Time) -> Time {
        self.list.iter().map(|source| source.not_before).filter(|&at| at > now).min().unwrap_or(Time::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId([1; 32]);
    const B: NodeId = NodeId([2; 32]);

    fn blocks(count: u8) -> Vec<BlockId> {
        (0..count).map(|seed| BlockId([seed; 32])).collect()
    }

    fn sources() -> Sources {
        let mut sources = Sources::default();
        sources.add(Time::ZERO, A);
        sources.add(Time::ZERO, B);
        sources
    }

    #[test]
    fn window_grows_with_answers_and_halves_when_one_is_late() {
        let (mut sources, missing) = (Sources::default(), blocks(200));
        sources.add(Time::ZERO, A);
        let first = sources.next_request(Time::ZERO, missing.iter()).unwrap();
        assert_eq!(first.ids.len(), WINDOW_MIN);
        assert!(sources.next_request(Time::ZERO, missing.iter()).is_none(), "the window is full");
        first.ids.iter().for_each(|&id| sources.arrived(id));
        sources.answered(A, &first.ids, Vec::new());
        let missing = &missing[WINDOW_MIN..];
        let requests: Vec<_> = std::iter::from_fn(|| sources.next_request(Time::ZERO, missing.iter())).collect();
        assert_eq!(requests.iter().map(|request| request.ids.len()).sum::<usize>(), 2 * WINDOW_MIN);
        sources.is_late(A, &requests[0].ids);
        requests.iter().for_each(|request| sources.answered(A, &request.ids, Vec::new()));
        let window = sources.list[0].window;
        assert_eq!(window, 2 * WINDOW_MIN, "halved once, then grown by the answer that was in time");
    }

    #[test]
    fn late_block_is_asked_for_elsewhere_and_a_prompt_one_is_not() {
        let (mut sources, missing) = (sources(), blocks(3));
        let first = sources.next_request(Time::ZERO, missing.iter()).unwrap();
        assert_eq!(first.peer, A);
        assert!(sources.next_request(Time::ZERO, missing.iter()).is_none());
        sources.is_late(A, &first.ids);
        assert!(!sources.is_awaited(missing[0]));
        let second = sources.next_request(Time::ZERO, missing.iter()).unwrap();
        assert_eq!((second.peer, &second.ids), (B, &missing));
        assert!(sources.next_request(Time::ZERO, missing.iter()).is_none());
        sources.answered(A, &first.ids, missing.clone());
        assert!(sources.is_awaited(missing[0]), "the other source may answer in time");
    }

    #[test]
    fn source_that_is_late_with_one_request_may_answer_another_in_time() {
        let (mut sources, missing) = (Sources::default(), blocks(60));
        sources.add(Time::ZERO, A);
        let first = sources.next_request(Time::ZERO, missing.iter()).unwrap();
        sources.answered(A, &first.ids, Vec::new());
        first.ids.iter().for_each(|&id| sources.arrived(id));
        let missing = &missing[WINDOW_MIN..];
        let requests: Vec<_> = std::iter::from_fn(|| sources.next_request(Time::ZERO, missing.iter())).collect();
        assert!(requests.len() >= 2);
        sources.is_late(A, &requests[0].ids);
        assert!(!sources.has_prompt(), "nothing more is asked of it");
        assert!(!sources.is_awaited(requests[0].ids[0]) && sources.is_awaited(requests[1].ids[0]));
    }

    #[test]
    fn lost_source_is_asked_again_after_a_pause() {
        let (mut sources, missing) = (Sources::default(), blocks(2));
        sources.add(Time::ZERO, A);
        let first = sources.next_request(Time::ZERO, missing.iter()).unwrap();
        sources.lost(Time::ZERO, A, &first.ids);
        assert!(sources.next_request(Time::ZERO, missing.iter()).is_none());
        let due = sources.due(Time::ZERO);
        assert!(due > Time::ZERO && due < Time::NEVER);
        assert_eq!(sources.next_request(due, missing.iter()).unwrap().ids, missing);
    }
}
