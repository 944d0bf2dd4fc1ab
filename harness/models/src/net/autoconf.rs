//! Addresses that follow from an IPv4 address: link-layer addresses, and the IPv6 addresses that hosts derive from those.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

/// The link-layer address of whoever has this IPv4 address: as Docker's bridge driver derives it, and asked for explicitly
/// everywhere.
pub fn mac(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}

/// The address that a host with this IPv4 address takes in an advertised subnet.
pub fn autoconfigured(subnet: Ipv6Net, address: Ipv4Addr) -> Ipv6Addr {
    (u128::from(subnet.network()) | u128::from(identifier(mac(address)))).into()
}

/// The link-local address of an interface.
pub fn link_local(mac: [u8; 6]) -> Ipv6Addr {
    (u128::from(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)) | u128::from(identifier(mac))).into()
}

/// The interface identifier of a link-layer address (RFC 4291 appendix A).
fn identifier([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    // The bit that says "made up" in a link-layer address says "unique in the world" here, the other way round.
    u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_linux_derives_from_a_link_layer_address() {
        let host = Ipv4Addr::new(10, 1, 0, 10);
        let subnet = "2001:db8:7::/64".parse().unwrap();
        assert_eq!(autoconfigured(subnet, host).to_string(), "2001:db8:7:0:42:aff:fe01:a");
        assert_eq!(link_local(mac(host)).to_string(), "fe80::42:aff:fe01:a");
    }
}
