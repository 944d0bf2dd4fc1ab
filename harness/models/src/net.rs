//! The network between nodes, pure: what a NAT lets pass and what a link does to a packet.
//!
//! No socket and no clock: the router process and the simulator call the same code. [`packet`] is for the router alone: the
//! simulator has no bytes to rewrite.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod autoconf;
pub mod firewall;
pub mod link;
pub mod nat;
pub mod network_policy;
pub mod packet;
pub mod zone;
