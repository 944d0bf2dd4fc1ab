//! `report.html`, as a user has it: made by every run, whole, safe with any name, short however long the run, and the same each time.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

#[path = "support/cli_desk.rs"]
mod cli_desk;
#[path = "support/long_record.rs"]
mod long_record;
#[path = "support/page.rs"]
mod page;

use cli_desk::{Desk, SMALL, has};
use long_record::long_record;
use page::{expect_well_formed, island};

/// Longest page, in bytes.
const BYTES_MAX: usize = 5 << 20;
/// A name that would be markup, if a page took it as such.
const HOSTILE: &str = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)> & \"'";

/// The page of the record in this folder, which must be well-formed.
#[track_caller]
fn page_in(directory: &Path) -> String {
    let page = fs::read_to_string(directory.join("report.html")).unwrap();
    expect_well_formed(&page);
    page
}

fn result_of(directory: &Path) -> Value {
    cli_desk::json(&directory.join("result.json"))
}

/// The page without the line that depends on machine and wall clock.
fn without_circumstances(page: &str) -> String {
    let is_equal = |line: &&str| !line.starts_with("<script type=\"application/json\" id=\"circumstances\">");
    let lines: Vec<&str> = page.lines().filter(is_equal).collect();
    assert_eq!(lines.len() + 1, page.lines().count(), "one line depends on machine and time");
    lines.join("\n")
}

#[test]
fn a_run_leaves_a_page_that_agrees_with_its_result() {
    let desk = Desk::new();
    let ran = desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", "out"]).exits(0);
    has(&ran.stderr, &["report: out/report.html"]);
    let page = page_in(&desk.path("out"));
    has(&page, &["<title>small: passed</title>", "small on sim, seed 3: passed."]);
    let data = island(&page, "data");
    assert_eq!(data["result"], result_of(&desk.path("out")));
    assert_eq!((&data["notes"], &data["cuts"]), (&json!([]), &json!([])), "nothing is missing");
    let sections = &data["sections"];
    assert_eq!(sections["queries"]["points"]["of"], 6);
    assert_eq!(sections["topology"]["networks"]["rows"][0]["groups"]["rows"][0]["names"]["of"], 4);
    assert_eq!(sections["lanes"]["lanes"]["of"], 5, "four nodes and a fresh one");
    assert!(sections["traffic"]["messages"].as_f64().unwrap() > 0.0);
    assert!(sections["spread"]["nodes"]["of"].as_u64().unwrap() >= 4);
    let snapshots = sections["items"]["snapshots"]["rows"].as_array().unwrap();
    assert_eq!(snapshots.last().unwrap()["persistent"], 3);
    // No node ended: there is no overhead, and no table of it.
    assert_eq!((&data["result"]["repair"]["overhead"], ran.stdout.contains("repair overhead")), (&Value::Null, false));
    let circumstances = island(&page, "circumstances");
    assert_eq!(circumstances["command"], "harness run small.yaml --backend sim --seed 3");
    assert!(circumstances["run"]["machine"]["kernel"].is_string());
}

#[test]
fn the_same_seed_gives_the_same_page_but_for_one_line() {
    let desk = Desk::new();
    let page = |out: &str, seed: &str| {
        desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", out, "--seed", seed]).exits(0);
        without_circumstances(&page_in(&desk.path(out)))
    };
    let (one, again, other) = (page("a", "3"), page("b", "3"), page("c", "4"));
    assert!(one == again);
    assert!(one != other);
    // Made again from the record, it is the same to the last byte.
    let made = fs::read(desk.path("a/report.html")).unwrap();
    fs::remove_file(desk.path("a/report.html")).unwrap();
    has(&desk.harness(&["report", "a"]).exits(0).stderr, &["report: a/report.html"]);
    assert!(fs::read(desk.path("a/report.html")).unwrap() == made);
}

#[test]
fn a_failed_run_has_the_story_of_each_failure() {
    let desk = Desk::new();
    let steps = "  - kill: {nodes: [n]}\n  - settle: {for: 2s}\n  - retrieve: {items: all, from: fresh}\n";
    desk.write("lost.yaml", &SMALL.replace("  - retrieve: {items: all, from: [lan, fresh]}\n", steps));
    desk.harness(&["run", "lost.yaml", "--backend", "sim", "--out", "out"]).exits(1);
    let page = page_in(&desk.path("out"));
    has(&page, &["<title>small: failed</title>"]);
    let data = island(&page, "data");
    let lists = data["sections"]["stories"]["lists"].as_array().unwrap();
    let lost = lists.iter().find(|list| list["title"] == "lost items").unwrap();
    assert_eq!((&lost["of"], &lost["cases"][0]["subject"]), (&json!(3), &json!("item 0")));
    let explained = desk.harness(&["explain", "out", "item", "0"]).exits(0).stdout;
    assert_eq!(lost["cases"][0]["story"], json!(explained));
    let moments = data["sections"]["timeline"]["moments"]["rows"].as_array().unwrap();
    let kill = moments.iter().find(|moment| moment["kind"] == "kill").unwrap();
    assert_eq!(kill["count"], 4);
    let lanes = data["sections"]["lanes"]["lanes"]["rows"].as_array().unwrap();
    assert!(lanes.iter().filter(|lane| lane["lives"][0]["end"] == "killed").count() == 4, "{lanes:?}");
}

#[test]
fn moves_are_moments_and_repair_has_its_overhead() {
    let desk = Desk::new();
    desk.write_moves();
    let ran = desk.harness(&["run", "moves.yaml", "--backend", "sim", "--out", "out"]).exits(0);
    has(&ran.stdout, &["repair overhead", "mean lifetime"]);
    let data = island(&page_in(&desk.path("out")), "data");
    let moments = data["sections"]["timeline"]["moments"]["rows"].as_array().unwrap();
    let moved = moments.iter().find(|moment| moment["kind"] == "move").unwrap();
    assert_eq!((&moved["label"], &moved["count"]), (&json!("n-2 to cafe"), &json!(1)));
    let repair = &result_of(&desk.path("out"))["repair"];
    assert_eq!(repair["node_ends"], 1);
    let overhead = repair["overhead"].as_f64().unwrap();
    assert!(overhead > 0.0 && overhead < 10.0, "{repair}");
}

#[test]
fn a_run_that_was_not_played_has_a_page_too() {
    let desk = Desk::new();
    let run = ["run", "small.yaml", "--backend", "sim", "--out", "out", "--time-limit", "1us"];
    has(&desk.harness(&run).exits(3).stderr, &["report: out/report.html"]);
    let data = island(&page_in(&desk.path("out")), "data");
    assert_eq!(data["result"], result_of(&desk.path("out")));
    assert_ne!(data["result"]["verdict"], "passed");
}

#[test]
fn a_record_with_missing_and_damaged_files_has_a_page_that_says_so() {
    let desk = Desk::new();
    desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", "out"]).exits(0);
    for file in ["plan.json", "samples.csv.gz", "run.json", "timing.json"] {
        fs::remove_file(desk.path("out").join(file)).unwrap();
    }
    fs::write(desk.path("out/events.jsonl"), "{\"at_us\":1,\"event\":\"inspected\",\"live\":1}\nnot json\n").unwrap();
    desk.harness(&["report", "out"]).exits(0);
    let data = island(&page_in(&desk.path("out")), "data");
    let notes = data["notes"].to_string();
    has(&notes, &["plan.json", "samples.csv.gz", "run.json", "timing.json", "events.jsonl", "line 2"]);
    assert_eq!(data["result"], result_of(&desk.path("out")));
}

#[test]
fn a_directory_without_a_result_is_an_error_and_nothing_is_written() {
    let desk = Desk::new();
    fs::create_dir(desk.path("empty")).unwrap();
    has(&desk.harness(&["report", "empty"]).exits(2).stderr, &["empty holds no record of a run"]);
    has(&desk.harness(&["report", "none"]).exits(2).stderr, &["none"]);
    assert_eq!(fs::read_dir(desk.path("empty")).unwrap().count(), 0);
}

#[test]
fn no_name_is_taken_as_markup() {
    let desk = Desk::new();
    desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", "out"]).exits(0);
    // Topology files refuse such names. A record may come from anywhere.
    for file in ["result.json", "plan.json", "events.jsonl", "run.json"] {
        let text = fs::read_to_string(desk.path("out").join(file)).unwrap();
        let quoted = json!(HOSTILE).to_string();
        let text = text.replace("\"small\"", &quoted).replace("\"n-1\"", &quoted).replace("\"lan\"", &quoted);
        fs::write(desk.path("out").join(file), text).unwrap();
    }
    desk.harness(&["report", "out"]).exits(0);
    let page = page_in(&desk.path("out"));
    assert!(!page.contains("<script>alert") && !page.contains("<img"), "a name has become markup");
    let data = island(&page, "data");
    assert_eq!(data["result"]["name"], HOSTILE);
    assert!(data["sections"]["lanes"]["lanes"]["rows"].to_string().contains("alert(1)"));
    has(&page, &["<title>&lt;/script&gt;&lt;script&gt;alert(1)"]);
}

#[test]
fn runs_of_several_seeds_have_a_page_together() {
    let desk = Desk::new();
    desk.write("sweep.yaml", &SMALL.replace("steps:", "runs: 3\nsweep: {replicas: [1, 2]}\nsteps:"));
    let ran = desk.harness(&["run", "sweep.yaml", "--backend", "sim", "--out", "set"]).exits(0);
    has(&ran.stderr, &["report: set/report.html"]);
    let made = fs::read(desk.path("set/report.html")).unwrap();
    let page = page_in(&desk.path("set"));
    let set = &island(&page, "data")["set"][0];
    assert_eq!(set["varied"], json!([{"name": "replicas", "values": ["1", "2"]}]));
    assert_eq!((&set["runs"]["of"], &set["cells"]["rows"]), (&json!(6), &json!([[0], [1]])));
    let measures = set["measures"]["rows"].as_array().unwrap();
    let copies = measures.iter().find(|measure| measure["name"] == "copies").unwrap();
    assert_eq!((&copies["cells"][1]["runs"], &copies["cells"][1]["mean"]), (&json!(3), &json!(2.0)));
    assert!(copies["cells"][1]["interval"].is_array() && copies["cells"][1]["points"].as_array().unwrap().len() == 3);
    let run = set["runs"]["rows"][0]["page"].as_str().unwrap();
    assert!(desk.path("set").join(run).exists(), "{run}");
    desk.harness(&["report", "set"]).exits(0);
    assert!(fs::read(desk.path("set/report.html")).unwrap() == made);
    fs::remove_file(desk.path("set").join(run).with_file_name("run.json")).unwrap();
    let both = desk.harness(&["report", "set", "--out", "both.html"]).exits(0);
    has(&both.stderr, &["report: both.html"]);
    let both = fs::read_to_string(desk.path("both.html")).unwrap();
    expect_well_formed(&both);
    has(&island(&both, "data")["notes"].to_string(), &["its values are not known"]);
}

#[test]
fn a_page_of_ten_hours_is_short_and_says_what_it_leaves_out() {
    let desk = Desk::new();
    long_record(&desk);
    desk.harness(&["report", "long"]).exits(0);
    let page = page_in(&desk.path("long"));
    assert!(page.len() < BYTES_MAX, "{} bytes", page.len());
    let data = island(&page, "data");
    let sections = &data["sections"];
    for (list, of) in [
        (&sections["items"]["snapshots"], 36_000),
        (&sections["queries"]["points"], 36_000),
        (&sections["lanes"]["lanes"], 2_000),
    ] {
        let rows = list["rows"].as_array().unwrap().len();
        assert_eq!(list["of"], of);
        assert!(rows > 100 && rows < of / 4, "{rows} of {of}");
    }
    assert_eq!(data["cuts"][0]["list"], "queries.by_pair");
    assert_eq!(data["cuts"][0]["of"], 20_000);
    assert_eq!(data["notes"], json!([]));
}
