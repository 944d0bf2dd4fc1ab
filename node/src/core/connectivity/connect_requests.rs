//! Links that the application wants ([`crate::core::io::Command::Connect`]): tried again until they are up, and reported once they are
//! as direct as they will be.

use std::time::Duration;

use crate::core::contact::Contact;
use crate::core::identity::NodeId;
use crate::core::io::{CommandId, ConnectReport, LinkPath};
use crate::core::time::{Deadline, Time};

/// Most links wanted at once.
pub const WANTED_MAX: usize = 1_024;
/// When the state of a requested link is reported, whatever it is.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// Pause before another attempt, after one that led to no link.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Links that the application wants.
#[derive(Debug, Default)]
pub struct ConnectRequests(Vec<ConnectRequest>);

#[derive(Debug)]
struct ConnectRequest {
    command: CommandId,
    peer: NodeId,
    /// How to reach it, as the application knows.
    contact: Option<Box<Contact>>,
    since: Time,
    up_after: Option<Duration>,
    direct_after: Option<Duration>,
    /// Tries to get past the relay. Their count elsewhere ends once one has succeeded.
    tries: u32,
    /// When to try again; [`Time::NEVER`] while something is being tried or the link is up.
    again_at: Time,
}

/// How things stand with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkStanding {
    /// How the link runs, if it is up.
    pub path: Option<LinkPath>,
    /// Whether the peer has said who it is: before, how the link runs is a guess.
    pub greeted: bool,
    /// Whether a better path is still being tried.
    pub improving: bool,
    /// Tries to get past the relay so far.
    pub tries: u32,
}

impl ConnectRequests {
    /// A link to `peer` is wanted. `false` if too many are.
    pub fn add(&mut self, now: Time, command: CommandId, peer: NodeId, contact: Option<Box<Contact>>) -> bool {
        let room = self.0.len() < WANTED_MAX;
        if room {
            let again_at = Time::NEVER;
            self.0.push(ConnectRequest {
                command,
                peer,
                contact,
                since: now,
                up_after: None,
                direct_after: None,
                tries: 0,
                again_at,
            });
        }
        room
    }

    /// Whether no link is requested.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a link to `peer` is.
    pub fn wants(&self, peer: NodeId) -> bool {
        self.0.iter().any(|want| want.peer == peer)
    }

    /// No link to `peer` could be made, or it is gone.
    pub fn lost(&mut self, now: Time, peer: NodeId) {
        for want in self.0.iter_mut().filter(|want| want.peer == peer) {
            want.again_at = want.again_at.min(now + AGAIN_AFTER);
        }
    }

    /// Peers to which a link is to be tried again now, and how the application would reach them.
    pub fn due(&mut self, now: Time) -> Vec<(NodeId, Option<Contact>)> {
        let due = self.0.iter_mut().filter(|want| want.again_at <= now);
        due.map(|want| {
            want.again_at = Time::NEVER;
            (want.peer, want.contact.as_deref().cloned())
        })
        .collect()
    }

    /// Looks how wanted links stand; those that are settled are taken out.
    pub fn settle(&mut self, now: Time, standing: impl Fn(NodeId) -> LinkStanding) -> Vec<(CommandId, ConnectReport)> {
        let mut settled = Vec::new();
        self.0.retain_mut(|want| {
            let stands = standing(want.peer);
            let since = now.since(want.since);
            want.tries = want.tries.max(stands.tries);
            let direct = stands.path.is_some_and(|path| path != LinkPath::Relayed);
            if stands.path.is_some() {
                want.up_after.get_or_insert(since);
                want.again_at = Time::NEVER;
            }
            if direct {
                want.direct_after.get_or_insert(since);
            }
            let settled_well = stands.greeted && (direct || stands.path.is_some() && !stands.improving);
            let done = settled_well || since >= CONNECT_WITHIN;
            if done {
                let ConnectRequest { up_after: took, direct_after, tries, .. } = *want;
                settled.push((want.command, ConnectReport { path: stands.path, took, direct_after, tries }));
            }
            !done
        });
        settled
    }

    /// When [`ConnectRequests::due`] or [`ConnectRequests::settle`] has something.
    pub fn deadline(&self) -> Deadline {
        let at = self.0.iter().map(|want| want.again_at.min(want.since + CONNECT_WITHIN)).min();
        Deadline { at: at.unwrap_or(Time::NEVER), why: "a wanted link" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId([7; 32]);
    const DOWN: LinkStanding = LinkStanding { path: None, greeted: false, improving: false, tries: 0 };
    const RELAYED: LinkStanding =
        LinkStanding { path: Some(LinkPath::Relayed), greeted: true, improving: true, tries: 1 };

    fn at(ms: u64) -> Time {
        Time::from_micros(1_000 * ms)
    }

    fn contact() -> Contact {
        Contact::at(PEER, "10.0.0.1:4001".parse().unwrap())
    }

    fn wanted() -> ConnectRequests {
        let mut wanted = ConnectRequests::default();
        assert!(wanted.add(at(0), CommandId(1), PEER, Some(Box::new(contact()))));
        wanted
    }

    #[test]
    fn a_relayed_link_is_told_of_once_nothing_better_is_tried() {
        let mut wanted = wanted();
        assert_eq!(wanted.settle(at(300), |_| RELAYED), []);
        let took = Some(Duration::from_millis(300));
        let report = ConnectReport { path: Some(LinkPath::Relayed), took, direct_after: None, tries: 1 };
        assert_eq!(wanted.settle(at(900), |_| LinkStanding { improving: false, ..RELAYED }), [(CommandId(1), report)]);
        assert!(wanted.is_empty());
    }

    #[test]
    fn a_direct_link_is_told_of_at_once() {
        let mut wanted = wanted();
        assert_eq!(wanted.settle(at(300), |_| RELAYED), []);
        let punched = LinkStanding { path: Some(LinkPath::Punched), improving: false, tries: 0, ..RELAYED };
        let [(_, report)] = wanted.settle(at(500), |_| punched)[..] else { panic!("it is settled") };
        assert_eq!(report.tries, 1, "as many as there were while it was relayed");
        assert_eq!(report.took, Some(Duration::from_millis(300)));
        assert_eq!(report.direct_after, Some(Duration::from_millis(500)));
    }

    #[test]
    fn how_a_link_runs_is_told_once_the_peer_has_said_who_it_is() {
        let mut wanted = wanted();
        let mut stands = LinkStanding { path: Some(LinkPath::Lan), greeted: false, ..RELAYED };
        assert_eq!(wanted.settle(at(100), |_| stands), []);
        (stands.path, stands.greeted) = (Some(LinkPath::Direct), true);
        let [(_, report)] = wanted.settle(at(120), |_| stands)[..] else { panic!("it is settled") };
        assert_eq!((report.path, report.took), (Some(LinkPath::Direct), Some(Duration::from_millis(100))));
    }

    #[test]
    fn a_link_that_fails_is_tried_again_until_the_time_is_up() {
        let mut wanted = wanted();
        wanted.lost(at(2_000), PEER);
        assert_eq!(wanted.deadline().at, at(3_000));
        assert_eq!(wanted.due(at(3_000)), [(PEER, Some(contact()))]);
        assert_eq!(wanted.due(at(3_000)), []);
        assert_eq!(wanted.settle(at(29_999), |_| DOWN), []);
        let [(_, report)] = wanted.settle(at(30_000), |_| DOWN)[..] else { panic!("the time is up") };
        assert_eq!((report.path, report.took), (None, None));
    }
}
