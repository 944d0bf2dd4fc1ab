//! Links as people have them, by name.
//!
//! Rates and round trips are published figures, rounded; a round trip is taken as half up and half down. Jitter and loss are
//! chosen, not measured: they vary more within each sort of access than between them. For scale: the United States' Federal
//! Communications Commission (FCC) sorts providers by losses of less than 0.4 %, up to 1 %, and more ("Measuring Broadband
//! America"). Queues are such that they hold between 30 ms (fibre) and a second (mobile) of the rate.
//!
//! "WebPageTest" is that tool's list of connection profiles (`connectivity.ini`), which browsers' throttling follows too.

use std::time::Duration;

use super::{Distribution, LinkConfig};

/// A link in its two directions: up, then down.
pub type Both = (LinkConfig, LinkConfig);

/// Names of all presets, as topologies spell them.
pub const NAMES: [&str; 13] = [
    "perfect",
    "fibre",
    "cable",
    "dsl",
    "wifi",
    "wifi-bad",
    "5g",
    "lte",
    "4g",
    "3g",
    "edge",
    "satellite",
    "satellite-geo",
];

const MBIT: u64 = 1_000_000;
const KIB: u64 = 1_024;

/// The preset of this name.
pub fn named(name: &str) -> Option<Both> {
    Some(match name {
        "perfect" => Both::default(),
        "fibre" => fibre(),
        "cable" => cable(),
        "dsl" => dsl(),
        "wifi" => wifi(),
        "wifi-bad" => bad_wifi(),
        "5g" => fifth_generation(),
        "lte" => lte(),
        "4g" => fourth_generation(),
        "3g" => third_generation(),
        "edge" => edge(),
        "satellite" | "satellite-geo" => satellite(),
        _ => return None,
    })
}

/// Fibre to the home. 300 Mbit/s is a common entry tier; about 10 ms to a server nearby is what the FCC's "Measuring Broadband
/// America" has found on fibre year after year.
fn fibre() -> Both {
    let link = LinkConfig {
        latency: Duration::from_millis(5),
        jitter: Duration::from_micros(500),
        loss: 0.000_1,
        rate_bps: Some(300 * MBIT),
        queue_bytes: 1_024 * KIB,
        ..LinkConfig::default()
    };
    (link.clone(), link)
}

/// Television cable. 100 Mbit/s down and 20 up are the FCC's definition of broadband since 2024 (Section 706 report); a round
/// trip of 28 ms is WebPageTest's "Cable". Upstream slots are shared, hence the tail.
fn cable() -> Both {
    let down = LinkConfig {
        latency: Duration::from_millis(14),
        jitter: Duration::from_millis(2),
        distribution: Distribution::Pareto,
        loss: 0.001,
        rate_bps: Some(100 * MBIT),
        queue_bytes: 1_024 * KIB,
        ..LinkConfig::default()
    };
    (LinkConfig { rate_bps: Some(20 * MBIT), queue_bytes: 256 * KIB, ..down.clone() }, down)
}

/// A telephone line: WebPageTest's "DSL", 1.5 Mbit/s down, 384 kbit/s up and a round trip of 50 ms.
fn dsl() -> Both {
    let down = LinkConfig {
        latency: Duration::from_millis(25),
        jitter: Duration::from_millis(2),
        loss: 0.001,
        rate_bps: Some(1_500_000),
        queue_bytes: 128 * KIB,
        ..LinkConfig::default()
    };
    (LinkConfig { rate_bps: Some(384_000), queue_bytes: 48 * KIB, ..down.clone() }, down)
}

/// Wireless at home: Firefox's "Wi-Fi" in its network throttling, 30 Mbit/s down, 15 up and 2 ms. The channel is shared, hence
/// the tail, and interference takes several packets in a row.
fn wifi() -> Both {
    let down = LinkConfig {
        latency: Duration::from_millis(2),
        jitter: Duration::from_millis(3),
        distribution: Distribution::Pareto,
        loss: 0.002,
        loss_burst: Some(3.0),
        rate_bps: Some(30 * MBIT),
        queue_bytes: 512 * KIB,
        ..LinkConfig::default()
    };
    (LinkConfig { rate_bps: Some(15 * MBIT), queue_bytes: 256 * KIB, ..down.clone() }, down)
}

/// Wireless far from its access point: the third rung of the ladder by which iroh's patchbay makes links worse, 8 Mbit/s, a round
/// trip of 90 ms, jitter of 15 ms, and 2 % lost, eight packets in a row.
fn bad_wifi() -> Both {
    let link = LinkConfig {
        latency: Duration::from_millis(45),
        jitter: Duration::from_millis(15),
        distribution: Distribution::Pareto,
        loss: 0.02,
        loss_burst: Some(8.0),
        rate_bps: Some(8 * MBIT),
        queue_bytes: 512 * KIB,
        ..LinkConfig::default()
    };
    (link.clone(), link)
}

/// A hotel: a round trip of 6 ms to the internet, as iroh's patchbay has found it.
pub fn hotel() -> Both {
    let link = LinkConfig { latency: Duration::from_millis(3), ..LinkConfig::default() };
    (link.clone(), link)
}

/// An aeroplane: round trips of 711 ms with a deviation of 71, as iroh's patchbay has found them; each way has half of the mean and
/// of the variance.
pub fn flight() -> Both {
    let link = LinkConfig {
        latency: Duration::from_micros(355_500),
        jitter: Duration::from_micros(50_205),
        ..LinkConfig::default()
    };
    (link.clone(), link)
}

/// Fifth-generation mobile as its users have it: Ookla's means of mobile access in 2021 and 2022, 55 Mbit/s down and a round trip
/// of 28 ms; a tenth of that rate upwards.
fn fifth_generation() -> Both {
    let down = LinkConfig {
        latency: Duration::from_millis(14),
        jitter: Duration::from_millis(5),
        distribution: Distribution::Pareto,
        loss: 0.001,
        rate_bps: Some(55 * MBIT),
        queue_bytes: 1_024 * KIB,
        ..LinkConfig::default()
    };
    (LinkConfig { rate_bps: Some(5_500_000), queue_bytes: 256 * KIB, ..down.clone() }, down)
}

/// Fourth-generation mobile with a weak signal: WebPageTest's "4G", 9 Mbit/s each way and a round trip of 170 ms.
fn fourth_generation() -> Both {
    let link = LinkConfig {
        latency: Duration::from_millis(85),
        jitter: Duration::from_millis(15),
        distribution: Distribution::Pareto,
        loss: 0.005,
        loss_burst: Some(3.0),
        rate_bps: Some(9 * MBIT),
        queue_bytes: 768 * KIB,
        ..LinkConfig::default()
    };
    (link.clone(), link)
}

/// Second-generation mobile: WebPageTest's "Edge", 240 kbit/s down, 200 kbit/s up and a round trip of 840 ms.
fn edge() -> Both {
    let down = LinkConfig {
        latency: Duration::from_millis(420),
        jitter: Duration::from_millis(60),
        distribution: Distribution::Pareto,
        loss: 0.01,
        loss_burst: Some(4.0),
        rate_bps: Some(240_000),
        queue_bytes: 32 * KIB,
        ..LinkConfig::default()
    };
    (LinkConfig { rate_bps: Some(200_000), queue_bytes: 28 * KIB, ..down.clone() }, down)
}

/// Fourth-generation mobile: WebPageTest's "LTE", 12 Mbit/s each way and a round trip of 70 ms.
fn lte() -> Both {
    let link = LinkConfig {
        latency: Duration::from_millis(35),
        jitter: Duration::from_millis(8),
        distribution: Distribution::Pareto,
        loss: 0.002,
        rate_bps: Some(12 * MBIT),
        queue_bytes: 1_024 * KIB,
        ..LinkConfig::default()
    };
    (link.clone(), link)
}

/// Third-generation mobile: WebPageTest's "3G", 1.6 Mbit/s down, 768 kbit/s up and a round trip of 300 ms. Losses come
/// together when the radio fades.
fn third_generation() -> Both {
    let down = LinkConfig {
        latency: Duration::from_millis(150),
        jitter: Duration::from_millis(30),
        distribution: Distribution::Pareto,
        loss: 0.01,
        loss_burst: Some(4.0),
        rate_bps: Some(1_600_000),
        queue_bytes: 192 * KIB,
        ..LinkConfig::default()
    };
    (LinkConfig { rate_bps: Some(768_000), queue_bytes: 96 * KIB, ..down.clone() }, down)
}

/// A geostationary satellite. Up there and back are 2 × 35,786 km, so light takes 239 ms (ITU-T G.114 counts 260 ms); with
/// what else is on the way, the FCC's "Measuring Broadband America" found round trips of about 600 ms. 25 Mbit/s down and 3 up
/// were the FCC's definition of broadband from 2015 to 2024, and what such services offered.
fn satellite() -> Both {
    let down = LinkConfig {
        latency: Duration::from_millis(300),
        jitter: Duration::from_millis(10),
        loss: 0.004,
        loss_burst: Some(3.0),
        rate_bps: Some(25 * MBIT),
        queue_bytes: 2_048 * KIB,
        ..LinkConfig::default()
    };
    (LinkConfig { rate_bps: Some(3 * MBIT), queue_bytes: 256 * KIB, ..down.clone() }, down)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::link::Link;

    #[test]
    fn every_preset_is_a_link_of_its_own() {
        let all: Vec<Both> = NAMES.iter().map(|name| named(name).expect("its name is listed")).collect();
        for (index, (up, down)) in all.iter().enumerate() {
            Link::new(up.clone(), 1);
            Link::new(down.clone(), 1);
            // That the satellite is a geostationary one, its long name says.
            let is_double = all[..index].iter().any(|other| other.1 == *down) && NAMES[index] != "satellite-geo";
            assert!(!is_double, "{} is another's double", NAMES[index]);
        }
        assert_eq!(named("isdn"), None);
    }
}
