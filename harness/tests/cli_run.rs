//! `harness run`, as a user has it: exit statuses, messages, the record that it leaves, and the same record each time.

use std::fs;
use std::path::PathBuf;

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
        "report.html",
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
    let none = desk.harness(&["samples", record.to_str().unwrap(), "--metric", "butter_no_such_hosts"]).exits(2);
    has(&none.stderr, &["no sample of metric butter_no_such_hosts"]);
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

#[test]
fn seeds_are_played_once_each_and_shown_in_one_table() {
    let desk = Desk::new();
    let many = ["run", "small.yaml", "--backend", "sim", "--seeds", "1..4", "--out", "many", "--jobs", "2"];
    let ran = desk.harness(&many).exits(0);
    has(&ran.stdout, &["small on sim, 4 runs: 4 passed", "95 % interval", "retrieval messages"]);
    let result = |seed: u64| desk.path(&format!("many/small-{seed}/result.json"));
    let first = fs::read(result(1)).unwrap();

    // What was cut off is played again, and nothing else.
    fs::remove_file(result(3)).unwrap();
    let again = desk.harness(&[&many[..], &["--junit", "ci.xml"]].concat()).exits(0);
    has(&again.stderr, &["3 of 4 runs were played before", "seed 3: PASSED"]);
    // The report has all of them: four steps, three checks and the end of each.
    let junit = fs::read_to_string(desk.path("ci.xml")).unwrap();
    has(&junit, &["tests=\"32\" failures=\"0\" errors=\"0\"", "small on sim, seed 1", "seed 4\""]);
    assert!(!junit.contains("1970-01-01"), "{junit}");
    assert!(!again.stderr.contains("seed 1: PASSED") && again.stdout == ran.stdout, "{}", again.stderr);
    assert_eq!(fs::read(result(1)).unwrap(), first);

    let other = ["run", "small.yaml", "--backend", "sim", "--seeds", "4", "--out", "many", "--set", "heartbeat=1s"];
    has(&desk.harness(&other).exits(2).stderr, &["small-4 holds a run of another topology"]);
    has(&desk.harness(&["run", "small.yaml", "--seeds", "4..1"]).exits(2).stderr, &["expected seeds such as 1..20"]);
}

#[test]
fn sets_of_like_runs_agree_and_those_of_unlike_settings_do_not() {
    let desk = Desk::new();
    let play = |out: &str, seeds: &str, heartbeat: &str| {
        let set = format!("heartbeat={heartbeat}");
        let run = ["run", "small.yaml", "--backend", "sim", "--seeds", seeds, "--out", out, "--set", &set];
        desk.harness(&run).exits(0);
    };
    play("one", "1..4", "500ms");
    play("other", "5..8", "500ms");
    let alike = desk.harness(&["compare", "one", "other"]).exits(0);
    has(&alike.stdout, &["A: small on sim, 4 runs (seeds 1 to 4): 4 passed", "0 differ", "tested over runs"]);
    let single = desk.harness(&["compare", "one/small-1", "other/small-5"]).exits(4);
    has(&single.stdout, &["too few runs", "0 agree, 0 differ"]);
    let divided = ["compare", "one/small-1", "one/small-2", "one/small-3", "one/small-4", "--", "other"];
    assert_eq!(desk.harness(&divided).exits(0).stdout, alike.stdout);
    has(&desk.harness(&["compare", "one"]).exits(2).stderr, &["two sets are compared"]);
}

#[test]
fn a_run_without_checks_is_inconclusive() {
    let desk = Desk::new();
    desk.write("open.yaml", SMALL.split("checks:").next().unwrap());
    let ran = desk.harness(&["run", "open.yaml", "--backend", "sim", "--out", "o"]).exits(4);
    has(&ran.stdout, &["INCONCLUSIVE", "the topology has no checks"]);
    assert_eq!(json(&desk.path("o/result.json"))["verdict"], "inconclusive");
}

#[test]
fn a_sweep_is_played_for_every_combination_and_each_run_replays() {
    let desk = Desk::new();
    let swept = format!("{SMALL}vars: {{items: 3}}\nsweep: {{items: [2, 4], heartbeat: [500ms]}}\nruns: 2\n");
    desk.write("swept.yaml", &swept.replace("items: 3, size", "items: \"${items}\", size"));
    let ran = desk.harness(&["run", "swept.yaml", "--backend", "sim", "--out", "s", "--jobs", "2"]).exits(0);
    has(&ran.stdout, &["small on sim, 4 runs: 4 passed", "items=2, heartbeat=500ms", "items=4, heartbeat=500ms"]);
    let mut records: Vec<_> = fs::read_dir(desk.path("s")).unwrap().map(|entry| entry.unwrap().path()).collect();
    // Beside them is the page of them all.
    records.retain(|path| path.is_dir());
    records.sort();
    let planned = |record: &PathBuf| json(&record.join("result.json"))["items"]["planned"].as_u64().unwrap();
    let mut planned: Vec<u64> = records.iter().map(planned).collect();
    planned.sort_unstable();
    assert_eq!(planned, [2, 2, 4, 4]);
    desk.harness(&["run", records[0].to_str().unwrap(), "--out", "again"]).exits(0);
    let results = [records[0].join("result.json"), desk.path("again/result.json")].map(|path| fs::read(path).unwrap());
    assert!(results[0] == results[1], "the record replays as it was");
    desk.write("wrong.yaml", &format!("{SMALL}sweep: {{lives: [1, 2]}}\n"));
    has(&desk.harness(&["run", "wrong.yaml", "--backend", "sim"]).exits(2).stderr, &["lives"]);
}

#[test]
fn a_sweep_with_seeds_has_one_directory_and_goes_on_from_it() {
    let desk = Desk::new();
    desk.write("sweep.yaml", &SMALL.replace("steps:", "sweep: {replicas: [1, 2]}\nsteps:"));
    let run = ["run", "sweep.yaml", "--backend", "sim", "--seeds", "1..2", "--out", "set"];
    desk.harness(&run).exits(0);
    has(&desk.harness(&run).exits(0).stderr, &["4 of 4 runs were played before"]);
    // As a call leaves it that was ended before this run began.
    std::fs::remove_dir_all(desk.path("set/small-2")).unwrap();
    std::fs::create_dir(desk.path("set/small-2")).unwrap();
    has(&desk.harness(&run).exits(0).stderr, &["3 of 4 runs were played before"]);
}
