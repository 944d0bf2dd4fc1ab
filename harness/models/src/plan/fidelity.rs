//! How closely the simulator follows QUIC.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Plan;

/// Most nodes that run from the start for which the simulator takes [`Fidelity::Packet`] by itself. A run of so many over churn
/// takes some seconds of CPU time; links, and with them QUIC's work, grow faster than nodes do.
pub const PACKET_NODES_MAX: usize = 100;

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
    /// [`Fidelity::Packet`] for up to [`PACKET_NODES_MAX`] nodes that run from the start, beyond that [`Fidelity::Message`].
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
        let nodes = self.nodes.iter().filter(|node| node.from_start).count();
        match self.fidelity {
            FidelityChoice::Packet => Fidelity::Packet,
            FidelityChoice::Auto if nodes <= PACKET_NODES_MAX => Fidelity::Packet,
            FidelityChoice::Auto | FidelityChoice::Message => Fidelity::Message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::builder::PlanBuilder;

    #[test]
    fn few_nodes_run_quic_itself_and_many_a_model_unless_a_fidelity_is_chosen() {
        let plan = |choice, nodes| {
            let mut builder = PlanBuilder::new(1);
            for _ in 0..nodes {
                builder.node(PlanBuilder::INTERNET);
            }
            // It runs later, in the place of another.
            let replacement = builder.node(PlanBuilder::INTERNET);
            builder.plan_mut().nodes[replacement.0].from_start = false;
            Plan { fidelity: choice, ..builder.into_plan() }
        };
        let (few, many) = (PACKET_NODES_MAX, PACKET_NODES_MAX + 1);
        assert_eq!(PACKET_NODES_MAX, 100, "help and documents say so");
        assert_eq!(plan(FidelityChoice::Auto, few).sim_fidelity(), Fidelity::Packet);
        assert_eq!(plan(FidelityChoice::Auto, many).sim_fidelity(), Fidelity::Message);
        assert_eq!(plan(FidelityChoice::Message, few).sim_fidelity(), Fidelity::Message);
        assert_eq!(plan(FidelityChoice::Packet, many).sim_fidelity(), Fidelity::Packet);
    }
}
