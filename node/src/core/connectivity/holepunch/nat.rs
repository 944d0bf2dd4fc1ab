//! What a NAT does to ports, as seen from outside, and what can be tried for a pair of NATs.

use std::net::{IpAddr, SocketAddr};

use bincode::{Decode, Encode};

/// A NAT as one peer tells another of it. Hostile until checked with [`Report::is_sound`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Report {
    /// The address at which an observer sees the sender's main socket now.
    pub seen: SocketAddr,
    /// How outside ports are given.
    pub ports: Ports,
}

/// How a NAT gives outside ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Ports {
    /// A socket keeps its outside port towards everybody, or there is no NAT at all.
    Kept,
    /// Every destination gets another port, one after the other.
    Sequential {
        /// Which is expected to be next.
        next: u16,
        /// From one to the next.
        step: u8,
    },
    /// Every destination gets another port, of which nothing can be told before.
    Random,
}

/// Lowest port that a NAT is expected to give.
pub(super) const PORT_MIN: u16 = 1_024;
/// Largest distance between ports that are given one after the other: others may be given in between.
const STEP_MAX: u16 = 8;

impl Report {
    /// Whether what a peer says fits what its introducer has seen of it, so that nobody can point probes at others.
    pub(super) fn is_sound(&self, vouched: IpAddr) -> bool {
        let step_fits = match self.ports {
            Ports::Sequential { step, .. } => (1..=STEP_MAX).contains(&u16::from(step)),
            Ports::Kept | Ports::Random => true,
        };
        step_fits && self.seen.ip().to_canonical() == vouched.to_canonical() && self.seen.port() != 0
    }

    /// The outside port that is given `places` after the next.
    pub(super) fn predicted(&self, places: i32) -> SocketAddr {
        let Ports::Sequential { next, step } = self.ports else { return self.seen };
        let range = i32::from(u16::MAX - PORT_MIN) + 1;
        let ahead = i32::from(next) - i32::from(PORT_MIN) + places * i32::from(step);
        let port = PORT_MIN + ahead.rem_euclid(range) as u16;
        SocketAddr::new(self.seen.ip(), port)
    }
}

impl Ports {
    /// What ports tell that were given to three new sockets at about the same time, in whatever order.
    pub(super) fn of_sequence(mut given: [u16; 3]) -> Ports {
        given.sort_unstable();
        let [first, second, third] = given;
        let steps = [second - first, third - second];
        let step = steps[0].min(steps[1]);
        if steps.iter().all(|step| (1..=STEP_MAX).contains(step)) {
            Ports::Sequential { next: third.wrapping_add(step), step: step as u8 }
        } else {
            Ports::Random
        }
    }
}

/// How two peers try to get a direct link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Both dial the other's outside address at the same time.
    Simultaneous,
    /// The ports that a NAT will give next are probed.
    Predicted,
    /// Many sockets on one side, many ports on the other: two meet by chance.
    Birthday,
}

impl Method {
    /// What to try between two NATs; `None` where nothing but luck would help. The same from both sides.
    pub(super) fn between(one: Ports, other: Ports) -> Option<Method> {
        match (one, other) {
            (Ports::Kept, Ports::Kept) => Some(Method::Simultaneous),
            (Ports::Kept, Ports::Random) | (Ports::Random, Ports::Kept) => Some(Method::Birthday),
            (Ports::Random, _) | (_, Ports::Random) => None,
            (Ports::Sequential { .. }, _) | (_, Ports::Sequential { .. }) => Some(Method::Predicted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_one_after_the_other_are_told_from_random_ones() {
        assert_eq!(Ports::of_sequence([5_000, 5_001, 5_002]), Ports::Sequential { next: 5_003, step: 1 });
        // They have overtaken each other.
        assert_eq!(Ports::of_sequence([5_001, 5_002, 5_000]), Ports::Sequential { next: 5_003, step: 1 });
        // Somebody else was given one in between.
        assert_eq!(Ports::of_sequence([5_000, 5_002, 5_003]), Ports::Sequential { next: 5_004, step: 1 });
        assert_eq!(Ports::of_sequence([5_000, 9_000, 3_000]), Ports::Random);
        assert_eq!(Ports::of_sequence([5_000, 5_000, 5_000]), Ports::Random);
    }

    #[test]
    fn predictions_stay_within_the_ports_that_are_given() {
        let report =
            |next| Report { seen: "203.0.113.1:9".parse().unwrap(), ports: Ports::Sequential { next, step: 2 } };
        assert_eq!(report(2_000).predicted(3).port(), 2_006);
        assert_eq!(report(65_534).predicted(1).port(), PORT_MIN);
        assert_eq!(report(PORT_MIN).predicted(-1).port(), 65_534);
    }

    #[test]
    fn a_report_that_points_elsewhere_is_not_sound() {
        let seen: SocketAddr = "203.0.113.1:9".parse().unwrap();
        let report = Report { seen, ports: Ports::Random };
        assert!(report.is_sound(seen.ip()));
        assert!(!report.is_sound("203.0.113.2".parse().unwrap()));
        let wild = Report { ports: Ports::Sequential { next: 1, step: 0 }, ..report };
        assert!(!wild.is_sound(seen.ip()));
    }
}
