//! What a plan is played on. Nothing above this file knows which backend runs.

pub mod sim;

use std::fmt;

use crate::events::RunTime;
use crate::op::{BackendEvent, Op, OpId, OpTarget};
use crate::progress::Progress;

pub mod docker;
pub mod netns;
pub(crate) mod process;

/// A way to run nodes and the networks between them.
///
/// Work is asked for with [`Backend::submit`], which never waits, and reported by [`Backend::next`]: so a timeline is kept
/// however long the engine takes. Whatever is submitted is reported exactly once, within a deadline that the backend keeps.
#[expect(async_fn_in_trait, reason = "played on one task; no Send bound is wanted")]
pub trait Backend {
    /// `docker`, `netns`, `sim`.
    fn name(&self) -> &'static str;

    /// Creates every network and router, starts every node that runs from the start, and returns when all of them answer.
    /// The run's clock starts then. `progress` is told what is being done.
    async fn up(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError>;

    /// The run's clock.
    fn now(&self) -> RunTime;

    /// Begins an operation. `target` is what its peer or item is called in this run.
    fn submit(&mut self, id: OpId, op: Op, target: OpTarget);

    /// The next event, or `None` when the run's clock reaches `until` before one comes.
    async fn next(&mut self, until: RunTime) -> Option<BackendEvent>;

    /// Removes everything. Called once, also after a failed [`Backend::up`].
    ///
    /// # Errors
    /// With the list of what could not be removed.
    async fn down(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError>;
}

/// The environment failed: exit status 3.
#[derive(Debug)]
pub struct BackendError {
    /// What failed, with its causes.
    pub what: anyhow::Error,
    /// What to do about it, if that is known.
    pub remedy: Option<String>,
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.what)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n{remedy}"),
            None => Ok(()),
        }
    }
}

impl From<anyhow::Error> for BackendError {
    fn from(what: anyhow::Error) -> Self {
        BackendError { what, remedy: None }
    }
}
