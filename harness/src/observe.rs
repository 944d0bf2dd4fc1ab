//! What a run shows of itself, kept, added up and served again.
//!
//! [`scrape`] reads metrics, [`watched`] keeps those that checks are about, [`tally`] adds up the events.

#[cfg(test)]
pub(crate) mod fixture;
pub mod scrape;
pub mod tally;
pub mod watched;
