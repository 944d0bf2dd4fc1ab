//! Churn that a file has recorded: what is planned from it, and that a record needs the file no more.

use std::fs;
use std::path::Path;

use butter_harness::op::Op;
use butter_harness::plan::Plan;
use butter_harness::planner;
use butter_harness::results::directory::RunDirectory;
use butter_harness::topology::Overrides;

const TOPOLOGY: &str = "networks: {lan: {}}\nnodes: {hub: {on: lan}, n: {on: lan, count: 3}}\n\
                        steps:\n- churn: {for: 20s, trace: sessions.csv, only: n}\n";

fn load(folder: &Path, text: &str, trace: &str) -> Result<Plan, String> {
    fs::write(folder.join("trace.yaml"), text).unwrap();
    fs::write(folder.join("sessions.csv"), trace).unwrap();
    planner::load(&folder.join("trace.yaml"), &Overrides::default()).map_err(|wrong| wrong.render(false))
}

/// What happens to which node, and when.
fn happens(plan: &Plan) -> Vec<(f64, String)> {
    let op = |op: &Op| match op {
        Op::Kill { node } => format!("{} dies", plan.node(*node).name),
        Op::Stop { node } => format!("{} leaves", plan.node(*node).name),
        Op::Start { node, fresh } => format!("{} comes{}", plan.node(*node).name, if *fresh { " anew" } else { "" }),
        other => panic!("{other:?}"),
    };
    plan.steps[0].ops.iter().map(|timed| (timed.after.as_secs_f64(), op(&timed.op))).collect()
}

fn expected(list: &[(f64, &str)]) -> Vec<(f64, String)> {
    list.iter().map(|(at, what)| (*at, (*what).to_owned())).collect()
}

#[test]
fn nodes_come_and_go_as_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let by_name = load(folder.path(), TOPOLOGY, "node,up,down\nn-3,0,5\nn-1,2,4.5\nn-1,7,30\nn-3,9,\n").unwrap();
    let times = [
        (0.0, "n-1 dies"),
        (2.0, "n-1 comes"),
        (4.5, "n-1 dies"),
        (5.0, "n-3 dies"),
        (7.0, "n-1 comes"),
        (9.0, "n-3 comes"),
    ];
    assert_eq!(happens(&by_name), expected(&times));
    // Strangers are the nodes of the step, in order; events are as good.
    let events = "time,node,event\n5,x,down\n9,x,up\n2,y,up\n4.5,y,down\n7,y,up\n";
    let times = [
        (0.0, "n-2 dies"),
        (2.0, "n-2 comes"),
        (4.5, "n-2 dies"),
        (5.0, "n-1 dies"),
        (7.0, "n-2 comes"),
        (9.0, "n-1 comes"),
    ];
    assert_eq!(happens(&load(folder.path(), TOPOLOGY, events).unwrap()), expected(&times));
    let faster = TOPOLOGY.replace("only: n", "only: n, speedup: 10, replace: fresh, graceful: 100%");
    let faster = load(folder.path(), &faster, "n-2,0,50\nn-2,100,190\n").unwrap();
    assert_eq!(happens(&faster), expected(&[(5.0, "n-2 leaves"), (10.0, "n-2 comes anew"), (19.0, "n-2 leaves")]));
}

#[test]
fn what_is_wrong_names_the_file_and_the_line() {
    let folder = tempfile::tempdir().unwrap();
    for (trace, wanted) in [
        ("n-1,0,5\nn-9,1,2\n", "sessions.csv, line 2: there is no node n-9 of n"),
        ("x,0,5\ny,0,5\nz,0,5\nw,1,2\n", "sessions.csv, line 4: this is node 4 of the trace, and there are 3 of n"),
        ("n-1,0,5\n\nn-1,3,9\n", "sessions.csv, line 3: 'n-1' is up already, by line 1"),
        ("node,up,down\nn-1,zero,5\n", "sessions.csv, line 2: 'zero' is no time in seconds"),
        ("", "sessions.csv: it has no session"),
    ] {
        let wrong = load(folder.path(), TOPOLOGY, trace).unwrap_err();
        assert!(wrong.contains(wanted), "{wrong}");
    }
    fs::remove_file(folder.path().join("sessions.csv")).unwrap();
    let wrong = planner::load(&folder.path().join("trace.yaml"), &Overrides::default()).unwrap_err().render(false);
    assert!(wrong.contains("cannot read") && wrong.contains("sessions.csv"), "{wrong}");
}

#[test]
fn a_record_has_a_copy_of_the_trace() {
    let (folder, record) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let plan = load(folder.path(), TOPOLOGY, "n-1,0,5\n").unwrap();
    RunDirectory::at(record.path()).unwrap().write_plan(&plan).unwrap();
    let overrides = Overrides { folder: Some(record.path().to_owned()), ..Overrides::default() };
    let again = planner::read("elsewhere/trace.yaml", TOPOLOGY, &overrides).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!((happens(&again), &again.topology_hash), (happens(&plan), &plan.topology_hash));
    let other = load(folder.path(), TOPOLOGY, "n-1,0,6\n").unwrap();
    assert_ne!(other.topology_hash, plan.topology_hash);
}
