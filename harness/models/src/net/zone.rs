//! Zones: sets of hosts that every partition of a run treats alike, and which of them are cut off from which.
//!
//! The rule is judged where a packet arrives. There its source address tells the sender's zone only if no NAT has replaced it, so
//! routers write the zone into the header of what they forward: the field for differentiated services (RFC 2474) passes NATs.

use serde::{Deserialize, Serialize};

/// Zones of a run: as many as a packet's DSCP field can tell apart.
pub const ZONES_MAX: usize = 64;

/// A set of hosts that all partitions treat alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Zone(u8);

impl Zone {
    /// Of hosts that are in no partition, and of what carries no mark.
    pub const OUTSIDE: Zone = Zone(0);

    /// The zone of this number; `None` if it is not below [`ZONES_MAX`].
    pub fn new(number: usize) -> Option<Self> {
        (number < ZONES_MAX).then_some(Zone(number as u8))
    }

    /// The value of the DSCP field that stands for it.
    pub fn dscp(self) -> u8 {
        self.0
    }

    fn bit(self) -> u64 {
        1 << self.0
    }
}

/// Which way a partition cuts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CutDirection {
    /// Nothing passes between hosts of different sides.
    #[default]
    Both,
    /// What a side sends does not reach the sides after it, which still reach it.
    OneWay,
}

impl CutDirection {
    /// Whether it cuts in either direction.
    pub fn is_both(&self) -> bool {
        *self == CutDirection::Both
    }
}

/// Pairs of zones of which what one sends does not reach the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneCuts([u64; ZONES_MAX]);

impl Default for ZoneCuts {
    fn default() -> Self {
        ZoneCuts([0; ZONES_MAX])
    }
}

impl ZoneCuts {
    /// Has nothing that one zone sends reach another. The other way is a cut of its own.
    pub fn cut(&mut self, from: Zone, to: Zone) {
        self.0[usize::from(to.0)] |= from.bit();
    }

    /// Whether nothing that `from` sends reaches `to`.
    pub fn is_cut(&self, from: Zone, to: Zone) -> bool {
        self.0[usize::from(to.0)] & from.bit() != 0
    }

    /// The zones from which nothing reaches `zone`, in order.
    pub fn cut_from(&self, zone: Zone) -> impl Iterator<Item = Zone> {
        let cut = self.0[usize::from(zone.0)];
        (0..ZONES_MAX as u8).map(Zone).filter(move |other| cut & other.bit() != 0)
    }

    /// Whether everything passes.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|cut| *cut == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_counts_in_its_direction_and_for_no_other_zone() {
        let [a, b, c] = [1, 63, 5].map(|number| Zone::new(number).unwrap());
        let mut cuts = ZoneCuts::default();
        assert!(cuts.is_empty());
        cuts.cut(a, b);
        assert!(cuts.is_cut(a, b) && !cuts.is_cut(b, a) && !cuts.is_empty());
        assert!(!cuts.is_cut(a, c) && !cuts.is_cut(b, Zone::OUTSIDE) && !cuts.is_cut(a, a));
        assert_eq!(cuts.cut_from(b).collect::<Vec<_>>(), [a]);
        assert_eq!(Zone::new(ZONES_MAX), None);
    }
}
