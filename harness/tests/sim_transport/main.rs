//! The promise of the simulated network: links come up, carry and go down as QUIC's do through the NATs and links of a plan.
//! One file per part of it:
//!
//! - [`dials`](message::dials): how links come up.
//! - [`carried`](message::carried): what arrives over them, and when.
//! - [`ends`](message::ends): how they end.
//! - [`relay`](message::relay): through an ambassador.
//! - [`changes`](message::changes): over NATs that forget, and links that change.
//! - [`quic`](packet::quic): what only QUIC itself shows.
//!
//! Each holds with either fidelity. Where the model differs from QUIC, the test says by how much.

#![allow(clippy::duplicate_mod, reason = "both fidelities keep the same promises")]

/// With the model of QUIC.
#[path = "."]
mod message {
    use butter_harness::plan::FidelityChoice;

    pub(crate) const FIDELITY: FidelityChoice = FidelityChoice::Message;

    mod carried;
    mod changes;
    mod dials;
    mod ends;
    mod relay;
    mod world;
}

/// With QUIC itself.
#[path = "."]
mod packet {
    use butter_harness::plan::FidelityChoice;

    pub(crate) const FIDELITY: FidelityChoice = FidelityChoice::Packet;

    mod carried;
    mod changes;
    mod dials;
    mod ends;
    mod quic;
    mod relay;
    mod world;
}
