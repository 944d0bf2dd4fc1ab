//! Promise: an ordinary user plays the same file with the same outcome, and owns the record.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::support::{Desk, Player};

const SHORT: &str = include_str!("../../../topologies/three-lans.yaml");

/// The topology that ships, with less churn, and without a bound on a time: other tests run beside this one.
fn short() -> String {
    let mut shorter = SHORT.to_owned();
    for (long, short) in [("for: 60s", "for: 5s"), ("for: 10s", "for: 5s"), ("  - retrieval p95 <= 2s\n", "")] {
        assert!(shorter.contains(long), "{long}");
        shorter = shorter.replace(long, short);
    }
    shorter
}

fn passes(player: Player, backend: &[&str]) -> Option<(Desk, String)> {
    let desk = Desk::of(player)?;
    fs::write(desk.path("t.yaml"), short()).unwrap();
    let ran = desk.command(&[&["run", "t.yaml", "--out", "out"], backend].concat()).output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}\n{said}", String::from_utf8_lossy(&ran.stdout));
    let result = fs::read_to_string(desk.path("out/result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    assert_eq!((&result["backend"], &result["verdict"]), (&"netns".into(), &"passed".into()));
    Some((desk, said))
}

#[test]
fn three_lans_pass_as_root() {
    passes(Player::Own, &["--backend", "netns"]);
}

#[test]
fn three_lans_pass_as_an_ordinary_user_who_owns_the_record() {
    let Some((desk, said)) = passes(Player::Ordinary, &[]) else { return };
    let chosen: Vec<_> = said.lines().filter(|line| line.starts_with("backend:")).collect();
    assert!(matches!(chosen[..], [line] if line.starts_with("backend: netns (docker is not usable")), "{said}");
    let mut files = 0;
    visit(&desk.path("out"), &mut |path| {
        files += 1;
        assert_eq!(fs::metadata(path).unwrap().uid(), desk.user(), "{}", path.display());
    });
    assert!(files > 20, "a record and a log for each process, not {files} files");
}

fn visit(folder: &Path, see: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        see(&entry.path());
        if entry.path().is_dir() {
            visit(&entry.path(), see);
        }
    }
}
