//! Writes the sender's zone into what a router forwards, while its address still tells which that is.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::net::packet::ipv6::{self, Packet6};
use crate::net::packet::{self, Packet};
use crate::net::zone::Zone;

/// The zones of the hosts on a router's networks. A packet of any other host keeps the mark of the router in front of it.
#[derive(Debug, Default)]
pub struct ZoneMarks(BTreeMap<IpAddr, Zone>);

impl ZoneMarks {
    /// By address.
    pub fn new(hosts: &[(IpAddr, Zone)]) -> Self {
        ZoneMarks(hosts.iter().copied().collect())
    }

    /// Marks an IPv4 packet, of which `parsed` is true.
    pub fn mark(&self, parsed: &Packet, bytes: &mut [u8]) {
        if let Some(zone) = self.of(parsed.source) {
            packet::set_dscp(bytes, zone.dscp());
        }
    }

    /// Marks an IPv6 packet, of which `parsed` is true.
    pub fn mark6(&self, parsed: &Packet6, bytes: &mut [u8]) {
        if let Some(zone) = self.of(parsed.source) {
            ipv6::set_dscp(bytes, zone.dscp());
        }
    }

    fn of(&self, source: impl Into<IpAddr>) -> Option<Zone> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&source.into()).copied()
    }
}
