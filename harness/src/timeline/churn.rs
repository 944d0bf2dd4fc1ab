//! Churn as Butter's rig has it: in each second each node dies with the same chance.

use std::time::Duration;

use rand::RngExt;
use serde::Serialize;

use super::{Dice, For, TimelineError, World, timed};
use crate::plan::{Act, NodeIndex, Timed};

/// Most draws of one step: nodes times seconds.
pub const CHURN_DRAWS_MAX: u64 = 500_000_000;

/// Nodes die, each second each with the same chance.
#[derive(Clone, Debug)]
pub struct Churn {
    /// How long.
    pub time: Duration,
    /// Chance of each node in each second, 0..1.
    pub die: f64,
    /// Share of the deaths that are a leaving in good order, 0..1.
    pub graceful: f64,
    /// What comes in place of the dead.
    pub replace: Replace,
    /// Who may die.
    pub among: Vec<NodeIndex>,
}

/// What comes in place of a dead node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Replace {
    /// A new node: another identity and an empty store.
    Fresh,
    /// The node itself, with what it stored.
    Same,
    /// Nothing.
    None,
}

const SECOND: Duration = Duration::from_secs(1);
const SECOND_US: u64 = 1_000_000;

impl World<'_> {
    pub(super) fn churn(&mut self, dice: &Dice, churn: &Churn) -> Result<Vec<Timed>, TimelineError> {
        let mut random = dice.of(For::Deaths);
        let seconds = churn.time.as_nanos().div_ceil(SECOND.as_nanos()) as u64;
        if seconds.saturating_mul(churn.among.len() as u64) > CHURN_DRAWS_MAX {
            return Err(TimelineError::TooManyDraws);
        }
        let mut actions = Vec::new();
        for second in 0..seconds {
            let begin = actions.len();
            for &node in &churn.among {
                if !self.alive[node.0] || random.random::<f64>() >= churn.die {
                    continue;
                }
                let at = SECOND * second as u32 + Duration::from_micros(random.random_range(0..SECOND_US));
                let graceful = random.random::<f64>() < churn.graceful;
                // In a last second that is cut short, deaths after its end are of a time that does not come.
                if at >= churn.time {
                    continue;
                }
                actions.push(timed(at, if graceful { Act::Stop { node } } else { Act::Kill { node } }));
                match churn.replace {
                    Replace::None => self.alive[node.0] = false,
                    replace => actions.push(timed(at, Act::Start { node, fresh: replace == Replace::Fresh })),
                }
            }
            // Stable, so a start stays behind the death that it follows. A node dies once a second at most.
            actions[begin..].sort_by_key(|action| action.after);
            if actions.len() > self.actions_left() {
                return Err(TimelineError::TooManyActions);
            }
        }
        Ok(actions)
    }
}
