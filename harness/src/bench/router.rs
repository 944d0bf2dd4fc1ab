//! How fast the router is, beside Linux's own masquerade on the same machine in the same minutes: `harness bench router`.
//!
//! Two hosts in network namespaces, and between them a cable, Linux with nftables, or the router process. Round by round each
//! of them in turn; the result is the median of the rounds, so that another's load on the machine meets all alike.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::net::link::LinkConfig;
use crate::statistics::{median, quantile};

mod lab;
mod limit;
mod traffic;

use lab::{Lab, MiddleBox};
use limit::{Limit, most_packets};

/// Least bits per second of TCP where the link counts no packets.
pub const TCP_CLEAN_BPS: f64 = 4e9;
/// And where it does, so that every packet goes by itself.
pub const TCP_IMPAIRED_BPS: f64 = 0.7e9;
/// Most that the router may add to the median round trip, beyond what Linux does, in microseconds.
pub const ADDED_US: f64 = 60.0;

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub struct RouterBenchOptions {
    /// How often everything is measured.
    pub rounds: usize,
    /// How long each stream lasts.
    pub stream: Duration,
    /// How many questions are asked.
    pub questions: usize,
}

/// The figures that a bench measured.
#[derive(Clone, Debug, Serialize)]
pub struct RouterBench {
    /// Of how many rounds the figures are medians.
    pub rounds: usize,
    /// With nothing between the hosts.
    pub cable: RouterFigures,
    /// With Linux between them; nothing where there is no `nft`.
    pub kernel: Option<RouterFigures>,
    /// With the router between them, its link perfect.
    pub router: RouterFigures,
    /// Bits per second of TCP through the router over a link with a little loss and a high rate.
    pub impaired_tcp_bps: f64,
}

/// The figures of one thing between two hosts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RouterFigures {
    /// Bits per second of a TCP stream.
    pub tcp_bps: f64,
    /// Median round trip, in microseconds.
    pub round_trip_us: f64,
    /// The round trip that one in a hundred exceeds, in microseconds.
    pub round_trip_p99_us: f64,
    /// Most packets of 64 bytes a second without loss; nothing for the cable.
    pub small: Option<Limit>,
}

impl RouterBench {
    /// Microseconds that the router adds to the median round trip: to a cable's, and to Linux's.
    pub fn added_us(&self) -> (f64, Option<f64>) {
        let over = |other: &RouterFigures| self.router.round_trip_us - other.round_trip_us;
        (over(&self.cable), self.kernel.as_ref().map(over))
    }

    /// What is missed, for a person.
    pub fn missed(&self) -> Vec<String> {
        let (over_cable, over_kernel) = self.added_us();
        let added = over_kernel.unwrap_or(over_cable);
        let mut missed = Vec::new();
        for (what, bps, least) in [
            ("a perfect link", self.router.tcp_bps, TCP_CLEAN_BPS),
            ("an impaired link", self.impaired_tcp_bps, TCP_IMPAIRED_BPS),
        ] {
            if bps < least {
                missed.push(format!("TCP over {what}: {:.0} Mbit/s of {:.0}", bps / 1e6, least / 1e6));
            }
        }
        if added > ADDED_US {
            missed.push(format!("added round trip: {added:.0} µs of {ADDED_US:.0}"));
        }
        missed
    }
}

/// Measures. `program` is the harness, to be started as the router. To be called on a thread that stays.
///
/// # Errors
/// Where namespaces cannot be made, or nothing gets through.
pub fn router(options: RouterBenchOptions, program: &Path) -> anyhow::Result<RouterBench> {
    let kernel = has_nft();
    let mut rounds = Rounds::default();
    for _ in 0..options.rounds {
        rounds.cable.push(round(&Lab::new(MiddleBox::Cable, program)?, options).context("over a cable")?);
        if kernel {
            rounds.kernel.push(round(&Lab::new(MiddleBox::Kernel, program)?, options).context("through Linux")?);
        }
        let perfect = MiddleBox::Router(LinkConfig::default());
        rounds.router.push(round(&Lab::new(perfect, program)?, options).context("through the router")?);
        let impaired = LinkConfig { loss: 0.000_1, rate_bps: Some(10_000_000_000), ..LinkConfig::default() };
        let impaired = Lab::new(MiddleBox::Router(impaired), program)?;
        rounds.impaired.push(traffic::stream(&impaired, options.stream).context("over an impaired link")?);
    }
    let small = |between| most_packets(&Lab::new(between, program)?);
    let mut bench = rounds.median(options.rounds);
    if let Some(kernel) = &mut bench.kernel {
        kernel.small = Some(small(MiddleBox::Kernel).context("a flood through Linux")?);
    }
    bench.router.small = Some(small(MiddleBox::Router(LinkConfig::default())).context("a flood through the router")?);
    Ok(bench)
}

fn has_nft() -> bool {
    Command::new("nft")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|it| it.success())
}

fn round(lab: &Lab, options: RouterBenchOptions) -> anyhow::Result<RouterFigures> {
    let tcp_bps = traffic::stream(lab, options.stream)?;
    let trips = traffic::round_trips(lab, options.questions)?;
    let trip_us = |share| quantile(&trips, share).context("no round trip was measured");
    Ok(RouterFigures { tcp_bps, round_trip_us: trip_us(0.5)?, round_trip_p99_us: trip_us(0.99)?, small: None })
}

/// What each round has brought.
#[derive(Debug, Default)]
struct Rounds {
    cable: Vec<RouterFigures>,
    kernel: Vec<RouterFigures>,
    router: Vec<RouterFigures>,
    impaired: Vec<f64>,
}

impl Rounds {
    fn median(self, rounds: usize) -> RouterBench {
        RouterBench {
            rounds,
            cable: middle(&self.cable),
            kernel: (!self.kernel.is_empty()).then(|| middle(&self.kernel)),
            router: middle(&self.router),
            impaired_tcp_bps: median_of_rounds(self.impaired),
        }
    }
}

fn middle(all: &[RouterFigures]) -> RouterFigures {
    RouterFigures {
        tcp_bps: median_of_rounds(all.iter().map(|figures| figures.tcp_bps)),
        round_trip_us: median_of_rounds(all.iter().map(|figures| figures.round_trip_us)),
        round_trip_p99_us: median_of_rounds(all.iter().map(|figures| figures.round_trip_p99_us)),
        small: None,
    }
}

fn median_of_rounds(values: impl IntoIterator<Item = f64>) -> f64 {
    median(values).expect("there is at least one round")
}

impl fmt::Display for RouterBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["between the hosts", "TCP Mbit/s", "round trip µs", "p99", "packets/s", "then"]);
        let mut row = |name: &str, figures: &RouterFigures| {
            let (packets, then) = match &figures.small {
                Some(limit) => (limit.per_second.to_string(), limit.why.clone()),
                None => (String::new(), String::new()),
            };
            let figure = |value: f64| format!("{value:.0}");
            let (tcp, trip) = (figure(figures.tcp_bps / 1e6), figure(figures.round_trip_us));
            table.add_row([name.to_owned(), tcp, trip, figure(figures.round_trip_p99_us), packets, then]);
        };
        row("a cable", &self.cable);
        match &self.kernel {
            Some(kernel) => row("Linux, masquerading", kernel),
            None => writeln!(f, "nft (of nftables) is not installed: no comparison with Linux")?,
        }
        row("the router", &self.router);
        table.add_row(["the router, 0.01 % loss and 10 Gbit/s", &format!("{:.0}", self.impaired_tcp_bps / 1e6)]);
        writeln!(f, "{}", table.trim_fmt())?;
        let (over_cable, over_kernel) = self.added_us();
        write!(f, "the router adds {over_cable:.0} µs to a cable's round trip")?;
        if let Some(over_kernel) = over_kernel {
            write!(f, ", {over_kernel:.0} µs to Linux's")?;
        }
        writeln!(f, "; medians of {} rounds", self.rounds)?;
        match self.missed() {
            missed if missed.is_empty() => write!(f, "targets kept"),
            missed => write!(f, "targets missed: {}", missed.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_taken_figure_by_figure_and_targets_judged() {
        let of = |tcp_bps, round_trip_us| RouterFigures { tcp_bps, round_trip_us, ..RouterFigures::default() };
        let rounds = Rounds {
            cable: vec![of(9e9, 20.0)],
            kernel: vec![of(9e9, 30.0), of(1e9, 50.0), of(5e9, 40.0)],
            router: vec![of(4e9, 99.0), of(3e9, 100.0), of(5e9, 1.0)],
            impaired: vec![1e9, 0.5e9, 0.6e9],
        };
        let bench = rounds.median(3);
        assert_eq!(bench.kernel, Some(of(5e9, 40.0)));
        assert_eq!((bench.router.clone(), bench.added_us()), (of(4e9, 99.0), (79.0, Some(59.0))));
        assert_eq!(bench.missed(), ["TCP over an impaired link: 600 Mbit/s of 700"]);
        assert!(bench.to_string().ends_with("targets missed: TCP over an impaired link: 600 Mbit/s of 700"));
        let alone = RouterBench { kernel: None, ..bench };
        assert_eq!(alone.missed().len(), 2, "then the cable is the measure");
    }
}
