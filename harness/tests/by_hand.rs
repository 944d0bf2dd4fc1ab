//! Labs that are left up: brought up, worked in, and gone without a trace, on namespaces and on Docker.
//!
//! Each test has a folder of labs of its own. Where namespaces cannot be made, or Docker is missing, tests say that they are skipped.

#[path = "by_hand/desk.rs"]
mod desk;
#[path = "support/processes.rs"]
mod processes;
#[path = "support/programs.rs"]
mod programs;
#[path = "support/skipped.rs"]
mod skipped;

use std::process::Stdio;

use desk::{Backend, Desk, HOME, LAB, Process, STEPS, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Goes through a lab as a user does.
fn worked_in(desk: &Desk) {
    desk.write("lab.yaml", LAB);
    let up = desk.run(&["up", "lab.yaml"]).exits(0);
    assert!(up.stdout.contains("n-3") && up.stderr.contains("harness down by-hand"), "{up:?}");
    let lab = desk.lab("by-hand");
    let states: Vec<_> = lab["nodes"].as_array().unwrap().iter().map(|node| node["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["up", "up", "up"]);
    assert_eq!(lab["networks"][0]["subnet"].as_str().unwrap().split('/').next_back(), Some("24"));

    let address = lab["nodes"][1]["address"].as_str().unwrap();
    let inside = desk.run(&["exec", "n-2", "--", "cat", "/proc/self/net/fib_trie"]).exits(0);
    assert!(inside.stdout.contains(&format!("|-- {address}\n")), "{inside:?}");
    desk.run(&["exec", "n-2", "--", "sh", "-c", "exit 7"]).exits(7);
    desk.run(&["exec", "router-lan", "--", "true"]).exits(0);
    desk.run(&["exec", "n-1", "--", "no-such-program"]).exits(3);
    let shell = desk.run_with(&["shell", "n-1"], "echo $HARNESS_NODE; exit 5\n").exits(5);
    assert_eq!(shell.stdout, "n-1\n");

    let id = desk.run_with(&["put", "n-1", "-", "--keywords", "hand,made"], "by hand").exits(0).stdout;
    let got = desk.run(&["get", "n-3", id.trim()]).exits(0);
    assert_eq!(got.stdout, "by hand");
    let found = desk.run(&["search", "n-2", "hand", "AND", "made"]).exits(0);
    assert!(found.stdout.starts_with(id.trim()), "{found:?}");
    desk.run(&["search", "n-2", "foot"]).exits(1);
    desk.run(&["search", "n-2", "AND"]).exits(2);
    desk.run(&["get", "n-2", &"0".repeat(64)]).exits(1);
    assert!(desk.run(&["logs", "n-1"]).exits(0).stdout.contains("up id="));

    let unknown = desk.run(&["logs", "n1"]).exits(2);
    assert!(unknown.stderr.contains("no node `n1`") && unknown.stderr.contains("did you mean 'n-1'?"), "{unknown:?}");
    let unknown = desk.run(&["put", "router-lna", "lab.yaml"]).exits(2);
    assert!(unknown.stderr.contains("did you mean 'router-lan'?"), "{unknown:?}");
    let again = desk.run(&["up", "lab.yaml"]).exits(0);
    assert!(again.stdout.contains("no difference") || again.stderr.contains("up"), "{again:?}");

    desk.write("steps.yaml", STEPS);
    let played = desk.run(&["play", "steps.yaml"]).exits(0);
    assert!(played.stdout.contains("PASSED") && played.stderr.contains("step 2 of 5"), "{played:?}");
    // What the first play stored is its own: the second one stores and finds other values.
    desk.run(&["play", "steps.yaml", "--seed", "9"]).exits(0);
    desk.write("failing.yaml", "steps: [{settle: {for: 1s}}]\nchecks: [metric min(butter_known_hosts) >= 1000]\n");
    desk.run(&["play", "failing.yaml"]).exits(1);
    desk.write("faulty.yaml", "steps:\n  - kill: {nodes: [m]}\n");
    let faulty = desk.run(&["play", "faulty.yaml"]).exits(2);
    assert!(faulty.stderr.contains("faulty.yaml:2"), "{faulty:?}");
    desk.write("other.yaml", &LAB.replace("count: 3", "count: 4"));
    let other = desk.run(&["play", "other.yaml"]).exits(2);
    assert!(other.stderr.contains("+ node n-4"), "{other:?}");

    let keeper = desk.keeper("by-hand");
    assert_eq!(desk.run(&["down"]).exits(0).stdout, "removed by-hand\n");
    assert!(!keeper.runs() && desk.labs().is_empty());
    assert!(desk.run(&["down"]).exits(2).stderr.contains("no lab is up"));
}

#[test]
fn a_lab_is_worked_in_by_root() {
    if let Some(desk) = Desk::new(Backend::Netns) {
        worked_in(&desk);
    }
}

#[test]
fn a_lab_is_worked_in_by_an_ordinary_user() {
    if let Some(desk) = Desk::of_ordinary_user() {
        worked_in(&desk);
    }
}

#[test]
fn a_lab_is_worked_in_on_docker() {
    if let Some(desk) = Desk::new(Backend::Docker) {
        worked_in(&desk);
        assert_eq!(desk.on_engine(), "");
    }
}

#[test]
fn labs_beside_each_other_have_names() {
    let Some(desk) = Desk::new(Backend::Netns) else { return };
    desk.write("lab.yaml", LAB);
    desk.run(&["up", "lab.yaml"]).exits(0);
    desk.run(&["up", "lab.yaml", "--name", "second"]).exits(0);
    let several = desk.run(&["logs", "n-1"]).exits(2);
    assert!(several.stderr.contains("several labs are up: by-hand, second"), "{several:?}");
    let id = desk.run_with(&["put", "--lab", "second", "n-1", "-"], "in the second").exits(0).stdout;
    desk.run(&["get", "--lab", "by-hand", "n-1", id.trim()]).exits(1);
    desk.run(&["get", "--lab", "second", "n-2", id.trim()]).exits(0);
    let unknown = desk.run(&["ps", "second2"]).exits(2);
    assert!(unknown.stderr.contains("did you mean 'second'?"), "{unknown:?}");
    desk.run(&["down", "by-hand"]).exits(0);
    assert_eq!(desk.labs(), ["second"]);
    desk.run(&["down", "--all"]).exits(0);
    assert!(desk.labs().is_empty());
}

/// SIGKILL of the keeper: what it held ends, programs in the lab end, and its folder is removed by `remove`.
fn killed(desk: &Desk, remove: &[&str]) {
    desk.write("lab.yaml", LAB);
    desk.run(&["up", "lab.yaml"]).exits(0);
    let keeper = desk.keeper("by-hand");
    let held = Process::children_of(keeper.pid);
    let mut inside = desk.command(&["exec", "n-1", "--", "sleep", "600"]).stdout(Stdio::piped()).spawn().unwrap();
    eventually("a program runs in the lab", || desk.runs("sleep 600", inside.id()));
    keeper.signal(Signal::SIGKILL);
    assert_eq!(inside.wait().unwrap().code(), Some(3));
    eventually("every process has ended", || !held.iter().any(|process| process.runs()));
    let ps = desk.run(&["ps"]).exits(3);
    assert!(ps.stderr.contains("has gone") && ps.stderr.contains("harness down by-hand"), "{ps:?}");
    desk.run(&["exec", "n-1", "--", "true"]).exits(3);
    desk.run(remove).exits(0);
    assert!(desk.labs().is_empty());
}

#[test]
fn what_a_killed_keeper_leaves_is_removed() {
    let Some(desk) = Desk::new(Backend::Netns) else { return };
    killed(&desk, &["down"]);
    killed(&desk, &["clean"]);
    // A new lab takes the place of a dead one.
    desk.run(&["up", "lab.yaml"]).exits(0);
    let keeper = desk.keeper("by-hand");
    keeper.signal(Signal::SIGKILL);
    eventually("the keeper has ended", || !keeper.runs());
    desk.run(&["up", "lab.yaml"]).exits(0);
    desk.run(&["down"]).exits(0);
}

#[test]
fn what_a_killed_keeper_leaves_on_docker_is_removed() {
    let Some(desk) = Desk::new(Backend::Docker) else { return };
    killed(&desk, &["down"]);
    assert_eq!(desk.on_engine(), "");
}

#[test]
fn a_lab_that_is_interrupted_while_it_is_deployed_leaves_nothing() {
    let Some(desk) = Desk::new(Backend::Netns) else { return };
    desk.write("lab.yaml", &LAB.replace("count: 3", "count: 40"));
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGKILL] {
        let mut up = desk.command(&["up", "lab.yaml"]).stderr(Stdio::piped()).spawn().unwrap();
        let said = desk::lines(up.stderr.take().unwrap());
        said.until("creating networks");
        kill(Pid::from_raw(up.id() as i32), signal).unwrap();
        let status = up.wait().unwrap();
        assert_eq!(status.code(), if signal == Signal::SIGKILL { None } else { Some(130) });
        eventually("the folder of the lab has gone", || desk.labs().is_empty());
        eventually("its keeper has ended", || desk.keepers().is_empty());
    }
}

#[test]
fn a_lab_in_the_foreground_goes_with_a_signal() {
    let Some(desk) = Desk::new(Backend::Netns) else { return };
    desk.write("lab.yaml", LAB);
    let mut up = desk.command(&["up", "lab.yaml", "--foreground"]).stderr(Stdio::piped()).spawn().unwrap();
    let said = desk::lines(up.stderr.take().unwrap());
    said.until("Ctrl-C removes it");
    desk.run(&["exec", "n-1", "--", "true"]).exits(0);
    kill(Pid::from_raw(up.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(up.wait().unwrap().code(), Some(0));
    assert!(desk.labs().is_empty());
}

#[test]
fn what_no_lab_can_be_made_of_is_refused() {
    let Some(desk) = Desk::new(Backend::Netns) else { return };
    desk.write("lab.yaml", LAB);
    let sim = desk.run(&["up", "lab.yaml", "--backend", "sim"]).exits(2);
    assert!(sim.stderr.contains("the simulator has no lab"), "{sim:?}");
    assert!(desk.run(&["up", "lab.yaml", "--name", "a/b"]).exits(2).stderr.contains("cannot be called `a/b`"));
    desk.run(&["up", "no-such-file.yaml"]).exits(2);
    assert!(desk.labs().is_empty());
}

/// A lab with a network behind a NAT, and changes to its file.
fn converged(desk: &Desk) {
    desk.write("lab.yaml", HOME);
    desk.run(&["up", "lab.yaml"]).exits(0);
    let names = || -> Vec<String> {
        let lab = desk.lab("by-hand");
        let nodes = lab["nodes"].as_array().unwrap();
        assert!(nodes.iter().all(|node| node["state"] == "up"), "{lab}");
        nodes.iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect()
    };
    let id = desk.run_with(&["put", "n-1", "-"], "kept").exits(0).stdout;

    desk.write("lab.yaml", &HOME.replace("count: 2", "count: 3").replace("5ms", "40ms"));
    let dry = desk.run(&["up", "lab.yaml", "--dry-run"]).exits(0);
    assert_eq!(dry.stdout, "~ network home: link\n+ node n-3\n");
    assert_eq!(names(), ["ambassador", "n-1", "n-2"]);
    assert_eq!(desk.run(&["up", "lab.yaml"]).exits(0).stdout, dry.stdout);
    assert_eq!(names(), ["ambassador", "n-1", "n-2", "n-3"]);
    eventually("a new node finds what is there", || desk.run(&["get", "n-3", id.trim()]).stdout == "kept");
    assert!(desk.run(&["up", "lab.yaml"]).exits(0).stdout.contains("no difference"));
    // The new node is one like the others: it is entered, has a log, and steps find it.
    desk.run(&["exec", "n-3", "--", "true"]).exits(0);
    assert!(desk.run(&["logs", "n-3"]).exits(0).stdout.contains("up id="));
    desk.write("steps.yaml", STEPS);
    desk.run(&["play", "steps.yaml"]).exits(0);

    // Settings change with a restart; a store on the disk is kept over it.
    desk.write("lab.yaml", &HOME.replace("count: 2", "count: 2, config: {log: debug}"));
    let changed = desk.run(&["up", "lab.yaml"]).exits(0);
    assert_eq!(changed.stdout, "~ network home: link\n- node n-3\n~ node n-1: config\n~ node n-2: config\n");
    assert_eq!(names(), ["ambassador", "n-1", "n-2"]);
    assert!(desk.run(&["logs", "n-1"]).exits(0).stdout.contains("DEBUG"));

    desk.write("other.yaml", &HOME.replace("full-cone", "symmetric").replace("home", "house"));
    let refused = desk.run(&["up", "other.yaml"]).exits(2);
    assert!(refused.stderr.contains("+ network house (networks and their routers stay"), "{refused:?}");
    desk.write("other.yaml", &HOME.replace("full-cone", "symmetric"));
    let refused = desk.run(&["up", "other.yaml"]).exits(2);
    assert!(refused.stderr.contains("~ network home: nat (of a network"), "{refused:?}");
    desk.write("faulty.yaml", &HOME.replace("full-cone", "full-con"));
    desk.run(&["up", "faulty.yaml"]).exits(2);
    assert_eq!(names(), ["ambassador", "n-1", "n-2"]);
    desk.run(&["down"]).exits(0);
    assert!(desk.labs().is_empty());
    desk.run(&["up", "lab.yaml", "--dry-run"]).exits(2);
}

#[test]
fn a_lab_is_brought_to_a_changed_file() {
    if let Some(desk) = Desk::new(Backend::Netns) {
        converged(&desk);
    }
}

#[test]
fn a_lab_on_docker_is_brought_to_a_changed_file() {
    if let Some(desk) = Desk::new(Backend::Docker) {
        converged(&desk);
        assert_eq!(desk.on_engine(), "");
    }
}

const MOVE: &str = "\
steps:
  - store: {items: 3, size: 1KiB..4KiB, from: [n-1]}
  - move: {nodes: [n-1], to: cafe}
  - wait: {until: persistence == 100%, within: 60s}
  - retrieve: {items: all, from: [n-1, n-2]}
checks:
  - stored == 100%
  - retrieval == 100%
  - incidents == 0
";

const MOVE_HOME: &str = "\
steps:
  - move: {nodes: [n-1], to: home}
  - connect: {pairs: 1, among: [n-1, n-2], within: 30s}
checks:
  - connected == 100%
  - incidents == 0
";

/// A node that moves by hand and comes home, and the record of the file that had it move.
fn moved_and_recorded(desk: &Desk) {
    desk.write("lab.yaml", &HOME.replace("nodes:\n", "  cafe: {behind: internet, nat: port-restricted}\nnodes:\n"));
    desk.run(&["up", "lab.yaml"]).exits(0);
    let place = || {
        let lab = desk.lab("by-hand");
        let node = lab["nodes"].as_array().unwrap().iter().find(|node| node["name"] == "n-1").unwrap();
        ["network", "address"].map(|key| node[key].as_str().unwrap().to_owned())
    };
    let home = place();
    desk.write("move.yaml", MOVE);
    let played = desk.run(&["play", "move.yaml", "--out", "record"]).exits(0);
    assert!(played.stdout.contains("PASSED") && played.stderr.contains("report: record/report.html"), "{played:?}");
    let [network, address] = place();
    assert_eq!(network, "cafe");
    let inside = desk.run(&["exec", "n-1", "--", "cat", "/proc/self/net/fib_trie"]).exits(0).stdout;
    assert!(
        inside.contains(&format!("|-- {address}\n")) && !inside.contains(&format!("|-- {}\n", home[1])),
        "{inside}"
    );

    let read = |file: &str| std::fs::read_to_string(desk.path("record").join(file)).unwrap();
    let run: serde_json::Value = serde_json::from_str(&read("run.json")).unwrap();
    assert!(
        run["command_line"].to_string().contains("play") && run["durations"]["play_s"].as_f64() > Some(0.0),
        "{run}"
    );
    // It can be played again without the lab.
    assert!(run["topology"].as_str().unwrap().ends_with("/record/topology.yaml"), "{run}");
    assert!(read("report.html").contains("/record/topology.yaml --backend "));
    let result: serde_json::Value = serde_json::from_str(&read("result.json")).unwrap();
    assert_eq!((&result["verdict"], &result["steps"][1]["verb"]), (&"passed".into(), &"move".into()));
    let moved = read("events.jsonl").lines().find(|line| line.contains("\"moved\"")).unwrap().to_owned();
    assert!(moved.contains("cafe") && moved.contains(&address), "{moved}");
    assert!(read("report.html").contains("n-1 to cafe") && read("topology.yaml").contains("cafe:"));

    // It is there for the files that come after: it cannot come there again, and comes home.
    let there = desk.run(&["play", "move.yaml"]).exits(2);
    assert!(there.stderr.contains("n-1") && there.stderr.contains("cafe"), "{there:?}");
    assert_eq!(desk.run(&["up", "lab.yaml", "--dry-run"]).exits(0).stdout, "~ node n-1: on\n");
    desk.write("home.yaml", MOVE_HOME);
    let again = desk.run(&["play", "home.yaml", "--out", "record"]).exits(2);
    assert!(again.stderr.contains("is not empty"), "{again:?}");
    desk.run(&["play", "home.yaml"]).exits(0);
    assert_eq!(place()[0], "home");
    assert!(desk.run(&["up", "lab.yaml"]).exits(0).stdout.contains("no difference"));
    desk.run(&["down"]).exits(0);
}

#[test]
fn a_node_of_a_lab_moves_and_the_play_is_recorded() {
    if let Some(desk) = Desk::new(Backend::Netns) {
        moved_and_recorded(&desk);
    }
}

#[test]
fn a_node_of_a_lab_of_an_ordinary_user_moves() {
    if let Some(desk) = Desk::of_ordinary_user() {
        moved_and_recorded(&desk);
    }
}

#[test]
fn a_node_of_a_lab_on_docker_moves_and_the_play_is_recorded() {
    if let Some(desk) = Desk::new(Backend::Docker) {
        moved_and_recorded(&desk);
        assert_eq!(desk.on_engine(), "");
    }
}

/// Packets of a node, as tshark reads them: what a link carries that begins meanwhile is open.
fn captured(desk: &Desk) {
    desk.write("lab.yaml", LAB);
    desk.run(&["up", "lab.yaml", "--keys"]).exits(0);
    assert!(desk.run(&["logs", "n-1"]).exits(0).stdout.contains("whoever reads this file can read all links"));
    let mut capture =
        desk.command(&["capture", "n-1", "--write", "n-1.pcapng"]).stderr(Stdio::piped()).spawn().unwrap();
    let said = desk::lines(capture.stderr.take().unwrap());
    eventually("the capture has begun", || desk.path("n-1.pcapng").metadata().is_ok_and(|file| file.len() > 0));
    // One of its peers starts again.
    desk.write("steps.yaml", STEPS);
    desk.run(&["play", "steps.yaml"]).exits(0);
    kill(Pid::from_raw(capture.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(capture.wait().unwrap().code(), Some(0));
    said.until("captured ");
    let lines = desk.run(&["capture", "n-1", "--count", "3"]).exits(0).stdout;
    assert!(lines.lines().count() == 3 && lines.lines().all(|line| line.contains(" eth0 ")), "{lines}");
    desk.run(&["down"]).exits(0);
    let Some(open) = desk.tshark("n-1.pcapng", "quic.stream_data") else { return };
    assert!(open > 0, "no stream is open");
    // A datagram of a link that began before the capture can be of any protocol for tshark, by the number of its port.
    assert_eq!(desk.tshark("n-1.pcapng", "_ws.malformed && !udp"), Some(0));
    assert_eq!(desk.tshark("n-1.pcapng", "udp.length < 8 || ip.bogus_ip_length || _ws.short"), Some(0));
}

#[test]
fn a_capture_opens_what_new_links_carry() {
    if let Some(desk) = Desk::new(Backend::Netns) {
        captured(&desk);
    }
}

#[test]
fn an_ordinary_user_captures_as_root_does() {
    if let Some(desk) = Desk::of_ordinary_user() {
        captured(&desk);
    }
}

#[test]
fn a_capture_on_docker_opens_what_new_links_carry() {
    if let Some(desk) = Desk::new(Backend::Docker) {
        captured(&desk);
    }
}

#[test]
fn a_simulated_run_captures_a_node() {
    let Some(desk) = Desk::new(Backend::Netns) else { return };
    desk.write("lab.yaml", LAB);
    let play = |more: &[&str]| desk.run(&[&["run", "lab.yaml", "--backend", "sim", "--capture"], more].concat());
    play(&["n-2", "--fidelity", "packet", "--out", "one"]).exits(0);
    play(&["n-2", "--fidelity", "packet", "--out", "two"]).exits(0);
    let read = |run: &str| std::fs::read(desk.path(run).join("n-2.pcapng")).unwrap();
    assert!(read("one") == read("two"), "the same seed gives the same bytes");
    if let Some(datagrams) = desk.tshark("one/n-2.pcapng", "udp.port == 4001 && ip.addr == 10.1.0.11") {
        assert!(datagrams > 20 && desk.tshark("one/n-2.pcapng", "ip.checksum.status == \"Bad\"") == Some(0));
    }
    let unknown = play(&["n2", "--fidelity", "packet"]).exits(2);
    assert!(unknown.stderr.contains("`by-hand` has no node `n2`") && unknown.stderr.contains("'n-2'"), "{unknown:?}");
    let message = play(&["n-2", "--fidelity", "message"]).exits(2);
    assert!(message.stderr.contains("with fidelity packet"), "{message:?}");
}
