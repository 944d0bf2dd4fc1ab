//! The testbed of Butter: a run is a plan played on a backend.
//!
//! Start reading at [`plan`] (what a topology file becomes), [`backend`] (what plays it) and [`run`] (how).

pub mod backend;
pub mod bench;
pub mod checks;
pub mod clean;
pub mod cli;
pub mod doctor;
#[cfg(test)]
mod error_chains;
pub mod error_class;
pub mod explain;
pub mod explore;
pub mod graph;
pub(crate) mod lab;
pub mod machine_load;
pub mod netns;
pub mod planner;
pub mod probe;
pub mod programs;
pub mod progress;
pub mod reference;
pub mod report;
pub mod report_page;
pub mod results;
pub mod run;
pub mod steps;
pub mod topology;

pub use butter_models::{
    adversary, duration_text, events, index, metrics, net, op, plan, router, series, sim, statistics, testing,
};
