//! What both sides of a relayed link say to each other until a try begins: offer, acceptance, "now".

use std::time::Duration;

use super::pair::{Agreed, Agreement, PairState, SurveyGoal};
use super::{HolePunch, PunchAction, PunchContext, TRIES_MAX, busy_pause, survey};
use crate::core::identity::NodeId;
use crate::core::message::PunchMessage;
use crate::core::nat_report::{MappingBehaviour, NatReport};
use crate::core::time::Time;

impl HolePunch {
    /// The other side of a relayed link says something.
    pub fn handle(
        &mut self,
        now: Time,
        from: NodeId,
        message: PunchMessage,
        outlook: &PunchContext,
        acts: &mut Vec<PunchAction>,
    ) {
        let Some(pair) = self.pairs.get_mut(&from) else { return };
        if message.report().is_some_and(|report| !report.is_sound(pair.observed_ip)) {
            // It lies, or has moved since an ambassador last saw it.
            if pair.may_reintroduce() {
                acts.push(PunchAction::Introduce(from));
            }
            return;
        }
        match message {
            PunchMessage::Offer { number, report } => self.offered(now, from, number, report, outlook, acts),
            PunchMessage::Accept { number, report, token, spent_us } => {
                let PairState::Offered { mine, at } = pair.state else { return };
                if number != pair.number || !pair.leads {
                    return;
                }
                let round_trip = now.since(at).saturating_sub(Duration::from_micros(spent_us.into()));
                self.accepted(now, from, round_trip, Agreement { token, mine, theirs: report }, outlook, acts);
            }
            PunchMessage::Go { number, report } => {
                let PairState::Ready { agreed, .. } = pair.state else { return };
                if number == pair.number && !pair.leads {
                    let agreed = Agreed { theirs: report, ..agreed };
                    let fits = self.method_between(agreed.mine.ports, report.ports) == Some(agreed.method);
                    if fits {
                        self.begin(now, from, agreed, acts);
                    }
                }
            }
            PunchMessage::Busy { number } if number == pair.number => {
                let again_at = match pair.state {
                    PairState::Offered { .. } if pair.leads => now + busy_pause(&mut self.random),
                    PairState::Ready { .. } if !pair.leads => Time::NEVER,
                    _ => return,
                };
                pair.state = PairState::Idle(again_at);
                self.release(from);
            }
            PunchMessage::End if !pair.leads => pair.exhausted = true,
            PunchMessage::Busy { .. } | PunchMessage::End => {}
        }
    }

    /// The own NAT is known.
    pub(super) fn found(
        &mut self,
        now: Time,
        peer: NodeId,
        mine: NatReport,
        since: Time,
        goal: SurveyGoal,
        acts: &mut Vec<PunchAction>,
    ) {
        let Some(pair) = self.pairs.get_mut(&peer) else { return };
        match goal {
            SurveyGoal::Offer => {
                pair.number += 1;
                pair.state = PairState::Offered { mine, at: now };
                acts.push(PunchAction::AddressedMessage(
                    peer,
                    PunchMessage::Offer { number: pair.number, report: mine },
                ));
            }
            SurveyGoal::Accept { theirs } => {
                let method = self.method_between(mine.ports, theirs.ports);
                if !self.reserve_for(peer, method) {
                    return self.wait(now, peer, acts);
                }
                let (number, answer_wait) = (self.pairs[&peer].number, self.pairs[&peer].answer_wait());
                let token = survey::token(&mut self.random);
                let agreed = method.map(|method| Agreed { token, mine, theirs, method });
                let state = agreed
                    .map_or(PairState::Idle(Time::NEVER), |agreed| PairState::Ready { at: now + answer_wait, agreed });
                self.set(peer, state);
                let spent_us = u32::try_from(now.since(since).as_micros()).unwrap_or(u32::MAX);
                acts.push(PunchAction::AddressedMessage(
                    peer,
                    PunchMessage::Accept { number, report: mine, token, spent_us },
                ));
            }
            SurveyGoal::Go { round_trip, token, theirs } => {
                self.ready(now, peer, round_trip, Agreement { token, mine, theirs }, acts);
            }
        }
    }

    fn offered(
        &mut self,
        now: Time,
        from: NodeId,
        number: u32,
        report: NatReport,
        outlook: &PunchContext,
        acts: &mut Vec<PunchAction>,
    ) {
        let Some(pair) = self.pairs.get_mut(&from) else { return };
        if pair.leads {
            return;
        }
        if pair.tries >= TRIES_MAX || !matches!(pair.state, PairState::Idle(_)) {
            return acts.push(PunchAction::AddressedMessage(from, PunchMessage::Busy { number }));
        }
        pair.number = number;
        pair.tries += 1;
        pair.exhausted = false;
        self.survey(now, from, SurveyGoal::Accept { theirs: report }, outlook, acts);
    }

    fn accepted(
        &mut self,
        now: Time,
        peer: NodeId,
        round_trip: Duration,
        agreement: Agreement,
        outlook: &PunchContext,
        acts: &mut Vec<PunchAction>,
    ) {
        let Agreement { token, mine, theirs } = agreement;
        if let MappingBehaviour::Sequential { .. } = mine.ports {
            // Ports were given to others while the answer was awaited.
            return self.survey(now, peer, SurveyGoal::Go { round_trip, token, theirs }, outlook, acts);
        }
        self.ready(now, peer, round_trip, agreement, acts);
    }

    /// All is known that a try needs.
    fn ready(
        &mut self,
        now: Time,
        peer: NodeId,
        round_trip: Duration,
        Agreement { token, mine, theirs }: Agreement,
        acts: &mut Vec<PunchAction>,
    ) {
        let Some(method) = self.method_between(mine.ports, theirs.ports) else {
            return self.exhausted(now, peer, acts);
        };
        if !self.reserve_for(peer, Some(method)) {
            return self.wait(now, peer, acts);
        }
        let pair = self.pairs.get_mut(&peer).expect("its survey has ended");
        pair.tries += 1;
        let number = pair.number;
        let agreed = Agreed { token, mine, theirs, method };
        self.set(peer, PairState::Ready { at: now + round_trip / 2, agreed });
        acts.push(PunchAction::AddressedMessage(peer, PunchMessage::Go { number, report: mine }));
    }
}
