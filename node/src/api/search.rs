//! Keywords of values, and searches for them.

use std::fmt::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{BLOBS_PATH, SearchBody};
use crate::core::identity::BlockId;
use crate::overlay::data::{FinishedSearch, KeywordHit, Keywords, SearchQuery};

/// Path of searches. Parameters: `q` is the query, `limit` the most hits (20), `timeout` the longest time (10s).
pub const SEARCH_PATH: &str = "/v1/search";
/// Parameter of a put: keywords with commas between them.
pub const KEYWORDS_PARAMETER: &str = "keywords";

/// A line of the answer to a search: newline-delimited JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchLine {
    /// A value that matches.
    Hit(HitBody),
    /// The last line.
    End(SearchEndBody),
}

/// A hit: as [`KeywordHit`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HitBody {
    /// Names the value.
    pub id: BlockId,
    /// The words that it was stored with.
    pub keywords: Vec<String>,
}

/// The end of a search: as [`FinishedSearch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchEndBody {
    /// Number of hits before this line.
    pub hits: usize,
    /// Why it ended: `limit`, `all_answered`, `enough_seen`, `unreachable` or `deadline`.
    pub stop: String,
    /// The same in plain words.
    pub why: String,
    /// Whether what was not found is probably not there.
    pub complete: bool,
    /// Questions that were sent to peers.
    pub messages: u64,
    /// How many peers were asked, and what came of it.
    pub search: SearchBody,
}

impl From<KeywordHit> for HitBody {
    fn from(hit: KeywordHit) -> Self {
        HitBody { id: hit.id, keywords: hit.keywords.iter().map(str::to_owned).collect() }
    }
}

impl From<FinishedSearch> for SearchEndBody {
    fn from(finished: FinishedSearch) -> Self {
        let FinishedSearch { hits, stop, tally, messages } = finished;
        let (why, complete) = (stop.to_string(), finished.is_complete());
        SearchEndBody { hits, stop: stop.name().to_owned(), why, complete, messages, search: tally.into() }
    }
}

/// The path of a search with its parameters.
pub fn search_path(query: &SearchQuery, limit: usize, timeout: Duration) -> String {
    let query = percent_encoded(query.text());
    format!("{SEARCH_PATH}?q={query}&limit={limit}&timeout={}ms", timeout.as_millis())
}

/// The path of a put, with keywords if there are any.
pub fn keywords_path(keywords: &Keywords) -> String {
    if keywords.is_empty() {
        return BLOBS_PATH.to_owned();
    }
    let list = keywords.iter().collect::<Vec<_>>().join(",");
    format!("{BLOBS_PATH}?{KEYWORDS_PARAMETER}={}", percent_encoded(&list))
}

/// A text within a query of a URL (RFC 3986 §2.1).
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            write!(encoded, "%{byte:02X}").expect("a string takes everything");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_carry_any_letter() {
        let query = SearchQuery::parse("rust AND \"größe &\"").unwrap();
        let path = search_path(&query, 5, Duration::from_millis(1_500));
        assert_eq!(path, "/v1/search?q=rust%20AND%20%22gr%C3%B6%C3%9Fe%20%26%22&limit=5&timeout=1500ms");
        assert_eq!(keywords_path(&Keywords::new(["b", "a b"]).unwrap()), "/v1/blobs?keywords=a%20b%2Cb");
        assert_eq!(keywords_path(&Keywords::default()), "/v1/blobs");
    }
}
