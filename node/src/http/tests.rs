//! Server and client against each other, and against clients and servers that misbehave.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::client::{ClientLimits, ConnectError, Connector, HttpClient, HttpError};
use super::server::{BodyError, HttpLimits, HttpListener, HttpServer, RequestBody};

const LIMITS: HttpLimits = HttpLimits {
    connections: 8,
    connections_per_address: 4,
    head_deadline: Duration::from_secs(600),
    connection_deadline: None,
    head_bytes: 16 << 10,
    body_bytes: 1_000,
};

struct Direct(SocketAddr);

impl Connector for Direct {
    type Stream = TcpStream;

    fn host(&self) -> String {
        self.0.to_string()
    }

    async fn connect(&self) -> Result<TcpStream, ConnectError> {
        Ok(TcpStream::connect(self.0).await?)
    }
}

/// Adds a permit for each connection.
struct Counted(SocketAddr, Arc<Semaphore>);

impl Connector for Counted {
    type Stream = TcpStream;

    fn host(&self) -> String {
        self.0.to_string()
    }

    async fn connect(&self) -> Result<TcpStream, ConnectError> {
        let stream = TcpStream::connect(self.0).await?;
        self.1.add_permits(1);
        Ok(stream)
    }
}

fn client(server: SocketAddr, token: Option<&str>) -> HttpClient<Direct> {
    let limits = ClientLimits { connect_deadline: Duration::from_secs(60), answer_bytes: 1_000 };
    HttpClient::new(Direct(server), token, limits).unwrap()
}

/// Answers with the length of the body and the token; 503 if the server has no room for the body.
async fn answer(request: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    let token = request.headers().get("authorization").map(|token| token.to_str().unwrap().to_owned());
    let mut response = Response::default();
    match request.into_body().collect().await {
        Ok(body) => *response.body_mut() = format!("{} {}", body.to_bytes().len(), token.unwrap_or_default()).into(),
        Err(BodyError::OverBudget) => *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
        Err(BodyError::Broken(_)) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    Ok(response)
}

async fn server(limits: HttpLimits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { HttpServer::new(limits).serve(&HttpListener::Tcp(listener), service_fn(answer)).await });
    address
}

async fn connect(server: SocketAddr, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = timeout(Duration::from_millis(200), stream.read(&mut [0; 1])).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn silent_and_slow_clients_do_not_keep_others_out() {
    let server = server(LIMITS).await;
    let slow = "POST / HTTP/1.1\r\ncontent-length: 100\r\n\r\nslow";
    let mut silent = Vec::new();
    for number in 0..2 * LIMITS.connections {
        silent.push(connect(server, if number % 2 == 0 { "" } else { slow }).await);
    }
    let begun = Instant::now();
    for _ in 0..3 {
        let answer = client(server, None).call(Method::GET, "/", Bytes::new()).await.unwrap();
        assert_eq!(answer.body, "0 ");
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(is_closed(&mut silent[0]).await, "the one that has waited longest");
    assert!(!is_closed(silent.last_mut().unwrap()).await, "one of the last");
}

#[tokio::test]
async fn a_request_under_way_is_not_closed_to_make_room() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let [gate, begun, connected] = [(); 3].map(|()| Arc::new(Semaphore::new(0)));
    let (held, at_work) = (Arc::clone(&gate), Arc::clone(&begun));
    let limits = HttpLimits { connections: 1, ..LIMITS };
    tokio::spawn(async move {
        let wait = move |_: Request<RequestBody>| {
            let held = Arc::clone(&held);
            at_work.add_permits(1);
            async move {
                held.acquire().await.unwrap().forget();
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("done")))
            }
        };
        HttpServer::new(limits).serve(&HttpListener::Tcp(listener), service_fn(wait)).await
    });
    let [first, second] = [(); 2].map(|()| {
        let limits = ClientLimits { connect_deadline: Duration::from_secs(60), answer_bytes: 1_000 };
        let client = HttpClient::new(Counted(address, Arc::clone(&connected)), None, limits).unwrap();
        tokio::spawn(async move { client.call(Method::GET, "/", Bytes::new()).await })
    });
    // Both are let pass only once both have connected and one is under way.
    let waits = async {
        let _both = connected.acquire_many(2).await.unwrap();
        let _one = begun.acquire().await.unwrap();
    };
    timeout(Duration::from_secs(30), waits).await.expect("both connect, and one is served");
    gate.add_permits(2);
    assert_eq!(first.await.unwrap().unwrap().body, "done");
    assert_eq!(second.await.unwrap().unwrap().body, "done");
}

#[tokio::test]
async fn request_bodies_in_memory_are_bounded_together() {
    let server = server(LIMITS).await;
    let mut first = connect(server, "POST / HTTP/1.1\r\ncontent-length: 800\r\n\r\n").await;
    first.write_all(&[b'x'; 700]).await.unwrap();
    let second = client(server, None);
    let refused = async {
        // Until the server has read the first.
        while second.call(Method::POST, "/", vec![b'x'; 400].into()).await.unwrap().status != 503 {}
    };
    timeout(Duration::from_secs(30), refused).await.unwrap();
    assert_eq!(second.call(Method::POST, "/", vec![b'x'; 200].into()).await.unwrap().body, "200 ");
    drop(first);
    let accepted =
        async { while second.call(Method::POST, "/", vec![b'x'; 900].into()).await.unwrap().status != 200 {} };
    timeout(Duration::from_secs(30), accepted).await.expect("what a client that left had sent is not counted");
}

#[tokio::test]
async fn the_token_is_sent_and_an_answer_that_is_too_long_is_refused() {
    let server = server(HttpLimits { body_bytes: 1 << 20, ..LIMITS }).await;
    let answer = client(server, Some("secret")).call(Method::GET, "/", Bytes::new()).await.unwrap();
    assert_eq!(answer.body, "0 Bearer secret");
    let long = client(server, Some(&"x".repeat(1_000))).call(Method::GET, "/", Bytes::new()).await;
    assert!(matches!(long, Err(HttpError::AnswerTooLong(1_000))), "{long:?}");
}

/// How a server treats a request.
#[derive(Clone, Copy)]
enum Manners {
    KeepsConnection,
    /// Closes the connection after each answer without having said so.
    ClosesAfterAnswer,
    /// Closes the connection instead of answering.
    ClosesInsteadOfAnswer,
}

/// A server written by hand; counts connections and requests.
async fn raw_server(manners: Manners) -> (SocketAddr, Arc<[AtomicUsize; 2]>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, counts) = (listener.local_addr().unwrap(), Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]));
    let counted = Arc::clone(&counts);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted[0].fetch_add(1, Ordering::SeqCst);
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                loop {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    counted[1].fetch_add(1, Ordering::SeqCst);
                    if matches!(manners, Manners::ClosesInsteadOfAnswer) {
                        return;
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                    if matches!(manners, Manners::ClosesAfterAnswer) {
                        return;
                    }
                }
            });
        }
    });
    (address, counts)
}

#[track_caller]
fn check(counts: &[AtomicUsize; 2], connections: usize, requests: usize) {
    assert_eq!(counts.each_ref().map(|count| count.load(Ordering::SeqCst)), [connections, requests]);
}

#[tokio::test]
async fn a_connection_is_kept_until_it_is_closed_by_either_side() {
    let (server, counts) = raw_server(Manners::KeepsConnection).await;
    let http = client(server, None);
    for _ in 0..3 {
        http.call(Method::GET, "/", Bytes::new()).await.unwrap();
    }
    check(&counts, 1, 3);
    http.close_idle();
    http.call(Method::GET, "/", Bytes::new()).await.unwrap();
    check(&counts, 2, 4);

    let (server, counts) = raw_server(Manners::ClosesAfterAnswer).await;
    let http = client(server, None);
    for _ in 0..5 {
        http.call(Method::GET, "/", Bytes::new()).await.unwrap();
    }
    check(&counts, 5, 5);
}

#[tokio::test]
async fn a_request_that_may_have_been_carried_out_is_not_sent_again() {
    let (server, counts) = raw_server(Manners::ClosesInsteadOfAnswer).await;
    let broken = client(server, None).call(Method::POST, "/", Bytes::new()).await;
    assert!(matches!(broken, Err(HttpError::Broken(_))), "{broken:?}");
    check(&counts, 1, 1);
}
