//! The engine of nodes with the default overlay, compiled in this package.
//!
//! A generic type is compiled by whichever package names its parameters. [`SimEngine`] would so be compiled by the harness,
//! which is not optimised. What takes time is wrapped here; the rest is reached through the engine itself.

use std::ops::{Deref, DerefMut};

use butter::core::io::{Command, CommandId};
use butter::core::time::Time;
use butter::overlay::Overlay;
use butter::overlay::data::DataOverlay;

use super::engine::{CompletedCommand, SimEngine, SpawnSpec};
use super::network::NodeSlot;
use super::transport::NewPlace;
use crate::plan::Plan;

/// A [`SimEngine`] of nodes with the default overlay.
#[derive(Debug)]
pub struct DataEngine(SimEngine<DataOverlay>);

impl DataEngine {
    /// The networks of `plan`, as [`SimEngine::new`] makes them; no node runs yet.
    pub fn new(plan: &Plan) -> Self {
        DataEngine(SimEngine::new(plan))
    }

    /// Starts a node, as [`SimEngine::start`] does.
    ///
    /// # Panics
    /// If a node runs there.
    pub fn start(&mut self, slot: NodeSlot, spawn_spec: SpawnSpec<DataOverlay>) {
        self.0.start(slot, spawn_spec);
    }

    /// Gives a command to a node that runs. It ends among [`DataEngine::next`].
    pub fn command(&mut self, slot: NodeSlot, id: CommandId, command: Command<<DataOverlay as Overlay>::Command>) {
        self.0.command(slot, id, command);
    }

    /// Lets time pass until a command ends, or the clock stands at `until`.
    pub fn next(&mut self, until: Time) -> Option<CompletedCommand<<DataOverlay as Overlay>::Outcome>> {
        self.0.next(until)
    }

    /// Takes a node to another network, as [`SimEngine::move_node`] does.
    pub fn move_node(&mut self, slot: NodeSlot, to: NewPlace) {
        self.0.move_node(slot, to);
    }

    /// Silences a node, as [`SimEngine::kill`] does.
    pub fn kill(&mut self, slot: NodeSlot) {
        self.0.kill(slot);
    }

    /// Ends a node that has left, as [`SimEngine::leave`] does.
    pub fn leave(&mut self, slot: NodeSlot) {
        self.0.leave(slot);
    }

    /// Lets a frozen node go on. Whether it was frozen.
    pub fn thaw(&mut self, slot: NodeSlot) -> bool {
        self.0.thaw(slot)
    }
}

impl Deref for DataEngine {
    type Target = SimEngine<DataOverlay>;

    fn deref(&self) -> &SimEngine<DataOverlay> {
        &self.0
    }
}

impl DerefMut for DataEngine {
    fn deref_mut(&mut self) -> &mut SimEngine<DataOverlay> {
        &mut self.0
    }
}
