//! Bounds of messages.

use proptest::prelude::*;

use super::super::block::BlockKind;
use super::super::keywords::{KEYWORD_BYTES_MAX, KEYWORDS_MAX, Keywords};
use super::super::view::MEMBERS_MAX;
use super::*;
use crate::core::blob::Blob;
use crate::core::contact::{ADDRESSES_MAX, AmbassadorAddress, ContactAddresses, Quality};
use crate::core::wire;

/// As large as a view, an id and a contact can be on the wire.
fn view() -> GroupView {
    GroupView::new(u64::MAX >> 8, (0..MEMBERS_MAX as u8).map(|i| NodeId([i; 32])))
}

fn contact() -> Contact {
    let address = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
    let via = Some(AmbassadorAddress { id: NodeId([9; 32]), address });
    let quality = Quality { uptime_s: u32::MAX, storage_free_kib: u32::MAX, hosts: u16::MAX };
    let local = vec![address; ADDRESSES_MAX];
    let addresses = ContactAddresses { local, external_address: Some(address), mapped: Some(address), via }.into();
    Contact { id: NodeId([8; 32]), addresses, ambassador: true, quality }
}

/// As many keywords as there may be, of so many bytes each.
fn keywords(count: usize, bytes: usize) -> Keywords {
    Keywords::new((0..count).map(|number| format!("{number:0>bytes$}"))).unwrap()
}

fn check_fits(message: &DataMessage) {
    assert!(message.is_bounded());
    // The core's envelope around it is a variant's number: leave it 16 bytes.
    let length = wire::encoded_len(message).unwrap() + 16;
    assert!(length <= wire::FRAME_MAX, "{length} bytes");
    assert_eq!(&wire::decode::<DataMessage>(&wire::encode(message).unwrap()).unwrap(), message);
}

#[test]
fn the_largest_messages_fit_a_frame() {
    let block = Block { kind: BlockKind::Part, bytes: Blob::from(vec![1; BLOCK_MAX]) };
    let viewed = BlockGroup { id: BlockId([7; 32]), view: view() };
    let contacts = vec![contact(); CONTACTS_MAX];
    let item = InvitedBlock {
        id: viewed.id,
        view: view(),
        founded: true,
        block: block.clone(),
        keywords: Keywords::default(),
    };
    let invite = |keywords: Keywords, count| {
        let items = vec![InvitedBlock { keywords, ..item.clone() }; count];
        DataMessage::Invite { batch: u64::MAX, items, contacts: contacts.clone() }
    };
    check_fits(&invite(Keywords::default(), BLOCKS_MAX));
    check_fits(&invite(keywords(15, 16), BLOCKS_MAX));
    let long = keywords(KEYWORDS_MAX, KEYWORD_BYTES_MAX);
    check_fits(&invite(long.clone(), BLOCKS_MAX / 2));
    assert!(!invite(long.clone(), BLOCKS_MAX / 2 + 1).is_bounded());
    let hit = |long: bool| KeywordHit {
        id: BlockId([9; 32]),
        keywords: keywords(KEYWORDS_MAX, if long { KEYWORD_BYTES_MAX } else { 16 }),
    };
    let reply = |hits: Vec<KeywordHit>| {
        let (hosts, holders, more) = (contacts.clone(), Vec::new(), Some(BlockId([9; 32])));
        let page = SearchPage { hits, more, hosts, holders, inventories: u16::MAX }.into();
        DataMessage::SearchReply { search: u64::MAX, page }
    };
    check_fits(&reply(vec![hit(false); HITS_MAX]));
    assert!(!reply(vec![hit(true); HITS_MAX]).is_bounded());
    check_fits(&reply(vec![hit(true); 20]));
    check_fits(&DataMessage::Describe { blocks: vec![hit(false); HITS_MAX] });
    let query = "x".repeat(QUERY_BYTES_MAX);
    check_fits(&DataMessage::Search {
        search: 1,
        query,
        after: Some(BlockId([9; 32])),
        hits: HITS_MAX as u8,
        hosts: true,
    });
    check_fits(&DataMessage::Views { views: vec![viewed.clone(); VIEWS_MAX], contacts: contacts.clone() });
    let lost = vec![viewed.id; VIEWS_MAX];
    check_fits(&DataMessage::SyncReply { views: vec![viewed; VIEWS_MAX], lost });
    let blocks = vec![block; BLOCKS_MAX];
    let (hosts, holders) = (contacts.clone(), Vec::new());
    check_fits(&DataMessage::FindReply { query: u64::MAX, blocks, hosts, holders, inventories: u16::MAX });
}

#[test]
fn what_is_beyond_a_bound_is_refused() {
    let block = Block { kind: BlockKind::Part, bytes: Blob::from(vec![1; BLOCK_MAX + 1]) };
    assert!(!DataMessage::FloodReply { query: 1, block, hops: 1, holder: Box::new(contact()) }.is_bounded());
    assert!(
        !DataMessage::Find { query: 1, ids: vec![BlockId([0; 32]); BLOCKS_MAX + 1], hosts: true, reach: 0 }
            .is_bounded()
    );
    let mut unsorted: Vec<BlockGroup> = [2, 1].map(|i| BlockGroup { id: BlockId([i; 32]), view: view() }).into();
    let sync = |views| DataMessage::Sync { from: BlockId([0; 32]), to: BlockId([255; 32]), views };
    assert!(!sync(unsorted.clone()).is_bounded());
    unsorted.reverse();
    assert!(sync(unsorted).is_bounded());
    let id = |seed| BlockId([seed; 32]);
    let ranges = |bounds: &[(u8, u8)]| DataMessage::Ranges {
        ranges: bounds
            .iter()
            .map(|&(from, to)| RangeDigest { from: id(from), to: id(to), count: 1, digest: 1 })
            .collect(),
    };
    assert!(ranges(&[(1, 1), (2, 5)]).is_bounded());
    for bad in [&[(1, 2), (2, 5)][..], &[(2, 1)], &[(3, 4), (1, 2)], &[(0, 0); RANGES_MAX + 1]] {
        assert!(!ranges(bad).is_bounded(), "{bad:?}");
    }
}

#[test]
fn pushed_block_without_keywords_takes_no_byte_for_them() {
    let block = Block { kind: BlockKind::Part, bytes: Blob::from(vec![1; 100]) };
    let item = InvitedBlock { id: block.id(), view: view(), founded: true, block, keywords: Keywords::default() };
    let alone = wire::encoded_len(&(&item.id, &item.view, true, &item.block)).unwrap();
    assert_eq!(wire::encoded_len(&item).unwrap(), alone);
    assert!(wire::encoded_len(&InvitedBlock { keywords: keywords(1, 8), ..item }).unwrap() > alone);
}

#[test]
fn hit_with_keywords_that_are_none_is_left_out() {
    let good = KeywordHit { id: BlockId([1; 32]), keywords: keywords(2, 3) };
    // As on the wire: an id, then two words in the wrong order.
    let bytes = wire::encode(&(BlockId([2; 32]), ["b", "a"].map(str::to_owned).to_vec())).unwrap();
    let bad: KeywordHit = wire::decode(&bytes).unwrap();
    let mut message = DataMessage::Describe { blocks: vec![bad, good.clone()] };
    message.remove_invalid_items();
    assert_eq!(message, DataMessage::Describe { blocks: vec![good] });
}

proptest! {
    #[test]
    fn what_is_said_of_keywords_comes_back(
        (search, hits, hosts) in (any::<u64>(), 0..=HITS_MAX as u8, any::<bool>()),
        after in proptest::option::of(any::<[u8; 32]>()),
        words in proptest::collection::vec(proptest::collection::vec("[a-zß ]{1,12}z", 0..16), 0..8),
        founded: bool,
    ) {
        let after = after.map(BlockId);
        let described: Vec<KeywordHit> = words
            .iter()
            .map(|words| KeywordHit { id: BlockId([7; 32]), keywords: Keywords::new(words).unwrap() })
            .collect();
        let block = Block { kind: BlockKind::Part, bytes: Blob::from(vec![1; 10]) };
        let pushed = |hit: &KeywordHit| {
            let (id, keywords) = (block.id(), hit.keywords.clone());
            InvitedBlock { id, view: view(), founded, block: block.clone(), keywords }
        };
        let items = described.iter().map(pushed).collect();
        check_fits(&DataMessage::Invite { batch: 1, items, contacts: Vec::new() });
        let query = "rust".to_owned();
        check_fits(&DataMessage::Search { search, query, after, hits, hosts });
        let (hosts, holders) = (vec![contact()], vec![contact()]);
        let hits = described.clone();
        let page = SearchPage { hits, more: after, hosts, holders, inventories: 3 }.into();
        check_fits(&DataMessage::SearchReply { search, page });
        check_fits(&DataMessage::Describe { blocks: described });
    }
}

#[test]
fn messages_of_keywords_do_not_make_others_grow() {
    assert!(size_of::<DataMessage>() <= 96, "{} bytes", size_of::<DataMessage>());
}
