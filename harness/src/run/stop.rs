//! How a run is ended early, from another thread.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// Why a run was ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// By the user, or by whoever may send signals.
    Interrupted,
    /// It took longer than it was allowed to.
    TimeLimit,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopReason::Interrupted => "interrupted",
            StopReason::TimeLimit => "the time limit was reached",
        })
    }
}

/// Asks a run to end, and tells it whether it was asked. Clones are the same one.
#[derive(Clone, Debug)]
pub struct StopSignal(Arc<watch::Sender<Option<StopReason>>>);

impl Default for StopSignal {
    fn default() -> Self {
        StopSignal(Arc::new(watch::Sender::new(None)))
    }
}

impl StopSignal {
    /// Asks. Only the first reason counts; whether this was it.
    pub fn request(&self, why: StopReason) -> bool {
        self.0.send_if_modified(|reason| {
            let first = reason.is_none();
            reason.get_or_insert(why);
            first
        })
    }

    /// Whether it was asked, and why.
    pub fn requested(&self) -> Option<StopReason> {
        *self.0.borrow()
    }

    /// Waits until it is asked.
    pub async fn wait(&self) -> StopReason {
        let mut changes = self.0.subscribe();
        let reason = changes.wait_for(Option::is_some).await.expect("the sender is alive: self holds it");
        reason.expect("just waited for")
    }
}
