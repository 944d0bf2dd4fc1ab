//! Who stores what, and who asks for it: spread evenly over time, so that nodes do not all begin at once.

use std::time::Duration;

use butter::core::random::sample;
use rand::RngExt;

use super::{Dice, For, TimelineError, World, shuffle, timed};
use crate::plan::{Act, Item, ItemIndex, NodeIndex, Timed};

/// Puts that begin per second, however few nodes there are.
pub const PUTS_PER_SECOND: f64 = 50.0;
/// Puts that a node begins per second where there are many nodes: a thousand nodes store a thousand items in two seconds.
pub const PUTS_PER_NODE_AND_SECOND: f64 = 0.5;
/// Gets that begin per second, however few askers there are.
pub const GETS_PER_SECOND: f64 = 40.0;
/// Gets that an asking node begins per second where there are many.
pub const GETS_PER_ASKER_AND_SECOND: f64 = 0.5;
/// How long a fresh node has to join before it asks.
pub const FRESH_JOIN: Duration = Duration::from_secs(5);
/// What a store or retrieve step gives its last put or get, beside the nodes' own deadline, before the step is given up.
pub const WORKLOAD_GRACE: Duration = Duration::from_secs(60);

/// Items are stored.
#[derive(Clone, Debug)]
pub struct Store {
    /// How many.
    pub items: u64,
    /// Smallest and greatest, in bytes; between them every size is as likely.
    pub sizes: (u64, u64),
    /// Who stores them, in turn, in random order.
    pub from: Vec<NodeIndex>,
    /// How they are named in the file.
    pub whom: String,
}

/// Items are asked for.
#[derive(Clone, Debug)]
pub struct Retrieve {
    /// How many, at random; `None` for all that were stored before.
    pub items: Option<u64>,
    /// Every one of them has each of the items asked for once.
    pub askers: Vec<Asker>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Asker {
    /// For each item a random live one of these.
    OneOf {
        /// How they are named in the file.
        whom: String,
        /// Who they are.
        nodes: Vec<NodeIndex>,
    },
    /// A node that starts with the step and asks once it has had [`FRESH_JOIN`] to join.
    Fresh {
        /// Which.
        node: NodeIndex,
    },
}

impl World<'_> {
    pub(super) fn store(&mut self, dice: &Dice, store: &Store) -> Result<Vec<Timed>, TimelineError> {
        let mut storers = self.live_of(&store.from);
        if storers.is_empty() {
            return Err(TimelineError::NobodyLeft { whom: store.whom.clone() });
        }
        if store.items as usize > self.actions_left() {
            return Err(TimelineError::TooManyActions);
        }
        shuffle(&mut dice.of(For::Storers), &mut storers);
        let mut random = dice.of(For::Items);
        let rate = PUTS_PER_SECOND.max(storers.len() as f64 * PUTS_PER_NODE_AND_SECOND);
        let mut actions = Vec::with_capacity(store.items as usize);
        for number in 0..store.items {
            let item = ItemIndex(self.items.len());
            self.items.push(Item {
                size: random.random_range(store.sizes.0..=store.sizes.1) as usize,
                seed: random.random(),
                by: storers[number as usize % storers.len()],
            });
            actions.push(timed(slot(number, rate), Act::Put { item }));
        }
        Ok(actions)
    }

    pub(super) fn retrieve(&mut self, dice: &Dice, retrieve: &Retrieve) -> Result<Vec<Timed>, TimelineError> {
        let items = self.chosen(dice, retrieve.items)?;
        if items.len().saturating_mul(retrieve.askers.len()) > self.actions_left() {
            return Err(TimelineError::TooManyActions);
        }
        let mut random = dice.of(For::Askers);
        let (mut now, mut later, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        for asker in &retrieve.askers {
            match asker {
                Asker::OneOf { whom, nodes } => {
                    let live = self.live_of(nodes);
                    if live.is_empty() {
                        return Err(TimelineError::NobodyLeft { whom: whom.clone() });
                    }
                    let mut any = || live[random.random_range(0..live.len() as u64) as usize];
                    now.extend(items.iter().map(|&item| Act::Get { item, node: any() }));
                }
                Asker::Fresh { node } => {
                    starts.push(*node);
                    later.extend(items.iter().map(|&item| Act::Get { item, node: *node }));
                }
            }
        }
        let rate = GETS_PER_SECOND.max(asking(&now, starts.len()) as f64 * GETS_PER_ASKER_AND_SECOND);
        let mut actions: Vec<Timed> =
            starts.iter().map(|&node| timed(Duration::ZERO, Act::Start { node, fresh: true })).collect();
        for node in starts {
            self.alive[node.0] = true;
        }
        actions.extend(spread(dice, now, later, rate));
        Ok(actions)
    }

    fn chosen(&self, dice: &Dice, wanted: Option<u64>) -> Result<Vec<ItemIndex>, TimelineError> {
        let all: Vec<ItemIndex> = (0..self.items.len()).map(ItemIndex).collect();
        match wanted {
            _ if all.is_empty() => Err(TimelineError::NothingStored),
            None => Ok(all),
            Some(wanted) if wanted > all.len() as u64 => {
                Err(TimelineError::FewerStored { wanted, stored: all.len() as u64 })
            }
            Some(wanted) => {
                let mut some = sample(&mut dice.of(For::Choice), all, wanted as usize);
                some.sort();
                Ok(some)
            }
        }
    }
}

/// How many nodes ask.
fn asking(now: &[Act], fresh: usize) -> usize {
    let mut nodes: Vec<NodeIndex> =
        now.iter().filter_map(|act| if let Act::Get { node, .. } = act { Some(*node) } else { None }).collect();
    nodes.sort();
    nodes.dedup();
    nodes.len() + fresh
}

/// Both in random order at an even pace; those of `later` not before fresh nodes had time to join.
fn spread(dice: &Dice, mut now: Vec<Act>, mut later: Vec<Act>, rate: f64) -> Vec<Timed> {
    let mut random = dice.of(For::Order);
    shuffle(&mut random, &mut now);
    // As many as fit before the fresh nodes may ask; the rest is mixed with theirs.
    let early = if later.is_empty() { now.len() } else { now.len().min((FRESH_JOIN.as_secs_f64() * rate) as usize) };
    later.extend(now.drain(early..));
    shuffle(&mut random, &mut later);
    let early = now.into_iter().enumerate().map(|(number, act)| timed(slot(number as u64, rate), act));
    let late = later.into_iter().enumerate().map(|(number, act)| timed(FRESH_JOIN + slot(number as u64, rate), act));
    early.chain(late).collect()
}

/// When number `number` begins, at so many per second.
fn slot(number: u64, rate: f64) -> Duration {
    Duration::from_micros((number as f64 * 1e6 / rate) as u64)
}
