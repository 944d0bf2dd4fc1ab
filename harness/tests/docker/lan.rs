//! Promise: on a large LAN everybody can talk to everybody, though the kernel's neighbour table has no room for that.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use butter_harness::net::nat::NatConfig;
use nix::sched::{CloneFlags, setns};
use tokio::net::UdpSocket;

use crate::skipped::skipped;
use crate::support::{Docker, Draft, docker, docker_is_here, down, up};

/// Hosts of the LAN: each with all others needs 3,540 entries, and Linux as it comes keeps 1,024 for all namespaces.
const HOSTS: u8 = 60;
const PROBE_PORT: u16 = 5_555;
const QUESTION: &[u8] = b"?";
const ANSWER: &[u8] = b"!";
/// How long the answers may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn sixty_nodes_of_one_lan_lose_no_answer() {
    if !docker_is_here().await {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        skipped("only root may add neighbour entries to containers");
        return;
    }
    let run = up(quiet_lan()).await;
    let asked = ask_everybody(&run).await;
    down(run).await;
    assert_eq!(asked, usize::from(HOSTS) * usize::from(HOSTS - 1));
}

/// A LAN of nodes that leave the network to the probes.
fn quiet_lan() -> butter_harness::plan::Plan {
    let mut draft = Draft::new("large-lan");
    let lan = draft.network("lan", "10.1.0.0/24", Some(NatConfig::full_cone()));
    for number in 1..=HOSTS {
        let node = draft.node(&format!("n-{number}"), lan.0, 9 + number, false);
        draft.0.nodes[node.0].join.clear();
        draft.0.nodes[node.0].settings.push(("discover".into(), "false".into()));
    }
    draft.0
}

/// Has every node of the LAN ask every other one, all at once, and counts the answers.
async fn ask_everybody(run: &Docker) -> usize {
    let plan = run.backend.plan();
    let hosts: Vec<_> = plan.nodes.iter().filter(|node| node.network.0 == 1).collect();
    let id = run.backend.run_id().unwrap();
    let names = hosts.iter().map(|node| format!("butter-{id}-node-{}", node.name));
    let names: Vec<_> = ["inspect", "-f", "{{.State.Pid}}"].into_iter().map(str::to_owned).chain(names).collect();
    let pids = docker(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let sockets: Vec<_> =
        hosts.iter().zip(pids.lines()).map(|(node, pid)| Arc::new(socket_in(pid, node.address))).collect();
    assert_eq!(sockets.len(), usize::from(HOSTS));

    let answers = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for socket in &sockets {
        tasks.spawn(answer(Arc::clone(socket), Arc::clone(&answers)));
    }
    for socket in &sockets {
        for node in hosts.iter().filter(|node| socket.local_addr().unwrap().ip() != node.address) {
            // A full table shows here as "no buffer space": then no answer will come, which is what is counted.
            let _ = socket.send_to(QUESTION, SocketAddrV4::new(node.address, PROBE_PORT)).await;
        }
        // So that answers do not pile up in sockets that are not read meanwhile.
        tokio::task::yield_now().await;
    }
    let all = sockets.len() * (sockets.len() - 1);
    let everybody = async {
        while answers.load(Ordering::SeqCst) < all {
            tokio::task::yield_now().await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, everybody).await;
    answers.load(Ordering::SeqCst)
}

/// Answers questions and counts answers.
async fn answer(socket: Arc<UdpSocket>, answers: Arc<AtomicUsize>) {
    let mut buffer = [0; 16];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        match &buffer[..length] {
            QUESTION => drop(socket.send_to(ANSWER, from).await),
            ANSWER => drop(answers.fetch_add(1, Ordering::SeqCst)),
            other => panic!("{other:?}"),
        }
    }
}

/// A socket in the network namespace of process `pid`.
fn socket_in(pid: &str, address: Ipv4Addr) -> UdpSocket {
    let namespace = format!("/proc/{pid}/ns/net");
    let bind = move || {
        setns(File::open(namespace).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
        std::net::UdpSocket::bind((address, PROBE_PORT)).unwrap()
    };
    // A thread of its own, as it does not come back from there.
    let socket = std::thread::spawn(bind).join().unwrap();
    socket.set_nonblocking(true).unwrap();
    UdpSocket::from_std(socket).unwrap()
}
