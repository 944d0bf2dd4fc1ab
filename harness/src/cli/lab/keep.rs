//! The keeper's own process: what `harness up` starts, or becomes with `--foreground`.

use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use butter_cli::end_signals::EndSignals;
use butter_cli::{chain, output};
use serde::{Deserialize, Serialize};

use super::super::backend_choice::{BackendArg, BackendKind};
use super::super::error::CommandError;
use super::super::progress::ProgressDisplay;
use super::super::{Exit, fail, signals, tell};
use super::up::welcome;
use crate::backend::docker::{DockerBackend, DockerOptions};
use crate::backend::netns::{NetnsBackend, NetnsOptions};
use crate::error_class::ErrorClass;
use crate::lab::directory::LabDirectory;
use crate::lab::keeper::{KeeperError, keep};
use crate::lab::protocol::LabBody;
use crate::lab::slots;
use crate::planner;
use crate::progress::Progress;
use crate::run::{StopReason, StopSignal};
use crate::topology::{FILE_BYTES_MAX, Overrides};

/// The hidden command.
pub(super) const COMMAND: &str = "keeper";
/// Longest line of orders: a topology file as JSON, and some more.
const ORDERS_MAX: u64 = 6 * FILE_BYTES_MAX + (1 << 16);

/// What a keeper is to deploy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeeperSpec {
    /// The folder of the lab, which exists.
    pub(super) directory: PathBuf,
    /// Name of the topology file.
    pub(super) file: String,
    /// All of that file.
    pub(super) text: String,
    /// In place of the file's seed.
    pub(super) seed: Option<u64>,
    /// In place of the file's variables.
    pub(super) set: Vec<(String, String)>,
    /// Whether routers are probed.
    pub(super) probe: bool,
    /// Whether nodes write down their secrets.
    pub(super) keys: bool,
}

/// What a keeper says until its lab is up.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeeperWord {
    /// As [`Progress::begin`].
    Begin(String, u64),
    /// As [`Progress::advance`].
    Advance(u64),
    /// As [`Progress::note`].
    Note(String),
    /// The lab is up. The last word.
    Up(LabBody),
    /// The lab is not up, and nothing is left. The last word.
    Failed {
        /// Why not, as a message.
        error: String,
        /// What the user can do about it.
        remedy: Option<String>,
        /// Who can.
        class: ErrorClass,
        /// Whether it was interrupted.
        interrupted: bool,
    },
}

/// Progress as words.
struct Words;

impl Words {
    fn say(word: &KeeperWord) {
        let mut line = serde_json::to_vec(word).expect("plain data is always JSON");
        line.push(b'\n');
        // Once the lab is up, the command that listened has gone: then this is dropped.
        output::data(&line);
    }
}

impl Progress for Words {
    fn begin(&mut self, what: &str, total: u64) {
        Words::say(&KeeperWord::Begin(what.to_owned(), total));
    }

    fn advance(&mut self, done: u64) {
        Words::say(&KeeperWord::Advance(done));
    }

    fn note(&mut self, line: &str) {
        Words::say(&KeeperWord::Note(line.to_owned()));
    }
}

/// The process that `harness up` starts: its orders are the first line of standard input. The end of that input, before the lab is
/// up, has it give up.
pub(in super::super) async fn keeper(backend: BackendArg) -> Exit {
    // It was started by way of a path that names nothing.
    let _ = nix::sys::prctl::set_name(c"harness");
    // Before anything is read: the program may start itself anew.
    let kind = match backend.choose().await {
        Ok(kind) => kind,
        Err(error) => return failed(error.into()),
    };
    let mut line = String::new();
    let read = io::stdin().lock().take(ORDERS_MAX).read_line(&mut line);
    let spec: KeeperSpec = match read.and_then(|_| serde_json::from_str(&line).map_err(io::Error::from)) {
        Ok(spec) => spec,
        Err(source) => return failed(CommandError::File { path: "standard input".into(), source }),
    };
    let caught = match EndSignals::catch() {
        Ok(caught) => caught,
        Err(error) => return failed(CommandError::Signals(error)),
    };
    let (stop, is_up) = (StopSignal::default(), Arc::new(AtomicBool::new(false)));
    let (orphaned, deployed) = (stop.clone(), Arc::clone(&is_up));
    std::thread::spawn(move || {
        // Nothing follows the orders: this waits for the end of whoever gave them.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        if !deployed.load(Ordering::SeqCst) {
            orphaned.request(StopReason::Interrupted);
        }
    });
    tokio::spawn(signals::serve(caught, stop.clone()));
    let up = |lab| {
        is_up.store(true, Ordering::SeqCst);
        // Where it was started is not held on to.
        let _ = std::env::set_current_dir("/");
        Words::say(&KeeperWord::Up(lab));
    };
    match deploy(spec, kind, &mut Words, &stop, up).await {
        Ok(()) => Exit::Passed,
        Err(error) if is_up.load(Ordering::SeqCst) => fail(error),
        Err(error) => failed(error),
    }
}

fn failed(error: CommandError) -> Exit {
    Words::say(&KeeperWord::Failed {
        error: chain::one_line(&error),
        remedy: error.remedy(),
        class: error.class(),
        interrupted: matches!(error, CommandError::Interrupted(_)),
    });
    fail(error)
}

/// `harness up --foreground`.
pub(super) async fn in_foreground(
    spec: KeeperSpec,
    kind: BackendKind,
    caught: EndSignals,
    mut display: ProgressDisplay,
) -> Result<(), CommandError> {
    let stop = StopSignal::default();
    let serving = tokio::spawn(signals::serve(caught, stop.clone()));
    let up = |lab: LabBody| {
        welcome(&lab);
        tell("Ctrl-C removes it");
    };
    let kept = deploy(spec, kind, &mut display, &stop, up).await;
    serving.abort();
    display.finish();
    kept
}

async fn deploy(
    spec: KeeperSpec,
    kind: BackendKind,
    progress: &mut dyn Progress,
    stop: &StopSignal,
    up: impl FnOnce(LabBody),
) -> Result<(), CommandError> {
    let directory = LabDirectory::at(spec.directory);
    let overrides = Overrides { seed: spec.seed, set: spec.set, folder: None };
    // It was valid where it was read first.
    let mut plan = planner::read(&spec.file, &spec.text, &overrides)
        .map_err(|diagnostics| anyhow::anyhow!("{}", diagnostics.render(false)))?;
    slots::add(&mut plan);
    let (topology, probe, keys) = (plan.name.clone(), spec.probe, spec.keys);
    let kept: Result<(), KeeperError> = match kind {
        BackendKind::Docker => {
            let options = DockerOptions { probe, keys, held: true, ..DockerOptions::default() };
            keep(DockerBackend::new(plan, options), directory, (&topology, overrides), (progress, stop), up).await
        }
        BackendKind::Netns => {
            let logs = Some(directory.logs());
            let options = NetnsOptions { probe, keys, held: true, logs, ..NetnsOptions::default() };
            keep(NetnsBackend::new(plan, options), directory, (&topology, overrides), (progress, stop), up).await
        }
        BackendKind::Sim => return Err(CommandError::LabOnSimulator),
    };
    Ok(kept?)
}
