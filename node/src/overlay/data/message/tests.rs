//! Bounds of messages.

use super::super::block::BlockKind;
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
    let item = InvitedBlock { id: viewed.id, view: view(), founded: true, block: block.clone() };
    check_fits(&DataMessage::Invite { batch: u64::MAX, items: vec![item; BLOCKS_MAX], contacts: contacts.clone() });
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
