//! Peers declared dead are contacted again, in case the network between was at fault.
//!
//! When a network partitions, each side recruits until it has r members. Then neither side expects heartbeats of the other, and
//! nothing would detect that the group is over-replicated. So a node that declared a peer dead later sends it its views of the
//! groups that they shared. A live peer adopts the greater view of each, and surplus copies are trimmed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::DataCx;
use super::super::message::{BlockGroup, DataMessage, VIEWS_MAX};
use super::Persist;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Most dead peers remembered; the one lost longest ago is forgotten first.
const LOST_MAX: usize = 64;
/// Most groups remembered for each.
const GROUPS_MAX: usize = 1_024;
/// Pause before the first visit. The pause before each further one is three times as long.
const FIRST_AFTER: Duration = Duration::from_secs(10);
/// Visits to a peer that does not answer.
const VISITS_MAX: u32 = 4;

#[derive(Debug)]
struct LostPeer {
    contact: Option<Contact>,
    groups: BTreeSet<BlockId>,
    due: Time,
    visits: u32,
}

/// Peers declared dead while groups were shared with them.
#[derive(Debug, Default)]
pub(super) struct Revisits(BTreeMap<NodeId, LostPeer>);

impl Revisits {
    /// Remembers a dead peer that shared these groups.
    pub(super) fn add(&mut self, now: Time, peer: NodeId, contact: Option<Contact>, groups: &[BlockId]) {
        if self.0.len() >= LOST_MAX
            && !self.0.contains_key(&peer)
            && let Some(oldest) = self.0.iter().min_by_key(|(_, lost)| (lost.due, lost.visits)).map(|(&id, _)| id)
        {
            self.0.remove(&oldest);
        }
        let groups = groups.iter().copied().take(GROUPS_MAX).collect();
        self.0.insert(peer, LostPeer { contact, groups, due: now + FIRST_AFTER, visits: 0 });
    }

    /// A peer was heard from. If it was declared dead, it is visited now. Returns whether it was.
    pub(super) fn heard(&mut self, now: Time, peer: NodeId) -> bool {
        let Some(lost) = self.0.get_mut(&peer) else { return false };
        lost.due = now;
        lost.visits = VISITS_MAX - 1;
        true
    }

    /// When the next visit is due.
    pub(super) fn due(&self) -> Time {
        self.0.values().map(|lost| lost.due).min().unwrap_or(Time::NEVER)
    }
}

impl Persist {
    /// Visits the peers that are due.
    pub(super) fn revisit(&mut self, ctx: &mut DataCx<'_, '_>) {
        let due: Vec<NodeId> =
            self.revisits.0.iter().filter(|(_, lost)| lost.due <= ctx.now).map(|(&peer, _)| peer).collect();
        for peer in due {
            let mut lost = self.revisits.0.remove(&peer).expect("it was just there");
            let views: Vec<BlockGroup> = lost.groups.iter().filter_map(|&id| self.viewed(id)).collect();
            if views.is_empty() {
                continue;
            }
            if let Some(contact) = &lost.contact {
                ctx.learn(contact);
            }
            for views in views.chunks(VIEWS_MAX) {
                let contacts = self.contacts_of(ctx, peer, views);
                ctx.send(peer, DataMessage::Views { views: views.to_vec(), contacts });
            }
            lost.visits += 1;
            if lost.visits < VISITS_MAX {
                lost.due = ctx.now + FIRST_AFTER * 3_u32.pow(lost.visits);
                self.revisits.0.insert(peer, lost);
            }
        }
    }
}
