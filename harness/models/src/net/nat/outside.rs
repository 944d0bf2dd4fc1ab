//! The outside of a NAT: its addresses, which of their ports an inside host may have, and how many.
//!
//! Addresses are paired: whatever an inside host sends leaves by one address (RFC 4787 REQ-2, RFC 7857 §4). Which one follows
//! from the inside address alone; so does the first block of ports where ports come in blocks (as in RFC 7422), unless
//! another host has it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use butter::core::random::Random;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use rand::RngExt;
use smallvec::SmallVec;

use super::{MAPPINGS_MAX, NatConfig, NatDrop, PORT_MIN, PortBlock, Ports, Protocol};

/// An outside endpoint: one of the addresses, by its index, and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) address: u8,
    pub(super) port: u16,
}

impl Place {
    /// No place is before it.
    pub(super) const FIRST: Place = Place { address: 0, port: 0 };
    /// No place is after it.
    pub(super) const LAST: Place = Place { address: u8::MAX, port: u16::MAX };
}

/// The addresses and what is taken of them.
#[derive(Debug)]
pub(super) struct Outside {
    addresses: SmallVec<[Ipv4Addr; 1]>,
    ports: Ports,
    block: Option<PortBlock>,
    quota: Option<u32>,
    /// By address.
    taken: SmallVec<[Taken; 1]>,
    /// Never iterated. Empty where nothing is counted by host.
    hosts: HashMap<Ipv4Addr, Host, FixedState>,
    blocks: BTreeSet<u32>,
    /// Hosts that a configured port leads to, and its address: theirs, whichever blocks they get. Never iterated.
    pinned: HashMap<Ipv4Addr, u8, FixedState>,
}

/// What is taken of an address.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// Per protocol.
    mappings: [usize; 3],
    /// Where [`Ports::Sequential`] looks next.
    next: u16,
}

/// What an inside host has.
#[derive(Debug, Default)]
struct Host {
    mappings: u32,
    blocks: SmallVec<[Block; 1]>,
}

/// A block of an inside host: ports of one address.
#[derive(Clone, Copy, Debug)]
struct Block {
    number: u32,
    /// Mappings in it, per protocol.
    taken: [u16; 3],
    /// Where [`Ports::Sequential`] looks next, counted from the block's first port.
    next: u16,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) protocol: Protocol,
    pub(super) inside: SocketAddrV4,
    /// The port that is preferred, if any is.
    pub(super) port: Option<u16>,
    /// Whether no other will do.
    pub(super) exact: bool,
}

impl Outside {
    pub(super) fn new(config: &NatConfig, addresses: &[Ipv4Addr], seed: u64, random: &mut Random) -> Self {
        assert!(!addresses.is_empty() && addresses.len() <= usize::from(u8::MAX), "a NAT has from 1 to 255 addresses");
        let mut taken = || Taken { mappings: [0; 3], next: random.random_range(PORT_MIN..=u16::MAX) };
        Outside {
            taken: addresses.iter().map(|_| taken()).collect(),
            addresses: addresses.into(),
            ports: config.ports,
            block: config.port_block,
            quota: config.quota,
            hosts: HashMap::with_hasher(FixedState::with_seed(seed)),
            blocks: BTreeSet::new(),
            pinned: HashMap::with_hasher(FixedState::with_seed(seed)),
        }
    }

    pub(super) fn addresses(&self) -> &[Ipv4Addr] {
        &self.addresses
    }

    /// The place that an endpoint names, if its address is one of these.
    pub(super) fn place(&self, endpoint: SocketAddrV4) -> Option<Place> {
        let address = self.addresses.iter().position(|address| address == endpoint.ip())?;
        Some(Place { address: address as u8, port: endpoint.port() })
    }

    pub(super) fn endpoint(&self, place: Place) -> SocketAddrV4 {
        SocketAddrV4::new(self.addresses[usize::from(place.address)], place.port)
    }

    /// The address of an inside host.
    pub(super) fn paired(&self, host: Ipv4Addr) -> u8 {
        if let Some(&address) = self.pinned.get(&host) {
            return address;
        }
        if let Some(first) = self.hosts.get(&host).and_then(|host| host.blocks.first()) {
            return self.block_start(first.number).address;
        }
        match self.block {
            Some(block) => self.block_start(self.preferred_block(block, host)).address,
            None => (u32::from(host) % self.addresses.len() as u32) as u8,
        }
    }

    /// Has a host keep the address that it has now.
    pub(super) fn pin(&mut self, host: Ipv4Addr) {
        self.pinned.insert(host, self.paired(host));
    }

    /// Takes a place that is `free`. It is to be given back.
    pub(super) fn take(
        &mut self,
        wish: Wish,
        random: &mut Random,
        free: impl Fn(Place) -> bool,
    ) -> Result<Place, NatDrop> {
        let host = *wish.inside.ip();
        let counts = self.block.is_some() || self.quota.is_some();
        if let Some(quota) = self.quota
            && self.hosts.get(&host).is_some_and(|host| host.mappings >= quota)
        {
            return Err(NatDrop::Quota);
        }
        let place = match self.block {
            Some(block) => self.take_of_blocks(block, wish, random, free)?,
            None => self.take_of_address(wish, random, free)?,
        };
        self.taken[usize::from(place.address)].mappings[wish.protocol as usize] += 1;
        if counts {
            self.hosts.entry(host).or_default().mappings += 1;
        }
        Ok(place)
    }

    /// A mapping has gone.
    pub(super) fn give_back(&mut self, protocol: Protocol, host: Ipv4Addr, place: Place) {
        self.taken[usize::from(place.address)].mappings[protocol as usize] -= 1;
        let number = self.block.and_then(|block| self.block_of(block, place));
        let Some(entry) = self.hosts.get_mut(&host) else { return };
        entry.mappings -= 1;
        if let Some(at) = entry.blocks.iter().position(|block| Some(block.number) == number) {
            entry.blocks[at].taken[protocol as usize] -= 1;
            if entry.blocks[at].taken == [0; 3] {
                self.blocks.remove(&entry.blocks.remove(at).number);
            }
        }
        if entry.mappings == 0 {
            self.hosts.remove(&host);
        }
    }

    fn take_of_address(
        &mut self,
        wish: Wish,
        random: &mut Random,
        free: impl Fn(Place) -> bool,
    ) -> Result<Place, NatDrop> {
        let address = self.paired(*wish.inside.ip());
        let taken = &mut self.taken[usize::from(address)];
        if taken.mappings[wish.protocol as usize] >= MAPPINGS_MAX {
            return Err(NatDrop::NoPort);
        }
        if let Some(port) = wish.port.filter(|&port| free(Place { address, port })) {
            return Ok(Place { address, port });
        }
        if wish.exact {
            return Err(NatDrop::NoPort);
        }
        let start = match self.ports {
            Ports::Sequential => taken.next,
            Ports::Preserve | Ports::Random => random.random_range(PORT_MIN..=u16::MAX),
        };
        let mut ports = (start..=u16::MAX).chain(PORT_MIN..start);
        let port = ports.find(|&port| free(Place { address, port })).ok_or(NatDrop::NoPort)?;
        if self.ports == Ports::Sequential {
            taken.next = port.checked_add(1).unwrap_or(PORT_MIN);
        }
        Ok(Place { address, port })
    }

    fn take_of_blocks(
        &mut self,
        block: PortBlock,
        wish: Wish,
        random: &mut Random,
        free: impl Fn(Place) -> bool,
    ) -> Result<Place, NatDrop> {
        let host = *wish.inside.ip();
        let ports = self.ports;
        let own = self.hosts.get(&host).map_or(0, |host| host.blocks.len());
        for at in 0..own {
            let first = self.block_start(self.hosts[&host].blocks[at].number);
            let mine = &mut self.hosts.get_mut(&host).expect("it has blocks").blocks[at];
            if let Some(port) = port_in_block(block.size, first, mine, ports, wish, random, &free) {
                mine.taken[wish.protocol as usize] += 1;
                return Ok(Place { port, ..first });
            }
        }
        if own >= usize::from(block.limit) {
            return Err(NatDrop::Quota);
        }
        let number = match (wish.exact, wish.port) {
            (true, Some(port)) => {
                let wanted = self.block_of(block, Place { address: self.paired(host), port });
                wanted.filter(|number| !self.blocks.contains(number))
            }
            _ => self.free_block(block, host, own > 0 || self.pinned.contains_key(&host)),
        };
        let number = number.ok_or(NatDrop::NoPort)?;
        let first = self.block_start(number);
        let mut fresh = Block { number, taken: [0; 3], next: 0 };
        let port = port_in_block(block.size, first, &mut fresh, ports, wish, random, &free).ok_or(NatDrop::NoPort)?;
        fresh.taken[wish.protocol as usize] = 1;
        self.blocks.insert(number);
        self.hosts.entry(host).or_default().blocks.push(fresh);
        Ok(Place { port, ..first })
    }

    /// A free block: of the host's own address if it has one already.
    fn free_block(&self, block: PortBlock, host: Ipv4Addr, keeps_address: bool) -> Option<u32> {
        let (addresses, all) = (self.addresses.len() as u32, self.blocks_in_all(block));
        let preferred = self.preferred_block(block, host);
        let (start, step) = match keeps_address {
            true => (preferred - preferred % addresses + u32::from(self.paired(host)), addresses),
            false => (preferred, 1),
        };
        let mut candidates = (0..all / step).map(|n| (start + n * step) % all);
        candidates.find(|number| !self.blocks.contains(number))
    }

    fn preferred_block(&self, block: PortBlock, host: Ipv4Addr) -> u32 {
        u32::from(host) % self.blocks_in_all(block)
    }

    fn blocks_in_all(&self, block: PortBlock) -> u32 {
        blocks_per_address(block) * self.addresses.len() as u32
    }

    /// The first place of a block. Neighbours are of different addresses, so that these are used alike.
    fn block_start(&self, number: u32) -> Place {
        let size = self.block.expect("there are blocks").size;
        let addresses = self.addresses.len() as u32;
        Place { address: (number % addresses) as u8, port: PORT_MIN + (number / addresses) as u16 * size }
    }

    /// The block that a place is in.
    fn block_of(&self, block: PortBlock, place: Place) -> Option<u32> {
        let within = u32::from(place.port.checked_sub(PORT_MIN)?) / u32::from(block.size);
        let number = within * self.addresses.len() as u32 + u32::from(place.address);
        (within < blocks_per_address(block)).then_some(number)
    }
}

/// Blocks in an address.
fn blocks_per_address(block: PortBlock) -> u32 {
    u32::from(u16::MAX - PORT_MIN + 1) / u32::from(block.size)
}

/// A port of a block that is free.
fn port_in_block(
    size: u16,
    first: Place,
    block: &mut Block,
    ports: Ports,
    wish: Wish,
    random: &mut Random,
    free: &impl Fn(Place) -> bool,
) -> Option<u16> {
    let is_free = |port: u16| free(Place { port, ..first });
    let is_here = |port: u16| port >= first.port && port - first.port < size;
    if let Some(port) = wish.port.filter(|&port| is_here(port) && is_free(port)) {
        return Some(port);
    }
    if wish.exact || block.taken[wish.protocol as usize] >= size {
        return None;
    }
    let start = match ports {
        Ports::Sequential => block.next,
        Ports::Preserve | Ports::Random => random.random_range(0..size),
    };
    let offset = (start..size).chain(0..start).find(|&offset| is_free(first.port + offset))?;
    if ports == Ports::Sequential {
        block.next = (offset + 1) % size;
    }
    Some(first.port + offset)
}
