//! The identifications that a NAT gives to datagrams (RFC 7857 §10, RFC 6864 §4.3). Hosts choose theirs without knowing of each
//! other; behind one address their fragments would be mixed up.

use std::hash::BuildHasher;
use std::net::Ipv4Addr;

use butter::core::random::child;
use foldhash::fast::FixedState;
use rand::Rng;

/// Counters there are. Flows of datagrams that share one only use it up sooner.
pub const COUNTERS: usize = 1_024;

/// Counters of identifications, one for each source, destination and protocol, or for several.
#[derive(Debug)]
pub struct Identifications {
    state: FixedState,
    next: Box<[u16]>,
}

impl Identifications {
    /// Each counter begins somewhere.
    pub fn new(seed: u64) -> Self {
        let mut random = child(seed, 0);
        let state = FixedState::with_seed(random.next_u64());
        Identifications { state, next: (0..COUNTERS).map(|_| random.next_u32() as u16).collect() }
    }

    /// The first of so many consecutive identifications of datagrams from `source`, as it is after translation. They come
    /// again when the counter has been around: 65,536 identifications later.
    pub fn take(&mut self, source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, count: u16) -> u16 {
        let counter = self.state.hash_one((source, destination, protocol)) as usize % COUNTERS;
        let first = self.next[counter];
        self.next[counter] = first.wrapping_add(count);
        first
    }
}
