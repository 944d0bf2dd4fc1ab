//! The stateful IPv6 filter of a home router: no packet comes in unless a host inside began its flow (RFC 6092, "simple security").
//!
//! A flow is let in from exactly the endpoint that it was sent to: what Linux's connection tracking and so most home routers
//! do, and more stringent than RFC 6092 asks for (REC-17, REC-33). Two peers behind such filters reach each other by sending
//! to each other at the same time.
//!
//! Deliberately absent: the answer to an unsolicited SYN (REC-34; it is dropped without a word, as most routers do), and
//! protocols beyond TCP, UDP and echo, which a caller lets out and never in.

use std::collections::BTreeSet;
use std::net::SocketAddrV6;
use std::time::Duration;

use butter::core::time::Time;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::nat::connection::{Connection, IN, OUT};
use super::nat::{Protocol, TcpFlags};

#[cfg(test)]
mod tests;

/// Most flows that a filter remembers; beyond, new ones are refused.
pub const FLOWS_MAX: usize = 65_536;
/// Life of an idle UDP flow (RFC 6092 REC-14: five minutes, never less than two).
pub const UDP_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// Life of an idle established TCP connection (RFC 6092 REC-35: at least 2 hours 4 minutes).
pub const TCP_TIMEOUT: Duration = Duration::from_secs((2 * 60 + 4) * 60);
/// Life of a TCP connection that is being opened or has been closed (RFC 6092 REC-35: at least 4 minutes).
pub const TCP_TRANSITORY: Duration = Duration::from_secs(4 * 60);
/// Life of an idle exchange of echoes (RFC 6092 REC-12: at least two minutes).
pub const ECHO_TIMEOUT: Duration = Duration::from_secs(2 * 60);

/// What a router lets into its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Every packet, whoever began the flow.
    Open,
    /// Packets of flows that a host inside began.
    Stateful,
}

/// A packet as a filter sees it. Flow labels and scopes are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow6 {
    /// Transport protocol of the packet.
    pub protocol: Protocol,
    /// Endpoint that sent the packet.
    pub source: SocketAddrV6,
    /// Endpoint that the packet is for.
    pub destination: SocketAddrV6,
}

impl Flow6 {
    /// The flow of an answer: source and destination swapped.
    #[must_use]
    pub fn reversed(self) -> Self {
        Flow6 { source: self.destination, destination: self.source, ..self }
    }
}

/// Why a packet does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirewallDrop {
    /// No host inside began this flow.
    Unsolicited,
    /// More flows than are remembered.
    Full,
}

/// A stateful filter with its table.
#[derive(Debug)]
pub struct Firewall {
    /// By the flow as it goes out. Never iterated; order comes from `due` alone.
    flows: HashMap<Flow6, State, FixedState>,
    /// One entry per flow, never later than its end: a packet does not touch it.
    due: BTreeSet<(Time, Flow6)>,
}

/// A flow that is let in.
#[derive(Clone, Copy, Debug)]
struct State {
    used: Time,
    connection: Connection,
    /// Where `due` has it.
    due: Time,
}

impl State {
    fn ends(self, protocol: Protocol) -> Time {
        let life = match protocol {
            Protocol::Udp => UDP_TIMEOUT,
            Protocol::Echo => ECHO_TIMEOUT,
            Protocol::Tcp if self.connection.established() => TCP_TIMEOUT,
            Protocol::Tcp => TCP_TRANSITORY,
        };
        self.used + life
    }

    fn see(&mut self, now: Time, direction: u8, tcp: TcpFlags) {
        self.used = now;
        self.connection.saw(direction, tcp);
    }
}

impl Firewall {
    /// One that remembers nothing. `seed` decides nothing but speed.
    pub fn new(seed: u64) -> Self {
        Firewall { flows: HashMap::with_hasher(FixedState::with_seed(seed)), due: BTreeSet::new() }
    }

    /// A packet goes out: its answers may come in from now on.
    ///
    /// # Errors
    /// If there are too many flows already.
    pub fn outbound(&mut self, now: Time, flow: Flow6, tcp: TcpFlags) -> Result<(), FirewallDrop> {
        self.expire(now);
        if self.flows.contains_key(&flow) {
            self.see(flow, |state| state.see(now, OUT, tcp));
            return Ok(());
        }
        if self.flows.len() >= FLOWS_MAX {
            return Err(FirewallDrop::Full);
        }
        let mut state = State { used: now, connection: Connection::default(), due: now };
        state.see(now, OUT, tcp);
        state.due = state.ends(flow.protocol);
        self.due.insert((state.due, flow));
        self.flows.insert(flow, state);
        Ok(())
    }

    /// A packet comes in.
    ///
    /// # Errors
    /// If no host inside has begun its flow.
    pub fn inbound(&mut self, now: Time, flow: Flow6, tcp: TcpFlags) -> Result<(), FirewallDrop> {
        self.expire(now);
        let flow = flow.reversed();
        let known = self.see(flow, |state| state.see(now, IN, tcp));
        known.ok_or(FirewallDrop::Unsolicited)
    }

    /// Whether a flow, as it goes out, is remembered: then errors about it pass, either way, and change nothing (RFC 6092
    /// REC-10, REC-18, REC-19).
    pub fn knows(&mut self, now: Time, flow: Flow6) -> bool {
        self.expire(now);
        self.flows.contains_key(&flow)
    }

    /// Flows that are remembered.
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    /// Forgets what has been idle for too long.
    pub fn expire(&mut self, now: Time) {
        while let Some(&(due, flow)) = self.due.first()
            && due <= now
        {
            self.due.pop_first();
            let state = self.flows.get_mut(&flow).expect("what is due is in the table");
            let ends = state.ends(flow.protocol);
            if ends > now {
                state.due = ends;
                self.due.insert((ends, flow));
            } else {
                self.flows.remove(&flow);
            }
        }
    }

    /// Changes a flow's state, if it is remembered.
    fn see(&mut self, flow: Flow6, change: impl FnOnce(&mut State)) -> Option<()> {
        let state = self.flows.get_mut(&flow)?;
        change(state);
        let ends = state.ends(flow.protocol);
        if ends < state.due {
            self.due.remove(&(state.due, flow));
            state.due = ends;
            self.due.insert((ends, flow));
        }
        Some(())
    }
}
