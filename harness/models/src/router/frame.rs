//! Ethernet frames and the two sides of a router: the ground floor of this folder.

use super::offload::Offload;

/// Length of an Ethernet header, in bytes.
pub const ETHERNET_LEN: usize = 14;
/// A link-layer address (MAC-48).
pub type Mac = [u8; 6];

pub(super) const TYPE_IPV4: [u8; 2] = [0x08, 0x00];
/// EtherType of frames with IPv6.
pub const TYPE_IPV6: [u8; 2] = [0x86, 0xdd];
pub(super) const TYPE_ARP: [u8; 2] = [0x08, 0x06];
pub(super) const BROADCAST: Mac = [0xff; 6];
/// How the link-layer addresses of IPv6's groups begin (RFC 2464 §7).
pub(super) const GROUP_OF_IPV6: [u8; 2] = [0x33, 0x33];

/// A side of the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The LAN that the router serves.
    Inside,
    /// The network that it is behind.
    Outside,
}

/// The interface of a side.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// Link-layer address of the interface.
    pub mac: Mac,
    /// The longest packet that it takes, in bytes.
    pub mtu: u32,
}

/// Takes a frame to be sent.
pub type FrameOutput<'a> = dyn FnMut(Side, Offload, &[u8]) + 'a;
