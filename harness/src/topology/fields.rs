//! Reading maps of known keys, so that every key is either understood or reported.

use super::diagnostics::{Diagnostic, DiagnosticSink, Span, quoted, suggestion};
use super::form::ValueForm;
use super::tree::{YamlKey, YamlNode, YamlValue};
use super::units::Unit;

/// What people write for `true` in other YAML files.
const YES: [&str; 4] = ["yes", "on", "y", "1"];

/// Something read, with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// A sort of map.
#[derive(Debug)]
pub(crate) struct MapSpec {
    /// What it is, with article: `a network`.
    pub(crate) what: &'static str,
    /// Its keys.
    pub(crate) keys: &'static [KeySpec],
    /// Keys that the format has and this version does not do.
    pub(crate) later: &'static [&'static str],
}

/// A key of a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeySpec {
    pub(crate) name: &'static str,
    /// An example of its value.
    pub(crate) example: &'static str,
    /// What it means, for the reference; begins in lower case.
    pub(crate) doc: &'static str,
    /// What its value looks like.
    pub(crate) form: ValueForm,
    /// Whether the map has to have it.
    pub(crate) needed: bool,
}

impl KeySpec {
    /// The same with a form.
    pub(crate) const fn of(self, form: ValueForm) -> KeySpec {
        KeySpec { form, ..self }
    }

    /// The same, and it has to be there.
    pub(crate) const fn needed(self) -> KeySpec {
        KeySpec { needed: true, ..self }
    }
}

/// A key with an example of its value and what it means.
pub(crate) const fn key(name: &'static str, example: &'static str, doc: &'static str) -> KeySpec {
    KeySpec { name, example, doc, form: ValueForm::Open, needed: false }
}

/// A map of some kind, its unknown keys already reported.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'t> {
    kind: &'static MapSpec,
    /// Where to point when a key is missing.
    owner: Span,
    entries: &'t [(YamlKey, YamlNode)],
}

impl<'t> Fields<'t> {
    /// Of a node that belongs to `owner`, the key that it is the value of. Nothing is as good as an empty map.
    pub(crate) fn open(
        node: &'t YamlNode,
        owner: &Span,
        kind: &'static MapSpec,
        problems: &mut DiagnosticSink,
    ) -> Self {
        let entries = match &node.value {
            YamlValue::Map(entries) => entries.as_slice(),
            YamlValue::Empty => &[],
            _ => {
                let problem = Diagnostic::at(&node.span, format!("{} is a map, not {}", kind.what, node.shape()));
                problems.add(match kind.keys.first() {
                    Some(key) => problem.help(format!("such as {{{}: {}}}", key.name, key.example)),
                    None => problem,
                });
                &[]
            }
        };
        for (key, _) in entries {
            kind.know(key, problems);
        }
        Fields { kind, owner: owner.clone(), entries }
    }

    /// The value of a key and the key's place, if the key is there.
    pub(crate) fn entry(&self, name: &str) -> Option<(&'t YamlKey, &'t YamlNode)> {
        debug_assert!(self.kind.keys.iter().any(|key| key.name == name), "{} has no key {name}", self.kind.what);
        self.entries.iter().find(|(key, _)| key.name == name).map(|(key, node)| (key, node))
    }

    /// The value of a key, if it is there.
    pub(crate) fn get(&self, name: &str) -> Option<&'t YamlNode> {
        self.entry(name).map(|(_, node)| node)
    }

    /// The value of a key that has to be there.
    pub(crate) fn need(&self, name: &str, problems: &mut DiagnosticSink) -> Option<&'t YamlNode> {
        debug_assert!(
            self.kind.keys.iter().any(|key| key.name == name && key.needed),
            "{name} is not marked as needed"
        );
        let found = self.get(name);
        if found.is_none() {
            problems.add(
                Diagnostic::at(&self.owner, format!("{} needs `{name}`", self.kind.what))
                    .help(format!("add {name}: {}", self.example(name))),
            );
        }
        found
    }

    /// A quantity, if the key is there and its value is one.
    pub(crate) fn quantity<T: Unit>(&self, name: &str, problems: &mut DiagnosticSink) -> Option<Spanned<T>> {
        quantity(self.get(name)?, problems)
    }

    /// A quantity that has to be there.
    pub(crate) fn needed_quantity<T: Unit>(&self, name: &str, problems: &mut DiagnosticSink) -> Option<Spanned<T>> {
        quantity(self.need(name, problems)?, problems)
    }

    /// A text, if the key is there and its value is one.
    pub(crate) fn text(&self, name: &str, problems: &mut DiagnosticSink) -> Option<Spanned<String>> {
        let (text, span) = self.scalar(name, problems)?;
        Some(Spanned { value: text.to_owned(), span })
    }

    /// `true` or `false`, if the key is there and its value is one of them.
    pub(crate) fn flag(&self, name: &str, problems: &mut DiagnosticSink) -> Option<bool> {
        let (text, span) = self.scalar(name, problems)?;
        let flag = text.parse().ok();
        if flag.is_none() {
            let word = if YES.contains(&text.to_ascii_lowercase().as_str()) { "true" } else { "false" };
            problems.add(
                Diagnostic::at(&span, format!("{} is neither true nor false", quoted(text)))
                    .help(format!("write {name}: {word}")),
            );
        }
        flag
    }

    /// A whole number within bounds, if the key is there and its value is one.
    pub(crate) fn count(&self, name: &str, least: u64, most: u64, problems: &mut DiagnosticSink) -> Option<u64> {
        let node = self.get(name)?;
        whole_number(node, name, least, most, self.example(name), problems)
    }

    /// One of some words, if the key is there and its value is one.
    pub(crate) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)], problems: &mut DiagnosticSink) -> Option<T> {
        let (text, span) = self.scalar(name, problems)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let mut problem = Diagnostic::at(&span, format!("{} is no value for `{name}`", quoted(text)));
            problem.help = suggestion(text, words.iter().map(|(word, _)| *word), "it can be");
            problems.add(problem);
        }
        found
    }

    fn scalar(&self, name: &str, problems: &mut DiagnosticSink) -> Option<(&'t str, Span)> {
        let node = self.get(name)?;
        scalar(node, &format!("such as {name}: {}", self.example(name)), problems).map(|text| (text, node.span.clone()))
    }

    fn example(&self, name: &str) -> &'static str {
        self.kind.keys.iter().find(|key| key.name == name).map_or("", |key| key.example)
    }
}

impl MapSpec {
    fn know(&self, key: &YamlKey, problems: &mut DiagnosticSink) {
        if self.keys.iter().any(|known| known.name == key.name) {
            return;
        }
        if self.later.contains(&key.name.as_str()) {
            problems.add(not_yet(&key.span, &format!("`{}` of {}", key.name, self.what)));
            return;
        }
        let mut problem = Diagnostic::at(&key.span, format!("{} has no key {}", self.what, quoted(&key.name)));
        problem.help = suggestion(&key.name, self.keys.iter().map(|known| known.name), "its keys");
        problems.add(problem);
    }
}

/// Something of the format that this version does not do.
pub(crate) fn not_yet(span: &Span, what: &str) -> Diagnostic {
    Diagnostic::at(span, format!("{what} is not supported yet"))
}

/// The text of a single value; anything else is reported with `example`.
pub(crate) fn scalar<'t>(node: &'t YamlNode, example: &str, problems: &mut DiagnosticSink) -> Option<&'t str> {
    match &node.value {
        YamlValue::Scalar(text) => return Some(text.trim()),
        // Its variable is unknown, which has been reported.
        YamlValue::Empty if node.expanded.is_some() => {}
        YamlValue::Empty => problems.add(Diagnostic::at(&node.span, "its value is missing").help(example)),
        _ => problems.add(
            Diagnostic::at(&node.span, format!("a single value belongs here, not {}", node.shape())).help(example),
        ),
    }
    None
}

/// A quantity with its unit.
pub(crate) fn quantity<T: Unit>(node: &YamlNode, problems: &mut DiagnosticSink) -> Option<Spanned<T>> {
    let text = scalar(node, &format!("{} is written {}", T::WHAT, T::EXAMPLE), problems)?;
    match T::parse(text) {
        Ok(value) => Some(Spanned { value, span: node.span.clone() }),
        Err(why) => {
            let problem = Diagnostic::at(&node.span, format!("{} is not {}: {why}", quoted(text), T::WHAT))
                .help(format!("write it as {}", T::EXAMPLE));
            problems.add(from_variable(problem, node));
            None
        }
    }
}

/// A whole number within bounds.
pub(crate) fn whole_number(
    node: &YamlNode,
    name: &str,
    least: u64,
    most: u64,
    example: &str,
    problems: &mut DiagnosticSink,
) -> Option<u64> {
    let text = scalar(node, &format!("such as {name}: {example}"), problems)?;
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    if number.is_none() {
        let what = format!("{} is not a whole number from {least} to {most}", quoted(text));
        problems.add(from_variable(Diagnostic::at(&node.span, what).help(format!("such as {name}: {example}")), node));
    }
    number
}

/// Says which variables made the text what it is.
pub(crate) fn from_variable(problem: Diagnostic, node: &YamlNode) -> Diagnostic {
    match &node.expanded {
        Some(used) if !used.is_empty() => problem.label(used.clone()),
        _ => problem,
    }
}

/// A count from 1 to `most`, or `None` for `all`, which an absent key means too.
pub(crate) fn all_or_count(
    fields: &Fields<'_>,
    name: &str,
    example: &str,
    most: u64,
    problems: &mut DiagnosticSink,
) -> Option<u64> {
    match fields.get(name)? {
        YamlNode { value: YamlValue::Scalar(text), .. } if text.trim() == "all" => None,
        node => whole_number(node, name, 1, most, example, problems),
    }
}
