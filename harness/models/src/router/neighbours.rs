//! Who is at which link-layer address on one side: the router's own ARP (RFC 826).

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use butter::core::time::Time;
use etherparse::{ArpEthIpv4Packet, ArpOperation, ArpPacketSlice, EtherType, Ethernet2Header};

use super::frame::{BROADCAST, Mac};
use super::offload::Offload;
use super::stats::{DropCause, RouterStats};

/// How long an answer is believed.
pub const BELIEVED: Duration = Duration::from_secs(60);
/// How long an answer is waited for before asking again.
pub const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How often is asked before what waits is dropped.
pub const ASKED_MAX: u32 = 3;
/// Most hosts whose address is known by asking; the oldest answer makes room.
pub const KNOWN_MAX: usize = 4_096;
/// Most hosts that are being asked for.
pub const ASKING_MAX: usize = 256;
/// Most packets that wait for one host.
pub const WAITING_MAX: usize = 64;

/// The neighbours on one side of the router, by addresses of one kind.
#[derive(Debug)]
pub struct Neighbours<A = Ipv4Addr> {
    /// The router's own; the first is the one that asks.
    addresses: Vec<A>,
    mac: Mac,
    /// Whether requests for the addresses are answered here; otherwise the kernel does.
    answers: bool,
    permanent: BTreeMap<A, Mac>,
    known: BTreeMap<A, (Mac, Time)>,
    asking: BTreeMap<A, Asking>,
    /// The frame by which an own address asks for another.
    request: fn(A, Mac, A) -> Vec<u8>,
    /// Whether the addresses still have to be announced to the neighbours.
    announcing: bool,
}

#[derive(Debug)]
struct Asking {
    again: Time,
    asked: u32,
    waiting: VecDeque<(Offload, Box<[u8]>)>,
}

/// Takes a frame to be sent.
pub type SendFrame<'a> = &'a mut dyn FnMut(Offload, &[u8]);

impl Neighbours {
    /// The neighbours of these addresses, one at least, which are at `mac`; they are answered for if `answers`.
    pub fn new(addresses: Vec<Ipv4Addr>, mac: Mac, answers: bool, permanent: BTreeMap<Ipv4Addr, Mac>) -> Self {
        Neighbours { answers, permanent, ..Neighbours::asking_by(addresses, mac, request) }
    }

    /// Reads an ARP frame (from behind its Ethernet header): answers it if it asks for this side, and learns from it if it
    /// is for this side at all, or tells that a known address has moved.
    pub fn heard(&mut self, now: Time, arp: &[u8], send: SendFrame<'_>) {
        let Some(arp) = ArpPacketSlice::from_slice(arp).ok().and_then(|slice| slice.to_packet().try_eth_ipv4().ok())
        else {
            return;
        };
        let (sender, target) = (arp.sender_ipv4_addr(), arp.target_ipv4_addr());
        let to_us = self.addresses.contains(&target);
        if self.addresses.contains(&sender) || !(to_us || self.known.contains_key(&sender)) {
            return;
        }
        self.learn(now, sender, arp.sender_mac, send);
        if to_us && arp.operation == ArpOperation::REQUEST && self.answers {
            send(Offload::default(), &reply(target, self.mac, &arp));
        }
    }
}

impl<A: Copy + Ord> Neighbours<A> {
    /// The neighbours of these addresses, one at least, which are at `mac`; others are asked for by `request`.
    pub(super) fn asking_by(addresses: Vec<A>, mac: Mac, request: fn(A, Mac, A) -> Vec<u8>) -> Self {
        assert!(!addresses.is_empty(), "whoever has neighbours has an address");
        let (permanent, known, asking) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Neighbours { addresses, mac, answers: true, permanent, known, asking, request, announcing: false }
    }

    /// Has these addresses from now on. [`Neighbours::advance`] tells everybody (RFC 5227 §3): they may have been another's.
    pub fn readdress(&mut self, addresses: Vec<A>) {
        assert!(!addresses.is_empty(), "whoever has neighbours has an address");
        self.addresses = addresses;
        self.announcing = true;
    }

    /// The router's own addresses.
    pub fn own(&self) -> &[A] {
        &self.addresses
    }

    /// The link-layer address of this side.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Whether a host has been heard of, or is being asked for.
    pub fn is_asked_or_known(&self, ip: A) -> bool {
        self.asking.contains_key(&ip) || self.known.contains_key(&ip)
    }

    /// Sends a frame to a neighbour, whose address is filled in; now, or when it has answered.
    pub fn send(
        &mut self,
        now: Time,
        to: A,
        offload: Offload,
        frame: &mut [u8],
        stats: &mut RouterStats,
        send: SendFrame<'_>,
    ) {
        if let Some(mac) = self.find(now, to) {
            address_frame(frame, mac, self.mac);
            return send(offload, frame);
        }
        if self.asking.len() >= ASKING_MAX && !self.asking.contains_key(&to) {
            return stats.drop(DropCause::Unresolved);
        }
        let asking = self.asking.entry(to).or_insert(Asking { again: now, asked: 0, waiting: VecDeque::new() });
        if asking.waiting.len() >= WAITING_MAX {
            return stats.drop(DropCause::Unresolved);
        }
        asking.waiting.push_back((offload, frame.into()));
        if asking.asked == 0 {
            asking.asked = 1;
            asking.again = now + ASK_AGAIN;
            send(Offload::default(), &(self.request)(self.addresses[0], self.mac, to));
        }
    }

    fn find(&self, now: Time, ip: A) -> Option<Mac> {
        let known = || self.known.get(&ip).filter(|(_, until)| *until > now).map(|(mac, _)| *mac);
        self.permanent.get(&ip).copied().or_else(known)
    }

    /// Takes an answer for true, and sends what has waited for it.
    pub(super) fn learn(&mut self, now: Time, ip: A, mac: Mac, send: SendFrame<'_>) {
        // A group's address belongs to no host (RFC 1812 §3.3.2).
        if mac[0] & 1 != 0 {
            return;
        }
        if !self.known.contains_key(&ip) && self.known.len() >= KNOWN_MAX {
            let oldest = self.known.iter().min_by_key(|(_, (_, until))| *until).map(|(&ip, _)| ip);
            self.known.remove(&oldest.expect("it is full"));
        }
        self.known.insert(ip, (mac, now + BELIEVED));
        for (offload, mut frame) in self.asking.remove(&ip).into_iter().flat_map(|asking| asking.waiting) {
            address_frame(&mut frame, mac, self.mac);
            send(offload, &frame);
        }
    }

    /// When [`Neighbours::advance`] has something to do.
    pub fn next_due(&self) -> Time {
        if self.announcing {
            return Time::ZERO;
        }
        self.asking.values().map(|asking| asking.again).min().unwrap_or(Time::NEVER)
    }

    /// Tells of new addresses, asks again, and gives up on those who never answer.
    pub fn advance(&mut self, now: Time, stats: &mut RouterStats, send: SendFrame<'_>) {
        if self.next_due() > now {
            return;
        }
        if std::mem::take(&mut self.announcing) {
            self.addresses.iter().for_each(|&own| send(Offload::default(), &(self.request)(own, self.mac, own)));
        }
        let (address, mac, request) = (self.addresses[0], self.mac, self.request);
        self.asking.retain(|&ip, asking| {
            if asking.again > now {
                return true;
            }
            if asking.asked >= ASKED_MAX {
                asking.waiting.iter().for_each(|_| stats.drop(DropCause::Unresolved));
                return false;
            }
            asking.asked += 1;
            asking.again = now + ASK_AGAIN;
            send(Offload::default(), &request(address, mac, ip));
            true
        });
    }
}

/// Fills in a frame's Ethernet addresses.
fn address_frame(frame: &mut [u8], to: Mac, from: Mac) {
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&from);
}

fn request(from: Ipv4Addr, mac: Mac, to: Ipv4Addr) -> Vec<u8> {
    arp_frame(
        BROADCAST,
        ArpEthIpv4Packet {
            operation: ArpOperation::REQUEST,
            sender_mac: mac,
            sender_ipv4: from.octets(),
            target_mac: [0; 6],
            target_ipv4: to.octets(),
        },
    )
}

fn reply(from: Ipv4Addr, mac: Mac, request: &ArpEthIpv4Packet) -> Vec<u8> {
    arp_frame(
        request.sender_mac,
        ArpEthIpv4Packet {
            operation: ArpOperation::REPLY,
            sender_mac: mac,
            sender_ipv4: from.octets(),
            target_mac: request.sender_mac,
            target_ipv4: request.sender_ipv4,
        },
    )
}

fn arp_frame(destination: Mac, arp: ArpEthIpv4Packet) -> Vec<u8> {
    let ethernet = Ethernet2Header { source: arp.sender_mac, destination, ether_type: EtherType::ARP };
    let mut frame = ethernet.to_bytes().to_vec();
    frame.extend_from_slice(&arp.to_bytes());
    frame
}
