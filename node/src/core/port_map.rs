//! Having the NAT forward a port to this node: when to ask, and when to ask again. How is the driver's.

use std::net::SocketAddr;
use std::time::Duration;

use super::time::{Deadline, Time};

/// How long a mapping is asked for: what RFC 6887 §15 and RFC 6886 §3.3 recommend renewing at half.
pub const LIFETIME: Duration = Duration::from_secs(2 * 3_600);
/// How long an answer may take: three protocols, one after the other.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Pause before a NAT that forwards nothing is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(10 * 60);

/// Whether a port is forwarded, and when to ask next.
#[derive(Debug)]
pub struct PortMap {
    address: Option<SocketAddr>,
    ask_at: Time,
}

impl PortMap {
    /// Asks at once, or never.
    pub fn new(asks: bool) -> Self {
        PortMap { address: None, ask_at: if asks { Time::ZERO } else { Time::NEVER } }
    }

    /// The address outside that leads here.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Whether to ask now. Only called by a node behind a NAT.
    pub fn wake(&mut self, now: Time) -> bool {
        let due = self.ask_at <= now;
        if due {
            self.ask_at = now + ANSWER_WITHIN;
        }
        due
    }

    /// The answer. Whether it changes anything.
    pub fn answered(&mut self, now: Time, address: Option<SocketAddr>) -> bool {
        let address = address.filter(|address| address.port() != 0 && !address.ip().is_unspecified());
        if self.ask_at == Time::NEVER {
            return false;
        }
        self.ask_at = now + if address.is_some() { LIFETIME / 2 } else { AGAIN_AFTER };
        std::mem::replace(&mut self.address, address) != address
    }

    /// This node is somewhere else, or its NAT is another: what was forwarded is void.
    pub fn moved(&mut self) {
        *self = PortMap::new(self.ask_at != Time::NEVER);
    }

    /// When [`PortMap::wake`] is due, for a node behind a NAT.
    pub fn deadline(&self) -> Deadline {
        Deadline { at: self.ask_at, why: "a port mapping" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Time {
        Time::from_micros(1_000_000 * s)
    }

    #[test]
    fn a_mapping_is_renewed_at_half_its_life() {
        let mut map = PortMap::new(true);
        assert!(map.wake(at(1)));
        assert!(!map.wake(at(2)), "once until it is answered");
        let outside: SocketAddr = "203.0.113.5:4001".parse().unwrap();
        assert!(map.answered(at(2), Some(outside)));
        assert_eq!((map.address(), map.deadline().at), (Some(outside), at(2 + 3_600)));
        assert!(map.wake(at(3_602)));
        assert!(!map.answered(at(3_603), Some(outside)));
    }

    #[test]
    fn who_may_not_ask_does_not() {
        let mut map = PortMap::new(false);
        map.moved();
        assert!(!map.wake(at(1_000_000)) && map.deadline().at == Time::NEVER);
    }

    #[test]
    fn a_nat_that_forwards_nothing_is_asked_again_much_later() {
        let mut map = PortMap::new(true);
        assert!(map.wake(at(0)));
        assert!(!map.answered(at(1), Some("0.0.0.0:4001".parse().unwrap())), "nowhere is no address");
        assert_eq!((map.address(), map.wake(at(600)), map.wake(at(601))), (None, false, true));
    }
}
