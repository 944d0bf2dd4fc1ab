//! The `butter` program: see [`butter::cli`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    butter::cli::main()
}
