//! What CI systems read after `harness run`: the JUnit report and the summary in Markdown, of every sort of end.

use std::collections::BTreeMap;
use std::fs;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

#[path = "support/cli_desk.rs"]
mod cli_desk;

use cli_desk::{Desk, SMALL, has};

/// An element as the schema of Jenkins' xUnit plugin (`junit-10.xsd`) has it, which other readers follow too: its attributes, those
/// of them that are required, and its children.
type Element = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

const ELEMENTS: [Element; 10] = [
    ("testsuites", &["name", "time", "tests", "failures", "errors"], &[], &["testsuite"]),
    (
        "testsuite",
        &["name", "tests", "failures", "errors", "time", "skipped", "timestamp", "hostname", "id", "package", "file"],
        &["name", "tests", "failures", "errors"],
        &["testsuite", "properties", "testcase", "system-out", "system-err"],
    ),
    (
        "testcase",
        &["name", "time", "classname", "group"],
        &["name"],
        &["skipped", "error", "failure", "system-out", "system-err"],
    ),
    ("failure", &["type", "message"], &[], &[]),
    ("error", &["type", "message"], &[], &[]),
    ("skipped", &["type", "message"], &[], &[]),
    ("properties", &[], &[], &["property"]),
    ("property", &["name", "value"], &["name", "value"], &[]),
    ("system-out", &[], &[], &[]),
    ("system-err", &[], &[], &[]),
];

/// What is wrong with a report by the schema, and by the sums that its attributes state.
fn faults(xml: &str) -> Vec<String> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().expand_empty_elements = true;
    let (mut found, mut open): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let (mut stated, mut counted): (BTreeMap<String, i64>, BTreeMap<String, i64>) = Default::default();
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                let name = String::from_utf8_lossy(start.name().as_ref()).into_owned();
                element(&name, &attributes(&start), open.last().map(String::as_str), &mut found);
                if name == "testsuites" {
                    for (key, value) in attributes(&start) {
                        if let Ok(value) = value.parse() {
                            stated.insert(key, value);
                        }
                    }
                }
                let sum = [("testcase", "tests"), ("failure", "failures"), ("error", "errors")];
                for (_, sum) in sum.into_iter().filter(|(of, _)| *of == name) {
                    *counted.entry(sum.to_owned()).or_default() += 1;
                }
                open.push(name);
            }
            Ok(Event::End(_)) => drop(open.pop()),
            Ok(Event::Eof) => break,
            Ok(_) => {}
            Err(error) => return vec![format!("it is not XML: {error}")],
        }
    }
    for sum in ["tests", "failures", "errors"] {
        let (stated, counted) = (stated.get(sum).copied(), counted.get(sum).copied().unwrap_or_default());
        if stated != Some(counted) {
            found.push(format!("`{sum}` is {stated:?}, and there are {counted}"));
        }
    }
    found
}

fn attributes(start: &BytesStart<'_>) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    start.attributes().map(|attribute| attribute.unwrap()).map(|a| (text(a.key.as_ref()), text(&a.value))).collect()
}

fn element(name: &str, attributes: &BTreeMap<String, String>, parent: Option<&str>, found: &mut Vec<String>) {
    let Some((_, allowed, required, _)) = ELEMENTS.iter().find(|(known, ..)| *known == name) else {
        found.push(format!("unknown element {name}"));
        return;
    };
    if let Some(parent) = parent
        && !ELEMENTS.iter().any(|(known, _, _, children)| *known == parent && children.contains(&name))
    {
        found.push(format!("{name} stands in {parent}"));
    }
    found.extend(
        attributes.keys().filter(|key| !allowed.contains(&key.as_str())).map(|key| format!("{name} has {key}")),
    );
    found
        .extend(required.iter().filter(|key| !attributes.contains_key(**key)).map(|key| format!("{name} lacks {key}")));
}

#[test]
fn reports_of_every_end_follow_the_schema() {
    let desk = Desk::new();
    desk.write(
        "bad.yaml",
        &SMALL.replace("persistence == 100%", "persistence < 50%").replace("name: small", "name: bad"),
    );
    desk.write("wrong.yaml", &SMALL.replace("networks:", "netwroks:"));
    desk.write(
        "bare.yaml",
        &SMALL
            .replace("stored == 100%", "metric max(butter_known_hosts) <= 64")
            .replace("checks:", "checks: []\nx-was:"),
    );
    let ends: [(&[&str], i32, &str); 5] = [
        (&["small.yaml", "--backend", "sim"], 0, "<property name=\"verdict\" value=\"passed\"/>"),
        (
            &["small.yaml", "bad.yaml", "--backend", "sim"],
            1,
            "type=\"check\">persistence &lt; 50%\nline 15: measured 100 %",
        ),
        (&["wrong.yaml", "--backend", "sim"], 2, "netwroks"),
        (&["small.yaml", "--backend", "docker"], 3, "type=\"environment\""),
        (&["bare.yaml", "--backend", "sim"], 4, "<skipped message=\"the topology has no checks"),
    ];
    for (arguments, status, part) in ends {
        desk.harness(&[&["run"], arguments, &["--junit", "ci.xml"]].concat()).exits(status);
        let xml = fs::read_to_string(desk.path("ci.xml")).unwrap();
        has(&xml, &[part]);
        assert_eq!(faults(&xml), Vec::<String>::new(), "{xml}");
    }
}

/// Items die with their only holders, so there is a story to tell.
#[test]
fn failed_check_tells_the_story_of_an_item() {
    let desk = Desk::new();
    let dying = SMALL
        .replace("settle: {for: 2s}", "kill: {nodes: n-1, count: 1}")
        .replace("retrieve: {items: all, from: [lan, fresh]}", "settle: {for: 1s}");
    let dying = dying
        .replace("config: {heartbeat: 500ms}", "config: {heartbeat: 500ms, replicas: 1}")
        .replace("  - retrieval == 100%\n", "");
    desk.write("dying.yaml", &dying);
    desk.harness(&[
        "run",
        "dying.yaml",
        "--backend",
        "sim",
        "--out",
        "out",
        "--junit",
        "ci.xml",
        "--summary-md",
        "s.md",
    ])
    .exits(1);
    let xml = fs::read_to_string(desk.path("ci.xml")).unwrap();
    has(&xml, &["measured 66.66 %, expected exactly 100 %", "was killed", "harness explain out", "value=\"out\""]);
    assert_eq!(faults(&xml), Vec::<String>::new());
    let summary = fs::read_to_string(desk.path("s.md")).unwrap();
    has(&summary, &["❌", "| `persistence == 100%` | exactly 100 % | 66.66 % |", "was killed", "(out/report.html)"]);
}

#[test]
fn summary_is_appended_and_the_variable_names_it_too() {
    let desk = Desk::new();
    desk.write("s.md", "# The job\n");
    desk.write("wrong.yaml", &SMALL.replace("networks:", "netwroks:"));
    desk.harness(&["run", "small.yaml", "--backend", "sim", "--out", "a", "--summary-md", "s.md"]).exits(0);
    let mut command = desk.command(&["run", "wrong.yaml", "--backend", "sim"]);
    assert_eq!(command.env("HARNESS_SUMMARY_MD", "s.md").output().unwrap().status.code(), Some(2));
    let summary = fs::read_to_string(desk.path("s.md")).unwrap();
    assert!(summary.starts_with("# The job\n### ✅ small on sim, seed 3: passed\n"), "{summary}");
    has(&summary, &["### ⚠️ wrong.yaml: not begun", "netwroks"]);
    let ran = desk.harness(&["run", "small.yaml", "--backend", "sim", "--summary-md", "no/dir/s.md"]).exits(3);
    has(&ran.stderr, &["cannot write the summary no/dir/s.md"]);
}

#[test]
fn the_checks_themselves_can_fail() {
    let wrong = "<testsuites tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"0\"><testcase/><other/></testsuites>";
    let faults = faults(wrong);
    for fault in
        ["testsuites has skipped", "testcase stands in testsuites", "testcase lacks name", "unknown element other"]
    {
        assert!(faults.iter().any(|found| found == fault), "{fault}: {faults:?}");
    }
}
