//! What hosts of the LAN may ask their router: mappings, by NAT-PMP ([`pmp`]), PCP ([`pcp`]) and UPnP ([`upnp`], found by
//! [`ssdp`]), as far as the NAT's configuration offers them.
//!
//! Everything listens on the LAN's interface alone and answers hosts of its subnet alone. A host gets mappings to itself and to
//! no other host.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use butter::core::time::Time;
use socket2::{Domain, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::sleep;

use super::config::SideConfig;
use super::control::Control;
use crate::net::nat::leases::LEASES_MAX;
use crate::net::nat::{Granted, Lease, MappingProtocol, Nat, NatConfig, Protocol, Refused, Wanted};

pub mod pcp;
pub mod pmp;
mod port_control;
pub mod soap;
pub mod ssdp;
mod upnp;

/// Most notes on mappings that are kept before those on mappings that have gone are looked for.
const NOTES_MAX: usize = 4 * LEASES_MAX;

/// How long nothing is read after a failure.
const READ_PAUSE: Duration = Duration::from_millis(10);

/// The router, as its LAN's hosts see it.
#[derive(Debug)]
pub struct Gateway {
    inside: SideConfig,
    interface: String,
    offers: NatConfig,
    control: Control,
    notes: Mutex<Notes>,
}

/// What clients have said about mappings, by inside endpoint.
#[derive(Debug, Default)]
struct Notes {
    nonces: BTreeMap<(Protocol, SocketAddrV4), pcp::PcpNonce>,
    descriptions: BTreeMap<(Protocol, SocketAddrV4), String>,
}

impl Gateway {
    /// Of a router with this NAT.
    pub fn new(inside: SideConfig, interface: String, offers: NatConfig, control: Control) -> Self {
        Gateway { inside, interface, offers, control, notes: Mutex::default() }
    }

    /// Begins to answer, as tasks of this runtime. `rebinds` changes whenever the NAT has forgotten everything.
    ///
    /// # Errors
    /// When a port is not available.
    pub fn serve(self, rebinds: watch::Receiver<u64>) -> anyhow::Result<()> {
        let gateway = Arc::new(self);
        let offers = &gateway.offers.mapping_protocols;
        if offers.contains(&MappingProtocol::NatPmp) || offers.contains(&MappingProtocol::Pcp) {
            port_control::serve(&gateway, rebinds.clone())?;
        }
        if offers.contains(&MappingProtocol::Upnp) {
            upnp::serve(&gateway)?;
            ssdp::serve(&gateway)?;
        }
        tokio::spawn(Arc::clone(&gateway).forget_with(rebinds));
        Ok(())
    }

    /// Notes are about mappings that have gone with the others.
    async fn forget_with(self: Arc<Self>, mut rebinds: watch::Receiver<u64>) {
        while rebinds.changed().await.is_ok() {
            *self.notes() = Notes::default();
        }
    }

    fn offers(&self, protocol: MappingProtocol) -> bool {
        self.offers.mapping_protocols.contains(&protocol)
    }

    /// Whether somebody may be answered.
    /// Whether it is the address of a host of the LAN.
    fn is_host(&self, address: Ipv4Addr) -> bool {
        self.inside.subnet.contains(&address) && address != self.inside.address
    }

    /// The next datagram of somebody who may be answered: its length, and whose it is.
    async fn hear(&self, socket: &UdpSocket, buffer: &mut [u8]) -> (usize, SocketAddrV4) {
        loop {
            match socket.recv_from(buffer).await {
                Ok((length, from)) => {
                    if let SocketAddr::V4(from) = from
                        && self.is_host(*from.ip())
                    {
                        return (length, from);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot read what is asked");
                    sleep(READ_PAUSE).await;
                }
            }
        }
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seconds since the NAT forgot everything, and the address outside of a host.
    async fn epoch(&self, host: Ipv4Addr) -> anyhow::Result<(u32, Ipv4Addr)> {
        self.with_nat(move |nat, now| {
            let seconds = now.since(nat.since()).as_secs();
            (u32::try_from(seconds).unwrap_or(u32::MAX), nat.outside_of(host))
        })
        .await
    }

    /// Notes something; what is noted on mappings that have gone makes room for it.
    async fn note(&self, note: impl FnOnce(&mut Notes)) -> anyhow::Result<()> {
        let full = self.notes().is_full();
        if full {
            let leases = self.leases().await?;
            let live: BTreeSet<_> = leases.iter().map(|(lease, _)| (lease.protocol, lease.inside)).collect();
            let mut notes = self.notes();
            notes.nonces.retain(|mapping, _| live.contains(mapping));
            notes.descriptions.retain(|mapping, _| live.contains(mapping));
        }
        note(&mut self.notes());
        Ok(())
    }

    async fn request(
        &self,
        protocol: Protocol,
        inside: SocketAddrV4,
        wanted: Wanted,
        lifetime: Duration,
    ) -> anyhow::Result<Result<Granted, Refused>> {
        self.with_nat(move |nat, now| nat.request(now, protocol, inside, wanted, lifetime)).await
    }

    async fn withdraw(&self, protocol: Protocol, inside: SocketAddrV4) -> anyhow::Result<Result<bool, Refused>> {
        let ended = self.with_nat(move |nat, now| nat.withdraw(now, protocol, inside)).await?;
        if ended.is_ok() {
            let mut notes = self.notes();
            notes.nonces.remove(&(protocol, inside));
            notes.descriptions.remove(&(protocol, inside));
        }
        Ok(ended)
    }

    /// Every lease, with its seconds left; none for one without an end.
    async fn leases(&self) -> anyhow::Result<Vec<(Lease, Option<u64>)>> {
        self.with_nat(|nat, now| {
            let left = |lease: Lease| (lease.until != Time::NEVER).then(|| lease.until.since(now).as_secs());
            nat.leases(now).into_iter().map(|lease| (lease, left(lease))).collect()
        })
        .await
    }

    async fn with_nat<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Nat, Time) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let done = self.control.ask(move |engine, now| engine.nat_mut().map(|nat| act(nat, now))).await?;
        done.context("the router has no NAT")
    }

    /// A UDP socket on the LAN's interface.
    fn udp(&self, address: Ipv4Addr, port: u16) -> anyhow::Result<UdpSocket> {
        let bind = || -> io::Result<UdpSocket> {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
            socket.bind_device(Some(self.interface.as_bytes()))?;
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&SocketAddr::from((address, port)).into())?;
            UdpSocket::from_std(socket.into())
        };
        bind().with_context(|| format!("cannot listen on UDP port {port} of {}", self.interface))
    }
}

impl Notes {
    fn is_full(&self) -> bool {
        self.nonces.len() + self.descriptions.len() >= NOTES_MAX
    }
}
