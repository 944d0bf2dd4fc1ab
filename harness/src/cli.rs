//! The command line: arguments → checked plans → runs → an exit status.
//!
//! Data goes to stdout, messages and progress to stderr.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `exit` | exit statuses, and the report of an error |
//! | `error` | errors of the commands, with their class and remedy |
//! | `help` | examples, exit statuses and variables for the help texts |
//! | `run` | `harness run`: every file checked, then played, reported |
//! | `origin` | plans from files and from records |
//! | `junit_file` | the JUnit report, whatever the end |
//! | `summary_file` | the summary in Markdown for CI |
//! | `seeds` | one topology with many seeds |
//! | `session` | one run from `up` to `down` |
//! | `served` | what is served while runs last, and after them |
//! | `backend_choice` | which backend plays, and why |
//! | `progress` | progress, for a terminal or for a log |
//! | `full_screen` | a run on the whole terminal |
//! | `signals` | Ctrl-C, twice |
//! | `inspect` | `validate`, and how every command reads topology files |
//! | `plan` | `harness plan`: the plan as text, JSON or YAML |
//! | `graph` | `harness graph`: the topology as a drawing |
//! | `explain` | `harness explain`: stories of a run |
//! | `explore` | `harness explore`: random scenarios, and what must hold in each |
//! | `report` | `harness report`: the page of a run, or of several, made again |
//! | `schema` | `harness schema`: the JSON Schema of topology files |
//! | `samples` | `harness samples`: metrics of a run as CSV |
//! | `agree` | `harness agree`: simulator and reality side by side |
//! | `compare` | `harness compare`: the records of two runs |
//! | `lab` | `up`, `ps`, `down` and what reaches into labs that are left up |
//! | `manual` | `harness man`: manual pages; `harness reference`: the guide's reference |
//! | `completions` | `harness completions`: scripts for shells |
//! | `machine` | `doctor`, `image`, `clean` |
//! | `bench` | `bench sim`, `bench router`, `bench up` |

use std::process::ExitCode;

use butter_cli::completions::CompletionsArgs;
use butter_cli::manual::ManArgs;
use butter_cli::terminal::process_environment;
use butter_cli::{arguments, bugs, logging, output};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::backend::process::{hostile_node, node_command};
use crate::netns::{access, arrival_filter};

mod agree;
mod backend_choice;
mod bench;
mod compare;
mod completions;
pub(crate) mod error;
mod exit;
mod explain;
mod explore;
mod full_screen;
mod graph;
mod help;
mod inspect;
mod junit_file;
mod lab;
mod machine;
mod manual;
mod origin;
mod plan;
mod progress;
mod report;
mod run;
mod samples;
mod schema;
mod seeds;
mod served;
mod session;
mod signals;
mod summary_file;
mod table;

use error::CommandError;
use exit::{Exit, complain, fail, show, table_style, tell};

/// Testbed for Butter: run topologies with NATs, lossy links and churn on Docker, in network namespaces, or simulated.
#[derive(Debug, Parser)]
#[command(name = "harness", version, max_term_width = 100, after_help = help::TOP)]
struct Cli {
    #[command(flatten)]
    color: arguments::ColorArg,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Deploy topologies, play their steps, check the results, and remove everything again
    #[command(after_help = help::RUN)]
    Run(Box<run::Args>),
    /// Deploy a topology and leave it up, to be worked in by hand
    #[command(after_help = help::UP)]
    Up(lab::up::Args),
    /// List the labs that are up, and their nodes
    #[command(after_help = help::PS)]
    Ps(lab::ps::Args),
    /// Run a program of this machine in the network of a node or router of a lab
    #[command(after_help = help::EXEC)]
    Exec(lab::exec::ExecArgs),
    /// Open a shell in the network of a node or router of a lab
    #[command(after_help = help::SHELL)]
    Shell(lab::exec::ShellArgs),
    /// Print what a node or router of a lab has written
    #[command(after_help = help::LOGS)]
    Logs(lab::logs::Args),
    /// Capture what a node or router of a lab sends and receives, as pcapng
    #[command(after_help = help::CAPTURE)]
    Capture(lab::capture::Args),
    /// Have a node of a lab store a file, and print the id by which it is found
    #[command(after_help = help::PUT)]
    Put(lab::values::PutArgs),
    /// Have a node of a lab find a value, and write it to standard output
    #[command(after_help = help::GET)]
    Get(lab::values::GetArgs),
    /// Have a node of a lab search for values by keywords
    #[command(after_help = help::SEARCH)]
    Search(lab::values::SearchArgs),
    /// Play the steps of a file on a lab that is up, and check the results
    #[command(after_help = help::PLAY)]
    Play(lab::play::Args),
    /// Remove a lab that is up
    #[command(after_help = help::DOWN)]
    Down(lab::down::Args),
    /// Check topology files without deploying anything
    #[command(after_help = help::VALIDATE)]
    Validate(inspect::ValidateArgs),
    /// Show what a topology file makes: networks, nodes, steps and checks
    #[command(after_help = help::PLAN)]
    Plan(plan::Args),
    /// Print the JSON Schema of topology files, for editors and other programs
    #[command(after_help = help::SCHEMA)]
    Schema,
    /// Draw a topology: networks within each other, NATs, links and nodes
    #[command(after_help = help::GRAPH)]
    Graph(graph::Args),
    /// Check which backends are usable and how to fix the others
    #[command(after_help = help::DOCTOR)]
    Doctor,
    /// Build the container image of nodes and routers, unless it exists
    #[command(after_help = help::IMAGE)]
    Image,
    /// Play topologies on the simulator and on real backends, and compare what they measure
    #[command(after_help = help::AGREE)]
    Agree(agree::Args),
    /// Compare two run records
    #[command(after_help = help::COMPARE)]
    Compare(compare::Args),
    /// Explain what failed in a recorded run, and why
    #[command(after_help = help::EXPLAIN)]
    Explain(explain::Args),
    /// Make the page of a recorded run again, or one page of several runs
    #[command(after_help = help::REPORT)]
    Report(report::Args),
    /// Show the measures of recorded runs in one table, or as plot data
    #[command(after_help = help::TABLE)]
    Table(table::Args),
    /// Play random scenarios on the simulator and check what must hold in each
    #[command(after_help = help::EXPLORE)]
    Explore(explore::Args),
    /// Print the metrics of a recorded run as CSV
    #[command(after_help = help::SAMPLES)]
    Samples(samples::Args),
    /// Remove what crashed runs and killed keepers of labs left
    #[command(after_help = help::CLEAN)]
    Clean(machine::CleanArgs),
    /// Measure the testbed itself
    #[command(after_help = help::BENCH)]
    Bench(bench::BenchArgs),
    /// Print a script that completes commands and options in a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Write manual pages of all commands
    #[command(after_help = help::MAN)]
    Man(ManArgs),
    /// Write the pages of the guide's reference that the code's own tables make
    #[command(hide = true)]
    Reference {
        /// Directory that the pages are written to
        directory: std::path::PathBuf,
    },
    /// Run as the router of a network, inside its container or namespace
    #[command(hide = true)]
    Router,
    /// Probe routers from inside a container, for users who cannot enter namespaces
    #[command(hide = true)]
    Prober {
        /// Routers to probe, as JSON
        survey: std::path::PathBuf,
    },
    /// Run as a hostile node, inside its container or namespace
    #[command(hide = true)]
    Adversary {
        /// What it is, as JSON
        node: String,
    },
    /// Hold a lab that is up: started by `up`
    #[command(hide = true)]
    Keeper {
        /// `docker` or `netns`
        backend: backend_choice::BackendArg,
    },
    /// Capture packets in the network that this process is started in
    #[command(hide = true)]
    Capturer {
        /// What is captured, as JSON
        order: String,
    },
    /// Filter what this container receives
    #[command(hide = true)]
    ArrivalFilter {
        /// What is dropped, as JSON
        filter: String,
    },
    /// Try to create a user namespace, in a process of its own
    #[command(hide = true)]
    NamespaceTrial,
}

/// The log filter unless `HARNESS_LOG` is set.
const LOG_DEFAULT: &str = "error";

/// Runs the program `harness`.
pub fn main() -> ExitCode {
    bugs::ask_for_reports("harness", env!("CARGO_PKG_REPOSITORY"));
    output::start(arguments::color(std::env::args_os()));
    let exit = start();
    match output::finish() {
        Ok(()) => exit.into(),
        Err(error) => exit.max(fail(error)).into(),
    }
}

fn start() -> Exit {
    if let Err(error) = access::enter_if_asked() {
        return fail(error);
    }
    let parsed = arguments::parse(Cli::command(), std::env::args_os(), &process_environment, help::OTHER_VARIABLES);
    let cli = match parsed.and_then(|matches| Ok(Cli::from_arg_matches(&matches)?)) {
        Ok(cli) => cli,
        Err(error) => return if error.show() { Exit::Passed } else { Exit::Usage },
    };
    let (variable, default) = match &cli.command {
        Command::Adversary { .. } => (node_command::LOG_VARIABLE, butter::driver::LOG_DEFAULT),
        _ => (help::LOG_VARIABLE, LOG_DEFAULT),
    };
    if let Err(error) = logging::start(variable, process_environment(variable), default) {
        return fail(error);
    }
    execute(cli.command).unwrap_or_else(fail)
}

fn execute(command: Command) -> Result<Exit, CommandError> {
    // These need the process as it is, without other threads.
    match &command {
        Command::Adversary { node } => return Ok(hostile_node::main(node).map(|()| Exit::Passed)?),
        Command::Router => return Ok(crate::router::main_from_env().map(|()| Exit::Passed)?),
        Command::ArrivalFilter { filter } => return Ok(arrival_filter::main(filter).map(|()| Exit::Passed)?),
        Command::Capturer { order } => return Ok(crate::lab::capture::main(order).map(|()| Exit::Passed)?),
        Command::NamespaceTrial => return Ok(if access::trial_main() { Exit::Passed } else { Exit::Failed }),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandError::Runtime)?;
    Ok(match command {
        Command::Run(args) => run::run(*args, runtime.handle()),
        Command::Up(args) => lab::up::up(&args, runtime.handle()),
        Command::Ps(args) => runtime.block_on(lab::ps::ps(&args))?,
        Command::Exec(args) => runtime.block_on(lab::exec::exec(args))?,
        Command::Shell(args) => runtime.block_on(lab::exec::shell(args))?,
        Command::Logs(args) => runtime.block_on(lab::logs::logs(&args))?,
        Command::Capture(args) => runtime.block_on(lab::capture::capture(&args))?,
        Command::Put(args) => runtime.block_on(lab::values::put(&args))?,
        Command::Get(args) => runtime.block_on(lab::values::get(&args))?,
        Command::Search(args) => runtime.block_on(lab::values::search(&args))?,
        Command::Play(args) => runtime.block_on(lab::play::play(&args))?,
        Command::Down(args) => runtime.block_on(lab::down::down(&args))?,
        Command::Keeper { backend } => runtime.block_on(lab::keep::keeper(backend)),
        Command::Validate(args) => inspect::validate(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::Schema => schema::schema(),
        Command::Graph(args) => graph::graph(&args),
        Command::Agree(args) => agree::agree(&args, runtime.handle()),
        Command::Compare(args) => compare::compare(&args),
        Command::Explain(args) => explain::explain(&args)?,
        Command::Report(args) => report::report(&args)?,
        Command::Table(args) => table::table(&args)?,
        Command::Explore(args) => explore::explore(&args)?,
        Command::Samples(args) => samples::samples(args)?,
        Command::Doctor => runtime.block_on(machine::doctor()),
        Command::Image => runtime.block_on(machine::image()),
        Command::Clean(args) => runtime.block_on(machine::clean(&args)),
        Command::Bench(args) => bench::run(&args, runtime.handle()),
        Command::Completions(args) => completions::completions(args),
        Command::Man(args) => manual::man(&args)?,
        Command::Reference { directory } => manual::reference(&directory)?,
        Command::Prober { survey } => {
            runtime.block_on(crate::probe::remote_prober::main(&survey)).map(|()| Exit::Passed)?
        }
        Command::Router
        | Command::Adversary { .. }
        | Command::ArrivalFilter { .. }
        | Command::Capturer { .. }
        | Command::NamespaceTrial => unreachable!("handled above"),
    })
}
