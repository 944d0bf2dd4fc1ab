//! The two programs of the image: found, or built with cargo where there is a source tree.

mod elf;

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use crate::error_class::ErrorClass;
use crate::progress::Progress;
use elf::Linkage;

/// Names the node's program where there is no source tree.
pub const NODE_BINARY_VARIABLE: &str = "BUTTER_NODE_BINARY";
/// Bytes of cargo's complaints that are shown.
const COMPLAINT_MAX: usize = 8 << 10;

/// Which programs to take; what is not given is found or built.
#[derive(Clone, Debug, Default)]
pub struct ProgramChoice {
    /// The node; otherwise the variable `BUTTER_NODE_BINARY`, the source tree, or `butter` beside this program.
    pub node: Option<PathBuf>,
    /// The harness, which is also the router; otherwise this very program.
    pub harness: Option<PathBuf>,
}

impl From<Programs> for ProgramChoice {
    fn from(programs: Programs) -> Self {
        ProgramChoice { node: Some(programs.node), harness: Some(programs.harness) }
    }
}

/// The static programs that a run needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// File of the node, `butter`.
    pub node: PathBuf,
    /// File of the router, `harness`.
    pub harness: PathBuf,
}

/// Why there is no program to run. Nothing was created but files of cargo.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "`path` is the program's file; `tree` is the source tree that it is built in")]
pub enum ProgramError {
    /// There is no node, and no cargo to build one.
    #[error("there is no node to run: neither a source tree with cargo, nor a program `butter` beside this one")]
    NoNode,
    /// The file cannot be opened or read.
    #[error("cannot read the program {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The file is something else.
    #[error("{} is not a 64-bit Linux program", .0.display())]
    NotAProgram(PathBuf),
    /// Nodes run where there are no libraries.
    #[error("{} needs shared libraries, which do not exist where nodes run", .0.display())]
    NotStatic(PathBuf),
    /// Cargo is missing, or the program does not compile.
    #[error("cargo cannot build {program} in {}", tree.display())]
    Build { program: String, tree: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    /// The system does not say which file this process runs.
    #[error("cannot find this program's own file")]
    OwnFile(#[source] io::Error),
}

impl ProgramError {
    /// What the user can do about it, if that is known.
    pub fn remedy(&self) -> Option<String> {
        match self {
            ProgramError::NoNode => {
                Some(format!("Install Rust (https://rustup.rs), or name a static node: {NODE_BINARY_VARIABLE}=FILE."))
            }
            ProgramError::NotAProgram(_) => {
                Some(format!("Name a static Linux program in {NODE_BINARY_VARIABLE}, or unset it to have one built."))
            }
            ProgramError::NotStatic(_) => Some(
                "Build it in the source tree without RUSTFLAGS set, so that .cargo/config.toml applies; or with\n  \
                 RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target host-tuple"
                    .to_owned(),
            ),
            ProgramError::Build { program, .. } => {
                Some(format!("See what cargo says: cargo build --workspace --bin {program}"))
            }
            ProgramError::Unreadable { .. } | ProgramError::OwnFile(_) => None,
        }
    }

    /// Who can do something about it.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Environment
    }
}

/// Finds or builds both programs.
///
/// # Errors
/// If one is missing, does not build, or is not static, with what to do about it.
pub async fn find(choice: &ProgramChoice, progress: &mut dyn Progress) -> Result<Programs, ProgramError> {
    let harness = harness(choice, progress).await?;
    let node = node(choice, progress).await?;
    Ok(Programs { node, harness })
}

async fn harness(choice: &ProgramChoice, progress: &mut dyn Progress) -> Result<PathBuf, ProgramError> {
    if let Some(path) = &choice.harness {
        return given(path);
    }
    let own = own_program()?;
    let is_static = kind(&own)? == Linkage::Static;
    match source_tree() {
        _ if is_static => Ok(own),
        Some(tree) => build(&tree, "harness", Flags::Static, progress).await,
        None => Err(ProgramError::NotStatic(own)),
    }
}

/// The node's program as the environment names it. Empty is unset.
fn named_node() -> Option<PathBuf> {
    env::var_os(NODE_BINARY_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

async fn node(choice: &ProgramChoice, progress: &mut dyn Progress) -> Result<PathBuf, ProgramError> {
    if let Some(path) = choice.node.clone().or_else(named_node) {
        return given(&path);
    }
    if let Some(tree) = source_tree()
        && cargo_answers().await
    {
        let built = build(&tree, "butter", Flags::AsConfigured, progress).await?;
        if kind(&built)? == Linkage::Static {
            return Ok(built);
        }
        progress.note("RUSTFLAGS or another setting overrides the static build; building the node once more, apart");
        return build(&tree, "butter", Flags::Static, progress).await;
    }
    match beside()? {
        Some(path) => given(&path),
        None => Err(ProgramError::NoNode),
    }
}

/// What `doctor` says about the node's program: where it would come from, or that there is none.
pub(crate) async fn node_origin() -> Result<String, ProgramError> {
    if let Some(path) = named_node() {
        return given(&path).map(|path| format!("{NODE_BINARY_VARIABLE}: {}", path.display()));
    }
    if let Some(tree) = source_tree()
        && cargo_answers().await
    {
        return Ok(format!("built by cargo from {}", tree.display()));
    }
    match beside()? {
        Some(path) => given(&path).map(|path| path.display().to_string()),
        None => Err(ProgramError::NoNode),
    }
}

fn beside() -> Result<Option<PathBuf>, ProgramError> {
    let own = own_program()?;
    Ok(Some(own.with_file_name("butter")).filter(|path| path.is_file()))
}

fn given(path: &Path) -> Result<PathBuf, ProgramError> {
    match kind(path)? {
        Linkage::Static => Ok(path.to_owned()),
        Linkage::Dynamic => Err(ProgramError::NotStatic(path.to_owned())),
        Linkage::Foreign => Err(ProgramError::NotAProgram(path.to_owned())),
    }
}

fn kind(path: &Path) -> Result<Linkage, ProgramError> {
    elf::kind(path).map_err(|source| ProgramError::Unreadable { path: path.to_owned(), source })
}

fn own_program() -> Result<PathBuf, ProgramError> {
    env::current_exe().map_err(ProgramError::OwnFile)
}

/// The workspace that this program was built in, if it is still there.
fn source_tree() -> Option<PathBuf> {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    (tree.join("Cargo.toml").is_file() && tree.join("node/Cargo.toml").is_file()).then(|| tree.to_owned())
}

fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

async fn cargo_answers() -> bool {
    let asked = Command::new(cargo())
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.await.is_ok_and(|status| status.success())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flags {
    /// As the workspace's own configuration has it: shares its target directory.
    AsConfigured,
    /// Explicitly static, in a target directory of its own so that nothing else is rebuilt.
    Static,
}

/// Runs cargo and returns the program that it made.
async fn build(tree: &Path, program: &str, flags: Flags, progress: &mut dyn Progress) -> Result<PathBuf, ProgramError> {
    progress.begin(&format!("building {program}"), 0);
    let mut command = command(tree, program, flags);
    let built = run(&mut command, program, progress).await;
    let failed = |source: anyhow::Error| ProgramError::Build {
        program: program.to_owned(),
        tree: tree.to_owned(),
        source: source.into(),
    };
    built.map_err(failed)
}

fn command(tree: &Path, program: &str, flags: Flags) -> Command {
    let mut command = Command::new(cargo());
    // The whole workspace: features are then the same as those that the harness itself was built with by `cargo run`, and
    // what both need is built once.
    command.current_dir(tree).args(["build", "--workspace", "--bin", program]);
    command.arg("--message-format=json-render-diagnostics");
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    // `cargo run` tells the harness of its own package, and where its build script has written. Build scripts that look at that
    // (ring's does) would be run again, here and by the next `cargo run`, and nearly everything built anew each time.
    for (name, _) in env::vars_os().filter(|(name, _)| names_a_package(name)) {
        command.env_remove(name);
    }
    if flags == Flags::Static {
        let inherited = env::var("RUSTFLAGS").unwrap_or_default();
        command.env("RUSTFLAGS", format!("{inherited} -C target-feature=+crt-static").trim());
        command.env_remove("CARGO_ENCODED_RUSTFLAGS");
        command.args(["--target", "host-tuple", "--target-dir"]).arg(tree.join("target").join("static"));
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Whether cargo sets this variable for the programs that it runs, to tell them of their package.
fn names_a_package(variable: &OsStr) -> bool {
    let variable = variable.to_string_lossy();
    variable == "OUT_DIR"
        || ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
            .iter()
            .any(|prefix| variable.starts_with(prefix))
}

async fn run(command: &mut Command, program: &str, progress: &mut dyn Progress) -> anyhow::Result<PathBuf> {
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow!("cargo is not installed"),
        _ => anyhow!(error),
    })?;
    let stdout = child.stdout.take().context("cargo's output is piped")?;
    let mut stderr = child.stderr.take().context("cargo's complaints are piped")?;
    // Read beside the messages: a full pipe would stop cargo.
    let complaints = tokio::spawn(async move {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).await.map(|_| text)
    });
    let mut lines = BufReader::new(stdout).lines();
    let mut made = None;
    while let Some(line) = lines.next_line().await? {
        progress.advance(1);
        made = executable(&line, program).or(made);
    }
    let status = child.wait().await?;
    let complaints = complaints.await??;
    if !status.success() {
        let from = complaints.len().saturating_sub(COMPLAINT_MAX);
        bail!("{status}\n{}", String::from_utf8_lossy(&complaints[from..]).trim_end());
    }
    made.context("cargo named no program")
}

/// The path in one line of cargo's messages, if it tells of the program that is wanted.
fn executable(line: &str, program: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        target: Option<Target>,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }
    let message: Message = serde_json::from_str(line).ok()?;
    let target = message.target?;
    let is_it =
        message.reason == "compiler-artifact" && target.name == program && target.kind.iter().any(|kind| kind == "bin");
    message.executable.filter(|_| is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_run_tells_of_a_package_is_not_passed_on() {
        let variables = [
            "CARGO_PKG_NAME",
            "CARGO_MANIFEST_DIR",
            "OUT_DIR",
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_ENCODED_RUSTFLAGS",
        ];
        assert_eq!(variables.map(|name| names_a_package(OsStr::new(name))), [true, true, true, false, false, false]);
    }

    #[test]
    fn the_program_is_read_from_cargos_messages() {
        let artifact = r#"{"reason":"compiler-artifact","target":{"name":"butter","kind":["bin"]},"executable":"/t/butter","fresh":true}"#;
        assert_eq!(executable(artifact, "butter"), Some(PathBuf::from("/t/butter")));
        assert_eq!(executable(artifact, "harness"), None);
        assert_eq!(executable(&artifact.replace("\"bin\"", "\"lib\""), "butter"), None);
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#, "butter"), None);
        assert_eq!(executable("warning: unused", "butter"), None);
    }

    #[test]
    fn a_script_is_refused_as_a_node() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("butter");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        assert!(given(&script).unwrap_err().to_string().contains("not a 64-bit Linux program"));
        assert!(given(&folder.path().join("none")).is_err());
    }
}
