//! Rules for the documents: short sentences, and no path that leads nowhere.

use std::path::PathBuf;

mod sources;

use sources::{PACKAGES, files, root, shown, text};

/// Median number of words of a document's sentences, at most.
const WORDS_MEDIAN_MAX: usize = 15;
/// Number of words of any sentence, at most.
const WORDS_MAX: usize = 35;

fn documents() -> Vec<PathBuf> {
    let names = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "GLOSSARY.md", "dashboards/README.md"];
    // What is made from the code is as short as the texts there.
    let mut guide = files(&root().join("docs"), "md");
    guide.retain(|page| !page.starts_with(root().join("docs/reference")));
    names.map(|name| root().join(name)).into_iter().chain(guide).collect()
}

/// The paragraphs and list items of a document, without code blocks, tables, headings and link targets.
/// What stands in backquotes counts as one word.
fn paragraphs(document: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut in_code = false;
    for line in document.lines().map(str::trim) {
        if line.starts_with("```") {
            in_code = !in_code;
        }
        let item = ["- ", "* ", "> "].iter().find_map(|mark| line.strip_prefix(mark));
        let numbered = line.split_once(". ").filter(|(number, _)| number.parse::<u32>().is_ok()).map(|(_, rest)| rest);
        let apart = in_code || line.is_empty() || line.starts_with(['|', '#', '`']) && line.starts_with("```");
        if apart || line.starts_with('#') || line.starts_with('|') || item.is_some() || numbered.is_some() {
            found.push(String::new());
        }
        if !apart && !line.starts_with('#') && !line.starts_with('|') {
            let paragraph = found.last_mut().expect("there is always a paragraph");
            paragraph.push_str(item.or(numbered).unwrap_or(line));
            paragraph.push(' ');
        }
    }
    found.retain(|paragraph| !paragraph.trim().is_empty());
    found.iter().map(|paragraph| without_code_and_targets(paragraph)).collect()
}

/// Replaces each code span by one word, and `[text](target)` by its text.
fn without_code_and_targets(paragraph: &str) -> String {
    let parts = paragraph.split('`').enumerate();
    let spans: String = parts.map(|(at, part)| if at % 2 == 0 { part } else { "code" }).collect();
    let mut out = String::new();
    let mut rest = spans.as_str();
    while let Some((before, after)) = rest.split_once("](") {
        out.push_str(before);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out.replace(['*', '['], "")
}

/// The numbers of words of the sentences of a paragraph, each with its sentence.
fn sentences(paragraph: &str) -> Vec<(usize, String)> {
    let mut found = vec![String::new()];
    for word in paragraph.split_whitespace() {
        let sentence = found.last_mut().expect("there is always a sentence");
        sentence.push_str(word);
        sentence.push(' ');
        if word.trim_end_matches([')', '"', '*']).ends_with(['.', '!', '?']) && !word.ends_with("e.g.") {
            found.push(String::new());
        }
    }
    let is_word = |word: &&str| word.chars().any(char::is_alphanumeric);
    let counted = found.into_iter().map(|sentence| (sentence.split_whitespace().filter(is_word).count(), sentence));
    counted.filter(|(words, _)| *words > 0).collect()
}

/// What is in backquotes and looks like a path of the source tree: with a slash or a known ending, and nothing to fill in.
fn named_paths(document: &str) -> Vec<String> {
    let mut in_code = false;
    let prose = document.lines().filter(|line| {
        in_code ^= line.trim_start().starts_with("```");
        !in_code
    });
    let spans = prose.flat_map(|line| line.split('`').skip(1).step_by(2));
    let links = document.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let is_path = |name: &&str| {
        let plain = name.chars().all(|letter| letter.is_alphanumeric() || "/._-".contains(letter));
        let known = [".rs", ".yaml", ".yml", ".md", ".toml"].iter().any(|ending| name.ends_with(ending));
        plain
            && (known
                || ["node/", "harness/", "topologies/", "dashboards/", "docker/"]
                    .iter()
                    .any(|top| name.starts_with(top)))
    };
    spans.chain(links).filter(is_path).map(str::to_owned).collect()
}

/// A path is given from the top of the tree, or from `src`, or from a folder in that where a document says which.
/// A link of a page in a folder may lead upwards first; `harness/tests/guide.rs` follows links exactly.
fn exists(name: &str) -> bool {
    let (root, name) = (root(), name.trim_start_matches("../"));
    if root.join(name).exists() {
        return true;
    }
    let all = PACKAGES.iter().flat_map(|package| files(&root.join(package), "rs"));
    let others = ["topologies", "dashboards", "docs"]
        .iter()
        .flat_map(|folder| ["yaml", "yml", "md"].map(|ending| files(&root.join(folder), ending)))
        .flatten();
    let name = format!("/{}", name.trim_end_matches('/'));
    all.chain(others).any(|file| {
        let path = format!("/{}", shown(&file));
        path.ends_with(&name) || path.contains(&format!("{name}/"))
    })
}

#[test]
fn sentences_are_short() {
    let mut offenders = Vec::new();
    for document in documents() {
        let found: Vec<_> = paragraphs(&text(&document)).iter().flat_map(|paragraph| sentences(paragraph)).collect();
        let mut lengths: Vec<_> = found.iter().map(|(words, _)| *words).collect();
        lengths.sort_unstable();
        let median = lengths.get(lengths.len() / 2).copied().unwrap_or_default();
        if median > WORDS_MEDIAN_MAX {
            offenders.push(format!("{}: the median is {median} words", shown(&document)));
        }
        let long = found.iter().filter(|(words, _)| *words > WORDS_MAX);
        offenders.extend(long.map(|(words, sentence)| format!("{}: {words} words: {sentence}", shown(&document))));
    }
    assert!(offenders.is_empty(), "{}", offenders.join("\n"));
}

#[test]
fn every_path_that_a_document_names_exists() {
    let named = documents()
        .into_iter()
        .flat_map(|document| named_paths(&text(&document)).into_iter().map(move |path| (shown(&document), path)));
    let missing: Vec<_> =
        named.filter(|(_, path)| !exists(path)).map(|(document, path)| format!("{document}: {path}")).collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The types that the last column of the glossary's tables names, such as `HolePunch` or `PunchMethod::Birthday`.
fn glossary_types(document: &str) -> Vec<String> {
    let rows = document.lines().filter(|line| line.starts_with('|') && !line.starts_with("| ---"));
    let cells = rows.filter_map(|row| row.trim_end_matches(['|', ' ']).rsplit('|').next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn every_type_of_the_glossary_exists() {
    let sources: Vec<_> = PACKAGES
        .iter()
        .flat_map(|package| files(&root().join(package).join("src"), "rs"))
        .map(|file| text(&file))
        .collect();
    let declares = |name: &str| {
        let declarations = ["struct", "enum", "trait", "type"].map(|keyword| format!("{keyword} {name}"));
        let ends = |rest: &str| !rest.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        sources.iter().any(|text| declarations.iter().any(|line| text.split(line.as_str()).skip(1).any(ends)))
    };
    let named = glossary_types(&text(&root().join("GLOSSARY.md")));
    assert!(named.len() > 30, "only {} types were found", named.len());
    let missing: Vec<_> = named.iter().filter(|name| !declares(name.split("::").next().unwrap_or(name))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_checks_themselves_can_fail() {
    assert_eq!(glossary_types("| a | b `c` | `D`, `E::F` |\n"), ["D", "E::F"]);
    let document = "# Head line\n\nOne `two three` [four](five.md). Then\nsix.\n\n- item: one\n\n```\ncode here.\n```\n| a. | b. |\n";
    let lengths: Vec<_> =
        paragraphs(document).iter().flat_map(|paragraph| sentences(paragraph)).map(|(words, _)| words).collect();
    assert_eq!(lengths, [3, 2, 2]);
    assert_eq!(named_paths("see `node/src/nowhere.rs`, `x`, [y](README.md)"), ["node/src/nowhere.rs", "README.md"]);
    assert!(!exists("node/src/nowhere.rs") && exists("core/io.rs") && exists("README.md"));
}
