//! What became of links over NATs that forgot everything: how many of their ends got an answer again, and after how long.

use super::tally::ratio;
use crate::events::{Recovery, RunTime};
use crate::plan::NetworkIndex;

/// A NAT that has forgotten every mapping, and the ends of links that led through it.
#[derive(Clone, Debug)]
pub struct Rebind {
    /// When.
    pub at: RunTime,
    /// Whose.
    pub network: NetworkIndex,
    /// Ends that ask since.
    pub ends: u64,
    /// What came of them so far.
    pub results: Vec<Recovery>,
}

/// Ends of links in figures. Those without an answer count, as ones that take for ever; those of nodes that ended do not.
#[derive(Clone, Debug, Default)]
pub struct RecoveryFigures {
    /// How many ends there are.
    pub ends: u64,
    /// After how long those with an answer got it, in order.
    after_us: Vec<u64>,
}

impl RecoveryFigures {
    /// Of these rebinds.
    pub fn of<'r>(rebinds: impl IntoIterator<Item = &'r Rebind>) -> Self {
        let mut figures = RecoveryFigures::default();
        for rebind in rebinds {
            figures.ends += rebind.ends;
            for result in &rebind.results {
                match result {
                    Recovery::Back { after_us } => figures.after_us.push(*after_us),
                    Recovery::Lost => {}
                    Recovery::Gone => figures.ends -= 1,
                }
            }
        }
        figures.after_us.sort_unstable();
        figures
    }

    /// How many have an answer.
    pub fn back(&self) -> u64 {
        self.after_us.len() as u64
    }

    /// Share of the ends that have an answer. `None` without ends.
    pub fn share(&self) -> Option<f64> {
        ratio(self.back(), self.ends)
    }

    /// A quantile (0..1) of how long it took, by nearest rank, in seconds. `None` if so many have no answer.
    pub fn after_s(&self, quantile: f64) -> Option<f64> {
        let rank = (quantile * self.ends as f64).ceil() as usize;
        self.after_us.get(rank.saturating_sub(1)).map(|&us| us as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(ends: u64, results: &[Recovery]) -> RecoveryFigures {
        let rebind = Rebind { at: RunTime(0), network: NetworkIndex(1), ends, results: results.to_vec() };
        RecoveryFigures::of([&rebind])
    }

    #[test]
    fn an_end_without_an_answer_counts_as_one_that_takes_for_ever() {
        let back = |after_us| Recovery::Back { after_us };
        let figures = figures(5, &[back(3_000_000), Recovery::Lost, back(1_000_000), Recovery::Gone]);
        assert_eq!((figures.ends, figures.back(), figures.share()), (4, 2, Some(0.5)), "one of them still asks");
        assert_eq!([0.25, 0.5, 0.51, 1.0].map(|q| figures.after_s(q)), [Some(1.0), Some(3.0), None, None]);
    }

    #[test]
    fn without_ends_there_is_nothing_to_tell() {
        let figures = figures(1, &[Recovery::Gone]);
        assert_eq!((figures.share(), figures.after_s(0.5)), (None, None));
    }
}
