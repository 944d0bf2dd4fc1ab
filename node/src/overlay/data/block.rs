//! Blocks: what values are cut into, what they are called, and how they are put together again.
//!
//! A value of at most [`BLOCK_MAX`] bytes is one block; its id is the SHA-256 of the value. A larger one is cut into numbered
//! parts of [`BLOCK_MAX`] bytes, named by a *manifest*: a block that lists their ids in order. When the list does not fit into
//! one block, manifests are listed by manifests: a tree of [`FAN_OUT`] branches (Merkle 1987). Every block is checked against
//! its id, so whoever has the id of the root has the whole value, whoever hands the blocks out.

use bincode::{Decode, Encode};
use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::VALUE_MAX;
use crate::core::blob::Blob;
use crate::core::identity::BlockId;

/// Most bytes that a block holds.
pub const BLOCK_MAX: usize = 4_096;

/// Most ids that a manifest lists: what fits into a block beside its header.
pub const FAN_OUT: usize = (BLOCK_MAX - HEADER) / 32;

/// Bytes before a manifest's ids: level, then the length in bytes (little-endian).
const HEADER: usize = 1 + 8;

/// Hashed before a manifest, so that no value has the id of one.
const MANIFEST_DOMAIN: &[u8] = b"butter manifest 1";

/// What a block's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum BlockKind {
    /// A value, or a part of one.
    Part,
    /// An encoded [`Manifest`], the parts of a larger value.
    Manifest,
}

/// What is kept, copied and handed on. Not yet checked against any id when it comes from a peer: see [`Block::id`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Block {
    /// How to read the bytes.
    pub kind: BlockKind,
    /// At most [`BLOCK_MAX`] bytes.
    pub bytes: Blob,
}

impl Block {
    /// What the block is called: a hash of all of it.
    pub fn id(&self) -> BlockId {
        let mut hash = Sha256::new();
        if self.kind == BlockKind::Manifest {
            hash.update(MANIFEST_DOMAIN);
        }
        hash.update(self.bytes.as_ref());
        BlockId(hash.finalize().into())
    }

    /// Whether this is the block called `id`: of legal size, and matching its hash.
    pub fn is(&self, id: BlockId) -> bool {
        self.len() <= BLOCK_MAX && self.id() == id
    }

    /// Number of bytes of the payload.
    pub fn len(&self) -> usize {
        self.bytes.0.len()
    }

    /// Whether it holds no bytes, as the block of the empty value does.
    pub fn is_empty(&self) -> bool {
        self.bytes.0.is_empty()
    }
}

/// A list of the blocks that make up a value, or a part of a large one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// 0 when it lists parts, n when it lists manifests of level n − 1.
    pub level: u8,
    /// Bytes of the value under it.
    pub length: u64,
    /// What it lists, in the value's order.
    pub ids: Vec<BlockId>,
}

/// Why bytes are no manifest. Whoever made the value is at fault: the bytes match their id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a manifest that does not describe a value")]
pub struct BadManifest;

impl Manifest {
    fn encode(&self) -> Block {
        let mut bytes = BytesMut::with_capacity(HEADER + 32 * self.ids.len());
        bytes.extend_from_slice(&[self.level]);
        bytes.extend_from_slice(&self.length.to_le_bytes());
        self.ids.iter().for_each(|id| bytes.extend_from_slice(&id.0));
        Block { kind: BlockKind::Manifest, bytes: Blob(bytes.freeze()) }
    }

    /// Reads a manifest. Level, length and number of ids must agree, so that no manifest can make a reader fetch more than
    /// [`VALUE_MAX`] bytes.
    ///
    /// # Errors
    /// If they do not, or the bytes are cut.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadManifest> {
        let (header, list) = bytes.split_at_checked(HEADER).ok_or(BadManifest)?;
        let level = header[0];
        let length = u64::from_le_bytes(header[1..].try_into().expect("the header ends with 8 bytes"));
        let ids: Vec<BlockId> = list.chunks_exact(32).map(|id| BlockId(id.try_into().expect("chunks of 32"))).collect();
        let span = span(level).ok_or(BadManifest)?;
        let whole = list.len().is_multiple_of(32) && (1..=VALUE_MAX as u64).contains(&length);
        if whole && length.div_ceil(span) == ids.len() as u64 && ids.len() <= FAN_OUT {
            Ok(Manifest { level, length, ids })
        } else {
            Err(BadManifest)
        }
    }

    /// Bytes of the value under the `index`th of its ids.
    pub fn length_of(&self, index: usize) -> u64 {
        let span = span(self.level).expect("a decoded manifest has a legal level");
        (self.length - span * index as u64).min(span)
    }
}

/// Bytes of the value under one id of a manifest of this level; `None` if no legal value needs that many levels.
fn span(level: u8) -> Option<u64> {
    let span = (BLOCK_MAX as u64).checked_mul((FAN_OUT as u64).checked_pow(u32::from(level))?)?;
    (span < VALUE_MAX as u64).then_some(span)
}

/// The blocks of `value` with their ids, the one that names it first; each block once, however often it occurs.
///
/// # Panics
/// If it is longer than [`VALUE_MAX`].
pub fn split(value: &Blob) -> Vec<(BlockId, Block)> {
    assert!(value.0.len() <= VALUE_MAX, "checked by whoever takes the value");
    let mut blocks = Vec::new();
    let mut row: Vec<(BlockId, u64)> = Vec::new();
    let mut at = 0;
    while at < value.0.len() || row.is_empty() {
        let end = value.0.len().min(at + BLOCK_MAX);
        let part = Block { kind: BlockKind::Part, bytes: Blob(value.0.slice(at..end)) };
        let id = part.id();
        row.push((id, (end - at) as u64));
        blocks.push((id, part));
        at = end;
    }
    let mut level = 0;
    while row.len() > 1 {
        row = row.chunks(FAN_OUT).map(|ids| manifest_over(level, ids, &mut blocks)).collect();
        level += 1;
    }
    blocks.reverse();
    let mut seen = std::collections::BTreeSet::new();
    blocks.retain(|(id, _)| seen.insert(*id));
    blocks
}

/// Adds the manifest that lists these blocks, each with its bytes of the value.
fn manifest_over(level: u8, row: &[(BlockId, u64)], blocks: &mut Vec<(BlockId, Block)>) -> (BlockId, u64) {
    let length = row.iter().map(|(_, length)| length).sum();
    let block = Manifest { level, length, ids: row.iter().map(|(id, _)| *id).collect() }.encode();
    let id = block.id();
    blocks.push((id, block));
    (id, length)
}

/// A value that cannot be put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// This block is needed first.
    #[error("block {0} is needed")]
    Needs(BlockId),
    /// The blocks match their ids but make no value: whoever stored it is at fault.
    #[error(transparent)]
    Bad(#[from] BadManifest),
}

/// The value named by `root`, from the blocks that `find` has. Every block must have been checked against its id.
///
/// # Errors
/// If a block is wanting, or the blocks do not make a value.
pub fn join<'a>(root: BlockId, find: impl Fn(BlockId) -> Option<&'a Block>) -> Result<Blob, JoinError> {
    let first = find(root).ok_or(JoinError::Needs(root))?;
    if first.kind == BlockKind::Part {
        return Ok(first.bytes.clone());
    }
    let manifest = Manifest::decode(first.bytes.as_ref())?;
    let mut value = BytesMut::with_capacity(manifest.length as usize);
    append(&manifest, &find, &mut value)?;
    Ok(Blob(Bytes::from(value)))
}

/// Depth is bounded by the level, which falls by one each time.
fn append<'a>(
    manifest: &Manifest,
    find: &impl Fn(BlockId) -> Option<&'a Block>,
    value: &mut BytesMut,
) -> Result<(), JoinError> {
    for (index, &id) in manifest.ids.iter().enumerate() {
        let block = find(id).ok_or(JoinError::Needs(id))?;
        let length = manifest.length_of(index);
        match children(block, manifest.level, length)? {
            Some(below) => append(&below, find, value)?,
            None => value.extend_from_slice(block.bytes.as_ref()),
        }
    }
    Ok(())
}

/// What is listed in a block that a manifest of `level` lists for `length` bytes: `None` if it is a part itself.
///
/// # Errors
/// If it is not what that manifest promises.
pub fn children(block: &Block, level: u8, length: u64) -> Result<Option<Manifest>, BadManifest> {
    match (block.kind, level) {
        (BlockKind::Part, 0) if block.len() as u64 == length => Ok(None),
        (BlockKind::Manifest, 1..) => {
            let below = Manifest::decode(block.bytes.as_ref())?;
            if below.level + 1 == level && below.length == length { Ok(Some(below)) } else { Err(BadManifest) }
        }
        _ => Err(BadManifest),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn value(length: usize, seed: u8) -> Blob {
        Blob::from((0..length).map(|i| (i / 7 + i / BLOCK_MAX) as u8 ^ seed).collect::<Vec<u8>>())
    }

    fn check_round_trip(value: &Blob) {
        let blocks = split(value);
        let root = blocks[0].0;
        assert!(blocks.iter().all(|(id, block)| block.is(*id)));
        let map: BTreeMap<BlockId, Block> = blocks.into_iter().collect();
        assert_eq!(join(root, |id| map.get(&id)).as_ref(), Ok(value));
    }

    #[test]
    fn values_at_the_edges_of_every_level_come_back() {
        let leaf = BLOCK_MAX * FAN_OUT;
        for length in [0, 1, BLOCK_MAX - 1, BLOCK_MAX, BLOCK_MAX + 1, leaf - 1, leaf, leaf + 1, leaf + BLOCK_MAX + 1] {
            check_round_trip(&value(length, 3));
        }
        check_round_trip(&value(2 * leaf * FAN_OUT.min(4) + 5, 9));
    }

    #[test]
    fn a_small_value_is_called_by_its_sha_256() {
        let blocks = split(&Blob::from(&b"abc"[..]));
        assert_eq!(blocks[0].0.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(blocks.len(), 1);
    }

    #[test]
    fn a_manifest_and_the_same_bytes_as_a_value_have_different_ids() {
        let blocks = split(&value(BLOCK_MAX * 2, 1));
        let manifest = &blocks[0].1;
        assert_eq!(manifest.kind, BlockKind::Manifest);
        assert_ne!(manifest.id(), Block { kind: BlockKind::Part, bytes: manifest.bytes.clone() }.id());
    }

    #[test]
    fn a_lost_block_is_named() {
        let blocks = split(&value(BLOCK_MAX * 3, 1));
        let lost = blocks[2].0;
        let map: BTreeMap<BlockId, Block> = blocks.iter().filter(|(id, _)| *id != lost).cloned().collect();
        assert_eq!(join(blocks[0].0, |id| map.get(&id)), Err(JoinError::Needs(lost)));
    }

    #[test]
    fn a_manifest_that_promises_more_than_it_lists_is_refused() {
        let ids = vec![BlockId([7; 32]); 2];
        for (level, length) in
            [(0, 3 * BLOCK_MAX as u64), (0, 1), (0, 0), (1, 2 * BLOCK_MAX as u64), (9, u64::MAX), (255, 1 << 40)]
        {
            let block = Manifest { level, length, ids: ids.clone() }.encode();
            assert_eq!(Manifest::decode(block.bytes.as_ref()), Err(BadManifest), "level {level}, length {length}");
        }
        assert_eq!(Manifest::decode(&[0; 5]), Err(BadManifest));
    }

    #[test]
    fn a_manifest_that_lists_itself_one_level_too_high_is_refused() {
        let part = Block { kind: BlockKind::Part, bytes: Blob::from(vec![1; 10]) };
        assert_eq!(children(&part, 1, 10), Err(BadManifest));
        assert_eq!(children(&part, 0, 11), Err(BadManifest));
        assert_eq!(children(&part, 0, 10), Ok(None));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn every_value_comes_back(length in 0usize..600_000, seed: u8) {
            check_round_trip(&value(length, seed));
        }

        #[test]
        fn any_bytes_are_a_manifest_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(manifest) = Manifest::decode(&bytes) {
                let again = manifest.encode();
                prop_assert_eq!(again.bytes.as_ref(), &bytes[..]);
            }
        }
    }
}
