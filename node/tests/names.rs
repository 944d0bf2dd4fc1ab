//! Rules for names and comments of both packages: unique type names, doc comments that say something, short files, plain words.

use std::collections::BTreeMap;
use std::path::Path;

mod sources;

use sources::{PACKAGES, files, root, shown, text};

/// Most lines of one file.
const LINES_MAX: usize = 500;
/// A doc comment of so few words says no more than the name does.
const WORDS_FEW: usize = 3;
/// Of 1,000 doc comments on public items, so many may be that short: fewer than 2 %.
const SHORT_DOCS_PER_MILLE: usize = 20;
/// Words that this project's prose avoids.
const AVOIDED: &[&str] = &["told", "whom", "nobody", "to be had", "in good order"];
/// The system's unprivileged user has such a name.
const UNIX_USER: &[&str] = &["\"nobody\"", "nobody:", "nobody nobody", "`nobody`"];

/// The name in a line that declares a public type.
fn public_type(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let rest = rest.strip_prefix("unsafe ").unwrap_or(rest);
    let name = ["struct ", "enum ", "trait "].iter().find_map(|keyword| rest.strip_prefix(keyword))?;
    let end = name.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(name.len());
    // What a macro declares has no name here.
    Some(&name[..end]).filter(|name| !name.is_empty())
}

/// The lines of a file before its unit tests, which have names of their own.
fn without_tests(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let inline_tests =
        |window: &[&str]| window[0].trim() == "#[cfg(test)]" && window[1].trim_start().starts_with("mod tests {");
    let lines: Vec<_> = text.lines().collect();
    let end = lines.windows(2).position(inline_tests).unwrap_or(lines.len());
    lines.into_iter().take(end).enumerate().map(|(at, line)| (at + 1, line))
}

fn is_test(path: &Path) -> bool {
    path.components()
        .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs" || part.as_os_str() == "testing.rs")
}

/// Every public type name that a package declares more than once, with the places.
fn repeated_types(package: &Path) -> Vec<String> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files(&package.join("src"), "rs").iter().filter(|file| !is_test(file)) {
        let text = text(file);
        for (at, line) in without_tests(&text) {
            if let Some(name) = public_type(line) {
                places.entry(name.to_owned()).or_default().push(format!("{}:{at}", shown(file)));
            }
        }
    }
    let repeated = places.into_iter().filter(|(_, places)| places.len() > 1);
    repeated.map(|(name, places)| format!("{name}: {}", places.join(", "))).collect()
}

/// A doc comment in front of a public item, field or variant.
#[derive(Debug, PartialEq, Eq)]
struct Doc {
    line: usize,
    text: String,
}

/// The doc comments on public items: on all that is `pub`, and on variants and methods of public enums and traits.
fn public_docs(text: &str) -> Vec<Doc> {
    let mut docs = Vec::new();
    let mut pending: Option<Doc> = None;
    // The indentation of the public enum or trait that a line is in.
    let mut inside: Option<usize> = None;
    for (at, line) in without_tests(text) {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if let Some(doc) = code.strip_prefix("///") {
            let pending = pending.get_or_insert(Doc { line: at, text: String::new() });
            pending.text.push_str(doc);
            continue;
        }
        if code.starts_with("#[") || code.is_empty() {
            continue;
        }
        let in_public = inside.is_some_and(|outer| indent > outer);
        if inside.is_some_and(|outer| indent <= outer) {
            inside = None;
        }
        if let Some(doc) = pending.take()
            && (code.starts_with("pub ") || in_public)
        {
            docs.push(doc);
        }
        if (code.starts_with("pub enum ") || code.starts_with("pub trait ")) && code.ends_with('{') {
            inside = Some(indent);
        }
    }
    docs
}

/// All doc comments on public items of both packages, and those of them that say too little.
fn short_docs() -> (usize, Vec<String>) {
    let mut all = 0;
    let mut short = Vec::new();
    for package in PACKAGES {
        for file in files(&root().join(package).join("src"), "rs").iter().filter(|file| !is_test(file)) {
            for doc in public_docs(&text(file)) {
                all += 1;
                if doc.text.split_whitespace().count() <= WORDS_FEW {
                    short.push(format!("{}:{}: {}", shown(file), doc.line, doc.text.trim()));
                }
            }
        }
    }
    (all, short)
}

fn long_files() -> Vec<String> {
    let all = PACKAGES.iter().flat_map(|package| files(&root().join(package), "rs"));
    let lengths = all.map(|file| (text(&file).lines().count(), shown(&file)));
    lengths.filter(|(lines, _)| *lines > LINES_MAX).map(|(lines, file)| format!("{file}: {lines} lines")).collect()
}

/// The words of [`AVOIDED`] that stand in this line as words of their own.
fn avoided(line: &str) -> Vec<&'static str> {
    let mut line = line.to_lowercase();
    for user in UNIX_USER {
        line = line.replace(user, "");
    }
    let is_word = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    let stands_alone = |word: &str| {
        line.match_indices(word)
            .any(|(at, _)| !is_word(line[..at].chars().next_back()) && !is_word(line[at + word.len()..].chars().next()))
    };
    AVOIDED.iter().copied().filter(|word| stands_alone(word)).collect()
}

/// Every place where an avoided word is used: documents, topologies, and all of the sources with their messages.
fn avoided_words() -> Vec<String> {
    let root = root();
    let own = Path::new(file!()).file_name().expect("this file has a name");
    let endings = ["rs", "md", "yaml", "yml", "toml"];
    let all = endings.iter().flat_map(|ending| files(&root, ending)).filter(|file| file.file_name() != Some(own));
    let mut found = Vec::new();
    for file in all {
        for (at, line) in text(&file).lines().enumerate() {
            for word in avoided(line) {
                found.push(format!("{}:{}: `{word}`: {}", shown(&file), at + 1, line.trim()));
            }
        }
    }
    found
}

/// Fails with the whole list, one offender a line.
fn expect_none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}: {} offenders\n{}", offenders.len(), offenders.join("\n"));
}

#[test]
fn public_type_name_is_unique_in_its_package() {
    let repeated: Vec<_> = PACKAGES.iter().flat_map(|package| repeated_types(&root().join(package))).collect();
    expect_none("public type names that are declared more than once", &repeated);
}

#[test]
fn doc_comments_on_public_items_say_more_than_three_words() {
    let (all, short) = short_docs();
    assert!(all > 500, "only {all} doc comments were found");
    let rule = format!("doc comments on public items of {WORDS_FEW} words or fewer, of {all}");
    if short.len() * 1_000 >= all * SHORT_DOCS_PER_MILLE {
        expect_none(&rule, &short);
    }
}

#[test]
fn no_file_is_longer_than_500_lines() {
    expect_none("files that are too long", &long_files());
}

#[test]
fn prose_avoids_obscure_words() {
    expect_none("avoided words", &avoided_words());
}

#[test]
fn the_checks_themselves_can_fail() {
    assert_eq!(public_type("pub struct Plan<T> {"), Some("Plan"));
    assert_eq!(public_type("pub(crate) struct Plan {"), None);
    let docs = public_docs("/// Which.\npub enum A {\n    /// To it.\n    B,\n}\n/// Hidden.\nstruct C;\n");
    let lines: Vec<_> = docs.iter().map(|doc| doc.line).collect();
    assert_eq!(lines, [1, 3]);
    assert_eq!(avoided("Whom it was TOLD of; `untold` and `told_of` are no such words"), ["told", "whom"]);
    assert!(avoided("setpriv --reuid \"nobody\"").is_empty());
}
