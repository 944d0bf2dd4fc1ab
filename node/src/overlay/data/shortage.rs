//! What a put lacks at its deadline, and why.

use std::fmt;

/// The copies that a put lacks, with the peers that did not take a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyShortage {
    /// Copies of the block with the fewest.
    pub copies: usize,
    /// Copies wanted: the setting `replicas`.
    pub wanted: usize,
    /// Number of blocks with too few copies.
    pub lacking: usize,
    /// Number of blocks of the value.
    pub blocks: usize,
    /// Peers that have no room, or none left for this node.
    pub no_room: usize,
    /// Peers that could not write a block.
    pub store_failed: usize,
    /// Peers that are leaving the network.
    pub leaving: usize,
    /// Peers that had not answered at the deadline.
    pub unanswered: usize,
}

impl CopyShortage {
    /// What the user can do about it.
    pub fn remedy(&self) -> &'static str {
        if self.no_room > 0 {
            "add nodes, or give those that are full more `storage`; then store the value again"
        } else if self.unanswered > 0 {
            "store the value again: copies made so far stay; a longer `deadline` gives slow peers more time"
        } else if self.store_failed > 0 {
            "look into the logs of the peers whose stores failed; then store the value again"
        } else {
            "this node knows too few peers: start more nodes or lower `replicas`, then store the value again"
        }
    }
}

impl fmt::Display for CopyShortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CopyShortage { copies, wanted, lacking, blocks, .. } = self;
        write!(f, "{lacking} of {blocks} blocks have too few copies: {copies} of {wanted} at the deadline")?;
        let reasons = [
            (self.no_room, "had no room"),
            (self.store_failed, "could not write a block"),
            (self.leaving, "left the network"),
            (self.unanswered, "did not answer in time"),
        ];
        let mut given = reasons.into_iter().filter(|(count, _)| *count > 0).peekable();
        if given.peek().is_none() {
            return f.write_str("; no further peer could be asked");
        }
        for (at, (count, reason)) in given.enumerate() {
            let peers = if count == 1 { "peer" } else { "peers" };
            write!(f, "{} {count} {peers} {reason}", if at == 0 { ";" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_counts_peers_by_reason_and_remedy_follows_from_it() {
        let alone = CopyShortage { copies: 1, wanted: 3, lacking: 1, blocks: 2, ..CopyShortage::default() };
        let text = "1 of 2 blocks have too few copies: 1 of 3 at the deadline; no further peer could be asked";
        assert_eq!(alone.to_string(), text);
        assert!(alone.remedy().contains("start more nodes"));
        let full = CopyShortage { no_room: 1, unanswered: 2, ..alone };
        assert!(full.to_string().ends_with("; 1 peer had no room, 2 peers did not answer in time"), "{full}");
        assert!(full.remedy().contains("`storage`"));
    }
}
