//! The self-probe: before anything is played, routers are probed from inside and outside, and must behave as the plan says.
//!
//! Here: what was observed, and whether it is what was declared. `survey`: which routers are probed, and from where. `observe`: the
//! observing of one, over real sockets. `limits`: what is not probed. `remote_prober`: all of it by another process.

mod limits;
pub(crate) mod observe;
pub(crate) mod remote_prober;
pub(crate) mod survey;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::net::link::LinkConfig;
use crate::net::nat::{Dependence, NatConfig};
use crate::plan::Uplink;

/// What a machine under load may add to the shortest of several round trips.
const DELAY_TOLERANCE: Duration = Duration::from_millis(20);
/// How many standard deviations of its jitter a delay may be off.
const JITTER_DEVIATIONS: u32 = 6;
/// How many standard deviations a share of losses may be off.
const LOSS_DEVIATIONS: f64 = 5.0;
/// What it may be off beside that.
const LOSS_TOLERANCE: f64 = 0.03;

/// What came of the probe of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ProbeOutcome {
    /// The backend has no part that could behave otherwise than declared.
    NotNeeded,
    /// It cannot be had here.
    NotAvailable {
        /// The reason, as text for the user.
        why: String,
    },
    /// It was not asked for.
    #[default]
    Skipped,
    /// Everything observed is as declared.
    Passed {
        /// How many routers stand between two networks.
        routers: usize,
        /// Those that were probed.
        networks: Vec<ObservedRouter>,
        /// Those that were not.
        skipped: Vec<SkippedRouters>,
    },
    /// A router behaves otherwise than declared, so that nothing was played.
    Refused(RouterDiffers),
}

/// A router that behaves otherwise than declared.
#[derive(Clone, Debug, PartialEq, Serialize, thiserror::Error)]
#[error("{network} does not behave as declared: {observation}")]
pub struct RouterDiffers {
    /// The network that the router belongs to.
    pub network: String,
    /// What was declared and what was seen, for a person.
    pub observation: String,
}

/// Why routers were not probed, or what the probe found.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A router does not do what the topology file says.
    #[error(transparent)]
    Differs(#[from] RouterDiffers),
    /// The probe itself failed.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl ProbeError {
    /// What the user can do about it, if that is known.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            ProbeError::Differs(_) => Some(
                "What is declared is in the topology file. A machine that is too busy adds delay and losses: run again when it is \
                 less busy. Otherwise this is a defect of the router.",
            ),
            ProbeError::Failed(_) => None,
        }
    }
}

/// Routers that were not probed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SkippedRouters {
    /// The reason, as text for the user.
    pub why: String,
    /// The networks that the routers belong to.
    pub networks: Vec<String>,
}

/// How a router is to behave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeclaredRouter {
    /// Its NAT; `None` routes plainly.
    pub nat: Option<NatConfig>,
    /// From its network outwards.
    pub up: LinkConfig,
    /// From outside into its network.
    pub down: LinkConfig,
}

impl From<&Uplink> for DeclaredRouter {
    fn from(uplink: &Uplink) -> Self {
        DeclaredRouter { nat: uplink.nat.clone(), up: uplink.up.clone(), down: uplink.down.clone() }
    }
}

/// How a router behaved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservedRouter {
    /// The network that the router belongs to.
    pub network: String,
    /// Its NAT; `None` for one that routes plainly.
    pub nat: Option<ObservedNat>,
    /// What the uplink of the router did.
    #[serde(flatten)]
    pub measured: ObservedLink,
}

/// What a router's link did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservedLink {
    /// The shortest of some round trips, in seconds.
    pub round_trip_s: f64,
    /// Packets sent in each direction to count losses.
    pub sample: u32,
    /// Share of them lost outwards.
    pub loss_up: f64,
    /// Share of them lost inwards.
    pub loss_down: f64,
}

impl ObservedLink {
    /// The least of both: a busy machine adds to each.
    fn least(self, other: ObservedLink) -> Self {
        ObservedLink {
            round_trip_s: self.round_trip_s.min(other.round_trip_s),
            sample: self.sample,
            loss_up: self.loss_up.min(other.loss_up),
            loss_down: self.loss_down.min(other.loss_down),
        }
    }
}

/// How a NAT behaved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservedNat {
    /// When a new outside port was taken.
    pub mapping: Dependence,
    /// The hosts whose packets came in.
    pub filtering: Dependence,
    /// Whether inside reached inside through outside; `None` where the mapping does not let that be asked.
    pub hairpin: Option<bool>,
    /// Whether a mapping was alive after having been idle for [`ALIVE_AFTER`], or for less where it lives shorter.
    pub alive: bool,
    /// Whether a mapping had gone after its time; `None` where that takes too long to wait for.
    pub expired: Option<bool>,
}

/// How long a mapping is left idle.
pub const ALIVE_AFTER: Duration = Duration::from_millis(1_000);
/// A mapping whose life is at most this is also watched dying.
pub const EXPIRY_WATCHED: Duration = Duration::from_secs(5);

/// Whether a router behaved as declared.
///
/// # Errors
/// With what differs, for a person.
pub fn judge(declared: &DeclaredRouter, observed: &ObservedRouter) -> Result<(), String> {
    if let (Some(nat), Some(seen)) = (&declared.nat, &observed.nat) {
        if seen.mapping != nat.mapping {
            return Err(format!(
                "its mapping is declared {}, but was seen to be {}",
                name(nat.mapping),
                name(seen.mapping)
            ));
        }
        if seen.filtering != nat.filtering {
            return Err(format!(
                "its filtering is declared {}, but {}",
                name(nat.filtering),
                match seen.filtering {
                    Dependence::EndpointIndependent => "an answer from an address that was never written to came in",
                    Dependence::AddressDependent => "an answer from another port of the same host came in",
                    Dependence::AddressAndPortDependent =>
                        "an answer from another port of the same host did not come in",
                }
            ));
        }
        if seen.hairpin.is_some_and(|hairpin| hairpin != nat.hairpin) {
            let what = if nat.hairpin { "does not reach" } else { "reaches" };
            return Err(format!("hairpin is declared {}, but inside {what} inside through outside", nat.hairpin));
        }
        if !seen.alive {
            return Err(format!("mappings are declared to live for {:?}, but one died much earlier", nat.udp_timeout));
        }
        if seen.expired == Some(false) {
            return Err(format!("mappings are declared to die after {:?}, but one lives longer", nat.udp_timeout));
        }
    }
    fits(declared, &observed.measured)
}

/// Whether a link behaved as declared; an error tells what differs.
fn fits(declared: &DeclaredRouter, measured: &ObservedLink) -> Result<(), String> {
    delay(declared, measured.round_trip_s)?;
    loss("outwards", &declared.up, measured.loss_up, measured.sample)?;
    loss("inwards", &declared.down, measured.loss_down, measured.sample)
}

fn delay(declared: &DeclaredRouter, seen_s: f64) -> Result<(), String> {
    let (latency, jitter) = (latency(declared), jitter(declared));
    let (least, most) = (latency.saturating_sub(jitter), longest_round_trip(declared) + DELAY_TOLERANCE);
    if (least.as_secs_f64()..=most.as_secs_f64()).contains(&seen_s) {
        return Ok(());
    }
    let seen = Duration::from_secs_f64(seen_s);
    Err(format!("a round trip is declared to take {latency:?}, but the shortest of several took {seen:.1?}"))
}

/// Of a round trip.
fn latency(declared: &DeclaredRouter) -> Duration {
    declared.up.latency.saturating_add(declared.down.latency)
}

/// What it may add to a round trip, or take from it.
fn jitter(declared: &DeclaredRouter) -> Duration {
    declared.up.jitter.saturating_add(declared.down.jitter).saturating_mul(JITTER_DEVIATIONS)
}

/// Most that the shortest of several round trips may take.
fn longest_round_trip(declared: &DeclaredRouter) -> Duration {
    let beside = [&declared.up, &declared.down].map(|link| lateness(link) + serialisation(link));
    beside.into_iter().fold(latency(declared).saturating_add(jitter(declared)), Duration::saturating_add)
}

/// How late packets may come, beside their delay.
fn lateness(link: &LinkConfig) -> Duration {
    if link.reorder > 0.0 { link.reorder_gap } else { Duration::ZERO }
}

/// What a packet of the probe takes of a link's rate.
fn serialisation(link: &LinkConfig) -> Duration {
    let bits = Duration::from_secs(8 * u64::from(observe::PACKET_LEN));
    link.rate_bps.map_or(Duration::ZERO, |bps| bits.div_f64(bps as f64))
}

/// The share of packets that do not arrive. Damaged ones do not either: their checksums tell.
fn lost(link: &LinkConfig) -> f64 {
    link.loss + link.corrupt - link.loss * link.corrupt
}

fn loss(direction: &str, declared: &LinkConfig, seen: f64, sample: u32) -> Result<(), String> {
    let share = lost(declared);
    // Losses in a row vary more.
    let spread = share * (1.0 - share) * (2.0 * declared.loss_burst.unwrap_or(1.0)).max(1.0) / f64::from(sample);
    if (seen - share).abs() <= LOSS_DEVIATIONS * spread.sqrt() + LOSS_TOLERANCE {
        return Ok(());
    }
    Err(format!(
        "{:.1} % loss is declared {direction}, but of {sample} packets {:.1} % were lost",
        share * 100.0,
        seen * 100.0
    ))
}

fn name(dependence: Dependence) -> &'static str {
    match dependence {
        Dependence::EndpointIndependent => "endpoint-independent",
        Dependence::AddressDependent => "address-dependent",
        Dependence::AddressAndPortDependent => "address-and-port-dependent",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> DeclaredRouter {
        let link = LinkConfig { latency: Duration::from_millis(20), loss: 0.1, ..LinkConfig::default() };
        DeclaredRouter { nat: Some(NatConfig::port_restricted()), up: link.clone(), down: link }
    }

    fn as_declared() -> ObservedRouter {
        let nat = ObservedNat {
            mapping: Dependence::EndpointIndependent,
            filtering: Dependence::AddressAndPortDependent,
            hairpin: Some(true),
            alive: true,
            expired: None,
        };
        let network = "beta".to_owned();
        let measured = ObservedLink { round_trip_s: 0.043, sample: 200, loss_up: 0.12, loss_down: 0.08 };
        ObservedRouter { network, nat: Some(nat), measured }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut ObservedRouter), expected: &str) {
        let mut observed = as_declared();
        change(&mut observed);
        assert_eq!(judge(&declared(), &observed).err().unwrap_or_default(), expected);
    }

    fn nat(observed: &mut ObservedRouter) -> &mut ObservedNat {
        observed.nat.as_mut().unwrap()
    }

    #[test]
    fn what_differs_is_named() {
        check(|_| (), "");
        check(
            |seen| nat(seen).filtering = Dependence::AddressDependent,
            "its filtering is declared address-and-port-dependent, but an answer from another port of the same host came in",
        );
        check(
            |seen| nat(seen).mapping = Dependence::AddressDependent,
            "its mapping is declared endpoint-independent, but was seen to be address-dependent",
        );
        check(|seen| nat(seen).hairpin = None, "");
        check(
            |seen| nat(seen).hairpin = Some(false),
            "hairpin is declared true, but inside does not reach inside through outside",
        );
        check(|seen| nat(seen).alive = false, "mappings are declared to live for 120s, but one died much earlier");
        check(
            |seen| seen.measured.round_trip_s = 0.08,
            "a round trip is declared to take 40ms, but the shortest of several took 80.0ms",
        );
        check(
            |seen| seen.measured.round_trip_s = 0.03,
            "a round trip is declared to take 40ms, but the shortest of several took 30.0ms",
        );
        check(
            |seen| seen.measured.loss_up = 0.3,
            "10.0 % loss is declared outwards, but of 200 packets 30.0 % were lost",
        );
        check(|seen| seen.measured.loss_down = 0.0, "");
    }

    #[test]
    fn what_a_rate_and_lateness_add_to_a_round_trip_is_allowed() {
        let mut declared = DeclaredRouter { nat: None, up: LinkConfig::default(), down: LinkConfig::default() };
        assert!(delay(&declared, 0.024).is_err());
        // 37 bytes each way.
        (declared.up.rate_bps, declared.down.rate_bps) = (Some(64_000), Some(74_000));
        assert_eq!(longest_round_trip(&declared), Duration::from_micros(4_625 + 4_000));
        assert_eq!(delay(&declared, 0.024), Ok(()));
        assert!(delay(&declared, 0.029).is_err());
        (declared.down.reorder, declared.down.reorder_gap) = (1.0, Duration::from_millis(100));
        assert_eq!(delay(&declared, 0.128), Ok(()));
    }
}
