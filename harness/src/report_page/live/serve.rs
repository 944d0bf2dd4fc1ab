//! The live page over HTTP: `/` is the page, `/events` what it shows, `/pages/…` the pages of runs that have ended.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use butter::http::server::{HttpLimits, HttpListener, HttpServer, RequestBody};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use super::LivePage;
use super::state::{LiveState, Seen};
use crate::report_page::{PAGE_FILE, run_page};

/// What the server allows its clients: browsers of people who look at the run. A connection that lasts longer ends, and the browser
/// makes another: a client that takes nothing does not keep its place for ever.
const LIMITS: HttpLimits = HttpLimits {
    connections: 128,
    connections_per_address: 32,
    head_deadline: Duration::from_secs(10),
    connection_deadline: Some(Duration::from_secs(3_600)),
    head_bytes: 16 << 10,
    body_bytes: 0,
};
/// Pause after which a comment is sent, so that a connection that is gone is noticed.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// How soon a browser comes back after its connection has ended.
const RETRY: &str = "retry: 1000\n\n";

type PageBody = UnsyncBoxBody<Bytes, Infallible>;

impl LivePage {
    /// Serves on `listener` until the returned future is dropped.
    pub async fn serve(self, listener: TcpListener) -> Infallible {
        let local = listener.local_addr().ok();
        let service = service_fn(move |request: Request<RequestBody>| {
            let page = self.clone();
            async move { Ok::<_, Infallible>(page.answer(&request, local).await) }
        });
        HttpServer::new(LIMITS).serve(&HttpListener::Tcp(listener), service).await
    }

    async fn answer(&self, request: &Request<RequestBody>, local: Option<SocketAddr>) -> Response<PageBody> {
        if local.is_some_and(|local| local.ip().is_loopback()) && !names_this_machine(request) {
            return text(
                StatusCode::FORBIDDEN,
                "this page is served to this machine only, by its address or as localhost",
            );
        }
        if request.method() != Method::GET {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served");
        }
        match request.uri().path() {
            "/" => html(run_page::live_html().into()),
            "/events" => events(self.states.subscribe()),
            path => self.ended_page(path).await,
        }
    }

    async fn ended_page(&self, path: &str) -> Response<PageBody> {
        let pages = Arc::clone(&self.states.borrow().pages);
        let found = decoded(path).and_then(|path| {
            let page = pages.get(&path).map(|page| (page.clone(), "text/html; charset=utf-8"));
            page.or_else(|| Some((log_beside(&pages, &path)?, "text/plain; charset=utf-8")))
        });
        let Some((file, kind)) = found else {
            return text(StatusCode::NOT_FOUND, "there is no such page; the run is at /");
        };
        match tokio::fs::read(&file).await {
            Ok(content) => with_type(Full::from(content).boxed_unsync(), kind),
            Err(error) => text(StatusCode::NOT_FOUND, &format!("{} cannot be read: {error}", file.display())),
        }
    }
}

/// The log that a page beside it leads to: `logs/NAME.log`, and nothing else of the record.
fn log_beside(pages: &BTreeMap<String, PathBuf>, path: &str) -> Option<PathBuf> {
    let (page, log) = path.rsplit_once("/logs/")?;
    let is_log = log.ends_with(".log") && !log.starts_with('.') && !log.contains(['/', '\\']);
    let page = pages.get(&format!("{page}/{PAGE_FILE}")).filter(|_| is_log)?;
    Some(page.parent()?.join("logs").join(log))
}

/// Whether the request is for an address or for `localhost`. A web page elsewhere may have its own name lead here (DNS rebinding).
fn names_this_machine(request: &Request<RequestBody>) -> bool {
    let Some(host) = request.headers().get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// A path without `%` codes; `None` if they are none.
fn decoded(path: &str) -> Option<String> {
    let (first, others) = path.split_once('%').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let mut bytes = first.as_bytes().to_vec();
    for part in others.into_iter().flat_map(|rest| rest.split('%')) {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

/// States as server-sent events. Each client has at most one state on its way: one that it is too slow for, it never gets.
fn events(states: watch::Receiver<Arc<LiveState>>) -> Response<PageBody> {
    let client =
        EventClient { states, seen: Seen::default(), pieces: VecDeque::from([Bytes::from_static(RETRY.as_bytes())]) };
    let pieces = stream::unfold(client, |mut client| async move {
        let piece = client.next().await?;
        Some((Ok(Frame::data(piece)), client))
    });
    with_type(BodyExt::boxed_unsync(StreamBody::new(pieces)), "text/event-stream")
}

/// What one browser gets.
struct EventClient {
    states: watch::Receiver<Arc<LiveState>>,
    seen: Seen,
    pieces: VecDeque<Bytes>,
}

impl EventClient {
    /// The next piece of an event; `None` when no further state comes.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Some(piece);
            }
            let state = Arc::clone(&self.states.borrow_and_update());
            self.pieces = state.news_for(&mut self.seen).into();
            if self.pieces.is_empty() {
                match timeout(COMMENT_EVERY, self.states.changed()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return None,
                    Err(_) => return Some(Bytes::from_static(b":\n\n")),
                }
            }
        }
    }
}

fn html(page: Bytes) -> Response<PageBody> {
    with_type(Full::new(page).boxed_unsync(), "text/html; charset=utf-8")
}

fn text(status: StatusCode, message: &str) -> Response<PageBody> {
    let mut response = with_type(Full::from(format!("{message}\n")).boxed_unsync(), "text/plain; charset=utf-8");
    *response.status_mut() = status;
    response
}

fn with_type(body: PageBody, kind: &'static str) -> Response<PageBody> {
    let mut response = Response::new(body);
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    response.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_and_what_is_no_path_is_refused() {
        assert_eq!(decoded("/pages/a%20b/%C3%A4.html").as_deref(), Some("/pages/a b/ä.html"));
        assert_eq!(decoded("/plain").as_deref(), Some("/plain"));
        for wrong in ["/%", "/%4", "/%zz", "/%ff"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn of_a_record_only_pages_and_logs_are_served() {
        let pages = BTreeMap::from([("/pages/runs/x/report.html".to_owned(), PathBuf::from("/r/x/report.html"))]);
        let log = |path: &str| log_beside(&pages, path);
        assert_eq!(log("/pages/runs/x/logs/n-1.log"), Some(PathBuf::from("/r/x/logs/n-1.log")));
        for other in ["/pages/runs/y/logs/n-1.log", "/pages/runs/x/logs/../run.json", "/pages/runs/x/logs/keys", "/x"] {
            assert_eq!(log(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_slow_client_gets_the_latest_state_and_none_in_between() {
        let (states, watched) = watch::channel(Arc::new(LiveState::default()));
        let mut client = EventClient { states: watched, seen: Seen::default(), pieces: VecDeque::new() };
        let part = ("sections", "items");
        for value in 1..=50 {
            let next = states.borrow().next(1, vec![(part, value.into())]);
            states.send_replace(Arc::new(next));
        }
        let mut text = Vec::new();
        for _ in 0..3 {
            text.extend_from_slice(&client.next().await.unwrap());
        }
        assert_eq!(text, b"event: state\ndata: 1\ndata: [\"sections\",\"items\",50]\n\n");
        drop(states);
        assert_eq!(client.next().await, None, "nothing follows");
    }
}
