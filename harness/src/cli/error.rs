//! Errors of the commands, one variant for each operation that fails on its own account.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use butter::http::client::HttpError;
use butter_cli::logging::LogFilterError;
use butter_cli::output::WriteError;

use crate::backend::BackendError;
use crate::error_class::ErrorClass;
use crate::explain::RecordError;
use crate::lab::LabError;
use crate::lab::client::DownError;
use crate::lab::keeper::KeeperError;
use crate::netns::access::NamespaceError;
use crate::report_page::PageError;
use crate::results::directory::DirectoryError;
use crate::results::manifest::ManifestError;
use crate::results::run_set::RunSetError;

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// A variable holds no log filter. Nothing was done.
    #[error(transparent)]
    LogFilter(#[from] LogFilterError),
    /// The system gives no threads. Nothing was done.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// Ctrl-C and SIGTERM cannot be handled. Nothing was done.
    #[error("cannot handle signals")]
    Signals(#[source] io::Error),
    /// Metrics cannot be served at the address. Nothing was deployed.
    #[error("cannot serve metrics on {address}")]
    Metrics {
        /// As resolved from the command line.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The report cannot be served at the address. Nothing was deployed.
    #[error("cannot serve the report on {address}")]
    Serve {
        /// As resolved from the command line.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The terminal cannot be filled. The run was played without that.
    #[error("the run cannot fill the terminal")]
    Screen(#[source] io::Error),
    /// A fidelity was asked for where nodes are real processes. Nothing was deployed.
    #[error("a fidelity is the simulator's, and on this backend nodes run QUIC itself")]
    FidelityOfRealQuic,
    /// Nodes that are processes choose their neighbours. Nothing was deployed.
    #[error("`{topology}` prescribes the graph of known hosts, which nodes on {backend} choose themselves")]
    GraphOnRealNodes {
        /// Name of the topology.
        topology: String,
        /// Name of the backend.
        backend: &'static str,
    },
    /// A backend, an image or a router failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The record of a run has no directory, or cannot be written.
    #[error(transparent)]
    Record(#[from] DirectoryError),
    /// A record cannot be played again. Nothing was created.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Records cannot be read. Nothing was created.
    #[error(transparent)]
    RunSet(#[from] RunSetError),
    /// The page of a run, or of several, cannot be made. The record is as it was.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The directory for a run with this seed holds another one. Nothing was created.
    #[error("{0} holds a run of another topology, with other settings or on another backend")]
    OtherRuns(PathBuf),
    /// Records of different backends are to be played, and no backend is named. Nothing was created.
    #[error("the records were made on different backends")]
    BackendsDiffer,
    /// The events of a run cannot be read.
    #[error(transparent)]
    Events(#[from] RecordError),
    /// The samples of a run cannot be read.
    #[error("cannot read {path}")]
    Samples {
        /// The file in question.
        path: PathBuf,
        /// From the system or the decoder.
        source: io::Error,
    },
    /// The JUnit report cannot be written. The runs are over.
    #[error("cannot write the JUnit report {path}")]
    Junit {
        /// As given on the command line.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The summary cannot be appended to. The runs are over, or none has begun.
    #[error("cannot write the summary {path}")]
    Summary {
        /// As given on the command line.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A result has no form in XML; the text is from the writer.
    #[error("cannot express the results as JUnit XML: {0}")]
    JunitText(String),
    /// A lab cannot be reached or changed.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// Datagrams are captured in a run only where they are simulated. Nothing was deployed.
    #[error("a run captures the datagrams of a node only on the simulator, with fidelity packet")]
    CaptureOfRun,
    /// The topology has no such node. Nothing was deployed.
    #[error("`{topology}` has no node `{node}`")]
    NoSuchNode {
        /// Name of the topology.
        topology: String,
        /// As given on the command line.
        node: String,
        /// Names that there are.
        hint: Option<String>,
    },
    /// A signal ended a command before it had done its work. Nothing is left.
    #[error("{0}")]
    Interrupted(String),
    /// A lab is made of processes. Nothing was deployed.
    #[error("the simulator has no lab that can be left up")]
    LabOnSimulator,
    /// A request to a node of a lab brought no answer.
    #[error("the request to {node} failed")]
    LabNode {
        /// Name of the node.
        node: String,
        /// From the connection.
        source: HttpError,
    },
    /// A node of a lab refuses.
    #[error("{error}")]
    LabNodeRefused {
        /// As the node says it.
        error: String,
        /// What the user can do about it.
        remedy: Option<String>,
    },
    /// A file of this command cannot be read or written.
    #[error("cannot use {path}")]
    File {
        /// As given on the command line.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A host of a lab cannot be entered. Nothing was started.
    #[error("cannot enter the network namespace of {host}")]
    Enter {
        /// Name of the node or router.
        host: String,
        /// From the kernel.
        source: io::Error,
    },
    /// A program cannot be started in a lab.
    #[error("cannot start {program}")]
    Start {
        /// As given on the command line.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// Pages cannot be written. The error names the path.
    #[error(transparent)]
    Pages(io::Error),
    /// Output was lost.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<NamespaceError> for CommandError {
    fn from(error: NamespaceError) -> Self {
        CommandError::Backend(error.into())
    }
}

impl From<anyhow::Error> for CommandError {
    fn from(error: anyhow::Error) -> Self {
        CommandError::Backend(error.into())
    }
}

impl From<DownError> for CommandError {
    fn from(error: DownError) -> Self {
        match error {
            DownError::Lab(error) => error.into(),
            DownError::Backend(error) => error.into(),
        }
    }
}

impl From<KeeperError> for CommandError {
    fn from(error: KeeperError) -> Self {
        match error {
            KeeperError::Lab(error) => error.into(),
            KeeperError::Backend(error) => error.into(),
            KeeperError::Interrupted(_) => CommandError::Interrupted(error.to_string()),
        }
    }
}

impl CommandError {
    /// Who can do something about it.
    pub(crate) fn class(&self) -> ErrorClass {
        match self {
            CommandError::LogFilter(_)
            | CommandError::FidelityOfRealQuic
            | CommandError::GraphOnRealNodes { .. }
            | CommandError::Record(DirectoryError::NotEmpty(_))
            | CommandError::Manifest(_)
            | CommandError::RunSet(_)
            | CommandError::Page(PageError::Record(_))
            | CommandError::OtherRuns(_)
            | CommandError::Samples { .. }
            | CommandError::Events(_)
            | CommandError::LabOnSimulator
            | CommandError::CaptureOfRun
            | CommandError::NoSuchNode { .. }
            | CommandError::File { .. }
            | CommandError::BackendsDiffer => ErrorClass::User,
            CommandError::Lab(error) => error.class(),
            CommandError::JunitText(_) => ErrorClass::Bug,
            CommandError::Backend(error) => error.class(),
            CommandError::Runtime(_)
            | CommandError::Interrupted(_)
            | CommandError::LabNode { .. }
            | CommandError::LabNodeRefused { .. }
            | CommandError::Enter { .. }
            | CommandError::Start { .. }
            | CommandError::Signals(_)
            | CommandError::Metrics { .. }
            | CommandError::Serve { .. }
            | CommandError::Screen(_)
            | CommandError::Record(DirectoryError::Io { .. })
            | CommandError::Junit { .. }
            | CommandError::Summary { .. }
            | CommandError::Pages(_)
            | CommandError::Page(PageError::Unwritable { .. })
            | CommandError::Write(_) => ErrorClass::Environment,
        }
    }

    /// What to do about it, if that is known.
    pub(crate) fn remedy(&self) -> Option<String> {
        match self {
            CommandError::Backend(error) => error.remedy(),
            CommandError::Lab(error) => error.remedy(),
            CommandError::LabNodeRefused { remedy, .. } => remedy.clone(),
            CommandError::NoSuchNode { hint, .. } => hint.clone(),
            CommandError::CaptureOfRun => Some(
                "choose --backend sim --fidelity packet; of real nodes: harness up FILE --keys, harness capture NODE"
                    .to_owned(),
            ),
            CommandError::LabOnSimulator => {
                Some("choose --backend netns or docker; harness doctor says what they lack here".to_owned())
            }
            CommandError::Enter { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("hosts on Docker belong to root: run this command, and `harness up` before it, as root".to_owned())
            }
            CommandError::Manifest(error) => error.remedy(),
            CommandError::OtherRuns(_) => Some("choose another directory with --out".to_owned()),
            CommandError::BackendsDiffer => Some("name one with --backend".to_owned()),
            CommandError::FidelityOfRealQuic => {
                Some("choose the simulator with --backend sim, or leave --fidelity out".to_owned())
            }
            CommandError::GraphOnRealNodes { .. } => {
                Some("choose the simulator with --backend sim, or the nodes' own graph with graph: none".to_owned())
            }
            CommandError::Metrics { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                Some("choose a free port: --metrics localhost:0".to_owned())
            }
            CommandError::Serve { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                Some("choose another port, or a free one: --serve".to_owned())
            }
            _ => None,
        }
    }
}
