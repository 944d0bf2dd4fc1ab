//! `retrieve`: nodes fetch items that were stored before, or search for them, spread evenly over time.

use std::sync::Arc;
use std::time::Duration;

use butter::core::random::sample;
use rand::{Rng, RngExt};

use super::named::NodeNames;
use super::searching::{SEARCH, SearchDraw};
use super::state::{NodeLife, PlanState, SeedPurpose, SeedStream, shuffle};
use super::step::{ScheduleError, StepReader, StepSource, StepSpec, Verb, done_after};
use super::store::{ITEMS_MAX, slot};
use crate::op::Op;
use crate::plan::{EndCondition, ItemIndex, NodeIndex, TimedOp};
use crate::topology::check::{NameTable, NodeSelector};
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span};
use crate::topology::fields::{MapSpec, all_or_count, key};
use crate::topology::form::{ALL, ValueForm};

/// Gets that begin per second, however few nodes read.
const GETS_PER_SECOND: f64 = 40.0;
/// Gets that a reading node begins per second where there are many.
const GETS_PER_READER_AND_SECOND: f64 = 0.5;
/// How long a fresh node has to join before it reads.
const FRESH_JOIN: Duration = Duration::from_secs(5);

pub(super) static VERB: Verb = Verb {
    name: "retrieve",
    formerly: &[],
    doc: "Nodes fetch items that were stored before: each item once from each name. `absent` adds keys that no item has. With `search` they search for keywords instead. Ends when each get or search has ended.",
    keys: &MapSpec {
        what: "a retrieve step",
        keys: &[
            key("items", "all", "how many, drawn at random, or all; all if absent")
                .of(ValueForm::Either(&[ALL, ValueForm::Count(1, ITEMS_MAX)])),
            key(
                "absent",
                "50",
                "keys that no item has, each looked for once from each name; without `items` these alone",
            )
            .of(ValueForm::Count(1, ITEMS_MAX)),
            key(
                "exhaustive",
                "true",
                "whether gets ask every peer before they end without success; as the setting if absent",
            )
            .of(ValueForm::Flag),
            key("search", "{terms: 2, queries: 50}", "searches for keywords, in place of gets")
                .of(ValueForm::Map(&SEARCH)),
            key("from", "[alpha, fresh]", "networks, node groups or nodes that fetch; `fresh` nodes join first")
                .of(ValueForm::NAMES),
        ],
        later: &[],
    },
    short: None,
    example: "- retrieve: {items: all, from: [alpha, fresh]}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct Retrieve {
    /// Whether items are fetched.
    fetches: bool,
    /// `None` for all that were stored before.
    items: Option<u64>,
    /// Keys that no item has.
    absent: u64,
    exhaustive: bool,
    /// Searches instead of gets.
    search: Option<SearchDraw>,
    from: NodeNames,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    if let (Some((key, _)), Some(_)) = (fields.entry("items"), fields.entry("search")) {
        problems.add(
            Diagnostic::at(&key.span, "a retrieve step fetches `items` or has a `search`, not both")
                .help("leave one out, or write two steps"),
        );
    }
    for name in ["absent", "exhaustive"] {
        if let (Some((key, _)), Some(_)) = (fields.entry(name), fields.entry("search")) {
            problems.add(
                Diagnostic::at(&key.span, format!("`{name}` is about gets, and this step has a `search`"))
                    .help("leave it out, or write two steps"),
            );
        }
    }
    let absent = fields.count("absent", 1, ITEMS_MAX, problems);
    Box::new(Retrieve {
        fetches: fields.entry("items").is_some() || absent.is_none(),
        absent: absent.unwrap_or(0),
        exhaustive: fields.flag("exhaustive", problems).unwrap_or(false),
        search: SearchDraw::read(&fields, problems),
        items: all_or_count(&fields, "items", "60, or all", ITEMS_MAX, problems),
        from: NodeNames::read(&fields, "from", problems),
    })
}

impl StepSpec for Retrieve {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.from.validate(names, true, problems);
        self.from.default_to_all();
    }

    fn schedule(&self, state: &mut PlanState<'_>, seeds: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let wanted = self.wanted(state, seeds)?;
        let fresh = if self.wants_fresh_nodes() { state.take_fresh() } else { Vec::new() };
        let standing = self.from.found().iter().filter(|(_, selector)| *selector != NodeSelector::Fresh);
        if wanted.len().saturating_mul(standing.clone().count() + fresh.len()) > state.ops_left() {
            return Err(ScheduleError::TooManyOps);
        }
        let mut random = seeds.random(SeedPurpose::Readers);
        let (mut now, mut pools) = (Vec::new(), Vec::new());
        for (name, selector) in standing {
            let live = state.live_of(&state.nodes_of([selector]));
            if live.is_empty() {
                return Err(ScheduleError::NoneAlive { names: name.clone() });
            }
            let mut any = || random.random_range(0..live.len() as u64) as usize;
            let pool = pools.len();
            now.extend(wanted.iter().map(|wanted| Read { wanted: wanted.clone(), pool, place: any() }));
            pools.push(live);
        }
        let first_fresh = pools.len();
        pools.extend(fresh.iter().map(|&node| vec![node]));
        let wanted = &wanted;
        let by_fresh = |pool| wanted.iter().map(move |wanted| Read { wanted: wanted.clone(), pool, place: 0 });
        let later = (first_fresh..pools.len()).flat_map(by_fresh).collect();
        let rate = GETS_PER_SECOND.max(readers(&now, &pools, fresh.len()) as f64 * GETS_PER_READER_AND_SECOND);
        let mut ops: Vec<TimedOp> =
            fresh.iter().map(|&node| TimedOp::at_once(Op::Start { node, fresh: true })).collect();
        fresh.iter().for_each(|&node| state.set_life(node, NodeLife::Up));
        let at = |(read, after): (Read, Duration)| {
            // A fresh node begins with the step.
            let pool = &pools[read.pool];
            let node = if read.pool < first_fresh { state.working(pool, read.place, after) } else { pool[0] };
            read.by(node, after)
        };
        ops.extend(spread(seeds, now, later, rate).into_iter().map(at));
        Ok(ops)
    }

    fn uses_nodes(&self) -> bool {
        true
    }

    fn ends(&self, ops: &[TimedOp], state: &PlanState<'_>) -> EndCondition {
        done_after(ops, state.grace)
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        let items = self.items.map_or("all".to_owned(), |count| count.to_string());
        let absent = format!("{} absent keys", self.absent);
        let what = match (self.search, self.fetches, self.absent) {
            (Some(search), ..) => search.text(),
            (None, true, 0) => format!("retrieve {items} items"),
            (None, true, _) => format!("retrieve {items} items and {absent}"),
            (None, false, _) => format!("retrieve {absent}"),
        };
        let how = if self.exhaustive { ", asking every peer" } else { "" };
        format!("{what} from {}{how}", self.from.text())
    }

    fn wants_fresh_nodes(&self) -> bool {
        self.from.selectors().any(|selector| *selector == NodeSelector::Fresh)
    }
}

impl Retrieve {
    /// What each name asks for.
    fn wanted(&self, state: &PlanState<'_>, seeds: &SeedStream) -> Result<Vec<Wanted>, ScheduleError> {
        let Some(search) = self.search else {
            let exhaustive = self.exhaustive;
            let items = if self.fetches { self.choose(state, seeds)? } else { Vec::new() };
            let mut keys = seeds.random(SeedPurpose::AbsentKeys);
            let absent = (0..self.absent).map(|_| Wanted::Absent { key: keys.next_u64(), exhaustive });
            return Ok(items.into_iter().map(|item| Wanted::Item { item, exhaustive }).chain(absent).collect());
        };
        let queries = search.draw(&state.items[..state.items_before()], &mut seeds.random(SeedPurpose::Queries))?;
        let limit = search.limit;
        Ok(queries.into_iter().map(|query| Wanted::Search { query: query.into(), limit }).collect())
    }

    fn choose(&self, state: &PlanState<'_>, seeds: &SeedStream) -> Result<Vec<ItemIndex>, ScheduleError> {
        let all: Vec<ItemIndex> = (0..state.items_before()).map(ItemIndex).collect();
        match self.items {
            _ if all.is_empty() => Err(ScheduleError::NothingStored),
            None => Ok(all),
            Some(wanted) if wanted > all.len() as u64 => {
                Err(ScheduleError::FewerStored { wanted, stored: all.len() as u64 })
            }
            Some(wanted) => {
                let mut some = sample(&mut seeds.random(SeedPurpose::Choice), all, wanted as usize);
                some.sort();
                Ok(some)
            }
        }
    }
}

/// What a node asks for.
#[derive(Clone)]
enum Wanted {
    Item { item: ItemIndex, exhaustive: bool },
    Absent { key: u64, exhaustive: bool },
    Search { query: Arc<str>, limit: usize },
}

/// A get or a search without its time: the node at this place of a pool asks.
struct Read {
    wanted: Wanted,
    pool: usize,
    place: usize,
}

impl Read {
    fn by(self, node: NodeIndex, after: Duration) -> TimedOp {
        let op = match self.wanted {
            Wanted::Item { item, exhaustive } => Op::Get { node, item, exhaustive },
            Wanted::Absent { key, exhaustive } => Op::GetAbsent { node, key, exhaustive },
            Wanted::Search { query, limit } => Op::Search { node, query: query.to_string(), limit },
        };
        TimedOp { after, op }
    }
}

/// How many nodes read.
fn readers(now: &[Read], pools: &[Vec<NodeIndex>], fresh: usize) -> usize {
    let nodes: std::collections::BTreeSet<NodeIndex> = now.iter().map(|read| pools[read.pool][read.place]).collect();
    nodes.len() + fresh
}

/// Both in random order at an even pace; those of `later` not before fresh nodes had time to join.
fn spread(seeds: &SeedStream, mut now: Vec<Read>, mut later: Vec<Read>, rate: f64) -> Vec<(Read, Duration)> {
    let mut random = seeds.random(SeedPurpose::Order);
    shuffle(&mut random, &mut now);
    // As many as fit before the fresh nodes may read; the rest is mixed with theirs.
    let early = if later.is_empty() { now.len() } else { now.len().min((FRESH_JOIN.as_secs_f64() * rate) as usize) };
    later.extend(now.drain(early..));
    shuffle(&mut random, &mut later);
    let early = now.into_iter().enumerate().map(|(number, read)| (read, slot(number as u64, rate)));
    let late = later.into_iter().enumerate().map(|(number, read)| (read, FRESH_JOIN + slot(number as u64, rate)));
    early.chain(late).collect()
}
