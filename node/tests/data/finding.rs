//! What is there is found; what is not is said not to be.

use std::time::Duration;

use butter::core::identity::BlockId;
use butter::core::io::Command;
use butter::overlay::data::block::split;
use butter::overlay::data::{DataCommand, DataConfig, FoundValue, GetError, Retrieval, SearchTally};

use crate::net::{DELAY, Ended, Net, value};

const SECOND: Duration = Duration::from_secs(1);
/// Time in which a get finds the manifest of a value and some of its parts, but not all.
const DELAYS_TO_PARTS: Duration = Duration::from_millis(8 * DELAY.as_millis() as u64);
/// Strategies in which the asking node visits peers itself.
const ITERATIVE: [&str; 2] = ["auto", "bfs"];

impl Net {
    /// A get that asks every peer before it ends without success.
    pub(crate) fn get_exhaustively(&mut self, at: usize, id: BlockId) -> Result<FoundValue, GetError> {
        let command = self.command(at, Command::Overlay(DataCommand::Get { id, exhaustive: true }));
        match self.wait(command) {
            Ended::Got(result) => result,
            other => panic!("a get ended as {other:?}"),
        }
    }
}

fn net(retrieval: Retrieval, count: usize, seed: u64) -> Net {
    Net::joined(count, &DataConfig { retrieval, ..DataConfig::default() }, seed)
}

#[test]
fn every_strategy_finds_values_of_every_size() {
    for retrieval in Retrieval::all() {
        let mut net = net(retrieval, 40, 1);
        for (by, length) in [(3, 0), (4, 4_000), (5, 40_000), (6, 700_000)] {
            let stored = net.put(by, &value(by, length)).unwrap();
            let asker = (0..40).find(|asker| !net.holders(stored.id).contains(asker)).unwrap();
            let found =
                net.get(asker, stored.id).unwrap_or_else(|error| panic!("{retrieval:?}, {length} bytes: {error}"));
            assert_eq!(found.value, value(by, length));
            assert!((1..=8).contains(&found.hops), "{retrieval:?}: {} hops", found.hops);
            assert!(found.messages >= 1 || !ITERATIVE.contains(&retrieval.name()));
        }
    }
}

#[test]
fn what_this_node_holds_is_found_without_a_message() {
    let mut net = net(Retrieval::default(), 10, 2);
    let stored = net.put(3, &value(3, 30_000)).unwrap();
    let found = net.get(3, stored.id).unwrap();
    assert_eq!((found.hops, found.messages), (0, 0));
}

#[test]
fn what_nobody_has_is_not_found_before_the_deadline() {
    for retrieval in Retrieval::all() {
        let mut net = net(retrieval, 40, 3);
        let began = net.now;
        assert!(matches!(net.get(7, BlockId([1; 32])), Err(GetError::NotFound(_))), "{retrieval:?}");
        assert!(net.now.since(began) < SECOND * 5, "{retrieval:?}: {:?}", net.now.since(began));
        assert_eq!(net.node(7).overlay().stats().retrievals_not_found, 1);
    }
}

#[test]
fn node_without_neighbours_is_unsure_and_waits_for_some() {
    for retrieval in Retrieval::all() {
        let config = DataConfig { retrieval, replicas: 1, ..DataConfig::default() };
        let mut net = Net::joined(1, &config, 4);
        assert_eq!(net.get(0, BlockId([1; 32])), Err(GetError::Incomplete(SearchTally::default())), "{retrieval:?}");
        let get = net.begin_get(0, split(&value(1, 500))[0].0);
        net.run(SECOND * 2);
        let newcomer = net.start(&config);
        net.put(newcomer, &value(1, 500)).unwrap();
        let Ended::Got(found) = net.wait(get) else { panic!("a get ends as a get") };
        assert_eq!(found.unwrap().value, value(1, 500), "{retrieval:?}: found at a node that has come up meanwhile");
    }
}

#[test]
fn silent_holder_makes_a_get_incomplete_and_is_waited_for() {
    for retrieval in Retrieval::all() {
        let config = DataConfig { retrieval, replicas: 1, ..DataConfig::default() };
        let mut net = Net::joined(6, &config, 12);
        let stored = net.put(0, &value(1, 500)).unwrap();
        net.freeze(0, SECOND * 60);
        let began = net.now;
        let Err(GetError::Incomplete(tally)) = net.get(3, stored.id) else { panic!("{retrieval:?}: it is not sure") };
        assert_eq!(net.now.since(began), SECOND * 10, "{retrieval:?}: the whole deadline");
        assert!(tally.timed_out >= 1 && tally.unreachable == 0, "{retrieval:?}: {tally:?}");
        assert!(tally.answered >= 1, "{retrieval:?}: {tally:?}");
        net.freeze(0, SECOND * 7);
        let found = net.get(3, stored.id).unwrap_or_else(|error| panic!("{retrieval:?}: {error}"));
        assert_eq!(found.value, value(1, 500), "{retrieval:?}: the holder goes on before the deadline");
    }
}

#[test]
fn dead_holder_makes_a_get_incomplete() {
    // A random share may leave the dead holder out.
    for retrieval in Retrieval::all().filter(|retrieval| retrieval.name() != "rbfs") {
        let config = DataConfig { retrieval, replicas: 1, ..DataConfig::default() };
        let mut net = Net::joined(6, &config, 13);
        let stored = net.put(0, &value(1, 500)).unwrap();
        net.kill(0);
        let Err(GetError::Incomplete(tally)) = net.get(3, stored.id) else { panic!("{retrieval:?}: not sure") };
        assert!(tally.unreachable >= 1, "{retrieval:?}: {tally:?}");
    }
}

#[test]
fn holder_that_dies_or_stalls_in_mid_transfer_costs_no_get() {
    for (seed, stalls) in [(20, false), (21, true), (22, false), (23, true)] {
        let mut net = Net::joined(20, &DataConfig::default(), seed);
        let stored = net.put(4, &value(4, 900_000)).unwrap();
        let asker = (0..20).find(|asker| !net.holders(stored.id).contains(asker)).unwrap();
        let get = net.begin_get(asker, stored.id);
        net.run(DELAYS_TO_PARTS);
        for holder in net.holders(stored.id).into_iter().filter(|&holder| holder != asker).skip(1) {
            if stalls { net.freeze(holder, SECOND * 60) } else { net.kill(holder) }
        }
        let Ended::Got(found) = net.wait(get) else { panic!("a get ends as a get") };
        let found = found.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(found.value, value(4, 900_000));
    }
}

#[test]
fn iterative_search_asks_each_node_once_at_most() {
    for retrieval in ITERATIVE.map(|name| Retrieval::named(name).unwrap()) {
        let mut net = net(retrieval, 60, 5);
        assert!(matches!(net.get_exhaustively(7, BlockId([1; 32])), Err(GetError::NotFound(_))));
        let asked = net.sum(|stats| stats.retrieval_messages);
        assert_eq!(asked, 59, "{retrieval:?}");
    }
}

#[test]
fn dead_peers_do_not_stall_a_search() {
    for retrieval in ITERATIVE.map(|name| Retrieval::named(name).unwrap()) {
        for seed in 0..5 {
            let mut net = net(retrieval, 60, 60 + seed);
            let stored: Vec<_> = (0..10).map(|by| net.put(by, &value(by, 10_000)).unwrap()).collect();
            // A quarter dies silently, and no node has noticed when the search begins.
            (12..60).step_by(4).for_each(|at| net.kill(at));
            for stored in stored {
                let began = net.now;
                let found =
                    net.get(11, stored.id).unwrap_or_else(|error| panic!("{retrieval:?}, seed {seed}: {error}"));
                assert_eq!(found.value.0.len(), 10_000);
                // At most the pause for what was stored a moment ago, and a second of visits.
                assert!(net.now.since(began) < SECOND * 5, "{retrieval:?}: {:?}", net.now.since(began));
            }
        }
    }
}

#[test]
fn a_fresh_node_finds_everything() {
    let mut net = net(Retrieval::default(), 50, 7);
    let stored: Vec<_> = (0..50).map(|by| net.put(by, &value(by, 500)).unwrap()).collect();
    let fresh = net.start(&DataConfig::default());
    net.run(SECOND * 2);
    for (by, stored) in stored.iter().enumerate() {
        assert_eq!(net.get(fresh, stored.id).unwrap().value, value(by, 500));
    }
}

#[test]
fn expanding_ring_finds_a_near_block_with_fewer_messages_than_a_flood() {
    let messages = |name: &str| {
        let mut net = net(Retrieval::named(name).unwrap(), 60, 8);
        let stored = net.put(3, &value(3, 500)).unwrap();
        let holders = net.holders(stored.id);
        // The first ring has one hop, the second three: in so small a network that is nearly a flood.
        let holder_ids: Vec<_> = holders.iter().map(|&holder| net.id(holder)).collect();
        let is_near = |at: &usize| {
            !holders.contains(at) && net.node(*at).neighbours().any(|neighbour| holder_ids.contains(&neighbour))
        };
        let asker = (0..60).find(is_near).expect("a holder has neighbours");
        let before = net.sum(|stats| stats.retrieval_messages);
        net.get(asker, stored.id).unwrap_or_else(|error| panic!("{name}: {error}"));
        net.run(SECOND * 5);
        net.sum(|stats| stats.retrieval_messages) - before
    };
    let (ring, flood) = (messages("ring"), messages("flood"));
    assert!(ring * 2 < flood, "{ring} messages of the ring, {flood} of the flood");
}

#[test]
fn expanding_ring_grows_until_it_has_asked_everyone() {
    let mut net = net(Retrieval::named("ring").unwrap(), 60, 9);
    assert!(matches!(net.get(7, BlockId([1; 32])), Err(GetError::NotFound(_))));
    let one_ring = net.node(7).neighbours().count() as u64;
    let sent = net.node(7).overlay().stats().retrieval_messages;
    assert_eq!(sent, one_ring * 4, "rings of 1, 3, 5 and 7 hops, each sent to every neighbour");
}
