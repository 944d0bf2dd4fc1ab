//! The JSON Schema of topology files, by a validator of others: it takes all that the reader takes, and refuses what a schema can.

use std::path::{Path, PathBuf};
use std::process::Command;

use butter_harness::planner;
use butter_harness::topology::Overrides;
use serde_json::Value;

fn harness_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let folder = harness_folder().join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

/// What the schema says about texts of YAML.
struct Judge {
    schemas: boon::Schemas,
    index: boon::SchemaIndex,
}

impl Judge {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
        compiler.add_resource("topology.json", planner::schema()).unwrap();
        let index = compiler.compile("topology.json", &mut schemas).unwrap();
        Judge { schemas, index }
    }

    /// # Errors
    /// With what is wrong; also with a text that is not YAML, which no validator gets to see.
    fn judge(&self, text: &str) -> Result<(), String> {
        let mut read: serde_norway::Value = serde_norway::from_str(text).map_err(|error| error.to_string())?;
        read.apply_merge().map_err(|error| error.to_string())?;
        let value: Value = serde_json::to_value(read).map_err(|error| error.to_string())?;
        self.schemas.validate(&value, self.index).map_err(|error| format!("{error:#}"))
    }

    fn judge_file(&self, file: &Path) -> Result<(), String> {
        self.judge(&std::fs::read_to_string(file).unwrap())
    }
}

#[test]
fn every_valid_topology_is_valid_by_the_schema() {
    let judge = Judge::new();
    let folders =
        ["../topologies", "../topologies/agreement", "../topologies/published", "../topologies/ci", "tests/explored"];
    let files: Vec<PathBuf> = folders.iter().flat_map(|folder| yaml_files(folder)).collect();
    assert!(files.len() >= 30, "{files:?}");
    for file in files {
        planner::load(&file, &Overrides::default()).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
        judge.judge_file(&file).unwrap_or_else(|wrong| panic!("{}: {wrong}", file.display()));
    }
}

/// Names that the file itself gives are unknown to a schema.
const NAMES: &str = "a schema does not follow names";
/// What a step or check needs from those before it.
const ORDER: &str = "a schema does not play steps";
/// Arithmetic of addresses.
const SUBNETS: &str = "a schema does not count addresses";
/// Sums and conditions over several entries.
const WHOLE: &str = "a schema does not compare entries with each other";

/// Golden broken files that a schema takes, and why it must.
const TAKEN: &[(&str, &str)] = &[
    ("behind_nothing_known", NAMES),
    ("circle", NAMES),
    ("connect_never_measured", ORDER),
    ("connect_nobody", ORDER),
    ("ended_by_two_steps", ORDER),
    ("graph", ORDER),
    ("graph_combinations", WHOLE),
    ("heal_without_a_partition", NAMES),
    ("load_of_nothing", ORDER),
    ("move_to_nowhere", NAMES),
    ("move_within", ORDER),
    ("move_without_room", SUBNETS),
    ("nested_too_deep", NAMES),
    ("never_measured", ORDER),
    ("never_meet", WHOLE),
    ("no_room_left", SUBNETS),
    ("nobody_left", ORDER),
    ("node_on_two_sides", NAMES),
    ("nothing_to_ask_for", ORDER),
    ("repeated_too_often", WHOLE),
    ("search_without_keywords", ORDER),
    ("subnet_too_small", SUBNETS),
    ("subnets_overlap", SUBNETS),
    ("too_few_items", ORDER),
    ("too_many_networks", WHOLE),
    ("two_internets", WHOLE),
    ("unknown_network", NAMES),
];

#[test]
fn broken_files_are_refused_where_a_schema_can_know() {
    let judge = Judge::new();
    let files = yaml_files("tests/topology_errors");
    let name = |file: &PathBuf| file.file_stem().unwrap().to_string_lossy().into_owned();
    let taken: Vec<String> = files.iter().filter(|file| judge.judge_file(file).is_ok()).map(name).collect();
    let expected: Vec<&str> = TAKEN.iter().map(|(name, _)| *name).collect();
    assert_eq!(taken, expected);
}

#[test]
fn what_the_reader_takes_beside_the_usual_is_valid() {
    let judge = Judge::new();
    let file = |rest: &str| format!("networks: {{i: {{}}, lan: {{behind: i, nat: cgnat}}}}\n{rest}");
    let nodes = "nodes: {n: {on: lan, count: 3}}\n";
    let valid = [
        "nodes: {n: {on: lan, count: '${many}'}}\nvars: {many: 3}\nsteps: [settle: {for: 1s}]\n",
        "x-common: &c {on: lan}\nnodes: {n: {<<: *c, count: 3}}\nsteps: [{settle: {for: 0}}]\nchecks:\n",
        &format!(
            "{nodes}steps: [store: {{items: 3}}, partition: [n-1, rest], heal, rebind: lan, check: stored >= 1%]\n"
        ),
        "nodes: {n: {on: lan, count: 9, behaviour: drop + boast, store: disk}}\nsteps: [store: {items: 3, from: n}]\n",
    ];
    for rest in valid {
        let text = file(rest);
        planner::read("x.yaml", &text, &Overrides::default()).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
        judge.judge(&text).unwrap_or_else(|wrong| panic!("{wrong} in:\n{text}"));
    }
    let invalid = [
        "nodes: {n: {on: lan, cuont: 3}}\nsteps: [settle: {for: 1s}]\n",
        "nodes: {n: {on: lan}}\nsteps: [settle: {for: 10}]\n",
        "nodes: {n: {on: lan}}\nsteps: [setle: {for: 1s}]\n",
        "nodes: {n: {on: lan}}\nsteps: [join]\n",
        "nodes: {n: {on: lan, store: tape}}\nsteps: [settle: {for: 1s}]\n",
    ];
    for rest in invalid {
        let text = file(rest);
        assert!(planner::read("x.yaml", &text, &Overrides::default()).is_err(), "{text}");
        assert!(judge.judge(&text).is_err(), "{text}");
    }
}

/// `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn the_shipped_schema_is_what_the_program_prints() {
    let output = Command::new(env!("CARGO_BIN_EXE_harness")).arg("schema").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let file = harness_folder().join("../topologies/schema.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &output.stdout).unwrap();
    }
    assert!(std::fs::read(&file).unwrap() == output.stdout, "UPDATE_GOLDEN=1 writes topologies/schema.json anew");
}

#[test]
fn shipped_topologies_name_the_schema_in_their_first_line() {
    for (folder, schema) in [
        ("../topologies", "schema.json"),
        ("../topologies/agreement", "../schema.json"),
        ("../topologies/published", "../schema.json"),
    ] {
        for file in yaml_files(folder) {
            let text = std::fs::read_to_string(&file).unwrap();
            let line = format!("# yaml-language-server: $schema={schema}");
            assert_eq!(text.lines().next(), Some(line.as_str()), "{}", file.display());
            assert!(file.parent().unwrap().join(schema).exists(), "{schema}");
        }
    }
}
