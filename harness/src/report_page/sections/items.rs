//! Items over time: how many the network still holds, and in how many copies.

use serde::Serialize;
use serde_json::{Value, json};

use super::super::run_files::RunFiles;
use super::super::section::PageSection;
use super::super::thin::ThinList;

/// Most snapshots that the page has.
const SNAPSHOTS_MAX: usize = 1_500;

/// Snapshots of all live nodes.
#[derive(Debug, Default)]
pub(in super::super) struct ItemData {
    snapshots: Vec<Snapshot>,
}

/// One look at all live nodes. Every count but `live` is null of a look that failed.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Snapshot {
    at_ms: u64,
    live: Option<u64>,
    components: Option<u64>,
    persistent: Option<u64>,
    acknowledged: Option<u64>,
    copies: Option<u64>,
    blocks: Option<u64>,
    copies_max: Option<u64>,
}

impl Snapshot {
    /// The larger, the more it says of what went wrong: lost items first, then missing copies.
    fn badness(&self) -> f64 {
        let lost = self.acknowledged.unwrap_or(0).saturating_sub(self.persistent.unwrap_or(0));
        let copies = self.copies.unwrap_or(0) as f64 / self.blocks.unwrap_or(0).max(1) as f64;
        lost as f64 * 1e3 - copies
    }
}

impl PageSection for ItemData {
    fn event(&mut self, at_us: u64, name: &str, event: &Value, _: &RunFiles) {
        let at_ms = at_us / 1_000;
        match name {
            "inspected" => {
                let count = |key: &str| event[key].as_u64();
                self.snapshots.push(Snapshot {
                    at_ms,
                    live: count("live"),
                    components: count("components"),
                    persistent: count("persistent"),
                    acknowledged: count("acknowledged"),
                    copies: count("copies"),
                    blocks: count("blocks"),
                    copies_max: count("copies_max"),
                });
            }
            "look_failed" => self.snapshots.push(Snapshot { at_ms, ..Snapshot::default() }),
            _ => {}
        }
    }

    fn data(&self, _: &RunFiles) -> Value {
        if self.snapshots.is_empty() {
            return Value::Null;
        }
        json!({"snapshots": ThinList::worst(self.snapshots.clone(), SNAPSHOTS_MAX, Snapshot::badness)})
    }
}
