//! Links, NATs and lifetimes that have names.

use std::time::Duration;

use serde::Serialize;

use super::row;
use crate::net::link::{LinkConfig, presets};
use crate::net::nat::NatConfig;
use crate::steps;
use crate::topology::raw::field::FIELDS;
use crate::topology::raw::firewall::POLICIES;

pub(super) fn presets() -> String {
    let mut text = String::from(
        "# Presets\n\n## Links\n\n`link: cable` of a network. Each link has a direction up, from the network outwards, and one \
         down. Latency is one way.\n\n| preset | rate up, down | latency up, down | jitter | loss | mean burst | queue up, down |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for name in presets::NAMES {
        let Some((up, down)) = presets::named(name) else { continue };
        let both = |show: fn(&LinkConfig) -> String| pair(&show(&up), &show(&down));
        let cells = [
            format!("`{name}`"),
            both(|link| link.rate_bps.map_or("unbounded".to_owned(), rate)),
            both(|link| time(link.latency)),
            both(|link| format!("{}, {}", time(link.jitter), format!("{:?}", link.distribution).to_lowercase())),
            both(|link| format!("{} %", link.loss * 100.0)),
            both(|link| link.loss_burst.map_or("–".to_owned(), |burst| format!("{burst} packets"))),
            both(|link| format!("{} KiB", link.queue_bytes / 1_024)),
        ];
        row(&mut text, &cells.each_ref().map(String::as_str));
    }
    nats(&mut text);
    fields(&mut text);
    firewalls(&mut text);
    lifetimes(&mut text);
    text
}

fn nats(text: &mut String) {
    text.push_str(
        "\n## NATs\n\n`nat: symmetric` of a network, in the terms of RFC 4787. [NAT kinds](../nat-kinds.md) says what each means \
         for peers.\n\n| preset | mapping | filtering | ports | hairpinning | UDP time-out | TCP time-out |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (name, nat) in NatConfig::presets() {
        let cells = [
            format!("`{name}`"),
            word(nat.mapping),
            word(nat.filtering),
            word(nat.ports),
            if nat.hairpin { "yes" } else { "no" }.to_owned(),
            time(nat.udp_timeout),
            time(nat.tcp_timeout),
        ];
        row(text, &cells.each_ref().map(String::as_str));
    }
}

fn fields(text: &mut String) {
    text.push_str(
        "\n## Networks on the way\n\n`field: hotel` of a network. What it says itself of `nat` or `link` counts in place of that.\n\n\
         | preset | meaning |\n| --- | --- |\n",
    );
    for (name, field) in FIELDS {
        row(text, &[&format!("`{name}`"), field.meaning]);
    }
}

fn firewalls(text: &mut String) {
    text.push_str(
        "\n## Firewalls\n\n`firewall: udp-blocked` of a network, and `policy` of the step [`firewall`](steps.md#firewall): what passes \
         its router.\n\n| policy | what passes |\n| --- | --- |\n",
    );
    for (name, _, meaning) in POLICIES {
        row(text, &[&format!("`{name}`"), meaning]);
    }
}

fn lifetimes(text: &mut String) {
    text.push_str(
        "\n## Sessions and absences\n\n`session: kad` and `downtime: kad` of the step [`churn`](steps.md#churn).\n\n\
         | key | preset | distribution |\n| --- | --- | --- |\n",
    );
    for (key, name, distribution) in steps::lifetime_presets() {
        row(text, &[&format!("`{key}`"), &format!("`{name}`"), &distribution]);
    }
}

/// One value if both are alike.
fn pair(up: &str, down: &str) -> String {
    if up == down { up.to_owned() } else { format!("{up}; {down}") }
}

fn time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

/// The word that stands for a value in files.
fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn rate(bps: u64) -> String {
    let (value, unit) = if bps >= 1_000_000 { (bps as f64 / 1e6, "Mbit/s") } else { (bps as f64 / 1e3, "kbit/s") };
    format!("{value} {unit}")
}
