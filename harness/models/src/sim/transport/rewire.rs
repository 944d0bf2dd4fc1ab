//! What changes in mid-run: NATs that forget, and links that behave otherwise.
//!
//! A NAT that forgets drops what comes in for its inside until somebody there sends again, which happens with the next message
//! or keep-alive. That makes a new mapping, and the peer sees another address. QUIC goes on if the peer is the one that was
//! dialled: a server lets its clients migrate (RFC 9000 §9), a client does not let its server. And only if every other NAT on
//! the way lets the new address in. Otherwise both sides hear nothing more, and miss each other after [`idle_wait`].

use std::net::Ipv4Addr;

use smallvec::SmallVec;

use super::link::Cut;
use super::*;
use crate::net::link::LinkConfig;
use crate::net::network_policy::NetworkPolicy;
use crate::plan::NetworkIndex;
use butter::core::transport::LINK_CHECK_EVERY;

/// How long a relayed link waits for the links that carry it before it is looked at again.
const CARRIERS_PAUSE: Duration = Duration::from_millis(100);

impl<M: Debug + Encode + Decode<()>> Transport<M> {
    /// Carries out [`crate::op::Op::Rebind`] on a network.
    pub fn rebind(&mut self, network: NetworkIndex, addresses: &[Ipv4Addr]) {
        self.networks.rebind(self.now, network.0, addresses);
        // With fidelity `packet`, QUIC itself sees to the rest.
        let network = network.0 as u32;
        // The filter of IPv6 forgets nothing: its addresses are the nodes' own.
        let over = |link: &Link| !link.broken && !link.is_ipv6() && (0..2).any(|side| link.goes_out_at(side, network));
        let keys: Vec<LinkKey> = self.links.iter().filter(|(_, link)| over(link)).map(|(key, _)| key).collect();
        for key in keys {
            let link = &mut self.links[key];
            let since = self.now;
            let cut = link.cut.get_or_insert_with(|| Cut { networks: SmallVec::new(), since }.into());
            cut.networks.push(network);
            let sender = link.slots()[usize::from(!link.goes_out_at(0, network))];
            let at = self.now + self.until_keep_alive(sender);
            self.schedule(sender, at, Event::Revive(key));
        }
    }

    /// Carries out [`crate::op::Op::SetLink`] on a network.
    pub fn set_link(&mut self, network: NetworkIndex, up: &LinkConfig, down: &LinkConfig) {
        self.networks.set_link(network.0, up, down);
        let network = network.0 as u32;
        let over = |link: &Link| link.hops.iter().any(|hop| hop.network == network);
        let keys: Vec<LinkKey> = self.links.iter().filter(|(_, link)| over(link)).map(|(key, _)| key).collect();
        for key in keys {
            let link = &self.links[key];
            let pace = self.pace_of(&link.hops, link.pace.ahead_us);
            self.links[key].pace = pace;
        }
    }

    /// Carries out [`crate::op::Op::SetFirewall`] on a network. With fidelity `message`, links over a router that stops UDP break.
    pub fn set_firewall(&mut self, network: NetworkIndex, policy: NetworkPolicy) {
        self.networks.set_firewall(network.0, policy);
        if self.is_packet() || policy.passes_udp() {
            return;
        }
        let over = |link: &Link| !link.broken && link.hops.iter().any(|hop| hop.network == network.0 as u32);
        let keys: Vec<LinkKey> = self.links.iter().filter(|(_, link)| over(link)).map(|(key, _)| key).collect();
        for key in keys {
            // A link that is carried by another may have broken with it.
            if !self.links[key].broken {
                self.break_link(key);
            }
        }
    }

    /// Something is sent outwards over a link whose mapping was forgotten.
    pub(super) fn revive(&mut self, key: LinkKey) {
        let Some(link) = self.links.get(key).filter(|link| !link.broken) else { return };
        let Some(cut) = link.cut.clone() else { return };
        if link.relay.is_some() {
            self.revive_relayed(key);
        } else if self.find_way(key, &cut.networks) {
            self.links[key].cut = None;
        } else {
            self.links[key].broken = true;
            let [x, y] = self.links[key].slots();
            self.break_relayed(x, y);
            for side in 0..2 {
                // What it heard last came before the mapping was forgotten.
                let at = cut.since + self.links[key].one_way(1 - side) + self.idle_wait(key, side);
                let slot = self.links[key].slots()[side];
                self.schedule(slot, at, Event::Silence { link: key, side: side as u8 });
            }
        }
    }

    /// A relayed link goes on when both links that carry it do; it breaks with either.
    fn revive_relayed(&mut self, key: LinkKey) {
        let link = &self.links[key];
        let Some(relay) = link.relay else { return };
        let [first, second] = link.ids().map(|peer| self.link_to(relay, peer.prefix()));
        let is_cut = |carrier: Option<LinkKey>| carrier.is_some_and(|carrier| self.links[carrier].cut.is_some());
        if is_cut(first) || is_cut(second) {
            let at = self.now + CARRIERS_PAUSE;
            self.schedule(relay, at, Event::Revive(key));
        } else {
            self.links[key].cut = None;
        }
    }

    /// Whether the two sides reach each other over NATs that have forgotten them, once their insides have sent again.
    fn find_way(&mut self, key: LinkKey, networks: &[u32]) -> bool {
        let link = &self.links[key];
        let inner = usize::from(!networks.iter().any(|&network| link.goes_out_at(0, network)));
        let outer = 1 - inner;
        let (slots, remotes) = (link.slots(), link.remotes);
        let ports = slots.map(|slot| link.local_port(slot));
        let (Some(out_to), Some(was_seen)) = (remotes[inner], remotes[outer]) else { return false };
        // Where both are behind such NATs, each opens its own for the other.
        self.sent_now((slots[outer], ports[outer]), was_seen);
        let Some((reached, out)) = self.sent_now((slots[inner], ports[inner]), out_to) else { return false };
        let migrates = outer == 1;
        if reached != (slots[outer], ports[outer]) || out.source != was_seen && !migrates {
            return false;
        }
        let Some((back, answer)) = self.sent_now((slots[outer], ports[outer]), out.source) else { return false };
        if back != (slots[inner], ports[inner]) || answer.source != out_to {
            return false;
        }
        if out.source != was_seen {
            self.links[key].remotes[outer] = Some(out.source);
            let at = self.now + self.links[key].one_way(inner) + self.until_look(slots[outer]);
            self.schedule(slots[outer], at, Event::Moved { link: key, side: outer as u8 });
        }
        true
    }

    /// A node sees that a peer has come to another address.
    pub(super) fn moved(&mut self, key: LinkKey, side: usize) {
        let Some(link) = self.links.get(key).filter(|link| link.is_open(side)) else { return };
        let (slot, peer) = (link.slots()[side], link.ids()[1 - side]);
        let remote = link.remotes[side].map(SocketAddr::V4);
        if self.end(slot).alive && self.link_to(slot, peer.prefix()) == Some(key) {
            self.deliver(slot, TransportEvent::LinkUp { peer, remote, dialled: side == 0 });
        }
    }

    /// The node and port that something reaches that a node sends now from a port of its own, and as what.
    fn sent_now(&mut self, (from, port): (NodeSlot, u16), to: SocketAddrV4) -> Option<((NodeSlot, u16), Flow)> {
        let flow = udp(SocketAddrV4::new(self.end(from).address, port), to);
        let (slot, flow) = self.networks.resolve(self.now, self.end(from).network as usize, flow)?;
        self.end(slot).alive.then_some(((slot, flow.destination.port()), flow))
    }

    /// Where in the pause between two keep-alives a node is, by luck.
    fn until_keep_alive(&mut self, slot: NodeSlot) -> Duration {
        self.part_of(slot, KEEP_ALIVE)
    }

    /// Where in the pause between two looks at its peers' addresses.
    fn until_look(&mut self, slot: NodeSlot) -> Duration {
        self.part_of(slot, LINK_CHECK_EVERY)
    }

    pub(super) fn part_of(&mut self, slot: NodeSlot, pause: Duration) -> Duration {
        let steps = pause.as_micros() as u64 / SPREAD_US;
        self.spread(slot) * steps as u32
    }
}
