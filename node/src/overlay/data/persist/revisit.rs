//! Peers given up for dead are looked for again, in case the network between was at fault and not they.
//!
//! When networks come apart, each side recruits until it has r members, and then no member of one side expects anything of the
//! other: nobody would ever notice that the group is hot. So whoever buries a peer sends it, some time later, its views of the
//! groups that they shared. A peer that lives takes the greater view of each, and copies beyond the group are trimmed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::Ctx;
use super::super::message::{DataMessage, VIEWS_MAX, Viewed};
use super::Persist;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::time::Time;

/// Most peers that are looked for; the one buried longest ago goes first.
const LOST_MAX: usize = 64;
/// Most groups remembered for each.
const GROUPS_MAX: usize = 1_024;
/// Pause before the first visit. The pause before each further one is three times as long.
const FIRST_AFTER: Duration = Duration::from_secs(10);
/// Visits to a peer that does not answer.
const VISITS_MAX: u32 = 4;

#[derive(Debug)]
struct Lost {
    contact: Option<Contact>,
    groups: BTreeSet<BlockId>,
    due: Time,
    visits: u32,
}

/// Peers that were buried while groups were shared with them.
#[derive(Debug, Default)]
pub(super) struct Revisits(BTreeMap<NodeId, Lost>);

impl Revisits {
    /// A peer was buried that shared these groups.
    pub(super) fn bury(&mut self, now: Time, peer: NodeId, contact: Option<Contact>, groups: &[BlockId]) {
        if self.0.len() >= LOST_MAX
            && !self.0.contains_key(&peer)
            && let Some(oldest) = self.0.iter().min_by_key(|(_, lost)| (lost.due, lost.visits)).map(|(&id, _)| id)
        {
            self.0.remove(&oldest);
        }
        let groups = groups.iter().copied().take(GROUPS_MAX).collect();
        self.0.insert(peer, Lost { contact, groups, due: now + FIRST_AFTER, visits: 0 });
    }

    /// A peer speaks: if it was buried it is visited now. Whether it was.
    pub(super) fn heard(&mut self, now: Time, peer: NodeId) -> bool {
        let Some(lost) = self.0.get_mut(&peer) else { return false };
        lost.due = now;
        lost.visits = VISITS_MAX - 1;
        true
    }

    /// When there is next somebody to visit.
    pub(super) fn due(&self) -> Time {
        self.0.values().map(|lost| lost.due).min().unwrap_or(Time::NEVER)
    }
}

impl Persist {
    /// Visits those who are due.
    pub(super) fn revisit(&mut self, ctx: &mut Ctx<'_>) {
        let due: Vec<NodeId> =
            self.revisits.0.iter().filter(|(_, lost)| lost.due <= ctx.now).map(|(&peer, _)| peer).collect();
        for peer in due {
            let mut lost = self.revisits.0.remove(&peer).expect("it was just there");
            let views: Vec<Viewed> = lost.groups.iter().filter_map(|&id| self.viewed(id)).collect();
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
