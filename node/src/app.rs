//! What an application holds. A peer is server and client at once: *server behaviours* answer other peers' requests by route,
//! *client behaviours* are tasks that run beside the node.
//!
//! ```no_run
//! use butter::app::Butter;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! Butter::builder()
//!     .behaviour("reverse-message/", |_from, body| async move { Ok(body.iter().rev().copied().collect()) })
//!     .client(|peer| async move {
//!         for host in peer.known_hosts().await.unwrap_or_default() {
//!             let answer = peer.ask(host.id, "reverse-message/", "ohce").await;
//!             println!("{}: {answer:?}", host.id);
//!         }
//!     })
//!     .run()
//!     .await?;
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::core::blob::Blob;
use crate::core::config::Config;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::io::{AskError, Command, Outcome};
pub use crate::driver::StartError;
use crate::driver::api::{ApiAddress, ApiServer, ApiSettings};
use crate::driver::behaviours::Behaviours;
pub use crate::driver::behaviours::{Answer, HANDLERS_MAX};
pub use crate::driver::handle::Ended;
use crate::driver::handle::Handle;
use crate::driver::identity::Identity;
use crate::driver::{Driver, Place};
use crate::overlay::data::{Data, DataCommand, DataOutcome, Found, GetError, PutError, Stored};

type Client = Box<dyn FnOnce(Peer) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A node to be.
#[derive(Default)]
pub struct Butter {
    config: Config,
    place: Place,
    store: Option<PathBuf>,
    api: Option<ApiSettings>,
    behaviours: Behaviours,
    clients: Vec<Client>,
}

impl fmt::Debug for Butter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Butter")
            .field("config", &self.config)
            .field("place", &self.place)
            .field("store", &self.store)
            .field("api", &self.api)
            .field("behaviours", &self.behaviours)
            .field("clients", &self.clients.len())
            .finish()
    }
}

impl Butter {
    /// With default settings, a port of the system's choice, a new identity, no control API.
    pub fn builder() -> Self {
        Self::default()
    }

    /// With these settings.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Listening for peers here (UDP).
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.place.listen = address;
        self
    }

    /// To be found on these interfaces only, such as `lo`.
    #[must_use]
    pub fn lan(mut self, interfaces: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.place.interfaces = interfaces.into_iter().map(Into::into).collect();
        self
    }

    /// With announcements to another group than Butter's.
    #[must_use]
    pub fn group(mut self, group: SocketAddrV4) -> Self {
        self.place.group = group;
        self
    }

    /// With what should outlive the node, such as its identity, in this folder.
    #[must_use]
    pub fn store(mut self, folder: impl Into<PathBuf>) -> Self {
        self.store = Some(folder.into());
        self
    }

    /// With a control API.
    #[must_use]
    pub fn api(mut self, settings: ApiSettings) -> Self {
        self.api = Some(settings);
        self
    }

    /// Answers peers' requests on `route` by `handler`, which is given who asks and the request's body. At most
    /// [`HANDLERS_MAX`] run at once, each no longer than [`Config::deadline`]. If it fails or panics, peers learn just that.
    #[must_use]
    pub fn behaviour<H, F>(mut self, route: impl Into<String>, handler: H) -> Self
    where
        H: Fn(NodeId, Bytes) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        self.behaviours.add(route.into(), handler);
        self
    }

    /// Runs `client` beside the node, from its start.
    #[must_use]
    pub fn client<C, F>(mut self, client: C) -> Self
    where
        C: FnOnce(Peer) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.clients.push(Box::new(move |peer| Box::pin(client(peer))));
        self
    }

    /// Starts the node. With [`ApiSettings::start_paused`] that waits until a client asks it to start.
    ///
    /// # Errors
    /// If a socket cannot be had, or the store not be used.
    pub async fn start(self) -> Result<Running, StartError> {
        let identity = match &self.store {
            Some(folder) => Identity::in_store(folder)?,
            None => Identity::generate()?,
        };
        let api = match &self.api {
            Some(settings) => Some(ApiServer::bind(settings).await?),
            None => None,
        };
        if let Some(api) = &api {
            api.wait_for_start().await;
        }
        let overlay = Data::new(&self.config);
        let (driver, handle) = Driver::open(&identity, Arc::new(self.config), overlay, self.place, self.behaviours)?;
        let mut node = JoinSet::new();
        node.spawn(driver.run());
        let mut beside = JoinSet::new();
        let api_address = api.as_ref().map(|api| api.address().clone());
        if let Some(api) = api {
            beside.spawn(api.run(handle.clone()));
        }
        let peer = Peer { handle };
        for client in self.clients {
            beside.spawn(client(peer.clone()));
        }
        Ok(Running { peer, api: api_address, node, beside })
    }

    /// Starts the node and plays it until it is told to leave: by [`Peer::leave`], the control API, SIGTERM or SIGINT. It then
    /// leaves in good order, within [`crate::driver::LEAVE_DEADLINE`]; a second signal ends it at once.
    ///
    /// # Errors
    /// If it cannot start.
    pub async fn run(self) -> Result<(), StartError> {
        // First of all: as process 1 of a container, without a handler it could not even be told to end while it starts.
        let mut signals = Signals::catch()?;
        let started = tokio::select! {
            started = self.start() => started?,
            () = signals.next() => return Ok(()),
        };
        started.until_told(signals).await;
        Ok(())
    }
}

/// A node that runs. When dropped, it falls silent at once.
#[derive(Debug)]
pub struct Running {
    peer: Peer,
    api: Option<ApiAddress>,
    node: JoinSet<()>,
    beside: JoinSet<()>,
}

impl Running {
    /// The node.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Where its control API listens, if it has one.
    pub fn api(&self) -> Option<&ApiAddress> {
        self.api.as_ref()
    }

    /// Has it leave in good order, and waits until it has.
    pub async fn leave(mut self) {
        self.peer.leave().await;
        self.ended().await;
    }

    /// Waits until it has left.
    ///
    /// # Panics
    /// If the node did: a defect is not to look like a node that has left.
    pub async fn ended(&mut self) {
        if let Some(Err(error)) = self.node.join_next().await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
        // Behaviours of clients and the control API have nothing to talk to any more.
        self.beside.shutdown().await;
    }

    /// Waits until it has left by itself, or has it leave when a signal comes.
    async fn until_told(mut self, mut signals: Signals) {
        tokio::select! {
            () = self.ended() => return,
            () = signals.next() => tracing::info!("leaving"),
        }
        let peer = self.peer.clone();
        tokio::select! {
            () = async { tokio::join!(peer.leave(), self.ended()); } => {}
            () = signals.next() => tracing::warn!("ended without leaving"),
        }
    }
}

/// SIGTERM and SIGINT, caught from when this is made.
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn catch() -> Result<Self, StartError> {
        let caught = |kind| signal(kind).map_err(StartError::Signals);
        Ok(Signals { term: caught(SignalKind::terminate())?, int: caught(SignalKind::interrupt())? })
    }

    /// The next of either.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// What a command fails with: its own error `E`, or the node's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure<E: std::error::Error> {
    /// It was refused or did not succeed.
    #[error(transparent)]
    Because(E),
    /// The node has ended; it may or may not have been done.
    #[error("the node has ended")]
    Ended,
}

impl<E: std::error::Error> From<Ended> for Failure<E> {
    fn from(_: Ended) -> Self {
        Failure::Ended
    }
}

/// A running node. Cheap to clone; use it from any task.
#[derive(Clone, Debug)]
pub struct Peer {
    handle: Handle<Data>,
}

impl Peer {
    /// Who the node is.
    pub fn id(&self) -> NodeId {
        self.handle.id()
    }

    /// Keeps `value` in the network. Returns once every block of it has as many copies as are wanted.
    ///
    /// # Errors
    /// As [`PutError`].
    pub async fn put(&self, value: impl Into<Bytes>) -> Result<Stored, Failure<PutError>> {
        let command = DataCommand::Put { value: Blob(value.into()) };
        match self.handle.command(Command::Overlay(command)).await? {
            Outcome::Overlay(DataOutcome::Put(result)) => result.map_err(Failure::Because),
            other => unreachable!("the core ended a put as {other:?}"),
        }
    }

    /// Finds the value that [`Peer::put`] called `id`.
    ///
    /// # Errors
    /// As [`GetError`].
    pub async fn get(&self, id: BlockId) -> Result<Found, Failure<GetError>> {
        match self.handle.command(Command::Overlay(DataCommand::Get { id })).await? {
            Outcome::Overlay(DataOutcome::Got(result)) => result.map_err(Failure::Because),
            other => unreachable!("the core ended a get as {other:?}"),
        }
    }

    /// What `peer`'s server behaviour on `route` answers to `body`.
    ///
    /// # Errors
    /// As [`AskError`].
    pub async fn ask(
        &self,
        peer: NodeId,
        route: impl Into<String>,
        body: impl Into<Bytes>,
    ) -> Result<Bytes, Failure<AskError>> {
        let command = Command::Ask { peer, route: route.into(), body: Blob(body.into()) };
        match self.handle.command(command).await? {
            Outcome::Answered(result) => result.map(|answer| answer.0).map_err(Failure::Because),
            other => unreachable!("the core ended a request as {other:?}"),
        }
    }

    /// The node, as others are told of it.
    ///
    /// # Errors
    /// If the node has ended.
    pub async fn contact(&self) -> Result<Contact, Ended> {
        self.handle.look(|seen| seen.node.me().clone()).await
    }

    /// Everybody whom the node knows, neighbours first.
    ///
    /// # Errors
    /// If the node has ended.
    pub async fn known_hosts(&self) -> Result<Vec<Contact>, Ended> {
        self.handle.look(|seen| seen.node.known_hosts().cloned().collect()).await
    }

    /// Has the node leave in good order. Returns once it is ready to end, within [`crate::driver::LEAVE_DEADLINE`].
    pub async fn leave(&self) {
        self.handle.leave().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "a defect")]
    async fn a_node_that_panics_does_not_look_like_one_that_has_left() {
        let config = Config { discover: false, ..Config::default() };
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut node = Butter::builder().config(config).listen(listen).start().await.unwrap();
        let fallen = node.peer.handle.look(|_| -> () { panic!("a defect") }).await;
        assert!(fallen.is_err());
        node.ended().await;
    }
}
