//! The keeper's end of a connection: one question each.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::keeper::{LabOrder, SharedLab};
use super::protocol::{
    EnterBody, LINE_DEADLINE, LabBody, LabNetworkBody, LabNodeBody, LabReply, LabRequest, read_line, write_line,
};
use super::slots::is_slot;
use crate::backend::held::{HeldHost, HeldState};
use crate::error_class::ErrorClass;
use crate::index::{NetworkIndex, NodeIndex};
use crate::netns::access;
use crate::topology::diagnostics::suggestion;

/// Connections at once: more wait.
const CONNECTIONS_MAX: usize = 128;
/// Answers to one question that wait.
const REPLIES_MAX: usize = 1_024;
/// Pause when the system has no descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the engine may take to say where a host is.
const FIND_DEADLINE: Duration = Duration::from_secs(20);

/// Begins the name of a network's router.
const ROUTER_PREFIX: &str = "router-";

/// Serves connections until the lab goes; then those that are open come to their end.
pub(super) async fn serve(listener: UnixListener, lab: Arc<SharedLab>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, Arc::clone(&lab)))),
                Err(error) => {
                    tracing::warn!(%error, "no connection is taken");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = lab.over.cancelled() => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: UnixStream, lab: Arc<SharedLab>) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let served = match timeout(LINE_DEADLINE, read_line::<LabRequest>(&mut read)).await {
        Ok(Ok(Some(request))) => answer(request, &lab, read, write).await,
        Ok(Ok(None)) | Err(_) => Ok(()),
        Ok(Err(error)) => {
            let reply =
                refused(ErrorClass::User, format!("this keeper does not understand: {error}"), Some(OTHER_VERSION));
            write_line(&mut write, &reply).await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// What to do where versions differ.
const OTHER_VERSION: &str = "use the same version of harness that brought the lab up, or bring it up again";

async fn answer(
    request: LabRequest,
    lab: &Arc<SharedLab>,
    read: BufReader<OwnedReadHalf>,
    mut write: OwnedWriteHalf,
) -> io::Result<()> {
    match request {
        LabRequest::List => write_line(&mut write, &LabReply::Lab(Box::new(body(lab)))).await,
        LabRequest::Log { host } => {
            let reply = host_named(lab, &host).and_then(|host| {
                let none = || refused(ErrorClass::Environment, "this lab keeps no logs".to_owned(), None);
                lab.hosts.log(host).map(LabReply::Log).ok_or_else(none)
            });
            write_line(&mut write, &reply.unwrap_or_else(|refused| refused)).await
        }
        LabRequest::Enter { host } => enter(&host, lab, read, write).await,
        LabRequest::Stream { node } => stream(&node, lab, read, write).await,
        LabRequest::Play(request) => {
            let cancelled = CancellationToken::new();
            let _guard = cancelled.clone().drop_guard();
            let early = cancelled.clone();
            let order = |replies| LabOrder::Play(Box::new(request), replies, cancelled);
            order_and_pass_on(lab, order, early, read, write).await
        }
        LabRequest::Converge { file, dry_run } => {
            let order = |replies| LabOrder::Converge { file: Box::new(file), dry_run, replies };
            order_and_pass_on(lab, order, CancellationToken::new(), read, write).await
        }
        LabRequest::Down => order_and_pass_on(lab, LabOrder::Down, CancellationToken::new(), read, write).await,
    }
}

/// Gives an order to the keeper and passes its answers on. Once the other end has no more to say, `early` is cancelled.
async fn order_and_pass_on(
    lab: &SharedLab,
    order: impl FnOnce(mpsc::Sender<LabReply>) -> LabOrder,
    early: CancellationToken,
    mut read: BufReader<OwnedReadHalf>,
    mut write: OwnedWriteHalf,
) -> io::Result<()> {
    let (replies, mut queue) = mpsc::channel(REPLIES_MAX);
    if lab.orders.try_send(order(replies)).is_err() {
        let busy = refused(ErrorClass::Environment, "too many orders wait at the keeper".to_owned(), None);
        return write_line(&mut write, &busy).await;
    }
    loop {
        tokio::select! {
            reply = queue.recv() => match reply {
                Some(reply) => write_line(&mut write, &reply).await?,
                None => return Ok(()),
            },
            _ = read.read_u8(), if !early.is_cancelled() => early.cancel(),
        }
    }
}

/// The way into a host; then the connection is held, so that its end shows the end of the lab.
async fn enter(
    name: &str,
    lab: &SharedLab,
    mut read: BufReader<OwnedReadHalf>,
    mut write: OwnedWriteHalf,
) -> io::Result<()> {
    let reply = way_into(name, lab).await;
    let enters = matches!(reply, LabReply::Enter(_));
    write_line(&mut write, &reply).await?;
    if enters {
        tokio::select! {
            _ = read.read_u8() => {}
            () = lab.over.cancelled() => {}
        }
    }
    Ok(())
}

async fn way_into(name: &str, lab: &SharedLab) -> LabReply {
    let host = match host_named(lab, name) {
        Ok(host) => host,
        Err(refused) => return refused,
    };
    let network = match timeout(FIND_DEADLINE, lab.hosts.namespace(host)).await {
        Ok(Ok(network)) => network,
        Ok(Err(error)) => {
            return refused(ErrorClass::Environment, format!("{name} cannot be entered: {error:#}"), None);
        }
        Err(_) => return refused(ErrorClass::Environment, format!("the engine does not say where {name} is"), None),
    };
    let (plan, backend) = (lab.hosts.plan(), lab.backend);
    let (api, address) = match host {
        HeldHost::Node(node) => (Some(lab.hosts.api(node)), plan.node(node).address),
        HeldHost::Router(network) => (None, plan.network(network).gateway),
    };
    let keys = keys(lab, host).await;
    let user = access::entered().then(|| format!("/proc/{}/ns/user", std::process::id()).into());
    LabReply::Enter(Box::new(EnterBody { network, user, api, keys, title: format!("{name} ({address}) on {backend}") }))
}

/// Where the secrets of a host's connections are: those of a node, and through a router pass those of all.
async fn keys(lab: &SharedLab, host: HeldHost) -> Vec<PathBuf> {
    let all = || {
        (0..lab.hosts.plan().nodes.len()).map(NodeIndex).filter(|node| lab.hosts.state(*node) != HeldState::Unstarted)
    };
    let nodes: Vec<NodeIndex> = match host {
        HeldHost::Node(node) => vec![node],
        HeldHost::Router(_) => all().collect(),
    };
    let mut keys = Vec::new();
    for node in nodes {
        match timeout(FIND_DEADLINE, lab.hosts.keys(node)).await {
            Ok(Ok(Some(file))) => keys.push(file),
            Ok(Ok(None)) | Err(_) => break,
            Ok(Err(error)) => tracing::warn!(%error, "the secrets of a node are not found"),
        }
    }
    keys
}

/// Joins the other end and the control API of a node.
async fn stream(
    name: &str,
    lab: &SharedLab,
    mut read: BufReader<OwnedReadHalf>,
    mut write: OwnedWriteHalf,
) -> io::Result<()> {
    let node = match node_named(lab, name) {
        Ok(node) => node,
        Err(refused) => return write_line(&mut write, &refused).await,
    };
    let mut api = match lab.hosts.connect(node).await {
        Ok(api) => api,
        Err(error) => {
            let state = lab.hosts.state(node);
            let why = match state {
                HeldState::Up => format!("{name} does not answer: {error:#}"),
                _ => format!("{name} is {state}"),
            };
            return write_line(&mut write, &refused(ErrorClass::Environment, why, None)).await;
        }
    };
    write_line(&mut write, &LabReply::Stream(lab.hosts.api(node))).await?;
    let mut here = tokio::io::join(&mut read, &mut write);
    tokio::select! {
        copied = tokio::io::copy_bidirectional(&mut here, &mut api) => copied.map(drop),
        () = lab.over.cancelled() => Ok(()),
    }
}

/// A node, or a router by the name of its network.
fn host_named(lab: &SharedLab, name: &str) -> Result<HeldHost, LabReply> {
    let networks = &lab.hosts.plan().networks;
    let router = name.strip_prefix(ROUTER_PREFIX);
    let router = router.and_then(|name| networks.iter().position(|network| network.name == name));
    match router {
        Some(network) => Ok(HeldHost::Router(NetworkIndex(network))),
        None => node_named(lab, name).map(HeldHost::Node),
    }
}

fn node_named(lab: &SharedLab, name: &str) -> Result<NodeIndex, LabReply> {
    let plan = lab.hosts.plan();
    if let Some(node) = plan.nodes.iter().position(|node| node.name == name) {
        return Ok(NodeIndex(node));
    }
    let routers: Vec<String> = plan.networks.iter().map(|network| format!("{ROUTER_PREFIX}{}", network.name)).collect();
    let names = plan
        .nodes
        .iter()
        .filter(|node| !is_slot(node))
        .map(|node| node.name.as_str())
        .chain(routers.iter().map(String::as_str));
    let hint = suggestion(name, names, "nodes and routers");
    let error = format!("the lab `{}` has no node `{name}`", lab.name);
    Err(LabReply::Refused { error, remedy: hint, class: ErrorClass::User })
}

fn refused(class: ErrorClass, error: String, remedy: Option<&str>) -> LabReply {
    LabReply::Refused { error, remedy: remedy.map(str::to_owned), class }
}

/// The lab as it is now.
pub(super) fn body(lab: &SharedLab) -> LabBody {
    let plan = lab.hosts.plan();
    let node = |(index, node): (usize, &crate::plan::NodePlan)| LabNodeBody {
        name: node.name.clone(),
        state: lab.hosts.state(NodeIndex(index)),
        address: node.address,
        network: plan.network(node.network).name.clone(),
    };
    let started = |node: &LabNodeBody| node.state != HeldState::Unstarted;
    LabBody {
        lab: lab.name.clone(),
        topology: plan.name.clone(),
        backend: lab.backend.to_owned(),
        keeper: std::process::id(),
        up_s: lab.began.elapsed().as_secs(),
        playing: lab.playing.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone(),
        nodes: plan.nodes.iter().enumerate().filter(|(_, node)| !is_slot(node)).map(node).filter(started).collect(),
        networks: plan
            .networks
            .iter()
            .map(|network| LabNetworkBody {
                name: network.name.clone(),
                subnet: network.subnet,
                behind: network.behind.as_ref().map(|uplink| plan.network(uplink.to).name.clone()),
            })
            .collect(),
    }
}
