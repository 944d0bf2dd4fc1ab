//! What is noted beside a stored block, so that a node that restarts knows its group.

use bincode::{Decode, Encode};

use super::keywords::Keywords;
use super::store::BlockBringer;
use super::view::GroupView;
use crate::core::blob::Blob;
use crate::core::wire;

/// What a node knows of a block that it stores.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct BlockNote {
    /// Who brought the block; `None` if this node's own application did.
    pub(super) bringer: Option<BlockBringer>,
    /// The members of its group.
    pub(super) view: GroupView,
    /// The keywords of the value that the block names.
    pub(super) keywords: Keywords,
}

impl BlockNote {
    pub(super) fn encode(bringer: Option<BlockBringer>, view: &GroupView, keywords: Option<&Keywords>) -> Blob {
        let note = BlockNote { bringer, view: view.clone(), keywords: keywords.cloned().unwrap_or_default() };
        Blob::from(wire::encode(&note).expect("a note is shorter than a frame"))
    }

    /// Reads a note; `None` if it is damaged.
    pub(super) fn decode(note: &Blob) -> Option<Self> {
        let is_valid = |note: &BlockNote| note.view.is_valid() && note.keywords.is_valid();
        wire::decode(note.as_ref()).ok().filter(is_valid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::identity::NodeId;

    #[test]
    fn damaged_note_is_none() {
        let view = GroupView::new(7, [NodeId([1; 32]), NodeId([2; 32])]);
        let bringer = Some(BlockBringer { peer: NodeId([2; 32]), founded: true });
        let keywords = Keywords::new(["nat", "rust"]).unwrap();
        let note = BlockNote::encode(bringer, &view, Some(&keywords));
        assert_eq!(BlockNote::decode(&note), Some(BlockNote { bringer, view, keywords }));
        assert_eq!(BlockNote::decode(&Blob(note.0.slice(1..))), None);
        assert_eq!(BlockNote::decode(&Blob::default()), None);
    }
}
