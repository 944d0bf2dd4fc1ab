//! What nodes and routers count, from scrape to file and dashboard.
//!
//! Every instrument is defined once, with its help: those of nodes by the package `butter`, those of routers in
//! `router/stats.rs`, those of the run in [`run`]. The data itself is in `series.rs`.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`exposition`], [`writer`] | read and write Prometheus' text format |
//! | [`history`] | keeps the metrics that checks name |
//! | [`traffic`] | sums up what nodes send |
//! | [`repair`] | sums up what nodes send to repair, and what they hold |
//! | [`samples`] | writes `samples.csv.gz`, and reads it |
//! | [`run`], [`faults`] | the metrics of the run itself |
//! | [`openmetrics`], [`replay`] | a recorded run as OpenMetrics, with times |
//! | [`federation`] | serves the latest metrics of a whole run again |

pub mod exposition;
pub mod faults;
pub mod federation;
pub mod history;
pub mod openmetrics;
pub mod repair;
pub mod replay;
pub mod run;
pub mod samples;
pub mod traffic;
pub mod writer;
