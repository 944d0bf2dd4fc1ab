//! The testbed of Butter: a run is a plan played on a backend.
//!
//! Start reading at [`plan`] (what a topology file becomes), [`backend`] (what plays it) and [`run`] (how).

pub mod adversary;
pub mod backend;
pub mod bench;
pub mod checks;
pub mod clean;
pub mod cli;
pub mod doctor;
pub mod duration_text;
#[cfg(test)]
mod error_chains;
pub mod error_class;
pub mod events;
pub mod explain;
pub mod explore;
pub mod graph;
pub mod index;
pub(crate) mod lab;
pub mod machine_load;
pub mod metrics;
pub mod net;
pub mod netns;
pub mod op;
pub mod plan;
pub mod planner;
pub mod probe;
pub mod programs;
pub mod progress;
pub mod reference;
pub mod report;
pub mod report_page;
pub mod results;
pub mod router;
pub mod run;
pub mod series;
pub mod sim;
pub mod statistics;
pub mod steps;
pub mod topology;
