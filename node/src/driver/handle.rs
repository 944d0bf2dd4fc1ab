//! Commands to a running node, and looks at it, from any task.

use std::fmt;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::transport::Transport;
use crate::core::Node;
use crate::core::identity::NodeId;
use crate::core::io::{Command, Outcome};
use crate::overlay::Overlay;

/// Commands that wait for the node; beyond, those who give them wait.
const COMMANDS_MAX: usize = 1_024;

/// A running node, as seen from other tasks. Cheap to clone.
pub struct Handle<V: Overlay> {
    id: NodeId,
    to_node: mpsc::Sender<ToNode<V>>,
}

/// What a handle sends.
pub(super) enum ToNode<V: Overlay> {
    Command { command: Command<V::Command>, done: oneshot::Sender<Outcome<V::Outcome>> },
    Look(Look<V>),
}

type Look<V> = Box<dyn FnOnce(&Glimpse<'_, V>) + Send>;

/// A node between two inputs.
#[derive(Debug)]
pub struct Glimpse<'a, V: Overlay> {
    /// The node.
    pub node: &'a Node<V>,
    /// Its links.
    pub transport: &'a Transport<V::Message>,
    /// For how long it has run.
    pub uptime: Duration,
}

/// The node does not run any more. What was asked of it may have been done or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has ended")]
pub struct Ended;

impl<V: Overlay> Clone for Handle<V> {
    fn clone(&self) -> Self {
        Handle { id: self.id, to_node: self.to_node.clone() }
    }
}

impl<V: Overlay> fmt::Debug for Handle<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({:?})", self.id)
    }
}

impl<V: Overlay> Handle<V> {
    pub(super) fn new(id: NodeId) -> (Self, mpsc::Receiver<ToNode<V>>) {
        let (to_node, commands) = mpsc::channel(COMMANDS_MAX);
        (Handle { id, to_node }, commands)
    }

    /// Who the node is.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Gives a command and waits for its end; the core bounds how long that takes.
    ///
    /// # Errors
    /// If the node ends before.
    pub async fn command(&self, command: Command<V::Command>) -> Result<Outcome<V::Outcome>, Ended> {
        let (done, outcome) = oneshot::channel();
        self.to_node.send(ToNode::Command { command, done }).await.map_err(|_| Ended)?;
        outcome.await.map_err(|_| Ended)
    }

    /// Looks at the node between two inputs. `look` holds the node up: it should be short.
    ///
    /// # Errors
    /// If the node has ended.
    pub async fn look<T, F>(&self, look: F) -> Result<T, Ended>
    where
        T: Send + 'static,
        F: FnOnce(&Glimpse<'_, V>) -> T + Send + 'static,
    {
        let (seen, answer) = oneshot::channel();
        let look: Look<V> = Box::new(move |glimpse| {
            // Whoever asked may have stopped waiting.
            _ = seen.send(look(glimpse));
        });
        self.to_node.send(ToNode::Look(look)).await.map_err(|_| Ended)?;
        answer.await.map_err(|_| Ended)
    }

    /// Has the node leave in good order. Returns once it is ready to end, within [`super::LEAVE_DEADLINE`].
    pub async fn leave(&self) {
        // Ended before it could say so is gone as well.
        _ = self.command(Command::Leave).await;
    }
}
