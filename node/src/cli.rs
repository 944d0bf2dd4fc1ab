//! The command line: data goes to standard output, messages to standard error.
//!
//! | exit status | means |
//! | --- | --- |
//! | 0 | done |
//! | 1 | the node could not do it: not found, no room, out of time |
//! | 2 | the command line is wrong |
//! | 3 | the node cannot be started, or none answers |

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use butter::driver::api::{ApiAddress, DEFAULT_ADDRESS, TOKEN_VARIABLE};

mod client;
mod control;
mod run;

/// What is logged unless `BUTTER_LOG` says otherwise. quinn-udp warns with peers' addresses.
const LOG_DEFAULT: &str = "info,quinn_udp=error";

/// An unstructured peer-to-peer node: finds others, keeps data alive among them, and finds it again.
#[derive(Debug, Parser)]
#[command(name = "butter", version, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    api: ApiArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Debug)]
struct ApiArgs {
    /// Address of the control API: of the node to ask, or (with `run`) where to listen: IP:PORT or unix:PATH
    #[arg(long, global = true, value_name = "ADDR", env = "BUTTER_API", default_value = DEFAULT_ADDRESS)]
    api: ApiAddress,
    /// Token of the control API; with `run`, needed when it listens elsewhere than on loopback or a unix socket
    #[arg(long, global = true, value_name = "TOKEN", env = TOKEN_VARIABLE, hide_env_values = true)]
    api_token: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node until it is told to leave, by SIGTERM, Ctrl-C or `butter leave`
    Run(run::RunArgs),
    #[command(flatten)]
    Control(control::ControlCommand),
}

/// Why the program ends without success.
#[derive(Debug)]
enum Failure {
    /// Exit status 1.
    Refused(anyhow::Error),
    /// Exit status 2.
    Usage(anyhow::Error),
    /// Exit status 3.
    Environment(anyhow::Error),
}

/// Parses the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = start_logging() {
        return end(&Failure::Usage(error));
    }
    // One thread: a node is one loop, and small.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(async {
            match cli.command {
                Command::Run(args) => run::run(args, cli.api).await,
                Command::Control(command) => control::execute(command, cli.api).await,
            }
        }),
        Err(error) => Err(Failure::Environment(error.into())),
    };
    result.map_or_else(|failure| end(&failure), |()| ExitCode::SUCCESS)
}

fn start_logging() -> anyhow::Result<()> {
    let wanted = std::env::var("BUTTER_LOG").unwrap_or_else(|_| LOG_DEFAULT.to_owned());
    let filter = EnvFilter::try_new(&wanted)
        .map_err(|error| anyhow::anyhow!("BUTTER_LOG={wanted}: {error}; write for example `info` or `butter=debug`"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(())
}

fn end(failure: &Failure) -> ExitCode {
    let (status, error) = match failure {
        Failure::Refused(error) => (1, error),
        Failure::Usage(error) => (2, error),
        Failure::Environment(error) => (3, error),
    };
    eprintln!("butter: {error:#}");
    ExitCode::from(status)
}
