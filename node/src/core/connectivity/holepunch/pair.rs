//! One relayed link that might do without the relay: how far its two ends have come.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::PunchAction;
use super::spray::ProbeSpray;
use super::survey::NatSurvey;
use crate::core::nat_report::{NatReport, PunchMethod};
use crate::core::probe::Token;
use crate::core::time::Time;

/// Most introductions to a peer that says that it has come to other addresses, while the link is the same.
pub(super) const REINTRODUCTIONS_MAX: u8 = 4;
/// How long the dials after such an introduction are waited for.
const REINTRODUCTION_WITHIN: Duration = Duration::from_secs(1);
/// From a relayed link to the first try: the dials after the introduction may still succeed.
const BEGIN_AFTER: Duration = Duration::from_millis(150);
/// How long the other side may take to answer: its survey takes up to 2 s.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(super) struct RelayedPair {
    /// Whether this side begins each try: the one that dialled the relayed link.
    pub(super) leads: bool,
    /// Where an ambassador sees the peer.
    pub(super) observed_ip: IpAddr,
    /// Of the offer that is being spoken of.
    pub(super) number: u32,
    pub(super) tries: u32,
    pub(super) tries_in_round: u32,
    /// Offers and surveys of this round without an answer.
    pub(super) misses_in_round: u32,
    pub(super) rounds: usize,
    /// Whether nothing more is tried for now.
    pub(super) exhausted: bool,
    /// How often it was met anew.
    reintroductions: u8,
    /// Until when the dials after such a meeting are waited for.
    pub(super) reintroduced_until: Option<Time>,
    pub(super) state: PairState,
}

#[derive(Debug)]
pub(super) enum PairState {
    /// Until the next try; [`Time::NEVER`] for the side that does not lead.
    Idle(Time),
    /// Looking at the own NAT.
    Surveying { survey: NatSurvey, since: Time, goal: SurveyGoal },
    /// The leader waits for the answer.
    Offered { mine: NatReport, at: Time },
    /// Both reports are known; the leader begins then, the follower gives up then.
    Ready { at: Time, agreed: Agreed },
    /// Dials or probes are under way.
    Trying {
        until: Time,
        agreed: Agreed,
        spray: Option<ProbeSpray>,
        /// Probes of the peer that were answered.
        answers: u32,
        /// Times that its dial was said to be expected.
        expected: u32,
        met: Option<SocketAddr>,
    },
}

/// What a survey is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum SurveyGoal {
    Offer,
    Accept { theirs: NatReport },
    Go { round_trip: Duration, token: Token, theirs: NatReport },
}

/// What the leader knows once its offer is accepted.
pub(super) struct Agreement {
    pub(super) token: Token,
    pub(super) mine: NatReport,
    pub(super) theirs: NatReport,
}

/// What both sides of a try know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed {
    pub(super) token: Token,
    pub(super) mine: NatReport,
    pub(super) theirs: NatReport,
    pub(super) method: PunchMethod,
}

impl RelayedPair {
    /// Nothing was tried yet.
    pub(super) fn new(now: Time, leads: bool, observed_ip: IpAddr) -> Self {
        RelayedPair {
            leads,
            observed_ip,
            number: 0,
            tries: 0,
            tries_in_round: 0,
            misses_in_round: 0,
            rounds: 0,
            exhausted: false,
            reintroductions: 0,
            reintroduced_until: None,
            state: PairState::Idle(if leads { now + BEGIN_AFTER } else { Time::NEVER }),
        }
    }

    /// Counts an introduction, unless there were too many.
    pub(super) fn may_reintroduce(&mut self) -> bool {
        let may = self.reintroductions < REINTRODUCTIONS_MAX;
        self.reintroductions += u8::from(may);
        may
    }

    /// The same; the dials that follow are waited for.
    pub(super) fn may_reintroduce_and_wait(&mut self, now: Time) -> bool {
        let may = self.may_reintroduce();
        if may {
            self.reintroduced_until = Some(now + REINTRODUCTION_WITHIN);
        }
        may
    }

    pub(super) fn agreed(&self) -> Option<Agreed> {
        match &self.state {
            PairState::Ready { agreed, .. } | PairState::Trying { agreed, .. } => Some(*agreed),
            PairState::Idle(_) | PairState::Surveying { .. } | PairState::Offered { .. } => None,
        }
    }

    /// When there is something to be done about it.
    pub(super) fn due(&self) -> Time {
        let state = match &self.state {
            PairState::Idle(at) | PairState::Ready { at, .. } => *at,
            PairState::Surveying { survey, .. } => survey.due(),
            PairState::Offered { at, .. } => *at + ANSWER_WITHIN,
            PairState::Trying { until, spray, .. } => spray.as_ref().map_or(*until, ProbeSpray::due).min(*until),
        };
        self.reintroduced_until.map_or(state, |reintroduced_until| reintroduced_until.min(state))
    }

    /// Gives back the sockets of what was under way.
    pub(super) fn close(&self, acts: &mut Vec<PunchAction>) {
        match &self.state {
            PairState::Surveying { survey, .. } => survey.close(acts),
            PairState::Trying { spray: Some(spray), .. } => spray.close(acts),
            _ => {}
        }
    }
}
