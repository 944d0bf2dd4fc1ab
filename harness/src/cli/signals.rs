//! Ctrl-C, SIGTERM, and SIGHUP when the terminal is closed. Once, and the runs end and clean up. Twice, and the program leaves
//! and says what is left.

use std::time::Duration;

use butter_cli::end_signals::EndSignals;
use tokio::time::timeout;

use super::{Exit, full_screen, tell};
use crate::backend::docker::label::{self, Owner, OwnerState};
use crate::backend::docker::{self, teardown};
use crate::run::{StopReason, StopSignal};

/// How long the list of what is left may take.
const LIST_WITHIN: Duration = Duration::from_secs(5);

/// Asks `stop` at the first signal and ends the program at the second.
pub(super) async fn serve(mut signals: EndSignals, stop: StopSignal) {
    loop {
        signals.next().await;
        if stop.request(StopReason::Interrupted) {
            tell("\ninterrupted: ending the run and removing what was created; once more to leave at once");
            continue;
        }
        full_screen::leave_at_once();
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
