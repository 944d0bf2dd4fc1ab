//! Topology files: the text becomes a model of networks and nodes, or a list of faults, each at its place in the file.
//!
//! The steps of a file are read by [`crate::steps`]; this module knows no verb. [`crate::planner`] makes a plan of the model.
//!
//! | module | subject |
//! | --- | --- |
//! | `tree`, `vars` | YAML in which every value knows its place; `${name}` and `--set` |
//! | `fields`, `form`, `units`, `raw` | keys and the forms of their values, quantities, the file as written |
//! | `internet` | networks and node groups that one word stands for |
//! | `check` | the tree of networks, node groups, names |
//! | `addresses`, `roster`, `uplinks` | subnets, every node with its address, uplinks as steps change them |
//! | `diagnostics` | faults as messages with source lines |

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::path::{Path, PathBuf};

pub(crate) mod addresses;
pub(crate) mod check;
pub(crate) mod diagnostics;
pub(crate) mod fields;
pub(crate) mod form;
pub(crate) mod internet;
pub(crate) mod raw;
pub(crate) mod roster;
pub(crate) mod tree;
pub mod units;
pub(crate) mod uplinks;
pub(crate) mod vars;

pub use check::NESTED_MAX;
pub use diagnostics::{Diagnostic, Diagnostics, PROBLEMS_SHOWN, Span};

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
    /// Folder of files that the topology names; its own if `None`. A record has copies.
    pub folder: Option<PathBuf>,
}

/// The text of a stream that is not too long.
pub(crate) fn text_of(stream: impl std::io::Read) -> Result<String, String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    // One more than allowed, so that a file that never ends (a device) is found too long.
    stream.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("it is not UTF-8 text (byte {at})")
    })
}

/// The text of a file of at most so many bytes that a topology names.
pub(crate) fn file_text(path: &Path, most: u64) -> Result<String, String> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    file.take(most + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > most { Err(format!("it has more than {most} bytes")) } else { Ok(text) }
}

/// A name made of a file's: a directory will bear it.
pub(crate) fn name_from(stem: &str) -> String {
    let plain: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .take(raw::NAME_BYTES_MAX)
        .collect();
    if raw::is_name(&plain) { plain } else { "topology".to_owned() }
}
