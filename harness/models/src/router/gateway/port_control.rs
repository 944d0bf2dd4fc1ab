//! The server of NAT-PMP and PCP, which share a port, and its word to everybody when the NAT has forgotten everything.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::sleep;

use super::pcp::{self, PcpOperation};
use super::pmp;
use super::{Gateway, MappingProtocol, Protocol, Refused, Wanted};

/// Port of the server.
const SERVER_PORT: u16 = 5_351;
/// Where clients listen for what is sent unasked.
const CLIENTS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 1), 5_350);
/// How often it is sent, with pauses that double from [`TELL_PAUSE`] (RFC 6886 §3.2.1, RFC 6887 §14.1.3).
const TELL_TIMES: u32 = 10;
/// See [`TELL_TIMES`].
const TELL_PAUSE: Duration = Duration::from_millis(250);
/// Longest life of a mapping: a day (RFC 6887 §15).
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn serve(gateway: &Arc<Gateway>, rebinds: watch::Receiver<u64>) -> anyhow::Result<()> {
    let socket = Arc::new(gateway.udp(gateway.inside.address, SERVER_PORT)?);
    tokio::spawn(tell(Arc::clone(gateway), Arc::clone(&socket), rebinds));
    tokio::spawn(answer_all(Arc::clone(gateway), socket));
    Ok(())
}

async fn answer_all(gateway: Arc<Gateway>, socket: Arc<UdpSocket>) {
    // One byte more than is read of any packet, so that one that is too long is seen to be.
    let mut buffer = [0; pcp::PACKET_MAX + 1];
    loop {
        let (length, client) = gateway.hear(&socket, &mut buffer).await;
        match gateway.answer(*client.ip(), &buffer[..length]).await {
            Ok(Some(answer)) => {
                if let Err(error) = socket.send_to(&answer, client).await {
                    tracing::debug!(%error, "cannot answer a request for a mapping");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::debug!("a request for a mapping is not answered: {error:#}"),
        }
    }
}

/// Tells everybody, now and whenever the NAT has forgotten everything.
async fn tell(gateway: Arc<Gateway>, socket: Arc<UdpSocket>, mut rebinds: watch::Receiver<u64>) {
    loop {
        let mut pause = TELL_PAUSE;
        for _ in 0..TELL_TIMES {
            if let Err(error) = gateway.tell_once(&socket).await {
                tracing::debug!("cannot tell of the new epoch: {error:#}");
            }
            tokio::select! {
                () = sleep(pause) => pause *= 2,
                changed = rebinds.changed() => match changed {
                    Ok(()) => pause = TELL_PAUSE,
                    Err(_) => return,
                },
            }
        }
        if rebinds.changed().await.is_err() {
            return;
        }
    }
}

impl Gateway {
    async fn tell_once(&self, socket: &UdpSocket) -> anyhow::Result<()> {
        let (epoch, outside) = self.epoch(self.inside.address).await?;
        if self.offers(MappingProtocol::Pcp) {
            socket.send_to(&pcp::announced(epoch), SocketAddr::V4(CLIENTS)).await?;
        }
        // It names an address, which everybody takes for its own (RFC 6886 §3.2.1): of several, none is everybody's.
        let is_alone = self.with_nat(|nat, _| nat.addresses().len() == 1).await?;
        if is_alone && self.offers(MappingProtocol::NatPmp) {
            socket.send_to(&pmp::answer(epoch, pmp::PmpAnswer::Address(outside)), SocketAddr::V4(CLIENTS)).await?;
        }
        Ok(())
    }

    async fn answer(&self, client: Ipv4Addr, request: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
        let (pcp, pmp) = (self.offers(MappingProtocol::Pcp), self.offers(MappingProtocol::NatPmp));
        // Each version's clients understand a refusal in their own; those of a third one learn of the newest (RFC 6887 §9).
        match request.first() {
            Some(&pmp::VERSION) if pmp => self.answer_pmp(client, request).await,
            Some(_) if pcp => self.answer_pcp(client, request).await,
            _ => self.answer_pmp(client, request).await,
        }
    }

    async fn answer_pmp(&self, client: Ipv4Addr, request: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(parsed) = pmp::parse(request) else { return Ok(None) };
        let (epoch, outside) = self.epoch(client).await?;
        let done = match parsed {
            Err(why) => Err(why),
            Ok(pmp::PmpRequest::Address) => Ok(pmp::PmpAnswer::Address(outside)),
            Ok(pmp::PmpRequest::Map { protocol, inside, outside: _, lifetime: 0 }) => {
                self.end_pmp(client, protocol, inside).await?
            }
            Ok(pmp::PmpRequest::Map { inside: 0, .. }) => Err(pmp::PmpFailure::NotAuthorized),
            Ok(pmp::PmpRequest::Map { protocol, inside, outside, lifetime }) => {
                let wanted = if outside == 0 { Wanted::Any } else { Wanted::Rather(outside) };
                let lifetime = Duration::from_secs(lifetime.into()).min(LIFETIME_MAX);
                let asked = self.request(protocol, SocketAddrV4::new(client, inside), wanted, lifetime).await?;
                asked.map_err(pmp_failure).map(|granted| pmp::PmpAnswer::Mapped {
                    protocol,
                    inside,
                    outside: granted.outside.port(),
                    lifetime: granted.lifetime.as_secs() as u32,
                })
            }
        };
        Ok(Some(match done {
            Ok(answer) => pmp::answer(epoch, answer),
            Err(why) => pmp::failure(epoch, request, why),
        }))
    }

    /// RFC 6886 §3.4: without a port, all of the client's.
    async fn end_pmp(
        &self,
        client: Ipv4Addr,
        protocol: Protocol,
        inside: u16,
    ) -> anyhow::Result<Result<pmp::PmpAnswer, pmp::PmpFailure>> {
        let ends: Vec<SocketAddrV4> = match inside {
            0 => {
                let leases = self.leases().await?.into_iter();
                let its = leases.filter(|(lease, left)| {
                    left.is_some() && lease.protocol == protocol && *lease.inside.ip() == client
                });
                its.map(|(lease, _)| lease.inside).collect()
            }
            port => vec![SocketAddrV4::new(client, port)],
        };
        for end in ends {
            if let Err(why) = self.withdraw(protocol, end).await? {
                return Ok(Err(pmp_failure(why)));
            }
        }
        Ok(Ok(pmp::PmpAnswer::Mapped { protocol, inside, outside: 0, lifetime: 0 }))
    }

    async fn answer_pcp(&self, client: Ipv4Addr, request: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(parsed) = pcp::parse(request) else { return Ok(None) };
        let (epoch, outside) = self.epoch(client).await?;
        let done = match parsed {
            Err(why) => Err(why),
            Ok(request) if request.client != IpAddr::V4(client) => Err(pcp::PcpFailure::AddressMismatch),
            Ok(pcp::PcpRequest { operation: PcpOperation::Announce, .. }) => Ok(pcp::announced(epoch)),
            Ok(pcp::PcpRequest { operation: PcpOperation::Map(map), .. }) => {
                self.map_pcp(epoch, (client, outside), map).await?
            }
        };
        Ok(Some(done.unwrap_or_else(|why| pcp::failure(epoch, request, why))))
    }

    async fn map_pcp(
        &self,
        epoch: u32,
        (client, outside): (Ipv4Addr, Ipv4Addr),
        map: pcp::PcpMapping,
    ) -> anyhow::Result<Result<Vec<u8>, pcp::PcpFailure>> {
        let inside = SocketAddrV4::new(client, map.inside);
        let known = self.notes().nonces.get(&(map.protocol, inside)).copied();
        if known.is_some_and(|nonce| nonce != map.nonce) && self.is_leased(map.protocol, inside).await? {
            return Ok(Err(pcp::PcpFailure::NotAuthorized));
        }
        if map.lifetime == 0 {
            let ended = self.withdraw(map.protocol, inside).await?;
            return Ok(ended.map(|_| pcp::mapped(epoch, &map, None)).map_err(pcp_failure));
        }
        // RFC 6887 §13.2: no mapping unless both are available, and a host is seen by one address alone.
        if map.exact && map.address.is_some_and(|address| address != outside) {
            return Ok(Err(pcp::PcpFailure::External));
        }
        let wanted = match map.outside {
            0 => Wanted::Any,
            port if map.exact => Wanted::Exactly(port),
            port => Wanted::Rather(port),
        };
        let lifetime = Duration::from_secs(map.lifetime.into()).min(LIFETIME_MAX);
        match self.request(map.protocol, inside, wanted, lifetime).await? {
            Err(why) => Ok(Err(pcp_failure(why))),
            Ok(granted) => {
                self.note(|notes| _ = notes.nonces.insert((map.protocol, inside), map.nonce)).await?;
                Ok(Ok(pcp::mapped(epoch, &map, Some((granted.outside, granted.lifetime.as_secs() as u32)))))
            }
        }
    }

    async fn is_leased(&self, protocol: Protocol, inside: SocketAddrV4) -> anyhow::Result<bool> {
        let leases = self.leases().await?;
        Ok(leases.iter().any(|(lease, _)| (lease.protocol, lease.inside) == (protocol, inside)))
    }
}

fn pmp_failure(why: Refused) -> pmp::PmpFailure {
    match why {
        Refused::Taken | Refused::NoPort | Refused::Quota => pmp::PmpFailure::Resources,
        Refused::Configured => pmp::PmpFailure::NotAuthorized,
    }
}

fn pcp_failure(why: Refused) -> pcp::PcpFailure {
    match why {
        Refused::Taken => pcp::PcpFailure::External,
        Refused::NoPort => pcp::PcpFailure::Resources,
        Refused::Quota => pcp::PcpFailure::Quota,
        Refused::Configured => pcp::PcpFailure::NotAuthorized,
    }
}
