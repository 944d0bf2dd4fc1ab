//! A file beside the topology that it names.

/// A file with its text, for the hash of a plan and for its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyFile {
    /// Its name, without a folder.
    pub name: String,
    /// What it contains, as it was read.
    pub text: String,
}
