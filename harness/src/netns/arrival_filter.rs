//! What a host does not receive while a partition is in force: frames of cut hosts of its LAN, known by their link-layer address,
//! and packets that routers have marked with a cut zone. Of the LAN everything is dropped, multicast too.

use std::net::Ipv4Addr;

use anyhow::{Context, ensure};
use nix::net::if_::if_nameindex;
use serde::{Deserialize, Serialize};

use super::netlink::{self, Netlink};
use crate::net::autoconf::mac;
use crate::net::zone::Zone;

/// The program's hidden command that installs a filter, in a container.
pub(crate) const COMMAND: &str = "arrival-filter";
/// How the interface of a host begins by which it meets its LAN. It has one; on Docker its number grows each time that it moves.
const INTERFACE: &str = "eth";
/// Instructions that the kernel takes (linux/bpf_common.h).
const INSTRUCTIONS_MAX: usize = 4_096;

/// Verdicts of a program (linux/pkt_cls.h): go on, drop.
const PASS: u32 = u32::MAX;
const DROP: u32 = 2;
/// Where the parts of a frame are.
const SOURCE_MAC: u32 = 6;
const ETHER_TYPE: u32 = 12;
const IPV4_TOS: u32 = 15;
const IPV6_CLASS: u32 = 14;
const TYPE_IPV4: u32 = 0x0800;
const TYPE_IPV6: u32 = 0x86dd;

/// What the command [`COMMAND`] does.
pub(crate) fn main(filter: &str) -> anyhow::Result<()> {
    serde_json::from_str::<ArrivalFilter>(filter).context("reading a filter")?.install()
}

/// Whose frames a host does not receive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArrivalFilter {
    /// Cut hosts of its LAN: addresses from the first to the last of each range.
    hosts: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// Cut zones.
    zones: Vec<Zone>,
}

impl ArrivalFilter {
    /// Of these hosts of the LAN, and of packets with the marks of these zones.
    pub(crate) fn new(mut hosts: Vec<Ipv4Addr>, zones: Vec<Zone>) -> Self {
        hosts.sort_unstable();
        let mut ranges: Vec<(Ipv4Addr, Ipv4Addr)> = Vec::new();
        for host in hosts {
            match ranges.last_mut() {
                Some((_, last)) if u32::from(host) - u32::from(*last) <= 1 => *last = host,
                _ => ranges.push((host, host)),
            }
        }
        ArrivalFilter { hosts: ranges, zones }
    }

    /// Whether everything is received.
    pub(crate) fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.zones.is_empty()
    }

    /// Has the host in whose network namespace this thread is receive no more than that, in place of an earlier filter.
    ///
    /// # Errors
    /// If the kernel cannot filter, or there are too many gaps between the hosts.
    pub(crate) fn install(&self) -> anyhow::Result<()> {
        let index = interface()?;
        let program = self.program()?;
        let bytes = program.iter().flat_map(|instruction| instruction.bytes()).collect();
        let installed = [netlink::arrival_hook(index), netlink::arrival_program(index, program.len() as u16, bytes)];
        // An empty one is installed too: so a kernel that cannot filter is noticed when a node starts.
        let removed = self.is_empty().then(|| netlink::no_arrival_hook(index));
        Netlink::open()?.perform(installed.into_iter().chain(removed).collect())
    }

    fn program(&self) -> anyhow::Result<Vec<Instruction>> {
        let [a, b, ..] = mac(Ipv4Addr::UNSPECIFIED);
        let prefix = u32::from(u16::from_be_bytes([a, b]));
        let mut program = vec![
            // Addresses of the LAN's hosts follow a prefix in their link-layer addresses.
            Instruction::LoadHalf(SOURCE_MAC),
            Instruction::IfEqual(prefix, 1, 0),
            Instruction::Jump(1 + 3 * self.hosts.len() as u32),
            Instruction::LoadWord(SOURCE_MAC + 2),
        ];
        for &(first, last) in &self.hosts {
            let (first, last) = (first.into(), last.into());
            program.extend([
                Instruction::IfAtLeast(first, 0, 2),
                Instruction::IfAbove(last, 1, 0),
                Instruction::Return(DROP),
            ]);
        }
        program.extend([
            Instruction::LoadHalf(ETHER_TYPE),
            Instruction::IfEqual(TYPE_IPV4, 0, 3),
            Instruction::LoadByte(IPV4_TOS),
            Instruction::ShiftRight(2),
            Instruction::Jump(5),
            Instruction::IfEqual(TYPE_IPV6, 1, 0),
            Instruction::Return(PASS),
            // Version, traffic class and flow label, in four, eight and twenty bits.
            Instruction::LoadHalf(IPV6_CLASS),
            Instruction::ShiftRight(6),
            Instruction::And(0x3f),
        ]);
        for zone in &self.zones {
            program.extend([Instruction::IfEqual(zone.dscp().into(), 0, 1), Instruction::Return(DROP)]);
        }
        program.push(Instruction::Return(PASS));
        ensure!(
            program.len() <= INSTRUCTIONS_MAX,
            "the kernel filters too few hosts with gaps between their addresses"
        );
        Ok(program)
    }
}

/// The number of the interface of the host in whose network namespace this thread is.
fn interface() -> anyhow::Result<u32> {
    let all = if_nameindex().context("asking for the interfaces of a host")?;
    let lan = all.iter().find(|interface| interface.name().to_bytes().starts_with(INTERFACE.as_bytes()));
    lan.map(|interface| interface.index()).context("the host has no interface to its LAN")
}

/// An instruction of classic BPF: what is loaded comes from the frame, jumps are relative to the next instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instruction {
    LoadByte(u32),
    LoadHalf(u32),
    LoadWord(u32),
    ShiftRight(u32),
    And(u32),
    Jump(u32),
    /// How far to jump if it is, and if not.
    IfEqual(u32, u8, u8),
    IfAtLeast(u32, u8, u8),
    IfAbove(u32, u8, u8),
    Return(u32),
}

impl Instruction {
    /// As `struct sock_filter` has it (linux/filter.h).
    fn bytes(self) -> [u8; 8] {
        let (code, yes, no, operand): (u16, u8, u8, u32) = match self {
            Instruction::LoadByte(at) => (0x30, 0, 0, at),
            Instruction::LoadHalf(at) => (0x28, 0, 0, at),
            Instruction::LoadWord(at) => (0x20, 0, 0, at),
            Instruction::ShiftRight(bits) => (0x74, 0, 0, bits),
            Instruction::And(mask) => (0x54, 0, 0, mask),
            Instruction::Jump(by) => (0x05, 0, 0, by),
            Instruction::IfEqual(than, yes, no) => (0x15, yes, no, than),
            Instruction::IfAtLeast(than, yes, no) => (0x35, yes, no, than),
            Instruction::IfAbove(than, yes, no) => (0x25, yes, no, than),
            Instruction::Return(verdict) => (0x06, 0, 0, verdict),
        };
        let [a, b] = code.to_ne_bytes();
        let [c, d, e, f] = operand.to_ne_bytes();
        [a, b, yes, no, c, d, e, f]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel does with a program.
    fn verdict(program: &[Instruction], frame: &[u8]) -> u32 {
        let load = |at: u32, length: usize| {
            frame[at as usize..at as usize + length].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
        };
        let (mut at, mut value) = (0, 0);
        loop {
            let branch = |holds: bool, yes: u8, no: u8| usize::from(if holds { yes } else { no });
            let jump = match program[at] {
                Instruction::Return(verdict) => return verdict,
                Instruction::Jump(by) => by as usize,
                Instruction::IfEqual(than, yes, no) => branch(value == than, yes, no),
                Instruction::IfAtLeast(than, yes, no) => branch(value >= than, yes, no),
                Instruction::IfAbove(than, yes, no) => branch(value > than, yes, no),
                other => {
                    value = match other {
                        Instruction::LoadByte(at) => load(at, 1),
                        Instruction::LoadHalf(at) => load(at, 2),
                        Instruction::LoadWord(at) => load(at, 4),
                        Instruction::ShiftRight(bits) => value >> bits,
                        Instruction::And(mask) => value & mask,
                        _ => unreachable!("handled above"),
                    };
                    0
                }
            };
            at += 1 + jump;
        }
    }

    fn frame(source: [u8; 6], ether_type: u32, service: u8) -> Vec<u8> {
        let mut frame = [&[0xff; 6][..], &source, &(ether_type as u16).to_be_bytes()].concat();
        frame.extend(if ether_type == TYPE_IPV6 {
            [0x60 | service >> 4, service << 4, 0, 0]
        } else {
            [0x45, service, 0, 0]
        });
        frame
    }

    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 1, 0, last)
    }

    #[test]
    fn frames_of_cut_hosts_are_dropped_whatever_they_carry() {
        let filter = ArrivalFilter::new(vec![ip(12), ip(10), ip(11), ip(20)], Vec::new());
        assert_eq!(filter.hosts, [(ip(10), ip(12)), (ip(20), ip(20))]);
        let program = filter.program().unwrap();
        for ether_type in [TYPE_IPV4, TYPE_IPV6, 0x0806] {
            let is_dropped = |last| verdict(&program, &frame(mac(ip(last)), ether_type, 0)) == DROP;
            assert_eq!(
                [9, 10, 11, 12, 13, 19, 20, 21].map(is_dropped),
                [false, true, true, true, false, false, true, false]
            );
            let router = frame([2, 0, 0, 0, 0, 1], ether_type, 0);
            assert_eq!(verdict(&program, &router), PASS, "a router with an address of its own making");
        }
    }

    #[test]
    fn packets_of_cut_zones_are_dropped_whatever_their_congestion_bits() {
        let zones = [1, 63].map(|number| Zone::new(number).unwrap()).to_vec();
        let program = ArrivalFilter::new(vec![ip(10)], zones).program().unwrap();
        for ether_type in [TYPE_IPV4, TYPE_IPV6] {
            for congestion in 0..4 {
                let is_dropped = |zone: u8| {
                    let router = [2, 0x42, 203, 0, 113, 1];
                    verdict(&program, &frame(router, ether_type, zone << 2 | congestion)) == DROP
                };
                assert_eq!([0, 1, 2, 62, 63].map(is_dropped), [false, true, false, false, true]);
            }
        }
        assert_eq!(verdict(&program, &frame([2, 0, 0, 0, 0, 1], 0x0806, 63 << 2)), PASS, "ARP has no zone");
    }

    #[test]
    fn a_program_that_the_kernel_would_refuse_is_an_error() {
        let scattered = |count: u32| (0..count).map(|number| Ipv4Addr::from(0x0a00_0000 + 2 * number)).collect();
        assert!(ArrivalFilter::new(scattered(1_300), Vec::new()).program().is_ok());
        assert!(ArrivalFilter::new(scattered(1_400), Vec::new()).program().is_err());
    }
}
