//! Whose fault an error is. The command line chooses the exit status by it.

use serde::{Deserialize, Serialize};

/// Who can do something about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The user: an argument, a variable or a file is wrong.
    User,
    /// Whoever runs this machine: an engine, a permission, a disk or a limit is missing.
    Environment,
    /// The authors: this program broke one of its own rules.
    Bug,
}
