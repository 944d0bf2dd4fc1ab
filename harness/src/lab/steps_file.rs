//! A file that has steps alone: the lab's topology is added to it.

use crate::topology::diagnostics::DiagnosticSink;
use crate::topology::tree::{self, YamlKey, YamlNode, YamlValue};

/// Keys that are a run's and no topology's: a file to play has its own.
const OF_A_RUN: &[&str] = &["steps", "checks", "runs", "sweep"];

/// The text to plan: the file itself if it has a topology. Otherwise the lab's topology follows it, so that places in messages
/// stay those of the file.
pub(super) fn complete(file: &str, lab: &str) -> String {
    let Some(keys) = keys(file).filter(|keys| !keys.iter().any(|key| key.name == "networks" || key.name == "nodes"))
    else {
        return file.to_owned();
    };
    let own = |name: &str| OF_A_RUN.contains(&name) || keys.iter().any(|key| key.name == name);
    let mut text = file.trim_end().to_owned() + "\n";
    for (name, part) in parts(lab).into_iter().filter(|(name, _)| !own(name)) {
        tracing::debug!(name, "taken from the topology of the lab");
        text.push_str(part.trim_end());
        text.push('\n');
    }
    text
}

/// The keys of a text's map; `None` if it cannot be read.
fn keys(text: &str) -> Option<Vec<YamlKey>> {
    match tree::parse(text, &mut DiagnosticSink::default())? {
        YamlNode { value: YamlValue::Map(entries), .. } => Some(entries.into_iter().map(|(key, _)| key).collect()),
        _ => None,
    }
}

/// Each key of a map with the text from there to the next key.
fn parts(text: &str) -> Vec<(String, &str)> {
    let keys = keys(text).unwrap_or_default();
    let ends = keys.iter().skip(1).map(|key| key.span.start).chain([text.len()]);
    keys.iter().zip(ends).map(|(key, end)| (key.name.clone(), &text[key.span.start..end])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAB: &str = "name: lan\nseed: 3\nnetworks:\n  home: {}\nnodes:\n  a: {on: home}\nsteps:\n- join: {}\nconfig: {heartbeat: 1s}\n";

    #[test]
    fn a_file_of_steps_gets_the_topology_of_the_lab() {
        let text = complete("seed: 7\nsteps:\n  - settle: {for: 1s}\n", LAB);
        let expected = "seed: 7\nsteps:\n  - settle: {for: 1s}\nname: lan\nnetworks:\n  home: {}\nnodes:\n  a: {on: home}\nconfig: {heartbeat: 1s}\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_whole_topology_and_a_faulty_file_stay_as_they_are() {
        for text in [LAB, "steps: [", "- a list"] {
            assert_eq!(complete(text, LAB), text);
        }
    }
}
