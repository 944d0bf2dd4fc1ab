//! What both sides of a relayed link say to each other until a try begins: offer, acceptance, "now".

use std::time::Duration;

use super::nat::{Method, Ports, Report};
use super::pair::{ANSWER_WITHIN, Agreed, Agreement, Goal, State};
use super::{Act, Crossing, Outlook, TRIES_MAX, busy_pause, survey};
use crate::core::identity::NodeId;
use crate::core::message::CrossMessage;
use crate::core::time::Time;

impl Crossing {
    /// The other side of a relayed link says something.
    pub fn handle(&mut self, now: Time, from: NodeId, message: CrossMessage, outlook: &Outlook, acts: &mut Vec<Act>) {
        let Some(pair) = self.pairs.get_mut(&from) else { return };
        if message.report().is_some_and(|report| !report.is_sound(pair.vouched)) {
            // It lies, or has moved since an ambassador last saw it.
            if pair.may_meet_anew() {
                acts.push(Act::Introduce(from));
            }
            return;
        }
        match message {
            CrossMessage::Offer { number, report } => self.offered(now, from, number, report, outlook, acts),
            CrossMessage::Accept { number, report, token, spent_us } => {
                let State::Offered { mine, at } = pair.state else { return };
                if number != pair.number || !pair.leads {
                    return;
                }
                let round_trip = now.since(at).saturating_sub(Duration::from_micros(spent_us.into()));
                self.accepted(now, from, round_trip, Agreement { token, mine, theirs: report }, outlook, acts);
            }
            CrossMessage::Go { number, report } => {
                let State::Ready { agreed, .. } = pair.state else { return };
                if number == pair.number && !pair.leads {
                    let agreed = Agreed { theirs: report, ..agreed };
                    let fits = Method::between(agreed.mine.ports, report.ports) == Some(agreed.method);
                    if fits {
                        self.begin(now, from, agreed, acts);
                    }
                }
            }
            CrossMessage::Busy { number } if number == pair.number => {
                let again_at = match pair.state {
                    State::Offered { .. } if pair.leads => now + busy_pause(&mut self.random),
                    State::Ready { .. } if !pair.leads => Time::NEVER,
                    _ => return,
                };
                pair.state = State::Idle(again_at);
                self.release(from);
            }
            CrossMessage::End if !pair.leads => pair.exhausted = true,
            CrossMessage::Busy { .. } | CrossMessage::End => {}
        }
    }

    /// The own NAT is known.
    pub(super) fn found(
        &mut self,
        now: Time,
        peer: NodeId,
        mine: Report,
        since: Time,
        goal: Goal,
        acts: &mut Vec<Act>,
    ) {
        let Some(pair) = self.pairs.get_mut(&peer) else { return };
        match goal {
            Goal::Offer => {
                pair.number += 1;
                pair.state = State::Offered { mine, at: now };
                acts.push(Act::Say(peer, CrossMessage::Offer { number: pair.number, report: mine }));
            }
            Goal::Accept { theirs } => {
                let method = Method::between(mine.ports, theirs.ports);
                if !self.reserve_for(peer, method) {
                    return self.wait(now, peer, acts);
                }
                let number = self.pairs[&peer].number;
                let token = survey::token(&mut self.random);
                let agreed = method.map(|method| Agreed { token, mine, theirs, method });
                let state =
                    agreed.map_or(State::Idle(Time::NEVER), |agreed| State::Ready { at: now + ANSWER_WITHIN, agreed });
                self.set(peer, state);
                let spent_us = u32::try_from(now.since(since).as_micros()).unwrap_or(u32::MAX);
                acts.push(Act::Say(peer, CrossMessage::Accept { number, report: mine, token, spent_us }));
            }
            Goal::Go { round_trip, token, theirs } => {
                self.ready(now, peer, round_trip, Agreement { token, mine, theirs }, acts);
            }
        }
    }

    fn offered(
        &mut self,
        now: Time,
        from: NodeId,
        number: u32,
        report: Report,
        outlook: &Outlook,
        acts: &mut Vec<Act>,
    ) {
        let Some(pair) = self.pairs.get_mut(&from) else { return };
        if pair.leads {
            return;
        }
        if pair.tries >= TRIES_MAX || !matches!(pair.state, State::Idle(_)) {
            return acts.push(Act::Say(from, CrossMessage::Busy { number }));
        }
        pair.number = number;
        pair.tries += 1;
        pair.exhausted = false;
        self.survey(now, from, Goal::Accept { theirs: report }, outlook, acts);
    }

    fn accepted(
        &mut self,
        now: Time,
        peer: NodeId,
        round_trip: Duration,
        agreement: Agreement,
        outlook: &Outlook,
        acts: &mut Vec<Act>,
    ) {
        let Agreement { token, mine, theirs } = agreement;
        if let Ports::Sequential { .. } = mine.ports {
            // Ports were given to others while the answer was awaited.
            return self.survey(now, peer, Goal::Go { round_trip, token, theirs }, outlook, acts);
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
        acts: &mut Vec<Act>,
    ) {
        let Some(method) = Method::between(mine.ports, theirs.ports) else { return self.exhausted(now, peer, acts) };
        if !self.reserve_for(peer, Some(method)) {
            return self.wait(now, peer, acts);
        }
        let pair = self.pairs.get_mut(&peer).expect("its survey has ended");
        pair.tries += 1;
        let number = pair.number;
        let agreed = Agreed { token, mine, theirs, method };
        self.set(peer, State::Ready { at: now + round_trip / 2, agreed });
        acts.push(Act::Say(peer, CrossMessage::Go { number, report: mine }));
    }
}
