//! Keeping blocks alive: Peer Content Groups.
//!
//! Each block has a group of r members that all hold it. Who is in is a [`View`], of which every member has a copy; a change
//! makes a greater one, and the greatest wins everywhere.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`peers`] | whom groups are shared with, the schedule of beats |
//! | [`watch`] | beats and probes: who is dead (SWIM: Das, Gupta, Motivala, DSN 2002; Lifeguard: Dadgar, Phillips, Currey 2018) |
//! | [`repair`] | groups with too few members recruit: by rank, so that one leads |
//! | [`candidates`] | whom to recruit |
//! | [`converge`] | views that differ are told apart by the beats' digests and brought together |
//! | [`trim`] | who holds a block beyond its group drops it, once the group says that it holds it |
//! | [`revisit`] | peers given up for dead are looked for again, in case they live |
//! | [`leave`] | handing over |

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use smallvec::SmallVec;

use super::Ctx;
use super::message::{CONTACTS_MAX, DataMessage, VIEWS_MAX, Viewed};
use super::store::Store;
use super::view::{View, mix};
use crate::core::config::Config;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::stats::Stats;
use crate::core::time::Time;

mod candidates;
mod converge;
mod leave;
mod peers;
mod repair;
mod revisit;
mod trim;
mod watch;

use candidates::Avoided;
use leave::Leaving;
use peers::Peers;
use repair::Repairs;
use revisit::Revisits;
use trim::Extra;
use watch::Health;

/// Greatest step of an epoch that is taken from a peer at once: bounds what a liar can spoil.
const EPOCH_STEP_MAX: u64 = 1 << 16;
/// Pause before groups are compared again with the same peer.
const RESYNC: Duration = Duration::from_secs(1);

/// The groups that this node is in, and all that keeps them alive.
#[derive(Debug)]
pub(super) struct Persist {
    me: NodeId,
    replicas: usize,
    heartbeat: Duration,
    /// One for each block in the store.
    groups: BTreeMap<BlockId, View>,
    peers: Peers,
    health: Health,
    repairs: Repairs,
    /// Blocks held beyond their groups.
    extras: BTreeMap<BlockId, Extra>,
    /// Peers that this node's own blocks go to first; most recent last, at most [`candidates::BUDDIES_MAX`].
    buddies: SmallVec<[NodeId; 2]>,
    avoided: Avoided,
    revisits: Revisits,
    /// Views to tell, gathered while an input is handled.
    news: BTreeMap<NodeId, BTreeSet<BlockId>>,
    /// Blocks whose groups have changed since [`Persist::take_changed`].
    changed: Vec<BlockId>,
    /// Blocks dropped, as their groups hold them, since [`Persist::take_trimmed`].
    trimmed: Vec<BlockId>,
    leaving: Option<Leaving>,
    next: Time,
}

impl Persist {
    pub(super) fn new(config: &Config) -> Self {
        Persist {
            me: NodeId([0; 32]),
            replicas: config.replicas,
            heartbeat: config.heartbeat,
            groups: BTreeMap::new(),
            peers: Peers::default(),
            health: Health::default(),
            repairs: Repairs::default(),
            extras: BTreeMap::new(),
            buddies: SmallVec::new(),
            avoided: Avoided::default(),
            revisits: Revisits::default(),
            news: BTreeMap::new(),
            changed: Vec::new(),
            trimmed: Vec::new(),
            leaving: None,
            next: Time::NEVER,
        }
    }

    /// Tells who this node is.
    pub(super) fn set_me(&mut self, me: NodeId) {
        self.me = me;
    }

    /// Founds the group of a block that this node's application stores and that was just put into the store.
    pub(super) fn found(&mut self, ctx: &mut Ctx<'_>, id: BlockId) {
        if !self.groups.contains_key(&id) {
            self.adopt(ctx, id, View::new(1, [self.me]));
        }
        self.repairs.own(id);
        self.schedule_repair(id, ctx.now);
    }

    /// How many copies of a block its group is believed to have.
    pub(super) fn copies(&self, id: BlockId) -> usize {
        self.groups.get(&id).map_or(0, |view| view.members().iter().filter(|&&member| self.is_live(member)).count())
    }

    /// Blocks whose groups have changed since the last call.
    pub(super) fn take_changed(&mut self) -> Vec<BlockId> {
        std::mem::take(&mut self.changed)
    }

    /// Blocks that were dropped since the last call because r others hold them.
    pub(super) fn take_trimmed(&mut self) -> Vec<BlockId> {
        std::mem::take(&mut self.trimmed)
    }

    /// Peers that share groups and are believed alive: they are linked, and likely to know of related blocks.
    pub(super) fn live_peers(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.peers.iter().filter(|peer| peer.status == peers::Status::Alive).map(|peer| peer.id)
    }

    /// When [`Persist::wake`] is due.
    pub(super) fn due(&self) -> Time {
        self.next
    }

    /// Does what is due.
    pub(super) fn wake(&mut self, ctx: &mut Ctx<'_>, store: &mut Store) {
        if ctx.now < self.next {
            return;
        }
        self.watch(ctx);
        self.expire_invites(ctx);
        if self.leaving.is_none() {
            self.revisit(ctx);
            self.trim(ctx);
        }
        self.settle(ctx, store);
        let leaving = self.leaving.as_ref().map_or(Time::NEVER, Leaving::due);
        let extras =
            self.extras.values().filter(|_| self.leaving.is_none()).map(Extra::due).min().unwrap_or(Time::NEVER);
        let visits = if self.leaving.is_none() { self.revisits.due() } else { Time::NEVER };
        self.next = self.peers.due().min(self.repairs.due()).min(extras).min(visits).min(leaving);
    }

    /// Ends the handling of an input: recruits where that is due, tells of changed views.
    pub(super) fn settle(&mut self, ctx: &mut Ctx<'_>, store: &mut Store) {
        self.repair(ctx, store);
        self.tell_news(ctx);
        self.finish_leaving(ctx);
    }

    /// A link has gone, or could not be made.
    pub(super) fn lost_link(&mut self, ctx: &mut Ctx<'_>, peer: NodeId, unreachable: bool) {
        self.hint(ctx, peer, unreachable);
        if unreachable {
            self.withdraw_invites(ctx, peer);
        }
    }

    /// Takes a message that is bounded, of a peer that [`Persist::heard`] was told of.
    pub(super) fn handle(&mut self, ctx: &mut Ctx<'_>, store: &mut Store, from: NodeId, message: DataMessage) {
        if self.revisits.heard(ctx.now, from) {
            self.wake_at(ctx.now);
        }
        match message {
            DataMessage::Beat { next_ms, digest, held } => self.beat(ctx, from, next_ms, digest, held),
            DataMessage::Probe { stamp, asker } => ctx.send(from, DataMessage::Alive { stamp, asker }),
            DataMessage::Alive { stamp, asker } => self.answered_probe(ctx, from, stamp, asker),
            DataMessage::ProbeFor { peer, stamp } => self.probe_for(ctx, from, peer, stamp),
            DataMessage::Vouch { peer, stamp } => self.vouched(ctx, from, peer, stamp),
            DataMessage::Suspect { peer } => self.told_of_suspicion(ctx, peer),
            DataMessage::Friends { contacts } => self.told_friends(ctx, from, &contacts),
            DataMessage::Invite { batch, items, contacts } => {
                contacts.iter().for_each(|contact| ctx.learn(contact));
                self.invited(ctx, store, from, batch, items);
            }
            DataMessage::InviteReply { batch, taken, refused, views } => {
                self.invite_answered(ctx, from, batch, &taken, &refused, views);
            }
            DataMessage::Views { views, contacts } => {
                contacts.iter().for_each(|contact| ctx.learn(contact));
                self.told_views(ctx, from, views);
            }
            DataMessage::Sync { from: first, to, views } => self.compared(ctx, from, first, to, views),
            DataMessage::Synced { to, views, lost } => self.synced(ctx, from, to, views, &lost),
            DataMessage::Confirm { views } => self.confirm(ctx, from, views),
            DataMessage::Confirmed { held, lost } => self.confirmed(ctx, store, from, held, &lost),
            DataMessage::Find { .. }
            | DataMessage::FindReply { .. }
            | DataMessage::Flood { .. }
            | DataMessage::FloodReply { .. }
            | DataMessage::Echo { .. } => unreachable!("retrieval's messages go to retrieval"),
        }
        self.settle(ctx, store);
    }

    /// Sets the gauges. A group is counted by its highest member, so that each is counted once.
    pub(super) fn gauges(&self, stats: &mut Stats) {
        stats.preferred_peers = self.peers.live() as u64;
        let led = self.groups.values().filter(|view| view.members().last() == Some(&self.me));
        for view in led {
            let live = view.members().iter().filter(|&&member| self.is_live(member)).count();
            *match live.cmp(&self.replicas) {
                std::cmp::Ordering::Less => &mut stats.groups_under_replicated,
                std::cmp::Ordering::Equal => &mut stats.groups_healthy,
                std::cmp::Ordering::Greater => &mut stats.groups_over_replicated,
            } += 1;
        }
    }

    /// Asks to be woken at `at` or earlier.
    fn wake_at(&mut self, at: Time) {
        self.next = self.next.min(at);
    }

    fn is_live(&self, member: NodeId) -> bool {
        if member == self.me { self.leaving.is_none() } else { !self.peers.is_dead(member) }
    }

    /// Makes another's `view` this node's view of a group of which it holds the block.
    fn follow(&mut self, ctx: &mut Ctx<'_>, id: BlockId, view: View) {
        self.adopt(ctx, id, view);
        self.defer_repair(ctx, id);
    }

    /// Makes `view` this node's view of a group of which it holds the block.
    fn adopt(&mut self, ctx: &mut Ctx<'_>, id: BlockId, view: View) {
        let others = |view: &View, me: NodeId| -> SmallVec<[NodeId; 3]> {
            let within = view.contains(me);
            view.members().iter().copied().filter(|&member| within && member != me).collect()
        };
        let digest = view.digest(id);
        for peer in others(&view, self.me) {
            if self.peers.share(peer, digest, ctx.now, self.heartbeat) {
                self.meet(ctx, peer);
            }
        }
        if view.contains(self.me) {
            self.extras.remove(&id);
        } else {
            self.extras.insert(id, Extra::new(ctx.now));
            self.wake_at(ctx.now);
        }
        if let Some(old) = self.groups.insert(id, view) {
            for peer in others(&old, self.me) {
                self.peers.unshare(peer, old.digest(id), ctx.now);
            }
        }
        self.changed.push(id);
        self.wake_at(self.peers.due());
        self.review(ctx, id);
    }

    /// Drops a block and its group.
    fn drop_block(&mut self, ctx: &Ctx<'_>, store: &mut Store, id: BlockId) {
        if let Some(view) = self.groups.remove(&id).filter(|view| view.contains(self.me)) {
            let digest = view.digest(id);
            for &member in view.members().iter().filter(|&&member| member != self.me) {
                self.peers.unshare(member, digest, ctx.now);
            }
        }
        self.extras.remove(&id);
        self.repairs.forget(id);
        store.remove(id);
    }

    /// `peer` is to be told of this group's view.
    fn tell(&mut self, peer: NodeId, id: BlockId) {
        if peer != self.me && !self.peers.is_dead(peer) {
            self.news.entry(peer).or_default().insert(id);
        }
    }

    /// All members are to be told of this group's view, except one.
    fn tell_members(&mut self, id: BlockId, except: NodeId) {
        let Some(view) = self.groups.get(&id) else { return };
        let others: SmallVec<[NodeId; 3]> = view.members().iter().copied().filter(|&member| member != except).collect();
        others.into_iter().for_each(|member| self.tell(member, id));
    }

    fn tell_news(&mut self, ctx: &mut Ctx<'_>) {
        while let Some((peer, ids)) = self.news.pop_first() {
            let views: Vec<Viewed> = ids.iter().filter_map(|&id| self.viewed(id)).collect();
            for views in views.chunks(VIEWS_MAX) {
                let contacts = self.contacts_of(ctx, peer, views);
                ctx.send(peer, DataMessage::Views { views: views.to_vec(), contacts });
            }
        }
    }

    /// Whether this node holds the block.
    fn knows(&self, id: BlockId) -> bool {
        self.groups.contains_key(&id)
    }

    fn viewed(&self, id: BlockId) -> Option<Viewed> {
        self.groups.get(&id).map(|view| Viewed { id, view: view.clone() })
    }

    /// How to reach the members of these groups, for `peer`.
    fn contacts_of(&self, ctx: &Ctx<'_>, peer: NodeId, views: &[Viewed]) -> Vec<Contact> {
        let members: BTreeSet<NodeId> = views.iter().flat_map(|viewed| viewed.view.members()).copied().collect();
        let others = members.into_iter().filter(|&member| member != peer && member != self.me && self.is_live(member));
        others.filter_map(|member| ctx.contact(member).cloned()).take(CONTACTS_MAX).collect()
    }

    /// Differs from node to node and stays: makes choices and phases even.
    fn salt(&self) -> u64 {
        mix(self.me.prefix())
    }
}
