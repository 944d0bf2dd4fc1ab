//! `butter search`: prints hits as they come.

use std::time::Duration;

use anyhow::anyhow;
use butter_cli::output;
use clap::Args;

use crate::api::{HitBody, SearchEndBody, SearchLine, search_path};
use crate::core::config::values;
use crate::overlay::data::SearchQuery;
use crate::overlay::data::search::SEARCH_LIMIT_MAX;

use super::Failure;
use super::client::ApiClient;

pub(super) const SEARCH_HELP: &str = "\
Examples:
  butter search rust nat                         both keywords
  butter search 'rust AND (nat OR \"hole punching\") NOT draft'
  butter search rust --json | jq .hit.id

Each line has the id of a value and its keywords. A hit is a claim of a peer until `butter get` has fetched the value.

Exit status: 0 found; 1 nothing found; 2 wrong arguments; 3 no node answers;
4 nothing found so far, and not every peer has answered.";

#[derive(Args, Debug)]
pub(super) struct SearchArgs {
    /// Keywords with AND, OR, NOT and parentheses; several words mean AND. Keywords with blanks stand in double quotes
    #[arg(required = true)]
    query: Vec<String>,
    /// Most hits
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = limit)]
    limit: usize,
    /// Longest time, up to one minute
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::duration)]
    timeout: Duration,
    /// Print JSON: a line for each hit, then one for the end
    #[arg(long)]
    json: bool,
}

fn limit(text: &str) -> Result<usize, String> {
    values::count(text, 1, SEARCH_LIMIT_MAX).map_err(|_| format!("expected a number from 1 to {SEARCH_LIMIT_MAX}"))
}

pub(super) async fn search(client: &ApiClient, args: SearchArgs) -> Result<(), Failure> {
    let SearchArgs { query, limit, timeout, json } = args;
    let text = query.join(" ");
    let query = SearchQuery::parse(&text).map_err(|error| {
        let pointer = format!("{}^", " ".repeat(error.at));
        Failure::Usage(anyhow!("{error}\n  {text}\n  {pointer}"))
    })?;
    let mut answer = client.open(&search_path(&query, limit, timeout)).await?;
    let mut lines = Vec::new();
    let mut end = None;
    while let Some(piece) = client.piece(&mut answer).await? {
        lines.extend_from_slice(&piece);
        while let Some(at) = lines.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = lines.drain(..=at).collect();
            end = show(&line, json)?.or(end);
        }
    }
    let end = end.ok_or_else(|| Failure::Environment(anyhow!("the node ended before the search did")))?;
    judge(&end)
}

/// Shows a line of the answer. Returns the last one.
fn show(line: &[u8], json: bool) -> Result<Option<SearchEndBody>, Failure> {
    let read = serde_json::from_slice(line);
    let wrong = |error| anyhow::Error::new(error).context("the answer is not what a node of this version says");
    let read: SearchLine = read.map_err(|error| Failure::Environment(wrong(error)))?;
    match read {
        _ if json => output::data(line),
        SearchLine::Hit(HitBody { id, ref keywords }) => output::text(&format!("{id}  {}\n", keywords.join(", "))),
        SearchLine::End(_) => {}
    }
    Ok(if let SearchLine::End(end) = read { Some(end) } else { None })
}

/// Says how the search has ended.
fn judge(end: &SearchEndBody) -> Result<(), Failure> {
    let SearchEndBody { hits, why, complete, messages, search, .. } = end;
    let (answered, asked) = (search.answered, search.asked);
    let said = format!("{why}; {answered} of {asked} peers answered, {messages} questions");
    match (hits, complete) {
        (0, true) => Err(Failure::Refused(anyhow!("nothing found: {said}"), None)),
        (0, false) => {
            let remedy = "ask again: a peer that did not answer may have what is wanted".to_owned();
            Err(Failure::Incomplete(anyhow!("nothing found so far: {said}"), Some(remedy)))
        }
        (hits, _) => {
            output::message(&format!("{hits} {}: {said}", if *hits == 1 { "hit" } else { "hits" }));
            Ok(())
        }
    }
}
