//! What tests ask of a page.

#![allow(dead_code, reason = "not every test file uses all of it")]

use serde_json::Value;

/// Elements that have no end.
const VOID: [&str; 3] = ["meta", "br", "input"];

/// JSON that the page carries under this id.
#[track_caller]
pub(crate) fn island(page: &str, id: &str) -> Value {
    let begin = format!("<script type=\"application/json\" id=\"{id}\">");
    let (_, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("the page has no {id}"));
    let (json, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{id}: {error}"))
}

/// Fails unless every element of the page ends where it should, as a parser of HTML sees it: the text of scripts and styles is skipped
/// to the first thing that would end it.
#[track_caller]
pub(crate) fn expect_well_formed(page: &str) {
    let mut rest = page.strip_prefix("<!doctype html>").expect("it begins with a doctype");
    let mut open: Vec<String> = Vec::new();
    while let Some(at) = rest.find('<') {
        let tag = &rest[at + 1..];
        let end = tag.find('>').expect("a tag ends");
        let (name, after) = (&tag[..end], &tag[end + 1..]);
        rest = after;
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "an element ends that is not the last open one");
            continue;
        }
        let name = name.split_whitespace().next().expect("a tag has a name");
        assert!(name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit()), "<{name}");
        if VOID.contains(&name) {
            continue;
        }
        open.push(name.to_owned());
        if ["script", "style"].contains(&name) {
            let end = rest.find("</").expect("it ends");
            assert!(rest[end..].starts_with(&format!("</{name}>")), "{}", &rest[end..rest.len().min(end + 60)]);
            rest = &rest[end..];
        }
    }
    assert!(open.is_empty(), "{open:?} are still open");
    assert!(
        !page.contains("http://")
            || page.matches("http://").count() == page.matches("http://www.w3.org/2000/svg").count()
    );
    assert!(!page.contains("https://"), "the page names something that is elsewhere");
}
