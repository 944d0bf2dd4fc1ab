//! Whatever a text is, it is a query or refused with a place in it; what is a query reads as the same one after it is written.

#![no_main]

use butter::overlay::data::query::{QUERY_BYTES_MAX, QueryError, QueryProblem};
use butter::overlay::data::{Keywords, SearchQuery};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match SearchQuery::parse(text) {
        Ok(query) => {
            assert!(!query.matches(&Keywords::default()), "{text:?} matches values without keywords");
            match SearchQuery::parse(&query.to_string()) {
                Ok(again) => assert_eq!(again, query),
                Err(QueryError { problem, .. }) => {
                    assert_eq!(problem, QueryProblem::TooLong);
                    assert!(query.to_string().len() > QUERY_BYTES_MAX);
                }
            }
        }
        Err(QueryError { at, .. }) => assert!(at <= text.chars().count()),
    }
    if let Ok(keywords) = Keywords::from_list(text) {
        assert_eq!(Keywords::new(keywords.iter()).as_ref(), Ok(&keywords));
    }
});
