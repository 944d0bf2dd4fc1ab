//! `harness play`: a file's steps on a lab that is up.

use std::path::{Path, PathBuf};

use butter_cli::end_signals::EndSignals;
use butter_cli::output;
use butter_cli::terminal::Charset;
use clap::Args as ClapArgs;

use super::super::error::CommandError;
use super::super::inspect::OverrideArgs;
use super::super::origin::environment;
use super::super::{Exit, report, show, table_style, tell};
use super::LabArg;
use crate::error_class::ErrorClass;
use crate::lab::LabError;
use crate::lab::client::LabConnection;
use crate::lab::protocol::{LabReply, LabRequest, PlayRequest, RecordRequest};
use crate::report_page::PAGE_FILE;
use crate::results::manifest::ValueOrigin;
use crate::topology;

#[derive(Debug, ClapArgs)]
pub(in super::super) struct Args {
    #[command(flatten)]
    lab: LabArg,
    /// File with `steps` and `checks`, with or without the lab's topology; `-` reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    overrides: OverrideArgs,
    /// Write the record of the steps there, as of a run: a directory that is empty, or does not exist
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the result as JSON instead of the tables
    #[arg(long)]
    json: bool,
}

pub(in super::super) async fn play(args: &Args) -> Result<Exit, CommandError> {
    let lab = args.lab.find()?;
    let mut signals = EndSignals::catch().map_err(CommandError::Signals)?;
    let style = table_style();
    let request = PlayRequest {
        file: std::path::absolute(&args.file).unwrap_or_else(|_| args.file.clone()),
        text: read(&args.file).map_err(|source| CommandError::File { path: args.file.clone(), source })?,
        seed: args.overrides.seed,
        set: args.overrides.set.clone(),
        width: style.width,
        ascii: style.charset == Charset::Ascii,
        color: output::stderr().color,
        record: args.record(),
    };
    let mut keeper = LabConnection::ask(&lab, &LabRequest::Play(request)).await?;
    let mut interrupted = false;
    loop {
        let reply = tokio::select! {
            reply = keeper.next() => reply?,
            () = signals.next() => {
                if interrupted {
                    return Ok(Exit::Interrupted);
                }
                interrupted = true;
                tell("interrupted: ending the steps; the lab stays up");
                keeper.end_early().await;
                continue;
            }
        };
        match reply {
            LabReply::Line(line) => tell(&format!("{}: {line}", lab.name())),
            LabReply::Played { verdict, summary, result, record_error } => {
                match args.json {
                    true => output::data(result.as_bytes()),
                    false => show(&summary),
                }
                args.show_record(record_error)?;
                return Ok(verdict.into());
            }
            LabReply::Invalid(problems) => {
                tell(&problems);
                return Ok(Exit::Usage);
            }
            _ => return Err(keeper.unexpected().into()),
        }
    }
}

impl Args {
    /// The record that is asked for, if one is.
    fn record(&self) -> Option<RecordRequest> {
        let out = self.out.as_ref()?;
        let origin = |option: &str| match self.overrides.given.contains(option) {
            true => ValueOrigin::CommandLine,
            false => ValueOrigin::Environment,
        };
        Some(RecordRequest {
            directory: std::path::absolute(out).unwrap_or_else(|_| out.clone()),
            command_line: std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect(),
            environment: environment(),
            seed_from: origin("seed"),
            set_from: origin("set"),
        })
    }

    /// Makes the page of the record that the keeper has written, and says where it is.
    fn show_record(&self, error: Option<String>) -> Result<(), CommandError> {
        let Some(out) = &self.out else { return Ok(()) };
        if let Some(error) = error {
            return Err(LabError::Refused { error, remedy: None, class: ErrorClass::Environment }.into());
        }
        report::page_of_run(out).map_or(Ok(()), Err)?;
        tell(&format!("report: {}", out.join(PAGE_FILE).display()));
        Ok(())
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    let text = match file == Path::new("-") {
        true => topology::text_of(std::io::stdin().lock()),
        false => topology::text_of(std::fs::File::open(file)?),
    };
    text.map_err(std::io::Error::other)
}
