//! The layers of the large packages, as the table in ARCHITECTURE.md draws them, and the absence of import circles.
//!
//! Reads `use` declarations and paths in code, outside of tests. A module imports only from rows below its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

mod sources;

use sources::{files, root, text};

/// The packages that are large enough for layers.
const LAYERED: [&str; 3] = ["node", "harness", "harness/models"];

/// The crate whose modules the harness hands on as if they were its own: they lie below all of its layers.
const MODELS: &str = "butter_models";

/// The path of a module from its crate's root; the root itself is empty.
type Module = Vec<String>;

/// One package's modules, their imports and what they hand on.
struct Package {
    modules: BTreeSet<Module>,
    /// Of each module, the names that it re-exports and where those come from.
    exports: BTreeMap<Module, Vec<(String, Module)>>,
    /// From, to, and the path as it is written.
    imports: BTreeSet<(Module, Module, String)>,
}

fn joined(module: &[String]) -> String {
    if module.is_empty() { "lib".to_owned() } else { module.join("::") }
}

/// `src/core/links.rs` and `src/core/links/mod.rs` are both `core::links`.
fn module_of(source: &Path, file: &Path) -> Module {
    let relative = file.strip_prefix(source).expect("the file lies under src").with_extension("");
    let mut module: Module = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if matches!(module.last().map(String::as_str), Some("mod")) || module == ["lib"] {
        module.pop();
    }
    module
}

/// The code of a file without comments and without what is compiled for tests alone.
/// Returns the names of child modules that are for tests, too.
fn code_and_test_modules(text: &str) -> (String, Vec<String>) {
    let mut code = String::new();
    let mut test_modules = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.split("//").next().unwrap_or_default();
        if !(line.trim().starts_with("#[cfg(test)]") || line.trim().starts_with("#[cfg(all(test")) {
            code.push_str(line);
            code.push('\n');
            continue;
        }
        let mut item = String::new();
        for line in lines.by_ref() {
            item.push_str(line.split("//").next().unwrap_or_default());
            item.push('\n');
            let balanced = item.matches('{').count() == item.matches('}').count();
            if balanced && (item.trim_end().ends_with(';') || item.trim_end().ends_with('}')) {
                break;
            }
        }
        let declared = item.split("mod ").nth(1).and_then(|rest| rest.trim().strip_suffix(';'));
        test_modules.extend(declared.map(str::to_owned));
    }
    (code, test_modules)
}

/// All paths that a text starting with a path names: one, or those of its braces.
fn paths(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(inner) = text.strip_prefix('{') {
        return split_braces(inner).iter().flat_map(|part| paths(part)).collect();
    }
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    let (head, rest) = text.split_at(end);
    if head.is_empty() {
        return vec![if rest.starts_with('*') { vec!["*".to_owned()] } else { Vec::new() }];
    }
    let tails = match rest.strip_prefix("::") {
        Some(tail) if !tail.starts_with('<') => paths(tail),
        _ => vec![Vec::new()],
    };
    tails.into_iter().map(|tail| [vec![head.to_owned()], tail].concat()).collect()
}

/// The parts between commas of what follows an opening brace, up to the brace that closes it.
fn split_braces(inner: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for letter in inner.chars() {
        match letter {
            '}' if depth == 0 => break,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        parts.last_mut().expect("there is always a part").push(letter);
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// Where the paths of a text begin that start with this word, such as `crate`.
fn starts<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    code.match_indices(word).filter_map(move |(at, _)| {
        let before = code[..at].chars().next_back();
        let begins = !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':');
        // `pub(in crate::core)` is no import.
        let begins = begins && !code[..at].ends_with("(in ");
        let rest = code[at + word.len()..].strip_prefix("::")?;
        begins.then_some((at, rest))
    })
}

/// Every absolute path that a module's code names, and whether it is re-exported there.
fn named_paths(module: &[String], crate_name: &str, code: &str) -> Vec<(Module, bool)> {
    let mut found = Vec::new();
    for (word, base) in [("crate", &module[..0]), (crate_name, &module[..0]), ("self", module)] {
        for (at, rest) in starts(code, word) {
            found.extend(paths(rest).into_iter().map(|path| ([base, &path].concat(), is_export(code, at))));
        }
    }
    for (at, rest) in starts(code, "super") {
        let mut rest = rest;
        let mut base = &module[..module.len().saturating_sub(1)];
        while let Some(further) = rest.strip_prefix("super::") {
            rest = further;
            base = &base[..base.len().saturating_sub(1)];
        }
        found.extend(paths(rest).into_iter().map(|path| ([base, &path].concat(), is_export(code, at))));
    }
    // A re-export may name a child without `self`.
    for (at, rest) in exports_of_children(code) {
        found.extend(paths(rest).into_iter().map(|path| ([module, &path].concat(), is_export(code, at))));
    }
    found
}

/// `pub use child::Name;`, without a word like `crate` in front.
fn exports_of_children(code: &str) -> Vec<(usize, &str)> {
    let uses = code.match_indices("use ").filter(|(at, _)| is_export(code, at + 4));
    let named = uses.map(|(at, _)| (at + 4, &code[at + 4..]));
    named
        .filter(|(_, rest)| !["crate::", "super::", "self::", "::"].iter().any(|word| rest.starts_with(word)))
        .collect()
}

/// Whether the declaration that a path stands in begins with `pub`.
fn is_export(code: &str, at: usize) -> bool {
    let begin = code[..at].rfind([';', '}', '{']).map_or(0, |end| end + 1);
    let line = code[begin..at].lines().last().unwrap_or_default().trim_start();
    line.starts_with("pub") && line.trim_end().ends_with("use")
}

impl Package {
    fn read(folder: &str) -> Self {
        let source = root().join(folder).join("src");
        let crate_name = match folder {
            "node" => "butter",
            "cli" => "butter_cli",
            "harness/models" => MODELS,
            _ => "butter_harness",
        };
        let read = |file: &std::path::PathBuf| (module_of(&source, file), code_and_test_modules(&text(file)));
        let files: Vec<_> = files(&source, "rs").iter().map(read).collect();
        let for_tests: BTreeSet<Module> = files
            .iter()
            .flat_map(|(module, (_, children))| {
                children.iter().map(|child| [module.as_slice(), std::slice::from_ref(child)].concat())
            })
            .collect();
        let is_for_tests = |module: &Module| (1..=module.len()).any(|end| for_tests.contains(&module[..end]));
        let files: Vec<_> = files.into_iter().filter(|(module, _)| !is_for_tests(module)).collect();
        let mut package = Package {
            modules: files.iter().map(|(module, _)| module.clone()).collect(),
            exports: BTreeMap::new(),
            imports: BTreeSet::new(),
        };
        let handed_on: BTreeSet<Module> = files
            .iter()
            .filter(|(module, _)| module.is_empty())
            .flat_map(|(_, (code, _))| {
                starts(code, MODELS).filter(|(at, _)| is_export(code, *at)).flat_map(|(_, rest)| paths(rest))
            })
            .collect();
        let named: Vec<_> =
            files.iter().map(|(module, (code, _))| (module, named_paths(module, crate_name, code))).collect();
        for (module, paths) in &named {
            for (path, _) in paths.iter().filter(|(path, export)| *export && path.starts_with(module.as_slice())) {
                let name = path.last().cloned().unwrap_or_default();
                package.exports.entry((*module).clone()).or_default().push((name, path.clone()));
            }
        }
        for (module, paths) in named {
            for (path, _) in paths.into_iter().filter(|(path, _)| !handed_on.contains(&path[..path.len().min(1)])) {
                let target = package.resolve(&path, 8);
                if target != *module {
                    package.imports.insert((module.clone(), target, path.join("::")));
                }
            }
        }
        package
    }

    /// The module in which what a path names is declared, as far as re-exports of children tell.
    fn resolve(&self, path: &[String], hops: usize) -> Module {
        let found = (0..=path.len()).rev().find(|end| self.modules.contains(&path[..*end])).unwrap_or(0);
        let (module, rest) = path.split_at(found);
        let Some(name) = rest.first().filter(|_| hops > 0) else { return module.to_vec() };
        let exports = self.exports.get(module).map_or(&[][..], Vec::as_slice);
        match exports.iter().find(|(exported, target)| exported == name && target.as_slice() != path) {
            Some((_, target)) => self.resolve(target, hops - 1),
            None => module.to_vec(),
        }
    }

    /// Top-level modules, and those of the core, that import each other in a circle, each with an import that closes it.
    /// Between entries of the table its order is the rule, and excludes circles.
    fn circles(&self, layers: &[Vec<Module>]) -> Vec<String> {
        let mut edges: BTreeMap<(Module, String, String), String> = BTreeMap::new();
        let within = self.imports.iter().filter(|(from, to, _)| place(layers, from) == place(layers, to));
        for (from, to, path) in within {
            let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
            let checked = shared == 0 || from[..shared] == ["core"];
            if let (true, Some(a), Some(b)) = (checked, from.get(shared), to.get(shared)) {
                let why = format!("{} → {path}", joined(from));
                edges.entry((from[..shared].to_vec(), a.clone(), b.clone())).or_insert(why);
            }
        }
        let mut found = Vec::new();
        for ((parent, a, b), why) in &edges {
            if reaches(&edges, parent, b, a) {
                found.push(format!("{}: {a} → {b}, and back ({why})", joined(parent)));
            }
        }
        found
    }
}

/// Whether a chain of imports leads from one child of a parent to another.
fn reaches(edges: &BTreeMap<(Module, String, String), String>, parent: &[String], from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        if at == to {
            return true;
        }
        let next = edges.keys().filter(|(under, a, _)| under == parent && a == at).map(|(_, _, b)| b.as_str());
        open.extend(next.filter(|b| seen.insert(b)));
    }
    false
}

/// The rows of the table of a package in ARCHITECTURE.md, highest first: each the modules of one layer.
fn layers(document: &str, package: &str) -> Vec<Vec<Module>> {
    let heading = format!("| layer of `{package}` |");
    let table = document.lines().skip_while(|line| !line.starts_with(&heading)).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        row.split('`').skip(1).step_by(2).map(|name| name.split("::").map(str::to_owned).collect()).collect()
    })
    .collect()
}

/// The row of the table that a module belongs to, and the entry there: the longest that it begins with.
fn place(layers: &[Vec<Module>], module: &[String]) -> Option<(usize, Module)> {
    let named = |entry: &&Module| module.starts_with(entry) || (module.is_empty() && entry.as_slice() == ["lib"]);
    let entries = layers.iter().enumerate().flat_map(|(row, entries)| entries.iter().map(move |entry| (row, entry)));
    entries
        .filter(|(_, entry)| named(entry))
        .max_by_key(|(_, entry)| entry.len())
        .map(|(row, entry)| (row, entry.clone()))
}

/// Every import of a package that does not lead to a lower row, and every module that no row names.
fn offences(package: &Package, layers: &[Vec<Module>]) -> Vec<String> {
    let unplaced = package.modules.iter().filter(|module| place(layers, module).is_none());
    let mut found: Vec<_> = unplaced.map(|module| format!("{}: no layer names it", joined(module))).collect();
    for (from, to, path) in &package.imports {
        let (Some((from_row, from_entry)), Some((to_row, to_entry))) = (place(layers, from), place(layers, to)) else {
            continue;
        };
        if from_entry != to_entry && to_row <= from_row {
            let direction = if to_row < from_row { "climbs to" } else { "imports its neighbour" };
            found.push(format!("{} {direction} {}: {path}", joined(from), joined(&to_entry)));
        }
    }
    found
}

#[test]
fn imports_lead_to_lower_layers_only() {
    let document = text(&root().join("ARCHITECTURE.md"));
    let mut found = Vec::new();
    for folder in LAYERED {
        let layers = layers(&document, folder);
        assert!(layers.len() > 3, "ARCHITECTURE.md has no table of the layers of `{folder}`");
        found.extend(offences(&Package::read(folder), &layers).iter().map(|offence| format!("{folder}: {offence}")));
    }
    assert!(found.is_empty(), "{} offences\n{}", found.len(), found.join("\n"));
}

#[test]
fn modules_do_not_import_each_other_in_circles() {
    let document = text(&root().join("ARCHITECTURE.md"));
    let circles = |folder: &&str| Package::read(folder).circles(&layers(&document, folder));
    let found: Vec<_> = LAYERED.iter().chain(&["cli"]).flat_map(circles).collect();
    assert!(found.is_empty(), "{} imports in circles\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_entry_of_the_table_is_a_module() {
    let document = text(&root().join("ARCHITECTURE.md"));
    for folder in LAYERED {
        let package = Package::read(folder);
        for entry in layers(&document, folder).concat() {
            let exists = entry == ["lib"] || package.modules.contains(&entry);
            assert!(exists, "{folder}: there is no module {}", joined(&entry));
        }
    }
}

#[test]
fn the_checks_themselves_can_fail() {
    let module = |path: &str| -> Module { path.split("::").map(str::to_owned).collect() };
    let names = |path: &str| -> Vec<String> { paths(path).iter().map(|path| path.join("::")).collect() };
    assert_eq!(names("a::{b::C, d::{E, F}}; x"), ["a::b::C", "a::d::E", "a::d::F"]);
    let code = "use super::b::B;\npub use c::C;\nlet x = crate::d::D::new();\n";
    let named = named_paths(&module("a::m"), "crate_name", code);
    let expected = [("d::D::new", false), ("a::b::B", false), ("a::m::c::C", true)];
    assert_eq!(named, expected.map(|(path, export)| (module(path), export)));
    let imports = [("a", "b"), ("b", "a")].map(|(from, to)| (module(from), module(to), to.to_owned()));
    let package = Package {
        modules: BTreeSet::from([module("a"), module("b")]),
        exports: BTreeMap::new(),
        imports: BTreeSet::from(imports),
    };
    assert_eq!(package.circles(&[]).len(), 2);
    let table = layers("| layer of `x` | modules |\n| --- | --- |\n| top | `a` |\n| ground | `b` |\n", "x");
    assert_eq!(offences(&package, &table), ["b climbs to a: a"]);
}
