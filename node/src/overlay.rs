//! Overlays: the application's protocol on top of peers and links.
//!
//! Butter provides one, [`data`], which stores and finds blocks. An application can provide its own: implement [`Overlay`] and
//! pass it to `Node::builder().overlay(…)` of the application API, or to [`crate::core::NodeCore::new`] in a simulation.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt::Debug;
use std::net::SocketAddr;

use bincode::{Decode, Encode};

use crate::core::config::Config;
use crate::core::connectivity::links::Links;
use crate::core::contact::Contact;
use crate::core::identity::NodeId;
use crate::core::io::{CommandId, LinkPath, Outcome, Output, Sink};
use crate::core::membership::known_hosts::KnownHosts;
use crate::core::message::Message;
use crate::core::path::PathEstimate;
use crate::core::random::Random;
use crate::core::stats::{InstrumentVisitor, MessagePurpose, Stats};
use crate::core::storage::{StoreCompletion, StoreContents, StoreRequest};
use crate::core::time::{Deadline, Time};

pub mod data;

/// A pure state machine on top of peers and links: no socket, clock or thread.
///
/// `node/examples/gossip_counter.rs` is a complete one.
pub trait Overlay: Sized {
    /// A message to the overlay of a peer. One whose frame is longer than [`crate::core::wire::FRAME_MAX`] is dropped and counted
    /// as `butter_messages_unsendable_total`.
    type Message: Clone + Debug + Encode + Decode<()>;
    /// A command of the application.
    type Command: Debug;
    /// The result of a command.
    type Outcome: Debug;

    /// Handles one input. All effects go through `context`.
    fn handle(
        &mut self,
        input: OverlayInput<Self::Message, Self::Command>,
        context: &mut OverlayContext<'_, Self::Message, Self::Outcome>,
    );

    /// When [`OverlayInput::Wake`] is due.
    fn deadline(&self) -> Deadline;

    /// What handling a message costs, in units of which a peer has 2,000 per second; beyond that, its messages are dropped.
    /// 1 is a message that is looked up and answered; one that makes this node send many costs as many. 0 is never dropped.
    fn price(&self, message: &Self::Message) -> u32 {
        _ = message;
        0
    }

    /// What a message is sent for, as `butter_purpose_bytes_total` and `butter_purpose_messages_total` count it.
    fn purpose(message: &Self::Message) -> MessagePurpose {
        _ = message;
        MessagePurpose::Payload
    }

    /// Free storage in bytes, as advertised to other peers.
    fn storage_free(&self) -> u64 {
        0
    }

    /// Number of blocks or the like that no other live peer is known to store: what is lost if this node ends now.
    fn stored_here_alone(&self) -> u64 {
        0
    }

    /// Hands its instruments with their values to `visit`, always in the same order. They appear among the node's metrics.
    fn metrics(&self, visit: InstrumentVisitor<'_>) {
        _ = visit;
    }
}

/// An event that an overlay handles.
#[derive(Debug)]
pub enum OverlayInput<M, C> {
    /// A message from a peer's overlay: well-formed, but its content is not trusted.
    Message {
        /// The peer that sent it, authenticated.
        from: NodeId,
        /// The decoded message, not yet trusted.
        message: M,
    },
    /// A link is up.
    LinkUp {
        /// The peer at the other end.
        peer: NodeId,
    },
    /// A link is down.
    LinkDown {
        /// The peer at the other end.
        peer: NodeId,
    },
    /// No link could be made. Messages queued for the peer are lost.
    Unreachable {
        /// The peer that could not be reached.
        peer: NodeId,
    },
    /// A command of the application. Must end with exactly one [`OverlayContext::done`].
    Command {
        /// Identifies the command in [`OverlayContext::done`].
        id: CommandId,
        /// The command of the application.
        command: C,
    },
    /// The node is leaving: hand over what should outlive it, then call [`OverlayContext::left`].
    Leave,
    /// The deadline may have passed. Early wake-ups are harmless.
    Wake,
    /// The node has a block store that outlives it, with these contents. Comes before any other input, or never.
    StoreOpened(StoreContents),
    /// An operation of [`OverlayContext::submit_to_store`] is complete.
    Stored(StoreCompletion),
}

/// The node as an overlay sees it while it handles an input.
pub struct OverlayContext<'a, M, O> {
    /// Time of the input. Never runs backwards.
    pub now: Time,
    /// Settings of the core.
    pub config: &'a Config,
    /// Seeded random number generator.
    pub random: &'a mut Random,
    /// Contact of this node, as other peers see it.
    pub me: &'a Contact,
    pub(crate) stats: &'a mut Stats,
    pub(crate) hosts: &'a mut KnownHosts,
    pub(crate) links: &'a mut Links<M>,
    pub(crate) sink: &'a mut Sink<M, O>,
    pub(crate) left: &'a mut bool,
}

impl<M, O> OverlayContext<'_, M, O> {
    /// Sends over the link to `peer`, making one first if there is none. If that fails, [`OverlayInput::Unreachable`] follows.
    pub fn send(&mut self, peer: NodeId, message: M) {
        let known = || self.hosts.get(peer);
        self.links.send(self.now, peer, Message::Overlay(message), known, self.stats, self.sink);
    }

    /// Remembers the addresses of `contact`, for a later dial.
    pub fn learn(&mut self, contact: &Contact) {
        self.links.learn(contact);
    }

    /// The addresses of `peer`, if known.
    pub fn contact(&self, peer: NodeId) -> Option<&Contact> {
        self.links.contact(peer).or_else(|| self.hosts.get(peer))
    }

    /// A label of the network of `peer`: where this node has seen it, or what it says while it was not seen.
    pub fn network_of(&self, peer: NodeId) -> Option<u64> {
        self.contact(peer).map(|contact| self.hosts.network_of(contact))
    }

    /// Whether a link to `peer` is up.
    pub fn is_linked(&self, peer: NodeId) -> bool {
        self.links.is_up(peer)
    }

    /// How the link to `peer` runs; `None` if none is up.
    pub fn link_path(&self, peer: NodeId) -> Option<LinkPath> {
        self.links.path(peer)
    }

    /// The address at which this node sees `peer`; `None` if no direct link is up.
    pub fn seen_at(&self, peer: NodeId) -> Option<SocketAddr> {
        self.links.remote(peer)
    }

    /// What is known of the path to a linked peer: how long waits for it should be, see [`crate::core::patience`].
    pub fn path(&self, peer: NodeId) -> Option<&PathEstimate> {
        self.links.path_estimate(peer)
    }

    /// Brings [`OverlayContext::path`] of a linked peer up to date. That takes effect after this input.
    pub fn measure_path(&mut self, peer: NodeId) {
        self.sink.push(Output::MeasurePath { peer });
    }

    /// The active view, in a stable order.
    pub fn neighbours(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.hosts.neighbours()
    }

    /// Every known host (neighbours first), in a stable order.
    pub fn known_hosts(&self) -> impl Iterator<Item = &Contact> + '_ {
        self.hosts.contacts()
    }

    /// Removes a dead peer from the known hosts and drops the links to it.
    pub fn evict(&mut self, peer: NodeId) {
        self.hosts.remove(peer);
        self.links.abandon(peer, self.sink);
    }

    /// Submits an operation on the block store of whoever runs the node. [`OverlayInput::Stored`] follows.
    pub fn submit_to_store(&mut self, request: StoreRequest) {
        self.sink.push(Output::Store(request));
    }

    /// Completes a command with its outcome.
    pub fn done(&mut self, id: CommandId, outcome: O) {
        self.sink.done(id, Outcome::Overlay(outcome));
    }

    /// Hands out a part of a command's result, before [`OverlayContext::done`].
    pub fn partial(&mut self, id: CommandId, outcome: O) {
        self.sink.push(Output::Partial { id, outcome: Outcome::Overlay(outcome) });
    }

    /// Reports that the handover is complete: the node may stop.
    pub fn left(&mut self) {
        *self.left = true;
    }
}
