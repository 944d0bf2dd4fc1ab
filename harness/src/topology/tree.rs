//! A YAML text as a tree in which every node knows its place. Bounded in depth and size, whatever the text.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as Marks, StrInput, Tag};

use super::diagnostics::{Diagnostic, DiagnosticSink, Span, quoted};

/// Deepest nesting of maps and lists.
pub(crate) const DEPTH_MAX: usize = 32;
/// Most values in a file, with what its aliases repeat.
pub(crate) const VALUES_MAX: usize = 50_000;

/// Bytes of text that count as one more value: an alias repeats them.
const TEXT_WEIGHT: usize = 32;

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct YamlNode {
    pub(crate) value: YamlValue,
    /// Of a scalar its text; of a map or list everything from its first entry; of an empty value its key.
    pub(crate) span: Span,
    /// The variables that gave the text its present form, for messages: `${die} is 1/100`.
    pub(crate) expanded: Option<String>,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum YamlValue {
    /// Nothing was written.
    Empty,
    /// Any text, number or flag.
    Scalar(String),
    /// A sequence.
    List(Vec<YamlNode>),
    /// A mapping without duplicate keys, in the order of the file.
    Map(Vec<(YamlKey, YamlNode)>),
}

/// A key of a map with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct YamlKey {
    pub(crate) name: String,
    pub(crate) span: Span,
}

impl YamlNode {
    /// What it is, for messages.
    pub(crate) fn shape(&self) -> &'static str {
        match self.value {
            YamlValue::Empty => "nothing",
            YamlValue::Scalar(_) => "a single value",
            YamlValue::List(_) => "a list",
            YamlValue::Map(_) => "a map",
        }
    }
}

/// Keys of the whole file that begin so are ignored: places for anchors.
pub(crate) const EXTENSION_PREFIX: &str = "x-";
/// The key whose value, a map or a list of maps, is merged into the map that it is in (YAML 1.1 merge key).
const MERGE_KEY: &str = "<<";

/// Reads a text of one document. `None` if it cannot be read to its end; why is among `problems`.
pub(crate) fn parse(text: &str, problems: &mut DiagnosticSink) -> Option<YamlNode> {
    let builder = Builder {
        text,
        places: CharOffsets::new(text),
        anchors: BTreeMap::new(),
        open: Vec::new(),
        root: None,
        values: 0,
    };
    match builder.read(problems) {
        Ok(Some(mut root)) => {
            if let YamlValue::Map(entries) = &mut root.value {
                entries.retain(|(key, _)| !key.name.starts_with(EXTENSION_PREFIX));
            }
            Some(root)
        }
        Ok(None) => {
            problems.add(
                Diagnostic::at(&(0..0), "the file is empty")
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
struct CharOffsets {
    /// Byte of every character, and the length; empty for a text of ASCII.
    bytes: Vec<usize>,
    length: usize,
}

impl CharOffsets {
    fn new(text: &str) -> Self {
        let bytes = if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(byte, _)| byte).collect() };
        CharOffsets { bytes, length: text.len() }
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
    places: CharOffsets,
    anchors: BTreeMap<usize, YamlNode>,
    open: Vec<Open>,
    root: Option<YamlNode>,
    values: usize,
}

/// A map or list whose end has not come.
struct Open {
    start: Span,
    anchor: usize,
    holds: Holds,
}

enum Holds {
    List(Vec<YamlNode>),
    Map { entries: Vec<(YamlKey, YamlNode)>, key: Option<YamlKey>, places: BTreeMap<String, Span> },
}

impl<'t> Builder<'t> {
    /// Every event in turn. An error ends the reading: what follows it cannot be trusted.
    fn read(mut self, problems: &mut DiagnosticSink) -> Result<Option<YamlNode>, Diagnostic> {
        let mut parser: Parser<'t, StrInput<'t>> = Parser::new_from_str(self.text);
        while let Some(next) = parser.next_event() {
            let (event, marks) = next.map_err(|error| self.syntax(error.marker().index(), error.info()))?;
            let span = self.places.span(marks);
            self.take(event, span, problems)?;
        }
        Ok(self.root)
    }

    fn take(&mut self, event: Event<'_>, span: Span, problems: &mut DiagnosticSink) -> Result<(), Diagnostic> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => Err(Diagnostic::at(&span, "a second document begins")
                .help("a topology is one YAML document: one file each")),
            Event::DocumentStart(_) => Ok(()),
            Event::Alias(anchor) => self.alias(anchor, span, problems),
            Event::Scalar(text, style, anchor, tag) => {
                untagged(tag.as_deref(), &span)?;
                let value = scalar(&text, style);
                self.finish(YamlNode { value, span, expanded: None }, anchor, problems)
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

    fn descend(&mut self, open: Open) -> Result<(), Diagnostic> {
        if self.open.len() == DEPTH_MAX {
            return Err(Diagnostic::at(&open.start, format!("nested more than {DEPTH_MAX} deep")));
        }
        self.open.push(open);
        Ok(())
    }

    fn ascend(&mut self, end: Span, problems: &mut DiagnosticSink) -> Result<(), Diagnostic> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let value = match open.holds {
            Holds::List(items) => YamlValue::List(items),
            Holds::Map { entries, .. } => YamlValue::Map(merged(entries, problems)),
        };
        let span = open.start.start..end.end.max(open.start.end);
        self.finish(YamlNode { value, span, expanded: None }, open.anchor, problems)
    }

    fn alias(&mut self, anchor: usize, span: Span, problems: &mut DiagnosticSink) -> Result<(), Diagnostic> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(Diagnostic::at(&span, "this alias is within what it stands for"));
        };
        let node = node.clone();
        self.count(weight(&node), &span)?;
        self.finish(node, 0, problems)
    }

    /// A value is complete: it goes where it belongs.
    fn finish(&mut self, mut node: YamlNode, anchor: usize, problems: &mut DiagnosticSink) -> Result<(), Diagnostic> {
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
            Holds::Map { key: key @ None, .. } => *key = Some(as_key(node, self.text, problems)),
            Holds::Map { entries, key: pending @ Some(_), places } => {
                let key = pending.take().expect("this arm has one");
                if node.span.is_empty() {
                    node.span = key.span.clone();
                }
                match places.get(&key.name) {
                    // Reported when it was read.
                    _ if key.name.is_empty() => {}
                    Some(first) => problems.add(
                        Diagnostic::at(&key.span, format!("{} is there twice", quoted(&key.name)))
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

    fn count(&mut self, values: usize, span: &Span) -> Result<(), Diagnostic> {
        self.values += values;
        if self.values > VALUES_MAX {
            return Err(Diagnostic::at(span, format!("more than {VALUES_MAX} values, with what aliases repeat")));
        }
        Ok(())
    }

    fn syntax(&self, character: usize, info: &str) -> Diagnostic {
        let at = self.places.byte(character);
        // The end of a text that ends in a newline is on no line that could be shown.
        let at = if at == self.text.len() { self.text.trim_end().len() } else { at };
        let start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[start..].lines().next().unwrap_or_default();
        let width = self.text[at..].chars().next().filter(|c| !c.is_whitespace()).map_or(0, char::len_utf8);
        let problem = Diagnostic::at(&(at..at + width), format!("this is not YAML: {info}"));
        if line.contains("${") {
            return problem.help("in {…} and […] a variable needs quotes: \"${name}\"");
        }
        if line.trim_start_matches(' ').starts_with('\t') {
            return problem.help("indent with spaces; YAML forbids tabs there");
        }
        problem
    }
}

fn scalar(text: &str, style: ScalarStyle) -> YamlValue {
    match text {
        "" | "~" | "null" if style == ScalarStyle::Plain => YamlValue::Empty,
        text => YamlValue::Scalar(text.to_owned()),
    }
}

/// A key; one that is not a word is reported, and has an empty name.
fn as_key(node: YamlNode, text: &str, problems: &mut DiagnosticSink) -> YamlKey {
    let name = match node.value {
        YamlValue::Scalar(name) => name,
        // `null` and `~` are words too where a key is expected.
        YamlValue::Empty => text[node.span.clone()].to_owned(),
        YamlValue::List(_) | YamlValue::Map(_) => String::new(),
    };
    if name.is_empty() {
        problems.add(
            Diagnostic::at(&node.span, "a key is a plain word")
                .help("in {…} and […] a variable needs quotes: \"${name}\""),
        );
    }
    YamlKey { name, span: node.span }
}

/// The entries of a map with those of the maps that it merges: its own come first and win.
fn merged(entries: Vec<(YamlKey, YamlNode)>, problems: &mut DiagnosticSink) -> Vec<(YamlKey, YamlNode)> {
    let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key.name == MERGE_KEY);
    for (_, node) in merges {
        let sources = match node.value {
            YamlValue::List(items) => items,
            _ => vec![node],
        };
        for source in sources {
            let shape = source.shape();
            let YamlValue::Map(more) = source.value else {
                problems.add(
                    Diagnostic::at(&source.span, format!("`{MERGE_KEY}` merges maps, and this is {shape}"))
                        .help("such as <<: *defaults, where a map has the anchor &defaults"),
                );
                continue;
            };
            for entry in more {
                if !own.iter().any(|(key, _)| key.name == entry.0.name) {
                    own.push(entry);
                }
            }
        }
    }
    own
}

fn untagged(tag: Option<&Tag>, span: &Span) -> Result<(), Diagnostic> {
    match tag {
        None => Ok(()),
        Some(tag) => Err(Diagnostic::at(span, format!("the tag {} has no meaning here", quoted(&tag.to_string())))
            .help("write the plain value")),
    }
}

/// How many values a value is.
fn weight(node: &YamlNode) -> usize {
    match &node.value {
        YamlValue::Empty => 1,
        YamlValue::Scalar(text) => 1 + text.len() / TEXT_WEIGHT,
        YamlValue::List(items) => 1 + items.iter().map(weight).sum::<usize>(),
        YamlValue::Map(entries) => 1 + entries.iter().map(|(_, node)| weight(node)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> (Option<YamlNode>, String) {
        let mut problems = DiagnosticSink::default();
        let root = parse(text, &mut problems);
        (root, problems.into_diagnostics("t.yaml", text).render(false))
    }

    #[test]
    fn places_are_those_of_the_text_beyond_ascii_too() {
        let text = "é: [ü, {a: 'b c'}]\n";
        let (root, errors) = check(text);
        let Some(YamlNode { value: YamlValue::Map(entries), .. }) = root else { panic!("{errors}") };
        let YamlValue::List(items) = &entries[0].1.value else { panic!() };
        assert_eq!(&text[items[0].span.clone()], "ü");
        let YamlValue::Map(inner) = &items[1].value else { panic!() };
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
        let Some(YamlNode { value: YamlValue::Map(entries), .. }) = root else { panic!("{errors}") };
        assert_eq!(entries[0].1.value, entries[1].1.value);
    }

    #[test]
    fn extension_keys_are_ignored_and_merge_keys_give_what_is_not_there() {
        let text = "x-base: &base {count: 3, on: lan}\na: {<<: *base, count: 5}\nb: {<<: [{on: wan}, *base]}\n";
        let (root, errors) = check(text);
        let Some(YamlNode { value: YamlValue::Map(entries), .. }) = root else { panic!("{errors}") };
        let scalars = |node: &YamlNode| match &node.value {
            YamlValue::Map(entries) => {
                let text = |(key, node): &(YamlKey, YamlNode)| format!("{}: {:?}", key.name, node.value);
                entries.iter().map(text).collect::<Vec<_>>().join(", ")
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(entries.len(), 2, "{errors}");
        assert_eq!(scalars(&entries[0].1), "count: Scalar(\"5\"), on: Scalar(\"lan\")");
        assert_eq!(scalars(&entries[1].1), "on: Scalar(\"wan\"), count: Scalar(\"3\")");
    }

    #[test]
    fn faulty_key_hides_no_other_fault() {
        let (root, errors) = check("null: 1\n[a]: 2\nb: {<<: 3}\n");
        let Some(YamlNode { value: YamlValue::Map(entries), .. }) = root else { panic!("{errors}") };
        assert_eq!(entries.iter().map(|(key, _)| key.name.as_str()).collect::<Vec<_>>(), ["null", "b"]);
        assert!(errors.contains("a key is a plain word") && errors.contains("`<<` merges maps"), "{errors}");
    }

    #[test]
    fn deep_nesting_is_refused() {
        let (root, errors) = check(&"[".repeat(100));
        assert!(root.is_none());
        assert!(errors.contains("nested more than 32 deep"), "{errors}");
    }
}
