//! The reference of the guide says what the code does: `docs/reference/` and `docs/openapi.yaml` are made from it, and these tests
//! fail when they are stale. `UPDATE_GOLDEN=1` writes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use butter_harness::reference::NOTICE;

#[path = "support/json_types.rs"]
mod json_types;

use json_types::{JsonField, JsonShape, JsonType, JsonTypes, parts};
use syn::Type;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference")
}

/// Compares a page with what it should be, or writes it.
#[track_caller]
fn hold(file: &str, expected: &str) {
    let path = folder().join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&path, expected).unwrap();
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differing = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "docs/reference/{file} is stale: UPDATE_GOLDEN=1 cargo test -p butter-harness --test reference\n{differing:?}"
    );
}

#[test]
fn pages_are_those_of_the_program() {
    let scratch = tempfile::tempdir().unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_harness")).arg("reference").arg(scratch.path()).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut pages: Vec<_> = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    assert!(pages.len() >= 7, "{pages:?}");
    for page in pages {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        hold(&name, &fs::read_to_string(&page).unwrap());
    }
}

/// What a page says of JSON types, each in a section.
struct Page<'t> {
    types: &'t JsonTypes,
    /// Whether nodes and networks stand there by name, as in events.
    by_name: bool,
    listed: Vec<String>,
    text: String,
}

impl<'t> Page<'t> {
    fn new(types: &'t JsonTypes, by_name: bool, head: &str) -> Self {
        Page { types, by_name, listed: Vec::new(), text: format!("{NOTICE}{head}") }
    }

    /// The sections of a type, under this title, and of all types in it that have none yet.
    fn root(&mut self, title: &str, name: &str) {
        let of = self.types.get(name).unwrap_or_else(|| panic!("there is no type {name}"));
        let from = self.listed.len();
        self.section(title, of);
        let mut at = from;
        while let Some(name) = self.listed.get(at).cloned() {
            let of = self.types.get(&name).expect("it was found before");
            self.section(&format!("`{name}`"), of);
            at += 1;
        }
    }

    fn section(&mut self, title: &str, of: &JsonType) {
        self.text += &format!("\n## {title}\n\n{}\n", of.doc);
        match &of.shape {
            JsonShape::Object(fields) => self.table(fields),
            JsonShape::Words(words) => {
                self.text += "\n| word | meaning |\n| --- | --- |\n";
                for (word, doc) in words {
                    self.text += &format!("| `{word}` | {} |\n", cell(doc));
                }
            }
            JsonShape::Variants { tag, variants } => {
                for variant in variants {
                    let names = match tag {
                        Some(tag) => format!("`{tag}`: `{}`", variant.name),
                        None => format!("`{}`", variant.name),
                    };
                    let inner = variant.inner.as_ref().map(|ty| format!(" Its keys: {}.", self.shown(ty)));
                    self.text += &format!("\n### {names}\n\n{}{}\n", variant.doc, inner.unwrap_or_default());
                    if !variant.fields.is_empty() {
                        self.table(&variant.fields);
                    }
                }
            }
        }
    }

    fn table(&mut self, fields: &[JsonField]) {
        let mut rows = String::new();
        for field in fields {
            let ty = if field.is_text { "text".to_owned() } else { self.shown(&field.ty) };
            let name = if field.is_flat { "(keys of its own)".to_owned() } else { format!("`{}`", field.name) };
            let optional = if field.is_optional { "; may be absent" } else { "" };
            rows += &format!("| {name} | {ty}{optional} | {} |\n", self.said(&field.doc));
        }
        self.text += &format!("\n| key | value | meaning |\n| --- | --- | --- |\n{rows}");
    }

    /// A doc comment as it reads where nodes stand by name and `None` is null.
    fn said(&self, doc: &str) -> String {
        let said = cell(doc).replace("`None`", "null");
        match self.by_name {
            true => [("Index of the ", "The "), ("Indices of the ", "The "), (" in the plan", "")]
                .into_iter()
                .fold(said, |said, (from, to)| said.replace(from, to)),
            false => said,
        }
    }

    /// A type in words.
    fn shown(&mut self, ty: &Type) -> String {
        let (name, inner) = parts(ty);
        let mut inner = inner.iter().map(|ty| self.shown(ty)).collect::<Vec<_>>().into_iter();
        let mut first = || inner.next().unwrap_or_default();
        match name.as_str() {
            "Option" => format!("{} or null", first()),
            "Vec" | "BTreeSet" | "VecDeque" | "SmallVec" => format!("list of {}", first()),
            "tuple" => format!("list: {}", inner.collect::<Vec<_>>().join(", ")),
            "Arc" | "Box" => first(),
            "BTreeMap" => {
                let (_, value) = (first(), first());
                format!("map to {value}")
            }
            "u8" | "u16" | "u32" | "u64" | "usize" | "i64" | "RunTime" | "ItemIndex" => "whole number".to_owned(),
            "f64" => "number".to_owned(),
            "bool" => "true or false".to_owned(),
            "NodeIndex" if self.by_name => "name of a node".to_owned(),
            "NetworkIndex" if self.by_name => "name of a network".to_owned(),
            "NodeIndex" | "NetworkIndex" => "whole number".to_owned(),
            known if self.types.get(known).is_some() => {
                if !self.listed.iter().any(|name| name == known) {
                    self.listed.push(known.to_owned());
                }
                format!("[`{known}`](#{})", known.to_lowercase())
            }
            "String" | "str" | "NodeId" | "BlockId" | "SocketAddr" | "Ipv4Addr" | "Ipv6Addr" | "IpAddr" | "PathBuf" => {
                "text".to_owned()
            }
            other => panic!("{other} is in a result, and this test does not know how it is written"),
        }
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn types() -> JsonTypes {
    JsonTypes::read(&["harness/src", "harness/models/src", "node/src/api.rs", "node/src/api"])
}

#[test]
fn result_page_lists_every_field() {
    let types = types();
    let mut page = Page::new(&types, false, "# Fields of `result.json`\n\nEvery end of a run leaves a result.\n");
    page.root("The result", "RunResult");
    assert!(page.listed.len() > 15, "{:?}", page.listed);
    hold("result.md", &page.text);
}

#[test]
fn record_page_lists_every_field() {
    let types = types();
    let head = "# Fields of `run.json` and `timing.json`\n\n`run.json` says how to play the run again. \
                `timing.json` says where its time went.\n";
    let mut page = Page::new(&types, false, head);
    page.root("`run.json`", "RunManifest");
    page.root("`timing.json`", "RunTiming");
    hold("record.md", &page.text);
}

#[test]
fn event_page_lists_every_event() {
    let types = types();
    let head = "# Events\n\nEach line of `events.jsonl` is an event. It begins with `at_us`, the run's clock in microseconds, and \
                on real backends `utc`. `event` names it. Nodes and networks stand there by their names.\n";
    let mut page = Page::new(&types, true, head);
    page.root("Every event", "EventKind");
    assert!(page.text.matches("### `event`").count() > 20, "{}", page.text);
    hold("events.md", &page.text);
}
