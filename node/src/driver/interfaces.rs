//! The machine's network interfaces: where this node can be reached, and where its LANs are.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use if_addrs::{IfAddr, IfOperStatus, get_if_addrs};

use crate::core::io::LocalAddress;

/// An interface with an IPv4 address: a LAN to look for peers on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) index: u32,
    pub(super) address: Ipv4Addr,
}

/// An address of an interface.
#[derive(Clone, Debug)]
struct InterfaceAddress {
    name: String,
    index: u32,
    ip: IpAddr,
    /// Length of the prefix of the interface's network, in bits.
    prefix_len: u8,
}

/// Every interface with an IPv4 address, or those named in `only`. Loopback counts when named, or when there is nothing else.
///
/// # Errors
/// If the system does not tell.
pub(super) fn lans(only: &[String]) -> io::Result<Vec<Interface>> {
    let mut lans = Vec::<Interface>::new();
    for place in places(only)? {
        // Of several addresses of one interface the first: a group is joined once.
        if let IpAddr::V4(address) = place.ip
            && lans.iter().all(|lan| lan.index != place.index)
        {
            lans.push(Interface { name: place.name, index: place.index, address });
        }
    }
    Ok(lans)
}

/// The addresses at which a socket bound to `bound` can be reached from the interfaces' networks.
///
/// # Errors
/// If the system does not tell.
pub(super) fn addresses(bound: SocketAddr, only: &[String]) -> io::Result<Vec<LocalAddress>> {
    if !bound.ip().is_unspecified() {
        let on = up()?.into_iter().find(|interface| interface.ip() == bound.ip());
        let known = on.map(|interface| LocalAddress { address: bound, prefix_len: prefix_len(&interface) });
        return Ok(vec![known.unwrap_or_else(|| bound.into())]);
    }
    let reachable = places(only)?.into_iter().filter(|place| bound.is_ipv6() || place.ip.is_ipv4());
    let address = |ip| SocketAddr::new(ip, bound.port());
    Ok(reachable.map(|place| LocalAddress { address: address(place.ip), prefix_len: place.prefix_len }).collect())
}

fn prefix_len(interface: &if_addrs::Interface) -> u8 {
    match &interface.addr {
        IfAddr::V4(address) => address.prefixlen,
        IfAddr::V6(address) => address.prefixlen,
    }
}

/// Names of all interfaces that are up.
///
/// # Errors
/// If the system does not tell.
pub(super) fn names() -> io::Result<Vec<String>> {
    let mut names: Vec<_> = up()?.into_iter().map(|interface| interface.name).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

fn places(only: &[String]) -> io::Result<Vec<InterfaceAddress>> {
    let all = up()?;
    let wanted = |interface: &&if_addrs::Interface| {
        if only.is_empty() { !interface.is_loopback() } else { only.contains(&interface.name) }
    };
    let mut chosen: Vec<_> = all.iter().filter(wanted).collect();
    if chosen.is_empty() && only.is_empty() {
        chosen = all.iter().collect();
    }
    // A link-local IPv6 address means nothing without its interface, which a contact cannot tell.
    let usable = chosen.into_iter().filter(|interface| !(interface.is_link_local() && interface.ip().is_ipv6()));
    let mut places: Vec<_> = usable
        .map(|interface| InterfaceAddress {
            name: interface.name.clone(),
            index: interface.index.unwrap_or(0),
            ip: interface.ip(),
            prefix_len: prefix_len(interface),
        })
        .collect();
    // IPv4 first: it is what discovery speaks.
    places.sort_by_key(|place| (place.ip.is_ipv6(), place.index, place.ip));
    Ok(places)
}

fn up() -> io::Result<Vec<if_addrs::Interface>> {
    let mut all = get_if_addrs()?;
    let unfit = unfit();
    all.retain(|interface| !matches!(interface.ip(), IpAddr::V6(ip) if unfit.contains(&ip)));
    all.retain(|interface| !matches!(interface.oper_status, IfOperStatus::Down | IfOperStatus::NotPresent));
    Ok(all)
}

/// IPv6 addresses to keep from peers: tentative, temporary, deprecated, or in use by another (`linux/if_addr.h`).
fn unfit() -> Vec<Ipv6Addr> {
    const UNFIT: u8 = TEMPORARY | DAD_FAILED | DEPRECATED | TENTATIVE;
    const TEMPORARY: u8 = 0x01;
    const DAD_FAILED: u8 = 0x08;
    const DEPRECATED: u8 = 0x20;
    const TENTATIVE: u8 = 0x40;
    // Where there is no such file there is no IPv6.
    let table = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let unfit = |line: &str| {
        let mut fields = line.split_whitespace();
        let address = u128::from_str_radix(fields.next()?, 16).ok()?;
        let flags = u8::from_str_radix(fields.nth(3)?, 16).ok()?;
        (flags & UNFIT != 0).then_some(Ipv6Addr::from(address))
    };
    table.lines().filter_map(unfit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_counts_when_named() {
        let lans = lans(&["lo".to_owned()]).unwrap();
        assert_eq!(lans.len(), 1);
        assert!(lans[0].address.is_loopback());
        assert!(super::lans(&["no-such-interface".to_owned()]).unwrap().is_empty());
        assert!(names().unwrap().contains(&"lo".to_owned()));
    }

    #[test]
    fn socket_bound_to_one_address_listens_there_only_and_has_the_prefix_of_its_interface() {
        let bound = "127.0.0.1:4001".parse().unwrap();
        // The loopback network is 127.0.0.0/8 on every Linux.
        let expected = LocalAddress { address: bound, prefix_len: 8 };
        assert_eq!(addresses(bound, &[]).unwrap(), [expected]);
        let anywhere = "0.0.0.0:4001".parse().unwrap();
        assert_eq!(addresses(anywhere, &["lo".to_owned()]).unwrap(), [expected]);
    }
}
