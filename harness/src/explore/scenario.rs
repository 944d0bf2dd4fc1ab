//! A scenario, drawn at random, and its topology file.

use std::fmt;

use butter::core::random::{Random, child};
use rand::RngExt;

use crate::planner;
use crate::topology::Overrides;

/// Seconds of quiet at the end: by then everything must have healed.
pub const QUIET_S: u32 = 120;
/// Most home networks.
const HOMES_MAX: u32 = 4;
/// Most nodes of a home network.
const NODES_MAX: u32 = 5;
/// Most steps beside storing, and the end.
const STEPS_MAX: u32 = 5;
/// NATs of home networks.
const NATS: [&str; 6] = ["none", "full-cone", "address-restricted", "port-restricted", "symmetric", "cgnat"];
/// Fewest other nodes of a home beside which one lies.
const LIAR_AMONG: u32 = 6;
/// What it does.
const LIES: [&str; 8] =
    ["drop", "boast", "drop+boast", "steal-views", "accuse", "poison", "claim-all", "drop+boast+steal-views+accuse"];
/// Losses of their links, in thousandths. Most links lose nothing, so that other faults are seen too.
const LOSSES: [u32; 6] = [0, 0, 0, 5, 10, 20];

/// Networks, nodes, settings and steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Seed of the scenario and of its run.
    pub seed: u64,
    /// Number of ambassadors on the internet.
    pub ambassadors: u32,
    /// Home networks, in order of their names.
    pub homes: Vec<Home>,
    /// Copies that are wanted of each block.
    pub replicas: u32,
    /// Interval of heartbeats, in milliseconds.
    pub heartbeat_ms: u32,
    /// Name of the search strategy.
    pub retrieval: &'static str,
    /// What one hostile node in the first home does, if there is one.
    pub liar: Option<&'static str>,
    /// What happens between the join and the quiet.
    pub steps: Vec<ScenarioStep>,
}

/// A home network: `n1` with the nodes `g1-1`, `g1-2` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// Number in its name.
    pub number: u32,
    /// Preset of its NAT.
    pub nat: &'static str,
    /// Whether it is behind a carrier's NAT, too.
    pub is_behind_carrier: bool,
    /// Latency of its link, in milliseconds.
    pub latency_ms: u32,
    /// Loss on its link, in thousandths.
    pub loss_permille: u32,
    /// Number of its nodes.
    pub nodes: u32,
}

/// What happens in a scenario. Homes are meant by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScenarioStep {
    /// Items are stored from everywhere.
    Store {
        /// How many items.
        items: u32,
        /// Largest size, in KiB.
        most_kib: u32,
    },
    /// Some items are fetched everywhere.
    Retrieve,
    /// Nodes of homes fail at random.
    Churn {
        /// For so many seconds.
        seconds: u32,
        /// Each second one of so many.
        one_in: u32,
        /// What comes in their place: `fresh`, `same` or `none`.
        replace: &'static str,
    },
    /// The first nodes of a home are killed, and started again after some seconds if there are any.
    Kill {
        /// Number of the home network.
        home: u32,
        /// How many of its nodes.
        nodes: u32,
        /// Seconds until they start again; 0 for never.
        back_after_s: u32,
    },
    /// All nodes of a home freeze for some seconds.
    Pause {
        /// Number of the home network.
        home: u32,
        /// How long, in seconds.
        seconds: u32,
    },
    /// A home is parted from everybody else for some seconds.
    Partition {
        /// Number of the home network.
        home: u32,
        /// How long, in seconds.
        seconds: u32,
    },
    /// The NAT of a home forgets its mappings.
    Rebind {
        /// Number of the home network.
        home: u32,
    },
    /// The link of a home loses a lot for some seconds.
    Lossy {
        /// Number of the home network.
        home: u32,
        /// Loss of packets, in percent.
        percent: u32,
        /// How long, in seconds.
        seconds: u32,
    },
    /// Nothing happens for a while.
    Settle {
        /// For so many seconds.
        seconds: u32,
    },
}

impl ScenarioStep {
    /// The home that it is about, if it is about one.
    pub fn home(&self) -> Option<u32> {
        match self {
            ScenarioStep::Kill { home, .. }
            | ScenarioStep::Pause { home, .. }
            | ScenarioStep::Partition { home, .. }
            | ScenarioStep::Rebind { home }
            | ScenarioStep::Lossy { home, .. } => Some(*home),
            _ => None,
        }
    }
}

impl Scenario {
    /// The scenario of a seed.
    pub fn random(seed: u64) -> Self {
        let random = &mut child(seed, 0);
        let homes: Vec<Home> =
            (1..=random.random_range(1..=HOMES_MAX)).map(|number| Home::random(number, random)).collect();
        let mut steps =
            vec![ScenarioStep::Store { items: random.random_range(1..=12), most_kib: pick(&[1, 8, 32], random) }];
        steps.extend((0..random.random_range(1..=STEPS_MAX)).map(|_| ScenarioStep::random(&homes, random)));
        let mut scenario = Scenario {
            seed,
            ambassadors: random.random_range(1..=2),
            homes,
            replicas: random.random_range(2..=4),
            heartbeat_ms: pick(&[500, 1_000, 2_000], random),
            retrieval: pick(&["auto", "auto", "bfs", "ring"], random),
            liar: None,
            steps: Vec::new(),
        };
        // Drawn last, so that a seed means what it did without liars.
        let others: u32 = scenario.homes.iter().map(|home| home.nodes).sum();
        if others >= LIAR_AMONG && random.random_range(0..3) == 0 {
            scenario.liar = Some(pick(&LIES, random));
        }
        for step in steps {
            scenario.steps.push(step);
            // Such as one that pauses nodes which are all down by then.
            if !scenario.is_valid() {
                scenario.steps.pop();
            }
        }
        scenario
    }

    /// Whether its file can be played.
    pub fn is_valid(&self) -> bool {
        planner::read("scenario.yaml", &self.to_string(), &Overrides::default()).is_ok()
    }
}

impl Home {
    fn random(number: u32, random: &mut Random) -> Self {
        Home {
            number,
            nat: pick(&NATS, random),
            is_behind_carrier: random.random_range(0..4) == 0,
            latency_ms: random.random_range(1..=120),
            loss_permille: pick(&LOSSES, random),
            nodes: random.random_range(1..=NODES_MAX),
        }
    }

    fn nats(&self) -> bool {
        self.nat != "none"
    }
}

impl ScenarioStep {
    fn random(homes: &[Home], random: &mut Random) -> Self {
        let Home { number: home, nodes, .. } = pick(homes, random);
        let seconds = random.random_range(2..=40);
        match random.random_range(0..9) {
            0 => ScenarioStep::Store { items: random.random_range(1..=6), most_kib: 8 },
            1 => ScenarioStep::Retrieve,
            2 => {
                let (one_in, replace) = (pick(&[20, 50, 100], random), pick(&["fresh", "same", "none"], random));
                ScenarioStep::Churn { seconds, one_in, replace }
            }
            3 => {
                let back_after_s = if random.random() { random.random_range(1..=30) } else { 0 };
                ScenarioStep::Kill { home, nodes: random.random_range(1..=nodes), back_after_s }
            }
            4 => ScenarioStep::Pause { home, seconds },
            5 => ScenarioStep::Partition { home, seconds },
            6 => ScenarioStep::Rebind { home },
            7 => ScenarioStep::Lossy { home, percent: random.random_range(5..=50), seconds },
            _ => ScenarioStep::Settle { seconds },
        }
    }
}

fn pick<T: Copy>(among: &[T], random: &mut Random) -> T {
    among[random.random_range(0..among.len())]
}

impl fmt::Display for Scenario {
    /// As a topology file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "name: explored-{}", self.seed)?;
        writeln!(f, "seed: {}\nfidelity: message\n\nnetworks:\n  internet: {{}}", self.seed)?;
        if self.homes.iter().any(|home| home.is_behind_carrier) {
            writeln!(f, "  carrier: {{behind: internet, nat: cgnat, link: {{latency: 5ms}}}}")?;
        }
        self.homes.iter().try_for_each(|home| home.write_network(f))?;
        writeln!(f, "\nnodes:\n  hub: {{on: internet, ambassador: true, count: {}}}", self.ambassadors)?;
        for Home { number, nodes, .. } in &self.homes {
            writeln!(f, "  g{number}: {{on: n{number}, count: {nodes}}}")?;
        }
        if let (Some(lies), Some(home)) = (self.liar, self.homes.first()) {
            writeln!(f, "  liar: {{on: n{}, count: 1, behaviour: {lies}}}", home.number)?;
        }
        let Scenario { replicas, heartbeat_ms, retrieval, .. } = self;
        writeln!(f, "\nconfig: {{replicas: {replicas}, heartbeat: {heartbeat_ms}ms, retrieval: {retrieval}}}")?;
        writeln!(f, "\nsteps:\n  - join: {{within: 30s}}")?;
        for (index, step) in self.steps.iter().enumerate() {
            self.write_step(index, step, f)?;
        }
        writeln!(f, "  - settle: {{for: {QUIET_S}s}}\n  - retrieve: {{items: all, from: {}}}", self.honest())
    }
}

impl Home {
    fn write_network(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Home { number, nat, latency_ms, loss_permille, .. } = self;
        let behind = if self.is_behind_carrier { "carrier" } else { "internet" };
        let nat = if self.nats() { format!(", nat: {nat}") } else { String::new() };
        let loss = format!("{}.{}%", loss_permille / 10, loss_permille % 10);
        writeln!(f, "  n{number}: {{behind: {behind}{nat}, link: {{latency: {latency_ms}ms, loss: {loss}}}}}")
    }
}

impl Scenario {
    /// Whoever stores and fetches.
    fn honest(&self) -> String {
        if self.liar.is_none() {
            return "all".to_owned();
        }
        let homes: String = self.homes.iter().map(|home| format!(", g{}", home.number)).collect();
        format!("[hub{homes}]")
    }

    fn write_step(&self, index: usize, step: &ScenarioStep, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match step {
            ScenarioStep::Store { items, most_kib } => {
                writeln!(f, "  - store: {{items: {items}, size: 100B..{most_kib}KiB, from: {}}}", self.honest())
            }
            ScenarioStep::Retrieve => writeln!(f, "  - retrieve: {{items: all, from: {}}}", self.honest()),
            ScenarioStep::Churn { seconds, one_in, replace } => writeln!(
                f,
                "  - churn: {{for: {seconds}s, die: 1/{one_in}/s, graceful: 20%, replace: {replace}, spare: [hub{}]}}",
                if self.liar.is_some() { ", liar" } else { "" }
            ),
            ScenarioStep::Kill { home, nodes, back_after_s } => {
                let names: Vec<String> = (1..=*nodes).map(|node| format!("g{home}-{node}")).collect();
                let names = names.join(", ");
                writeln!(f, "  - kill: {{nodes: [{names}]}}")?;
                if *back_after_s > 0 {
                    writeln!(f, "  - settle: {{for: {back_after_s}s}}\n  - start: {{nodes: [{names}]}}")?;
                }
                Ok(())
            }
            ScenarioStep::Pause { home, seconds } => {
                writeln!(f, "  - pause: {{nodes: [g{home}]}}\n  - settle: {{for: {seconds}s}}")?;
                writeln!(f, "  - resume: {{nodes: [g{home}]}}")
            }
            ScenarioStep::Partition { home, seconds } => {
                let others = self.homes.iter().map(|other| other.number).filter(|other| other != home);
                let others: String = others.map(|other| format!(", g{other}")).collect();
                // The liar is where its home is.
                let liar = |is_here| if self.liar.is_some() && is_here { ", liar" } else { "" };
                let is_first = self.homes.first().is_some_and(|first| first.number == *home);
                let (here, there) = (liar(is_first), liar(!is_first));
                writeln!(f, "  - partition: {{sides: [[g{home}{here}], [hub{others}{there}]], name: split-{index}}}")?;
                writeln!(f, "  - settle: {{for: {seconds}s}}\n  - heal: split-{index}")
            }
            ScenarioStep::Rebind { home } => match self.homes.iter().any(|other| other.number == *home && other.nats())
            {
                true => writeln!(f, "  - rebind: [n{home}]"),
                false => Ok(()),
            },
            ScenarioStep::Lossy { home, percent, seconds } => {
                writeln!(f, "  - link: {{networks: [n{home}], loss: {percent}%}}\n  - settle: {{for: {seconds}s}}")?;
                writeln!(f, "  - link: {{networks: [n{home}], loss: 0%}}")
            }
            ScenarioStep::Settle { seconds } => writeln!(f, "  - settle: {{for: {seconds}s}}"),
        }
    }
}
