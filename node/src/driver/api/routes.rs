//! Routes of the control API that every node serves, whichever overlay it runs.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::Notify;

use super::metrics;
use super::overlay::{OverlayApi, OverlayStatus};
use crate::api::{
    AskedPeerBody, CONNECT_PATH, ConnectBody, ErrorBody, LEAVE_PATH, LinkBody, METRICS_PATH, PEERS_PATH, PING_PATH,
    PeerBody, PeersBody, SNAPSHOT_PATH, START_PATH, STATUS_PATH, SnapshotBody, SnapshotLinkBody, StatusBody, ViaBody,
};
use crate::core::blob::Blob;
use crate::core::identity::NodeId;
use crate::core::io::AskError;
use crate::driver::command::AskCommand;
use crate::driver::handle::AppOverlay;
use crate::driver::handle::{InspectedNode, NodeHandle, NodeStopped};

type NodeState<V> = State<NodeHandle<V>>;

/// An error response.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    body: Box<ErrorBody>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, error: impl ToString) -> Self {
        Failure::with_body(status, ErrorBody::new(error))
    }

    /// The same, with the peers that a get has asked.
    pub(super) fn with_asked_peers(mut self, asked: Vec<AskedPeerBody>) -> Self {
        self.body.asked_peers = asked;
        self
    }

    pub(super) fn with_body(status: StatusCode, body: ErrorBody) -> Self {
        Failure { status, body: body.into() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(*self.body)).into_response()
    }
}

impl From<NodeStopped> for Failure {
    fn from(stopped: NodeStopped) -> Self {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, stopped)
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

/// The routes of a running node, with those of its overlay.
pub(super) fn router<V: AppOverlay>(handle: NodeHandle<V>, overlay: OverlayApi<V>) -> Router {
    let describe = overlay.describe;
    let status = move |State(node): NodeState<V>| async move {
        let status = node.inspect(move |seen| status_of(seen, describe(seen.node.overlay()))).await?;
        Ok::<_, Failure>(Json(status))
    };
    let snapshot = move |State(node): NodeState<V>| async move {
        let snapshot = node.inspect(move |seen| snapshot_of(seen, describe(seen.node.overlay()))).await?;
        Ok::<_, Failure>(Json(snapshot))
    };
    Router::new()
        .route(STATUS_PATH, get(status))
        .route(PEERS_PATH, get(peers::<V>))
        .route(SNAPSHOT_PATH, get(snapshot))
        .route(&format!("{CONNECT_PATH}/{{id}}"), post(connect::<V>))
        .route(&format!("{PING_PATH}/{{id}}"), post(ping::<V>))
        .route(START_PATH, post(|| async { StatusCode::NO_CONTENT }))
        .route(LEAVE_PATH, post(leave::<V>))
        .route(METRICS_PATH, get(expose::<V>))
        .with_state(handle.clone())
        .merge((overlay.routes)(handle))
        .fallback(|| async { Failure::new(StatusCode::NOT_FOUND, "there is nothing at this path") })
}

fn status_of<V: AppOverlay>(seen: &InspectedNode<'_, V>, overlay: OverlayStatus) -> StatusBody {
    let (me, stats) = (seen.node.me(), seen.node.stats());
    StatusBody {
        id: me.id,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: seen.uptime.as_secs_f64(),
        ambassador: me.ambassador,
        addresses: me.local.clone(),
        external_address: me.external_address,
        nat: seen.node.nat().map(Into::into),
        double: seen.node.double(),
        via: me.via.map(|via| ViaBody { id: via.id, address: via.address }),
        neighbours: stats.neighbours,
        known_hosts: stats.known_hosts,
        storage: overlay.storage,
        groups: overlay.groups,
    }
}

async fn peers<V: AppOverlay>(State(node): NodeState<V>) -> Result<Json<PeersBody>, Failure> {
    Ok(Json(node.inspect(peers_of).await?))
}

fn peers_of<V: AppOverlay>(seen: &InspectedNode<'_, V>) -> PeersBody {
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

fn snapshot_of<V: AppOverlay>(seen: &InspectedNode<'_, V>, overlay: OverlayStatus) -> SnapshotBody {
    SnapshotBody {
        id: seen.node.me().id,
        known_hosts: seen.node.known_hosts().map(|contact| contact.id).collect(),
        neighbours: seen.node.neighbours().count(),
        links: seen.node.linked().map(|(peer, remote)| SnapshotLinkBody { peer, remote }).collect(),
        blocks: overlay.blocks,
        failed_repairs: overlay.failed_repairs,
    }
}

async fn connect<V: AppOverlay>(
    State(node): NodeState<V>,
    Path(id): Path<String>,
) -> Result<Json<ConnectBody>, Failure> {
    let peer: NodeId = id.parse().map_err(|error| Failure::new(StatusCode::BAD_REQUEST, error))?;
    Ok(Json(node.connect(peer).await?.into()))
}

/// A refusal counts as an answer: the request and its answer made the round trip.
async fn ping<V: AppOverlay>(State(node): NodeState<V>, Path(id): Path<String>) -> Result<StatusCode, Failure> {
    let peer: NodeId = id.parse().map_err(|error| Failure::new(StatusCode::BAD_REQUEST, error))?;
    match node.execute(AskCommand { peer, route: String::new(), body: Blob::default() }).await? {
        Ok(_) | Err(AskError::Refused(_)) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(error.into()),
    }
}

async fn leave<V: AppOverlay>(State(node): NodeState<V>) -> StatusCode {
    // The answer is sent before the node has stopped.
    tokio::spawn(async move { node.leave().await });
    StatusCode::ACCEPTED
}

async fn expose<V: AppOverlay>(State(node): NodeState<V>) -> Result<Response, Failure> {
    let scrape =
        node.inspect(|seen| metrics::text(|visit| seen.node.metrics(visit), seen.transport.counters())).await?;
    let text = scrape.map_err(|error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}
