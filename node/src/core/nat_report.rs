//! What a NAT does to ports, as seen from outside, and what can be tried for a pair of NATs.

use std::net::{IpAddr, SocketAddr};

use bincode::{Decode, Encode};

/// A NAT as one peer tells another of it. Hostile until checked with [`NatReport::is_sound`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NatReport {
    /// The address at which an observer sees the sender's main socket now.
    pub seen: SocketAddr,
    /// How outside ports are given.
    pub ports: MappingBehaviour,
}

/// How a NAT gives outside ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum MappingBehaviour {
    /// A socket keeps its outside port towards everybody, or there is no NAT at all.
    EndpointIndependent,
    /// Every destination gets another port, one after the other.
    Sequential {
        /// Which is expected to be next.
        next: u16,
        /// From one to the next.
        step: u8,
    },
    /// Every destination gets another port, which cannot be predicted.
    Random,
}

/// Lowest port that a NAT is expected to give.
pub(crate) const PORT_MIN: u16 = 1_024;
/// Largest distance between ports that are given one after the other: others may be given in between.
const STEP_MAX: u16 = 8;

impl NatReport {
    /// Whether what a peer says fits what its introducer has seen of it, so that no peer can point probes at others.
    pub(crate) fn is_sound(&self, observed_ip: IpAddr) -> bool {
        let step_fits = match self.ports {
            MappingBehaviour::Sequential { step, .. } => (1..=STEP_MAX).contains(&u16::from(step)),
            MappingBehaviour::EndpointIndependent | MappingBehaviour::Random => true,
        };
        step_fits && self.seen.ip().to_canonical() == observed_ip.to_canonical() && self.seen.port() != 0
    }

    /// The outside port that is given `places` after the next.
    pub(crate) fn predicted(&self, places: i32) -> SocketAddr {
        let MappingBehaviour::Sequential { next, step } = self.ports else { return self.seen };
        let range = i32::from(u16::MAX - PORT_MIN) + 1;
        let ahead = i32::from(next) - i32::from(PORT_MIN) + places * i32::from(step);
        let port = PORT_MIN + ahead.rem_euclid(range) as u16;
        SocketAddr::new(self.seen.ip(), port)
    }
}

impl MappingBehaviour {
    /// What ports tell that were given to three new sockets at about the same time, in whatever order.
    pub(crate) fn of_sequence(mut given: [u16; 3]) -> MappingBehaviour {
        given.sort_unstable();
        let [first, second, third] = given;
        let steps = [second - first, third - second];
        let step = steps[0].min(steps[1]);
        if steps.iter().all(|step| (1..=STEP_MAX).contains(step)) {
            MappingBehaviour::Sequential { next: third.wrapping_add(step), step: step as u8 }
        } else {
            MappingBehaviour::Random
        }
    }
}

/// How two peers try to get a direct link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PunchMethod {
    /// Both dial the other's outside address at the same time.
    Simultaneous,
    /// The ports that a NAT will give next are probed.
    Predicted,
    /// Many sockets on one side, many ports on the other: two meet by chance.
    Birthday,
}

impl PunchMethod {
    /// What to try between two NATs; `None` where nothing but luck would help. The same from both sides.
    pub(crate) fn between(one: MappingBehaviour, other: MappingBehaviour) -> Option<PunchMethod> {
        match (one, other) {
            (MappingBehaviour::EndpointIndependent, MappingBehaviour::EndpointIndependent) => {
                Some(PunchMethod::Simultaneous)
            }
            (MappingBehaviour::EndpointIndependent, MappingBehaviour::Random)
            | (MappingBehaviour::Random, MappingBehaviour::EndpointIndependent) => Some(PunchMethod::Birthday),
            (MappingBehaviour::Random, _) | (_, MappingBehaviour::Random) => None,
            (MappingBehaviour::Sequential { .. }, _) | (_, MappingBehaviour::Sequential { .. }) => {
                Some(PunchMethod::Predicted)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_one_after_the_other_are_told_from_random_ones() {
        assert_eq!(
            MappingBehaviour::of_sequence([5_000, 5_001, 5_002]),
            MappingBehaviour::Sequential { next: 5_003, step: 1 }
        );
        // They have overtaken each other.
        assert_eq!(
            MappingBehaviour::of_sequence([5_001, 5_002, 5_000]),
            MappingBehaviour::Sequential { next: 5_003, step: 1 }
        );
        // Somebody else was given one in between.
        assert_eq!(
            MappingBehaviour::of_sequence([5_000, 5_002, 5_003]),
            MappingBehaviour::Sequential { next: 5_004, step: 1 }
        );
        assert_eq!(MappingBehaviour::of_sequence([5_000, 9_000, 3_000]), MappingBehaviour::Random);
        assert_eq!(MappingBehaviour::of_sequence([5_000, 5_000, 5_000]), MappingBehaviour::Random);
    }

    #[test]
    fn predictions_stay_within_the_ports_that_are_given() {
        let report = |next| NatReport {
            seen: "203.0.113.1:9".parse().unwrap(),
            ports: MappingBehaviour::Sequential { next, step: 2 },
        };
        assert_eq!(report(2_000).predicted(3).port(), 2_006);
        assert_eq!(report(65_534).predicted(1).port(), PORT_MIN);
        assert_eq!(report(PORT_MIN).predicted(-1).port(), 65_534);
    }

    #[test]
    fn a_report_that_points_elsewhere_is_not_sound() {
        let seen: SocketAddr = "203.0.113.1:9".parse().unwrap();
        let report = NatReport { seen, ports: MappingBehaviour::Random };
        assert!(report.is_sound(seen.ip()));
        assert!(!report.is_sound("203.0.113.2".parse().unwrap()));
        let wild = NatReport { ports: MappingBehaviour::Sequential { next: 1, step: 0 }, ..report };
        assert!(!wild.is_sound(seen.ip()));
    }
}
