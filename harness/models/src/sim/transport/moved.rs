//! Nodes that come to another network.
//!
//! With fidelity `packet`, QUIC itself sees to the rest. With fidelity `message`, links go on that it would migrate: those that the
//! node has dialled, if the peer's address leads there from the new network, too. A client may move and a server may not (RFC 9000
//! §9); what peers have dialled is over, and both sides miss each other after [`idle_wait`]. A dialler sends before long, so that
//! its links migrate at once here.

use std::net::{Ipv4Addr, Ipv6Addr};

use butter::core::transport::LINK_CHECK_EVERY;

use super::*;
use crate::sim::network::Hops;

/// Pause between a node's looks at its machine's interfaces, as the driver's.
const INTERFACES_EVERY: Duration = Duration::from_secs(1);

/// Where a node comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewPlace {
    /// Index of the network.
    pub network: usize,
    /// Its address in that network.
    pub address: Ipv4Addr,
    /// Its IPv6 address there, if it has any.
    pub address6: Option<Ipv6Addr>,
}

impl<M: Debug + Encode + Decode<()>> Transport<M> {
    /// Carries out [`crate::op::Op::Move`]. When the node notices, if it runs.
    pub fn move_node(&mut self, slot: NodeSlot, to: NewPlace) -> Time {
        let label = to.address6.and_then(|address| self.labels.get(&address).copied());
        let (from, old_label) = (self.end(slot).network as usize, self.end(slot).label);
        self.networks.move_host(slot, (from, to.network), to.address, (old_label, label));
        let end = self.end_mut(slot);
        (end.network, end.address, end.label) = (to.network as u32, to.address, label);
        if let Ok(place) = self.live[from].binary_search(&slot) {
            self.live[from].remove(place);
            let place = self.live[to.network].partition_point(|&other| other < slot);
            self.live[to.network].insert(place, slot);
        }
        if !self.is_packet() && self.end(slot).alive {
            self.move_links(slot);
        }
        self.now + self.part_of(slot, INTERFACES_EVERY)
    }

    /// Has the links of a node that has moved go on or break.
    fn move_links(&mut self, slot: NodeSlot) {
        let of_node = |link: &Link| !link.broken && link.slots().contains(&slot);
        let keys: Vec<LinkKey> = self.links.iter().filter(|(_, link)| of_node(link)).map(|(key, _)| key).collect();
        let (relayed, direct): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| self.links[*key].is_relayed());
        for key in direct {
            if self.links[key].slots()[0] != slot || !self.migrate(key) {
                self.break_link(key);
            }
        }
        for key in relayed {
            if self.links[key].broken {
                continue;
            }
            match self.carriers_hops(key) {
                Some(hops) => self.take_way(key, hops),
                None => self.break_link(key),
            }
        }
    }

    /// The dialler of a link sends from its new place. Whether that reaches the peer, and the peer's answers reach it.
    fn migrate(&mut self, key: LinkKey) -> bool {
        let link = &self.links[key];
        let ([dialler, dialled], Some(to)) = (link.slots(), link.remotes[0]) else { return false };
        let ports = [link.local_port(dialler), link.local_port(dialled)];
        let Some((there, seen, hops)) = self.way_now((dialler, ports[0]), to) else { return false };
        if (there, seen.destination.port()) != (dialled, ports[1]) {
            return false;
        }
        let Some((back, answer, _)) = self.way_now((dialled, ports[1]), seen.source) else { return false };
        if (back, answer.destination.port()) != (dialler, ports[0]) || answer.source != to {
            return false;
        }
        let link = &mut self.links[key];
        (link.remotes[1], link.cut) = (Some(seen.source), None);
        self.take_way(key, hops);
        let at = self.now + self.links[key].one_way(0) + self.part_of(dialled, LINK_CHECK_EVERY);
        self.schedule(dialled, at, Event::Moved { link: key, side: 1 });
        true
    }

    /// The node that something reaches that a node sends now from a port of its own, as what, and over which routers.
    fn way_now(&mut self, (from, port): (NodeSlot, u16), to: SocketAddrV4) -> Option<(NodeSlot, Flow, Hops)> {
        let flow = udp(self.source_for(from, port, to), to);
        let (slot, flow, hops) = self.networks.resolve_way(self.now, self.end(from).network as usize, flow)?;
        self.end(slot).alive.then_some((slot, flow, hops))
    }

    /// The way of a relayed link over the two that carry it, if both still work.
    fn carriers_hops(&self, key: LinkKey) -> Option<Hops> {
        let link = &self.links[key];
        let (relay, [first, second]) = (link.relay?, link.ids().map(|peer| peer.prefix()));
        let carrier = |peer| self.link_to(relay, peer).map(|key| &self.links[key]).filter(|link| !link.broken);
        let (first, second) = (carrier(first)?, carrier(second)?);
        Some(first.hops_from(1 - first.side_of(relay)).chain(second.hops_from(second.side_of(relay))).collect())
    }

    fn take_way(&mut self, key: LinkKey, hops: Hops) {
        let pace = self.pace_of(&hops, self.links[key].pace.ahead_us);
        let link = &mut self.links[key];
        (link.hops, link.pace) = (hops, pace);
    }

    /// From now on nothing gets through.
    pub(super) fn break_link(&mut self, key: LinkKey) {
        self.links[key].broken = true;
        let [x, y] = self.links[key].slots();
        if self.links[key].relay.is_none() {
            self.break_relayed(x, y);
        }
        self.expect_silence(key, 0);
        self.expect_silence(key, 1);
    }
}
