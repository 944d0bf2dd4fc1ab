//! A block that is pushed. Without keywords it takes no byte for them.

use bincode::de::{BorrowDecoder, Decoder};
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Decode, Encode};

use super::super::block::{BLOCK_MAX, Block};
use super::super::keywords::Keywords;
use super::super::view::GroupView;
use super::BLOCKS_MAX;
use crate::core::identity::BlockId;

/// Bytes of keywords that a place in a message has room for, beside a block.
const KEYWORD_BYTES_PER_PLACE: usize = 256;
const FOUNDED_FLAG: u8 = 1;
const KEYWORDS_FLAG: u8 = 2;

/// A block that is pushed, and the group that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct InvitedBlock {
    /// The id of the block, verified on arrival.
    pub id: BlockId,
    /// The group, the receiver included.
    pub view: GroupView,
    /// Whether the sender's application stores it anew, rather than that the group is repaired.
    pub founded: bool,
    /// The block with its bytes.
    pub block: Block,
    /// The keywords of the value that the block names.
    pub keywords: Keywords,
}

impl InvitedBlock {
    /// Whether the block and its keywords could be an honest node's.
    fn is_bounded(&self) -> bool {
        self.block.len() <= BLOCK_MAX && self.view.is_valid() && self.keywords.is_valid()
    }
}

/// Places that a block with these keywords takes, of the [`BLOCKS_MAX`] of a message: long keywords take the place of a block.
pub(in super::super) fn places_for(keywords: Option<&Keywords>) -> usize {
    1 + usize::from(keywords.is_some_and(|keywords| keywords.bytes() > KEYWORD_BYTES_PER_PLACE))
}

/// Whether so many blocks may be in one message.
pub(super) fn items_bounded(items: &[InvitedBlock]) -> bool {
    let places: usize = items.iter().map(|item| places_for(Some(&item.keywords))).sum();
    places <= BLOCKS_MAX && items.iter().all(InvitedBlock::is_bounded)
}

impl Encode for InvitedBlock {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let InvitedBlock { id, view, founded, block, keywords } = self;
        let keywords = Some(keywords).filter(|keywords| !keywords.is_empty());
        let flags = u8::from(*founded) * FOUNDED_FLAG + u8::from(keywords.is_some()) * KEYWORDS_FLAG;
        (id, view, flags, block).encode(encoder)?;
        keywords.map_or(Ok(()), |keywords| keywords.encode(encoder))
    }
}

impl<C> Decode<C> for InvitedBlock {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let (id, view, flags, block): (_, _, u8, _) = Decode::decode(decoder)?;
        if flags > FOUNDED_FLAG + KEYWORDS_FLAG {
            return Err(DecodeError::Other("a pushed block with unknown flags"));
        }
        let has_keywords = flags & KEYWORDS_FLAG != 0;
        let keywords = if has_keywords { Keywords::decode(decoder)? } else { Keywords::default() };
        Ok(InvitedBlock { id, view, founded: flags & FOUNDED_FLAG != 0, block, keywords })
    }
}

impl<'de, C> BorrowDecode<'de, C> for InvitedBlock {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}
