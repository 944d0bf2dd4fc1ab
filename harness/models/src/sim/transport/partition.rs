//! Partitions: what arrives at a node from one that is cut off from it is lost.

use super::*;
use crate::net::zone::CutDirection;
use crate::plan::NodeIndex;
use crate::plan::partitions::PartitionSides;

impl<M: Debug + Encode + Decode<()>> Transport<M> {
    /// Carries out [`crate::op::Op::Partition`].
    pub fn partition(&mut self, name: &str, sides: &PartitionSides, direction: CutDirection) {
        self.partitions.begin(name, sides, direction);
        self.judge_links();
    }

    /// Carries out [`crate::op::Op::Heal`].
    pub fn heal(&mut self, names: &[String]) {
        self.partitions.heal(names);
        self.judge_links();
    }

    /// Whether what one node sends is lost at the other.
    pub(super) fn is_cut(&self, from: NodeSlot, to: NodeSlot) -> bool {
        self.partitions.is_cut(NodeIndex(from as usize), NodeIndex(to as usize))
    }

    fn judge_links(&mut self) {
        let keys: Vec<LinkKey> = self.links.keys().collect();
        keys.into_iter().for_each(|key| self.judge_link(key));
    }

    /// Notes whether a link works. QUIC needs both directions: where one is cut, nothing is acknowledged, and one end hears nothing
    /// for long and gives the link up. So one direction is as good as both.
    pub(super) fn judge_link(&mut self, key: LinkKey) {
        let link = &self.links[key];
        let [a, b] = link.slots();
        let are_cut = |a, b| self.is_cut(a, b) || self.is_cut(b, a);
        let is_parted = match link.relay {
            Some(relay) => are_cut(a, relay) || are_cut(relay, b),
            None => are_cut(a, b),
        };
        let was_parted = std::mem::replace(&mut self.links[key].is_parted, is_parted);
        if is_parted && !was_parted {
            let idle_wait = self.idle_wait(key, 0).max(self.idle_wait(key, 1));
            let (now, link) = (self.now, &mut self.links[key]);
            link.partings += 1;
            let (at, parting) = (now + link.round_trip() + idle_wait, link.partings);
            self.schedule(a, at, Event::Parted { link: key, parting });
        }
    }

    /// Nothing has arrived over a link for long, unless its partition has healed meanwhile.
    pub(super) fn parted_for_long(&mut self, key: LinkKey, parting: u32) {
        let Some(link) = self.links.get_mut(key) else { return };
        if link.broken || !link.is_parted || link.partings != parting {
            return;
        }
        link.broken = true;
        let [x, y] = link.slots();
        self.break_relayed(x, y);
        self.notice_silence(key, 0);
        self.notice_silence(key, 1);
    }
}
