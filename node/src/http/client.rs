//! The client: requests to one server, over whatever stream reaches it.

use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};

/// Connections that are kept for the next requests.
const IDLE_MAX: usize = 2;
/// How long a connection is kept. Less than any server of the project allows, so that none is closed while a request is under way.
const IDLE_DEADLINE: Duration = Duration::from_secs(2);

type Sender = SendRequest<Full<Bytes>>;

/// Any error of a connector.
pub type ConnectError = Box<dyn Error + Send + Sync>;

/// A way to reach a server.
pub trait Connector {
    /// The stream that the requests are sent over.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Value of the header `Host`.
    fn host(&self) -> String;

    /// Makes a new stream.
    fn connect(&self) -> impl Future<Output = Result<Self::Stream, ConnectError>> + Send;
}

/// Limits of a client.
#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// Time for a new connection.
    pub connect_deadline: Duration,
    /// Bytes of the body of an answer.
    pub answer_bytes: usize,
}

/// A client of one server.
#[derive(Debug)]
pub struct HttpClient<C> {
    connector: C,
    authorization: Option<HeaderValue>,
    limits: ClientLimits,
    idle: Mutex<Vec<(Instant, Sender)>>,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// Status of the answer.
    pub status: StatusCode,
    /// All headers of the answer.
    pub headers: HeaderMap,
    /// The whole body of the answer.
    pub body: Bytes,
}

/// An answer whose body comes piece by piece.
#[derive(Debug)]
pub struct HttpStream {
    /// Status of the answer.
    pub status: StatusCode,
    body: Incoming,
    /// Bytes that may still come.
    left: usize,
    limits: ClientLimits,
    /// The connection lives as long.
    _sender: Sender,
}

impl HttpStream {
    /// The next piece of the body, once it comes; `None` at its end.
    ///
    /// # Errors
    /// If the connection breaks, or the body is longer than [`ClientLimits::answer_bytes`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        while let Some(frame) = self.body.frame().await {
            let Ok(piece) = frame.map_err(HttpError::Broken)?.into_data() else { continue };
            let left = self.left.checked_sub(piece.len());
            self.left = left.ok_or(HttpError::AnswerTooLong(self.limits.answer_bytes))?;
            return Ok(Some(piece));
        }
        Ok(None)
    }
}

/// Why a request brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection came about.
    #[error("cannot connect")]
    Connect(#[source] ConnectError),
    /// The server did not take the connection in time.
    #[error("no connection within {} s", .0.as_secs_f32())]
    ConnectTimeout(Duration),
    /// The path, token or another part of the request is not valid HTTP.
    #[error("the request is not valid HTTP")]
    Request(#[source] hyper::http::Error),
    /// The connection broke, or the server did not speak HTTP. The request may have been carried out.
    #[error("the connection broke before the answer was complete")]
    Broken(#[source] hyper::Error),
    /// The answer was longer than [`ClientLimits::answer_bytes`].
    #[error("the answer is longer than {0} bytes")]
    AnswerTooLong(usize),
}

/// A request that brought no answer.
struct Unanswered {
    error: HttpError,
    /// The request, if it was certainly not sent.
    unsent: Option<Request<Full<Bytes>>>,
}

impl<C: Connector> HttpClient<C> {
    /// A client that sends `token`, if any, with each request. It connects when it has a request.
    ///
    /// # Errors
    /// If the token holds characters that a header cannot.
    pub fn new(connector: C, token: Option<&str>, limits: ClientLimits) -> Result<Self, HttpError> {
        let bearer = |token: &str| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
            value.set_sensitive(true);
            Ok::<_, hyper::http::Error>(value)
        };
        let authorization = token.map(bearer).transpose().map_err(HttpError::Request)?;
        Ok(HttpClient { connector, authorization, limits, idle: Mutex::default() })
    }

    /// The way to the server, for streams that are not HTTP requests of this client.
    pub fn connector(&self) -> &C {
        &self.connector
    }

    /// Sends a request and takes the whole answer. See [`HttpClient::send`].
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<HttpAnswer, HttpError> {
        let request = Request::builder().method(method).uri(path).body(Full::new(body)).map_err(HttpError::Request)?;
        self.send(request).await
    }

    /// Sends a request and takes the whole answer. Adds `Host` and the token. If a kept connection turns out to be closed, sends the
    /// request over another: provided that it was certainly not sent, or changes nothing (GET).
    ///
    /// Waits for the answer as long as the server takes: the caller keeps the deadline.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<HttpAnswer, HttpError> {
        self.identify(&mut request)?;
        while let Some(kept) = self.take_idle() {
            let again = (request.method() == Method::GET).then(|| request.clone());
            match self.exchange(kept, request).await {
                Ok(answer) => return Ok(answer),
                Err(unanswered) => request = unanswered.unsent.or(again).ok_or(unanswered.error)?,
            }
        }
        let sender = self.connect_in_time().await?;
        self.exchange(sender, request).await.map_err(|unanswered| unanswered.error)
    }

    /// Sends a GET request over a connection of its own, and takes the answer piece by piece.
    ///
    /// # Errors
    /// If no answer begins.
    pub async fn open(&self, path: &str) -> Result<HttpStream, HttpError> {
        let mut request = Request::builder().uri(path).body(Full::default()).map_err(HttpError::Request)?;
        self.identify(&mut request)?;
        let mut sender = self.connect_in_time().await?;
        let response = sender.send_request(request).await.map_err(HttpError::Broken)?;
        let (head, body) = response.into_parts();
        Ok(HttpStream {
            status: head.status,
            body,
            left: self.limits.answer_bytes,
            limits: self.limits,
            _sender: sender,
        })
    }

    /// Adds `Host` and the token.
    fn identify(&self, request: &mut Request<Full<Bytes>>) -> Result<(), HttpError> {
        let host = HeaderValue::try_from(self.connector.host()).map_err(|error| HttpError::Request(error.into()))?;
        request.headers_mut().insert(HOST, host);
        if let Some(token) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        Ok(())
    }

    async fn connect_in_time(&self) -> Result<Sender, HttpError> {
        let deadline = self.limits.connect_deadline;
        timeout(deadline, self.connect()).await.map_err(|_| HttpError::ConnectTimeout(deadline))?
    }

    /// Closes the kept connections: their server has gone, perhaps without notice.
    pub fn close_idle(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Sender)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self) -> Option<Sender> {
        let mut idle = self.idle();
        idle.retain(|(since, sender)| !sender.is_closed() && since.elapsed() < IDLE_DEADLINE);
        idle.pop().map(|(_, sender)| sender)
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX && !sender.is_closed() {
            idle.push((Instant::now(), sender));
        }
    }

    async fn connect(&self) -> Result<Sender, HttpError> {
        let stream = self.connector.connect().await.map_err(HttpError::Connect)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(HttpError::Broken)?;
        // Ends with the connection. Its errors also come out of the request.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn exchange(&self, mut sender: Sender, request: Request<Full<Bytes>>) -> Result<HttpAnswer, Unanswered> {
        if let Err(error) = sender.ready().await {
            return Err(Unanswered { error: HttpError::Broken(error), unsent: Some(request) });
        }
        let response = sender.try_send_request(request).await.map_err(|mut error| Unanswered {
            unsent: error.take_message(),
            error: HttpError::Broken(error.into_error()),
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, self.limits.answer_bytes).collect().await;
        let body = body.map_err(|error| Unanswered { error: self.body_error(error), unsent: None })?.to_bytes();
        self.keep(sender);
        Ok(HttpAnswer { status: head.status, headers: head.headers, body })
    }

    fn body_error(&self, error: Box<dyn Error + Send + Sync>) -> HttpError {
        match error.downcast::<hyper::Error>() {
            Ok(error) => HttpError::Broken(*error),
            Err(other) => {
                debug_assert!(other.is::<LengthLimitError>(), "a limited body has no other errors");
                HttpError::AnswerTooLong(self.limits.answer_bytes)
            }
        }
    }
}
