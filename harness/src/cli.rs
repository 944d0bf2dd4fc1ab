//! The command line: arguments → checked plans → runs → an exit status.
//!
//! Data goes to stdout, messages and progress to stderr.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `run` | `harness run`: every file checked, then played, reported |
//! | `session` | one run from `up` to `down` |
//! | `backend_choice` | which backend plays, and why |
//! | `progress` | progress, for a terminal or for a log |
//! | `signals` | Ctrl-C, twice |
//! | `inspect` | `validate`, `plan`: nothing is deployed |
//! | `compare` | `harness compare`: two records held against each other |
//! | `machine` | `doctor`, `image`, `clean` |
//! | `bench` | `bench sim`, `bench router`, `bench up` |

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::backend::BackendError;
use crate::netns::access;

mod backend_choice;
mod bench;
mod compare;
mod inspect;
mod machine;
mod progress;
mod run;
mod session;
mod signals;

/// The testbed of Butter: topologies with NATs and imperfect links, played on Docker, on network namespaces or simulated.
#[derive(Debug, Parser)]
#[command(name = "harness", version, max_term_width = 120, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit status: 0 all checks hold; 1 a check failed, or a step did not end as planned; 2 the command line or a file is wrong;
3 the environment failed (no engine, no image), or the time limit ended the run; 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Deploy topologies, play them, check what must hold, report, and remove everything again
    Run(run::Args),
    /// Check topology files without deploying anything
    Validate(inspect::ValidateArgs),
    /// Show what a topology file makes: networks, nodes, steps and checks
    Plan(inspect::PlanArgs),
    /// Tell which backends work here, and for each that does not: why, and the remedy
    Doctor,
    /// Build the image that nodes and routers run from, unless it is there
    Image,
    /// Hold two runs against each other: 0 if all shares agree within what chance explains, 1 if one does not
    Compare(compare::Args),
    /// Remove what crashed runs left on the Docker engine
    Clean(machine::CleanArgs),
    /// Measure the testbed itself
    Bench(bench::BenchArgs),
    /// Be the router of a network: what a router's container runs
    #[command(hide = true)]
    Router,
    /// Probe routers: what a container does for users who may not
    #[command(hide = true)]
    Prober {
        /// What to probe
        survey: std::path::PathBuf,
    },
    /// Try whether a user namespace can be made: what the backend netns asks of a process of its own
    #[command(hide = true)]
    NamespaceTrial,
}

/// How the program ends, in order of weight: of several runs the heaviest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exit {
    /// All checks hold.
    Passed,
    /// A check failed.
    Failed,
    /// The command line or a file is wrong.
    Usage,
    /// The environment failed, or the time limit ended the run.
    Environment,
    /// By a signal.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Exit::Passed => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Environment => 3,
            Exit::Interrupted => 130,
        }
    }
}

/// The program.
pub fn main() -> ExitCode {
    if let Err(error) = access::enter_if_asked() {
        return environment(&error).into();
    }
    let cli = Cli::parse();
    let filter =
        EnvFilter::builder().with_env_var("HARNESS_LOG").try_from_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match cli.command {
        Command::Router => return router(),
        Command::NamespaceTrial => return access::trial_main(),
        _ => {}
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return environment(&BackendError::from(anyhow::Error::from(error))).into(),
    };
    let exit = match cli.command {
        Command::Run(args) => run::run(args, runtime.handle()),
        Command::Validate(args) => inspect::validate(&args),
        Command::Plan(args) => inspect::plan(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Doctor => runtime.block_on(machine::doctor()),
        Command::Image => runtime.block_on(machine::image()),
        Command::Clean(args) => runtime.block_on(machine::clean(&args)),
        Command::Bench(args) => bench::run(&args, runtime.handle()),
        Command::Prober { survey } => match runtime.block_on(crate::probe::deputy::main(&survey)) {
            Ok(()) => Exit::Passed,
            Err(error) => environment(&error.into()),
        },
        Command::Router | Command::NamespaceTrial => unreachable!("handled above"),
    };
    exit.into()
}

fn router() -> ExitCode {
    match crate::router::main_from_env() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => environment(&BackendError::from(error)).into(),
    }
}

/// Tells that the environment failed, and the remedy.
fn environment(error: &BackendError) -> Exit {
    complain(&format!("{:#}", error.what));
    if let Some(remedy) = &error.remedy {
        tell(&format!("remedy: {remedy}"));
    }
    Exit::Environment
}

/// An error, on stderr.
fn complain(what: &str) {
    tell(&format!("error: {what}"));
}

/// A message, on stderr. If that is gone there is nobody to tell.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Data, on stdout. A reader that has gone (`| head`) wants no more of it.
fn show(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
