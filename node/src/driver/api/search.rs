//! Searches over the control API: newline-delimited JSON, a line for each hit as it comes.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;

use super::overlay::DataNode;
use super::routes::Failure;
use crate::api::{SearchEndBody, SearchLine};
use crate::core::config::values;
use crate::driver::command::CommandError;
use crate::driver::search::SearchHits;
use crate::overlay::data::{KeywordHit, SearchQuery, SearchRefusal};

/// Hits of a search that names no limit.
const LIMIT_DEFAULT: usize = 20;
/// Time of a search that names none.
const TIME_DEFAULT: Duration = Duration::from_secs(10);

/// What a search may say.
#[derive(Debug, Deserialize)]
pub(super) struct SearchParameters {
    q: String,
    limit: Option<usize>,
    timeout: Option<String>,
}

/// Answers once there is a hit or the end. What is wrong with a search has a status of its own.
pub(super) async fn search(
    State(node): DataNode,
    parameters: Result<Query<SearchParameters>, QueryRejection>,
) -> Result<Response, Failure> {
    let bad = |error: String| Failure::new(StatusCode::BAD_REQUEST, error);
    let Query(SearchParameters { q, limit, timeout }) = parameters.map_err(|error| bad(error.body_text()))?;
    let query = SearchQuery::parse(&q).map_err(|error| bad(error.to_string()))?;
    let timeout = timeout.as_deref().map_or(Ok(TIME_DEFAULT), values::duration);
    let timeout = timeout.map_err(|error| bad(format!("timeout: {error}")))?;
    tracing::debug!(%query, ?limit, ?timeout, "searching");
    let mut hits = node.search(query, limit.unwrap_or(LIMIT_DEFAULT), timeout).await?;
    let state = match hits.next().await {
        Some(first) => Reading::Hit(first, hits),
        None => Reading::End(hits.finish().await?.into()),
    };
    let lines = stream::unfold(state, |state| async {
        let (line, next) = state.read().await?;
        Some((Ok::<_, Infallible>(line), next))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// What is written next.
enum Reading {
    /// The first hit, which has come already.
    Hit(KeywordHit, SearchHits),
    /// Whatever comes.
    Open(SearchHits),
    End(SearchEndBody),
    Done,
}

impl Reading {
    /// The next line, once there is one, and what follows it. A node that stops ends the answer without its last line.
    async fn read(self) -> Option<(Bytes, Reading)> {
        let (line, next) = match self {
            Reading::Hit(hit, hits) => (SearchLine::Hit(hit.into()), Reading::Open(hits)),
            Reading::Open(mut hits) => match hits.next().await {
                Some(hit) => (SearchLine::Hit(hit.into()), Reading::Open(hits)),
                None => (SearchLine::End(hits.finish().await.ok()?.into()), Reading::Done),
            },
            Reading::End(end) => (SearchLine::End(end), Reading::Done),
            Reading::Done => return None,
        };
        let mut text = serde_json::to_vec(&line).expect("bodies of the API are JSON");
        text.push(b'\n');
        Some((text.into(), next))
    }
}

impl From<CommandError<SearchRefusal>> for Failure {
    fn from(error: CommandError<SearchRefusal>) -> Self {
        let status = match error {
            CommandError::Op(SearchRefusal::Limit(_) | SearchRefusal::Time(_)) => StatusCode::BAD_REQUEST,
            CommandError::Op(SearchRefusal::Busy) | CommandError::NodeStopped => StatusCode::SERVICE_UNAVAILABLE,
        };
        Failure::new(status, error)
    }
}
