//! What an output stream can show. Decided once for each stream, from the choice of the user, the stream and the environment.

use std::ffi::OsString;

use clap::ValueEnum;

/// When to colour output, as `--color` takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// Colour what a terminal shows, unless NO_COLOR or TERM=dumb is set; CLICOLOR_FORCE colours always
    #[default]
    Auto,
    /// Colour also what is not shown on a terminal
    Always,
    /// Do not colour anything
    Never,
}

/// Characters that a reader can be expected to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// ASCII only: the locale is C or POSIX, or of another character set.
    #[default]
    Ascii,
    /// All of Unicode, encoded as UTF-8.
    Utf8,
}

/// What one output stream can show. The default is a plain file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Whether escape sequences for colour are written.
    pub color: bool,
    /// Whether a line may be drawn again and again. Elsewhere progress is written line by line.
    pub animation: bool,
    /// Columns of the terminal; `None` for a stream that is no terminal.
    pub width: Option<u16>,
    /// Characters that are written.
    pub charset: Charset,
}

/// How environment variables are looked up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The variables of this process.
pub fn process_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

impl Terminal {
    /// Decides for a stream. `columns` are those of the terminal that shows it, if one does.
    pub fn decide(choice: ColorChoice, is_terminal: bool, columns: Option<u16>, environment: Lookup<'_>) -> Self {
        let is_dumb = environment("TERM").is_some_and(|term| term == "dumb");
        let color = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if is_set(environment, "NO_COLOR") => false,
            ColorChoice::Auto if is_set(environment, "CLICOLOR_FORCE") => true,
            ColorChoice::Auto => is_terminal && !is_dumb && environment("CLICOLOR").is_none_or(|value| value != "0"),
        };
        Terminal {
            color,
            animation: is_terminal && !is_dumb,
            width: columns.filter(|_| is_terminal),
            charset: charset(environment),
        }
    }
}

/// Whether a variable that is a switch by its presence is set: empty means unset, and so does `0`.
fn is_set(environment: Lookup<'_>, name: &str) -> bool {
    environment(name).is_some_and(|value| !value.is_empty() && (name == "NO_COLOR" || value != "0"))
}

/// The first variable of the locale that is set decides, as POSIX has it.
fn charset(environment: Lookup<'_>) -> Charset {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(environment).find(|value| !value.is_empty());
    let locale = locale.map(|value| value.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if locale.contains("utf-8") || locale.contains("utf8") { Charset::Utf8 } else { Charset::Ascii }
}

impl Charset {
    /// The text in this set of characters. Symbols of this project's output have an ASCII form of one column; letters of a
    /// user's own names stay.
    pub fn encode(self, text: &str) -> String {
        if self == Charset::Utf8 || text.is_ascii() {
            return text.to_owned();
        }
        let mut ascii = String::with_capacity(text.len());
        for symbol in text.chars() {
            match symbol {
                '─' | '═' | '╌' | '┄' | '–' | '—' | '·' => ascii.push('-'),
                '│' | '║' | '┆' | '┊' => ascii.push('|'),
                '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' | '╭' | '╮' | '╯' | '╰' | '╞' | '╡' | '╪' | '╤'
                | '╧' | '╔' | '╗' | '╚' | '╝' | '╠' | '╣' | '╬' | '╥' | '╨' | '╫' | '╟' | '╢' => {
                    ascii.push('+')
                }
                '↓' => ascii.push('v'),
                '→' => ascii.push('>'),
                '←' => ascii.push('<'),
                '≤' => ascii.push_str("<="),
                '≥' => ascii.push_str(">="),
                '±' => ascii.push_str("+/-"),
                '×' => ascii.push('x'),
                '…' => ascii.push_str("..."),
                '\u{a0}' | '\u{202f}' => ascii.push(' '),
                '‘' | '’' => ascii.push('\''),
                '“' | '”' => ascii.push('"'),
                'µ' | 'μ' => ascii.push('u'),
                other => ascii.push(other),
            }
        }
        ascii
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(choice: ColorChoice, is_terminal: bool, variables: &[(&str, &str)]) -> Terminal {
        let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        Terminal::decide(choice, is_terminal, Some(72), &lookup)
    }

    #[test]
    fn colour_follows_the_choice_then_the_environment_then_the_stream() {
        use ColorChoice::{Always, Auto, Never};
        for (choice, is_terminal, variables, color) in [
            (Auto, true, &[][..], true),
            (Auto, false, &[], false),
            (Auto, true, &[("NO_COLOR", "1")], false),
            (Auto, true, &[("NO_COLOR", "0")], false),
            (Auto, true, &[("NO_COLOR", "")], true),
            (Auto, true, &[("TERM", "dumb")], false),
            (Auto, true, &[("CLICOLOR", "0")], false),
            (Auto, false, &[("CLICOLOR_FORCE", "1")], true),
            (Auto, false, &[("CLICOLOR_FORCE", "0")], false),
            (Auto, false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
            (Always, false, &[("NO_COLOR", "1"), ("TERM", "dumb")], true),
            (Never, true, &[("CLICOLOR_FORCE", "1")], false),
        ] {
            assert_eq!(terminal(choice, is_terminal, variables).color, color, "{choice:?} {is_terminal} {variables:?}");
        }
    }

    #[test]
    fn dumb_terminals_and_files_get_plain_progress_lines() {
        assert!(terminal(ColorChoice::Auto, true, &[("TERM", "xterm")]).animation);
        assert!(!terminal(ColorChoice::Always, true, &[("TERM", "dumb")]).animation);
        assert!(!terminal(ColorChoice::Always, false, &[]).animation);
        assert_eq!(terminal(ColorChoice::Auto, false, &[]).width, None);
        assert_eq!(terminal(ColorChoice::Auto, true, &[("TERM", "dumb")]).width, Some(72));
    }

    #[test]
    fn the_locale_decides_the_characters() {
        for (variables, charset) in [
            (&[][..], Charset::Ascii),
            (&[("LANG", "en_GB.UTF-8")], Charset::Utf8),
            (&[("LANG", "C.utf8")], Charset::Utf8),
            (&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")], Charset::Ascii),
            (&[("LC_ALL", ""), ("LC_CTYPE", "UTF-8"), ("LANG", "C")], Charset::Utf8),
            (&[("LANG", "de_DE.ISO-8859-1")], Charset::Ascii),
        ] {
            assert_eq!(terminal(ColorChoice::Auto, true, variables).charset, charset, "{variables:?}");
        }
    }

    #[test]
    fn ascii_replaces_symbols_and_leaves_names() {
        assert_eq!(Charset::Ascii.encode("╭─┬─╮ ± 2 µs · müller …"), "+-+-+ +/- 2 us - müller ...");
        assert_eq!(Charset::Utf8.encode("│ ↓"), "│ ↓");
    }
}
