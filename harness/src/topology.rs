//! Topology files: what a person writes, read into a [`Plan`], or refused with every fault at its place.
//!
//! Three stages, each of which reports all it finds: *raw* (a tree in which every node knows its place, then every key and
//! value of its type) → *check* (names looked up, what the parts make together) → *plan* (addresses, nodes, timeline).
//!
//! | module | stage |
//! | --- | --- |
//! | `tree`, `vars` | YAML with places; `${name}` and `--set` |
//! | `fields`, `units`, `raw` | keys, quantities, the file as written |
//! | `check`, `grammar` | names, the tree of networks; the language of checks |
//! | `addresses`, `planning` | subnets and addresses; the plan |
//! | `diagnostics`, `describe` | faults for a person; a plan for a person |

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::plan::Plan;

mod addresses;
mod check;
mod describe;
mod diagnostics;
mod fields;
mod grammar;
mod planning;
mod raw;
mod tree;
pub mod units;
mod vars;

pub use check::NESTED_MAX;
pub use describe::describe;
pub use diagnostics::{Diagnostics, PROBLEMS_SHOWN, Problem, Span};

use diagnostics::Problems;
use raw::Raw;

/// Longest topology file, in bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Seed of a topology that names none.
pub const SEED_DEFAULT: u64 = 1;

/// What the command line puts in place of what the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// In place of the file's `seed`.
    pub seed: Option<u64>,
    /// Variables and their values; also settings of nodes, which replace those of the file's `config` (what a node group
    /// sets for itself stays).
    pub set: Vec<(String, String)>,
}

/// Reads a topology file.
///
/// # Errors
/// With everything that is wrong with it, if anything is.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Plan, Diagnostics> {
    let name = path.display().to_string();
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    match text_of(path) {
        Ok(text) => plan(&name, &stem, &text, overrides),
        Err(why) => {
            let mut problems = Problems::default();
            problems.add(Problem::nowhere(format!("cannot read {name}: {why}")));
            Err(problems.into_diagnostics(&name, ""))
        }
    }
}

/// Reads a topology from its text. `name` stands for the file in messages, and names a topology that names itself not.
///
/// # Errors
/// With everything that is wrong with it, if anything is.
pub fn read(name: &str, text: &str, overrides: &Overrides) -> Result<Plan, Diagnostics> {
    let stem = Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    plan(name, &stem, text, overrides)
}

/// The text of a file that is not too long.
fn text_of(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    // One more than allowed, so that a file that never ends (a device) is found too long.
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("it is not UTF-8 text (byte {at})")
    })
}

fn plan(origin: &str, stem: &str, text: &str, overrides: &Overrides) -> Result<Plan, Diagnostics> {
    let mut problems = Problems::default();
    // A byte order mark belongs to no line.
    let source = text.strip_prefix('\u{feff}').unwrap_or(text);
    match planned(stem, text, source, overrides, &mut problems) {
        Some(plan) if problems.none() => Ok(plan),
        _ => Err(problems.into_diagnostics(origin, source)),
    }
}

fn planned(stem: &str, text: &str, source: &str, overrides: &Overrides, problems: &mut Problems) -> Option<Plan> {
    if text.len() as u64 > FILE_BYTES_MAX {
        problems.add(Problem::nowhere(format!("a topology has at most {FILE_BYTES_MAX} bytes")));
        return None;
    }
    let mut root = tree::parse(source, problems)?;
    let set = vars::substitute(&mut root, overrides, problems);
    let mut raw = Raw::read(&root, problems);
    raw.override_config(set);
    let (name, description, seed) = (raw.name.take(), std::mem::take(&mut raw.description), raw.seed);
    let checked = check::check(raw, source, problems)?;
    let seed = overrides.seed.or(seed).unwrap_or(SEED_DEFAULT);
    let planned = planning::plan(&checked, seed, problems)?;
    Some(Plan {
        name: name.unwrap_or_else(|| name_from(stem)),
        description,
        seed,
        file_hash: hexadecimal(&Sha256::digest(text.as_bytes())),
        source: text.to_owned(),
        networks: planned.networks,
        nodes: planned.nodes,
        items: planned.timeline.items,
        steps: planned.timeline.steps,
        checks: planned.checks,
    })
}

/// A name made of a file's: a directory will bear it.
fn name_from(stem: &str) -> String {
    let plain: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .take(raw::NAME_BYTES_MAX)
        .collect();
    if raw::is_name(&plain) { plain } else { "topology".to_owned() }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
