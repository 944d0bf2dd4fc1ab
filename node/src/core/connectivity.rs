//! How peers are reached: links, introductions, hole punching, forwarded ports.
//!
//! | module | content |
//! | --- | --- |
//! | [`links`] | which links are up, which are being made, what waits to be sent |
//! | [`rendezvous`] | ambassadors: the configured ones and the fallback |
//! | [`holepunch`] | from a relayed link to a direct one |
//! | [`connect_requests`] | links that the application asked for |
//! | [`port_map`] | when to ask the NAT to forward a port |
//! | [`reachability`] | whether this node is publicly reachable |
//! | [`suspects`] | links that may be dead |

pub mod connect_requests;
pub mod holepunch;
pub mod links;
pub mod port_map;
pub mod reachability;
pub mod rendezvous;
pub mod suspects;
