//! The drawing in Graphviz' language.

use std::fmt::Write as _;

use super::{GroupKind, TopologyGraph};

/// The whole graph. Each network is a cluster with a point that its nodes, its router and the routers behind it hang on.
pub fn draw(graph: &TopologyGraph) -> String {
    let mut text = format!("graph {} {{\n", quoted(&graph.name));
    text.push_str("  graph [fontname=\"sans-serif\", labeljust=l, style=\"rounded,filled\", color=\"#b8c0c6\", fillcolor=\"#f7f8f8\"];\n");
    text.push_str(
        "  node [fontname=\"sans-serif\", fontsize=11, shape=box, style=\"rounded,filled\", fillcolor=\"#ffffff\"];\n",
    );
    text.push_str("  edge [color=\"#5b6670\"];\n");
    for root in graph.inner(None) {
        cluster(graph, root, 1, &mut text);
    }
    text.push_str("}\n");
    text
}

fn cluster(graph: &TopologyGraph, index: usize, depth: usize, text: &mut String) {
    let (network, indent) = (&graph.networks[index], "  ".repeat(depth));
    let label = format!("{}\n{}", network.title(), network.facts);
    let _ = writeln!(text, "{indent}subgraph cluster_{index} {{");
    let _ = writeln!(text, "{indent}  label={};", quoted(&label));
    let _ = writeln!(text, "{indent}  hub_{index} [shape=point, width=0.08, label=\"\"];");
    if let Some(door) = &network.door {
        let _ = writeln!(
            text,
            "{indent}  router_{index} [label={}, fillcolor=\"#eff1f1\", style=filled];",
            quoted(&door.label())
        );
        let _ = writeln!(text, "{indent}  router_{index} -- hub_{index};");
    }
    for (at, group) in network.groups.iter().enumerate() {
        let _ =
            writeln!(text, "{indent}  group_{index}_{at} [label={}, {}];", quoted(&group.label()), look(group.kind));
        let _ = writeln!(text, "{indent}  hub_{index} -- group_{index}_{at};");
    }
    for inner in graph.inner(Some(index)) {
        cluster(graph, inner, depth + 1, text);
        let _ = writeln!(text, "{indent}  hub_{index} -- router_{inner};");
    }
    let _ = writeln!(text, "{indent}}}");
}

fn look(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Plain => "color=\"#0072b2\"",
        GroupKind::Ambassador => "color=\"#00896a\", penwidth=2",
        GroupKind::Hostile => "color=\"#bf4a00\", penwidth=2",
        GroupKind::Later => "color=\"#0072b2\", style=\"rounded,dashed\"",
    }
}

/// A quoted string of Graphviz; `\n` breaks its lines.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push(' '),
            // Graphviz reads entities of HTML in every label.
            '&' => quoted.push_str("&amp;"),
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
    fn every_network_is_a_cluster_in_its_outer_one_and_hangs_on_it() {
        let text = draw(&shipped("cgnat"));
        let graph = shipped("cgnat");
        for (index, network) in graph.networks.iter().enumerate() {
            assert_eq!(text.matches(&format!("subgraph cluster_{index} {{")).count(), 1, "{text}");
            if let Some(door) = &network.door {
                assert!(text.contains(&format!("hub_{} -- router_{index};", door.behind)), "{text}");
            }
        }
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }

    #[test]
    fn texts_of_the_file_cannot_leave_their_quotes() {
        let region = "networks: {lan: {region: 'a\"]; \\ & b'}}\nnodes: {n: {on: lan}}\nsteps: [settle: {for: 1s}]\n";
        assert!(draw(&of_text(region)).contains(r#"a\"]; \\ &amp; b"#));
    }
}
