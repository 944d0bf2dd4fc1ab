//! `harness completions`: a script that lets a shell complete the command line.

use butter_cli::completions::CompletionsArgs;
use butter_cli::output;
use clap::CommandFactory;

use super::{Cli, Exit};

pub(super) fn completions(args: CompletionsArgs) -> Exit {
    output::data(&args.script(&Cli::command()));
    Exit::Passed
}
