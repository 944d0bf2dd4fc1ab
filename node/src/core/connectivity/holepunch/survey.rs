//! Looking at the own NAT: how an observer sees the main socket, whether another sees it alike, and, if not, which ports new
//! sockets are given.

use std::net::SocketAddr;
use std::time::Duration;

use rand::Rng;

use super::{ExtraSockets, PunchAction};
use crate::core::io::SocketId;
use crate::core::nat_report::{MappingBehaviour, NatReport};
use crate::core::patience::Bounds;
use crate::core::probe::{Probe, TOKEN_BYTES, Token};
use crate::core::random::Random;
use crate::core::time::Time;

/// Pause before unanswered probes are sent again: the probe time-out of a link through an ambassador, which reflects as well.
const PROBE_PAUSE: Bounds = Bounds::new(Duration::from_millis(250), Duration::from_secs(2));
/// How often.
const AGAIN_MAX: u8 = 3;
/// Sockets whose ports tell how the next ones will be given.
const NEW_SOCKETS: usize = 3;

/// A look at the own NAT under way.
#[derive(Debug)]
pub(super) struct NatSurvey {
    asked: Vec<Asked>,
    stage: Stage,
    pause: Duration,
    again_at: Time,
    again: u8,
}

#[derive(Debug)]
struct Asked {
    token: Token,
    socket: SocketId,
    to: SocketAddr,
    seen: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// One or two observers are asked about the main socket.
    Main,
    /// Two see it at different addresses, the better observer at this one.
    Varying { reflector: SocketAddr, seen: SocketAddr },
    /// That observer is asked about three new ones.
    New { seen: SocketAddr },
}

/// What a survey has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SurveyOutcome {
    /// The survey is still under way.
    Nothing,
    NatStatus(NatReport),
    /// Every destination sees another port: new sockets must be looked at ([`NatSurvey::look_at_new`]), while no other look or try
    /// takes ports.
    Varies,
    /// No reflector answers within the time allowed.
    Failed,
}

pub(super) fn token(random: &mut Random) -> Token {
    let mut token = [0; TOKEN_BYTES];
    random.fill_bytes(&mut token);
    Token(token)
}

impl NatSurvey {
    /// Asks `reflectors`, of which the first two count. Their answers may take as long as `probe_timeout`.
    pub(super) fn begin(
        now: Time,
        probe_timeout: Duration,
        reflectors: &[SocketAddr],
        random: &mut Random,
        acts: &mut Vec<PunchAction>,
    ) -> Option<Self> {
        reflectors.first()?;
        let pause = PROBE_PAUSE.clamp(probe_timeout);
        let mut survey = NatSurvey { asked: Vec::new(), stage: Stage::Main, pause, again_at: now + pause, again: 0 };
        for &to in reflectors.iter().take(2) {
            survey.ask(SocketId::MAIN, to, random, acts);
        }
        Some(survey)
    }

    fn ask(&mut self, socket: SocketId, to: SocketAddr, random: &mut Random, acts: &mut Vec<PunchAction>) {
        let token = token(random);
        self.asked.push(Asked { token, socket, to, seen: None });
        acts.push(PunchAction::Probe { socket, to, probe: Probe::Request { token } });
    }

    /// A response has come. Whether it was to this survey.
    pub(super) fn answered(
        &mut self,
        token: Token,
        from: SocketAddr,
        seen: SocketAddr,
        other: Option<SocketAddr>,
        random: &mut Random,
        acts: &mut Vec<PunchAction>,
    ) -> bool {
        let Some(asked) = self.asked.iter_mut().find(|asked| asked.token == token && asked.to == from) else {
            return false;
        };
        let first = asked.seen.replace(seen).is_none();
        // A lone observer may have a second address.
        let second = other.filter(|other| other.ip() == from.ip() && *other != from);
        if let (true, Stage::Main, 1, Some(second)) = (first, self.stage, self.asked.len(), second) {
            self.ask(SocketId::MAIN, second, random, acts);
        }
        true
    }

    /// What is known by now; asks on.
    pub(super) fn go_on(&mut self, now: Time, acts: &mut Vec<PunchAction>) -> SurveyOutcome {
        let complete = self.asked.iter().all(|asked| asked.seen.is_some());
        let patience = self.again < AGAIN_MAX || now < self.again_at;
        if !complete && patience {
            self.ask_again(now, acts);
            return SurveyOutcome::Nothing;
        }
        match self.stage {
            Stage::Main => {
                let mut answered = self.asked.iter().filter_map(|asked| Some((asked.to, asked.seen?)));
                let Some((reflector, seen)) = answered.next() else { return SurveyOutcome::Failed };
                if answered.all(|(_, other)| other == seen) {
                    return SurveyOutcome::NatStatus(NatReport { seen, ports: MappingBehaviour::EndpointIndependent });
                }
                self.stage = Stage::Varying { reflector, seen };
                SurveyOutcome::Varies
            }
            Stage::Varying { .. } => SurveyOutcome::Varies,
            Stage::New { seen } => {
                self.close(acts);
                let given: Vec<u16> = self.asked.iter().filter_map(|asked| Some(asked.seen?.port())).collect();
                let ports = given.try_into().map_or(MappingBehaviour::Random, MappingBehaviour::of_sequence);
                SurveyOutcome::NatStatus(NatReport { seen, ports })
            }
        }
    }

    /// Has an observer look at three new sockets.
    pub(super) fn look_at_new(
        &mut self,
        now: Time,
        sockets: &mut ExtraSockets,
        random: &mut Random,
        acts: &mut Vec<PunchAction>,
    ) {
        let Stage::Varying { reflector, seen } = self.stage else { return };
        self.stage = Stage::New { seen };
        self.asked.clear();
        for _ in 0..NEW_SOCKETS {
            self.ask(sockets.open(), reflector, random, acts);
        }
        (self.again, self.again_at) = (0, now + self.pause);
    }

    fn ask_again(&mut self, now: Time, acts: &mut Vec<PunchAction>) {
        if now < self.again_at || self.again == AGAIN_MAX {
            return;
        }
        self.again += 1;
        self.again_at = now + self.pause;
        for asked in self.asked.iter().filter(|asked| asked.seen.is_none()) {
            acts.push(PunchAction::Probe {
                socket: asked.socket,
                to: asked.to,
                probe: Probe::Request { token: asked.token },
            });
        }
    }

    /// Its new sockets are not needed any more.
    pub(super) fn close(&self, acts: &mut Vec<PunchAction>) {
        let new = self.asked.iter().map(|asked| asked.socket).filter(|&socket| socket != SocketId::MAIN);
        acts.extend(new.map(|socket| PunchAction::Close { socket }));
    }

    pub(super) fn due(&self) -> Time {
        self.again_at
    }
}
