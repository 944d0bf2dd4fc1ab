//! Commands whose outcome type follows from the command.

use crate::core::blob::Blob;
use crate::core::contact::Contact;
use crate::core::identity::{BlockId, NodeId};
use crate::core::io::{AskError, Command, ConnectReport, Outcome};
use crate::overlay::Overlay;
use crate::overlay::data::{
    AskedPeer, DataCommand, DataOutcome, DataOverlay, FoundValue, GetError, Keywords, PutError, StoredValue,
};

use super::handle::NodeStopped;

/// A command to a node with the overlay `V`.
pub trait NodeCommand<V: Overlay> {
    /// The result of the command.
    type Outcome;

    /// The command as the core takes it.
    fn into_command(self) -> Command<V::Command>;

    /// The result from the outcome of this command; `None` for the outcome of another one.
    fn outcome(outcome: Outcome<V::Outcome>) -> Option<Self::Outcome>;
}

/// Why a command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError<E: std::error::Error> {
    /// The operation itself failed.
    #[error(transparent)]
    Op(E),
    /// The node has stopped; the command may or may not have taken effect.
    #[error("the node has stopped")]
    NodeStopped,
}

impl<E: std::error::Error> From<NodeStopped> for CommandError<E> {
    fn from(_: NodeStopped) -> Self {
        CommandError::NodeStopped
    }
}

/// Requests an answer from a peer's server behaviour.
#[derive(Clone, Debug)]
pub struct AskCommand {
    /// A known host or any linked peer.
    pub peer: NodeId,
    /// Route that selects the server behaviour.
    pub route: String,
    /// The request for the behaviour.
    pub body: Blob,
}

impl<V: Overlay> NodeCommand<V> for AskCommand {
    type Outcome = Result<Blob, AskError>;

    fn into_command(self) -> Command<V::Command> {
        let AskCommand { peer, route, body } = self;
        Command::Ask { peer, route, body }
    }

    fn outcome(outcome: Outcome<V::Outcome>) -> Option<Self::Outcome> {
        if let Outcome::Answered(result) = outcome { Some(result) } else { None }
    }
}

/// Links to a peer as directly as possible.
#[derive(Clone, Debug)]
pub struct ConnectCommand {
    /// The peer to link to.
    pub peer: NodeId,
    /// Its contact, if the application knows more than the node.
    pub contact: Option<Box<Contact>>,
}

impl<V: Overlay> NodeCommand<V> for ConnectCommand {
    type Outcome = ConnectReport;

    fn into_command(self) -> Command<V::Command> {
        Command::Connect { peer: self.peer, contact: self.contact }
    }

    fn outcome(outcome: Outcome<V::Outcome>) -> Option<Self::Outcome> {
        if let Outcome::Connected(report) = outcome { Some(report) } else { None }
    }
}

/// Shuts the node down gracefully.
#[derive(Clone, Copy, Debug)]
pub struct LeaveCommand;

impl<V: Overlay> NodeCommand<V> for LeaveCommand {
    type Outcome = ();

    fn into_command(self) -> Command<V::Command> {
        Command::Leave
    }

    fn outcome(outcome: Outcome<V::Outcome>) -> Option<()> {
        matches!(outcome, Outcome::Left).then_some(())
    }
}

/// Any command of the overlay, with any outcome of the overlay.
#[derive(Clone, Copy, Debug)]
pub struct OverlayCommand<C>(pub C);

impl<V: Overlay> NodeCommand<V> for OverlayCommand<V::Command> {
    type Outcome = V::Outcome;

    fn into_command(self) -> Command<V::Command> {
        Command::Overlay(self.0)
    }

    fn outcome(outcome: Outcome<V::Outcome>) -> Option<Self::Outcome> {
        if let Outcome::Overlay(outcome) = outcome { Some(outcome) } else { None }
    }
}

/// Stores a value in the network.
#[derive(Clone, Debug)]
pub struct PutCommand {
    /// At most [`crate::overlay::data::VALUE_MAX`] bytes.
    pub value: Blob,
    /// Words by which the value is found.
    pub keywords: Keywords,
}

impl NodeCommand<DataOverlay> for PutCommand {
    type Outcome = Result<StoredValue, PutError>;

    fn into_command(self) -> Command<DataCommand> {
        Command::Overlay(DataCommand::Put { value: self.value, keywords: self.keywords })
    }

    fn outcome(outcome: Outcome<DataOutcome>) -> Option<Self::Outcome> {
        if let Outcome::Overlay(DataOutcome::Put(result)) = outcome { Some(result) } else { None }
    }
}

/// Finds a value in the network.
#[derive(Clone, Copy, Debug)]
pub struct GetCommand {
    /// The id that a put returned: [`StoredValue::id`].
    pub id: BlockId,
    /// Whether every peer is asked before the search ends without success.
    pub exhaustive: bool,
}

impl NodeCommand<DataOverlay> for GetCommand {
    type Outcome = Result<FoundValue, GetError>;

    fn into_command(self) -> Command<DataCommand> {
        Command::Overlay(DataCommand::Get { id: self.id, exhaustive: self.exhaustive })
    }

    fn outcome(outcome: Outcome<DataOutcome>) -> Option<Self::Outcome> {
        if let Outcome::Overlay(DataOutcome::Get(result, _)) = outcome { Some(result) } else { None }
    }
}

/// As [`GetCommand`]; also returns which peers were asked, and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct TracedGetCommand {
    /// The id that a put returned: [`StoredValue::id`].
    pub id: BlockId,
    /// Whether every peer is asked before the search ends without success.
    pub exhaustive: bool,
}

impl NodeCommand<DataOverlay> for TracedGetCommand {
    type Outcome = (Result<FoundValue, GetError>, Vec<AskedPeer>);

    fn into_command(self) -> Command<DataCommand> {
        Command::Overlay(DataCommand::Get { id: self.id, exhaustive: self.exhaustive })
    }

    fn outcome(outcome: Outcome<DataOutcome>) -> Option<Self::Outcome> {
        if let Outcome::Overlay(DataOutcome::Get(result, asked)) = outcome { Some((result, asked)) } else { None }
    }
}
