//! Names the commit that the program is built from, for the records of its runs. A source tree without git has none.

use std::path::Path;
use std::process::Command;

fn main() {
    for sources in ["build.rs", "src", "models/src", "../node/src", "../cli/src"] {
        println!("cargo::rerun-if-changed={sources}");
    }
    let commit = own_commit();
    println!("cargo::rustc-env=BUTTER_COMMIT={}", commit.as_deref().unwrap_or_default());
}

/// The commit of these sources, with `-modified` if they differ from it. A commit alone builds nothing anew: what was built
/// before it goes on to name the one before, modified. The package takes minutes to build.
fn own_commit() -> Option<String> {
    let package = std::env::var("CARGO_MANIFEST_DIR").ok()?;
    let root = Path::new(&package).parent()?.canonicalize().ok()?;
    // Sources that lie in another project's repository are not of its commit.
    if Path::new(&git(&["rev-parse", "--show-toplevel"])?).canonicalize().ok()? != root {
        return None;
    }
    let commit = git(&["rev-parse", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() { commit } else { format!("{commit}-modified") })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
