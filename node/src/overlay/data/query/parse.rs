//! The parser of queries: recursive descent, no deeper than the bound.

use std::fmt;
use std::iter::Peekable;

use super::super::keywords::{KeywordError, normalised};
use super::{Clause, DEPTH_MAX, QUERY_BYTES_MAX, QUERY_TERMS_MAX};

/// Why a text is no query, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// Characters before the place.
    pub at: usize,
    /// What is wrong there.
    pub problem: QueryProblem,
}

/// What is wrong with a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryProblem {
    /// The text is longer than [`QUERY_BYTES_MAX`].
    #[error("a query has at most {QUERY_BYTES_MAX} bytes")]
    TooLong,
    /// There is nothing to look for.
    #[error("a keyword is missing after `{0}`")]
    Missing(&'static str),
    /// The query is empty.
    #[error("a query needs a keyword, as in: rust AND nat")]
    Empty,
    /// A parenthesis is not closed.
    #[error("this parenthesis is not closed")]
    Unclosed,
    /// A parenthesis closes none.
    #[error("this parenthesis closes none")]
    Unopened,
    /// Double quotes do not end.
    #[error("these double quotes do not end")]
    Unquoted,
    /// There are more than [`QUERY_TERMS_MAX`] keywords.
    #[error("a query has at most {QUERY_TERMS_MAX} keywords")]
    TooManyTerms,
    /// Parentheses and `NOT`s are nested too deep.
    #[error("parentheses and NOTs are nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// Something else would match nearly everything.
    #[error("NOT only excludes: each alternative needs a keyword that is wanted, as in: rust NOT nat")]
    OnlyExcludes,
    /// The word cannot be a keyword.
    #[error(transparent)]
    Keyword(#[from] KeywordError),
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (character {} of the query)", self.problem, self.at + 1)
    }
}

impl std::error::Error for QueryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The text of the problem is part of this error's own.
        None
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    And,
    Or,
    Not,
    Open,
    Close,
    Word(String),
}

/// Reads a query.
pub(super) fn parse(text: &str) -> Result<Clause, QueryError> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(QueryError { at: 0, problem: QueryProblem::TooLong });
    }
    let tokens = tokens(text)?;
    let end = text.chars().count();
    let mut parser = Parser { tokens: tokens.into_iter().peekable(), end, terms: 0, first_not: None, after: None };
    let query = parser.any(0)?;
    match parser.tokens.next() {
        // Only a parenthesis ends a query before its end.
        Some((at, _)) => Err(QueryError { at, problem: QueryProblem::Unopened }),
        // A store without any keyword may match: there is an alternative that wants none.
        None if query.may_match(&|_| false, true) => {
            let at = parser.first_not.unwrap_or(0);
            Err(QueryError { at, problem: QueryProblem::OnlyExcludes })
        }
        None => Ok(query),
    }
}

/// The tokens of a query, each with the number of characters before it.
fn tokens(text: &str) -> Result<Vec<(usize, Token)>, QueryError> {
    let mut tokens = Vec::new();
    let mut letters = text.chars().enumerate().peekable();
    while let Some((at, letter)) = letters.next() {
        let token = match letter {
            blank if blank.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            '"' => {
                let mut word = String::new();
                loop {
                    match letters.next() {
                        Some((_, '"')) => break Token::Word(word),
                        Some((_, letter)) => word.push(letter),
                        None => return Err(QueryError { at, problem: QueryProblem::Unquoted }),
                    }
                }
            }
            first => {
                let mut word = String::from(first);
                let goes_on = |(_, letter): &(usize, char)| !letter.is_whitespace() && !"()\"".contains(*letter);
                while let Some((_, letter)) = letters.next_if(goes_on) {
                    word.push(letter);
                }
                match word.as_str() {
                    "AND" => Token::And,
                    "OR" => Token::Or,
                    "NOT" => Token::Not,
                    _ => Token::Word(word),
                }
            }
        };
        tokens.push((at, token));
    }
    Ok(tokens)
}

struct Parser<I: Iterator<Item = (usize, Token)>> {
    tokens: Peekable<I>,
    /// Characters of the whole query.
    end: usize,
    terms: usize,
    /// Place of the first `NOT`.
    first_not: Option<usize>,
    /// What was read last, if it wants something after it.
    after: Option<&'static str>,
}

impl<I: Iterator<Item = (usize, Token)>> Parser<I> {
    fn any(&mut self, depth: usize) -> Result<Clause, QueryError> {
        let mut parts = vec![self.all(depth)?];
        while self.tokens.next_if(|(_, token)| *token == Token::Or).is_some() {
            self.after = Some("OR");
            parts.push(self.all(depth)?);
        }
        Ok(joined(parts, Clause::Any, |part| if let Clause::Any(parts) = part { Ok(parts) } else { Err(part) }))
    }

    fn all(&mut self, depth: usize) -> Result<Clause, QueryError> {
        let mut parts = vec![self.part(depth)?];
        loop {
            match self.tokens.peek() {
                None | Some((_, Token::Or | Token::Close)) => break,
                Some((_, Token::And)) => {
                    self.tokens.next();
                    self.after = Some("AND");
                }
                Some((_, Token::Not | Token::Open | Token::Word(_))) => {}
            }
            parts.push(self.part(depth)?);
        }
        Ok(joined(parts, Clause::All, |part| if let Clause::All(parts) = part { Ok(parts) } else { Err(part) }))
    }

    fn part(&mut self, depth: usize) -> Result<Clause, QueryError> {
        let missing = self.after.map_or(QueryProblem::Empty, QueryProblem::Missing);
        let Some((at, token)) = self.tokens.next() else { return Err(QueryError { at: self.end, problem: missing }) };
        let wrong = |problem| Err(QueryError { at, problem });
        if depth > DEPTH_MAX {
            return wrong(QueryProblem::TooDeep);
        }
        match token {
            Token::Word(word) => {
                self.terms += 1;
                self.after = None;
                match normalised(&word) {
                    _ if self.terms > QUERY_TERMS_MAX => wrong(QueryProblem::TooManyTerms),
                    Ok(word) => Ok(Clause::term(word)),
                    Err(error) => wrong(error.into()),
                }
            }
            Token::Not => {
                self.after = Some("NOT");
                self.first_not.get_or_insert(at);
                Ok(Clause::Not(self.part(depth + 1)?.into()))
            }
            Token::Open => {
                self.after = Some("(");
                let inner = self.any(depth + 1)?;
                match self.tokens.next_if(|(_, token)| *token == Token::Close) {
                    Some(_) => Ok(inner),
                    None => wrong(QueryProblem::Unclosed),
                }
            }
            Token::Close if self.after.is_none() => wrong(QueryProblem::Unopened),
            Token::And | Token::Or | Token::Close => wrong(missing),
        }
    }
}

/// Parts as one clause. One that is of the same kind becomes several.
fn joined(
    mut parts: Vec<Clause>,
    kind: fn(Vec<Clause>) -> Clause,
    of_kind: fn(Clause) -> Result<Vec<Clause>, Clause>,
) -> Clause {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    kind(parts.into_iter().flat_map(|part| of_kind(part).unwrap_or_else(|other| vec![other])).collect())
}
