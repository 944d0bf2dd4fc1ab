//! What peers' data overlays say to each other, and the bounds of each list.
//!
//! Every list that arrives is cut or refused by [`DataMessage::is_bounded`] before anything else looks at it, and the bounds
//! are such that every message fits [`crate::core::wire::FRAME_MAX`].

use std::ops::AddAssign;

use bincode::{Decode, Encode};

use super::block::{BLOCK_MAX, Block};
use super::inventory::census::{CensusMark, MARKS_MAX};
use super::inventory::notice::{InventoryNotice, InventoryRequest, NOTICES_MAX, OWNERS_MAX};
use super::query::QUERY_BYTES_MAX;
use super::search::{HITS_MAX, KeywordHit, SearchPage, hits_bounded};
use super::view::GroupView;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};

mod invited_block;
mod price;
mod purpose;

pub use invited_block::InvitedBlock;
pub(super) use invited_block::places_for;

/// Most blocks in one message: 12 × (4 KiB and a view of 16 members) fit a frame, with contacts.
pub(super) const BLOCKS_MAX: usize = 12;
/// Most views in one message: 96 × (an id and a view of 16 members) fit a frame, with contacts.
pub(super) const VIEWS_MAX: usize = 96;
/// Most ranges in one message.
pub(super) const RANGES_MAX: usize = 16;
/// Most blocks that one message asks proofs for: a proof costs the hash of a block.
pub(super) const PROOFS_MAX: usize = 24;
/// Most contacts in one message.
pub(super) const CONTACTS_MAX: usize = 16;

/// A message between two data overlays. See [`super::persist`] and [`super::retrieve`] for what each is for.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum DataMessage {
    /// "This node is alive and well."
    Heartbeat {
        /// The next one comes within this many milliseconds.
        next_ms: u32,
        /// [`GroupView::digest`] of every group that the sender believes to share with the receiver, combined by exclusive or.
        digest: u64,
        /// Blocks that the sender holds: its load.
        held: u32,
        /// Drawn when the sender started: another one tells that it has restarted.
        incarnation: u64,
        /// "Do you hold this one?"
        challenge: Option<Box<Challenge>>,
        /// The answer to the last such question of the receiver.
        answer: Option<Box<ChallengeAnswer>>,
    },
    /// "Answer, if you are alive."
    Probe {
        /// Comes back in the answer.
        stamp: u64,
        /// The peer that asked for this probe, if another did.
        asker: Option<NodeId>,
    },
    /// "Yes, this node is alive."
    ProbeAck {
        /// The stamp of the probe.
        stamp: u64,
        /// The asker of the probe, if any.
        asker: Option<NodeId>,
    },
    /// "I do not hear this peer: do you?"
    IndirectProbe {
        /// The peer that does not answer.
        peer: NodeId,
        /// Comes back in the answer.
        stamp: u64,
    },
    /// "I do: it has just answered me."
    IndirectAck {
        /// The peer that has just answered.
        peer: NodeId,
        /// The stamp of the question.
        stamp: u64,
    },
    /// "I do not hear this peer: look for yourself."
    Suspect {
        /// The peer that is suspected.
        peer: NodeId,
    },
    /// "These peers also expect my heartbeats: when you miss me, notify them."
    PeerList {
        /// The watchers of the sender, at most [`CONTACTS_MAX`].
        contacts: Vec<Contact>,
    },
    /// "Join the groups of these blocks", with the blocks: one message and its answer are a whole repair.
    Invite {
        /// Chosen by the sender; comes back in the answer.
        batch: u64,
        /// The blocks with their groups, at most [`BLOCKS_MAX`].
        items: Vec<InvitedBlock>,
        /// How to reach the other members, at most [`CONTACTS_MAX`].
        contacts: Vec<Contact>,
    },
    /// The answer to a [`DataMessage::Invite`].
    InviteReply {
        /// The batch of the invitation.
        batch: u64,
        /// Blocks that the sender now holds.
        taken: Vec<BlockId>,
        /// Blocks that it will not hold.
        refused: Vec<RefusedBlock>,
        /// Views it held already that win over those in the invitation.
        views: Vec<BlockGroup>,
        /// Blocks that the sender holds now: its load.
        held: u32,
    },
    /// "I hold few blocks": the receiver may hand some of its own on.
    Light {
        /// Blocks that the sender holds.
        held: u32,
    },
    /// "These are the groups' members now."
    Views {
        /// The new views, at most [`VIEWS_MAX`].
        views: Vec<BlockGroup>,
        /// How to reach new members, at most [`CONTACTS_MAX`].
        contacts: Vec<Contact>,
    },
    /// "These are digests of the groups that I believe to share with you, by ranges of ids: where do we differ?"
    Ranges {
        /// At most [`RANGES_MAX`], in ascending order, without overlap.
        ranges: Vec<RangeDigest>,
    },
    /// "I hold no block with an id in this range."
    Vacant {
        /// First id of the range.
        from: BlockId,
        /// Last id of the range.
        to: BlockId,
    },
    /// "These are all groups with ids in this range that I believe to share with you."
    Sync {
        /// First id of the range.
        from: BlockId,
        /// Last id of the range.
        to: BlockId,
        /// At most [`VIEWS_MAX`], in ascending order of ids.
        views: Vec<BlockGroup>,
    },
    /// Answer to [`DataMessage::Sync`]: where the answerer knows otherwise.
    SyncReply {
        /// Views that win over those of the sync, or that it lacks; at most [`VIEWS_MAX`].
        views: Vec<BlockGroup>,
        /// Blocks that the sender of the sync believes to be here and that are not; at most [`VIEWS_MAX`].
        lost: Vec<BlockId>,
    },
    /// "Do you hold these?"
    Confirm {
        /// What the proofs are to be made with.
        nonce: Nonce,
        /// The groups in question, at most [`PROOFS_MAX`].
        views: Vec<BlockGroup>,
    },
    /// The answer to a [`DataMessage::Confirm`].
    ConfirmReply {
        /// The nonce of the question.
        nonce: Nonce,
        /// Held by the sender, with its views of their groups.
        held: Vec<HeldBlock>,
        /// Blocks that the sender does not hold.
        lost: Vec<BlockId>,
    },
    /// "Have you any of these blocks? If not, which peers may I ask?"
    Find {
        /// Chosen by the sender; comes back in the answer.
        query: u64,
        /// The blocks that are wanted, at most [`BLOCKS_MAX`].
        ids: Vec<BlockId>,
        /// Whether neighbours are wanted if none is held.
        hosts: bool,
        /// Whether peers that may hold them are wanted: those whose inventories came over at most so many hops.
        reach: u8,
    },
    /// The answer to a [`DataMessage::Find`].
    FindReply {
        /// The query of the question.
        query: u64,
        /// Those blocks that the sender holds.
        blocks: Vec<Block>,
        /// Neighbours of the answerer; with `holders` at most [`CONTACTS_MAX`].
        hosts: Vec<Contact>,
        /// Peers whose inventories contain one of the blocks.
        holders: Vec<Contact>,
        /// Number of inventories that were looked at.
        inventories: u16,
    },
    /// A query that is passed on.
    Flood {
        /// Chosen at random by the asker; names the query everywhere.
        query: u64,
        /// The block that is wanted.
        id: BlockId,
        /// Hops left, this one included.
        ttl: u8,
        /// Hops made, this one included.
        hops: u8,
        /// The neighbours that it is passed on to.
        choice: FloodChoice,
        /// Time within which the asker of this message wants it acknowledged, in milliseconds.
        budget_ms: u32,
    },
    /// The block, on its way back.
    FloodReply {
        /// The number of the query.
        query: u64,
        /// The block that was found.
        block: Block,
        /// Hops from the asker to whoever had it.
        hops: u8,
        /// Who had it: may be asked for more.
        holder: Box<Contact>,
    },
    /// "This is what became of the query from here on" (the echo algorithm, Chang 1982).
    FloodAck {
        /// The number of the query.
        query: u64,
        /// What became of it.
        counts: FloodCounts,
    },
    /// "This is what these nodes hold, and these are alive."
    Inventories {
        /// What became of inventories: at most [`NOTICES_MAX`].
        notices: Vec<InventoryNotice>,
        /// Hashes of nodes that are alive: at most [`MARKS_MAX`].
        marks: Vec<CensusMark>,
    },
    /// "Send me these inventories as a whole."
    InventoryRequests {
        /// The inventories that are wanted: at most [`OWNERS_MAX`].
        requests: Vec<InventoryRequest>,
    },
    /// "Which values have you whose keywords match?"
    Search {
        /// Chosen by the sender; comes back in the answer.
        search: u64,
        /// The query, at most [`QUERY_BYTES_MAX`] bytes.
        query: String,
        /// Only ids after this one: where the page before ended.
        after: Option<BlockId>,
        /// Most hits in the answer, up to [`HITS_MAX`].
        hits: u8,
        /// Whether peers to ask next are wanted.
        hosts: bool,
    },
    /// The answer to a [`DataMessage::Search`].
    SearchReply {
        /// The number of the question.
        search: u64,
        /// What the sender has. In a box, so that other messages do not grow by it.
        page: Box<SearchPage>,
    },
    /// To other holders of these blocks: "they have these keywords now".
    Describe {
        /// The blocks, at most [`HITS_MAX`].
        blocks: Vec<KeywordHit>,
    },
    /// "Peers come back that I had given up": the receiver, which shares groups, visits those that it has given up.
    Reunion,
    /// To a recruit: this peer held these blocks, was given up, and may come back.
    Absent {
        /// How to reach it.
        peer: Contact,
        /// Blocks that the receiver holds now.
        blocks: Vec<BlockId>,
    },
}

/// The neighbours that a flooded query is passed on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FloodChoice {
    /// All but the one that it came from.
    All,
    /// A random share of them, by the setting `fraction`.
    Random,
    /// The same share: those that have brought most results.
    MostResults,
    /// The same share: those that have answered the queries most like this one.
    Similar,
}

/// Makes a proof of possession one for this question only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Nonce(pub [u8; 16]);

/// SHA-256 of a nonce, the holder's id and the block's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PossessionProof(pub [u8; 32]);

/// A question for one block, to be answered with a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Challenge {
    /// The block in question.
    pub id: BlockId,
    /// What the proof is to be made with.
    pub nonce: Nonce,
}

/// The answer to a [`Challenge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChallengeAnswer {
    /// The question: an earlier one may have been for the same block.
    pub challenge: Challenge,
    /// `None` if the sender does not hold it.
    pub proof: Option<PossessionProof>,
}

/// A block that the sender holds, and shows to hold.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct HeldBlock {
    /// The block in question.
    pub id: BlockId,
    /// The sender's view of its group.
    pub view: GroupView,
    /// Shows that the sender holds it.
    pub proof: PossessionProof,
}

/// What became of a flooded query beyond a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct FloodCounts {
    /// Messages that carried the query.
    pub messages: u32,
    /// Those that were not acknowledged in time.
    pub timed_out: u32,
    /// Those whose receiver could not be reached.
    pub unreachable: u32,
}

impl AddAssign for FloodCounts {
    fn add_assign(&mut self, other: Self) {
        self.messages = self.messages.saturating_add(other.messages);
        self.timed_out = self.timed_out.saturating_add(other.timed_out);
        self.unreachable = self.unreachable.saturating_add(other.unreachable);
    }
}

/// A block that a peer will not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RefusedBlock {
    /// The block in question.
    pub id: BlockId,
    /// Why the peer will not hold it.
    pub reason: InviteRefusal,
}

/// Why a peer will not hold a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum InviteRefusal {
    /// Its storage is full, or this peer's share of it.
    NoRoom,
    /// The block could not be written.
    StoreFailed,
    /// It is leaving the network.
    Leaving,
}

/// The groups that a node shares with a peer, within a range of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RangeDigest {
    /// First id of the range.
    pub from: BlockId,
    /// Last id of the range.
    pub to: BlockId,
    /// Number of groups.
    pub count: u32,
    /// [`GroupView::digest`] of all of them, combined by exclusive or.
    pub digest: u64,
}

/// The members of a group, with its block.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct BlockGroup {
    /// The block that names the group.
    pub id: BlockId,
    /// The members and the epoch.
    pub view: GroupView,
}

impl DataMessage {
    /// Removes the items whose view no honest node could have sent: one of them does not cost the others.
    pub(super) fn remove_invalid_items(&mut self) {
        let is_valid = |viewed: &BlockGroup| viewed.view.is_valid();
        match self {
            DataMessage::Invite { items, .. } => items.retain(|item| item.view.is_valid()),
            DataMessage::InviteReply { views, .. }
            | DataMessage::Views { views, .. }
            | DataMessage::Sync { views, .. }
            | DataMessage::SyncReply { views, .. }
            | DataMessage::Confirm { views, .. } => views.retain(is_valid),
            DataMessage::ConfirmReply { held, .. } => held.retain(|held| held.view.is_valid()),
            DataMessage::SearchReply { page, .. } => page.hits.retain(|hit| hit.keywords.is_valid()),
            DataMessage::Describe { blocks } => blocks.retain(|described| described.keywords.is_valid()),
            _ => {}
        }
    }

    /// Whether every list keeps its bound and every block its size. A message that does not comes from no honest node.
    pub(super) fn is_bounded(&self) -> bool {
        match self {
            DataMessage::Invite { items, contacts, .. } => {
                invited_block::items_bounded(items) && contacts_bounded(contacts)
            }
            DataMessage::InviteReply { taken, refused, views, .. } => {
                taken.len() + refused.len() <= BLOCKS_MAX && views_bounded(views)
            }
            DataMessage::Views { views, contacts } => views_bounded(views) && contacts_bounded(contacts),
            DataMessage::Sync { from, to, views } => {
                views_bounded(views)
                    && views.is_sorted_by(|a, b| a.id < b.id)
                    && views.iter().all(|viewed| (*from..=*to).contains(&viewed.id))
            }
            DataMessage::Ranges { ranges } => {
                ranges.len() <= RANGES_MAX
                    && ranges.iter().all(|range| range.from <= range.to)
                    && ranges.is_sorted_by(|a, b| a.to < b.from)
            }
            DataMessage::SyncReply { views, lost, .. } => views_bounded(views) && lost.len() <= VIEWS_MAX,
            DataMessage::Confirm { views, .. } => views.len() <= PROOFS_MAX && views_bounded(views),
            DataMessage::ConfirmReply { held, lost, .. } => {
                held.len() <= PROOFS_MAX && held.iter().all(|held| held.view.is_valid()) && lost.len() <= PROOFS_MAX
            }
            DataMessage::PeerList { contacts } => contacts_bounded(contacts),
            DataMessage::Absent { peer, blocks } => peer.is_bounded() && blocks.len() <= VIEWS_MAX,
            DataMessage::Find { ids, .. } => ids.len() <= BLOCKS_MAX,
            DataMessage::FindReply { blocks, hosts, holders, .. } => {
                blocks.len() <= BLOCKS_MAX
                    && blocks.iter().all(|block| block.len() <= BLOCK_MAX)
                    && hosts.len() + holders.len() <= CONTACTS_MAX
                    && hosts.iter().chain(holders).all(Contact::is_bounded)
            }
            DataMessage::Search { query, hits, .. } => query.len() <= QUERY_BYTES_MAX && usize::from(*hits) <= HITS_MAX,
            DataMessage::SearchReply { page, .. } => {
                hits_bounded(&page.hits)
                    && page.hosts.len() + page.holders.len() <= CONTACTS_MAX
                    && page.hosts.iter().chain(&page.holders).all(Contact::is_bounded)
            }
            DataMessage::Describe { blocks } => hits_bounded(blocks),
            DataMessage::Inventories { notices, marks } => {
                notices.len() <= NOTICES_MAX
                    && notices.iter().all(InventoryNotice::is_bounded)
                    && marks.len() <= MARKS_MAX
            }
            DataMessage::InventoryRequests { requests } => requests.len() <= OWNERS_MAX,
            DataMessage::FloodReply { block, holder, .. } => block.len() <= BLOCK_MAX && holder.is_bounded(),
            DataMessage::Heartbeat { .. }
            | DataMessage::Probe { .. }
            | DataMessage::ProbeAck { .. }
            | DataMessage::IndirectProbe { .. }
            | DataMessage::IndirectAck { .. }
            | DataMessage::Suspect { .. }
            | DataMessage::Reunion
            | DataMessage::Light { .. }
            | DataMessage::Vacant { .. }
            | DataMessage::Flood { .. }
            | DataMessage::FloodAck { .. } => true,
        }
    }
}

fn views_bounded(views: &[BlockGroup]) -> bool {
    views.len() <= VIEWS_MAX && views.iter().all(|viewed| viewed.view.is_valid())
}

fn contacts_bounded(contacts: &[Contact]) -> bool {
    contacts.len() <= CONTACTS_MAX && contacts.iter().all(Contact::is_bounded)
}

#[cfg(test)]
mod tests;
