//! Everything that is done in a run, and when: churn and workload as one seeded list of timed actions per step.
//!
//! Pure: the same nodes, steps and seed give the same actions on every machine. A model of who is alive runs along, so that
//! nothing dead is killed or asked, as far as a plan can know; what dies otherwise in a run is the player's to report.
//!
//! | module | what it draws |
//! | --- | --- |
//! | `churn` | who dies when, how, and what comes in its place |
//! | `crossing` | which pairs of nodes are to be linked |
//! | `workload` | who stores what when, and who asks for it |

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use butter::core::random::{Random, child};
use rand::RngExt;
use serde::Serialize;

use crate::plan::{Act, Check, Item, NodeIndex, NodePlan, Step, Timed, Until};

mod churn;
mod crossing;
mod workload;

pub use churn::{CHURN_DRAWS_MAX, Churn, Replace};
pub use crossing::{Cross, PAIRS_MAX};
pub use workload::{
    Asker, FRESH_JOIN, GETS_PER_ASKER_AND_SECOND, GETS_PER_SECOND, PUTS_PER_NODE_AND_SECOND, PUTS_PER_SECOND, Retrieve,
    Store, WORKLOAD_GRACE,
};

/// Most actions of a plan.
pub const ACTIONS_MAX: usize = 8_000_000;

/// How long networks may take to be changed.
const NETWORKS_WITHIN: Duration = Duration::from_secs(30);

/// Keeps the timeline's generators apart from those of other users of the run's seed: `time`, in the upper half.
const PURPOSE: u64 = 0x7469_6D65_0000_0000;

/// A step before it is expanded. Nodes are meant whether they are alive by then or not.
#[derive(Clone, Debug)]
pub struct Scene {
    /// What happens.
    pub kind: SceneKind,
    /// As [`Step::title`].
    pub title: String,
    /// Line in the file, from 1.
    pub line: usize,
}

/// What happens in a step.
#[derive(Clone, Debug)]
pub enum SceneKind {
    /// Wait until all live nodes are one component.
    Join {
        /// How long that may take.
        within: Duration,
    },
    /// Items are stored.
    Store(Store),
    /// Nodes die and are replaced.
    Churn(Churn),
    /// Nothing is done.
    Settle {
        /// How long.
        time: Duration,
    },
    /// Items are asked for.
    Retrieve(Retrieve),
    /// Networks are changed, all at once.
    Networks {
        /// The step's verb.
        verb: &'static str,
        /// What is done.
        acts: Vec<Act>,
    },
    /// Pairs of nodes are linked.
    Cross(Cross),
    /// Checks are evaluated.
    Check {
        /// Which.
        checks: Vec<Check>,
    },
}

/// A step that cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimelineError {
    /// Churn has left nobody who could do what the step says.
    #[error("by then every node of {whom} is dead")]
    NobodyLeft {
        /// Of whom, as named in the file.
        whom: String,
    },
    /// There are no two nodes to link.
    #[error("by then there are no two live nodes of {whom} to link")]
    NoPair {
        /// Of whom, as named in the file.
        whom: String,
    },
    /// Nothing was stored before.
    #[error("nothing is stored before this step, so there is nothing to ask for")]
    NothingStored,
    /// More items than there are.
    #[error("{wanted} items are more than the {stored} that are stored before")]
    FewerStored {
        /// Asked for.
        wanted: u64,
        /// Stored before.
        stored: u64,
    },
    /// The plan would be too large.
    #[error("with this step the plan has more than {ACTIONS_MAX} actions")]
    TooManyActions,
    /// Churn would take too long to draw.
    #[error("so many nodes for so many seconds are more than {CHURN_DRAWS_MAX} draws")]
    TooManyDraws,
    /// Choosing would take too long.
    #[error("this step has more than {PAIRS_MAX} pairs of nodes to choose from")]
    TooManyPairs,
}

/// A timeline: what is stored, and every step.
#[derive(Clone, Debug, Serialize)]
pub struct Timeline {
    /// Every item.
    pub items: Vec<Item>,
    /// Every step.
    pub steps: Vec<Step>,
}

/// Draws the whole timeline. `deadline` is the longest after which a node gives a put or get up.
///
/// # Errors
/// With the index of the scene that cannot be played.
pub fn expand(
    seed: u64,
    nodes: &[NodePlan],
    deadline: Duration,
    scenes: &[Scene],
) -> Result<Timeline, (usize, TimelineError)> {
    let mut world = World {
        nodes,
        alive: nodes.iter().map(|node| node.from_start).collect(),
        items: Vec::new(),
        actions: 0,
        grace: WORKLOAD_GRACE + deadline,
    };
    let mut steps = Vec::with_capacity(scenes.len());
    for (index, scene) in scenes.iter().enumerate() {
        let step = world.play(&Dice { seed, step: index as u64 }, scene).map_err(|error| (index, error))?;
        world.actions += step.actions.len();
        if world.actions > ACTIONS_MAX {
            return Err((index, TimelineError::TooManyActions));
        }
        steps.push(step);
    }
    Ok(Timeline { items: world.items, steps })
}

/// Who is alive and what is stored, by the plan.
struct World<'a> {
    nodes: &'a [NodePlan],
    alive: Vec<bool>,
    items: Vec<Item>,
    /// Actions of the steps before.
    actions: usize,
    /// How long a put or get may be under way.
    grace: Duration,
}

impl World<'_> {
    fn play(&mut self, dice: &Dice, scene: &Scene) -> Result<Step, TimelineError> {
        let (verb, actions, until) = match &scene.kind {
            SceneKind::Join { within } => ("join", Vec::new(), Until::Joined { within: *within }),
            SceneKind::Settle { time } => ("settle", Vec::new(), Until::Elapsed { time: *time }),
            SceneKind::Networks { verb, acts } => {
                let actions = acts.iter().map(|act| timed(Duration::ZERO, act.clone())).collect();
                (*verb, actions, Until::Done { within: NETWORKS_WITHIN })
            }
            SceneKind::Check { checks } => ("check", Vec::new(), Until::Checked { checks: checks.clone() }),
            SceneKind::Churn(churn) => ("churn", self.churn(dice, churn)?, Until::Elapsed { time: churn.time }),
            SceneKind::Cross(cross) => {
                let actions = self.cross(dice, cross)?;
                // One after the other at worst: whatever is true of the nodes, every pair has had its time by then.
                let within = cross.within.saturating_mul(actions.len() as u32).saturating_add(WORKLOAD_GRACE);
                ("cross", actions, Until::Done { within })
            }
            SceneKind::Store(store) => workload("store", self.store(dice, store)?, self.grace),
            SceneKind::Retrieve(retrieve) => workload("retrieve", self.retrieve(dice, retrieve)?, self.grace),
        };
        Ok(Step { verb, title: scene.title.clone(), actions, until, line: scene.line })
    }

    /// Those of `nodes` who are alive.
    fn live_of(&self, nodes: &[NodeIndex]) -> Vec<NodeIndex> {
        nodes.iter().copied().filter(|node| self.alive[node.0]).collect()
    }

    /// What may still be added to the plan.
    fn actions_left(&self) -> usize {
        ACTIONS_MAX.saturating_sub(self.actions)
    }
}

/// A step that ends when its puts or gets have.
fn workload(verb: &'static str, actions: Vec<Timed>, grace: Duration) -> (&'static str, Vec<Timed>, Until) {
    let last = actions.last().map_or(Duration::ZERO, |action| action.after);
    (verb, actions, Until::Done { within: last + grace })
}

/// Generators of one step, one for each purpose.
struct Dice {
    seed: u64,
    step: u64,
}

/// What a generator is for.
#[derive(Clone, Copy)]
enum For {
    Items = 1,
    Storers = 2,
    Deaths = 3,
    Choice = 4,
    Askers = 5,
    Order = 6,
    Pairs = 7,
}

impl Dice {
    fn of(&self, purpose: For) -> Random {
        child(self.seed, PURPOSE | self.step << 8 | purpose as u64)
    }
}

/// Fisher and Yates' shuffle.
fn shuffle<T>(random: &mut Random, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        let other = random.random_range(0..=last as u64) as usize;
        items.swap(last, other);
    }
}

fn timed(after: Duration, act: Act) -> Timed {
    Timed { after, act }
}

#[cfg(test)]
mod tests;
