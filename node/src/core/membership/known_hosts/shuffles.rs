//! Exchanges of known hosts over random walks (HyParView's shuffle).
//!
//! A sample that went to a neighbour would come from next door: passive views would fill with the neighbours of neighbours, and
//! links made from them would close triangles. At the end of a walk is nearly anybody. The answer goes back over the same peers,
//! because a link to the node at the start could cost a traversal of two NATs.

use std::collections::VecDeque;

use rand::RngExt;

use super::{AddressedMessage, CONTACTS_MAX, KnownHosts};
use crate::core::contact::Contact;
use crate::core::identity::NodeId;
use crate::core::message::MembershipMessage;
use crate::core::random::{Random, sample};

/// Peers that a walk passes, the one at its end included. With 10,000 nodes of 5 neighbours each, 20 of 1,000 pairs of neighbours
/// were neighbours themselves without walks, 9 with two steps, and 0.7 to 0.9 with four: hardly more than by chance.
const SHUFFLE_WALK: u8 = 4;
/// Neighbours and others in a sample (HyParView's ka and kp).
const SHUFFLE_ACTIVE: usize = 3;
const SHUFFLE_PASSIVE: usize = 5;
/// Most walks of others whose answers may still pass here; the first is forgotten first. A node sees about as many in a pause between
/// exchanges as a walk has steps.
const PASSED_MAX: usize = 32;

/// Walks under way.
#[derive(Debug, Default)]
pub(super) struct Shuffles {
    /// The walk that began here last, until it is answered, and the hosts that it was given.
    own: Option<(PassedWalk, Vec<NodeId>)>,
    /// Walks that have passed here, in order.
    passed: VecDeque<(PassedWalk, NodeId)>,
}

/// A walk, and the peer to which it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PassedWalk {
    walk: u64,
    to: NodeId,
}

/// What a [`MembershipMessage::Shuffle`] carries.
#[derive(Debug)]
pub(super) struct ShuffleWalk {
    pub(super) walk: u64,
    pub(super) ttl: u8,
    pub(super) contact: Contact,
    pub(super) sample: Vec<Contact>,
}

impl KnownHosts {
    /// Sends a sample on a walk. It says to the first peer what the others are sent by themselves: this node's contact as it is now.
    pub(super) fn exchange(&mut self, me: &Contact, random: &mut Random, says: &mut Vec<AddressedMessage>) {
        if self.active.is_empty() {
            return;
        }
        let first = random.random_range(0..self.active.len());
        let to = self.active[first].id;
        let walk = random.random();
        let mut sample = self.sample_for(to, SHUFFLE_ACTIVE + SHUFFLE_PASSIVE, random);
        self.shuffles.own = Some((PassedWalk { walk, to }, ids(&sample)));
        for (at, neighbour) in self.active.iter().enumerate() {
            let contact = me.clone();
            let message = if at == first {
                let sample = std::mem::take(&mut sample);
                MembershipMessage::Shuffle { walk, ttl: SHUFFLE_WALK - 1, contact, sample }
            } else {
                MembershipMessage::Refresh { contact }
            };
            says.push((neighbour.clone(), message));
        }
    }

    /// A walk comes by from a neighbour: goes on, or ends here and is answered.
    pub(super) fn pass_shuffle(
        &mut self,
        from: NodeId,
        shuffle: ShuffleWalk,
        me: &Contact,
        random: &mut Random,
    ) -> Vec<AddressedMessage> {
        let ShuffleWalk { walk, ttl, contact, sample: mut heard } = shuffle;
        if !heard.iter().all(Contact::is_bounded) {
            return Vec::new();
        }
        heard.truncate(SHUFFLE_ACTIVE + SHUFFLE_PASSIVE);
        if contact.id == from {
            self.note_host(contact.clone(), random);
        }
        let ttl = ttl.min(SHUFFLE_WALK - 1);
        let others = |other: &&Contact| other.id != from && other.id != contact.id;
        let next: Vec<&Contact> = self.active.iter().filter(others).filter(|_| ttl > 0).collect();
        if let Some(next) = sample(random, next, 1).first().copied().cloned() {
            if self.shuffles.passed.len() >= PASSED_MAX {
                self.shuffles.passed.pop_front();
            }
            self.shuffles.passed.push_back((PassedWalk { walk, to: next.id }, from));
            return vec![(next, MembershipMessage::Shuffle { walk, ttl: ttl - 1, contact, sample: heard })];
        }
        let mut answer = self.sample_for(contact.id, heard.len(), random);
        let given = ids(&answer);
        answer.push(me.clone());
        self.note_exchanged(std::iter::once(contact).chain(heard), &given, random);
        self.answer_to(from, walk, answer)
    }

    /// The answer to a walk comes by: it is for this node, or for the peer from which the walk came.
    pub(super) fn shuffle_answered(
        &mut self,
        from: NodeId,
        walk: u64,
        mut heard: Vec<Contact>,
        random: &mut Random,
    ) -> Vec<AddressedMessage> {
        let answered = PassedWalk { walk, to: from };
        if let Some((_, given)) = self.shuffles.own.take_if(|(own, _)| *own == answered) {
            self.note_exchanged(heard, &given, random);
            return Vec::new();
        }
        // A walk may pass a node twice; its answer comes back in the opposite order.
        let Some(at) = self.shuffles.passed.iter().rposition(|(passed, _)| *passed == answered) else {
            return Vec::new();
        };
        let back = self.shuffles.passed.remove(at).map(|(_, back)| back);
        heard.truncate(CONTACTS_MAX);
        heard.retain(Contact::is_bounded);
        back.map_or(Vec::new(), |back| self.answer_to(back, walk, heard))
    }

    /// Takes the hosts that came for those that were `given`.
    pub(super) fn note_exchanged(
        &mut self,
        heard: impl IntoIterator<Item = Contact>,
        given: &[NodeId],
        random: &mut Random,
    ) {
        for contact in heard.into_iter().take(CONTACTS_MAX + 1) {
            self.note_host_for(contact, given, random);
        }
    }

    /// Answers go to neighbours alone: for one that has been replaced meanwhile no link would be worth making.
    fn answer_to(&self, back: NodeId, walk: u64, sample: Vec<Contact>) -> Vec<AddressedMessage> {
        let contact = self.active.iter().find(|contact| contact.id == back).cloned();
        contact.map(|contact| (contact, MembershipMessage::ShuffleReply { walk, sample })).into_iter().collect()
    }

    fn sample_for(&self, peer: NodeId, count: usize, random: &mut Random) -> Vec<Contact> {
        let not_them = |contact: &&Contact| contact.id != peer;
        let active: Vec<&Contact> = self.active.iter().filter(not_them).collect();
        let passive: Vec<&Contact> = self.passive.iter().filter(not_them).collect();
        let mut chosen = sample(random, active, SHUFFLE_ACTIVE.min(count));
        chosen.extend(sample(random, passive, SHUFFLE_PASSIVE.min(count.saturating_sub(chosen.len()))));
        chosen.into_iter().cloned().collect()
    }
}

fn ids(sample: &[Contact]) -> Vec<NodeId> {
    sample.iter().map(|contact| contact.id).collect()
}
