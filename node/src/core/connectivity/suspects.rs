//! Links that may be dead though nothing has said so: after this node's address outside has changed, or when a peer has itself
//! introduced anew. A few probes over the same addresses tell.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::core::identity::NodeId;
use crate::core::patience::Bounds;
use crate::core::probe::Token;
use crate::core::time::{Deadline, Time};

/// Most links in doubt at once; more are left to the transport's own time-out.
pub const SUSPECTS_MAX: usize = 512;
/// Pause between probes: the probe time-out of the link's path.
const PROBE_PAUSE: Bounds = Bounds::new(Duration::from_millis(250), Duration::from_secs(2));
/// Probes that may stay unanswered.
const PROBES: u8 = 3;

/// Links that may be dead, each with its probes.
#[derive(Debug, Default)]
pub struct Suspects(BTreeMap<NodeId, Suspect>);

#[derive(Debug)]
struct Suspect {
    remote: SocketAddr,
    expected_reflection: Option<SocketAddr>,
    token: Token,
    pause: Duration,
    sent: u8,
    next_at: Time,
}

/// What to do about a suspect link.
#[derive(Debug, PartialEq, Eq)]
pub enum SuspectAction {
    /// A probe with this token.
    Probe(SocketAddr, Token),
    /// The link to this peer is given up.
    Dead(NodeId),
}

impl Suspects {
    /// The link to `peer` at `remote` is in doubt; [`Suspects::wake`] is due. `token` is drawn at random. If the peer sees this
    /// node otherwise than as `expected_reflection`, the link is dead. Answers may take as long as `probe_timeout`.
    pub fn suspect(
        &mut self,
        now: Time,
        peer: NodeId,
        remote: SocketAddr,
        expected_reflection: Option<SocketAddr>,
        token: Token,
        probe_timeout: Duration,
    ) {
        let pause = PROBE_PAUSE.clamp(probe_timeout);
        if self.0.len() < SUSPECTS_MAX {
            self.0.entry(peer).or_insert(Suspect { remote, expected_reflection, token, pause, sent: 0, next_at: now });
        }
    }

    /// A response has come. Whether it was to one of these: then its link lives, or is found dead when [`Suspects::wake`] is
    /// called, which is due.
    pub fn answered(&mut self, now: Time, token: Token, from: SocketAddr, seen: SocketAddr) -> bool {
        let suspects = self.0.iter_mut();
        let asked = |(_, suspect): &(&NodeId, &mut Suspect)| suspect.token == token && suspect.remote == from;
        let Some((&peer, suspect)) = suspects.into_iter().find(asked) else { return false };
        if suspect.expected_reflection.is_none_or(|address| address == seen) {
            self.0.remove(&peer);
        } else {
            (suspect.sent, suspect.next_at) = (PROBES, now);
        }
        true
    }

    /// The link to `peer` is another now, or gone.
    pub fn forget(&mut self, peer: NodeId) {
        self.0.remove(&peer);
    }

    /// What is due now.
    pub fn wake(&mut self, now: Time) -> Vec<SuspectAction> {
        let mut due = Vec::new();
        self.0.retain(|&peer, suspect| {
            if suspect.next_at > now {
                return true;
            }
            if suspect.sent == PROBES {
                due.push(SuspectAction::Dead(peer));
                return false;
            }
            suspect.sent += 1;
            suspect.next_at = now + suspect.pause;
            due.push(SuspectAction::Probe(suspect.remote, suspect.token));
            true
        });
        due
    }

    /// When [`Suspects::wake`] is due.
    pub fn deadline(&self) -> Deadline {
        let at = self.0.values().map(|suspect| suspect.next_at).min();
        Deadline { at: at.unwrap_or(Time::NEVER), why: "a link in suspect" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId([1; 32]);
    const TOKEN: Token = Token([2; 12]);

    fn remote() -> SocketAddr {
        "203.0.113.1:4001".parse().unwrap()
    }

    fn mine() -> SocketAddr {
        "198.51.100.1:4001".parse().unwrap()
    }

    #[test]
    fn a_link_without_an_answer_is_dead_after_three_probes() {
        let mut suspects = Suspects::default();
        suspects.suspect(Time::ZERO, PEER, remote(), Some(mine()), TOKEN, Duration::ZERO);
        for probe in 0..3 {
            let now = Time::ZERO + PROBE_PAUSE.floor * probe;
            assert_eq!(suspects.deadline().at, now);
            assert_eq!(suspects.wake(now), [SuspectAction::Probe(remote(), TOKEN)]);
        }
        assert_eq!(suspects.wake(Time::ZERO + PROBE_PAUSE.floor * 3), [SuspectAction::Dead(PEER)]);
        assert_eq!(suspects.deadline(), Deadline { at: Time::NEVER, why: "a link in suspect" });
    }

    #[test]
    fn only_an_answer_from_the_peers_address_clears_it() {
        let mut suspects = Suspects::default();
        suspects.suspect(Time::ZERO, PEER, remote(), Some(mine()), TOKEN, Duration::ZERO);
        assert!(!suspects.answered(Time::ZERO, TOKEN, "203.0.113.9:4001".parse().unwrap(), mine()));
        assert!(!suspects.answered(Time::ZERO, Token([3; 12]), remote(), mine()));
        assert!(suspects.answered(Time::ZERO, TOKEN, remote(), mine()));
        assert_eq!(suspects.wake(Time::NEVER), []);
    }

    #[test]
    fn a_link_whose_other_end_sees_another_address_is_dead() {
        let mut suspects = Suspects::default();
        suspects.suspect(Time::ZERO, PEER, remote(), Some(mine()), TOKEN, Duration::ZERO);
        assert!(suspects.answered(Time::ZERO, TOKEN, remote(), "198.51.100.7:9".parse().unwrap()));
        assert_eq!(suspects.wake(Time::ZERO), [SuspectAction::Dead(PEER)]);
    }
}
