//! Connections from outside.

use std::sync::Arc;

use quinn::Incoming;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::counters::Counters;
use super::endpoints::Endpoints;
use super::event::Event;
use super::tls::Tls;
use crate::core::transport::DIAL_TIMEOUT;
use crate::quic::INCOMING_UNPROVEN_MAX;
use crate::quic::limits::{CONNECTIONS_MAX, HANDSHAKES_MAX};
use crate::quic::routes::is_virtual;

/// Takes connections from outside until the endpoints are closed.
pub(super) async fn accept<M: Send + 'static>(
    endpoints: Endpoints,
    tls: Arc<Tls>,
    counters: Arc<Counters>,
    sender: mpsc::Sender<Event<M>>,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    while let Some(incoming) = endpoints.accept().await {
        let permit = handshakes.clone().try_acquire_owned();
        let (Ok(permit), true) = (permit, endpoints.open_connections() < CONNECTIONS_MAX) else {
            counters.connections_refused.add(1);
            incoming.refuse();
            continue;
        };
        let busy = handshakes.available_permits() < HANDSHAKES_MAX - INCOMING_UNPROVEN_MAX;
        if busy && !incoming.remote_address_validated() && incoming.may_retry() {
            // Forged sources cost no state from here on. An error means that it could not be sent: the dialler tries again.
            _ = incoming.retry();
            continue;
        }
        let Some(connecting) = shake_hands(incoming, &tls) else { continue };
        let sender = sender.clone();
        tokio::spawn(async move {
            let done = timeout(DIAL_TIMEOUT, connecting).await;
            drop(permit);
            if let Ok(Ok(connection)) = done {
                // Without the transport no receiver is left.
                _ = sender.send(Event::Connected { connection, dial: None }).await;
            }
        });
    }
}

fn shake_hands(incoming: Incoming, tls: &Tls) -> Option<quinn::Connecting> {
    let config = tls.server(is_virtual(incoming.remote_address())).ok()?;
    incoming.accept_with(Arc::new(config)).ok()
}
