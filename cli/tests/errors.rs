//! Rules for the errors of all packages, read from their sources.
//!
//! - The text of an error does not hold its source: whoever prints the chain would say it twice.
//! - The text of a library error names no option of a command line.
//! - Each variant is built by the test `error_chains` of its package, which looks at the chain itself.

use std::fs;
use std::path::{Path, PathBuf};

/// A struct, or a variant of an enum, that is an error.
#[derive(Debug)]
struct ErrorItem {
    /// `Type` or `Type::Variant`.
    name: String,
    /// What `#[error(…)]` holds.
    text: String,
    /// Fields as written.
    fields: String,
    file: PathBuf,
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, files),
            false if path.extension().is_some_and(|extension| extension == "rs") => files.push(path),
            false => {}
        }
    }
}

/// Sources of a package without its tests.
fn package(name: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src"), &mut files);
    files.retain(|file| !file.ends_with("tests.rs") && !file.to_string_lossy().contains("/tests/"));
    files
}

/// The text up to the bracket that closes the first one, which is left out; strings are skipped.
fn bracketed(text: &str) -> (&str, &str) {
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return (&text[1..index], &text[index + 1..]);
                }
            }
            _ => {}
        }
    }
    panic!("a bracket is not closed in {text}")
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// The error types of a file: those that derive thiserror's trait.
fn errors_of(file: &Path) -> Vec<ErrorItem> {
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut errors = Vec::new();
    for (at, _) in text.match_indices("#[derive(") {
        let (derived, rest) = bracketed(&text[at + 1..]);
        let is_error =
            derived.contains("thiserror::Error") || derived.contains(" Error)") || derived.contains(" Error,");
        if is_error {
            errors.extend(items(rest, file));
        }
    }
    errors
}

/// The item behind a derive: a struct, or each variant of an enum.
fn items(mut rest: &str, file: &Path) -> Vec<ErrorItem> {
    let error = |name: String, text: &str, fields: &str| ErrorItem {
        name,
        text: text.to_owned(),
        fields: fields.to_owned(),
        file: file.to_owned(),
    };
    let mut attribute = "";
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('#') {
            let (inner, after) = bracketed(after);
            attribute = inner.strip_prefix("error").unwrap_or(attribute);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("pub") {
            rest = after.trim_start();
            if rest.starts_with('(') {
                rest = bracketed(rest).1;
            }
        } else if let Some(after) = rest.strip_prefix("struct ") {
            let name = word(after);
            let fields = &after[name.len()..];
            let fields = if fields.starts_with(';') { "" } else { bracketed(fields.trim_start()).0 };
            return vec![error(name.to_owned(), attribute, fields)];
        } else {
            let after = rest.strip_prefix("enum ").unwrap_or_else(|| panic!("no enum or struct at {rest:.40}"));
            let name = word(after);
            let body = bracketed(&after[after.find('{').unwrap()..]).0;
            return variants(body)
                .map(|(variant, text, fields)| error(format!("{name}::{variant}"), text, fields))
                .collect();
        }
    }
}

/// Name, text and fields of each variant.
fn variants(mut body: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    std::iter::from_fn(move || {
        let mut text = "";
        loop {
            body = body.trim_start().trim_start_matches(',').trim_start();
            let Some(after) = body.strip_prefix('#') else { break };
            let (inner, after) = bracketed(after);
            text = inner.strip_prefix("error").unwrap_or(text);
            body = after;
        }
        let name = word(body);
        if name.is_empty() {
            return None;
        }
        let after = &body[name.len()..];
        let (fields, after) = match after.trim_start().starts_with(['(', '{']) {
            true => bracketed(after.trim_start()),
            false => ("", after),
        };
        body = after;
        Some((name, text, fields))
    })
}

fn all_errors() -> Vec<ErrorItem> {
    let files = ["node", "harness", "cli"].into_iter().flat_map(package);
    let errors: Vec<_> = files.flat_map(|file| errors_of(&file)).collect();
    assert!(errors.len() > 40, "this test reads too little: {}", errors.len());
    errors
}

/// The names under which the text could refer to the source, if there is one.
fn source_names(error: &ErrorItem) -> Vec<String> {
    let mut names = Vec::new();
    for (index, field) in error.fields.split(',').map(str::trim).enumerate() {
        let name = field.rsplit(']').next().unwrap().trim().trim_start_matches("pub").trim();
        let is_source = field.contains("#[source]") || field.contains("#[from]") || name.starts_with("source:");
        if is_source {
            names.push(name.split(':').next().unwrap_or_default().to_owned());
            names.push(index.to_string());
        }
    }
    names
}

#[test]
fn texts_do_not_repeat_the_source() {
    for error in all_errors().iter().filter(|error| error.text.starts_with('(')) {
        for name in source_names(error) {
            let refers = [format!("{{{name}}}"), format!("{{{name}:"), format!(", {name}")];
            let repeats = refers.iter().any(|reference| error.text.contains(reference.as_str()));
            assert!(!repeats, "{} in {} repeats its source: {}", error.name, error.file.display(), error.text);
        }
    }
}

#[test]
fn library_errors_name_no_option() {
    let is_option = |text: &str| {
        text.match_indices("--").any(|(at, _)| text[at + 2..].starts_with(|c: char| c.is_ascii_lowercase()))
    };
    for error in all_errors().iter().filter(|error| !error.file.to_string_lossy().contains("/cli")) {
        assert!(!is_option(&error.text), "{} in {}: {}", error.name, error.file.display(), error.text);
    }
}

#[test]
fn every_error_is_in_the_chain_test_of_its_package() {
    for name in ["node", "harness"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
        let test = fs::read_to_string(folder.join("error_chains.rs")).unwrap();
        let errors = package(name).into_iter().flat_map(|file| errors_of(&file));
        let missing: Vec<String> = errors.map(|error| error.name).filter(|name| !test.contains(name)).collect();
        assert!(missing.is_empty(), "{name}/src/error_chains.rs does not build {missing:?}");
    }
}
