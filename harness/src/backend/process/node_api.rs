//! What a node is asked over its control API. Each call has its deadline.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use butter::api::{self, SearchLine};
use butter::core::connectivity::connect_requests::CONNECT_WITHIN;
use butter::core::identity::{BlockId, NodeId};
use butter::http::client::HttpAnswer;
use butter::overlay::data::search::SEARCH_TIME_MAX;
use bytes::Bytes;
use hyper::{HeaderMap, Method, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::client::ApiClient;
use crate::metrics::exposition::{self, Exposition};
use crate::net::link::LinkConfig;
use crate::net::network_policy::NetworkPolicy;
use crate::op::{FoundHits, FoundValue, LinkSnapshot, NodeSnapshot, OpResult};
use crate::plan::{Item, NodeIndex};
use crate::router::control;

/// How long a node may take to answer for its status, peers or metrics.
pub(crate) const INSPECT_DEADLINE: Duration = Duration::from_secs(10);
/// What a put, get or link may take beyond the node's own deadlines.
pub(crate) const MARGIN: Duration = Duration::from_secs(5);
/// Bytes of an answer that is no error of the API that are quoted.
const QUOTE_MAX: usize = 200;

/// Starts a node that is paused at start.
pub(crate) async fn start(client: &ApiClient) -> anyhow::Result<()> {
    success(ask(client, Method::POST, api::START_PATH, Bytes::new(), INSPECT_DEADLINE).await?).map(drop)
}

/// Who it is. Also the way to find out whether it is there.
pub(crate) async fn identity(client: &ApiClient) -> anyhow::Result<NodeId> {
    let status: api::StatusBody =
        json(ask(client, Method::GET, api::STATUS_PATH, Bytes::new(), INSPECT_DEADLINE).await?)?;
    Ok(status.id)
}

/// Its known hosts, links and blocks.
pub(crate) async fn view(client: &ApiClient, node: NodeIndex) -> anyhow::Result<NodeSnapshot> {
    let view: api::SnapshotBody =
        json(ask(client, Method::GET, api::SNAPSHOT_PATH, Bytes::new(), INSPECT_DEADLINE).await?)?;
    if view.neighbours > view.known_hosts.len() {
        bail!("it has {} neighbours among {} known hosts", view.neighbours, view.known_hosts.len());
    }
    let api::SnapshotBody { id, known_hosts, neighbours, links, blocks, failed_repairs } = view;
    let links = links.into_iter().map(|api::SnapshotLinkBody { peer, remote }| LinkSnapshot { peer, remote }).collect();
    Ok(NodeSnapshot { node, id, known_hosts, neighbours, links, blocks, failed_repairs })
}

/// What it counts; of a router as well.
pub(crate) async fn metrics(client: &ApiClient) -> anyhow::Result<Exposition> {
    let answer = ask(client, Method::GET, api::METRICS_PATH, Bytes::new(), INSPECT_DEADLINE).await?;
    let answer = success(answer)?;
    let text = std::str::from_utf8(&answer.body).context("metrics that are no text")?;
    exposition::parse(text).context("metrics that cannot be read")
}

/// Has a router's NAT forget every mapping.
pub(crate) async fn rebind(router: &ApiClient, addresses: &[Ipv4Addr]) -> anyhow::Result<()> {
    let body = serde_json::to_vec(&control::RebindCommand { addresses: addresses.to_vec() })?;
    success(ask(router, Method::POST, control::REBIND_PATH, body.into(), INSPECT_DEADLINE).await?).map(drop)
}

/// Has a router be as it was when it began, and count from zero.
pub(crate) async fn reset(router: &ApiClient) -> anyhow::Result<()> {
    success(ask(router, Method::POST, control::RESET_PATH, Bytes::new(), INSPECT_DEADLINE).await?).map(drop)
}

/// Changes a router's uplink.
pub(crate) async fn set_link(router: &ApiClient, up: &LinkConfig, down: &LinkConfig) -> anyhow::Result<()> {
    let body = serde_json::to_vec(&control::SetLinkCommand { up: up.clone(), down: down.clone() })?;
    success(ask(router, Method::POST, control::LINK_PATH, body.into(), INSPECT_DEADLINE).await?).map(drop)
}

/// Has a router let other things through.
pub(crate) async fn set_firewall(router: &ApiClient, policy: NetworkPolicy) -> anyhow::Result<()> {
    let body = serde_json::to_vec(&control::SetFirewallCommand { policy })?;
    success(ask(router, Method::POST, control::FIREWALL_PATH, body.into(), INSPECT_DEADLINE).await?).map(drop)
}

/// Has it store a value. `deadline` is the node's own.
pub(crate) async fn put(client: &ApiClient, item: &Item, deadline: Duration) -> anyhow::Result<OpResult> {
    let path = api::keywords_path(&item.words());
    let answer = ask(client, Method::POST, &path, item.bytes().into(), deadline + MARGIN).await?;
    let stored: api::PutBody = json(answer)?;
    match stored.blocks.first() {
        Some(first) if *first == stored.id => Ok(OpResult::Stored(stored.blocks)),
        _ => bail!("it stored {} but names other blocks", stored.id),
    }
}

/// Has it fetch a value, and ask every peer before it gives up if that is `exhaustive`. `deadline` is the node's own.
pub(crate) async fn get(
    client: &ApiClient,
    (id, exhaustive): (BlockId, bool),
    deadline: Duration,
) -> anyhow::Result<OpResult> {
    let path = format!("{}/{id}?exhaustive={exhaustive}", api::BLOBS_PATH);
    let answer = match timeout(deadline + MARGIN, client.call(Method::GET, &path, Bytes::new())).await {
        Ok(answer) => answer?,
        Err(_) => return Ok(OpResult::Unanswered),
    };
    match answer.status {
        StatusCode::NOT_FOUND => {
            let body: api::ErrorBody = serde_json::from_slice(&answer.body).context("an answer of another shape")?;
            let messages = body.messages.context("a get without its messages")?;
            Ok(OpResult::NotFound { asked: body.asked_peers, messages })
        }
        StatusCode::GATEWAY_TIMEOUT => {
            let body: api::ErrorBody = serde_json::from_slice(&answer.body).context("an answer of another shape")?;
            let search = body.search.context("an incomplete search without its counts")?;
            Ok(OpResult::Incomplete { search, asked: body.asked_peers })
        }
        _ => {
            let answer = success(answer)?;
            let hops = number(&answer.headers, api::HOPS_HEADER)?;
            let hops = u32::try_from(hops).context("more hops than there can be")?;
            let messages = number(&answer.headers, api::MESSAGES_HEADER)?;
            Ok(OpResult::Found(FoundValue { value: answer.body, hops, messages }))
        }
    }
}

/// Has it search for keywords. `deadline` is the node's own.
pub(crate) async fn search(
    client: &ApiClient,
    query: &str,
    limit: usize,
    deadline: Duration,
) -> anyhow::Result<OpResult> {
    let path = api::search_path(&query.parse()?, limit, deadline.min(SEARCH_TIME_MAX));
    let answer = match timeout(deadline + MARGIN, client.call(Method::GET, &path, Bytes::new())).await {
        Ok(answer) => success(answer?)?,
        Err(_) => return Ok(OpResult::Unanswered),
    };
    let (mut hits, mut end) = (Vec::new(), None);
    for line in answer.body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line).context("an answer of another shape")? {
            SearchLine::Hit(hit) => hits.push(hit.id),
            SearchLine::End(last) => end = Some(last),
        }
    }
    Ok(OpResult::Searched(FoundHits { hits, end: end.context("a search without its end")? }))
}

/// Has it link to a peer.
pub(crate) async fn link(client: &ApiClient, peer: NodeId) -> anyhow::Result<OpResult> {
    let path = format!("{}/{peer}", api::CONNECT_PATH);
    let answer = ask(client, Method::POST, &path, Bytes::new(), CONNECT_WITHIN + MARGIN).await?;
    Ok(OpResult::Connected(json(answer)?))
}

/// Has it ask a peer for anything.
pub(crate) async fn ping(client: &ApiClient, peer: NodeId, within: Duration) -> anyhow::Result<OpResult> {
    let path = format!("{}/{peer}", api::PING_PATH);
    success(ask(client, Method::POST, &path, Bytes::new(), within).await?).map(|_| OpResult::PingAnswered)
}

async fn ask(
    client: &ApiClient,
    method: Method,
    path: &str,
    body: Bytes,
    within: Duration,
) -> anyhow::Result<HttpAnswer> {
    let what = format!("{method} {path}");
    let answered = timeout(within, client.call(method, path, body)).await;
    let answer = answered.map_err(|_| anyhow!("no answer within {} s", within.as_secs()));
    answer.and_then(|answer| answer.map_err(anyhow::Error::from)).with_context(|| what)
}

fn success(answer: HttpAnswer) -> anyhow::Result<HttpAnswer> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    let last_output = serde_json::from_slice::<api::ErrorBody>(&answer.body).map_or_else(
        |_| String::from_utf8_lossy(&answer.body[..answer.body.len().min(QUOTE_MAX)]).into_owned(),
        // Without the id, so that puts that failed alike are counted together.
        |body| body.shortage.map_or(body.error, |shortage| shortage.shortage().to_string()),
    );
    bail!("{} ({})", last_output.trim(), answer.status.as_u16())
}

fn json<T: DeserializeOwned>(answer: HttpAnswer) -> anyhow::Result<T> {
    serde_json::from_slice(&success(answer)?.body).context("an answer of another shape")
}

fn number(headers: &HeaderMap, name: &str) -> anyhow::Result<u64> {
    let value = headers.get(name).with_context(|| format!("an answer without {name}"))?;
    value.to_str().ok().and_then(|text| text.parse().ok()).with_context(|| format!("{name} is no number"))
}
