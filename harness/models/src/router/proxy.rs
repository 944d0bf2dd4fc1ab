//! The control proxy: from the management network to the nodes of the LAN, by HTTP CONNECT (RFC 9110 §9.3.6), and the router's
//! own metrics.
//!
//! It listens on the management interface alone: the address is not enough, for the kernel takes packets for any of its addresses
//! on every interface, and the LAN's nodes are not to reach it. It connects only to hosts of the inside subnet, on that
//! interface, from the gateway's address.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use butter::http::server::{ConnectionGuard, HttpLimits, HttpListener, HttpServer, RequestBody};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::InitialState;
use super::config::SideConfig;
use super::control::{self, Control, RebindCommand, SetFirewallCommand, SetLinkCommand};
use super::engine::RouterEngine;
use super::metrics::RouterMetrics;
use crate::metrics::writer;

/// What the proxy allows its clients. All connections come from one address: the harness holds one or two for each node.
const LIMITS: HttpLimits = HttpLimits {
    connections: 1_024,
    connections_per_address: 1_024,
    head_deadline: Duration::from_secs(30),
    connection_deadline: None,
    head_bytes: 16 * 1024,
    body_bytes: 1 << 20,
};
/// How long the body of a command may take.
const BODY_DEADLINE: Duration = Duration::from_secs(30);
/// How long a node may take to accept a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a tunnel may be silent.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Most bytes of a command.
const BODY_MAX: usize = 16 * 1024;
/// Most addresses that a NAT may be given.
const ADDRESSES_MAX: usize = 255;
/// Bytes of a tunnel that are held in each direction.
const TUNNEL_BUFFER: usize = 16 * 1024;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 256;

/// What the proxy needs to know.
#[derive(Debug)]
pub struct Proxy {
    /// Subnet and address on the LAN.
    pub inside: SideConfig,
    /// The other side of the NAT, if there is one.
    pub outside: Option<SideConfig>,
    /// The name of its interface.
    pub inside_interface: String,
    /// The metrics that are exposed.
    pub metrics: Arc<RouterMetrics>,
    /// The way to the data path.
    pub control: Control,
    /// The data path as it was when it began.
    pub initial: InitialState,
    /// Counts how often the NAT has forgotten everything.
    pub rebound: watch::Sender<u64>,
}

/// Listens on an interface, and on no other.
///
/// # Errors
/// When the address or the port is not available.
pub fn listen(interface: &str, address: SocketAddrV4) -> anyhow::Result<TcpListener> {
    let bind = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::V4(address).into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    bind().with_context(|| format!("cannot listen on {address} of {interface}"))
}

impl Proxy {
    /// Serves until the future is dropped.
    ///
    /// # Errors
    /// If the listener cannot be used.
    pub async fn serve(self, listener: TcpListener) -> io::Result<Infallible> {
        let listener = HttpListener::Tcp(tokio::net::TcpListener::from_std(listener)?);
        let proxy = Arc::new(self);
        let service = hyper::service::service_fn(move |request| {
            let proxy = Arc::clone(&proxy);
            async move { Ok::<_, Infallible>(proxy.answer(request).await) }
        });
        Ok(HttpServer::new(LIMITS).serve(&listener, service).await)
    }

    async fn answer(&self, request: Request<RequestBody>) -> Response<Full<Bytes>> {
        match (request.method(), request.uri().path()) {
            (&Method::CONNECT, _) => self.tunnel(request).await,
            (&Method::GET, "/metrics") => {
                let mut response = Response::new(Full::from(self.metrics.text()));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(writer::CONTENT_TYPE));
                response
            }
            (&Method::POST, control::REBIND_PATH) => outcome(self.rebind(request).await),
            (&Method::POST, control::FIREWALL_PATH) => outcome(self.set_firewall(request).await),
            (&Method::POST, control::LINK_PATH) => outcome(self.set_link(request).await),
            (&Method::POST, control::RESET_PATH) => outcome(self.reset().await),
            _ => {
                let known =
                    "CONNECT to a node of the LAN, GET /metrics, POST /v1/rebind, POST /v1/link, POST /v1/reset\n";
                plain(StatusCode::NOT_FOUND, known.to_owned())
            }
        }
    }

    async fn rebind(&self, request: Request<RequestBody>) -> Result<(), Unfit> {
        let RebindCommand { addresses } = body(request).await?;
        let outside = self.outside.ok_or_else(|| Unfit::Refused("there is no NAT here".to_owned()))?;
        let fits = |address: &Ipv4Addr| outside.subnet.contains(address) && Some(*address) != outside.gateway;
        if addresses.is_empty() || addresses.len() > ADDRESSES_MAX || !addresses.iter().all(fits) {
            return Err(Unfit::Refused(format!("from 1 to {ADDRESSES_MAX} addresses of {}", outside.subnet)));
        }
        tracing::info!(?addresses, "the NAT forgets every mapping");
        self.control.ask(move |engine, now| engine.rebind(now, &addresses)).await.map_err(Unfit::Failed)?;
        self.rebound.send_modify(|times| *times += 1);
        Ok(())
    }

    async fn set_firewall(&self, request: Request<RequestBody>) -> Result<(), Unfit> {
        let SetFirewallCommand { policy } = body(request).await?;
        tracing::info!(?policy, "the firewall changes");
        self.control.ask(move |engine, _| engine.set_firewall(policy)).await.map_err(Unfit::Failed)
    }

    async fn set_link(&self, request: Request<RequestBody>) -> Result<(), Unfit> {
        let SetLinkCommand { up, down } = body(request).await?;
        if !up.is_sound() || !down.is_sound() {
            return Err(Unfit::Refused("shares are from 0 to 1, and a rate is more than nothing".to_owned()));
        }
        tracing::info!(?up, ?down, "the uplink changes");
        self.control.ask(move |engine, _| engine.set_link(&up, &down)).await.map_err(Unfit::Failed)
    }

    async fn reset(&self) -> Result<(), Unfit> {
        let (initial, metrics) = (self.initial.engine(), Arc::clone(&self.metrics));
        let reset = move |engine: &mut RouterEngine, _| {
            *engine = initial;
            metrics.reset();
        };
        self.control.ask(reset).await.map_err(Unfit::Failed)?;
        self.rebound.send_modify(|times| *times += 1);
        Ok(())
    }

    async fn tunnel(&self, mut request: Request<RequestBody>) -> Response<Full<Bytes>> {
        let target = request.uri().authority().and_then(|authority| authority.as_str().parse::<SocketAddrV4>().ok());
        let Some(target) = target.filter(|target| self.may_reach(*target.ip())) else {
            return plain(
                StatusCode::FORBIDDEN,
                format!("only hosts of {} are reached from here\n", self.inside.subnet),
            );
        };
        match timeout(CONNECT_TIMEOUT, self.connect(target)).await {
            Err(_) => plain(StatusCode::GATEWAY_TIMEOUT, format!("{target} does not answer\n")),
            Ok(Err(error)) => plain(StatusCode::BAD_GATEWAY, format!("{target}: {error}\n")),
            Ok(Ok(node)) => {
                let guard = request.extensions_mut().remove::<ConnectionGuard>();
                tokio::spawn(async move {
                    let carried = match hyper::upgrade::on(request).await {
                        Ok(client) => carry(client, node).await,
                        Err(error) => Err(io::Error::other(error)),
                    };
                    if let Err(error) = carried {
                        tracing::debug!(%error, %target, "a tunnel ended out_of_order");
                    }
                    drop(guard);
                });
                Response::new(Full::default())
            }
        }
    }

    fn may_reach(&self, ip: Ipv4Addr) -> bool {
        let subnet = self.inside.subnet;
        subnet.contains(&ip) && ip != self.inside.address && ip != subnet.network() && ip != subnet.broadcast()
    }

    async fn connect(&self, target: SocketAddrV4) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind_device(Some(self.inside_interface.as_bytes()))?;
        socket.bind(SocketAddrV4::new(self.inside.address, 0).into())?;
        let stream = socket.connect(target.into()).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Why a command was not carried out.
enum Unfit {
    /// It makes no sense here.
    Refused(String),
    /// It does, but did not come about.
    Failed(anyhow::Error),
}

fn outcome(result: Result<(), Unfit>) -> Response<Full<Bytes>> {
    match result {
        Ok(()) => plain(StatusCode::OK, String::new()),
        Err(Unfit::Refused(why)) => plain(StatusCode::BAD_REQUEST, format!("{why}\n")),
        Err(Unfit::Failed(error)) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}\n")),
    }
}

/// A command's body.
async fn body<T: DeserializeOwned>(request: Request<RequestBody>) -> Result<T, Unfit> {
    let refused = |why: &dyn std::fmt::Display| Unfit::Refused(format!("the body cannot be read: {why}"));
    let read = Limited::new(request.into_body(), BODY_MAX).collect();
    let bytes = timeout(BODY_DEADLINE, read).await.map_err(|late| refused(&late))?.map_err(|error| refused(&error))?;
    serde_json::from_slice(&bytes.to_bytes()).map_err(|error| refused(&error))
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

/// Carries bytes both ways until both sides have closed, one breaks, or nothing moves for [`IDLE_TIMEOUT`].
async fn carry(client: Upgraded, node: TcpStream) -> io::Result<()> {
    let (mut from_client, mut to_client) = tokio::io::split(TokioIo::new(client));
    let (mut from_node, mut to_node) = node.into_split();
    let moved = std::sync::Mutex::new(Instant::now());
    let up = pump(&mut from_client, &mut to_node, &moved);
    let down = pump(&mut from_node, &mut to_client, &moved);
    tokio::try_join!(up, down).map(drop)
}

async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    moved: &std::sync::Mutex<Instant>,
) -> io::Result<()> {
    let last = || *moved.lock().expect("no holder panics");
    let mut buffer = vec![0; TUNNEL_BUFFER];
    loop {
        let until = last() + IDLE_TIMEOUT;
        let length = match timeout_at(until, from.read(&mut buffer)).await {
            Ok(length) => length?,
            // The other direction may have moved meanwhile.
            Err(_) if last() + IDLE_TIMEOUT > until => continue,
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        };
        if length == 0 {
            return to.shutdown().await;
        }
        *moved.lock().expect("no holder panics") = Instant::now();
        timeout(IDLE_TIMEOUT, to.write_all(&buffer[..length])).await??;
    }
}
