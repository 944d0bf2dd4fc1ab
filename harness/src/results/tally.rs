//! The events of a run, or of its beginning, added up section by section.

use super::absents::AbsentTally;
use super::connectivity::ConnectivityTally;
use super::incidents::Incident;
use super::items::ItemTally;
use super::nodes::NodeTally;
use super::queries::QueryTally;
use super::rebind_recovery::RebindTally;
use super::repair::NodeEndTally;
use super::searches::SearchesTally;
use super::views::ViewTally;
use crate::events::{Event, RunTime};
use crate::plan::Plan;

/// What checks and results are computed from.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Items stored, and still held by live nodes.
    pub items: ItemTally,
    /// Starts and ends of nodes.
    pub nodes: NodeTally,
    /// When honest nodes ended.
    pub node_ends: NodeEndTally,
    /// Queries and how they ended.
    pub queries: QueryTally,
    /// Gets of keys that no item has.
    pub absents: AbsentTally,
    /// Searches for keywords and how they ended.
    pub searches: SearchesTally,
    /// Link tests of `connect` steps.
    pub connectivity: ConnectivityTally,
    /// Link ends after rebinds.
    pub rebinds: RebindTally,
    /// The graph of neighbours.
    pub views: ViewTally,
    /// Every incident, in order.
    pub incidents: Vec<Incident>,
    /// Time of the last event.
    pub end: RunTime,
}

impl Tally {
    /// Adds up the events of a run, or of its beginning.
    pub fn of(plan: &Plan, events: &[Event]) -> Self {
        let mut tally = Tally::default();
        for event in events {
            tally.end = event.at;
            tally.items.add(plan, event);
            tally.nodes.add(plan, event);
            tally.node_ends.add(plan, event);
            tally.queries.add(plan, event);
            tally.absents.add(event);
            tally.searches.add(event);
            tally.connectivity.add(event);
            tally.rebinds.add(event);
            tally.views.add(event);
            tally.incidents.extend(Incident::of(event));
        }
        tally
    }
}
