//! Links: which way they take, who holds them open, and how they end.

use std::net::SocketAddrV4;
use std::time::Duration;

use butter::core::time::Time;
use smallvec::SmallVec;

use super::path::{LastHeard, SidePath};
use super::sender::Sender;
use super::*;
use crate::sim::network::{Hops, LAN_LATENCY, RouterHop};

/// A link between two nodes, the one that dialled first.
#[derive(Debug)]
pub(super) struct Link {
    slots: [NodeSlot; 2],
    /// Proven in the handshake; a seat's next life has another.
    ids: [NodeId; 2],
    lives: [u32; 2],
    states: [State; 2],
    /// The peer's address as each side sees it; `None` when relayed.
    pub(super) remotes: [Option<SocketAddrV4>; 2],
    /// Each side's own port.
    ports: [u16; 2],
    /// From the first side to the second.
    pub(super) hops: Hops,
    /// The ambassador that carries it.
    pub(super) relay: Option<NodeSlot>,
    /// When it was laid.
    since: Time,
    pub(super) pace: LinkPace,
    /// Nothing gets through any more.
    pub(super) broken: bool,
    /// A NAT on the way has forgotten it, and nothing was sent outwards through that one since.
    pub(super) cut: Option<Box<Cut>>,
    /// Whether a partition lets nothing arrive over it, and how often that has begun.
    pub(super) is_parted: bool,
    pub(super) partings: u32,
    /// Messages under way.
    flights: u32,
    pub(super) heard: LastHeard,
    /// What each side knows of the path, once it is not perfect.
    paths: Option<Box<[SidePath; 2]>>,
}

/// How packets fare on the way that a link takes. Small: every message looks at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkPace {
    /// Time from each side to the other without luck or queues, in microseconds.
    one_way_us: [u64; 2],
    /// What of it is spent before the first hop, beyond [`LAN_LATENCY`], in microseconds.
    pub(super) ahead_us: u32,
    /// Without luck or queues.
    pub(super) perfect: bool,
    /// Whether a packet's size or number matters somewhere on the way.
    pub(super) counts_packets: bool,
}

/// Where a link's mapping is forgotten.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    /// The networks of the NATs.
    pub(super) networks: SmallVec<[u32; 1]>,
    /// Since when, by the first of them.
    pub(super) since: Time,
}

/// How one side sees a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has not heard of it yet.
    Pending,
    Open,
    Closed,
}

/// The way that a link takes.
pub(super) struct Way {
    /// From the dialler.
    pub(super) hops: Hops,
    /// The peer's address, as the dialler and as the dialled see it.
    pub(super) remotes: [Option<SocketAddrV4>; 2],
    /// The dialler's own port and that of the dialled.
    pub(super) ports: [u16; 2],
    /// The ambassador that carries it.
    pub(super) relay: Option<NodeSlot>,
}

impl Link {
    pub(super) fn slots(&self) -> [NodeSlot; 2] {
        self.slots
    }

    pub(super) fn ids(&self) -> [NodeId; 2] {
        self.ids
    }

    pub(super) fn peer_of(&self, slot: NodeSlot) -> NodeSlot {
        self.slots[1 - self.side_of(slot)]
    }

    pub(super) fn side_of(&self, slot: NodeSlot) -> usize {
        usize::from(self.slots[0] != slot)
    }

    /// The port from which a side sends.
    pub(super) fn local_port(&self, slot: NodeSlot) -> u16 {
        self.ports[self.side_of(slot)]
    }

    /// The path from one side to the other.
    pub(super) fn hops_from(&self, side: usize) -> impl Iterator<Item = RouterHop> + '_ {
        (0..self.hops.len()).map(move |place| self.hop_from(side, place))
    }

    pub(super) fn hop_from(&self, side: usize, place: usize) -> RouterHop {
        if side == 0 { self.hops[place] } else { self.hops[self.hops.len() - 1 - place].mirrored() }
    }

    pub(super) fn hop_count(&self) -> usize {
        self.hops.len()
    }

    /// Where this side's keep-alives go, if there is a NAT that they might pass.
    pub(super) fn keeps_alive(&self, slot: NodeSlot) -> Option<SocketAddrV4> {
        self.remotes[self.side_of(slot)].filter(|_| !self.hops.is_empty() && !self.broken && self.cut.is_none())
    }

    /// Where what `side` sends is lost, if it is.
    pub(super) fn is_cut_at(&self, hop: RouterHop) -> bool {
        self.cut.as_ref().is_some_and(|cut| cut.networks.contains(&hop.network))
            && hop.way != crate::sim::network::Way::Up
    }

    /// Whether what `side` sends makes the one mapping anew that was forgotten.
    pub(super) fn mends(&self, side: usize) -> bool {
        let network = self.cut.as_ref().filter(|cut| cut.networks.len() == 1).map(|cut| cut.networks[0]);
        network.is_some_and(|network| self.goes_out_at(side, network))
    }

    /// Whether the way from `side` leads outwards through the NAT of a network.
    pub(super) fn goes_out_at(&self, side: usize, network: u32) -> bool {
        self.hops_from(side).any(|hop| hop.network == network && hop.way != crate::sim::network::Way::Down)
    }

    /// What a side knows of a path, once it has sent packets over it one by one.
    pub(super) fn side_path(&self, side: usize) -> Option<&SidePath> {
        self.paths.as_deref().map(|paths| &paths[side])
    }

    /// What a side knows of a path, to change.
    pub(super) fn side_path_mut(&mut self, side: usize) -> Option<&mut SidePath> {
        self.paths.as_deref_mut().map(|paths| &mut paths[side])
    }

    /// One side as a sender of packets.
    pub(super) fn sender_mut(&mut self, side: usize, now: Time) -> &mut Sender {
        let round_trip = self.round_trip();
        let paths = self.paths.get_or_insert_with(|| Box::new([0, 1].map(|_| SidePath::new(now, round_trip))));
        &mut paths[side].sender
    }

    pub(super) fn is_perfect(&self) -> bool {
        self.pace.perfect && self.cut.is_none() && !self.is_parted()
    }

    /// Whether a partition lets nothing arrive.
    pub(super) fn is_parted(&self) -> bool {
        self.is_parted
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    pub(super) fn is_relayed(&self) -> bool {
        self.relay.is_some()
    }

    /// From a side to the other.
    pub(super) fn one_way(&self, side: usize) -> Duration {
        Duration::from_micros(self.pace.one_way_us[side])
    }

    pub(super) fn round_trip(&self) -> Duration {
        self.one_way(0) + self.one_way(1)
    }

    /// When what leaves now reaches the first hop.
    pub(super) fn first_hop(&self, now: Time) -> Time {
        now + LAN_LATENCY + Duration::from_micros(self.pace.ahead_us.into())
    }

    /// Whether `side` may still hear of it for the first time.
    pub(super) fn is_pending(&self, side: usize) -> bool {
        self.states[side] == State::Pending
    }

    pub(super) fn is_open(&self, side: usize) -> bool {
        self.states[side] == State::Open
    }

    fn works_for(&self, side: usize) -> bool {
        !self.broken && self.states[1 - side] != State::Closed
    }

    /// Whether it runs over IPv6.
    pub(super) fn is_ipv6(&self) -> bool {
        self.remotes[0].is_some_and(|remote| is_label(*remote.ip()))
    }

    /// Whether both sides should use it rather than `other`, by the driver's rules: a direct link beats a relayed one; of two
    /// made at once, one over IPv6 beats one over IPv4, and then the one dialled by the greater id stays; otherwise the newer.
    fn is_better_than(&self, other: &Link) -> bool {
        if self.relay.is_some() != other.relay.is_some() {
            return self.relay.is_none();
        }
        let apart = self.since.since(other.since).max(other.since.since(self.since));
        if apart < DIAL_TIMEOUT && self.is_ipv6() != other.is_ipv6() {
            return self.is_ipv6();
        }
        if apart < DIAL_TIMEOUT && self.ids != other.ids {
            return self.ids[0] > self.ids[1];
        }
        self.since >= other.since
    }
}

impl<M: Debug + Encode + Decode<()>> Transport<M> {
    /// A link of which neither side has heard yet.
    pub(super) fn lay(&mut self, slots: [NodeSlot; 2], way: Way) -> LinkKey {
        let relaying = if way.relay.is_some() { LAN_LATENCY } else { Duration::ZERO };
        let ahead = relaying + self.spread(slots[0]);
        let pace = self.pace_of(&way.hops, ahead.as_micros() as u32);
        let key = self.links.insert(Link {
            slots,
            ids: slots.map(|slot| self.end(slot).id),
            lives: slots.map(|slot| self.end(slot).life),
            states: [State::Pending; 2],
            remotes: way.remotes,
            ports: way.ports,
            hops: way.hops,
            relay: way.relay,
            since: self.now,
            pace,
            broken: false,
            cut: None,
            is_parted: false,
            partings: 0,
            flights: 0,
            heard: LastHeard::new(self.now),
            paths: None,
        });
        self.judge_link(key);
        key
    }

    /// How packets fare on a way.
    pub(super) fn pace_of(&self, hops: &Hops, ahead_us: u32) -> LinkPace {
        let us = |duration: Duration| duration.as_micros() as u64;
        let devices = us(LAN_LATENCY) * (hops.len() as u64 + 1) + u64::from(ahead_us);
        let start = LinkPace { one_way_us: [devices; 2], ahead_us, perfect: true, counts_packets: false };
        hops.iter().fold(start, |mut pace, &hop| {
            for (side, hop) in [hop, hop.mirrored()].into_iter().enumerate() {
                let (latency, is_simple) = self.networks.latency(hop);
                pace.one_way_us[side] += us(latency);
                pace.perfect &= is_simple;
            }
            pace.counts_packets |= self.networks.counts_packets(hop);
            pace
        })
    }

    /// The link that `slot` uses to a peer.
    pub(super) fn link_to(&self, slot: NodeSlot, prefix: u64) -> Option<LinkKey> {
        let links = &self.end(slot).links;
        let place = links.binary_search_by_key(&prefix, |&(peer, _)| peer).ok()?;
        Some(links[place].1)
    }

    /// Whether a node still lives the life in which a link was laid.
    pub(super) fn lives_on(&self, key: LinkKey, side: usize) -> bool {
        let link = &self.links[key];
        let end = self.end(link.slots[side]);
        end.alive && end.life == link.lives[side]
    }

    /// One side hears that a link is up.
    pub(super) fn open(&mut self, key: LinkKey, side: usize) {
        let link = &self.links[key];
        if link.states[side] != State::Pending || !self.lives_on(key, side) {
            return;
        }
        let slot = link.slots[side];
        let peer = link.ids[1 - side];
        let prefix = peer.prefix();
        let old = self.link_to(slot, prefix);
        let better = old.is_none_or(|old| {
            !self.links[old].works_for(self.links[old].side_of(slot)) || link.is_better_than(&self.links[old])
        });
        // Who dialled is owed an answer, also one that finds another link in place.
        let tell = better || side == 0;
        if better {
            self.links[key].states[side] = State::Open;
            self.enter(slot, prefix, key);
            if let Some(old) = old {
                self.shut(old, self.links[old].side_of(slot));
            }
        } else {
            self.shut(key, side);
        }
        if tell {
            let used_key = self.link_to(slot, prefix).expect("one of the two is used");
            let used = &self.links[used_key];
            let used_side = used.side_of(slot);
            let remote = used.remotes[used_side].map(|remote| self.reported_address(remote));
            self.deliver(slot, TransportEvent::LinkUp { peer, remote, dialled: used_side == 0 });
            self.report_path(used_key, used_side);
        }
    }

    /// A node closes its link to a peer; the peer hears of it.
    pub(super) fn close_to(&mut self, slot: NodeSlot, prefix: u64) {
        let Some(key) = self.link_to(slot, prefix) else { return };
        self.launch(key, slot, flight::Content::Close, 1);
        self.drop_side(key, self.links[key].side_of(slot));
    }

    /// The other side has closed.
    pub(super) fn hear_close(&mut self, key: LinkKey, side: usize) {
        let link = &self.links[key];
        let (slot, peer) = (link.slots[side], link.ids[1 - side]);
        if link.states[side] == State::Pending {
            self.shut(key, side);
        }
        if !self.end(slot).alive {
            return;
        }
        // The link used may be another than the one that was closed: then it counts whether that one still has two ends.
        let Some(used) = self.link_to(slot, peer.prefix()) else { return };
        let used_side = self.links[used].side_of(slot);
        if self.links[used].states[1 - used_side] == State::Closed {
            self.lose(used, used_side);
        }
    }

    /// A dead node's link: its peer will notice.
    pub(super) fn forsake(&mut self, key: LinkKey, dead: NodeSlot) {
        let side = self.links[key].side_of(dead);
        let peer = self.links[key].slots[1 - side];
        self.break_relayed(dead, peer);
        self.links[key].broken = true;
        self.expect_silence(key, 1 - side);
        self.shut(key, side);
    }

    /// From now on nothing gets through to `side`.
    pub(super) fn expect_silence(&mut self, key: LinkKey, side: usize) {
        let at = self.now + self.links[key].one_way(1 - side) + self.idle_wait(key, side);
        let source = self.links[key].slots[side];
        self.schedule(source, at, Event::Silence { link: key, side: side as u8 });
    }

    /// One side has heard nothing for too long.
    pub(super) fn notice_silence(&mut self, key: LinkKey, side: usize) {
        match self.links.get(key).map(|link| link.states[side]) {
            Some(State::Open) => self.lose(key, side),
            Some(State::Pending) => self.shut(key, side),
            Some(State::Closed) | None => {}
        }
    }

    /// A message has arrived or is given up: a link with two closed sides goes with the last of them.
    pub(super) fn landed(&mut self, key: LinkKey) {
        self.links[key].flights -= 1;
        self.sweep(key);
    }

    pub(super) fn took_off(&mut self, key: LinkKey) {
        self.links[key].flights += 1;
    }

    /// The link is gone for one side, which gets an event.
    fn lose(&mut self, key: LinkKey, side: usize) {
        let link = &self.links[key];
        let (slot, peer) = (link.slots[side], link.ids[1 - side]);
        if self.drop_side(key, side) {
            self.deliver(slot, TransportEvent::LinkDown { peer });
        }
    }

    /// The link is gone for one side. Whether it was the one in use.
    fn drop_side(&mut self, key: LinkKey, side: usize) -> bool {
        let link = &self.links[key];
        let [slot, peer] = [link.slots[side], link.slots[1 - side]];
        let links = &mut self.ends[slot as usize].links;
        let place = links.iter().position(|&(_, used)| used == key);
        if let Some(place) = place {
            links.remove(place);
            let port = self.links[key].local_port(slot);
            self.release_port(slot, port);
            self.break_relayed(slot, peer);
        }
        self.shut(key, side);
        place.is_some()
    }

    /// Without the link between these two, what one of them relayed for the other is cut off.
    pub(super) fn break_relayed(&mut self, x: NodeSlot, y: NodeSlot) {
        for (relay, end) in [(x, y), (y, x)] {
            self.end_mut(relay).relayed.retain(|&(a, b)| a != end && b != end);
            let carried = |&(_, key): &(u64, LinkKey)| self.links[key].relay == Some(relay) && !self.links[key].broken;
            let cut: Vec<LinkKey> =
                self.end(end).links.iter().filter(|entry| carried(entry)).map(|&(_, key)| key).collect();
            for key in cut {
                self.links[key].broken = true;
                self.expect_silence(key, 0);
                self.expect_silence(key, 1);
            }
        }
    }

    fn enter(&mut self, slot: NodeSlot, prefix: u64, key: LinkKey) {
        let links = &mut self.end_mut(slot).links;
        match links.binary_search_by_key(&prefix, |&(peer, _)| peer) {
            Ok(place) => links[place].1 = key,
            Err(place) => links.insert(place, (prefix, key)),
        }
    }

    fn shut(&mut self, key: LinkKey, side: usize) {
        self.links[key].states[side] = State::Closed;
        self.sweep(key);
    }

    fn sweep(&mut self, key: LinkKey) {
        let link = &self.links[key];
        if link.flights == 0 && link.states == [State::Closed; 2] {
            self.links.remove(key);
        }
    }
}
