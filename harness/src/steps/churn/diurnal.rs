//! Arrivals that follow the day: nodes that are away come back the more often, the nearer it is to the hour of the peak.
//!
//! The rate of arrivals is its mean times 1 + a·cos(2π(t − p)/T), with the amplitude a, the peak p and the period T. A node that would
//! be away for a time d at the mean rate is away until the integral of that factor has grown by d. For exponential absences this is a
//! Poisson process whose rate follows the day (Lewis and Shedler 1979); any other distribution is stretched and compressed alike.

use std::f64::consts::TAU;
use std::time::Duration;

use crate::topology::diagnostics::{Diagnostic, DiagnosticSink};
use crate::topology::fields::{Fields, MapSpec, key};
use crate::topology::form::ValueForm;
use crate::topology::tree::YamlValue;
use crate::topology::units::{Share, Time};

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Amplitude where the file names none. Chosen, not measured: between one and a half times and half of the mean.
const AMPLITUDE: f64 = 0.5;
/// Halvings of an interval: below a microsecond in a hundred years.
const HALVINGS: usize = 64;

/// The word that stands for a day as it is.
const WORD: &str = "diurnal";
pub(super) static ARRIVAL_FORMS: [ValueForm; 2] = [ValueForm::Words(|| vec![WORD]), ValueForm::Map(&DIURNAL)];

static DIURNAL: MapSpec = MapSpec {
    what: "arrivals that follow the day",
    keys: &[
        key("period", "24h", "length of the day; 24h if absent").of(ValueForm::quantity::<Time>()),
        key("amplitude", "50%", "how far the rate of arrivals swings around its mean; 50% if absent")
            .of(ValueForm::quantity::<Share>()),
        key("peak", "20h", "time from the beginning of the step to the first peak; none if absent")
            .of(ValueForm::quantity::<Time>()),
    ],
    later: &[],
};

/// How the rate of arrivals follows the day. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Diurnal {
    period: f64,
    /// 0..1.
    amplitude: f64,
    peak: f64,
}

impl Diurnal {
    /// The value of the key `arrivals`, if it is there.
    pub(super) fn read(step: &Fields<'_>, problems: &mut DiagnosticSink) -> Option<Self> {
        let (key, node) = step.entry("arrivals")?;
        let day = Diurnal { period: DAY.as_secs_f64(), amplitude: AMPLITUDE, peak: 0.0 };
        if !matches!(node.value, YamlValue::Map(_)) {
            return step.word("arrivals", &[(WORD, day)], problems);
        }
        let fields = Fields::open(node, &key.span, &DIURNAL, problems);
        let seconds = |name, problems: &mut DiagnosticSink| {
            fields.quantity::<Time>(name, problems).map(|time| (time.value.0.as_secs_f64(), time.span))
        };
        let period = seconds("period", problems);
        if let Some((0.0, span)) = &period {
            problems.add(Diagnostic::at(span, "a day has a length").help("such as period: 24h"));
            return None;
        }
        Some(Diurnal {
            period: period.map_or(day.period, |(period, _)| period),
            amplitude: fields.quantity::<Share>("amplitude", problems).map_or(AMPLITUDE, |share| share.value.0),
            peak: seconds("peak", problems).map_or(0.0, |(peak, _)| peak),
        })
    }

    /// How long a node is away that leaves at `from` and would be away for `mean` at the mean rate. All in seconds.
    pub(super) fn away(&self, from: f64, mean: f64) -> f64 {
        let swing = self.amplitude * self.period / TAU;
        let (mut least, mut most) = ((mean - 2.0 * swing).max(0.0), mean + 2.0 * swing);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(least, most);
            match self.grown(from, middle) < mean {
                true => least = middle,
                false => most = middle,
            }
        }
        most
    }

    /// By how much the integral of the rate's factor grows in `time` seconds after `from`.
    fn grown(&self, from: f64, time: f64) -> f64 {
        let phase = |at: f64| (TAU * (at - self.peak) / self.period).sin();
        time + self.amplitude * self.period / TAU * (phase(from + time) - phase(from))
    }
}

#[cfg(test)]
mod tests {
    use butter::core::random::child;
    use rand_distr::{Distribution, Exp};
    use statrs::distribution::{ChiSquared, ContinuousCDF};

    use super::*;

    const DAY_S: f64 = 86_400.0;
    const MEAN_S: f64 = 5_000.0;
    const BINS: usize = 12;

    /// When a node comes back that leaves again at once, for so many days.
    fn arrivals(day: Diurnal, days: f64) -> Vec<f64> {
        let (mut random, absence) = (child(7, 1), Exp::new(1.0 / MEAN_S).unwrap());
        let (mut now, mut times) = (0.0, Vec::new());
        while now < days * DAY_S {
            now += day.away(now, absence.sample(&mut random));
            times.push(now);
        }
        times.pop();
        times
    }

    /// How probable such counts in each twelfth of the day are, or worse ones, if the rate follows `day`.
    fn probability(times: &[f64], day: Diurnal) -> f64 {
        let mut counts = [0.0; BINS];
        times.iter().for_each(|time| counts[((time % DAY_S) / DAY_S * BINS as f64) as usize] += 1.0);
        let width = DAY_S / BINS as f64;
        let expected = |bin: usize| times.len() as f64 * day.grown(bin as f64 * width, width) / DAY_S;
        let statistic: f64 =
            counts.iter().enumerate().map(|(bin, seen)| (seen - expected(bin)).powi(2) / expected(bin)).sum();
        1.0 - ChiSquared::new((BINS - 1) as f64).unwrap().cdf(statistic)
    }

    #[test]
    fn arrivals_follow_the_day_as_declared() {
        let day = |amplitude, peak| Diurnal { period: DAY_S, amplitude, peak };
        for of in [day(0.5, 0.0), day(0.8, 64_800.0), day(1.0, 30_000.0)] {
            let times = arrivals(of, 1_500.0);
            assert!(times.len() > 20_000);
            let probable = probability(&times, of);
            assert!(probable > 0.001, "{of:?}: {probable}");
            // The test can tell.
            assert!(probability(&times, day(of.amplitude * 0.8, of.peak)) < 0.001);
            assert!(probability(&times, day(of.amplitude, of.peak + 7_200.0)) < 0.001);
        }
    }

    /// What is left when the day is taken out is exponential again (Kolmogorov and Smirnov, at 0.1 %).
    #[test]
    fn without_the_day_absences_are_what_was_drawn() {
        let day = Diurnal { period: DAY_S, amplitude: 0.9, peak: 1_000.0 };
        let times = arrivals(day, 1_500.0);
        let mut before = 0.0;
        let mut drawn: Vec<f64> = Vec::new();
        for time in times {
            drawn.push(day.grown(before, time - before));
            before = time;
        }
        drawn.sort_by(f64::total_cmp);
        let count = drawn.len() as f64;
        let apart = |(at, time): (usize, &f64)| (1.0 - (-time / MEAN_S).exp() - (at as f64 + 0.5) / count).abs();
        let distance = drawn.iter().enumerate().map(apart).fold(0.0, f64::max);
        assert!(distance * count.sqrt() < 1.95, "{distance}");
    }

    #[test]
    fn a_day_without_amplitude_changes_nothing() {
        let flat = Diurnal { period: DAY_S, amplitude: 0.0, peak: 0.0 };
        assert!((flat.away(12.0, 345.678) - 345.678).abs() < 1e-9);
    }
}
