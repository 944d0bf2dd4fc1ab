//! A topology file becomes a plan: everything is decided here, before anything is created.
//!
//! Each stage reports all the faults that it finds: *read* (keys and values), *check* (names, and what the parts make
//! together), *assemble* (addresses, nodes, the timeline of operations).
//!
//! | module | subject |
//! | --- | --- |
//! | `assemble` | networks, nodes and steps of the plan |
//! | `prescribe` | the prescribed graph of known hosts |
//! | `precondition` | whether the steps give each check something to measure |
//! | `describe` | a plan on one page |
//! | `schema` | the JSON Schema of topology files |

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::plan::{Plan, ResolvedInputs, TopologyFile};
use crate::steps;
use crate::steps::check::parse_checks;
use crate::steps::state::HeldNode;
use crate::topology::check::{Outline, StepDemands};
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Diagnostics};
use crate::topology::raw::RawTopology;
use crate::topology::{self, FILE_BYTES_MAX, Overrides, SEED_DEFAULT, internet, tree, vars};

mod assemble;
pub(crate) mod describe;
mod precondition;
mod prescribe;
mod schema;

pub use describe::describe;
pub use schema::schema;

/// Reads a topology file.
///
/// # Errors
/// With everything that is wrong with it, if anything is.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Plan, Diagnostics> {
    let name = path.display().to_string();
    match std::fs::File::open(path) {
        Ok(file) => load_from(&name, file, overrides),
        Err(error) => Err(unreadable(&name, &error.to_string())),
    }
}

/// Reads a topology from a stream. `name` stands for the file in messages, and names a topology that does not name itself.
///
/// # Errors
/// With everything that is wrong with it, if anything is.
pub fn load_from(name: &str, stream: impl std::io::Read, overrides: &Overrides) -> Result<Plan, Diagnostics> {
    match topology::text_of(stream) {
        Ok(text) => read(name, &text, overrides),
        Err(why) => Err(unreadable(name, &why)),
    }
}

fn unreadable(name: &str, why: &str) -> Diagnostics {
    let mut problems = DiagnosticSink::default();
    problems.add(Diagnostic::nowhere(format!("cannot read {name}: {why}")));
    problems.into_diagnostics(name, "")
}

/// Reads a topology from its text. `name` stands for the file in messages, and names a topology that does not name itself.
///
/// # Errors
/// With everything that is wrong with it, if anything is.
pub fn read(name: &str, text: &str, overrides: &Overrides) -> Result<Plan, Diagnostics> {
    let stem = Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    plan(name, &stem, text, overrides, &BTreeMap::new())
}

/// As [`read`], for a lab that has been up for a while: by now, the nodes of these names are so.
///
/// # Errors
/// With everything that is wrong with it, if anything is.
pub(crate) fn read_held(
    name: &str,
    text: &str,
    overrides: &Overrides,
    held: &BTreeMap<String, HeldNode>,
) -> Result<Plan, Diagnostics> {
    plan(name, "lab", text, overrides, held)
}

fn plan(
    origin: &str,
    stem: &str,
    text: &str,
    overrides: &Overrides,
    held: &BTreeMap<String, HeldNode>,
) -> Result<Plan, Diagnostics> {
    let mut problems = DiagnosticSink::default();
    // A byte order mark belongs to no line.
    let source = text.strip_prefix('\u{feff}').unwrap_or(text);
    let own_folder = Path::new(origin).parent().unwrap_or(Path::new(""));
    let folder = overrides.folder.as_deref().unwrap_or(own_folder);
    match planned(stem, (text, source), folder, overrides, held, &mut problems) {
        Some(plan) if problems.none() => Ok(plan),
        _ => Err(problems.into_diagnostics(origin, source)),
    }
}

/// The plan of a topology's text; `source` is the same without a byte order mark.
fn planned(
    stem: &str,
    (text, source): (&str, &str),
    folder: &Path,
    overrides: &Overrides,
    held: &BTreeMap<String, HeldNode>,
    problems: &mut DiagnosticSink,
) -> Option<Plan> {
    if text.len() as u64 > FILE_BYTES_MAX {
        problems.add(Diagnostic::nowhere(format!("a topology has at most {FILE_BYTES_MAX} bytes")));
        return None;
    }
    let mut root = tree::parse(source, problems)?;
    let vars::Substituted { settings, unused, variables } = vars::substitute(&mut root, overrides, problems);
    internet::expand(&mut root, problems);
    let mut raw = RawTopology::read(&root, problems);
    let settings = raw.override_config(settings);
    let (name, description, seed) = (raw.name.take(), std::mem::take(&mut raw.description), raw.seed);
    let inputs = ResolvedInputs { seed_in_file: seed.is_some(), variables, settings };
    let seed = overrides.seed.or(seed).unwrap_or(SEED_DEFAULT);
    let (sweep, graph) = (std::mem::take(&mut raw.sweep), raw.graph.clone());
    let fidelity = raw.fidelity.unwrap_or_default();
    let mut entries = steps::read(&raw.steps, source, problems);
    let outline = Outline::new(&raw, problems)?;
    let names = outline.names(&raw, source, folder);
    steps::validate(&mut entries, &names, problems);
    let checks = parse_checks(&raw.checks, &names, problems);
    let demands = StepDemands {
        fresh_steps: entries.iter().filter(|entry| entry.spec.wants_fresh_nodes()).count() as u64,
        readdressed: entries.iter().flat_map(|entry| entry.spec.readdressed()).collect(),
        arrivals: entries.iter().flat_map(|entry| entry.spec.arrivals()).collect(),
    };
    let model = outline.into_model(raw, (source, folder), &demands, problems)?;
    let assembled = assemble::assemble(&model, &entries, seed, held, problems)?;
    let graph = graph.and_then(|graph| prescribe::prescribe(&graph, folder, &assembled, &entries, seed, problems));
    precondition::check(&entries, &assembled, &checks, problems);
    let of_graph = graph.as_ref().and_then(|graph| graph.file.clone());
    let mut files: Vec<TopologyFile> =
        of_graph.into_iter().chain(entries.iter().flat_map(|entry| entry.spec.files())).collect();
    // A round of a `repeat` names them again.
    files.dedup();
    Some(Plan {
        name: name.unwrap_or_else(|| topology::name_from(stem)),
        description,
        seed,
        fidelity,
        topology_hash: topology_hash(text, overrides, &files),
        source: text.to_owned(),
        networks: assembled.networks,
        nodes: assembled.nodes,
        graph,
        files,
        items: assembled.items,
        steps: assembled.steps,
        sweep,
        inputs,
        notes: notes(unused, entries.iter().all(|entry| entry.spec.checks().is_empty()) && checks.is_empty()),
        checks: checks.into_iter().map(|check| check.value).collect(),
    })
}

/// SHA-256 of the text and of the values that `overrides` give to variables and settings. Without overrides it is that of the
/// file. Files that it names count too.
fn topology_hash(text: &str, overrides: &Overrides, files: &[TopologyFile]) -> String {
    // Sorted by name; of several values for one name the last counts.
    let set: BTreeMap<&str, &str> = overrides.set.iter().map(|(name, value)| (&**name, &**value)).collect();
    let mut hash = Sha256::new_with_prefix(text.as_bytes());
    for (name, value) in set {
        hash.update(format!("\0{name}={value}"));
    }
    for TopologyFile { name, text } in files {
        hash.update(format!("\0{name}\0{text}"));
    }
    hexadecimal(&hash.finalize())
}

/// What is valid and probably not meant.
fn notes(unused: Vec<String>, checks_nothing: bool) -> Vec<String> {
    let unused = unused.into_iter().map(|name| format!("the variable `{name}` is used nowhere"));
    let unchecked = "no check says what must hold: the run can fail, but not pass".to_owned();
    unused.chain(checks_nothing.then_some(unchecked)).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
