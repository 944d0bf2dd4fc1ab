//! Everything that peers say to each other, gathered where the codec and the transports can see it.
//!
//! What each means is documented where it is handled: [`super::membership::known_hosts`], [`super::connectivity::rendezvous`], [`super::requests`].

use std::net::SocketAddr;

use bincode::{Decode, Encode};

use super::blob::Blob;
use super::connectivity::holepunch::NatReport;
use super::contact::{Contact, Quality};
use super::identity::NodeId;
use super::probe::Token;

/// A message over a link. `M` is the overlay's own vocabulary.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Message<M> {
    /// Keeping known hosts.
    Membership(MembershipMessage),
    /// Introductions across networks.
    Rendezvous(RendezvousMessage),
    /// A request to an application's server behaviour.
    Ask {
        /// Chosen by the asker; comes back in the answer.
        request: u64,
        /// Which behaviour, such as `reverse-message/`.
        route: String,
        /// What it is given.
        body: Blob,
    },
    /// The answer to an [`Message::Ask`].
    Answer {
        /// The asker's number.
        request: u64,
        /// What the behaviour returned, or why it did not.
        result: Result<Blob, Refusal>,
    },
    /// The overlay's.
    Overlay(M),
}

/// Why a peer did not answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Refusal {
    /// No behaviour is registered for that route.
    NoSuchRoute,
    /// The behaviour failed.
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
        /// Who joined.
        newcomer: Contact,
        /// Steps left.
        ttl: u8,
    },
    /// "Be my neighbour."
    Neighbour {
        /// The sender.
        contact: Contact,
        /// Set when the sender has no neighbour: then it may not be refused.
        urgent: bool,
    },
    /// Answer to [`MembershipMessage::Neighbour`].
    NeighbourReply {
        /// Whether the sender now counts the receiver as a neighbour.
        accepted: bool,
    },
    /// "You are no longer my neighbour."
    Part,
    /// A sample of known hosts for an equal sample in return.
    Shuffle {
        /// The sender.
        contact: Contact,
        /// Its sample.
        sample: Vec<Contact>,
    },
    /// The sample in return.
    ShuffleReply {
        /// The answerer, as it is now.
        contact: Contact,
        /// Its sample.
        sample: Vec<Contact>,
    },
    /// The sender's quality and addresses have changed.
    Refresh {
        /// The sender.
        contact: Contact,
    },
}

impl MembershipMessage {
    /// What the sender says of itself in it, if it does.
    pub fn sender(&self) -> Option<&Contact> {
        match self {
            MembershipMessage::Join(contact)
            | MembershipMessage::Neighbour { contact, .. }
            | MembershipMessage::Shuffle { contact, .. }
            | MembershipMessage::ShuffleReply { contact, .. }
            | MembershipMessage::Refresh { contact } => Some(contact),
            MembershipMessage::ForwardJoin { .. }
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
        /// The sender.
        contact: Contact,
        /// The receiver's address as the sender sees it; `None` over a relay.
        seen: Option<SocketAddr>,
    },
    /// "Introduce me to this peer."
    Introduce {
        /// Whom the sender wants to reach.
        peer: NodeId,
    },
    /// Sent by an ambassador to both sides: dial each other now. The ambassador relays between them for a while.
    Introduced {
        /// The other side, with its address as the ambassador sees it.
        contact: Contact,
    },
    /// The ambassador has no link to that peer.
    Unknown {
        /// Whom it does not know.
        peer: NodeId,
    },
    /// Two peers with a relayed link get rid of the relay; see [`super::connectivity::holepunch`].
    Punch(PunchMessage),
    /// "Tell me of some hosts" (Butter's get-host).
    GetHosts,
    /// A random sample of hosts known to an ambassador, of as many networks as it can.
    Hosts {
        /// The sample.
        contacts: Vec<Contact>,
    },
}

/// What two peers with a relayed link say to get a direct one. The side that dialled leads; its number goes through a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum PunchMessage {
    /// The leader: "Here is my NAT. What is yours?"
    Offer {
        /// Names the try.
        number: u32,
        /// The sender's NAT.
        report: NatReport,
    },
    /// The follower: "Here is mine."
    Accept {
        /// The offer's.
        number: u32,
        /// The sender's NAT.
        report: NatReport,
        /// Drawn by the sender: marks both sides' probes.
        token: Token,
        /// Time between the offer's arrival and this, in microseconds: the rest is the round trip.
        spent_us: u32,
    },
    /// The leader: "Now." The receiver begins at once, the sender half a round trip later.
    Go {
        /// The offer's.
        number: u32,
        /// The sender's NAT, looked at again if that may have changed.
        report: NatReport,
    },
    /// "I cannot now." The leader may offer again later.
    Busy {
        /// The offer's.
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
    /// "Who is there?"
    Ping {
        /// Who asks.
        id: NodeId,
        /// The port where it listens, at the address the datagram comes from.
        port: u16,
    },
    /// "I am, and I know these."
    Pong {
        /// Who answers.
        id: NodeId,
        /// The port where it listens, at the address the datagram comes from.
        port: u16,
        /// What it offers.
        quality: Quality,
        /// Some hosts that it knows.
        hosts: Vec<Contact>,
    },
}
