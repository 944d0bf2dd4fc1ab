//! Values are found by their keywords, and every copy keeps them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use butter::core::contact::Contact;
use butter::core::identity::{BlockId, NodeId};
use butter::core::io::{Command, CommandId};
use butter::core::random::child;
use butter::overlay::data::search::SearchPage;
use butter::overlay::data::{
    DataCommand, DataConfig, DataMessage, FinishedSearch, KeywordHit, Keywords, SearchQuery, SearchRefusal, SearchStop,
};
use rand::RngExt;

use crate::net::{Ended, Net, value};

const SECOND: Duration = Duration::from_secs(1);

fn words(list: &str) -> Keywords {
    Keywords::from_list(list).unwrap()
}

fn config() -> DataConfig {
    DataConfig { heartbeat: SECOND, ..DataConfig::default() }
}

impl Net {
    fn begin_put_with(&mut self, at: usize, seed: usize, length: usize, list: &str) -> CommandId {
        let (value, keywords) = (value(seed, length), words(list));
        self.command(at, Command::Overlay(DataCommand::Put { value, keywords }))
    }

    fn put_with(&mut self, at: usize, seed: usize, length: usize, list: &str) -> BlockId {
        let put = self.begin_put_with(at, seed, length, list);
        match self.wait(put) {
            Ended::Put(Ok(stored)) => stored.id,
            other => panic!("a put ended as {other:?}"),
        }
    }

    fn begin_search(&mut self, at: usize, query: &str, limit: usize, deadline: Duration) -> CommandId {
        let query = SearchQuery::parse(query).unwrap();
        self.command(at, Command::Overlay(DataCommand::Search { query, limit, deadline }))
    }

    fn searched(&mut self, search: CommandId) -> (Vec<KeywordHit>, Result<FinishedSearch, SearchRefusal>) {
        let ended = self.wait(search);
        let hits = self.hits.remove(&search).unwrap_or_default();
        match ended {
            Ended::Searched(end) => (hits, end),
            other => panic!("a search ended as {other:?}"),
        }
    }

    fn search(&mut self, at: usize, query: &str, limit: usize) -> (BTreeSet<BlockId>, FinishedSearch) {
        let search = self.begin_search(at, query, limit, SECOND * 10);
        let (hits, end) = self.searched(search);
        let ids: BTreeSet<BlockId> = hits.iter().map(|hit| hit.id).collect();
        let end = end.unwrap();
        assert_eq!((ids.len(), end.hits), (hits.len(), hits.len()), "no hit comes twice");
        (ids, end)
    }

    /// The keywords of each copy of a block.
    fn keywords_of(&self, id: BlockId) -> Vec<Keywords> {
        let copies = self.holders(id).into_iter();
        copies.map(|at| self.node(at).overlay().keywords_of(id).cloned().unwrap_or_default()).collect()
    }
}

#[test]
fn queries_find_what_they_say_at_every_node() {
    let mut net = Net::joined(12, &config(), 1);
    let short = net.put_with(0, 1, 500, "rust, nat");
    let long = net.put_with(3, 2, 50_000, "Rust, draft");
    let other = net.put_with(5, 3, 500, "go, nat");
    let plain = net.put(6, &value(4, 500)).unwrap().id;
    for at in 0..12 {
        let cases: [(&str, &[BlockId]); 6] = [
            ("rust", &[short, long]),
            ("rust nat", &[short]),
            ("nat AND (rust OR go)", &[short, other]),
            ("rust NOT draft", &[short]),
            ("RUST OR go", &[short, long, other]),
            ("zig", &[]),
        ];
        for (query, wanted) in cases {
            let (found, end) = net.search(at, query, 100);
            assert_eq!(found, wanted.iter().copied().collect(), "{query} at {at}");
            assert_eq!(
                (end.stop, end.tally.is_complete()),
                (SearchStop::AllAnswered, true),
                "{query} at {at}: {end:?}"
            );
        }
    }
    assert_eq!(net.keywords_of(long), vec![words("draft, rust"); 3]);
    assert!(net.keywords_of(plain).iter().all(Keywords::is_empty));
    let (found, end) = net.search(7, "rust OR go", 2);
    assert_eq!((found.len(), end.stop), (2, SearchStop::Limit));
}

#[test]
fn bounds_beyond_the_allowed_are_refused() {
    let mut net = Net::joined(2, &config(), 1);
    for (limit, time, wanted) in [
        (0, SECOND, SearchRefusal::Limit(0)),
        (10_001, SECOND, SearchRefusal::Limit(10_001)),
        (1, Duration::ZERO, SearchRefusal::Time(Duration::ZERO)),
        (1, SECOND * 61, SearchRefusal::Time(SECOND * 61)),
    ] {
        let search = net.begin_search(0, "a", limit, time);
        assert_eq!(net.searched(search).1, Err(wanted));
    }
}

#[test]
fn many_hits_of_few_holders_come_page_by_page() {
    let mut net = Net::joined(4, &config(), 2);
    let puts: Vec<CommandId> = (0..300).map(|seed| net.begin_put_with(seed % 4, seed, 100, "many")).collect();
    let stored = puts.into_iter().filter(|&put| matches!(net.wait(put), Ended::Put(Ok(_)))).count();
    assert_eq!(stored, 300);
    let newcomer = net.start(&config());
    net.run(SECOND * 5);
    let (found, end) = net.search(newcomer, "many", 1_000);
    assert_eq!((found.len(), end.stop), (300, SearchStop::AllAnswered));
}

/// In a network that is not searched as a whole, inventories lead to the holders.
#[test]
fn large_network_is_searched_by_inventories() {
    let mut net = Net::joined(200, &config(), 3);
    let rare: Vec<BlockId> = (0..5).map(|seed| net.put_with(seed * 31, seed, 300, "rare, word")).collect();
    let puts: Vec<CommandId> = (0..100).map(|seed| net.begin_put_with(seed, 100 + seed, 300, "word")).collect();
    for put in puts {
        net.wait(put);
    }
    net.run(SECOND * 60);
    for at in [0, 77, 140, 199] {
        let (found, end) = net.search(at, "rare AND word", 1_000);
        assert_eq!(found, rare.iter().copied().collect(), "at {at}: {end:?}");
        assert_eq!(end.stop, SearchStop::EnoughSeen, "at {at}: {end:?}");
        assert!(end.messages < 150, "at {at}: {end:?}");
        let (found, end) = net.search(at, "word", 1_000);
        assert!(found.len() == 105, "at {at}: {} hits, {end:?}", found.len());
    }
}

/// Nodes die and are replaced while others search. What was acknowledged is found, and nothing else.
#[test]
fn searches_find_nearly_all_during_churn() {
    let (mut wanted_all, mut found_all) = (0, 0);
    for seed in 0..3 {
        let mut net = Net::joined(40, &config(), seed);
        let of = |item: usize| format!("all, mod{}, mod{}", item % 5, 5 + item % 7);
        let items: Vec<BlockId> = (0..40).map(|item| net.put_with(item, item, 1_000, &of(item))).collect();
        let matching = |query: &SearchQuery| -> BTreeSet<BlockId> {
            let is_match = |item: &usize| query.matches(&words(&of(*item)));
            (0..40).filter(is_match).map(|item| items[item]).collect()
        };
        let mut random = child(seed, 5);
        for round in 0..20 {
            let dying: Vec<usize> = net.live().filter(|_| random.random_bool(0.01)).collect();
            for at in dying {
                net.kill(at);
                net.start(&config());
            }
            let live: Vec<usize> = net.live().filter(|&at| net.node(at).neighbours().count() > 2).collect();
            let at = live[random.random_range(0..live.len() as u64) as usize];
            let query = format!("all AND mod{} OR mod{} NOT mod{}", round % 5, 5 + round % 7, (round + 1) % 5);
            let search = net.begin_search(at, &query, 100, SECOND * 10);
            let (hits, end) = net.searched(search);
            let Ok(end) = end else { panic!("{end:?}") };
            let (found, wanted) = (hits.iter().map(|hit| hit.id).collect(), matching(&query.parse().unwrap()));
            let found: BTreeSet<BlockId> = found;
            assert!(found.is_subset(&wanted), "seed {seed}, {query}: {end:?}");
            wanted_all += wanted.len();
            found_all += found.len();
        }
    }
    assert!(found_all * 100 >= wanted_all * 99, "{found_all} of {wanted_all}");
}

#[test]
fn repair_and_handover_keep_keywords() {
    let mut net = Net::joined(12, &config(), 4);
    let id = net.put_with(0, 1, 500, "kept, rust");
    net.run(SECOND * 3);
    for _ in 0..4 {
        let holders = net.holders(id);
        net.kill(holders[0]);
        net.start(&config());
        assert!(net.run_until(SECOND * 20, |net| net.holders(id).len() == 3).is_some(), "repaired");
        net.leave(holders[1]);
        net.start(&config());
        assert!(net.run_until(SECOND * 20, |net| net.holders(id).len() == 3).is_some(), "handed over");
        assert_eq!(net.keywords_of(id), vec![words("kept, rust"); 3]);
    }
    let at = net.live().next().unwrap();
    assert_eq!(net.search(at, "kept", 10).0, BTreeSet::from([id]));
}

#[test]
fn restart_with_a_disk_keeps_keywords() {
    let mut net = Net::with_slow_stores(8, &config(), 5);
    let ids: Vec<BlockId> = (0..8).map(|at| net.put_with(at, at, 9_000, &format!("all, w{at}"))).collect();
    net.run(SECOND * 3);
    // What came later is noted as well.
    let again = net.put_with(1, 0, 9_000, "late");
    assert_eq!(again, ids[0]);
    net.run(SECOND * 3);
    (0..8).for_each(|at| net.kill(at));
    net.run(SECOND);
    (0..8).for_each(|at| net.come_back(at, &config()));
    net.run(SECOND * 20);
    assert_eq!(net.search(3, "all", 100).0, ids.iter().copied().collect());
    assert_eq!(net.search(4, "w0 late", 100).0, BTreeSet::from([ids[0]]));
    let held = net.keywords_of(ids[0]);
    assert!(held.iter().all(|held| *held == words("all, late, w0")), "{held:?}");
}

/// The same bytes have the same id, whatever they are called: a later put adds its keywords to every copy of its group.
#[test]
fn later_put_adds_its_keywords_to_every_copy() {
    (0..12).for_each(later_put_adds_its_keywords);
}

fn later_put_adds_its_keywords(seed: u64) {
    let mut net = Net::joined(10, &config(), seed);
    let id = net.put_with(0, 1, 500, "first");
    net.run(SECOND * 3);
    let holder = net.holders(id)[1];
    assert_eq!(net.put_with(holder, 1, 500, "second"), id);
    net.run(SECOND * 3);
    assert_eq!(net.keywords_of(id), vec![words("first, second"); 3], "seed {seed}");
    let stranger = net.live().find(|at| !net.holders(id).contains(at)).unwrap();
    assert_eq!(net.put_with(stranger, 1, 500, "third"), id);
    net.run(SECOND * 3);
    for word in ["first", "second", "third"] {
        assert_eq!(net.search(7, word, 10).0, BTreeSet::from([id]), "{word}, seed {seed}");
    }
}

/// A stranger cannot describe what it has not shown, and no one takes keywords away.
#[test]
fn strangers_do_not_describe_blocks_of_others() {
    let mut net = Net::joined(8, &config(), 7);
    let id = net.put_with(0, 1, 500, "mine");
    net.run(SECOND * 3);
    let holders = net.holders(id);
    let liar = net.live().find(|at| !holders.contains(at)).unwrap();
    for &holder in &holders {
        let blocks = vec![KeywordHit { id, keywords: words("spam") }];
        net.inject(liar, holder, DataMessage::Describe { blocks });
    }
    net.run(SECOND * 5);
    assert_eq!(net.keywords_of(id), vec![words("mine"); 3]);
}

/// What does not match by its own keywords, was not asked for, or has keywords that are none, is dropped.
#[test]
fn hits_of_liars_are_dropped() {
    let mut net = Net::joined(8, &config(), 8);
    let id = net.put_with(1, 1, 500, "wanted");
    net.run(SECOND * 3);
    let search = net.begin_search(7, "wanted NOT spam", 100, SECOND * 10);
    let lie = |seed: u8, list: &str| KeywordHit { id: BlockId([seed; 32]), keywords: words(list) };
    for from in 0..7 {
        for number in 0..20 {
            let hits = vec![lie(1, "other"), lie(2, "wanted, spam"), lie(3, "")];
            let (hosts, holders) = (Vec::new(), Vec::new());
            let page = SearchPage { hits, more: None, hosts, holders, inventories: 9 }.into();
            net.inject(from, 7, DataMessage::SearchReply { search: number, page });
        }
    }
    let (hits, end) = net.searched(search);
    assert!(hits.iter().all(|hit| hit.id == id), "{hits:?}, {end:?}");
    assert!(net.node(7).overlay().stats().search_hits_refused >= 3, "the lies were looked at");
    // A query that is none, or longer than allowed, is not answered and does no harm.
    for query in ["NOT a".to_owned(), "((((".to_owned(), "x".repeat(600), String::new()] {
        net.inject(0, 1, DataMessage::Search { search: 1, query, after: None, hits: 9, hosts: true });
    }
    net.run(SECOND);
    assert_eq!(net.search(2, "wanted", 9).0, BTreeSet::from([id]));
}

/// One peer that answers with endless pages neither keeps a search going nor crowds out the others.
#[test]
fn endless_pages_end() {
    let mut net = Net::joined(6, &config(), 9);
    let id = net.put_with(1, 1, 500, "wanted");
    net.run(SECOND * 3);
    let search = net.begin_search(5, "wanted", 5_000, SECOND * 10);
    for page in 0..2_000_u32 {
        let made_up = |at: u32| {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&(page * 64 + at).to_be_bytes());
            BlockId(id)
        };
        let hits: Vec<KeywordHit> =
            (0..64).map(|at| KeywordHit { id: made_up(at), keywords: words("wanted") }).collect();
        let more = hits.last().map(|hit| hit.id);
        for number in [u64::from(page) + 1, u64::from(page) + 2] {
            let (hosts, holders, hits) = (Vec::new(), Vec::new(), hits.clone());
            let page = SearchPage { hits, more, hosts, holders, inventories: 9 }.into();
            net.inject(0, 5, DataMessage::SearchReply { search: number, page });
        }
    }
    let (hits, end) = net.searched(search);
    assert!(hits.iter().any(|hit| hit.id == id), "the honest hit is there: {end:?}");
    assert!(hits.len() <= 64 * 64 + 1, "{} hits, {end:?}", hits.len());
}

/// Peers that name holders which do not exist keep a search neither from what is there nor from its end.
#[test]
fn made_up_holders_do_not_keep_a_search() {
    let mut net = Net::joined(20, &config(), 10);
    let id = net.put_with(1, 1, 500, "wanted");
    net.run(SECOND * 3);
    let search = net.begin_search(7, "wanted", 100, SECOND * 30);
    for from in (0..20).filter(|&from| from != 7) {
        for number in 0..20 {
            let made_up = |at: u8| {
                let seed = (from * 20) as u8 ^ number as u8;
                Contact::at(NodeId([seed; 32].map(|byte: u8| byte ^ at)), SocketAddr::from(([10, 9, seed, at], 9)))
            };
            let (hits, hosts, holders) = (Vec::new(), Vec::new(), (1..=12).map(made_up).collect());
            let page = SearchPage { hits, more: None, hosts, holders, inventories: u16::MAX }.into();
            net.inject(from, 7, DataMessage::SearchReply { search: number, page });
        }
    }
    let (hits, end) = net.searched(search);
    let end = end.unwrap();
    assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), [id], "{end:?}");
    assert!(!end.is_complete() && end.tally.unreachable > 0, "{end:?}");
}
