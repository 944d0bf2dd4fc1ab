//! The drawing in Mermaid's language, which Markdown viewers know.

use std::fmt::Write as _;

use super::{GroupKind, TopologyGraph};

/// The flow chart. Each network is a subgraph with a hub that its nodes, its router and the routers behind it hang on: Mermaid
/// takes no edge from a subgraph to what is in it.
pub fn draw(graph: &TopologyGraph) -> String {
    let mut text = "flowchart TB\n".to_owned();
    for root in graph.inner(None) {
        subgraph(graph, root, 1, &mut text);
    }
    text.push_str("  classDef hub fill:#5b6670,stroke:#5b6670,color:#ffffff\n");
    text.push_str("  classDef router fill:#eff1f1,stroke:#5b6670,color:#1c2227\n");
    for kind in [GroupKind::Plain, GroupKind::Ambassador, GroupKind::Hostile, GroupKind::Later] {
        let _ = writeln!(text, "  classDef {} {}", class(kind), look(kind));
    }
    text
}

fn subgraph(graph: &TopologyGraph, index: usize, depth: usize, text: &mut String) {
    let (network, indent) = (&graph.networks[index], "  ".repeat(depth));
    let _ =
        writeln!(text, "{indent}subgraph net{index}[{}]", quoted(&format!("{} ({})", network.title(), network.facts)));
    let _ = writeln!(text, "{indent}  hub{index}(({})):::hub", quoted(&network.name));
    if let Some(door) = &network.door {
        let _ = writeln!(text, "{indent}  router{index}{{{{{}}}}}:::router", quoted(&door.label()));
        let _ = writeln!(text, "{indent}  router{index} --- hub{index}");
    }
    for (at, group) in network.groups.iter().enumerate() {
        let _ = writeln!(text, "{indent}  group{index}x{at}({}):::{}", quoted(&group.label()), class(group.kind));
        let _ = writeln!(text, "{indent}  hub{index} --- group{index}x{at}");
    }
    for inner in graph.inner(Some(index)) {
        subgraph(graph, inner, depth + 1, text);
    }
    let _ = writeln!(text, "{indent}end");
    for inner in graph.inner(Some(index)) {
        let _ = writeln!(text, "{indent}hub{index} --- router{inner}");
    }
}

fn class(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Plain => "plain",
        GroupKind::Ambassador => "ambassador",
        GroupKind::Hostile => "hostile",
        GroupKind::Later => "later",
    }
}

fn look(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Plain => "fill:#ffffff,stroke:#0072b2,color:#1c2227",
        GroupKind::Ambassador => "fill:#ffffff,stroke:#00896a,stroke-width:2px,color:#1c2227",
        GroupKind::Hostile => "fill:#ffffff,stroke:#bf4a00,stroke-width:2px,color:#1c2227",
        GroupKind::Later => "fill:#ffffff,stroke:#0072b2,stroke-dasharray:4 3,color:#1c2227",
    }
}

/// A quoted label. What Mermaid or HTML could take for its own is written as a character code.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("<br/>"),
            c if c.is_control() => quoted.push(' '),
            '"' | '#' | '&' | '<' | '>' | '`' | '\\' | ';' | '*' | '_' | '%' => {
                let _ = write!(quoted, "#{};", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::super::testing::{of_text, shipped};
    use super::*;

    #[test]
    fn every_subgraph_ends_and_every_router_hangs_on_its_outer_network() {
        let (graph, text) = (shipped("cgnat"), draw(&shipped("cgnat")));
        let count = |word: &str| text.lines().filter(|line| line.trim().split(['[', ' ']).next() == Some(word)).count();
        assert_eq!((count("subgraph"), count("end")), (graph.networks.len(), graph.networks.len()), "{text}");
        for (index, network) in graph.networks.iter().enumerate() {
            if let Some(door) = &network.door {
                assert!(text.contains(&format!("hub{} --- router{index}\n", door.behind)), "{text}");
            }
        }
    }

    #[test]
    fn texts_of_the_file_cannot_leave_their_quotes() {
        let region = "networks: {lan: {region: '\"] <b> #1'}}\nnodes: {n: {on: lan}}\nsteps: [settle: {for: 1s}]\n";
        assert!(draw(&of_text(region)).contains("#34;] #60;b#62; #35;1"));
    }
}
