//! Asking a node over its control API.

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use butter::api::ErrorBody;
use butter::driver::api::{ApiAddress, TOKEN_VARIABLE};
use butter::overlay::data::VALUE_MAX;

use super::{ApiArgs, Failure};

/// Longest answer that is read.
const ANSWER_MAX: usize = VALUE_MAX + (1 << 20);

/// A node to ask.
pub(super) struct Client {
    api: ApiArgs,
}

/// A success.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Client {
    pub(super) fn new(api: ApiArgs) -> Self {
        Client { api }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.request(Method::GET, path, Bytes::new()).await
    }

    pub(super) async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        json(&self.get(path).await?)
    }

    pub(super) async fn post(&self, path: &str, body: Bytes) -> Result<Answer, Failure> {
        self.request(Method::POST, path, body).await
    }

    async fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, Failure> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::HOST, self.host());
        if let Some(token) = &self.api.api_token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body)).map_err(|error| Failure::Usage(error.into()))?;
        let connected = match &self.api.api {
            ApiAddress::Tcp(address) => match TcpStream::connect(address).await {
                Ok(stream) => self.exchange(stream, request).await,
                Err(error) => Err(self.nobody(&error)),
            },
            ApiAddress::Unix(path) => match UnixStream::connect(path).await {
                Ok(stream) => self.exchange(stream, request).await,
                Err(error) => Err(self.nobody(&error)),
            },
        };
        let (status, answer) = connected?;
        self.judge(status, answer)
    }

    fn host(&self) -> String {
        match &self.api.api {
            ApiAddress::Tcp(address) => address.to_string(),
            ApiAddress::Unix(_) => "localhost".to_owned(),
        }
    }

    fn nobody(&self, error: &std::io::Error) -> Failure {
        Failure::Environment(anyhow!(
            "no node answers at {}: start one with `butter run`, or name another with --api ({error})",
            self.api.api
        ))
    }

    async fn exchange<S>(&self, stream: S, request: Request<Full<Bytes>>) -> Result<(StatusCode, Answer), Failure>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let broken = || format!("the node at {} broke off", self.api.api);
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.with_context(broken).map_err(Failure::Environment)?;
        // Its errors come out of the request as well.
        tokio::spawn(connection);
        let response = sender.send_request(request).await.with_context(broken).map_err(Failure::Environment)?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await;
        let body = body.map_err(|error| Failure::Environment(anyhow!("{}: {error}", broken())))?.to_bytes();
        Ok((parts.status, Answer { headers: parts.headers, body }))
    }

    fn judge(&self, status: StatusCode, answer: Answer) -> Result<Answer, Failure> {
        if status.is_success() {
            return Ok(answer);
        }
        let why = match serde_json::from_slice::<ErrorBody>(&answer.body) {
            Ok(ErrorBody { error }) => error,
            Err(_) => format!("HTTP status {status}"),
        };
        Err(match status {
            StatusCode::UNAUTHORIZED => {
                Failure::Usage(anyhow!("{why}: give its token with --api-token or {TOKEN_VARIABLE}"))
            }
            StatusCode::BAD_REQUEST => Failure::Usage(anyhow!(why)),
            _ => Failure::Refused(anyhow!(why)),
        })
    }
}

/// The answer's body as JSON.
pub(super) fn json<T: DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    serde_json::from_slice(&answer.body)
        .context("the answer is not what a node of this version says")
        .map_err(Failure::Environment)
}
