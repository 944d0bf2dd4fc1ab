//! `harness up`: starts a keeper and waits until the lab is up.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use butter_cli::end_signals::EndSignals;
use butter_cli::terminal::process_environment;
use butter_cli::{logging, output};
use clap::Args as ClapArgs;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::runtime::Handle;

use super::super::backend_choice::{BackendArg, BackendKind};
use super::super::error::CommandError;
use super::super::inspect::{self, OverrideArgs};
use super::super::progress::ProgressDisplay;
use super::super::{Exit, fail, show, tell};
use super::keep::{self, KeeperSpec, KeeperWord};
use super::{down, ps};
use crate::backend::process::node_command::LOG_VARIABLE as NODE_LOG_VARIABLE;
use crate::error_class::ErrorClass;
use crate::lab::LabError;
use crate::lab::client::{LabConnection, clean_up};
use crate::lab::directory::LabDirectory;
use crate::lab::protocol::{LabBody, LabReply, LabRequest, PlayRequest};
use crate::plan::Plan;
use crate::progress::Progress;

/// Longest name that is made of a topology's.
const NAME_MAX: usize = 32;

#[derive(Debug, ClapArgs)]
pub(in super::super) struct Args {
    /// Topology file; `-` reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Backend that nodes and networks run on: docker or netns
    #[arg(long, value_enum, default_value = "auto", env = "HARNESS_BACKEND")]
    backend: BackendArg,
    /// Name of the lab [default: that of the topology]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    overrides: OverrideArgs,
    /// Show what would change in a lab that is up, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Skip the self-probe, which checks that routers behave as declared
    #[arg(long, env = "HARNESS_NO_PROBE")]
    no_probe: bool,
    /// Have nodes write down the secrets of their links, so that `harness capture` opens what they carry
    #[arg(long)]
    keys: bool,
    /// Stay in the foreground: the lab goes with Ctrl-C
    #[arg(long)]
    foreground: bool,
}

pub(in super::super) fn up(args: &Args, runtime: &Handle) -> Exit {
    let Ok(loaded) = inspect::load(&args.file, &args.overrides, true) else { return Exit::Usage };
    match runtime.block_on(bring_up(args, &loaded.plan)) {
        Ok(()) => Exit::Passed,
        Err(error) => fail(error),
    }
}

async fn bring_up(args: &Args, plan: &Plan) -> Result<(), CommandError> {
    logging::check(NODE_LOG_VARIABLE, process_environment(NODE_LOG_VARIABLE))?;
    let name = args.name.clone().unwrap_or_else(|| plan.name.chars().take(NAME_MAX).collect());
    if let Some(lab) = running(&name, args.backend)? {
        return converge(args, plan, &lab).await;
    }
    if args.dry_run {
        return Err(LabDirectory::find(Some(&name)).err().unwrap_or(LabError::Starting(name)).into());
    }
    let kind = if args.foreground { args.backend.choose().await? } else { args.backend.resolve().await?.0 };
    if kind == BackendKind::Sim {
        return Err(CommandError::LabOnSimulator);
    }
    if plan.graph.is_some() {
        return Err(CommandError::GraphOnRealNodes { topology: plan.name.clone(), backend: kind.name() });
    }
    let signals = EndSignals::catch().map_err(CommandError::Signals)?;
    let directory = directory(&name).await?;
    let spec = KeeperSpec {
        directory: directory.path().to_owned(),
        file: args.file.display().to_string(),
        text: plan.source.clone(),
        seed: args.overrides.seed,
        set: args.overrides.set.clone(),
        probe: !args.no_probe,
        keys: args.keys,
    };
    let mut display = ProgressDisplay::new(&name);
    let brought = match args.foreground {
        true => return keep::in_foreground(spec, kind, signals, display).await,
        false => start(&spec, kind, &directory, signals, &mut display).await,
    };
    display.finish();
    match brought {
        Ok(lab) => {
            welcome(&lab);
            Ok(())
        }
        Err(error) => {
            // The keeper has removed it, unless it could not even begin.
            match directory.state() {
                Some(state) if state.is_dead() && !state.up => clean_up(&directory, &state, &mut down::Notes).await?,
                Some(_) => {}
                None => directory.remove()?,
            }
            Err(error)
        }
    }
}

/// The lab of this name, if one is up on that backend.
fn running(name: &str, backend: BackendArg) -> Result<Option<LabDirectory>, LabError> {
    let lab = LabDirectory::named(name)?;
    let Some(state) = lab.state().filter(|state| state.up && !state.is_dead()) else { return Ok(None) };
    match backend == BackendArg::Auto || backend.name() == state.backend {
        true => Ok(Some(lab)),
        false => Err(LabError::Exists(name.to_owned())),
    }
}

/// Brings a lab that is up to the file.
async fn converge(args: &Args, plan: &Plan, lab: &LabDirectory) -> Result<(), CommandError> {
    let file = PlayRequest {
        file: args.file.clone(),
        text: plan.source.clone(),
        seed: args.overrides.seed,
        set: args.overrides.set.clone(),
        width: None,
        ascii: false,
        color: output::stderr().color,
        record: None,
    };
    if args.keys || args.foreground || args.no_probe {
        tell("note: --keys, --foreground and --no-probe count where a lab is deployed, and this one is up");
    }
    let request = LabRequest::Converge { file, dry_run: args.dry_run };
    let mut keeper = LabConnection::ask(lab, &request).await?;
    loop {
        match keeper.next().await? {
            LabReply::Line(line) => show(&format!("{line}\n")),
            LabReply::Lab(_) if args.dry_run => return Ok(()),
            LabReply::Lab(body) => {
                tell(&format!("the lab `{}` is as {} has it", body.lab, args.file.display()));
                return Ok(());
            }
            LabReply::Invalid(problems) => {
                let error = LabError::Refused { error: problems, remedy: None, class: ErrorClass::User };
                return Err(error.into());
            }
            _ => return Err(keeper.unexpected().into()),
        }
    }
}

/// The folder of a new lab. One that a killed keeper left is cleaned up before.
async fn directory(name: &str) -> Result<LabDirectory, CommandError> {
    match LabDirectory::create(name) {
        Err(LabError::Exists(_)) => {}
        created => return Ok(created?),
    }
    let left = LabDirectory::named(name)?;
    match left.state() {
        Some(state) if state.is_dead() => {
            tell(&format!("the keeper of an earlier lab `{name}` has gone: removing what it left"));
            clean_up(&left, &state, &mut down::Notes).await?;
            Ok(LabDirectory::create(name)?)
        }
        Some(_) => Err(LabError::Exists(name.to_owned()).into()),
        None => Err(LabError::Starting(name.to_owned()).into()),
    }
}

/// Starts a keeper in a session of its own and listens to it until the lab is up.
async fn start(
    spec: &KeeperSpec,
    kind: BackendKind,
    directory: &LabDirectory,
    mut signals: EndSignals,
    display: &mut ProgressDisplay,
) -> Result<LabBody, CommandError> {
    let failed = |source| CommandError::Start { program: "the keeper of the lab".to_owned(), source };
    let log = File::create(directory.keeper_log()).map_err(failed)?;
    let (output, input) = io::pipe().map_err(failed)?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("harness").args([keep::COMMAND, kind.name()]);
    command.stdin(Stdio::piped()).stdout(input).stderr(log);
    // SAFETY: setsid(2) is async-signal-safe, and nothing else is done between fork and exec.
    unsafe { command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(io::Error::from)) };
    let mut keeper = command.spawn().map_err(failed)?;
    drop(command);
    let mut orders = keeper.stdin.take();
    let mut line = serde_json::to_vec(spec).expect("plain data is always JSON");
    line.push(b'\n');
    orders.as_mut().expect("it is piped").write_all(&line).map_err(failed)?;
    let output = pipe::Receiver::from_owned_fd(output.into()).map_err(failed)?;
    let mut words = BufReader::new(output).lines();
    loop {
        let word = tokio::select! {
            word = words.next_line() => word.map_err(failed)?,
            () = signals.next() => {
                // The end of its orders has the keeper remove what it has deployed.
                if orders.take().is_some() {
                    display.note("interrupted: removing what was created");
                }
                continue;
            }
        };
        let Some(word) = word else {
            // It ended without a word.
            let _ = keeper.wait();
            let said = std::fs::read_to_string(directory.keeper_log()).unwrap_or_default();
            let said = said.trim_end().lines().last().unwrap_or("it said nothing").to_owned();
            return Err(LabError::Broken(directory.name().to_owned(), io::Error::other(said)).into());
        };
        match serde_json::from_str(&word).map_err(|error| failed(error.into()))? {
            KeeperWord::Begin(what, total) => display.begin(&what, total),
            KeeperWord::Advance(done) => display.advance(done),
            KeeperWord::Note(line) => display.note(&line),
            KeeperWord::Up(lab) => return Ok(lab),
            KeeperWord::Failed { error, remedy, class, interrupted } => {
                let _ = keeper.wait();
                return Err(match interrupted {
                    true => CommandError::Interrupted(error),
                    false => LabError::Refused { error, remedy, class }.into(),
                });
            }
        }
    }
}

/// What is up, and how to go on.
pub(super) fn welcome(lab: &LabBody) {
    show(&ps::table(std::slice::from_ref(lab)));
    let name = &lab.lab;
    let node = lab.nodes.last().map_or("NODE", |node| &node.name);
    tell(&format!("the lab `{name}` is up on {}. Go on with, for example:", lab.backend));
    for line in [
        format!("harness exec {node} -- ip address"),
        format!("harness logs {node} --follow"),
        format!("date | harness put {node} -"),
        "harness play FILE".to_owned(),
        format!("harness down {name}"),
    ] {
        tell(&format!("  {line}"));
    }
}
