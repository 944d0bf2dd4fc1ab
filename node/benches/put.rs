//! Values of 1 MiB stored by one of three nodes on loopback, three copies each: blocks in memory against blocks on a disk.
//!
//! `cargo bench -p butter --bench put`; the disk is that of the folder for temporary files.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use butter::Node;
use butter::config::NodeConfig;
use butter::core::config::Config;

const VALUE_BYTES: usize = 1 << 20;
const VALUES: u64 = 32;
const ROUNDS: usize = 3;

/// Three nodes that know each other.
async fn start(folder: Option<&std::path::Path>) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut ambassador = None;
    for number in 0..3 {
        let core = Config {
            ambassador: number == 0,
            discover: false,
            port_mapping: false,
            join: ambassador.into_iter().collect(),
            ..Config::default()
        };
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut node = Node::builder().config(NodeConfig::from(core)).listen(listen).lan(["lo"]);
        if let Some(folder) = folder {
            node = node.store(folder.join(number.to_string()));
        }
        let node = node.start().await.expect("a node starts on loopback");
        if number == 0 {
            let address = node.handle().inspect(|seen| seen.transport.local_addr()).await;
            ambassador = Some(address.expect("it runs").expect("its socket has an address"));
        }
        nodes.push(node);
    }
    let begun = Instant::now();
    for node in &nodes {
        while node.handle().known_hosts().await.expect("it runs").len() < 2 {
            assert!(begun.elapsed() < Duration::from_secs(20), "the nodes do not meet");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    nodes
}

/// MiB per second.
async fn throughput(folder: Option<&std::path::Path>, seed: u64) -> f64 {
    let nodes = start(folder).await;
    let value = |number: u64| -> Vec<u8> {
        let words =
            (0..VALUE_BYTES as u64 / 8).map(|at| (seed << 40 | number << 20 | at).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        words.flat_map(u64::to_le_bytes).collect()
    };
    nodes[0].handle().put(value(VALUES)).await.expect("three nodes hold three copies");
    let begun = Instant::now();
    for number in 0..VALUES {
        nodes[0].handle().put(value(number)).await.expect("three nodes hold three copies");
    }
    let took = begun.elapsed();
    for node in nodes {
        node.leave().await;
    }
    (VALUES as usize * VALUE_BYTES) as f64 / f64::from(1 << 20) / took.as_secs_f64()
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (mut memory, mut disk) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS as u64 {
        memory.push(runtime.block_on(throughput(None, round)));
        let folder = tempfile::tempdir().expect("a folder");
        disk.push(runtime.block_on(throughput(Some(folder.path()), round)));
    }
    for list in [&mut memory, &mut disk] {
        list.sort_by(f64::total_cmp);
    }
    let (memory, disk) = (memory[ROUNDS / 2], disk[ROUNDS / 2]);
    println!(
        "puts of 1 MiB, three copies: {memory:.1} MiB/s in memory, {disk:.1} MiB/s on disk ({:.0} %)",
        100.0 * disk / memory
    );
}
