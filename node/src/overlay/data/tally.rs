//! How many peers a search has asked, and what came of it.

use std::fmt;
use std::ops::AddAssign;

use super::message::FloodCounts;

/// The peers that a search has asked. A flooded query counts each of its messages as a peer that was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchTally {
    /// Peers that were asked.
    pub asked: u32,
    /// Peers that have answered.
    pub answered: u32,
    /// Peers that were linked and had not answered at the end.
    pub timed_out: u32,
    /// Peers whose link was lost or could not be made.
    pub unreachable: u32,
    /// Query messages sent, those of earlier rounds and repetitions included.
    pub messages: u64,
}

impl SearchTally {
    /// Whether every peer that was asked has answered.
    pub fn is_complete(&self) -> bool {
        self.timed_out == 0 && self.unreachable == 0
    }

    /// What the user can do about an incomplete search.
    pub fn remedy(&self) -> &'static str {
        match self.asked {
            0 => "wait until this node has met others, then ask again",
            _ => "ask again: a peer that did not answer may have the value",
        }
    }
}

impl AddAssign for SearchTally {
    fn add_assign(&mut self, other: Self) {
        self.asked = self.asked.saturating_add(other.asked);
        self.answered = self.answered.saturating_add(other.answered);
        self.timed_out = self.timed_out.saturating_add(other.timed_out);
        self.unreachable = self.unreachable.saturating_add(other.unreachable);
        self.messages = self.messages.saturating_add(other.messages);
    }
}

impl From<FloodCounts> for SearchTally {
    fn from(counts: FloodCounts) -> Self {
        let FloodCounts { messages, timed_out, unreachable } = counts;
        let asked = messages.max(timed_out.saturating_add(unreachable));
        let answered = asked - timed_out.saturating_add(unreachable);
        SearchTally { asked, answered, timed_out, unreachable, messages: asked.into() }
    }
}

impl fmt::Display for SearchTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SearchTally { asked, answered, timed_out, unreachable, .. } = self;
        if *asked == 0 {
            return f.write_str("no peer could be asked, because this node has no neighbour");
        }
        write!(
            f,
            "{answered} of {asked} peers answered, {timed_out} did not in time, {unreachable} could not be reached"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_a_flood_add_up_whatever_a_peer_says() {
        let tally = SearchTally::from(FloodCounts { messages: 5, timed_out: 1, unreachable: 2 });
        assert_eq!(tally, SearchTally { asked: 5, answered: 2, timed_out: 1, unreachable: 2, messages: 5 });
        let lie = SearchTally::from(FloodCounts { messages: 0, timed_out: u32::MAX, unreachable: 7 });
        assert_eq!((lie.answered, lie.is_complete()), (0, false));
    }

    #[test]
    fn text_says_who_is_missing() {
        let tally = SearchTally { asked: 3, answered: 1, timed_out: 1, unreachable: 1, messages: 4 };
        assert_eq!(tally.to_string(), "1 of 3 peers answered, 1 did not in time, 1 could not be reached");
        assert!(SearchTally::default().to_string().contains("no neighbour"));
    }
}
