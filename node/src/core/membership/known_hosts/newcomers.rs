//! Word of a newcomer goes around once a minute: each time it makes dozens of messages.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::identity::NodeId;
use crate::core::time::Time;

/// How long a newcomer that joins again is no news.
const NEWS_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Most newcomers remembered; the first is forgotten first.
const NEWCOMERS_MAX: usize = 256;

/// Who has joined of late, in order.
#[derive(Debug, Default)]
pub(super) struct Newcomers(VecDeque<(Time, NodeId)>);

impl Newcomers {
    /// Whether others are to hear that `peer` has joined.
    pub(super) fn is_news(&mut self, now: Time, peer: NodeId) -> bool {
        while self.0.front().is_some_and(|(joined, _)| now.since(*joined) >= NEWS_AGAIN_AFTER) {
            self.0.pop_front();
        }
        if self.0.iter().any(|(_, newcomer)| *newcomer == peer) {
            return false;
        }
        if self.0.len() == NEWCOMERS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((now, peer));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_is_news_once_a_minute() {
        let mut newcomers = Newcomers::default();
        let (one, other) = (NodeId([1; 32]), NodeId([2; 32]));
        let later = Time::ZERO + NEWS_AGAIN_AFTER;
        let news: Vec<bool> = [(Time::ZERO, one), (Time::ZERO, one), (Time::ZERO, other), (later, one)]
            .map(|(now, peer)| newcomers.is_news(now, peer))
            .into();
        assert_eq!(news, [true, false, true, true]);
        for number in 0..=255_u8 {
            newcomers.is_news(later, NodeId([number; 32]));
        }
        assert!(newcomers.0.len() <= NEWCOMERS_MAX);
    }
}
