//! Ways to control APIs that have no address here: through the CONNECT proxy of a router (RFC 9110 §9.3.6), or from within a network
//! namespace.

use std::net::SocketAddrV4;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use butter::http::client::{ClientLimits, ConnectError, Connector, HttpClient};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};

use crate::netns::Namespace;

/// Time for a connection, both stretches of one through a proxy together; and the longest answer that is taken.
const LIMITS: ClientLimits = ClientLimits { connect_deadline: Duration::from_secs(5), answer_bytes: 64 << 20 };

/// Where to connect, and through what.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// The server can be reached from here.
    Direct(SocketAddrV4),
    /// The server is behind a router's proxy.
    ThroughProxy {
        /// Address of the proxy.
        proxy: SocketAddrV4,
        /// Address that the proxy connects to.
        target: SocketAddrV4,
    },
    /// The server can be reached from a namespace.
    FromNamespace {
        /// Namespace in which the connection begins.
        namespace: Namespace,
        /// Address of the server in that namespace.
        target: SocketAddrV4,
    },
}

/// The route to one server, which may become another when the server moves.
#[derive(Debug)]
pub(crate) struct PresentRoute(Mutex<Route>);

impl PresentRoute {
    /// From now on the server is found so.
    pub(crate) fn lead(&self, route: Route) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = route;
    }

    fn now(&self) -> Route {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A client of one node or router.
pub(crate) type ApiClient = HttpClient<PresentRoute>;

/// A client that sends `token` (if any) with each request.
///
/// # Errors
/// If the token cannot be part of a header.
pub(crate) fn api_client(route: Route, token: Option<&str>) -> anyhow::Result<ApiClient> {
    HttpClient::new(PresentRoute(Mutex::new(route)), token, LIMITS).context("the token of the control API")
}

impl Connector for PresentRoute {
    type Stream = Box<dyn ByteStream>;

    fn host(&self) -> String {
        match self.now() {
            Route::Direct(target) | Route::ThroughProxy { target, .. } | Route::FromNamespace { target, .. } => {
                target.to_string()
            }
        }
    }

    async fn connect(&self) -> Result<Box<dyn ByteStream>, ConnectError> {
        Ok(match self.now() {
            Route::Direct(target) => Box::new(connect(target).await?),
            Route::ThroughProxy { proxy, target } => Box::new(TokioIo::new(connect_through(proxy, target).await?)),
            Route::FromNamespace { namespace, target } => Box::new(connect_from(&namespace, target).await?),
        })
    }
}

/// What HTTP runs over.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

async fn connect(to: SocketAddrV4) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(to).await.with_context(|| format!("connecting to {to}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The socket belongs to the namespace that it was made in; all else is done here.
async fn connect_from(namespace: &Namespace, to: SocketAddrV4) -> anyhow::Result<TcpStream> {
    let socket = namespace.run(|| TcpSocket::new_v4().context("making a socket")).await?;
    let stream = socket.connect(to.into()).await.with_context(|| format!("connecting to {to}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Asks a proxy for a connection to `target`.
async fn connect_through(proxy: SocketAddrV4, target: SocketAddrV4) -> anyhow::Result<hyper::upgrade::Upgraded> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(connect(proxy).await?)).await?;
    tokio::spawn(connection.with_upgrades());
    let target = target.to_string();
    let request = Request::builder().method(Method::CONNECT).uri(&target).header(HOST, &target);
    let response =
        sender.send_request(request.body(Empty::<Bytes>::new())?).await.context("asking the router's proxy")?;
    if !response.status().is_success() {
        bail!("the router's proxy does not connect to {target}: {}", response.status());
    }
    hyper::upgrade::on(response).await.context("the router's proxy interfaces the connection")
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use butter::http::client::HttpError;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
    use tokio::net::TcpListener;

    use super::*;

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

    /// A server that answers with the head of the request.
    async fn server() -> SocketAddrV4 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = v4(listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while let Some(head) = head(&mut stream).await {
                        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len());
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        address
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

    async fn get(client: &ApiClient) -> Result<String, HttpError> {
        let answer = client.call(Method::GET, "/v1/status", Bytes::new()).await?;
        Ok(String::from_utf8(answer.body.to_vec()).unwrap().to_lowercase())
    }

    #[tokio::test]
    async fn a_connection_through_the_proxy_is_kept_and_carries_the_token() {
        let (target, (proxy, connections)) = (server().await, proxy().await);
        let client = api_client(Route::ThroughProxy { proxy, target }, Some("secret")).unwrap();
        for _ in 0..3 {
            let head = get(&client).await.unwrap();
            assert!(
                head.starts_with("get /v1/status http/1.1\r\n") && head.contains("authorization: bearer secret"),
                "{head}"
            );
        }
        assert_eq!(connections.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_proxy_that_cannot_connect_is_quoted() {
        let (proxy, _) = proxy().await;
        // Nothing listens on port 1 of this address.
        let target = SocketAddrV4::new([127, 0, 0, 1].into(), 1);
        let error = get(&api_client(Route::ThroughProxy { proxy, target }, None).unwrap()).await.unwrap_err();
        let error = format!("{:#}", anyhow::Error::from(error));
        assert!(error.contains("127.0.0.1:1: 502"), "{error}");
    }
}
