//! The command line first, then environment variables for the options that it leaves open.
//!
//! Options name their variable with clap's `env`, and this module reads them all: the same way in both programs. An empty variable
//! counts as unset. An option on the command line wins over its own variable and over the variable of an option that it conflicts
//! with.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, Error as ClapError};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, ValueEnum};

use crate::terminal::{ColorChoice, Lookup};
use crate::{output, values};

/// A variable that is read elsewhere than by an option: its name and what it does, for the help text.
pub type OtherVariable = (&'static str, &'static str);

/// The value name of options that hold settings: their variables hold several, see [`values::split_settings`].
const SETTING: &str = "KEY=VALUE";

/// Why the arguments or variables are not taken.
#[derive(Debug, thiserror::Error)]
pub enum ArgumentError {
    /// From the command line; also a request for help or for the version, which clap answers as an error.
    #[error("the command line is wrong")]
    CommandLine(#[from] ClapError),
    /// A variable whose option does not take its value.
    #[error("invalid value {value} for {variable}: {expected}")]
    Variable {
        /// Name of the variable.
        variable: String,
        /// Its value in backquotes, or in words if it is secret.
        value: String,
        /// Says what the option takes.
        expected: String,
    },
    /// Two variables whose options exclude each other.
    #[error("{0} and {1} cannot be set together")]
    Conflict(String, String),
}

/// The option `--color` of both programs. Its value is read by [`color`], before anything else is parsed.
#[derive(Args, Clone, Copy, Debug)]
pub struct ColorArg {
    /// When to colour output: auto, always or never
    #[arg(
        long = "color",
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_possible_values = true
    )]
    when: ColorChoice,
}

/// The value of `--color` on a command line that may be wrong elsewhere, so that its error is shown as asked for.
pub fn color(arguments: impl IntoIterator<Item = OsString>) -> ColorChoice {
    let arguments: Vec<OsString> = arguments.into_iter().take_while(|argument| argument != "--").collect();
    let joined = |argument: &OsString| argument.to_str()?.strip_prefix("--color=").map(str::to_owned);
    let apart = |pair: &[OsString]| (pair[0] == "--color").then(|| pair[1].to_string_lossy().into_owned());
    let value = arguments.iter().find_map(joined).or_else(|| arguments.windows(2).find_map(apart));
    value.and_then(|value| ColorChoice::from_str(&value, false).ok()).unwrap_or_default()
}

impl ArgumentError {
    /// Shows the error, or the help or version that was asked for. Returns whether it was only such a request.
    pub fn show(&self) -> bool {
        let ArgumentError::CommandLine(error) = self else {
            output::error("error", &self.to_string());
            return false;
        };
        let text = |color: bool| if color { error.render().ansi().to_string() } else { error.render().to_string() };
        match error.use_stderr() {
            true => output::message(text(output::stderr().color).trim_end()),
            false => output::text(&text(output::stdout().color)),
        }
        !error.use_stderr()
    }
}

/// An option that has a variable.
#[derive(Clone, Debug)]
struct Binding {
    /// Subcommands that lead to the option.
    path: Vec<String>,
    option: Arg,
    variable: String,
}

/// What a variable sets.
struct Setting<'a> {
    binding: &'a Binding,
    values: Vec<&'static OsStr>,
}

/// Parses the arguments, then the variables of options that the arguments leave open. `others` completes the list of variables in
/// the help text.
///
/// # Errors
/// If either is wrong, or help was asked for.
pub fn parse(
    command: Command,
    arguments: impl IntoIterator<Item = OsString>,
    environment: Lookup<'_>,
    others: &[OtherVariable],
) -> Result<ArgMatches, ArgumentError> {
    let mut bindings = Vec::new();
    let command = unbind(command, &[], &mut bindings);
    let help = variables_help(&bindings, others);
    let after = command.get_after_help().map(|text| format!("{text}\n\n")).unwrap_or_default();
    let command = command.after_help(format!("{after}{help}"));
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let matches = command.clone().try_get_matches_from(&arguments)?;
    let settings = read_variables(&command, &matches, &bindings, environment)?;
    if settings.is_empty() {
        return Ok(matches);
    }
    let command =
        settings.into_iter().fold(command, |command, setting| set_default(command, &setting.binding.path, &setting));
    Ok(command.try_get_matches_from(&arguments)?)
}

/// The command with the variables of its options in their help texts.
pub(crate) fn with_variables_in_help(command: Command) -> Command {
    unbind(command, &[], &mut Vec::new())
}

/// Takes the variables from all options, so that clap does not read them, and says them in the help text.
fn unbind(command: Command, path: &[String], bindings: &mut Vec<Binding>) -> Command {
    let command = command.mut_args(|arg| {
        let Some(variable) = arg.get_env().map(|name| name.to_string_lossy().into_owned()) else { return arg };
        let help = arg.get_help().map_or_else(String::new, |help| format!("{help} ")) + &format!("[env: {variable}]");
        let option = arg.env(Resettable::Reset).help(help);
        bindings.push(Binding { path: path.to_vec(), option: option.clone(), variable });
        option
    });
    command.mut_subcommands(|sub| {
        let path = [path, &[sub.get_name().to_owned()]].concat();
        unbind(sub, &path, bindings)
    })
}

fn variables_help(bindings: &[Binding], others: &[OtherVariable]) -> String {
    let mut lines: BTreeMap<&str, String> = BTreeMap::new();
    for binding in bindings {
        let option = binding.option.get_long().unwrap_or_default();
        lines.entry(&binding.variable).or_insert_with(|| format!("As --{option}"));
    }
    lines.extend(others.iter().map(|(name, meaning)| (*name, (*meaning).to_owned())));
    let lines: Vec<String> = lines.iter().map(|(name, meaning)| format!("  {name:<20} {meaning}")).collect();
    format!(
        "Environment variables (an option on the command line wins; an empty variable counts as unset;\n\
         switches take true, yes, on, 1 or false, no, off, 0):\n{}",
        lines.join("\n")
    )
}

fn read_variables<'a>(
    command: &Command,
    matches: &ArgMatches,
    bindings: &'a [Binding],
    environment: Lookup<'_>,
) -> Result<Vec<Setting<'a>>, ArgumentError> {
    let mut settings: Vec<Setting<'a>> = Vec::new();
    for binding in bindings {
        let Some((command, matches)) = descend(command, matches, &binding.path) else { continue };
        let Some(value) = environment(&binding.variable).filter(|value| !value.is_empty()) else { continue };
        if is_given(matches, &binding.option) {
            continue;
        }
        let setting = Setting { binding, values: values_of(binding, &value)? };
        let is_default = setting.values.iter().copied().eq(binding
            .option
            .get_default_values()
            .iter()
            .map(|value| value.as_os_str()));
        let rivals = rivals(command, &binding.option);
        if is_default || rivals.iter().any(|rival| is_given(matches, rival)) {
            continue;
        }
        let is_rival =
            |other: &&Setting<'_>| rivals.iter().any(|rival| rival.get_id() == other.binding.option.get_id());
        if let Some(other) = settings.iter().find(is_rival) {
            return Err(ArgumentError::Conflict(other.binding.variable.clone(), binding.variable.clone()));
        }
        settings.push(setting);
    }
    Ok(settings)
}

/// The subcommand at a path, if it is the chosen one or leads to it.
fn descend<'a>(
    command: &'a Command,
    matches: &'a ArgMatches,
    path: &[String],
) -> Option<(&'a Command, &'a ArgMatches)> {
    path.iter().try_fold((command, matches), |(command, matches), name| {
        let (chosen, matches) = matches.subcommand()?;
        Some((command.find_subcommand(name).filter(|_| chosen == name)?, matches))
    })
}

/// Whether the option was on the command line. A global one may have been given after a subcommand: clap then reports it there.
fn is_given(matches: &ArgMatches, option: &Arg) -> bool {
    let here = matches.try_contains_id(option.get_id().as_str()).is_ok()
        && matches.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine);
    here || option.is_global_set() && matches.subcommand().is_some_and(|(_, matches)| is_given(matches, option))
}

/// Options that exclude this one, or that this one excludes.
fn rivals<'a>(command: &'a Command, option: &Arg) -> Vec<&'a Arg> {
    let excludes =
        |one: &Arg, other: &Arg| command.get_arg_conflicts_with(one).iter().any(|arg| arg.get_id() == other.get_id());
    command.get_arguments().filter(|other| excludes(option, other) || excludes(other, option)).collect()
}

/// The values of a variable, each of which its option takes.
fn values_of(binding: &Binding, value: &OsStr) -> Result<Vec<&'static OsStr>, ArgumentError> {
    let refused = |expected: String| ArgumentError::Variable {
        variable: binding.variable.clone(),
        value: if binding.option.is_hide_env_values_set() {
            "(not shown)".to_owned()
        } else {
            format!("`{}`", value.to_string_lossy())
        },
        expected,
    };
    // Default values of clap live as long as the program, and so do these: they are read once, at its start.
    let leak = |value: &OsStr| -> &'static OsStr { Box::leak(value.to_owned().into_boxed_os_str()) };
    if matches!(binding.option.get_action(), ArgAction::SetTrue | ArgAction::SetFalse) {
        let on = values::switch(&value.to_string_lossy()).map_err(refused)?;
        return Ok(vec![OsStr::new(if on { "true" } else { "false" })]);
    }
    let values: Vec<&'static OsStr> = split(&binding.option, value).into_iter().map(|part| leak(&part)).collect();
    for value in &values {
        try_value(&binding.option, value).map_err(|error| refused(expectation(&error)))?;
    }
    Ok(values)
}

fn split(option: &Arg, value: &OsStr) -> Vec<OsString> {
    let is_setting = option.get_value_names().is_some_and(|names| names.iter().any(|name| name == SETTING));
    let parts = |parts: Vec<&str>| {
        parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).map(OsString::from).collect()
    };
    match (value.to_str(), option.get_value_delimiter()) {
        (Some(text), _) if is_setting => parts(values::split_settings(text)),
        (Some(text), Some(delimiter)) => parts(text.split(delimiter).collect()),
        _ => vec![value.to_owned()],
    }
}

/// Has clap parse one value of an option that stands alone.
fn try_value(option: &Arg, value: &OsStr) -> Result<(), ClapError> {
    let option = option.clone().conflicts_with(Resettable::<clap::Id>::Reset).global(false);
    let mut argument = OsString::from(format!("--{}=", option.get_long().unwrap_or_default()));
    argument.push(value);
    let alone = Command::new("variable").no_binary_name(true).disable_help_flag(true).arg(option);
    alone.try_get_matches_from([argument]).map(|_| ())
}

/// What the option takes, out of clap's error.
fn expectation(error: &ClapError) -> String {
    if let Some(ContextValue::Strings(possible)) = error.get(ContextKind::ValidValue)
        && !possible.is_empty()
    {
        return format!("expected one of {}", possible.join(", "));
    }
    error.source().map_or_else(|| "expected another value".to_owned(), ToString::to_string)
}

fn set_default(command: Command, path: &[String], setting: &Setting<'_>) -> Command {
    match path.split_first() {
        None => {
            command.mut_arg(setting.binding.option.get_id().as_str(), |arg| arg.default_values(setting.values.clone()))
        }
        Some((name, path)) => command.mut_subcommand(name, |sub| set_default(sub, path, setting)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
    enum Color {
        Red,
        Green,
    }

    #[derive(Debug, Parser)]
    struct Program {
        #[arg(long, global = true, env = "T_API", default_value = "here", hide_env_values = true, value_parser = api)]
        api: String,
        #[command(subcommand)]
        command: Sub,
    }

    #[derive(Debug, Subcommand)]
    enum Sub {
        Run {
            #[arg(long, env = "T_KEEP")]
            keep: bool,
            #[arg(long, env = "T_JOBS", default_value = "1", value_parser = values::count(1..=u32::MAX))]
            jobs: u32,
            #[arg(long, env = "T_METRICS", conflicts_with = "jobs")]
            metrics: Option<String>,
            #[arg(long, env = "T_COLOR", value_enum)]
            color: Option<Color>,
            #[arg(long, env = "T_OUT")]
            out: Option<PathBuf>,
            #[arg(long, env = "T_JOIN", value_delimiter = ',')]
            join: Vec<String>,
            #[arg(long, env = "T_SET", value_name = "KEY=VALUE", value_parser = values::setting)]
            set: Vec<(String, String)>,
        },
    }

    fn api(text: &str) -> Result<String, String> {
        if text == "bad" { Err("expected an address".to_owned()) } else { Ok(text.to_owned()) }
    }

    fn try_read(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Program, ArgumentError> {
        let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        let arguments = std::iter::once("program").chain(arguments.iter().copied()).map(OsString::from);
        let matches = parse(Program::command(), arguments, &lookup, &[("T_LOG", "The log filter")])?;
        Ok(Program::from_arg_matches(&matches).unwrap())
    }

    /// The program as its debug text, of which the tests look at parts.
    #[track_caller]
    fn reads(arguments: &[&str], variables: &[(&str, &str)], parts: &[&str]) {
        let text = format!("{:?}", try_read(arguments, variables).unwrap());
        for part in parts {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[track_caller]
    fn refuses(arguments: &[&str], variables: &[(&str, &str)], error: &str) {
        assert_eq!(try_read(arguments, variables).unwrap_err().to_string(), error);
    }

    #[test]
    fn variables_fill_what_the_command_line_leaves_open() {
        let variables =
            [("T_KEEP", "yes"), ("T_JOBS", "3"), ("T_COLOR", "green"), ("T_OUT", "a,b"), ("T_API", "there")];
        reads(&["run"], &variables, &["keep: true", "jobs: 3", "Some(Green)", "Some(\"a,b\")", "\"there\""]);
        reads(
            &["run", "--jobs", "2", "--color=red", "--api", "x"],
            &variables,
            &["jobs: 2", "Some(Red)", "api: \"x\""],
        );
    }

    #[test]
    fn empty_variables_count_as_unset() {
        let empty = ["T_KEEP", "T_JOBS", "T_COLOR", "T_OUT", "T_API", "T_JOIN", "T_SET"].map(|name| (name, ""));
        reads(
            &["run"],
            &empty,
            &["keep: false", "jobs: 1", "color: None", "out: None", "\"here\"", "join: []", "set: []"],
        );
    }

    #[test]
    fn errors_name_the_variable_and_what_it_takes() {
        refuses(
            &["run"],
            &[("T_KEEP", "maybe")],
            "invalid value `maybe` for T_KEEP: expected one of true, yes, on, 1 or false, no, off, 0",
        );
        refuses(&["run"], &[("T_JOBS", "0")], "invalid value `0` for T_JOBS: expected 1 or more");
        refuses(&["run"], &[("T_COLOR", "blue")], "invalid value `blue` for T_COLOR: expected one of red, green");
        refuses(&["run"], &[("T_API", "bad")], "invalid value (not shown) for T_API: expected an address");
        reads(&["run", "--keep"], &[("T_KEEP", "maybe")], &["keep: true"]);
    }

    #[test]
    fn a_variable_never_conflicts_with_an_option() {
        reads(&["run", "--metrics", "x"], &[("T_JOBS", "2")], &["jobs: 1", "Some(\"x\")"]);
        reads(&["run", "--jobs", "2"], &[("T_METRICS", "x")], &["jobs: 2", "metrics: None"]);
        reads(&["run"], &[("T_METRICS", "x"), ("T_JOBS", "1")], &["jobs: 1", "Some(\"x\")"]);
        refuses(&["run"], &[("T_METRICS", "x"), ("T_JOBS", "2")], "T_JOBS and T_METRICS cannot be set together");
    }

    #[test]
    fn lists_and_settings_are_split() {
        let set = "[(\"a\", \"1,2\"), (\"b\", \"3\")]";
        reads(&["run"], &[("T_JOIN", "a, b"), ("T_SET", "a=1,2,b=3")], &["join: [\"a\", \"b\"]", set]);
        reads(&["run", "--set", "a=1,2", "--set", "b=3"], &[], &[set]);
    }

    #[test]
    fn color_is_read_from_a_wrong_command_line() {
        for (arguments, choice) in [
            (&["program", "--colour", "--color=never"][..], ColorChoice::Never),
            (&["program", "run", "--color", "always"], ColorChoice::Always),
            (&["program", "--color"], ColorChoice::Auto),
            (&["program", "--", "--color=never"], ColorChoice::Auto),
        ] {
            assert_eq!(color(arguments.iter().map(OsString::from)), choice, "{arguments:?}");
        }
    }

    #[test]
    fn help_lists_all_variables() {
        let Err(ArgumentError::CommandLine(help)) = try_read(&["--help"], &[]) else {
            panic!("help is an error of clap")
        };
        let help = help.to_string();
        for part in
            ["T_API                As --api", "T_KEEP               As --keep", "T_LOG                The log filter"]
        {
            assert!(help.contains(part), "{help}");
        }
        let Err(ArgumentError::CommandLine(help)) = try_read(&["run", "--help"], &[]) else {
            panic!("help is an error of clap")
        };
        assert!(help.to_string().contains("[env: T_JOBS]"), "{help}");
    }
}
