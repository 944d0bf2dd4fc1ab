//! `harness run`, as a user has it: exit statuses, messages, the record that it leaves, and the same record each time.

use std::fs;

#[path = "support/cli_desk.rs"]
mod cli_desk;

use cli_desk::{Desk, Ran, SMALL, has, json};

#[test]
fn a_run_in_an_empty_folder_passes_and_leaves_its_record() {
    let desk = Desk::new();
    let ran = desk.harness(&["run", "small.yaml", "--backend", "sim"]).exits(0);
    has(
        &ran.stdout,
        &["small on sim, seed 3: PASSED", "3 of 3 checks passed", "persistence == 100%", "100 %", "queried from"],
    );
    has(&ran.stderr, &["step 1 of 4: join", "record: runs/small-"]);
    let record = fs::read_dir(desk.path("runs")).unwrap().next().unwrap().unwrap().path();
    for file in [
        "result.json",
        "events.jsonl",
        "samples.csv.gz",
        "topology.yaml",
        "plan.json",
        "run.json",
        "timing.json",
        "logs",
    ] {
        assert!(record.join(file).exists(), "{file} is missing");
    }
    assert_eq!(fs::read_to_string(record.join("topology.yaml")).unwrap(), SMALL);
    let result = json(&record.join("result.json"));
    assert_eq!((&result["verdict"], &result["seed"], &result["backend"]), (&"passed".into(), &3.into(), &"sim".into()));
    assert_eq!(result["queries"]["total"]["queries"], 6);
    let samples =
        desk.harness(&["samples", record.to_str().unwrap(), "--metric", "butter_known_hosts", "--node", "n-2"]);
    let rows: Vec<&str> = samples.stdout.lines().collect();
    assert_eq!(rows[0], "time_s,node,network,group,metric,labels,value");
    assert!(rows.len() > 2 && rows[1..].iter().all(|row| row.contains(",n-2,lan,n,butter_known_hosts,,")), "{rows:?}");
    let none = desk.harness(&["samples", record.to_str().unwrap(), "--metric", "butter_konwn_hosts"]).exits(2);
    has(&none.stderr, &["no sample of metric butter_konwn_hosts"]);
}

#[test]
fn the_same_file_and_seed_leave_the_same_bytes_however_many_run_at_once() {
    let desk = Desk::new();
    desk.write("other.yaml", &SMALL.replace("name: small", "name: other").replace("count: 4", "count: 6"));
    for (out, jobs) in [("a", "1"), ("b", "2")] {
        let arguments =
            ["run", "small.yaml", "other.yaml", "small.yaml", "--backend", "sim", "--out", out, "--jobs", jobs];
        desk.harness(&arguments).exits(0);
    }
    for run in ["small-3", "other-3", "small-3-2"] {
        for file in ["result.json", "events.jsonl", "samples.csv.gz"] {
            let read = |out: &str| fs::read(desk.path(out).join(run).join(file)).unwrap();
            assert!(read("a") == read("b"), "{run}/{file} differs");
        }
    }
    let events = |run: &str| fs::read(desk.path("a").join(run).join("events.jsonl")).unwrap();
    assert!(events("small-3") == events("small-3-2"));
    assert!(events("small-3") != events("other-3"));
}

#[test]
fn another_seed_is_another_run() {
    let desk = Desk::new();
    desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", "a"]).exits(0);
    desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", "b", "--seed", "4"]).exits(0);
    let events = |out: &str| fs::read(desk.path(out).join("events.jsonl")).unwrap();
    assert!(events("a") != events("b"));
    assert_eq!(json(&desk.path("b/result.json"))["seed"], 4);
}

#[test]
fn a_check_that_does_not_hold_exits_1_and_says_so() {
    let desk = Desk::new();
    desk.write("bad.yaml", &SMALL.replace("persistence == 100%", "persistence < 50%"));
    let ran = desk.harness(&["run", "bad.yaml", "--backend", "sim", "--out", "out", "--junit", "junit.xml"]).exits(1);
    has(&ran.stdout, &["FAILED", "2 of 3 checks passed", "persistence < 50%", "NO"]);
    assert_eq!(json(&desk.path("out/result.json"))["verdict"], "failed");
    let junit = fs::read_to_string(desk.path("junit.xml")).unwrap();
    has(&junit, &["failures=\"1\"", "check: persistence &lt; 50%", "step 1: join"]);
}

#[test]
fn nodes_that_cannot_meet_fail_the_run() {
    let desk = Desk::new();
    // They do not look for each other, and know no ambassador.
    let alone = SMALL.replace("heartbeat: 500ms", "discover: \"false\"").replace("within: 30s", "within: 2s");
    desk.write("alone.yaml", &alone);
    let ran = desk.harness(&["run", "alone.yaml", "--backend", "sim", "--out", "out"]).exits(1);
    has(&ran.stdout, &["error: step 1 (join", "groups that do not know each other after 2s"]);
}

#[test]
fn json_is_the_result_and_nothing_else() {
    let desk = Desk::new();
    let ran = desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", "out", "--json"]).exits(0);
    assert_eq!(ran.stdout, fs::read_to_string(desk.path("out/result.json")).unwrap());
}

#[test]
fn a_wrong_command_line_exits_2_and_creates_nothing() {
    let desk = Desk::new();
    has(&desk.harness(&["run"]).exits(2).stderr, &["FILE"]);
    has(&desk.harness(&["run", "small.yaml", "--backend", "dokcer"]).exits(2).stderr, &["docker"]);
    has(&desk.harness(&["run", "small.yaml", "--set", "die"]).exits(2).stderr, &["KEY=VALUE"]);
    let both = ["run", "small.yaml", "--metrics", "127.0.0.1:0", "--jobs", "2"];
    has(&desk.harness(&both).exits(2).stderr, &["--jobs"]);
    has(&desk.harness(&["run", "none.yaml", "--backend", "sim"]).exits(2).stderr, &["none.yaml"]);
    assert_eq!(desk.files(), ["small.yaml"]);
}

#[test]
fn a_wrong_file_exits_2_before_any_other_is_run() {
    let desk = Desk::new();
    desk.write("bad.yaml", &SMALL.replace("count: 4", "cuont: 4").replace("heartbeat: 500ms", "heartbeat: 500"));
    let ran = desk.harness(&["run", "small.yaml", "bad.yaml", "--backend", "sim"]).exits(2);
    has(&ran.stderr, &["bad.yaml:6", "cuont", "bad.yaml:7", "2 problems"]);
    assert_eq!(desk.files(), ["bad.yaml", "small.yaml"]);
}

#[test]
fn a_record_is_never_overwritten() {
    let desk = Desk::new();
    fs::create_dir(desk.path("out")).unwrap();
    desk.write("out/mine.txt", "keep");
    let ran = desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", "out"]).exits(2);
    has(&ran.stderr, &["out is not empty"]);
}

#[test]
fn docker_without_an_engine_exits_3_with_a_remedy() {
    let desk = Desk::new();
    let ran = desk.harness(&["run", "small.yaml", "--backend", "docker"]).exits(3);
    has(&ran.stderr, &["/nonexistent/docker.sock", "remedy: "]);
    assert_eq!(desk.files(), ["small.yaml"]);
}

#[test]
fn auto_takes_the_simulator_where_nothing_else_can_be_had_and_says_why() {
    let desk = Desk::new();
    let mut command = desk.command(&["run", "small.yaml", "--out", "out"]);
    let ran = Ran::from(command.env("BUTTER_NODE_BINARY", "/nonexistent/node").output().unwrap()).exits(0);
    let line = ran.stderr.lines().find(|line| line.starts_with("backend: sim")).unwrap_or_default();
    has(line, &["docker is not usable", "/nonexistent/docker.sock", "cannot read the program /nonexistent/node"]);
}

#[test]
fn metrics_that_cannot_be_served_exit_3() {
    let desk = Desk::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = desk.harness(&["run", "small.yaml", "--backend", "sim", "--metrics", &address]).exits(3);
    has(&ran.stderr, &["cannot serve metrics on", &address]);
}
