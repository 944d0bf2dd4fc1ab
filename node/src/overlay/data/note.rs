//! What is noted beside a stored block, so that a node that restarts knows its group.

use bincode::{Decode, Encode};

use super::view::GroupView;
use crate::core::blob::Blob;
use crate::core::identity::NodeId;
use crate::core::wire;

/// What a node knows of a block that it stores.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct BlockNote {
    /// The peer that sent the block; `None` if this node's own application did.
    pub(super) owner: Option<NodeId>,
    /// The members of its group.
    pub(super) view: GroupView,
}

impl BlockNote {
    pub(super) fn encode(owner: Option<NodeId>, view: &GroupView) -> Blob {
        let note = BlockNote { owner, view: view.clone() };
        Blob::from(wire::encode(&note).expect("a note is shorter than a frame"))
    }

    /// Reads a note; `None` if it is damaged.
    pub(super) fn decode(note: &Blob) -> Option<Self> {
        wire::decode(note.as_ref()).ok().filter(|note: &BlockNote| note.view.is_valid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_note_is_none() {
        let view = GroupView::new(7, [NodeId([1; 32]), NodeId([2; 32])]);
        let note = BlockNote::encode(Some(NodeId([2; 32])), &view);
        assert_eq!(BlockNote::decode(&note), Some(BlockNote { owner: Some(NodeId([2; 32])), view }));
        assert_eq!(BlockNote::decode(&Blob(note.0.slice(1..))), None);
        assert_eq!(BlockNote::decode(&Blob::default()), None);
    }
}
