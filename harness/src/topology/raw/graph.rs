//! `graph`: a prescribed graph of known hosts, as one text, so that a sweep may vary it.

use super::super::diagnostics::{Diagnostic, DiagnosticSink, Span, quoted, suggestion};
use super::super::fields::{Fields, from_variable, scalar};
use crate::plan::{GRAPH_LINKS_MAX, GraphForm};

/// Neighbours of a node where a form does not say how many.
const DEGREE_DEFAULT: usize = 8;
/// Of those, neighbours on other networks.
const ACROSS_DEFAULT: usize = 2;
/// Links that a node of a power law makes where the form does not say how many: the mean degree is twice that.
const POWER_LAW_DEFAULT: usize = 4;

/// What `graph` may be.
pub(crate) const PATTERN: &str = r"^(none|regular(\(\d+\))?|power-law(\(\d+\))?|lans(\(\d+, ?\d+\))?|random\(\d+(, ?\d+)?\)|edges\([^/()]+\.(txt|csv|tsv|edges)\))$";

pub(crate) const DOC: &str = "neighbours that nodes have from the start and keep, on the simulator: none, regular(8), power-law(4), \
    lans(6, 2) (on the node's network, on others), random(400) (links in all), random(100, 400) (as dense as such a graph), or edges(FILE) with a file beside this one; none if absent";

/// How names of files of links end: none of a record's own files has such a name.
const ENDINGS: [&str; 4] = [".txt", ".csv", ".tsv", ".edges"];

/// Names of the forms.
const FORMS: [&str; 6] = ["none", "regular", "power-law", "lans", "random", "edges"];

/// A graph with its place in the file.
#[derive(Clone, Debug)]
pub(crate) struct RawGraph {
    pub(crate) form: GraphForm,
    pub(crate) span: Span,
}

/// The value of `graph`; `None` if there is none or it is faulty, which is reported.
pub(super) fn read(fields: &Fields<'_>, problems: &mut DiagnosticSink) -> Option<RawGraph> {
    let node = fields.get("graph")?;
    let text = scalar(node, "such as graph: regular(8)", problems)?;
    if text == "none" {
        return None;
    }
    match parse(text) {
        Ok(form) => Some(RawGraph { form, span: node.span.clone() }),
        Err((what, help)) => {
            problems.add(from_variable(Diagnostic { help, ..Diagnostic::at(&node.span, what) }, node));
            None
        }
    }
}

/// Reads `name` or `name(values)`. The error says what is wrong, and what to write.
fn parse(text: &str) -> Result<GraphForm, (String, Option<String>)> {
    let (name, values) = match text.split_once('(') {
        None => (text, None),
        Some((name, rest)) => match rest.strip_suffix(')') {
            Some(values) => (name, Some(values.trim())),
            None => return Err((format!("{} has no closing parenthesis", quoted(text)), None)),
        },
    };
    let numbers = || values.map(|values| values.split(',').map(number).collect::<Result<Vec<usize>, String>>());
    let bad = |example: &str| {
        let what = format!("{} is not how a graph of this form is written", quoted(text));
        Err((what, Some(format!("such as graph: {example}"))))
    };
    let numbers = match (name, numbers()) {
        ("edges", _) => None,
        (_, Some(Err(what))) => return Err((what, None)),
        (_, Some(Ok(numbers))) => Some(numbers),
        (_, None) => None,
    };
    match (name, numbers.as_deref()) {
        ("regular", None) => Ok(GraphForm::Regular(DEGREE_DEFAULT)),
        ("regular", Some(&[degree])) => Ok(GraphForm::Regular(degree)),
        ("regular", _) => bad("regular(8)"),
        ("power-law", None) => Ok(GraphForm::PowerLaw(POWER_LAW_DEFAULT)),
        ("power-law", Some(&[links])) => Ok(GraphForm::PowerLaw(links)),
        ("power-law", _) => bad("power-law(4)"),
        ("lans", None) => Ok(GraphForm::Lans { within: DEGREE_DEFAULT - ACROSS_DEFAULT, across: ACROSS_DEFAULT }),
        ("lans", Some(&[within, across])) => Ok(GraphForm::Lans { within, across }),
        ("lans", _) => bad("lans(6, 2)"),
        ("random", Some(&[links])) => Ok(GraphForm::Random(links)),
        ("random", Some(&[nodes, links])) => Ok(GraphForm::RandomLike { nodes, links }),
        ("random", _) => bad("random(400)"),
        ("edges", _) => match values {
            Some(file) if !file.contains(['/', '\\']) && ENDINGS.iter().any(|ending| file.ends_with(ending)) => {
                Ok(GraphForm::Edges(file.to_owned()))
            }
            _ => Err((
                format!("a file of links is beside the topology, and its name ends in {}", ENDINGS.join(", ")),
                Some("such as graph: edges(gnutella.txt)".to_owned()),
            )),
        },
        (name, _) => Err((format!("unknown graph {}", quoted(name)), suggestion(name, FORMS, "it can be"))),
    }
}

fn number(text: &str) -> Result<usize, String> {
    let number = text.trim().parse().ok().filter(|number| (1..=GRAPH_LINKS_MAX).contains(number));
    number.ok_or_else(|| format!("{} is not a whole number from 1 to {GRAPH_LINKS_MAX}", quoted(text.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_written_as_they_are_read() {
        for text in ["regular(8)", "power-law(4)", "lans(6, 2)", "random(20099)", "random(9836, 20099)", "edges(a.txt)"]
        {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        for (short, long) in [("regular", "regular(8)"), ("power-law", "power-law(4)"), ("lans", "lans(6, 2)")] {
            assert_eq!(parse(short).unwrap().to_string(), long);
        }
        for wrong in ["regular(", "regular(0)", "regular(8, 2)", "random", "lans(8)", "edges(../a)", "edges()", "ring"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
