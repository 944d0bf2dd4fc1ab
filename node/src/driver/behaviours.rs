//! What the application answers to peers: a handler for each route, bounded in number and time, and never able to end the node.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::core::blob::Blob;
use crate::core::identity::NodeId;
use crate::core::io::RequestId;
use crate::core::message::Refusal;

/// Requests in handlers at once; beyond, peers get [`Refusal::Busy`].
pub const HANDLERS_MAX: usize = 256;

/// What a handler returns. Of an error peers learn only that there was one.
pub type Answer = Result<Bytes, Box<dyn Error + Send + Sync>>;
type Handling = Pin<Box<dyn Future<Output = Answer> + Send>>;
type Handler = Arc<dyn Fn(NodeId, Bytes) -> Handling + Send + Sync>;

/// Handlers by route.
#[derive(Clone, Default)]
pub(crate) struct Behaviours(BTreeMap<String, Handler>);

impl fmt::Debug for Behaviours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Behaviours {
    /// `handler` answers on `route`, in place of another that did.
    pub(crate) fn add<H, F>(&mut self, route: String, handler: H)
    where
        H: Fn(NodeId, Bytes) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        self.0.insert(route, Arc::new(move |from, body| Box::pin(handler(from, body))));
    }
}

/// A request that was answered, or not.
pub(super) type Reply = (RequestId, Result<Blob, Refusal>);

/// Runs handlers.
#[derive(Debug)]
pub(super) struct Server {
    behaviours: Behaviours,
    within: Duration,
    room: Arc<Semaphore>,
    replies: mpsc::Sender<Reply>,
}

impl Server {
    /// Handlers get `within` to answer. With the end at which replies arrive.
    pub(super) fn new(behaviours: Behaviours, within: Duration) -> (Self, mpsc::Receiver<Reply>) {
        let (replies, queue) = mpsc::channel(HANDLERS_MAX);
        (Server { behaviours, within, room: Arc::new(Semaphore::new(HANDLERS_MAX)), replies }, queue)
    }

    /// Has the handler of `route` answer. A refusal is returned if it is not even asked.
    pub(super) fn serve(&self, request: RequestId, from: NodeId, route: &str, body: Blob) -> Result<(), Refusal> {
        let handler = self.behaviours.0.get(route).cloned().ok_or(Refusal::NoSuchRoute)?;
        let room = self.room.clone().try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let (replies, within, route) = (self.replies.clone(), self.within, route.to_owned());
        tokio::spawn(async move {
            // A task of its own: a panic ends that and not this one.
            let mut handling = tokio::spawn(async move { handler(from, body.0).await });
            let result = match timeout(within, &mut handling).await {
                Ok(Ok(Ok(answer))) => Ok(Blob(answer)),
                Ok(Ok(Err(error))) => failed(&route, &*error),
                Ok(Err(panic)) => failed(&route, &panic),
                Err(late) => {
                    handling.abort();
                    failed(&route, &late)
                }
            };
            // The node may be gone.
            _ = replies.send((request, result)).await;
            drop(room);
        });
        Ok(())
    }
}

fn failed(route: &str, error: &dyn Error) -> Result<Blob, Refusal> {
    tracing::warn!(route, %error, "a behaviour failed");
    Err(Refusal::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: NodeId = NodeId([1; 32]);
    const DEADLINE: Duration = Duration::from_secs(10);

    async fn ask(server: &Server, replies: &mut mpsc::Receiver<Reply>, route: &str) -> Result<Blob, Refusal> {
        server.serve(RequestId(7), FROM, route, Blob::from(b"abc".to_vec()))?;
        let (request, result) = timeout(DEADLINE, replies.recv()).await.expect("a reply in time").unwrap();
        assert_eq!(request, RequestId(7));
        result
    }

    #[tokio::test]
    async fn a_handler_answers_fails_panics_or_is_late_and_the_node_lives_on() {
        let mut behaviours = Behaviours::default();
        behaviours.add("echo/".to_owned(), |_, body| async move { Ok(body) });
        behaviours.add("fail/".to_owned(), |_, _| async { Err("no".into()) });
        behaviours.add("panic/".to_owned(), |_, _| async { panic!("a test's handler") });
        behaviours.add("late/".to_owned(), |_, _| std::future::pending());
        let (server, mut replies) = Server::new(behaviours, Duration::from_millis(50));
        assert_eq!(ask(&server, &mut replies, "echo/").await, Ok(Blob::from(b"abc".to_vec())));
        for route in ["fail/", "panic/", "late/"] {
            assert_eq!(ask(&server, &mut replies, route).await, Err(Refusal::Failed), "{route}");
        }
        assert_eq!(ask(&server, &mut replies, "none/").await, Err(Refusal::NoSuchRoute));
    }

    #[tokio::test]
    async fn handlers_are_bounded_in_number() {
        let mut behaviours = Behaviours::default();
        behaviours.add("late/".to_owned(), |_, _| std::future::pending());
        let (server, _replies) = Server::new(behaviours, DEADLINE);
        for request in 0..HANDLERS_MAX as u64 {
            assert_eq!(server.serve(RequestId(request), FROM, "late/", Blob::default()), Ok(()));
        }
        assert_eq!(server.serve(RequestId(0), FROM, "late/", Blob::default()), Err(Refusal::Busy));
    }
}
