//! Which routers are left out: those of whose declared behaviour an observation would take too long, or be too uncertain.
//!
//! Within these limits a router that behaves as declared is refused about once in a thousand million times, unless the machine
//! is too busy: see the constants of [`super::observe`] that name them.

use std::time::Duration;

use super::observe::MAPPINGS_MAX;
use super::{DeclaredRouter, longest_round_trip, lost};
use crate::net::link::LinkConfig;

/// Share of packets lost, from which on a link is not probed.
pub(super) const LOSS_END: f64 = 0.8;
/// Longest mean number of packets lost in a row.
pub(super) const BURST_MAX: f64 = 10.0;
/// Least bits per second.
pub(super) const RATE_MIN: u64 = 64_000;
/// Longest that a round trip may take.
pub(super) const ROUND_TRIP_MAX: Duration = Duration::from_secs(5);
/// Shortest life of an idle mapping: a busy machine may leave one idle for long.
pub(super) const LIFE_MIN: Duration = Duration::from_secs(2);

/// Why a router cannot be probed by what is declared of it, for a person.
pub(super) fn unfit(declared: &DeclaredRouter) -> Option<String> {
    let nat = declared.nat.as_ref();
    let most = nat.map_or(u32::MAX, |nat| nat.mappings_max());
    if most < MAPPINGS_MAX {
        return Some(format!("the probe needs {MAPPINGS_MAX} mappings, and a host gets {most}"));
    }
    let either = |is_so: fn(&LinkConfig) -> bool| is_so(&declared.up) || is_so(&declared.down);
    if either(|link| lost(link) >= LOSS_END) {
        return Some(format!("a link loses {} % of all packets or more", LOSS_END * 100.0));
    }
    if either(|link| link.loss_burst.is_some_and(|burst| burst > BURST_MAX)) {
        return Some(format!("a link loses more than {BURST_MAX} packets in a row"));
    }
    if either(|link| link.rate_bps.is_some_and(|rate| rate < RATE_MIN)) {
        return Some(format!("a link has less than {} kbit/s", RATE_MIN / 1_000));
    }
    if longest_round_trip(declared) > ROUND_TRIP_MAX {
        return Some(format!("a round trip may take longer than {ROUND_TRIP_MAX:?}"));
    }
    let dies = nat.is_some_and(|nat| nat.udp_timeout < LIFE_MIN);
    dies.then(|| format!("mappings live for less than {LIFE_MIN:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::nat::NatConfig;

    #[track_caller]
    fn check(change: impl Fn(&mut LinkConfig), expected: Option<&str>) {
        let declared = DeclaredRouter {
            nat: Some(NatConfig::port_restricted()),
            up: LinkConfig::default(),
            down: LinkConfig::default(),
        };
        let (mut up, mut down) = (declared.clone(), declared);
        change(&mut up.up);
        change(&mut down.down);
        assert_eq!(unfit(&up).as_deref(), expected, "outwards");
        assert_eq!(unfit(&down).as_deref(), expected, "inwards");
    }

    #[test]
    fn links_that_hardly_let_anything_pass_are_left_out() {
        let loses = Some("a link loses 80 % of all packets or more");
        check(|link| link.loss = 1.0, loses);
        check(|link| link.loss = 0.8, loses);
        check(|link| link.corrupt = 1.0, loses);
        check(|link| (link.loss, link.corrupt) = (0.6, 0.6), loses);
        check(|link| link.loss = 0.79, None);
        let in_a_row = Some("a link loses more than 10 packets in a row");
        check(|link| (link.loss, link.loss_burst) = (0.2, Some(100.0)), in_a_row);
        check(|link| (link.loss, link.loss_burst) = (0.2, Some(10.0)), None);
        let slow = Some("a link has less than 64 kbit/s");
        check(|link| link.rate_bps = Some(24_000), slow);
        check(|link| link.rate_bps = Some(64_000), None);
    }

    #[test]
    fn what_would_take_too_long_is_left_out() {
        let slow = Some("a round trip may take longer than 5s");
        check(|link| link.latency = Duration::from_secs(6), slow);
        check(|link| link.jitter = Duration::from_secs(1), slow);
        check(|link| (link.reorder, link.reorder_gap) = (0.1, Duration::from_secs(20)), slow);
        check(|link| link.reorder_gap = Duration::from_secs(20), None);
        check(|link| link.latency = Duration::from_millis(600), None);
    }

    #[test]
    fn mappings_that_die_while_they_are_looked_at_are_left_out() {
        let lives = |udp_timeout| {
            let nat = Some(NatConfig { udp_timeout, ..NatConfig::full_cone() });
            unfit(&DeclaredRouter { nat, up: LinkConfig::default(), down: LinkConfig::default() })
        };
        assert_eq!(lives(LIFE_MIN), None);
        assert_eq!(lives(Duration::from_secs(1)).as_deref(), Some("mappings live for less than 2s"));
    }
}
