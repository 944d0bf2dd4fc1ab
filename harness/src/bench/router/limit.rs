//! How many small packets get through, and what stops more of them.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::lab::Lab;
use super::traffic::{Flooded, flood};

/// How long each flood lasts.
const FLOOD: Duration = Duration::from_millis(500);
/// Packets a second of the first flood; each is twice the one before.
const FIRST: u32 = 20_000;
/// Where it ends in any case.
const LAST: u32 = 5_120_000;
/// Floods between the greatest rate without loss and the least with it.
const BETWEEN: usize = 4;
/// Share of a flood that may be lost for it to count as whole: a machine has other things to do.
const LOST_MAX: f64 = 0.001;
/// Share of the packets that a sender has to get away in time to count.
const SENT_MIN: f64 = 0.95;
/// Floods at a rate before it counts as too fast: a machine has hiccups.
const TRIES: usize = 2;
/// How long a router takes at most to count what it had no time to read.
const COUNTED_WITHIN: Duration = Duration::from_millis(1_200);

/// The most that gets through.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    /// Packets forwarded in a second.
    pub per_second: u32,
    /// What stops more of them.
    pub why: String,
}

/// How a flood went.
enum Trial {
    /// So many packets a second got through, and no more were sent or lost than wanted.
    Whole(u32),
    /// The same, but the sender could not send as many as it should.
    Slow(u32, String),
    /// Packets were lost, and why.
    Lossy(String),
}

/// Floods the lab ever faster, then ever closer to where packets begin to be lost.
pub(super) fn most_packets(lab: &Lab) -> anyhow::Result<Limit> {
    let (mut good, mut best, mut bad) = (0, 0, None);
    let mut rate = FIRST;
    while bad.is_none() && rate <= LAST {
        match trial(lab, rate)? {
            Trial::Whole(reached) => (good, best, rate) = (rate, best.max(reached), rate * 2),
            Trial::Slow(reached, why) => return Ok(Limit { per_second: best.max(reached), why }),
            Trial::Lossy(why) => bad = Some((rate, why)),
        }
    }
    let Some((mut above, mut why)) = bad else {
        return Ok(Limit { per_second: best, why: "nothing up to here".to_owned() });
    };
    for _ in 0..BETWEEN {
        let rate = good.midpoint(above);
        match trial(lab, rate)? {
            Trial::Whole(reached) => (good, best) = (rate, best.max(reached)),
            Trial::Slow(reached, other) => (best, above, why) = (best.max(reached), rate, other),
            Trial::Lossy(other) => (above, why) = (rate, other),
        }
    }
    Ok(Limit { per_second: best, why })
}

/// Floods at a rate; once more if packets are lost.
fn trial(lab: &Lab, rate: u32) -> anyhow::Result<Trial> {
    let mut lossy = String::new();
    for _ in 0..TRIES {
        let before = Counters::read(lab)?;
        let flooded = flood(lab, rate, FLOOD)?;
        let wanted = f64::from(rate) * FLOOD.as_secs_f64();
        let lost = flooded.sent.saturating_sub(flooded.received);
        let reached = (flooded.received as f64 / flooded.took_s) as u32;
        if lost as f64 > flooded.sent as f64 * LOST_MAX {
            thread::sleep(COUNTED_WITHIN);
            lossy = Counters::read(lab)?.explain(&before, flooded, lost);
        } else if (flooded.sent as f64) < wanted * SENT_MIN {
            return Ok(Trial::Slow(reached, Counters::read(lab)?.explain(&before, flooded, 0)));
        } else {
            return Ok(Trial::Whole(reached));
        }
    }
    Ok(Trial::Lossy(lossy))
}

/// Everything that counts lost packets, by who lost them.
#[derive(Debug)]
struct Counters {
    lost: BTreeMap<String, u64>,
    router_cpu_s: Option<f64>,
}

impl Counters {
    fn read(lab: &Lab) -> anyhow::Result<Self> {
        let mut lost = BTreeMap::new();
        let router_cpu_s = lab.router_cpu_s()?;
        if router_cpu_s.is_some() {
            lost.extend(router_drops(&lab.metrics()?));
        }
        let snmp = lab.far.enter(|| fs::read_to_string("/proc/thread-self/net/snmp"))?.context("reading counters")?;
        lost.insert("the receiver's socket was full".to_owned(), receive_buffer_errors(&snmp).unwrap_or(0));
        let softnet = fs::read_to_string("/proc/net/softnet_stat").context("reading counters")?;
        lost.insert("the kernel's backlog was full".to_owned(), backlog_drops(&softnet));
        Ok(Counters { lost, router_cpu_s })
    }

    fn explain(&self, before: &Counters, flooded: Flooded, lost: u64) -> String {
        let since = |name: &String, now: u64| now - before.lost.get(name).copied().unwrap_or(0).min(now);
        let most = self.lost.iter().map(|(name, &now)| (since(name, now), name)).max();
        let mut text = match most.filter(|(count, _)| *count > 0) {
            _ if lost == 0 => "the sender sends no more".to_owned(),
            Some((count, name)) => format!("{name} ({count} of {lost} lost)"),
            None => format!("{lost} lost, counted nowhere"),
        };
        if let Some((now, then)) = self.router_cpu_s.zip(before.router_cpu_s) {
            let share = (now - then) / flooded.took_s * 100.0;
            text.push_str(&format!("; the router used {share:.0} % of a CPU"));
        }
        text
    }
}

/// What a router says that it has dropped.
fn router_drops(metrics: &str) -> impl Iterator<Item = (String, u64)> + '_ {
    metrics.lines().filter_map(|line| {
        let (cause, count) = line.strip_prefix("butter_router_dropped_total{cause=\"")?.split_once("\"} ")?;
        Some((format!("the router counts: {cause}"), count.parse().ok()?))
    })
}

/// From `/proc/net/snmp`, which has a line of names and one of numbers for each protocol.
fn receive_buffer_errors(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let place = lines.next()?.split(' ').position(|name| name == "RcvbufErrors")?;
    lines.next()?.split(' ').nth(place)?.parse().ok()
}

/// From `/proc/net/softnet_stat`: a line for each CPU, of which the second number, in hexadecimal, counts drops.
fn backlog_drops(softnet: &str) -> u64 {
    let of = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok();
    softnet.lines().filter_map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_found_where_they_are_counted() {
        let drops: Vec<_> = router_drops("# x\nbutter_router_dropped_total{cause=\"overrun\"} 12\nother 3\n").collect();
        assert_eq!(drops, [("the router counts: overrun".to_owned(), 12)]);
        let snmp = "Tcp: A\nTcp: 1\nUdp: InDatagrams RcvbufErrors SndbufErrors\nUdp: 4 5 6\n";
        assert_eq!(receive_buffer_errors(snmp), Some(5));
        assert_eq!(backlog_drops("0001 0000000a 0\n0002 00000001 0\n"), 11);
    }

    #[test]
    fn the_greatest_loss_is_the_cause() {
        let counters = |backlog, overrun, router_cpu_s| Counters {
            lost: [("backlog".to_owned(), backlog), ("overrun".to_owned(), overrun)].into(),
            router_cpu_s,
        };
        let flooded = Flooded { sent: 100, received: 60, took_s: 0.5 };
        let explanation = counters(15, 35, Some(2.4)).explain(&counters(10, 0, Some(2.0)), flooded, 40);
        assert_eq!(explanation, "overrun (35 of 40 lost); the router used 80 % of a CPU");
        let explanation = counters(0, 0, None).explain(&counters(0, 0, None), flooded, 0);
        assert_eq!(explanation, "the sender sends no more");
    }
}
