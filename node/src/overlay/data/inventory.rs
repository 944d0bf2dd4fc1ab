//! Inventories: what nodes say that they hold, so that a search visits few peers.
//!
//! Each node publishes one filter of the blocks that it holds. Its neighbours keep it, and pass it on to a few more: as many as
//! the root of the network's size, so that a search that visits as many meets it (BubbleStorm: Terpstra, Kangasharju, Leng,
//! Buchmann, SIGCOMM 2007). A filter travels along links that are up, over a tree that each node chooses by hashing its
//! neighbours: so changes take the way of what they change. Inventories are kept under a lease. The neighbours of a node that is
//! lost withdraw its inventory.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`filter`] | the filter and its coding |
//! | [`census`] | estimate of the number of nodes |
//! | [`notice`] | what peers say about inventories |
//! | [`publish`] | this node's own inventory |
//! | [`index`] | the inventories of others |
//! | [`neighbours`] | to which neighbours an inventory is passed on |
//! | [`outbox`] | what waits for each neighbour, and the budget |
//! | `sending` | messages of what waits |
//!
//! Nothing here is trusted. An inventory says which peer to visit, and the visit shows whether the block is there. The format of the
//! filter bounds what it claims, and one neighbour fills a part of the index alone.

use std::sync::Arc;
use std::time::Duration;

use super::message::DataMessage;
use super::query::SearchQuery;
use super::view::mix;
use super::{DataCx, DataStats};
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::path::PathEstimate;
use crate::core::time::Time;

pub(super) mod census;
pub(super) mod filter;
mod index;
mod neighbours;
pub(super) mod notice;
mod outbox;
mod publish;
mod sending;

use census::{Census, CensusMark, RENEW_MARK_EVERY};
use filter::print_of;
use index::{InventoryIndex, NoticeEffect};
use neighbours::LinkedNeighbours;
use notice::{InventoryChange, InventoryNews, InventoryNotice, InventoryRequest, OWNERS_MAX, OwnerKey};
use outbox::{NEWS_PAUSE, Outbox, QueuedNews, QueuedNotice, RENEWAL_PAUSE};
use publish::OwnInventory;

/// Most hops of an inventory.
const HOPS_MAX: u8 = 24;
/// Nodes that keep one inventory, for each root of the network's size.
const SPREAD_FACTOR: f64 = 2.5;
/// Most nodes that keep one inventory.
const SPREAD_MAX: u16 = 512;
/// Most holders named to one peer for one question.
pub(super) const HOLDERS_MAX: usize = 4;
/// Pause after a change before it is published: what changes meanwhile goes along.
const PUBLISH_PAUSE: Duration = Duration::from_millis(500);
/// How much wider a level of a publication is than the one before: of the nodes to which one passes an inventory on, some have it.
const LEVEL_GROWTH: f64 = 1.5;
/// Least and longest time for which a search waits for inventories of what was just stored.
const PUBLICATION_MIN: Duration = Duration::from_secs(3);
/// See [`PUBLICATION_MIN`].
const PUBLICATION_MAX: Duration = Duration::from_secs(6);
/// Longest round trip that one level of a publication is expected to take.
const SLOWEST_LEVEL: Duration = Duration::from_secs(1);
/// Pause between renewals of this node's own inventory.
const RENEW_EVERY: Duration = Duration::from_secs(120);

/// An inventory that was taken, or its `change`.
#[derive(Debug)]
struct TakenInventory {
    owner: OwnerKey,
    change: Option<Arc<InventoryChange>>,
}

/// The inventories of this node and of others.
#[derive(Debug)]
pub(super) struct Inventories {
    own: OwnInventory,
    index: InventoryIndex,
    census: Census,
    outbox: Outbox,
    /// Neighbours that have this node's inventory or will be sent it.
    neighbours: LinkedNeighbours,
    /// Nodes that should keep this node's inventory, as last announced.
    spread: u16,
    /// Inventories that were taken or have changed since [`Inventories::take_news`].
    news: Vec<TakenInventory>,
    /// When neighbours are looked at, after a link has come up.
    meet_at: Time,
    publish_at: Time,
    renew_at: Time,
    count_at: Time,
    next: Time,
}

impl Inventories {
    pub(super) fn new() -> Self {
        Inventories {
            own: OwnInventory::new(),
            index: InventoryIndex::default(),
            census: Census::default(),
            outbox: Outbox::default(),
            neighbours: LinkedNeighbours::default(),
            spread: 0,
            news: Vec::new(),
            meet_at: Time::NEVER,
            publish_at: Time::NEVER,
            renew_at: Time::NEVER,
            count_at: Time::ZERO,
            next: Time::ZERO,
        }
    }

    /// When [`Inventories::wake`] is due.
    pub(super) fn due(&self) -> Time {
        self.next
    }

    /// Notes what was stored and dropped since the last call.
    pub(super) fn note_stored(&mut self, ctx: &mut DataCx<'_, '_>) {
        let blocks = ctx.store.take_changes().into_iter().map(|(id, is_stored)| (print_of(id), is_stored));
        // Each keyword of a stored block is a key like the block itself.
        let mut changes = blocks.chain(ctx.store.take_term_changes()).peekable();
        if changes.peek().is_none() {
            return;
        }
        for (print, is_stored) in changes {
            if is_stored { self.own.add(print) } else { self.own.remove(print) }
        }
        if self.publish_at == Time::NEVER && self.own.has_changed() {
            self.publish_at = ctx.now + PUBLISH_PAUSE;
            self.next = self.next.min(self.publish_at);
        }
    }

    /// A link is up: its peer may be a new neighbour.
    pub(super) fn link_up(&mut self, now: Time) {
        self.meet_at = self.meet_at.min(now + NEWS_PAUSE);
        self.next = self.next.min(self.meet_at);
    }

    /// The link to a peer is lost, or could not be made if it is `unreachable`. A neighbour that is lost takes its inventory with
    /// it; any other link may just not have been used for long.
    pub(super) fn link_lost(&mut self, ctx: &mut DataCx<'_, '_>, peer: NodeId, unreachable: bool) {
        let owner = OwnerKey::of(peer);
        if !self.neighbours.remove(peer) {
            if unreachable {
                self.index.remove(owner);
            }
            return;
        }
        self.outbox.remove(peer);
        if self.index.get(owner).is_some_and(|held| held.came_from(peer)) {
            let news = InventoryNews::Withdrawn;
            let notice = InventoryNotice { owner, version: 0, spread: self.share(), hops: 1, news };
            self.pass_on(ctx, peer, &notice, NoticeEffect::Taken);
        }
        self.index.remove(owner);
        self.update_due();
    }

    /// Does what is due.
    pub(super) fn wake(&mut self, ctx: &mut DataCx<'_, '_>) {
        if ctx.now < self.next {
            return;
        }
        self.meet_neighbours(ctx);
        if self.count_at <= ctx.now {
            self.count_at = ctx.now + RENEW_MARK_EVERY;
            self.index.expire(ctx.now);
            self.census.expire(ctx.now);
            self.count_self(ctx);
        }
        if self.publish_at <= ctx.now {
            self.publish_at = Time::NEVER;
            self.publish(ctx);
        }
        if self.renew_at <= ctx.now {
            let news = if self.own.is_complete() { QueuedNews::Renewed } else { QueuedNews::Withdrawn };
            self.announce(ctx, &news);
        }
        self.send(ctx);
        self.update_due();
    }

    /// Takes a message about inventories; others are handed back.
    pub(super) fn handle(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        from: NodeId,
        message: DataMessage,
    ) -> Option<DataMessage> {
        match message {
            DataMessage::Inventories { notices, marks } => self.heard(ctx, from, notices, &marks),
            DataMessage::InventoryRequests { requests } => self.asked(ctx, from, &requests),
            other => return Some(other),
        }
        None
    }

    /// Peers that may hold one of these blocks, by inventories at most `reach` hops from their owners.
    pub(super) fn holders(&self, ids: &[BlockId], reach: u8, except: NodeId) -> Vec<Contact> {
        let may_hold = |id: &BlockId| {
            let print = print_of(*id);
            self.index.within(reach).filter(move |held| held.filter.contains(print))
        };
        let mut holders: Vec<Contact> = Vec::new();
        for held in ids.iter().flat_map(may_hold) {
            if held.contact.id != except && holders.iter().all(|holder| holder.id != held.contact.id) {
                holders.push((*held.contact).clone());
            }
            if holders.len() >= HOLDERS_MAX {
                break;
            }
        }
        holders
    }

    /// Peers whose inventories have the keywords that this query wants, at most `most`, and in how many inventories it was looked
    /// for them. It begins at a place that `salt` decides, so that not the same ones are left out everywhere.
    pub(super) fn holders_of_terms(
        &self,
        query: &SearchQuery,
        salt: u64,
        (except, most): (NodeId, usize),
    ) -> (Vec<Contact>, usize) {
        let first = (mix(salt) % self.index.len().max(1) as u64) as usize;
        let (mut holders, mut looked) = (Vec::new(), 0);
        for held in self.index.from(first) {
            let is_holder = held.contact.id != except && query.may_match(|print| held.filter.contains(print));
            if is_holder && holders.len() >= most {
                break;
            }
            looked += 1;
            holders.extend(is_holder.then(|| (*held.contact).clone()));
        }
        (holders, looked)
    }

    /// Number of inventories at most `reach` hops from their owners.
    pub(super) fn known(&self, reach: u8) -> usize {
        if reach == u8::MAX { self.index.len() } else { self.index.within(reach).count() }
    }

    /// Estimated number of nodes in the network, rather too great than too small.
    pub(super) fn network_size(&self) -> f64 {
        self.census.nodes()
    }

    /// Neighbours with which inventories are exchanged.
    pub(super) fn neighbours(&self) -> usize {
        self.neighbours.ids().count()
    }

    /// How long it takes until what was just stored is in the inventories at all nodes that are to have it: over a tree from each
    /// owner's neighbours, each level of which gathers news before it sends them.
    pub(super) fn publication_time(&self, cx: &DataCx<'_, '_>) -> Duration {
        let spread = f64::from(spread_for(self.network_size()));
        let (mut levels, mut reached, mut width) = (1, 0.0, self.neighbours().max(1) as f64);
        while reached + width < spread {
            (levels, reached, width) = (levels + 1, reached + width, width * LEVEL_GROWTH);
        }
        // The own links stand for those of others.
        let slowest = self.neighbours.ids().filter_map(|peer| cx.path(peer)).map(PathEstimate::rtt).max();
        let level = NEWS_PAUSE + slowest.unwrap_or_default().min(SLOWEST_LEVEL);
        (PUBLISH_PAUSE + level * (levels + 1)).clamp(PUBLICATION_MIN, PUBLICATION_MAX)
    }

    /// Nodes whose inventories are kept.
    pub(super) fn owners(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.index.within(u8::MAX).map(|held| held.contact.id)
    }

    /// Passes to `compare` the owner of each inventory that was taken or has changed since the last call, with what it claims now, or
    /// claims anew, as ranges of prints.
    pub(super) fn take_news(&mut self, mut compare: impl FnMut(NodeId, &mut dyn Iterator<Item = (u32, u32)>)) {
        for TakenInventory { owner, change } in std::mem::take(&mut self.news) {
            let Some(held) = self.index.get(owner) else { continue };
            match change {
                None => compare(held.contact.id, &mut held.filter.ranges()),
                Some(change) => compare(held.contact.id, &mut change.added.iter().map(|&print| (print, print))),
            }
        }
    }

    /// Everything that `owner` claims, as ranges of prints.
    pub(super) fn claims_of(&self, owner: NodeId) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.index.get(OwnerKey::of(owner)).into_iter().flat_map(|held| held.filter.ranges())
    }

    /// How to reach `owner`, if it claims the block with this print.
    pub(super) fn claimed_by(&self, owner: NodeId, print: u32) -> Option<Contact> {
        let held = self.index.get(OwnerKey::of(owner)).filter(|held| held.filter.contains(print));
        held.map(|held| (*held.contact).clone()).filter(|contact| contact.id == owner)
    }

    /// Peers come back: this node's inventory is announced to those that have lost it.
    pub(super) fn renew_soon(&mut self, now: Time) {
        self.renew_at = self.renew_at.min(now + NEWS_PAUSE);
        self.next = self.next.min(self.renew_at);
    }

    /// Sets the gauges.
    pub(super) fn gauges(&self, stats: &mut DataStats) {
        stats.inventories = self.index.len() as u64;
        stats.network_nodes = self.network_size().round() as u64;
    }

    /// Handles what a neighbour says; others have no say.
    fn heard(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, notices: Vec<InventoryNotice>, marks: &[CensusMark]) {
        if !self.neighbours.contains(from) {
            self.meet_neighbours(ctx);
            if !self.neighbours.contains(from) {
                return;
            }
        }
        for notice in notices {
            self.heard_notice(ctx, from, &notice);
        }
        self.heard_marks(ctx, from, marks);
        self.update_due();
    }

    fn heard_notice(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, notice: &InventoryNotice) {
        if notice.owner == OwnerKey::of(ctx.me.id) {
            return;
        }
        let effect = self.index.take(ctx.now, from, notice);
        if matches!(effect, NoticeEffect::Taken | NoticeEffect::Duplicate) {
            match &notice.news {
                InventoryNews::Full { .. } => self.news.push(TakenInventory { owner: notice.owner, change: None }),
                InventoryNews::Changed(change) => {
                    self.news.push(TakenInventory { owner: notice.owner, change: Some(change.clone()) });
                }
                InventoryNews::Renewed | InventoryNews::Withdrawn => {}
            }
        }
        match effect {
            NoticeEffect::Dropped => {}
            NoticeEffect::Needed => {
                let InventoryNotice { owner, spread, hops, .. } = *notice;
                self.outbox.request(ctx.now, from, InventoryRequest { owner, spread, hops });
            }
            effect => self.pass_on(ctx, from, notice, effect),
        }
    }

    fn heard_marks(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, marks: &[CensusMark]) {
        let before = self.census.len();
        let news: Vec<u64> =
            marks.iter().filter(|mark| self.census.hear(ctx.now, **mark)).map(|mark| mark.hash).collect();
        if news.is_empty() {
            return;
        }
        let pause = if self.census.len() > before { NEWS_PAUSE } else { RENEWAL_PAUSE };
        for to in self.neighbours.ids().filter(|&neighbour| neighbour != from) {
            self.outbox.marks(ctx.now, to, news.iter().copied(), pause);
        }
        // Marks that are renewed together travel together.
        if self.count_at <= ctx.now + RENEW_MARK_EVERY / 2 {
            self.count_at = ctx.now + RENEW_MARK_EVERY;
            self.count_self(ctx);
        }
        let wanted = spread_for(self.census.nodes());
        if self.spread > 0 && f64::from(wanted) > f64::from(self.spread) * 1.25 {
            self.renew_at = self.renew_at.min(ctx.now + NEWS_PAUSE * 3);
        }
    }

    /// A neighbour wants whole inventories.
    fn asked(&mut self, ctx: &mut DataCx<'_, '_>, from: NodeId, requests: &[InventoryRequest]) {
        if !self.neighbours.contains(from) {
            return;
        }
        for request in requests.iter().take(OWNERS_MAX) {
            let spread = request.spread.min(SPREAD_MAX);
            let notice = QueuedNotice { spread, hops: request.hops, news: QueuedNews::Full };
            self.outbox.notice(ctx.now, from, request.owner, notice);
        }
        self.update_due();
    }

    /// Notices neighbours that have come and gone. New ones are sent this node's own inventory and the census.
    fn meet_neighbours(&mut self, ctx: &mut DataCx<'_, '_>) {
        self.meet_at = Time::NEVER;
        let (new, gone) = self.neighbours.update(ctx);
        gone.into_iter().for_each(|peer| self.outbox.remove(peer));
        if new.is_empty() {
            return;
        }
        let (now, owner, spread) = (ctx.now, OwnerKey::of(ctx.me.id), self.share());
        for peer in new {
            if self.own.is_published() {
                self.outbox.notice(now, peer, owner, QueuedNotice { spread, hops: 1, news: QueuedNews::Full });
            }
            self.outbox.marks(now, peer, self.census.hashes(), NEWS_PAUSE);
        }
        if !self.own.is_published() && self.publish_at == Time::NEVER {
            self.publish_at = now + PUBLISH_PAUSE;
        }
    }

    /// Publishes what this node holds now.
    fn publish(&mut self, ctx: &DataCx<'_, '_>) {
        if !self.own.is_complete() {
            // Without an inventory that says too little, whoever searches comes to see.
            self.announce(ctx, &QueuedNews::Withdrawn);
            return;
        }
        let news = match self.own.publish() {
            Some(change) => QueuedNews::Changed { change, to: self.own.version() },
            None => QueuedNews::Full,
        };
        self.announce(ctx, &news);
    }

    /// Queues news of this node's own inventory for all neighbours. That renews it too.
    fn announce(&mut self, ctx: &DataCx<'_, '_>, news: &QueuedNews) {
        self.renew_at = ctx.now + RENEW_EVERY;
        self.spread = spread_for(self.census.nodes());
        let (owner, spread) = (OwnerKey::of(ctx.me.id), self.share());
        for to in self.neighbours.ids() {
            self.outbox.notice(ctx.now, to, owner, QueuedNotice { spread, hops: 1, news: news.clone() });
        }
    }

    /// Nodes that a neighbour should have keep this node's inventory.
    fn share(&self) -> u16 {
        spread_for(self.census.nodes()).div_ceil(self.neighbours.len().max(1) as u16)
    }

    /// Counts this node in the census.
    fn count_self(&mut self, ctx: &DataCx<'_, '_>) {
        if let Some(hash) = self.census.count(ctx.now, ctx.me.id) {
            self.neighbours.ids().for_each(|to| self.outbox.marks(ctx.now, to, [hash], RENEWAL_PAUSE));
        }
    }

    /// Passes a notice on to the neighbours that this node has chosen for its owner.
    fn pass_on(&mut self, ctx: &DataCx<'_, '_>, from: NodeId, notice: &InventoryNotice, effect: NoticeEffect) {
        let spread = notice.spread.min(SPREAD_MAX);
        let left = if effect == NoticeEffect::Taken { spread.saturating_sub(1) } else { spread };
        if left == 0 || notice.hops >= HOPS_MAX {
            return;
        }
        let news = match &notice.news {
            InventoryNews::Full { .. } => QueuedNews::Full,
            InventoryNews::Changed(change) => QueuedNews::Changed { change: change.clone(), to: notice.version },
            InventoryNews::Renewed => QueuedNews::Renewed,
            InventoryNews::Withdrawn => QueuedNews::Withdrawn,
        };
        let children = self.neighbours.children(from, notice.owner, usize::from(left));
        let count = children.len() as u16;
        let owner = notice.owner;
        for (index, to) in (0..).zip(children) {
            // The first ones take what does not divide evenly.
            let spread = left / count + u16::from(index < left % count);
            let notice = QueuedNotice { spread, hops: notice.hops + 1, news: news.clone() };
            self.outbox.notice(ctx.now, to, owner, notice);
        }
    }

    fn update_due(&mut self) {
        self.next = self.meet_at.min(self.publish_at).min(self.renew_at).min(self.count_at).min(self.outbox.due());
    }
}

/// Nodes that should keep one inventory in a network of so many.
fn spread_for(nodes: f64) -> u16 {
    ((SPREAD_FACTOR * nodes.sqrt()).ceil() as u16).min(SPREAD_MAX)
}
