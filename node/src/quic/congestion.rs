//! QUIC's congestion controller: Cubic above what the path is known to carry, with a record of the round trips that it is shown.
//!
//! Cubic takes every loss for congestion, so a radio link that loses one packet in thirty is left nearly empty. What a path
//! has carried, it can carry again: see [`carried`]. QUIC keeps the variance of the round trip to itself. A controller sees
//! every acknowledged packet, and so can keep its own.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn_proto::RttEstimator;
use quinn_proto::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};

use crate::core::path::{INITIAL_RTT, MAX_ACK_DELAY};
use crate::core::time::Time;

mod carried;

pub use carried::CarriedWindow;

/// Makes a [`MeasuredController`] for each connection.
#[derive(Debug, Default)]
pub struct MeasuredControllerConfig {
    cubic: Arc<CubicConfig>,
}

impl MeasuredControllerConfig {
    /// For all connections of a node.
    pub fn shared() -> Arc<Self> {
        Arc::default()
    }
}

impl ControllerFactory for MeasuredControllerConfig {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(MeasuredController {
            cubic: self.cubic.clone().build(now, current_mtu),
            began: now,
            carried: CarriedWindow::new(Time::ZERO),
            rtt: INITIAL_RTT,
            deviation: INITIAL_RTT / 2,
            sample: None,
            measured: false,
        })
    }
}

/// Cubic, and what it has shown of the path.
pub struct MeasuredController {
    cubic: Box<dyn Controller>,
    /// What `carried` counts from.
    began: Instant,
    carried: CarriedWindow,
    /// Smoothed round trip before the acknowledgement at hand.
    rtt: Duration,
    deviation: Duration,
    /// The round trip of the newest packet of the acknowledgement at hand.
    sample: Option<Duration>,
    measured: bool,
}

impl MeasuredController {
    /// The controller of a connection, as quinn returns it. `None` if it is of another kind.
    pub fn of(controller: Box<dyn Controller>) -> Option<Self> {
        controller.into_any().downcast().ok().map(|controller| *controller)
    }

    /// Mean deviation of the round trip (`rttvar` of RFC 9002 §5.3).
    pub fn deviation(&self) -> Duration {
        self.deviation
    }

    fn time(&self, instant: Instant) -> Time {
        Time::ZERO + instant.saturating_duration_since(self.began)
    }
}

impl fmt::Debug for MeasuredController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rtt, deviation, .. } = self;
        f.debug_struct("MeasuredController").field("rtt", rtt).field("deviation", deviation).finish_non_exhaustive()
    }
}

impl Controller for MeasuredController {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        let sample = now.saturating_duration_since(sent);
        self.sample = Some(self.sample.map_or(sample, |newest| newest.min(sample)));
        self.rtt = rtt.get();
        self.carried.acknowledged(self.time(sent), bytes, rtt.min());
        self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest_packet_num_acked: Option<u64>) {
        if let Some(sample) = self.sample.take() {
            // What may be the peer's delay of its acknowledgement says nothing about the path.
            let late = sample.saturating_sub(self.rtt).saturating_sub(MAX_ACK_DELAY);
            let deviation = late.max(self.rtt.saturating_sub(sample));
            self.deviation = if self.measured { (3 * self.deviation + deviation) / 4 } else { sample / 2 };
            self.measured = true;
        }
        self.carried.acknowledgement_ended(self.time(now), app_limited);
        self.cubic.on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent_congestion: bool, lost_bytes: u64) {
        self.carried.lost(lost_bytes, is_persistent_congestion);
        self.cubic.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.cubic.window().max(self.carried.window())
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = self.cubic.metrics();
        metrics.congestion_window = self.window();
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        let Self { began, carried, rtt, deviation, sample, measured, .. } = *self;
        let cubic = self.cubic.clone_box();
        Box::new(MeasuredController { cubic, began, carried, rtt, deviation, sample, measured })
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
