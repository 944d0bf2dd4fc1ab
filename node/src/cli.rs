//! The command line: data goes to standard output, messages to standard error.
//!
//! | exit status | means |
//! | --- | --- |
//! | 0 | done |
//! | 1 | the node could not do it: not found, no room, too few copies in time |
//! | 2 | the command line or a variable is wrong |
//! | 3 | the node cannot be started, none answers, or the output cannot be written |
//! | 4 | not found so far, and not every peer has answered |

use std::process::ExitCode;

use butter_cli::arguments::{ArgumentError, ColorArg, OtherVariable};
use butter_cli::completions::CompletionsArgs;
use butter_cli::manual::{self, ManArgs};
use butter_cli::terminal::process_environment;
use butter_cli::{arguments, bugs, chain, logging, output, values};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::app::StartError;
use crate::driver::LOG_DEFAULT;
use crate::driver::api::{ApiAddress, DEFAULT_ADDRESS, TOKEN_VARIABLE};

mod client;
mod control;
mod run;
mod search;

/// Holds the log filter.
const LOG_VARIABLE: &str = "BUTTER_LOG";

/// Variables that belong to no option.
const OTHER_VARIABLES: &[OtherVariable] = &[
    (LOG_VARIABLE, "Log filter: info (default), warn, or butter=debug; as --log of run"),
    ("NO_COLOR", "Do not colour output"),
    ("CLICOLOR_FORCE", "Colour output that is not shown on a terminal"),
];

const AFTER_HELP: &str = "\
Examples:
  butter run --store ~/.butter
  butter put notes.txt
  butter status --json

Exit status:
  0  Done
  1  The node could not do it: not found, no room, too few copies in time
  2  The command line or a variable is wrong
  3  The node cannot be started, none answers, or the output cannot be written
  4  Not found so far, and not every peer has answered";

const COMPLETIONS_HELP: &str = "\
Examples:
  butter completions bash > ~/.local/share/bash-completion/completions/butter
  butter completions fish > ~/.config/fish/completions/butter.fish

Exit status: 0 the script is printed; 2 there is none for this shell; 3 it cannot be written.";

const MAN_HELP: &str = "\
Examples:
  butter man ~/.local/share/man/man1
  man butter-run

Exit status: 0 the pages are written; 3 they cannot be.";

/// Node of an unstructured peer-to-peer network: discover peers, keep data alive among them, and find it again
#[derive(Debug, Parser)]
#[command(name = "butter", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    color: ColorArg,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Debug)]
struct ApiArgs {
    /// Address of the node's control API, HOST:PORT or unix:PATH: where `run` listens, and what the other commands use
    #[arg(long, global = true, value_name = "ADDR", env = "BUTTER_API", default_value = DEFAULT_ADDRESS, value_parser = api_address)]
    api: ApiAddress,
    /// Token of the control API; `run` requires one to listen on other than loopback or a unix socket
    #[arg(long, global = true, value_name = "TOKEN", env = TOKEN_VARIABLE, hide_env_values = true)]
    api_token: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node until SIGTERM, Ctrl-C or `butter leave`
    Run(run::RunArgs),
    #[command(flatten)]
    Control(control::ControlCommand),
    /// Print a script that completes commands and options in a shell
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(CompletionsArgs),
    /// Write manual pages of all commands
    #[command(after_help = MAN_HELP)]
    Man(ManArgs),
    /// Print the page of the guide about all commands
    #[command(hide = true)]
    Reference,
}

/// Why the program ends without success.
#[derive(Debug)]
enum Failure {
    /// Exit status 1, with what the node says can be done about it.
    Refused(anyhow::Error, Option<String>),
    /// Exit status 2.
    Usage(anyhow::Error),
    /// Exit status 3.
    Environment(anyhow::Error),
    /// Exit status 3: the node does not start.
    Start(StartError),
    /// Exit status 4, with what the node says can be done about it.
    Incomplete(anyhow::Error, Option<String>),
}

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    bugs::ask_for_reports("butter", env!("CARGO_PKG_REPOSITORY"));
    output::start(arguments::color(std::env::args_os()));
    let status = start();
    match output::finish() {
        Ok(()) => ExitCode::from(status),
        Err(error) => ExitCode::from(status.max(report(&Failure::Environment(error.into())))),
    }
}

/// Runs the program up to its exit status.
fn start() -> u8 {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return if error.show() { 0 } else { 2 },
    };
    let filter = match &cli.command {
        Command::Run(args) => args.log_filter().map(Into::into),
        _ => process_environment(LOG_VARIABLE),
    };
    if let Err(error) = logging::start(LOG_VARIABLE, filter, LOG_DEFAULT) {
        return report(&Failure::Usage(error.into()));
    }
    execute(cli).map_or_else(|failure| report(&failure), |()| 0)
}

fn parse() -> Result<Cli, ArgumentError> {
    let matches = arguments::parse(Cli::command(), std::env::args_os(), &process_environment, OTHER_VARIABLES)?;
    Ok(Cli::from_arg_matches(&matches)?)
}

fn execute(cli: Cli) -> Result<(), Failure> {
    // One thread: a node is one loop, and small.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::Environment(error.into()))?.block_on(async {
        match cli.command {
            Command::Run(args) => run::run(args, cli.api).await,
            Command::Control(command) => control::execute(command, cli.api).await,
            Command::Completions(args) => {
                output::data(&args.script(&Cli::command()));
                Ok(())
            }
            Command::Man(args) => args.write(Cli::command()).map_err(|error| Failure::Environment(error.into())),
            Command::Reference => {
                output::data(manual::markdown(&Cli::command(), OTHER_VARIABLES).as_bytes());
                Ok(())
            }
        }
    })
}

/// The address of a control API; names are resolved.
fn api_address(text: &str) -> Result<ApiAddress, String> {
    match text.strip_prefix("unix:") {
        Some("") => Err("expected unix:PATH with the path of a socket".to_owned()),
        Some(path) => Ok(ApiAddress::Unix(path.into())),
        None => values::socket_address(text).map(ApiAddress::Tcp).map_err(|error| format!("{error}, or unix:PATH")),
    }
}

/// Writes the failure to standard error and returns its exit status.
fn report(failure: &Failure) -> u8 {
    let (status, text, remedy) = match failure {
        Failure::Refused(error, remedy) => (1, format!("{error:#}"), remedy.clone()),
        Failure::Usage(error) => (2, format!("{error:#}"), None),
        Failure::Environment(error) => (3, format!("{error:#}"), None),
        Failure::Start(error) => (3, chain::one_line(error), run::remedy(error)),
        Failure::Incomplete(error, remedy) => (4, format!("{error:#}"), remedy.clone()),
    };
    output::error("butter", &text);
    if let Some(remedy) = remedy {
        output::message(&format!("remedy: {remedy}"));
    }
    status
}
