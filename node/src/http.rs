//! HTTP/1.1: one server loop and one client, for every listener and caller of the project.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`server`] | accepts connections, bounds them in number, time and memory, and hands requests to a service |
//! | [`client`] | sends requests over any stream and keeps connections for the next one |

pub mod client;
pub mod server;
#[cfg(test)]
mod tests;
