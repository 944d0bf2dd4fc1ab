//! Random scenarios on the simulator, and what must hold in each of them: a search for faults of the protocol.
//!
//! A scenario follows from its seed: networks with NATs and imperfect links, node groups, settings, and steps that kill, pause,
//! part and rebind. What must hold is checked at every inspection, at every acknowledgement, and after a time of quiet. A
//! scenario in which something does not hold is made smaller as long as that is so. The method is that of FoundationDB's
//! simulation (Zhou et al., SIGMOD 2021) and of delta debugging (Zeller and Hildebrandt, IEEE TSE 2002).
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`scenario`] | a scenario, drawn at random, and its topology file |
//! | [`smaller`] | scenarios with less in them |
//! | [`breach`] | what may not happen |
//! | `watched` | the simulator, with what holds at each inspection and acknowledgement |
//! | `aftermath` | what holds at the end, by the record of the run |
//! | [`coverage`] | how often scenarios have come to what they are to test |

use std::sync::Arc;

use butter::overlay::data::seeded_fault::SeededFault;

use crate::backend::Backend;
use crate::events::{Event, RunTime};
use crate::plan::Plan;
use crate::planner;
use crate::progress::Progress;
use crate::run::{RunObserver, RunStatus, StopSignal, run_plan};
use crate::series::Scrape;
use crate::topology::Overrides;

mod aftermath;
pub mod breach;
pub mod coverage;
pub mod scenario;
pub mod smaller;
mod watched;

use breach::Breach;
use coverage::Coverage;
use scenario::Scenario;
use watched::WatchedSim;

/// Most runs that making one scenario smaller takes.
const SHRINK_RUNS_MAX: usize = 300;

/// What came of playing a topology.
#[derive(Debug, Default)]
pub struct Exploration {
    /// What did not hold, in the order in which it was seen.
    pub breaches: Vec<Breach>,
    /// What the run has come to.
    pub coverage: Coverage,
}

/// Plays a scenario, with a fault built into its nodes if one is named.
///
/// # Panics
/// If its file is not valid, which is a fault of this program.
pub fn play_scenario(scenario: &Scenario, fault: Option<SeededFault>) -> Exploration {
    let text = scenario.to_string();
    let plan = planner::read("scenario.yaml", &text, &Overrides::default());
    play(&plan.unwrap_or_else(|problems| panic!("{problems}\n{text}")), fault)
}

/// The smallest scenario found in which the same kind of thing does not hold, and that breach.
pub fn shrink(scenario: Scenario, breach: Breach, fault: Option<SeededFault>) -> (Scenario, Breach) {
    let (mut scenario, mut breach) = (scenario, breach);
    let mut runs = 0;
    'smaller: loop {
        for candidate in smaller::smaller(&scenario) {
            if runs == SHRINK_RUNS_MAX {
                break 'smaller;
            }
            runs += 1;
            let kind = std::mem::discriminant(&breach);
            let same = |found: &Breach| std::mem::discriminant(found) == kind;
            if let Some(found) = play_scenario(&candidate, fault).breaches.into_iter().find(same) {
                (scenario, breach) = (candidate, found);
                continue 'smaller;
            }
        }
        break;
    }
    (scenario, breach)
}

/// Plays a plan on the simulator, with a fault built into its nodes if one is named.
///
/// # Panics
/// If it has no nodes: a valid topology has some.
pub fn play(plan: &Plan, fault: Option<SeededFault>) -> Exploration {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without input and output");
    runtime.block_on(async {
        let mut sim = WatchedSim::new(plan, fault);
        // A simulation has nothing that can fail to come up.
        sim.up(&mut Unseen).await.expect("a simulation comes up");
        let record = run_plan(plan, &mut sim, &mut Unseen, &StopSignal::default()).await;
        let mut breaches = sim.breaches();
        breaches.extend(aftermath::breaches(plan, &record, &sim));
        Exploration { breaches, coverage: Coverage::of(&record) }
    })
}

/// Shows nothing.
struct Unseen;

impl RunObserver for Unseen {
    fn event(&mut self, _: &Event) {}
    fn sampled(&mut self, _: RunTime, _: &Arc<Vec<Scrape>>) {}
    fn status(&mut self, _: &RunStatus) {}
}

impl Progress for Unseen {
    fn begin(&mut self, _: &str, _: u64) {}
    fn advance(&mut self, _: u64) {}
    fn note(&mut self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenario_and_its_outcome_follow_from_the_seed() {
        let play = |seed| format!("{:?}", play_scenario(&Scenario::random(seed), None));
        assert_eq!(play(7), play(7));
        assert_ne!(Scenario::random(7).to_string(), Scenario::random(8).to_string());
    }
}
