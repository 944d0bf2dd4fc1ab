//! The commands' end of a connection to a keeper.

use std::time::Duration;

use butter::http::client::{ClientLimits, ConnectError, Connector, HttpClient};
use butter::overlay::data::VALUE_MAX;
use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::LabError;
use super::directory::{LabDirectory, LabState};
use super::protocol::{LabBody, LabReply, LabRequest, read_line_on, write_line};
use crate::backend::BackendError;
use crate::backend::held::HeldApi;
use crate::clean::{self, CleanScope};
use crate::progress::Progress;

/// How long a keeper may take to answer a question that takes no work.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// How long it may take to end once it has removed its lab.
const END_DEADLINE: Duration = Duration::from_secs(10);
/// The same for one that is interrupted while it deploys.
const DEPLOYED_END_DEADLINE: Duration = Duration::from_secs(120);
/// Pause between looks at a process that ends.
const END_PAUSE: Duration = Duration::from_millis(10);
/// Time for a stream to a node, and the longest answer that is read.
const LIMITS: ClientLimits =
    ClientLimits { connect_deadline: Duration::from_secs(10), answer_bytes: VALUE_MAX + (1 << 20) };

/// A connection on which one question is asked.
#[derive(Debug)]
pub(crate) struct LabConnection {
    lab: String,
    stream: BufReader<UnixStream>,
    /// The beginning of a line that has not come to its end.
    begun: Vec<u8>,
}

impl LabConnection {
    /// Asks the keeper of a lab.
    ///
    /// # Errors
    /// If there is no keeper that takes a question.
    pub(crate) async fn ask(lab: &LabDirectory, request: &LabRequest) -> Result<Self, LabError> {
        let name = || lab.name().to_owned();
        let state = lab.state();
        match &state {
            None => return Err(LabError::Starting(name())),
            Some(state) if state.is_dead() => return Err(LabError::Gone(name())),
            Some(state) if !state.up => return Err(LabError::Starting(name())),
            Some(_) => {}
        }
        let broken = |error| LabError::Broken(name(), error);
        let stream = timeout(ANSWER_DEADLINE, UnixStream::connect(lab.socket())).await;
        let mut stream =
            stream.map_err(|_| LabError::Silent { name: name(), within: ANSWER_DEADLINE })?.map_err(broken)?;
        write_line(&mut stream, request).await.map_err(broken)?;
        Ok(LabConnection { lab: name(), stream: BufReader::new(stream), begun: Vec::new() })
    }

    /// The next answer, within the time of a question that takes no work.
    ///
    /// # Errors
    /// If it is a refusal, or none comes.
    pub(crate) async fn answer(&mut self) -> Result<LabReply, LabError> {
        let within = ANSWER_DEADLINE;
        let silent = |_| LabError::Silent { name: self.lab.clone(), within };
        timeout(within, Self::read(&self.lab, &mut self.stream, &mut self.begun)).await.map_err(silent)?
    }

    /// The next answer, however long it takes: the keeper ends the connection if it comes to its end.
    ///
    /// # Errors
    /// If it is a refusal, or the connection ends.
    pub(crate) async fn next(&mut self) -> Result<LabReply, LabError> {
        Self::read(&self.lab, &mut self.stream, &mut self.begun).await
    }

    async fn read(lab: &str, stream: &mut BufReader<UnixStream>, begun: &mut Vec<u8>) -> Result<LabReply, LabError> {
        let broken = |error| LabError::Broken(lab.to_owned(), error);
        match read_line_on(stream, begun).await.map_err(broken)? {
            Some(LabReply::Refused { error, remedy, class }) => Err(LabError::Refused { error, remedy, class }),
            Some(reply) => Ok(reply),
            None => Err(broken(std::io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Says that nothing more is asked: what was begun shall end early.
    pub(crate) async fn end_early(&mut self) {
        // Fails only where the keeper has gone, which the next answer shows.
        let _ = self.stream.shutdown().await;
    }

    /// An answer of another kind than was asked for: versions differ.
    pub(crate) fn unexpected(&self) -> LabError {
        let why = std::io::Error::new(std::io::ErrorKind::InvalidData, "it answers something else");
        LabError::Broken(self.lab.clone(), why)
    }

    /// The stream, once nothing is asked any more.
    pub(crate) fn into_stream(self) -> BufReader<UnixStream> {
        self.stream
    }
}

/// What a lab is.
///
/// # Errors
/// If its keeper does not answer.
pub(crate) async fn list(lab: &LabDirectory) -> Result<LabBody, LabError> {
    let mut asked = LabConnection::ask(lab, &LabRequest::List).await?;
    match asked.answer().await? {
        LabReply::Lab(body) => Ok(*body),
        _ => Err(asked.unexpected()),
    }
}

/// Streams to the control API of a node.
#[derive(Debug)]
pub(crate) struct NodeStreams {
    lab: LabDirectory,
    node: String,
    api: HeldApi,
}

/// A client of a node of a lab.
///
/// # Errors
/// If the lab has no such node, or the node does not answer.
pub(crate) async fn node_client(lab: &LabDirectory, node: &str) -> Result<HttpClient<NodeStreams>, LabError> {
    let (_, api) = open(lab, node).await?;
    let token = api.token.clone();
    let streams = NodeStreams { lab: lab.clone(), node: node.to_owned(), api };
    Ok(HttpClient::new(streams, token.as_deref(), LIMITS).expect("the keeper's token is plain hexadecimal"))
}

async fn open(lab: &LabDirectory, node: &str) -> Result<(BufReader<UnixStream>, HeldApi), LabError> {
    let mut asked = LabConnection::ask(lab, &LabRequest::Stream { node: node.to_owned() }).await?;
    match asked.answer().await? {
        LabReply::Stream(api) => Ok((asked.into_stream(), api)),
        _ => Err(asked.unexpected()),
    }
}

impl Connector for NodeStreams {
    type Stream = BufReader<UnixStream>;

    fn host(&self) -> String {
        self.api.address.to_string()
    }

    async fn connect(&self) -> Result<Self::Stream, ConnectError> {
        Ok(open(&self.lab, &self.node).await?.0)
    }
}

/// No body.
pub(crate) const EMPTY: Bytes = Bytes::new();

/// How a lab came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LabEnd {
    /// Its keeper removed it.
    Removed,
    /// Its keeper had gone before; what was left of it is removed.
    Cleaned,
}

/// Why a lab could not be removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownError {
    /// The keeper does not do it.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// What a killed keeper left cannot be removed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Removes a lab, whatever has become of its keeper.
///
/// # Errors
/// If anything of it may be left.
pub(crate) async fn down(lab: &LabDirectory, progress: &mut dyn Progress) -> Result<LabEnd, DownError> {
    match lab.state() {
        Some(state) if state.is_dead() => clean_up(lab, &state, progress).await.map(|()| LabEnd::Cleaned),
        // Made by a process that ended before its keeper began; one that has not ended finds it gone, and gives up.
        None => Ok(lab.remove().map(|()| LabEnd::Cleaned)?),
        Some(state) if !state.up => {
            // Its keeper still deploys, and removes what it has so far.
            if let Some(pid) = state.keeper_pid() {
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
            ended(lab, &state, DEPLOYED_END_DEADLINE).await?;
            Ok(LabEnd::Removed)
        }
        Some(state) => {
            let mut asked = LabConnection::ask(lab, &LabRequest::Down).await?;
            loop {
                match asked.next().await? {
                    LabReply::Line(line) => progress.note(&line),
                    LabReply::Removed => break,
                    _ => return Err(asked.unexpected().into()),
                }
            }
            ended(lab, &state, END_DEADLINE).await?;
            Ok(LabEnd::Removed)
        }
    }
}

/// Waits until the process of a keeper has ended.
async fn ended(lab: &LabDirectory, state: &LabState, within: Duration) -> Result<(), LabError> {
    let deadline = Instant::now() + within;
    while !state.is_dead() {
        if Instant::now() > deadline {
            return Err(LabError::Silent { name: lab.name().to_owned(), within });
        }
        sleep(END_PAUSE).await;
    }
    Ok(())
}

/// Removes what a killed keeper left.
pub(crate) async fn clean_up(
    lab: &LabDirectory,
    state: &LabState,
    progress: &mut dyn Progress,
) -> Result<(), DownError> {
    if state.backend == "docker" {
        clean::clean(CleanScope::Owner(state.keeper.clone()), progress).await?;
    }
    Ok(lab.remove()?)
}
