//! Finding peers on the LAN, as Butter does: a node without known hosts pings the group; a node that receives a ping answers with its own.
//!
//! On a crowded LAN only some answer, so that a newcomer hears a handful and not hundreds. A rare ping goes on after that,
//! so that two groups of peers that formed apart on one LAN find each other. Whoever announces itself with this node's identity
//! from elsewhere runs on a copy of its store: the two would take each other's links.

use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;

use crate::core::contact::Contact;
use crate::core::message::Announcement;
use crate::core::random::Random;
use crate::core::time::{Deadline, Time};

/// Answers that a newcomer should get on a crowded LAN, on average.
const ANSWERS_TARGET: u32 = 6;
/// Most hosts in an answer, which must fit a datagram.
pub const HOSTS_PER_ANSWER: usize = 4;
/// Pause between pings of a node that knows somebody.
const RARE_PING: Duration = Duration::from_secs(30);
/// Most answers per second.
const ANSWERS_PER_S: u32 = 50;

/// When to send the next ping, and how many were answered of late.
#[derive(Debug)]
pub struct Discovery {
    ping_at: Time,
    answers: u32,
    answers_since: Time,
    /// Where another node with this node's identity was heard last.
    double: Option<SocketAddr>,
}

/// What an announcement means for this node.
#[derive(Debug, PartialEq, Eq)]
pub enum DiscoveryOutcome {
    /// Another node looks for peers: consider it, and answer if asked to.
    Newcomer {
        /// Where it may be reached.
        contact: Contact,
        /// Whether this node should answer.
        answer: bool,
    },
    /// A peer has answered a ping.
    Hosts {
        /// Where it may be reached.
        contact: Contact,
        /// Some of the hosts that it knows.
        hosts: Vec<Contact>,
    },
    /// Another node has this node's identity: it runs on a copy of the store.
    Double,
    /// Own echo, or not acceptable.
    Nothing,
}

impl Discovery {
    /// Looking for peers from the first wake-up, unless `enabled` is unset.
    pub fn new(enabled: bool) -> Self {
        let ping_at = if enabled { Time::ZERO } else { Time::NEVER };
        Discovery { ping_at, answers: 0, answers_since: Time::ZERO, double: None }
    }

    /// Where another node with this node's identity was heard last.
    pub fn double(&self) -> Option<SocketAddr> {
        self.double
    }

    /// The ping that is due, if one is.
    pub fn wake(
        &mut self,
        now: Time,
        me: &Contact,
        lonely: bool,
        pause: Duration,
        random: &mut Random,
    ) -> Option<Announcement> {
        if lonely && self.ping_at != Time::NEVER {
            self.ping_at = self.ping_at.min(now + pause);
        }
        if now < self.ping_at {
            return None;
        }
        let pause = if lonely { pause } else { RARE_PING };
        self.ping_at = now + pause.mul_f64(random.random_range(0.8..1.2));
        me.local.first().map(|address| Announcement::Ping { id: me.id, port: address.port() })
    }

    /// When [`Discovery::wake`] is due.
    pub fn deadline(&self) -> Deadline {
        Deadline { at: self.ping_at, why: "looking for peers on the LAN" }
    }

    /// Takes an announcement that came from `from`, of which nothing is authenticated: a link will tell.
    pub fn heard(
        &mut self,
        now: Time,
        from: SocketAddr,
        announcement: Announcement,
        me: &Contact,
        hosts_known: usize,
        random: &mut Random,
    ) -> DiscoveryOutcome {
        match announcement {
            Announcement::Ping { id, port } if id != me.id && port != 0 => {
                let known = u32::try_from(hosts_known).unwrap_or(u32::MAX).max(1);
                let answer = random.random_range(0..known) < ANSWERS_TARGET && self.may_answer(now);
                DiscoveryOutcome::Newcomer { contact: Contact::at(id, SocketAddr::new(from.ip(), port)), answer }
            }
            Announcement::Pong { id, port, quality, mut hosts } if id != me.id && port != 0 => {
                hosts.truncate(HOSTS_PER_ANSWER);
                let contact = Contact { quality, ..Contact::at(id, SocketAddr::new(from.ip(), port)) };
                DiscoveryOutcome::Hosts { contact, hosts }
            }
            Announcement::Ping { id, port } | Announcement::Pong { id, port, .. } => {
                let at = SocketAddr::new(from.ip(), port);
                let is_echo = me.local.is_empty() || me.local.contains(&at);
                if id != me.id || port == 0 || is_echo {
                    return DiscoveryOutcome::Nothing;
                }
                self.double = Some(at);
                DiscoveryOutcome::Double
            }
        }
    }

    fn may_answer(&mut self, now: Time) -> bool {
        if now.since(self.answers_since) >= Duration::from_secs(1) {
            (self.answers, self.answers_since) = (0, now);
        }
        self.answers += 1;
        self.answers <= ANSWERS_PER_S
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::identity::NodeId;
    use crate::core::random::child;

    fn me() -> Contact {
        Contact::at(NodeId([1; 32]), "10.0.0.1:4001".parse().unwrap())
    }

    #[test]
    fn a_lonely_node_pings_at_once_and_again_and_a_content_one_rarely() {
        let (mut discover, random) = (Discovery::new(true), &mut child(1, 1));
        let second = Duration::from_secs(1);
        assert!(discover.wake(Time::ZERO, &me(), true, second, random).is_some());
        assert!(discover.wake(Time::ZERO, &me(), true, second, random).is_none());
        let later = Time::ZERO + Duration::from_millis(1_300);
        assert!(discover.wake(later, &me(), false, second, random).is_some());
        assert!(discover.deadline().at > later + Duration::from_secs(20));
        // It has lost everybody: the next ping comes within the short pause.
        assert!(discover.wake(later, &me(), true, second, random).is_none());
        assert!(discover.deadline().at <= later + second);
    }

    #[test]
    fn on_a_crowded_lan_a_ping_gets_a_handful_of_answers() {
        let random = &mut child(2, 1);
        let ping = Announcement::Ping { id: NodeId([2; 32]), port: 4001 };
        let answers = |known: usize, random: &mut Random| {
            let from = "10.0.0.2:9999".parse().unwrap();
            let answers = |_: &u32| {
                let heard = Discovery::new(true).heard(Time::ZERO, from, ping.clone(), &me(), known, random);
                matches!(heard, DiscoveryOutcome::Newcomer { answer: true, .. })
            };
            (0..300).filter(answers).count()
        };
        assert_eq!(answers(3, random), 300);
        let crowded = answers(60, random);
        assert!((10..60).contains(&crowded), "{crowded} of 300 answered; a tenth should");
    }

    #[test]
    fn an_echo_of_oneself_is_nothing_and_ones_identity_elsewhere_is_a_double() {
        let heard = |port, from: &str| {
            let ping = Announcement::Ping { id: me().id, port };
            let mut discover = Discovery::new(true);
            let outcome = discover.heard(Time::ZERO, from.parse().unwrap(), ping, &me(), 0, &mut child(1, 1));
            (outcome, discover.double().map(|at| at.to_string()))
        };
        assert_eq!(heard(4001, "10.0.0.1:9999"), (DiscoveryOutcome::Nothing, None));
        assert_eq!(heard(4001, "10.0.0.7:9999"), (DiscoveryOutcome::Double, Some("10.0.0.7:4001".to_owned())));
        assert_eq!(heard(4002, "10.0.0.1:9999"), (DiscoveryOutcome::Double, Some("10.0.0.1:4002".to_owned())));
    }
}
