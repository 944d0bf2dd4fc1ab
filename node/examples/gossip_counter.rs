//! An overlay from outside the crate: a counter that all nodes share. Its protocol is in `gossip_counter/overlay.rs`.
//!
//! ```text
//! cargo run -p butter --example gossip_counter -- --lan lo   # twice, in two terminals
//! ```
//! Each line of standard input that is a number is added to the counter. The value is printed whenever it changes.

use std::io::BufRead;
use std::time::Duration;

use anyhow::Context;
use butter::Node;
use butter::app::NodeHandle;
use clap::Parser;
use tokio::sync::mpsc;

#[path = "gossip_counter/overlay.rs"]
mod overlay;

use overlay::{CounterCommand, GossipCounter};

/// Shares a counter with all nodes on the LAN
#[derive(Debug, Parser)]
struct Arguments {
    /// Restrict discovery to these interfaces, such as `lo` [default: all but loopback]
    #[arg(long, value_name = "IF", value_delimiter = ',')]
    lan: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let node = Node::builder().overlay(GossipCounter::default()).lan(Arguments::parse().lan).client(count);
    node.run().await.context("the node did not start")
}

/// Adds what the user types and prints every change of the value.
async fn count(node: NodeHandle<GossipCounter>) {
    let (lines, mut typed) = mpsc::channel(16);
    // Reading standard input blocks, so it has a thread of its own.
    std::thread::spawn(move || {
        let numbers = std::io::stdin().lock().lines().map_while(Result::ok).filter_map(|line| line.trim().parse().ok());
        numbers.map(CounterCommand::Increment).try_for_each(|command| lines.blocking_send(command))
    });
    let (mut shown, mut open) = (None, true);
    loop {
        let command = tokio::select! {
            command = typed.recv(), if open => command,
            () = tokio::time::sleep(Duration::from_millis(100)) => Some(CounterCommand::Read),
        };
        open &= command.is_some();
        let Ok(value) = node.command(command.unwrap_or(CounterCommand::Read)).await else { return };
        if shown.replace(value) != Some(value) {
            println!("{value}");
        }
    }
}
