//! Promise: what a run that was killed has left is found by its labels and removed, and nothing else is.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::{Notes, docker_is_here, down, homes, left_of, up};
use butter_harness::clean::{CleanScope, clean};

/// Tells the child of this test that it is to deploy and wait to be killed.
const CHILD_VARIABLE: &str = "BUTTER_TEST_DEPLOY_AND_WAIT";

#[tokio::test]
async fn a_run_that_was_killed_is_removed() {
    if !docker_is_here().await {
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "clean::deploy_and_wait", "--nocapture"])
        .env(CHILD_VARIABLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Kept to the end: a child whose output is closed ends at its next line.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let run = lines
        .by_ref()
        .map(Result::unwrap)
        .find_map(|line| Some(line.split_once("deployed run ")?.1.to_owned()))
        .expect("the child deploys its run");
    let mine = up(homes("mine", 1).0).await;

    // As long as its process lives it is spared.
    let cleaned = clean(CleanScope::Crashed, &mut Notes::default()).await.unwrap();
    assert!(cleaned.spared.iter().any(|(spared, why)| spared.run == run && why.contains("running")), "{cleaned:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let cleaned = clean(CleanScope::Crashed, &mut Notes::default()).await.unwrap();
    let removed = cleaned.removed.iter().find(|removed| removed.run == run).expect("the killed run is removed");
    assert_eq!((removed.topology.as_str(), removed.objects), ("killed", 6 + 4), "six containers, four networks");
    assert_eq!(left_of(&run), "");

    let mine_id = mine.backend.run_id().unwrap().to_owned();
    assert!(cleaned.spared.iter().any(|(spared, _)| spared.run == mine_id));
    assert_ne!(left_of(&mine_id), "");
    down(mine).await;
}

/// Not a test by itself: what [`a_run_that_was_killed_is_removed`] starts and kills.
#[tokio::test]
async fn deploy_and_wait() {
    if std::env::var_os(CHILD_VARIABLE).is_none() {
        return;
    }
    let run = up(homes("killed", 1).0).await;
    println!("deployed run {}", run.backend.run_id().unwrap());
    // Ends with the test that started it, one way or the other.
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await;
    ended.unwrap().unwrap();
    down(run).await;
}
