//! Butter: a framework for unstructured peer-to-peer systems.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`core`] | the node as a pure state machine: known hosts, discovery, links, requests; no socket, clock or thread |
//! | [`config`] | settings of a node with the data overlay, by name |
//! | [`overlay`] | the [`overlay::Overlay`] trait and the default data overlay: Peer Content Groups and retrieval |
//! | [`api`] | the shapes of the control API, for its clients as well |
//! | [`app`] | what an application holds: register behaviours, run a node, put, get, ask |
//! | [`cli`] | the command line of the program `butter` |
//! | [`http`] | one HTTP server loop and one client, for the control API and for the testbed |
//! | [`quic`] | settings of QUIC, measurements of its paths: for the driver, and for a simulator of it |
//! | [`driver`] | the one tokio loop that plays a core over real sockets, and the control API |
//!
//! With `default-features = false` only the pure part is built: that is how the simulator uses it.

#![forbid(unsafe_code)]

pub mod api;
#[cfg(feature = "driver")]
pub mod app;
#[cfg(feature = "driver")]
pub mod cli;
pub mod config;
pub mod core;
#[cfg(feature = "driver")]
pub mod driver;
#[cfg(all(test, feature = "driver"))]
mod error_chains;
#[cfg(feature = "http")]
pub mod http;
pub mod overlay;
#[cfg(feature = "quic")]
pub mod quic;

#[cfg(feature = "driver")]
pub use app::Node;
