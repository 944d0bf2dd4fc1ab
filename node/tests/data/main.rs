//! What the data overlay promises: blocks outlive their nodes, and are found again.
//!
//! Whole nodes run over a small deterministic network (see [`net`]); a failure prints the seed that repeats it.

mod churn;
mod finding;
mod hostile;
mod keeping;
mod net;
mod storing;
