//! From a relayed link to a direct one: both sides look at their NATs, tell each other over the relayed link, and try what fits.
//!
//! | NATs | what is tried ([`PunchMethod`]) |
//! | --- | --- |
//! | both keep a socket's port | simultaneous dials, timed by the round trip (DCUtR: Seemann, Inden, Vyzovitis, 2022) |
//! | one or both give sequential ports | new sockets on the one side, predicted ports on the other |
//! | one gives random ports, the other keeps its own | 256 sockets on the one side, 1,024 ports on the other |
//! | otherwise | nothing: the relay stays |
//!
//! The side that dialled leads. A probe that arrives, from either side, shows a pair of endpoints between which both NATs let
//! everything pass: both sides dial over exactly that pair. Probes go nowhere but to the address at which an ambassador sees
//! the peer, in bounded number and at a bounded rate.
//!
//! Here: all relayed links and what is due of them. `pair`: how far one has come. `negotiation`: what its two ends say to each other.
//! `survey`: looking at the own NAT. `spray`: which probes go where.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand::RngExt;

use crate::core::identity::NodeId;
use crate::core::io::SocketId;
use crate::core::message::PunchMessage;
use crate::core::nat_report::{MappingBehaviour, NatReport, PunchMethod};
use crate::core::patience::{Bounds, probe_timeouts};
use crate::core::probe::Probe;
use crate::core::random::Random;
use crate::core::time::{Deadline, Time};
use extra_sockets::ExtraSockets;
use pair::{Agreed, PairState, RelayedPair, SurveyGoal};
use spray::{ProbeSpray, Sides};
use survey::{NatSurvey, SurveyOutcome};

mod extra_sockets;
mod negotiation;
mod pair;
mod spray;
mod survey;
#[cfg(test)]
mod tests;

pub use spray::{PORTS, SOCKETS};

/// Most peers with relayed links that are kept in mind; links to more stay relayed.
pub const PAIRS_MAX: usize = 256;
/// Most tries that a peer may lead while the link is the same.
pub const TRIES_MAX: u32 = 64;
/// Most offers to a peer while the link is the same: it may be busy, but not for ever.
const OFFERS_MAX: u32 = 2 * TRIES_MAX;
/// Most probes of a peer that are answered in one try; also the most pairs of endpoints over which it may dial.
const ANSWERS_MAX: u32 = 64;
/// Most offers and surveys in one round that stay without an answer.
const MISSES_MAX: u32 = 6;
/// Pause between tries.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Longest pause before a peer that was busy, or this node itself, is bothered again.
const BUSY_MAX: Duration = Duration::from_millis(1_500);
/// How long simultaneous dials are waited for: six probe time-outs of the relayed link.
const SIMULTANEOUS_DIALS: Bounds = Bounds::new(Duration::from_secs(2), Duration::from_secs(6));
/// How long a dial over endpoints that have met is waited for: eight of them.
const DIAL: Bounds = Bounds::new(Duration::from_secs(3), Duration::from_secs(9));
/// Pauses before all is tried anew, when nothing has helped.
const ROUNDS: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(120)];

/// What is to be done.
#[derive(Debug)]
pub enum PunchAction {
    /// Say something to a peer over its link.
    AddressedMessage(NodeId, PunchMessage),
    /// Send a probe from one of the own sockets.
    Probe {
        /// The own socket to send from.
        socket: SocketId,
        /// The address to send to.
        to: SocketAddr,
        /// The request or response to send.
        probe: Probe,
    },
    /// Dial a peer from one of the own sockets.
    Dial {
        /// The peer that must answer.
        peer: NodeId,
        /// The own socket to dial from.
        socket: SocketId,
        /// The address to dial.
        to: SocketAddr,
    },
    /// The peer may dial an extra socket from this address.
    Expect {
        /// The own socket, which is open.
        socket: SocketId,
        /// Where the peer's probe came from.
        from: SocketAddr,
    },
    /// A socket is not needed any more.
    Close {
        /// The extra socket to close.
        socket: SocketId,
    },
    /// What is known of where an ambassador sees this peer does not hold any more: have it introduce both again.
    Introduce(NodeId),
    /// A try by this method begins; counted by metrics.
    Try(PunchMethod),
}

/// What a node can say of its own place.
#[derive(Clone, Debug, Default)]
pub struct PunchContext {
    /// Peers that answer probes from outside, best first.
    pub reflectors: Vec<SocketAddr>,
    /// The own address, if no NAT is before it.
    pub public: Option<SocketAddr>,
}

/// All relayed links that might do without the relay.
#[derive(Debug)]
pub struct HolePunch {
    random: Random,
    /// Whether ports are predicted and searched for.
    searches_ports: bool,
    sockets: ExtraSockets,
    pairs: BTreeMap<NodeId, RelayedPair>,
    /// The peer with which ports are predicted or many are probed: one at a time, because others would be given the ports.
    busy_with: Option<NodeId>,
    /// What the last look at the own NAT has shown.
    nat: Option<MappingBehaviour>,
}

impl HolePunch {
    /// No relayed link yet. `searches_ports`: whether ports are predicted and searched for where simultaneous dials do not meet.
    pub fn new(random: Random, searches_ports: bool) -> Self {
        let (sockets, pairs) = (ExtraSockets::default(), BTreeMap::new());
        HolePunch { random, searches_ports, sockets, pairs, busy_with: None, nat: None }
    }

    /// What this node tries between two NATs.
    fn method_between(&self, one: MappingBehaviour, other: MappingBehaviour) -> Option<PunchMethod> {
        let method = PunchMethod::between(one, other);
        method.filter(|method| self.searches_ports || *method == PunchMethod::Simultaneous)
    }

    /// A link to `peer` runs over a relay, which this side dialled (`leads`) or not. `observed_ip` is where the ambassador sees it.
    pub fn relayed(&mut self, now: Time, peer: NodeId, leads: bool, observed_ip: IpAddr, acts: &mut Vec<PunchAction>) {
        match self.pairs.get(&peer) {
            Some(pair) if (pair.leads, pair.observed_ip) == (leads, observed_ip) => return,
            Some(_) => self.gone(peer, acts),
            None if self.pairs.len() >= PAIRS_MAX => return,
            None => {}
        }
        self.pairs.insert(peer, RelayedPair::new(now, leads, observed_ip));
    }

    /// The link to `peer` runs without a relay now. What led to that, if it was this.
    pub fn direct(&mut self, peer: NodeId, acts: &mut Vec<PunchAction>) -> Option<PunchMethod> {
        let pair = self.pairs.get(&peer)?;
        let method = match &pair.state {
            // The peer's dial may arrive before any of its probes is answered.
            PairState::Trying { agreed, .. } => agreed.method,
            _ => PunchMethod::Simultaneous,
        };
        self.gone(peer, acts);
        Some(method)
    }

    /// There is no link to `peer` any more.
    pub fn gone(&mut self, peer: NodeId, acts: &mut Vec<PunchAction>) {
        let Some(pair) = self.pairs.remove(&peer) else { return };
        pair.close(acts);
        self.release(peer);
    }

    /// The relayed link to `peer` has been measured: waits for the peer follow from that.
    pub fn note_probe_timeout(&mut self, peer: NodeId, probe_timeout: Duration) {
        if let Some(pair) = self.pairs.get_mut(&peer) {
            pair.probe_timeout = probe_timeout;
        }
    }

    /// Somebody waits for a better link to `peer`: a pause is cut short.
    pub fn hurry(&mut self, now: Time, peer: NodeId) {
        let Some(pair) = self.pairs.get_mut(&peer).filter(|pair| pair.leads && pair.exhausted) else { return };
        if matches!(pair.state, PairState::Idle(_)) {
            pair.state = PairState::Idle(now);
            (pair.exhausted, pair.tries_in_round) = (false, 0);
        }
    }

    /// The own NAT is another: what it has not let through may pass now.
    pub fn moved(&mut self, now: Time) {
        for pair in self.pairs.values_mut().filter(|pair| pair.leads && matches!(pair.state, PairState::Idle(_))) {
            pair.state = PairState::Idle(now);
            (pair.exhausted, pair.tries_in_round, pair.rounds) = (false, 0, 0);
        }
    }

    /// Whether the link to `peer` is relayed and it may be met once more through an ambassador.
    pub fn may_reintroduce(&mut self, peer: NodeId) -> bool {
        self.pairs.get_mut(&peer).is_some_and(RelayedPair::may_reintroduce)
    }

    /// The same; a direct link to `peer` is to be expected for a while then.
    pub fn may_reintroduce_and_wait(&mut self, now: Time, peer: NodeId) -> bool {
        self.pairs.get_mut(&peer).is_some_and(|pair| pair.may_reintroduce_and_wait(now))
    }

    /// Whether a direct link to `peer` is still to be expected, and how many tries there were.
    pub fn progress(&self, peer: NodeId) -> (bool, u32) {
        self.pairs
            .get(&peer)
            .map_or((false, 0), |pair| (!pair.exhausted || pair.reintroduced_until.is_some(), pair.tries))
    }

    /// How the own NAT gives outside ports, as last looked at. `None` while there was no relayed link to look at it for.
    pub fn nat(&self) -> Option<MappingBehaviour> {
        self.nat
    }

    /// Whether no link is relayed.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// When [`HolePunch::wake`] is due.
    pub fn deadline(&self) -> Deadline {
        let due = self.pairs.values().map(RelayedPair::due);
        Deadline { at: due.min().unwrap_or(Time::NEVER), why: "crossing a NAT" }
    }

    /// Goes on with what is due.
    pub fn wake(&mut self, now: Time, outlook: &PunchContext, acts: &mut Vec<PunchAction>) {
        for pair in self.pairs.values_mut() {
            pair.reintroduced_until = pair.reintroduced_until.filter(|&until| until > now);
        }
        let peers: Vec<NodeId> = self.pairs.keys().copied().collect();
        for peer in peers {
            self.go_on(now, peer, outlook, acts);
        }
    }

    /// A probe has come. Whether it belongs to a try or a survey.
    pub fn probed(
        &mut self,
        now: Time,
        socket: SocketId,
        from: SocketAddr,
        probe: Probe,
        outlook: &PunchContext,
        acts: &mut Vec<PunchAction>,
    ) -> bool {
        let token = probe.token();
        let Some((&peer, pair)) =
            self.pairs.iter_mut().find(|(_, pair)| pair.agreed().is_some_and(|a| a.token == token))
        else {
            return self.surveyed(now, from, probe, outlook, acts);
        };
        if from.ip().to_canonical() != pair.observed_ip.to_canonical() {
            return true;
        }
        if matches!(pair.state, PairState::Ready { .. }) {
            // The other side is ahead.
            let agreed = pair.agreed().expect("just found");
            self.begin(now, peer, agreed, acts);
        }
        let Some(RelayedPair {
            state: PairState::Trying { until, answers, expected, met, spray, .. },
            probe_timeout,
            ..
        }) = self.pairs.get_mut(&peer)
        else {
            return true;
        };
        // Each side dials over the pair of endpoints that it sees meet first, which need not be the other's.
        if socket != SocketId::MAIN && *expected < ANSWERS_MAX {
            *expected += 1;
            acts.push(PunchAction::Expect { socket, from });
        }
        if matches!(probe, Probe::Request { .. }) && *answers < ANSWERS_MAX {
            *answers += 1;
            acts.push(PunchAction::Probe {
                socket,
                to: from,
                probe: Probe::Response { token, seen: from, other: None },
            });
        }
        if met.is_none() {
            *met = Some(from);
            *until = now + probe_timeouts(8, *probe_timeout, DIAL);
            if let Some(spray) = spray {
                spray.stop(*until);
            }
            acts.push(PunchAction::Dial { peer, socket, to: from });
        }
        true
    }

    fn surveyed(
        &mut self,
        now: Time,
        from: SocketAddr,
        probe: Probe,
        outlook: &PunchContext,
        acts: &mut Vec<PunchAction>,
    ) -> bool {
        let Probe::Response { token, seen, other } = probe else { return false };
        let random = &mut self.random;
        let answered = self.pairs.iter_mut().find_map(|(&peer, pair)| match &mut pair.state {
            PairState::Surveying { survey, .. } => {
                survey.answered(token, from, seen, other, random, acts).then_some(peer)
            }
            _ => None,
        });
        if let Some(peer) = answered {
            self.go_on(now, peer, outlook, acts);
        }
        answered.is_some()
    }

    fn go_on(&mut self, now: Time, peer: NodeId, outlook: &PunchContext, acts: &mut Vec<PunchAction>) {
        let Some(pair) = self.pairs.get_mut(&peer) else { return };
        let answer_wait = pair.answer_wait();
        match &mut pair.state {
            PairState::Idle(at) if *at <= now && pair.number >= OFFERS_MAX => self.exhausted(now, peer, acts),
            PairState::Idle(at) if *at <= now => self.survey(now, peer, SurveyGoal::Offer, outlook, acts),
            PairState::Idle(_) => {}
            PairState::Surveying { survey, since, goal } => {
                let (since, goal) = (*since, *goal);
                match survey.go_on(now, acts) {
                    SurveyOutcome::Nothing => {}
                    SurveyOutcome::NatStatus(report) => {
                        self.nat = Some(report.ports);
                        self.found(now, peer, report, since, goal, acts);
                    }
                    SurveyOutcome::Varies => self.look_at_new(now, peer, acts),
                    SurveyOutcome::Failed => self.missed(now, peer, acts),
                }
            }
            PairState::Offered { at, .. } if *at + answer_wait <= now => self.missed(now, peer, acts),
            PairState::Offered { .. } => {}
            PairState::Ready { at, agreed } if *at <= now => {
                let agreed = *agreed;
                if pair.leads { self.begin(now, peer, agreed, acts) } else { self.failed(now, peer, acts) }
            }
            PairState::Ready { .. } => {}
            PairState::Trying { until, spray, .. } => {
                let spraying = spray.as_mut().is_none_or(|spray| spray.go_on(now, acts));
                if !spraying || *until <= now {
                    self.failed(now, peer, acts);
                }
            }
        }
    }

    /// Goes on with a look at a NAT that gives every destination another port, unless somebody else is being given ports.
    fn look_at_new(&mut self, now: Time, peer: NodeId, acts: &mut Vec<PunchAction>) {
        if !self.reserve(peer) {
            return self.wait(now, peer, acts);
        }
        let Some(RelayedPair { state: PairState::Surveying { survey, .. }, .. }) = self.pairs.get_mut(&peer) else {
            return;
        };
        survey.look_at_new(now, &mut self.sockets, &mut self.random, acts);
    }

    /// Ports are being surveyed or probed for another peer: this one has to wait, and the other side is notified.
    fn wait(&mut self, now: Time, peer: NodeId, acts: &mut Vec<PunchAction>) {
        let Some(pair) = self.pairs.get_mut(&peer) else { return };
        // Before an offer the other side knows nothing yet.
        if !matches!(pair.state, PairState::Surveying { goal: SurveyGoal::Offer, .. }) {
            acts.push(PunchAction::AddressedMessage(peer, PunchMessage::Busy { number: pair.number }));
        }
        pair.state = PairState::Idle(if pair.leads { now + busy_pause(&mut self.random) } else { Time::NEVER });
    }

    /// Looks at the own NAT, for `goal`.
    fn survey(
        &mut self,
        now: Time,
        peer: NodeId,
        goal: SurveyGoal,
        outlook: &PunchContext,
        acts: &mut Vec<PunchAction>,
    ) {
        if let Some(seen) = outlook.public {
            return self.found(
                now,
                peer,
                NatReport { seen, ports: MappingBehaviour::EndpointIndependent },
                now,
                goal,
                acts,
            );
        }
        let Some(pair) = self.pairs.get(&peer) else { return };
        match NatSurvey::begin(now, pair.probe_timeout, &outlook.reflectors, &mut self.random, acts) {
            Some(survey) => self.set(peer, PairState::Surveying { survey, since: now, goal }),
            None => self.missed(now, peer, acts),
        }
    }

    /// Begins the try that both sides have agreed on.
    fn begin(&mut self, now: Time, peer: NodeId, agreed: Agreed, acts: &mut Vec<PunchAction>) {
        let (leads, probe_timeout) = (self.pairs[&peer].leads, self.pairs[&peer].probe_timeout);
        acts.push(PunchAction::Try(agreed.method));
        let mut spray = None;
        let mut until = now + probe_timeouts(6, probe_timeout, SIMULTANEOUS_DIALS);
        if agreed.method == PunchMethod::Simultaneous {
            acts.push(PunchAction::Dial { peer, socket: SocketId::MAIN, to: agreed.theirs.seen });
        } else {
            let reports = (agreed.mine, agreed.theirs);
            let sides = Sides { reports, leads, probe_timeout };
            let new = ProbeSpray::new(now, agreed.token, sides, &mut self.sockets, &mut self.random);
            until = new.until();
            let new = spray.insert(new);
            new.go_on(now, acts);
        }
        self.set(peer, PairState::Trying { until, agreed, spray, answers: 0, expected: 0, met: None });
    }

    /// No observer has answered, or the other side has not: no try was made, and one may be made soon.
    fn missed(&mut self, now: Time, peer: NodeId, acts: &mut Vec<PunchAction>) {
        let Some(pair) = self.pairs.get_mut(&peer) else { return };
        pair.close(acts);
        pair.misses_in_round += 1;
        if !pair.leads {
            pair.state = PairState::Idle(Time::NEVER);
        } else if pair.misses_in_round < MISSES_MAX {
            pair.state = PairState::Idle(now + busy_pause(&mut self.random));
        } else {
            self.exhausted(now, peer, acts);
        }
        self.release(peer);
    }

    /// A try has led nowhere: the leader tries again, a few times.
    fn failed(&mut self, now: Time, peer: NodeId, acts: &mut Vec<PunchAction>) {
        let Some(pair) = self.pairs.get_mut(&peer) else { return };
        let tries_max = match pair.agreed() {
            Some(Agreed { method: PunchMethod::Birthday, .. }) => 2,
            _ => 3,
        };
        pair.close(acts);
        pair.tries_in_round += 1;
        if !pair.leads {
            pair.state = PairState::Idle(Time::NEVER);
        } else if pair.tries_in_round < tries_max {
            pair.state = PairState::Idle(now + AGAIN_AFTER);
        } else {
            self.exhausted(now, peer, acts);
        }
        self.release(peer);
    }

    /// The leader tries no more for now.
    fn exhausted(&mut self, now: Time, peer: NodeId, acts: &mut Vec<PunchAction>) {
        let Some(pair) = self.pairs.get_mut(&peer) else { return };
        let pause = ROUNDS.get(pair.rounds).filter(|_| pair.tries < TRIES_MAX && pair.number < OFFERS_MAX);
        pair.rounds += 1;
        (pair.exhausted, pair.tries_in_round, pair.misses_in_round) = (true, 0, 0);
        pair.state = PairState::Idle(pause.map_or(Time::NEVER, |&pause| now + pause));
        acts.push(PunchAction::AddressedMessage(peer, PunchMessage::End));
        self.release(peer);
    }

    fn set(&mut self, peer: NodeId, state: PairState) {
        if let Some(pair) = self.pairs.get_mut(&peer) {
            pair.state = state;
        }
    }

    /// Whether a try by this method may go on for `peer`: those that are about ports may for one at a time.
    fn reserve_for(&mut self, peer: NodeId, method: Option<PunchMethod>) -> bool {
        match method {
            Some(PunchMethod::Predicted | PunchMethod::Birthday) => self.reserve(peer),
            Some(PunchMethod::Simultaneous) | None => {
                self.release(peer);
                true
            }
        }
    }

    /// Whether ports may be looked at and probed for `peer`.
    fn reserve(&mut self, peer: NodeId) -> bool {
        *self.busy_with.get_or_insert(peer) == peer
    }

    fn release(&mut self, peer: NodeId) {
        if self.busy_with == Some(peer) {
            self.busy_with = None;
        }
    }
}

fn busy_pause(random: &mut Random) -> Duration {
    Duration::from_micros(random.random_range(0..BUSY_MAX.as_micros() as u64))
}
