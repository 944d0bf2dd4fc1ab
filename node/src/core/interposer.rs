//! What stands between a node and its network: a testbed makes nodes hostile or deaf with it.
//!
//! It sees every input before the node does and every output before it is carried out. It is pure, as the node is. Nodes of
//! applications have none.

use std::fmt::Debug;

use super::io::{Input, Sink};
use super::time::Time;

/// Changes what a node hears and says. `M`, `C` and `O` are messages, commands and outcomes of the overlay.
pub trait Interposer<M, C, O>: Debug {
    /// Looks at an input, and may change it. Returns whether the node sees it.
    fn receive(&mut self, now: Time, input: &mut Input<M, C>) -> bool;
    /// Changes what the node is about to do, and adds what it does not know of.
    fn emit(&mut self, now: Time, sink: &mut Sink<M, O>);
    /// When it wants to act by itself.
    fn due(&self) -> Time;
}
