//! A link with the frames that are on it.

use std::collections::VecDeque;
use std::net::IpAddr;

use butter::core::time::Time;

use super::frame::ETHERNET_LEN;
use super::offload::Offload;
use super::stats::DropCause;
use crate::net::link::{Alteration, Link, LinkConfig, LinkMtu, Transit};
use crate::net::packet;

/// Most bytes on one link: what a gigabit link of half a second holds.
pub const ON_LINK_MAX: usize = 64 << 20;

/// One direction of a router's uplink.
#[derive(Debug)]
pub struct LinkQueue {
    link: Link,
    /// Whether frames that stand for several must be cut first.
    pub cuts: bool,
    /// Longest packet that it takes, if that is less than networks do.
    pub mtu: Option<LinkMtu>,
    /// In order of arrival.
    under_way: VecDeque<QueuedFrame>,
    bytes: usize,
}

/// What became of a frame that was put on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkVerdict {
    /// It is across at once, and still the caller's.
    Passed,
    /// It arrives later, or altered so.
    Queued(Alteration),
}

/// A frame on a link.
#[derive(Clone, Debug)]
pub struct QueuedFrame {
    due: Time,
    /// Next hop of the frame when it arrives.
    pub next_hop: IpAddr,
    /// What is left to do.
    pub offload: Offload,
    /// The frame, its Ethernet addresses not filled in.
    pub frame: Box<[u8]>,
}

impl QueuedFrame {
    /// Flips a bit of the packet, counted from behind the Ethernet header, and leaves the checksums as they are. A checksum
    /// that is still to be computed is computed first: done afterwards it would cover the damage up.
    fn damage(&mut self, bit: u32) {
        if let Some((start, offset)) = self.offload.checksum.take() {
            packet::complete(&mut self.frame[usize::from(start)..], usize::from(offset));
        }
        self.frame[ETHERNET_LEN + bit as usize / 8] ^= 1 << (bit % 8);
    }
}

impl LinkQueue {
    /// A queue without any frame.
    pub fn new(config: &LinkConfig, seed: u64) -> Self {
        LinkQueue {
            link: Link::new(config.clone(), seed),
            cuts: config.counts_packets(),
            mtu: config.mtu,
            under_way: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Puts a packet of `bytes` bytes on the link, as `frame`.
    ///
    /// # Errors
    /// If the link drops it.
    pub fn send(
        &mut self,
        now: Time,
        bytes: usize,
        next_hop: IpAddr,
        offload: Offload,
        frame: &[u8],
    ) -> Result<LinkVerdict, DropCause> {
        let (due, alteration) = match self.link.send(now, bytes) {
            Transit::Arrives(due) if due <= now && self.under_way.is_empty() => return Ok(LinkVerdict::Passed),
            Transit::Arrives(due) => (due, Alteration::default()),
            Transit::Altered(due, alteration) => (due, alteration),
            Transit::Drop(why) => return Err(why.into()),
        };
        let copies = 1 + usize::from(alteration.twice);
        if self.bytes + copies * frame.len() > ON_LINK_MAX {
            return Err(DropCause::QueueFull);
        }
        let mut first = QueuedFrame { due, next_hop, offload, frame: frame.into() };
        if alteration.twice {
            self.put(first.clone());
        }
        if let Some(bit) = alteration.flipped {
            first.damage(bit);
        }
        self.put(first);
        Ok(LinkVerdict::Queued(alteration))
    }

    /// Behind whatever arrives no later: only what is late has others to overtake it.
    fn put(&mut self, frame: QueuedFrame) {
        self.bytes += frame.frame.len();
        let place = self.under_way.iter().rposition(|other| other.due <= frame.due).map_or(0, |before| before + 1);
        self.under_way.insert(place, frame);
    }

    /// From now on the link behaves so. What is on it arrives as if nothing had changed.
    pub fn change(&mut self, config: &LinkConfig) {
        self.link.change(config.clone());
        (self.cuts, self.mtu) = (config.counts_packets(), config.mtu);
    }

    /// When the next frame is across.
    pub fn next_due(&self) -> Time {
        self.under_way.front().map_or(Time::NEVER, |first| first.due)
    }

    /// The next frame that is across by now.
    pub fn arrived(&mut self, now: Time) -> Option<QueuedFrame> {
        let first = self.under_way.pop_front_if(|first| first.due <= now)?;
        self.bytes -= first.frame.len();
        Some(first)
    }
}
