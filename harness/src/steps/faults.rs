//! Every fault that a topology can have, with what each backend does about it: the table of the reference. What no backend does is in
//! it, too, with the reason; a topology that asks for it is refused before anything is built.

/// A fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// What happens, in a few words.
    pub(crate) what: &'static str,
    /// How a topology asks for it.
    pub(crate) written: &'static str,
    pub(crate) support: FaultSupport,
}

/// Where a fault can be had.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FaultSupport {
    /// On every backend: `topologies/faults.yaml` plays it.
    Everywhere,
    /// On the simulator and in namespaces or containers, but not alike.
    Differs {
        /// What the simulator does.
        sim: &'static str,
        /// What namespaces and containers do.
        real: &'static str,
    },
    /// In namespaces and containers; the simulator refuses it.
    RealOnly {
        /// Why.
        sim: &'static str,
    },
    /// Nowhere, and why.
    Refused(&'static str),
}

use FaultSupport::{Differs, Everywhere, RealOnly, Refused};

const fn fault(what: &'static str, written: &'static str, support: FaultSupport) -> Fault {
    Fault { what, written, support }
}

/// Every fault, by what it strikes.
pub(crate) static FAULTS: [Fault; 25] = [
    fault("a node dies", "kill: {nodes: a, count: 1}", Everywhere),
    fault("a node leaves gracefully", "stop: {nodes: b, count: 1}", Everywhere),
    fault("a node hangs", "pause: {nodes: a, count: 1}", Everywhere),
    fault("a machine sleeps and wakes", "sleep: {nodes: b, count: 2, for: 5s}", Everywhere),
    fault("nothing passes between nodes", "partition: [alpha, beta]", Everywhere),
    fault("nothing passes in one direction", "partition: {sides: [a-1, [a-2, a-3]], one-way: true}", Everywhere),
    fault("an uplink fails", "outage: {networks: [beta], for: 6s}", Everywhere),
    fault("the power of a network fails", "outage: {networks: [alpha], for: 3s, of: power}", Everywhere),
    fault(
        "a link gets slow and lossy",
        "link: {networks: [alpha], loss: 3%, latency: 60ms, up: {rate: 2mbit}}",
        Everywhere,
    ),
    fault("a NAT forgets its mappings", "rebind: [beta]", Everywhere),
    fault("a node moves to another network", "move: {nodes: a-1, to: beta}", Everywhere),
    fault("a firewall stops UDP, or all but the web", "firewall: {networks: [beta], policy: udp-blocked}", Everywhere),
    fault("a portal stops everything for a time", "firewall: {networks: [beta], policy: {captive: 5s}}", Everywhere),
    fault("a link has a small MTU", "link: {networks: [beta], mtu: 1300}", Everywhere),
    fault(
        "longer packets vanish without an error",
        "link: {networks: [alpha], mtu: {bytes: 1400, black-hole: true}}",
        Everywhere,
    ),
    fault("a disk is full", "disk-full: {nodes: a, count: 1}", Everywhere),
    fault("a disk damages blocks", "corrupt-store: {nodes: b, count: 1}", Everywhere),
    fault(
        "a power cut loses what was not synced",
        "kill: {nodes: a, count: 1}",
        Differs {
            sim: "the modelled disk loses writes that were not synced",
            real: "what a killed process has written is with the kernel, which does not lose it",
        },
    ),
    fault(
        "an established connection survives a partition",
        "partition: {sides: [alpha, beta], established: keep}",
        Refused(
            "packets are judged one by one where they arrive, and the payload of QUIC does not show what they belong to",
        ),
    ),
    fault(
        "a partition rejects packets",
        "partition: {sides: [alpha, beta], reject: true}",
        Refused(
            "QUIC ignores ICMP errors that anybody could forge, so that this is the same as dropping (RFC 9000, section 14.2.1)",
        ),
    ),
    fault(
        "a clock is wrong or drifts",
        "skew: {nodes: a, by: 10s}",
        Refused("nodes use no wall clock, and Linux has no monotonic clock of another rate"),
    ),
    fault("a node has little CPU", "limits: {cpu: 50%}", RealOnly { sim: "it has no model of computing time" }),
    fault("a node has little memory", "limits: {memory: 64MiB}", RealOnly { sim: "its nodes share one process" }),
    fault(
        "the names of ambassadors do not resolve",
        "dns: fail",
        Refused("nodes of a run join by addresses; names are tested with `butter run --join`"),
    ),
    fault(
        "a command runs in a node",
        "exec: {nodes: a, run: [true]}",
        Refused("not part of a plan; `harness exec` runs one in a lab that is up"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::limits;
    use crate::planner;
    use crate::topology::Overrides;

    const PLAYED: &str = include_str!("../../../topologies/faults.yaml");

    #[test]
    fn faults_of_every_backend_are_in_the_topology_that_plays_them() {
        for fault in FAULTS.iter().filter(|fault| !matches!(fault.support, Refused(_) | RealOnly { .. })) {
            assert!(PLAYED.contains(&format!("- {}\n", fault.written)), "{}", fault.written);
        }
        planner::read("faults.yaml", PLAYED, &Overrides::default()).unwrap_or_else(|wrong| panic!("{wrong}"));
    }

    #[test]
    fn limits_are_read_and_refused_by_the_simulator_before_anything_is_built() {
        for fault in FAULTS.iter().filter(|fault| matches!(fault.support, RealOnly { .. })) {
            let text = format!(
                "networks: {{lan: {{}}}}\nnodes: {{a: {{on: lan, {}}}}}\nsteps: [settle: {{for: 1s}}]\n",
                fault.written
            );
            let plan =
                planner::read("fault.yaml", &text, &Overrides::default()).unwrap_or_else(|wrong| panic!("{wrong}"));
            let refused = limits::refuse(&plan).unwrap_err().to_string();
            assert!(refused.contains("a has limits"), "{refused}");
        }
    }

    #[test]
    fn other_faults_are_refused_before_anything_is_built() {
        for fault in FAULTS.iter().filter(|fault| matches!(fault.support, Refused(_))) {
            let written = fault.written;
            let (network, step) = match written.split(':').next() {
                Some("dns") => (written, "settle: {for: 1s}"),
                _ => ("nat: full-cone", written),
            };
            let text = format!(
                "networks:\n  internet: {{}}\n  alpha: {{behind: internet, {network}}}\n  beta: {{behind: internet}}\n\
                 nodes:\n  a: {{on: alpha, count: 3}}\nsteps:\n  - {step}\n"
            );
            let Err(wrong) = planner::read("fault.yaml", &text, &Overrides::default()) else { panic!("{text}") };
            assert!(wrong.to_string().contains("is not supported yet"), "{wrong}");
        }
    }
}
