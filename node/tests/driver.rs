//! Nodes over real sockets, in one process: discovery, storing and finding, asking, leaving. On loopback only, each test with a
//! multicast port of its own; every wait is for a condition, with a deadline.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use butter::Node;
use butter::app::{CommandError, NodeBuilder, NodeHandle};
use butter::core::config::Config;
use butter::core::io::AskError;
use butter::core::message::Refusal;
use butter::driver::resolver::{Lookup, Resolver};
use butter::overlay::data::{DataConfig, DataOverlay, GetError};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);
/// Pause between looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A node to be, on loopback, that shares its LAN with those of the same port.
fn butter(port: u16) -> NodeBuilder<DataOverlay> {
    let config = DataConfig { replicas: 2, heartbeat: Duration::from_millis(200), ..DataConfig::default() };
    Node::builder()
        .config(config)
        .listen("127.0.0.1:0".parse().unwrap())
        .lan(["lo"])
        .group(SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 1), port))
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = timeout(DEADLINE, async {
        while !holds().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"));
}

async fn knows(peer: &NodeHandle<DataOverlay>, count: usize) {
    until(&format!("{count} known hosts"), async || peer.known_hosts().await.unwrap().len() >= count).await;
}

async fn started(nodes: impl IntoIterator<Item = NodeBuilder<DataOverlay>>) -> Vec<Node> {
    let mut running = Vec::new();
    for node in nodes {
        running.push(node.start().await.unwrap());
    }
    for node in &running {
        knows(node.handle(), running.len() - 1).await;
    }
    running
}

#[tokio::test]
async fn two_nodes_of_a_lan_find_each_other() {
    let nodes = started([butter(19_701), butter(19_701)]).await;
    let known = nodes[0].handle().known_hosts().await.unwrap();
    assert_eq!(known[0].id, nodes[1].handle().id());
}

#[tokio::test]
async fn nodes_of_different_groups_do_not_meet() {
    let pair = started([butter(19_702), butter(19_702)]).await;
    let alone = butter(19_703).start().await.unwrap();
    // Both have had the time that the pair needed.
    assert!(alone.handle().known_hosts().await.unwrap().is_empty());
    assert_eq!(pair[0].handle().known_hosts().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_one_stores_all_find() {
    let nodes = started([butter(19_704), butter(19_704), butter(19_704)]).await;
    for length in [0, 1, 4_096, 100_000] {
        let value: Vec<u8> = (0..length).map(|i| (i * 31 % 251) as u8).collect();
        let stored = timeout(DEADLINE, nodes[0].handle().put(value.clone())).await.unwrap().unwrap();
        assert_eq!(stored.blocks[0], stored.id);
        let again = timeout(DEADLINE, nodes[1].handle().put(value.clone())).await.unwrap().unwrap();
        assert_eq!(again, stored, "the same value has the same name, and costs no time");
        for node in &nodes {
            let found = timeout(DEADLINE, node.handle().get(stored.id)).await.unwrap().unwrap();
            assert!(found.value.as_ref() == value, "{length} bytes");
        }
    }
}

#[tokio::test]
async fn what_nobody_stored_is_not_found() {
    let nodes = started([butter(19_705), butter(19_705)]).await;
    let id = "00".repeat(32).parse().unwrap();
    let found = timeout(DEADLINE, nodes[0].handle().get(id)).await.unwrap();
    assert!(matches!(found, Err(CommandError::Op(GetError::NotFound(_)))), "{found:?}");
}

#[tokio::test]
async fn peers_answer_by_route() {
    let server = butter(19_706)
        .behaviour("reverse-message/", |_, body| async move { Ok(body.iter().rev().copied().collect()) })
        .behaviour("who/", |from, _| async move { Ok(from.to_string().into()) })
        .behaviour("panic/", |_, _| async { panic!("a test's handler") });
    let nodes = started([server, butter(19_706)]).await;
    let (server, client) = (nodes[0].handle(), nodes[1].handle());
    let ask =
        async |route: &str, body: &'static str| timeout(DEADLINE, client.ask(server.id(), route, body)).await.unwrap();
    assert_eq!(ask("reverse-message/", "hello").await.unwrap(), "olleh");
    assert_eq!(ask("who/", "").await.unwrap(), client.id().to_string());
    for (route, refusal) in [("panic/", Refusal::Failed), ("none/", Refusal::NoSuchRoute)] {
        assert_eq!(ask(route, "").await, Err(CommandError::Op(AskError::Refused(refusal))));
    }
    assert_eq!(ask("reverse-message/", "again").await.unwrap(), "niaga");
}

#[tokio::test]
async fn many_requests_at_once_are_each_answered_with_their_own() {
    let server = butter(19_707).behaviour("echo/", |_, body| async move { Ok(body) });
    let nodes = started([server, butter(19_707)]).await;
    let server = nodes[0].handle().id();
    // As many as one peer may have under way.
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..64u32 {
        let client = nodes[1].handle().clone();
        asked.spawn(async move {
            let body = number.to_le_bytes().repeat(1_000);
            assert_eq!(client.ask(server, "echo/", body.clone()).await.unwrap(), body);
        });
    }
    timeout(DEADLINE, asked.join_all()).await.unwrap();
}

#[tokio::test]
async fn whoever_leaves_is_forgotten_at_once_and_hands_over() {
    let mut nodes = started([butter(19_708), butter(19_708), butter(19_708)]).await;
    let stored = timeout(DEADLINE, nodes[0].handle().put("kept")).await.unwrap().unwrap();
    let leaving = nodes.remove(0);
    let id = leaving.handle().id();
    let peer = leaving.handle().clone();
    timeout(DEADLINE, leaving.leave()).await.unwrap();
    assert!(peer.known_hosts().await.is_err(), "it has ended");
    for node in &nodes {
        until("the leaver is forgotten", async || {
            node.handle().known_hosts().await.unwrap().iter().all(|host| host.id != id)
        })
        .await;
        let found = timeout(DEADLINE, node.handle().get(stored.id)).await.unwrap().unwrap();
        assert_eq!(found.value.as_ref(), b"kept");
    }
}

#[tokio::test]
async fn whoever_falls_silent_is_forgotten() {
    let mut nodes = started([butter(19_709), butter(19_709)]).await;
    drop(nodes.remove(0));
    let left = nodes[0].handle();
    until("no host is known", async || left.known_hosts().await.unwrap().is_empty()).await;
}

#[tokio::test]
async fn nodes_join_through_an_ambassador_without_multicast() {
    let ambassador = Config { ambassador: true, discover: false, ..Config::default() };
    let ambassador = Node::builder().config(ambassador).listen("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
    let me = |running: &Node| {
        let peer = running.handle().clone();
        async move { peer.contact().await.unwrap() }
    };
    let at = me(&ambassador).await.local[0];
    let join = || {
        let config = Config { discover: false, join: vec![at], ..Config::default() };
        Node::builder().config(config).listen("127.0.0.1:0".parse().unwrap()).start()
    };
    let (a, b) = (join().await.unwrap(), join().await.unwrap());
    for node in [&a, &b] {
        knows(node.handle(), 2).await;
    }
    assert_eq!(me(&a).await.via, None, "no NAT is between: whoever knows its address can dial it");
}

/// What a name stands for, to be changed during a test.
#[derive(Clone, Debug, Default)]
struct Names(Arc<Mutex<Vec<SocketAddr>>>);

impl Names {
    fn set(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        *self.0.lock().unwrap() = addresses.into_iter().collect();
    }
}

impl Resolver for Names {
    fn look_up(&self, name: String) -> Lookup {
        assert_eq!(name, "ambassador.test:4001");
        let addresses = self.0.lock().unwrap().clone();
        let found = if addresses.is_empty() { Err(std::io::ErrorKind::NotFound.into()) } else { Ok(addresses) };
        Box::pin(async { found })
    }
}

#[tokio::test]
async fn node_follows_the_name_of_its_ambassador_from_before_it_resolves_to_another_address() {
    let ambassador = async || {
        let config = Config { ambassador: true, discover: false, ..Config::default() };
        let node = Node::builder().config(config).listen("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
        let at = node.handle().contact().await.unwrap().local[0];
        (node, at)
    };
    let names = Names::default();
    let config = Config { discover: false, join_names: vec!["ambassador.test:4001".to_owned()], ..Config::default() };
    let listen = "127.0.0.1:0".parse().unwrap();
    let node = Node::builder().config(config).listen(listen).resolver(Arc::new(names.clone())).start().await.unwrap();
    let known = async |ambassador: &Node| {
        until("the ambassador is known", async || {
            let known = node.handle().known_hosts().await.unwrap();
            known.iter().any(|host| host.id == ambassador.handle().id())
        })
        .await;
    };

    // Nothing answers at the first address: the second is dialled at the same time.
    let (first, at) = ambassador().await;
    names.set(["127.0.0.1:9".parse().unwrap(), at]);
    known(&first).await;

    first.leave().await;
    let (second, at) = ambassador().await;
    names.set([at]);
    known(&second).await;
}

#[tokio::test]
async fn a_store_keeps_who_the_node_is() {
    let folder = tempfile::tempdir().unwrap();
    let start = || butter(19_710).store(folder.path()).start();
    let first = start().await.unwrap();
    let id = first.handle().id();
    first.leave().await;
    assert_eq!(start().await.unwrap().handle().id(), id);
}
