//! The promise of the simulated network: links come up, carry and go down as QUIC's do through the NATs and links of a plan.
//! One file per part of it:
//!
//! - [`dials`]: how links come up.
//! - [`carried`]: what arrives over them, and when.
//! - [`ends`]: how they end.
//! - [`relay`]: through an ambassador.
//! - [`changes`]: over NATs that forget, and links that change.

mod carried;
mod changes;
mod dials;
mod ends;
mod relay;
mod world;
