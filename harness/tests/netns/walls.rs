//! Promise: nodes have no power, and reach nothing but their networks.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::skipped::skipped;
use crate::support::{Desk, Player, Process};

/// Of `linux/capability.h`: `CAP_NET_ADMIN` and `CAP_NET_RAW`.
const NETWORK_POWER: u64 = 1 << 12 | 1 << 13;

fn power(process: &Process, set: &str) -> u64 {
    u64::from_str_radix(&process.status(set), 16).unwrap()
}

fn confined(player: Player, user: &str) {
    let Some(desk) = Desk::of(player) else { return };
    let playing = desk.play_endless();
    let (node, routers) = (playing.node("203.0.113.10"), playing.routers());
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(power(&node, set), 0, "{set} of a node");
        let most = if set == "CapInh" || set == "CapAmb" { 0 } else { NETWORK_POWER };
        assert!(routers.iter().all(|router| power(router, set) == most), "{set} of a router");
    }
    for process in routers.iter().chain([&node]) {
        assert_eq!(process.status("NoNewPrivs"), "1");
    }
    if nix::unistd::geteuid().is_root() {
        assert_eq!(node.status("Uid").split_whitespace().next(), Some(user));
    }
}

#[test]
fn nodes_of_root_have_no_power() {
    confined(Player::Own, "65534");
}

#[test]
fn nodes_of_an_ordinary_user_have_no_power() {
    confined(Player::Ordinary, "65534");
}

#[test]
fn a_node_reaches_neither_a_routers_control_nor_another_nodes() {
    if !nix::unistd::geteuid().is_root() {
        skipped("only root may enter the namespaces of other processes");
        return;
    }
    let Some(desk) = Desk::of(Player::Own) else { return };
    let playing = desk.play_endless();
    let ambassador = playing.node("203.0.113.10");
    let connects = |to: &str| {
        let to: SocketAddr = to.parse().unwrap();
        let namespace = File::open(format!("/proc/{}/ns/net", ambassador.pid)).unwrap();
        let connect = move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            TcpStream::connect_timeout(&to, Duration::from_secs(2)).is_ok()
        };
        thread::spawn(connect).join().unwrap()
    };
    assert!(connects("127.0.0.1:4080"), "its own control API is there");
    for to in ["203.0.113.1:4090", "203.0.113.254:4090", "127.0.0.1:4090", "10.1.0.10:4080", "203.0.113.1:4080"] {
        assert!(!connects(to), "{to}");
    }
}
