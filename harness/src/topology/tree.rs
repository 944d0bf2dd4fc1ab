//! A YAML text as a tree in which every node knows its place. Bounded in depth and size, whatever the text.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as Marks, StrInput, Tag};

use super::diagnostics::{Problem, Problems, Span, quoted};

/// Deepest nesting of maps and lists.
pub(super) const DEPTH_MAX: usize = 32;
/// Most values in a file, with what its aliases repeat.
pub(super) const VALUES_MAX: usize = 50_000;

/// Bytes of text that count as one more value: an alias repeats them.
const TEXT_WEIGHT: usize = 32;

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    /// Of a scalar its text; of a map or list everything from its first entry; of an empty value its key.
    pub(super) span: Span,
    /// The variables that gave the text its present form, for messages: `${die} is 1/100`.
    pub(super) expanded: Option<String>,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing was written.
    Empty,
    /// Any text, number or flag.
    Scalar(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping without duplicate keys, in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key of a map with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) span: Span,
}

impl Node {
    /// What it is, for messages.
    pub(super) fn shape(&self) -> &'static str {
        match self.value {
            Value::Empty => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// Reads a text of one document. `None` if it cannot be read to its end; why is among `problems`.
pub(super) fn parse(text: &str, problems: &mut Problems) -> Option<Node> {
    let builder =
        Builder { text, places: Places::new(text), anchors: BTreeMap::new(), open: Vec::new(), root: None, values: 0 };
    match builder.read(problems) {
        Ok(Some(root)) => Some(root),
        Ok(None) => {
            problems.add(
                Problem::at(&(0..0), "the file is empty")
                    .help("a topology has at least `networks`, `nodes` and `steps`"),
            );
            None
        }
        Err(problem) => {
            problems.add(problem);
            None
        }
    }
}

/// From the parser's positions, in characters, to bytes.
struct Places {
    /// Byte of every character, and the length; empty for a text of ASCII.
    bytes: Vec<usize>,
    length: usize,
}

impl Places {
    fn new(text: &str) -> Self {
        let bytes = if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(byte, _)| byte).collect() };
        Places { bytes, length: text.len() }
    }

    fn byte(&self, character: usize) -> usize {
        if self.bytes.is_empty() {
            return character.min(self.length);
        }
        self.bytes.get(character).copied().unwrap_or(self.length)
    }

    fn span(&self, marks: Marks) -> Span {
        let start = self.byte(marks.start.index());
        start..self.byte(marks.end.index()).max(start)
    }
}

struct Builder<'t> {
    text: &'t str,
    places: Places,
    anchors: BTreeMap<usize, Node>,
    open: Vec<Open>,
    root: Option<Node>,
    values: usize,
}

/// A map or list whose end has not come.
struct Open {
    start: Span,
    anchor: usize,
    holds: Holds,
}

enum Holds {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, key: Option<Key>, places: BTreeMap<String, Span> },
}

impl<'t> Builder<'t> {
    /// Every event in turn. An error ends the reading: what follows it cannot be trusted.
    fn read(mut self, problems: &mut Problems) -> Result<Option<Node>, Problem> {
        let mut parser: Parser<'t, StrInput<'t>> = Parser::new_from_str(self.text);
        while let Some(next) = parser.next_event() {
            let (event, marks) = next.map_err(|error| self.syntax(error.marker().index(), error.info()))?;
            let span = self.places.span(marks);
            self.take(event, span, problems)?;
        }
        Ok(self.root)
    }

    fn take(&mut self, event: Event<'_>, span: Span, problems: &mut Problems) -> Result<(), Problem> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(Problem::at(&span, "a second document begins")
                    .help("a topology is one YAML document: one file each"))
            }
            Event::DocumentStart(_) => Ok(()),
            Event::Alias(anchor) => self.alias(anchor, span, problems),
            Event::Scalar(text, style, anchor, tag) => {
                untagged(tag.as_deref(), &span)?;
                let value = scalar(&text, style);
                self.finish(Node { value, span, expanded: None }, anchor, problems)
            }
            Event::SequenceStart(anchor, tag) => {
                untagged(tag.as_deref(), &span)?;
                self.descend(Open { start: span, anchor, holds: Holds::List(Vec::new()) })
            }
            Event::MappingStart(anchor, tag) => {
                untagged(tag.as_deref(), &span)?;
                let holds = Holds::Map { entries: Vec::new(), key: None, places: BTreeMap::new() };
                self.descend(Open { start: span, anchor, holds })
            }
            Event::SequenceEnd | Event::MappingEnd => self.ascend(span, problems),
        }
    }

    fn descend(&mut self, open: Open) -> Result<(), Problem> {
        if self.open.len() == DEPTH_MAX {
            return Err(Problem::at(&open.start, format!("nested more than {DEPTH_MAX} deep")));
        }
        self.open.push(open);
        Ok(())
    }

    fn ascend(&mut self, end: Span, problems: &mut Problems) -> Result<(), Problem> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let value = match open.holds {
            Holds::List(items) => Value::List(items),
            Holds::Map { entries, .. } => Value::Map(entries),
        };
        let span = open.start.start..end.end.max(open.start.end);
        self.finish(Node { value, span, expanded: None }, open.anchor, problems)
    }

    fn alias(&mut self, anchor: usize, span: Span, problems: &mut Problems) -> Result<(), Problem> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(Problem::at(&span, "this alias is within what it stands for"));
        };
        let node = node.clone();
        self.count(weight(&node), &span)?;
        self.finish(node, 0, problems)
    }

    /// A value is complete: it goes where it belongs.
    fn finish(&mut self, mut node: Node, anchor: usize, problems: &mut Problems) -> Result<(), Problem> {
        self.count(1, &node.span)?;
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
            // A copy was made, so the bound has to see it.
            self.count(weight(&node), &node.span)?;
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.holds {
            Holds::List(items) => items.push(node),
            Holds::Map { key: key @ None, .. } => *key = Some(as_key(node)?),
            Holds::Map { entries, key: pending @ Some(_), places } => {
                let key = pending.take().expect("this arm has one");
                if node.span.is_empty() {
                    node.span = key.span.clone();
                }
                match places.get(&key.name) {
                    Some(first) => problems.add(
                        Problem::at(&key.span, format!("{} is there twice", quoted(&key.name)))
                            .label("again here")
                            .related(first, "first here")
                            .help("remove one of them, or give it another name"),
                    ),
                    None => {
                        places.insert(key.name.clone(), key.span.clone());
                        entries.push((key, node));
                    }
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, values: usize, span: &Span) -> Result<(), Problem> {
        self.values += values;
        if self.values > VALUES_MAX {
            return Err(Problem::at(span, format!("more than {VALUES_MAX} values, with what aliases repeat")));
        }
        Ok(())
    }

    fn syntax(&self, character: usize, info: &str) -> Problem {
        let at = self.places.byte(character);
        // The end of a text that ends in a newline is on no line that could be shown.
        let at = if at == self.text.len() { self.text.trim_end().len() } else { at };
        let start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[start..].lines().next().unwrap_or_default();
        let width = self.text[at..].chars().next().filter(|c| !c.is_whitespace()).map_or(0, char::len_utf8);
        let problem = Problem::at(&(at..at + width), format!("this is not YAML: {info}"));
        if line.contains("${") {
            return problem.help("in {…} and […] a variable needs quotes: \"${name}\"");
        }
        if line.trim_start_matches(' ').starts_with('\t') {
            return problem.help("indent with spaces; YAML forbids tabs there");
        }
        problem
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match text {
        "" | "~" | "null" if style == ScalarStyle::Plain => Value::Empty,
        text => Value::Scalar(text.to_owned()),
    }
}

fn as_key(node: Node) -> Result<Key, Problem> {
    match node.value {
        Value::Scalar(name) => Ok(Key { name, span: node.span }),
        _ => Err(Problem::at(&node.span, "a key is a plain word")
            .help("in {…} and […] a variable needs quotes: \"${name}\"")),
    }
}

fn untagged(tag: Option<&Tag>, span: &Span) -> Result<(), Problem> {
    match tag {
        None => Ok(()),
        Some(tag) => Err(Problem::at(span, format!("the tag {} has no meaning here", quoted(&tag.to_string())))
            .help("write the plain value")),
    }
}

/// How many values a value is.
fn weight(node: &Node) -> usize {
    match &node.value {
        Value::Empty => 1,
        Value::Scalar(text) => 1 + text.len() / TEXT_WEIGHT,
        Value::List(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|(_, node)| weight(node)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> (Option<Node>, String) {
        let mut problems = Problems::default();
        let root = parse(text, &mut problems);
        (root, problems.into_diagnostics("t.yaml", text).render(false))
    }

    #[test]
    fn places_are_those_of_the_text_beyond_ascii_too() {
        let text = "é: [ü, {a: 'b c'}]\n";
        let (root, errors) = check(text);
        let Some(Node { value: Value::Map(entries), .. }) = root else { panic!("{errors}") };
        let Value::List(items) = &entries[0].1.value else { panic!() };
        assert_eq!(&text[items[0].span.clone()], "ü");
        let Value::Map(inner) = &items[1].value else { panic!() };
        assert_eq!(&text[inner[0].0.span.clone()], "a");
        assert_eq!(&text[inner[0].1.span.clone()], "'b c'");
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        let (root, errors) = check(&text);
        assert!(root.is_none());
        assert!(errors.contains("more than 50000 values"), "{errors}");
    }

    #[test]
    fn an_alias_stands_for_its_anchor() {
        let (root, errors) = check("a: &x {b: 1}\nc: *x\n");
        let Some(Node { value: Value::Map(entries), .. }) = root else { panic!("{errors}") };
        assert_eq!(entries[0].1.value, entries[1].1.value);
    }

    #[test]
    fn deep_nesting_is_refused() {
        let (root, errors) = check(&"[".repeat(100));
        assert!(root.is_none());
        assert!(errors.contains("nested more than 32 deep"), "{errors}");
    }
}
