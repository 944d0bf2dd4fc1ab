//! What goes on when a block was read or written by a store that does not complete at once.

use std::collections::BTreeMap;

use super::super::DataCx;
use super::super::block::Block;
use super::super::message::{BlockGroup, DataMessage, InviteRefusal, RefusedBlock};
use super::super::view::GroupView;
use super::Persist;

use crate::core::identity::{BlockId, NodeId};
use crate::core::storage::StoreFault;

/// The answer to an invitation. It is sent once all accepted blocks are written.
#[derive(Debug)]
pub(super) struct InviteAnswer {
    pub(super) to: NodeId,
    pub(super) batch: u64,
    pub(super) taken: Vec<BlockId>,
    pub(super) refused: Vec<RefusedBlock>,
    pub(super) views: Vec<BlockGroup>,
    /// Blocks that are being written.
    pub(super) writing: usize,
}

impl InviteAnswer {
    pub(super) fn send(self, ctx: &mut DataCx<'_, '_>) {
        let InviteAnswer { to, batch, taken, refused, views, .. } = self;
        let held = u32::try_from(ctx.store.len()).unwrap_or(u32::MAX);
        ctx.send(to, DataMessage::InviteReply { batch, taken, refused, views, held });
    }
}

/// Answers that wait for writes, by number.
#[derive(Debug, Default)]
pub(super) struct InviteAnswers {
    waiting: BTreeMap<u64, InviteAnswer>,
    last: u64,
}

impl InviteAnswers {
    /// The number that [`InviteAnswers::add`] will give to the next answer.
    pub(super) fn next_number(&self) -> u64 {
        self.last + 1
    }

    /// Adds an answer. Returns it if it waits for nothing.
    pub(super) fn add(&mut self, answer: InviteAnswer) -> Option<InviteAnswer> {
        if answer.writing == 0 {
            return Some(answer);
        }
        self.last += 1;
        self.waiting.insert(self.last, answer);
        None
    }

    /// A block of an answer is written, or not. Returns the answer if it was the last one.
    fn written(&mut self, number: u64, id: BlockId, result: Result<(), InviteRefusal>) -> Option<InviteAnswer> {
        let answer = self.waiting.get_mut(&number)?;
        match result {
            Ok(()) => answer.taken.push(id),
            Err(reason) => answer.refused.push(RefusedBlock { id, reason }),
        }
        answer.writing -= 1;
        if answer.writing == 0 { self.waiting.remove(&number) } else { None }
    }
}

impl Persist {
    /// A block that a peer has sent is written, or not: joins its group, and answers once the last one is.
    pub(in super::super) fn invited_block_written(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        id: BlockId,
        (answer, view): (u64, GroupView),
        written: Result<(), StoreFault>,
    ) {
        // Meanwhile the node may have begun to leave, or have got the block from elsewhere.
        let result = match written {
            _ if self.leaving.is_some() => Err(InviteRefusal::Leaving),
            Ok(()) => Ok(()),
            Err(StoreFault::DiskFull) => Err(InviteRefusal::NoRoom),
            Err(StoreFault::Failed | StoreFault::Busy) => Err(InviteRefusal::StoreFailed),
        };
        if self.holds(id) {
            // It is stored as part of another invitation or put.
        } else if result.is_ok() {
            match self.invite_answers.waiting.get(&answer).map(|answer| answer.to) {
                Some(from) => self.join_group(ctx, from, id, view),
                None => self.accept_view(ctx, id, view),
            }
        } else {
            ctx.delete_block(id);
        }
        if let Some(answer) = self.invite_answers.written(answer, id, result) {
            answer.send(ctx);
        }
    }

    /// The blocks of an invitation are read. For those in `unread` the store has no time.
    pub(in super::super) fn invite_read(
        &mut self,
        ctx: &mut DataCx<'_, '_>,
        (to, bytes): (NodeId, u64),
        blocks: Vec<(BlockId, Block)>,
        unread: &[BlockId],
    ) {
        self.repairs.invites.read_done();
        unread.iter().for_each(|&id| self.declined(ctx, id, to, None));
        self.send_invite(ctx, (to, bytes), blocks);
    }

    /// The store has lost a block: leaves its group and tells the members, so that they replace this node.
    pub(in super::super) fn block_lost(&mut self, ctx: &mut DataCx<'_, '_>, id: BlockId) {
        let members = self.groups.get(&id).map_or(Vec::new(), |view| view.members().to_vec());
        self.drop_block(ctx, id);
        for member in members.into_iter().filter(|&member| member != self.me && self.is_live(member)) {
            ctx.send(member, DataMessage::SyncReply { views: Vec::new(), lost: vec![id] });
        }
        self.changed.push(id);
    }
}
