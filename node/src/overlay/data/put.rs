//! Puts under way: a value is acknowledged once every block of it has r copies.

use std::collections::{BTreeMap, BTreeSet};

use super::block::split;
use super::keywords::Keywords;
use super::message::InviteRefusal;
use super::persist::{OwnCopy, Persist};
use super::seeded_fault::SeededFault;
use super::store::WritePurpose;
use super::{CopyShortage, DataCx, DataOutcome, PutError, StoredValue, VALUE_MAX};
use crate::core::blob::Blob;
use crate::core::identity::{BlockId, NodeId};
use crate::core::io::CommandId;
use crate::core::storage::StoreFault;
use crate::core::time::Time;

/// Most puts under way.
const PUTS_MAX: usize = 1_024;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Puts(Vec<Put>);

#[derive(Debug)]
struct Put {
    command: CommandId,
    blocks: Vec<BlockId>,
    /// Those that have too few copies.
    waiting: BTreeSet<BlockId>,
    /// Those that r others were found to hold, so that this node has dropped them.
    elsewhere: BTreeSet<BlockId>,
    /// Peers that have acknowledged or shown to this node, since the put began, that they hold a block.
    holders: BTreeMap<BlockId, BTreeSet<NodeId>>,
    /// When near peers are invited in place of recruits that have not answered.
    hasten_at: Time,
    until: Time,
}

impl Puts {
    /// Cuts the value into blocks, keeps them here and has their groups recruit.
    pub(super) fn begin(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        persist: &mut Persist,
        command: CommandId,
        (value, keywords): (&Blob, &Keywords),
    ) {
        if let Err(error) = self.try_begin(ctx, persist, command, (value, keywords)) {
            ctx.stats.puts_failed += 1;
            ctx.done(command, DataOutcome::Put(Err(error)));
        }
    }

    fn try_begin(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        persist: &mut Persist,
        command: CommandId,
        (value, keywords): (&Blob, &Keywords),
    ) -> Result<(), PutError> {
        if value.0.len() > VALUE_MAX {
            return Err(PutError::TooLarge);
        }
        if self.0.len() >= PUTS_MAX || persist.is_leaving() {
            return Err(PutError::Busy);
        }
        let blocks = split(value);
        let new = blocks.iter().filter(|(id, _)| !ctx.store.contains(*id));
        let wanted = new.map(|(_, block)| ctx.store.cost(block.len())).sum::<u64>() + keywords.bytes() as u64;
        let own_copy = if ctx.store.has_room(wanted) {
            persist.own_copy_wanted(ctx)
        } else if ctx.store.has_transit_room(wanted) && persist.can_hand_on() {
            OwnCopy::MustGo
        } else {
            return Err(PutError::Full { wanted, free: ctx.store.free() });
        };
        let ids: Vec<BlockId> = blocks.iter().map(|(id, _)| *id).collect();
        for (id, block) in blocks {
            ctx.store.reserve_own(id, block.len());
            if id == ids[0] {
                match persist.holds(id) {
                    true => persist.describe(ctx, id, keywords, None),
                    false => _ = ctx.store.describe(id, keywords),
                }
            }
            let written = persist.holds(id).then_some(true);
            let written = written
                .or_else(|| ctx.write_block(id, block, &persist.founding_view(), || WritePurpose::Put { own_copy }));
            match written {
                Some(true) => persist.found_group(ctx, id, own_copy),
                Some(false) => {
                    ctx.delete_block(id);
                    return Err(PutError::Storage(StoreFault::Failed));
                }
                None => {}
            }
        }
        let waiting = ids.iter().copied().collect();
        let until = ctx.now + ctx.config.deadline;
        let hasten_at = ctx.now + ctx.config.deadline / 2;
        self.0.push(Put {
            command,
            blocks: ids.clone(),
            waiting,
            elsewhere: BTreeSet::new(),
            holders: BTreeMap::new(),
            hasten_at,
            until,
        });
        // What was stored before has its copies: no change will tell of it.
        self.changed(ctx, persist, &ids);
        Ok(())
    }

    /// When the first is given up.
    pub(super) fn due(&self) -> Time {
        self.0.iter().map(|put| put.until.min(put.hasten_at)).min().unwrap_or(Time::NEVER)
    }

    /// These blocks were dropped because r others have said that they hold them.
    pub(super) fn trimmed(&mut self, blocks: &[BlockId]) {
        for put in &mut self.0 {
            for id in blocks.iter().filter(|id| put.blocks.contains(id)) {
                put.waiting.remove(id);
                put.elsewhere.insert(*id);
            }
        }
    }

    /// Peers have acknowledged or shown that they hold blocks.
    pub(super) fn held_by(&mut self, proven: &[(BlockId, NodeId)]) {
        for put in &mut self.0 {
            for &(id, peer) in proven.iter().filter(|(id, _)| put.blocks.contains(id)) {
                put.holders.entry(id).or_default().insert(peer);
            }
        }
    }

    /// Blocks of puts under way whose groups have changed, each with the peers that are known to hold it: others are to be asked.
    pub(super) fn unproven(&self, changed: &[BlockId]) -> Vec<(BlockId, Vec<NodeId>)> {
        let mut unproven = Vec::new();
        for put in &self.0 {
            for id in changed.iter().filter(|id| put.waiting.contains(id)) {
                unproven.push((*id, put.holders.get(id).into_iter().flatten().copied().collect()));
            }
        }
        unproven
    }

    /// Blocks of puts under way that wait for a proof of `peer`, if it holds them.
    pub(super) fn unproven_by(&self, peer: NodeId) -> Vec<BlockId> {
        let lacks = |put: &Put, id: &BlockId| put.holders.get(id).is_none_or(|holders| !holders.contains(&peer));
        self.0.iter().flat_map(|put| put.waiting.iter().copied().filter(|id| lacks(put, id))).collect()
    }

    /// A block of the application could not be written: the puts that need it fail.
    pub(super) fn write_failed(&mut self, ctx: &mut DataCx<'_, '_>, block: BlockId, fault: StoreFault) {
        for put in self.0.extract_if(.., |put| put.waiting.contains(&block)) {
            ctx.stats.puts_failed += 1;
            ctx.done(put.command, DataOutcome::Put(Err(PutError::Storage(fault))));
        }
    }

    /// Groups have changed: acknowledges what has its copies now.
    pub(super) fn changed(&mut self, ctx: &mut DataCx<'_, '_>, persist: &Persist, changed: &[BlockId]) {
        let is_early = ctx.settings.fault == Some(SeededFault::EarlyAcknowledgement);
        let wanted = if is_early { 1 } else { ctx.settings.replicas };
        for put in &mut self.0 {
            for id in changed {
                if put.waiting.contains(id) && put.copies(persist, *id) >= wanted {
                    put.waiting.remove(id);
                }
            }
            if put.waiting.is_empty() {
                // A copy may have died while others were made.
                let lacks = |id: &BlockId| put.copies(persist, *id) < wanted && !put.elsewhere.contains(id);
                let lacking: Vec<BlockId> = put.blocks.iter().copied().filter(lacks).collect();
                put.waiting.extend(lacking);
            }
        }
        for put in self.0.extract_if(.., |put| put.waiting.is_empty()) {
            ctx.stats.puts_acknowledged += 1;
            ctx.done(put.command, DataOutcome::Put(Ok(StoredValue { id: put.blocks[0], blocks: put.blocks })));
        }
    }

    /// Hastens those that take long, and gives up those whose time is up; all of them if the node leaves.
    pub(super) fn expire(&mut self, ctx: &mut DataCx<'_, '_>, persist: &mut Persist) {
        let (now, is_leaving) = (ctx.now, persist.is_leaving());
        for put in self.0.iter_mut().filter(|put| put.hasten_at <= now) {
            put.hasten_at = Time::NEVER;
            persist.hasten(ctx, put.waiting.iter().copied());
        }
        for put in self.0.extract_if(.., |put| put.until <= now || is_leaving) {
            fail_for_lack(ctx, persist, &put);
        }
    }

    /// No peer has room for these blocks: the puts that need them fail at once.
    pub(super) fn without_room(&mut self, ctx: &mut DataCx<'_, '_>, persist: &mut Persist, blocks: &[BlockId]) {
        for put in self.0.extract_if(.., |put| blocks.iter().any(|id| put.waiting.contains(id))) {
            fail_for_lack(ctx, persist, &put);
        }
    }
}

impl Put {
    /// Live nodes that are known to hold a block, this one included. What others say of each other does not count.
    fn copies(&self, persist: &Persist, id: BlockId) -> usize {
        let others = self.holders.get(&id).into_iter().flatten().filter(|&&peer| persist.counts(peer)).count();
        others + usize::from(persist.holds(id) && !persist.must_go(id))
    }
}

/// A put has too few copies. What it could not place, and this node has no room for, is dropped.
fn fail_for_lack(ctx: &mut DataCx<'_, '_>, persist: &mut Persist, put: &Put) {
    ctx.stats.puts_failed += 1;
    let shortage = shortage_of(put, persist, ctx.settings.replicas);
    if shortage.no_room > 0 || put.waiting.iter().any(|&id| persist.must_go(id)) {
        persist.withdraw(ctx, &put.blocks);
    }
    ctx.done(put.command, DataOutcome::Put(Err(PutError::TooFewCopies { id: put.blocks[0], shortage })));
}

/// What a put lacks. A peer that did not take several blocks counts once, by the last reason that it gave.
fn shortage_of(put: &Put, persist: &Persist, wanted: usize) -> CopyShortage {
    let peers: BTreeMap<NodeId, Option<InviteRefusal>> =
        put.waiting.iter().flat_map(|&id| persist.refusals(id)).collect();
    let count = |reason| peers.values().filter(|&&given| given == reason).count();
    CopyShortage {
        copies: put.waiting.iter().map(|&id| put.copies(persist, id)).min().unwrap_or(0),
        wanted,
        lacking: put.waiting.len(),
        blocks: put.blocks.len(),
        no_room: count(Some(InviteRefusal::NoRoom)),
        store_failed: count(Some(InviteRefusal::StoreFailed)),
        leaving: count(Some(InviteRefusal::Leaving)),
        unanswered: count(None),
    }
}
