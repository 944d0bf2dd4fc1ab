//! The router's own neighbour discovery (RFC 4861): who is at which link-layer address, in IPv6, and what the router advertises to
//! its LAN, whose hosts make their addresses of it (RFC 4862).

use std::net::Ipv6Addr;
use std::time::Duration;

use butter::core::time::Time;
use ipnet::Ipv6Net;

use super::frame::{Mac, TYPE_IPV6};
use super::neighbours::{Neighbours, SendFrame};
use super::offload::Offload;
use crate::net::autoconf::link_local;
use crate::net::packet::ipv6::{Packet6, icmp, is_icmp_intact};

/// Types of ICMPv6 messages.
pub const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Options.
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const PREFIX: u8 = 3;
const MTU: u8 = 5;

/// What shows that a message was made on this very link.
const HOP_LIMIT: u8 = 255;
/// All nodes of a link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Advertisements that follow each other quickly at the start, and how quickly. RFC 4861 wants 3 s or more between them, for
/// the sake of slow links.
pub const FIRST_ADVERTISEMENTS: u32 = 4;
/// Pause between the [`FIRST_ADVERTISEMENTS`].
pub const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Pause between later ones: the least that RFC 4861 has as a default.
pub const PAUSE: Duration = Duration::from_secs(200);
/// How long a router, a prefix is good for, in seconds (RFC 4861 §6.2.1: three times the longest pause; a day).
const ROUTER_LIFETIME_S: u16 = 1_800;
const PREFIX_LIFETIME_S: u32 = 86_400;

/// What a router tells its LAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterAdvertisement {
    /// Where hosts make their addresses.
    pub prefix: Ipv6Net,
    /// Whether it leads anywhere else.
    pub is_default: bool,
    /// The longest packet of the LAN, in bytes.
    pub mtu: u32,
}

impl Neighbours<Ipv6Addr> {
    /// The neighbours of the interface `mac`, whose router has `address` there.
    pub fn over_ndp(address: Ipv6Addr, mac: Mac) -> Self {
        Neighbours::asking_by(vec![link_local(mac), address], mac, solicitation)
    }

    /// Reads a message between neighbours: answers it if it asks for an own address, and learns from it.
    pub fn heard_ndp(&mut self, now: Time, packet: &Packet6, bytes: &[u8], from: Mac, send: SendFrame<'_>) {
        let message = packet.payload(bytes);
        if packet.hop_limit != HOP_LIMIT || message.len() < 24 || !is_icmp_intact(packet, bytes) {
            return;
        }
        let target = Ipv6Addr::from(<[u8; 16]>::try_from(&message[8..24]).expect("sixteen bytes"));
        match message[0] {
            SOLICITATION if self.own().contains(&target) => {
                // Whoever looks whether the address is free has none yet.
                if !packet.source.is_unspecified() {
                    self.learn(now, packet.source, link_layer(message, SOURCE_LINK_LAYER).unwrap_or(from), send);
                }
                send(Offload::default(), &advertisement(target, self.mac(), packet.source, from));
            }
            ADVERTISEMENT
                if !target.is_multicast() && !self.own().contains(&target) && self.is_asked_or_known(target) =>
            {
                self.learn(now, target, link_layer(message, TARGET_LINK_LAYER).unwrap_or(from), send);
            }
            _ => {}
        }
    }
}

/// The link-layer address that a message gives in an option.
fn link_layer(message: &[u8], option: u8) -> Option<Mac> {
    let mut options = message.get(24..)?;
    while options.len() >= 8 {
        let length = usize::from(options[1]) * 8;
        if options[0] == option {
            return options[2..8].try_into().ok();
        }
        // An option without length would never end.
        options = options.get(length.max(8)..)?;
    }
    None
}

fn solicitation(own: Ipv6Addr, mac: Mac, target: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c] = target.octets();
    let mut group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).octets();
    group[13..].copy_from_slice(&[a, b, c]);
    let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(&target.octets());
    add_link_layer(&mut message, SOURCE_LINK_LAYER, mac);
    frame([0x33, 0x33, 0xff, a, b, c], mac, &icmp(own, group.into(), HOP_LIMIT, &message))
}

fn advertisement(own: Ipv6Addr, mac: Mac, to: Ipv6Addr, to_mac: Mac) -> Vec<u8> {
    const ROUTER: u8 = 0x80;
    const SOLICITED: u8 = 0x40;
    const OVERRIDE: u8 = 0x20;
    let is_for_all = to.is_unspecified();
    let flags = ROUTER | OVERRIDE | if is_for_all { 0 } else { SOLICITED };
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
    message.extend_from_slice(&own.octets());
    add_link_layer(&mut message, TARGET_LINK_LAYER, mac);
    if is_for_all {
        return frame(TO_ALL_NODES, mac, &icmp(own, ALL_NODES, HOP_LIMIT, &message));
    }
    frame(to_mac, mac, &icmp(own, to, HOP_LIMIT, &message))
}

/// What a router says to all hosts of its LAN.
pub fn router_advertisement(mac: Mac, advertisement: RouterAdvertisement) -> Vec<u8> {
    const HOPS: u8 = 64;
    const ON_LINK_AND_AUTONOMOUS: u8 = 0xc0;
    let lifetime = if advertisement.is_default { ROUTER_LIFETIME_S } else { 0 };
    let mut message = vec![ROUTER_ADVERTISEMENT, 0, 0, 0, HOPS, 0];
    message.extend_from_slice(&lifetime.to_be_bytes());
    message.extend_from_slice(&[0; 8]);
    add_link_layer(&mut message, SOURCE_LINK_LAYER, mac);
    message.extend_from_slice(&[MTU, 1, 0, 0]);
    message.extend_from_slice(&advertisement.mtu.to_be_bytes());
    message.extend_from_slice(&[PREFIX, 4, advertisement.prefix.prefix_len(), ON_LINK_AND_AUTONOMOUS]);
    message.extend_from_slice(&PREFIX_LIFETIME_S.to_be_bytes());
    message.extend_from_slice(&PREFIX_LIFETIME_S.to_be_bytes());
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&advertisement.prefix.network().octets());
    frame(TO_ALL_NODES, mac, &icmp(link_local(mac), ALL_NODES, HOP_LIMIT, &message))
}

/// The link-layer address of [`ALL_NODES`] (RFC 2464 §7).
const TO_ALL_NODES: Mac = [0x33, 0x33, 0, 0, 0, 1];

fn add_link_layer(message: &mut Vec<u8>, option: u8, mac: Mac) {
    message.extend_from_slice(&[option, 1]);
    message.extend_from_slice(&mac);
}

fn frame(to: Mac, from: Mac, packet: &[u8]) -> Vec<u8> {
    [&to[..], &from, &TYPE_IPV6, packet].concat()
}
