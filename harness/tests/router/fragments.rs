//! Datagrams in pieces, sent by hand in the wrong order: kernels on the other side of the NAT put them together.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use butter_harness::net::nat::NatConfig;
use etherparse::{IpFragOffset, Ipv4Header, PacketBuilder};
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::{FAR, Lab, NEAR, OUTSIDE};
use crate::netns::{Namespace, available, eventually};

/// Another host of the LAN.
const OTHER: &str = "10.1.0.3";
/// Bytes in each fragment.
const PIECE: usize = 1_000;
/// Bytes in each datagram.
const DATAGRAM: usize = 3_500;

/// A host that sends IP packets as they are.
struct Sender {
    socket: Socket,
    address: Ipv4Addr,
}

impl Sender {
    fn new(host: &Namespace, address: &str) -> Self {
        let raw = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)));
        Sender { socket: host.enter(raw).unwrap(), address: address.parse().unwrap() }
    }

    /// A UDP datagram of so many times a byte, in pieces: the first comes second, and the last before the last but one.
    fn pieces(&self, port: u16, to: SocketAddrV4, byte: u8) -> [Vec<u8>; 4] {
        let mut whole = Vec::new();
        let builder = PacketBuilder::ipv4(self.address.octets(), to.ip().octets(), 64).udp(port, to.port());
        builder.write(&mut whole, &[byte; DATAGRAM]).unwrap();
        let (header, datagram) = Ipv4Header::from_slice(&whole).unwrap();
        [1, 0, 3, 2].map(|n| piece(&header, datagram, n * PIECE))
    }

    fn send(&self, piece: &[u8], to: SocketAddrV4) {
        self.socket.send_to(piece, &to.into()).expect("it is short enough");
    }
}

fn piece(header: &Ipv4Header, datagram: &[u8], at: usize) -> Vec<u8> {
    let end = datagram.len().min(at + PIECE);
    let mut header = Ipv4Header {
        identification: 77,
        dont_fragment: false,
        more_fragments: end < datagram.len(),
        fragment_offset: IpFragOffset::try_new(at as u16 / 8).unwrap(),
        ..header.clone()
    };
    header.set_payload_len(end - at).unwrap();
    let mut packet = Vec::new();
    header.write(&mut packet).unwrap();
    packet.extend_from_slice(&datagram[at..end]);
    packet
}

/// RFC 4787 REQ-14 and RFC 7857 §10: the two datagrams have one identification, and their pieces come in turns.
#[test]
fn datagrams_in_pieces_of_two_hosts_arrive_whole() {
    if !available("datagrams_in_pieces_of_two_hosts_arrive_whole") {
        return;
    }
    let lab = Lab::with_nat(NatConfig::port_restricted());
    let other = Namespace::new();
    lab.switches.attach(&other, "lan", &["10.1.0.3/24".parse().unwrap()]);
    other.route("0.0.0.0/0".parse().unwrap(), lab.config.inside.address);
    let to = SocketAddrV4::new(FAR[0].parse().unwrap(), 1_000);
    let far = lab.far.udp(&to.to_string());

    let senders = [Sender::new(&lab.near, NEAR), Sender::new(&other, OTHER)];
    let [near_pieces, other_pieces] = [0, 1].map(|n| senders[n].pieces(4_001, to, [b'n', b'o'][n]));
    for (near, other) in near_pieces.iter().zip(&other_pieces) {
        senders[0].send(near, to);
        senders[1].send(other, to);
    }
    let mut buffer = [0; 2 * DATAGRAM];
    let heard: BTreeMap<Vec<u8>, _> = (0..2)
        .map(|_| {
            let (length, from) = far.recv_from(&mut buffer).expect("it arrives whole");
            (buffer[..length].to_vec(), from)
        })
        .collect();
    let [from_near, from_other] = [b'n', b'o'].map(|byte| heard[&vec![byte; DATAGRAM]]);
    assert_ne!(from_near, from_other);

    let near = lab.near.udp("0.0.0.0:4001");
    let answers = Sender::new(&lab.far, FAR[0]);
    let back = SocketAddrV4::new(OUTSIDE.parse().unwrap(), from_near.port());
    answers.pieces(1_000, back, b'f').iter().for_each(|piece| answers.send(piece, back));
    let (length, from) = near.recv_from(&mut buffer).expect("the answer arrives whole");
    assert_eq!((&buffer[..length], from), (&[b'f'; DATAGRAM][..], to.into()));
    assert_eq!(lab.dropped("fragment"), 0);
}

#[test]
fn pieces_whose_first_never_comes_are_given_up() {
    if !available("pieces_whose_first_never_comes_are_given_up") {
        return;
    }
    let lab = Lab::with_nat(NatConfig::port_restricted());
    let to = SocketAddrV4::new(FAR[0].parse().unwrap(), 1_000);
    let near = Sender::new(&lab.near, NEAR);
    let [second, _first, fourth, third] = near.pieces(4_001, to, b'n');
    [second, fourth, third].iter().for_each(|piece| near.send(piece, to));
    eventually("they are dropped", || (lab.dropped("fragment") == 3).then_some(()));
}
