//! One relayed link that might do without the relay: how far its two ends have come.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Act;
use super::nat::{Method, Report};
use super::spray::Spray;
use super::survey::Survey;
use crate::core::probe::Token;
use crate::core::time::Time;

/// Most introductions to a peer that says that it has come to other addresses, while the link is the same.
pub(super) const MEETINGS_MAX: u8 = 4;
/// How long the dials after such an introduction are waited for.
const MEETING_WITHIN: Duration = Duration::from_secs(1);
/// From a relayed link to the first try: the dials after the introduction may still succeed.
const BEGIN_AFTER: Duration = Duration::from_millis(150);
/// How long the other side may take to answer: its survey takes up to 2 s.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(super) struct Pair {
    /// Whether this side begins each try: the one that dialled the relayed link.
    pub(super) leads: bool,
    /// Where an ambassador sees the peer.
    pub(super) vouched: IpAddr,
    /// Of the offer that is being spoken of.
    pub(super) number: u32,
    pub(super) tries: u32,
    pub(super) tries_in_round: u32,
    /// Offers and surveys of this round that nobody has answered.
    pub(super) misses_in_round: u32,
    pub(super) rounds: usize,
    /// Whether nothing more is tried for now.
    pub(super) exhausted: bool,
    /// How often it was met anew.
    meetings: u8,
    /// Until when the dials after such a meeting are waited for.
    pub(super) meeting: Option<Time>,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    /// Until the next try; [`Time::NEVER`] for the side that does not lead.
    Idle(Time),
    /// Looking at the own NAT.
    Surveying { survey: Survey, since: Time, goal: Goal },
    /// The leader waits for the answer.
    Offered { mine: Report, at: Time },
    /// Both reports are known; the leader begins then, the follower gives up then.
    Ready { at: Time, agreed: Agreed },
    /// Dials or probes are under way.
    Trying { until: Time, agreed: Agreed, spray: Option<Spray>, answers: u32, met: Option<SocketAddr> },
}

/// What a survey is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    Offer,
    Accept { theirs: Report },
    Go { round_trip: Duration, token: Token, theirs: Report },
}

/// What the leader knows once its offer is accepted.
pub(super) struct Agreement {
    pub(super) token: Token,
    pub(super) mine: Report,
    pub(super) theirs: Report,
}

/// What both sides of a try know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed {
    pub(super) token: Token,
    pub(super) mine: Report,
    pub(super) theirs: Report,
    pub(super) method: Method,
}

impl Pair {
    /// Nothing was tried yet.
    pub(super) fn new(now: Time, leads: bool, vouched: IpAddr) -> Self {
        Pair {
            leads,
            vouched,
            number: 0,
            tries: 0,
            tries_in_round: 0,
            misses_in_round: 0,
            rounds: 0,
            exhausted: false,
            meetings: 0,
            meeting: None,
            state: State::Idle(if leads { now + BEGIN_AFTER } else { Time::NEVER }),
        }
    }

    /// Counts an introduction, unless there were too many.
    pub(super) fn may_meet_anew(&mut self) -> bool {
        let may = self.meetings < MEETINGS_MAX;
        self.meetings += u8::from(may);
        may
    }

    /// The same; the dials that follow are waited for.
    pub(super) fn may_meet_soon(&mut self, now: Time) -> bool {
        let may = self.may_meet_anew();
        if may {
            self.meeting = Some(now + MEETING_WITHIN);
        }
        may
    }

    pub(super) fn agreed(&self) -> Option<Agreed> {
        match &self.state {
            State::Ready { agreed, .. } | State::Trying { agreed, .. } => Some(*agreed),
            State::Idle(_) | State::Surveying { .. } | State::Offered { .. } => None,
        }
    }

    /// When there is something to be done about it.
    pub(super) fn due(&self) -> Time {
        let state = match &self.state {
            State::Idle(at) | State::Ready { at, .. } => *at,
            State::Surveying { survey, .. } => survey.due(),
            State::Offered { at, .. } => *at + ANSWER_WITHIN,
            State::Trying { until, spray, .. } => spray.as_ref().map_or(*until, Spray::due).min(*until),
        };
        self.meeting.map_or(state, |meeting| meeting.min(state))
    }

    /// Gives back the sockets of what was under way.
    pub(super) fn close(&self, acts: &mut Vec<Act>) {
        match &self.state {
            State::Surveying { survey, .. } => survey.close(acts),
            State::Trying { spray: Some(spray), .. } => spray.close(acts),
            _ => {}
        }
    }
}
