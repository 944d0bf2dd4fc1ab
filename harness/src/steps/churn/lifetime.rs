//! How long nodes stay, and how long they are away: distributions, and what measurements of networks have found.
//!
//! | preset | measured |
//! | --- | --- |
//! | `kad` | sessions and absences of KAD: Steiner, En-Najjary, Biersack, Eurecom RR-07-205, 2007 |
//! | `kad-first` | the same of peers that were there at the first look, which stay longer |
//! | `ipfs` | sessions of IPFS servers: ProbeLab, RFM2, week of 2022-04-28; fitted to its shares |
//! | `ipfs-2021` | sessions of IPFS peers: Trautwein et al., SIGCOMM 2022; fitted to its shares |
//! | `bittorrent-a`, `-b`, `-c` | sessions in three swarms: Stutzbach and Rejaie, IMC 2006 |
//! | `kazaa` | sessions of Kazaa, as cited there; fitted to median and ninth decile |
//! | `stream` | visits to live streams: MOLStream |
//! | `rig` | Butter's own rig with a chance of 1/50 each second |

use std::time::Duration;

use rand::Rng;
use rand_distr::{Distribution, Exp, LogNormal, Pareto, Weibull};

use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span, quoted, suggestion};
use crate::topology::fields::{Fields, KeySpec, MapSpec, Spanned, key, scalar};
use crate::topology::form::ValueForm;
use crate::topology::tree::{YamlNode, YamlValue};
use crate::topology::units::{ShapeParameter, Time};

/// How the time is distributed that a node stays or is away. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Lifetime {
    Exponential { mean: f64 },
    Weibull { shape: f64, scale: f64 },
    LogNormal { median: f64, sigma: f64 },
    Pareto { shape: f64, least: f64 },
}

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3_600.0;

const KAD: Lifetime = Lifetime::Weibull { shape: 0.61511, scale: 169.5385 * MINUTE };

/// Sessions of networks that were measured.
const SESSIONS: [(&str, Lifetime); 10] = [
    ("kad", KAD),
    ("kad-first", Lifetime::Weibull { shape: 0.54512, scale: 357.7152 * MINUTE }),
    ("ipfs", Lifetime::Weibull { shape: 0.608, scale: 3.656 * HOUR }),
    ("ipfs-2021", Lifetime::Weibull { shape: 0.518, scale: 1.934 * HOUR }),
    ("bittorrent-a", Lifetime::Weibull { shape: 0.34, scale: 21.3 * MINUTE }),
    ("bittorrent-b", Lifetime::Weibull { shape: 0.38, scale: 42.4 * MINUTE }),
    ("bittorrent-c", Lifetime::Weibull { shape: 0.59, scale: 41.9 * MINUTE }),
    ("kazaa", Lifetime::Weibull { shape: 0.487, scale: 5.1 * MINUTE }),
    // exp(4.29) seconds.
    ("stream", Lifetime::LogNormal { median: 72.966, sigma: 1.28 }),
    ("rig", Lifetime::Exponential { mean: 50.0 }),
];

/// Absences of networks that were measured.
const DOWNTIMES: [(&str, Lifetime); 1] = [("kad", Lifetime::Weibull { shape: 0.47648, scale: 413.6765 * MINUTE })];

/// Which of the two is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LifetimeKind {
    Session,
    Downtime,
}

impl LifetimeKind {
    fn presets(self) -> &'static [(&'static str, Lifetime)] {
        match self {
            LifetimeKind::Session => &SESSIONS,
            LifetimeKind::Downtime => &DOWNTIMES,
        }
    }

    /// Name of its key in the file.
    pub(super) fn key(self) -> &'static str {
        match self {
            LifetimeKind::Session => "session",
            LifetimeKind::Downtime => "downtime",
        }
    }

    /// Names of its presets.
    fn names(self) -> Vec<&'static str> {
        self.presets().iter().map(|(name, _)| *name).collect()
    }
}

pub(super) static SESSION_FORMS: [ValueForm; 2] =
    [ValueForm::Words(|| LifetimeKind::Session.names()), ValueForm::Map(&LIFETIME)];
pub(super) static DOWNTIME_FORMS: [ValueForm; 2] =
    [ValueForm::Words(|| LifetimeKind::Downtime.names()), ValueForm::Map(&LIFETIME)];

static LIFETIME: MapSpec = MapSpec {
    what: "a distribution of times",
    keys: &[
        key("exponential", "50s", "without memory, with this mean").of(ValueForm::quantity::<Time>()),
        key("weibull", "{shape: 0.6, scale: 3h}", "a shape below 1: whoever has stayed for long stays longer")
            .of(ValueForm::Map(&WEIBULL)),
        key("lognormal", "{median: 73s, sigma: 1.28}", "sigma is the deviation of the logarithm")
            .of(ValueForm::Map(&LOGNORMAL)),
        key("pareto", "{shape: 1.5, least: 30s}", "with a long tail").of(ValueForm::Map(&PARETO)),
    ],
    later: &[],
};

static WEIBULL: MapSpec = MapSpec {
    what: "a Weibull distribution",
    keys: &[shape("shape", "0.6", "its k"), time("scale", "3h", "its λ: 63 % are shorter")],
    later: &[],
};
static LOGNORMAL: MapSpec = MapSpec {
    what: "a log-normal distribution",
    keys: &[time("median", "73s", "half are shorter"), shape("sigma", "1.28", "standard deviation of the logarithm")],
    later: &[],
};
static PARETO: MapSpec = MapSpec {
    what: "a Pareto distribution",
    keys: &[shape("shape", "1.5", "its α"), time("least", "30s", "its least value")],
    later: &[],
};

const fn time(name: &'static str, example: &'static str, doc: &'static str) -> KeySpec {
    key(name, example, doc).of(ValueForm::quantity::<Time>()).needed()
}

const fn shape(name: &'static str, example: &'static str, doc: &'static str) -> KeySpec {
    key(name, example, doc).of(ValueForm::Number(ShapeParameter::MOST)).needed()
}

/// Every preset: its key, its name and its distribution in words.
pub(crate) fn lifetime_presets() -> impl Iterator<Item = (&'static str, &'static str, String)> {
    let kinds = [LifetimeKind::Session, LifetimeKind::Downtime];
    kinds.into_iter().flat_map(|kind| kind.presets().iter().map(move |(name, of)| (kind.key(), *name, of.describe())))
}

impl Lifetime {
    /// Reads the value of `session` or `downtime`, which belongs to the key at `owner`.
    pub(super) fn read(
        node: &YamlNode,
        owner: &Span,
        kind: LifetimeKind,
        problems: &mut DiagnosticSink,
    ) -> Option<Lifetime> {
        if !matches!(node.value, YamlValue::Map(_)) {
            return Self::preset(node, kind, problems);
        }
        let fields = Fields::open(node, owner, &LIFETIME, problems);
        let mut found = LIFETIME.keys.iter().filter_map(|key| fields.entry(key.name));
        let (Some((name, node)), None) = (found.next(), found.next()) else {
            problems.add(Diagnostic::at(&node.span, "a time has one distribution").help("such as {exponential: 50s}"));
            return None;
        };
        let open = |spec, problems: &mut DiagnosticSink| Fields::open(node, &name.span, spec, problems);
        match name.name.as_str() {
            "exponential" => {
                Some(Lifetime::Exponential { mean: above_zero(fields.quantity(&name.name, problems)?, problems)? })
            }
            "weibull" => {
                let fields = open(&WEIBULL, problems);
                let (shape, scale) = (number(&fields, "shape", problems), seconds(&fields, "scale", problems));
                Some(Lifetime::Weibull { shape: shape?, scale: scale? })
            }
            "lognormal" => {
                let fields = open(&LOGNORMAL, problems);
                let (median, sigma) = (seconds(&fields, "median", problems), number(&fields, "sigma", problems));
                Some(Lifetime::LogNormal { median: median?, sigma: sigma? })
            }
            _ => {
                let fields = open(&PARETO, problems);
                let (shape, least) = (number(&fields, "shape", problems), seconds(&fields, "least", problems));
                Some(Lifetime::Pareto { shape: shape?, least: least? })
            }
        }
    }

    fn preset(node: &YamlNode, kind: LifetimeKind, problems: &mut DiagnosticSink) -> Option<Lifetime> {
        let presets = kind.presets();
        let example = format!("it can be a preset ({}) or {{exponential: 50s}}", kind.names().join(", "));
        let text = scalar(node, &example, problems)?;
        let found = presets.iter().find(|(name, _)| *name == text).map(|(_, lifetime)| *lifetime);
        if found.is_none() {
            let mut problem = Diagnostic::at(&node.span, format!("there is no {} {}", kind.key(), quoted(text)));
            problem.help = suggestion(text, presets.iter().map(|(name, _)| *name), "presets");
            problems.add(problem);
        }
        found
    }

    /// Draws a time, `speedup` times shorter than in the distribution.
    pub(super) fn draw(&self, speedup: f64, random: &mut impl Rng) -> Duration {
        const SOUND: &str = "parameters are positive";
        let seconds = match *self {
            Lifetime::Exponential { mean } => Exp::new(1.0 / mean).expect(SOUND).sample(random),
            Lifetime::Weibull { shape, scale } => Weibull::new(scale, shape).expect(SOUND).sample(random),
            Lifetime::LogNormal { median, sigma } => LogNormal::new(median.ln(), sigma).expect(SOUND).sample(random),
            Lifetime::Pareto { shape, least } => Pareto::new(least, shape).expect(SOUND).sample(random),
        };
        Duration::try_from_secs_f64(seconds / speedup).unwrap_or(Duration::MAX)
    }

    /// The distribution with its parameters.
    fn describe(&self) -> String {
        let time = |seconds: f64| humantime::format_duration(Duration::from_secs(seconds.round() as u64));
        match *self {
            Lifetime::Exponential { mean } => format!("exponential, mean {}", time(mean)),
            Lifetime::Weibull { shape, scale } => format!("Weibull, shape {shape}, scale {}", time(scale)),
            Lifetime::LogNormal { median, sigma } => format!("log-normal, median {}, sigma {sigma}", time(median)),
            Lifetime::Pareto { shape, least } => format!("Pareto, shape {shape}, least {}", time(least)),
        }
    }

    /// The time below which half of them are.
    pub(super) fn median(&self) -> Duration {
        let half = std::f64::consts::LN_2;
        Duration::from_secs_f64(match *self {
            Lifetime::Exponential { mean } => mean * half,
            Lifetime::Weibull { shape, scale } => scale * half.powf(1.0 / shape),
            Lifetime::LogNormal { median, .. } => median,
            Lifetime::Pareto { shape, least } => least * 2_f64.powf(1.0 / shape),
        })
    }
}

fn seconds(fields: &Fields<'_>, name: &str, problems: &mut DiagnosticSink) -> Option<f64> {
    above_zero(fields.needed_quantity(name, problems)?, problems)
}

/// A time in seconds, if it is one that distributions can have.
fn above_zero(Spanned { value: Time(time), span }: Spanned<Time>, problems: &mut DiagnosticSink) -> Option<f64> {
    if time.is_zero() {
        problems.add(Diagnostic::at(&span, "this time is above zero").help("such as 50s"));
        return None;
    }
    Some(time.as_secs_f64())
}

fn number(fields: &Fields<'_>, name: &str, problems: &mut DiagnosticSink) -> Option<f64> {
    let Spanned { value: ShapeParameter(number), .. } = fields.needed_quantity(name, problems)?;
    Some(number)
}

#[cfg(test)]
mod tests {
    use butter::core::random::child;
    use statrs::distribution::{self, ContinuousCDF};

    use super::*;

    /// Draws for each test of a distribution.
    const DRAWS: usize = 20_000;
    /// Critical value of Kolmogorov and Smirnov's statistic times the root of the draws, at 0.1 %.
    const CRITICAL: f64 = 1.95;

    /// The greatest distance between the share of `drawn` below a time and what `cdf` says.
    fn distance(mut drawn: Vec<f64>, cdf: &dyn ContinuousCDF<f64, f64>) -> f64 {
        drawn.sort_by(f64::total_cmp);
        let count = drawn.len() as f64;
        let apart = |(at, &time): (usize, &f64)| {
            let expected = cdf.cdf(time);
            (expected - at as f64 / count).abs().max((expected - (at + 1) as f64 / count).abs())
        };
        drawn.iter().enumerate().map(apart).fold(0.0, f64::max)
    }

    fn cdf(lifetime: Lifetime, speedup: f64) -> Box<dyn ContinuousCDF<f64, f64>> {
        match lifetime {
            Lifetime::Exponential { mean } => Box::new(distribution::Exp::new(speedup / mean).unwrap()),
            Lifetime::Weibull { shape, scale } => Box::new(distribution::Weibull::new(shape, scale / speedup).unwrap()),
            Lifetime::LogNormal { median, sigma } => {
                Box::new(distribution::LogNormal::new((median / speedup).ln(), sigma).unwrap())
            }
            Lifetime::Pareto { shape, least } => Box::new(distribution::Pareto::new(least / speedup, shape).unwrap()),
        }
    }

    #[test]
    fn what_is_drawn_is_distributed_as_named() {
        let pareto = ("pareto", Lifetime::Pareto { shape: 1.5, least: 30.0 });
        for (name, lifetime) in SESSIONS.into_iter().chain(DOWNTIMES).chain([pareto]) {
            for speedup in [1.0, 300.0] {
                let mut random = child(7, 0);
                let drawn: Vec<f64> = (0..DRAWS).map(|_| lifetime.draw(speedup, &mut random).as_secs_f64()).collect();
                let statistic = distance(drawn.clone(), &*cdf(lifetime, speedup)) * (DRAWS as f64).sqrt();
                assert!(statistic < CRITICAL, "{name} at {speedup}: {statistic}");
                // The test can tell.
                let other = distance(drawn, &*cdf(lifetime, speedup * 1.5)) * (DRAWS as f64).sqrt();
                assert!(other > CRITICAL, "{name} at {speedup}: {other}");
            }
        }
    }

    /// Medians of the sources, in minutes.
    #[test]
    fn presets_have_the_medians_of_their_sources() {
        let medians = [
            ("kad", 93.0),
            ("kad-first", 183.0),
            ("ipfs", 120.0),
            ("ipfs-2021", 57.0),
            ("bittorrent-a", 7.0),
            ("bittorrent-b", 16.0),
            ("bittorrent-c", 23.0),
            ("kazaa", 2.4),
            ("stream", 73.0 / 60.0),
            ("rig", 35.0 / 60.0),
        ];
        for ((name, lifetime), (expected_name, minutes)) in SESSIONS.into_iter().zip(medians) {
            assert_eq!(name, expected_name);
            let found = lifetime.median().as_secs_f64() / MINUTE;
            assert!((found / minutes - 1.0).abs() < 0.04, "{name}: {found}");
        }
        let away = DOWNTIMES[0].1.median().as_secs_f64() / MINUTE;
        assert!((away / 192.0 - 1.0).abs() < 0.01, "{away}");
    }
}
