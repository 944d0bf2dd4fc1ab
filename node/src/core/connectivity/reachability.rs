//! Whether this node is publicly reachable: then it may serve others as an ambassador, without being configured as one.
//!
//! Two things must come together: it is seen from outside at an address of its own, and hosts of other networks have dialled it
//! without having been introduced, which neither a NAT nor a stateful filter would have let pass. So the proof costs no message.

use std::net::IpAddr;

use smallvec::SmallVec;

/// Hosts of other networks that must have dialled.
pub const CALLERS_NEEDED: usize = 2;

/// Who has dialled this node from other networks, unasked.
#[derive(Debug, Default)]
pub struct Reachability {
    callers: SmallVec<[IpAddr; CALLERS_NEEDED]>,
}

impl Reachability {
    /// A host of another network has dialled, without an introduction and without having been dialled from here.
    pub fn record_caller(&mut self, host: IpAddr) {
        if self.callers.len() < CALLERS_NEEDED && !self.callers.contains(&host) {
            self.callers.push(host);
        }
    }

    /// This node is elsewhere now: what was seen says nothing any more.
    pub fn moved(&mut self) {
        self.callers.clear();
    }

    /// Whether enough hosts have dialled.
    pub fn is_publicly_reachable(&self) -> bool {
        self.callers.len() == CALLERS_NEEDED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hosts_prove_it_and_one_that_dials_twice_does_not() {
        let mut openness = Reachability::default();
        openness.record_caller("203.0.113.1".parse().unwrap());
        openness.record_caller("203.0.113.1".parse().unwrap());
        assert!(!openness.is_publicly_reachable());
        openness.record_caller("203.0.113.2".parse().unwrap());
        assert!(openness.is_publicly_reachable());
        openness.moved();
        assert!(!openness.is_publicly_reachable());
    }
}
