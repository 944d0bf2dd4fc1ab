//! What a link promises: here delay, rate and loss as they were from the first; [`models`] holds each model to its
//! statistics, [`properties`] any link to what holds of all.

use super::*;

mod models;
mod properties;

fn at(us: u64) -> Time {
    Time::from_micros(us)
}

fn arrival(transit: Transit) -> Time {
    match transit {
        Transit::Arrives(at) | Transit::Altered(at, _) => at,
        Transit::Drop(why) => panic!("dropped: {why:?}"),
    }
}

#[test]
fn a_perfect_link_does_nothing() {
    let mut link = Link::new(LinkConfig::default(), 1);
    for us in [0, 0, 5, 1_000_000] {
        assert_eq!(link.send(at(us), 1_500), Transit::Arrives(at(us)));
    }
}

#[test]
fn latency_is_exact() {
    let mut link = Link::new(LinkConfig { latency: Duration::from_micros(10_001), ..LinkConfig::default() }, 1);
    assert_eq!(link.send(at(7), 1), Transit::Arrives(at(10_008)));
}

#[test]
fn jitter_is_normal_and_keeps_order() {
    let config =
        LinkConfig { latency: Duration::from_millis(100), jitter: Duration::from_millis(10), ..LinkConfig::default() };
    let mut link = Link::new(config, 3);
    // Far apart, so that keeping the order changes nothing.
    let count = 100_000u64;
    let delays: Vec<f64> = (0..count)
        .map(|n| at(n * 1_000_000))
        .map(|now| arrival(link.send(now, 100)).since(now).as_secs_f64() * 1e3)
        .collect();
    let mean = delays.iter().sum::<f64>() / count as f64;
    let deviation = (delays.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / count as f64).sqrt();
    let within = |deviations: f64| {
        delays.iter().filter(|d| (*d - 100.0).abs() <= deviations * 10.0).count() as f64 / count as f64
    };
    assert!((mean - 100.0).abs() < 0.2, "mean {mean}");
    assert!((deviation - 10.0).abs() < 0.2, "deviation {deviation}");
    assert!((within(1.0) - 0.6827).abs() < 0.01, "68 %: {}", within(1.0));
    assert!((within(2.0) - 0.9545).abs() < 0.01, "95 %: {}", within(2.0));

    let mut last = Time::ZERO;
    for n in 0..10_000 {
        let arrives = arrival(link.send(at(count * 1_000_000 + n), 100));
        assert!(arrives >= last);
        last = arrives;
    }
}

#[test]
fn a_delay_is_never_negative() {
    let config =
        LinkConfig { latency: Duration::from_millis(1), jitter: Duration::from_millis(50), ..LinkConfig::default() };
    let mut link = Link::new(config, 3);
    for n in 0..10_000 {
        let now = at(n * 1_000_000);
        assert!(arrival(link.send(now, 100)) >= now);
    }
}

#[test]
fn losses_are_independent_and_as_many_as_asked() {
    let mut link = Link::new(LinkConfig { loss: 0.05, ..LinkConfig::default() }, 4);
    let lost: Vec<bool> = (0..200_000).map(|n| link.send(at(n), 100) == Transit::Drop(LinkDrop::Lost)).collect();
    let share = lost.iter().filter(|&&lost| lost).count() as f64 / lost.len() as f64;
    assert!((share - 0.05).abs() < 0.003, "{share}");
    let after_loss: Vec<bool> = lost.windows(2).filter(|pair| pair[0]).map(|pair| pair[1]).collect();
    let share = after_loss.iter().filter(|&&lost| lost).count() as f64 / after_loss.len() as f64;
    assert!((share - 0.05).abs() < 0.01, "after a loss: {share}");
}

#[test]
fn the_ends_of_loss() {
    let mut all = Link::new(LinkConfig { loss: 1.0, ..LinkConfig::default() }, 4);
    assert!((0..10_000).all(|n| all.send(at(n), 1) == Transit::Drop(LinkDrop::Lost)));
}

#[test]
fn a_rate_spaces_packets() {
    let config = LinkConfig { rate_bps: Some(50_000_000), latency: Duration::from_millis(1), ..LinkConfig::default() };
    let mut link = Link::new(config, 5);
    for n in 1..=100 {
        assert_eq!(link.send(at(0), 1_500), Transit::Arrives(at(n * 240 + 1_000)));
    }
    assert_eq!(link.send(at(1_000_000), 1_500), Transit::Arrives(at(1_001_240)), "an idle link saves nothing up");
}

#[test]
fn a_fast_rate_loses_nothing_to_rounding() {
    let mut link = Link::new(LinkConfig { rate_bps: Some(10_000_000_000), ..LinkConfig::default() }, 5);
    let last = (0..100).map(|_| arrival(link.send(at(0), 100))).last();
    assert_eq!(last, Some(at(8)), "a hundred times 80 ns");
}

#[test]
fn a_full_queue_drops_until_it_drains() {
    let config = LinkConfig { rate_bps: Some(8_000_000), queue_bytes: 10_000, ..LinkConfig::default() };
    let mut link = Link::new(config, 6);
    let sent = (0..100).filter(|_| matches!(link.send(at(0), 1_000), Transit::Arrives(_))).count();
    assert_eq!(sent, 11, "ten thousand bytes waiting, and one packet that found no more than that");
    assert_eq!(link.send(at(999), 1_000), Transit::Drop(LinkDrop::QueueFull));
    assert_eq!(link.send(at(1_000), 1_000), Transit::Arrives(at(12_000)));
}

#[test]
fn a_seed_decides() {
    let config = LinkConfig {
        latency: Duration::from_millis(40),
        jitter: Duration::from_millis(5),
        loss: 0.005,
        rate_bps: Some(50_000_000),
        ..LinkConfig::default()
    };
    let run = |seed| {
        let mut link = Link::new(config.clone(), seed);
        (0..1_000).map(|n| link.send(at(n * 300), 1_200)).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    // Pinned: a change of this value changes every seeded run.
    assert_eq!(run(1)[999], Transit::Arrives(at(334_146)));
}
