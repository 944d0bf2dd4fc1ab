//! The order in which nodes are started, with servers that answer as nodes do.

use std::convert::Infallible;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use butter::api;
use butter::core::identity::NodeId;
use butter::http::server::{HttpLimits, HttpListener, HttpServer, RequestBody};
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;

use super::client::{Route, api_client};
use super::*;
use crate::testing;

/// Questions to a node, of which one would be enough to let it begin.
const QUESTIONS: usize = 10;

/// Counts the processes that were started.
struct Counted(Arc<AtomicUsize>);

impl ProcessHost for Counted {
    async fn begin(run: &Arc<ProcessRun<Self>>, node: NodeIndex, _: bool, _: &ProcessInstance) -> anyhow::Result<()> {
        if node.0 + 1 == run.nodes.len() {
            // The last takes so many answers of the first, which would have begun if it was let begin at once.
            for _ in 0..QUESTIONS {
                node_api::identity(&run.nodes[0].client).await.expect_err("the first is held");
            }
        }
        run.host.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn kill(_: &ProcessRun<Self>, _: NodeIndex, _: &ProcessInstance) -> anyhow::Result<()> {
        anyhow::bail!("no test kills one")
    }

    async fn signal(_: &ProcessRun<Self>, _: NodeIndex, _: nix::sys::signal::Signal) -> anyhow::Result<()> {
        anyhow::bail!("no test signals one")
    }

    async fn stop(_: &ProcessRun<Self>, _: NodeIndex, _: &ProcessInstance) -> anyhow::Result<()> {
        anyhow::bail!("no test stops one")
    }

    async fn filter(_: &ProcessRun<Self>, _: NodeIndex, _: ArrivalFilter) -> anyhow::Result<()> {
        anyhow::bail!("no test has a partition")
    }

    async fn is_out_of_memory(_: &ProcessRun<Self>, _: NodeIndex) -> bool {
        false
    }

    async fn rewire(_: &ProcessRun<Self>, _: NodeIndex, _: &Plan) -> anyhow::Result<()> {
        anyhow::bail!("no test moves one")
    }

    fn route(_: &ProcessRun<Self>, _: NodePlace) -> Option<Route> {
        None
    }

    const STORE: &str = "cwd";

    async fn process_id(_: &ProcessRun<Self>, _: NodeIndex) -> anyhow::Result<i32> {
        anyhow::bail!("no test changes a disk")
    }

    async fn namespace(_: &ProcessRun<Self>, _: HeldHost) -> anyhow::Result<PathBuf> {
        anyhow::bail!("no test enters one")
    }

    fn log(_: &ProcessRun<Self>, _: HeldHost) -> Option<LogSource> {
        None
    }

    async fn discard(_: &ProcessRun<Self>, _: NodeIndex, _: bool) -> anyhow::Result<()> {
        anyhow::bail!("no test discards one")
    }

    async fn keys(_: &ProcessRun<Self>, _: NodeIndex) -> anyhow::Result<Option<PathBuf>> {
        Ok(None)
    }

    fn api(_: &ProcessRun<Self>, _: NodeIndex) -> HeldApi {
        unreachable!("no test asks for one")
    }

    async fn last_output(_: &ProcessRun<Self>, _: NodeIndex) -> String {
        String::new()
    }
}

/// A server that answers as a paused node, and as a running one once it is started. It then sends to `begun` how many processes
/// `started` counted at that moment.
async fn node(started: Arc<AtomicUsize>, begun: mpsc::UnboundedSender<usize>) -> SocketAddrV4 {
    let running = Arc::new(AtomicBool::new(false));
    let answer = move |method: &Method, path: &str| match (method, path) {
        (&Method::POST, api::START_PATH) => {
            running.store(true, Ordering::SeqCst);
            begun.send(started.load(Ordering::SeqCst)).unwrap();
            Response::default()
        }
        (&Method::GET, api::STATUS_PATH) if running.load(Ordering::SeqCst) => {
            Response::new(Full::<Bytes>::from(serde_json::to_vec(&status()).unwrap()))
        }
        _ => {
            let mut paused = Response::default();
            *paused.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            paused
        }
    };
    let answer = Arc::new(answer);
    let service = service_fn(move |request: Request<RequestBody>| {
        let answered = answer(request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(answered) }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!("bound to 127.0.0.1") };
    let limits = HttpLimits {
        connections: 10,
        connections_per_address: 10,
        head_deadline: Duration::from_secs(60),
        connection_deadline: None,
        head_bytes: 16 << 10,
        body_bytes: 0,
    };
    tokio::spawn(async move { HttpServer::new(limits).serve(&HttpListener::Tcp(listener), service).await });
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
        double: None,
        via: None,
        neighbours: 0,
        known_hosts: 0,
        storage: None,
        groups: None,
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
    let mut operation = ProcessBackend::new();
    let to_node = |node: NodeIndex| api_client(Route::Direct(addresses[node.0]), None);
    let (run, _queues) = operation.begin(Counted(started), plan, vec![], &BTreeSet::new(), to_node).unwrap();
    run.start_nodes(&mut Silent).await.unwrap();
    for node in &run.nodes {
        assert!(node.live().is_some());
        assert_eq!(begun.recv().await, Some(count), "processes that were there");
    }
}
