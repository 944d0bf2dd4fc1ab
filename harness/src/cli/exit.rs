//! How the program ends, and what it says about errors.

use std::process::ExitCode;

use butter_cli::{bugs, chain, output};

use super::error::CommandError;
use super::full_screen;
use crate::error_class::ErrorClass;
use crate::report::style::TableStyle;
use crate::results::result::RunVerdict;

/// How the program ends, in order of weight: of several runs the heaviest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exit {
    /// All checks hold.
    Passed,
    /// Nothing failed, but something could not be measured or judged.
    Inconclusive,
    /// A check failed, or a step did not end as planned.
    Failed,
    /// The command line, a variable or a file is wrong.
    Usage,
    /// The environment failed, or the time limit ended the run.
    Environment,
    /// The program broke one of its own rules.
    Bug,
    /// By a signal.
    Interrupted,
    /// As a program that it started.
    Program(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

impl From<ErrorClass> for Exit {
    fn from(class: ErrorClass) -> Self {
        match class {
            ErrorClass::User => Exit::Usage,
            ErrorClass::Environment => Exit::Environment,
            ErrorClass::Bug => Exit::Bug,
        }
    }
}

impl From<RunVerdict> for Exit {
    fn from(verdict: RunVerdict) -> Self {
        match verdict {
            RunVerdict::Passed => Exit::Passed,
            RunVerdict::Inconclusive => Exit::Inconclusive,
            RunVerdict::Failed => Exit::Failed,
            RunVerdict::EnvironmentFailed | RunVerdict::TimeLimit | RunVerdict::NotPlayed => Exit::Environment,
            RunVerdict::Interrupted => Exit::Interrupted,
        }
    }
}

impl Exit {
    /// The word for a run that ended so.
    pub(super) fn word(self) -> &'static str {
        match self {
            Exit::Passed => "passed",
            Exit::Inconclusive => "was inconclusive",
            Exit::Failed => "failed",
            Exit::Usage | Exit::Environment | Exit::Bug => "could not be played to its end",
            Exit::Interrupted | Exit::Program(_) => "was interrupted",
        }
    }

    /// The exit status of the process.
    pub(super) fn code(self) -> u8 {
        match self {
            Exit::Passed => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Environment => 3,
            Exit::Inconclusive => 4,
            Exit::Bug => bugs::EXIT_STATUS,
            Exit::Interrupted => 130,
            Exit::Program(status) => status,
        }
    }
}

/// Reports an error with its remedy. Returns the exit status of its class.
pub(super) fn fail(error: impl Into<CommandError>) -> Exit {
    let error = error.into();
    complain(&chain::one_line(&error));
    if let Some(remedy) = error.remedy() {
        tell(&format!("remedy: {remedy}"));
    }
    if error.class() == ErrorClass::Bug {
        tell(&bugs::request("harness", env!("CARGO_PKG_REPOSITORY")));
    }
    if matches!(error, CommandError::Interrupted(_)) { Exit::Interrupted } else { error.class().into() }
}

/// Writes an error to standard error.
pub(super) fn complain(what: &str) {
    output::error("error", what);
}

/// Writes a message to standard error.
pub(super) fn tell(line: &str) {
    if !full_screen::keeps(line) {
        output::message(line);
    }
}

/// Writes text for people to standard output.
pub(super) fn show(text: &str) {
    output::text(text);
}

/// How tables are drawn on standard output: no wider than the terminal, in the characters of the locale.
pub(super) fn table_style() -> TableStyle {
    let terminal = output::stdout();
    TableStyle { width: terminal.width, charset: terminal.charset }
}
