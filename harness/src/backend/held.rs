//! What a held lab asks of a backend: its nodes and routers one by one, also while a plan is played on it.

use std::fmt;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Backend;
use super::process::client::{ApiClient, ByteStream};
use super::process::{ProcessHost, ProcessRun};
use crate::plan::{Item, NetworkIndex, NodeIndex, Plan};
use butter::http::client::Connector;

/// An answer that takes the engine or the kernel.
pub(crate) type HeldFuture<'a, T> = Pin<Box<dyn Future<Output = anyhow::Result<T>> + Send + 'a>>;

/// A backend with real processes, which can be left up.
pub(crate) trait HeldBackend: Backend {
    /// Its nodes and routers; `None` until it is up.
    fn held(&self) -> Option<Arc<dyn HeldHosts>>;
}

/// A host of a held lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeldHost {
    /// The host of a node.
    Node(NodeIndex),
    /// The router of a network.
    Router(NetworkIndex),
}

/// What the process of a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HeldState {
    /// It was never started.
    Unstarted,
    /// It runs and answers.
    Up,
    /// It runs and does not answer: frozen, or not begun.
    Paused,
    /// It has ended.
    Down,
}

impl fmt::Display for HeldState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            HeldState::Unstarted => "not started",
            HeldState::Up => "up",
            HeldState::Paused => "paused",
            HeldState::Down => "down",
        })
    }
}

/// Where the log of a host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogSource {
    /// In a file of this machine.
    File(PathBuf),
    /// With the engine, under this name of a container.
    Container(String),
}

/// The control API of a node, as seen from the host of the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeldApi {
    /// Its address, within the namespace of the node.
    pub(crate) address: SocketAddrV4,
    /// The token that each request needs, if any.
    pub(crate) token: Option<String>,
}

/// The nodes and routers of a backend that is up.
pub(crate) trait HeldHosts: Send + Sync {
    /// What nodes and networks are by now.
    fn plan(&self) -> Arc<Plan>;

    /// Nodes and networks are something else from now on, or from their next start. Their number and their addresses stay.
    fn set_plan(&self, plan: Plan);

    /// Forgets what a node that has ended was started from; with `store`, also what it kept.
    fn discard(&self, node: NodeIndex, store: bool) -> HeldFuture<'_, ()>;

    /// From now on, nodes store these values.
    fn set_items(&self, items: Vec<Item>);

    /// What a node is doing.
    fn state(&self, node: NodeIndex) -> HeldState;

    /// The network namespace of a host, as a path that its owner may open.
    fn namespace(&self, host: HeldHost) -> HeldFuture<'_, PathBuf>;

    /// Where the log of a host is; `None` if none is kept.
    fn log(&self, host: HeldHost) -> Option<LogSource>;

    /// Where a node writes down the secrets of its connections; `None` if it does not.
    fn keys(&self, node: NodeIndex) -> HeldFuture<'_, Option<PathBuf>>;

    /// The control API of a node.
    fn api(&self, node: NodeIndex) -> HeldApi;

    /// A new connection to the control API of a node.
    fn connect(&self, node: NodeIndex) -> HeldFuture<'_, Box<dyn ByteStream>>;
}

impl<H: ProcessHost> HeldHosts for ProcessRun<H> {
    fn plan(&self) -> Arc<Plan> {
        self.present()
    }

    fn set_plan(&self, plan: Plan) {
        self.set_present(plan);
    }

    fn discard(&self, node: NodeIndex, store: bool) -> HeldFuture<'_, ()> {
        Box::pin(H::discard(self, node, store))
    }

    fn set_items(&self, items: Vec<Item>) {
        ProcessRun::set_items(self, items);
    }

    fn state(&self, node: NodeIndex) -> HeldState {
        let here = self.node(node);
        match here.instance() {
            None => HeldState::Unstarted,
            Some(instance) if instance.ended.is_cancelled() => HeldState::Down,
            Some(_) if here.live().is_some() => HeldState::Up,
            Some(_) => HeldState::Paused,
        }
    }

    fn namespace(&self, host: HeldHost) -> HeldFuture<'_, PathBuf> {
        Box::pin(H::namespace(self, host))
    }

    fn log(&self, host: HeldHost) -> Option<LogSource> {
        H::log(self, host)
    }

    fn keys(&self, node: NodeIndex) -> HeldFuture<'_, Option<PathBuf>> {
        Box::pin(H::keys(self, node))
    }

    fn api(&self, node: NodeIndex) -> HeldApi {
        H::api(self, node)
    }

    fn connect(&self, node: NodeIndex) -> HeldFuture<'_, Box<dyn ByteStream>> {
        let client: &ApiClient = &self.node(node).client;
        Box::pin(async move { client.connector().connect().await.map_err(|error| anyhow::anyhow!("{error:#}")) })
    }
}
