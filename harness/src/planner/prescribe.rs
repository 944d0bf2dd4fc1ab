//! The prescribed graph of a topology: drawn from the seed, or read from a file of links.

use std::collections::BTreeMap;
use std::path::Path;

use crate::op::Op;
use crate::plan::{GRAPH_LINKS_MAX, GraphError, GraphForm, NodePlan, PrescribedGraph, Step, TopologyFile};
use crate::planner::assemble::Assembled;
use crate::steps::StepEntry;
use crate::topology::check::FRESH;
use crate::topology::diagnostics::{Diagnostic, DiagnosticSink, quoted};
use crate::topology::file_text;
use crate::topology::raw::graph::RawGraph;

/// Longest file of links, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Draws or reads the graph. `folder` has the topology and files beside it. `None` if there is no such graph, or the topology has
/// what a graph cannot have; that is reported.
pub(super) fn prescribe(
    raw: &RawGraph,
    folder: &Path,
    assembled: &Assembled,
    entries: &[StepEntry],
    seed: u64,
    problems: &mut DiagnosticSink,
) -> Option<PrescribedGraph> {
    check_nats(raw, assembled, problems);
    for (entry, step) in entries.iter().zip(&assembled.steps) {
        if brings_new_nodes(step) {
            problems.add(
                Diagnostic::at(&entry.span, "new nodes have no place in a prescribed graph")
                    .related(&raw.span, "prescribes the neighbours of every node")
                    .help("let nodes come back as they were (churn: replace: same), or leave `fresh` out"),
            );
        }
    }
    for (entry, step) in entries.iter().zip(&assembled.steps) {
        if step.ops.iter().any(|timed| matches!(timed.op, Op::Move { .. })) {
            problems.add(
                Diagnostic::at(&entry.span, "neighbours are prescribed by their addresses, which this step changes")
                    .related(&raw.span, "prescribes the neighbours of every node")
                    .help("leave the step or `graph` out"),
            );
        }
    }
    let nodes = &assembled.nodes;
    let count = nodes.iter().filter(|node| node.group != FRESH).count();
    let networks: Vec<usize> = nodes[..count].iter().map(|node| node.network.0).collect();
    let graph = match &raw.form {
        GraphForm::Edges(name) => read_edges(name, folder, &nodes[..count]),
        form => PrescribedGraph::draw(form.clone(), &networks, seed).map_err(|error| {
            let remedy = remedy(&error).to_owned();
            Diagnostic::at(&raw.span, error.to_string()).help(remedy)
        }),
    };
    match graph {
        Ok(mut graph) => {
            graph.neighbours.resize(nodes.len(), Vec::new());
            Some(graph)
        }
        Err(problem) => {
            problems.add(Diagnostic { span: Some(raw.span.clone()), ..problem });
            None
        }
    }
}

/// Neighbours are dialled at their own addresses.
fn check_nats(raw: &RawGraph, assembled: &Assembled, problems: &mut DiagnosticSink) {
    let networks = &assembled.networks;
    if let Some(network) = networks.iter().find(|network| network.behind.as_ref().is_some_and(|to| to.nat.is_some())) {
        problems.add(
            Diagnostic::at(
                &raw.span,
                format!(
                    "the network {} has a NAT, and neighbours are prescribed by their own addresses",
                    quoted(&network.name)
                ),
            )
            .help("leave `nat` out, so that its router routes plainly, or leave `graph` out"),
        );
    }
}

fn brings_new_nodes(step: &Step) -> bool {
    step.ops.iter().any(|timed| matches!(timed.op, Op::Start { fresh: true, .. }))
}

fn remedy(error: &GraphError) -> &'static str {
    match error {
        GraphError::TooFewNodes { .. } => "use more nodes, or fewer neighbours",
        GraphError::OddEnds { .. } => "use an even number of nodes, or of neighbours",
        GraphError::LinksOutOfRange { .. } => "the number in parentheses is that of all links",
        GraphError::Apart => "use more neighbours: three of each node, or one on another network",
        GraphError::TooManyLinks => "use fewer nodes or neighbours",
    }
}

/// Reads a file of links: two nodes in each line, by their names or by their numbers in the plan from 0, with blanks, a tabulator
/// or a comma between. `#` begins a comment. The place of the problem is the caller's.
fn read_edges(name: &str, folder: &Path, nodes: &[NodePlan]) -> Result<PrescribedGraph, Diagnostic> {
    let path = folder.join(name);
    let problem = |what: String| Diagnostic::nowhere(what);
    let text =
        file_text(&path, FILE_BYTES_MAX).map_err(|why| problem(format!("cannot read {}: {why}", path.display())))?;
    let numbers: BTreeMap<&str, usize> =
        nodes.iter().enumerate().map(|(number, node)| (node.name.as_str(), number)).collect();
    let node_of = |word: &str| {
        let number = word.parse().ok().filter(|number: &usize| *number < nodes.len());
        number.or_else(|| numbers.get(word).copied())
    };
    let mut links = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let words: Vec<&str> = text.split('#').next().unwrap_or_default().split([' ', '\t', ',']).collect();
        let words: Vec<&str> = words.into_iter().map(str::trim).filter(|word| !word.is_empty()).collect();
        let at = |what: String| problem(format!("{name}, line {line}: {what}"));
        let &[one, other] = words.as_slice() else {
            if words.is_empty() {
                continue;
            }
            let example = "write two nodes in each line, such as a-1 b-2, or 0 7 by their numbers in the plan";
            return Err(at(format!("{} is no link", quoted(text))).help(example));
        };
        let find = |word: &str| node_of(word).ok_or_else(|| at(format!("there is no node {}", quoted(word))));
        let (one, other) = (find(one)?, find(other)?);
        if one == other {
            return Err(at("a node is no neighbour of its own".to_owned()));
        }
        if links.len() >= 2 * GRAPH_LINKS_MAX {
            return Err(problem(GraphError::TooManyLinks.to_string()));
        }
        links.push((one, other));
    }
    if links.is_empty() {
        return Err(problem(format!("{name} has no link")));
    }
    let graph = PrescribedGraph::of_links(GraphForm::Edges(name.to_owned()), nodes.len(), &links);
    Ok(PrescribedGraph { file: Some(TopologyFile { name: name.to_owned(), text }), ..graph })
}
