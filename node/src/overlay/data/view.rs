//! Who belongs to a block's group: a value that every member has a copy of, and that converges by taking the greater of two.

use std::cmp::Ordering;

use bincode::de::{BorrowDecoder, Decoder};
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Decode, Encode};
use smallvec::SmallVec;

use crate::core::identity::{BlockId, NodeId};

/// Most members of a group.
pub const MEMBERS_MAX: usize = 16;
/// Copies that are usual: as many are made for any group, whatever this node itself wants of its own.
pub const REPLICAS_USUAL: usize = 3;
/// Greatest epoch that is taken from a peer: changes by one at a time never come near it.
const EPOCH_MAX: u64 = 1 << 56;

/// The members of a group at some epoch.
///
/// Of two views of one group the greater one wins: the higher epoch, then the higher hash. Being the maximum of
/// a total order, merging is commutative, associative and idempotent: members agree once each has heard of the greatest view,
/// in whatever order, and two leaders that act at once cannot undo each other for ever.
#[derive(Clone, Debug, Default)]
pub struct GroupView {
    /// Grows with every change.
    pub epoch: u64,
    /// Copies that the group is to have, as its founder wanted. A node learns it when it joins; later views change nothing of it,
    /// and it is no part of what views are compared by.
    pub replicas: u8,
    members: SmallVec<[NodeId; 3]>,
}

impl GroupView {
    /// The view with these members, in any order and however often each is named, of a group with [`REPLICAS_USUAL`] copies.
    pub fn new(epoch: u64, members: impl IntoIterator<Item = NodeId>) -> Self {
        let mut members: SmallVec<[NodeId; 3]> = members.into_iter().collect();
        members.sort_unstable();
        members.dedup();
        GroupView { epoch, replicas: REPLICAS_USUAL as u8, members }
    }

    /// The same view of a group that is to have so many copies, at most [`MEMBERS_MAX`].
    pub fn wanting(mut self, replicas: usize) -> Self {
        self.replicas = replicas.clamp(1, MEMBERS_MAX) as u8;
        self
    }

    /// A view with other members that comes after this one.
    pub(super) fn followed_by(&self, step: u64, members: impl IntoIterator<Item = NodeId>) -> Self {
        GroupView::new(self.epoch + step, members).wanting(self.replicas.into())
    }

    /// Copies that a node makes of the block which wants `own` of what it stores itself: what the group wants, between `own` and
    /// what is usual. A claim beyond that would have everybody store a block, or hardly any node.
    pub fn copies_for(&self, own: usize) -> usize {
        usize::from(self.replicas).clamp(own.min(REPLICAS_USUAL), own.max(REPLICAS_USUAL))
    }

    /// The members, in ascending order.
    pub fn members(&self) -> &[NodeId] {
        &self.members
    }

    /// Whether `node` is one.
    pub fn contains(&self, node: NodeId) -> bool {
        self.members.contains(&node)
    }

    /// A hash of the block, the epoch and the members, for comparing many groups at once. Not for security: who wants to
    /// collide with himself may.
    pub fn digest(&self, id: BlockId) -> u64 {
        mix(self.fingerprint() ^ mix(id.prefix()))
    }

    /// Whether it is a view that an honest node could have sent.
    pub(super) fn is_valid(&self) -> bool {
        (1..=MEMBERS_MAX).contains(&self.members.len())
            && (1..=MEMBERS_MAX).contains(&self.replicas.into())
            && self.epoch <= EPOCH_MAX
            && self.members.is_sorted_by(|a, b| a < b)
    }

    fn fingerprint(&self) -> u64 {
        self.members.iter().fold(self.epoch, |hash, member| mix(hash ^ member.prefix()))
    }
}

impl PartialEq for GroupView {
    fn eq(&self, other: &Self) -> bool {
        (self.epoch, &self.members) == (other.epoch, &other.members)
    }
}

impl Eq for GroupView {}

impl Ord for GroupView {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| self.fingerprint().cmp(&other.fingerprint()))
            .then_with(|| self.members.cmp(&other.members))
    }
}

impl PartialOrd for GroupView {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Who of the holders of a block goes first if they are too many: the one with the smallest rank. Ranks differ from block to block
/// (rendezvous hashing: Thaler and Ravishankar, 1998), so that no choice of ids keeps a node in all groups.
pub fn rank(id: BlockId, holder: NodeId) -> (u64, NodeId) {
    (mix(holder.prefix() ^ mix(id.prefix())), holder)
}

/// SplitMix64's finaliser (Steele, Lea, Flood: OOPSLA 2014).
pub(super) fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

impl Encode for GroupView {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.epoch.encode(encoder)?;
        self.replicas.encode(encoder)?;
        self.members[..].encode(encoder)
    }
}

impl<C> Decode<C> for GroupView {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let epoch = u64::decode(decoder)?;
        let replicas = u8::decode(decoder)?;
        let members: Vec<NodeId> = Vec::decode(decoder)?;
        // Kept as it came: an unsorted list is refused by `is_valid`, not mended.
        Ok(GroupView { epoch, replicas, members: members.into_iter().collect() })
    }
}

impl<'de, C> BorrowDecode<'de, C> for GroupView {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        GroupView::decode(decoder)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn views() -> impl Strategy<Value = GroupView> {
        (0u64..4, proptest::collection::vec(0u8..6, 1..5), 2usize..4).prop_map(|(epoch, members, replicas)| {
            GroupView::new(epoch, members.into_iter().map(|member| NodeId([member; 32]))).wanting(replicas)
        })
    }

    fn merged(a: &GroupView, b: &GroupView) -> GroupView {
        a.max(b).clone()
    }

    proptest! {
        #[test]
        fn merging_is_commutative_associative_and_idempotent(a in views(), b in views(), c in views()) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &a), a.clone());
            prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b);
        }

        #[test]
        fn digests_tell_views_apart(a in views(), b in views()) {
            let (one, other) = (BlockId([1; 32]), BlockId([2; 32]));
            prop_assert_eq!(a.digest(one) == b.digest(one), a == b);
            prop_assert_ne!(a.digest(one), a.digest(other));
        }
    }

    #[test]
    fn a_higher_epoch_wins_whoever_its_members_are() {
        let old = GroupView::new(3, [NodeId([9; 32])]);
        let new = GroupView::new(4, [NodeId([1; 32])]);
        assert!(new > old);
    }

    #[test]
    fn a_view_that_names_a_member_twice_is_not_sound() {
        let twice = GroupView { epoch: 1, replicas: 3, members: SmallVec::from_slice(&[NodeId([1; 32]); 2]) };
        assert!(!twice.is_valid());
        assert!(!GroupView { epoch: 1, replicas: 3, members: SmallVec::new() }.is_valid());
        assert!(
            !GroupView { epoch: u64::MAX, replicas: 3, members: SmallVec::from_slice(&[NodeId([1; 32])]) }.is_valid()
        );
    }
}
