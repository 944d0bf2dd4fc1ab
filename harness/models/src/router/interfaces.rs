//! The router's interfaces: found by subnet, and given the addresses that they shall have.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, bail, ensure};
use futures_util::TryStreamExt;
use rtnetlink::packet_core::DefaultNla;
use rtnetlink::packet_core::Emitable;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{AfSpecInet, AfSpecUnspec, LinkAttribute};
use rtnetlink::{Handle, LinkUnspec};

use super::config::{RouterConfig, SideConfig};
use super::frame::Interface;

/// `IFLA_INET_CONF` of `linux/if_link.h`, with the flag of a nested attribute.
const INET_CONF_NESTED: u16 = 1 | 1 << 15;
/// `IPV4_DEVCONF_FORWARDING` and `IPV4_DEVCONF_ARP_IGNORE` of `linux/ip.h`.
const FORWARDING: u16 = 1;
const ARP_IGNORE: u16 = 19;
/// Values of `arp_ignore`: answer only for addresses of the interface asked on; answer for none.
const ONLY_OWN: u32 = 1;
const NEVER: u32 = 8;

/// An interface as the kernel has it.
#[derive(Clone, Debug)]
pub struct AttachedInterface {
    /// The kernel's number of it.
    pub index: u32,
    /// Name of the interface, such as `eth0`.
    pub name: String,
    /// What the engine must know of it.
    pub interface: Interface,
}

/// The interfaces of a router.
#[derive(Clone, Debug)]
pub struct Interfaces {
    /// The interface on the LAN.
    pub inside: AttachedInterface,
    /// The one to the network that the LAN is behind.
    pub outside: Option<AttachedInterface>,
    /// The one of the control proxy.
    pub management: Option<AttachedInterface>,
}

/// Finds the interfaces and prepares them: the inside one has the gateway's address and no other, the outside one has none that
/// the kernel knows of, and the kernel forwards between none of them.
///
/// # Errors
/// When one is missing, or the kernel refuses.
pub async fn prepare(config: &RouterConfig) -> anyhow::Result<Interfaces> {
    let (connection, handle, _) = rtnetlink::new_connection().context("cannot open a netlink socket")?;
    let connection = tokio::spawn(connection);
    let result = prepare_with(&handle, config).await;
    connection.abort();
    result
}

async fn prepare_with(handle: &Handle, config: &RouterConfig) -> anyhow::Result<Interfaces> {
    let addresses: Vec<AddressMessage> =
        handle.address().get().execute().try_collect().await.context("cannot list addresses")?;
    let find = async |side: Option<SideConfig>, what: &str| match side {
        None => anyhow::Ok(None),
        Some(side) => attached(handle, find(&addresses, side, what)?).await.map(Some),
    };
    let inside = find(Some(config.inside), "inside").await?.context("there is always an inside")?;
    let outside = find(config.outside, "outside").await?;
    let management = find(config.management, "management").await?;
    let all: Vec<&AttachedInterface> =
        [Some(&inside), outside.as_ref(), management.as_ref()].into_iter().flatten().collect();
    for (at, one) in all.iter().enumerate() {
        ensure!(all[..at].iter().all(|other| other.index != one.index), "{} is found for two sides", one.name);
    }

    stop_forwarding(handle, &all, outside.as_ref()).await?;
    if config.ipv6.is_some() {
        [Some(&inside), outside.as_ref()].into_iter().flatten().try_for_each(leave_ipv6)?;
    }
    set_address(handle, &addresses, &inside, Some(config.inside)).await?;
    if let Some(outside) = &outside {
        set_address(handle, &addresses, outside, None).await?;
    }
    Ok(Interfaces { inside, outside, management })
}

fn local(message: &AddressMessage) -> Option<Ipv4Addr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(ip)) => Some(*ip),
        _ => None,
    });
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(IpAddr::V4(ip)) => Some(*ip),
        _ => None,
    });
    local.or(address)
}

/// The index of the interface with the side's address, or else with any in its subnet.
fn find(addresses: &[AddressMessage], side: SideConfig, what: &str) -> anyhow::Result<u32> {
    let with = |wanted: &dyn Fn(Ipv4Addr) -> bool| {
        addresses.iter().find(|message| local(message).is_some_and(wanted)).map(|message| message.header.index)
    };
    let index = with(&|ip| ip == side.address).or_else(|| with(&|ip| side.subnet.contains(&ip)));
    let seen = || addresses.iter().filter_map(local).map(|ip| ip.to_string()).collect::<Vec<_>>().join(", ");
    index.with_context(|| format!("no interface has an address in {} ({what}); there are: {}", side.subnet, seen()))
}

async fn attached(handle: &Handle, index: u32) -> anyhow::Result<AttachedInterface> {
    let link = handle.link().get().match_index(index).execute().try_next().await;
    let link = link.with_context(|| format!("cannot look at interface {index}"))?;
    let link = link.with_context(|| format!("interface {index} has gone"))?;
    let (mut name, mut mac, mut mtu) = (None, None, None);
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(it) => name = Some(it),
            LinkAttribute::Address(it) => mac = it.try_into().ok(),
            LinkAttribute::Mtu(it) => mtu = Some(it),
            _ => {}
        }
    }
    let name = name.with_context(|| format!("interface {index} has no name"))?;
    let mac = mac.with_context(|| format!("{name} is no Ethernet interface"))?;
    let mtu = mtu.with_context(|| format!("{name} has no MTU"))?;
    Ok(AttachedInterface { index, name, interface: Interface { mac, mtu } })
}

/// Leaves an interface with exactly this IPv4 address, or with none.
async fn set_address(
    handle: &Handle,
    addresses: &[AddressMessage],
    on: &AttachedInterface,
    wanted: Option<SideConfig>,
) -> anyhow::Result<()> {
    let is_wanted = |message: &AddressMessage| {
        wanted.is_some_and(|side| {
            local(message) == Some(side.address) && message.header.prefix_len == side.subnet.prefix_len()
        })
    };
    let here: Vec<&AddressMessage> =
        addresses.iter().filter(|message| message.header.index == on.index && local(message).is_some()).collect();
    if wanted.is_some() && here.len() == 1 && is_wanted(here[0]) {
        return Ok(());
    }
    // All of them first: deleting a primary address takes the secondary ones of its subnet along.
    for message in here {
        match handle.address().del(message.clone()).execute().await {
            Ok(()) => {}
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::EADDRNOTAVAIL => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot remove an address of {} (NET_ADMIN?)", on.name));
            }
        }
    }
    let Some(side) = wanted else { return Ok(()) };
    let add = handle.address().add(on.index, side.address.into(), side.subnet.prefix_len());
    add.execute().await.with_context(|| format!("cannot give {} to {} (NET_ADMIN?)", side.address, on.name))
}

/// Keeps the kernel from forwarding past the NAT, and from answering ARP for what is not its own.
async fn stop_forwarding(
    handle: &Handle,
    all: &[&AttachedInterface],
    outside: Option<&AttachedInterface>,
) -> anyhow::Result<()> {
    // May be read-only, as in a container; then the interfaces' own switches do.
    let _ = fs::write("/proc/sys/net/ipv4/ip_forward", "0");
    for on in all {
        let answers = if outside.is_some_and(|outside| outside.index == on.index) { NEVER } else { ONLY_OWN };
        configure(handle, on, &[(FORWARDING, 0), (ARP_IGNORE, answers)]).await?;
        let path = format!("/proc/sys/net/ipv4/conf/{}/forwarding", on.name);
        let forwarding = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        if forwarding.trim() != "0" {
            bail!("the kernel would forward packets past the router: start it with the sysctl net.ipv4.ip_forward=0");
        }
    }
    Ok(())
}

/// Keeps the kernel out of IPv6 on an interface: it would answer, and take addresses, beside the router.
fn leave_ipv6(on: &AttachedInterface) -> anyhow::Result<()> {
    let path = format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", on.name);
    // A kernel without IPv6 has no such file, and is out of it.
    let Ok(disabled) = fs::read_to_string(&path) else { return Ok(()) };
    // May be read-only, as in a container, where the engine has done it.
    if disabled.trim() == "1" || fs::write(&path, "1").is_ok() {
        return Ok(());
    }
    bail!(
        "the kernel takes part in IPv6 on {}: start the router with the sysctl net.ipv6.conf.all.disable_ipv6=1",
        on.name
    )
}

/// Sets values of `/proc/sys/net/ipv4/conf/<interface>` by netlink, which also works where /proc is read-only.
async fn configure(handle: &Handle, on: &AttachedInterface, values: &[(u16, u32)]) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    for &(kind, value) in values {
        let attribute = DefaultNla::new(kind, value.to_ne_bytes().to_vec());
        let at = bytes.len();
        bytes.resize(at + attribute.buffer_len(), 0);
        attribute.emit(&mut bytes[at..]);
    }
    let conf = AfSpecInet::Other(DefaultNla::new(INET_CONF_NESTED, bytes));
    let message = LinkUnspec::new_with_index(on.index)
        .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet(vec![conf])]))
        .build();
    handle.link().set(message).execute().await.with_context(|| format!("cannot configure {} (NET_ADMIN?)", on.name))
}
