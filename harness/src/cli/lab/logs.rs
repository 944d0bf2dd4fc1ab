//! `harness logs`: what a node or a router has written.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use butter_cli::{output, values};
use clap::Args as ClapArgs;
use tokio::time::sleep;

use super::super::Exit;
use super::super::error::CommandError;
use super::HostArgs;
use crate::backend::docker;
use crate::backend::held::LogSource;
use crate::lab::client::LabConnection;
use crate::lab::directory::LabDirectory;
use crate::lab::protocol::{LabReply, LabRequest};

/// Pause between looks at a log that may grow.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, ClapArgs)]
pub(in super::super) struct Args {
    #[command(flatten)]
    host: HostArgs,
    /// Go on with what is written from now on
    #[arg(long, short)]
    follow: bool,
    /// Begin with this many last lines [default: all]
    #[arg(long, value_name = "LINES", value_parser = values::count(0..=u32::MAX))]
    tail: Option<u32>,
}

pub(in super::super) async fn logs(args: &Args) -> Result<Exit, CommandError> {
    let lab = args.host.lab.find()?;
    let mut keeper = LabConnection::ask(&lab, &LabRequest::Log { host: args.host.node.clone() }).await?;
    match keeper.answer().await? {
        LabReply::Log(LogSource::File(path)) => {
            let failed = |source| CommandError::File { path: path.clone(), source };
            print_file(&path, args, &lab).await.map_err(failed)?;
        }
        LabReply::Log(LogSource::Container(name)) => {
            let engine = docker::connect().await.map_err(crate::backend::BackendError::from)?;
            docker::logs::print(&engine.docker, &name, args.follow, args.tail, output::data).await?;
        }
        _ => return Err(keeper.unexpected().into()),
    }
    Ok(Exit::Passed)
}

/// Prints a log; with `follow`, what is added to it as long as the lab is up.
async fn print_file(path: &Path, args: &Args, lab: &LabDirectory) -> std::io::Result<()> {
    let mut file = match File::open(path) {
        // Nothing was written yet.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !args.follow => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => loop {
            match File::open(path) {
                Ok(file) => break file,
                Err(_) if lab.path().exists() => sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        },
        file => file?,
    };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    output::data(args.tail.map_or(&bytes[..], |lines| last_lines(&bytes, lines as usize)));
    let mut read = bytes.len() as u64;
    // The state of a lab goes before its keeper does.
    while args.follow && lab.state().is_some_and(|state| !state.is_dead()) {
        sleep(PAUSE).await;
        file.seek(SeekFrom::Start(read))?;
        bytes.clear();
        read += file.read_to_end(&mut bytes)? as u64;
        output::data(&bytes);
    }
    Ok(())
}

fn last_lines(bytes: &[u8], lines: usize) -> &[u8] {
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if lines == 0 {
        return &[];
    }
    let newlines = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    let start = newlines.map(|(at, _)| at + 1).nth(lines - 1).unwrap_or(0);
    &bytes[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_whole() {
        let log = b"one\ntwo\nthree\n";
        let check = |lines, expected: &str| assert_eq!(last_lines(log, lines), expected.as_bytes());
        check(0, "");
        check(1, "three\n");
        check(2, "two\nthree\n");
        check(9, "one\ntwo\nthree\n");
    }
}
