//! `store`: nodes store items, spread evenly over time, so that they do not all begin at once.

use std::time::Duration;

use rand::RngExt;

use super::keywords::{KEYWORDS, KeywordDraw};
use super::named::NodeNames;
use super::state::{PlanState, SeedPurpose, SeedStream, shuffle};
use super::step::{ScheduleError, StepReader, StepSource, StepSpec, Verb, done_after};
use crate::op::Op;
use crate::plan::{EndCondition, Item, ItemIndex, TimedOp};
use crate::topology::check::NameTable;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, Span};
use crate::topology::fields::{MapSpec, Spanned, key};
use crate::topology::form::ValueForm;
use crate::topology::units::{Size, Sizes};

/// Most items that one step stores.
pub(super) const ITEMS_MAX: u64 = 1_000_000;
/// Largest item, in bytes.
const ITEM_BYTES_MAX: u64 = butter::overlay::data::VALUE_MAX as u64;
/// Size of items where the file names none: one of Butter's blocks.
const ITEM_BYTES: u64 = 4_096;
/// Puts that begin per second, however few nodes there are.
const PUTS_PER_SECOND: f64 = 50.0;
/// Puts that a node begins per second where there are many nodes: a thousand nodes store a thousand items in two seconds.
const PUTS_PER_NODE_AND_SECOND: f64 = 0.5;

pub(super) static VERB: Verb = Verb {
    name: "store",
    formerly: &[],
    doc: "Nodes store items of random bytes, in turn. Ends when each put has been acknowledged or has failed.",
    keys: &MapSpec {
        what: "a store step",
        keys: &[
            key("items", "60", "how many, 1 to 1,000,000").of(ValueForm::Count(1, ITEMS_MAX)).needed(),
            key("size", "1KiB..32KiB", "size of an item, or the range it is drawn from; 4KiB if absent")
                .of(ValueForm::quantity::<Sizes>()),
            key("from", "all", "networks, node groups or nodes that store; all if absent").of(ValueForm::NAMES),
            key("keywords", "{terms: 200, each: 3, zipf: 1.0}", "words by which items are found, drawn at random")
                .of(ValueForm::Map(&KEYWORDS)),
        ],
        later: &[],
    },
    short: None,
    example: "- store: {items: 60, size: 1KiB..32KiB, from: alpha}",
    read: StepReader::One(read),
};

#[derive(Debug)]
struct Store {
    items: u64,
    sizes: Sizes,
    from: NodeNames,
    keywords: Option<KeywordDraw>,
}

fn read(source: &StepSource<'_>, problems: &mut DiagnosticSink) -> Box<dyn StepSpec> {
    let fields = source.fields(problems);
    fields.need("items", problems);
    let sizes = fields.quantity::<Sizes>("size", problems);
    if let Some(Spanned { value: Sizes { least, most }, span }) = &sizes
        && (*least == 0 || *most > ITEM_BYTES_MAX)
    {
        problems.add(
            Diagnostic::at(span, format!("items have from 1 byte to {}", Size(ITEM_BYTES_MAX)))
                .help("such as 1KiB..32KiB"),
        );
    }
    Box::new(Store {
        items: fields.count("items", 1, ITEMS_MAX, problems).unwrap_or(1),
        sizes: sizes.map_or(Sizes { least: ITEM_BYTES, most: ITEM_BYTES }, |sizes| sizes.value),
        from: NodeNames::read(&fields, "from", problems),
        keywords: KeywordDraw::read(&fields, problems),
    })
}

impl StepSpec for Store {
    fn validate(&mut self, _: &Span, names: &NameTable<'_>, problems: &mut DiagnosticSink) {
        self.from.validate(names, false, problems);
        self.from.default_to_all();
    }

    fn schedule(&self, state: &mut PlanState<'_>, seeds: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        let mut storers = state.live_of(&state.nodes_of(self.from.selectors()));
        if storers.is_empty() {
            return Err(ScheduleError::NoneAlive { names: self.from.text() });
        }
        if self.items as usize > state.ops_left() {
            return Err(ScheduleError::TooManyOps);
        }
        shuffle(&mut seeds.random(SeedPurpose::Storers), &mut storers);
        let mut random = seeds.random(SeedPurpose::Items);
        let mut keywords = self.keywords.as_ref().map(|draw| draw.lists(seeds.random(SeedPurpose::Keywords)));
        let rate = PUTS_PER_SECOND.max(storers.len() as f64 * PUTS_PER_NODE_AND_SECOND);
        let mut ops = Vec::with_capacity(self.items as usize);
        for number in 0..self.items {
            let item = ItemIndex(state.items.len());
            let after = slot(number, rate);
            let node = state.working(&storers, number as usize % storers.len(), after);
            let size = random.random_range(self.sizes.least..=self.sizes.most) as usize;
            let keywords = keywords.as_mut().map_or_else(Vec::new, |next| next());
            state.items.push(Item { size, seed: random.random(), by: node, keywords });
            ops.push(TimedOp { after, op: Op::Put { node, item } });
        }
        Ok(ops)
    }

    fn uses_nodes(&self) -> bool {
        true
    }

    fn ends(&self, ops: &[TimedOp], state: &PlanState<'_>) -> EndCondition {
        done_after(ops, state.grace)
    }

    fn summary(&self, _: &[TimedOp]) -> String {
        let keywords = self.keywords.as_ref().map_or_else(String::new, |keywords| format!(" {}", keywords.text()));
        format!("store {} items of {}{keywords} from {}", self.items, self.sizes, self.from.text())
    }
}

/// When number `number` begins, at so many per second.
pub(super) fn slot(number: u64, rate: f64) -> Duration {
    Duration::from_micros((number as f64 * 1e6 / rate) as u64)
}
