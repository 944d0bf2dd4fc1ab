//! Commands to a running node and inspection of it, from any task.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::{mpsc, oneshot};

use super::command::{AskCommand, CommandError, ConnectCommand, LeaveCommand, NodeCommand, OverlayCommand};
use super::transport::Transport;
use crate::core::NodeCore;
use crate::core::blob::Blob;
use crate::core::contact::Contact;
use crate::core::identity::NodeId;
use crate::core::io::{AskError, Command, ConnectReport, Outcome};
use crate::overlay::Overlay;

/// An overlay that can run on real sockets: it and its messages can move between threads.
pub trait AppOverlay: Overlay<Message: Send, Command: Send, Outcome: Send> + Send + 'static {}

impl<V: Overlay<Message: Send, Command: Send, Outcome: Send> + Send + 'static> AppOverlay for V {}

/// Most commands that wait for the node; more callers wait for a place.
const COMMANDS_MAX: usize = 1_024;

/// A running node with the overlay `V`. Cheap to clone; usable from any task.
pub struct NodeHandle<V: Overlay> {
    id: NodeId,
    to_node: mpsc::Sender<ToNode<V>>,
}

/// What a handle sends.
pub(super) enum ToNode<V: Overlay> {
    Command { command: Command<V::Command>, reply: CommandReply<Outcome<V::Outcome>> },
    Inspect(Inspection<V>),
}

/// Where the outcome of a command goes.
#[derive(Debug)]
pub(super) enum CommandReply<O> {
    /// To whoever waits for its end.
    End(oneshot::Sender<O>),
    /// To whoever takes its parts and its end. The core bounds their number.
    Parts(UnboundedSender<O>),
}

impl<O> CommandReply<O> {
    /// Hands on a part. Whoever gave the command may have stopped waiting, or wants its end only.
    pub(super) fn partial(&self, outcome: O) {
        if let CommandReply::Parts(parts) = self {
            _ = parts.send(outcome);
        }
    }

    /// Hands on the end. Whoever gave the command may have stopped waiting.
    pub(super) fn end(self, outcome: O) {
        match self {
            CommandReply::End(end) => _ = end.send(outcome),
            CommandReply::Parts(parts) => _ = parts.send(outcome),
        }
    }
}

type Inspection<V> = Box<dyn FnOnce(&InspectedNode<'_, V>) + Send>;

/// A running node between two inputs.
#[derive(Debug)]
pub struct InspectedNode<'a, V: Overlay> {
    /// The core and the overlay.
    pub node: &'a NodeCore<V>,
    /// The transport with its links.
    pub transport: &'a Transport<V::Message>,
    /// Time since the node started.
    pub uptime: Duration,
}

/// The node has stopped. A pending command may or may not have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has stopped")]
pub struct NodeStopped;

impl<V: Overlay> Clone for NodeHandle<V> {
    fn clone(&self) -> Self {
        NodeHandle { id: self.id, to_node: self.to_node.clone() }
    }
}

impl<V: Overlay> fmt::Debug for NodeHandle<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeHandle({:?})", self.id)
    }
}

impl<V: Overlay> NodeHandle<V> {
    pub(super) fn new(id: NodeId) -> (Self, mpsc::Receiver<ToNode<V>>) {
        let (to_node, commands) = mpsc::channel(COMMANDS_MAX);
        (NodeHandle { id, to_node }, commands)
    }

    /// The id of the node.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Gives a command to the overlay and waits for its outcome. The overlay bounds how long that takes.
    ///
    /// # Errors
    /// If the node stops before.
    pub async fn command(&self, command: V::Command) -> Result<V::Outcome, NodeStopped> {
        self.execute(OverlayCommand(command)).await
    }

    /// Gives a command and waits for its outcome, whose type follows from the command. The core bounds how long that takes.
    ///
    /// # Errors
    /// If the node stops before.
    ///
    /// # Panics
    /// If the core or the overlay completes a command with an outcome of another one, which is a defect of it.
    pub async fn execute<C: NodeCommand<V>>(&self, command: C) -> Result<C::Outcome, NodeStopped> {
        let (done, outcome) = oneshot::channel();
        let command = command.into_command();
        let reply = CommandReply::End(done);
        self.to_node.send(ToNode::Command { command, reply }).await.map_err(|_| NodeStopped)?;
        let outcome = outcome.await.map_err(|_| NodeStopped)?;
        Ok(C::outcome(outcome).expect("a command completes with an outcome of its own type"))
    }

    /// Gives a command whose result comes in parts. The last outcome is its end; the channel closes after it, or when the node
    /// stops. What is not taken waits in memory: the command bounds how much that is.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn begin(&self, command: V::Command) -> Result<UnboundedReceiver<Outcome<V::Outcome>>, NodeStopped> {
        let (parts, outcomes) = mpsc::unbounded_channel();
        let (command, reply) = (Command::Overlay(command), CommandReply::Parts(parts));
        self.to_node.send(ToNode::Command { command, reply }).await.map_err(|_| NodeStopped)?;
        Ok(outcomes)
    }

    /// Requests an answer from `peer`'s server behaviour on `route`.
    ///
    /// # Errors
    /// As [`AskError`].
    pub async fn ask(
        &self,
        peer: NodeId,
        route: impl Into<String>,
        body: impl Into<Bytes>,
    ) -> Result<Bytes, CommandError<AskError>> {
        let command = AskCommand { peer, route: route.into(), body: Blob(body.into()) };
        Ok(self.execute(command).await?.map_err(CommandError::Op)?.0)
    }

    /// Links to `peer` as directly as possible, and reports how the link runs.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn connect(&self, peer: NodeId) -> Result<ConnectReport, NodeStopped> {
        self.execute(ConnectCommand { peer, contact: None }).await
    }

    /// The node's own contact, as other peers see it.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn contact(&self) -> Result<Contact, NodeStopped> {
        self.inspect(|seen| seen.node.me().clone()).await
    }

    /// Every known host, neighbours first.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn known_hosts(&self) -> Result<Vec<Contact>, NodeStopped> {
        self.inspect(|seen| seen.node.known_hosts().cloned().collect()).await
    }

    /// Inspects the node between two inputs. `inspection` blocks the node, so it should be short.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn inspect<T, F>(&self, inspection: F) -> Result<T, NodeStopped>
    where
        T: Send + 'static,
        F: FnOnce(&InspectedNode<'_, V>) -> T + Send + 'static,
    {
        let (seen, answer) = oneshot::channel();
        let inspection: Inspection<V> = Box::new(move |node| {
            // The caller may have stopped waiting.
            _ = seen.send(inspection(node));
        });
        self.to_node.send(ToNode::Inspect(inspection)).await.map_err(|_| NodeStopped)?;
        answer.await.map_err(|_| NodeStopped)
    }

    /// Shuts the node down gracefully. Returns once it is ready to stop, within [`super::LEAVE_DEADLINE`].
    pub async fn leave(&self) {
        // A node that has stopped already is fine as well.
        _ = self.execute(LeaveCommand).await;
    }
}
