//! Searches for keywords that did not bring what the plan says.

use super::record::{Record, RecordedHits, RecordedKind, RecordedSearch};
use super::{list, seconds};

/// Whether the run has searched for keywords.
pub(super) fn any(record: &Record) -> bool {
    record.events.iter().any(|event| matches!(event.kind, RecordedKind::Searched(_)))
}

/// Searches that missed items, brought wrong ones or were not made, one line each.
pub(super) fn failed(record: &Record) -> Vec<String> {
    let searches = record.events.iter().filter_map(|event| match &event.kind {
        RecordedKind::Searched(search) => Some(search),
        _ => None,
    });
    searches.filter_map(fault).collect()
}

fn fault(search: &RecordedSearch) -> Option<String> {
    let RecordedSearch { search: number, node, query, took_us, result } = search;
    let fault = match result {
        RecordedHits::Ended { expected, found, wrong, .. } if found >= expected && *wrong == 0 => return None,
        RecordedHits::Ended { expected, found, wrong, missing, unanswered, stop } => {
            let items: Vec<String> = missing.iter().map(|item| format!("item {item}")).collect();
            let wrong = if *wrong > 0 { format!("; wrong hits: {wrong}") } else { String::new() };
            let missing = if found < expected { format!("; missing are {}", list(&items)) } else { String::new() };
            format!(
                "{found} of {expected} items found{missing}{wrong}; {unanswered} peers silent; it ended after {}: {stop}",
                seconds(*took_us)
            )
        }
        RecordedHits::TimedOut => "the node gave no answer in time".to_owned(),
        RecordedHits::Unasked { why } => why.clone(),
    };
    Some(format!("search {number} for `{query}` by {node}: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_went_wrong_is_listed() {
        let event = |result: &str| {
            let head = r#"{"at_us":5,"event":"searched","node":"a-1","query":"x AND y","search":3,"took_us":1500000"#;
            serde_json::from_str(&format!("{head},\"result\":{result}}}")).unwrap()
        };
        let ended = |found: usize, wrong: usize, missing: &str| {
            event(&format!(
                r#"{{"outcome":"ended","expected":2,"found":{found},"wrong":{wrong},"missing":[{missing}],"messages":9,"unanswered":2,"stop":"deadline"}}"#
            ))
        };
        let events = vec![ended(2, 0, ""), ended(1, 1, "17"), event(r#"{"outcome":"timed_out"}"#)];
        let record = Record { events, ..Record::default() };
        assert!(any(&record) && !any(&Record::default()));
        let lines = failed(&record);
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[0],
            "search 3 for `x AND y` by a-1: 1 of 2 items found; missing are item 17; wrong hits: 1; 2 peers silent; it ended after 1.500 s: deadline"
        );
    }
}
