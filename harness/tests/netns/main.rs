//! The backend `netns`, with the real node and router. One file per promise:
//!
//! - [`run`]: a plan is played as on any other backend.
//! - [`user`]: an ordinary user needs no more than root.
//! - [`ends`]: nothing is left, however a run ends.
//! - [`logs`]: logs are as the topology asks for.
//! - [`probe`]: a network that does not behave as declared is not played on.
//! - [`walls`]: nodes have no power, and reach nothing but their networks.
//!
//! Where namespaces cannot be made these tests say that they are skipped; `BUTTER_REQUIRE_NETNS=1` makes that a failure.

#[path = "../support/played.rs"]
mod played;
#[path = "../support/processes.rs"]
mod processes;
#[path = "../support/programs.rs"]
mod programs;
#[path = "../support/skipped.rs"]
mod skipped;

mod ends;
mod logs;
mod probe;
mod run;
mod support;
mod user;
mod walls;
