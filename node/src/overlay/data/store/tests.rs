//! Room of a store, and the accounts of the peers that fill it.

use proptest::prelude::*;

use super::*;

fn id(seed: u8) -> BlockId {
    BlockId([seed; 32])
}

fn bringer(peer: u8, founded: bool) -> BlockBringer {
    BlockBringer { peer: NodeId([peer; 32]), founded }
}

/// Stores blocks of one peer until there is no room for another. Returns how many.
fn fill(store: &mut Store, first: u32, bringer: BlockBringer) -> u32 {
    let id = |seed: u32| BlockId(std::array::from_fn(|at| seed.to_be_bytes()[at % 4]));
    (first..).find(|&seed| !store.reserve(id(seed), (488, &Keywords::default()), bringer)).expect("a store has a limit")
        - first
}

#[test]
fn one_peer_uses_most_of_a_store_and_leaves_room_for_others() {
    let mut store = Store::new(1_000_000);
    let greedy = fill(&mut store, 0, bringer(1, true));
    assert!((900..960).contains(&greedy), "{greedy} of 1,000 blocks");
    let second = fill(&mut store, greedy, bringer(2, true));
    let repaired = fill(&mut store, greedy + second, bringer(1, false));
    assert!(second > 10 && repaired > 10, "{greedy} {second} {repaired}");
    assert!(store.has_room(10_000) && !store.has_room(60_000) && store.has_transit_room(60_000));
}

proptest! {
    #[test]
    fn bytes_are_counted_exactly(steps in proptest::collection::vec((0u8..12, 0u8..4, any::<bool>()), 0..80)) {
        let mut store = Store::new(6_000);
        let keywords = Keywords::new(["nat", "rust"]).unwrap();
        for (seed, peer, add) in steps {
            if add {
                let words = if seed % 3 == 0 { &keywords } else { &Keywords::default() };
                store.reserve(id(seed), (100 * usize::from(seed), words), bringer(peer, seed % 2 == 0));
            } else {
                store.release(id(seed));
            }
            let cost = |(id, entry): (&BlockId, &IndexEntry)| {
                StoreCosts::default().of(entry.len) + store.described.of(*id).map_or(0, Keywords::bytes) as u64
            };
            prop_assert_eq!(store.used, store.blocks.iter().map(cost).sum::<u64>());
            prop_assert!(store.used <= store.limit);
            for (bringer, bytes) in &store.by_bringer {
                let counted = store.blocks.iter().filter(|(_, entry)| entry.bringer == Some(*bringer));
                prop_assert_eq!(*bytes, counted.map(cost).sum::<u64>());
            }
        }
    }
}
