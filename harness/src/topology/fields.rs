//! Reading maps of known keys, so that every key is either understood or reported.

use super::diagnostics::{Problem, Problems, Span, quoted, suggestion};
use super::tree::{Key, Node, Value};
use super::units::Unit;

/// Something read, with its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spanned<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

/// A sort of map.
#[derive(Debug)]
pub(super) struct Kind {
    /// What it is, with article: `a network`.
    pub(super) what: &'static str,
    /// Its keys, each with an example of its value.
    pub(super) keys: &'static [(&'static str, &'static str)],
    /// Keys that the format has and this version does not do.
    pub(super) later: &'static [&'static str],
}

/// A map of some kind, its unknown keys already reported.
#[derive(Clone, Debug)]
pub(super) struct Fields<'t> {
    kind: &'static Kind,
    /// Where to point when a key is missing.
    owner: Span,
    entries: &'t [(Key, Node)],
}

impl<'t> Fields<'t> {
    /// Of a node that belongs to `owner`, the key that it is the value of. Nothing is as good as an empty map.
    pub(super) fn open(node: &'t Node, owner: &Span, kind: &'static Kind, problems: &mut Problems) -> Self {
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Empty => &[],
            _ => {
                let (key, example) = kind.keys[0];
                problems.add(
                    Problem::at(&node.span, format!("{} is a map, not {}", kind.what, node.shape()))
                        .help(format!("such as {{{key}: {example}}}")),
                );
                &[]
            }
        };
        for (key, _) in entries {
            kind.know(key, problems);
        }
        Fields { kind, owner: owner.clone(), entries }
    }

    /// The value of a key and the key's place, if the key is there.
    pub(super) fn entry(&self, name: &str) -> Option<(&'t Key, &'t Node)> {
        debug_assert!(self.kind.keys.iter().any(|(key, _)| *key == name), "{} has no key {name}", self.kind.what);
        self.entries.iter().find(|(key, _)| key.name == name).map(|(key, node)| (key, node))
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<&'t Node> {
        self.entry(name).map(|(_, node)| node)
    }

    /// The value of a key that has to be there.
    pub(super) fn need(&self, name: &str, problems: &mut Problems) -> Option<&'t Node> {
        let found = self.get(name);
        if found.is_none() {
            problems.add(
                Problem::at(&self.owner, format!("{} needs `{name}`", self.kind.what))
                    .help(format!("add {name}: {}", self.example(name))),
            );
        }
        found
    }

    /// A quantity, if the key is there and its value is one.
    pub(super) fn quantity<T: Unit>(&self, name: &str, problems: &mut Problems) -> Option<Spanned<T>> {
        quantity(self.get(name)?, problems)
    }

    /// A quantity that has to be there.
    pub(super) fn needed_quantity<T: Unit>(&self, name: &str, problems: &mut Problems) -> Option<Spanned<T>> {
        quantity(self.need(name, problems)?, problems)
    }

    /// A text, if the key is there and its value is one.
    pub(super) fn text(&self, name: &str, problems: &mut Problems) -> Option<Spanned<String>> {
        let (text, span) = self.scalar(name, problems)?;
        Some(Spanned { value: text.to_owned(), span })
    }

    /// `true` or `false`, if the key is there and its value is one of them.
    pub(super) fn flag(&self, name: &str, problems: &mut Problems) -> Option<bool> {
        let (text, span) = self.scalar(name, problems)?;
        let flag = text.parse().ok();
        if flag.is_none() {
            problems.add(Problem::at(&span, format!("{} is neither true nor false", quoted(text))));
        }
        flag
    }

    /// A whole number within bounds, if the key is there and its value is one.
    pub(super) fn count(&self, name: &str, least: u64, most: u64, problems: &mut Problems) -> Option<u64> {
        let node = self.get(name)?;
        whole_number(node, name, least, most, self.example(name), problems)
    }

    /// One of some words, if the key is there and its value is one.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let (text, span) = self.scalar(name, problems)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let mut problem = Problem::at(&span, format!("{} is no value for `{name}`", quoted(text)));
            problem.help = suggestion(text, words.iter().map(|(word, _)| *word), "it can be");
            problems.add(problem);
        }
        found
    }

    fn scalar(&self, name: &str, problems: &mut Problems) -> Option<(&'t str, Span)> {
        let node = self.get(name)?;
        scalar(node, &format!("such as {name}: {}", self.example(name)), problems).map(|text| (text, node.span.clone()))
    }

    fn example(&self, name: &str) -> &'static str {
        self.kind.keys.iter().find(|(key, _)| *key == name).map_or("", |(_, example)| example)
    }
}

impl Kind {
    fn know(&self, key: &Key, problems: &mut Problems) {
        if self.keys.iter().any(|(name, _)| *name == key.name) {
            return;
        }
        if self.later.contains(&key.name.as_str()) {
            problems.add(not_yet(&key.span, &format!("`{}` of {}", key.name, self.what)));
            return;
        }
        let mut problem = Problem::at(&key.span, format!("{} has no key {}", self.what, quoted(&key.name)));
        problem.help = suggestion(&key.name, self.keys.iter().map(|(name, _)| *name), "its keys");
        problems.add(problem);
    }
}

/// Something of the format that this version does not do.
pub(super) fn not_yet(span: &Span, what: &str) -> Problem {
    Problem::at(span, format!("{what} is not supported yet"))
}

/// The text of a single value; anything else is reported with `example`.
pub(super) fn scalar<'t>(node: &'t Node, example: &str, problems: &mut Problems) -> Option<&'t str> {
    match &node.value {
        Value::Scalar(text) => return Some(text.trim()),
        // Its variable is unknown, which has been reported.
        Value::Empty if node.expanded.is_some() => {}
        Value::Empty => problems.add(Problem::at(&node.span, "its value is missing").help(example)),
        _ => problems
            .add(Problem::at(&node.span, format!("a single value belongs here, not {}", node.shape())).help(example)),
    }
    None
}

/// A quantity with its unit.
pub(super) fn quantity<T: Unit>(node: &Node, problems: &mut Problems) -> Option<Spanned<T>> {
    let text = scalar(node, &format!("{} is written {}", T::WHAT, T::EXAMPLE), problems)?;
    match T::parse(text) {
        Ok(value) => Some(Spanned { value, span: node.span.clone() }),
        Err(why) => {
            let problem = Problem::at(&node.span, format!("{} is not {}: {why}", quoted(text), T::WHAT))
                .help(format!("write it as {}", T::EXAMPLE));
            problems.add(from_variable(problem, node));
            None
        }
    }
}

/// A whole number within bounds.
pub(super) fn whole_number(
    node: &Node,
    name: &str,
    least: u64,
    most: u64,
    example: &str,
    problems: &mut Problems,
) -> Option<u64> {
    let text = scalar(node, &format!("such as {name}: {example}"), problems)?;
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    if number.is_none() {
        let what = format!("{} is not a whole number from {least} to {most}", quoted(text));
        problems.add(from_variable(Problem::at(&node.span, what).help(format!("such as {name}: {example}")), node));
    }
    number
}

/// Says which variables made the text what it is.
pub(super) fn from_variable(problem: Problem, node: &Node) -> Problem {
    match &node.expanded {
        Some(used) if !used.is_empty() => problem.label(used.clone()),
        _ => problem,
    }
}
