//! The application API. A peer is server and client at once: *server behaviours* answer other peers' requests by route,
//! *client behaviours* are tasks that run beside the node.
//!
//! ```no_run
//! use butter::Node;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! Node::builder()
//!     .behaviour("reverse-message/", |_from, body| async move { Ok(body.iter().rev().copied().collect()) })
//!     .client(|node| async move {
//!         for host in node.known_hosts().await.unwrap_or_default() {
//!             let answer = node.ask(host.id, "reverse-message/", "ohce").await;
//!             println!("{}: {answer:?}", host.id);
//!         }
//!     })
//!     .run()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! A node runs the data overlay unless [`NodeBuilder::overlay`] gives it another one.

use std::fmt;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use butter_cli::end_signals::EndSignals;
use bytes::Bytes;
use tokio::task::JoinSet;

use crate::config::NodeConfig;
use crate::core::blob::Blob;
use crate::core::config::Config;
use crate::core::identity::{BlockId, NodeId};
use crate::core::interposer::Interposer;
pub use crate::driver::StartError;
use crate::driver::api::{ApiAddress, ApiServer, ApiSettings, OverlayApi};
use crate::driver::behaviours::Behaviours;
pub use crate::driver::behaviours::{Answer, HANDLERS_MAX};
pub use crate::driver::command::{
    AskCommand, CommandError, ConnectCommand, GetCommand, LeaveCommand, NodeCommand, OverlayCommand, PutCommand,
};
pub use crate::driver::handle::{AppOverlay, InspectedNode, NodeHandle, NodeStopped};
pub use crate::driver::identity::Identity;
use crate::driver::resolver::Resolver;
use crate::driver::store::{OpenStoreError, OpenedStore};
use crate::driver::store_lock::StoreLock;
use crate::driver::{Driver, DriverSettings, InterposerOf};
use crate::overlay::data::{DataOverlay, FoundValue, GetError, Keywords, PutError, StoredValue};

type Client<V> = Box<dyn FnOnce(NodeHandle<V>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Settings and behaviours of a node that has not started.
pub struct NodeBuilder<V: AppOverlay> {
    config: Arc<Config>,
    overlay: V,
    overlay_api: OverlayApi<V>,
    driver: DriverSettings,
    store: Option<PathBuf>,
    blocks_in_memory: bool,
    api: Option<ApiSettings>,
    behaviours: Behaviours,
    clients: Vec<Client<V>>,
    identity: Option<Identity>,
    interposer: Option<Box<InterposerOf<V>>>,
}

impl<V: AppOverlay> fmt::Debug for NodeBuilder<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBuilder")
            .field("config", &self.config)
            .field("driver", &self.driver)
            .field("store", &self.store)
            .field("blocks_in_memory", &self.blocks_in_memory)
            .field("api", &self.api)
            .field("behaviours", &self.behaviours)
            .field("clients", &self.clients.len())
            .finish_non_exhaustive()
    }
}

impl Node<DataOverlay> {
    /// A node with default settings: the data overlay, a port of the system's choice, a new identity, no control API.
    pub fn builder() -> NodeBuilder<DataOverlay> {
        NodeBuilder {
            config: Arc::default(),
            overlay: DataOverlay::new(Arc::default()),
            overlay_api: OverlayApi::data(),
            driver: DriverSettings::default(),
            store: None,
            blocks_in_memory: false,
            api: None,
            behaviours: Behaviours::default(),
            clients: Vec::new(),
            identity: None,
            interposer: None,
        }
    }
}

impl NodeBuilder<DataOverlay> {
    /// Replaces the settings of the core and of the data overlay.
    #[must_use]
    pub fn config(mut self, config: impl Into<NodeConfig>) -> Self {
        let NodeConfig { core, data, .. } = config.into();
        self.config = core;
        self.overlay = DataOverlay::new(data);
        self
    }

    /// Runs `overlay` in place of the data overlay. The control API then serves no values, and the metrics are those of the
    /// core and of `overlay`.
    ///
    /// # Panics
    /// If a client or an interposer was added before: they use the overlay's commands and messages.
    #[must_use]
    pub fn overlay<W: AppOverlay>(self, overlay: W) -> NodeBuilder<W> {
        let is_free = self.clients.is_empty() && self.interposer.is_none();
        assert!(is_free, "the overlay is chosen before clients and an interposer are added");
        NodeBuilder {
            config: self.config,
            overlay,
            overlay_api: OverlayApi::none(),
            driver: self.driver,
            store: self.store,
            blocks_in_memory: self.blocks_in_memory,
            api: self.api,
            behaviours: self.behaviours,
            clients: Vec::new(),
            identity: self.identity,
            interposer: None,
        }
    }
}

impl<V: AppOverlay> NodeBuilder<V> {
    /// Replaces the settings of the core.
    #[must_use]
    pub fn core_config(mut self, config: Config) -> Self {
        self.config = Arc::new(config);
        self
    }

    /// Listens for peers at this address (UDP).
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.driver.listen = address;
        self
    }

    /// Restricts discovery to these interfaces, such as `lo`.
    #[must_use]
    pub fn lan(mut self, interfaces: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.driver.interfaces = interfaces.into_iter().map(Into::into).collect();
        self
    }

    /// Uses another multicast group for announcements than Butter's.
    #[must_use]
    pub fn group(mut self, group: SocketAddrV4) -> Self {
        self.driver.group = group;
        self
    }

    /// Looks up the names of ambassadors with `resolver` instead of the system's.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.driver.resolver = resolver;
        self
    }

    /// Keeps what should outlive the node in this folder: its identity and the blocks that it stores. Without it a node has a
    /// new identity, and its blocks are in memory.
    #[must_use]
    pub fn store(mut self, folder: impl Into<PathBuf>) -> Self {
        self.store = Some(folder.into());
        self
    }

    /// Keeps the blocks in memory also with [`NodeBuilder::store`]: then only the identity outlives the node.
    #[must_use]
    pub fn blocks_in_memory(mut self) -> Self {
        self.blocks_in_memory = true;
        self
    }

    /// Has this identity, whatever the store says.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Puts `interposer` between the node and its network: for testbeds, to make a hostile node.
    #[must_use]
    pub fn interpose(
        mut self,
        interposer: impl Interposer<V::Message, V::Command, V::Outcome> + Send + 'static,
    ) -> Self {
        self.interposer = Some(Box::new(interposer));
        self
    }

    /// Serves the control API.
    #[must_use]
    pub fn api(mut self, settings: ApiSettings) -> Self {
        self.api = Some(settings);
        self
    }

    /// Answers requests of peers on `route` by `handler`, which gets the sender and the body. At most [`HANDLERS_MAX`] handlers
    /// run at once, each no longer than [`Config::deadline`]. Peers learn that a handler failed or panicked, but not why.
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
        C: FnOnce(NodeHandle<V>) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.clients.push(Box::new(move |node| Box::pin(client(node))));
        self
    }

    /// Starts the node. With [`ApiSettings::start_paused`] that waits until a client asks it to start.
    ///
    /// # Errors
    /// If a socket cannot be opened, or the store cannot be used or is in use.
    pub async fn start(self) -> Result<Node<V>, StartError> {
        let lock = self.store.as_deref().map(StoreLock::take).transpose().map_err(OpenStoreError::from)?;
        let identity = match (self.identity, &self.store) {
            (Some(identity), _) => identity,
            (None, Some(folder)) => Identity::in_store(folder)?,
            (None, None) => Identity::generate()?,
        };
        let (store, lock) = match (self.store, lock) {
            (Some(folder), Some(lock)) if !self.blocks_in_memory => (Some(OpenedStore::open(&folder, lock)?), None),
            (_, lock) => (None, lock),
        };
        let api = match &self.api {
            Some(settings) => Some(ApiServer::bind(settings).await?),
            None => None,
        };
        if let Some(api) = &api {
            api.wait_for_start().await;
        }
        let (mut driver, handle) =
            Driver::open(&identity, self.config, self.overlay, self.driver, self.behaviours, store)?;
        if let Some(interposer) = self.interposer {
            driver.interpose(interposer);
        }
        let mut node = JoinSet::new();
        node.spawn(driver.run());
        let mut beside = JoinSet::new();
        let api_address = api.as_ref().map(|api| api.address().clone());
        if let Some(api) = api {
            beside.spawn(api.run(handle.clone(), self.overlay_api));
        }
        for client in self.clients {
            beside.spawn(client(handle.clone()));
        }
        Ok(Node { handle, api: api_address, driver: node, beside, _lock: lock })
    }

    /// Starts the node and runs it until [`NodeHandle::leave`], the control API, SIGTERM or SIGINT stops it. It then leaves
    /// gracefully, within [`crate::driver::LEAVE_DEADLINE`]. A second signal ends it at once.
    ///
    /// # Errors
    /// If it cannot start.
    pub async fn run(self) -> Result<(), StartError> {
        // Install the handlers first: PID 1 of a container ignores SIGTERM without one, even during start-up.
        let mut signals = EndSignals::catch().map_err(StartError::Signals)?;
        let started = tokio::select! {
            started = self.start() => started?,
            () = signals.next() => return Ok(()),
        };
        started.run_until_signal(signals).await;
        Ok(())
    }
}

/// A running node with the overlay `V`. Dropping it kills the node without a graceful exit.
#[derive(Debug)]
pub struct Node<V: AppOverlay = DataOverlay> {
    handle: NodeHandle<V>,
    api: Option<ApiAddress>,
    driver: JoinSet<()>,
    beside: JoinSet<()>,
    /// Of the store, unless it is held together with the blocks.
    _lock: Option<StoreLock>,
}

impl<V: AppOverlay> Node<V> {
    /// A handle for commands, to clone for other tasks.
    pub fn handle(&self) -> &NodeHandle<V> {
        &self.handle
    }

    /// Address of the control API, if there is one.
    pub fn api(&self) -> Option<&ApiAddress> {
        self.api.as_ref()
    }

    /// Shuts the node down gracefully and waits until it has stopped.
    pub async fn leave(mut self) {
        self.handle.leave().await;
        self.stopped().await;
    }

    /// Waits until the node has stopped.
    ///
    /// # Panics
    /// If the node panicked: a defect must not look like a graceful exit.
    pub async fn stopped(&mut self) {
        if let Some(Err(error)) = self.driver.join_next().await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
        // Clients and the control API have no node any more.
        self.beside.shutdown().await;
    }

    /// Waits until the node has stopped by itself, or stops it when a signal arrives.
    async fn run_until_signal(mut self, mut signals: EndSignals) {
        tokio::select! {
            () = self.stopped() => return,
            () = signals.next() => tracing::info!("leaving"),
        }
        let handle = self.handle.clone();
        tokio::select! {
            () = async { tokio::join!(handle.leave(), self.stopped()); } => {}
            () = signals.next() => tracing::warn!("ended without leaving"),
        }
    }
}

impl NodeHandle<DataOverlay> {
    /// Stores `value` in the network. Returns once every block of it has as many copies as the setting `replicas` says.
    ///
    /// # Errors
    /// As [`PutError`].
    pub async fn put(&self, value: impl Into<Bytes>) -> Result<StoredValue, CommandError<PutError>> {
        self.put_with_keywords(value, Keywords::default()).await
    }

    /// As [`NodeHandle::put`], with words by which the value is found.
    ///
    /// # Errors
    /// As [`PutError`].
    pub async fn put_with_keywords(
        &self,
        value: impl Into<Bytes>,
        keywords: Keywords,
    ) -> Result<StoredValue, CommandError<PutError>> {
        self.execute(PutCommand { value: Blob(value.into()), keywords }).await?.map_err(CommandError::Op)
    }

    /// Finds the value with an id that [`NodeHandle::put`] returned.
    ///
    /// # Errors
    /// As [`GetError`].
    pub async fn get(&self, id: BlockId) -> Result<FoundValue, CommandError<GetError>> {
        self.execute(GetCommand { id, exhaustive: false }).await?.map_err(CommandError::Op)
    }

    /// As [`NodeHandle::get`], but asks every peer before it says that there is no such value.
    ///
    /// # Errors
    /// As [`GetError`].
    pub async fn get_exhaustively(&self, id: BlockId) -> Result<FoundValue, CommandError<GetError>> {
        self.execute(GetCommand { id, exhaustive: true }).await?.map_err(CommandError::Op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "a defect")]
    async fn panicked_node_is_not_reported_as_stopped() {
        let config = Config { discover: false, ..Config::default() };
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut node = Node::builder().config(config).listen(listen).start().await.unwrap();
        let fallen = node.handle.inspect(|_| -> () { panic!("a defect") }).await;
        assert!(fallen.is_err());
        node.stopped().await;
    }
}
