//! Ctrl-C, SIGTERM, and SIGHUP when the terminal is closed: once, and the runs end and clean up; twice, and the program goes and says what it leaves.

use std::time::Duration;

use butter_cli::hangup;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use super::{Exit, tell};
use crate::backend::docker::label::{self, Owner, OwnerState};
use crate::backend::docker::{self, teardown};
use crate::run::{StopReason, StopSignal};

/// How long the list of what is left may take.
const LIST_WITHIN: Duration = Duration::from_secs(5);

/// Asks `stop` at the first signal and ends the program at the second.
///
/// # Errors
/// If the signals cannot be had.
pub(super) async fn serve(stop: StopSignal) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = if hangup::is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = next(&mut hangup) => {}
        }
        if stop.request(StopReason::Interrupted) {
            tell("\ninterrupted: ending the run and removing what was created; once more to leave at once");
            continue;
        }
        tell(&left().await);
        std::process::exit(Exit::Interrupted.code().into());
    }
}

/// The next of a signal that may be ignored: then never.
async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => std::future::pending().await,
    }
}

/// What this process has on the engine.
async fn left() -> String {
    let listed = timeout(LIST_WITHIN, async {
        let engine = docker::connect().await.map_err(anyhow::Error::from)?;
        teardown::find(&engine.docker, None).await
    });
    let runs = match listed.await {
        Ok(Ok(runs)) => runs,
        Ok(Err(error)) => return format!("left at once; what is left could not be listed: {error:#}"),
        Err(_) => return "left at once; the engine did not list in time what is left".to_owned(),
    };
    let own = format!("{}/", std::process::id());
    let is_own =
        |owner: &String| owner.starts_with(&own) && Owner::parse(owner).is_some_and(|o| o.living() == OwnerState::Yes);
    let objects: Vec<String> = runs
        .into_values()
        .filter(|found| found.labels.get(label::OWNER).is_some_and(is_own))
        .flat_map(|found| found.objects)
        .map(|thing| format!("\n  {thing}"))
        .collect();
    match objects.is_empty() {
        true => "left at once; nothing is left behind".to_owned(),
        false => format!("left at once; this is left, and harness clean removes it:{}", objects.concat()),
    }
}
