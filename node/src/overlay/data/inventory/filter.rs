//! What a node holds, as a set that may contain a little more than was put in.
//!
//! A key is hashed to 32 bits, and the filter keeps the upper ones of them: about ten more than the logarithm of their number. On
//! the wire the sorted prints are a Golomb-coded set (Golomb 1966; Putze, Sanders, Singler: "Cache-, hash- and space-efficient
//! Bloom filters", 2007), which takes one and a half bits more for each print than the ideal. Unlike the usual filters it can be
//! changed by lists of added and removed prints.
//!
//! The format bounds what a liar can claim: a filter with so few bits that it would match more than one key in
//! 2^[`SPARE_BITS_MIN`] is refused.

use bincode::de::{BorrowDecoder, Decoder};
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Decode, Encode};

use crate::core::identity::BlockId;

/// Most prints in one filter: they fit one frame.
pub(in super::super) const PRINTS_MAX: usize = 32_768;
/// Least bits of a print beyond the logarithm of their number.
const SPARE_BITS_MIN: u32 = 6;
/// Bits of a print.
const PRINT_BITS: u32 = u32::BITS;

/// Up to [`PRINTS_MAX`] prints of keys. One of them matches a key that was not put in with a chance of 2^-bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryFilter {
    /// Upper bits of each print that are kept.
    bits: u32,
    /// In ascending order. Equal ones stand for several keys.
    prints: Vec<u32>,
}

/// The print of a block's id.
pub(in super::super) fn print_of(id: BlockId) -> u32 {
    (id.prefix() >> PRINT_BITS) as u32
}

/// A filter of whole prints, without any: the exact list from which others are made.
impl Default for InventoryFilter {
    fn default() -> Self {
        InventoryFilter { bits: PRINT_BITS, prints: Vec::new() }
    }
}

impl InventoryFilter {
    /// Adds a block, as its holder does. Returns whether there was room.
    pub fn add_id(&mut self, id: BlockId) -> bool {
        self.add(print_of(id))
    }

    /// The same prints with as few bits as a filter for others needs.
    pub fn condensed(&self) -> Self {
        let bits = bits_for(self.prints.len()).min(self.bits);
        let shift = self.bits - bits;
        InventoryFilter { bits, prints: self.prints.iter().map(|print| print >> shift).collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.prints.len()
    }

    /// Whether the key with this print may have been put in.
    pub(super) fn contains(&self, print: u32) -> bool {
        self.prints.binary_search(&self.cut(print)).is_ok()
    }

    /// Adds a key. Returns whether there was room.
    pub(super) fn add(&mut self, print: u32) -> bool {
        let print = self.cut(print);
        let at = self.prints.partition_point(|other| *other < print);
        let has_room = self.prints.len() < PRINTS_MAX;
        if has_room {
            self.prints.insert(at, print);
        }
        has_room
    }

    /// Removes a key that was added before. Returns whether it was there.
    pub(super) fn remove(&mut self, print: u32) -> bool {
        let at = self.prints.binary_search(&self.cut(print));
        at.map(|at| self.prints.remove(at)).is_ok()
    }

    /// Whether it has enough bits for its prints: a filter with fewer matches too many keys.
    pub(super) fn is_sparse(&self) -> bool {
        self.bits >= logarithm(self.prints.len()) + SPARE_BITS_MIN
    }

    /// The prints of the keys that it matches, as ranges with both bounds.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let spare = PRINT_BITS - self.bits;
        let rest = u32::MAX.checked_shr(self.bits).unwrap_or(0);
        self.prints.iter().map(move |print| {
            let first = print.checked_shl(spare).unwrap_or(0);
            (first, first | rest)
        })
    }

    fn cut(&self, print: u32) -> u32 {
        print.checked_shr(PRINT_BITS - self.bits).unwrap_or(0)
    }

    /// Bits of a quotient's remainder: the best Golomb parameter that is a power of two.
    fn remainder_bits(&self) -> u32 {
        self.bits.saturating_sub(logarithm(self.prints.len()))
    }

    /// Bytes on the wire, or a little more: quotients add up to less than twice the number of prints.
    pub(super) fn bytes_at_most(&self) -> usize {
        16 + self.prints.len() * (self.remainder_bits() as usize + 3) / 8
    }

    fn coded(&self) -> BitWriter {
        let remainder_bits = self.remainder_bits();
        let mut writer = BitWriter::default();
        let mut last = 0;
        for &print in &self.prints {
            let gap = print - last;
            last = print;
            (0..gap.checked_shr(remainder_bits).unwrap_or(0)).for_each(|_| writer.push(true));
            writer.push(false);
            (0..remainder_bits).rev().for_each(|bit| writer.push(gap >> bit & 1 == 1));
        }
        writer
    }

    fn from_code(bits: u32, count: usize, code: &[u8]) -> Option<Self> {
        let mut filter = InventoryFilter { bits, prints: vec![0; count] };
        let remainder_bits = filter.remainder_bits();
        let mut reader = BitReader { code, at: 0 };
        let mut last = 0u64;
        for index in 0..count {
            let mut gap = 0u64;
            while reader.next()? {
                gap += 1;
            }
            for _ in 0..remainder_bits {
                gap = gap << 1 | u64::from(reader.next()?);
            }
            last = last.checked_add(gap).filter(|&print| print >> bits == 0)?;
            filter.prints[index] = last as u32;
        }
        Some(filter)
    }
}

/// Bits of a print for so many of them: the more there are, the larger the filter, and the more a needless visit may cost.
fn bits_for(count: usize) -> u32 {
    let spare = match count {
        0..=256 => 14,
        257..=4_096 => 11,
        _ => 9,
    };
    // Room to grow by deltas, before the filter is published anew with more bits.
    (logarithm(count) + spare).min(PRINT_BITS)
}

/// Base two, rounded down.
fn logarithm(count: usize) -> u32 {
    count.max(1).ilog2()
}

#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    used: u32,
}

impl BitWriter {
    fn push(&mut self, bit: bool) {
        if self.used.is_multiple_of(8) {
            self.bytes.push(0);
        }
        let last = self.bytes.len() - 1;
        self.bytes[last] |= u8::from(bit) << (self.used % 8);
        self.used += 1;
    }
}

struct BitReader<'a> {
    code: &'a [u8],
    at: usize,
}

impl BitReader<'_> {
    fn next(&mut self) -> Option<bool> {
        let byte = self.code.get(self.at / 8)?;
        let bit = byte >> (self.at % 8) & 1 == 1;
        self.at += 1;
        Some(bit)
    }
}

impl Encode for InventoryFilter {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (self.bits as u8).encode(encoder)?;
        (self.prints.len() as u32).encode(encoder)?;
        self.coded().bytes.encode(encoder)
    }
}

impl<C> Decode<C> for InventoryFilter {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let bits = u32::from(u8::decode(decoder)?);
        let count = u32::decode(decoder)? as usize;
        let code = Vec::<u8>::decode(decoder)?;
        let refused = DecodeError::Other("an inventory that no honest node publishes");
        if bits > PRINT_BITS || count > PRINTS_MAX || bits < logarithm(count) + SPARE_BITS_MIN {
            return Err(refused);
        }
        InventoryFilter::from_code(bits, count, &code).ok_or(refused)
    }
}

impl<'de, C> BorrowDecode<'de, C> for InventoryFilter {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::core::random::child;
    use crate::core::wire;

    fn filled(count: usize, seed: u64) -> (Vec<u32>, InventoryFilter) {
        let mut random = child(seed, 0);
        let prints: Vec<u32> = (0..count).map(|_| random.random()).collect();
        let mut filter = InventoryFilter::default();
        prints.iter().for_each(|&print| assert!(filter.add(print)));
        (prints, filter)
    }

    #[test]
    fn what_was_put_in_is_found_and_little_else() {
        for count in [0, 1, 30, 1_000, 20_000] {
            let (prints, exact) = filled(count, 1);
            let filter = exact.condensed();
            assert!(prints.iter().all(|&print| filter.contains(print)));
            let mut random = child(2, 0);
            let false_hits = (0..100_000).filter(|_| filter.contains(random.random())).count();
            assert!(false_hits < 600, "{count} prints match {false_hits} of 100,000 other keys");
        }
    }

    #[test]
    fn the_wire_carries_it_in_few_bits() {
        for (count, bits_each) in [(30, 18.0), (1_000, 13.5), (20_000, 11.0)] {
            let filter = filled(count, 3).1.condensed();
            let bytes = wire::encode(&filter).unwrap();
            assert_eq!(wire::decode::<InventoryFilter>(&bytes).unwrap(), filter);
            let each = bytes.len() as f64 * 8.0 / count as f64;
            assert!(each < bits_each, "{count} prints take {each:.1} bits each");
        }
    }

    #[test]
    fn it_follows_what_is_added_and_removed() {
        let (prints, exact) = filled(100, 4);
        let mut filter = exact.condensed();
        let added = [7, 7, u32::MAX];
        assert!(added.iter().all(|&print| filter.add(print)));
        assert!(filter.remove(7));
        assert!(filter.contains(7), "one of two is left");
        assert!(filter.remove(7));
        prints.iter().for_each(|&print| assert!(filter.remove(print)));
        assert_eq!(filter.len(), 1);
        assert!(filter.contains(u32::MAX) && !filter.contains(7));
    }

    #[test]
    fn a_filter_that_claims_everything_is_refused() {
        for bits in [0, 5, 9] {
            let dense = InventoryFilter { bits, prints: (0..1 << bits).collect() };
            assert!(!dense.is_sparse());
            let bytes = wire::encode(&dense).unwrap();
            assert!(wire::decode::<InventoryFilter>(&bytes).is_err());
        }
    }

    #[test]
    fn a_code_that_ends_early_or_leaves_the_range_is_refused() {
        assert!(InventoryFilter::from_code(20, 4, &[0xff; 2]).is_none());
        assert!(InventoryFilter::from_code(8, 1, &[0xff; 64]).is_none());
    }
}
