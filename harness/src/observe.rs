//! What a run shows of itself: metrics scraped from nodes and routers, kept, written and served again.

pub mod scrape;
