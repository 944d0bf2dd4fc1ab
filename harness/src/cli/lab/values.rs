//! `harness put`, `get` and `search`: values through a node of a lab.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use butter::api::{BLOBS_PATH, ErrorBody, PutBody, SearchLine, keywords_path, search_path};
use butter::core::identity::BlockId;
use butter::http::client::{HttpAnswer, HttpClient};
use butter::overlay::data::search::SEARCH_LIMIT_MAX;
use butter::overlay::data::{Keywords, SearchQuery, VALUE_MAX};
use butter_cli::{output, values};
use bytes::Bytes;
use clap::Args as ClapArgs;
use hyper::{Method, StatusCode};

use super::super::error::CommandError;
use super::super::{Exit, fail, show, tell};
use super::LabArg;
use crate::lab::client::{EMPTY, NodeStreams, node_client};

#[derive(Debug, ClapArgs)]
pub(in super::super) struct PutArgs {
    #[command(flatten)]
    lab: LabArg,
    /// Node that stores
    #[arg(value_name = "NODE")]
    node: String,
    /// File to store; `-` reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Words by which `harness search` finds it, with commas between them
    #[arg(long, value_name = "WORDS", default_value = "", hide_default_value = true, value_parser = Keywords::from_list)]
    keywords: Keywords,
}

#[derive(Debug, ClapArgs)]
pub(in super::super) struct GetArgs {
    #[command(flatten)]
    lab: LabArg,
    /// Node that searches
    #[arg(value_name = "NODE")]
    node: String,
    /// Id of the value, as printed by `harness put`
    id: BlockId,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Ask every peer before the search ends without success
    #[arg(long)]
    exhaustive: bool,
}

#[derive(Debug, ClapArgs)]
pub(in super::super) struct SearchArgs {
    #[command(flatten)]
    lab: LabArg,
    /// Node that searches
    #[arg(value_name = "NODE")]
    node: String,
    /// Keywords with AND, OR, NOT and parentheses; several words mean AND
    #[arg(required = true)]
    query: Vec<String>,
    /// Most hits
    #[arg(long, value_name = "N", default_value = "20", value_parser = values::count(1..=SEARCH_LIMIT_MAX as u32))]
    limit: u32,
    /// Longest time, up to one minute
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::duration)]
    timeout: Duration,
}

pub(in super::super) async fn put(args: &PutArgs) -> Result<Exit, CommandError> {
    let value = read(&args.file).map_err(|source| CommandError::File { path: args.file.clone(), source })?;
    let client = node_client(&args.lab.find()?, &args.node).await?;
    let answer = ask(&client, &args.node, Method::POST, &keywords_path(&args.keywords), value.into()).await?;
    if !answer.status.is_success() {
        return Ok(refused(&args.node, &answer));
    }
    let put: PutBody = serde_json::from_slice(&answer.body).map_err(anyhow::Error::from)?;
    tell(&format!("stored in {} ms: {} blocks", put.took_us / 1_000, put.blocks.len()));
    show(&format!("{}\n", put.id));
    Ok(Exit::Passed)
}

pub(in super::super) async fn get(args: &GetArgs) -> Result<Exit, CommandError> {
    let client = node_client(&args.lab.find()?, &args.node).await?;
    let exhaustive = if args.exhaustive { "?exhaustive=true" } else { "" };
    let path = format!("{BLOBS_PATH}/{}{exhaustive}", args.id);
    let answer = ask(&client, &args.node, Method::GET, &path, EMPTY).await?;
    if !answer.status.is_success() {
        return Ok(refused(&args.node, &answer));
    }
    match &args.output {
        None => output::data(&answer.body),
        Some(path) => {
            let written = std::fs::File::create(path).and_then(|mut file| file.write_all(&answer.body));
            written.map_err(|source| CommandError::File { path: path.clone(), source })?;
        }
    }
    Ok(Exit::Passed)
}

pub(in super::super) async fn search(args: &SearchArgs) -> Result<Exit, CommandError> {
    let text = args.query.join(" ");
    let query = match SearchQuery::parse(&text) {
        Ok(query) => query,
        Err(error) => {
            super::super::complain(&format!("{error}\n  {text}\n  {}^", " ".repeat(error.at)));
            return Ok(Exit::Usage);
        }
    };
    let client = node_client(&args.lab.find()?, &args.node).await?;
    let path = search_path(&query, args.limit as usize, args.timeout);
    let answer = ask(&client, &args.node, Method::GET, &path, EMPTY).await?;
    if !answer.status.is_success() {
        return Ok(refused(&args.node, &answer));
    }
    let mut hits = 0;
    for line in answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line).map_err(anyhow::Error::from)? {
            SearchLine::Hit(hit) => {
                hits += 1;
                show(&format!("{}  {}\n", hit.id, hit.keywords.join(", ")));
            }
            SearchLine::End(end) => tell(&format!("{} hits: {}", end.hits, end.why)),
        }
    }
    Ok(if hits > 0 { Exit::Passed } else { Exit::Failed })
}

async fn ask(
    client: &HttpClient<NodeStreams>,
    node: &str,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<HttpAnswer, CommandError> {
    // The node keeps the deadline: it answers, or ends the connection.
    client.call(method, path, body).await.map_err(|source| CommandError::LabNode { node: node.to_owned(), source })
}

/// Says why a node did not do it. What peers lack is no failure of the environment.
fn refused(node: &str, answer: &HttpAnswer) -> Exit {
    let body = serde_json::from_slice::<ErrorBody>(&answer.body);
    let body = body.unwrap_or_else(|_| ErrorBody::new(format!("HTTP status {}", answer.status)));
    let exit = match answer.status {
        StatusCode::GATEWAY_TIMEOUT => Exit::Inconclusive,
        StatusCode::BAD_REQUEST => Exit::Usage,
        StatusCode::SERVICE_UNAVAILABLE => Exit::Environment,
        _ => Exit::Failed,
    };
    fail(CommandError::LabNodeRefused { error: format!("{node}: {}", body.error), remedy: body.remedy });
    exit
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let source: Box<dyn Read> = match file == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(std::fs::File::open(file)?),
    };
    let mut value = Vec::new();
    source.take(VALUE_MAX as u64 + 1).read_to_end(&mut value)?;
    match value.len() <= VALUE_MAX {
        true => Ok(value),
        false => Err(io::Error::other(format!("it is longer than {} MiB", VALUE_MAX >> 20))),
    }
}
