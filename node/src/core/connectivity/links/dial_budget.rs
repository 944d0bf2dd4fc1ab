//! How many dials hearsay is worth.
//!
//! What peers say of others costs nothing, and each dial sends several packets to an address that somebody chose: whoever says
//! that many peers are at one address would have this node flood it. So dials to peers that were never linked are bounded for
//! each address, for each host, for each peer that spoke of them, and in total. An answer from a host lifts its bound.
//! Introductions have bounds of their own.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::core::identity::NodeId;
use crate::core::time::Time;

/// How long a dial counts that nothing came of.
const COUNTED_FOR: Duration = Duration::from_secs(60);
/// Most such dials to one address.
const PER_ADDRESS: usize = 6;
/// Most such dials to one host.
const PER_HOST: usize = 32;
/// Most such dials to what one peer has spoken of: a liar does not use up what others need.
const PER_SOURCE: usize = 64;
/// Most such dials in all.
const IN_ALL: usize = 256;
/// Most peers remembered that were linked once. Beyond it those with the least ids are forgotten.
const MET_MAX: usize = 1_024;

#[derive(Clone, Copy, Debug)]
struct UnansweredDial {
    dialled: Time,
    to: SocketAddr,
    source: Option<NodeId>,
}

/// Dials to peers that were never linked.
#[derive(Debug, Default)]
pub(super) struct DialBudget {
    met: BTreeSet<NodeId>,
    unanswered: VecDeque<UnansweredDial>,
}

impl DialBudget {
    /// There is a link to `peer`; `remote` is its address, unless it is relayed.
    pub(super) fn note_link(&mut self, peer: NodeId, remote: Option<SocketAddr>) {
        self.met.insert(peer);
        if self.met.len() > MET_MAX {
            self.met.pop_first();
        }
        self.unanswered.retain(|dial| remote.is_none_or(|remote| remote.ip() != dial.to.ip()));
    }

    /// Whether `peer`, of which `source` has spoken, may be dialled at `address` now. Counts the dial.
    pub(super) fn take(&mut self, now: Time, peer: NodeId, address: SocketAddr, source: Option<NodeId>) -> bool {
        if self.met.contains(&peer) {
            return true;
        }
        while self.unanswered.front().is_some_and(|dial| now.since(dial.dialled) >= COUNTED_FOR) {
            self.unanswered.pop_front();
        }
        let count = |alike: &dyn Fn(&UnansweredDial) -> bool| self.unanswered.iter().filter(|dial| alike(dial)).count();
        let is_spent = self.unanswered.len() >= IN_ALL
            || count(&|dial| dial.to == address) >= PER_ADDRESS
            || count(&|dial| dial.to.ip() == address.ip()) >= PER_HOST
            || source.is_some() && count(&|dial| dial.source == source) >= PER_SOURCE;
        if !is_spent {
            self.unanswered.push_back(UnansweredDial { dialled: now, to: address, source });
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
            (0..1_000).filter(|&number| budget.take(now, peer(number), to(number), None)).count()
        };
        assert_eq!(dials(&mut budget, Time::ZERO, &|_| at(1, 1)), PER_ADDRESS);
        assert_eq!(dials(&mut budget, Time::ZERO, &|port| at(1, port)), PER_HOST - PER_ADDRESS);
        assert_eq!(dials(&mut budget, Time::ZERO, &|number| at((number % 250) as u8, number)), IN_ALL - PER_HOST);
        // Whoever was linked may be dialled, and its host has shown that it is one.
        budget.note_link(peer(7), Some(at(1, 1)));
        assert!(budget.take(Time::ZERO, peer(7), at(9, 9), None));
        assert!(budget.take(Time::ZERO, peer(8), at(1, 1), None));
        let later = Time::ZERO + COUNTED_FOR;
        assert_eq!(dials(&mut budget, later, &|_| at(2, 2)), PER_ADDRESS + 1, "one of them was linked");
    }

    #[test]
    fn one_peer_that_tells_of_many_hosts_leaves_dials_for_what_others_tell() {
        let mut budget = DialBudget::default();
        let peer = |number: u16| NodeId(std::array::from_fn(|at| number.to_be_bytes()[at % 2]));
        let mut dials = |source: u16, hosts: std::ops::Range<u16>| {
            let to = |host: u16| SocketAddr::from(([10, 0, (host >> 8) as u8, host as u8], 4001));
            hosts.filter(|&host| budget.take(Time::ZERO, peer(host), to(host), Some(peer(source)))).count()
        };
        assert_eq!(dials(1_001, 0..300), PER_SOURCE);
        assert_eq!(dials(1_002, 300..330), 30);
    }
}
