//! The reference of all verbs, made from the table that the parser reads.

use std::fmt::Write as _;

use super::VERBS;

/// Every verb with its keys, an example and what it does, as plain text.
pub fn reference() -> String {
    let mut text = String::new();
    for verb in VERBS {
        let _ = writeln!(text, "{}\n  {}", verb.name, verb.doc);
        let width = verb.keys.keys.iter().map(|key| key.name.len() + key.example.len() + 2).max().unwrap_or(0);
        for key in verb.keys.keys {
            let entry = format!("{}: {}", key.name, key.example);
            let _ = writeln!(text, "    {entry:width$}  {}", key.doc);
        }
        let _ = writeln!(text, "  Example: {}\n", verb.example);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::step::StepReader;
    use super::*;
    use crate::topology::diagnostics::DiagnosticSink;
    use crate::topology::tree::{self, YamlValue};

    #[test]
    fn reference_lists_every_verb_with_every_key() {
        let text = reference();
        for verb in VERBS {
            assert!(text.contains(&format!("{}\n  {}", verb.name, verb.doc)), "{text}");
            for key in verb.keys.keys {
                assert!(text.contains(&format!("    {}: {}", key.name, key.example)), "{text}");
            }
        }
    }

    #[test]
    fn every_example_is_a_step_of_its_verb() {
        for verb in VERBS {
            let mut problems = DiagnosticSink::default();
            let tree = tree::parse(verb.example, &mut problems).unwrap();
            let YamlValue::List(nodes) = &tree.value else { panic!("{}", verb.example) };
            let steps = super::super::read(nodes, verb.example, &mut problems);
            assert!(problems.none(), "{}", problems.into_diagnostics(verb.name, verb.example));
            let is_itself = matches!(verb.read, StepReader::One(_));
            assert!(!is_itself || steps[0].verb.name == verb.name, "{}", verb.name);
        }
    }
}
