//! Scenarios with less in them, largest cuts first.

use super::scenario::{Home, Scenario, ScenarioStep};

/// Valid scenarios that have less in them than this one, each by one cut.
pub fn smaller(scenario: &Scenario) -> impl Iterator<Item = Scenario> + use<> {
    let without_homes = scenario.homes.iter().map(|home| without_home(scenario, home.number));
    let without_steps = (0..scenario.steps.len()).map(|index| without_step(scenario, index));
    let fewer_nodes = (0..scenario.homes.len()).flat_map(|index| fewer_nodes(scenario, index));
    let plainer = (0..scenario.homes.len()).flat_map(|index| plainer_homes(scenario, index));
    let shorter = (0..scenario.steps.len()).flat_map(|index| shorter_steps(scenario, index));
    let one_ambassador = Scenario { ambassadors: 1, ..scenario.clone() };
    let honest = Scenario { liar: None, ..scenario.clone() };
    let all: Vec<Scenario> = without_homes
        .chain(without_steps)
        .chain(fewer_nodes)
        .chain([one_ambassador, honest])
        .chain(plainer)
        .chain(shorter)
        .filter(|smaller| smaller != scenario)
        .collect();
    all.into_iter().filter(Scenario::is_valid)
}

fn without_home(scenario: &Scenario, number: u32) -> Scenario {
    let mut smaller = scenario.clone();
    smaller.homes.retain(|home| home.number != number);
    smaller.steps.retain(|step| step.home() != Some(number));
    smaller
}

fn without_step(scenario: &Scenario, index: usize) -> Scenario {
    let mut smaller = scenario.clone();
    smaller.steps.remove(index);
    smaller
}

fn fewer_nodes(scenario: &Scenario, index: usize) -> Vec<Scenario> {
    let nodes = scenario.homes[index].nodes;
    let with = |nodes| with_home(scenario, index, |home| home.nodes = nodes);
    [nodes.div_ceil(2), nodes - 1].into_iter().filter(|&fewer| fewer > 0 && fewer < nodes).map(with).collect()
}

fn plainer_homes(scenario: &Scenario, index: usize) -> Vec<Scenario> {
    let cuts: [fn(&mut Home); 4] = [
        |home| home.is_behind_carrier = false,
        |home| home.loss_permille = 0,
        |home| home.nat = "none",
        |home| home.latency_ms = 1,
    ];
    cuts.into_iter().map(|cut| with_home(scenario, index, cut)).collect()
}

fn with_home(scenario: &Scenario, index: usize, cut: impl FnOnce(&mut Home)) -> Scenario {
    let mut smaller = scenario.clone();
    cut(&mut smaller.homes[index]);
    smaller
}

fn shorter_steps(scenario: &Scenario, index: usize) -> Vec<Scenario> {
    let with = |step| {
        let mut smaller = scenario.clone();
        smaller.steps[index] = step;
        smaller
    };
    let shorter = match scenario.steps[index].clone() {
        ScenarioStep::Store { items, most_kib } => {
            vec![ScenarioStep::Store { items: items.div_ceil(2), most_kib }, ScenarioStep::Store { items, most_kib: 1 }]
        }
        ScenarioStep::Churn { seconds, one_in, replace } => {
            vec![ScenarioStep::Churn { seconds: seconds.div_ceil(2), one_in, replace }]
        }
        ScenarioStep::Kill { home, nodes, back_after_s } => {
            vec![ScenarioStep::Kill { home, nodes: nodes.div_ceil(2), back_after_s }]
        }
        ScenarioStep::Settle { seconds } => vec![ScenarioStep::Settle { seconds: seconds.div_ceil(2) }],
        _ => Vec::new(),
    };
    shorter.into_iter().map(with).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_leaves_less_and_a_valid_file() {
        for seed in 0..20 {
            let scenario = Scenario::random(seed);
            assert!(matches!(scenario.steps[0], ScenarioStep::Store { .. }), "seed {seed}");
            let cuts: Vec<Scenario> = smaller(&scenario).collect();
            assert!(!cuts.is_empty() && cuts.iter().all(|cut| *cut != scenario && cut.is_valid()), "seed {seed}");
        }
    }
}
