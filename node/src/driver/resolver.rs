//! Looking up the names of ambassadors.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::transport::canonical;

/// Longest lookup. The core waits a little longer for the answer.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(8);

/// The result of a lookup, to be awaited.
pub type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Looks up what a name stands for at the moment.
pub trait Resolver: fmt::Debug + Send + Sync {
    /// The addresses of `name`, which is HOST:PORT, of both families.
    fn look_up(&self, name: String) -> Lookup;
}

/// The system's resolver, with its hosts file and name servers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn look_up(&self, name: String) -> Lookup {
        Box::pin(async move { Ok(tokio::net::lookup_host(name).await?.collect()) })
    }
}

/// Lookups under way: at most one for each configured name.
#[derive(Debug)]
pub(super) struct Lookups {
    resolver: Arc<dyn Resolver>,
    under_way: JoinSet<(String, Vec<SocketAddr>)>,
}

impl Lookups {
    pub(super) fn new(resolver: Arc<dyn Resolver>) -> Self {
        Lookups { resolver, under_way: JoinSet::new() }
    }

    /// Begins to look up `name`.
    pub(super) fn begin(&mut self, name: String) {
        let lookup = self.resolver.look_up(name.clone());
        self.under_way.spawn(async move {
            let addresses = match timeout(LOOKUP_TIMEOUT, lookup).await {
                Ok(Ok(addresses)) => addresses.into_iter().map(canonical).collect(),
                Ok(Err(error)) => {
                    tracing::info!(name, %error, "the ambassador's name does not resolve; trying again");
                    Vec::new()
                }
                Err(_) => {
                    tracing::info!(name, "looking up the ambassador's name takes too long; trying again");
                    Vec::new()
                }
            };
            (name, addresses)
        });
    }

    /// The next name that was looked up, and its addresses. Waits for ever while none is. Cancel-safe.
    pub(super) async fn next(&mut self) -> (String, Vec<SocketAddr>) {
        loop {
            match self.under_way.join_next().await {
                Some(Ok(resolved)) => return resolved,
                Some(Err(error)) => tracing::warn!(%error, "a lookup ended early"),
                None => return std::future::pending().await,
            }
        }
    }
}
