//! `harness graph`: a topology as a drawing.

use std::path::PathBuf;

use butter_cli::output;
use clap::{Args as ClapArgs, ValueEnum};

use super::Exit;
use super::inspect::{OverrideArgs, load};
use super::origin::LoadedPlan;
use crate::graph::{TopologyGraph, dot, mermaid, svg};

#[derive(ClapArgs, Debug)]
pub(super) struct Args {
    /// Topology file or record of a run; `-` reads standard input
    file: PathBuf,
    /// What the drawing is written in
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "svg")]
    format: GraphFormat,
    #[command(flatten)]
    overrides: OverrideArgs,
}

/// As `--format` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum GraphFormat {
    /// A drawing for browsers and documents
    Svg,
    /// For Graphviz
    Dot,
    /// For Markdown
    Mermaid,
}

pub(super) fn graph(args: &Args) -> Exit {
    let Ok(LoadedPlan { plan, .. }) = load(&args.file, &args.overrides, true) else { return Exit::Usage };
    let graph = TopologyGraph::of(&plan);
    let drawing = match args.format {
        GraphFormat::Svg => svg::draw(&graph),
        GraphFormat::Dot => dot::draw(&graph),
        GraphFormat::Mermaid => mermaid::draw(&graph),
    };
    output::data(drawing.as_bytes());
    Exit::Passed
}
