//! The docker backend, on a real engine with the real node and router. Skipped where no engine can be used, unless
//! `BUTTER_REQUIRE_DOCKER` is set.

#[path = "docker/apart.rs"]
mod apart;
#[path = "docker/clean.rs"]
mod clean;
#[path = "docker/lan.rs"]
mod lan;
#[path = "support/played.rs"]
mod played;
#[path = "docker/probe.rs"]
mod probe;
#[path = "docker/run.rs"]
mod run;
#[path = "support/skipped.rs"]
mod skipped;
#[path = "docker/support.rs"]
mod support;
