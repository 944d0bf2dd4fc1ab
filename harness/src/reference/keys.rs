//! Keys of topology files and of steps: a section for each sort of map, in the order in which they are met.

use std::fmt::Write;

use super::row;
use crate::steps::VERBS;
use crate::steps::step::Verb;
use crate::topology::fields::{KeySpec, MapSpec};
use crate::topology::form::ValueForm;
use crate::topology::raw::TOPOLOGY;

/// Maps that a page describes, with the file of that page.
struct Sections {
    file: &'static str,
    maps: Vec<&'static MapSpec>,
    /// Those of other pages.
    elsewhere: Vec<(&'static str, &'static MapSpec)>,
}

pub(super) fn topology() -> String {
    let mut text = String::from(
        "# Keys of topology files\n\nA topology is a YAML file. Unknown keys are errors, except those that begin with `x-`. \
         `${name}` in a value stands for a variable. [Writing a scenario](../writing-a-scenario.md) explains the parts.\n",
    );
    let mut sections = topology_sections();
    sections.render_all(&mut text);
    text
}

pub(super) fn steps() -> String {
    let mut text = String::from(
        "# Steps\n\nA step is a map with one verb. A verb whose keys are all optional may stand alone. \
         Steps are played one after the other.\n",
    );
    let elsewhere = described(topology_sections());
    let mut sections = Sections { file: "steps.md", maps: Vec::new(), elsewhere };
    for verb in VERBS {
        verb_section(verb, &mut sections, &mut text);
    }
    sections.render_all(&mut text);
    text
}

fn topology_sections() -> Sections {
    Sections { file: "topology.md", maps: vec![&TOPOLOGY], elsewhere: Vec::new() }
}

/// Every map that the sections come to describe.
fn described(mut sections: Sections) -> Vec<(&'static str, &'static MapSpec)> {
    sections.render_all(&mut String::new());
    sections.maps.into_iter().map(|map| (sections.file, map)).collect()
}

fn verb_section(verb: &'static Verb, sections: &mut Sections, text: &mut String) {
    put(text, &format!("\n## `{}`\n\n{}\n", verb.name, verb.doc));
    if let Some(short) = &verb.short {
        put(text, &format!("\nIn place of the keys: {}.\n", sections.form(short)));
    }
    if !verb.keys.keys.is_empty() {
        sections.table(verb.keys.keys, text);
    }
    put(text, &format!("\n```yaml\n{}\n```\n", verb.example.trim_end()));
}

impl Sections {
    /// A section for each map; describing one may add further ones.
    fn render_all(&mut self, text: &mut String) {
        let mut at = 0;
        while let Some(map) = self.maps.get(at).copied() {
            put(text, &format!("\n## {}\n", heading(map)));
            self.table(map.keys, text);
            at += 1;
        }
    }

    fn table(&mut self, keys: &'static [KeySpec], text: &mut String) {
        text.push_str("\n| key | value | meaning | example |\n| --- | --- | --- | --- |\n");
        for key in keys {
            let needed = if key.needed { " (required)" } else { "" };
            let example = format!("`{}: {}`", key.name, key.example);
            row(text, &[&format!("`{}`{needed}", key.name), &self.form(&key.form), &plain(key.doc), &example]);
        }
    }

    /// What a value looks like, in words.
    fn form(&mut self, form: &'static ValueForm) -> String {
        match form {
            ValueForm::Open => "any value".to_owned(),
            ValueForm::Absent => "nothing".to_owned(),
            ValueForm::Text | ValueForm::Matching(_) => "text".to_owned(),
            ValueForm::Name => "a name".to_owned(),
            ValueForm::Flag => "`true` or `false`".to_owned(),
            ValueForm::Count(least, u64::MAX) => format!("a whole number from {least}"),
            ValueForm::Count(least, most) => format!("a whole number from {least} to {most}"),
            ValueForm::Number(most) => format!("a number up to {most}"),
            ValueForm::Quantity { what, .. } => (*what).to_owned(),
            ValueForm::Words(words) => quoted(&words()),
            ValueForm::JoinedWords(words) => format!("`none`, or words joined by `+`: {}", quoted(&words())),
            ValueForm::List(_, item) => format!("a list of: {}", self.form(item)),
            ValueForm::Map(map) => self.link(map),
            ValueForm::NamedMaps(map) => format!("names, each with {}", self.link(map)),
            ValueForm::Entries(value) => format!("names, each with: {}", self.form(value)),
            ValueForm::Settings => "[settings](settings.md)".to_owned(),
            ValueForm::Steps => "a list of [steps](steps.md)".to_owned(),
            ValueForm::Either(forms) => {
                let forms: Vec<String> = forms.iter().map(|form| self.form(form)).collect();
                forms.join("; or ")
            }
        }
    }

    fn link(&mut self, map: &'static MapSpec) -> String {
        let anchor = heading(map).to_lowercase().replace(' ', "-");
        if let Some((file, _)) = self.elsewhere.iter().find(|(_, known)| std::ptr::eq(*known, map)) {
            return format!("[{}]({file}#{anchor})", map.what);
        }
        if !self.maps.iter().any(|known| std::ptr::eq(*known, map)) {
            self.maps.push(map);
        }
        format!("[{}](#{anchor})", map.what)
    }
}

/// `a network` → `Network`
fn heading(map: &MapSpec) -> String {
    let name = map.what.strip_prefix("a ").or_else(|| map.what.strip_prefix("an ")).unwrap_or(map.what);
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// A text in a table, in which braces of variables need no care but line ends do.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn put(text: &mut String, more: &str) {
    text.write_str(more).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_and_key_is_described() {
        let (topology, steps) = (topology(), steps());
        for verb in VERBS {
            assert!(steps.contains(&format!("\n## `{}`\n", verb.name)), "{}", verb.name);
            for key in verb.keys.keys {
                assert!(steps.contains(&format!("| `{}`", key.name)), "{}: {}", verb.name, key.name);
            }
        }
        for key in ["networks", "behind", "udp_timeout", "port_block", "burst", "behaviour", "sybil"] {
            assert!(topology.contains(&format!("| `{key}`")), "{key}");
        }
        assert!(steps.contains("## Weibull distribution"), "maps within steps have their sections");
    }

    #[test]
    fn every_link_within_the_pages_has_its_section() {
        let pages = [("topology.md", topology()), ("steps.md", steps())];
        for (file, text) in &pages {
            for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let Some((of, anchor)) = target.split_once('#') else { continue };
                let of = if of.is_empty() { file } else { of };
                let (_, page) = pages.iter().find(|(name, _)| *name == of).unwrap();
                let slug = |line: &str| line.strip_prefix("## ").map(|title| title.to_lowercase().replace(' ', "-"));
                assert!(page.lines().filter_map(slug).any(|found| found == anchor), "{file}: {target}");
            }
        }
    }
}
