//! The commands that control a running node.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use butter_cli::output;
use bytes::Bytes;
use clap::Subcommand;

use crate::api::{
    BLOBS_PATH, GroupsBody, HOPS_HEADER, LEAVE_PATH, MESSAGES_HEADER, PEERS_PATH, PathBody, PeerBody, PeersBody,
    PutBody, START_PATH, STATUS_PATH, StatusBody, StoragePlace, keywords_path,
};
use crate::core::blob::Blob;
use crate::core::identity::BlockId;
use crate::overlay::data::block::split;
use crate::overlay::data::{Keywords, VALUE_MAX};

use super::client::{ApiClient, json};
use super::search::{SEARCH_HELP, SearchArgs, search};
use super::{ApiArgs, Failure};

const PUT_HELP: &str = "\
Examples:
  butter put notes.txt
  date | butter put -
  butter put --keywords rust,nat notes.txt

Exit status: 0 stored at all peers that it must have; 1 not; 2 wrong arguments; 3 no node answers.";

const GET_HELP: &str = "\
Examples:
  butter get ID > notes.txt
  butter get ID --output notes.txt

Exit status: 0 found; 1 not found; 2 wrong arguments; 3 no node answers;
4 not found so far, and not every peer has answered.";

#[derive(Debug, Subcommand)]
pub(super) enum ControlCommand {
    /// Store a file in the network and print the id by which it is found
    #[command(after_help = PUT_HELP)]
    Put {
        /// File to store; `-` reads standard input
        file: PathBuf,
        /// Words by which `butter search` finds it, with commas between them: at most 16 of at most 64 bytes
        #[arg(long, value_name = "WORDS", default_value = "", hide_default_value = true, value_parser = Keywords::from_list)]
        keywords: Keywords,
    },
    /// Find values by their keywords and print each as it comes
    #[command(after_help = SEARCH_HELP)]
    Search(SearchArgs),
    /// Find a stored value and write it to standard output
    #[command(after_help = GET_HELP)]
    Get {
        /// Id of the value, as printed by `butter put`
        id: BlockId,
        /// Write to this file instead
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Ask every peer before saying that there is no such value
        #[arg(long)]
        exhaustive: bool,
    },
    /// List the peers that the node knows, neighbours first
    Peers {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the state of the node
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the node's id
    Id,
    /// Start a node that waits because of --start-paused
    Start,
    /// Make the node hand over its blocks to other peers, and stop
    Leave,
}

pub(super) async fn execute(command: ControlCommand, api: ApiArgs) -> Result<(), Failure> {
    let client = ApiClient::new(api)?;
    match command {
        ControlCommand::Put { file, keywords } => put(&client, &file, &keywords).await,
        ControlCommand::Search(args) => search(&client, args).await,
        ControlCommand::Get { id, output, exhaustive } => get(&client, (id, exhaustive), output.as_deref()).await,
        ControlCommand::Peers { json } => {
            let peers: PeersBody = client.get_json(PEERS_PATH).await?;
            show(json, &peers, |peers| peers.peers.iter().map(peer_line).collect());
            Ok(())
        }
        ControlCommand::Status { json } => {
            let status: StatusBody = client.get_json(STATUS_PATH).await?;
            show(json, &status, status_text);
            Ok(())
        }
        ControlCommand::Id => {
            let status: StatusBody = client.get_json(STATUS_PATH).await?;
            output::text(&format!("{}\n", status.id));
            Ok(())
        }
        ControlCommand::Start => client.post(START_PATH, Bytes::new()).await.map(|_| ()),
        ControlCommand::Leave => client.post(LEAVE_PATH, Bytes::new()).await.map(|_| ()),
    }
}

async fn put(client: &ApiClient, file: &Path, keywords: &Keywords) -> Result<(), Failure> {
    let value = read(file).map_err(Failure::Usage)?;
    let value = Bytes::from(value);
    let answer =
        client.post(&keywords_path(keywords), value.clone()).await.map_err(|error| not_stored(error, &value))?;
    let put: PutBody = json(&answer)?;
    output::message(&format!("stored in {} ms: {} blocks", put.took_us / 1_000, put.blocks.len()));
    output::text(&format!("{}\n", put.id));
    Ok(())
}

/// Names the value that was not stored, by the id under which its copies can be found.
fn not_stored(error: Failure, value: &Bytes) -> Failure {
    let Failure::Refused(error, remedy) = error else { return error };
    let id = split(&Blob(value.clone())).first().map(|(id, _)| id.to_string()).unwrap_or_default();
    let text = error.to_string();
    // The node names the value where copies were made.
    let error = if text.contains(&id) { error } else { error.context(format!("value {id} is not stored")) };
    Failure::Refused(error, remedy)
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

async fn get(client: &ApiClient, (id, exhaustive): (BlockId, bool), output: Option<&Path>) -> Result<(), Failure> {
    let answer = client.get(&format!("{BLOBS_PATH}/{id}?exhaustive={exhaustive}")).await?;
    let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("?").to_owned();
    let (hops, messages) = (header(HOPS_HEADER), header(MESSAGES_HEADER));
    output::message(&format!("found {hops} hops away with {messages} messages"));
    match output {
        None => {
            output::data(&answer.body);
            Ok(())
        }
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
    ];
    lines.extend(status.storage.as_ref().map(|storage| {
        let (used, limit) = (bytesize::ByteSize(storage.bytes), bytesize::ByteSize(storage.limit_bytes));
        let place = match storage.place {
            StoragePlace::Memory => "in memory",
            StoragePlace::Disk => "on disk",
        };
        let fault = storage.fault.as_ref().map_or(String::new(), |fault| format!("; takes no blocks: {fault}"));
        ("storage", format!("{} blocks {place}, {used} of {limit}{fault}", storage.blocks))
    }));
    lines.extend(status.groups.map(|groups| {
        let GroupsBody { under_replicated, healthy, over_replicated } = groups;
        let states =
            format!("{under_replicated} under-replicated, {healthy} healthy, {over_replicated} over-replicated");
        ("groups led", states)
    }));
    let external_address = [
        status.external_address.map(|external_address| ("seen as", external_address.to_string())),
        status.nat.map(|nat| ("NAT", nat.describe().to_owned())),
        status.double.map(|at| ("double", format!("another node with this identity is at {at}"))),
        status.via.map(|via| ("met through", format!("{} at {}", via.id, via.address))),
    ];
    lines.splice(4..4, external_address.into_iter().flatten());
    if status.ambassador {
        lines.insert(2, ("serves as", "ambassador".to_owned()));
    }
    lines.iter().map(|(name, value)| format!("{name:<12}{value}\n")).collect()
}

/// Shows a value as JSON, which is data, or as text for people.
fn show<T: serde::Serialize>(json: bool, value: &T, text: impl Fn(&T) -> String) {
    match json {
        true => {
            let mut text = serde_json::to_string_pretty(value).expect("bodies of the API are JSON");
            text.push('\n');
            output::data(text.as_bytes());
        }
        false => output::text(&text(value)),
    }
}
