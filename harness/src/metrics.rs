//! What nodes and routers count, from scrape to file and dashboard.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`series`] | what was scraped, as data |
//! | [`scrape`] | reads Prometheus' text format |
//! | [`watched`] | keeps the metrics that checks are about |
//! | [`samples`] | writes `samples.csv` |
//! | [`federation`] | serves the latest metrics of a whole run again |

pub mod federation;
pub mod samples;
pub mod scrape;
pub mod series;
pub mod watched;
