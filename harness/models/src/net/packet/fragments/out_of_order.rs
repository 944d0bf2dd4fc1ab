//! Later fragments that came before their first one wait for it, each side's by themselves.
//!
//! Bounded in every way, so that a flood of them costs other hosts nothing (RFC 4787 REQ-14a): whole packets and fragments in
//! order never wait here.

use std::collections::VecDeque;
use std::time::Duration;

use butter::core::time::Time;

use super::{Datagram, Packet};

/// How long a fragment waits. What was overtaken is milliseconds late; a first fragment that was lost never comes.
pub const HELD_FOR: Duration = Duration::from_secs(1);
/// Most fragments that wait; the oldest makes room.
pub const HELD_MAX: usize = 512;
/// Most bytes of theirs, frame and all; the oldest make room.
pub const HELD_BYTES_MAX: usize = 512 << 10;
/// Most fragments of one datagram that wait; others are not taken. The longest datagram is 45 packets of Ethernet.
pub const HELD_PER_DATAGRAM_MAX: usize = 64;
/// Most bytes of theirs: the longest datagram, with the headers of its fragments.
pub const HELD_BYTES_PER_DATAGRAM_MAX: usize = 72 << 10;

/// The fragments that wait.
#[derive(Debug, Default)]
pub struct OutOfOrderFragments {
    /// In order of time.
    held: VecDeque<Held>,
    bytes: usize,
}

#[derive(Debug)]
struct Held {
    since: Time,
    datagram: Datagram,
    frame: Box<[u8]>,
}

impl OutOfOrderFragments {
    /// Holds a later fragment, which came as `frame`. Returns how many fragments had to be dropped, this one or others.
    pub fn hold(&mut self, now: Time, packet: &Packet, frame: &[u8]) -> u64 {
        let datagram = Datagram::of(packet);
        let siblings = || self.held.iter().filter(|held| held.datagram == datagram);
        let bytes: usize = siblings().map(|held| held.frame.len()).sum();
        if siblings().count() >= HELD_PER_DATAGRAM_MAX || bytes + frame.len() > HELD_BYTES_PER_DATAGRAM_MAX {
            return 1;
        }
        self.bytes += frame.len();
        self.held.push_back(Held { since: now, datagram, frame: frame.into() });
        self.drop_oldest_while(|out_of_order| out_of_order.held.len() > HELD_MAX || out_of_order.bytes > HELD_BYTES_MAX)
    }

    /// The fragments that have waited for this first one, in the order in which they came; they wait no longer.
    pub fn release(&mut self, first: &Packet) -> Vec<Box<[u8]>> {
        let datagram = Datagram::of(first);
        let mut released = Vec::new();
        self.held.retain_mut(|held| {
            let waits_on = held.datagram != datagram;
            if !waits_on {
                self.bytes -= held.frame.len();
                released.push(std::mem::take(&mut held.frame));
            }
            waits_on
        });
        released
    }

    /// When [`OutOfOrderFragments::expire`] has something to do.
    pub fn next_due(&self) -> Time {
        self.held.front().map_or(Time::NEVER, |oldest| oldest.since + HELD_FOR)
    }

    /// Drops the fragments that have waited for too long; returns how many.
    pub fn expire(&mut self, now: Time) -> u64 {
        self.drop_oldest_while(|out_of_order| out_of_order.next_due() <= now)
    }

    /// Drops them all; returns how many.
    pub fn clear(&mut self) -> u64 {
        self.drop_oldest_while(|out_of_order| !out_of_order.held.is_empty())
    }

    fn drop_oldest_while(&mut self, is_too_much: impl Fn(&Self) -> bool) -> u64 {
        let mut dropped = 0;
        while is_too_much(self)
            && let Some(oldest) = self.held.pop_front()
        {
            self.bytes -= oldest.frame.len();
            dropped += 1;
        }
        dropped
    }
}
