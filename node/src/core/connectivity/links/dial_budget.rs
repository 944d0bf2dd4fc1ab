//! How many dials hearsay is worth.
//!
//! What peers say of others costs nothing, and each dial sends several packets to an address that somebody chose: whoever says
//! that many peers are at one address would have this node flood it. So dials to peers that were never linked are bounded for
//! each address, for each host, and in total. An answer from a host lifts its bound. Introductions have bounds of their own.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::core::identity::NodeId;
use crate::core::peer_map::PeerMap;
use crate::core::time::Time;

/// How long a dial counts that nothing came of.
const COUNTED_FOR: Duration = Duration::from_secs(60);
/// Most such dials to one address.
const PER_ADDRESS: usize = 6;
/// Most such dials to one host.
const PER_HOST: usize = 32;
/// Most such dials in all.
const IN_ALL: usize = 256;
/// Most peers remembered that were linked once. Beyond it those with the least ids are forgotten.
const MET_MAX: usize = 1_024;

/// Dials to peers that were never linked.
#[derive(Debug, Default)]
pub(super) struct DialBudget {
    met: PeerMap<()>,
    unanswered: VecDeque<(Time, SocketAddr)>,
}

impl DialBudget {
    /// There is a link to `peer`; `remote` is its address, unless it is relayed.
    pub(super) fn note_link(&mut self, peer: NodeId, remote: Option<SocketAddr>) {
        self.met.insert(peer, ());
        let least = self.met.peers().next().filter(|_| self.met.len() > MET_MAX);
        least.and_then(|least| self.met.remove(least));
        self.unanswered.retain(|(_, address)| remote.is_none_or(|remote| remote.ip() != address.ip()));
    }

    /// Whether `peer` may be dialled at `address` now. Counts the dial.
    pub(super) fn take(&mut self, now: Time, peer: NodeId, address: SocketAddr) -> bool {
        if self.met.contains(peer) {
            return true;
        }
        while self.unanswered.front().is_some_and(|&(dialled, _)| now.since(dialled) >= COUNTED_FOR) {
            self.unanswered.pop_front();
        }
        let count = |alike: &dyn Fn(&SocketAddr) -> bool| self.unanswered.iter().filter(|(_, to)| alike(to)).count();
        let is_spent = self.unanswered.len() >= IN_ALL
            || count(&|to| *to == address) >= PER_ADDRESS
            || count(&|to| to.ip() == address.ip()) >= PER_HOST;
        if !is_spent {
            self.unanswered.push_back((now, address));
        }
        !is_spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dials_are_bounded_for_each_address_host_and_in_all() {
        let mut budget = DialBudget::default();
        let peer = |number: u16| NodeId(std::array::from_fn(|at| number.to_be_bytes()[at % 2]));
        let at = |host: u8, port: u16| SocketAddr::from(([10, 0, 0, host], port));
        let dials = |budget: &mut DialBudget, now, to: &dyn Fn(u16) -> SocketAddr| {
            (0..1_000).filter(|&number| budget.take(now, peer(number), to(number))).count()
        };
        assert_eq!(dials(&mut budget, Time::ZERO, &|_| at(1, 1)), PER_ADDRESS);
        assert_eq!(dials(&mut budget, Time::ZERO, &|port| at(1, port)), PER_HOST - PER_ADDRESS);
        assert_eq!(dials(&mut budget, Time::ZERO, &|number| at((number % 250) as u8, number)), IN_ALL - PER_HOST);
        // Whoever was linked may be dialled, and its host has shown that it is one.
        budget.note_link(peer(7), Some(at(1, 1)));
        assert!(budget.take(Time::ZERO, peer(7), at(9, 9)));
        assert!(budget.take(Time::ZERO, peer(8), at(1, 1)));
        let later = Time::ZERO + COUNTED_FOR;
        assert_eq!(dials(&mut budget, later, &|_| at(2, 2)), PER_ADDRESS + 1, "one of them was linked");
    }
}
