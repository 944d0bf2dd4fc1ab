//! What an overlay is: the network's own logic on top of peers and links.
//!
//! Butter brings one, [`data`], that keeps and finds blocks. An application may bring its own: implement [`Overlay`] and
//! give it to [`crate::core::Node::new`].

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt::Debug;

use bincode::{Decode, Encode};

use crate::core::config::Config;
use crate::core::connectivity::links::Links;
use crate::core::contact::Contact;
use crate::core::identity::NodeId;
use crate::core::io::{CommandId, Outcome, Sink};
use crate::core::membership::known_hosts::KnownHosts;
use crate::core::message::Message;
use crate::core::random::Random;
use crate::core::stats::Stats;
use crate::core::time::{Deadline, Time};

pub mod data;

/// A pure state machine on top of peers and links: no socket, clock or thread.
pub trait Overlay: Sized {
    /// What it says to other peers' overlays. A message whose frame is longer than [`crate::core::wire::FRAME_MAX`] is dropped and
    /// counted as `butter_messages_unsendable_total`.
    type Message: Clone + Debug + Encode + Decode<()>;
    /// What an application may ask of it.
    type Command: Debug;
    /// How that ends.
    type Outcome: Debug;

    /// Takes one input. Everything that follows from it goes through `context`.
    fn handle(
        &mut self,
        input: OverlayInput<Self::Message, Self::Command>,
        context: &mut Context<'_, Self::Message, Self::Outcome>,
    );

    /// When it wants [`OverlayInput::Wake`] next.
    fn deadline(&self) -> Deadline;

    /// Bytes that it can still take for the network, as told to other peers.
    fn storage_free(&self) -> u64;

    /// Sets its gauges. Counters it counts as it goes, in [`Context::stats`].
    fn gauges(&self, stats: &mut Stats);
}

/// What happens to an overlay.
#[derive(Debug)]
pub enum OverlayInput<M, C> {
    /// From a peer's overlay: well-formed, not to be trusted.
    Message {
        /// The authenticated sender.
        from: NodeId,
        /// What it says.
        message: M,
    },
    /// A link is up.
    LinkUp {
        /// To whom.
        peer: NodeId,
    },
    /// A link is down.
    LinkDown {
        /// To whom.
        peer: NodeId,
    },
    /// No link could be made; what was to be sent is lost.
    Unreachable {
        /// To whom.
        peer: NodeId,
    },
    /// From the application; must end with exactly one [`Context::done`].
    Command {
        /// Names it.
        id: CommandId,
        /// What is wanted.
        command: C,
    },
    /// The node is leaving: hand over what should outlive it, then call [`Context::left`].
    Leave,
    /// Its deadline may have come.
    Wake,
}

/// What an overlay sees of its node while it handles an input.
pub struct Context<'a, M, O> {
    /// Now.
    pub now: Time,
    /// The node's settings.
    pub config: &'a Config,
    /// The overlay's randomness.
    pub random: &'a mut Random,
    /// The node's counters.
    pub stats: &'a mut Stats,
    /// This node, as others may be told of it.
    pub me: &'a Contact,
    pub(crate) hosts: &'a mut KnownHosts,
    pub(crate) links: &'a mut Links<M>,
    pub(crate) sink: &'a mut Sink<M, O>,
    pub(crate) left: &'a mut bool,
}

impl<M, O> Context<'_, M, O> {
    /// Sends over the link to `peer`, making one first if there is none. If that fails, [`OverlayInput::Unreachable`] follows.
    pub fn send(&mut self, peer: NodeId, message: M) {
        let known = self.hosts.get(peer);
        self.links.send(self.now, peer, Message::Overlay(message), known, self.stats, self.sink);
    }

    /// Takes note of how `contact` may be reached, as told by a peer.
    pub fn learn(&mut self, contact: &Contact) {
        self.links.learn(contact);
    }

    /// How `peer` may be reached, if that is known.
    pub fn contact(&self, peer: NodeId) -> Option<&Contact> {
        self.links.contact(peer).or_else(|| self.hosts.get(peer))
    }

    /// Whether a link to `peer` is up.
    pub fn is_linked(&self, peer: NodeId) -> bool {
        self.links.is_up(peer)
    }

    /// The active view, in a stable order.
    pub fn neighbours(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.hosts.neighbours()
    }

    /// Every known host (neighbours first), in a stable order.
    pub fn known_hosts(&self) -> impl Iterator<Item = &Contact> + '_ {
        self.hosts.contacts()
    }

    /// `peer` was found dead: known hosts and links forget it.
    pub fn evict(&mut self, peer: NodeId) {
        self.hosts.remove(peer);
        self.links.abandon(peer, self.sink);
    }

    /// Ends a command.
    pub fn done(&mut self, id: CommandId, outcome: O) {
        self.sink.done(id, Outcome::Overlay(outcome));
    }

    /// Everything is handed over: the node may go.
    pub fn left(&mut self) {
        *self.left = true;
    }
}
