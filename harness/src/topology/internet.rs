//! `internet: 2025`: homes as they are, drawn from measured shares: kinds of NAT, sorts of access and regions in one word. It stands
//! for networks and node groups, which are put into the tree of the file before anything of it is read.
//!
//! Shares of 2025: address-and-port-dependent mapping for 2 % of homes, 11 % of fixed and 40 % of mobile carrier-grade NATs
//! (Richter et al., IMC 2016), UDP unusable for 3 % (Langley et al., SIGCOMM 2017, has 4 %), as many open or forwarded hosts as
//! crawls of public networks find. Shares of 2011: 21 % connectable, 64 % endpoint-independent, 11 % endpoint-dependent (Halkes and
//! Pouwelse, 2011); the rest is behind what lets no UDP through.
//!
//! Regions: a star whose middle is in North America, fitted to round trips between IBM Cloud's sites (2024): Washington to
//! Frankfurt 91 ms, to Tokyo 166 ms, Frankfurt to Osaka 232 ms.

use std::fmt::Write as _;

use super::diagnostics::{Diagnostic, DiagnosticSink, Span, quoted};
use super::fields::{Fields, MapSpec, key};
use super::form::{ValueForm, words_of};
use super::tree::{self, YamlKey, YamlNode, YamlValue};

/// The key of the file.
pub(crate) const KEY: &str = "internet";
/// Most homes of a mix.
const HOMES_MAX: u64 = 4_000;
/// Homes where the file names no number.
const HOMES_DEFAULT: u64 = 60;

/// A year, or a map that says more.
pub(crate) static FORMS: [ValueForm; 2] = [ValueForm::Words(|| words_of(&YEARS)), ValueForm::Map(&INTERNET)];

static INTERNET: MapSpec = MapSpec {
    what: "an internet",
    keys: &[
        key("year", "2025", "whose shares: 2011 or 2025").of(ValueForm::Words(|| words_of(&YEARS))).needed(),
        key("homes", "100", "how many nodes, each in a home or a phone of its own; 60 if absent")
            .of(ValueForm::Count(10, HOMES_MAX)),
        key("blocked", "true", "whether homes take part that UDP does not reach, and that never join; false if absent")
            .of(ValueForm::Flag),
    ],
    later: &[],
};

/// Which measurements the shares are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Year {
    Y2011,
    Y2025,
}

const YEARS: [(&str, Year); 2] = [("2011", Year::Y2011), ("2025", Year::Y2025)];

/// A sort of access, the same in every region.
struct Access {
    /// Names its node group. Its networks are called `NAME-net`.
    name: &'static str,
    /// Percent of the homes in 2011 and in 2025.
    share: [f64; 2],
    /// Of its router, in a topology's words.
    nat: &'static str,
    link: [&'static str; 2],
    /// Whether it is behind a carrier's NAT of its own, and that NAT.
    carrier: Option<&'static str>,
}

/// Every sort. The last is the one that UDP does not reach.
const ACCESSES: [Access; 8] = [
    Access { name: "open", share: [21.0, 18.0], nat: "none", link: ["cable", "fibre"], carrier: None },
    Access { name: "home", share: [64.0, 52.0], nat: "port-restricted", link: ["dsl", "cable"], carrier: None },
    Access { name: "strict", share: [11.0, 1.0], nat: "symmetric", link: ["dsl", "cable"], carrier: None },
    Access { name: "cgn", share: [0.0, 12.0], nat: "port-restricted", link: ["dsl", "dsl"], carrier: Some("cgnat") },
    Access {
        name: "cgn-strict",
        share: [0.0, 1.5],
        nat: "port-restricted",
        link: ["dsl", "dsl"],
        carrier: Some("symmetric"),
    },
    Access { name: "mobile", share: [0.0, 7.5], nat: "cgnat", link: ["3g", "lte"], carrier: None },
    Access { name: "mobile-strict", share: [0.0, 5.0], nat: "symmetric", link: ["3g", "lte"], carrier: None },
    Access {
        name: "blocked",
        share: [4.0, 3.0],
        nat: "port-restricted, firewall: udp-blocked",
        link: ["dsl", "cable"],
        carrier: None,
    },
];

/// Name, percent of the homes, and one-way delay to the middle.
const REGIONS: [(&str, f64, &str); 3] = [("na", 35.0, "3ms"), ("eu", 40.0, "45ms"), ("as", 25.0, "75ms")];
/// Ambassadors, in the middle.
const AMBASSADORS: u64 = 3;

/// Puts networks and node groups in place of the key, if the file has it.
pub(crate) fn expand(root: &mut YamlNode, problems: &mut DiagnosticSink) {
    let YamlValue::Map(entries) = &mut root.value else { return };
    let Some(place) = entries.iter().position(|(key, _)| key.name == KEY) else { return };
    let (key, node) = entries.remove(place);
    let Some(text) = text_of(&key, &node, problems) else { return };
    let mut made = tree::parse(&text, problems).expect("its own text is a map");
    place_at(&mut made, &key.span);
    let YamlValue::Map(made) = made.value else { return };
    for (part, node) in made {
        match entries.iter_mut().find(|(own, _)| own.name == part.name) {
            Some((_, own)) => merge(own, node, &key.span, problems),
            None => entries.push((part, node)),
        }
    }
}

/// The networks and node groups as text.
fn text_of(key: &YamlKey, node: &YamlNode, problems: &mut DiagnosticSink) -> Option<String> {
    // A year alone is as good as a map with it.
    let short;
    let node = match &node.value {
        YamlValue::Scalar(_) => {
            let year = YamlKey { name: "year".to_owned(), span: key.span.clone() };
            short = YamlNode { value: YamlValue::Map(vec![(year, node.clone())]), ..node.clone() };
            &short
        }
        _ => node,
    };
    let fields = Fields::open(node, &key.span, &INTERNET, problems);
    fields.need("year", problems);
    let year = fields.word("year", &YEARS, problems)?;
    let homes = fields.count("homes", 10, HOMES_MAX, problems).unwrap_or(HOMES_DEFAULT);
    let is_blocked_in = fields.flag("blocked", problems).unwrap_or(false);
    Some(write_text(year, homes, is_blocked_in))
}

fn write_text(year: Year, homes: u64, is_blocked_in: bool) -> String {
    let era = usize::from(year == Year::Y2025);
    let accesses: Vec<&Access> = ACCESSES.iter().filter(|access| is_blocked_in || access.name != "blocked").collect();
    let by_access = apportion(homes, &accesses.iter().map(|access| access.share[era]).collect::<Vec<_>>());
    let by_region = |count| apportion(count, &REGIONS.map(|(_, share, _)| share)).into_iter().zip(REGIONS);
    let cells = accesses
        .into_iter()
        .zip(by_access)
        .flat_map(|(access, count)| by_region(count).map(move |(count, (region, ..))| (access, region, count)));
    let (mut networks, mut groups) = ("networks:\n  internet: {}\n".to_owned(), "nodes:\n".to_owned());
    let line = |text: &mut String, line: String| writeln!(text, "  {line}").expect("a string takes everything");
    for (region, _, latency) in REGIONS {
        line(
            &mut networks,
            format!("region-{region}: {{behind: internet, nat: none, link: {{latency: {latency}}}, region: {region}}}"),
        );
    }
    line(&mut groups, format!("ambassador: {{on: internet, ambassador: true, count: {AMBASSADORS}}}"));
    for (access, region, count) in cells.filter(|(.., count)| *count > 0) {
        let Access { name, nat, link, carrier, .. } = access;
        let (network, link) = (format!("{name}-{region}-net"), link[era]);
        let behind = match carrier {
            None => format!("region-{region}"),
            Some(carrier) => {
                let isp = format!("{name}-{region}-isp");
                line(
                    &mut networks,
                    format!(
                        "{isp}: {{behind: region-{region}, nat: {carrier}, link: {{latency: 2ms}}, region: {region}, count: {count}}}"
                    ),
                );
                isp
            }
        };
        line(
            &mut networks,
            format!("{network}: {{behind: {behind}, nat: {nat}, link: {link}, region: {region}, count: {count}}}"),
        );
        line(&mut groups, format!("{name}-{region}: {{on: {network}, count: {count}}}"));
    }
    networks + &groups
}

/// Divides a number by weights, to the largest remainders (Hamilton's method).
fn apportion(number: u64, weights: &[f64]) -> Vec<u64> {
    let sum: f64 = weights.iter().sum();
    let exact: Vec<f64> = weights.iter().map(|weight| number as f64 * weight / sum).collect();
    let mut counts: Vec<u64> = exact.iter().map(|share| *share as u64).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()).then(a.cmp(&b)));
    let left = (number - counts.iter().sum::<u64>()) as usize;
    by_remainder.into_iter().take(left).for_each(|place| counts[place] += 1);
    counts
}

/// Has everything point to where the file asks for it.
fn place_at(node: &mut YamlNode, span: &Span) {
    node.span = span.clone();
    match &mut node.value {
        YamlValue::Map(entries) => entries.iter_mut().for_each(|(key, node)| {
            key.span = span.clone();
            place_at(node, span);
        }),
        YamlValue::List(items) => items.iter_mut().for_each(|item| place_at(item, span)),
        YamlValue::Scalar(_) | YamlValue::Empty => {}
    }
}

/// Adds what is made to what the file has of its own.
fn merge(own: &mut YamlNode, made: YamlNode, span: &Span, problems: &mut DiagnosticSink) {
    let YamlValue::Map(made) = made.value else { return };
    if own.value == YamlValue::Empty {
        own.value = YamlValue::Map(Vec::new());
    }
    // What is no map is reported by its reader.
    let YamlValue::Map(entries) = &mut own.value else { return };
    let first_own = entries.len();
    for (key, node) in made {
        match entries[..first_own].iter().find(|(own, _)| own.name == key.name) {
            Some((own, _)) => problems.add(
                Diagnostic::at(&own.span, format!("{} is made by `{KEY}`, too", quoted(&key.name)))
                    .related(span, "makes networks and node groups")
                    .help("choose another name"),
            ),
            None => entries.push((key, node)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_kept_as_nearly_as_whole_homes_allow() {
        assert_eq!(apportion(10, &[50.0, 25.0, 25.0]), [5, 3, 2]);
        for homes in [10, 60, 97, 1_000] {
            let text = write_text(Year::Y2025, homes, false);
            let counts = |part: &str| -> u64 {
                let lines = text.lines().skip_while(|line| !line.starts_with("nodes:"));
                let of = lines.filter(|line| line.contains(part) && line.contains("-net,"));
                of.map(|line| line.split("count: ").nth(1).unwrap().trim_end_matches('}').parse::<u64>().unwrap()).sum()
            };
            assert_eq!(counts(""), homes, "{text}");
            let share = counts("  home-") as f64 / homes as f64;
            assert!((share - 52.0 / 97.0).abs() < 0.06, "{share} of {homes}");
        }
    }
}
