//! Churn as it was recorded: a file with the sessions of nodes, beside the topology.
//!
//! Each line is a session, `node,up,down`, or an event, `time,node,event` with `up` or `down`; the first line may say which. Times
//! are seconds from the beginning of the step. Where any node bears the name of one of the step, all do; otherwise the nodes of
//! the file are those of the step, in the order in which they appear. The format of the churn generator of TU Darmstadt is not published:
//! there is no reader for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::plan::TopologyFile;
use crate::topology::diagnostics::quoted;

/// Longest file, in bytes.
const BYTES_MAX: u64 = 64 << 20;
/// Most sessions of a file.
const SESSIONS_MAX: usize = 2_000_000;

/// The sessions of a file.
#[derive(Debug)]
pub(super) struct ChurnTrace {
    pub(super) file: TopologyFile,
    /// By node of the file, in the order in which they appear.
    pub(super) nodes: Vec<TracedNode>,
}

/// A node of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TracedNode {
    /// As the file calls it.
    pub(super) name: String,
    /// Line of the file in which it appears first, from 1.
    pub(super) line: usize,
    /// In order of time, none within another.
    pub(super) sessions: Vec<TracedSession>,
}

/// A time for which a node is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TracedSession {
    pub(super) up: Duration,
    /// `Duration::MAX` if the file does not say.
    pub(super) down: Duration,
    line: usize,
}

/// What a line of the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineForm {
    Session,
    Event,
}

/// First lines, and what they say.
const HEADERS: [([&str; 3], LineForm); 2] =
    [(["node", "up", "down"], LineForm::Session), (["time", "node", "event"], LineForm::Event)];

impl ChurnTrace {
    /// Reads the file of this name in a folder.
    ///
    /// # Errors
    /// With the file, the line and what is wrong with it, and what to write instead.
    pub(super) fn read(folder: &Path, name: &str) -> Result<Self, (String, &'static str)> {
        let path = folder.join(name);
        let text = crate::topology::file_text(&path, BYTES_MAX)
            .map_err(|why| (format!("cannot read {}: {why}", path.display()), "name a file beside the topology"))?;
        let nodes = parse(&text).map_err(|(line, what, help)| match line {
            0 => (format!("{name}: {what}"), help),
            line => (format!("{name}, line {line}: {what}"), help),
        })?;
        Ok(ChurnTrace { file: TopologyFile { name: name.to_owned(), text }, nodes })
    }
}

/// The line (0 for the whole file), what is wrong there, and what to write instead.
type Wrong = (usize, String, &'static str);

const SESSION_EXAMPLE: &str = "write node, up and down in seconds, such as a-1,0,120.5";
const EVENT_EXAMPLE: &str = "write time in seconds, node, and up or down, such as 120.5,a-1,down";

fn parse(text: &str) -> Result<Vec<TracedNode>, Wrong> {
    let mut form = None;
    let mut nodes = TracedNodes::default();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim_start_matches('\u{feff}').split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        let words: Vec<&str> = text.split([',', ';', '\t']).map(str::trim).collect();
        let &[first, second, third] = words.as_slice() else {
            let what = format!("{} has not three columns", quoted(text));
            return Err((line, what, if form == Some(LineForm::Event) { EVENT_EXAMPLE } else { SESSION_EXAMPLE }));
        };
        let header = HEADERS.iter().find(|(names, _)| names.iter().zip(&words).all(|(a, b)| a.eq_ignore_ascii_case(b)));
        if let (None, Some((_, of))) = (form, header) {
            form = Some(*of);
            continue;
        }
        match *form.get_or_insert_with(|| form_of(third)) {
            LineForm::Session => nodes.session(line, first, second, third)?,
            LineForm::Event => nodes.event(line, first, second, third)?,
        }
        if nodes.sessions > SESSIONS_MAX {
            return Err((line, format!("there are more than {SESSIONS_MAX} sessions"), "use a part of the file"));
        }
    }
    nodes.finish()
}

/// By the last column of a file without a header.
fn form_of(third: &str) -> LineForm {
    if is_event(third).is_some() { LineForm::Event } else { LineForm::Session }
}

/// Whether a node comes; `None` for what is no event.
fn is_event(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "up" | "join" | "u" => Some(true),
        "down" | "leave" | "d" => Some(false),
        _ => None,
    }
}

#[derive(Debug, Default)]
struct TracedNodes {
    nodes: Vec<TracedNode>,
    by_name: BTreeMap<String, usize>,
    sessions: usize,
}

impl TracedNodes {
    fn node(&mut self, line: usize, name: &str) -> Result<&mut TracedNode, Wrong> {
        if name.is_empty() {
            return Err((line, "the node has no name".to_owned(), SESSION_EXAMPLE));
        }
        let next = self.nodes.len();
        let at = *self.by_name.entry(name.to_owned()).or_insert(next);
        if at == next {
            self.nodes.push(TracedNode { name: name.to_owned(), line, sessions: Vec::new() });
        }
        Ok(&mut self.nodes[at])
    }

    fn session(&mut self, line: usize, name: &str, up: &str, down: &str) -> Result<(), Wrong> {
        let up = seconds(up).ok_or_else(|| (line, format!("{} is no time in seconds", quoted(up)), SESSION_EXAMPLE))?;
        let down = match down {
            "" | "-" => Duration::MAX,
            text => seconds(text)
                .ok_or_else(|| (line, format!("{} is no time in seconds", quoted(text)), SESSION_EXAMPLE))?,
        };
        if down <= up {
            return Err((line, format!("{} is down before it is up", quoted(name)), SESSION_EXAMPLE));
        }
        self.node(line, name)?.sessions.push(TracedSession { up, down, line });
        self.sessions += 1;
        Ok(())
    }

    fn event(&mut self, line: usize, time: &str, name: &str, event: &str) -> Result<(), Wrong> {
        let at =
            seconds(time).ok_or_else(|| (line, format!("{} is no time in seconds", quoted(time)), EVENT_EXAMPLE))?;
        let comes = is_event(event).ok_or_else(|| (line, format!("{} is no event", quoted(event)), EVENT_EXAMPLE))?;
        let is_new = !self.by_name.contains_key(name);
        let node = self.node(line, name)?;
        let open = node.sessions.last_mut().filter(|session| session.down == Duration::MAX);
        match (comes, open) {
            (true, None) => node.sessions.push(TracedSession { up: at, down: Duration::MAX, line }),
            // Whoever is first heard of when it leaves was there from the beginning.
            (false, None) if is_new && !at.is_zero() => {
                node.sessions.push(TracedSession { up: Duration::ZERO, down: at, line });
            }
            (false, Some(session)) if at > session.up => session.down = at,
            (true, Some(_)) => return Err((line, format!("{} is up already", quoted(name)), EVENT_EXAMPLE)),
            (false, _) => return Err((line, format!("{} is down already", quoted(name)), EVENT_EXAMPLE)),
        }
        self.sessions += usize::from(comes || is_new);
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<TracedNode>, Wrong> {
        for node in &mut self.nodes {
            node.sessions.sort_by_key(|session| session.up);
            if let Some(pair) = node.sessions.windows(2).find(|pair| pair[0].down > pair[1].up) {
                let what = format!("{} is up already, by line {}", quoted(&node.name), pair[0].line);
                return Err((pair[1].line, what, "let each session of a node begin after the one before"));
            }
        }
        if self.nodes.is_empty() {
            return Err((0, "it has no session".to_owned(), SESSION_EXAMPLE));
        }
        Ok(self.nodes)
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !text.is_empty();
    is_plain.then(|| text.parse().ok()).flatten().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sessions of each node in seconds; 0 stands for no end.
    fn sessions(text: &str) -> Vec<(String, Vec<(u64, u64)>)> {
        let time = |session: &TracedSession| {
            (session.up.as_secs(), if session.down == Duration::MAX { 0 } else { session.down.as_secs() })
        };
        let nodes = parse(text).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        nodes.into_iter().map(|node| (node.name, node.sessions.iter().map(time).collect())).collect()
    }

    #[test]
    fn sessions_are_read_with_or_without_a_header_and_in_any_order() {
        let expected = vec![("b".to_owned(), vec![(0, 5), (9, 0)]), ("a".to_owned(), vec![(3, 7)])];
        assert_eq!(sessions("node,up,down\nb,9,\na,3,7 # short\n\nb,0,5\n"), expected);
        assert_eq!(sessions("b;9;-\na;3.0;7\nb;0;5\n"), expected);
    }

    #[test]
    fn events_are_as_good_as_sessions() {
        let expected = vec![("1".to_owned(), vec![(0, 4), (6, 0)]), ("2".to_owned(), vec![(0, 5)])];
        assert_eq!(sessions("time,node,event\n0,1,up\n4,1,down\n5,2,down\n6,1,up\n"), expected);
        assert_eq!(sessions("0\t1\tjoin\n4\t1\tleave\n5\t2\tD\n6\t1\tU\n"), expected);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, what) in [
            ("a,0\n", 1, "three columns"),
            ("node,up,down\na,x,3\n", 2, "'x' is no time"),
            ("a,0,5\na,4,9\n", 2, "up already, by line 1"),
            ("a,5,5\n", 1, "down before it is up"),
            (",0,5\n", 1, "no name"),
            ("0,a,up\n1,a,up\n", 2, "up already"),
            ("0,a,up\n2,a,down\n3,a,down\n", 3, "down already"),
            ("a,-1,5\n", 1, "no time"),
            ("# nothing\n", 0, "no session"),
        ] {
            let (found, said, _) = parse(text).unwrap_err();
            assert!(found == line && said.contains(what), "{text}: line {found}: {said}");
        }
    }
}
