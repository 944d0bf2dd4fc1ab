//! The promise of the wire: what was sent is what is received, and hostile bytes do nothing but an error.

use std::net::SocketAddr;

use butter::core::blob::Blob;
use butter::core::contact::{AmbassadorAddress, Contact, ContactAddresses, Quality};
use butter::core::identity::NodeId;
use butter::core::message::{Announcement, MembershipMessage, Message, Refusal, RendezvousMessage};
use butter::core::wire::{self, FRAME_MAX, WireError};
use butter::overlay::data::DataMessage;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

type Msg = Message<DataMessage>;

fn node_id() -> impl Strategy<Value = NodeId> {
    any::<[u8; 32]>().prop_map(NodeId)
}

fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![any::<([u8; 4], u16)>().prop_map(SocketAddr::from), any::<([u16; 8], u16)>().prop_map(SocketAddr::from),]
}

fn contact() -> impl Strategy<Value = Contact> {
    let via = option::of((node_id(), address()).prop_map(|(id, address)| AmbassadorAddress { id, address }));
    let quality = any::<(u32, u32, u16)>().prop_map(|(uptime_s, storage_free_kib, hosts)| Quality {
        uptime_s,
        storage_free_kib,
        hosts,
    });
    let external_address = (option::of(address()), option::of(address()));
    (node_id(), vec(address(), 0..4), external_address, via, any::<bool>(), quality).prop_map(
        |(id, local, (external_address, mapped), via, ambassador, quality)| Contact {
            id,
            addresses: ContactAddresses { local, external_address, mapped, via }.into(),
            ambassador,
            quality,
        },
    )
}

fn message() -> impl Strategy<Value = Msg> {
    let body = vec(any::<u8>(), 0..5_000).prop_map(Blob::from);
    let refusal = prop_oneof![Just(Refusal::NoSuchRoute), Just(Refusal::Failed), Just(Refusal::Busy)];
    prop_oneof![
        contact().prop_map(|contact| Message::Membership(MembershipMessage::Join(contact))),
        (contact(), any::<u8>())
            .prop_map(|(newcomer, ttl)| Message::Membership(MembershipMessage::ForwardJoin { newcomer, ttl })),
        (any::<(u64, u8)>(), contact(), vec(contact(), 0..8)).prop_map(|((walk, ttl), contact, sample)| {
            Message::Membership(MembershipMessage::Shuffle { walk, ttl, contact, sample })
        }),
        (contact(), option::of(address()))
            .prop_map(|(contact, seen)| Message::Rendezvous(RendezvousMessage::Hello { contact, seen })),
        node_id().prop_map(|peer| Message::Rendezvous(RendezvousMessage::Introduce { peer })),
        (any::<u64>(), ".{0,60}", body.clone()).prop_map(|(request, route, body)| Message::Ask {
            request,
            route,
            body
        }),
        (any::<u64>(), body).prop_map(|(request, body)| Message::Answer { request, result: Ok(body) }),
        (any::<u64>(), refusal).prop_map(|(request, refusal)| Message::Answer { request, result: Err(refusal) }),
    ]
}

proptest! {
    #[test]
    fn what_was_sent_is_what_is_received(message in message()) {
        let frame = wire::encode(&message).unwrap();
        prop_assert_eq!(frame.len(), wire::encoded_len(&message).unwrap());
        prop_assert_eq!(wire::decode::<Msg>(&frame).expect("own frame"), message);
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in vec(any::<u8>(), 0..2_000)) {
        let _ = wire::decode::<Msg>(&bytes);
        let _ = wire::decode::<Announcement>(&bytes);
    }

    #[test]
    fn a_damaged_frame_does_no_harm(message in message(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut frame = wire::encode(&message).unwrap();
        let at = at.index(frame.len());
        frame[at] ^= 1_u8 << bit;
        let _ = wire::decode::<Msg>(&frame);
        prop_assert!(wire::decode::<Msg>(&frame[..at]).is_err(), "a cut frame is refused");
    }

    #[test]
    fn nothing_may_follow_a_message(message in message(), more in vec(any::<u8>(), 1..9)) {
        let mut frame = wire::encode(&message).unwrap();
        frame.extend(&more);
        let error = wire::decode::<Msg>(&frame).expect_err("there is more");
        prop_assert!(matches!(error, WireError::Trailing(count) if count == more.len()), "{error}");
    }
}

#[test]
fn a_length_that_lies_allocates_nothing() {
    // An answer whose body claims 2^40 bytes: refused by the limit, not by running out of memory.
    let mut frame = vec![wire::VERSION, 3, 1, 0];
    frame.extend([253]);
    frame.extend((1_u64 << 40).to_le_bytes());
    assert!(matches!(wire::decode::<Msg>(&frame), Err(WireError::Malformed(_))));
}

#[test]
fn message_that_is_too_long_for_a_frame_is_an_error_and_no_panic() {
    let body = |length: usize| Message::<Blob>::Overlay(Blob::from(vec![7; length]));
    let overhead = wire::encoded_len(&body(FRAME_MAX - 100)).unwrap() - (FRAME_MAX - 100);
    assert_eq!(wire::encode(&body(FRAME_MAX - overhead)).unwrap().len(), FRAME_MAX);
    let long = body(FRAME_MAX - overhead + 1);
    assert!(matches!(wire::encode(&long), Err(WireError::TooLong(length)) if length == FRAME_MAX + 1));
    assert!(matches!(wire::encoded_len(&long), Err(WireError::TooLong(_))));
}

#[test]
fn other_versions_and_lengths_are_named() {
    assert!(matches!(wire::decode::<Msg>(&[]), Err(WireError::Empty)));
    assert!(matches!(wire::decode::<Msg>(&[200, 1]), Err(WireError::Version(200))));
    assert!(matches!(wire::decode::<Msg>(&vec![1; FRAME_MAX + 1]), Err(WireError::TooLong(_))));
}
