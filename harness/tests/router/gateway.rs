//! Hosts of the LAN ask the router for mappings, by NAT-PMP, PCP and UPnP: with packets written here by the RFCs, and with the
//! programs of others.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, UdpSocket};

use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::{Forward, MappingProtocol, NatConfig, Protocol};
use butter_harness::router::gateway::soap::SoapCall;

use crate::lab::{self, Lab, NEAR};
use crate::netns::{DEADLINE, available, http};

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

/// A lab whose router offers these, its NAT otherwise one that lets no packet in unasked.
pub(crate) fn offering(protocols: &[MappingProtocol]) -> Lab {
    let mapping_protocols: BTreeSet<_> = protocols.iter().copied().collect();
    let nat = NatConfig { mapping_protocols, ..NatConfig::symmetric() };
    let mut config = lab::config(Some(nat), LinkConfig::default(), LinkConfig::default());
    let to = "10.1.0.2:4999".parse().unwrap();
    config.forwards = vec![Forward { protocol: Protocol::Tcp, port: 4_999, to }];
    Lab::start(config)
}

fn ask(client: &UdpSocket, request: &[u8]) -> Vec<u8> {
    client.send_to(request, "10.1.0.1:5351").unwrap();
    let mut buffer = [0; 1_200];
    let length = client.recv(&mut buffer).expect("the router answers");
    buffer[..length].to_vec()
}

/// Whether a datagram from a stranger on the internet to a port of the router reaches this socket.
fn is_reached(lab: &Lab, socket: &UdpSocket, port: u16) -> bool {
    let before = lab.dropped("no_mapping");
    let stranger = lab.far.udp("203.0.113.12:0");
    stranger.send_to(b"hello", (OUTSIDE, port)).unwrap();
    crate::netns::eventually("it is let in or dropped", || {
        socket.set_nonblocking(true).unwrap();
        let came = socket.recv(&mut [0; 16]).is_ok();
        socket.set_nonblocking(false).unwrap();
        if came { Some(true) } else { (lab.dropped("no_mapping") > before).then_some(false) }
    })
}

#[test]
fn nat_pmp_maps_renews_and_ends() {
    if !available("nat_pmp_maps_renews_and_ends") {
        return;
    }
    let lab = offering(&[MappingProtocol::NatPmp]);
    let client = lab.near.udp(&format!("{NEAR}:0"));
    let node = lab.near.udp(&format!("{NEAR}:4001"));
    let address = ask(&client, &[0, 0]);
    assert_eq!((&address[..4], &address[8..]), (&[0, 128, 0, 0][..], &OUTSIDE.octets()[..]));
    let map = |lifetime: u8| [0, 1, 0, 0, 0x0f, 0xa1, 0x13, 0x88, 0, 0, 0x1c, lifetime];
    for lifetime in [0x20, 0x84] {
        assert_eq!(ask(&client, &map(lifetime))[8..], [0x0f, 0xa1, 0x13, 0x88, 0, 0, 0x1c, lifetime]);
        assert!(is_reached(&lab, &node, 5_000));
    }
    let ended = ask(&client, &[0, 1, 0, 0, 0x0f, 0xa1, 0, 0, 0, 0, 0, 0]);
    assert_eq!((&ended[..4], &ended[8..]), (&[0, 129, 0, 0][..], &[0x0f, 0xa1, 0, 0, 0, 0, 0, 0][..]));
    assert!(!is_reached(&lab, &node, 5_000));
    assert_eq!(ask(&client, &[2, 0, 0, 0])[..4], [0, 128, 0, 1], "a PCP client learns that this is NAT-PMP");
}

fn pcp_map(nonce: u8, lifetime: u32, outside: u16, options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 1, 0, 0];
    bytes.extend(lifetime.to_be_bytes());
    bytes.extend(Ipv4Addr::new(10, 1, 0, 2).to_ipv6_mapped().octets());
    bytes.extend([nonce; 12]);
    bytes.extend([17, 0, 0, 0, 0x0f, 0xa1]);
    bytes.extend(outside.to_be_bytes());
    bytes.extend(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().octets());
    bytes.extend(options);
    bytes
}

#[test]
fn pcp_maps_for_whoever_shows_the_nonce() {
    if !available("pcp_maps_for_whoever_shows_the_nonce") {
        return;
    }
    let lab = offering(&[MappingProtocol::Pcp]);
    let client = lab.near.udp(&format!("{NEAR}:0"));
    let node = lab.near.udp(&format!("{NEAR}:4001"));
    let granted = ask(&client, &pcp_map(1, 7_200, 5_000, &[]));
    assert_eq!(granted[..8], [2, 129, 0, 0, 0, 0, 0x1c, 0x20]);
    assert_eq!((&granted[42..44], &granted[56..60]), (&5_000u16.to_be_bytes()[..], &OUTSIDE.octets()[..]));
    assert!(is_reached(&lab, &node, 5_000));
    assert_eq!(ask(&client, &pcp_map(2, 0, 0, &[]))[3], 2, "not authorized: another's nonce");
    assert!(is_reached(&lab, &node, 5_000));
    assert_eq!(ask(&client, &pcp_map(1, 0, 0, &[]))[..8], [2, 129, 0, 0, 0, 0, 0, 0]);
    assert!(!is_reached(&lab, &node, 5_000));
    let mut elsewhere = pcp_map(1, 7_200, 5_000, &[]);
    elsewhere[23] = 9;
    assert_eq!(ask(&client, &elsewhere)[3], 12, "address mismatch");
    assert_eq!(ask(&client, &pcp_map(1, 7_200, 5_000, &[1, 0, 0, 0]))[3], 5, "no mappings for third parties");
    let prefer_failure = |address: &str| {
        let mut request = pcp_map(1, 7_200, 5_000, &[2, 0, 0, 0]);
        request[44..60].copy_from_slice(&address.parse::<Ipv4Addr>().unwrap().to_ipv6_mapped().octets());
        request
    };
    assert_eq!(ask(&client, &prefer_failure("203.0.113.9"))[3], 11, "RFC 6887 §13.2: another address");
    assert!(!is_reached(&lab, &node, 5_000));
    for address in ["203.0.113.2", "0.0.0.0"] {
        assert_eq!(ask(&client, &prefer_failure(address))[3], 0);
    }
    assert!(is_reached(&lab, &node, 5_000));
    assert_eq!(ask(&client, &[9, 0, 0, 0])[..4], [2, 128, 0, 1], "an unknown version");
}

/// RFC 6887 §8.5: the epoch begins again, and those who listen get an announcement.
#[test]
fn a_rebind_is_told_and_ends_what_was_granted() {
    if !available("a_rebind_is_told_and_ends_what_was_granted") {
        return;
    }
    let lab = offering(&[MappingProtocol::NatPmp, MappingProtocol::Pcp]);
    let listener = lab.near.udp("0.0.0.0:5350");
    listener.join_multicast_v4(&"224.0.0.1".parse().unwrap(), &NEAR.parse().unwrap()).unwrap();
    let client = lab.near.udp(&format!("{NEAR}:0"));
    let node = lab.near.udp(&format!("{NEAR}:4001"));
    ask(&client, &pcp_map(1, 7_200, 5_000, &[]));
    let mut stream = lab.operator.connect(lab.control(), DEADLINE).unwrap();
    let body = r#"{"addresses": ["203.0.113.2"]}"#;
    let head = format!("POST /v1/rebind HTTP/1.1\r\nHost: r\r\nConnection: close\r\nContent-Length: {}", body.len());
    assert!(http(&mut stream, &format!("{head}\r\n\r\n{body}")).starts_with("HTTP/1.1 200 "));
    let mut buffer = [0; 100];
    let (mut announced, mut address) = (false, false);
    while !(announced && address) {
        let length = listener.recv(&mut buffer).expect("it is announced");
        announced |= buffer[..4] == [2, 128, 0, 0];
        address |= buffer[..4] == [0, 128, 0, 0] && buffer[8..length] == OUTSIDE.octets();
    }
    assert!(!is_reached(&lab, &node, 5_000));
    assert_eq!(ask(&client, &pcp_map(2, 7_200, 5_000, &[]))[3], 0, "the port is free, and no nonce is remembered");
}

/// NAT-PMP tells an address, and each host takes it for its own: of several addresses none is named.
#[test]
fn no_address_is_told_to_everybody_where_there_are_several() {
    if !available("no_address_is_told_to_everybody_where_there_are_several") {
        return;
    }
    let mapping_protocols = BTreeSet::from([MappingProtocol::NatPmp, MappingProtocol::Pcp]);
    let nat = NatConfig { mapping_protocols, pool: 2, ..NatConfig::cgnat() };
    let mut config = lab::config(Some(nat), LinkConfig::default(), LinkConfig::default());
    config.pool = vec![Ipv4Addr::new(203, 0, 113, 3)];
    let lab = Lab::wired(config);
    let listener = lab.near.udp("0.0.0.0:5350");
    listener.join_multicast_v4(&"224.0.0.1".parse().unwrap(), &NEAR.parse().unwrap()).unwrap();
    let _lab = lab.run();
    // Each time PCP's is the first of the two, so that the other one would come between.
    for _ in 0..2 {
        let mut buffer = [0; 100];
        listener.recv(&mut buffer).expect("it is announced");
        assert_eq!(buffer[..4], [2, 128, 0, 0]);
    }
}

/// One call; status line and body.
fn call(lab: &Lab, call: &SoapCall) -> (String, String) {
    let body = call.to_xml();
    let mut stream = lab.near.connect("10.1.0.1:5000".parse().unwrap(), DEADLINE).unwrap();
    let head = format!("POST /control HTTP/1.1\r\nHost: router\r\nConnection: close\r\nContent-Length: {}", body.len());
    write!(stream, "{head}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn upnp_maps_lists_and_deletes_what_is_the_clients_own() {
    if !available("upnp_maps_lists_and_deletes_what_is_the_clients_own") {
        return;
    }
    let lab = offering(&[MappingProtocol::Upnp]);
    let node = lab.near.udp(&format!("{NEAR}:4001"));
    let add_to = |client: &str, host: &str, port: &str, inside: &str| {
        SoapCall::new(
            "AddPortMapping",
            &[
                ("NewRemoteHost", host),
                ("NewExternalPort", port),
                ("NewProtocol", "UDP"),
                ("NewInternalPort", inside),
                ("NewInternalClient", client),
                ("NewEnabled", "1"),
                ("NewPortMappingDescription", "a <node>"),
                ("NewLeaseDuration", "0"),
            ],
        )
    };
    let add = |client: &str, host: &str, port: &str| add_to(client, host, port, "4001");
    let says = |(status, body): (String, String), text: &str| {
        assert!(body.contains(text), "{text} in {status} {body}");
        status.contains(" 200 ")
    };
    assert!(says(call(&lab, &add(NEAR, "", "5000")), "AddPortMappingResponse"));
    assert!(is_reached(&lab, &node, 5_000));
    assert!(!says(call(&lab, &add(NEAR, "", "5001")), ">718<"), "an endpoint has one port");
    assert!(!says(call(&lab, &add("10.1.0.9", "", "5002")), ">606<"));
    assert!(!says(call(&lab, &add(NEAR, "203.0.113.11", "5000")), ">726<"));
    assert!(!says(call(&lab, &add(NEAR, "", "0")), ">716<"));
    assert!(!says(call(&lab, &add(NEAR, "", "many")), ">402<"));
    let index = |index: &str| SoapCall::new("GetGenericPortMappingEntry", &[("NewPortMappingIndex", index)]);
    assert!(says(call(&lab, &index("0")), "<NewPortMappingDescription>a &lt;node&gt;</NewPortMappingDescription>"));
    assert!(says(call(&lab, &index("1")), "<NewExternalPort>4999</NewExternalPort>"), "what is configured is shown");
    assert!(!says(call(&lab, &index("2")), ">713<"));
    let named = |action: &str, port: &str, protocol: &str| {
        SoapCall::new(action, &[("NewRemoteHost", ""), ("NewExternalPort", port), ("NewProtocol", protocol)])
    };
    let specific = |port: &str| named("GetSpecificPortMappingEntry", port, "UDP");
    assert!(says(call(&lab, &specific("5000")), "<NewInternalClient>10.1.0.2</NewInternalClient>"));
    assert!(!says(call(&lab, &specific("5001")), ">714<"));
    assert!(!says(call(&lab, &named("DeletePortMapping", "4999", "TCP")), ">606<"), "configured");
    assert!(says(call(&lab, &named("DeletePortMapping", "5000", "UDP")), "DeletePortMappingResponse"));
    assert!(!is_reached(&lab, &node, 5_000));
    let again = lab.near.udp(&format!("{NEAR}:4002"));
    for inside in ["4001", "4002"] {
        assert!(
            says(call(&lab, &add_to(NEAR, "", "5000", inside)), "AddPortMappingResponse"),
            "its own is overwritten"
        );
    }
    assert!(is_reached(&lab, &again, 5_000));
    assert!(says(call(&lab, &SoapCall::new("GetExternalIPAddress", &[])), "203.0.113.2"));
    assert!(!says(call(&lab, &SoapCall::new("ForceTermination", &[])), ">401<"));
}

/// Neither the internet nor the management network may ask, and no host where nothing is offered.
#[test]
fn only_the_lan_may_ask_and_only_for_what_is_offered() {
    if !available("only_the_lan_may_ask_and_only_for_what_is_offered") {
        return;
    }
    let none = |socket: &UdpSocket, to: &str| {
        socket.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
        socket.send_to(&[0, 0], to).unwrap();
        assert!(socket.recv(&mut [0; 100]).is_err(), "{to} answers");
    };
    let lab = offering(&[MappingProtocol::NatPmp, MappingProtocol::Pcp, MappingProtocol::Upnp]);
    lab.far.route("10.1.0.0/24".parse().unwrap(), OUTSIDE);
    let (far, operator) = (lab.far.udp("0.0.0.0:0"), lab.operator.udp("0.0.0.0:0"));
    for to in ["203.0.113.2:5351", "10.1.0.1:5351"] {
        none(&far, to);
    }
    none(&operator, "10.9.0.2:5351");
    for address in ["203.0.113.2:5000", "10.1.0.1:5000"] {
        assert!(lab.far.connect(address.parse().unwrap(), std::time::Duration::from_millis(300)).is_err());
    }
    assert!(lab.operator.connect("10.9.0.2:5000".parse().unwrap(), std::time::Duration::from_millis(300)).is_err());
    let nothing = Lab::with_nat(NatConfig::full_cone());
    none(&nothing.near.udp(&format!("{NEAR}:0")), "10.1.0.1:5351");
}
