//! `harness man`: manual pages. `harness reference`: the reference part of the guide.

use std::fs;
use std::io;
use std::path::Path;

use butter_cli::manual::{self, ManArgs};
use clap::CommandFactory;

use super::error::CommandError;
use super::{Cli, Exit, help};
use crate::reference::{NOTICE, pages};

/// The page about this program's commands.
const COMMANDS_PAGE: &str = "harness.md";

pub(super) fn man(args: &ManArgs) -> Result<Exit, CommandError> {
    args.write(Cli::command()).map_err(CommandError::Pages)?;
    Ok(Exit::Passed)
}

pub(super) fn reference(directory: &Path) -> Result<Exit, CommandError> {
    let commands = format!("{NOTICE}{}", manual::markdown(&Cli::command(), help::OTHER_VARIABLES));
    let pages = pages().into_iter().map(|page| (page.file, page.text)).chain([(COMMANDS_PAGE, commands)]);
    for (file, text) in pages {
        let path = directory.join(file);
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()));
        fs::write(&path, text).map_err(named).map_err(CommandError::Pages)?;
    }
    Ok(Exit::Passed)
}
