//! Rebind recovery: how many link ends got an answer again after a NAT dropped its mappings, and how fast.

use serde::Serialize;

use crate::events::{Event, EventKind, Recovery, RunTime};
use crate::plan::{NetworkIndex, Plan};
use crate::statistics::{DurationQuantiles, censored_quantile, ratio};

/// A NAT that dropped every mapping, and the ends of the links through it.
#[derive(Clone, Debug)]
pub struct NatRebind {
    /// When the mappings were dropped.
    pub at: RunTime,
    /// The network whose NAT it is.
    pub network: NetworkIndex,
    /// Link ends that ping their peers from then on.
    pub link_ends: u64,
    /// How those link ends fared that are done.
    pub results: Vec<Recovery>,
}

/// Rebinds as the events so far show them.
#[derive(Clone, Debug, Default)]
pub struct RebindTally {
    /// Every rebind, in order.
    pub rebinds: Vec<NatRebind>,
}

impl RebindTally {
    /// Adds a rebind, or how a link end fared, if the event is one.
    pub(super) fn add(&mut self, event: &Event) {
        match event.kind {
            EventKind::Rebound { network, ends, .. } => {
                let rebind = NatRebind { at: event.at, network, link_ends: ends as u64, results: Vec::new() };
                self.rebinds.push(rebind);
            }
            EventKind::Recovered { rebind, result, .. } => self.rebinds[rebind].results.push(result),
            _ => {}
        }
    }
}

/// Sums over link ends. One without an answer counts with an infinite time; one whose node ended does not count.
#[derive(Clone, Debug, Default)]
pub struct RecoveryFigures {
    /// Link ends that count.
    pub link_ends: u64,
    /// Times until an answer came, ascending, in microseconds.
    after_us: Vec<u64>,
}

impl RecoveryFigures {
    /// Sums over these rebinds.
    pub fn of<'r>(rebinds: impl IntoIterator<Item = &'r NatRebind>) -> Self {
        let mut figures = RecoveryFigures::default();
        for rebind in rebinds {
            figures.link_ends += rebind.link_ends;
            for result in &rebind.results {
                match result {
                    Recovery::Back { after_us } => figures.after_us.push(*after_us),
                    Recovery::Lost => {}
                    Recovery::Gone => figures.link_ends -= 1,
                }
            }
        }
        figures.after_us.sort_unstable();
        figures
    }

    /// Number of link ends that got an answer.
    pub fn recovered(&self) -> u64 {
        self.after_us.len() as u64
    }

    /// Share of the link ends that got an answer. `None` without link ends.
    pub fn share(&self) -> Option<f64> {
        ratio(self.recovered(), self.link_ends)
    }

    /// A quantile (0..1) of the times until an answer came, in seconds. `None` if that many have no answer.
    pub fn after_s(&self, share: f64) -> Option<f64> {
        censored_quantile(&self.after_us, self.link_ends, share).map(|us| us as f64 / 1e6)
    }
}

/// An entry of `rebind_recovery` in `result.json`: one NAT that dropped every mapping.
#[derive(Clone, Debug, Serialize)]
pub struct RebindRecovery {
    /// Name of the network whose NAT it is.
    pub network: String,
    /// When the mappings were dropped, on the run's clock.
    pub at_s: f64,
    /// Ends of links through the NAT, each of which pinged its peer from then on.
    pub link_ends: u64,
    /// Link ends that got an answer.
    pub recovered: u64,
    /// `recovered / link_ends`; null without link ends.
    pub recovered_share: Option<f64>,
    /// Times until an answer came, in seconds. A link end without one counts with an infinite time.
    pub recovered_s: DurationQuantiles,
}

/// Recovery from every rebind, in order.
pub(super) fn rebind_recovery(plan: &Plan, tally: &RebindTally) -> Vec<RebindRecovery> {
    let of = |rebind: &NatRebind| {
        let figures = RecoveryFigures::of([rebind]);
        RebindRecovery {
            network: plan.network(rebind.network).name.clone(),
            at_s: rebind.at.as_secs_f64(),
            link_ends: figures.link_ends,
            recovered: figures.recovered(),
            recovered_share: figures.share(),
            recovered_s: DurationQuantiles::of(|share| figures.after_s(share)),
        }
    };
    tally.rebinds.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(link_ends: u64, results: &[Recovery]) -> RecoveryFigures {
        let rebind = NatRebind { at: RunTime(0), network: NetworkIndex(1), link_ends, results: results.to_vec() };
        RecoveryFigures::of([&rebind])
    }

    #[test]
    fn link_end_without_an_answer_counts_with_an_infinite_time() {
        let back = |after_us| Recovery::Back { after_us };
        let figures = figures(5, &[back(3_000_000), Recovery::Lost, back(1_000_000), Recovery::Gone]);
        assert_eq!((figures.link_ends, figures.recovered(), figures.share()), (4, 2, Some(0.5)), "one is pending");
        assert_eq!([0.25, 0.5, 0.51, 1.0].map(|q| figures.after_s(q)), [Some(1.0), Some(3.0), None, None]);
    }

    #[test]
    fn without_link_ends_there_is_neither_share_nor_time() {
        let figures = figures(1, &[Recovery::Gone]);
        assert_eq!((figures.share(), figures.after_s(0.5)), (None, None));
    }
}
