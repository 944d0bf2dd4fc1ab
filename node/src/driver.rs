//! The one loop.
pub mod identity;
pub mod transport;
