//! How the endpoints of a simulated node are set up: as the driver's, with seeds in place of randomness.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use butter::core::identity::NodeId;
use butter::quic::{INCOMING_UNPROVEN_MAX, transport_config};
use quinn_proto::{
    ClientConfig, ConnectionId, Endpoint, EndpointConfig, NoneTokenStore, ServerConfig, TimeSource, TransportConfig,
};

use super::connection::EndpointKind;
use super::stand_in::keys::{StandInIds, StandInKey, hash, mix};
use super::stand_in::{AcceptorIdentity, DiallerIdentity};

/// Bytes of the destination that a dialler makes up.
const INITIAL_ID_BYTES: usize = 20;

/// What all hosts of a simulation share.
#[derive(Clone, Debug)]
pub(super) struct SharedSettings {
    /// Of direct and of relayed connections.
    transport: [Arc<TransportConfig>; 2],
    clock: VirtualClock,
}

/// The time of day of the simulation, for tokens that expire.
#[derive(Clone, Debug, Default)]
pub(super) struct VirtualClock(Arc<AtomicU64>);

impl VirtualClock {
    pub(super) fn set(&self, micros: u64) {
        self.0.store(micros, Ordering::Relaxed);
    }
}

impl TimeSource for VirtualClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

impl SharedSettings {
    pub(super) fn new(clock: VirtualClock) -> Self {
        SharedSettings { transport: [false, true].map(|relayed| Arc::new(transport_config(relayed))), clock }
    }
}

/// What one life of a node begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostSeed {
    pub(super) me: NodeId,
    /// Decides whatever is random.
    pub(super) seed: u64,
    /// Connections of this life are numbered from here.
    pub(super) first_connection: u32,
}

/// The settings of one node.
#[derive(Debug)]
pub(super) struct HostSettings {
    shared: SharedSettings,
    seed: HostSeed,
    dials: u64,
}

impl HostSettings {
    pub(super) fn new(shared: SharedSettings, seed: HostSeed) -> Self {
        HostSettings { shared, seed, dials: 0 }
    }

    /// An endpoint without connections. Those of one node share nothing, as in the driver.
    pub(super) fn endpoint(&self, kind: EndpointKind) -> Endpoint {
        let HostSeed { me, seed, .. } = self.seed;
        let identity = mix(hash(0, &me.0), kind as u64);
        let life = mix(seed, kind as u64);
        let mut rng_seed = [0; 32];
        for (place, chunk) in rng_seed.chunks_mut(8).enumerate() {
            chunk.copy_from_slice(&mix(life, place as u64).to_le_bytes());
        }
        let mut config = EndpointConfig::new(Arc::new(StandInKey(identity)));
        config
            .grease_quic_bit(false)
            .rng_seed(Some(rng_seed))
            .cid_generator(move || Box::new(StandInIds::new(identity, life)));
        let mut server = ServerConfig::new(Arc::new(AcceptorIdentity { me }), Arc::new(StandInKey(mix(life, 4))));
        server
            .transport_config(self.shared.transport[kind as usize].clone())
            .max_incoming(2 * INCOMING_UNPROVEN_MAX)
            .time_source(Arc::new(self.shared.clock.clone()));
        // What runs over a relay may be fragmented, as far as QUIC knows.
        Endpoint::new(Arc::new(config), Some(Arc::new(server)), kind == EndpointKind::Direct, None)
    }

    /// For one dial.
    pub(super) fn dial(&mut self, expected: Option<NodeId>, kind: EndpointKind) -> ClientConfig {
        self.dials += 1;
        let mut id = [0; INITIAL_ID_BYTES];
        for (place, chunk) in id.chunks_mut(8).enumerate() {
            let random = mix(mix(self.seed.seed, 5 + self.dials), place as u64).to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
        let mut config = ClientConfig::new(Arc::new(DiallerIdentity { me: self.seed.me, expected }));
        config
            .transport_config(self.shared.transport[kind as usize].clone())
            .token_store(Arc::new(NoneTokenStore))
            .initial_dst_cid_provider(Arc::new(move || ConnectionId::new(&id)));
        config
    }
}
