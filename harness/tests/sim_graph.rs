//! Prescribed graphs, gets of absent keys and the graph of active views, played on the simulator.

use std::collections::BTreeMap;
use std::path::Path;

use butter::core::identity::NodeId;
use butter_harness::backend::Backend;
use butter_harness::backend::sim::SimBackend;
use butter_harness::plan::{NodeIndex, Plan};
use butter_harness::planner;
use butter_harness::results::directory::RunDirectory;
use butter_harness::run::{RunEnd, StopSignal, run_plan};
use butter_harness::topology::Overrides;

#[path = "support/silent.rs"]
mod silent;
use silent::SilentObserver;

fn read(text: &str) -> Plan {
    planner::read("graph.yaml", text, &Overrides::default()).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// Plays a plan whose steps, checks included, all end as planned.
fn played(plan: &Plan) -> SimBackend {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut sim = SimBackend::new(plan);
        sim.up(&mut SilentObserver).await.expect("nothing of the simulator can fail to start");
        let record = run_plan(plan, &mut sim, &mut SilentObserver, &StopSignal::default()).await;
        assert_eq!(record.ended, RunEnd::Finished, "{:#?}", record.events.last());
        let checks = butter_harness::checks::evaluate(plan, &record.events, &record.metric_history);
        for check in &checks {
            assert!(check.passed, "{check:?}");
        }
        sim
    })
}

/// The neighbours and the other known hosts of every live node.
fn views(sim: &SimBackend) -> Vec<(Vec<NodeIndex>, usize)> {
    let places: BTreeMap<NodeId, NodeIndex> =
        sim.engine().nodes().map(|(slot, node)| (node.me().id, NodeIndex(slot as usize))).collect();
    let view = |(_, node): (_, &butter::core::NodeCore<_>)| {
        let mut neighbours: Vec<NodeIndex> = node.neighbours().map(|id| places[&id]).collect();
        neighbours.sort_unstable();
        (neighbours, node.known_hosts().count())
    };
    sim.engine().nodes().map(view).collect()
}

#[test]
fn nodes_have_the_prescribed_neighbours_and_keep_them_through_failures() {
    let plan = read(
        "networks: {internet: {}, one: {behind: internet}, two: {behind: internet}}\n\
         nodes: {n: {on: one, count: 12}, m: {on: two, count: 12}}\n\
         graph: lans(3, 1)\n\
         steps:\n- join: {within: 30s}\n- store: {items: 12}\n- kill: {nodes: n, count: 3}\n- settle: {for: 30s}\n\
         - start: {nodes: n}\n- settle: {for: 60s}\n- retrieve: {from: [m]}\n\
         checks: [retrieval == 100%, views connected == 100%]\n",
    );
    let graph = plan.graph.as_ref().expect("the file prescribes one");
    assert_eq!(graph.links(), 24 * 4 / 2);
    let prescribed: Vec<(Vec<NodeIndex>, usize)> =
        graph.neighbours.iter().map(|neighbours| (neighbours.clone(), neighbours.len())).collect();
    assert_eq!(views(&played(&plan)), prescribed);
}

#[test]
fn links_of_a_file_are_read_and_go_with_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let text = "networks: {lan: {}}\nnodes: {n: {on: lan, count: 4}}\ngraph: edges(links.txt)\n\
                steps: [{join: {within: 30s}}, {settle: {for: 1s}}]\nchecks: [views connected == 100%]\n";
    let file = folder.path().join("ring.yaml");
    std::fs::write(&file, text).unwrap();
    std::fs::write(folder.path().join("links.txt"), "# a ring\nn-1 n-2\n1, 2\n2\t3 # twice\n3 2\n\nn-4 n-1\n").unwrap();
    let plan = planner::load(&file, &Overrides::default()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let neighbours = &plan.graph.as_ref().unwrap().neighbours;
    let of = |list: [usize; 2]| list.map(NodeIndex).to_vec();
    assert_eq!(*neighbours, [of([1, 3]), of([0, 2]), of([1, 3]), of([0, 2])]);
    played(&plan);
    // A record has a copy, from which the same plan is made.
    let record = tempfile::tempdir().unwrap();
    RunDirectory::at(record.path()).unwrap().write_plan(&plan).unwrap();
    let overrides = Overrides { folder: Some(record.path().to_owned()), ..Overrides::default() };
    let again = planner::read("elsewhere/ring.yaml", text, &overrides).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!((&again.graph, &again.topology_hash), (&plan.graph, &plan.topology_hash));
    // Other links are another topology; wrong ones have their line.
    std::fs::write(record.path().join("links.txt"), "0 1\n1 2\n2 3\n").unwrap();
    assert_ne!(planner::read("ring.yaml", text, &overrides).unwrap().topology_hash, plan.topology_hash);
    for (links, wanted) in [
        ("0 1\n1 9\n", "line 2: there is no node '9'"),
        ("0 1 2\n", "is no link"),
        ("0 0\n", "a node is no neighbour of its own"),
        ("# none\n", "links.txt has no link"),
    ] {
        std::fs::write(record.path().join("links.txt"), links).unwrap();
        let wrong = planner::read("ring.yaml", text, &overrides).unwrap_err().render(false);
        assert!(wrong.contains(wanted), "{wrong}");
    }
}

#[test]
fn absent_keys_end_as_absent_and_exhaustive_gets_ask_everyone() {
    let plan = read(
        "networks: {lan: {}}\nnodes: {n: {on: lan, count: 30}}\ngraph: regular(6)\n\
         steps:\n- join: {within: 30s}\n- store: {items: 10}\n- settle: {for: 20s}\n\
         - retrieve: {absent: 10, exhaustive: true, from: [n]}\n\
         checks: [absent keys == 100%, absent keys messages >= 29, absent keys messages <= 40, absent keys p95 <= 9s]\n",
    );
    played(&plan);
}

#[test]
fn survivors_of_a_blow_come_together_again() {
    let topology = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies/views-under-kill.yaml");
    let set = [("nodes", "60"), ("kill", "45")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let overrides = Overrides { set: set.to_vec(), ..Overrides::default() };
    let plan = planner::load(&topology, &overrides).unwrap_or_else(|wrong| panic!("{wrong}"));
    let sim = played(&plan);
    assert_eq!(sim.engine().nodes().count(), 16);
}
