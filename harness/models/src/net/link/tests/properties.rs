//! What holds of any link.

use proptest::prelude::*;

use super::*;

fn configs() -> impl Strategy<Value = LinkConfig> {
    let share = || prop_oneof![3 => Just(0.0), 1 => Just(1.0), 3 => 0.0..1.0];
    let delays = (0u64..200_000, 0u64..50_000, 0u64..50_000);
    let distributions = prop::sample::select(vec![Distribution::Normal, Distribution::Uniform, Distribution::Pareto]);
    let losses = (prop_oneof![Just(0.0), 0.0..0.99], prop::option::of(0.0..20.0));
    let mtu =
        prop::option::of(576u16..2_000).prop_map(|bytes| bytes.map(|bytes| LinkMtu { bytes, is_black_hole: false }));
    let rates = (prop::option::of(1_000u64..10_000_000_000), 1_514u64..1 << 20, mtu);
    (delays, distributions, losses, (share(), share(), share()), rates).prop_map(
        |(
            (latency, jitter, gap),
            distribution,
            (loss, longer),
            (duplicate, reorder, corrupt),
            (rate_bps, queue_bytes, mtu),
        )| {
            LinkConfig {
                latency: Duration::from_micros(latency),
                jitter: Duration::from_micros(jitter),
                distribution,
                loss,
                loss_burst: longer.map(|longer| burst_min(loss) + longer),
                duplicate,
                reorder,
                reorder_gap: Duration::from_micros(gap),
                corrupt,
                rate_bps,
                queue_bytes,
                mtu,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn time_never_runs_backwards_and_order_is_kept_but_by_the_late(
        config in configs(),
        seed: u64,
        packets in prop::collection::vec((0u64..20_000, 1usize..2_000), 1..300),
    ) {
        let mut link = Link::new(config.clone(), seed);
        let (mut now, mut last) = (Time::ZERO, Time::ZERO);
        for (pause, bytes) in packets {
            now = now + Duration::from_micros(pause);
            match link.send(now, bytes) {
                Transit::Arrives(at) => {
                    prop_assert!(at >= now.max(last));
                    last = at;
                }
                Transit::Altered(at, Alteration { late, twice, flipped }) => {
                    prop_assert!(late || twice || flipped.is_some());
                    prop_assert!(flipped.is_none_or(|bit| (bit as usize) < bytes * 8));
                    if late {
                        prop_assert!(at >= now.max(last) + config.reorder_gap);
                    } else {
                        prop_assert!(at >= now.max(last));
                        last = at;
                    }
                }
                Transit::Drop(LinkDrop::Lost) => prop_assert!(config.loss > 0.0),
                Transit::Drop(LinkDrop::QueueFull) => prop_assert!(config.rate_bps.is_some()),
                Transit::Drop(LinkDrop::TooBig) => prop_assert!(config.mtu.is_some_and(|mtu| bytes > mtu.bytes.into())),
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_fates(config in configs(), seed: u64) {
        let run = || {
            let mut link = Link::new(config.clone(), seed);
            let before: Vec<Transit> = (0..100).map(|n| link.send(at(n * 50), 500)).collect();
            link.change(config.clone());
            before.into_iter().chain((100..200).map(|n| link.send(at(n * 50), 500))).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }

    /// However a link was, changed it is as a new one.
    #[test]
    fn a_changed_link_is_as_it_was_changed_to(config in configs(), latency in 0u64..100_000) {
        let mut link = Link::new(config, 5);
        for n in 0..100 {
            link.send(at(n), 1_500);
        }
        link.change(LinkConfig { latency: Duration::from_micros(latency), ..LinkConfig::default() });
        for n in 100..200 {
            prop_assert_eq!(link.send(at(n), 1_500), Transit::Arrives(at(n + latency)));
        }
    }
}
