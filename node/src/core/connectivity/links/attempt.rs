//! One attempt to link to a peer: direct dials at once, an introduction beside them, a relay when those take long.
//!
//! After an introduction both sides dial each other at the same time, so that each opens its own NAT for the other
//! (Ford, Srisuresh, Kegel: Peer-to-Peer Communication Across NATs, USENIX 2005). The side that asked falls back to the relay.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use smallvec::SmallVec;

use crate::core::contact::AmbassadorAddress;
use crate::core::identity::NodeId;
use crate::core::io::DialId;
use crate::core::message::Message;
use crate::core::patience::{Bounds, probe_timeouts};
use crate::core::time::Time;
use crate::core::transport::DIAL_TIMEOUT;

/// Most messages that wait for a link; more are dropped.
pub(super) const WAITING_MAX: usize = 64;
/// Most dials of one attempt that are under way: more addresses are not dialled.
const DIALS_MAX: usize = 16;
/// How long direct dials may take before the relay is tried beside them: a probe time-out.
const RELAY_AFTER: Bounds = Bounds::new(Duration::from_millis(300), Duration::from_millis(1_500));
/// How long the ambassador may take to answer: six probe time-outs.
const INTRODUCTION_ANSWER: Bounds = Bounds::new(Duration::from_secs(2), Duration::from_secs(8));
/// When an attempt with dials alone is given up: after six probe time-outs.
const DIALS_ALONE: Bounds = Bounds::new(Duration::from_secs(2), DIAL_TIMEOUT);

#[derive(Debug)]
pub(super) struct LinkAttempt<M> {
    waiting: Vec<Message<M>>,
    dials: SmallVec<[DialId; 2]>,
    stage: Stage,
    /// The peer's own ambassador, as long as it has not been asked.
    via: Option<AmbassadorAddress>,
    began: Time,
    answering: bool,
    observed_ip: Option<IpAddr>,
    /// Of the path to the ambassador: nothing else is known of what is on the way to the peer.
    probe_timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Dials only, without a request for an introduction.
    Dialling,
    /// That ambassador was asked, at that time.
    Asked(NodeId, Time),
    /// The peer's own ambassador is to be asked: since that time a link to it is being made.
    Reaching(NodeId, Time),
    /// Introduced by that ambassador at that time; it would relay.
    Introduced(NodeId, Time),
    /// The relay is dialled too since that time, or is no option.
    Last(Time),
}

/// What follows from something that happened to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttemptStep {
    Wait,
    Relay(NodeId),
    /// The peer's own ambassador is to be linked, and asked.
    ContactAddresses(AmbassadorAddress),
    GiveUp,
}

impl<M> LinkAttempt<M> {
    /// `asked`: the ambassador that is being asked. `via`: another one that may be asked after it. Waits follow from
    /// `probe_timeout`.
    pub(super) fn new(
        now: Time,
        asked: Option<NodeId>,
        via: Option<AmbassadorAddress>,
        probe_timeout: Duration,
    ) -> Self {
        let stage = asked.map_or(Stage::Dialling, |ambassador| Stage::Asked(ambassador, now));
        let (waiting, dials) = (Vec::new(), SmallVec::new());
        LinkAttempt { waiting, dials, stage, via, began: now, answering: false, observed_ip: None, probe_timeout }
    }

    /// The other side of somebody else's attempt: it dials, but needs neither relay nor success.
    pub(super) fn answering(now: Time, probe_timeout: Duration) -> Self {
        LinkAttempt { stage: Stage::Last(now), answering: true, ..LinkAttempt::new(now, None, None, probe_timeout) }
    }

    /// Whether nothing of this node waits for the link.
    pub(super) fn is_answering(&self) -> bool {
        self.answering && self.waiting.is_empty()
    }

    /// This node wants the link as well, and is notified if it fails.
    pub(super) fn adopt(&mut self) {
        self.answering = false;
    }

    pub(super) fn began(&self) -> Time {
        self.began
    }

    pub(super) fn was_introduced(&self) -> bool {
        self.answering || matches!(self.stage, Stage::Introduced(..) | Stage::Last(_))
    }

    /// Keeps a message for the link; `false` if too many wait.
    pub(super) fn wait_with(&mut self, message: Message<M>) -> bool {
        let room = self.waiting.len() < WAITING_MAX;
        if room {
            self.waiting.push(message);
        }
        room
    }

    pub(super) fn into_waiting(self) -> Vec<Message<M>> {
        self.waiting
    }

    /// Whether one more dial may be made.
    pub(super) fn may_dial(&self) -> bool {
        self.dials.len() < DIALS_MAX
    }

    pub(super) fn dialled(&mut self, dial: DialId) {
        self.dials.push(dial);
    }

    /// Where the ambassador that introduced the peer sees it.
    pub(super) fn observed_ip(&self) -> Option<IpAddr> {
        self.observed_ip
    }

    /// Which addresses to dial now that an ambassador has brought both sides together.
    pub(super) fn introduced(
        &mut self,
        now: Time,
        by: NodeId,
        observed_ip: Option<IpAddr>,
        addresses: Vec<SocketAddr>,
    ) -> Vec<SocketAddr> {
        self.observed_ip = observed_ip;
        if matches!(self.stage, Stage::Asked(..) | Stage::Reaching(..) | Stage::Dialling) {
            self.stage = Stage::Introduced(by, now);
        }
        addresses
    }

    /// The ambassador cannot help.
    pub(super) fn introduction_refused(&mut self) -> AttemptStep {
        if matches!(self.stage, Stage::Asked(..) | Stage::Reaching(..)) {
            self.stage = Stage::Dialling;
        }
        match self.via.take() {
            Some(via) if self.stage == Stage::Dialling => AttemptStep::ContactAddresses(via),
            _ if self.is_hopeless() => AttemptStep::GiveUp,
            _ => AttemptStep::Wait,
        }
    }

    /// A link to `ambassador` is being made, to ask it.
    pub(super) fn reaching(&mut self, now: Time, ambassador: NodeId) {
        self.stage = Stage::Reaching(ambassador, now);
    }

    /// Whether a link to `ambassador` is awaited.
    pub(super) fn awaits(&self, ambassador: NodeId) -> bool {
        matches!(self.stage, Stage::Reaching(awaited, _) if awaited == ambassador)
    }

    /// The awaited ambassador is being asked.
    pub(super) fn asked(&mut self, now: Time, ambassador: NodeId) {
        self.stage = Stage::Asked(ambassador, now);
    }

    /// Whether `ambassador` was asked for the peer, and has not answered.
    pub(super) fn has_asked(&self, ambassador: NodeId) -> bool {
        matches!(self.stage, Stage::Asked(asked, _) if asked == ambassador)
    }

    pub(super) fn dial_failed(&mut self, now: Time, dial: DialId) -> AttemptStep {
        self.dials.retain(|own| *own != dial);
        match self.stage {
            Stage::Introduced(by, _) if self.dials.is_empty() => self.relay(now, by),
            _ if self.is_hopeless() => AttemptStep::GiveUp,
            _ => self.wake(now),
        }
    }

    pub(super) fn due(&self) -> Time {
        let wait = |count, bounds| probe_timeouts(count, self.probe_timeout, bounds);
        match self.stage {
            Stage::Dialling => self.began + wait(6, DIALS_ALONE),
            Stage::Asked(_, at) | Stage::Reaching(_, at) => at + wait(6, INTRODUCTION_ANSWER),
            Stage::Introduced(_, at) => at + wait(1, RELAY_AFTER),
            Stage::Last(since) => since + DIAL_TIMEOUT,
        }
    }

    pub(super) fn wake(&mut self, now: Time) -> AttemptStep {
        if now < self.due() {
            return AttemptStep::Wait;
        }
        match self.stage {
            Stage::Introduced(by, _) => self.relay(now, by),
            Stage::Asked(..) => self.introduction_refused(),
            Stage::Dialling | Stage::Reaching(..) | Stage::Last(_) => AttemptStep::GiveUp,
        }
    }

    fn relay(&mut self, now: Time, by: NodeId) -> AttemptStep {
        self.stage = Stage::Last(now);
        AttemptStep::Relay(by)
    }

    fn is_hopeless(&self) -> bool {
        self.dials.is_empty() && matches!(self.stage, Stage::Dialling | Stage::Last(_))
    }
}
