//! How closely the simulator follows QUIC.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Plan;

/// How closely the simulator follows QUIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fidelity {
    /// A model: messages take the time of their packets, and lost packets are sent again.
    Message,
    /// QUIC itself: every datagram is a packet through queues, losses and NATs.
    Packet,
}

impl fmt::Display for Fidelity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fidelity::Message => "message",
            Fidelity::Packet => "packet",
        })
    }
}

/// What a topology or a command line asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FidelityChoice {
    /// What the simulator takes by itself: [`Fidelity::Message`].
    #[default]
    Auto,
    /// [`Fidelity::Message`] for any number of nodes.
    Message,
    /// [`Fidelity::Packet`] for any number of nodes.
    Packet,
}

impl FidelityChoice {
    /// Every choice, as users write them.
    pub const NAMES: [(&'static str, FidelityChoice); 3] =
        [("auto", FidelityChoice::Auto), ("message", FidelityChoice::Message), ("packet", FidelityChoice::Packet)];
}

impl From<Fidelity> for FidelityChoice {
    fn from(fidelity: Fidelity) -> Self {
        match fidelity {
            Fidelity::Message => FidelityChoice::Message,
            Fidelity::Packet => FidelityChoice::Packet,
        }
    }
}

impl Plan {
    /// The fidelity with which the simulator plays it.
    pub fn sim_fidelity(&self) -> Fidelity {
        match self.fidelity {
            FidelityChoice::Packet => Fidelity::Packet,
            FidelityChoice::Auto | FidelityChoice::Message => Fidelity::Message,
        }
    }
}
