//! Later fragments have no ports: they go where the first fragment of their datagram went (RFC 4787 REQ-14). Those that come
//! before it are held: [`OutOfOrderFragments`].

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use butter::core::time::Time;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Packet;

mod out_of_order;
#[cfg(test)]
mod tests;

pub use out_of_order::{
    HELD_BYTES_MAX, HELD_BYTES_PER_DATAGRAM_MAX, HELD_FOR, HELD_MAX, HELD_PER_DATAGRAM_MAX, OutOfOrderFragments,
};

/// How long a datagram's later fragments are waited for (RFC 1122 §3.3.2: reassembly takes 60 to 120 seconds at most; a
/// router's peers send them at once).
pub const FRAGMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Most datagrams remembered; the oldest makes room.
pub const DATAGRAMS_MAX: usize = 1_024;

/// Where the first fragments of datagrams went. `T` is whatever the later ones need to follow.
#[derive(Debug)]
pub struct Fragments<T> {
    went: HashMap<Datagram, (Time, T), FixedState>,
    /// In order of time.
    order: VecDeque<(Time, Datagram)>,
}

/// What the fragments of one datagram have in common (RFC 791).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Datagram {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    identification: u16,
}

impl Datagram {
    fn of(packet: &Packet) -> Self {
        Datagram {
            source: packet.source,
            destination: packet.destination,
            protocol: packet.protocol,
            identification: packet.identification,
        }
    }
}

impl<T: Copy> Fragments<T> {
    /// A table without any entry.
    pub fn new(seed: u64) -> Self {
        Fragments { went: HashMap::with_hasher(FixedState::with_seed(seed)), order: VecDeque::new() }
    }

    /// Forgets all datagrams of the table.
    pub fn clear(&mut self) {
        self.went.clear();
        self.order.clear();
    }

    /// A first fragment, as it was before translation, went there.
    pub fn first(&mut self, now: Time, packet: &Packet, to: T) {
        while let Some(&(at, oldest)) = self.order.front()
            && (at + FRAGMENT_TIMEOUT <= now || self.order.len() >= DATAGRAMS_MAX)
        {
            self.order.pop_front();
            // A newer first fragment with the same identification keeps its own entry.
            if self.went.get(&oldest).is_some_and(|&(since, _)| since == at) {
                self.went.remove(&oldest);
            }
        }
        let datagram = Datagram::of(packet);
        self.went.insert(datagram, (now, to));
        self.order.push_back((now, datagram));
    }

    /// Where a later fragment goes, if the first came not long ago.
    pub fn later(&self, now: Time, packet: &Packet) -> Option<T> {
        let &(at, to) = self.went.get(&Datagram::of(packet))?;
        (at + FRAGMENT_TIMEOUT > now).then_some(to)
    }
}
