//! What the transport counts beside the core's [`crate::core::stats::Stats`]: whatever the core cannot see.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::core::stats::{Instrument, InstrumentKind};

/// A number that only grows, shared by tasks.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// How many by now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($field:ident $name:literal $labels:expr, $help:literal;)*) => {
        /// Counters of the transport.
        #[derive(Debug, Default)]
        pub struct Counters { $(#[doc = $help] pub $field: Counter,)* }

        impl Counters {
            /// Hands every instrument with its labels and value to `take`, always in the same order.
            pub fn each(&self, mut take: impl FnMut(Instrument, &'static [(&'static str, &'static str)], u64)) {
                $(take(Instrument { name: $name, help: $help, kind: InstrumentKind::Counter }, $labels, self.$field.get());)*
            }
        }
    };
}

counters! {
    connections "butter_connections_total" &[], "Authenticated connections made, either way";
    connections_refused "butter_connections_refused_total" &[], "Connections from outside that were refused: too many";
    frames_malformed "butter_frames_malformed_total" &[], "Frames that were no message; the link was closed";
    frames_overflowed "butter_frames_overflowed_total" &[], "Messages dropped because a peer's send queue was full";
    probes_dropped "butter_probes_dropped_total" &[], "Probes dropped because too many waited for the node";
    extra_lost "butter_extra_socket_lost_total" &[], "Packets to or from extra sockets that found no room";
    relay_packets "butter_relay_packets_total" &[], "Packets carried between two peers, as a relay";
    relay_bytes "butter_relay_bytes_total" &[], "Bytes of packets carried between two peers, as a relay";
    relay_refused "butter_relay_dropped_total" &[("reason", "refused")], "Relayed packets dropped, by reason: not allowed or above the quota, no link or no room, malformed";
    relay_lost "butter_relay_dropped_total" &[("reason", "lost")], "Relayed packets dropped, by reason: not allowed or above the quota, no link or no room, malformed";
    relay_malformed "butter_relay_dropped_total" &[("reason", "malformed")], "Relayed packets dropped, by reason: not allowed or above the quota, no link or no room, malformed";
}
