//! What the data overlay promises: blocks outlive their nodes, and are found again.
//!
//! Whole nodes run over a small deterministic network (see [`net`]); a failure prints the seed that repeats it.

#[path = "../../../harness/models/src/adversary/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "a module of the harness, which uses all of it")]
mod adversary;
mod attacks;
mod capacity;
mod churn;
mod comeback;
mod finding;
mod hostile;
mod inventories;
mod keeping;
mod keywords;
mod liars;
mod net;
mod rumours;
mod storing;
