//! Ctrl-C, SIGTERM, and SIGHUP when the terminal is closed. Once, and the runs end and clean up. Twice, and the program leaves
//! and says what is left.

use std::task::Poll;
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

/// Signals that end a run, caught from when this is made.
pub(super) struct CaughtSignals(Vec<Signal>);

impl CaughtSignals {
    /// Catches them from now on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn catch() -> std::io::Result<Self> {
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        if !hangup::is_ignored() {
            kinds.push(SignalKind::hangup());
        }
        kinds.into_iter().map(signal).collect::<Result<_, _>>().map(CaughtSignals)
    }

    /// Waits for the next of them.
    async fn next(&mut self) {
        std::future::poll_fn(|cx| match self.0.iter_mut().any(|signal| signal.poll_recv(cx).is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

/// Asks `stop` at the first signal and ends the program at the second.
pub(super) async fn serve(mut signals: CaughtSignals, stop: StopSignal) {
    loop {
        signals.next().await;
        if stop.request(StopReason::Interrupted) {
            tell("\ninterrupted: ending the run and removing what was created; once more to leave at once");
            continue;
        }
        tell(&left().await);
        std::process::exit(Exit::Interrupted.code().into());
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
