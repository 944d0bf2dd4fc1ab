//! What a run shows of itself, kept, added up and served again.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`scrape`] | reads Prometheus' text format |
//! | [`watched`] | keeps the metrics that checks are about |
//! | [`crossed`] | adds up links of cross steps |
//! | [`recovered`] | adds up links over NATs that forgot everything |
//! | [`proportion`] | tells how sure a share is |
//! | [`samples`] | writes `samples.csv` |
//! | [`federate`] | serves the latest metrics of a whole run again |
//! | [`tally`] | adds up the events |

pub mod crossed;
pub mod federate;
#[cfg(test)]
pub(crate) mod fixture;
pub mod proportion;
pub mod recovered;
pub mod samples;
pub mod scrape;
pub mod tally;
pub mod watched;
