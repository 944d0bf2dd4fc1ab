//! What a plan is played on. Nothing above this file knows which backend runs.

pub mod sim;

use crate::error_class::ErrorClass;
use crate::events::RunTime;
use crate::netns::access::NamespaceError;
use crate::op::{BackendEvent, Op, OpId, OpTarget};
use crate::probe::{ProbeError, RouterDiffers};
use crate::programs::ProgramError;
use crate::progress::Progress;
use capacity::CapacityError;
use docker::engine::EngineProblem;
use limits::LimitError;

pub mod capacity;
pub mod docker;
pub(crate) mod held;
pub mod limits;
pub mod netns;
pub(crate) mod process;

/// A way to run nodes and the networks between them.
///
/// Work is asked for with [`Backend::submit`], which never waits, and reported by [`Backend::next`]: so a timeline is kept
/// however long the engine takes. Whatever is submitted is reported exactly once, within a deadline that the backend keeps.
#[expect(async_fn_in_trait, reason = "played on one task; no Send bound is wanted")]
pub trait Backend {
    /// Its name: `docker`, `netns` or `sim`.
    fn name(&self) -> &'static str;

    /// Creates every network and router, starts every node that runs from the start, and returns when all of them answer.
    /// The run's clock starts then. `progress` shows what is being done.
    async fn up(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError>;

    /// The run's clock: zero until the backend is up.
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

/// Why a backend could not be used, brought up or taken down.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "`remedy` is what the user can do about it")]
pub enum BackendError {
    /// No program for nodes or routers. Nothing was created.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Network namespaces cannot be created here. Nothing was created.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// No Docker engine can be used here. Nothing was created.
    #[error(transparent)]
    Engine(#[from] EngineProblem),
    /// The machine is too small for the plan. Nothing was created.
    #[error(transparent)]
    Capacity(#[from] CapacityError),
    /// Limits of a node cannot be kept. Nothing was created.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The self-probe failed, or a router does not behave as declared.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// Containers, networks or volumes are left.
    #[error("cannot remove everything: {left}")]
    Removal { left: String, remedy: String },
    /// Another operation failed.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl BackendError {
    /// What the user can do about it, if that is known.
    pub fn remedy(&self) -> Option<String> {
        match self {
            BackendError::Program(error) => error.remedy(),
            BackendError::Namespace(error) => error.remedy().map(str::to_owned),
            BackendError::Engine(error) => Some(error.remedy()),
            BackendError::Capacity(error) => Some(error.remedy()),
            BackendError::Limit(error) => Some(error.remedy().to_owned()),
            BackendError::Probe(error) => error.remedy().map(str::to_owned),
            BackendError::Removal { remedy, .. } => Some(remedy.clone()),
            BackendError::Other(_) => None,
        }
    }

    /// The router that does not behave as declared, if that is the reason.
    pub fn differing_router(&self) -> Option<&RouterDiffers> {
        match self {
            BackendError::Probe(ProbeError::Differs(router)) => Some(router),
            _ => None,
        }
    }

    /// Who can do something about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            BackendError::Program(error) => error.class(),
            BackendError::Limit(error) => error.class(),
            BackendError::Namespace(_)
            | BackendError::Engine(_)
            | BackendError::Capacity(_)
            | BackendError::Probe(_)
            | BackendError::Removal { .. }
            | BackendError::Other(_) => ErrorClass::Environment,
        }
    }
}
