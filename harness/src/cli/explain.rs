//! `harness explain`: the stories of a recorded run.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::error::CommandError;
use super::{Exit, complain, show};
use crate::explain::{self, Record};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Directory of a run
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Tell the story of one item or query instead of listing what failed
    #[arg(value_enum, requires = "number")]
    subject: Option<Subject>,
    /// Its number, as the list has it
    #[arg(value_name = "N")]
    number: Option<usize>,
}

/// What a story is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// An item: who held it, and how it was lost
    Item,
    /// A query: which nodes it asked, and why it failed
    Query,
}

pub(super) fn explain(args: &Args) -> Result<Exit, CommandError> {
    let record = Record::read(&args.directory)?;
    let story = match (args.subject, args.number) {
        (Some(Subject::Item), Some(number)) => explain::item(&record, number),
        (Some(Subject::Query), Some(number)) => explain::query(&record, number),
        _ => Ok(explain::overview(&record)),
    };
    Ok(match story {
        Ok(text) => {
            show(&text);
            Exit::Passed
        }
        Err(error) => {
            complain(&error.to_string());
            Exit::Usage
        }
    })
}
