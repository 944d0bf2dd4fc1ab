//! The order in which nodes are started, with servers that answer as nodes do.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Json;
use axum::http::StatusCode;
use axum::routing::{get, post};
use butter::api;
use butter::core::identity::NodeId;
use tokio::net::TcpListener;

use super::client::Route;
use super::*;
use crate::plan::testing;

/// Questions to a node, of which one would be enough to let it begin.
const QUESTIONS: usize = 10;

/// Counts the processes that were started.
struct Counted(Arc<AtomicUsize>);

impl Host for Counted {
    async fn begin(fleet: &Arc<Fleet<Self>>, node: NodeIndex, _: bool, _: &Life) -> anyhow::Result<()> {
        if node.0 + 1 == fleet.nodes.len() {
            // The last takes so many answers of the first, which would have begun if it was let begin at once.
            for _ in 0..QUESTIONS {
                node_api::identity(&fleet.nodes[0].client).await.expect_err("the first is held");
            }
        }
        fleet.host.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn kill(_: &Fleet<Self>, _: NodeIndex, _: &Life) -> anyhow::Result<()> {
        anyhow::bail!("no test kills one")
    }

    async fn stop(_: &Fleet<Self>, _: NodeIndex, _: &Life) -> anyhow::Result<()> {
        anyhow::bail!("no test stops one")
    }

    async fn said(_: &Fleet<Self>, _: NodeIndex) -> String {
        String::new()
    }
}

/// A server that answers as a held node, and from when it is told to begin as one that runs; tells `begun` how many processes
/// `started` counted then.
async fn node(started: Arc<AtomicUsize>, begun: mpsc::UnboundedSender<usize>) -> SocketAddrV4 {
    let runs = Arc::new(AtomicBool::new(false));
    let running = Arc::clone(&runs);
    let begin = move || async move {
        runs.store(true, Ordering::SeqCst);
        begun.send(started.load(Ordering::SeqCst)).unwrap();
        StatusCode::NO_CONTENT
    };
    let status = move || async move {
        running.load(Ordering::SeqCst).then(|| Json(status())).ok_or(StatusCode::SERVICE_UNAVAILABLE)
    };
    let router = axum::Router::new().route(api::START_PATH, post(begin)).route(api::STATUS_PATH, get(status));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!("bound to 127.0.0.1") };
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn status() -> api::StatusBody {
    api::StatusBody {
        id: NodeId([7; 32]),
        version: String::new(),
        uptime_s: 0.0,
        ambassador: false,
        addresses: vec![],
        external_address: None,
        nat: None,
        via: None,
        neighbours: 0,
        known_hosts: 0,
        storage: api::StorageBody::default(),
        groups: api::GroupsBody::default(),
    }
}

struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _: &str, _: u64) {}
    fn advance(&mut self, _: u64) {}
    fn note(&mut self, _: &str) {}
}

#[tokio::test]
async fn no_node_begins_before_the_last_process_is_there() {
    let plan = testing::plan();
    let (count, started) = (plan.nodes.len(), Arc::new(AtomicUsize::new(0)));
    let (sender, mut begun) = mpsc::unbounded_channel();
    let mut addresses = vec![];
    for _ in 0..count {
        addresses.push(node(Arc::clone(&started), sender.clone()).await);
    }
    drop(sender);
    let mut operation = Operation::new();
    let to_node = |node: NodeIndex| Client::new(Route::Straight(addresses[node.0]), None);
    let (fleet, _queues) = operation.begin(Counted(started), plan, vec![], to_node).unwrap();
    fleet.start_nodes(&mut Silent).await.unwrap();
    for node in &fleet.nodes {
        assert!(node.live().is_some());
        assert_eq!(begun.recv().await, Some(count), "processes that were there");
    }
}
