//! What the router of a network lets through, beside its NAT: nothing but answers, no UDP, the web alone, or nothing until a portal
//! has let the network in.
//!
//! Packets are judged as hosts inside send and receive them: before a NAT outwards, behind it inwards.

use std::net::SocketAddrV6;
use std::time::Duration;

use butter::core::time::Time;
use serde::{Deserialize, Serialize};

use super::firewall::{Firewall, FirewallDrop, Flow6};
use super::nat::{Flow, Protocol, TcpFlags};
use crate::duration_text;

/// Ports of the web: HTTP and HTTPS.
const WEB_PORTS: [u16; 2] = [80, 443];

/// What a router lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkPolicy {
    /// Everything that the NAT lets through, if there is one.
    #[default]
    Open,
    /// By IPv4, from outside only packets of flows that a host inside began. IPv6 has a filter of its own.
    Stateful,
    /// No UDP, neither way.
    UdpBlocked,
    /// Only TCP to the ports 80 and 443, and its answers.
    WebOnly,
    /// Nothing, until the portal lets the network in.
    Captive {
        /// Time from the first packet that it stops; `None` if it never does by itself.
        #[serde(with = "duration_text::optional", skip_serializing_if = "Option::is_none", default)]
        lets_in_after: Option<Duration>,
    },
}

impl NetworkPolicy {
    /// Whether it lets everything through.
    pub fn is_open(&self) -> bool {
        *self == NetworkPolicy::Open
    }

    /// Whether UDP passes at its beginning, outwards at least.
    pub fn passes_udp(&self) -> bool {
        matches!(self, NetworkPolicy::Open | NetworkPolicy::Stateful)
    }
}

/// What a packet is about, as far as a filter cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Part of this flow.
    Flow {
        /// With the addresses that it has inside.
        flow: Flow6,
        /// The flags, if it is TCP.
        tcp: TcpFlags,
        /// Whether it is the question of an echo.
        is_question: bool,
        /// Whether it is the answer of one.
        is_answer: bool,
    },
    /// An ICMP error about a packet of this flow, as a host inside sent or got it.
    Error(Flow6),
    /// A fragment without ports, or what is neither TCP, UDP, echo nor error.
    Unknown,
}

impl Subject {
    /// A packet of a flow of IPv4, without anything special.
    pub fn of_flow(flow: Flow) -> Self {
        Subject::Flow { flow: mapped(flow), tcp: TcpFlags::default(), is_question: false, is_answer: false }
    }
}

/// A flow of IPv4 in the form of IPv6 (RFC 4291 §2.5.5.2).
pub fn mapped(Flow { protocol, source, destination }: Flow) -> Flow6 {
    let end = |end: std::net::SocketAddrV4| SocketAddrV6::new(end.ip().to_ipv6_mapped(), end.port(), 0, 0);
    Flow6 { protocol, source: end(source), destination: end(destination) }
}

/// Which version of IP a packet has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersion {
    /// Version 4 (RFC 791).
    V4,
    /// Version 6 (RFC 8200).
    V6,
}

/// A policy with what it remembers.
#[derive(Debug)]
pub struct NetworkFilter {
    policy: NetworkPolicy,
    flows: Firewall,
    /// When the portal stopped a packet for the first time.
    stopped: Option<Time>,
}

impl NetworkFilter {
    /// One that remembers nothing. `seed` decides nothing but speed.
    pub fn new(policy: NetworkPolicy, seed: u64) -> Self {
        NetworkFilter { policy, flows: Firewall::new(seed), stopped: None }
    }

    /// Another policy from now on; flows that are remembered stay.
    pub fn change(&mut self, policy: NetworkPolicy) {
        (self.policy, self.stopped) = (policy, None);
    }

    /// A packet goes out.
    ///
    /// # Errors
    /// If it does not pass.
    pub fn outbound(&mut self, now: Time, version: IpVersion, subject: Subject) -> Result<(), FirewallDrop> {
        match self.policy {
            NetworkPolicy::Open => Ok(()),
            NetworkPolicy::Stateful if version == IpVersion::V6 => Ok(()),
            NetworkPolicy::Stateful => match subject {
                Subject::Flow { is_answer: true, .. } | Subject::Unknown => Ok(()),
                Subject::Flow { flow, tcp, .. } => self.flows.outbound(now, flow, tcp),
                Subject::Error(about) => self.knows(now, about.reversed()),
            },
            NetworkPolicy::UdpBlocked => without_udp(subject),
            NetworkPolicy::WebOnly => match subject {
                Subject::Flow { flow, tcp, .. } if is_web(flow) => self.flows.outbound(now, flow, tcp),
                Subject::Error(about) => self.knows(now, about.reversed()),
                Subject::Flow { .. } | Subject::Unknown => Err(FirewallDrop::Unsolicited),
            },
            NetworkPolicy::Captive { lets_in_after } => {
                let since = *self.stopped.get_or_insert(now);
                is_let_in(now, since, lets_in_after)
            }
        }
    }

    /// A packet comes in.
    ///
    /// # Errors
    /// If it does not pass.
    pub fn inbound(&mut self, now: Time, version: IpVersion, subject: Subject) -> Result<(), FirewallDrop> {
        match self.policy {
            NetworkPolicy::Open => Ok(()),
            NetworkPolicy::Stateful if version == IpVersion::V6 => Ok(()),
            NetworkPolicy::Stateful | NetworkPolicy::WebOnly => match subject {
                Subject::Flow { is_question: true, .. } | Subject::Unknown => Err(FirewallDrop::Unsolicited),
                Subject::Flow { flow, tcp, .. } => self.flows.inbound(now, flow, tcp),
                Subject::Error(about) => self.knows(now, about),
            },
            NetworkPolicy::UdpBlocked => without_udp(subject),
            NetworkPolicy::Captive { lets_in_after } => match self.stopped {
                Some(since) => is_let_in(now, since, lets_in_after),
                None => Err(FirewallDrop::Unsolicited),
            },
        }
    }

    fn knows(&mut self, now: Time, flow: Flow6) -> Result<(), FirewallDrop> {
        if self.flows.knows(now, flow) { Ok(()) } else { Err(FirewallDrop::Unsolicited) }
    }
}

fn is_web(flow: Flow6) -> bool {
    flow.protocol == Protocol::Tcp && WEB_PORTS.contains(&flow.destination.port())
}

fn without_udp(subject: Subject) -> Result<(), FirewallDrop> {
    match subject {
        Subject::Flow { flow: Flow6 { protocol: Protocol::Udp, .. }, .. } => Err(FirewallDrop::Unsolicited),
        _ => Ok(()),
    }
}

fn is_let_in(now: Time, since: Time, after: Option<Duration>) -> Result<(), FirewallDrop> {
    match after {
        Some(after) if now >= since + after => Ok(()),
        _ => Err(FirewallDrop::Unsolicited),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSIDE: &str = "10.1.0.10:4001";
    const OUTSIDE: &str = "203.0.113.10:4001";

    fn flow(protocol: Protocol, source: &str, destination: &str) -> Subject {
        Subject::of_flow(Flow { protocol, source: source.parse().unwrap(), destination: destination.parse().unwrap() })
    }

    fn at(seconds: u64) -> Time {
        Time::from_micros(1_000_000 * seconds)
    }

    /// Which of these pass: UDP out, TCP out to a port of the web, TCP out to another, and UDP in and TCP in as answers.
    fn passing(policy: NetworkPolicy) -> [bool; 5] {
        let mut filter = NetworkFilter::new(policy, 1);
        let web = "203.0.113.10:443";
        let mut out = |subject| filter.outbound(at(1), IpVersion::V4, subject).is_ok();
        let first = [
            out(flow(Protocol::Udp, INSIDE, OUTSIDE)),
            out(flow(Protocol::Tcp, INSIDE, web)),
            out(flow(Protocol::Tcp, INSIDE, OUTSIDE)),
        ];
        let mut back = |subject| filter.inbound(at(1), IpVersion::V4, subject).is_ok();
        let then = [back(flow(Protocol::Udp, OUTSIDE, INSIDE)), back(flow(Protocol::Tcp, web, INSIDE))];
        [first[0], first[1], first[2], then[0], then[1]]
    }

    #[test]
    fn each_policy_lets_its_own_through() {
        assert_eq!(passing(NetworkPolicy::Open), [true; 5]);
        assert_eq!(passing(NetworkPolicy::Stateful), [true; 5]);
        assert_eq!(passing(NetworkPolicy::UdpBlocked), [false, true, true, false, true]);
        assert_eq!(passing(NetworkPolicy::WebOnly), [false, true, false, false, true]);
        assert_eq!(passing(NetworkPolicy::Captive { lets_in_after: None }), [false; 5]);
    }

    #[test]
    fn a_stateful_filter_lets_no_stranger_in_by_ipv4() {
        let mut filter = NetworkFilter::new(NetworkPolicy::Stateful, 1);
        let stranger = flow(Protocol::Udp, "198.51.100.1:4001", INSIDE);
        filter.outbound(at(0), IpVersion::V4, flow(Protocol::Udp, INSIDE, OUTSIDE)).unwrap();
        assert!(filter.inbound(at(1), IpVersion::V4, stranger).is_err());
        assert!(filter.inbound(at(1), IpVersion::V6, stranger).is_ok(), "that is for the filter of IPv6");
        assert!(filter.inbound(at(1), IpVersion::V4, Subject::Unknown).is_err());
    }

    #[test]
    fn a_portal_counts_from_the_first_packet_that_it_stops() {
        let mut filter = NetworkFilter::new(NetworkPolicy::Captive { lets_in_after: Some(Duration::from_secs(20)) }, 1);
        let (out, back) = (flow(Protocol::Udp, INSIDE, OUTSIDE), flow(Protocol::Udp, OUTSIDE, INSIDE));
        assert!(filter.inbound(at(100), IpVersion::V4, back).is_err());
        assert!(filter.outbound(at(200), IpVersion::V4, out).is_err());
        assert!(filter.outbound(at(219), IpVersion::V4, out).is_err());
        assert!(filter.inbound(at(219), IpVersion::V6, back).is_err());
        assert!(filter.outbound(at(220), IpVersion::V4, out).is_ok());
        assert!(filter.inbound(at(221), IpVersion::V4, back).is_ok());
        filter.change(NetworkPolicy::Captive { lets_in_after: None });
        assert!(filter.outbound(at(400), IpVersion::V4, out).is_err());
    }
}
