//! `harness ps`: labs and their nodes.

use std::time::Duration;

use butter_cli::output;
use clap::Args as ClapArgs;

use super::super::error::CommandError;
use super::super::{Exit, show, table_style, tell};
use crate::lab::LabError;
use crate::lab::client::list;
use crate::lab::directory::LabDirectory;
use crate::lab::protocol::LabBody;

#[derive(Debug, ClapArgs)]
pub(in super::super) struct Args {
    /// Lab to show [default: all]
    #[arg(value_name = "LAB")]
    lab: Option<String>,
    /// Print JSON: a line for each lab
    #[arg(long)]
    json: bool,
}

pub(in super::super) async fn ps(args: &Args) -> Result<Exit, CommandError> {
    let labs = match &args.lab {
        Some(name) => vec![LabDirectory::find(Some(name))?],
        None => LabDirectory::all()?,
    };
    let (mut bodies, mut exit) = (Vec::new(), Exit::Passed);
    for lab in &labs {
        match list(lab).await {
            Ok(body) => bodies.push(body),
            Err(error @ LabError::Starting(_)) => tell(&format!("note: {error}")),
            Err(error) => exit = exit.max(super::super::fail(error)),
        }
    }
    if args.json {
        for body in &bodies {
            let mut line = serde_json::to_vec(body).expect("plain data is always JSON");
            line.push(b'\n');
            output::data(&line);
        }
    } else if !bodies.is_empty() {
        show(&table(&bodies));
        for body in &bodies {
            tell(&status(body));
        }
    } else if labs.is_empty() {
        tell("no lab is up");
    }
    Ok(exit)
}

/// `lan: one-lan on netns, up for 3m; playing steps.yaml; keeper 4711`
fn status(lab: &LabBody) -> String {
    let up = humantime::format_duration(Duration::from_secs(lab.up_s));
    let playing = lab.playing.as_ref().map_or_else(String::new, |file| format!("; playing {file}"));
    format!("{}: {} on {}, up for {up}{playing}; keeper {}", lab.lab, lab.topology, lab.backend, lab.keeper)
}

/// All nodes and routers.
pub(super) fn table(labs: &[LabBody]) -> String {
    let mut table = table_style().table(["lab", "host", "state", "address", "network"]);
    for lab in labs {
        for node in &lab.nodes {
            let row = [&lab.lab, &node.name, &node.state.to_string(), &node.address.to_string(), &node.network];
            table.add_row(row);
        }
        for network in &lab.networks {
            let behind = network.behind.as_ref().map_or_else(String::new, |outer| format!(", behind {outer}"));
            let network_text = format!("{}{behind}", network.name);
            let row = [&lab.lab, &format!("router-{}", network.name), "", &network.subnet.to_string(), &network_text];
            table.add_row(row);
        }
    }
    format!("{table}\n")
}
