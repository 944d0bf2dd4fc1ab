//! Promise: a network that does not behave as declared is not played on.

use std::time::Duration;

use butter_harness::backend::netns::{NetnsBackend, NetnsOptions};
use butter_harness::backend::{Backend, BackendError};
use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::{Dependence, NatConfig, PortBlock};
use butter_harness::op::{Op, OpResult};
use butter_harness::plan::Plan;
use butter_harness::probe::ProbeOutcome;
use butter_harness::router::RouterConfig;
use butter_harness::series::Source;

use crate::played::{Draft, Notes, Played, joined};
use crate::run::options;

fn plan(nat: NatConfig) -> Plan {
    let mut draft = Draft::new("probed");
    let home = draft.network("home", "10.1.0.0/24", Some(nat));
    draft.node("n", home.0, 10, false);
    draft.0
}

/// Brings a plan up, its routers configured otherwise by `tamper`: what the probe says.
async fn probed(plan: Plan, tamper: fn(&mut RouterConfig)) -> Option<Result<ProbeOutcome, BackendError>> {
    let options = NetnsOptions { probe: true, tamper: Some(tamper), ..options()? };
    let mut backend = NetnsBackend::new(plan, options);
    let up = backend.up(&mut Notes::default()).await;
    let probed = backend.probed().clone();
    backend.down(&mut Notes::default()).await.unwrap();
    Some(up.map(|()| probed))
}

/// Changes the NAT of the one router that has one.
fn nat(config: &mut RouterConfig, change: impl FnOnce(&mut NatConfig)) {
    if let Some(nat) = &mut config.nat {
        change(nat);
    }
}

async fn refused(plan: Plan, tamper: fn(&mut RouterConfig), why: &str) {
    let Some(probed) = probed(plan, tamper).await else { return };
    let error = probed.expect_err(why);
    let refused = error.differing_router().unwrap_or_else(|| panic!("{error:#}"));
    assert!(refused.network == "home" && refused.observation.contains(why), "{refused}");
}

#[tokio::test]
async fn every_kind_of_nat_passes_as_declared() {
    let dying = NatConfig { udp_timeout: Duration::from_secs(2), ..NatConfig::port_restricted() };
    let kinds = NatConfig::presets().map(|(_, nat)| nat).into_iter().chain([dying]);
    for declared in kinds {
        let Some(probed) = probed(plan(declared.clone()), |_| ()).await else { return };
        let Ok(ProbeOutcome::Passed { routers: 1, networks, .. }) = probed else { panic!("{declared:?}: {probed:?}") };
        let [home] = &networks[..] else { panic!("{networks:?}") };
        let seen = home.nat.as_ref().expect("it has a NAT");
        assert_eq!((seen.mapping, seen.filtering), (declared.mapping, declared.filtering));
        let hairpin = (declared.mapping == Dependence::EndpointIndependent).then_some(declared.hairpin);
        assert_eq!((seen.hairpin, seen.alive), (hairpin, true));
        assert_eq!(seen.expired, (declared.udp_timeout == Duration::from_secs(2)).then_some(true));
    }
}

/// Links of which little can be seen behave as declared all the same; those of which nothing can are left out.
#[tokio::test]
async fn slow_and_lossy_links_are_not_taken_for_others() {
    let mut draft = Draft::new("probed");
    let dying = NatConfig { udp_timeout: Duration::from_secs(2), ..NatConfig::full_cone() };
    let mut network = |name: &str, subnet: &str, link: LinkConfig| {
        let index = draft.network(name, subnet, Some(dying.clone()));
        let uplink = draft.0.networks[index.0].behind.as_mut().unwrap();
        (uplink.up, uplink.down) = (link.clone(), link);
    };
    let slow = LinkConfig { rate_bps: Some(64_000), queue_bytes: 1_514, ..LinkConfig::default() };
    network("slow", "10.1.0.0/24", slow);
    network("bursty", "10.2.0.0/24", LinkConfig { loss: 0.4, loss_burst: Some(10.0), ..LinkConfig::default() });
    network("lossy", "10.3.0.0/24", LinkConfig { loss: 0.75, ..LinkConfig::default() });
    network(
        "late",
        "10.4.0.0/24",
        LinkConfig { reorder: 1.0, reorder_gap: Duration::from_millis(50), ..LinkConfig::default() },
    );
    network("dead", "10.5.0.0/24", LinkConfig { loss: 1.0, ..LinkConfig::default() });
    let Some(probed) = probed(draft.0, |_| ()).await else { return };
    let Ok(ProbeOutcome::Passed { routers: 5, networks, skipped }) = probed else { panic!("{probed:?}") };
    let seen: Vec<_> = networks.iter().map(|seen| seen.network.as_str()).collect();
    assert_eq!(seen, ["slow", "bursty", "lossy", "late"]);
    assert!(networks.iter().all(|seen| seen.nat.as_ref().is_some_and(|nat| nat.alive && nat.expired == Some(true))));
    let left: Vec<_> = skipped.iter().map(|left| (left.why.as_str(), left.networks.join(", "))).collect();
    assert_eq!(left, [("a link loses 80 % of all packets or more", "dead".to_owned())]);
}

#[tokio::test]
async fn a_nat_that_lets_more_in_than_declared_is_found_out() {
    let open = |config: &mut RouterConfig| nat(config, |nat| nat.filtering = Dependence::AddressDependent);
    refused(plan(NatConfig::port_restricted()), open, "an answer from another port of the same host came in").await;
}

#[tokio::test]
async fn a_nat_that_maps_otherwise_is_found_out() {
    let symmetric = |config: &mut RouterConfig| nat(config, |nat| nat.mapping = Dependence::AddressAndPortDependent);
    refused(plan(NatConfig::port_restricted()), symmetric, "seen to be address-and-port-dependent").await;
}

#[tokio::test]
async fn a_hairpin_that_is_not_as_declared_is_found_out() {
    let none = |config: &mut RouterConfig| nat(config, |nat| nat.hairpin = false);
    refused(plan(NatConfig::full_cone()), none, "inside does not reach inside through outside").await;
    let some = |config: &mut RouterConfig| nat(config, |nat| nat.hairpin = true);
    let declared = NatConfig { hairpin: false, ..NatConfig::full_cone() };
    refused(plan(declared), some, "inside reaches inside through outside").await;
}

#[tokio::test]
async fn a_mapping_that_dies_early_is_found_out() {
    let shorter = |config: &mut RouterConfig| nat(config, |nat| nat.udp_timeout = Duration::from_millis(500));
    refused(plan(NatConfig::full_cone()), shorter, "mappings are declared to live for 120s, but one died much").await;
}

#[tokio::test]
async fn a_mapping_that_outlives_its_time_is_found_out() {
    let declared = NatConfig { udp_timeout: Duration::from_secs(2), ..NatConfig::full_cone() };
    let longer = |config: &mut RouterConfig| nat(config, |nat| nat.udp_timeout = Duration::from_secs(60));
    refused(plan(declared), longer, "but one lives longer").await;
}

#[tokio::test]
async fn a_link_that_is_slower_or_loses_more_is_found_out() {
    let slow = |config: &mut RouterConfig| {
        if config.nat.is_some() {
            config.up.latency = Duration::from_millis(100);
        }
    };
    refused(plan(NatConfig::full_cone()), slow, "a round trip is declared to take 10ms").await;
    let lossy = |config: &mut RouterConfig| {
        if config.nat.is_some() {
            config.down.loss = 0.3;
        }
    };
    refused(plan(NatConfig::full_cone()), lossy, "0.0 % loss is declared inwards").await;
}

#[tokio::test]
async fn a_probe_leaves_nothing_in_a_router() {
    let Some(options) = options() else { return };
    let mut draft = Draft::new("probed");
    // Three blocks in all: none is left if the host of the probe still has one.
    let port_block = Some(PortBlock { size: 16_384, limit: 1 });
    let home = draft.network("home", "10.1.0.0/24", Some(NatConfig { port_block, ..NatConfig::port_restricted() }));
    for number in 1..=3 {
        draft.node(&format!("n-{number}"), home.0, 9 + number, false);
    }
    let nobodys = draft.network("nobodys", "10.2.0.0/24", Some(NatConfig::full_cone()));
    let mut run = Played::up(NetnsBackend::new(draft.0, NetnsOptions { probe: true, ..options })).await;
    let ProbeOutcome::Passed { networks, .. } = run.backend.probed() else { panic!("{:?}", run.backend.probed()) };
    assert_eq!(networks.len(), 2);
    let OpResult::Sampled(scrapes) = run.act(Op::Sample).await else { panic!("no sample") };
    let router = scrapes.iter().find(|scrape| scrape.source == Source::Router(nobodys)).unwrap();
    let counted: Vec<_> = router.series.iter().filter(|series| series.value != 0.0).collect();
    assert!(counted.is_empty() && !router.series.is_empty(), "{counted:?}");
    run.look_until("everybody has ports", |views| joined(views, 4)).await;
    run.down().await;
}
