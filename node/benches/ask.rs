//! How long peers take to answer each other, how many answers a second one node gets, and how fast values go in and out: two nodes of
//! one process on loopback. `cargo bench -p butter --bench ask`.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use butter::Node;
use butter::app::NodeHandle;
use butter::core::identity::NodeId;
use butter::overlay::data::{DataConfig, DataOverlay};
use bytes::Bytes;
use tokio::task::JoinSet;

const ROUTE: &str = "echo/";
const REQUESTS: usize = 4_000;
/// A port of its own, so that no other node of this machine joins in.
const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 1), 19_901);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (server, client) = (start().await, start().await);
    while client.handle().known_hosts().await.expect("it runs").is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for length in [0, 4_096, 32_768] {
        for callers in [1, 16] {
            ask(client.handle(), server.handle().id(), length, callers).await;
        }
    }
    values(client.handle(), server.handle()).await;
}

async fn start() -> Node {
    Node::builder()
        .config(DataConfig { replicas: 2, ..DataConfig::default() })
        .listen((Ipv4Addr::LOCALHOST, 0).into())
        .lan(["lo"])
        .group(GROUP)
        .behaviour(ROUTE, |_, body| async move { Ok(body) })
        .start()
        .await
        .expect("a node starts on loopback")
}

async fn ask(client: &NodeHandle<DataOverlay>, server: NodeId, length: usize, callers: usize) {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let client = client.clone();
        tasks.spawn(async move {
            let body = Bytes::from(vec![7; length]);
            let mut times = Vec::new();
            for _ in 0..REQUESTS / callers {
                let begun = Instant::now();
                client.ask(server, ROUTE, body.clone()).await.expect("an answer");
                times.push(begun.elapsed());
            }
            times
        });
    }
    let mut times = tasks.join_all().await.concat();
    times.sort_unstable();
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("ask, {length:>6} bytes, {callers:>2} callers: median {median:>9.1?}  p99 {p99:>9.1?}  {rate:>8.0} /s");
}

async fn values(from: &NodeHandle<DataOverlay>, to: &NodeHandle<DataOverlay>) {
    for length in [4_096, 1 << 20, 16 << 20] {
        let value: Vec<u8> = (0..length as u32).flat_map(|i| i.wrapping_mul(0x9E37_79B9).to_le_bytes()).collect();
        let begun = Instant::now();
        let stored = from.put(value[..length].to_vec()).await.expect("room for it");
        let put = begun.elapsed();
        let begun = Instant::now();
        to.get(stored.id).await.expect("it is there");
        println!("value of {length:>9} bytes: put in {put:>9.1?}, got in {:>9.1?}", begun.elapsed());
    }
}
