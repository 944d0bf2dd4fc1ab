//! The command line as text to read: a page of Markdown for the guide, and manual pages for `man`.
//!
//! Both come from the commands and options themselves. Hidden commands are left out.

use std::fmt::Write;
use std::path::PathBuf;
use std::{fs, io};

use clap::{Arg, Args, Command};

use crate::arguments::{OtherVariable, with_variables_in_help};

/// The arguments of the command `man` of both programs.
#[derive(Args, Clone, Debug)]
pub struct ManArgs {
    /// Directory that the pages are written to; made if it does not exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl ManArgs {
    /// Writes a page for the program and one for each of its commands.
    ///
    /// # Errors
    /// If the directory cannot be made or written to. Names the path.
    pub fn write(&self, program: Command) -> io::Result<()> {
        let named = |error: io::Error| {
            let path = self.directory.display();
            io::Error::new(error.kind(), format!("cannot write manual pages to {path}: {error}"))
        };
        fs::create_dir_all(&self.directory).map_err(named)?;
        clap_mangen::generate_to(with_variables_in_help(program), &self.directory).map_err(named)
    }
}

/// A page about a program in Markdown: each command with its arguments and options, the exit statuses, and the variables, of which
/// `others` are those that belong to no option.
pub fn markdown(program: &Command, others: &[OtherVariable]) -> String {
    let mut program = program.clone().disable_help_subcommand(true);
    program.build();
    let mut text = format!("# Commands of `{}`\n", program.get_name());
    command_section(&program, &mut text);
    let mut variables = Vec::new();
    collect_variables(&program, &mut variables);
    variables.extend(others.iter().map(|(name, meaning)| ((*name).to_owned(), cell(meaning))));
    variables.sort();
    variables.dedup_by(|later, earlier| later.0 == earlier.0);
    text += "\n## Environment variables\n\nAn option on the command line wins over its variable. An empty variable counts as unset. \
             Switches take `true`, `yes`, `on`, `1` or `false`, `no`, `off`, `0`.\n\n| variable | meaning |\n| --- | --- |\n";
    for (name, meaning) in variables {
        put(&mut text, &format!("| `{name}` | {meaning} |\n"));
    }
    text
}

fn command_section(command: &Command, text: &mut String) {
    let path = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().lines().map(str::trim).collect::<Vec<_>>().join("\n");
    put(text, &format!("\n## `{path}`\n\n{}.\n\n```text\n{usage}\n```\n", about.trim_end_matches('.')));
    // Of global options only the page's first section speaks.
    let is_top = !path.contains(' ');
    let shown = |arg: &&Arg| !arg.is_hide_set() && (is_top || !arg.is_global_set()) && !is_of_clap(arg);
    let args: Vec<&Arg> = command.get_arguments().filter(shown).collect();
    if !args.is_empty() {
        text.push_str("\n| argument or option | meaning |\n| --- | --- |\n");
        for arg in args {
            put(text, &format!("| `{}` | {} |\n", spelling(arg), meaning(arg)));
        }
    }
    if let Some(after) = command.get_after_help() {
        put(text, &format!("\n```text\n{}\n```\n", after.to_string().trim_end()));
    }
    command.get_subcommands().filter(|inner| !inner.is_hide_set()).for_each(|inner| command_section(inner, text));
}

/// `--help` and `--version`.
fn is_of_clap(arg: &Arg) -> bool {
    ["help", "version"].contains(&arg.get_id().as_str())
}

/// `--out DIR`, `FILE`
fn spelling(arg: &Arg) -> String {
    let values: Vec<String> = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let values = if arg.get_action().takes_values() { values.join(" ") } else { String::new() };
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let many = if arg.get_num_args().is_some_and(|range| range.max_values() > 1) { "…" } else { "" };
    format!("{} {values}{many}", names.join(", ")).trim().replace('|', "\\|")
}

fn meaning(arg: &Arg) -> String {
    let mut parts = vec![arg.get_help().map(|help| cell(&help.to_string())).unwrap_or_default()];
    let values = arg.get_possible_values();
    let values: Vec<String> =
        values.iter().filter(|value| !value.is_hide_set()).map(|value| format!("`{}`", value.get_name())).collect();
    if arg.get_action().takes_values() && !values.is_empty() {
        parts.push(format!("One of {}", values.join(", ")));
    }
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if arg.get_action().takes_values() && !defaults.is_empty() {
        parts.push(format!("Default: {}", defaults.join(", ")));
    }
    if let Some(variable) = arg.get_env() {
        parts.push(format!("Variable: `{}`", variable.to_string_lossy()));
    }
    parts.join(". ")
}

fn collect_variables(command: &Command, found: &mut Vec<(String, String)>) {
    for arg in command.get_arguments() {
        if let Some(variable) = arg.get_env() {
            let path = command.get_bin_name().unwrap_or(command.get_name());
            let option = arg.get_long().unwrap_or_default();
            found.push((variable.to_string_lossy().into_owned(), format!("as `--{option}` of `{path}`")));
        }
    }
    command.get_subcommands().filter(|inner| !inner.is_hide_set()).for_each(|inner| collect_variables(inner, found));
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('<', "\\<")
}

fn put(text: &mut String, more: &str) {
    text.write_str(more).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::*;

    fn program() -> Command {
        let out =
            Arg::new("out").long("out").value_name("DIR").env("P_OUT").default_value("runs").help("Where it goes");
        let json = Arg::new("json").long("json").env("P_JSON").action(ArgAction::SetTrue).help("A | B");
        Command::new("prog")
            .subcommand(Command::new("seen").about("Do it").arg(out).arg(json).after_help("Examples:\n  prog seen"))
            .subcommand(Command::new("covert").hide(true))
    }

    #[test]
    fn page_shows_commands_options_and_variables() {
        let text = markdown(&program(), &[("P_LOG", "Log filter")]);
        for line in [
            "## `prog seen`",
            "| `--out DIR` | Where it goes. Default: `runs`. Variable: `P_OUT` |",
            "| `--json` | A \\| B. Variable: `P_JSON` |",
            "| `P_LOG` | Log filter |",
            "| `P_OUT` | as `--out` of `prog seen` |",
            "  prog seen",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("covert") && !text.contains("--help"), "{text}");
    }

    #[test]
    fn every_shown_command_has_a_manual_page() {
        let scratch = std::env::temp_dir().join(format!("butter-man-{}", std::process::id()));
        ManArgs { directory: scratch.clone() }.write(program()).unwrap();
        let mut pages: Vec<_> = fs::read_dir(&scratch).unwrap().map(|page| page.unwrap().file_name()).collect();
        pages.sort();
        let page = fs::read_to_string(scratch.join("prog-seen.1")).unwrap();
        assert!(page.contains("P_OUT"), "{page}");
        fs::remove_dir_all(&scratch).unwrap();
        assert!(pages.contains(&"prog-seen.1".into()) && pages.contains(&"prog.1".into()), "{pages:?}");
        assert!(!pages.contains(&"prog-covert.1".into()), "{pages:?}");
        let error = ManArgs { directory: "/dev/null/x".into() }.write(program()).unwrap_err().to_string();
        assert!(error.contains("/dev/null/x"), "{error}");
    }
}
