//! The control API: HTTP on loopback or a unix socket; elsewhere only with a token. Shapes and paths are in [`crate::api`].
//!
//! | module | what it holds |
//! | --- | --- |
//! | `serve` | listening, connections, who may ask |
//! | `overlay` | routes and status of the overlay |
//! | `search` | searches, as lines of JSON |
//! | `routes` | what is asked and answered |
//! | `metrics` | Prometheus' text format |

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

mod metrics;
mod overlay;
mod routes;
mod search;
mod serve;

pub use metrics::PROCESS_INSTRUMENTS;
pub(crate) use overlay::OverlayApi;
pub(crate) use serve::ApiServer;

/// Where the control API listens by default.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:4080";
/// Names the token in the environment.
pub const TOKEN_VARIABLE: &str = "BUTTER_API_TOKEN";

/// Where a control API listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiAddress {
    /// TCP; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A unix socket at this path, for this user only.
    Unix(PathBuf),
}

/// A text that is no address of a control API.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid address `{0}` for the control API: expected IP:PORT, such as {DEFAULT_ADDRESS}, or unix:PATH")]
pub struct BadAddress(String);

/// Why there is no control API. The node does not start.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Other machines could use it without a token.
    #[error("the control API at {0} is reachable from other machines and has no token")]
    NoToken(ApiAddress),
    /// The token is shorter than [`TOKEN_MIN`] and could be guessed.
    #[error("the API token is too short: at least {TOKEN_MIN} characters, as from `openssl rand -hex 16`")]
    ShortToken,
    /// The address cannot be listened on.
    #[error("the control API cannot listen on {address}")]
    Bind {
        /// The address to listen on, as configured.
        address: ApiAddress,
        /// The error of the system call.
        source: io::Error,
    },
}

/// Shortest token, in characters.
pub const TOKEN_MIN: usize = 16;

impl fmt::Display for ApiAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ApiAddress::Tcp(address) => write!(f, "{address}"),
            ApiAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for ApiAddress {
    type Err = BadAddress;
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        match text.strip_prefix("unix:") {
            Some(path) if !path.is_empty() => Ok(ApiAddress::Unix(path.into())),
            Some(_) => Err(BadAddress(text.to_owned())),
            None => text.parse().map(ApiAddress::Tcp).map_err(|_| BadAddress(text.to_owned())),
        }
    }
}

impl ApiAddress {
    /// Whether only this machine's users can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            ApiAddress::Tcp(address) => address.ip().is_loopback(),
            ApiAddress::Unix(_) => true,
        }
    }
}

/// Where the control API listens and who may use it.
#[derive(Clone)]
pub struct ApiSettings {
    /// The address to listen on.
    pub address: ApiAddress,
    /// What each request must carry, if anything.
    pub token: Option<String>,
    /// Start paused: the node opens no socket for peers, and this API answers 503 until `POST /v1/start`.
    pub start_paused: bool,
}

impl fmt::Debug for ApiSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiSettings")
            .field("address", &self.address)
            .field("token", &self.token.is_some())
            .field("start_paused", &self.start_paused)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_its_text() {
        for text in ["127.0.0.1:4080", "[::1]:0", "unix:/run/butter.sock"] {
            assert_eq!(text.parse::<ApiAddress>().unwrap().to_string(), text);
        }
        for text in ["", "unix:", "4080", "localhost:4080"] {
            let error = text.parse::<ApiAddress>().unwrap_err().to_string();
            assert!(error.contains("127.0.0.1:4080"), "{error}");
        }
    }
}
