//! What a router process promises, between real sockets in network namespaces of its own. One file per promise:
//!
//! - [`nat`]: each NAT behaves as its row of RFC 4787 says.
//! - [`links`]: delay, loss and rate are what was asked for.
//! - [`fragments`]: datagrams in pieces arrive whole, whoever sent them and in whatever order.
//! - [`walls`]: nothing passes but through the NAT.
//! - [`gateway`]: hosts get mappings for themselves by NAT-PMP, PCP and UPnP.
//! - [`proofs`]: programs of others find all of that to be so; `BUTTER_REQUIRE_TOOLS=1` makes it a failure that one is missing.
//! - [`ipv6`]: hosts have the planned addresses, and the filter is what was declared.
//! - [`control`]: the operator reaches the nodes, the nodes do not reach the operator's side; the router ends on SIGTERM.
//!
//! Where namespaces cannot be made these tests say that they are skipped; `BUTTER_REQUIRE_NETNS=1` makes that a failure.

mod control;
mod fragments;
mod gateway;
mod ipv6;
mod lab;
mod links;
mod nat;
mod netns;
mod proofs;
#[path = "../support/skipped.rs"]
mod skipped;
mod walls;
