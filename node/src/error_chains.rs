//! Every error of this package, each with its causes: no part of a chain may repeat another. The list is complete: a test of the
//! package `butter-cli` compares it with the sources.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::TokioIo;

use crate::core::config::ConfigError;
use crate::core::identity::{BlockId, IdError};
use crate::core::io::AskError;
use crate::core::message::Refusal;
use crate::core::storage::{StoreError, StoreFault};
use crate::core::wire::WireError;
use crate::driver::StartError;
use crate::driver::api::{ApiError, BadAddress};
use crate::driver::command::CommandError;
use crate::driver::handle::NodeStopped;
use crate::driver::identity::IdentityError;
use crate::driver::multicast::LanError;
use crate::driver::portmap::MapError;
use crate::driver::store::{DiskStoreError, OpenStoreError};
use crate::driver::store_lock::StoreLockError;
use crate::driver::transport::TransportError;
use crate::http::client::HttpError;
use crate::http::server::BodyError;
use crate::overlay::data::block::{BadManifest, JoinError};
use crate::overlay::data::query::QueryProblem;
use crate::overlay::data::{CopyShortage, GetError, KeywordError, PutError, SearchQuery, SearchRefusal, SearchTally};

fn cause() -> io::Error {
    io::Error::other("the cause of it all")
}

/// An error of hyper: of a server that goes before it answers.
async fn hyper_error() -> hyper::Error {
    let (client, server) = tokio::io::duplex(64);
    drop(server);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(client)).await.unwrap();
    let request = hyper::Request::builder().uri("/").body(Full::new(Bytes::new())).unwrap();
    let (sent, _) = tokio::join!(sender.send_request(request), connection);
    sent.unwrap_err()
}

fn core_errors() -> Vec<Box<dyn Error>> {
    let id: IdError = "xyz".parse::<BlockId>().unwrap_err();
    vec![
        Box::new(id),
        Box::new(ConfigError::UnknownKey("beat".to_owned())),
        Box::new(ConfigError::BadValue { key: "heartbeat", value: "2".to_owned(), reason: "a duration with its unit" }),
        Box::new(AskError::Refused(Refusal::Busy)),
        Box::new(AskError::Unreachable),
        Box::new(AskError::TimedOut),
        Box::new(AskError::TooLarge),
        Box::new(AskError::Busy),
        Box::new(WireError::Empty),
        Box::new(WireError::TooLong(1)),
        Box::new(WireError::Version(9)),
        Box::new(WireError::Trailing(3)),
        Box::new(WireError::Malformed(bincode::error::DecodeError::UnexpectedEnd { additional: 1 })),
        Box::new(WireError::Unencodable(bincode::error::EncodeError::UnexpectedEnd)),
        Box::new(PutError::TooLarge),
        Box::new(PutError::TooFewCopies { id: BlockId([7; 32]), shortage: CopyShortage::default() }),
        Box::new(PutError::Busy),
        Box::new(PutError::Full { wanted: 9, free: 4 }),
        Box::new(PutError::Storage(StoreFault::DiskFull)),
        Box::new(PutError::Storage(StoreFault::Failed)),
        Box::new(PutError::Storage(StoreFault::Busy)),
        Box::new(StoreError { fault: StoreFault::DiskFull, reason: "no space left".to_owned() }),
        Box::new(StoreFault::Failed),
        Box::new(GetError::NotFound(SearchTally::default())),
        Box::new(GetError::ProbablyAbsent(SearchTally::default())),
        Box::new(GetError::Incomplete(SearchTally::default())),
        Box::new(GetError::Busy),
        Box::new(BadManifest),
        Box::new(JoinError::Needs(BlockId([7; 32]))),
        Box::new(JoinError::Bad(BadManifest)),
    ]
}

fn search_errors() -> Vec<Box<dyn Error>> {
    let keyword = || KeywordError::TooLong("rust".to_owned(), 99);
    vec![
        Box::new(SearchRefusal::Busy),
        Box::new(SearchRefusal::Limit(0)),
        Box::new(SearchRefusal::Time(Duration::ZERO)),
        Box::new(QueryProblem::TooLong),
        Box::new(QueryProblem::Missing("AND")),
        Box::new(QueryProblem::Empty),
        Box::new(QueryProblem::Unclosed),
        Box::new(QueryProblem::Unopened),
        Box::new(QueryProblem::Unquoted),
        Box::new(QueryProblem::TooManyTerms),
        Box::new(QueryProblem::TooDeep),
        Box::new(QueryProblem::OnlyExcludes),
        Box::new(QueryProblem::Keyword(keyword())),
        Box::new("(rust".parse::<SearchQuery>().unwrap_err()),
        Box::new(KeywordError::TooMany(99)),
        Box::new(KeywordError::Empty),
        Box::new(keyword()),
        Box::new(KeywordError::BadCharacter("a,b".to_owned(), ',')),
    ]
}

fn driver_errors() -> Vec<Box<dyn Error>> {
    let address = "127.0.0.1:4080".parse().unwrap();
    let ended: CommandError<GetError> = CommandError::NodeStopped;
    let group = "224.0.0.1:9999".parse().unwrap();
    let bad: BadAddress = "nowhere".parse::<crate::driver::api::ApiAddress>().unwrap_err();
    let api = || crate::driver::api::ApiAddress::Tcp(address);
    let bind = || TransportError::Bind { address, source: cause() };
    let no_interface = || LanError::NoInterface { name: "eth7".to_owned(), there: vec!["lo".to_owned()] };
    let disk = || DiskStoreError::Open { path: "/store/blocks.redb".into(), source: redb::Error::Io(cause()) };
    let identity = || IdentityError::Io { path: "/store/key".into(), source: cause() };
    vec![
        Box::new(bad),
        Box::new(StartError::Transport(bind())),
        Box::new(StartError::Lan(no_interface())),
        Box::new(StartError::Identity(identity())),
        Box::new(StartError::Store(StoreLockError::InUse { store: "/store".into() }.into())),
        Box::new(StartError::StoreThread(cause())),
        Box::new(StartError::Addresses(cause())),
        Box::new(StartError::Signals(cause())),
        Box::new(StartError::Api(ApiError::Bind { address: api(), source: cause() })),
        Box::new(ApiError::NoToken(api())),
        Box::new(ApiError::ShortToken),
        Box::new(ApiError::Bind { address: api(), source: cause() }),
        Box::new(identity()),
        Box::new(IdentityError::Exposed { path: "/store/key".into() }),
        Box::new(IdentityError::NoKey { path: "/store/key".into() }),
        Box::new(IdentityError::NoRandomness),
        Box::new(StoreLockError::InUse { store: "/store".into() }),
        Box::new(StoreLockError::Io { path: "/store/lock".into(), source: cause() }),
        Box::new(OpenStoreError::Lock(StoreLockError::Io { path: "/store/lock".into(), source: cause() })),
        Box::new(OpenStoreError::Disk(disk())),
        Box::new(disk()),
        Box::new(DiskStoreError::Version { path: "/store/blocks.redb".into(), found: 9 }),
        Box::new(DiskStoreError::Aside { path: "/store/blocks.redb".into(), source: cause() }),
        Box::new(no_interface()),
        Box::new(LanError::NoGroup(group)),
        Box::new(LanError::Io { group, source: cause() }),
        Box::new(MapError::Io(cause())),
        Box::new(MapError::NoAnswer),
        Box::new(MapError::Refused("not authorized".to_owned())),
        Box::new(MapError::Nonsense("no port")),
        Box::new(bind()),
        Box::new(TransportError::Tls(rustls::Error::General("no cipher".to_owned()))),
        Box::new(NodeStopped),
        Box::new(CommandError::Op(GetError::NotFound(SearchTally::default()))),
        Box::new(ended),
    ]
}

async fn http_errors() -> Vec<Box<dyn Error>> {
    let request = hyper::Request::builder().uri("not a path").body(()).unwrap_err();
    vec![
        Box::new(HttpError::Connect(cause().into())),
        Box::new(HttpError::ConnectTimeout(std::time::Duration::from_secs(2))),
        Box::new(HttpError::Request(request)),
        Box::new(HttpError::Broken(hyper_error().await)),
        Box::new(HttpError::AnswerTooLong(9)),
        Box::new(BodyError::OverBudget),
        Box::new(BodyError::Broken(hyper_error().await)),
    ]
}

#[tokio::test]
async fn no_error_repeats_its_cause() {
    for error in core_errors().into_iter().chain(search_errors()).chain(driver_errors()).chain(http_errors().await) {
        let repeated = butter_cli::chain::repeated_part(error.as_ref());
        assert_eq!(repeated, None, "{}", butter_cli::chain::one_line(error.as_ref()));
    }
}
