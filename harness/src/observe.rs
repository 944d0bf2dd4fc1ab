//! What a run shows of itself: metrics scraped from nodes and routers, kept, written and served again.
//!
//! [`scrape`] reads them, [`watched`] keeps those that checks are about.

pub mod scrape;
pub mod watched;
