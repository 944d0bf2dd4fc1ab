//! What a run leaves: its directory, its result, and what people and other programs are shown of it.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`result`] | `result.json`: everything that follows from the events and metrics, and nothing that a clock on the wall said |
//! | [`timing`] | `timing.json`: how long it took on this machine |
//! | `crossing`, `recovery`, `failures`, `links` | its parts: the grid of a cross step, what rebinds did, why things failed, how links ran |
//! | [`compare`] | whether two runs, as on two backends, have come to the same |
//! | [`directory`] | the run's directory, and the record written into it while the run is played |
//! | [`table`] | the verdict for people |
//! | [`junit`] | the verdict for CI |

pub mod compare;
mod crossing;
pub mod directory;
mod failures;
pub mod junit;
mod links;
mod recovery;
pub mod result;
pub mod table;
pub mod timing;
