//! Which probes a side sends, from which sockets, and when, so that one of them meets one of the other side's.
//!
//! Against a NAT that gives a random port to every destination, one side opens [`SOCKETS`] sockets, which makes as many outside
//! ports lead to it, and the other probes [`PORTS`] ports: of 64,512 the chance that none meets is (1 − 256/64,512)^1,024, or 1.7 %.

use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;

use super::{ExtraSockets, PunchAction};
use crate::core::io::SocketId;
use crate::core::nat_report::{MappingBehaviour, NatReport, PORT_MIN, PunchMethod};
use crate::core::patience::Bounds;
use crate::core::probe::{Probe, Token};
use crate::core::random::Random;
use crate::core::time::Time;

/// Sockets opened behind a NAT with random ports.
pub const SOCKETS: usize = 256;
/// Random ports that one side probes in a try.
pub const PORTS: usize = 1_024;
/// Sockets opened behind a NAT with sequential ports.
const SEQUENTIAL_SOCKETS: usize = 16;
/// Predicted ports probed from a NAT that keeps them, and how many before the prediction.
const WINDOW: i32 = 32;
const WINDOW_BEFORE: i32 = 2;
/// Sockets and ports where both sides' are sequential.
const BOTH_SEQUENTIAL: i32 = 32;
/// Pause between volleys.
const TICK: Duration = Duration::from_millis(20);
/// Pause between probes whose order decides which port each is given.
const ORDERED_TICK: Duration = Duration::from_millis(2);
/// Probes of a volley to random ports: 200 a second.
const PORTS_PER_TICK: usize = 4;
/// New sockets in a volley: 800 a second.
const SOCKETS_PER_TICK: usize = 16;
/// Pause before everything is sent again, where it is little: the probe time-out of the relayed link.
const PROBE_PAUSE: Bounds = Bounds::new(Duration::from_millis(250), Duration::from_secs(1));
/// How often it is.
const AGAIN_MAX: u8 = 3;
/// When a try with few probes is over: all are sent, and the last ones have had two probe time-outs.
const FEW: Bounds = Bounds::new(Duration::from_millis(1_500), Duration::from_secs(6));
/// When a try with many is: they take [`MANY_SENT_IN`], and the last ones two probe time-outs.
const MANY: Bounds = Bounds::new(Duration::from_secs(7), Duration::from_secs(10));
/// Time that it takes to send many probes at their bounded rate.
const MANY_SENT_IN: Duration = Duration::from_millis(5_120);

/// What both sides of a try know, and how far they are apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sides {
    /// Of this side's NAT, then of the other's.
    pub(super) reports: (NatReport, NatReport),
    /// Whether this side leads.
    pub(super) leads: bool,
    /// Of the relayed link between them.
    pub(super) probe_timeout: Duration,
}

/// Probes of one try, sent little by little.
#[derive(Debug)]
pub(super) struct ProbeSpray {
    token: Token,
    shots: Vec<(SocketId, SocketAddr)>,
    sent: usize,
    per_tick: usize,
    tick: Duration,
    pause: Duration,
    again: u8,
    next_at: Time,
    until: Time,
}

impl ProbeSpray {
    /// What this side does.
    pub(super) fn new(
        now: Time,
        token: Token,
        Sides { reports: (mine, theirs), leads, probe_timeout }: Sides,
        sockets: &mut ExtraSockets,
        random: &mut Random,
    ) -> Self {
        let mut extra = |count: usize| -> Vec<SocketId> { (0..count).map(|_| sockets.open()).collect() };
        let main = SocketId::MAIN;
        let many = PunchMethod::between(mine.ports, theirs.ports) == Some(PunchMethod::Birthday);
        let shots: Vec<(SocketId, SocketAddr)> = match (mine.ports, theirs.ports) {
            (MappingBehaviour::Sequential { .. }, MappingBehaviour::Sequential { .. }) => {
                let places = (0..BOTH_SEQUENTIAL).map(|place| if leads { place } else { place + place / 8 % 4 });
                extra(BOTH_SEQUENTIAL as usize).into_iter().zip(places.map(|place| theirs.predicted(place))).collect()
            }
            (MappingBehaviour::Sequential { .. }, _) => {
                extra(SEQUENTIAL_SOCKETS).into_iter().map(|socket| (socket, theirs.seen)).collect()
            }
            (MappingBehaviour::Random, _) => extra(SOCKETS).into_iter().map(|socket| (socket, theirs.seen)).collect(),
            (MappingBehaviour::EndpointIndependent, MappingBehaviour::Sequential { .. }) => {
                (-WINDOW_BEFORE..WINDOW).map(|place| (main, theirs.predicted(place))).collect()
            }
            (
                MappingBehaviour::EndpointIndependent,
                MappingBehaviour::Random | MappingBehaviour::EndpointIndependent,
            ) => random_ports(random).into_iter().map(|port| (main, SocketAddr::new(theirs.seen.ip(), port))).collect(),
        };
        let ordered = matches!(
            (mine.ports, theirs.ports),
            (MappingBehaviour::Sequential { .. }, MappingBehaviour::Sequential { .. })
        );
        let (per_tick, tick) = match (many, mine.ports) {
            (true, MappingBehaviour::EndpointIndependent) => (PORTS_PER_TICK, TICK),
            (true, _) => (SOCKETS_PER_TICK, TICK),
            (false, _) if ordered => (1, ORDERED_TICK),
            (false, _) => (shots.len(), TICK),
        };
        let again = if many { 0 } else { AGAIN_MAX };
        let pause = PROBE_PAUSE.clamp(probe_timeout);
        let few = FEW.clamp(pause * u32::from(AGAIN_MAX) + 2 * probe_timeout);
        let takes = if many { MANY.clamp(MANY_SENT_IN + 2 * probe_timeout) } else { few };
        ProbeSpray { token, shots, sent: 0, per_tick, tick, pause, again, next_at: now, until: now + takes }
    }

    /// Sends what is due. Whether it goes on.
    pub(super) fn go_on(&mut self, now: Time, acts: &mut Vec<PunchAction>) -> bool {
        if now >= self.until {
            return false;
        }
        if now < self.next_at {
            return true;
        }
        let until = (self.sent + self.per_tick).min(self.shots.len());
        let volley = &self.shots[self.sent..until];
        let probe = Probe::Request { token: self.token };
        acts.extend(volley.iter().map(|&(socket, to)| PunchAction::Probe { socket, to, probe }));
        self.sent += volley.len();
        self.next_at = if self.sent < self.shots.len() {
            now + self.tick
        } else if self.again > 0 {
            (self.again, self.sent) = (self.again - 1, 0);
            now + self.pause
        } else {
            self.until
        };
        true
    }

    /// Sends nothing any more, but keeps its sockets until then.
    pub(super) fn stop(&mut self, until: Time) {
        (self.sent, self.again, self.next_at, self.until) = (self.shots.len(), 0, until, until);
    }

    /// When it is over.
    pub(super) fn until(&self) -> Time {
        self.until
    }

    /// Its extra sockets are not needed any more, except those that carry a link.
    pub(super) fn close(&self, acts: &mut Vec<PunchAction>) {
        let extra = self.shots.iter().map(|&(socket, _)| socket).filter(|&socket| socket != SocketId::MAIN);
        acts.extend(extra.map(|socket| PunchAction::Close { socket }));
    }

    pub(super) fn due(&self) -> Time {
        self.next_at.min(self.until)
    }
}

/// [`PORTS`] different ports.
fn random_ports(random: &mut Random) -> Vec<u16> {
    let mut all: Vec<u16> = (PORT_MIN..=u16::MAX).collect();
    for place in 0..PORTS {
        let other = random.random_range(place..all.len());
        all.swap(place, other);
    }
    all.truncate(PORTS);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::random::child;
    use std::collections::BTreeSet;

    const SEEN: &str = "203.0.113.1:7000";

    fn report(ports: MappingBehaviour) -> NatReport {
        NatReport { seen: SEEN.parse().unwrap(), ports }
    }

    /// All probes of a try, with their times.
    fn play(mine: MappingBehaviour, theirs: MappingBehaviour, leads: bool) -> Vec<(Time, SocketId, SocketAddr)> {
        let mut now = Time::ZERO;
        let reports = (report(mine), report(theirs));
        let mut sockets = ExtraSockets::default();
        let sides = Sides { reports, leads, probe_timeout: Duration::from_millis(100) };
        let mut spray = ProbeSpray::new(now, Token([1; 12]), sides, &mut sockets, &mut child(7, 0));
        let mut sent = Vec::new();
        loop {
            let mut acts = Vec::new();
            if !spray.go_on(now, &mut acts) {
                return sent;
            }
            sent.extend(acts.into_iter().map(|act| match act {
                PunchAction::Probe { socket, to, .. } => (now, socket, to),
                other => panic!("{other:?}"),
            }));
            assert!(spray.due() > now);
            now = spray.due();
        }
    }

    #[test]
    fn random_ports_are_probed_once_each_at_a_bounded_rate() {
        let sent = play(MappingBehaviour::EndpointIndependent, MappingBehaviour::Random, true);
        let ports: BTreeSet<u16> = sent.iter().map(|(_, _, to)| to.port()).collect();
        assert_eq!((sent.len(), ports.len()), (PORTS, PORTS));
        assert!(sent.iter().all(|&(_, socket, to)| socket == SocketId::MAIN && to.port() >= PORT_MIN));
        for window in sent.windows(201) {
            assert!(window[200].0.since(window[0].0) >= Duration::from_millis(980));
        }
    }

    #[test]
    fn behind_random_ports_many_sockets_probe_one_endpoint() {
        let sent = play(MappingBehaviour::Random, MappingBehaviour::EndpointIndependent, true);
        let sockets: BTreeSet<SocketId> = sent.iter().map(|&(_, socket, _)| socket).collect();
        assert_eq!((sent.len(), sockets.len()), (SOCKETS, SOCKETS));
        assert!(sent.iter().all(|(_, _, to)| to.to_string() == SEEN) && !sockets.contains(&SocketId::MAIN));
    }

    #[test]
    fn two_sequential_sides_meet_if_each_guessed_up_to_three_too_low() {
        let ports = MappingBehaviour::Sequential { next: 5_000, step: 1 };
        let base = |place: u16, error: u16| 5_000 + error + place;
        for (error_leader, error_follower) in [(0, 0), (1, 0), (0, 3), (1, 2)] {
            let [leader, follower] = [true, false].map(|leads| {
                let sent = play(ports, ports, leads);
                sent[..BOTH_SEQUENTIAL as usize].iter().map(|(_, _, to)| to.port()).collect::<Vec<u16>>()
            });
            let meet = |(i, &to_follower): (usize, &u16)| {
                follower.iter().enumerate().any(|(j, &to_leader)| {
                    to_follower == base(j as u16, error_follower) && to_leader == base(i as u16, error_leader)
                })
            };
            assert!(leader.iter().enumerate().any(meet), "{error_leader}, {error_follower}");
        }
    }
}
