//! What is wrong with a topology file: every fault with its place, and what to write instead.

use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};

/// Most problems that are shown; the rest is counted.
pub const PROBLEMS_SHOWN: usize = 100;
/// Most problems that are kept. A file that has more is not read further.
pub(crate) const PROBLEMS_KEPT: usize = 1_000;
/// Longest stretch of a file's text that is quoted in a message, in characters.
const QUOTED_CHARS: usize = 60;
/// Most names listed when none is near.
const NAMES_LISTED: usize = 16;
/// Most names that a mistaken one is compared with.
const NAMES_COMPARED: usize = 100;
/// Longest mistaken name that is compared: the work is quadratic in it.
const NAME_COMPARED_BYTES: usize = 48;

/// Bytes of a file's text.
pub type Span = Range<usize>;

/// One fault of a file, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in one line.
    pub what: String,
    /// Where; `None` when it is not in the file (`--set`, a file that cannot be read).
    pub span: Option<Span>,
    /// A few words beside the underlined place; may be empty.
    pub label: String,
    /// Other places that matter, each with a few words.
    pub related: Vec<(Span, String)>,
    /// What to do: the nearest valid name, or an example.
    pub help: Option<String>,
}

impl Diagnostic {
    pub(crate) fn at(span: &Span, what: impl Into<String>) -> Self {
        Diagnostic { span: Some(span.clone()), ..Diagnostic::nowhere(what) }
    }

    pub(crate) fn nowhere(what: impl Into<String>) -> Self {
        Diagnostic { what: what.into(), span: None, label: String::new(), related: Vec::new(), help: None }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn related(mut self, span: &Span, label: impl Into<String>) -> Self {
        self.related.push((span.clone(), label.into()));
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Faults as they are found.
#[derive(Debug, Default)]
pub(crate) struct DiagnosticSink {
    found: Vec<Diagnostic>,
}

impl DiagnosticSink {
    pub(crate) fn add(&mut self, problem: Diagnostic) {
        if self.found.len() < PROBLEMS_KEPT {
            self.found.push(problem);
        }
    }

    pub(crate) fn none(&self) -> bool {
        self.found.is_empty()
    }

    /// In the order of the file; those that are not in it first.
    pub(crate) fn into_diagnostics(mut self, origin: &str, source: &str) -> Diagnostics {
        self.found.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
        self.found.dedup();
        Diagnostics { origin: origin.to_owned(), source: source.to_owned(), problems: self.found }
    }
}

/// Everything that is wrong with one topology file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    origin: String,
    source: String,
    problems: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Every fault, in the order of the file.
    pub fn problems(&self) -> &[Diagnostic] {
        &self.problems
    }

    /// The line of a problem's place, from 1.
    pub fn line(&self, problem: &Diagnostic) -> Option<usize> {
        problem.span.as_ref().map(|span| LineIndex::new(&self.source).of(span.start))
    }

    /// For a person: each fault with its source line underlined, and how many there are.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        for problem in self.problems.iter().take(PROBLEMS_SHOWN) {
            text.push_str(&renderer.render(&self.report(problem)));
            text.push_str("\n\n");
        }
        let count = self.problems.len();
        let unshown = match count.saturating_sub(PROBLEMS_SHOWN) {
            0 => String::new(),
            more => format!(", {more} of them not shown"),
        };
        let noun = if count == 1 { "problem" } else { "problems" };
        text.push_str(&format!("{}: {count} {noun}{unshown}\n", normalize_untrusted_str(&self.origin)));
        text
    }

    fn report<'a>(&'a self, problem: &'a Diagnostic) -> Vec<Group<'a>> {
        let title = Level::ERROR.primary_title(normalize_untrusted_str(&problem.what));
        let group = match &problem.span {
            None => Group::with_title(title),
            Some(span) => title.element(self.snippet(span, problem)),
        };
        let group = match &problem.help {
            None => group,
            Some(help) => group.element(Level::HELP.message(normalize_untrusted_str(help))),
        };
        vec![group]
    }

    fn snippet<'a>(&'a self, span: &Span, problem: &'a Diagnostic) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let mark = |kind: AnnotationKind, span: &Span, label: &'a str| {
            let annotation = kind.span(first_line(&self.source, span));
            if label.is_empty() { annotation } else { annotation.label(label) }
        };
        Snippet::source(&self.source)
            .path(&self.origin)
            .annotation(mark(AnnotationKind::Primary, span, &problem.label))
            .annotations(problem.related.iter().map(|(span, label)| mark(AnnotationKind::Context, span, label)))
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// Where the lines of a text begin.
#[derive(Debug)]
pub(crate) struct LineIndex {
    ends: Vec<usize>,
}

impl LineIndex {
    pub(crate) fn new(source: &str) -> Self {
        LineIndex { ends: source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect() }
    }

    /// The line that a byte is on, from 1.
    pub(crate) fn of(&self, byte: usize) -> usize {
        1 + self.ends.partition_point(|&end| end < byte)
    }
}

/// The part of a span on its first line, without trailing blanks: what is underlined.
fn first_line(source: &str, span: &Span) -> Span {
    let start = floor(source, span.start.min(source.len()));
    let end = floor(source, span.end.clamp(start, source.len()));
    let text = &source[start..end];
    let line = text.split(['\n', '\r']).next().unwrap_or_default().trim_end();
    start..start + line.len()
}

fn floor(source: &str, mut byte: usize) -> usize {
    while !source.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

/// A piece of the file's text, in quotes, bounded.
pub(crate) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("'{short}'")
}

/// `did you mean 'alpha'?` if a valid name is near, or else all of them.
pub(crate) fn suggestion<'a>(given: &str, valid: impl IntoIterator<Item = &'a str>, noun: &str) -> Option<String> {
    let valid: Vec<&str> = valid.into_iter().take(NAMES_COMPARED).collect();
    let near = valid
        .iter()
        .filter(|_| given.len() <= NAME_COMPARED_BYTES)
        .map(|name| (strsim::damerau_levenshtein(&given.to_lowercase(), &name.to_lowercase()), *name))
        .filter(|(distance, name)| *distance <= name.len().max(given.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance);
    if let Some((_, name)) = near {
        return Some(format!("did you mean '{name}'?"));
    }
    if valid.is_empty() {
        return None;
    }
    let listed = valid.iter().take(NAMES_LISTED).copied().collect::<Vec<_>>().join(", ");
    let rest = if valid.len() > NAMES_LISTED { ", …" } else { "" };
    Some(format!("{noun}: {listed}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_otherwise_all() {
        assert_eq!(suggestion("alfa", ["alpha", "beta"], "networks"), Some("did you mean 'alpha'?".into()));
        assert_eq!(suggestion("omega-9", ["alpha", "b"], "networks"), Some("networks: alpha, b".into()));
        assert_eq!(suggestion("x", [], "networks"), None);
    }

    #[test]
    fn only_the_first_line_of_a_span_is_underlined() {
        let source = "key: é  \r\n  more";
        assert_eq!(&source[first_line(source, &(5..source.len()))], "é");
        assert_eq!(first_line(source, &(6..99)), 5..7);
        assert_eq!(LineIndex::new(source).of(12), 2);
        assert_eq!(LineIndex::new(source).of(9), 1);
    }
}
