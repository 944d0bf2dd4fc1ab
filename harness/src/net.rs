//! The network between nodes, pure: what a NAT lets pass and what a link does to a packet.
//!
//! No socket and no clock: the router process and the simulator call the same code.

pub mod link;
pub mod nat;
