//! Listening for requests, and who may make them.
//!
//! On loopback every user of the machine may ask, but no web page: a request with an `Origin`, or for a host that is a name (DNS
//! rebinding), is refused there. With a token, whoever has it may ask.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use super::routes::{self, Failure};
use super::{ApiAddress, ApiError, ApiSettings, TOKEN_MIN};
use crate::driver::handle::Handle;
use crate::overlay::data::Data;

/// Connections at once; beyond, clients wait.
const CONNECTIONS_MAX: usize = 256;
/// How long a client may take for the head of a request.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// How long a request may take in all, its body and its answer included.
const REQUEST_DEADLINE: Duration = Duration::from_secs(120);
/// Pause after a connection could not be accepted, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A control API that listens.
#[derive(Debug)]
pub(crate) struct Server {
    listener: Listener,
    guard: Guard,
    start_paused: bool,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What a request needs to be heard.
#[derive(Clone, Debug)]
enum Guard {
    /// Bearing the token whose hash this is.
    Token([u8; 32]),
    /// Being no web page's.
    Local,
    /// Nothing: the socket file's permissions decide.
    Open,
}

impl Server {
    /// Listens. Must be called within a tokio runtime.
    pub(crate) async fn bind(settings: &ApiSettings) -> Result<Self, ApiError> {
        let guard = Guard::new(settings)?;
        let failed =
            |source: io::Error| ApiError::Bind { hint: hint(&source), address: settings.address.clone(), source };
        let listener = match &settings.address {
            ApiAddress::Tcp(address) => Listener::Tcp(TcpListener::bind(address).await.map_err(failed)?),
            ApiAddress::Unix(path) => Listener::Unix(bind_unix(path).map_err(failed)?),
        };
        Ok(Server { listener, guard, start_paused: settings.start_paused })
    }

    /// Where it listens: with the port that the system chose.
    pub(crate) fn address(&self) -> Option<ApiAddress> {
        match &self.listener {
            Listener::Tcp(listener) => listener.local_addr().ok().map(ApiAddress::Tcp),
            Listener::Unix(listener) => {
                listener.local_addr().ok()?.as_pathname().map(|path| ApiAddress::Unix(path.to_owned()))
            }
        }
    }

    /// Returns at once, or with [`ApiSettings::start_paused`] when a client has asked the node to start.
    pub(crate) async fn wait_for_start(&self) {
        if self.start_paused {
            tracing::info!("paused; waiting for `butter start`");
            let started = Arc::new(Notify::new());
            tokio::select! {
                never = self.serve(routes::paused(Arc::clone(&started))) => match never {},
                () = started.notified() => {}
            }
        }
    }

    /// Serves until it is dropped.
    pub(crate) async fn run(self, handle: Handle<Data>) {
        match self.serve(routes::router(handle)).await {}
    }

    async fn serve(&self, router: Router) -> Infallible {
        let router = router.layer(middleware::from_fn_with_state(self.guard.clone(), check));
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let permit = room.clone().acquire_owned().await.expect("never closed");
            let accepted = match &self.listener {
                Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                    serve(stream, router.clone(), permit);
                }),
                Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                    serve(stream, router.clone(), permit);
                }),
            };
            if let Err(error) = accepted {
                tracing::warn!(%error, "the control API cannot take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(ApiAddress::Unix(path)) = self.address() {
            // Another program may have taken its place; a leftover is replaced at the next start.
            _ = std::fs::remove_file(path);
        }
    }
}

fn serve<S>(stream: S, router: Router, permit: tokio::sync::OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    tokio::spawn(async move {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the control API");
        }
        drop(permit);
    });
}

fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    // What a node that was killed has left. One that lives answers, and is not pushed aside.
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket {
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(_) => std::fs::remove_file(path)?,
        }
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            ". Another node may be running: `butter status` asks it; --api 127.0.0.1:0 takes any free port"
        }
        io::ErrorKind::NotFound => ". Its folder must exist",
        _ => "",
    }
}

impl Guard {
    fn new(settings: &ApiSettings) -> Result<Self, ApiError> {
        match (&settings.token, &settings.address) {
            (Some(token), _) if token.chars().count() < TOKEN_MIN => Err(ApiError::ShortToken),
            (Some(token), _) => Ok(Guard::Token(Sha256::digest(token).into())),
            (None, address) if !address.is_local() => Err(ApiError::NoToken(address.clone())),
            (None, ApiAddress::Unix(_)) => Ok(Guard::Open),
            (None, ApiAddress::Tcp(_)) => Ok(Guard::Local),
        }
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Failure> {
        match self {
            Guard::Open => Ok(()),
            Guard::Token(wanted) => {
                let given =
                    headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
                // Hashes are compared, so that how long it takes tells nothing of the token.
                match given.map(|token| <[u8; 32]>::from(Sha256::digest(token))) {
                    Some(hash) if hash == *wanted => Ok(()),
                    _ => Err(Failure::new(StatusCode::UNAUTHORIZED, "this node wants Authorization: Bearer TOKEN")),
                }
            }
            Guard::Local if headers.contains_key(header::ORIGIN) || !is_for_address(headers) => {
                let why = "without a token, a node answers no web pages, and only requests for an address or localhost";
                Err(Failure::new(StatusCode::FORBIDDEN, why))
            }
            Guard::Local => Ok(()),
        }
    }
}

/// Whether the host asked for is an address or `localhost`, and no other name.
fn is_for_address(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok()
}

async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if let Err(failure) = guard.check(request.headers()) {
        return failure.into_response();
    }
    match timeout(REQUEST_DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::new(StatusCode::REQUEST_TIMEOUT, "the request took too long").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(address: &str, token: Option<&str>) -> Result<Guard, ApiError> {
        Guard::new(&ApiSettings {
            address: address.parse().unwrap(),
            token: token.map(str::to_owned),
            start_paused: false,
        })
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_loopback_and_unix_sockets_go_without_a_token() {
        for address in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:4080", "unix:/tmp/x"] {
            assert!(guard(address, None).is_ok(), "{address}");
        }
        for address in ["0.0.0.0:4080", "10.0.0.1:4080", "[::]:4080"] {
            let error = guard(address, None).unwrap_err().to_string();
            assert!(error.contains("--api-token") && error.contains("BUTTER_API_TOKEN"), "{error}");
            assert!(guard(address, Some("0123456789abcdef")).is_ok());
            assert!(matches!(guard(address, Some("short")), Err(ApiError::ShortToken)));
        }
    }

    #[test]
    fn a_token_is_wanted_whole() {
        let guard = guard("0.0.0.0:4080", Some("0123456789abcdef")).unwrap();
        assert!(guard.check(&headers(&[("authorization", "Bearer 0123456789abcdef")])).is_ok());
        for wrong in ["Bearer 0123456789abcde", "Bearer ", "0123456789abcdef", "Basic 0123456789abcdef"] {
            assert!(guard.check(&headers(&[("authorization", wrong)])).is_err(), "{wrong}");
        }
        assert!(guard.check(&headers(&[])).is_err());
    }

    #[test]
    fn web_pages_are_not_answered_on_loopback() {
        let guard = guard("127.0.0.1:4080", None).unwrap();
        for host in ["127.0.0.1:4080", "localhost:4080", "[::1]:4080", "[::1]", "localhost"] {
            assert!(guard.check(&headers(&[("host", host)])).is_ok(), "{host}");
        }
        assert!(guard.check(&headers(&[("host", "evil.example:4080")])).is_err());
        assert!(guard.check(&headers(&[("host", "127.0.0.1"), ("origin", "http://evil.example")])).is_err());
    }
}
