//! What a search finds, and how it ends.

use std::fmt;
use std::time::Duration;

use bincode::{Decode, Encode};

use super::super::SearchTally;
use super::super::keywords::Keywords;
use crate::core::contact::Contact;
use crate::core::identity::BlockId;

/// Most hits of one search.
pub const SEARCH_LIMIT_MAX: usize = 10_000;
/// Longest time of a search.
pub const SEARCH_TIME_MAX: Duration = Duration::from_secs(60);
/// Most hits in one message.
pub(in super::super) const HITS_MAX: usize = 64;
/// Most bytes of hits in one message: they fit a frame with contacts.
pub(super) const HITS_BYTES_MAX: usize = 24 * 1024;
/// Bytes of an id on the wire.
const ID_BYTES: usize = 32;

/// A value, with its keywords. From a peer it is a claim.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeywordHit {
    /// Names the value, and its first block.
    pub id: BlockId,
    /// The keywords that the value was stored with.
    pub keywords: Keywords,
}

impl KeywordHit {
    /// Bytes in a message, at most.
    pub(super) fn bytes(&self) -> usize {
        ID_BYTES + 1 + self.keywords.bytes()
    }
}

/// What a peer answers to a search. It is a claim until a value is fetched.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct SearchPage {
    /// Values that it holds, in ascending order of their ids.
    pub hits: Vec<KeywordHit>,
    /// There may be more, after this id.
    pub more: Option<BlockId>,
    /// Its neighbours; with `holders` at most as many as one message names.
    pub hosts: Vec<Contact>,
    /// Peers whose inventories have the keywords.
    pub holders: Vec<Contact>,
    /// Number of inventories that were looked at.
    pub inventories: u16,
}

/// Whether so many hits may be in one message.
pub(in super::super) fn hits_bounded(hits: &[KeywordHit]) -> bool {
    hits.len() <= HITS_MAX && hits.iter().map(KeywordHit::bytes).sum::<usize>() <= HITS_BYTES_MAX
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SearchStop {
    /// It has found as many hits as were wanted.
    Limit,
    /// Every peer that could be asked has answered.
    AllAnswered,
    /// It has seen so many inventories that what it has not found is probably not there.
    EnoughSeen,
    /// Peers that should be asked could not be reached, also not after some time.
    Unreachable,
    /// Its time was up, or the node left.
    Deadline,
}

impl SearchStop {
    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            SearchStop::Limit => "limit",
            SearchStop::AllAnswered => "all_answered",
            SearchStop::EnoughSeen => "enough_seen",
            SearchStop::Unreachable => "unreachable",
            SearchStop::Deadline => "deadline",
        }
    }
}

impl fmt::Display for SearchStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SearchStop::Limit => "the limit is reached",
            SearchStop::AllAnswered => "every peer has answered",
            SearchStop::EnoughSeen => "enough inventories were seen",
            SearchStop::Unreachable => "some peers cannot be reached",
            SearchStop::Deadline => "the time is up",
        })
    }
}

/// The end of a search, after its hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinishedSearch {
    /// Hits that were handed out.
    pub hits: usize,
    /// Why it ended.
    pub stop: SearchStop,
    /// The peers that were asked, and what came of it.
    pub tally: SearchTally,
    /// Questions that were sent, pages and repetitions included.
    pub messages: u64,
}

impl FinishedSearch {
    /// Whether what was not found is probably not there.
    pub fn is_complete(&self) -> bool {
        !matches!(self.stop, SearchStop::Unreachable | SearchStop::Deadline)
    }
}

/// Why a search did not begin. No peer was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchRefusal {
    /// Too many searches are under way, or the node is leaving.
    #[error("too many searches are under way, or the node is leaving")]
    Busy,
    /// The limit is not between 1 and [`SEARCH_LIMIT_MAX`].
    #[error("a limit of {0} hits: it must be from 1 to {SEARCH_LIMIT_MAX}")]
    Limit(usize),
    /// The time is zero or longer than [`SEARCH_TIME_MAX`].
    #[error("a time of {} s: a search takes up to {} s, and more than none", .0.as_secs_f64(), SEARCH_TIME_MAX.as_secs())]
    Time(Duration),
}
