//! Nodes that claim to be better hosts than any other.

use std::net::{Ipv4Addr, SocketAddr};

use butter::core::contact::{Contact, Quality};
use butter::core::identity::NodeId;
use butter::core::message::{MembershipMessage, Message, RendezvousMessage};
use butter::overlay::data::DataMessage;

use super::{Act, Attack};

/// `boast`: claims the best quality, an empty store and a network of its own.
#[derive(Debug)]
pub struct BoastQuality;

/// An address that no other node claims: of the network for benchmarks (RFC 2544).
fn own_network(id: NodeId) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(198, 18 | (id.0[0] & 1), id.0[1], id.0[2]), 4001))
}

fn embellish(contact: &mut Contact) {
    contact.quality = Quality { uptime_s: u32::MAX, storage_free_kib: u32::MAX, hosts: u16::MAX };
    let via = contact.via;
    contact.set_external(Some(own_network(contact.id)), via);
}

impl Attack for BoastQuality {
    fn says(&mut self, act: &mut Act<'_>, _: NodeId, message: &mut Message<DataMessage>) -> bool {
        match message {
            Message::Membership(
                MembershipMessage::Join(contact)
                | MembershipMessage::Neighbour { contact, .. }
                | MembershipMessage::Shuffle { contact, .. }
                | MembershipMessage::Refresh { contact },
            )
            | Message::Rendezvous(RendezvousMessage::Hello { contact, .. })
                if contact.id == act.me =>
            {
                embellish(contact);
            }
            Message::Overlay(DataMessage::Heartbeat { held, .. } | DataMessage::InviteReply { held, .. }) => *held = 0,
            _ => {}
        }
        true
    }
}
