//! What commands ask of a keeper and what it answers: one JSON line each way, or several answers to one question.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::backend::held::{HeldApi, HeldState, LogSource};
use crate::error_class::ErrorClass;
use crate::results::manifest::ValueOrigin;
use crate::results::result::RunVerdict;
use crate::topology::FILE_BYTES_MAX;

/// Longest line: a topology file, in which each byte may take six characters of JSON, and some more.
const LINE_MAX: u64 = 6 * FILE_BYTES_MAX + (1 << 16);
/// How long a line may take to be written or, once it is due, read.
pub(crate) const LINE_DEADLINE: Duration = Duration::from_secs(10);

/// A question to a keeper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum LabRequest {
    /// What the lab is. Answered with [`LabReply::Lab`].
    List,
    /// The way into a host. Answered with [`LabReply::Enter`]; the connection then stays open as long as the lab is up.
    Enter {
        /// A node, or `router-NETWORK`.
        host: String,
    },
    /// Where the log of a host is. Answered with [`LabReply::Log`].
    Log {
        /// A node, or `router-NETWORK`.
        host: String,
    },
    /// A stream to the control API of a node. Answered with [`LabReply::Stream`]; what follows is the stream.
    Stream {
        /// Name of the node.
        node: String,
    },
    /// Plays a file's steps. Answered with lines, then with [`LabReply::Played`]; closing the connection ends it early.
    Play(PlayRequest),
    /// Brings the lab to a changed file. Answered with lines, then with [`LabReply::Lab`].
    Converge {
        /// The changed file.
        file: PlayRequest,
        /// Whether the changes are only listed.
        dry_run: bool,
    },
    /// Removes the lab. Answered with lines, then with [`LabReply::Removed`].
    Down,
}

/// A file whose steps are to be played.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlayRequest {
    /// Its name, for messages; the files that it names are beside it.
    pub(crate) file: PathBuf,
    /// All of it.
    pub(crate) text: String,
    /// In place of its seed.
    pub(crate) seed: Option<u64>,
    /// In place of its variables.
    pub(crate) set: Vec<(String, String)>,
    /// Columns of the terminal that shows the summary.
    pub(crate) width: Option<u16>,
    /// Whether the terminal shows ASCII alone.
    pub(crate) ascii: bool,
    /// Whether errors are coloured.
    pub(crate) color: bool,
    /// The record that is to be written, if one is.
    #[serde(default)]
    pub(crate) record: Option<RecordRequest>,
}

/// A record of what is played, as a run leaves one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RecordRequest {
    /// Where it is written: an absolute path of an empty directory, or of none.
    pub(crate) directory: PathBuf,
    /// The command line that asks for it.
    pub(crate) command_line: Vec<String>,
    /// Environment variables of this program that are set there.
    pub(crate) environment: BTreeMap<String, String>,
    /// Where the seed of the request comes from, if it has one.
    pub(crate) seed_from: ValueOrigin,
    /// Where the variables of the request come from.
    pub(crate) set_from: ValueOrigin,
}

/// What a keeper answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LabReply {
    /// The lab.
    Lab(Box<LabBody>),
    /// The way into a host.
    Enter(Box<EnterBody>),
    /// Where a log is.
    Log(LogSource),
    /// The stream begins, with this API at its other end.
    Stream(HeldApi),
    /// Something to show while more answers come.
    Line(String),
    /// The steps were played.
    Played {
        /// How it came out.
        verdict: RunVerdict,
        /// For people.
        summary: String,
        /// As `result.json` has it.
        result: String,
        /// Why the record is not whole, if it is not.
        record_error: Option<String>,
    },
    /// The lab has gone.
    Removed,
    /// The file is not valid, and nothing was done: what is wrong with it, for people.
    Invalid(String),
    /// No, and nothing was done.
    Refused {
        /// Why not, as a message.
        error: String,
        /// What the user can do about it.
        remedy: Option<String>,
        /// Who can.
        class: ErrorClass,
    },
}

/// A lab that is up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LabBody {
    /// Name of the lab.
    pub(crate) lab: String,
    /// Name of its topology.
    pub(crate) topology: String,
    /// `docker` or `netns`.
    pub(crate) backend: String,
    /// Process number of its keeper.
    pub(crate) keeper: u32,
    /// Seconds since it is up.
    pub(crate) up_s: u64,
    /// The file that is being played, if one is.
    pub(crate) playing: Option<String>,
    /// Its nodes, those aside that no step has started.
    pub(crate) nodes: Vec<LabNodeBody>,
    /// Its networks.
    pub(crate) networks: Vec<LabNetworkBody>,
}

/// A node of a lab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LabNodeBody {
    /// Name of the node.
    pub(crate) name: String,
    /// What its process is doing.
    pub(crate) state: HeldState,
    /// Its address in its network.
    pub(crate) address: std::net::Ipv4Addr,
    /// Name of that network.
    pub(crate) network: String,
}

/// A network of a lab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LabNetworkBody {
    /// Name of the network; its router is `router-NAME`.
    pub(crate) name: String,
    /// Its addresses.
    pub(crate) subnet: ipnet::Ipv4Net,
    /// The network that it is behind.
    pub(crate) behind: Option<String>,
}

/// The way into a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EnterBody {
    /// Its network namespace.
    pub(crate) network: PathBuf,
    /// The user namespace to enter before, if the lab has its own.
    pub(crate) user: Option<PathBuf>,
    /// The node's control API, as seen from there; none of a router.
    pub(crate) api: Option<HeldApi>,
    /// Files with the secrets that open what passes there.
    pub(crate) keys: Vec<PathBuf>,
    /// What it is, for people: `a-1 (10.1.0.10) on netns`.
    pub(crate) title: String,
}

/// Writes one line within [`LINE_DEADLINE`].
pub(crate) async fn write_line(to: &mut (impl AsyncWrite + Unpin), what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what).expect("plain data is always JSON");
    line.push(b'\n');
    timeout(LINE_DEADLINE, to.write_all(&line)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Reads one line; `None` at the end of the stream. The caller decides how long that may take.
pub(crate) async fn read_line<T: DeserializeOwned>(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<T>> {
    read_line_on(from, &mut Vec::new()).await
}

/// As [`read_line`], where an earlier call that was given up has left the beginning of the line.
pub(crate) async fn read_line_on<T: DeserializeOwned>(
    from: &mut (impl AsyncBufRead + Unpin),
    begun: &mut Vec<u8>,
) -> io::Result<Option<T>> {
    let room = LINE_MAX.saturating_sub(begun.len() as u64);
    from.take(room).read_until(b'\n', begun).await?;
    let line = std::mem::take(begun);
    if line.is_empty() {
        return Ok(None);
    }
    if !line.ends_with(b"\n") {
        let why = if line.len() as u64 == LINE_MAX { "a line is too long" } else { "a line is cut off" };
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    serde_json::from_slice(&line).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_read_as_they_were_written_and_bounded() {
        let mut wire = Vec::new();
        let asked = LabRequest::Enter { host: "router-home".to_owned() };
        write_line(&mut wire, &asked).await.unwrap();
        write_line(&mut wire, &LabRequest::Down).await.unwrap();
        let mut wire = &wire[..];
        assert_eq!(read_line(&mut wire).await.unwrap(), Some(asked));
        assert_eq!(read_line(&mut wire).await.unwrap(), Some(LabRequest::Down));
        assert_eq!(read_line::<LabRequest>(&mut wire).await.unwrap(), None);
        for faulty in [&b"{\"ask\":\"down\"}"[..], b"nonsense\n", &vec![b' '; LINE_MAX as usize + 9]] {
            assert!(read_line::<LabRequest>(&mut &faulty[..]).await.is_err());
        }
    }
}
