//! The promise of crossing NATs: two nodes behind any two NATs are linked, and without a relay wherever that is possible.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use butter::config::NodeConfig;
use butter::core::blob::Blob;
use butter::core::identity::NodeId;
use butter::core::io::{AskError, Command, CommandId, ConnectReport, LinkPath, Outcome};
use butter::overlay::data::DataOverlay;
use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::{NatConfig, Ports};
use butter_harness::plan::builder::PlanBuilder;
use butter_harness::plan::{NetworkIndex, NodeIndex, Plan};
use butter_harness::sim::engine::{SimEngine, SpawnSpec};
use butter_harness::sim::network::NodeSlot;
use butter_harness::statistics::quantile;

/// Runs of each pair.
const SEEDS: u64 = 12;
const AMBASSADORS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Public,
    FullCone,
    AddressRestricted,
    PortRestricted,
    Sequential,
    Random,
    Carrier,
}

use Kind::{AddressRestricted, Carrier, FullCone, PortRestricted, Public, Sequential};

const KINDS: [Kind; 7] = [Public, FullCone, AddressRestricted, PortRestricted, Sequential, Kind::Random, Carrier];

impl Kind {
    /// The NATs of this kind, the outermost first.
    fn nats(self) -> Vec<NatConfig> {
        match self {
            Public => vec![],
            FullCone => vec![NatConfig::full_cone()],
            AddressRestricted => vec![NatConfig::address_restricted()],
            PortRestricted => vec![NatConfig::port_restricted()],
            Sequential => vec![NatConfig { ports: Ports::Sequential, ..NatConfig::symmetric() }],
            Kind::Random => vec![NatConfig::symmetric()],
            Carrier => vec![NatConfig::cgnat(), NatConfig::port_restricted()],
        }
    }

    /// Least share of direct links with another kind, in per cent.
    fn direct_min(self, other: Kind) -> u32 {
        match (self.min(other), self.max(other)) {
            (Public | FullCone | AddressRestricted, _) => 100,
            (PortRestricted | Carrier, PortRestricted | Carrier) => 99,
            (PortRestricted, Sequential | Kind::Random) | (Sequential | Kind::Random, Carrier) => 95,
            (Sequential, Sequential) => 70,
            _ => 0,
        }
    }
}

fn link(ms: u64) -> LinkConfig {
    LinkConfig { latency: Duration::from_millis(ms), ..LinkConfig::default() }
}

/// A network for one node, behind NATs of this kind.
fn home(builder: &mut PlanBuilder, kind: Kind, ms: u64) -> NetworkIndex {
    kind.nats().into_iter().fold(PlanBuilder::INTERNET, |outer, nat| builder.network(outer, Some(nat), link(ms)))
}

fn id(plan: &Plan, slot: usize) -> NodeId {
    NodeId(std::array::from_fn(|i| (plan.seed as usize * 37 + slot * 101 + i * 13 + 1) as u8))
}

/// Has `one` link to `other`, and tells what came of it.
fn cross(one: Kind, other: Kind, seed: u64) -> (ConnectReport, SimEngine<DataOverlay>) {
    let mut builder = PlanBuilder::new(seed).with("discover", "false");
    for _ in 0..AMBASSADORS {
        builder.ambassador();
    }
    let homes = [(one, 10), (other, 25)].map(|(kind, ms)| home(&mut builder, kind, ms));
    let [one, other] = homes.map(|home| builder.node(home));
    play(&builder.into_plan(), one, other)
}

/// Every node runs, one after the other.
fn start(plan: &Plan) -> SimEngine<DataOverlay> {
    let mut engine = SimEngine::new(plan);
    for (slot, node) in plan.nodes.iter().enumerate() {
        let NodeConfig { core: config, data, .. } = plan.node_config(node);
        let overlay = DataOverlay::new(data);
        let seed = plan.seed * 1_000 + slot as u64;
        engine.start(slot as NodeSlot, SpawnSpec { id: id(plan, slot), config, seed, overlay, neighbours: None });
        let until = engine.now() + Duration::from_millis(400);
        assert!(engine.next(until).is_none());
    }
    engine
}

fn play(plan: &Plan, one: NodeIndex, other: NodeIndex) -> (ConnectReport, SimEngine<DataOverlay>) {
    let mut engine = start(plan);
    let peer = id(plan, other.0);
    engine.command(one.0 as NodeSlot, CommandId(1), Command::Connect { peer, contact: None });
    let until = engine.now() + Duration::from_secs(31);
    let finished = engine.next(until).expect("a wanted link is reported in time");
    let Outcome::Connected(report) = finished.outcome else { panic!("{:?}", finished.outcome) };
    (report, engine)
}

#[test]
fn every_pair_of_nats_is_linked_and_directly_where_possible() {
    let mut wrong = Vec::new();
    for (place, &one) in KINDS.iter().enumerate() {
        for &other in &KINDS[place..] {
            let mut direct = 0;
            let mut paths = BTreeMap::<LinkPath, u32>::new();
            let mut times = Vec::new();
            for seed in 1..=SEEDS {
                // Either side asks.
                let (one, other) = if seed % 2 == 0 { (one, other) } else { (other, one) };
                let (report, _) = cross(one, other, seed);
                let Some(path) = report.path else {
                    wrong.push(format!("{one:?} – {other:?}, seed {seed}: no link"));
                    continue;
                };
                direct += u32::from(path != LinkPath::Relayed);
                *paths.entry(path).or_default() += 1;
                times.push(report.direct_after.unwrap_or(Duration::MAX));
            }
            times.sort();
            let median = quantile(&times, 0.5);
            println!("{one:?} – {other:?}: {paths:?}, median {median:?}");
            let share = direct * 100 / SEEDS as u32;
            if share < one.direct_min(other) {
                wrong.push(format!("{one:?} – {other:?}: {share} % direct"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_public_node_reaches_one_whose_nat_is_on_its_own_network() {
    // Only the ambassador knows both, and the one behind the NAT never asks.
    let mut builder = PlanBuilder::new(1).with("discover", "false").with("active", "2");
    builder.ambassador();
    let home = home(&mut builder, Kind::Random, 10);
    let [public, hidden] = [PlanBuilder::INTERNET, home].map(|network| builder.node(network));
    let plan = builder.into_plan();
    let mut engine = start(&plan);
    let hidden_contact = engine.node(hidden.0 as NodeSlot).expect("it runs").me().clone();
    assert!(hidden_contact.via.is_some());
    let (peer, contact) = (hidden_contact.id, Some(Box::new(hidden_contact)));
    engine.command(public.0 as NodeSlot, CommandId(1), Command::Connect { peer, contact });
    let until = engine.now() + Duration::from_secs(31);
    let finished = engine.next(until).expect("it is reported in time");
    let Outcome::Connected(report) = finished.outcome else { panic!("{:?}", finished.outcome) };
    assert_eq!(report.path, Some(LinkPath::Direct), "{report:?}");
}

/// How long after its NAT has forgotten everything a node is answered by its peer again, and how the link runs then.
fn recover(one: Kind, other: Kind, seed: u64) -> (Duration, Option<LinkPath>) {
    let mut builder = PlanBuilder::new(seed).with("discover", "false");
    for _ in 0..AMBASSADORS {
        builder.ambassador();
    }
    let homes = [(one, 10), (other, 25)].map(|(kind, ms)| home(&mut builder, kind, ms));
    let [one, other] = homes.map(|home| builder.node(home));
    let plan = builder.into_plan();
    let (report, mut engine) = play(&plan, one, other);
    assert!(report.path.is_some_and(|path| path != LinkPath::Relayed), "seed {seed}: {report:?}");
    let peer = id(&plan, other.0);
    let until = engine.now() + Duration::from_secs(3);
    assert!(engine.next(until).is_none());
    let uplink = plan.networks[homes[0].0].behind.as_ref().expect("a home is behind a NAT");
    let another = Ipv4Addr::from(u32::from(uplink.address) + 100);
    engine.transport_mut().rebind(homes[0], &[another]);
    let forgotten = engine.now();
    for number in 2.. {
        let ask = Command::Ask { peer, route: "any".to_owned(), body: Blob::from(vec![1]) };
        engine.command(one.0 as NodeSlot, CommandId(number), ask);
        let until = engine.now() + Duration::from_millis(100);
        while let Some(finished) = engine.next(until) {
            // Nothing is served there, which is an answer.
            if matches!(finished.outcome, Outcome::Answered(Err(AskError::Refused(_)))) {
                let settled = engine.now() + Duration::from_secs(12);
                while engine.next(settled).is_some() {}
                let path = engine.node(one.0 as NodeSlot).and_then(|node| node.path(peer));
                return (finished.at.since(forgotten), path);
            }
        }
        assert!(engine.now().since(forgotten) < Duration::from_secs(30), "seed {seed}: no answer");
    }
    unreachable!("it is asked until it answers or the time is up")
}

#[test]
fn links_recover_when_a_nat_forgets_everything() {
    let pairs = [
        (PortRestricted, PortRestricted),
        (PortRestricted, FullCone),
        (Carrier, PortRestricted),
        (Kind::Random, AddressRestricted),
        (Sequential, PortRestricted),
        (PortRestricted, Kind::Random),
    ];
    for (one, other) in pairs {
        let mut times = Vec::new();
        let mut paths = BTreeMap::<Option<LinkPath>, u32>::new();
        for seed in 1..=SEEDS {
            let (time, path) = recover(one, other, seed);
            *paths.entry(path).or_default() += 1;
            times.push(time);
        }
        times.sort();
        println!(
            "{one:?} forgets, towards {other:?}: {:?}, at most {:?}; {paths:?}",
            times[times.len() / 2],
            times.last()
        );
        assert!(times[times.len() / 2] < Duration::from_secs(5), "{one:?} – {other:?}: {times:?}");
        assert!(
            !paths.contains_key(&Some(LinkPath::Relayed)) && !paths.contains_key(&None),
            "{one:?} – {other:?}: {paths:?}"
        );
    }
}
