//! Discovery on a LAN: datagrams to everybody on the network, and their answers.

use butter::core::message::Announcement;

use super::*;
use crate::sim::network::LAN_LATENCY;

/// A discovery datagram under way.
#[derive(Debug)]
pub(super) struct Datagram {
    from: NodeSlot,
    /// All other nodes of the network if no receiver is given.
    to: Option<NodeSlot>,
    announcement: Announcement,
}

impl<M: Debug + Encode + Decode<()>> Transport<M> {
    /// Carries out [`butter::core::io::Output::Announce`] of a node.
    pub fn announce(&mut self, from: NodeSlot, announcement: Announcement) {
        self.datagram(Datagram { from, to: None, announcement });
    }

    /// As [`butter::core::io::Output::Unicast`]. Only within a network, as the answer to something heard there.
    pub fn unicast(&mut self, from: NodeSlot, to: SocketAddr, announcement: Announcement) {
        let network = self.end(from).network as usize;
        let SocketAddr::V4(to) = to else { return };
        let to = self.live[network].iter().copied().find(|&slot| self.end(slot).address == *to.ip());
        if to.is_some() {
            self.datagram(Datagram { from, to, announcement });
        }
    }

    fn datagram(&mut self, datagram: Datagram) {
        let from = datagram.from;
        let at = self.now + LAN_LATENCY + self.spread(from);
        let key = self.datagrams.insert(datagram);
        self.schedule(from, at, Event::Datagram(key));
    }

    pub(super) fn datagram_arrives(&mut self, key: DatagramKey) {
        let Some(Datagram { from, to, announcement }) = self.datagrams.remove(key) else { return };
        let network = self.end(from).network as usize;
        let source = SocketAddr::V4(self.address(from));
        match to {
            Some(to) if self.is_cut(from, to) => {}
            Some(to) => self.deliver(to, TransportEvent::Announcement { from: source, announcement }),
            None => {
                for place in 0..self.live[network].len() {
                    let to = self.live[network][place];
                    if to != from && !self.is_cut(from, to) {
                        self.deliver(
                            to,
                            TransportEvent::Announcement { from: source, announcement: announcement.clone() },
                        );
                    }
                }
            }
        }
    }
}
