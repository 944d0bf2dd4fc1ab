//! Queries for keywords: `rust AND (nat OR "hole punching") NOT draft`.
//!
//! ```text
//! query = all { "OR" all }
//! all   = part { [ "AND" ] part }
//! part  = "NOT" part | "(" query ")" | keyword
//! ```
//!
//! A keyword is compared as a whole, in lower case; one with blanks or parentheses stands in double quotes. The operators are in
//! upper case. Length, keywords and depth are bounded, so that a hostile query costs little.

use std::fmt;
use std::str::FromStr;

use super::keywords::{Keywords, print_of_term};

mod parse;

pub use parse::{QueryError, QueryProblem};

/// Most bytes of a query.
pub const QUERY_BYTES_MAX: usize = 512;
/// Most keywords in a query.
pub const QUERY_TERMS_MAX: usize = 32;
/// Most parentheses and `NOT`s around a keyword.
const DEPTH_MAX: usize = 32;

/// A query that asks for at least one keyword in each alternative.
#[derive(Clone, Debug)]
pub struct SearchQuery {
    clause: Clause,
    /// As it was read: [`fmt::Display`] may take more bytes.
    text: Box<str>,
}

/// A part of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Clause {
    Term {
        word: Box<str>,
        /// The keyword's print in inventories.
        print: u32,
    },
    All(Vec<Clause>),
    Any(Vec<Clause>),
    Not(Box<Clause>),
}

impl SearchQuery {
    /// Reads a query.
    ///
    /// # Errors
    /// If it is none, with the place.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        parse::parse(text).map(|clause| SearchQuery { clause, text: text.into() })
    }

    /// The text that it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a value with these keywords is what is looked for.
    pub fn matches(&self, keywords: &Keywords) -> bool {
        self.clause.matches(keywords)
    }

    /// Whether a store may have such a value if it has just the keywords for whose prints `has` holds.
    pub(super) fn may_match(&self, has: impl Fn(u32) -> bool) -> bool {
        self.clause.may_match(&has, true)
    }
}

/// Two queries are equal if they ask for the same in the same order.
impl PartialEq for SearchQuery {
    fn eq(&self, other: &Self) -> bool {
        self.clause == other.clause
    }
}

impl Eq for SearchQuery {}

impl Clause {
    fn term(word: Box<str>) -> Self {
        let print = print_of_term(&word);
        Clause::Term { word, print }
    }

    fn matches(&self, keywords: &Keywords) -> bool {
        match self {
            Clause::Term { word, .. } => keywords.contains(word),
            Clause::All(parts) => parts.iter().all(|part| part.matches(keywords)),
            Clause::Any(parts) => parts.iter().any(|part| part.matches(keywords)),
            Clause::Not(part) => !part.matches(keywords),
        }
    }

    /// A keyword that a store has may be in another of its values. So what is not wanted excludes no store.
    fn may_match(&self, has: &impl Fn(u32) -> bool, wanted: bool) -> bool {
        match self {
            Clause::Term { print, .. } => !wanted || has(*print),
            Clause::Not(part) => part.may_match(has, !wanted),
            // Not all of them is one of them not (De Morgan).
            Clause::All(parts) if wanted => parts.iter().all(|part| part.may_match(has, true)),
            Clause::Any(parts) if !wanted => parts.iter().all(|part| part.may_match(has, false)),
            Clause::All(parts) | Clause::Any(parts) => parts.iter().any(|part| part.may_match(has, wanted)),
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, is_inner: bool) -> fmt::Result {
        let (parts, operator) = match self {
            Clause::Term { word, .. }
                if word.contains(|letter: char| letter.is_whitespace() || "()".contains(letter)) =>
            {
                return write!(f, "\"{word}\"");
            }
            Clause::Term { word, .. } => return f.write_str(word),
            Clause::Not(part) => {
                f.write_str("NOT ")?;
                return part.write(f, true);
            }
            Clause::All(parts) => (parts, " AND "),
            Clause::Any(parts) => (parts, " OR "),
        };
        f.write_str(if is_inner { "(" } else { "" })?;
        for (index, part) in parts.iter().enumerate() {
            f.write_str(if index > 0 { operator } else { "" })?;
            part.write(f, true)?;
        }
        f.write_str(if is_inner { ")" } else { "" })
    }
}

impl FromStr for SearchQuery {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        SearchQuery::parse(text)
    }
}

/// The query in a form that reads as the same query.
impl fmt::Display for SearchQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.clause.write(f, false)
    }
}

#[cfg(test)]
mod tests;
