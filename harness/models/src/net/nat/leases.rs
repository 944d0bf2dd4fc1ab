//! Mappings that inside hosts ask for (RFC 6886, RFC 6887, UPnP IGD), and those that are configured.
//!
//! A mapping that was asked for lets everybody in, and lives as long as was granted. What its inside endpoint sends leaves
//! through it, whatever the NAT does otherwise (RFC 6887 §11). Where mappings are endpoint-independent, one that traffic has
//! made is taken over with the port that it has, and lives on by its traffic when the lease has ended.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use butter::core::time::Time;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::mapping::Mapping;
use super::outside::{Place, Wish};
use super::{Nat, NatDrop, Protocol};

/// Shortest life that is granted (RFC 6887 §15).
pub const LEASE_MIN: Duration = Duration::from_secs(2 * 60);
/// Longest life that is granted: UPnP's `0`, for ever, is a week (IGD:2).
pub const LEASE_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Most mappings that are asked for at a time; beyond, only those that traffic has made anyway are granted.
pub const LEASES_MAX: usize = 1_024;

/// A port that always leads to an inside endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// Transport protocol that is forwarded.
    pub protocol: Protocol,
    /// The outside port, of the address that the inside host is paired with.
    pub port: u16,
    /// Inside endpoint that the port leads to.
    pub to: SocketAddrV4,
}

/// The outside port that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Any port that is free.
    Any,
    /// This one, or any other.
    Rather(u16),
    /// This port; otherwise no mapping is made.
    Exactly(u16),
}

/// A mapping as it was granted to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// External endpoint that remote hosts use.
    pub outside: SocketAddrV4,
    /// For how long, unless it is renewed.
    pub lifetime: Duration,
}

/// A mapping that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Transport protocol that is mapped.
    pub protocol: Protocol,
    /// Endpoint of the host that owns the mapping.
    pub inside: SocketAddrV4,
    /// External endpoint that remote hosts use.
    pub outside: SocketAddrV4,
    /// When it ends; never for one that is configured.
    pub until: Time,
}

/// Why a mapping is not granted. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// The port that is wanted is somebody else's.
    #[error("the port is taken")]
    Taken,
    /// No port is left.
    #[error("no port is left")]
    NoPort,
    /// The host has all that it may have.
    #[error("the host has as many mappings as it may have")]
    Quota,
    /// It is configured, and no host may change it.
    #[error("the mapping is configured")]
    Configured,
}

impl Nat {
    /// Asks for a mapping, or for a longer life of one that was granted: the same inside endpoint has one only.
    ///
    /// # Errors
    /// If it is not granted.
    pub fn request(
        &mut self,
        now: Time,
        protocol: Protocol,
        inside: SocketAddrV4,
        wanted: Wanted,
        lifetime: Duration,
    ) -> Result<Granted, Refused> {
        self.prune(now);
        let lifetime = lifetime.clamp(LEASE_MIN, LEASE_MAX);
        let place = match self.standing(protocol, inside) {
            Some(place) if !self.is_elsewhere(now, protocol, place, wanted) => {
                self.may_keep(now, protocol, place, wanted)?;
                place
            }
            _ if self.leased.len() >= LEASES_MAX => return Err(Refused::NoPort),
            _ => self.lease_new(protocol, inside, wanted, now + lifetime)?,
        };
        self.leased.insert((protocol, place));
        self.table.update(protocol, place, |mapping| mapping.set_lease(now + lifetime));
        Ok(Granted { outside: self.outside.endpoint(place), lifetime })
    }

    /// As [`Nat::request`], of exactly this outside port. What the same host was granted there for another port of its own
    /// makes way: a client that has begun anew takes up where it was (UPnP's WANIPConnection:1 §2.4.16).
    ///
    /// # Errors
    /// If it is not granted.
    pub fn overwrite(
        &mut self,
        now: Time,
        protocol: Protocol,
        inside: SocketAddrV4,
        port: u16,
        lifetime: Duration,
    ) -> Result<Granted, Refused> {
        self.prune(now);
        let place = Place { address: self.outside.paired(*inside.ip()), port };
        if self.is_former(now, protocol, place, inside) {
            // The host keeps the port, so that nothing can come in between, whatever else it may not have.
            self.table.vacate(protocol, place);
            self.insert_leased(protocol, inside, place, now + LEASE_MIN);
        }
        self.request(now, protocol, inside, Wanted::Exactly(port), lifetime)
    }

    /// Gives a granted mapping up; whether there was one. What its traffic keeps alive stays.
    ///
    /// # Errors
    /// If it is configured.
    pub fn withdraw(&mut self, now: Time, protocol: Protocol, inside: SocketAddrV4) -> Result<bool, Refused> {
        self.table.expire(now, &mut self.outside);
        let Some(place) = self.standing(protocol, inside) else { return Ok(false) };
        let lease = self.table.at(protocol, place).and_then(|mapping| mapping.lease(now));
        match lease {
            None => Ok(false),
            Some(Time::NEVER) => Err(Refused::Configured),
            Some(_) => {
                self.table.update(protocol, place, |mapping| mapping.set_lease(Time::ZERO));
                self.table.expire(now, &mut self.outside);
                Ok(true)
            }
        }
    }

    /// Every mapping that was asked for or is configured, by protocol and outside endpoint.
    pub fn leases(&mut self, now: Time) -> Vec<Lease> {
        self.prune(now);
        let lease = |&(protocol, place): &(Protocol, Place)| {
            let mapping = self.table.at(protocol, place)?;
            let (inside, outside) = (mapping.inside, self.outside.endpoint(place));
            Some(Lease { protocol, inside, outside, until: mapping.lease(now)? })
        };
        self.leased.iter().filter_map(lease).collect()
    }

    /// Forgets what has ended.
    fn prune(&mut self, now: Time) {
        self.table.expire(now, &mut self.outside);
        let table = &self.table;
        self.leased
            .retain(|&(protocol, place)| table.at(protocol, place).is_some_and(|mapping| mapping.lease(now).is_some()));
    }

    /// The address by which a host is seen outside.
    pub fn outside_of(&self, host: Ipv4Addr) -> Ipv4Addr {
        *self.outside.endpoint(Place { address: self.outside.paired(host), port: 0 }).ip()
    }

    /// The mapping that an inside endpoint has whoever it speaks to.
    fn standing(&self, protocol: Protocol, inside: SocketAddrV4) -> Option<Place> {
        self.table.find(&super::standing_key(protocol, inside))
    }

    /// Whether no port but another one will do for what traffic alone has mapped: then what is sent moves there, and what
    /// comes to the old port is let in until that mapping ends.
    fn is_elsewhere(&self, now: Time, protocol: Protocol, place: Place, wanted: Wanted) -> bool {
        let leased = self.table.at(protocol, place).is_some_and(|mapping| mapping.lease(now).is_some());
        !leased && matches!(wanted, Wanted::Exactly(port) if port != place.port)
    }

    /// Whether what has a port was granted to another port of the same host, whose `inside` has been granted none.
    fn is_former(&self, now: Time, protocol: Protocol, place: Place, inside: SocketAddrV4) -> bool {
        let lease = |place| self.table.at(protocol, place).and_then(|mapping| mapping.lease(now));
        let is_its = |mapping: &Mapping| mapping.inside != inside && mapping.inside.ip() == inside.ip();
        self.table.at(protocol, place).is_some_and(is_its)
            && lease(place).is_some_and(|until| until != Time::NEVER)
            && self.standing(protocol, inside).and_then(lease).is_none()
    }

    fn may_keep(&self, now: Time, protocol: Protocol, place: Place, wanted: Wanted) -> Result<(), Refused> {
        let lease = self.table.at(protocol, place).and_then(|mapping| mapping.lease(now));
        match wanted {
            _ if lease == Some(Time::NEVER) => Err(Refused::Configured),
            Wanted::Exactly(port) if port != place.port => Err(Refused::Taken),
            _ => Ok(()),
        }
    }

    fn lease_new(
        &mut self,
        protocol: Protocol,
        inside: SocketAddrV4,
        wanted: Wanted,
        until: Time,
    ) -> Result<Place, Refused> {
        let (port, exact) = match wanted {
            Wanted::Any => (None, false),
            Wanted::Rather(port) => (Some(port), false),
            Wanted::Exactly(port) => (Some(port), true),
        };
        let wish = Wish { protocol, inside, port: port.filter(|&port| port != 0), exact };
        let table = &self.table;
        let taken = self.outside.take(wish, &mut self.random, |place| table.at(protocol, place).is_none());
        let place = taken.map_err(|why| match why {
            NatDrop::Quota => Refused::Quota,
            _ if exact => Refused::Taken,
            _ => Refused::NoPort,
        })?;
        self.insert_leased(protocol, inside, place, until);
        Ok(place)
    }

    fn insert_leased(&mut self, protocol: Protocol, inside: SocketAddrV4, place: Place, until: Time) {
        let mut mapping = Mapping::leased(protocol, inside, &self.config);
        mapping.set_lease(until);
        self.table.insert(super::standing_key(protocol, inside), place, mapping);
        self.leased.insert((protocol, place));
    }

    /// Sets up what is configured.
    pub(super) fn set_forwards(&mut self) {
        for Forward { protocol, port, to } in self.forwards.clone() {
            let place = Place { address: self.outside.paired(*to.ip()), port };
            if self.standing(protocol, to).is_none() && self.table.at(protocol, place).is_none() {
                self.insert_leased(protocol, to, place, Time::NEVER);
                self.outside.pin(*to.ip());
            }
        }
    }
}
