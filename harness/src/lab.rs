//! Labs that are left up, to be worked in by hand: `harness up`, and the commands that reach into one.
//!
//! A lab has a *keeper*: a process that holds the backend, which every other command asks over a socket. The lab ends with its
//! keeper. On `netns` the kernel sees to that. On Docker, containers of a killed keeper are found by their label.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `directory` | the folder of a lab: its socket, state and logs, where only its user may look |
//! | `protocol` | what is said over the socket: JSON lines of bounded length |
//! | `keeper` | deploys, answers, plays, removes |
//! | `serve` | the keeper's end of one connection |
//! | `client` | the commands' end |
//! | `capture` | packets of a host, as pcapng |
//! | `play` | a file's steps on a lab that is up |
//! | `play_record` | the record of such a play |
//! | `homes` | where nodes belong, and free addresses for those that move |
//! | `places` | the nodes of a played file, as places in the lab |
//! | `steps_file` | a file with steps alone, completed by the lab's topology |
//! | `difference` | what two plans do not have in common |
//! | `converge` | from a lab that is up to a changed file |
//! | `slots` | hosts for nodes that are added later |

pub(crate) mod capture;
pub(crate) mod client;
mod converge;
pub(crate) mod difference;
pub(crate) mod directory;
mod homes;
pub(crate) mod keeper;
mod places;
pub(crate) mod play;
mod play_record;
pub(crate) mod protocol;
mod serve;
pub(crate) mod slots;
mod steps_file;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::error_class::ErrorClass;

/// The topology of a lab in tests: two nodes at home, and an ambassador.
#[cfg(test)]
const LAB: &str = "\
networks:
  internet: {subnet: 203.0.113.0/24}
  home: {behind: internet, nat: full-cone, link: {latency: 5ms}}
nodes:
  ambassador: {on: internet, ambassador: true}
  n: {on: home, count: 2}
steps:
  - join: {within: 30s}
";

/// Why a lab cannot be reached or changed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub(crate) enum LabError {
    /// The folder of labs is not safe. Nothing was done.
    #[error("{path} is not a folder that only you may enter")]
    Unsafe { path: PathBuf },
    /// The name has other characters. Nothing was done.
    #[error("a lab cannot be called `{0}`")]
    Name(String),
    /// A lab of this name is up. Nothing was done.
    #[error("the lab `{0}` is up already")]
    Exists(String),
    /// No lab of this name. Nothing was done.
    #[error("no lab is called `{name}`")]
    Unknown { name: String, hint: Option<String> },
    /// No lab at all. Nothing was done.
    #[error("no lab is up")]
    None,
    /// Several labs, and no name. Nothing was done.
    #[error("several labs are up: {}", .0.join(", "))]
    Several(Vec<String>),
    /// The keeper has gone. Nothing was done.
    #[error("the keeper of the lab `{0}` has gone, and the lab with it")]
    Gone(String),
    /// The keeper has not deployed yet. Nothing was done.
    #[error("the lab `{0}` is still being deployed")]
    Starting(String),
    /// The keeper refuses, for a reason of its own.
    #[error("{error}")]
    Refused { error: String, remedy: Option<String>, class: ErrorClass },
    /// The keeper does not answer. What was asked may still happen.
    #[error("the keeper of the lab `{name}` gave no answer within {} s", .within.as_secs())]
    Silent { name: String, within: Duration },
    /// The connection to the keeper broke. What was asked may have happened.
    #[error("the connection to the keeper of the lab `{0}` broke")]
    Broken(String, #[source] io::Error),
    /// A file or folder of a lab cannot be used.
    #[error("cannot use {path}")]
    Io { path: PathBuf, source: io::Error },
}

impl LabError {
    /// Who can do something about it.
    pub(crate) fn class(&self) -> ErrorClass {
        match self {
            LabError::Name(_)
            | LabError::Exists(_)
            | LabError::Unknown { .. }
            | LabError::None
            | LabError::Several(_)
            | LabError::Starting(_) => ErrorClass::User,
            LabError::Refused { class, .. } => *class,
            LabError::Unsafe { .. }
            | LabError::Gone(_)
            | LabError::Silent { .. }
            | LabError::Broken(..)
            | LabError::Io { .. } => ErrorClass::Environment,
        }
    }

    /// What the user can do about it, if that is known.
    pub(crate) fn remedy(&self) -> Option<String> {
        match self {
            LabError::Unsafe { path } => {
                Some(format!("remove it, or choose another place with XDG_RUNTIME_DIR: rm -r {}", path.display()))
            }
            LabError::Name(_) => Some("use up to 32 letters, digits, `-` and `_`: --name lan".to_owned()),
            LabError::Exists(name) => {
                Some(format!("remove it with `harness down {name}`, or choose another name with --name"))
            }
            LabError::Unknown { hint, .. } => hint.clone(),
            LabError::None => Some("bring one up: harness up topologies/one-lan.yaml".to_owned()),
            LabError::Several(names) => Some(format!("name one: --lab {}", names.first().map_or("NAME", |name| name))),
            LabError::Gone(name) => Some(format!("remove what is left of it: harness down {name}")),
            LabError::Starting(_) => Some("wait until `harness up` has ended".to_owned()),
            LabError::Refused { remedy, .. } => remedy.clone(),
            LabError::Silent { name, .. } => {
                Some(format!("look at its state with `harness ps`, or end it: harness down {name}"))
            }
            LabError::Broken(..) | LabError::Io { .. } => None,
        }
    }
}
