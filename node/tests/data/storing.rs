//! Stores that complete operations later, as disks do.

use std::time::Duration;

use butter::core::storage::StoreFault;
use butter::overlay::data::{DataConfig, PutError};

use crate::net::{Net, value};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn values_in_slow_stores_are_replicated_found_and_repaired() {
    let config = DataConfig::default();
    let mut net = Net::with_slow_stores(20, &config, 1);
    for length in [0, 4_000, 60_000] {
        let stored = net.put(3, &value(length, length)).unwrap();
        assert!(stored.blocks.iter().all(|&block| net.holders(block).len() == 3));
        for asker in [3, 7, 11] {
            assert_eq!(net.get(asker, stored.id).unwrap().value, value(length, length));
        }
        let victim = net.holders(stored.id).into_iter().find(|&holder| holder != 3).unwrap();
        net.kill(victim);
        let whole = |net: &Net| stored.blocks.iter().all(|&block| net.holders(block).len() == 3);
        let copies = |net: &Net| stored.blocks.iter().map(|&block| net.holders(block)).collect::<Vec<_>>();
        assert!(net.run_until(SECOND * 20, whole).is_some(), "{:?}", copies(&net));
    }
}

#[test]
fn flooded_query_is_answered_from_a_slow_store() {
    let retrieval = butter::overlay::data::Retrieval::named("flood").unwrap();
    let config = DataConfig { retrieval, ..DataConfig::default() };
    let mut net = Net::with_slow_stores(20, &config, 2);
    let stored = net.put(3, &value(1, 9_000)).unwrap();
    let asker = (0..20).find(|asker| !net.holders(stored.id).contains(asker)).unwrap();
    assert_eq!(net.get(asker, stored.id).unwrap().value, value(1, 9_000));
}

#[test]
fn put_whose_block_cannot_be_written_fails_and_stores_nothing() {
    let mut net = Net::with_slow_stores(6, &DataConfig::default(), 3);
    net.write_fails = true;
    assert_eq!(net.put(2, &value(2, 500)), Err(PutError::Storage(StoreFault::Failed)));
    assert_eq!(net.sum(|stats| stats.blocks), 0);
    assert_eq!(net.sum(|stats| stats.stored_bytes), 0);
}

#[test]
fn peers_whose_stores_fail_do_not_count_as_copies() {
    let mut net = Net::with_slow_stores(6, &DataConfig::default(), 4);
    let put = net.begin_put(2, &value(2, 500));
    net.run(Duration::from_millis(6));
    net.write_fails = true;
    let crate::net::Ended::Put(result) = net.wait(put) else { panic!("a put ends as a put") };
    let Err(PutError::TooFewCopies { shortage, .. }) = result else { panic!("{result:?}") };
    assert_eq!((shortage.copies, shortage.wanted, shortage.unanswered), (1, 3, 0));
    assert!(shortage.store_failed >= 2, "{shortage}");
}
