//! The tables of waits in ARCHITECTURE.md: every duration that the node's sources name, with the values that they give it.

use std::collections::BTreeMap;
use std::path::Path;

mod sources;

use sources::{files, root, text};

/// A named duration, or the floor and the ceiling of one, in microseconds.
type Named = BTreeMap<String, Vec<u64>>;

/// The module that a file is.
fn module_of(source: &Path, file: &Path) -> String {
    let relative = file.strip_prefix(source).expect("the file lies under src").with_extension("");
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    parts.join("::")
}

/// The code of a file before its unit tests.
fn code(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {").map_or(text, |end| &text[..end])
}

/// Every duration that an expression gives, in microseconds. A name stands for the duration that it names.
fn durations(expression: &str, named: &Named) -> Vec<u64> {
    let mut found = Vec::new();
    for part in expression.split("Duration::from_").skip(1) {
        let (unit, rest) = part.split_once('(').expect("a unit");
        let count = rest.split(')').next().expect("a number");
        let factors = count.split('*').map(|factor| factor.trim().replace('_', "").parse::<u64>().expect("a number"));
        let scale = match unit {
            "secs" => 1_000_000,
            "millis" => 1_000,
            "micros" => 1,
            other => panic!("a duration in {other}"),
        };
        found.push(factors.product::<u64>() * scale);
    }
    let names = expression.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let mut by_name = names.filter_map(|name| {
        let ending = format!("::{name}");
        named.iter().find(|(known, _)| known.ends_with(&ending)).map(|(_, value)| value.clone())
    });
    found.extend(by_name.next().unwrap_or_default());
    found
}

/// Every constant of the node's sources that is a duration or bounds one.
fn in_sources() -> Named {
    let source = root().join("node/src");
    let mut found = Named::new();
    let mut later = Vec::new();
    let is_test = |file: &Path| file.iter().any(|part| part == "tests" || part == "tests.rs");
    for file in files(&source, "rs").iter().filter(|file| !is_test(file.strip_prefix(&source).expect("under src"))) {
        let text = text(file);
        for declared in code(&text).split("const ").skip(1) {
            let Some((name, rest)) = declared.split_once(": ") else { continue };
            let Some((kind, value)) = rest.split_once(" =") else { continue };
            let is_name =
                name.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_');
            if !is_name || !(kind == "Duration" || kind == "Bounds" || kind.starts_with("[Duration;")) {
                continue;
            }
            let value = value.split(';').next().expect("a value").to_owned();
            later.push((format!("{}::{name}", module_of(&source, file)), value));
        }
    }
    // Once more for those that name another constant.
    for _ in 0..2 {
        for (name, value) in &later {
            let durations = durations(value, &found);
            found.insert(name.clone(), durations);
        }
    }
    found
}

/// `150 ms`, `2.5 s` or `1 min`, in microseconds.
fn parsed(cell: &str) -> u64 {
    let (number, unit) = cell.trim().split_once(' ').unwrap_or_else(|| panic!("no duration: {cell}"));
    let scale = match unit {
        "ms" => 1e3,
        "s" => 1e6,
        "min" => 60e6,
        "h" => 3_600e6,
        other => panic!("no unit of time: {other}"),
    };
    (number.parse::<f64>().expect("a number") * scale).round() as u64
}

/// The rows of both tables: the values are in the cells after what a wait follows from.
fn in_document(document: &str) -> Named {
    let section = document.split("\n## Waits\n").nth(1).expect("a section `Waits`");
    let section = section.split("\n## ").next().expect("its text");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (name, rest) = row.split_once("` |").expect("a name in backquotes");
        let cells = rest.trim_end_matches('|').split('|').skip(1);
        (name.to_owned(), cells.flat_map(|cell| cell.split(", ")).map(parsed).collect())
    })
    .collect()
}

#[test]
fn every_named_duration_stands_in_the_tables_of_waits_with_its_value() {
    let (sources, document) = (in_sources(), in_document(&text(&root().join("ARCHITECTURE.md"))));
    assert!(sources.len() > 50, "only {} durations were found", sources.len());
    let missing =
        sources.iter().filter(|(name, _)| !document.contains_key(*name)).map(|(name, _)| format!("{name} has no row"));
    let stale =
        document.keys().filter(|name| !sources.contains_key(*name)).map(|name| format!("{name} does not exist"));
    let other = sources.iter().filter_map(|(name, value)| {
        let written = document.get(name).filter(|written| *written != value)?;
        Some(format!("{name} is {value:?} us, the table says {written:?}"))
    });
    let offences: Vec<_> = missing.chain(stale).chain(other).collect();
    assert!(offences.is_empty(), "{} offences\n{}", offences.len(), offences.join("\n"));
}

#[test]
fn the_check_itself_can_fail() {
    let named = Named::from([("core::transport::DIAL_TIMEOUT".to_owned(), vec![5_000_000])]);
    assert_eq!(durations("Bounds::new(Duration::from_millis(1_500), DIAL_TIMEOUT)", &named), [1_500_000, 5_000_000]);
    assert_eq!(durations("Duration::from_secs(2 * 3_600)", &named), [7_200_000_000]);
    let document =
        "\n## Waits\n| wait | from | floor | ceiling |\n| `a::B` | c | 150 ms | 2.5 s |\n## Next\n| `a::C` | d | 1 s |";
    assert_eq!(in_document(document), Named::from([("a::B".to_owned(), vec![150_000, 2_500_000])]));
}
