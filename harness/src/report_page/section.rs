//! The seam between a record and the sections of its page.

use serde_json::Value;

use super::run_files::{RunFiles, SampleRow};
use super::sections::{items, lanes, queries, searches, spread, stories, timeline, topology, traffic};

/// Gathers what a section of the page shows. It sees the record once, in its order; a page of a run that goes on asks for its data again and
/// again.
pub(super) trait PageSection: Send {
    /// Takes an event, with its time in microseconds and its name.
    fn event(&mut self, _at_us: u64, _name: &str, _event: &Value, _files: &RunFiles) {}

    /// Takes a sample.
    fn sample(&mut self, _sample: SampleRow<'_>) {}

    /// What its view draws, of what was taken so far; null if there is nothing to show.
    fn data(&self, _files: &RunFiles) -> Value {
        Value::Null
    }
}

/// What a section draws from `result.json` and the circumstances of the run alone, which every view sees.
struct ResultOnly;

impl PageSection for ResultOnly {}

/// A section of the page.
pub(super) struct SectionKind {
    /// Key of its data, and anchor in the page.
    pub(super) name: &'static str,
    /// The script that draws it.
    pub(super) view: &'static str,
    /// Begins to gather its data.
    pub(super) begin: fn() -> Box<dyn PageSection>,
}

/// A line of the table: the name is that of the view's file, too.
macro_rules! kind {
    ($name:literal, $begin:expr) => {
        SectionKind { name: $name, view: include_str!(concat!("view/", $name, ".js")), begin: || Box::new($begin) }
    };
}

/// Every section, in the order of the page.
pub(super) const SECTIONS: &[SectionKind] = &[
    kind!("verdict", ResultOnly),
    kind!("checks", ResultOnly),
    kind!("timeline", timeline::TimelineData::default()),
    kind!("topology", topology::TopologyData),
    kind!("connectivity", ResultOnly),
    kind!("items", items::ItemData::default()),
    kind!("queries", queries::QueryData::default()),
    kind!("searches", searches::SearchData::default()),
    kind!("traffic", traffic::TrafficData::default()),
    kind!("spread", spread::SpreadData::default()),
    kind!("lanes", lanes::LaneData::default()),
    kind!("stories", stories::StoryData),
    kind!("environment", ResultOnly),
];
