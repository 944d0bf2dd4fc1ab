//! Each model against the distribution that it claims, at fixed seeds: a fault of a percent shows, luck does not.

use super::super::delay::{DEVIATION, third_root, variate};
use super::*;

/// The farthest that two distributions may be apart over so many draws (Kolmogorov and Smirnov, one in a thousand).
fn apart_max(draws: usize) -> f64 {
    1.95 / (draws as f64).sqrt()
}

/// The greatest distance of the draws' distribution from `cdf`.
fn apart(mut draws: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    draws.sort_by(f64::total_cmp);
    let count = draws.len() as f64;
    let distance = |(index, &draw): (usize, &f64)| {
        let expected = cdf(draw);
        (expected - index as f64 / count).abs().max((expected - (index + 1) as f64 / count).abs())
    };
    draws.iter().enumerate().map(distance).fold(0.0, f64::max)
}

/// Whether counts are as expected by Pearson's chi-square, whose mean is the degrees of freedom and whose variance twice that.
fn check_counts(observed: &[u64], shares: &[f64]) {
    let total: u64 = observed.iter().sum();
    let square: f64 = observed
        .iter()
        .zip(shares)
        .map(|(&count, share)| (count as f64 - share * total as f64).powi(2) / (share * total as f64))
        .sum();
    let freedom = (observed.len() - 1) as f64;
    assert!(square < freedom + 5.0 * (2.0 * freedom).sqrt(), "chi-square {square}: {observed:?}, expected {shares:?}");
}

/// Whether so many of so many are a share, within five deviations of a binomial distribution.
fn check_share(count: usize, of: usize, share: f64) {
    let deviation = (of as f64 * share * (1.0 - share)).sqrt();
    assert!((count as f64 - of as f64 * share).abs() < 5.0 * deviation, "{count} of {of} are not {share}");
}

fn variates(distribution: Distribution) -> Vec<f64> {
    let mut random = child(9, 0);
    (0..100_000).map(|_| variate(distribution, &mut random) as f64 / DEVIATION as f64).collect()
}

fn fates(config: LinkConfig, packets: u64) -> Vec<Transit> {
    let mut link = Link::new(config, 11);
    (0..packets).map(|n| link.send(at(n * 100), 100)).collect()
}

fn alterations(config: LinkConfig) -> Vec<Alteration> {
    let alteration = |fate| match fate {
        Transit::Arrives(_) => Alteration::default(),
        Transit::Altered(_, alteration) => alteration,
        Transit::Drop(why) => panic!("{why:?}"),
    };
    fates(config, 100_000).into_iter().map(alteration).collect()
}

#[test]
fn uniform_jitter_is_uniform() {
    let end = 3f64.sqrt();
    let draws = variates(Distribution::Uniform);
    assert!(apart(draws.clone(), |x| ((x + end) / (2.0 * end)).clamp(0.0, 1.0)) < apart_max(draws.len()));
    let variance = draws.iter().map(|x| x * x).sum::<f64>() / draws.len() as f64;
    assert!((variance - 1.0).abs() < 0.01, "{variance}");
}

#[test]
fn pareto_jitter_has_paretos_tail() {
    let draws = variates(Distribution::Pareto);
    let original = |x: f64| 1.5 + x * 0.75f64.sqrt();
    assert!(apart(draws.clone(), |x| 1.0 - original(x).max(1.0).powi(-3)) < apart_max(draws.len()));
    let beyond = draws.iter().filter(|x| original(**x) > 10.0).count();
    check_share(beyond, draws.len(), 0.001);
    // The other two have no neighbour there.
    for distribution in [Distribution::Normal, Distribution::Uniform] {
        assert!(variates(distribution).iter().all(|x| x.abs() <= 6.0));
    }
}

/// A tail so long moves the mean of many draws slowly: a deviation is 1/√100,000 of the distribution's.
#[test]
fn no_jitter_moves_the_mean() {
    for distribution in [Distribution::Normal, Distribution::Uniform, Distribution::Pareto] {
        let draws = variates(distribution);
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 5.0 / (draws.len() as f64).sqrt(), "{distribution:?}: {mean}");
    }
}

/// What is declared also holds of packets that are close to each other and keep their order: see [`COHERENCE_DEVIATIONS`].
#[test]
fn a_dense_stream_is_delayed_as_declared() {
    let (latency, jitter, packets) = (40e-3, 5e-3, 500_000);
    for distribution in [Distribution::Normal, Distribution::Uniform, Distribution::Pareto] {
        let config = LinkConfig {
            latency: Duration::from_secs_f64(latency),
            jitter: Duration::from_secs_f64(jitter),
            distribution,
            ..LinkConfig::default()
        };
        let mut link = Link::new(config, 11);
        let sent = (0..packets).map(|n| at(n * 1_000));
        let delays: Vec<f64> = sent.map(|now| arrival(link.send(now, 100)).since(now).as_secs_f64()).collect();
        let mean = delays.iter().sum::<f64>() / packets as f64;
        let variance = delays.iter().map(|delay| (delay - mean).powi(2)).sum::<f64>() / packets as f64;
        // There are 10,000 draws: their mean is a hundredth of a deviation off.
        let (off, spread) = ((mean - latency) / jitter, variance.sqrt() / jitter);
        assert!((off - 0.05).abs() < 0.05, "{distribution:?}: the mean is {off} deviations off");
        assert!((spread - 1.0).abs() < 0.1, "{distribution:?}: the deviation is {spread} times the declared");
    }
}

#[test]
fn third_roots_are_exact() {
    for root in (0..2_000).chain([1 << 20, (1 << 26) - 1, 1 << 26, 106_528_681]) {
        let of = u128::from(root) * u128::from(root) * u128::from(root);
        assert_eq!(third_root(of), root);
        assert_eq!(third_root(of + 1), if of == 0 { 1 } else { root });
        assert_eq!(third_root(of.saturating_sub(1)), root.saturating_sub(1));
    }
}

#[test]
fn bursts_are_as_long_and_as_frequent_as_asked() {
    for (loss, burst) in [(0.02, 8.0), (0.3, 2.0), (0.6, 1.5), (0.01, 1.0)] {
        let config = LinkConfig { loss, loss_burst: Some(burst), ..LinkConfig::default() };
        let lost: Vec<bool> = fates(config, 2_000_000).iter().map(|fate| matches!(fate, Transit::Drop(_))).collect();
        let share = lost.iter().filter(|&&lost| lost).count() as f64 / lost.len() as f64;
        // Losses of a chain are correlated: the variance of their number is greater by (1+c)/(1-c), where c = 1-p-r.
        let (end, begin) = (1.0 / burst, loss / (burst * (1.0 - loss)));
        let correlation = 1.0 - begin - end;
        let deviation = (loss * (1.0 - loss) * (1.0 + correlation) / (1.0 - correlation) / lost.len() as f64).sqrt();
        assert!((share - loss).abs() < 5.0 * deviation, "{loss} in bursts of {burst}: {share}");
        // Runs of both states are geometric.
        for (state, leave) in [(true, end), (false, begin)] {
            let runs: Vec<usize> =
                lost.chunk_by(|a, b| a == b).filter(|run| run[0] == state).map(<[bool]>::len).collect();
            let runs = &runs[1..runs.len() - 1];
            let mean = runs.iter().sum::<usize>() as f64 / runs.len() as f64;
            let deviation = ((1.0 - leave).sqrt() / leave) / (runs.len() as f64).sqrt();
            assert!((mean - 1.0 / leave).abs() <= 5.0 * deviation, "runs of {state}: {mean}, not {}", 1.0 / leave);
            if leave < 1.0 {
                let mut counts = [0u64; 6];
                runs.iter().for_each(|&run| counts[run.min(6) - 1] += 1);
                let shares: [f64; 6] =
                    std::array::from_fn(|n| if n < 5 { leave } else { 1.0 } * (1.0 - leave).powi(n as i32));
                check_counts(&counts, &shares);
            }
        }
    }
}

/// Otherwise the first packets of every run would never be lost.
#[test]
fn a_link_begins_within_a_burst_as_often_as_it_is_in_one() {
    let config = LinkConfig { loss: 0.2, loss_burst: Some(50.0), ..LinkConfig::default() };
    let first = |seed| matches!(Link::new(config.clone(), seed).send(Time::ZERO, 100), Transit::Drop(_));
    check_share((0..10_000).filter(|&seed| first(seed)).count(), 10_000, 0.2);
}

#[test]
fn all_may_be_lost_in_bursts_of_more_than_one_packet_only() {
    assert_eq!(burst_min(0.02), 1.0);
    assert!((burst_min(0.75) - 3.0).abs() < 1e-9);
    let config = LinkConfig { loss: 0.75, loss_burst: Some(burst_min(0.75)), ..LinkConfig::default() };
    assert!(fates(config, 100).iter().any(|fate| matches!(fate, Transit::Arrives(_))));
    let impossible = LinkConfig { loss: 0.75, loss_burst: Some(2.0), ..LinkConfig::default() };
    assert!(std::panic::catch_unwind(|| Link::new(impossible, 1)).is_err());
}

#[test]
fn copies_are_as_many_as_asked() {
    let all = alterations(LinkConfig { duplicate: 0.03, ..LinkConfig::default() });
    check_share(all.iter().filter(|alteration| alteration.twice).count(), all.len(), 0.03);
    assert!(all.iter().all(|alteration| !alteration.late && alteration.flipped.is_none()));
}

#[test]
fn damage_is_as_frequent_as_asked_and_anywhere() {
    let all = alterations(LinkConfig { corrupt: 0.2, ..LinkConfig::default() });
    let bits: Vec<u32> = all.iter().filter_map(|alteration| alteration.flipped).collect();
    check_share(bits.len(), all.len(), 0.2);
    let mut counts = [0u64; 16];
    bits.iter().for_each(|bit| counts[*bit as usize / 50] += 1);
    check_counts(&counts, &[1.0 / 16.0; 16]);
}

#[test]
fn late_packets_are_as_many_as_asked_and_overtaken() {
    let config = LinkConfig {
        latency: Duration::from_millis(20),
        reorder: 0.05,
        reorder_gap: Duration::from_millis(3),
        ..LinkConfig::default()
    };
    let fates = fates(config, 100_000);
    let late: Vec<u64> = (0..fates.len() as u64)
        .filter(|&n| matches!(fates[n as usize], Transit::Altered(_, Alteration { late: true, .. })))
        .collect();
    check_share(late.len(), fates.len(), 0.05);
    for (n, &fate) in fates.iter().enumerate() {
        let gap = if late.binary_search(&(n as u64)).is_ok() { 3_000 } else { 0 };
        assert_eq!(arrival(fate), at(n as u64 * 100 + 20_000 + gap));
    }
}

#[test]
fn misfortunes_are_independent() {
    let all = alterations(LinkConfig { duplicate: 0.1, reorder: 0.2, corrupt: 0.3, ..LinkConfig::default() });
    let mut counts = [0u64; 8];
    for Alteration { late, twice, flipped } in &all {
        counts[usize::from(*twice) | usize::from(*late) << 1 | usize::from(flipped.is_some()) << 2] += 1;
    }
    let share = |happens: bool, share: f64| if happens { share } else { 1.0 - share };
    let shares: [f64; 8] =
        std::array::from_fn(|n| share(n & 1 != 0, 0.1) * share(n & 2 != 0, 0.2) * share(n & 4 != 0, 0.3));
    check_counts(&counts, &shares);
}
