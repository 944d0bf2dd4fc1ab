//! What the control API serves for the overlay of a node: nothing by default, values and storage for the data overlay.

use std::time::Instant;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::routes::Failure;
use crate::api::{
    AskedPeerBody, BLOBS_PATH, ErrorBody, FailedRepairBody, GroupsBody, HOPS_HEADER, MESSAGES_HEADER, PutBody,
    SEARCH_PATH, ShortageBody, StorageBody, StoragePlace, TRACE_HEADER,
};
use crate::core::blob::Blob;
use crate::core::identity::BlockId;
use crate::core::storage::StoreFault;
use crate::driver::command::{PutCommand, TracedGetCommand};
use crate::driver::handle::NodeHandle;
use crate::http::server::BodyError;
use crate::overlay::Overlay;
use crate::overlay::data::{DataOverlay, GetError, Keywords, PutError, VALUE_MAX};

/// Routes and status fields of the overlay `V`.
pub(crate) struct OverlayApi<V: Overlay> {
    pub(super) routes: fn(NodeHandle<V>) -> Router,
    pub(super) describe: fn(&V) -> OverlayStatus,
}

/// What an overlay contributes to the status and the snapshot of a node.
#[derive(Debug, Default)]
pub(super) struct OverlayStatus {
    pub(super) storage: Option<StorageBody>,
    pub(super) groups: Option<GroupsBody>,
    pub(super) blocks: Vec<BlockId>,
    pub(super) failed_repairs: Vec<FailedRepairBody>,
}

impl<V: Overlay> OverlayApi<V> {
    /// No routes and no status fields.
    pub(crate) fn none() -> Self {
        OverlayApi { routes: |_| Router::new(), describe: |_| OverlayStatus::default() }
    }
}

impl OverlayApi<DataOverlay> {
    /// Values, storage and groups.
    pub(crate) fn data() -> Self {
        OverlayApi { routes: data_routes, describe: data_status }
    }
}

pub(super) type DataNode = State<NodeHandle<DataOverlay>>;

fn data_routes(handle: NodeHandle<DataOverlay>) -> Router {
    Router::new()
        .route(BLOBS_PATH, post(put).layer(DefaultBodyLimit::max(VALUE_MAX)))
        .route(&format!("{BLOBS_PATH}/{{id}}"), get(fetch))
        .route(SEARCH_PATH, get(super::search::search))
        .with_state(handle)
}

fn data_status(overlay: &DataOverlay) -> OverlayStatus {
    let stats = overlay.stats();
    let storage = StorageBody {
        blocks: stats.blocks,
        bytes: stats.stored_bytes,
        limit_bytes: stats.storage_limit_bytes,
        place: if overlay.is_lasting() { StoragePlace::Disk } else { StoragePlace::Memory },
        fault: overlay.store_fault().map(|fault| fault.to_string()),
    };
    let groups = GroupsBody {
        under_replicated: stats.groups_under_replicated,
        healthy: stats.groups_healthy,
        over_replicated: stats.groups_over_replicated,
    };
    OverlayStatus {
        storage: Some(storage),
        groups: Some(groups),
        blocks: overlay.blocks().collect(),
        failed_repairs: overlay.failed_repairs().map(Into::into).collect(),
    }
}

/// What a put may say beside the value.
#[derive(Debug, Default, Deserialize)]
struct PutQuery {
    /// Words by which the value is found, with commas between them.
    #[serde(default)]
    keywords: String,
}

async fn put(
    State(node): DataNode,
    Query(PutQuery { keywords }): Query<PutQuery>,
    value: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let keywords = Keywords::from_list(&keywords).map_err(|error| Failure::new(StatusCode::BAD_REQUEST, error))?;
    let value = value.map_err(|rejection| match over_budget(&rejection) {
        Some(why) => Failure::new(StatusCode::SERVICE_UNAVAILABLE, why),
        None => Failure::new(rejection.status(), rejection.body_text()),
    })?;
    let begun = Instant::now();
    let length = value.len();
    let stored = node.execute(PutCommand { value: Blob(value), keywords }).await?;
    let stored = stored.inspect_err(|error| tracing::debug!(length, %error, "a put has failed"))?;
    tracing::debug!(id = %stored.id, length, took = ?begun.elapsed(), "stored");
    let took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let body = PutBody { id: stored.id, blocks: stored.blocks, took_us };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// The error of the server if a body was refused because all bodies together are too long.
fn over_budget<'a>(rejection: &'a (dyn std::error::Error + 'static)) -> Option<&'a BodyError> {
    let chain = std::iter::successors(Some(rejection), |error| error.source());
    chain.filter_map(|error| error.downcast_ref()).find(|error| matches!(error, BodyError::OverBudget))
}

/// What a request for a value may say beside its id.
#[derive(Debug, Default, Deserialize)]
struct FetchQuery {
    /// Whether every peer is asked before the search ends without success.
    #[serde(default)]
    exhaustive: bool,
}

async fn fetch(
    State(node): DataNode,
    Path(id): Path<String>,
    Query(FetchQuery { exhaustive }): Query<FetchQuery>,
    request: HeaderMap,
) -> Result<Response, Failure> {
    let id: BlockId = id.parse().map_err(|error| Failure::new(StatusCode::BAD_REQUEST, error))?;
    let wants_trace = request.contains_key(TRACE_HEADER);
    let begun = Instant::now();
    let (found, asked) = node.execute(TracedGetCommand { id, exhaustive }).await?;
    let asked: Vec<AskedPeerBody> = asked.iter().map(Into::into).collect();
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            tracing::debug!(%id, took = ?begun.elapsed(), %error, "a get has failed");
            return Err(Failure::from(error).with_asked_peers(asked));
        }
    };
    tracing::debug!(%id, hops = found.hops, messages = found.messages, took = ?begun.elapsed(), "found");
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/octet-stream"));
    headers.insert(HeaderName::from_static(HOPS_HEADER), found.hops.into());
    headers.insert(HeaderName::from_static(MESSAGES_HEADER), found.messages.into());
    if wants_trace {
        let asked =
            serde_json::to_string(&asked).map_err(|error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
        let asked = asked.parse().map_err(|error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
        headers.insert(HeaderName::from_static(TRACE_HEADER), asked);
    }
    Ok((headers, found.value.0).into_response())
}

impl From<PutError> for Failure {
    fn from(error: PutError) -> Self {
        let status = match error {
            PutError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            PutError::TooFewCopies { id, shortage } => {
                let remedy = Some(shortage.remedy().to_owned());
                let shortage = Some(ShortageBody::new(id, shortage));
                let body = ErrorBody { remedy, shortage, ..ErrorBody::new(error) };
                return Failure::with_body(StatusCode::GATEWAY_TIMEOUT, body);
            }
            PutError::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
            PutError::Storage(StoreFault::DiskFull) => StatusCode::INSUFFICIENT_STORAGE,
            PutError::Storage(StoreFault::Busy) => StatusCode::SERVICE_UNAVAILABLE,
            PutError::Storage(StoreFault::Failed) => StatusCode::INTERNAL_SERVER_ERROR,
            PutError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        Failure::new(status, error)
    }
}

impl From<GetError> for Failure {
    fn from(error: GetError) -> Self {
        let status = match error {
            GetError::NotFound(tally) => {
                let body = ErrorBody { messages: Some(tally.messages), ..ErrorBody::new(error) };
                return Failure::with_body(StatusCode::NOT_FOUND, body);
            }
            GetError::ProbablyAbsent(tally) => {
                let remedy =
                    Some("search every node: `butter get --exhaustive`, or `?exhaustive=true` in the API".to_owned());
                let (search, messages) = (Some(tally.into()), Some(tally.messages));
                let body = ErrorBody { remedy, search, messages, ..ErrorBody::new(error) };
                return Failure::with_body(StatusCode::NOT_FOUND, body);
            }
            GetError::Incomplete(tally) => {
                let remedy = Some(tally.remedy().to_owned());
                let body = ErrorBody { remedy, search: Some(tally.into()), ..ErrorBody::new(error) };
                return Failure::with_body(StatusCode::GATEWAY_TIMEOUT, body);
            }
            GetError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        Failure::new(status, error)
    }
}
