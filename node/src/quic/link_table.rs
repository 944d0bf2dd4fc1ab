//! Which connections there are to each peer, and which of them is *the* link.
//!
//! Two peers that dial each other at once make two connections. Both sides must agree on the one to keep:
//!
//! 1. a direct connection beats a relayed one;
//! 2. of two made at about the same time, one over IPv6 beats one over IPv4, and then the one that the greater id dialled stays;
//! 3. otherwise the newer stays: whoever dials although there is a link does not have it any more.
//!
//! The greater id closes what is not kept, after a grace in which both ends still read from it. The lesser id only stops to send
//! over it, and falls back to it should its own choice be closed: so the two can never close each other's choice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::core::identity::NodeId;
use crate::core::transport::DIAL_TIMEOUT;

/// Connections to one peer; beyond, the oldest that is not the link is closed at once.
const PER_PEER_MAX: usize = 4;
/// Two connections made within this time were dialled at once.
const AT_ONCE: Duration = DIAL_TIMEOUT;

/// Names a connection. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// A connection to a peer.
#[derive(Debug)]
pub struct LinkEntry<C> {
    /// Names the connection.
    pub id: ConnectionId,
    /// The peer's address as seen from here; `None` when relayed.
    pub remote: Option<SocketAddr>,
    /// Whether this side dialled.
    pub dialled: bool,
    /// When it was made.
    pub since: Instant,
    /// The connection itself.
    pub connection: C,
}

/// All connections, by peer.
#[derive(Debug)]
pub struct LinkTable<C> {
    me: NodeId,
    /// The link first. Never empty.
    peers: BTreeMap<NodeId, Vec<LinkEntry<C>>>,
}

/// What a new connection changes.
#[derive(Debug, PartialEq, Eq)]
pub struct AddedLink {
    /// Whether it is the link now.
    pub is_link: bool,
    /// What this side has to close after a grace.
    pub retire: Vec<ConnectionId>,
}

/// What the loss of a connection changes.
#[derive(Debug, PartialEq, Eq)]
pub enum RemovedLink {
    /// Nothing: it was not the link, or is long forgotten.
    Nothing,
    /// Another connection is the link now.
    Link,
    /// The peer has no connection any more.
    Peer,
}

impl<C> LinkTable<C> {
    /// The links of a node that has none yet.
    pub fn new(me: NodeId) -> Self {
        LinkTable { me, peers: BTreeMap::new() }
    }

    /// Adds a connection that is authenticated.
    pub fn add(&mut self, peer: NodeId, entry: LinkEntry<C>) -> (AddedLink, Vec<LinkEntry<C>>) {
        let entries = self.peers.entry(peer).or_default();
        let is_link = entries.first().is_none_or(|link| replaces(self.me, peer, link, &entry));
        entries.insert(if is_link { 0 } else { 1 }, entry);
        let excess = entries.split_off(entries.len().min(PER_PEER_MAX));
        let closes = self.me > peer;
        let retire = entries.iter().skip(1).filter(|_| closes).map(|entry| entry.id).collect();
        (AddedLink { is_link, retire }, excess)
    }

    /// Takes out a connection that is gone.
    pub fn remove(&mut self, peer: NodeId, id: ConnectionId) -> RemovedLink {
        let Some(entries) = self.peers.get_mut(&peer) else { return RemovedLink::Nothing };
        let Some(position) = entries.iter().position(|entry| entry.id == id) else { return RemovedLink::Nothing };
        entries.remove(position);
        if entries.is_empty() {
            self.peers.remove(&peer);
            RemovedLink::Peer
        } else if position == 0 {
            // Of what is left, the best by the same rules; a direct one first.
            entries.sort_by_key(|entry| (entry.remote.is_none(), std::cmp::Reverse(entry.since)));
            RemovedLink::Link
        } else {
            RemovedLink::Nothing
        }
    }

    /// Takes out every connection to `peer`.
    pub fn remove_peer(&mut self, peer: NodeId) -> Vec<LinkEntry<C>> {
        self.peers.remove(&peer).unwrap_or_default()
    }

    /// The link to `peer`.
    pub fn link(&self, peer: NodeId) -> Option<&LinkEntry<C>> {
        self.peers.get(&peer)?.first()
    }

    /// The link to `peer`, to change.
    pub fn link_mut(&mut self, peer: NodeId) -> Option<&mut LinkEntry<C>> {
        self.peers.get_mut(&peer)?.first_mut()
    }

    /// A connection to `peer`, be it the link or not.
    pub fn get(&self, peer: NodeId, id: ConnectionId) -> Option<&LinkEntry<C>> {
        self.peers.get(&peer)?.iter().find(|entry| entry.id == id)
    }

    /// All connections.
    pub fn entries(&self) -> impl Iterator<Item = &LinkEntry<C>> + '_ {
        self.peers.values().flatten()
    }

    /// All links, to change.
    pub fn links_mut(&mut self) -> impl Iterator<Item = (NodeId, &mut LinkEntry<C>)> + '_ {
        self.peers.iter_mut().filter_map(|(&peer, entries)| Some((peer, entries.first_mut()?)))
    }

    /// Every peer to which there is a link.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.peers.keys().copied()
    }
}

fn replaces<C>(me: NodeId, peer: NodeId, link: &LinkEntry<C>, new: &LinkEntry<C>) -> bool {
    if link.remote.is_none() != new.remote.is_none() {
        return link.remote.is_none();
    }
    let at_once = new.since.saturating_duration_since(link.since) < AT_ONCE;
    let is_ipv6 = |entry: &LinkEntry<C>| entry.remote.is_some_and(|remote| remote.is_ipv6());
    match (is_ipv6(link), is_ipv6(new)) {
        (was, is) if at_once && was != is => is,
        _ if at_once && link.dialled != new.dialled => new.dialled == (me > peer),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: NodeId = NodeId([1; 32]);
    const HIGH: NodeId = NodeId([2; 32]);

    /// What two ends see of one connection.
    #[derive(Clone, Copy)]
    struct Made {
        id: u64,
        by: NodeId,
        relayed: bool,
        at_s: u64,
        ipv6: bool,
    }

    fn entry(made: Made, me: NodeId, start: Instant) -> LinkEntry<()> {
        LinkEntry {
            id: ConnectionId(made.id),
            remote: (!made.relayed).then(|| if made.ipv6 { "[2001:db8::1]:1" } else { "192.0.2.1:1" }.parse().unwrap()),
            dialled: made.by == me,
            since: start + Duration::from_secs(made.at_s),
            connection: (),
        }
    }

    fn table(me: NodeId, peer: NodeId, made: &[Made], start: Instant) -> (LinkTable<()>, Vec<ConnectionId>) {
        let mut table = LinkTable::new(me);
        let mut retired = Vec::new();
        for &made in made {
            retired = table.add(peer, entry(made, me, start)).0.retire;
        }
        (table, retired)
    }

    #[track_caller]
    fn check(made: &[Made], kept: u64) {
        let start = Instant::now();
        for order in [made.to_vec(), made.iter().rev().copied().collect()] {
            let at_once = made.iter().all(|made| made.at_s == 0);
            if !at_once && order[0].at_s > order[order.len() - 1].at_s {
                continue;
            }
            let (high, retired) = table(HIGH, LOW, &order, start);
            let (low, nothing) = table(LOW, HIGH, &order, start);
            assert_eq!(high.link(LOW).unwrap().id, ConnectionId(kept));
            assert_eq!(low.link(HIGH).unwrap().id, ConnectionId(kept));
            assert_eq!(retired.len(), made.len() - 1);
            assert!(!retired.contains(&ConnectionId(kept)));
            assert!(nothing.is_empty(), "only the greater id closes");
        }
    }

    #[test]
    fn simultaneous_dials_keep_what_the_greater_dialled() {
        let low = Made { id: 1, by: LOW, relayed: false, at_s: 0, ipv6: false };
        let high = Made { id: 2, by: HIGH, relayed: false, at_s: 0, ipv6: false };
        check(&[low, high], 2);
    }

    #[test]
    fn direct_beats_relayed_whoever_dialled_and_whenever() {
        for by in [LOW, HIGH] {
            let relayed = Made { id: 1, by: HIGH, relayed: true, at_s: 0, ipv6: false };
            let direct = Made { id: 2, by, relayed: false, at_s: 0, ipv6: false };
            check(&[relayed, direct], 2);
            check(&[relayed, Made { at_s: 60, ..direct }], 2);
            check(&[direct, Made { at_s: 60, ..relayed }], 2);
        }
    }

    #[test]
    fn ipv6_beats_ipv4_whoever_dialled_if_made_at_once() {
        for by in [LOW, HIGH] {
            let old = Made { id: 1, by: HIGH, relayed: false, at_s: 0, ipv6: false };
            let new = Made { id: 2, by, relayed: false, at_s: 0, ipv6: true };
            check(&[old, new], 2);
            check(&[new, Made { at_s: 60, ..old }], 1);
        }
    }

    #[test]
    fn a_peer_that_dials_again_later_has_lost_the_link() {
        let old = Made { id: 1, by: HIGH, relayed: false, at_s: 0, ipv6: false };
        check(&[old, Made { id: 2, by: LOW, relayed: false, at_s: 60, ipv6: false }], 2);
        check(&[old, Made { id: 2, by: HIGH, relayed: false, at_s: 60, ipv6: false }], 2);
    }

    #[test]
    fn the_lesser_falls_back_to_what_is_left() {
        let start = Instant::now();
        let made = [
            Made { id: 1, by: LOW, relayed: false, at_s: 0, ipv6: false },
            Made { id: 2, by: HIGH, relayed: false, at_s: 0, ipv6: false },
        ];
        let (mut table, _) = table(LOW, HIGH, &made, start);
        assert_eq!(table.remove(HIGH, ConnectionId(2)), RemovedLink::Link);
        assert_eq!(table.link(HIGH).unwrap().id, ConnectionId(1));
        assert_eq!(table.remove(HIGH, ConnectionId(2)), RemovedLink::Nothing);
        assert_eq!(table.remove(HIGH, ConnectionId(1)), RemovedLink::Peer);
        assert!(table.link(HIGH).is_none());
    }

    #[test]
    fn connections_to_one_peer_are_bounded() {
        let start = Instant::now();
        let mut table = LinkTable::new(LOW);
        for id in 0..20 {
            let made = Made { id, by: HIGH, relayed: false, at_s: id * 10, ipv6: false };
            let (_, excess) = table.add(HIGH, entry(made, LOW, start));
            assert_eq!(excess.len(), usize::from(id as usize >= PER_PEER_MAX));
        }
        assert_eq!(table.link(HIGH).unwrap().id, ConnectionId(19));
        assert_eq!(table.remove_peer(HIGH).len(), PER_PEER_MAX);
    }
}
