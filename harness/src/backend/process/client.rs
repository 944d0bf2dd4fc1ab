//! HTTP to what has no address here: each call goes through the CONNECT proxy of a router (RFC 9110 §9.3.6), or begins in a
//! network namespace, and the connection is kept for the next one.

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
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::netns::Namespace;

/// How long a connection may take to stand, both stretches together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that are kept for later, for each target.
const IDLE_MAX: usize = 2;
/// Bytes of an answer that are taken.
const ANSWER_MAX: usize = 64 << 20;

type Sender = SendRequest<Full<Bytes>>;

/// Where to, and through what.
#[derive(Clone, Debug)]
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
    /// It is reached from a namespace.
    Within {
        /// The namespace.
        namespace: Namespace,
        /// An address there.
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

    /// Sends a request and takes the whole answer. When a kept connection turns out to be gone, a request that was surely not
    /// sent, or that changes nothing (GET), is sent on another.
    ///
    /// Waits as long as the server does: callers keep the deadline.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Answer> {
        let mut request = self.request(method, path, body)?;
        while let Some(kept) = self.take_idle() {
            let again = (request.method() == Method::GET).then(|| request.clone());
            match self.send(kept, request).await {
                Ok(answer) => return Ok(answer),
                Err(unsent) => request = unsent.request.or(again).ok_or(unsent.error)?,
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
            Route::Straight(target) | Route::Through { target, .. } | Route::Within { target, .. } => {
                target.to_string()
            }
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
        match &self.route {
            Route::Straight(target) => handshake(TokioIo::new(dial(*target).await?)).await,
            Route::Through { proxy, target } => handshake(through(*proxy, *target).await?).await,
            Route::Within { namespace, target } => {
                handshake(TokioIo::new(dial_within(namespace, *target).await?)).await
            }
        }
    }
}

async fn dial(to: SocketAddrV4) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(to).await.with_context(|| format!("connecting to {to}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The socket belongs to the namespace that it was made in; all else is done here.
async fn dial_within(namespace: &Namespace, to: SocketAddrV4) -> anyhow::Result<TcpStream> {
    let socket = namespace.run(|| TcpSocket::new_v4().context("making a socket")).await?;
    let stream = socket.connect(to.into()).await.with_context(|| format!("connecting to {to}"))?;
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy_bidirectional};
    use tokio::net::TcpListener;

    use super::*;

    /// How a server treats a request.
    #[derive(Clone, Copy)]
    enum Manners {
        Polite,
        /// Hangs up after each answer without having said so.
        HangsUp,
        /// Hangs up instead of answering.
        Dies,
    }

    async fn head(from: &mut (impl AsyncRead + Unpin)) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(from.read_u8().await.ok()?);
        }
        Some(String::from_utf8(head).unwrap())
    }

    fn v4(address: SocketAddr) -> SocketAddrV4 {
        match address {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(_) => unreachable!("bound to 127.0.0.1"),
        }
    }

    /// A server that answers with the head of the request; counts requests.
    async fn server(manners: Manners) -> (SocketAddrV4, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = v4(listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let counted = Arc::clone(&counted);
                tokio::spawn(async move {
                    while let Some(head) = head(&mut stream).await {
                        counted.fetch_add(1, Ordering::SeqCst);
                        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len());
                        match manners {
                            Manners::Dies => return,
                            _ => stream.write_all(answer.as_bytes()).await.unwrap(),
                        }
                        if matches!(manners, Manners::HangsUp) {
                            return;
                        }
                    }
                });
            }
        });
        (address, requests)
    }

    /// A CONNECT proxy; counts connections.
    async fn proxy() -> (SocketAddrV4, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = v4(listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let head = head(&mut stream).await.unwrap();
                    let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
                    match TcpStream::connect(target).await {
                        Ok(mut onward) => {
                            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                            let _ = copy_bidirectional(&mut stream, &mut onward).await;
                        }
                        Err(_) => {
                            stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                        }
                    }
                });
            }
        });
        (address, connections)
    }

    async fn get(client: &Client) -> anyhow::Result<String> {
        let answer = client.call(Method::GET, "/v1/status", Bytes::new()).await?;
        Ok(String::from_utf8(answer.body.to_vec()).unwrap().to_lowercase())
    }

    #[tokio::test]
    async fn a_connection_through_the_proxy_is_kept_and_shows_the_token() {
        let ((target, requests), (proxy, connections)) = (server(Manners::Polite).await, proxy().await);
        let client = Client::new(Route::Through { proxy, target }, Some("secret")).unwrap();
        for _ in 0..3 {
            let head = get(&client).await.unwrap();
            assert!(
                head.starts_with("get /v1/status http/1.1\r\n") && head.contains("authorization: bearer secret"),
                "{head}"
            );
        }
        assert_eq!((requests.load(Ordering::SeqCst), connections.load(Ordering::SeqCst)), (3, 1));
        client.forget();
        get(&client).await.unwrap();
        assert_eq!(connections.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_kept_connection_that_has_gone_is_replaced() {
        let (target, requests) = server(Manners::HangsUp).await;
        let client = Client::new(Route::Straight(target), None).unwrap();
        for _ in 0..5 {
            get(&client).await.unwrap();
        }
        assert_eq!(requests.load(Ordering::SeqCst), 5);
    }

    #[tokio::test]
    async fn a_request_that_may_have_been_done_is_not_sent_again() {
        let (target, requests) = server(Manners::Dies).await;
        let client = Client::new(Route::Straight(target), None).unwrap();
        assert!(client.call(Method::POST, "/v1/blobs", Bytes::new()).await.is_err());
        assert_eq!(requests.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_proxy_that_cannot_connect_is_quoted() {
        let (proxy, _) = proxy().await;
        // Nobody listens on port 1 of this address.
        let target = SocketAddrV4::new([127, 0, 0, 1].into(), 1);
        let error = get(&Client::new(Route::Through { proxy, target }, None).unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("127.0.0.1:1: 502"), "{error:#}");
    }
}
