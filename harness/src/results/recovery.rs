//! What rebinds did to links: how many of their ends got an answer again, and after how long.

use comfy_table::Table;
use serde::Serialize;

use super::result::Latency;
use crate::plan::Plan;
use crate::report::table::{optional, percent, right_aligned, seconds, table};
use crate::results::rebind_recovery::{Rebind, RecoveryFigures};

/// A NAT that has forgotten every mapping.
#[derive(Clone, Debug, Serialize)]
pub struct Recovered {
    /// Whose.
    pub network: String,
    /// When, by the run's clock.
    pub at_s: f64,
    /// Ends of links that led through it, each of which asked its peer from then on.
    pub ends: u64,
    /// Those that got an answer.
    pub recovered: u64,
    /// `recovered / ends`
    pub share: Option<f64>,
    /// How long that took, in seconds; an end without an answer counts as one that takes for ever.
    pub after_s: Latency,
}

/// Every rebind, in order.
pub(crate) fn recoveries(plan: &Plan, rebinds: &[Rebind]) -> Vec<Recovered> {
    let of = |rebind: &Rebind| {
        let figures = RecoveryFigures::of([rebind]);
        Recovered {
            network: plan.network(rebind.network).name.clone(),
            at_s: rebind.at.as_secs_f64(),
            ends: figures.ends,
            recovered: figures.back(),
            share: figures.share(),
            after_s: Latency { p50: figures.after_s(0.5), p95: figures.after_s(0.95), max: figures.after_s(1.0) },
        }
    };
    rebinds.iter().map(of).collect()
}

/// The same for people.
pub(crate) fn recovered(recoveries: &[Recovered]) -> Option<Table> {
    if recoveries.is_empty() {
        return None;
    }
    let mut table = table(["rebound", "at", "ends of links", "answered again", "p50", "p95", "max"]);
    for of in recoveries {
        let after = [of.after_s.p50, of.after_s.p95, of.after_s.max].map(|s| optional(s, seconds));
        let share = optional(of.share, percent);
        table.add_row([of.network.clone(), seconds(of.at_s), of.ends.to_string(), share].into_iter().chain(after));
    }
    Some(right_aligned(table, 1))
}
