//! What the control API answers.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::Notify;

use super::metrics;
use crate::api::{
    BLOBS_PATH, CONNECT_PATH, ConnectBody, ErrorBody, GroupsBody, HOPS_HEADER, LEAVE_PATH, LinkBody, MESSAGES_HEADER,
    METRICS_PATH, PEERS_PATH, PING_PATH, PeerBody, PeersBody, PutBody, SNAPSHOT_PATH, START_PATH, STATUS_PATH,
    SnapshotBody, SnapshotLinkBody, StatusBody, StorageBody, ViaBody,
};
use crate::core::blob::Blob;
use crate::core::identity::{BlockId, NodeId};
use crate::core::io::{AskError, Command, Outcome};
use crate::driver::handle::{Ended, Glimpse, Handle};
use crate::http::server::BodyError;
use crate::overlay::data::{Data, DataCommand, DataOutcome, GetError, PutError, VALUE_MAX};

type Node = State<Handle<Data>>;

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    error: String,
}

impl Failure {
    pub(super) fn new(status: StatusCode, error: impl ToString) -> Self {
        Failure { status, error: error.to_string() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(ErrorBody { error: self.error })).into_response()
    }
}

impl From<Ended> for Failure {
    fn from(ended: Ended) -> Self {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, ended)
    }
}

impl From<PutError> for Failure {
    fn from(error: PutError) -> Self {
        let status = match error {
            PutError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            PutError::TooFewCopies { .. } => StatusCode::GATEWAY_TIMEOUT,
            PutError::Full => StatusCode::INSUFFICIENT_STORAGE,
            PutError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        Failure::new(status, error)
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        let status = match error {
            AskError::Unreachable | AskError::Refused(_) => StatusCode::BAD_GATEWAY,
            AskError::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            AskError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            AskError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        Failure::new(status, error)
    }
}

impl From<GetError> for Failure {
    fn from(error: GetError) -> Self {
        let status = match error {
            GetError::NotFound => StatusCode::NOT_FOUND,
            GetError::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            GetError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        Failure::new(status, error)
    }
}

/// The routes of a node that is paused at start; `POST /v1/start` notifies `started`. Each answer is the last of its connection, so that the
/// next request meets the node.
pub(super) fn paused(started: Arc<Notify>) -> Router {
    let start = move || async move {
        started.notify_one();
        StatusCode::NO_CONTENT
    };
    let wait =
        || async { Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the node is paused at start; run `butter start`") };
    let last = |mut response: Response| async {
        response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        response
    };
    Router::new().route(START_PATH, post(start)).fallback(wait).layer(middleware::map_response(last))
}

pub(super) fn router(handle: Handle<Data>) -> Router {
    Router::new()
        .route(STATUS_PATH, get(status))
        .route(PEERS_PATH, get(peers))
        .route(SNAPSHOT_PATH, get(view))
        .route(BLOBS_PATH, post(put).layer(DefaultBodyLimit::max(VALUE_MAX)))
        .route(&format!("{BLOBS_PATH}/{{id}}"), get(fetch))
        .route(&format!("{CONNECT_PATH}/{{id}}"), post(link))
        .route(&format!("{PING_PATH}/{{id}}"), post(ask))
        .route(START_PATH, post(|| async { StatusCode::NO_CONTENT }))
        .route(LEAVE_PATH, post(leave))
        .route(METRICS_PATH, get(expose))
        .fallback(|| async { Failure::new(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .with_state(handle)
}

async fn status(State(node): Node) -> Result<Json<StatusBody>, Failure> {
    Ok(Json(node.look(status_of).await?))
}

fn status_of(seen: &Glimpse<'_, Data>) -> StatusBody {
    let (me, stats) = (seen.node.me(), seen.node.stats());
    StatusBody {
        id: me.id,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: seen.uptime.as_secs_f64(),
        ambassador: me.ambassador,
        addresses: me.local.clone(),
        external_address: me.external_address,
        nat: seen.node.nat().map(Into::into),
        via: me.via.map(|via| ViaBody { id: via.id, address: via.address }),
        neighbours: stats.neighbours,
        known_hosts: stats.known_hosts,
        storage: StorageBody {
            blocks: stats.blocks,
            bytes: stats.stored_bytes,
            limit_bytes: stats.storage_limit_bytes,
        },
        groups: GroupsBody {
            under_replicated: stats.groups_under_replicated,
            healthy: stats.groups_healthy,
            over_replicated: stats.groups_over_replicated,
        },
    }
}

async fn peers(State(node): Node) -> Result<Json<PeersBody>, Failure> {
    Ok(Json(node.look(peers_of).await?))
}

fn peers_of(seen: &Glimpse<'_, Data>) -> PeersBody {
    let neighbours: Vec<_> = seen.node.neighbours().collect();
    let peer = |contact: &crate::core::contact::Contact| {
        let link = seen.transport.link(contact.id).map(|link| LinkBody {
            remote: link.remote,
            path: seen.node.path(contact.id).map(Into::into),
            dialled: link.dialled,
            rtt_us: u64::try_from(link.rtt.as_micros()).unwrap_or(u64::MAX),
        });
        PeerBody::new(contact, neighbours.contains(&contact.id), link)
    };
    PeersBody { peers: seen.node.known_hosts().map(peer).collect() }
}

async fn view(State(node): Node) -> Result<Json<SnapshotBody>, Failure> {
    Ok(Json(node.look(view_of).await?))
}

fn view_of(seen: &Glimpse<'_, Data>) -> SnapshotBody {
    SnapshotBody {
        id: seen.node.me().id,
        known_hosts: seen.node.known_hosts().map(|contact| contact.id).collect(),
        neighbours: seen.node.neighbours().count(),
        links: seen.node.linked().map(|(peer, remote)| SnapshotLinkBody { peer, remote }).collect(),
        blocks: seen.node.overlay().blocks().collect(),
    }
}

async fn put(
    State(node): Node,
    value: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Failure> {
    let value = value.map_err(|rejection| match over_budget(&rejection) {
        Some(why) => Failure::new(StatusCode::SERVICE_UNAVAILABLE, why),
        None => Failure::new(rejection.status(), rejection.body_text()),
    })?;
    let begun = Instant::now();
    match node.command(Command::Overlay(DataCommand::Put { value: value.into() })).await? {
        Outcome::Overlay(DataOutcome::Put(stored)) => {
            let stored = stored?;
            let took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            let body = PutBody { id: stored.id, blocks: stored.blocks, took_us };
            Ok((StatusCode::CREATED, Json(body)).into_response())
        }
        other => Err(unexpected(&other)),
    }
}

/// The error of the server if a body was refused because all bodies together are too long.
fn over_budget<'a>(rejection: &'a (dyn std::error::Error + 'static)) -> Option<&'a BodyError> {
    let chain = std::iter::successors(Some(rejection), |error| error.source());
    chain.filter_map(|error| error.downcast_ref()).find(|error| matches!(error, BodyError::OverBudget))
}

async fn fetch(State(node): Node, Path(id): Path<String>) -> Result<Response, Failure> {
    let id: BlockId = id.parse().map_err(|error| Failure::new(StatusCode::BAD_REQUEST, error))?;
    match node.command(Command::Overlay(DataCommand::Get { id })).await? {
        Outcome::Overlay(DataOutcome::Got(found)) => {
            let found = found?;
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/octet-stream"));
            headers.insert(HeaderName::from_static(HOPS_HEADER), found.hops.into());
            headers.insert(HeaderName::from_static(MESSAGES_HEADER), found.messages.into());
            Ok((headers, found.value.0).into_response())
        }
        other => Err(unexpected(&other)),
    }
}

async fn link(State(node): Node, Path(id): Path<String>) -> Result<Json<ConnectBody>, Failure> {
    let peer: NodeId = id.parse().map_err(|error| Failure::new(StatusCode::BAD_REQUEST, error))?;
    match node.command(Command::Connect { peer, contact: None }).await? {
        Outcome::Connected(report) => Ok(Json(report.into())),
        other => Err(unexpected(&other)),
    }
}

/// A refusal is an answer as well: the request went there, and word of it came back.
async fn ask(State(node): Node, Path(id): Path<String>) -> Result<StatusCode, Failure> {
    let peer: NodeId = id.parse().map_err(|error| Failure::new(StatusCode::BAD_REQUEST, error))?;
    match node.command(Command::Ask { peer, route: String::new(), body: Blob::default() }).await? {
        Outcome::Answered(Ok(_) | Err(AskError::Refused(_))) => Ok(StatusCode::NO_CONTENT),
        Outcome::Answered(Err(error)) => Err(error.into()),
        other => Err(unexpected(&other)),
    }
}

async fn leave(State(node): Node) -> StatusCode {
    // Answered before the node is gone: the answer is still on its way then.
    tokio::spawn(async move { node.leave().await });
    StatusCode::ACCEPTED
}

async fn expose(State(node): Node) -> Result<Response, Failure> {
    let (stats, counters) = node.look(|seen| (seen.node.stats(), seen.transport.counters().clone())).await?;
    let text =
        metrics::text(&stats, &counters).map_err(|error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}

fn unexpected(outcome: &impl std::fmt::Debug) -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the command ended as another: {outcome:?}"))
}
