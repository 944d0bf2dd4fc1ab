//! Searches of an application: hits as they come, then the end.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

use super::command::CommandError;
use super::handle::{NodeHandle, NodeStopped};
use crate::core::io::Outcome;
use crate::overlay::data::{
    DataCommand, DataOutcome, DataOverlay, FinishedSearch, KeywordHit, SearchQuery, SearchRefusal,
};

/// A search under way. If it is dropped, the node goes on until the search's own time is up.
#[derive(Debug)]
pub struct SearchHits {
    outcomes: UnboundedReceiver<Outcome<DataOutcome>>,
    end: Option<Result<FinishedSearch, SearchRefusal>>,
}

impl NodeHandle<DataOverlay> {
    /// Searches for values by their keywords: at most `limit` hits within `deadline`.
    ///
    /// ```no_run
    /// # async fn example(node: butter::app::NodeHandle<butter::overlay::data::DataOverlay>) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// let mut hits = node.search("rust AND nat".parse()?, 20, Duration::from_secs(2)).await?;
    /// while let Some(hit) = hits.next().await {
    ///     println!("{}: {}", hit.id, hit.keywords.iter().collect::<Vec<_>>().join(", "));
    /// }
    /// println!("{}", hits.finish().await?.stop);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the node has stopped. Bounds that are not allowed end the search: see [`SearchHits::finish`].
    pub async fn search(
        &self,
        query: SearchQuery,
        limit: usize,
        deadline: Duration,
    ) -> Result<SearchHits, NodeStopped> {
        let outcomes = self.begin(DataCommand::Search { query, limit, deadline }).await?;
        Ok(SearchHits { outcomes, end: None })
    }
}

impl SearchHits {
    /// The next hit, once it comes; `None` at the end. It is a claim until its value is fetched.
    pub async fn next(&mut self) -> Option<KeywordHit> {
        while self.end.is_none() {
            match self.outcomes.recv().await? {
                Outcome::Overlay(DataOutcome::Hit(hit)) => return Some(hit),
                Outcome::Overlay(DataOutcome::Searched(end)) => self.end = Some(end),
                _ => {}
            }
        }
        None
    }

    /// Why the search ended, and how many peers have answered. Waits for the end; hits that come until then are left out.
    ///
    /// # Errors
    /// If the search was refused, or the node has stopped before its end.
    pub async fn finish(mut self) -> Result<FinishedSearch, CommandError<SearchRefusal>> {
        while self.next().await.is_some() {}
        self.end.ok_or(NodeStopped)?.map_err(CommandError::Op)
    }
}
