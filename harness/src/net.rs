//! The network between nodes, pure: what a NAT lets pass and what a link does to a packet.
//!
//! No socket and no clock: the router process and the simulator call the same code.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod link;
pub mod nat;
