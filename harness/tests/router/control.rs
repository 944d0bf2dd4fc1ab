//! The operator reaches the LAN's nodes through the control proxy; the nodes reach nothing of the management side; the router
//! ends at once on SIGTERM.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddrV4;
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;

use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::NatConfig;
use nix::sched::{CloneFlags, unshare};

use crate::lab::{self, CONTROL_PORT, Lab};
use crate::netns::{DEADLINE, Router, available, eventually, http};

/// How long is waited for a connection that must not come about.
const IN_VAIN: Duration = Duration::from_millis(500);

/// Opens a tunnel; the answer's status line, and the stream behind its head.
fn tunnel(lab: &Lab, to: &str) -> (String, BufReader<std::net::TcpStream>) {
    let mut stream = lab.operator.connect(lab.control(), DEADLINE).unwrap();
    write!(stream, "CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let mut status = String::new();
    reader.read_line(&mut status).unwrap();
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 2 {
        line.clear();
    }
    (status, reader)
}

#[test]
fn the_operator_reaches_the_lan_and_nothing_else() {
    if !available("the_operator_reaches_the_lan_and_nothing_else") {
        return;
    }
    let lab = Lab::with_nat(NatConfig::symmetric());
    let (node, far) = (lab.near.listen("10.1.0.2:4080"), lab.far.listen("203.0.113.11:4080"));
    let data = vec![7; 300_000];
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, from) = node.accept().unwrap();
            assert_eq!(from.ip().to_string(), "10.1.0.1", "the proxy comes from the gateway's address");
            let mut received = vec![0; data.len()];
            stream.read_exact(&mut received).unwrap();
            stream.write_all(&received).unwrap();
        });
        let (status, mut reader) = tunnel(&lab, "10.1.0.2:4080");
        assert_eq!(status, "HTTP/1.1 200 OK\r\n");
        reader.get_mut().write_all(&data).unwrap();
        let mut back = Vec::new();
        reader.read_to_end(&mut back).unwrap();
        assert!(back == data, "what was sent comes back");
    });
    for to in ["203.0.113.11:4080", "10.1.0.1:4090", "10.9.0.1:4080", "127.0.0.1:4090", "localhost:4080"] {
        assert!(tunnel(&lab, to).0.contains(" 403 "), "{to}");
    }
    assert!(tunnel(&lab, "10.1.0.2:9").0.contains(" 502 "), "no server listens there");
    far.set_nonblocking(true).unwrap();
    assert!(far.accept().is_err(), "nothing has left the LAN");
}

#[test]
fn metrics_are_exposed() {
    if !available("metrics_are_exposed") {
        return;
    }
    let lab = Lab::with_nat(NatConfig::full_cone());
    let (near, far) = (lab.near.udp("0.0.0.0:0"), lab.far.udp("203.0.113.11:1000"));
    near.send_to(&[0; 72], "203.0.113.11:1000").unwrap();
    far.recv(&mut [0; 100]).unwrap();
    eventually("the packet is counted", || {
        (lab.metric("butter_router_forwarded_packets_total{direction=\"up\"}") == 1).then_some(())
    });
    assert_eq!(lab.metric("butter_router_forwarded_bytes_total{direction=\"up\"}"), 100);
    assert_eq!(lab.metric("butter_router_nat_mappings"), 1);
    let mut stream = lab.operator.connect(lab.control(), DEADLINE).unwrap();
    let other = http(&mut stream, "GET /other HTTP/1.1\r\nHost: router\r\nConnection: close\r\n\r\n");
    assert!(other.starts_with("HTTP/1.1 404 "), "{other}");
}

/// Linux takes packets for any of its addresses on every interface: the proxy has to be bound to its own.
#[test]
fn the_lan_and_the_internet_do_not_reach_the_proxy() {
    if !available("the_lan_and_the_internet_do_not_reach_the_proxy") {
        return;
    }
    let lab = Lab::with_nat(NatConfig::full_cone());
    let at = |address: &str| SocketAddrV4::new(address.parse().unwrap(), CONTROL_PORT);
    lab.far.route("10.9.0.0/24".parse().unwrap(), "203.0.113.2".parse().unwrap());
    lab.far.route("10.1.0.0/24".parse().unwrap(), "203.0.113.2".parse().unwrap());
    for (who, namespace) in [("the LAN", &lab.near), ("the internet", &lab.far)] {
        for address in ["10.9.0.2", "10.1.0.1", "203.0.113.2", "10.9.0.1"] {
            assert!(namespace.connect(at(address), IN_VAIN).is_err(), "{who} reaches {address}");
        }
    }
    assert!(lab.operator.connect(lab.control(), DEADLINE).is_ok(), "it was there all the time");
}

#[test]
fn it_ends_at_once_when_told_to() {
    if !available("it_ends_at_once_when_told_to") {
        return;
    }
    let mut lab = Lab::with_nat(NatConfig::full_cone());
    assert_eq!(lab.router.as_mut().unwrap().terminate().code(), Some(0));
}

/// Process 1 has no default handlers: an unhandled SIGTERM would do nothing.
#[test]
fn it_ends_at_once_as_process_1_too() {
    if !available("it_ends_at_once_as_process_1_too") {
        return;
    }
    let mut lab = Lab::wired(lab::config(None, LinkConfig::default(), LinkConfig::default()));
    let mut command = Router::command(&lab.config);
    let child = lab.router_namespace.enter(|| {
        unshare(CloneFlags::CLONE_NEWPID).unwrap();
        command.spawn().unwrap()
    });
    lab.router = Some(Router::of(child));
    eventually("the router answers", || lab.operator.connect(lab.control(), DEADLINE).ok());
    let status = lab.router.as_mut().unwrap().terminate();
    assert_eq!((status.code(), status.signal()), (Some(0), None));
}

#[test]
fn it_says_what_is_missing() {
    if !available("it_says_what_is_missing") {
        return;
    }
    let mut lab = Lab::wired(lab::config(None, LinkConfig::default(), LinkConfig::default()));
    lab.config.outside.as_mut().unwrap().subnet = "198.51.100.0/24".parse().unwrap();
    lab.config.outside.as_mut().unwrap().address = "198.51.100.2".parse().unwrap();
    let mut command = Router::command(&lab.config);
    let output = lab.router_namespace.enter(|| command.output()).unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(message.contains("198.51.100.0/24") && message.contains("10.1.0.254"), "{message}");
}

/// Posts a command; the answer's status line.
fn command(lab: &Lab, path: &str, body: &str) -> String {
    let mut stream = lab.operator.connect(lab.control(), DEADLINE).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nHost: router\r\nConnection: close\r\nContent-Length: {}", body.len());
    http(&mut stream, &format!("{head}\r\n\r\n{body}")).lines().next().unwrap().to_owned()
}

const OK: &str = "HTTP/1.1 200 OK";

/// Nothing of before is let in any more, and what is sent again comes from the new address.
#[test]
fn a_rebind_forgets_every_mapping_and_changes_the_address() {
    if !available("a_rebind_forgets_every_mapping_and_changes_the_address") {
        return;
    }
    let lab = Lab::with_nat(NatConfig::full_cone());
    let (near, far) = (lab.near.udp("0.0.0.0:4001"), lab.far.udp("203.0.113.11:1000"));
    let seen = || {
        near.send_to(b"hello", "203.0.113.11:1000").unwrap();
        far.recv_from(&mut [0; 16]).unwrap().1.to_string()
    };
    assert_eq!(seen(), "203.0.113.2:4001");
    assert_eq!(command(&lab, "/v1/rebind", r#"{"addresses": ["203.0.113.77"]}"#), OK);
    far.send_to(b"to no host", "203.0.113.77:4001").unwrap();
    eventually("the mapping is forgotten", || (lab.dropped("no_mapping") == 1).then_some(()));
    assert_eq!(seen(), "203.0.113.77:4001");
    far.send_to(b"answer", "203.0.113.77:4001").unwrap();
    assert_eq!(near.recv(&mut [0; 16]).unwrap(), 6);
    assert_eq!(command(&lab, "/v1/rebind", r#"{"addresses": ["203.0.113.2", "203.0.113.3"]}"#), OK);
    assert_eq!(seen(), "203.0.113.2:4001");
}

#[test]
fn a_link_changes_while_the_router_runs() {
    if !available("a_link_changes_while_the_router_runs") {
        return;
    }
    let lab = Lab::with_nat(NatConfig::full_cone());
    let (near, far) = (lab.near.udp("0.0.0.0:4001"), lab.far.udp("203.0.113.11:1000"));
    let seen_after = || {
        let sent = std::time::Instant::now();
        near.send_to(b"hello", "203.0.113.11:1000").unwrap();
        far.recv(&mut [0; 16]).unwrap();
        sent.elapsed()
    };
    seen_after();
    let slow = LinkConfig { latency: Duration::from_millis(300), ..LinkConfig::default() };
    let body = serde_json::json!({ "up": slow, "down": LinkConfig::default() }).to_string();
    assert_eq!(command(&lab, "/v1/link", &body), OK);
    assert!(seen_after() >= Duration::from_millis(300));
}

#[test]
fn commands_that_make_no_sense_are_refused() {
    if !available("commands_that_make_no_sense_are_refused") {
        return;
    }
    let lab = Lab::with_nat(NatConfig::full_cone());
    let link = |loss: f64, rate_bps: Option<u64>| {
        let link = LinkConfig { loss, rate_bps, ..LinkConfig::default() };
        serde_json::json!({ "up": link, "down": link }).to_string()
    };
    for (path, body) in [
        ("/v1/rebind", r#"{"addresses": []}"#.to_owned()),
        ("/v1/rebind", r#"{"addresses": ["10.1.0.9"]}"#.to_owned()),
        ("/v1/rebind", "[".repeat(20_000)),
        ("/v1/link", "{}".to_owned()),
        ("/v1/link", link(1.5, None)),
        ("/v1/link", link(0.5, Some(0))),
    ] {
        assert!(command(&lab, path, &body).contains(" 400 "), "{path} {}", &body[..body.len().min(80)]);
    }
    let plain = Lab::start(lab::config(None, LinkConfig::default(), LinkConfig::default()));
    assert!(command(&plain, "/v1/rebind", r#"{"addresses": ["203.0.113.77"]}"#).contains(" 400 "));
}
