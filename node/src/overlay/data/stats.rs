//! What the data overlay counts.

use crate::core::stats::{Instrument, InstrumentLabels, InstrumentValue, Latencies, Stats, stats};

stats! {
    /// Everything that the data overlay counts. [`super::DataOverlay::stats`] sets the gauges.
    DataStats;
    blocks: u64 = Gauge "butter_blocks" &[], "Blocks stored for the network";
    stored_bytes: u64 = Gauge "butter_stored_bytes" &[], "Bytes that the blocks stored for the network cost, overhead included";
    storage_limit_bytes: u64 = Gauge "butter_storage_limit_bytes" &[], "Storage limit of this node, in bytes";
    store_failing: u64 = Gauge "butter_store_failing" &[], "Whether the store refuses blocks: 1 or 0";
    store_write_errors: u64 = Counter "butter_store_write_errors_total" &[], "Blocks that the store could not write";
    blocks_damaged: u64 = Counter "butter_blocks_damaged_total" &[], "Stored blocks that were found missing or not to match their ids";
    groups_under_replicated: u64 = Gauge "butter_groups" &[("state", "under_replicated")], "Peer Content Groups led by this node, by number of live members";
    groups_healthy: u64 = Gauge "butter_groups" &[("state", "healthy")], "Peer Content Groups led by this node, by number of live members";
    groups_over_replicated: u64 = Gauge "butter_groups" &[("state", "over_replicated")], "Peer Content Groups led by this node, by number of live members";
    group_peers: u64 = Gauge "butter_group_peers" &[], "Live peers that share a group with this node";
    peer_failures_detected: u64 = Counter "butter_peer_failures_detected_total" &[], "Group peers declared dead by this node";
    peer_failures_reversed: u64 = Counter "butter_peer_failures_reversed_total" &[], "Group peers declared dead by this node that it heard from again";
    repairs: u64 = Counter "butter_repairs_total" &[], "Members recruited in place of dead ones";
    blocks_moved: u64 = Counter "butter_blocks_moved_total" &[], "Blocks handed on to a peer that holds fewer";
    puts_acknowledged: u64 = Counter "butter_puts_total" &[("result", "acknowledged")], "Puts by result";
    puts_failed: u64 = Counter "butter_puts_total" &[("result", "failed")], "Puts by result";
    retrievals_found: u64 = Counter "butter_retrievals_total" &[("result", "found")], "Gets by result";
    retrievals_not_found: u64 = Counter "butter_retrievals_total" &[("result", "not_found")], "Gets by result";
    retrievals_incomplete: u64 = Counter "butter_retrievals_total" &[("result", "incomplete")], "Gets by result";
    retrievals_refused: u64 = Counter "butter_retrievals_total" &[("result", "refused")], "Gets by result";
    retrieval_messages: u64 = Counter "butter_retrieval_messages_total" &[], "Query messages sent while looking for blocks";
    searches_complete: u64 = Counter "butter_searches_total" &[("result", "complete")], "Searches by result";
    searches_incomplete: u64 = Counter "butter_searches_total" &[("result", "incomplete")], "Searches by result";
    searches_refused: u64 = Counter "butter_searches_total" &[("result", "refused")], "Searches by result";
    search_messages: u64 = Counter "butter_search_messages_total" &[], "Questions sent while searching for keywords";
    search_hits_refused: u64 = Counter "butter_search_hits_refused_total" &[], "Hits of peers that do not match the query";
    inventory_messages: u64 = Counter "butter_inventory_messages_total" &[], "Messages sent about what nodes hold";
    inventory_bytes: u64 = Counter "butter_inventory_bytes_total" &[], "Bytes of messages sent about what nodes hold";
    inventories: u64 = Gauge "butter_inventories" &[], "Nodes whose inventories this node keeps";
    network_nodes: u64 = Gauge "butter_network_nodes_estimated" &[], "Nodes in the network as this node estimates it";
    retrieval_seconds: Latencies = Histogram "butter_retrieval_seconds" &[], "Time from a get to the verified value";
}

/// Every instrument of a node with the data overlay, the core's first, with the value of a node that has counted nothing.
pub fn each_instrument(mut visit: impl FnMut(Instrument, InstrumentLabels, InstrumentValue<'_>)) {
    Stats::default().each(&mut visit);
    DataStats::default().each(&mut visit);
}
