//! The deterministic simulator: many nodes and the networks between them, on a virtual clock.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`engine`] | plays [`butter::core::NodeCore`]s: hands them what arrives, does what they ask for, wakes them |
//! | [`data_engine`] | the same for the default overlay, compiled here |
//! | [`transport`] | links between nodes as QUIC makes them: handshakes, messages, silence, relays; multicast |
//! | `disk` | the disk of a node, which loses what is not synced |
//! | [`network`] | routers: where a packet goes, what [`crate::net::nat`] and [`crate::net::link`] do to it |
//! | [`queue`] | what happens when |
//! | [`series`] | metrics of nodes and routers as Prometheus has them |
//! | [`invariants`] | what must hold of every node at any moment |
//!
//! Events are ordered by (time, source, the source's own sequence), and nothing takes effect at the moment that it is
//! decided: so results do not depend on how the work is divided. There is no clock, no thread, no unseeded randomness.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod data_engine;
mod disk;
pub mod engine;
pub mod invariants;
pub mod network;
pub mod queue;
pub mod series;
pub mod transport;
