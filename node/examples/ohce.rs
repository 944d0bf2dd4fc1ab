//! Reverse echo: every known peer answers a line of text with its reverse.
//!
//! ```text
//! cargo run -p butter --example ohce              # on two machines of a LAN, or twice on one
//! cargo run -p butter --example ohce -- --lan lo  # without leaving this machine
//! ```
//! Each line of standard input goes to every known host, and each answer is printed with the id of its sender. A message given as
//! argument is sent once, as soon as a host is known, and the program ends. After the end of the input it still answers others.

use std::io::BufRead;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::Parser;
use tokio::sync::mpsc;

use butter::Node;
use butter::app::{Answer, NodeHandle};
use butter::core::identity::NodeId;
use butter::overlay::data::DataOverlay;

/// The server behaviour's route, as in Butter.
const ROUTE: &str = "reverse-message/";
/// Pause between checks for the first host.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Most lines that wait to be sent.
const LINES_MAX: usize = 16;

/// Answers every message with its reverse.
#[derive(Debug, Parser)]
struct Arguments {
    /// Send this once to every known host, print the answers, and end
    message: Option<String>,
    /// Listen for peers here (UDP); port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:0")]
    listen: SocketAddr,
    /// Restrict discovery to these interfaces, such as `lo` [default: all but loopback]
    #[arg(long, value_name = "IF", value_delimiter = ',')]
    lan: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    Node::builder()
        .listen(arguments.listen)
        .lan(arguments.lan)
        .behaviour(ROUTE, |_from, body| async move { reverse(&body) })
        .client(|peer| async move {
            match arguments.message {
                Some(message) => {
                    first_host(&peer).await;
                    say(&peer, message).await;
                    peer.leave().await;
                }
                None => say_lines(&peer).await,
            }
        })
        .run()
        .await
        .context("the node did not start")
}

/// The server behaviour.
fn reverse(body: &Bytes) -> Answer {
    let text = std::str::from_utf8(body)?;
    Ok(text.chars().rev().collect::<String>().into())
}

/// The client behaviour: sends each line to every known host.
async fn say_lines(peer: &NodeHandle<DataOverlay>) {
    let (lines, mut typed) = mpsc::channel(LINES_MAX);
    // Reading standard input blocks, so it has a thread.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = typed.recv().await {
        say(peer, line).await;
    }
}

/// Sends to all hosts at once and prints answers as they arrive.
async fn say(peer: &NodeHandle<DataOverlay>, message: String) {
    let hosts = peer.known_hosts().await.unwrap_or_default();
    if hosts.is_empty() {
        eprintln!("no host is known yet; start another ohce on this LAN");
    }
    let mut asked = tokio::task::JoinSet::new();
    for host in hosts {
        let (peer, message) = (peer.clone(), message.clone());
        asked.spawn(async move { print(host.id, peer.ask(host.id, ROUTE, message).await) });
    }
    asked.join_all().await;
}

fn print(host: NodeId, answer: Result<Bytes, impl std::error::Error>) {
    match answer {
        Ok(answer) => println!("{host:?}: {}", String::from_utf8_lossy(&answer)),
        Err(error) => eprintln!("{host:?}: {error}"),
    }
}

async fn first_host(peer: &NodeHandle<DataOverlay>) {
    while peer.known_hosts().await.is_ok_and(|hosts| hosts.is_empty()) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
