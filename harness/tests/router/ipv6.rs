//! IPv6 through a real router process: hosts make the addresses that a plan foresees, and what passes is what the policy says.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use butter_harness::net::autoconf::autoconfigured;
use butter_harness::net::firewall::Policy;
use butter_harness::net::link::LinkConfig;
use butter_harness::plan::ipv6::PREFIX_LEN;
use butter_harness::router::{RouterConfig, RouterIpv6Config, SideConfig6};
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::{self, Lab};
use crate::netns::{DEADLINE, available, eventually};

/// The prefix of the LAN, and of the network that it is behind.
const LAN: &str = "2001:db8:2::/64";
const INTERNET: &str = "2001:db8:1::/64";
/// The far host's address, the router's in front of it, the one on the LAN.
const FAR: &str = "2001:db8:1::b";
const OUTSIDE: &str = "2001:db8:1::2";
const GATEWAY: &str = "2001:db8:2::1";
/// Long enough for what does not come to have come.
const A_WHILE: Duration = Duration::from_millis(300);

/// The address that the LAN's host makes of its own in IPv4.
fn near() -> Ipv6Addr {
    autoconfigured(LAN.parse().unwrap(), lab::NEAR.parse().unwrap())
}

fn side(subnet: &str, address: &str) -> SideConfig6 {
    SideConfig6 { subnet: subnet.parse().unwrap(), address: address.parse().unwrap(), gateway: None }
}

fn config(firewall: Policy, link: LinkConfig) -> RouterConfig {
    let ipv6 = RouterIpv6Config {
        inside: side(LAN, GATEWAY),
        outside: Some(SideConfig6 { gateway: Some(FAR.parse().unwrap()), ..side(INTERNET, OUTSIDE) }),
        firewall,
        routes: Vec::new(),
    };
    RouterConfig { ipv6: Some(ipv6), ..lab::config(None, link.clone(), link) }
}

/// The lab, its far host with an address and a way back to the LAN.
fn start(config: RouterConfig) -> Lab {
    let lab = Lab::wired(config);
    lab.far.take_ipv6(FAR.parse().unwrap(), PREFIX_LEN, Some((LAN.parse().unwrap(), OUTSIDE.parse().unwrap())));
    lab.run()
}

/// The LAN's host once it has its address: a socket bound to that.
fn near_socket(lab: &Lab) -> UdpSocket {
    let address = SocketAddrV6::new(near(), 4_001, 0, 0);
    let socket = eventually("the host has the planned address", || lab.near.enter(|| UdpSocket::bind(address)).ok());
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

fn heard(socket: &UdpSocket) -> (Vec<u8>, String) {
    let mut buffer = [0; 64];
    let (length, from) = socket.recv_from(&mut buffer).expect("the packet arrives");
    (buffer[..length].to_vec(), from.to_string())
}

#[test]
fn a_host_takes_the_planned_address_from_the_routers_advertisement() {
    if !available("a_host_takes_the_planned_address_from_the_routers_advertisement") {
        return;
    }
    let lab = start(config(Policy::Stateful, LinkConfig::default()));
    let began = Instant::now();
    near_socket(&lab);
    assert!(began.elapsed() < Duration::from_secs(5), "the first advertisements come quickly: {:?}", began.elapsed());
}

#[test]
fn a_stateful_filter_lets_in_only_what_was_asked_for() {
    if !available("a_stateful_filter_lets_in_only_what_was_asked_for") {
        return;
    }
    let lab = start(config(Policy::Stateful, LinkConfig::default()));
    let (near_end, far_end) = (near_socket(&lab), lab.far.udp(&format!("[{FAR}]:1000")));
    let stranger = lab.far.udp(&format!("[{FAR}]:1001"));
    let to = near_end.local_addr().unwrap();
    far_end.send_to(b"unsolicited", to).unwrap();
    eventually("the filter drops it", || (lab.dropped("filtered") == 1).then_some(()));

    near_end.send_to(b"question", far_end.local_addr().unwrap()).unwrap();
    assert_eq!(heard(&far_end), (b"question".to_vec(), to.to_string()), "nothing is translated");
    stranger.send_to(b"intrusion", to).unwrap();
    eventually("the filter drops it", || (lab.dropped("filtered") == 2).then_some(()));
    far_end.send_to(b"answer", to).unwrap();
    assert_eq!(heard(&near_end), (b"answer".to_vec(), far_end.local_addr().unwrap().to_string()));
}

#[test]
fn an_open_router_lets_everybody_in() {
    if !available("an_open_router_lets_everybody_in") {
        return;
    }
    let lab = start(config(Policy::Open, LinkConfig::default()));
    let (near_end, far_end) = (near_socket(&lab), lab.far.udp(&format!("[{FAR}]:1000")));
    far_end.send_to(b"unsolicited", near_end.local_addr().unwrap()).unwrap();
    assert_eq!(heard(&near_end).0, b"unsolicited");
}

/// One echo request, and whether its reply has come before the deadline.
fn pings(lab: &Lab, to: &str) -> bool {
    let socket = lab.near.enter(|| Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))).unwrap();
    socket.set_read_timeout(Some(A_WHILE)).unwrap();
    let to = SocketAddrV6::new(to.parse().unwrap(), 0, 0, 0);
    // The kernel computes the checksum.
    let request = [128, 0, 0, 0, 0x12, 0x34, 0, 1, b'!'];
    let deadline = Instant::now() + DEADLINE;
    socket.send_to(&request, &to.into()).unwrap();
    while Instant::now() < deadline {
        let mut reply = [0; 64];
        match (&socket).read(&mut reply) {
            Ok(9) if reply[0] == 129 && reply[4..9] == request[4..] => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    false
}

#[test]
fn echoes_are_answered_by_the_far_host_and_by_the_router_itself() {
    if !available("echoes_are_answered_by_the_far_host_and_by_the_router_itself") {
        return;
    }
    let lab = start(config(Policy::Stateful, LinkConfig::default()));
    near_socket(&lab);
    for to in [GATEWAY, OUTSIDE, FAR] {
        assert!(pings(&lab, to), "{to}");
    }
    assert!(!pings(&lab, "2001:db8:1::dead"), "no host has that address");
}

/// Over links that count packets, what the host's segmentation offload left whole is cut; over perfect ones it passes as it is.
#[test]
fn bytes_arrive_as_they_were_sent_over_any_link() {
    if !available("bytes_arrive_as_they_were_sent_over_any_link") {
        return;
    }
    let rate = LinkConfig { rate_bps: Some(200_000_000), latency: Duration::from_millis(1), ..LinkConfig::default() };
    for link in [LinkConfig::default(), rate] {
        let lab = start(config(Policy::Stateful, link));
        near_socket(&lab);
        let listener = lab.far.enter(|| TcpListener::bind(format!("[{FAR}]:80"))).unwrap();
        let receive = thread::spawn(move || {
            let (mut stream, from) = listener.accept().unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            (bytes, from)
        });
        let to = SocketAddrV6::new(FAR.parse().unwrap(), 80, 0, 0).into();
        let mut stream = lab.near.enter(|| TcpStream::connect_timeout(&to, DEADLINE)).unwrap();
        let sent: Vec<u8> = (0..4_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        stream.write_all(&sent).unwrap();
        drop(stream);
        let (bytes, from) = receive.join().unwrap();
        assert!(bytes == sent, "{} bytes of {}", bytes.len(), sent.len());
        assert_eq!(from.ip(), near());
    }
}

#[test]
fn a_lan_that_leads_nowhere_has_addresses_and_no_way_out() {
    if !available("a_lan_that_leads_nowhere_has_addresses_and_no_way_out") {
        return;
    }
    let mut config = config(Policy::Stateful, LinkConfig::default());
    config.ipv6.as_mut().unwrap().outside = None;
    let lab = start(config);
    let socket = near_socket(&lab);
    let refused = socket.send_to(b"anybody?", format!("[{FAR}]:1000")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NetworkUnreachable);
}
