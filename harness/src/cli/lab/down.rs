//! `harness down`, and what `harness clean` does for labs.

use clap::Args as ClapArgs;

use super::super::error::CommandError;
use super::super::{Exit, fail, show, tell};
use crate::lab::client::{self, LabEnd};
use crate::lab::directory::LabDirectory;
use crate::progress::Progress;

#[derive(Debug, ClapArgs)]
pub(in super::super) struct Args {
    /// Lab to remove; needed if several are up
    #[arg(value_name = "LAB", conflicts_with = "all")]
    lab: Option<String>,
    /// Remove all labs of this user
    #[arg(long)]
    all: bool,
}

pub(in super::super) async fn down(args: &Args) -> Result<Exit, CommandError> {
    let labs = match args.all {
        true => LabDirectory::all()?,
        false => vec![LabDirectory::find(args.lab.as_deref())?],
    };
    if labs.is_empty() {
        show("nothing to remove: no lab is up\n");
    }
    let mut exit = Exit::Passed;
    for lab in labs {
        match client::down(&lab, &mut Notes).await {
            Ok(LabEnd::Removed) => show(&format!("removed {}\n", lab.name())),
            Ok(LabEnd::Cleaned) => show(&format!("removed what the killed keeper of {} left\n", lab.name())),
            Err(error) => exit = exit.max(fail(error)),
        }
    }
    Ok(exit)
}

/// Removes what killed keepers left, for `harness clean`; with `all`, every lab. Returns the names.
pub(in super::super) async fn clean(all: bool) -> Result<Vec<String>, CommandError> {
    let mut removed = Vec::new();
    for lab in LabDirectory::all()? {
        if all || lab.state().is_some_and(|state| state.is_dead()) {
            client::down(&lab, &mut Notes).await?;
            removed.push(lab.name().to_owned());
        }
    }
    Ok(removed)
}

/// Progress as lines on standard error.
pub(super) struct Notes;

impl Progress for Notes {
    fn begin(&mut self, what: &str, total: u64) {
        if total > 0 {
            tell(&format!("{what} ({total})"));
        }
    }

    fn advance(&mut self, _: u64) {}

    fn note(&mut self, line: &str) {
        tell(line);
    }
}
