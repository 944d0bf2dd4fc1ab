//! `harness`: see [`butter_harness::cli`].

fn main() -> std::process::ExitCode {
    butter_harness::cli::main()
}
