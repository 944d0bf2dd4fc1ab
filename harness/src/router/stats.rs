//! What the data path counts, in plain numbers.

use crate::net::firewall::FirewallDrop;
use crate::net::link::{Alteration, LinkDrop};
use crate::net::nat::NatDrop;

/// Counters since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Forwarded packets and their bytes (with IP headers), by [`Direction`].
    pub forwarded: [Forwarded; Direction::ALL.len()],
    /// Dropped packets, by [`Cause`].
    pub dropped: [u64; Cause::ALL.len()],
    /// Packets that a link has let through otherwise than once, in order and whole, by [`Change`].
    pub altered: [u64; Change::ALL.len()],
}

/// Packets and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// Packets, each segment counted.
    pub packets: u64,
    /// Their bytes, with IP headers.
    pub bytes: u64,
}

impl Stats {
    /// Counts a drop.
    pub fn drop(&mut self, cause: Cause) {
        self.dropped[cause as usize] += 1;
    }

    /// How many were dropped for it.
    pub fn dropped(&self, cause: Cause) -> u64 {
        self.dropped[cause as usize]
    }

    /// Counts forwarding.
    pub fn forward(&mut self, direction: Direction, packets: u64, bytes: u64) {
        let to = &mut self.forwarded[direction as usize];
        to.packets += packets;
        to.bytes += bytes;
    }

    /// Counts what befell a packet on a link.
    pub fn alter(&mut self, Alteration { late, twice, flipped }: Alteration) {
        self.altered[Change::Reordered as usize] += u64::from(late);
        self.altered[Change::Duplicated as usize] += u64::from(twice);
        self.altered[Change::Corrupted as usize] += u64::from(flipped.is_some());
    }
}

/// Where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From inside out.
    Up,
    /// From outside in.
    Down,
    /// From inside back inside: hairpin, or to another router there.
    Within,
}

impl Direction {
    /// Every one, in the order of its number.
    pub const ALL: [Direction; 3] = [Direction::Up, Direction::Down, Direction::Within];

    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Direction::Up => "up",
            Direction::Down => "down",
            Direction::Within => "within",
        }
    }
}

/// What befell a packet on a link, beside loss: see [`Alteration`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It came late.
    Reordered,
    /// It came twice.
    Duplicated,
    /// It came with a flipped bit. Whoever receives it drops it for its checksum.
    Corrupted,
}

impl Change {
    /// Every one, in the order of its number.
    pub const ALL: [Change; 3] = [Change::Reordered, Change::Duplicated, Change::Corrupted];

    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Change::Reordered => "reordered",
            Change::Duplicated => "duplicated",
            Change::Corrupted => "corrupted",
        }
    }
}

/// Why a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// [`NatDrop::NoMapping`].
    NoMapping,
    /// [`NatDrop::Filtered`], or [`FirewallDrop::Unsolicited`].
    Filtered,
    /// [`NatDrop::NoPort`].
    NoPort,
    /// [`NatDrop::NoHairpin`].
    NoHairpin,
    /// [`NatDrop::Quota`], or [`FirewallDrop::Full`].
    Quota,
    /// [`LinkDrop::Lost`].
    Lost,
    /// [`LinkDrop::QueueFull`], or more waits on the link than the router holds.
    QueueFull,
    /// No route leads there.
    NoRoute,
    /// It came from outside to an address that is not the router's.
    NotForUs,
    /// It has made too many hops.
    TtlExceeded,
    /// It does not fit the next link.
    TooBig,
    /// Its headers are wrong.
    Malformed,
    /// Its source is not on the side that it came from.
    Spoofed,
    /// A NAT cannot translate it: no TCP, UDP, echo question from inside, or error about one of them.
    Untranslatable,
    /// A later fragment whose first was refused or did not come in time, or that was one too many to wait for it.
    Fragment,
    /// Nobody answered for the next hop, or too many packets wait for an answer.
    Unresolved,
    /// It asks for an offload that is unknown here.
    Offload,
    /// The router did not read it in time.
    Overrun,
    /// The kernel did not take it.
    NotSent,
}

impl Cause {
    /// Every one, in the order of its number.
    pub const ALL: [Cause; 19] = [
        Cause::NoMapping,
        Cause::Filtered,
        Cause::NoPort,
        Cause::NoHairpin,
        Cause::Quota,
        Cause::Lost,
        Cause::QueueFull,
        Cause::NoRoute,
        Cause::NotForUs,
        Cause::TtlExceeded,
        Cause::TooBig,
        Cause::Malformed,
        Cause::Spoofed,
        Cause::Untranslatable,
        Cause::Fragment,
        Cause::Unresolved,
        Cause::Offload,
        Cause::Overrun,
        Cause::NotSent,
    ];

    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Cause::NoMapping => "no_mapping",
            Cause::Filtered => "filtered",
            Cause::NoPort => "no_port",
            Cause::NoHairpin => "no_hairpin",
            Cause::Quota => "quota",
            Cause::Lost => "lost",
            Cause::QueueFull => "queue_full",
            Cause::NoRoute => "no_route",
            Cause::NotForUs => "not_for_us",
            Cause::TtlExceeded => "ttl_exceeded",
            Cause::TooBig => "too_big",
            Cause::Malformed => "malformed",
            Cause::Spoofed => "spoofed",
            Cause::Untranslatable => "untranslatable",
            Cause::Fragment => "fragment",
            Cause::Unresolved => "unresolved",
            Cause::Offload => "offload",
            Cause::Overrun => "overrun",
            Cause::NotSent => "not_sent",
        }
    }
}

impl From<NatDrop> for Cause {
    fn from(drop: NatDrop) -> Self {
        match drop {
            NatDrop::NoMapping => Cause::NoMapping,
            NatDrop::Filtered => Cause::Filtered,
            NatDrop::NoPort => Cause::NoPort,
            NatDrop::NoHairpin => Cause::NoHairpin,
            NatDrop::Quota => Cause::Quota,
        }
    }
}

impl From<FirewallDrop> for Cause {
    fn from(drop: FirewallDrop) -> Self {
        match drop {
            FirewallDrop::Unsolicited => Cause::Filtered,
            FirewallDrop::Full => Cause::Quota,
        }
    }
}

impl From<LinkDrop> for Cause {
    fn from(drop: LinkDrop) -> Self {
        match drop {
            LinkDrop::Lost => Cause::Lost,
            LinkDrop::QueueFull => Cause::QueueFull,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_and_directions_are_numbered_in_their_order() {
        assert!(Cause::ALL.iter().enumerate().all(|(index, &cause)| cause as usize == index));
        assert!(Change::ALL.iter().enumerate().all(|(index, &change)| change as usize == index));
        assert!(Direction::ALL.iter().enumerate().all(|(index, &direction)| direction as usize == index));
        let labels: std::collections::BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.label()).collect();
        assert_eq!(labels.len(), Cause::ALL.len());
    }
}
