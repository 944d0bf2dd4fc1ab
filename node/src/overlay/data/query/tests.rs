//! What is a query, what it matches, and where the others go wrong.

use proptest::prelude::*;

use super::super::keywords::KeywordError;
use super::*;

fn keywords(list: &str) -> Keywords {
    Keywords::from_list(list).unwrap()
}

fn check_matches(query: &str, yes: &[&str], no: &[&str]) {
    let query = SearchQuery::parse(query).unwrap();
    assert_eq!(SearchQuery::parse(&query.to_string()), Ok(query.clone()), "{query}");
    for list in yes {
        assert!(query.matches(&keywords(list)), "{query} and {list}");
    }
    for list in no {
        assert!(!query.matches(&keywords(list)), "{query} and {list}");
    }
}

#[test]
fn queries_match_what_they_say() {
    check_matches("rust", &["rust", "nat,Rust"], &["", "rusty"]);
    check_matches("rust nat", &["rust,nat"], &["rust", "nat"]);
    check_matches("rust AND nat OR go", &["rust,nat", "go"], &["rust"]);
    check_matches("rust AND (nat OR go)", &["rust,nat", "rust,go"], &["go", "nat"]);
    check_matches("RUST not", &["rust,not"], &["rust"]);
    check_matches("rust NOT (nat OR go)", &["rust"], &["rust,go", "rust,nat", "go"]);
    check_matches("rust AND NOT NOT nat", &["rust,nat"], &["rust"]);
    check_matches("\"peer to peer\" OR \"(a)\"", &["peer to peer", "(a)"], &["peer", "a"]);
    check_matches("NOT (NOT rust OR nat)", &["rust"], &["rust,nat", ""]);
}

#[test]
fn errors_point_at_the_place() {
    let error = |text: &str| {
        let QueryError { at, problem } = SearchQuery::parse(text).unwrap_err();
        (at, problem)
    };
    assert_eq!(error(""), (0, QueryProblem::Empty));
    assert_eq!(error("  "), (2, QueryProblem::Empty));
    assert_eq!(error("rust AND "), (9, QueryProblem::Missing("AND")));
    assert_eq!(error("größe OR OR b"), (9, QueryProblem::Missing("OR")));
    assert_eq!(error("rust ()"), (6, QueryProblem::Missing("(")));
    assert_eq!(error("a (b OR c"), (2, QueryProblem::Unclosed));
    assert_eq!(error("a) b"), (1, QueryProblem::Unopened));
    assert_eq!(error(")"), (0, QueryProblem::Unopened));
    assert_eq!(error("a \"b"), (2, QueryProblem::Unquoted));
    assert_eq!(error("a \"\""), (2, QueryProblem::Keyword(KeywordError::Empty)));
    assert_eq!(error("NOT a"), (0, QueryProblem::OnlyExcludes));
    assert_eq!(error("a OR NOT b"), (5, QueryProblem::OnlyExcludes));
    assert_eq!(error("NOT (a AND b)"), (0, QueryProblem::OnlyExcludes));
    assert_eq!(error(&"a ".repeat(QUERY_TERMS_MAX + 1)).1, QueryProblem::TooManyTerms);
    assert_eq!(error(&"(".repeat(400)).1, QueryProblem::TooDeep);
    assert_eq!(error(&"x".repeat(QUERY_BYTES_MAX + 1)).1, QueryProblem::TooLong);
    let shown = SearchQuery::parse("rust AND").unwrap_err().to_string();
    assert_eq!(shown, "a keyword is missing after `AND` (character 9 of the query)");
}

#[test]
fn stores_that_lack_a_wanted_keyword_are_left_out() {
    let may = |query: &str, held: &str| {
        let prints: Vec<u32> = keywords(held).iter().map(print_of_term).collect();
        SearchQuery::parse(query).unwrap().may_match(|print| prints.contains(&print))
    };
    assert!(may("a AND b", "a,b") && !may("a AND b", "a"));
    assert!(may("a OR b", "b") && !may("a OR b", "c"));
    assert!(may("a NOT b", "a,b"), "another value there may lack it");
    assert!(may("NOT (NOT a OR b)", "a") && !may("NOT (NOT a OR b)", "b"));
}

fn clauses() -> impl Strategy<Value = Clause> {
    let term = "[a-d]{1,2}|[(] [)]".prop_map(|word| Clause::term(normalised(&word)));
    term.prop_recursive(4, 24, 3, |inner| {
        let parts = || proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            parts().prop_map(|parts| flat(parts, true)),
            parts().prop_map(|parts| flat(parts, false)),
            inner.clone().prop_map(|part| Clause::Not(part.into())),
        ]
    })
}

fn normalised(word: &str) -> Box<str> {
    super::super::keywords::normalised(word).unwrap()
}

/// As the parser builds it: no clause directly within one of its kind.
fn flat(parts: Vec<Clause>, all: bool) -> Clause {
    let parts = parts.into_iter().flat_map(|part| match part {
        Clause::All(inner) if all => inner,
        Clause::Any(inner) if !all => inner,
        other => vec![other],
    });
    if all { Clause::All(parts.collect()) } else { Clause::Any(parts.collect()) }
}

proptest! {
    #[test]
    fn any_text_is_a_query_or_refused(text in "[ab \"()AND|OR|NOT]{0,60}|.{0,80}") {
        if let Ok(query) = SearchQuery::parse(&text) {
            prop_assert_eq!(SearchQuery::parse(&query.to_string()), Ok(query));
        }
    }

    #[test]
    fn what_is_written_reads_as_the_same_query(clause in clauses(), held in "([a-d]{1,2},){0,5}e") {
        let written = SearchQuery { clause, text: Box::default() };
        let held = keywords(&held);
        match SearchQuery::parse(&written.to_string()) {
            Ok(read) => {
                prop_assert_eq!(&read, &written);
                let prints: Vec<u32> = held.iter().map(print_of_term).collect();
                prop_assert!(!read.matches(&held) || read.may_match(|print| prints.contains(&print)), "{}", read);
                prop_assert!(!read.matches(&Keywords::default()), "{}", read);
            }
            Err(QueryError { problem: QueryProblem::OnlyExcludes, .. }) => {
                prop_assert!(written.clause.may_match(&|_| false, true));
            }
            Err(error) => {
                let too_much = [QueryProblem::TooManyTerms, QueryProblem::TooLong].contains(&error.problem);
                prop_assert!(too_much, "{}: {}", written, error);
            }
        }
    }
}
