//! HTTP to what has no address here: each call goes through the CONNECT proxy of a router (RFC 9110 §9.3.6), and the
//! connection is kept for the next one.

use std::net::SocketAddrV4;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a connection may take to stand, both stretches together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that are kept for later, for each target.
const IDLE_MAX: usize = 2;
/// Bytes of an answer that are taken.
const ANSWER_MAX: usize = 64 << 20;

type Sender = SendRequest<Full<Bytes>>;

/// Where to, and through what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// It can be reached from here.
    Straight(SocketAddrV4),
    /// It is behind a router's proxy.
    Through {
        /// The proxy.
        proxy: SocketAddrV4,
        /// What the proxy is to connect to.
        target: SocketAddrV4,
    },
}

/// A client of one server.
#[derive(Debug)]
pub(crate) struct Client {
    route: Route,
    token: Option<HeaderValue>,
    idle: Mutex<Vec<Sender>>,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A call that brought no answer, and the request if it was surely not sent.
struct Unsent {
    error: anyhow::Error,
    request: Option<Request<Full<Bytes>>>,
}

impl Client {
    /// A client that shows `token` (if any) with each request. Nothing is connected yet.
    pub(crate) fn new(route: Route, token: Option<&str>) -> anyhow::Result<Self> {
        let bearer = |token: &str| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).context("a token is plain text")?;
            value.set_sensitive(true);
            anyhow::Ok(value)
        };
        Ok(Client { route, token: token.map(bearer).transpose()?, idle: Mutex::new(Vec::new()) })
    }

    /// Sends a request and takes the whole answer. A request that a kept connection did not take any more is sent on a new one.
    ///
    /// Waits as long as the server does: callers keep the deadline.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Answer> {
        let mut request = self.request(method, path, body)?;
        while let Some(kept) = self.take_idle() {
            match self.send(kept, request).await {
                Ok(answer) => return Ok(answer),
                Err(Unsent { request: Some(unsent), .. }) => request = unsent,
                Err(Unsent { error, request: None }) => return Err(error),
            }
        }
        let connected = timeout(CONNECT_TIMEOUT, self.connect()).await;
        let sender = connected.map_err(|_| anyhow!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))??;
        self.send(sender, request).await.map_err(|unsent| unsent.error)
    }

    /// Drops the kept connections: their server has gone, perhaps without a word.
    pub(crate) fn forget(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
        let host = match self.route {
            Route::Straight(target) | Route::Through { target, .. } => target.to_string(),
        };
        let mut request = Request::builder().method(method).uri(path).header(HOST, host);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        request.body(Full::new(body)).context("a request that HTTP does not allow")
    }

    fn take_idle(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|sender| !sender.is_closed());
        idle.pop()
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX && !sender.is_closed() {
            idle.push(sender);
        }
    }

    async fn send(&self, mut sender: Sender, request: Request<Full<Bytes>>) -> Result<Answer, Unsent> {
        if let Err(error) = sender.ready().await {
            return Err(Unsent { error: error.into(), request: Some(request) });
        }
        let sent = sender.try_send_request(request).await;
        let response =
            sent.map_err(|mut error| Unsent { request: error.take_message(), error: error.into_error().into() })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await;
        let body = body.map_err(|error| Unsent { error: anyhow!("{error}"), request: None })?.to_bytes();
        self.keep(sender);
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    async fn connect(&self) -> anyhow::Result<Sender> {
        match self.route {
            Route::Straight(target) => handshake(TokioIo::new(dial(target).await?)).await,
            Route::Through { proxy, target } => handshake(through(proxy, target).await?).await,
        }
    }
}

async fn dial(to: SocketAddrV4) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(to).await.with_context(|| format!("connecting to {to}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn handshake(io: impl Read + Write + Send + Unpin + 'static) -> anyhow::Result<Sender> {
    let (sender, connection) = http1::handshake(io).await?;
    // Ends with the connection; what fails is told to whoever waits for an answer.
    tokio::spawn(connection);
    Ok(sender)
}

/// Asks a proxy for a connection to `target`.
async fn through(proxy: SocketAddrV4, target: SocketAddrV4) -> anyhow::Result<hyper::upgrade::Upgraded> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(dial(proxy).await?)).await?;
    tokio::spawn(connection.with_upgrades());
    let target = target.to_string();
    let request = Request::builder().method(Method::CONNECT).uri(&target).header(HOST, &target);
    let response =
        sender.send_request(request.body(Empty::<Bytes>::new())?).await.context("asking the router's proxy")?;
    if !response.status().is_success() {
        bail!("the router's proxy does not connect to {target}: {}", response.status());
    }
    hyper::upgrade::on(response).await.context("the router's proxy ends the connection")
}
