//! QUIC as nodes use it, without a socket: the settings of every connection, and what is measured of its path.
//!
//! The driver takes them for real sockets. A simulator that runs `quinn-proto` takes the same ones.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`limits`] | bounds and graces of links, and why they are closed |
//! | [`link_table`] | which of several connections to a peer is the link |
//! | [`relay`] | what a relay carries, and for which pairs |
//! | [`routes`] | the addresses by which QUIC knows peers behind relays |
//! | [`handshake`] | how long the messages of a handshake are |
//!
//! A message is a uni-directional stream. Short messages, which keep peers and groups alive, go ahead of long ones: see
//! [`FrameClass`].

use std::time::Duration;

use quinn_proto::congestion::Controller;
use quinn_proto::{IdleTimeout, TransportConfig, VarInt};

use crate::core::path::{INITIAL_RTT, PathMeasurement};
use crate::core::transport::{IDLE, KEEP_ALIVE};
use crate::core::wire::FRAME_MAX;

mod congestion;
pub mod handshake;
pub mod limits;
pub mod link_table;
pub mod relay;
pub mod routes;

pub use congestion::{CarriedWindow, MeasuredController, MeasuredControllerConfig};

/// Messages of one peer that are on their way at once, each way.
pub const STREAMS_MAX: u32 = 64;
/// UDP payload of a direct link from the start, so that a relayed packet of [`RELAYED_MTU`] fits one of its datagrams.
pub const DIRECT_MTU: u16 = 1_350;
/// UDP payload of a relayed link: QUIC's least.
pub const RELAYED_MTU: u16 = 1_200;
/// Bytes that a link may have in flight, each way. Small: memory is per link, and frames are at most [`FRAME_MAX`].
pub const WINDOW: u32 = 5 * FRAME_MAX as u32;
/// Bytes of relayed packets that wait at a link, each way.
pub const DATAGRAM_BUFFER: usize = 64 * 1024;
/// Handshakes from outside in hand before sources must prove their address by a retry.
pub const INCOMING_UNPROVEN_MAX: usize = 64;
/// Frames longer than this are bulk: they take more than one packet.
pub const CONTROL_BYTES_MAX: usize = 1_024;
/// Bulk frames of one link that QUIC has at once. The streams beyond are left to control.
pub const BULK_STREAMS_MAX: usize = 48;
/// Bytes of bulk frames of one link that QUIC has at once. What [`WINDOW`] allows beyond is left to control.
pub const BULK_BYTES_MAX: usize = 4 * FRAME_MAX;

/// How urgent a frame is, by its length.
///
/// A frame waits only for others of its class, and QUIC sends control ahead of all bulk that it has not sent yet. So a transfer
/// delays a heartbeat by what is in flight already, and not by what is to follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FrameClass {
    /// Short: liveness, membership, introductions, queries. Streams have its priority unless given another.
    #[default]
    Control,
    /// Long: blocks and lists.
    Bulk,
}

impl FrameClass {
    /// Of a frame of so many bytes.
    pub fn of(bytes: usize) -> Self {
        if bytes <= CONTROL_BYTES_MAX { FrameClass::Control } else { FrameClass::Bulk }
    }

    /// The priority of its stream.
    pub fn priority(self) -> i32 {
        match self {
            FrameClass::Control => 0,
            FrameClass::Bulk => -1,
        }
    }
}

/// The settings of a direct or of a relayed connection. The end of a link that is silent for less than the idle time here is up
/// to the transport: see [`crate::core::transport::idle_wait`].
pub fn transport_config(relayed: bool) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .initial_mtu(if relayed { RELAYED_MTU } else { DIRECT_MTU })
        .initial_rtt(INITIAL_RTT)
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE.ceiling).expect("seconds fit")))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS_MAX))
        .stream_receive_window(VarInt::from_u32(FRAME_MAX as u32))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(u64::from(WINDOW))
        // In order of sending: of several long messages over a slow path, the first one arrives early.
        .send_fairness(false)
        .congestion_controller_factory(MeasuredControllerConfig::shared())
        // Relays do not chain: a relayed link carries no relayed packets.
        .datagram_receive_buffer_size((!relayed).then_some(DATAGRAM_BUFFER))
        .datagram_send_buffer_size(DATAGRAM_BUFFER);
    if relayed {
        config.mtu_discovery_config(None);
    }
    config
}

/// What a connection has measured of its path: its `rtt` and the state of its congestion controller, of which only one that
/// [`transport_config`] has set up can be read. `outstanding` are the bytes of messages that wait or are not acknowledged.
/// `silence` is the time since a datagram came, which a connection counts and does not date.
pub fn measure(
    rtt: Duration,
    controller: Box<dyn Controller>,
    outstanding: u64,
    silence: Duration,
) -> Option<PathMeasurement> {
    let controller = MeasuredController::of(controller)?;
    let (deviation, window) = (controller.deviation(), controller.window());
    Some(PathMeasurement { rtt, deviation, window, outstanding, silence })
}
