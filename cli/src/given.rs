//! Which options were given on the command line, rather than by a variable or by default.

use std::collections::BTreeSet;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

/// The options that stand on the command line itself, by their ids. Flatten it into the first field of a command's arguments:
/// clap takes the options of earlier fields away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenOptions(BTreeSet<String>);

impl GivenOptions {
    /// Whether the option of this id, the name of its field, is among them.
    pub fn contains(&self, option: &str) -> bool {
        self.0.contains(option)
    }
}

impl FromArgMatches for GivenOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = |id: &&clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
        Ok(GivenOptions(matches.ids().filter(given).map(ToString::to_string).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = GivenOptions::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for GivenOptions {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        given: GivenOptions,
        #[arg(long, env = "T_SEED")]
        seed: Option<u64>,
        #[arg(long, default_value = "auto")]
        backend: String,
        #[arg(long)]
        keep: bool,
    }

    #[test]
    fn only_the_command_line_counts() {
        let environment = |name: &str| (name == "T_SEED").then(|| "7".into());
        let arguments = ["program", "--backend", "auto"].map(Into::into);
        let matches = crate::arguments::parse(Program::command(), arguments, &environment, &[]).unwrap();
        let program = Program::from_arg_matches(&matches).unwrap();
        assert_eq!((program.seed, program.backend.as_str(), program.keep), (Some(7), "auto", false));
        assert_eq!(["seed", "backend", "keep"].map(|option| program.given.contains(option)), [false, true, false]);
    }
}
