//! Listening for requests, and who may make them.
//!
//! On loopback every user of the machine may ask, but no web page: a request with an `Origin`, or for a host that is a name (DNS
//! rebinding), is refused there. With a token, whoever has it may ask.

use std::convert::Infallible;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper_util::service::TowerToHyperService;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::overlay::OverlayApi;
use super::routes::{self, Failure};
use super::{ApiAddress, ApiError, ApiSettings, TOKEN_MIN};
use crate::driver::handle::AppOverlay;
use crate::driver::handle::NodeHandle;
use crate::http::server::{HttpLimits, HttpListener, HttpServer, ListenAddress};
use crate::overlay::data::VALUE_MAX;

/// What the API allows its clients. Bodies: four values of the greatest length, or many of a usual one.
const LIMITS: HttpLimits = HttpLimits {
    connections: 256,
    connections_per_address: 64,
    head_deadline: Duration::from_secs(3),
    connection_deadline: None,
    head_bytes: 64 << 10,
    body_bytes: 4 * VALUE_MAX,
};
/// How long a request may take in all, its body and its answer included.
const REQUEST_DEADLINE: Duration = Duration::from_secs(120);
/// Names that are tried for the private folder of a unix socket.
const FOLDER_TRIES: u32 = 16;
/// Where a browser's request comes from (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A control API that listens.
#[derive(Debug)]
pub(crate) struct ApiServer {
    listener: HttpListener,
    address: ApiAddress,
    guard: Guard,
    start_paused: bool,
}

/// What a request needs to be accepted.
#[derive(Clone, Debug)]
enum Guard {
    /// Bearing the token whose hash this is.
    Token([u8; 32]),
    /// Not coming from a web page.
    Local,
    /// Nothing: the socket file's permissions decide.
    Open,
}

impl ApiServer {
    /// Listens. Must be called within a tokio runtime.
    pub(crate) async fn bind(settings: &ApiSettings) -> Result<Self, ApiError> {
        let guard = Guard::new(settings)?;
        let failed = |source: io::Error| ApiError::Bind { address: settings.address.clone(), source };
        let listener = match &settings.address {
            ApiAddress::Tcp(address) => HttpListener::Tcp(TcpListener::bind(address).await.map_err(failed)?),
            ApiAddress::Unix(path) => HttpListener::Unix(bind_unix(path).map_err(failed)?),
        };
        // The port that the system chose; the path of a unix socket is the one given.
        let address = match listener.address() {
            Ok(ListenAddress::Tcp(address)) => ApiAddress::Tcp(address),
            _ => settings.address.clone(),
        };
        Ok(ApiServer { listener, address, guard, start_paused: settings.start_paused })
    }

    /// Where it listens: with the port that the system chose.
    pub(crate) fn address(&self) -> &ApiAddress {
        &self.address
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
    pub(crate) async fn run<V: AppOverlay>(self, handle: NodeHandle<V>, overlay: OverlayApi<V>) {
        match self.serve(routes::router(handle, overlay)).await {}
    }

    async fn serve(&self, router: Router) -> Infallible {
        let router = router.layer(middleware::from_fn_with_state(self.guard.clone(), check));
        HttpServer::new(LIMITS).serve(&self.listener, TowerToHyperService::new(router)).await
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if let ApiAddress::Unix(path) = &self.address {
            // Another program may have taken its place; a leftover is replaced at the next start.
            _ = fs::remove_file(path);
        }
    }
}

/// Listens on a socket file that only this user can open. Replaces the file of a node that was killed.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    // A path that is too long could be renamed to, but no client could connect to it.
    std::os::unix::net::SocketAddr::from_pathname(path)?;
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(io::ErrorKind::AddrInUse.into()),
        // A node that lives answers.
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => return Err(io::ErrorKind::AddrInUse.into()),
        _ => {}
    }
    // The file is created in a folder that is closed to others, so that it has the right mode before anybody can see it.
    let folder = private_folder(path.parent().filter(|parent| !parent.as_os_str().is_empty()))?;
    let bound = bind_within(&folder, path);
    let removed = fs::remove_dir_all(&folder);
    let listener = bound?;
    removed.map(|()| listener)
}

/// Binds in a private folder, and moves the file to its place with the mode that it shall have.
fn bind_within(folder: &Path, path: &Path) -> io::Result<UnixListener> {
    let hidden = folder.join("s");
    let listener = UnixListener::bind(&hidden)?;
    fs::set_permissions(&hidden, Permissions::from_mode(0o600))?;
    fs::rename(&hidden, path)?;
    Ok(listener)
}

/// Creates a folder that only this user can enter.
fn private_folder(parent: Option<&Path>) -> io::Result<std::path::PathBuf> {
    let parent = parent.unwrap_or(Path::new("."));
    let mut result = Err(io::ErrorKind::AlreadyExists.into());
    for number in 0..FOLDER_TRIES {
        let folder = parent.join(format!(".{:x}.{number:x}", std::process::id()));
        result = DirBuilder::new().mode(0o700).create(&folder).map(|()| folder);
        match &result {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            _ => break,
        }
    }
    result
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
                let given = headers.get(header::AUTHORIZATION).and_then(|value| bearer_token(value.as_bytes()));
                // Hashes are compared, so that how long it takes tells nothing of the token.
                match given.map(|token| <[u8; 32]>::from(Sha256::digest(token))) {
                    Some(hash) if hash == *wanted => Ok(()),
                    _ => Err(Failure::new(StatusCode::UNAUTHORIZED, "this node wants Authorization: Bearer TOKEN")),
                }
            }
            Guard::Local if is_from_web_page(headers) || !is_for_address(headers) => {
                let why = "without a token, a node answers no web pages, and only requests for an address or localhost";
                Err(Failure::new(StatusCode::FORBIDDEN, why))
            }
            Guard::Local => Ok(()),
        }
    }
}

/// The token of an `Authorization` header. The name of the scheme is case-insensitive (RFC 9110 §11.1).
fn bearer_token(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii_start())
}

/// Whether a browser says that another site sent the request. Requests for images carry no `Origin`.
fn is_from_web_page(headers: &HeaderMap) -> bool {
    let is_foreign = |site: &HeaderValue| site != "none" && site != "same-origin";
    headers.contains_key(header::ORIGIN) || headers.get(SEC_FETCH_SITE).is_some_and(is_foreign)
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
    let mut response = match guard.check(request.headers()) {
        Ok(()) => timeout(REQUEST_DEADLINE, next.run(request))
            .await
            .unwrap_or_else(|_| Failure::new(StatusCode::REQUEST_TIMEOUT, "the request took too long").into_response()),
        Err(failure) => failure.into_response(),
    };
    // Values come from other nodes: a browser must not guess that one is a page or a script.
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
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
            assert!(matches!(guard(address, None), Err(ApiError::NoToken(_))), "{address}");
            assert!(guard(address, Some("0123456789abcdef")).is_ok());
            assert!(matches!(guard(address, Some("short")), Err(ApiError::ShortToken)));
        }
    }

    #[test]
    fn only_the_whole_token_is_accepted_and_the_scheme_in_any_case() {
        let guard = guard("0.0.0.0:4080", Some("0123456789abcdef")).unwrap();
        for right in ["Bearer 0123456789abcdef", "bearer 0123456789abcdef", "BEARER  0123456789abcdef"] {
            assert!(guard.check(&headers(&[("authorization", right)])).is_ok(), "{right}");
        }
        for wrong in ["Bearer 0123456789abcde", "Bearer ", "Bearer", "0123456789abcdef", "Basic 0123456789abcdef"] {
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
        for site in ["cross-site", "same-site"] {
            assert!(guard.check(&headers(&[("host", "127.0.0.1"), ("sec-fetch-site", site)])).is_err(), "{site}");
        }
        for site in ["none", "same-origin"] {
            assert!(guard.check(&headers(&[("host", "127.0.0.1"), ("sec-fetch-site", site)])).is_ok(), "{site}");
        }
    }

    #[tokio::test]
    async fn a_unix_socket_is_closed_to_others_and_replaces_a_dead_one_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        let listener = bind_unix(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse, "it is alive");
        drop(listener);
        let listener = bind_unix(&path).unwrap();
        let (connected, accepted) = tokio::join!(tokio::net::UnixStream::connect(&path), listener.accept());
        assert!(connected.is_ok() && accepted.is_ok());
        let plain = folder.path().join("plain");
        fs::write(&plain, "kept").unwrap();
        assert_eq!(bind_unix(&plain).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read_to_string(&plain).unwrap(), "kept");
    }
}
