//! Whatever a datagram or a frame holds is a message or refused; what is a message survives being written.

#![no_main]

use butter::core::message::{Announcement, Message};
use butter::core::probe::Probe;
use butter::core::wire;
use butter::overlay::data::block::Manifest;
use butter::overlay::data::message::DataMessage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    survives::<Message<DataMessage>>(bytes);
    survives::<Announcement>(bytes);
    if let Some(probe) = Probe::decode(bytes) {
        assert_eq!(Probe::decode(&probe.encode()), Some(probe));
    }
    if let Ok(manifest) = Manifest::decode(bytes) {
        let under: u64 = (0..manifest.ids.len()).map(|index| manifest.length_of(index)).sum();
        assert_eq!(under, manifest.length);
    }
});

/// There may be several ways to write a number, but only one in which it is written here.
fn survives<T: bincode::Decode<()> + bincode::Encode>(bytes: &[u8]) {
    let Ok(message) = wire::decode::<T>(bytes) else { return };
    let written = wire::encode(&message).expect("what was read can be written");
    assert_eq!(wire::encoded_len(&message).ok(), Some(written.len()));
    let again: T = wire::decode(&written).expect("what is written here can be read");
    assert_eq!(wire::encode(&again).ok(), Some(written));
}
