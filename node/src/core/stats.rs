//! What a node counts: plain numbers here, exported by the driver (Prometheus) and the simulator (samples) alike.
//!
//! Each instrument is defined once, with unit and help. No label names a peer.

/// Upper bounds of the buckets of every latency histogram, in seconds.
pub const LATENCY_BUCKETS_S: [f64; 12] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// How an instrument behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstrumentKind {
    /// Only grows while the node runs.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts per bucket, sum and number.
    Histogram,
}

/// A quantity that a node reports as a metric.
#[derive(Clone, Copy, Debug)]
pub struct Instrument {
    /// Metric name, with unit.
    pub name: &'static str,
    /// One line for the HELP text.
    pub help: &'static str,
    /// Whether it is a counter, gauge or histogram.
    pub kind: InstrumentKind,
}

/// What an instrument says now.
#[derive(Clone, Debug)]
pub enum InstrumentValue<'a> {
    /// Of a counter or gauge.
    Number(f64),
    /// The value of a histogram.
    Latencies(&'a Latencies),
}

/// Latencies in fixed buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latencies {
    /// Number in each bucket of [`LATENCY_BUCKETS_S`], not cumulated; the last holds those beyond.
    pub buckets: [u32; LATENCY_BUCKETS_S.len() + 1],
    /// Sum of all latencies, in seconds.
    pub sum_s: f64,
}

impl Latencies {
    /// Adds one latency to its bucket.
    pub fn record(&mut self, latency: std::time::Duration) {
        let seconds = latency.as_secs_f64();
        let bucket = LATENCY_BUCKETS_S.iter().position(|&bound| seconds <= bound).unwrap_or(LATENCY_BUCKETS_S.len());
        self.buckets[bucket] += 1;
        self.sum_s += seconds;
    }

    /// How many were added.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|&count| u64::from(count)).sum()
    }
}

/// What a message is sent for. Each message has one purpose: see [`crate::core::message::Message::purpose`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessagePurpose {
    /// Keeps links, neighbours, groups and inventories as they are.
    Upkeep,
    /// Makes copies again that were lost, and moves blocks to where there is room.
    Repair,
    /// Looks for blocks and values.
    Query,
    /// Carries what an application stores, finds and asks.
    Payload,
}

/// Labels of an instrument: names and values.
pub type InstrumentLabels = &'static [(&'static str, &'static str)];

/// Receives every instrument with its labels and value.
pub type InstrumentVisitor<'v> = &'v mut dyn FnMut(Instrument, InstrumentLabels, InstrumentValue<'_>);

/// Defines a struct of instruments: one field each, with kind, name, labels and help.
macro_rules! stats {
    (
        $(#[$outer:meta])* $name:ident;
        $($(#[$doc:meta])* $field:ident: $type:ty = $kind:ident $metric:literal $labels:expr, $help:literal;)*
    ) => {
        $(#[$outer])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name { $(#[doc = $help] pub $field: $type,)* }

        impl $name {
            /// Hands every instrument with its labels and value to `visit`, always in the same order.
            pub fn each(
                &self,
                mut visit: impl FnMut(
                    $crate::core::stats::Instrument,
                    $crate::core::stats::InstrumentLabels,
                    $crate::core::stats::InstrumentValue<'_>,
                ),
            ) {
                $(visit(
                    $crate::core::stats::Instrument {
                        name: $metric,
                        help: $help,
                        kind: $crate::core::stats::InstrumentKind::$kind,
                    },
                    $labels,
                    $crate::core::stats::stats!(@value $kind self.$field),
                );)*
            }
        }
    };
    (@value Histogram $value:expr) => { $crate::core::stats::InstrumentValue::Latencies(&$value) };
    (@value $kind:ident $value:expr) => { $crate::core::stats::InstrumentValue::Number($value as f64) };
}
pub(crate) use stats;

stats! {
    /// Everything that the core counts. [`crate::core::NodeCore::stats`] sets the gauges. An overlay has its own instruments:
    /// see [`crate::overlay::Overlay::metrics`].
    Stats;
    neighbours: u64 = Gauge "butter_neighbours" &[], "Peers in the active view";
    known_hosts: u64 = Gauge "butter_known_hosts" &[], "Hosts known: active and passive view";
    isolated: u64 = Gauge "butter_isolated" &[], "Whether the node has no neighbour: 1 or 0";
    isolated_longest_s: f64 = Gauge "butter_isolated_longest_seconds" &[], "Longest time without a neighbour since the first one";
    links_lan: u64 = Gauge "butter_links" &[("path", "lan")], "Links by path";
    links_direct: u64 = Gauge "butter_links" &[("path", "direct")], "Links by path";
    links_mapped: u64 = Gauge "butter_links" &[("path", "mapped")], "Links by path";
    links_punched: u64 = Gauge "butter_links" &[("path", "punched")], "Links by path";
    links_predicted: u64 = Gauge "butter_links" &[("path", "predicted")], "Links by path";
    links_relayed: u64 = Gauge "butter_links" &[("path", "relayed")], "Links by path";
    dials: u64 = Counter "butter_dials_total" &[], "Dials begun";
    dials_failed: u64 = Counter "butter_dials_failed_total" &[], "Dials that led to no link";
    link_seconds: Latencies = Histogram "butter_link_seconds" &[], "Time from the first want of a link until it is up";
    link_direct_seconds: Latencies = Histogram "butter_link_direct_seconds" &[], "Time from the first want of a link until it runs without a relay";
    tries_simultaneous: u64 = Counter "butter_holepunch_tries_total" &[("method", "simultaneous")], "Hole punching attempts by method";
    tries_port_prediction: u64 = Counter "butter_holepunch_tries_total" &[("method", "port-prediction")], "Hole punching attempts by method";
    tries_birthday: u64 = Counter "butter_holepunch_tries_total" &[("method", "birthday")], "Hole punching attempts by method";
    holepunches_succeeded: u64 = Counter "butter_holepunches_total" &[("result", "direct")], "Hole punching: relayed links replaced by direct ones, and rounds given up";
    holepunches_given_up: u64 = Counter "butter_holepunches_total" &[("result", "given_up")], "Hole punching: relayed links replaced by direct ones, and rounds given up";
    probes_sent: u64 = Counter "butter_probes_sent_total" &[], "Probes sent";
    probes_received: u64 = Counter "butter_probes_received_total" &[], "Probes received";
    introductions: u64 = Counter "butter_introductions_total" &[], "Introductions made as an ambassador";
    messages_sent: u64 = Counter "butter_messages_sent_total" &[], "Messages sent over links";
    messages_received: u64 = Counter "butter_messages_received_total" &[], "Messages received over links";
    bytes_sent: u64 = Counter "butter_messages_sent_bytes_total" &[], "Bytes of messages sent, before encryption";
    bytes_received: u64 = Counter "butter_messages_received_bytes_total" &[], "Bytes of messages received, after decryption";
    messages_dropped: u64 = Counter "butter_messages_dropped_total" &[], "Messages to peers that could not be reached";
    messages_refused: u64 = Counter "butter_messages_refused_total" &[], "Messages dropped because they were beyond the budget of their sender, its address prefix or all";
    messages_unsendable: u64 = Counter "butter_messages_unsendable_total" &[], "Messages dropped because they are too long for a frame";
    upkeep_messages: u64 = Counter "butter_purpose_messages_total" &[("purpose", "upkeep")], "Messages sent, by what they are for";
    repair_messages: u64 = Counter "butter_purpose_messages_total" &[("purpose", "repair")], "Messages sent, by what they are for";
    query_messages: u64 = Counter "butter_purpose_messages_total" &[("purpose", "query")], "Messages sent, by what they are for";
    payload_messages: u64 = Counter "butter_purpose_messages_total" &[("purpose", "payload")], "Messages sent, by what they are for";
    upkeep_bytes: u64 = Counter "butter_purpose_bytes_total" &[("purpose", "upkeep")], "Bytes of messages sent, before encryption, by what they are for";
    repair_bytes: u64 = Counter "butter_purpose_bytes_total" &[("purpose", "repair")], "Bytes of messages sent, before encryption, by what they are for";
    query_bytes: u64 = Counter "butter_purpose_bytes_total" &[("purpose", "query")], "Bytes of messages sent, before encryption, by what they are for";
    payload_bytes: u64 = Counter "butter_purpose_bytes_total" &[("purpose", "payload")], "Bytes of messages sent, before encryption, by what they are for";
    announcements_sent: u64 = Counter "butter_announcements_sent_total" &[], "Discovery datagrams sent";
    doubles_heard: u64 = Counter "butter_doubles_heard_total" &[], "Announcements of other nodes with the identity of this one";
    announcements_received: u64 = Counter "butter_announcements_received_total" &[], "Discovery datagrams received";
    requests_served: u64 = Counter "butter_requests_served_total" &[], "Requests from peers handed to the application";
}

impl Stats {
    /// Counts a message of so many bytes that the transport has taken.
    pub fn count_sent(&mut self, purpose: MessagePurpose, bytes: u64) {
        let (messages, of_purpose) = match purpose {
            MessagePurpose::Upkeep => (&mut self.upkeep_messages, &mut self.upkeep_bytes),
            MessagePurpose::Repair => (&mut self.repair_messages, &mut self.repair_bytes),
            MessagePurpose::Query => (&mut self.query_messages, &mut self.query_bytes),
            MessagePurpose::Payload => (&mut self.payload_messages, &mut self.payload_bytes),
        };
        *messages += 1;
        *of_purpose += bytes;
        self.bytes_sent += bytes;
    }
}
