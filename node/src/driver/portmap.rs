//! Has the NAT on the way out forward a port to this node, as the core asks: by PCP, else NAT-PMP, else UPnP IGD.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `gateway` | which router is the way out |
//! | `pcp`, `nat_pmp` | one datagram and its answer each (RFC 6887, RFC 6886) |
//! | `exchange` | sending them until there is an answer |
//! | `upnp` | found by SSDP, asked by SOAP (UPnP IGD) |
//!
//! Only the gateway is asked and only its answers count: anybody on the LAN could claim to be a NAT.

use std::fmt;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::core::io::ForwardedPort;

mod exchange;
mod gateway;
mod nat_pmp;
mod pcp;
mod upnp;

/// Longest that all three protocols may take together; the core waits a little longer.
const ASK_WITHIN: Duration = Duration::from_secs(15);
/// Longest that giving a mapping up may take.
const RELEASE_WITHIN: Duration = Duration::from_millis(500);

/// Why there is no mapping.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MapError {
    /// Sockets and the like.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Nothing was heard.
    #[error("no answer")]
    NoAnswer,
    /// It said no.
    #[error("refused: {0}")]
    Refused(String),
    /// What it said makes no sense.
    #[error("an answer that cannot be understood: {0}")]
    Nonsense(&'static str),
}

/// Reads what a gateway may have sent, by every protocol: what the fuzz target `gateway` calls.
#[cfg(fuzzing)]
pub fn read_any(bytes: &[u8]) {
    nat_pmp::read_any(bytes);
    pcp::read_any(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        gateway::read_any(text);
        upnp::read_any(text);
    }
}

/// A port to be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wish {
    /// The router to ask.
    gateway: Ipv4Addr,
    /// This node's address on the router's network.
    own: Ipv4Addr,
    /// This node's port, UDP.
    port: u16,
    /// The outside port that would be best.
    outside_port: u16,
    /// For how long.
    lifetime: Duration,
}

/// A mapping that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Grant {
    by: Protocol,
    gateway: Ipv4Addr,
    own: Ipv4Addr,
    port: u16,
    forwarded: Forwarded,
}

/// What a gateway forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Forwarded {
    external_address: SocketAddrV4,
    /// As the gateway grants it: it may be less than was asked for.
    lifetime: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// With the nonce that names the mapping's owner.
    Pcp(pcp::Nonce),
    NatPmp,
    Upnp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Pcp(_) => "PCP",
            Protocol::NatPmp => "NAT-PMP",
            Protocol::Upnp => "UPnP",
        })
    }
}

/// The mapping of a node's port.
#[derive(Debug, Default)]
pub(super) struct PortMapping {
    asking: Option<JoinHandle<Option<Grant>>>,
    granted: Option<Grant>,
}

impl PortMapping {
    /// Asks for a mapping or for a longer life of the one there is; [`PortMapping::next`] tells. While one is being asked for,
    /// its answer is the answer to this too.
    pub(super) fn ask(&mut self, port: u16, lifetime: Duration) {
        let before = self.granted;
        self.asking.get_or_insert_with(|| tokio::spawn(obtain(port, lifetime, before)));
    }

    /// What leads here, once the NAT has answered; `None` if it forwards nothing. Safe to drop and call again.
    pub(super) async fn next(&mut self) -> Option<ForwardedPort> {
        let Some(asking) = &mut self.asking else { return pending().await };
        let granted = asking.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "asking for a port mapping ended early");
            None
        });
        self.asking = None;
        self.granted = granted;
        let Forwarded { external_address, lifetime } = granted?.forwarded;
        Some(ForwardedPort { external_address: external_address.into(), lifetime })
    }

    /// Gives the mapping up.
    pub(super) async fn release(mut self) {
        if let Some(asking) = self.asking.take() {
            asking.abort();
        }
        let Some(grant) = self.granted else { return };
        match timeout(RELEASE_WITHIN, grant.release()).await {
            Ok(Ok(())) => tracing::debug!(by = %grant.by, "port mapping given up"),
            Ok(Err(error)) => tracing::debug!(by = %grant.by, %error, "port mapping not given up"),
            Err(_) => tracing::debug!(by = %grant.by, "port mapping not given up in time"),
        }
    }
}

impl Drop for PortMapping {
    fn drop(&mut self) {
        if let Some(asking) = &self.asking {
            asking.abort();
        }
    }
}

impl Grant {
    async fn release(&self) -> Result<(), MapError> {
        match self.by {
            Protocol::Pcp(nonce) => pcp::release(self, nonce).await,
            Protocol::NatPmp => nat_pmp::release(self).await,
            Protocol::Upnp => upnp::release(self).await,
        }
    }
}

async fn obtain(port: u16, lifetime: Duration, before: Option<Grant>) -> Option<Grant> {
    let asked = async {
        let gateway = gateway::default_route()?;
        let own = own_address(gateway).await?;
        let outside_port = before.map_or(port, |grant| grant.forwarded.external_address.port());
        let wish = Wish { gateway, own, port, outside_port, lifetime };
        negotiate(&wish, before.filter(|grant| (grant.gateway, grant.own) == (gateway, own))).await
    };
    match timeout(ASK_WITHIN, asked).await {
        Ok(Ok(grant)) => {
            let Forwarded { external_address, lifetime } = grant.forwarded;
            tracing::debug!(by = %grant.by, %external_address, ?lifetime, "port mapped");
            Some(grant)
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "no port mapping");
            None
        }
        Err(_) => {
            tracing::debug!("no port mapping in time");
            None
        }
    }
}

/// The protocols in turn: the one that was granted before comes first, so that a renewal takes one exchange.
async fn negotiate(wish: &Wish, before: Option<Grant>) -> Result<Grant, MapError> {
    let nonce = match before.map(|grant| grant.by) {
        Some(Protocol::Pcp(nonce)) => nonce,
        _ => pcp::new_nonce()?,
    };
    let mut order = vec![Protocol::Pcp(nonce), Protocol::NatPmp, Protocol::Upnp];
    order.sort_by_key(|by| Some(*by) != before.map(|grant| grant.by));
    let mut last = MapError::NoAnswer;
    for by in order {
        let forwarded = match by {
            Protocol::Pcp(nonce) => pcp::map(wish, nonce).await,
            Protocol::NatPmp => nat_pmp::map(wish).await,
            Protocol::Upnp => upnp::map(wish).await,
        };
        match forwarded {
            Ok(forwarded) => return Ok(Grant { by, gateway: wish.gateway, own: wish.own, port: wish.port, forwarded }),
            Err(error) => {
                tracing::debug!(%by, %error, "no port mapping by this protocol");
                last = error;
            }
        }
    }
    Err(last)
}

/// The address from which the gateway is reached. Nothing is sent.
async fn own_address(gateway: Ipv4Addr) -> Result<Ipv4Addr, MapError> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect((gateway, exchange::PORT)).await?;
    match socket.local_addr()? {
        std::net::SocketAddr::V4(own) => Ok(*own.ip()),
        std::net::SocketAddr::V6(_) => Err(MapError::Nonsense("an IPv4 socket with an IPv6 address")),
    }
}
