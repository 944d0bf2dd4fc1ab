//! What happens in a run, and when.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Serialize;

use super::{Check, ItemIndex, NetworkIndex, NodeIndex};
use crate::net::link::LinkConfig;

/// One step, expanded: what is done when, counted from its beginning, and when it ends.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// `join`, `store`, `churn`, `settle`, `retrieve`, `rebind`, `link`, `cross`, `check`.
    pub verb: &'static str,
    /// One line for progress and reports: `churn for 60s, 1/100 of the nodes die each second`.
    pub title: String,
    /// In order of time.
    pub actions: Vec<Timed>,
    /// When it ends.
    pub until: Until,
    /// Line in the file, from 1.
    pub line: usize,
}

/// An action at its time.
#[derive(Clone, Debug, Serialize)]
pub struct Timed {
    /// After the step's beginning.
    pub after: Duration,
    /// What.
    pub act: Act,
}

/// What the timeline does to a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Start a node that does not run. With `fresh` it has a new identity and nothing stored.
    Start {
        /// Which.
        node: NodeIndex,
        /// A new identity and an empty store.
        fresh: bool,
    },
    /// SIGKILL: silence.
    Kill {
        /// Which.
        node: NodeIndex,
    },
    /// Ask it to leave in good order, and wait until it has.
    Stop {
        /// Which.
        node: NodeIndex,
    },
    /// Have an item stored by [`Item::by`](super::Item::by).
    Put {
        /// Which.
        item: ItemIndex,
    },
    /// Have an item asked for.
    Get {
        /// Which.
        item: ItemIndex,
        /// Who asks.
        node: NodeIndex,
    },
    /// Have a network's NAT forget every mapping.
    Rebind {
        /// Whose.
        network: NetworkIndex,
        /// Its addresses outside from then on.
        addresses: Vec<Ipv4Addr>,
    },
    /// Change a network's uplink.
    SetLink {
        /// Whose.
        network: NetworkIndex,
        /// From the network outwards.
        up: Box<LinkConfig>,
        /// From outside into the network.
        down: Box<LinkConfig>,
    },
    /// Have two nodes linked as directly as possible, once neither is in another pair.
    Link {
        /// Who asks for the link.
        node: NodeIndex,
        /// To whom.
        peer: NodeIndex,
        /// A link counts that is up, and direct, by then.
        within: Duration,
    },
}

/// When a step ends.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// The known-host graph of all live nodes is one component; the run fails if that takes longer.
    Joined {
        /// How long it may take.
        within: Duration,
    },
    /// This long after its beginning, and all its actions are done.
    Elapsed {
        /// How long.
        time: Duration,
    },
    /// All its actions are done.
    Done {
        /// How long that may take.
        within: Duration,
    },
    /// These checks are evaluated, here and now.
    Checked {
        /// Which.
        checks: Vec<Check>,
    },
}
