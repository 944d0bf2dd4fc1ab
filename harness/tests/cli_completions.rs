//! `harness completions`: scripts that shells take and that offer what the program has.

use std::process::{Command, Output};

fn script(shell: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness")).args(["completions", shell]).output().unwrap()
}

#[test]
fn every_shell_gets_all_commands_that_help_shows() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = script(shell);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let text = String::from_utf8(output.stdout).unwrap();
        for word in ["validate", "explore", "completions", "time-limit", "junit"] {
            assert!(text.contains(word), "{shell}: {word} is not in:\n{text}");
        }
        for hidden in ["arrival-filter", "namespace-trial", "prober"] {
            assert!(!text.contains(hidden), "{shell} offers {hidden}");
        }
    }
}

#[test]
fn an_unknown_shell_is_refused_with_those_that_there_are() {
    let output = script("tcsh");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("tcsh") && text.contains("elvish"), "{text}");
}

#[test]
fn bash_completes_commands_options_and_choices() {
    let script = String::from_utf8(script("bash").stdout).unwrap();
    let complete = |words: &str, at: usize| {
        let ask = format!(
            "{script}\nCOMP_WORDS=({words}); COMP_CWORD={at}; _harness harness \"${{COMP_WORDS[{at}]}}\" \"${{COMP_WORDS[{at}-1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let output = match Command::new("bash").args(["--norc", "-c", &ask]).output() {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => panic!("{error}"),
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).unwrap())
    };
    let Some(commands) = complete("harness va", 1) else {
        eprintln!("skipped: there is no bash");
        return;
    };
    assert_eq!(commands.trim(), "validate");
    assert_eq!(complete("harness run --time-l", 2).unwrap().trim(), "--time-limit");
    assert!(complete("harness run --backend n", 3).unwrap().contains("netns"));
}
