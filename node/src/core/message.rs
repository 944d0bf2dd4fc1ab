//! Everything that peers say to each other, gathered where the codec and the transports can see it.
//!
//! What each means is documented where it is handled: [`super::membership::known_hosts`], [`super::connectivity::rendezvous`], [`super::requests`].

use std::net::SocketAddr;

use bincode::{Decode, Encode};

use super::blob::Blob;
use super::contact::{Contact, Quality};
use super::identity::NodeId;
use super::nat_report::NatReport;
use super::probe::Token;
use super::stats::MessagePurpose;

/// A message over a link. `M` is the overlay's own vocabulary.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Message<M> {
    /// Maintains the known hosts of both sides.
    Membership(MembershipMessage),
    /// Introduces peers across networks; hole punching.
    Rendezvous(RendezvousMessage),
    /// A request to an application's server behaviour.
    Ask {
        /// Chosen by the asker; comes back in the answer.
        request: u64,
        /// Route of the server behaviour, such as `reverse-message/`.
        route: String,
        /// The request body that the behaviour receives.
        body: Blob,
    },
    /// The answer to an [`Message::Ask`].
    Answer {
        /// The number that the asker chose.
        request: u64,
        /// What the behaviour returned, or why it did not.
        result: Result<Blob, Refusal>,
    },
    /// A message of the overlay's own.
    Overlay(M),
}

impl<M> Message<M> {
    /// What it is sent for. `of_overlay` says it of the overlay's own messages: [`crate::overlay::Overlay::purpose`].
    pub fn purpose(&self, of_overlay: impl FnOnce(&M) -> MessagePurpose) -> MessagePurpose {
        match self {
            Message::Membership(_) | Message::Rendezvous(_) => MessagePurpose::Upkeep,
            Message::Ask { .. } | Message::Answer { .. } => MessagePurpose::Payload,
            Message::Overlay(message) => of_overlay(message),
        }
    }
}

/// Why a peer did not answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Refusal {
    /// No behaviour is registered for that route.
    NoSuchRoute,
    /// The behaviour returned an error.
    Failed,
    /// The peer has too many requests in hand.
    Busy,
}

/// Membership, after HyParView (Leitão, Pereira, Rodrigues: DSN 2007) with Butter's classes in the passive view.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum MembershipMessage {
    /// "I am new here": the receiver takes the sender as a neighbour, evicting if it must, and forwards word of it.
    Join(Contact),
    /// Word of a newcomer on a random walk.
    ForwardJoin {
        /// The peer that has joined.
        newcomer: Contact,
        /// Steps that the walk still takes.
        ttl: u8,
    },
    /// Asks the receiver to become a neighbour of the sender.
    Neighbour {
        /// The sender's own contact, as it is now.
        contact: Contact,
        /// Set when the sender has no neighbour: then it may not be refused.
        urgent: bool,
    },
    /// The answer to a [`MembershipMessage::Neighbour`].
    NeighbourReply {
        /// Whether the sender now counts the receiver as a neighbour.
        accepted: bool,
    },
    /// "You are no longer my neighbour."
    Part,
    /// A sample of known hosts on a random walk, for an equal sample of whoever is at its end.
    Shuffle {
        /// Number of the walk, drawn by the node at its start.
        walk: u64,
        /// Steps that the walk still takes.
        ttl: u8,
        /// The contact of the node at its start, as it was then.
        contact: Contact,
        /// Known hosts, drawn by that node.
        sample: Vec<Contact>,
    },
    /// The sample in return. It goes back over the peers that the walk has passed.
    ShuffleReply {
        /// Number of the walk.
        walk: u64,
        /// The contact of the answerer and known hosts, drawn by it.
        sample: Vec<Contact>,
    },
    /// The sender's quality and addresses have changed.
    Refresh {
        /// The sender's own contact, as it is now.
        contact: Contact,
    },
}

impl MembershipMessage {
    /// What the sender says of itself in it, if it does. A shuffle that has come further than one step says it of another peer.
    pub fn sender(&self) -> Option<&Contact> {
        match self {
            MembershipMessage::Join(contact)
            | MembershipMessage::Neighbour { contact, .. }
            | MembershipMessage::Shuffle { contact, .. }
            | MembershipMessage::Refresh { contact } => Some(contact),
            MembershipMessage::ForwardJoin { .. }
            | MembershipMessage::ShuffleReply { .. }
            | MembershipMessage::NeighbourReply { .. }
            | MembershipMessage::Part => None,
        }
    }
}

/// What ambassadors and their peers say.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum RendezvousMessage {
    /// First word on every link: the address at which the sender sees the receiver, and who the sender is.
    Hello {
        /// The sender's own contact, as it is now.
        contact: Contact,
        /// The receiver's address as the sender sees it; `None` over a relay.
        seen: Option<SocketAddr>,
    },
    /// "Introduce me to this peer."
    Introduce {
        /// The peer that the sender wants to reach.
        peer: NodeId,
    },
    /// Sent by an ambassador to both sides: dial each other now. The ambassador relays between them for a while.
    Introduced {
        /// The other side, with its address as the ambassador sees it.
        contact: Contact,
    },
    /// The ambassador has no link to that peer.
    Unknown {
        /// The peer that it has no link to.
        peer: NodeId,
    },
    /// Two peers with a relayed link get rid of the relay; see [`super::connectivity::holepunch`].
    Punch(PunchMessage),
    /// "Tell me of some hosts" (Butter's get-host).
    GetHosts,
    /// A random sample of hosts known to an ambassador, of as many networks as it can.
    Hosts {
        /// The random sample, at most one frame long.
        contacts: Vec<Contact>,
    },
}

/// What two peers with a relayed link say to get a direct one. The side that dialled leads; its number goes through a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum PunchMessage {
    /// The leader: "Here is my NAT. What is yours?"
    Offer {
        /// Number of the attempt, chosen by the leader.
        number: u32,
        /// How the sender's NAT maps ports.
        report: NatReport,
    },
    /// The follower: "Here is mine."
    Accept {
        /// Number of the attempt, from the offer.
        number: u32,
        /// How the sender's NAT maps ports.
        report: NatReport,
        /// Drawn by the sender: marks both sides' probes.
        token: Token,
        /// Time between the offer's arrival and this, in microseconds: the rest is the round trip.
        spent_us: u32,
    },
    /// The leader: "Now." The receiver begins at once, the sender half a round trip later.
    Go {
        /// Number of the attempt, from the offer.
        number: u32,
        /// The sender's NAT, surveyed again if that may have changed.
        report: NatReport,
    },
    /// "I cannot now." The leader may offer again later.
    Busy {
        /// Number of the attempt, from the offer.
        number: u32,
    },
    /// The leader: "I try no more for now."
    End,
}

impl PunchMessage {
    /// What the sender says of its NAT in it, if it does.
    pub fn report(&self) -> Option<&NatReport> {
        match self {
            PunchMessage::Offer { report, .. }
            | PunchMessage::Accept { report, .. }
            | PunchMessage::Go { report, .. } => Some(report),
            PunchMessage::Busy { .. } | PunchMessage::End => None,
        }
    }
}

/// A datagram on the LAN: multicast, or unicast in answer to one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Announcement {
    /// Asks which peers are on this LAN.
    Ping {
        /// The node that sends the ping.
        id: NodeId,
        /// The port where it listens, at the address the datagram comes from.
        port: u16,
    },
    /// "I am, and I know these."
    Pong {
        /// The node that answers the ping.
        id: NodeId,
        /// The port where it listens, at the address the datagram comes from.
        port: u16,
        /// Quality of the answering host.
        quality: Quality,
        /// Some hosts that it knows.
        hosts: Vec<Contact>,
    },
}
