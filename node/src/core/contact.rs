//! What one peer knows about another: who it is, where it may be reached, and how good a host it is.

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;

use bincode::{Decode, Encode};

use super::identity::NodeId;

/// Most local addresses that a contact carries; more are cut when it is received.
pub const ADDRESSES_MAX: usize = 4;

/// How to reach a peer and what to expect of it.
///
/// Nodes keep and pass on contacts by the dozen, and simulated nodes all the same ones: so that where a peer may be reached,
/// which seldom changes, is shared and not copied.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Contact {
    /// The peer's id, its public key.
    pub id: NodeId,
    /// Where it may be reached; its fields are read as the contact's own.
    pub addresses: Arc<ContactAddresses>,
    /// Whether it is an ambassador: it answers dials from anywhere, introduces peers and relays.
    pub ambassador: bool,
    /// Its uptime, storage and known hosts.
    pub quality: Quality,
}

/// Where a peer may be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ContactAddresses {
    /// Where it listens on its own network, at most [`ADDRESSES_MAX`].
    pub local: Vec<SocketAddr>,
    /// Its address as peers on other networks see it, once one has reported it. Equal to a local one where no NAT is between.
    pub external_address: Option<SocketAddr>,
    /// Its address outside that a NAT was asked to forward to it: any host can dial it.
    pub mapped: Option<SocketAddr>,
    /// An ambassador that keeps a link to it and introduces those who cannot dial it.
    pub via: Option<AmbassadorAddress>,
}

impl Deref for Contact {
    type Target = ContactAddresses;
    fn deref(&self) -> &ContactAddresses {
        &self.addresses
    }
}

/// An ambassador through which a peer can be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AmbassadorAddress {
    /// The ambassador's id, its public key.
    pub id: NodeId,
    /// The public address at which it listens.
    pub address: SocketAddr,
}

/// Quality of a host as Butter takes it: three quantities, each compared with the mean of those known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Quality {
    /// Seconds since the node started.
    pub uptime_s: u32,
    /// Storage it has left, in KiB.
    pub storage_free_kib: u32,
    /// Number of hosts it knows.
    pub hosts: u16,
}

impl Contact {
    /// A contact of which nothing but identity and one local address is known.
    pub fn at(id: NodeId, address: SocketAddr) -> Self {
        let addresses = ContactAddresses { local: vec![address], ..ContactAddresses::default() };
        Contact { id, addresses: addresses.into(), ambassador: false, quality: Quality::default() }
    }

    /// A contact of which nothing is known but that any host can dial it there.
    pub fn public(id: NodeId, address: SocketAddr) -> Self {
        let mut contact = Contact::at(id, address);
        contact.set_external(Some(address), None);
        contact
    }

    /// Notes where else it may be reached; shared with whoever else has it only if nothing changes.
    pub fn set_external(&mut self, external_address: Option<SocketAddr>, via: Option<AmbassadorAddress>) {
        if (self.external_address, self.via) != (external_address, via) {
            let addresses = Arc::make_mut(&mut self.addresses);
            (addresses.external_address, addresses.via) = (external_address, via);
        }
    }

    /// Whether it is seen at another address than where it listens.
    pub fn is_behind_nat(&self) -> bool {
        self.external_address.is_some_and(|external_address| !self.local.contains(&external_address))
    }

    /// Notes the port that a NAT forwards to it.
    pub fn set_mapped(&mut self, mapped: Option<SocketAddr>) {
        if self.mapped != mapped {
            Arc::make_mut(&mut self.addresses).mapped = mapped;
        }
    }

    /// Whether it keeps the bounds of a contact; one that does not is not taken from a peer.
    pub fn is_bounded(&self) -> bool {
        self.local.len() <= ADDRESSES_MAX
    }

    /// The label of [`Contact::network`] of a peer that this node, whose contact it is, sees at an address of a direct link.
    pub fn network_seen_at(&self, seen: SocketAddr) -> u64 {
        let seen = seen.ip().to_canonical();
        let prefix = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => u128::from(u32::from(ip) >> 8),
            IpAddr::V6(ip) => u128::from(ip) >> 80,
        };
        let near = |own: &SocketAddr| own.is_ipv4() == seen.is_ipv4() && prefix(own.ip()) == prefix(seen);
        if self.local.iter().any(near) {
            return self.network();
        }
        match seen {
            IpAddr::V4(ip) => u64::from(u32::from(ip)),
            IpAddr::V6(ip) => (u128::from(ip) >> 80) as u64,
        }
    }

    /// A label of the network it sits in, for spreading replicas: its outermost IPv4 address, or the /48 of an IPv6 one.
    /// Peers behind one NAT share it; so do peers of one LAN that know no address outside.
    pub fn network(&self) -> u64 {
        let external_address = self.external_address.filter(|address| !self.local.contains(address));
        match external_address.or(self.local.first().copied()).map(|address| address.ip()) {
            None => 0,
            Some(IpAddr::V4(ip)) if external_address.is_some() => u64::from(u32::from(ip)),
            Some(IpAddr::V4(ip)) => u64::from(u32::from(ip) >> 8),
            Some(IpAddr::V6(ip)) => (u128::from(ip) >> 80) as u64,
        }
    }
}
