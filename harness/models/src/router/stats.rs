//! What the data path counts, in plain numbers, and under which names and help it is exposed.

use butter::core::stats::{Instrument, InstrumentKind};

use crate::net::firewall::FirewallDrop;
use crate::net::link::{Alteration, LinkDrop};
use crate::net::nat::NatDrop;

const FORWARDED_PACKETS: Instrument = Instrument {
    name: "butter_router_forwarded_packets_total",
    help: "Packets forwarded: up from the LAN, down into it, or within it; each segment counts",
    kind: InstrumentKind::Counter,
};
const FORWARDED_BYTES: Instrument = Instrument {
    name: "butter_router_forwarded_bytes_total",
    help: "Bytes of the packets forwarded, with their IP headers",
    kind: InstrumentKind::Counter,
};
const DROPPED: Instrument = Instrument {
    name: "butter_router_dropped_total",
    help: "Packets dropped, by cause",
    kind: InstrumentKind::Counter,
};
const ALTERED: Instrument = Instrument {
    name: "butter_router_altered_total",
    help: "Packets that a link delivered late, twice or with a flipped bit",
    kind: InstrumentKind::Counter,
};
const NAT_MAPPINGS: Instrument =
    Instrument { name: "butter_router_nat_mappings", help: "Live mappings of the NAT", kind: InstrumentKind::Gauge };

/// Counters of a router since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterStats {
    /// Forwarded packets and their bytes (with IP headers), by [`ForwardDirection`].
    pub forwarded: [Forwarded; ForwardDirection::ALL.len()],
    /// Dropped packets, by [`DropCause`].
    pub dropped: [u64; DropCause::ALL.len()],
    /// Packets that a link delivered late, twice or damaged, by [`AlterationKind`].
    pub altered: [u64; AlterationKind::ALL.len()],
}

/// Packets that were forwarded, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// Packets, each segment counted.
    pub packets: u64,
    /// Their bytes, with IP headers.
    pub bytes: u64,
}

impl RouterStats {
    /// Hands every instrument with its label and value to `take`, always in the same order. `mappings` are those of the NAT,
    /// if the router has one.
    pub fn each(
        &self,
        mappings: Option<usize>,
        mut take: impl FnMut(&Instrument, Option<(&'static str, &'static str)>, u64),
    ) {
        let forwarded = || ForwardDirection::ALL.into_iter().zip(&self.forwarded);
        for (direction, forwarded) in forwarded() {
            take(&FORWARDED_PACKETS, Some(("direction", direction.label())), forwarded.packets);
        }
        for (direction, forwarded) in forwarded() {
            take(&FORWARDED_BYTES, Some(("direction", direction.label())), forwarded.bytes);
        }
        for (cause, count) in DropCause::ALL.into_iter().zip(self.dropped) {
            take(&DROPPED, Some(("cause", cause.label())), count);
        }
        for (change, count) in AlterationKind::ALL.into_iter().zip(self.altered) {
            take(&ALTERED, Some(("change", change.label())), count);
        }
        if let Some(mappings) = mappings {
            take(&NAT_MAPPINGS, None, mappings as u64);
        }
    }

    /// Counts a packet that was dropped.
    pub fn drop(&mut self, cause: DropCause) {
        self.dropped[cause as usize] += 1;
    }

    /// Number of packets dropped for this cause.
    pub fn dropped(&self, cause: DropCause) -> u64 {
        self.dropped[cause as usize]
    }

    /// Counts packets that were forwarded.
    pub fn forward(&mut self, direction: ForwardDirection, packets: u64, bytes: u64) {
        let to = &mut self.forwarded[direction as usize];
        to.packets += packets;
        to.bytes += bytes;
    }

    /// Counts how a link altered a packet.
    pub fn alter(&mut self, Alteration { late, twice, flipped }: Alteration) {
        self.altered[AlterationKind::Reordered as usize] += u64::from(late);
        self.altered[AlterationKind::Duplicated as usize] += u64::from(twice);
        self.altered[AlterationKind::Corrupted as usize] += u64::from(flipped.is_some());
    }
}

/// Direction in which a router forwards a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardDirection {
    /// From the inside to the outside.
    Up,
    /// From the outside to the inside.
    Down,
    /// From the inside back to the inside: hairpin, or to another router there.
    Within,
}

impl ForwardDirection {
    /// All variants, in the order of their numbers.
    pub const ALL: [ForwardDirection; 3] = [ForwardDirection::Up, ForwardDirection::Down, ForwardDirection::Within];

    /// Value of the label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            ForwardDirection::Up => "up",
            ForwardDirection::Down => "down",
            ForwardDirection::Within => "within",
        }
    }
}

/// How a link altered a packet: see [`Alteration`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlterationKind {
    /// The packet was delivered late.
    Reordered,
    /// The packet was delivered twice.
    Duplicated,
    /// The packet was delivered with a flipped bit. Its receiver drops it because of its checksum.
    Corrupted,
}

impl AlterationKind {
    /// All variants, in the order of their numbers.
    pub const ALL: [AlterationKind; 3] =
        [AlterationKind::Reordered, AlterationKind::Duplicated, AlterationKind::Corrupted];

    /// Value of the label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            AlterationKind::Reordered => "reordered",
            AlterationKind::Duplicated => "duplicated",
            AlterationKind::Corrupted => "corrupted",
        }
    }
}

/// Why a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropCause {
    /// The NAT has none, see [`NatDrop::NoMapping`].
    NoMapping,
    /// A filter refused it: [`NatDrop::Filtered`], or [`FirewallDrop::Unsolicited`].
    Filtered,
    /// No external port is free, see [`NatDrop::NoPort`].
    NoPort,
    /// The NAT does no hairpinning, see [`NatDrop::NoHairpin`].
    NoHairpin,
    /// A host or table has its most: [`NatDrop::Quota`], or [`FirewallDrop::Full`].
    Quota,
    /// The link lost it, see [`LinkDrop::Lost`].
    Lost,
    /// [`LinkDrop::QueueFull`], or more waits on the link than the router holds.
    QueueFull,
    /// No route leads to the destination.
    NoRoute,
    /// The packet came from outside, to an address that is not the router's.
    NotForUs,
    /// The packet has made too many hops.
    TtlExceeded,
    /// The packet does not fit the next link.
    TooBig,
    /// The headers of the packet are malformed.
    Malformed,
    /// The source address does not belong to the side that the packet came from.
    Spoofed,
    /// A NAT cannot translate the packet: no TCP, UDP, echo question from inside, or error about one of them.
    Untranslatable,
    /// A later fragment whose first was refused or did not come in time, or that was one too many to wait for it.
    Fragment,
    /// The next hop did not answer ARP or NDP, or too many packets wait for an answer.
    Unresolved,
    /// The packet asks for an unknown offload.
    Offload,
    /// The router did not read the packet in time.
    Overrun,
    /// The kernel did not accept the packet for sending.
    NotSent,
}

impl DropCause {
    /// All variants, in the order of their numbers.
    pub const ALL: [DropCause; 19] = [
        DropCause::NoMapping,
        DropCause::Filtered,
        DropCause::NoPort,
        DropCause::NoHairpin,
        DropCause::Quota,
        DropCause::Lost,
        DropCause::QueueFull,
        DropCause::NoRoute,
        DropCause::NotForUs,
        DropCause::TtlExceeded,
        DropCause::TooBig,
        DropCause::Malformed,
        DropCause::Spoofed,
        DropCause::Untranslatable,
        DropCause::Fragment,
        DropCause::Unresolved,
        DropCause::Offload,
        DropCause::Overrun,
        DropCause::NotSent,
    ];

    /// Value of the label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            DropCause::NoMapping => "no_mapping",
            DropCause::Filtered => "filtered",
            DropCause::NoPort => "no_port",
            DropCause::NoHairpin => "no_hairpin",
            DropCause::Quota => "quota",
            DropCause::Lost => "lost",
            DropCause::QueueFull => "queue_full",
            DropCause::NoRoute => "no_route",
            DropCause::NotForUs => "not_for_us",
            DropCause::TtlExceeded => "ttl_exceeded",
            DropCause::TooBig => "too_big",
            DropCause::Malformed => "malformed",
            DropCause::Spoofed => "spoofed",
            DropCause::Untranslatable => "untranslatable",
            DropCause::Fragment => "fragment",
            DropCause::Unresolved => "unresolved",
            DropCause::Offload => "offload",
            DropCause::Overrun => "overrun",
            DropCause::NotSent => "not_sent",
        }
    }
}

impl From<NatDrop> for DropCause {
    fn from(drop: NatDrop) -> Self {
        match drop {
            NatDrop::NoMapping => DropCause::NoMapping,
            NatDrop::Filtered => DropCause::Filtered,
            NatDrop::NoPort => DropCause::NoPort,
            NatDrop::NoHairpin => DropCause::NoHairpin,
            NatDrop::Quota => DropCause::Quota,
        }
    }
}

impl From<FirewallDrop> for DropCause {
    fn from(drop: FirewallDrop) -> Self {
        match drop {
            FirewallDrop::Unsolicited => DropCause::Filtered,
            FirewallDrop::Full => DropCause::Quota,
        }
    }
}

impl From<LinkDrop> for DropCause {
    fn from(drop: LinkDrop) -> Self {
        match drop {
            LinkDrop::Lost => DropCause::Lost,
            LinkDrop::TooBig => DropCause::TooBig,
            LinkDrop::QueueFull => DropCause::QueueFull,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_numbered_in_their_order() {
        assert!(DropCause::ALL.iter().enumerate().all(|(index, &cause)| cause as usize == index));
        assert!(AlterationKind::ALL.iter().enumerate().all(|(index, &change)| change as usize == index));
        assert!(ForwardDirection::ALL.iter().enumerate().all(|(index, &direction)| direction as usize == index));
        let labels: std::collections::BTreeSet<_> = DropCause::ALL.iter().map(|cause| cause.label()).collect();
        assert_eq!(labels.len(), DropCause::ALL.len());
    }
}
