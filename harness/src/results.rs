//! What a run leaves: its directory, its result, and its parts.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`result`] | `result.json`: everything that follows from the events and metrics, and nothing that a clock on the wall said |
//! | [`timing`] | `timing.json`: how long it took on this machine |
//! | [`tally`] | the events, added up |
//! | [`connectivity`], [`rebind_recovery`] | links of cross steps, and links over NATs that forgot everything, in figures |
//! | `crossing`, `recovery`, `failures`, `links` | parts of the result: the grid of a cross step, what rebinds did, why things failed, how links ran |
//! | [`compare`] | whether two runs, as on two backends, have come to the same |
//! | [`directory`] | the run's directory, and the record written into it while the run is played |

pub mod compare;
pub mod connectivity;
pub(crate) mod crossing;
pub mod directory;
pub(crate) mod failures;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod links;
pub mod rebind_recovery;
pub(crate) mod recovery;
pub mod result;
pub mod tally;
pub mod timing;
