//! The promise that the core is pure: no clock, socket, thread, runtime or unseeded randomness is named in it.
//!
//! Clippy bans calls (clippy.toml); this also sees imports, and fails where clippy is not run.

use std::fs;
use std::path::{Path, PathBuf};

const BANNED: &[&str] = &[
    "std::time::Instant",
    "Instant::now",
    "SystemTime",
    "tokio",
    "std::thread",
    "UdpSocket",
    "TcpStream",
    "std::fs",
    "std::env",
    "rand::rng",
    "rand::random",
    "ThreadRng",
    "OsRng",
    "getrandom",
    "HashMap",
    "HashSet",
    "async fn",
];

fn sources(under: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(under).expect("the source tree is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

fn offences(text: &str) -> Vec<String> {
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.flat_map(|(at, line)| {
        BANNED.iter().filter(move |banned| line.contains(**banned)).map(move |banned| format!("{}: {banned}", at + 1))
    })
    .collect()
}

#[test]
fn the_core_and_the_overlays_name_nothing_impure() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![source.join("core.rs"), source.join("overlay.rs")];
    files.extend(sources(&source.join("core")));
    files.extend(sources(&source.join("overlay")));
    assert!(files.len() > 20, "only {} files were found", files.len());
    for file in files {
        let found = offences(&fs::read_to_string(&file).expect("it can be read"));
        assert!(found.is_empty(), "{}: {found:?}", file.display());
    }
}

#[test]
fn the_check_itself_can_fail() {
    assert_eq!(offences("let now = Instant::now();\n// tokio in a comment\n").len(), 1);
}
