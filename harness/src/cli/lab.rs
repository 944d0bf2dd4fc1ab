//! The commands of held labs.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `up` | `harness up`: starts a keeper and waits until the lab is up |
//! | `keep` | the keeper's own process |
//! | `ps` | `harness ps`: labs and their nodes |
//! | `down` | `harness down`, and what `clean` does for labs |
//! | `exec` | `harness exec` and `harness shell`: programs in the network of a host |
//! | `capture` | `harness capture`: packets of a host |
//! | `logs` | `harness logs` |
//! | `values` | `harness put`, `get` and `search` |
//! | `play` | `harness play` |

use clap::Args;

use crate::lab::LabError;
use crate::lab::directory::LabDirectory;

pub(super) mod capture;
pub(super) mod down;
pub(super) mod exec;
pub(super) mod keep;
pub(super) mod logs;
pub(super) mod play;
pub(super) mod ps;
pub(super) mod up;
pub(super) mod values;

/// Which lab is meant.
#[derive(Clone, Debug, Args)]
pub(super) struct LabArg {
    /// Lab to use; needed if several are up
    #[arg(long, value_name = "NAME", env = "HARNESS_LAB")]
    lab: Option<String>,
}

/// Which host of which lab is meant.
#[derive(Clone, Debug, Args)]
pub(super) struct HostArgs {
    #[command(flatten)]
    lab: LabArg,
    /// Node, or router-NETWORK
    #[arg(value_name = "NODE")]
    node: String,
}

impl LabArg {
    fn find(&self) -> Result<LabDirectory, LabError> {
        LabDirectory::find(self.lab.as_deref())
    }
}
