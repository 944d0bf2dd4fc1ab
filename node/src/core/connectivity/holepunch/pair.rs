//! One relayed link that might do without the relay: how far its two ends have come.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::PunchAction;
use super::spray::ProbeSpray;
use super::survey::NatSurvey;
use crate::core::nat_report::{NatReport, PunchMethod};
use crate::core::patience::{self, Bounds, probe_timeouts};
use crate::core::probe::Token;
use crate::core::time::Time;

/// Most introductions to a peer that says that it has come to other addresses, while the link is the same.
pub(super) const REINTRODUCTIONS_MAX: u8 = 4;
/// How long the dials after such an introduction are waited for.
const REINTRODUCTION_DIALS: Bounds = Bounds::new(Duration::from_secs(1), Duration::from_secs(5));
/// From a relayed link to the first try: the dials after the introduction may still succeed.
const BEGIN_AFTER: Duration = Duration::from_millis(150);
/// How long the other side may take to answer: twelve probe time-outs, of which its survey takes up to eight.
const OFFER_ANSWER: Bounds = Bounds::new(Duration::from_secs(4), Duration::from_secs(18));

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
    /// Of the relayed link.
    pub(super) probe_timeout: Duration,
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
            probe_timeout: patience::probe_timeout(&patience::unmeasured()),
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
            self.reintroduced_until = Some(now + probe_timeouts(3, self.probe_timeout, REINTRODUCTION_DIALS));
        }
        may
    }

    /// How long the other side may take to answer an offer, or to begin what was agreed on.
    pub(super) fn answer_wait(&self) -> Duration {
        probe_timeouts(12, self.probe_timeout, OFFER_ANSWER)
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
            PairState::Offered { at, .. } => *at + self.answer_wait(),
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
