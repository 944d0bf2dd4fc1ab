//! `harness capture`: packets of a host.

use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use butter_cli::end_signals::EndSignals;
use butter_cli::values;
use clap::Args as ClapArgs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

use super::super::error::CommandError;
use super::super::{Exit, tell};
use super::HostArgs;
use super::exec::inside;
use crate::lab::capture::{COMMAND, CaptureOrder};
use crate::lab::client::LabConnection;
use crate::lab::protocol::{LabReply, LabRequest};

#[derive(Debug, ClapArgs)]
pub(in super::super) struct Args {
    #[command(flatten)]
    host: HostArgs,
    /// Write pcapng to this file, or `-` for standard output [default: a line for each packet]
    #[arg(long, short, value_name = "FILE")]
    write: Option<PathBuf>,
    /// End after this many packets
    #[arg(long, short, value_name = "N", value_parser = values::count(1..=u64::MAX))]
    count: Option<u64>,
    /// End after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = values::duration)]
    time: Option<Duration>,
}

pub(in super::super) async fn capture(args: &Args) -> Result<Exit, CommandError> {
    let directory = args.host.lab.find()?;
    let mut signals = EndSignals::catch().map_err(CommandError::Signals)?;
    let mut keeper = LabConnection::ask(&directory, &LabRequest::Enter { host: args.host.node.clone() }).await?;
    let LabReply::Enter(way) = keeper.answer().await? else { return Err(keeper.unexpected().into()) };
    let output = match &args.write {
        None => Stdio::inherit(),
        Some(path) if path == Path::new("-") => {
            if std::io::stdout().is_terminal() {
                let source = std::io::Error::other("pcapng is not shown on a terminal");
                return Err(CommandError::File { path: "standard output".into(), source });
            }
            Stdio::inherit()
        }
        Some(path) => File::create(path).map_err(|source| CommandError::File { path: path.clone(), source })?.into(),
    };
    if args.write.is_some() && way.keys.is_empty() {
        tell("note: the file opens no QUIC payloads, as the lab was not brought up with --keys");
    }
    let order = CaptureOrder {
        keys: way.keys.clone(),
        text: args.write.is_none(),
        count: args.count,
        time_ms: args.time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
    };
    let order = serde_json::to_string(&order).expect("plain data is always JSON");
    let mut command = Command::new("/proc/self/exe");
    command.arg0("harness").args([COMMAND, &order]).stdin(Stdio::null()).stdout(output).kill_on_drop(true);
    // It ends with its own last words at the signals of this process, not at those of the terminal.
    command.process_group(0);
    inside(&mut command, &way).map_err(|source| CommandError::Enter { host: args.host.node.clone(), source })?;
    let failed = |source| CommandError::Start { program: "the capture".to_owned(), source };
    let mut child = command.spawn().map_err(failed)?;
    let end = |child: &tokio::process::Child| {
        // Fails only for one that has ended.
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let _ = pid.map(|pid| kill(Pid::from_raw(pid), Signal::SIGINT));
    };
    tell(&format!("capturing at {}; Ctrl-C ends it", way.title));
    let mut gone = false;
    loop {
        tokio::select! {
            status = child.wait() => {
                let ended = status.map_err(failed)?.success();
                return Ok(if ended && !gone { Exit::Passed } else { Exit::Environment });
            }
            () = signals.next() => end(&child),
            _ = keeper.next(), if !gone => {
                gone = true;
                tell(&format!("the lab `{}` has gone: ending the capture", directory.name()));
                end(&child);
            }
        }
    }
}
