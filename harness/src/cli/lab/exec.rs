//! `harness exec` and `harness shell`: programs of this machine in the network of a host.
//!
//! Containers of the testbed hold one program and no shell, and hosts on namespaces have no files at all. So a program runs with the
//! files of this machine and the network of the host.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use butter::driver::api::TOKEN_VARIABLE;
use clap::Args as ClapArgs;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, Signal, signal};
use tokio::process::Command;

use super::super::error::CommandError;
use super::super::{Exit, tell};
use super::HostArgs;
use crate::lab::client::LabConnection;
use crate::lab::protocol::{EnterBody, LabReply, LabRequest};

/// Holds the address of a node's control API, for `butter`.
const API_VARIABLE: &str = "BUTTER_API";
/// The shell where none is named.
const SHELL_DEFAULT: &str = "/bin/sh";

#[derive(Debug, ClapArgs)]
pub(in super::super) struct ExecArgs {
    #[command(flatten)]
    host: HostArgs,
    /// Program of this machine with its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(in super::super) struct ShellArgs {
    #[command(flatten)]
    host: HostArgs,
}

pub(in super::super) async fn exec(args: ExecArgs) -> Result<Exit, CommandError> {
    let mut command = args.command.into_iter();
    let program = command.next().expect("clap wants one");
    run(&args.host, program, command.collect(), false).await
}

pub(in super::super) async fn shell(args: ShellArgs) -> Result<Exit, CommandError> {
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| SHELL_DEFAULT.into());
    let interactive = io::stdin().is_terminal().then(|| "-i".into());
    run(&args.host, shell, interactive.into_iter().collect(), true).await
}

async fn run(
    HostArgs { lab, node }: &HostArgs,
    program: OsString,
    arguments: Vec<OsString>,
    greets: bool,
) -> Result<Exit, CommandError> {
    let directory = lab.find()?;
    let mut keeper = LabConnection::ask(&directory, &LabRequest::Enter { host: node.clone() }).await?;
    let LabReply::Enter(way) = keeper.answer().await? else { return Err(keeper.unexpected().into()) };
    let enters = |source| CommandError::Enter { host: node.to_owned(), source };
    let mut command = Command::new(&program);
    command.args(arguments).env("HARNESS_NODE", node).kill_on_drop(true);
    if let Some(api) = &way.api {
        command.env(API_VARIABLE, api.address.to_string());
        if let Some(token) = &api.token {
            command.env(TOKEN_VARIABLE, token);
        }
    }
    inside(&mut command, &way).map_err(enters)?;
    if greets {
        tell(&format!("shell in the network of {}; its files are this machine's; `exit` leaves it", way.title));
    }
    // Ctrl-C at the terminal is for the program alone, as with sudo or a shell.
    // SAFETY: ignoring a signal runs no code of this process.
    unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) }.map_err(|error| enters(error.into()))?;
    let failed = |source| CommandError::Start { program: program.to_string_lossy().into_owned(), source };
    let mut child = command.spawn().map_err(failed)?;
    tokio::select! {
        status = child.wait() => Ok(Exit::Program(code(status.map_err(failed)?))),
        // The keeper says nothing more: this is the end of the lab.
        _ = keeper.next() => {
            tell(&format!("the lab `{}` has gone: ending {}", directory.name(), program.to_string_lossy()));
            child.kill().await.map_err(failed)?;
            Ok(Exit::Environment)
        }
    }
}

/// Has a program start in the namespaces of a host, and end with this process.
pub(super) fn inside(command: &mut Command, way: &EnterBody) -> io::Result<()> {
    let network = File::open(&way.network)?;
    let user = way.user.as_ref().map(File::open).transpose()?;
    let enter = move || {
        // With the lab's user namespace comes the right to enter its network.
        if let Some(user) = &user {
            setns(user, CloneFlags::CLONE_NEWUSER)?;
        }
        setns(&network, CloneFlags::CLONE_NEWNET)?;
        // After the change of namespace, which takes the setting back.
        set_pdeathsig(Signal::SIGKILL)?;
        // The program handles Ctrl-C as it likes.
        // SAFETY: the default action runs no code of this process.
        unsafe { signal(Signal::SIGINT, SigHandler::SigDfl) }?;
        Ok(())
    };
    // SAFETY: system calls alone, on descriptors that are open; nothing is allocated between fork and exec.
    unsafe { command.pre_exec(enter) };
    Ok(())
}

fn code(status: ExitStatus) -> u8 {
    let by_signal = || status.signal().map_or(1, |signal| 128 + signal);
    u8::try_from(status.code().unwrap_or_else(by_signal)).unwrap_or(1)
}
