//! Scripts that let a shell complete command lines, made from the commands and options themselves.

use clap::{Args, Command};
use clap_complete::Shell;

/// The arguments of the command `completions` of both programs.
#[derive(Args, Clone, Copy, Debug)]
pub struct CompletionsArgs {
    /// Shell that reads the script
    shell: Shell,
}

impl CompletionsArgs {
    /// The script for a program. Hidden commands are not completed.
    pub fn script(self, program: &Command) -> Vec<u8> {
        let mut shown = without_hidden(program);
        let name = shown.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut shown, name, &mut script);
        script
    }
}

/// The same command without its hidden subcommands, which some of the generators would offer.
fn without_hidden(command: &Command) -> Command {
    let mut shown = Command::new(kept(command.get_name()))
        .args(command.get_arguments().cloned())
        .subcommands(command.get_subcommands().filter(|inner| !inner.is_hide_set()).map(without_hidden));
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        shown = shown.version(kept(version));
    }
    shown
}

/// A text for as long as the program runs, which ends after its script: clap takes no other without a feature of its own.
fn kept(text: &str) -> &'static str {
    text.to_owned().leak()
}

#[cfg(test)]
mod tests {
    use clap::{Arg, ValueEnum};

    use super::*;

    #[test]
    fn every_shell_gets_a_script_of_all_that_is_shown() {
        let program = Command::new("prog")
            .subcommand(Command::new("seen").about("Does something").arg(Arg::new("flag").long("flag")))
            .subcommand(Command::new("covert").hide(true));
        for shell in Shell::value_variants() {
            let script = String::from_utf8(CompletionsArgs { shell: *shell }.script(&program)).unwrap();
            assert!(script.contains("seen") && script.contains("flag"), "{shell}: {script}");
            assert!(!script.contains("covert"), "{shell}: {script}");
        }
    }
}
