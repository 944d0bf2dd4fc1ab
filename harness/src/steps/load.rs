//! `load`: puts, gets and searches at a rate of their own, whether nodes keep up or not (an open loop: Schroeder, Wierman and
//! Harchol-Balter 2006). Operations arrive as a Poisson process; what gets ask for is Zipf-distributed.

use std::time::Duration;

use butter::core::random::Random;
use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp};

use super::named::NodeNames;
use super::searching::query_of;
use super::state::{PlanState, SeedPurpose, SeedStream, shuffle};
use super::step::{ScheduleError, StepReader, StepSource, StepSpec, Verb};
use super::zipf::ZipfRanks;
use crate::op::Op;
use crate::plan::{EndCondition, Item, ItemIndex, TimedOp};
use crate::topology::check::NameTable;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span};
use crate::topology::fields::{Fields, MapSpec, Spanned, key};
use crate::topology::form::ValueForm;
use crate::topology::units::{Frequency, Share, Size, Time, ZipfExponent};

/// Size of items that are put where the file names none.
const ITEM_BYTES: u64 = 4_096;
/// Hits of a search.
const HITS_MAX: usize = 1_000;

pub(super) static VERB: Verb = Verb {
    name: "load",
    formerly: &[],
    doc: "Nodes put, get and search at a rate, whether others keep up or not (an open loop). Gets are of items that were stored before the step, a few of them often. Put it into a parallel step to have it run beside churn or faults.",
    keys: &MapSpec {
        what: "a load step",
        keys: &[
            key("rate", "20/s", "operations that begin, of all nodes together")
                .of(ValueForm::quantity::<Frequency>())
                .needed(),
            key("for", "60s", "how long").of(ValueForm::quantity::<Time>()).needed(),
            key("mix", "{put: 10%, absent: 5%, search: 5%}", "shares of operations; the rest are gets")
                .of(ValueForm::Map(&MIX)),
            key("zipf", "1.0", "exponent of the Zipf distribution of what gets ask for; 1.0 if absent")
                .of(ValueForm::Number(ZipfExponent::MOST)),
            key("size", "4KiB", "size of items that are put; 4KiB if absent").of(ValueForm::quantity::<Size>()),
            key("from", "[alpha]", "networks, node groups or nodes that act; all if absent").of(ValueForm::NAMES),
        ],
        later: &[],
    },
    short: None,
    example: "- load: {rate: 20/s, for: 60s, mix: {put: 10%}, from: alpha}",
    read: StepReader::One(read),
};

/// The keys of `mix`.
static MIX: MapSpec = MapSpec {
    what: "the mix of a load",
    keys: &[
        key("put", "10%", "puts of new items").of(ValueForm::quantity::<Share>()),
        key("get", "80%", "gets of items that were stored before; what the others leave if absent")
            .of(ValueForm::quantity::<Share>()),
        key("absent", "5%", "gets of keys that no item has").of(ValueForm::quantity::<Share>()),
        key("search", "5%", "searches for a keyword that an item has").of(ValueForm::quantity::<Share>()),
    ],
    later: &[],
};

/// Shares of operations, 0..1; gets are what is left.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Mix {
    put: f64,
    absent: f64,
    search: f64,
}

#[derive(Debug)]
struct Load {
    /// Operations per second.
    rate: f64,
    duration: Duration,
    mix: Mix,
    zipf: f64,
    size: u64,
    from: NodeNames,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    let rate = fields.needed_quantity::<Frequency>("rate", problems);
    let duration = fields.needed_quantity::<Time>("for", problems);
    let size = fields.quantity::<Size>("size", problems);
    if let Some(Spanned { value: Size(bytes), span }) = &size
        && !(1..=butter::overlay::data::VALUE_MAX as u64).contains(bytes)
    {
        let most = Size(butter::overlay::data::VALUE_MAX as u64);
        problems.add(Diagnostic::at(span, format!("items have from 1 byte to {most}")).help("such as 4KiB"));
    }
    Box::new(Load {
        rate: rate.map_or(1.0, |rate| rate.value.0),
        duration: duration.map_or(Duration::ZERO, |time| time.value.0),
        mix: read_mix(&fields, problems),
        zipf: fields.quantity::<ZipfExponent>("zipf", problems).map_or(1.0, |zipf| zipf.value.0),
        size: size.map_or(ITEM_BYTES, |size| size.value.0),
        from: NodeNames::read(&fields, "from", problems),
    })
}

fn read_mix(load: &Fields<'_>, problems: &mut DiagnosticSink) -> Mix {
    let Some((key, node)) = load.entry("mix") else { return Mix::default() };
    let fields = Fields::open(node, &key.span, &MIX, problems);
    let mut share = |name| fields.quantity::<Share>(name, problems).map(|share| share.value.0);
    let (put, get, absent, search) = (share("put"), share("get"), share("absent"), share("search"));
    let mix = Mix { put: put.unwrap_or(0.0), absent: absent.unwrap_or(0.0), search: search.unwrap_or(0.0) };
    let sum = mix.put + mix.absent + mix.search;
    let whole = sum + get.unwrap_or((1.0 - sum).max(0.0));
    if (whole - 1.0).abs() > 1e-6 {
        problems.add(
            Diagnostic::at(
                &key.span,
                format!("the shares of this mix make {}%, not 100%", (whole * 1e6).round() / 1e4),
            )
            .help("leave `get` out: it is what the others leave"),
        );
    }
    mix
}

impl StepSpec for Load {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.from.validate(names, false, problems);
        self.from.default_to_all();
    }

    fn schedule(&self, state: &mut PlanState<'_>, seeds: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let mut nodes = state.live_of(&state.nodes_of(self.from.selectors()));
        if nodes.is_empty() {
            return Err(ScheduleError::NoneAlive { names: self.from.text() });
        }
        if self.rate * self.duration.as_secs_f64() > state.ops_left() as f64 {
            return Err(ScheduleError::TooManyOps);
        }
        let mut random = seeds.random(SeedPurpose::Arrivals);
        shuffle(&mut random, &mut nodes);
        let mut asked = Asked::new(self, state, seeds)?;
        let gaps = Exp::new(self.rate).expect("a rate is above 0");
        let (mut ops, mut after) = (Vec::new(), 0.0);
        loop {
            after += gaps.sample(&mut random);
            let at = Duration::from_micros((after * 1e6) as u64);
            if at >= self.duration {
                return Ok(ops);
            }
            let node = state.working(&nodes, random.random_range(0..nodes.len() as u64) as usize, at);
            let draw: f64 = random.random();
            let Mix { put, absent, search } = self.mix;
            let op = if draw < put {
                let item = ItemIndex(state.items.len());
                let seed = random.random();
                state.items.push(Item { size: self.size as usize, seed, by: node, keywords: Vec::new() });
                Op::Put { node, item }
            } else if draw < put + absent {
                Op::GetAbsent { node, key: random.next_u64(), exhaustive: false }
            } else if draw < put + absent + search {
                Op::Search { node, query: asked.query(state, &mut random), limit: HITS_MAX }
            } else {
                Op::Get { node, item: asked.item(&mut random), exhaustive: false }
            };
            ops.push(TimedOp { after: at, op });
        }
    }

    fn ends(&self, _: &[TimedOp], _: &PlanState<'_>) -> EndCondition {
        EndCondition::Elapsed { duration: self.duration }
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        let Mix { put, absent, search } = self.mix;
        let parts = [
            (put, "puts"),
            (absent, "gets of absent keys"),
            (search, "searches"),
            (1.0 - put - absent - search, "gets"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(share, _)| *share > 1e-6)
            .map(|(share, what)| format!("{} {what}", Share(*share)))
            .collect();
        format!(
            "load of {} for {}: {} from {}",
            Frequency(self.rate),
            Time(self.duration),
            parts.join(", "),
            self.from.text()
        )
    }

    fn uses_nodes(&self) -> bool {
        true
    }
}

/// What gets and searches ask for.
struct Asked {
    /// Items by rank of popularity.
    items: Vec<ItemIndex>,
    ranks: ZipfRanks,
    /// Items that have keywords.
    described: Vec<ItemIndex>,
}

impl Asked {
    /// # Errors
    /// If there are no items to get, or none with keywords to search for.
    fn new(load: &Load, state: &PlanState<'_>, seeds: &SeedStream) -> Result<Self, ScheduleError> {
        let mut items: Vec<ItemIndex> = (0..state.items_before()).map(ItemIndex).collect();
        let Mix { put, absent, search } = load.mix;
        if items.is_empty() && put + absent + search < 1.0 - 1e-6 {
            return Err(ScheduleError::NothingStored);
        }
        shuffle(&mut seeds.random(SeedPurpose::Popularity), &mut items);
        let described: Vec<ItemIndex> =
            items.iter().copied().filter(|item| !state.items[item.0].keywords.is_empty()).collect();
        if described.is_empty() && search > 0.0 {
            return Err(ScheduleError::NoKeywords { terms: 1 });
        }
        let ranks = ZipfRanks::new(items.len().max(1) as u64, load.zipf);
        Ok(Asked { items, ranks, described })
    }

    fn item(&self, random: &mut Random) -> ItemIndex {
        self.items[self.ranks.draw(random)]
    }

    fn query(&mut self, state: &PlanState<'_>, random: &mut Random) -> String {
        let item = self.described[random.random_range(0..self.described.len() as u64) as usize];
        query_of(&state.items[item.0], 1, random)
    }
}
