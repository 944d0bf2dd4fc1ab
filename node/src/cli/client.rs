//! Asking a node over its control API.

use std::io;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::api::ErrorBody;
use crate::driver::api::{ApiAddress, TOKEN_VARIABLE};
use crate::http::client::{ClientLimits, ConnectError, Connector, HttpAnswer, HttpClient, HttpError, HttpStream};
use crate::overlay::data::VALUE_MAX;

use super::{ApiArgs, Failure};

/// Time for a connection, and the longest answer that is read.
const LIMITS: ClientLimits =
    ClientLimits { connect_deadline: Duration::from_secs(10), answer_bytes: VALUE_MAX + (1 << 20) };

/// A node to ask.
pub(super) struct ApiClient {
    address: ApiAddress,
    http: HttpClient<ApiAddressConnector>,
}

/// Connects to a control API.
struct ApiAddressConnector(ApiAddress);

/// A stream to a control API.
enum ApiStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connector for ApiAddressConnector {
    type Stream = ApiStream;

    fn host(&self) -> String {
        match &self.0 {
            ApiAddress::Tcp(address) => address.to_string(),
            ApiAddress::Unix(_) => "localhost".to_owned(),
        }
    }

    async fn connect(&self) -> Result<ApiStream, ConnectError> {
        Ok(match &self.0 {
            ApiAddress::Tcp(address) => ApiStream::Tcp(TcpStream::connect(address).await?),
            ApiAddress::Unix(path) => ApiStream::Unix(UnixStream::connect(path).await?),
        })
    }
}

impl ApiClient {
    pub(super) fn new(api: ApiArgs) -> Result<Self, Failure> {
        let http = HttpClient::new(ApiAddressConnector(api.api.clone()), api.api_token.as_deref(), LIMITS);
        Ok(ApiClient { address: api.api, http: http.map_err(|error| Failure::Usage(error.into()))? })
    }

    pub(super) async fn get(&self, path: &str) -> Result<HttpAnswer, Failure> {
        self.request(Method::GET, path, Bytes::new()).await
    }

    pub(super) async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        json(&self.get(path).await?)
    }

    pub(super) async fn post(&self, path: &str, body: Bytes) -> Result<HttpAnswer, Failure> {
        self.request(Method::POST, path, body).await
    }

    /// The successful answer to a GET request, piece by piece.
    pub(super) async fn open(&self, path: &str) -> Result<HttpStream, Failure> {
        let mut stream = self.http.open(path).await.map_err(|error| self.unanswered(error))?;
        if stream.status.is_success() {
            return Ok(stream);
        }
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut stream).await? {
            body.extend_from_slice(&piece);
        }
        Err(self.refused(stream.status, &body))
    }

    /// The next piece of an answer.
    pub(super) async fn piece(&self, stream: &mut HttpStream) -> Result<Option<Bytes>, Failure> {
        stream.next().await.map_err(|error| self.unanswered(error))
    }

    async fn request(&self, method: Method, path: &str, body: Bytes) -> Result<HttpAnswer, Failure> {
        let answer = self.http.call(method, path, body).await.map_err(|error| self.unanswered(error))?;
        if answer.status.is_success() { Ok(answer) } else { Err(self.refused(answer.status, &answer.body)) }
    }

    fn unanswered(&self, error: HttpError) -> Failure {
        let what = match error {
            HttpError::Request(_) => return Failure::Usage(error.into()),
            HttpError::Connect(_) | HttpError::ConnectTimeout(_) => {
                let hint = "start one with `butter run`, or name another with --api";
                format!("no node answers at {}; {hint}", self.address)
            }
            _ => format!("the request to the node at {} failed", self.address),
        };
        Failure::Environment(anyhow::Error::new(error).context(what))
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Failure {
        let body = serde_json::from_slice::<ErrorBody>(body);
        let body = body.unwrap_or_else(|_| ErrorBody::new(format!("HTTP status {status}")));
        let (why, remedy) = (body.error, body.remedy);
        match status {
            StatusCode::UNAUTHORIZED => {
                Failure::Usage(anyhow!("{why}: give its token with --api-token or {TOKEN_VARIABLE}"))
            }
            StatusCode::BAD_REQUEST => Failure::Usage(anyhow!(why)),
            _ if body.search.is_some() => Failure::Incomplete(anyhow!(why), remedy),
            _ => Failure::Refused(anyhow!(why), remedy),
        }
    }
}

impl AsyncRead for ApiStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ApiStream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            ApiStream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for ApiStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            ApiStream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            ApiStream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ApiStream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            ApiStream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ApiStream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            ApiStream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// The answer's body as JSON.
pub(super) fn json<T: DeserializeOwned>(answer: &HttpAnswer) -> Result<T, Failure> {
    serde_json::from_slice(&answer.body)
        .context("the answer is not what a node of this version says")
        .map_err(Failure::Environment)
}
