//! A link with the frames that are on it.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use butter::core::time::Time;

use super::offload::Offload;
use super::stats::Cause;
use crate::net::link::{Link, LinkConfig, Transit};

/// Most bytes on one link: what a gigabit link of half a second holds.
pub const ON_LINK_MAX: usize = 64 << 20;

/// One direction of a router's uplink.
#[derive(Debug)]
pub struct Pipe {
    link: Link,
    /// Whether frames that stand for several must be cut first.
    pub cuts: bool,
    /// In order of arrival, as a link keeps it.
    under_way: VecDeque<UnderWay>,
    bytes: usize,
}

/// A frame on a link.
#[derive(Debug)]
pub struct UnderWay {
    due: Time,
    /// To whom, when it arrives.
    pub next_hop: Ipv4Addr,
    /// What is left to do.
    pub offload: Offload,
    /// The frame, its Ethernet addresses not filled in.
    pub frame: Box<[u8]>,
}

impl Pipe {
    /// An empty one.
    pub fn new(config: &LinkConfig, seed: u64) -> Self {
        Pipe {
            link: Link::new(config.clone(), seed),
            cuts: config.counts_packets(),
            under_way: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Puts a packet of `bytes` bytes on the link, as `frame`. True if it is across at once, and the frame still the caller's.
    ///
    /// # Errors
    /// If the link drops it.
    pub fn send(
        &mut self,
        now: Time,
        bytes: usize,
        next_hop: Ipv4Addr,
        offload: Offload,
        frame: &[u8],
    ) -> Result<bool, Cause> {
        let due = match self.link.send(now, bytes) {
            Transit::Arrives(due) => due,
            Transit::Drop(why) => return Err(why.into()),
        };
        if due <= now && self.under_way.is_empty() {
            return Ok(true);
        }
        if self.bytes + frame.len() > ON_LINK_MAX {
            return Err(Cause::QueueFull);
        }
        self.bytes += frame.len();
        self.under_way.push_back(UnderWay { due, next_hop, offload, frame: frame.into() });
        Ok(false)
    }

    /// When the next frame is across.
    pub fn next_due(&self) -> Time {
        self.under_way.front().map_or(Time::NEVER, |first| first.due)
    }

    /// The next frame that is across by now.
    pub fn arrived(&mut self, now: Time) -> Option<UnderWay> {
        let first = self.under_way.pop_front_if(|first| first.due <= now)?;
        self.bytes -= first.frame.len();
        Some(first)
    }
}
