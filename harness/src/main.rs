//! `harness`: see [`butter_harness::cli`].

/// A simulation of many nodes touches its whole heap all the time. This allocator lays it out in huge pages where the system
/// lets it, which saves page-table misses; the system's own does not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    butter_harness::cli::main()
}
