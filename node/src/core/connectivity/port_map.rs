//! Having the NAT forward a port to this node: when to ask, and when to ask again. How is the driver's.

use std::net::SocketAddr;
use std::time::Duration;

use crate::core::io::ForwardedPort;
use crate::core::time::{Deadline, Time};

/// How long a mapping is asked for: what RFC 6887 §15 and RFC 6886 §3.3 recommend renewing at half.
pub const LIFETIME: Duration = Duration::from_secs(2 * 3_600);
/// Least pause before a mapping is renewed, so that no NAT can keep a node busy: one that grants a shorter life grants nothing.
const RENEW_AFTER_MIN: Duration = Duration::from_secs(30);
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

    /// The answer. Whether it changes anything. Renewed at half of the life that was granted (RFC 6887 §11.2.1).
    pub fn answered(&mut self, now: Time, mapping: Option<ForwardedPort>) -> bool {
        let mapping = mapping.filter(is_usable);
        if self.ask_at == Time::NEVER {
            return false;
        }
        let renew_after = |mapping: ForwardedPort| (mapping.lifetime / 2).clamp(RENEW_AFTER_MIN, LIFETIME / 2);
        self.ask_at = now + mapping.map_or(AGAIN_AFTER, renew_after);
        let address = mapping.map(|mapping| mapping.external_address);
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

/// Whether it leads from somewhere, and for long enough to be renewed.
fn is_usable(mapping: &ForwardedPort) -> bool {
    let external_address = mapping.external_address;
    external_address.port() != 0 && !external_address.ip().is_unspecified() && mapping.lifetime > RENEW_AFTER_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Time {
        Time::from_micros(1_000_000 * s)
    }

    fn mapping(external_address: &str, lifetime_s: u64) -> Option<ForwardedPort> {
        Some(ForwardedPort {
            external_address: external_address.parse().unwrap(),
            lifetime: Duration::from_secs(lifetime_s),
        })
    }

    const OUTSIDE: &str = "203.0.113.5:4001";

    #[test]
    fn a_mapping_is_renewed_at_half_its_life() {
        let mut map = PortMap::new(true);
        assert!(map.wake(at(1)));
        assert!(!map.wake(at(2)), "once until it is answered");
        assert!(map.answered(at(2), mapping(OUTSIDE, 7_200)));
        assert_eq!((map.address(), map.deadline().at), (OUTSIDE.parse().ok(), at(2 + 3_600)));
        assert!(map.wake(at(3_602)));
        assert!(!map.answered(at(3_603), mapping(OUTSIDE, 7_200)));
    }

    #[test]
    fn the_life_that_was_granted_counts_and_not_the_one_that_was_asked_for() {
        for (lifetime_s, renewed_after_s) in [(600, 300), (90, 45), (40, 30), (31, 30), (1 << 32, 3_600)] {
            let mut map = PortMap::new(true);
            assert!(map.answered(at(5), mapping(OUTSIDE, lifetime_s)), "{lifetime_s}");
            assert_eq!(map.deadline().at, at(5 + renewed_after_s), "{lifetime_s}");
        }
    }

    #[test]
    fn a_life_that_is_too_short_to_renew_is_none() {
        for lifetime_s in [0, 1, 30] {
            let mut map = PortMap::new(true);
            assert!(!map.answered(at(5), mapping(OUTSIDE, lifetime_s)));
            assert_eq!((map.address(), map.deadline().at), (None, at(605)), "{lifetime_s}");
        }
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
        assert!(!map.answered(at(1), mapping("0.0.0.0:4001", 7_200)), "nowhere is no address");
        assert_eq!((map.address(), map.wake(at(600)), map.wake(at(601))), (None, false, true));
    }
}
