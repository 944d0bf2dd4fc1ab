//! What the tests of the docker backend share. Each test takes what it needs.

use std::path::PathBuf;
use std::process::Command;

use butter_harness::backend::docker::{self, DockerBackend, DockerOptions};
use butter_harness::plan::Plan;
use butter_harness::programs;

use crate::skipped::skipped;

pub(crate) use crate::played::*;

/// A run on Docker.
pub(crate) type Docker = Played<DockerBackend>;

/// Whether there is an engine to test with. Where one is required (`BUTTER_REQUIRE_DOCKER`), its absence is a failure.
pub(crate) async fn docker_is_here() -> bool {
    match docker::preflight().await {
        Ok(()) => true,
        Err(error) if std::env::var_os("BUTTER_REQUIRE_DOCKER").is_some() => panic!("{error}"),
        Err(error) => {
            skipped(error);
            false
        }
    }
}

/// The programs of this build.
pub(crate) fn options() -> DockerOptions {
    let harness = Some(PathBuf::from(env!("CARGO_BIN_EXE_harness")));
    DockerOptions { programs: programs::ProgramChoice { node: None, harness }, ..DockerOptions::default() }
}

/// A run with the programs of this build.
pub(crate) fn backend(plan: Plan) -> DockerBackend {
    DockerBackend::new(plan, options())
}

/// A run of a plan, up and running.
pub(crate) async fn up(plan: Plan) -> Docker {
    Played::up(backend(plan)).await
}

/// Takes everything down and makes sure that nothing is left.
pub(crate) async fn down(mut run: Docker) {
    let id = run.backend.run_id().unwrap().to_owned();
    run.down().await;
    assert_eq!(left_of(&id), "");
}

/// What the engine has of a run, asked in another way than the backend does.
pub(crate) fn left_of(run: &str) -> String {
    let label = format!("label=butter.run={run}");
    let lists = [&["ps", "-aq"][..], &["network", "ls", "-q"], &["volume", "ls", "-q"]];
    lists.into_iter().map(|list| docker(&[list, &["--filter", &label]].concat())).collect()
}

/// Runs the engine's own client.
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("the docker client runs");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
