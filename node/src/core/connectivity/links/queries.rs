//! What links tell: how they run, who is an ambassador, where this node is seen.

use std::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use super::{Link, Links};
use crate::core::contact::AmbassadorAddress;
use crate::core::identity::NodeId;
use crate::core::io::LinkPath;
use crate::core::nat_report::PunchMethod;
use crate::core::stats::Stats;

/// Most ambassadors that are asked how they see this node.
const REFLECTORS_MAX: usize = 3;
/// Hosts of other networks that must see this node at one address for it to be believed.
const WITNESSES_NEEDED: usize = 3;

impl<M> Links<M> {
    /// How the link to `peer` runs, if it is up.
    pub fn path(&self, peer: NodeId) -> Option<LinkPath> {
        self.up.get(peer).map(|link| self.path_of(link))
    }

    pub(super) fn path_of(&self, link: &Link) -> LinkPath {
        let contact = link.contact.as_ref();
        let peer_behind_nat = contact.is_some_and(|contact| contact.via.is_some());
        let mapped = if link.dialled { contact.and_then(|contact| contact.mapped) } else { self.place.mapped };
        match link.remote {
            None => LinkPath::Relayed,
            Some(remote) if self.place.is_near(remote) && contact.is_none_or(|c| c.local.contains(&remote)) => {
                LinkPath::Lan
            }
            Some(remote) if remote.is_ipv6() => LinkPath::Direct,
            Some(_) if matches!(link.method, Some(PunchMethod::Predicted | PunchMethod::Birthday)) => {
                LinkPath::Predicted
            }
            Some(remote) if link.method.is_none() && mapped.is_some_and(|at| !link.dialled || at == remote) => {
                LinkPath::Mapped
            }
            Some(_) if link.introduced && peer_behind_nat && self.place.is_behind_nat() => LinkPath::Punched,
            Some(_) => LinkPath::Direct,
        }
    }

    /// The host of another network from which `peer`, who has said who it is, has dialled, if neither an introduction nor a dial
    /// from here can have opened a way for it.
    pub fn unsolicited_caller(&self, peer: NodeId) -> Option<IpAddr> {
        let link =
            self.up.get(peer).filter(|link| link.unsolicited && link.greeted && self.path_of(link) != LinkPath::Lan)?;
        link.remote.map(|remote| remote.ip())
    }

    /// Whether peers on enough hosts of other networks see this node at `ip`.
    pub fn agree_on(&self, ip: IpAddr) -> bool {
        let mut hosts: SmallVec<[IpAddr; WITNESSES_NEEDED]> = SmallVec::new();
        for link in self.up.values().filter(|link| link.distant().seen.is_some_and(|seen| seen.ip() == ip)) {
            let host = self.remote_beyond(link).map(|remote| remote.ip());
            hosts.extend(host.filter(|host| !hosts.contains(host)));
            if hosts.len() == WITNESSES_NEEDED {
                return true;
            }
        }
        false
    }

    /// A linked ambassador on another network through which `me` could be met: nodes that choose among the same choose different
    /// ones.
    pub fn fallback_ambassador(&self, me: NodeId) -> Option<AmbassadorAddress> {
        let candidates = self.up.iter().filter(|(_, link)| link.is_ambassador());
        let vias =
            candidates.filter_map(|(id, link)| Some(AmbassadorAddress { id, address: self.remote_beyond(link)? }));
        vias.min_by_key(|via| via.id.prefix() ^ me.prefix())
    }

    /// The address of a directly linked peer on another network.
    fn remote_beyond(&self, link: &Link) -> Option<SocketAddr> {
        link.remote.filter(|&remote| !self.place.is_near(remote))
    }

    /// Whether `peer` is an ambassador that this node chose to dial.
    pub fn has_chosen(&self, peer: NodeId) -> bool {
        self.up.get(peer).is_some_and(|link| link.dialled && link.is_ambassador())
    }

    /// Whether a direct link leads to `address`.
    pub fn leads_to(&self, address: SocketAddr) -> bool {
        self.up.values().any(|link| link.remote == Some(address))
    }

    /// Linked ambassadors, in a stable order.
    pub fn ambassadors(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.up.iter().filter(|(_, link)| link.is_ambassador()).map(|(id, _)| id)
    }

    /// How a linked peer must still see this node, or the link is dead: QUIC takes a new address from a client, from a server
    /// it does not.
    pub fn expected_reflection(&self, peer: NodeId) -> Option<SocketAddr> {
        self.up.get(peer).filter(|link| !link.dialled)?.distant().seen
    }

    /// Whether a linked peer has said who it is.
    pub fn is_greeted(&self, peer: NodeId) -> bool {
        self.up.get(peer).is_some_and(|link| link.greeted)
    }

    /// Peers linked directly, but on other networks.
    pub fn distant(&self) -> Vec<NodeId> {
        self.up.iter().filter(|(_, link)| self.remote_beyond(link).is_some()).map(|(peer, _)| peer).collect()
    }

    /// A relayed link: whether this side dialled it, and where an ambassador saw the peer when it introduced it.
    pub fn relayed(&self, peer: NodeId) -> Option<(bool, Option<IpAddr>)> {
        let link = self.up.get(peer).filter(|link| link.remote.is_none())?;
        Some((link.dialled, link.distant().observed_ip))
    }

    /// Linked ambassadors on other networks, by the addresses that lead to them; each at another host. First those that are
    /// `trusted`: others only say that they are ambassadors.
    pub fn reflectors(&self, trusted: impl Fn(NodeId) -> bool) -> Vec<SocketAddr> {
        let (first, others): (Vec<_>, Vec<_>) =
            self.up.iter().filter(|(_, link)| link.is_ambassador()).partition(|&(peer, _)| trusted(peer));
        let remotes = first.into_iter().chain(others).filter_map(|(_, link)| self.remote_beyond(link));
        let mut reflectors: Vec<SocketAddr> = Vec::new();
        // What they see is of use only where a NAT may be between.
        for remote in remotes.filter(SocketAddr::is_ipv4) {
            if reflectors.len() < REFLECTORS_MAX && reflectors.iter().all(|other| other.ip() != remote.ip()) {
                reflectors.push(remote);
            }
        }
        reflectors
    }

    /// Sets the gauges of links by path.
    pub fn gauges(&self, stats: &mut Stats) {
        for link in self.up.values() {
            *match self.path_of(link) {
                LinkPath::Lan => &mut stats.links_lan,
                LinkPath::Direct => &mut stats.links_direct,
                LinkPath::Mapped => &mut stats.links_mapped,
                LinkPath::Punched => &mut stats.links_punched,
                LinkPath::Predicted => &mut stats.links_predicted,
                LinkPath::Relayed => &mut stats.links_relayed,
            } += 1;
        }
    }
}
