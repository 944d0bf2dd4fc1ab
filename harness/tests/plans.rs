//! Topologies become plans: those that ship all load, and the same file and seed give the same plan, byte for byte.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use butter_harness::net::firewall::Policy;
use butter_harness::net::link::{Distribution, LinkConfig, presets};
use butter_harness::op::Op;
use butter_harness::plan::{EndCondition, NetworkIndex, NodeIndex, Plan, TimedOp};
use butter_harness::planner;
use butter_harness::topology::Overrides;

/// Every topology that ships.
fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    files
}

fn load(file: &Path, overrides: &Overrides) -> Plan {
    planner::load(file, overrides).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn read(text: &str) -> Plan {
    planner::read("test.yaml", text, &Overrides::default()).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn set(key: &str, value: &str) -> Overrides {
    Overrides { set: vec![(key.to_owned(), value.to_owned())], ..Overrides::default() }
}

fn json(plan: &Plan) -> String {
    serde_json::to_string(plan).unwrap()
}

#[test]
fn every_shipped_topology_loads_and_checks_something() {
    for file in shipped() {
        let plan = load(&file, &Overrides::default());
        assert_eq!(plan.name, file.file_stem().unwrap().to_str().unwrap());
        assert!(!plan.description.is_empty(), "{}", plan.name);
        assert!(!plan.checks.is_empty(), "{}", plan.name);
        let page = planner::describe(&plan);
        for (name, networks) in plan.network_groups() {
            assert!(page.contains(name), "{page}");
            assert!(page.contains(&plan.network(networks.first).subnet.to_string()), "{page}");
        }
    }
}

#[test]
fn the_same_file_and_seed_give_the_same_plan_and_another_seed_another() {
    for file in shipped() {
        let of = |seed| json(&load(&file, &Overrides { seed, ..Overrides::default() }));
        assert_eq!(of(Some(11)), of(Some(11)));
        assert_ne!(of(Some(11)), of(Some(12)));
    }
}

#[test]
fn no_two_hosts_share_an_address_and_all_are_within_their_subnets() {
    for file in shipped() {
        let plan = load(&file, &Overrides::default());
        let mut seen = BTreeSet::new();
        for network in &plan.networks {
            assert!(seen.insert(network.gateway));
            assert!(network.subnet.contains(&network.gateway));
            if let Some(uplink) = &network.behind {
                assert!(seen.insert(uplink.address));
                assert!(plan.network(uplink.to).subnet.contains(&uplink.address));
            }
        }
        for node in &plan.nodes {
            assert!(seen.insert(node.address), "{}", node.name);
            assert!(plan.network(node.network).subnet.contains(&node.address), "{}", node.name);
        }
        for (i, a) in plan.networks.iter().enumerate() {
            for b in &plan.networks[i + 1..] {
                assert!(!a.subnet.contains(&b.subnet) && !b.subnet.contains(&a.subnet), "{} {}", a.name, b.name);
            }
        }
    }
}

/// Pins what a seed draws: a change of this is a change of every run that anybody wants to repeat.
#[test]
fn what_a_seed_draws_does_not_change() {
    let plan = read(
        "seed: 7\nnetworks: {lan: {}}\nnodes: {n: {on: lan, count: 4}}\nsteps:\n\
         - store: {items: 2, size: 1KiB..2KiB}\n- churn: {for: 10s, die: 1/10/s, graceful: 50%}\n- retrieve: {items: 1}\n",
    );
    let lines: Vec<String> = plan
        .steps
        .iter()
        .flat_map(|step| &step.ops)
        .map(|timed| format!("{:?} {:?}", timed.after, timed.op))
        .chain(plan.items.iter().map(|item| format!("{item:?}")))
        .collect();
    assert_eq!(lines, PINNED);
}

const PINNED: [&str; 9] = [
    "0ns Put { node: NodeIndex(2), item: ItemIndex(0) }",
    "20ms Put { node: NodeIndex(3), item: ItemIndex(1) }",
    "1.340281s Kill { node: NodeIndex(1) }",
    "1.340281s Start { node: NodeIndex(1), fresh: true }",
    "5.903617s Kill { node: NodeIndex(1) }",
    "5.903617s Start { node: NodeIndex(1), fresh: true }",
    "0ns Get { node: NodeIndex(2), item: ItemIndex(0), exhaustive: false }",
    "Item { size: 1561, seed: 13211208331214133164, by: NodeIndex(2), keywords: [] }",
    "Item { size: 1953, seed: 5165979623299585652, by: NodeIndex(3), keywords: [] }",
];

#[test]
fn the_shipped_churn_kills_as_often_as_it_says() {
    let file = shipped().into_iter().find(|file| file.ends_with("churn.yaml")).unwrap();
    let kills: usize = (0..50)
        .map(|seed| {
            let plan = load(&file, &Overrides { seed: Some(seed), ..Overrides::default() });
            plan.steps.iter().flat_map(|step| &step.ops).filter(|timed| matches!(timed.op, Op::Kill { .. })).count()
        })
        .sum();
    // 100 nodes × 60 s × 1/50 × 50 seeds = 6,000, with a standard deviation of 77.
    assert!((5_700..=6_300).contains(&kills), "{kills}");
}

/// Sessions of a minute and absences of half a minute: nodes are there for two thirds of the time, and never twice.
#[test]
fn nodes_come_and_go_in_sessions() {
    let plan = read(
        "networks: {lan: {}}\nnodes: {n: {on: lan, count: 50}}\nsteps:\n- churn:\n    for: 2h\n\
         \x20   session: {exponential: 10min}\n    downtime: {exponential: 5min}\n\
         \x20   speedup: 10\n    replace: same\n    spare: [n-1]\n    graceful: 25%\n",
    );
    let step = &plan.steps[0];
    let expected = "churn for 2h: all nodes except n-1 fail (25% gracefully) after sessions with a median of 41s588ms and are \
                    away for a median of 20s794ms, restarted with their stores";
    assert_eq!(step.summary, expected);
    assert!(step.ops.is_sorted_by_key(|timed| timed.after));
    let (mut here, mut time_here, mut stops, mut kills) = ([true; 51], Duration::ZERO, 0, 0);
    let mut last = Duration::ZERO;
    for timed in &step.ops {
        time_here += (timed.after - last) * here[2..].iter().filter(|here| **here).count() as u32;
        last = timed.after;
        let (node, is_here) = match timed.op {
            Op::Kill { node } | Op::Stop { node } => (node.0, false),
            Op::Start { node, fresh: false } => (node.0, true),
            ref other => panic!("{other:?}"),
        };
        stops += usize::from(matches!(timed.op, Op::Stop { .. }));
        kills += usize::from(matches!(timed.op, Op::Kill { .. }));
        assert_ne!(std::mem::replace(&mut here[node + 1], is_here), is_here, "{timed:?}");
    }
    assert!(here[1], "the spared node stays");
    let share = time_here.as_secs_f64() / (49.0 * last.as_secs_f64());
    assert!((0.63..0.71).contains(&share), "{share}");
    // 49 nodes × 7,200 s / 90 s, a quarter of them gracefully.
    assert!((3_700..4_150).contains(&(stops + kills)) && (850..1_100).contains(&stops), "{stops} {kills}");
}

#[test]
fn variables_are_overridden_and_settings_too() {
    let file = shipped().into_iter().find(|file| file.ends_with("churn.yaml")).unwrap();
    let nodes = |plan: &Plan| plan.nodes.iter().filter(|node| node.from_start).count();
    let fewer = load(&file, &set("nodes", "30"));
    assert_eq!((nodes(&fewer), fewer.items.len()), (30, 30));
    let patient = load(&file, &set("heartbeat", "7s"));
    assert!(patient.nodes.iter().all(|node| patient.node_config(node).data.heartbeat == Duration::from_secs(7)));
    let hash = |overrides: &Overrides| load(&file, overrides).topology_hash;
    let plain = hash(&Overrides::default());
    assert_ne!(plain, fewer.topology_hash);
    assert_ne!(plain, patient.topology_hash);
    assert_eq!(hash(&set("nodes", "30")), fewer.topology_hash);
    let large = load(&file, &set("nodes", "20000"));
    assert_eq!(nodes(&large), 20_000);
    assert_eq!(large.networks[0].subnet.to_string(), "10.1.0.0/17");
}

#[test]
fn three_lans_asks_from_everywhere_within_a_quarter_of_a_minute() {
    let file = shipped().into_iter().find(|file| file.ends_with("three-lans.yaml")).unwrap();
    let plan = load(&file, &Overrides::default());
    let ambassador = NodeIndex(plan.nodes.iter().position(|node| node.ambassador).unwrap());
    for (index, node) in plan.nodes.iter().enumerate() {
        let expected: &[NodeIndex] = if index == ambassador.0 { &[] } else { &[ambassador] };
        assert_eq!(node.join, expected, "{}", node.name);
    }
    let step = plan.steps.iter().find(|step| step.verb == "retrieve").unwrap();
    assert!(step.ops.last().unwrap().after <= Duration::from_secs(15));
    assert!(matches!(step.ends, EndCondition::Done { deadline } if deadline > Duration::from_secs(60)));
    // Every item is asked for from each of three networks, and by one fresh node on each of four.
    let gets = step.ops.iter().filter(|action| matches!(action.op, Op::Get { .. })).count();
    assert_eq!(gets, plan.items.len() * 7);
    let fresh: Vec<&str> = plan.nodes.iter().filter(|node| !node.from_start).map(|node| node.name.as_str()).collect();
    assert_eq!(fresh, ["fresh-internet", "fresh-alpha", "fresh-beta", "fresh-gamma"]);
}

#[test]
fn networks_nest_and_know_the_way_out() {
    let plan = read(
        "networks:\n  home: {behind: isp, nat: port-restricted}\n  isp: {behind: internet, nat: cgnat}\n  internet: {}\n\
         nodes: {h: {on: home}, i: {on: isp, ambassador: true}, o: {on: internet, ambassador: true, count: 2}}\n\
         steps: [{join: {within: 10s}}]\n",
    );
    let names: Vec<&str> = plan.networks.iter().map(|network| network.name.as_str()).collect();
    assert_eq!(names, ["internet", "isp", "home"]);
    let home = plan.networks[2].behind.as_ref().unwrap();
    assert_eq!((home.to.0, home.address.to_string()), (1, "10.2.0.254".to_owned()));
    let join = |name: &str| {
        let node = plan.nodes.iter().find(|node| node.name == name).unwrap();
        node.join.iter().map(|&other| plan.node(other).name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(join("h"), ["i", "o-1", "o-2"]);
    assert_eq!(join("i"), ["o-1", "o-2"]);
    assert_eq!(join("o-1"), ["o-2"]);
}

#[test]
fn a_count_makes_networks_that_nodes_take_in_turn() {
    let plan = read(
        "vars: {homes: 3}\n\
         networks:\n  home: {behind: isp, nat: port-restricted, count: '${homes}'}\n  isp: {behind: internet, nat: cgnat, count: 3}\n\
         \x20 attic: {behind: home-2}\n  internet: {}\n\
         nodes: {hub: {on: internet, ambassador: true}, h: {on: home, count: 7}, s: {on: isp-3}, u: {on: attic}}\n\
         steps:\n- join: {within: 10s}\n- store: {items: 4, from: home}\n- retrieve: {from: [home, home-2]}\n\
         checks: [retrieval from home >= 1%, retrieval from home-2 to home >= 1%]\n",
    );
    let names: Vec<&str> = plan.networks.iter().map(|network| network.name.as_str()).collect();
    assert_eq!(names, ["internet", "isp-1", "isp-2", "isp-3", "home-1", "home-2", "home-3", "attic"]);
    let outer = |network: usize| plan.networks[network].behind.as_ref().unwrap().to.0;
    assert_eq!([1, 4, 5, 6, 7].map(outer), [0, 1, 2, 3, 5]);
    let subnets: BTreeSet<_> = plan.networks.iter().map(|network| network.subnet).collect();
    assert_eq!(subnets.len(), plan.networks.len());
    let on = |name: &str| plan.nodes.iter().find(|node| node.name == name).unwrap().network.0;
    assert_eq!(["h-1", "h-2", "h-3", "h-4", "h-7", "s", "u"].map(on), [4, 5, 6, 4, 4, 3, 7]);
    assert!(plan.items.iter().all(|item| (4..7).contains(&plan.node(item.by).network.0)));
    let page = planner::describe(&plan);
    assert!(
        page.contains("isp-1 to isp-3: 10.2.0.0/24 to 10.4.0.0/24 (allocated), nodes: 1; behind internet"),
        "{page}"
    );
    assert!(page.contains("home-1 to home-3") && page.contains("behind isp-1 to isp-3 as"), "{page}");
    assert!(page.contains("h: 7 on home, taking its networks in turn"), "{page}");
    assert!(page.contains("retrieve all items from home, home-2"), "{page}");
}

#[test]
fn a_connect_step_links_nodes_of_every_two_groups_but_not_ambassadors() {
    let plan = read(
        "networks: {internet: {}, home: {behind: internet, nat: symmetric, count: 3}}\n\
         nodes: {hub: {on: internet, ambassador: true, count: 2}, h: {on: home, count: 3}, p: {on: internet, count: 2}}\n\
         steps: [connect: {pairs: 2, within: 20s}]\nchecks: [connected == 100%, direct from h to p >= 95%, connected p50 <= 1s]\n",
    );
    let ends = |timed: &TimedOp| match timed.op {
        Op::Connect { node, peer, deadline } if deadline == Duration::from_secs(20) => [node, peer],
        _ => panic!("{timed:?}"),
    };
    let mut pairs: Vec<_> = plan.steps[0].ops.iter().map(|timed| ends(timed).map(|i| &*plan.node(i).group)).collect();
    pairs.iter_mut().for_each(|pair| pair.sort_unstable());
    pairs.sort_unstable();
    assert_eq!(pairs, [["h", "h"], ["h", "h"], ["h", "p"], ["h", "p"], ["p", "p"]]);
    let page = planner::describe(&plan);
    assert!(page.contains("connect 2 pairs of each two groups of h, p within 20s [connects: 5]\n"), "{page}");
}

#[test]
fn an_uplink_can_differ_by_direction() {
    let plan = read(
        "networks:\n  out: {}\n  lan: {behind: out, link: {latency: 5ms, rate: 1mbit, down: {rate: 8mbit, loss: 1/4}}}\n\
         nodes: {a: {on: lan}}\nsteps: [settle: {for: 1s}]\n",
    );
    let uplink = plan.networks[1].behind.as_ref().unwrap();
    assert_eq!((uplink.up.rate_bps, uplink.up.loss), (Some(1_000_000), 0.0));
    assert_eq!((uplink.down.rate_bps, uplink.down.loss), (Some(8_000_000), 0.25));
    assert_eq!(uplink.up.latency, uplink.down.latency);
    assert!(uplink.nat.is_none());
}

#[test]
fn a_link_is_a_preset_or_its_parts_or_both() {
    let plan = read(
        "networks:\n  out: {}\n  home: {behind: out, link: cable}\n\
         \x20 worse: {behind: out, link: {preset: cable, loss: {mean: 2%, burst: 8}, up: {jitter: 1ms, reorder: 1%}}}\n\
         \x20 odd: {behind: out, link: {jitter: {deviation: 5ms, distribution: uniform}, duplicate: 1%, corrupt: 0.1%, \
         reorder: {share: 2%, gap: 7ms}}}\n\
         nodes: {a: {on: home}}\nsteps: [settle: {for: 1s}]\n",
    );
    let uplink = |index: usize| plan.networks[index].behind.as_ref().unwrap();
    let (up, down) = presets::named("cable").unwrap();
    assert_eq!((&uplink(1).up, &uplink(1).down), (&up, &down));
    let worse = LinkConfig { loss: 0.02, loss_burst: Some(8.0), ..down };
    assert_eq!(uplink(2).down, worse);
    let jitter = Duration::from_millis(1);
    let distribution = Distribution::Normal;
    let (rate_bps, queue_bytes) = (up.rate_bps, up.queue_bytes);
    assert_eq!(uplink(2).up, LinkConfig { jitter, distribution, reorder: 0.01, rate_bps, queue_bytes, ..worse });
    let odd = LinkConfig {
        jitter: Duration::from_millis(5),
        distribution: Distribution::Uniform,
        duplicate: 0.01,
        corrupt: 0.001,
        reorder: 0.02,
        reorder_gap: Duration::from_millis(7),
        ..LinkConfig::default()
    };
    assert_eq!((&uplink(3).up, &uplink(3).down), (&odd, &odd));
    let page = planner::describe(&plan);
    for line in ["0s ± 5ms (uniform) 1% doubled 2% late by 7ms 0.1% corrupted", "2% lost in bursts of 8 100mbit"] {
        assert!(page.contains(line), "{line} in\n{page}");
    }
}

#[test]
fn a_link_step_changes_what_it_names_and_the_next_one_begins_there() {
    let plan = read(
        "networks:\n  out: {}\n  lan: {count: 2, behind: out, link: {latency: 5ms, up: {rate: 1mbit}}}\n\
         nodes: {a: {on: lan}}\nsteps:\n- link: {networks: lan, loss: 10%, down: {jitter: 1ms}}\n\
         - link: {networks: [lan-2], latency: 7ms, loss: 0%}\n- link: {networks: lan, preset: perfect, up: {latency: 1s}}\n",
    );
    let after = |step: usize| -> Vec<_> {
        let link = |act: &Op| match act {
            Op::SetLink { network, up, down } => (network.0, up.clone(), down.clone()),
            other => panic!("{other:?}"),
        };
        plan.steps[step].ops.iter().map(|timed| link(&timed.op)).collect()
    };
    let ms = Duration::from_millis;
    let up = LinkConfig { latency: ms(5), loss: 0.1, rate_bps: Some(1_000_000), ..LinkConfig::default() };
    let down = LinkConfig { rate_bps: None, jitter: ms(1), ..up.clone() };
    let boxed = |network, up: &LinkConfig, down: &LinkConfig| (network, Box::new(up.clone()), Box::new(down.clone()));
    assert_eq!(after(0), [boxed(1, &up, &down), boxed(2, &up, &down)]);
    let better = |link: LinkConfig| LinkConfig { latency: ms(7), loss: 0.0, ..link };
    assert_eq!(after(1), [boxed(2, &better(up), &better(down))]);
    let late = LinkConfig { latency: ms(1_000), ..LinkConfig::default() };
    assert_eq!(after(2)[1], boxed(2, &late, &LinkConfig::default()));
    assert_eq!(plan.steps[1].verb, "link");
    assert_eq!(plan.steps[2].summary, "the links of lan become up 1s, down a perfect link");
}

#[test]
fn a_plan_is_described_on_a_page() {
    let plan = read(
        "name: page\ndescription: Two\n  lines.\nseed: 3\nnetworks:\n  wan: {subnet: 203.0.113.0/24}\n\
         \x20 lan: {behind: wan, nat: symmetric, link: {latency: 10ms, jitter: 1ms, loss: 0.5%, up: {rate: 5mbit}}, region: eu}\n\
         nodes: {hub: {on: wan, ambassador: true}, n: {on: lan, count: 3, config: {storage: 64MiB}}}\n\
         steps:\n- join: {within: 90s}\n- store: {items: 6, size: 1KiB..32KiB, from: n}\n\
         - churn: {for: 10s, die: 100%/s, graceful: 100%, only: n, spare: [n-2, n-3], replace: same}\n\
         - retrieve: {items: all, from: [lan, fresh]}\n- check: [persistence >= 99%]\nchecks: [retrieval from lan >= 95%]\n",
    );
    assert_eq!(planner::describe(&plan), PAGE);
}

const PAGE: &str = "\
page, seed 3
Two lines.

networks (2)
  wan: 203.0.113.0/24, router 203.0.113.1, nodes: 1
  lan: 10.1.0.0/24 (allocated), router 10.1.0.1, nodes: 3; behind wan as 203.0.113.254, symmetric NAT, \
up 10ms ± 1ms 0.5% lost 5mbit, down 10ms ± 1ms 0.5% lost; region eu

nodes (3)
  hub: on wan, 203.0.113.10, ambassador
  n: 3 on lan, 10.1.0.10 to 10.1.0.12, storage 64MiB
  fresh: 2, on every network that has nodes, started by a retrieve step

steps (5)
  1. join within 1m30s
  2. store 6 items of 1KiB..32KiB from n [puts: 6], begun within 100ms, done within 1m10s100ms
  3. churn for 10s: 100%/s of n nodes except n-2, n-3 fail (100% gracefully), restarted with their stores \
[starts: 10, stops: 10]
  4. retrieve all items from lan, fresh [fresh starts: 2, gets: 18], begun within 5s300ms, done within 1m15s300ms
  5. check persistence >= 99%

checks (1)
  retrieval from lan >= 95%
";

/// The same network with and without IPv6 at home and outside; a subnet of one's own, and those that are allocated around it.
#[test]
fn ipv6_stands_beside_ipv4_with_addresses_that_follow_from_it() {
    let plan = read(
        "networks:
  internet: {subnet: 203.0.113.0/24, ipv6: true}
  old: {behind: internet, nat: symmetric}
  mine: {behind: internet, subnet: 10.7.0.0/24, subnet6: 2001:db8:2::/64, firewall6: open}
  home: {behind: internet, count: 2, ipv6: true, nat: port-restricted}
  island: {behind: old, ipv6: true}
nodes:
  ambassador: {on: internet, ambassador: true}
  m: {on: mine, count: 2}
steps:
  - join: {within: 30s}
",
    );
    let subnets: Vec<_> = plan.networks.iter().map(|n| n.ipv6.map(|ipv6| ipv6.subnet.to_string())).collect();
    let expected = [Some("2001:db8:1::/64"), None, Some("2001:db8:2::/64"), Some("2001:db8:3::/64")];
    assert_eq!(subnets[..4], expected.map(|subnet| subnet.map(str::to_owned)));
    assert_eq!(plan.networks[2].ipv6.unwrap().gateway.to_string(), "2001:db8:2::1");
    let uplinks: Vec<_> = plan.networks.iter().map(|n| n.behind.as_ref().and_then(|uplink| uplink.ipv6)).collect();
    assert_eq!(uplinks[2].unwrap().firewall, Policy::Open);
    assert_eq!(uplinks[3].unwrap().firewall, Policy::Stateful, "as in most homes");
    assert_eq!(uplinks[3].unwrap().address.to_string(), "2001:db8:1:0:42:cbff:fe00:71fc");
    assert!(plan.networks[5].ipv6.is_some() && uplinks[5].is_none(), "IPv6 on the LAN only");
    let addresses: Vec<_> = plan.nodes.iter().filter_map(|node| node.address6).map(|ip| ip.to_string()).collect();
    assert_eq!(addresses[..2], ["2001:db8:1:0:42:cbff:fe00:710a", "2001:db8:2:0:42:aff:fe07:a"]);
    let page = planner::describe(&plan);
    assert!(
        page.contains("2001:db8:3::/64 to 2001:db8:4::/64 (allocated)") && page.contains("IPv6 filtered"),
        "{page}"
    );
    let mut moved = plan.clone();
    moved.relocate(NetworkIndex(0), "198.18.0.0/24".parse().unwrap());
    assert_eq!(moved.nodes[0].address6.unwrap().to_string(), "2001:db8:1:0:42:c6ff:fe12:a");
    assert_eq!(
        moved.networks[3].behind.as_ref().unwrap().ipv6.unwrap().address.segments()[4..],
        [0x42, 0xc6ff, 0xfe12, 0xfc]
    );
    assert!(
        !json(&read(
            &plan
                .source
                .replace("ipv6: true", "region: eu")
                .replace("subnet6: 2001:db8:2::/64, firewall6: open", "region: us")
        ))
        .contains("6\":")
    );
}

#[test]
fn unused_variables_and_missing_checks_are_noted() {
    let text =
        "vars: {a: 3, b: 4}\nnetworks: {lan: {}}\nnodes: {n: {on: lan, count: '${a}'}}\nsteps: [settle: {for: 1s}]\n";
    let unchecked = "no check says what must hold: the run can fail, but not pass";
    assert_eq!(read(text).notes, ["the variable `b` is used nowhere", unchecked]);
    let quiet = text.replace(", b: 4", "").replace("settle: {for: 1s}", "store: {items: 1}, check: [stored == 100%]");
    assert_eq!(read(&quiet).notes, [""; 0]);
}
