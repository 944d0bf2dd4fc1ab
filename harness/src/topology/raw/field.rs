//! Networks as they are met on the way: NAT, link and IPv6 in one word. What a network says itself counts in its place.
//!
//! Figures are those of iroh's patchbay. That the hotel stops TCP to port 4001 makes no difference to nodes, which speak UDP.

use super::link::LinkChange;
use crate::net::link::presets::{self, Both};
use crate::net::nat::{NatConfig, Ports};

/// A place with a network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldPreset {
    link: fn() -> Both,
    nat: fn() -> NatConfig,
    /// The same in words, for the reference.
    pub(crate) meaning: &'static str,
}

/// Every one, by name.
pub(crate) const FIELDS: [(&str, FieldPreset); 2] = [
    (
        "hotel",
        FieldPreset {
            link: presets::hotel,
            nat: || NatConfig { ports: Ports::Random, ..NatConfig::port_restricted() },
            meaning: "a NAT with endpoint-independent mapping to other ports, a round trip of 6 ms, no IPv6",
        },
    ),
    (
        "flight",
        FieldPreset {
            link: presets::flight,
            nat: NatConfig::symmetric,
            meaning: "a symmetric NAT, a round trip of 711 ± 71 ms, no IPv6",
        },
    ),
];

impl FieldPreset {
    /// Its NAT.
    pub(crate) fn nat(self) -> NatConfig {
        (self.nat)()
    }

    /// Its uplink.
    pub(crate) fn link(self) -> LinkChange {
        LinkChange::of_preset((self.link)())
    }
}

#[cfg(test)]
mod tests {
    use crate::planner;
    use crate::topology::Overrides;

    #[test]
    fn a_field_stands_for_nat_and_link_unless_the_network_says_otherwise() {
        let uplink = |network: &str| {
            let text = format!(
                "networks: {{internet: {{}}, lan: {{behind: internet, {network}}}}}\nnodes: {{n: {{on: lan}}}}\n\
                 steps: [settle: {{for: 1s}}]\n"
            );
            let plan =
                planner::read("field.yaml", &text, &Overrides::default()).unwrap_or_else(|wrong| panic!("{wrong}"));
            plan.networks[1].behind.clone().unwrap()
        };
        let (hotel, flight) = (uplink("field: hotel"), uplink("field: flight"));
        assert_eq!(hotel.up.latency.as_millis(), 3);
        assert_eq!(flight.up.latency.as_micros() * 2, 711_000);
        assert_ne!(hotel.nat, flight.nat);
        assert_eq!(uplink("field: flight, nat: none").nat, None);
        assert_eq!(uplink("field: flight, link: {latency: 1ms}").up.latency.as_millis(), 1);
        assert_eq!(uplink("field: hotel, link: {latency: 1ms}").nat, hotel.nat);
    }
}
