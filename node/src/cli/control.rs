//! The commands that ask a node which runs.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use clap::Subcommand;

use butter::api::{
    BLOBS_PATH, HOPS_HEADER, LEAVE_PATH, MESSAGES_HEADER, PEERS_PATH, PathBody, PeerBody, PeersBody, PutBody,
    START_PATH, STATUS_PATH, StatusBody,
};
use butter::core::identity::BlockId;
use butter::overlay::data::VALUE_MAX;

use super::client::{ApiClient, json};
use super::{ApiArgs, Failure};

#[derive(Debug, Subcommand)]
pub(super) enum ControlCommand {
    /// Store a file in the network and print the id by which it is found
    PutBody {
        /// The file; `-` for standard input
        file: PathBuf,
    },
    /// Find what was stored and write it to standard output
    Get {
        /// As printed by `butter put`
        id: BlockId,
        /// Write to this file instead
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// List the peers that the node knows, neighbours first
    PeersBody {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show how the node is
    StatusBody {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the node's id
    Id,
    /// Start a node that waits because of --start-paused
    Start,
    /// Have the node hand over what it keeps, and end
    Leave,
}

pub(super) async fn execute(command: ControlCommand, api: ApiArgs) -> Result<(), Failure> {
    let client = ApiClient::new(api)?;
    match command {
        ControlCommand::PutBody { file } => put(&client, &file).await,
        ControlCommand::Get { id, output } => get(&client, id, output.as_deref()).await,
        ControlCommand::PeersBody { json } => {
            let peers: PeersBody = client.get_json(PEERS_PATH).await?;
            print(&if json { to_json(&peers) } else { peers.peers.iter().map(peer_line).collect() })
        }
        ControlCommand::StatusBody { json } => {
            let status: StatusBody = client.get_json(STATUS_PATH).await?;
            print(&if json { to_json(&status) } else { status_text(&status) })
        }
        ControlCommand::Id => {
            let status: StatusBody = client.get_json(STATUS_PATH).await?;
            print(&format!("{}\n", status.id))
        }
        ControlCommand::Start => client.post(START_PATH, Bytes::new()).await.map(|_| ()),
        ControlCommand::Leave => client.post(LEAVE_PATH, Bytes::new()).await.map(|_| ()),
    }
}

async fn put(client: &ApiClient, file: &Path) -> Result<(), Failure> {
    let value = read(file).map_err(Failure::Usage)?;
    let put: PutBody = json(&client.post(BLOBS_PATH, value.into()).await?)?;
    eprintln!("stored in {} ms: {} blocks", put.took_us / 1_000, put.blocks.len());
    print(&format!("{}\n", put.id))
}

/// All of `file`, or of standard input for `-`.
fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file).with_context(|| file.display().to_string())?)
    };
    let mut value = Vec::new();
    source.take(VALUE_MAX as u64 + 1).read_to_end(&mut value).with_context(|| file.display().to_string())?;
    if value.len() > VALUE_MAX {
        return Err(anyhow!("{}: more than {} MiB, the most that one value may hold", file.display(), VALUE_MAX >> 20));
    }
    Ok(value)
}

async fn get(client: &ApiClient, id: BlockId, output: Option<&Path>) -> Result<(), Failure> {
    let answer = client.get(&format!("{BLOBS_PATH}/{id}")).await?;
    let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("?").to_owned();
    eprintln!("found {} hops away, by {} messages", header(HOPS_HEADER), header(MESSAGES_HEADER));
    match output {
        None => write_out(&answer.body),
        Some(file) => {
            std::fs::write(file, &answer.body).with_context(|| file.display().to_string()).map_err(Failure::Environment)
        }
    }
}

fn peer_line(peer: &PeerBody) -> String {
    let path = match peer.link.as_ref().map(|link| link.path) {
        Some(Some(PathBody::Lan)) => "lan",
        Some(Some(PathBody::Direct)) => "direct",
        Some(Some(PathBody::Mapped)) => "mapped",
        Some(Some(PathBody::Punched)) => "punched",
        Some(Some(PathBody::Predicted)) => "predicted",
        Some(Some(PathBody::Relayed)) => "relayed",
        Some(None) => "linked",
        None => "-",
    };
    let role = if peer.neighbour { "neighbour" } else { "known" };
    let at = peer.link.and_then(|link| link.remote).or(peer.external_address).or(peer.local.first().copied());
    let at = at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    format!("{} {role:<9} {path:<9} {at}\n", peer.id)
}

fn status_text(status: &StatusBody) -> String {
    let list =
        |addresses: &[std::net::SocketAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut lines = vec![
        ("id", status.id.to_string()),
        ("version", status.version.clone()),
        ("up for", humantime::format_duration(std::time::Duration::from_secs(status.uptime_s as u64)).to_string()),
        ("listening", list(&status.addresses)),
        ("neighbours", format!("{} of {} known hosts", status.neighbours, status.known_hosts)),
        (
            "storage",
            format!(
                "{} blocks, {} of {}",
                status.storage.blocks,
                bytesize::ByteSize(status.storage.bytes),
                bytesize::ByteSize(status.storage.limit_bytes)
            ),
        ),
        (
            "groups led",
            format!(
                "{} under-replicated, {} healthy, {} over-replicated",
                status.groups.under_replicated, status.groups.healthy, status.groups.over_replicated
            ),
        ),
    ];
    let external_address = [
        status.external_address.map(|external_address| ("seen as", external_address.to_string())),
        status.nat.map(|nat| ("NAT", nat.describe().to_owned())),
        status.via.map(|via| ("met through", format!("{} at {}", via.id, via.address))),
    ];
    lines.splice(4..4, external_address.into_iter().flatten());
    if status.ambassador {
        lines.insert(2, ("serves as", "ambassador".to_owned()));
    }
    lines.iter().map(|(name, value)| format!("{name:<12}{value}\n")).collect()
}

fn to_json(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("shapes of the API are JSON");
    text.push('\n');
    text
}

fn print(text: &str) -> Result<(), Failure> {
    write_out(text.as_bytes())
}

fn write_out(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // Whoever reads has enough, as `butter peers | head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("standard output").map_err(Failure::Environment),
    }
}
