//! The server loop. A client that is silent or slow does not keep others out: when there are too many connections, the one that has
//! waited longest for its client is closed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Pause after a connection could not be accepted, such as for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection waits for its client before it may be closed to make room: time for the head of a request to come.
const WAIT_MIN: Duration = Duration::from_millis(250);

/// What a server allows its clients.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Connections at a time, of all clients together.
    pub connections: usize,
    /// Connections at a time from one IP address. Clients on loopback and on unix sockets are not counted.
    pub connections_per_address: usize,
    /// Time for the head of a request; also how long a connection may be idle.
    pub head_deadline: Duration,
    /// Time for a connection in all; `None` for no such limit.
    pub connection_deadline: Option<Duration>,
    /// Bytes of the head of a request.
    pub head_bytes: usize,
    /// Bytes of request bodies in memory at a time, of all clients together.
    pub body_bytes: usize,
}

/// A socket that accepts connections.
#[derive(Debug)]
pub enum HttpListener {
    /// Listens on a TCP address.
    Tcp(TcpListener),
    /// Listens on a unix socket.
    Unix(UnixListener),
}

/// Address of an [`HttpListener`], with the port that the system chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// IP address and port.
    Tcp(SocketAddr),
    /// Path of the socket file.
    Unix(PathBuf),
}

/// The server's ends of all connections. Serves one listener; clones share the limits.
#[derive(Clone, Debug)]
pub struct HttpServer {
    limits: HttpLimits,
    table: Arc<ConnectionTable>,
}

/// IP address of the client, in the extensions of each request that came over TCP.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

/// Keeps a connection counted and open, in the extensions of each request: whoever upgrades the connection holds this until the
/// upgraded stream is closed.
#[derive(Clone, Debug)]
pub struct ConnectionGuard(#[expect(dead_code, reason = "held for its Drop")] Arc<Exchange>);

/// The body of a request, whose bytes are counted against [`HttpLimits::body_bytes`].
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    exchange: Arc<Exchange>,
}

/// Why the body of a request could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The bodies of all requests together are too long. A later try may succeed.
    #[error("the server holds as many bytes of requests as it may; try again later")]
    OverBudget,
    /// The client broke off, or did not speak HTTP.
    #[error("the request ended early")]
    Broken(#[source] hyper::Error),
}

impl HttpListener {
    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn address(&self) -> io::Result<ListenAddress> {
        match self {
            HttpListener::Tcp(listener) => listener.local_addr().map(ListenAddress::Tcp),
            HttpListener::Unix(listener) => {
                let address = listener.local_addr()?;
                let path = address.as_pathname().ok_or_else(|| io::Error::other("the unix socket has no path"))?;
                Ok(ListenAddress::Unix(path.to_owned()))
            }
        }
    }
}

impl HttpServer {
    /// A server without connections.
    pub fn new(limits: HttpLimits) -> Self {
        HttpServer { limits, table: Arc::default() }
    }

    /// Serves until the future is dropped. Connections that are open then live on.
    pub async fn serve<S, B>(&self, listener: &HttpListener, service: S) -> Infallible
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        loop {
            let accepted = match listener {
                HttpListener::Tcp(listener) => match listener.accept().await {
                    Ok((stream, client)) => {
                        self.admit(stream, Some(client.ip()), &service).await;
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                HttpListener::Unix(listener) => match listener.accept().await {
                    Ok((stream, _)) => {
                        self.admit(stream, None, &service).await;
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = accepted {
                tracing::warn!(%error, "an HTTP server cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    /// Serves a connection in a task of its own, once there is room for it.
    async fn admit<IO, S, B>(&self, stream: IO, client: Option<IpAddr>, service: &S)
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let counted = client.filter(|address| !address.to_canonical().is_loopback());
        let Some(connection) = self.table.enter(counted, &self.limits).await else {
            tracing::debug!(?client, "refused a connection: its address has too many");
            return;
        };
        let body_bytes_max = self.limits.body_bytes;
        let service = Tracked { service: service.clone(), connection: Arc::clone(&connection), client, body_bytes_max };
        let limits = self.limits.clone();
        let stream = TrackedStream { stream, connection: Arc::clone(&connection) };
        tokio::spawn(async move {
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.head_deadline)
                .max_buf_size(limits.head_bytes)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            let bounded = async {
                match limits.connection_deadline {
                    Some(deadline) => timeout(deadline, served).await.unwrap_or(Ok(())),
                    None => served.await,
                }
            };
            tokio::select! {
                served = bounded => if let Err(error) = served {
                    tracing::debug!(%error, "an HTTP connection ended early");
                },
                () = connection.closed.cancelled() => tracing::debug!("closed an HTTP connection to make room"),
            }
        });
    }
}

/// All open connections of a server.
#[derive(Debug, Default)]
struct ConnectionTable {
    open: Mutex<Open>,
    /// Notified when a connection ends or begins to wait for its client.
    changed: Notify,
    body_bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    address: Option<IpAddr>,
    /// Since when the server has waited for the client to send a request; `None` while it answers one.
    waiting_since: Option<Instant>,
    closed: CancellationToken,
}

impl ConnectionTable {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for a connection and counts it. Returns `None` if its address has too many that are all being answered.
    async fn enter(self: &Arc<Self>, address: Option<IpAddr>, limits: &HttpLimits) -> Option<Arc<Connection>> {
        loop {
            {
                let mut open = self.lock();
                let from_here = |entry: &Entry| address.is_some() && entry.address == address;
                let same = open.connections.values().filter(|entry| from_here(entry)).count();
                if same >= limits.connections_per_address && !open.close_longest_waiting(from_here) {
                    return None;
                }
                if open.connections.len() < limits.connections || open.close_longest_waiting(|_| true) {
                    return Some(Arc::new(self.add(&mut open, address)));
                }
            }
            // Either a connection has ended, or one has waited long enough by now.
            let _ = timeout(WAIT_MIN, self.changed.notified()).await;
        }
    }

    fn add(self: &Arc<Self>, open: &mut Open, address: Option<IpAddr>) -> Connection {
        let (number, closed) = (open.next, CancellationToken::new());
        open.next += 1;
        let entry = Entry { address, waiting_since: Some(Instant::now()), closed: closed.clone() };
        open.connections.insert(number, entry);
        Connection { number, closed, table: Arc::clone(self) }
    }
}

impl Open {
    /// Closes the connection that has waited longest for its client, among those for which `may` holds.
    fn close_longest_waiting(&mut self, may: impl Fn(&Entry) -> bool) -> bool {
        let waiting = self.connections.iter().filter(|(_, entry)| may(entry));
        let waiting = waiting.filter_map(|(number, entry)| Some((entry.waiting_since?, *number)));
        let longest = waiting.filter(|(since, _)| since.elapsed() >= WAIT_MIN).min();
        let Some(entry) = longest.and_then(|(_, number)| self.connections.remove(&number)) else { return false };
        entry.closed.cancel();
        true
    }
}

/// A connection, counted until this is dropped.
#[derive(Debug)]
struct Connection {
    number: u64,
    closed: CancellationToken,
    table: Arc<ConnectionTable>,
}

impl Connection {
    fn set_waiting(&self, since: Option<Instant>) {
        if let Some(entry) = self.table.lock().connections.get_mut(&self.number) {
            entry.waiting_since = since;
        }
        if since.is_some() {
            self.table.changed.notify_one();
        }
    }

    /// Bytes of an answer were taken: the client is at work.
    fn has_sent(&self) {
        if let Some(Entry { waiting_since: Some(since), .. }) = self.table.lock().connections.get_mut(&self.number) {
            *since = Instant::now();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.table.lock().connections.remove(&self.number);
        self.table.changed.notify_one();
    }
}

/// One request and its answer. When it is dropped, the connection waits for its client again.
#[derive(Debug)]
struct Exchange {
    connection: Arc<Connection>,
    body_bytes: AtomicUsize,
    body_bytes_max: usize,
}

impl Exchange {
    /// Counts bytes of the body, unless they are too many.
    fn take(&self, bytes: usize) -> Result<(), BodyError> {
        let total = &self.connection.table.body_bytes;
        let room = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= self.body_bytes_max);
        total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).map_err(|_| BodyError::OverBudget)?;
        self.body_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.connection.table.body_bytes.fetch_sub(*self.body_bytes.get_mut(), Ordering::Relaxed);
        self.connection.set_waiting(Some(Instant::now()));
    }
}

/// The stream of a connection. An answer that is still being sent keeps the connection from being closed.
struct TrackedStream<IO> {
    stream: IO,
    connection: Arc<Connection>,
}

impl<IO: AsyncRead + Unpin> AsyncRead for TrackedStream<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for TrackedStream<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.connection.has_sent();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Hands requests to the service, and keeps track of what the connection does.
struct Tracked<S> {
    service: S,
    connection: Arc<Connection>,
    client: Option<IpAddr>,
    body_bytes_max: usize,
}

impl<S, B> Service<Request<Incoming>> for Tracked<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<ResponseBody<B>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let exchange = Arc::new(Exchange {
            connection: Arc::clone(&self.connection),
            body_bytes: AtomicUsize::new(0),
            body_bytes_max: self.body_bytes_max,
        });
        if request.body().is_end_stream() {
            self.connection.set_waiting(None);
        }
        let mut request = request.map(|incoming| RequestBody { incoming, exchange: Arc::clone(&exchange) });
        request.extensions_mut().insert(ConnectionGuard(Arc::clone(&exchange)));
        if let Some(client) = self.client {
            request.extensions_mut().insert(ClientAddress(client));
        }
        let service = self.service.clone();
        Box::pin(async move {
            let response = service.call(request).await?;
            // The client waits from here on, whether or not the service has read the whole request.
            exchange.connection.set_waiting(None);
            Ok(response.map(|body| ResponseBody { body: Box::pin(body), _exchange: exchange }))
        })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        if self.incoming.is_end_stream() || frame.is_none() {
            self.exchange.connection.set_waiting(None);
        }
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(BodyError::Broken)?;
            self.exchange.take(frame.data_ref().map_or(0, Bytes::len))?;
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// The body of an answer. The exchange ends when it has been sent.
pub struct ResponseBody<B> {
    body: Pin<Box<B>>,
    _exchange: Arc<Exchange>,
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.body.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
