//! What a live page shows, in parts: each is its JSON with the version in which it last changed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

/// Most pages of ended runs that are listed: those that ended last.
const ENDED_MAX: usize = 200;

/// What is shown by now. It is never changed: a later state takes its place.
#[derive(Clone, Debug, Default)]
pub(super) struct LiveState {
    /// Counts runs: all parts of a state are those of one run.
    pub(super) run: u64,
    /// Rises with every state.
    version: u64,
    parts: BTreeMap<PartName, Part>,
    /// Pages of runs and sets that have ended, by the path at which they are served.
    pub(super) pages: Arc<BTreeMap<String, PathBuf>>,
}

/// Where a part is in the page's data: a group of names, and a name.
pub(super) type PartName = (&'static str, &'static str);

#[derive(Clone, Debug)]
struct Part {
    version: u64,
    /// A line of a server-sent event: `data: ["group","name",value]`, with its newline.
    line: Bytes,
}

/// What a client has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    run: u64,
    version: u64,
}

/// A run that has ended, as a live page lists it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct EndedRun {
    pub(super) name: String,
    pub(super) seed: Option<u64>,
    pub(super) verdict: String,
    /// Path at which its page is served.
    pub(super) page: String,
}

impl LiveState {
    /// The state that follows: with these parts, of which only those are new that differ. A part that is not among them goes.
    pub(super) fn next(&self, run: u64, parts: Vec<(PartName, Value)>) -> Self {
        let version = self.version + 1;
        let parts = parts.into_iter().map(|(name, value)| {
            let line = line(name, &value);
            let before = self.parts.get(&name).filter(|before| self.run == run && before.line == line);
            (name, before.cloned().unwrap_or(Part { version, line }))
        });
        LiveState { run, version, parts: parts.collect(), pages: Arc::clone(&self.pages) }
    }

    /// The state that follows, with some parts of this run changed and all others as they are.
    pub(super) fn changed(&self, parts: Vec<(PartName, Value)>) -> Self {
        let version = self.version + 1;
        let mut next = LiveState { version, ..self.clone() };
        for (name, value) in parts {
            let line = line(name, &value);
            if next.parts.get(&name).is_none_or(|before| before.line != line) {
                next.parts.insert(name, Part { version, line });
            }
        }
        next
    }

    /// What a client lacks that has `seen`, as the pieces of one server-sent event; nothing if it lacks nothing. The parts are not
    /// copied.
    pub(super) fn news_for(&self, seen: &mut Seen) -> Vec<Bytes> {
        let is_other = seen.run != self.run;
        let since = if is_other { 0 } else { seen.version };
        let lines: Vec<Bytes> =
            self.parts.values().filter(|part| part.version > since).map(|part| part.line.clone()).collect();
        *seen = Seen { run: self.run, version: self.version };
        if lines.is_empty() && !is_other {
            return Vec::new();
        }
        let head = Bytes::from(format!("event: state\ndata: {}\n", self.run));
        std::iter::once(head).chain(lines).chain([Bytes::from_static(b"\n")]).collect()
    }
}

/// JSON has no newline in it, so that a part is one line.
fn line((group, name): PartName, value: &Value) -> Bytes {
    Bytes::from(format!("data: [\"{group}\",\"{name}\",{value}]\n"))
}

/// Adds a run to a list, which has no more than [`ENDED_MAX`].
pub(super) fn list_ended(ended: &mut Vec<EndedRun>, run: EndedRun) {
    if ended.len() == ENDED_MAX {
        ended.remove(0);
    }
    ended.push(run);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEMS: PartName = ("sections", "items");
    const RESULT: PartName = ("data", "result");

    fn text(pieces: Vec<Bytes>) -> String {
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[test]
    fn a_client_gets_what_has_changed_and_a_new_one_everything() {
        let first = LiveState::default().next(1, vec![(ITEMS, 1.into()), (RESULT, "a\nb".into())]);
        let second = first.next(1, vec![(ITEMS, 2.into()), (RESULT, "a\nb".into())]);
        let mut seen = Seen::default();
        let whole =
            "event: state\ndata: 1\ndata: [\"data\",\"result\",\"a\\nb\"]\ndata: [\"sections\",\"items\",1]\n\n";
        assert_eq!(text(first.news_for(&mut seen)), whole);
        assert_eq!(text(first.news_for(&mut seen)), "");
        assert_eq!(text(second.news_for(&mut seen)), "event: state\ndata: 1\ndata: [\"sections\",\"items\",2]\n\n");
        assert_eq!(text(second.news_for(&mut Seen::default())), whole.replace(",1]", ",2]"));
    }

    #[test]
    fn another_run_is_a_whole_state_even_where_it_looks_the_same() {
        let first = LiveState::default().next(1, vec![(ITEMS, 1.into())]);
        let mut seen = Seen::default();
        first.news_for(&mut seen);
        let other = first.next(2, vec![(ITEMS, 1.into())]);
        assert_eq!(text(other.news_for(&mut seen)), "event: state\ndata: 2\ndata: [\"sections\",\"items\",1]\n\n");
        let empty = other.next(3, Vec::new());
        assert_eq!(text(empty.news_for(&mut seen)), "event: state\ndata: 3\n\n");
    }

    #[test]
    fn a_changed_part_leaves_the_others_as_they_are() {
        let first = LiveState::default().next(1, vec![(ITEMS, 1.into()), (RESULT, 5.into())]);
        let mut seen = Seen::default();
        first.news_for(&mut seen);
        let second = first.changed(vec![(RESULT, 6.into())]);
        assert_eq!(text(second.news_for(&mut seen)), "event: state\ndata: 1\ndata: [\"data\",\"result\",6]\n\n");
    }
}
