//! A question in one datagram, asked until there is an answer: what PCP and NAT-PMP have in common.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::MapError;

/// Where gateways listen for both protocols.
pub(super) const PORT: u16 = 5_351;
/// Pauses for an answer: RFC 6886 §3.1 begins with 250 ms and doubles, and goes on for longer than a node can wait.
const PAUSES: [Duration; 3] = [Duration::from_millis(250), Duration::from_millis(500), Duration::from_millis(1_000)];
/// Longest datagram of either protocol (RFC 6887 §7).
const DATAGRAM_MAX: usize = 1_100;

/// Asks `gateway`. `read` takes an answer, or passes over what is none to this question.
///
/// # Errors
/// [`MapError::NoAnswer`] if none came; what `read` says of one that did.
pub(super) async fn exchange<T>(
    gateway: Ipv4Addr,
    question: &[u8],
    read: impl Fn(&[u8]) -> Option<Result<T, MapError>>,
) -> Result<T, MapError> {
    exchange_at(gateway, PORT, question, read).await
}

async fn exchange_at<T>(
    gateway: Ipv4Addr,
    port: u16,
    question: &[u8],
    read: impl Fn(&[u8]) -> Option<Result<T, MapError>>,
) -> Result<T, MapError> {
    // Connected, so that the system drops datagrams of others, and reports a closed port.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect((gateway, port)).await?;
    let mut datagram = [0; DATAGRAM_MAX];
    for pause in PAUSES {
        let until = Instant::now() + pause;
        socket.send(question).await?;
        while let Ok(received) = timeout_at(until, socket.recv(&mut datagram)).await {
            if let Some(answer) = read(&datagram[..received?]) {
                return answer;
            }
        }
    }
    Err(MapError::NoAnswer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lost_question_is_asked_again_and_strange_answers_are_passed_over() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = server.local_addr().unwrap().port();
        let serve = async {
            let mut heard = [0; 16];
            server.recv_from(&mut heard).await.unwrap();
            let (length, from) = server.recv_from(&mut heard).await.unwrap();
            server.send_to(b"", from).await.unwrap();
            server.send_to(b"strange", from).await.unwrap();
            server.send_to(&heard[..length], from).await.unwrap();
        };
        let read = |answer: &[u8]| (answer == b"question").then_some(Ok(()));
        let (answer, ()) = tokio::join!(exchange_at(Ipv4Addr::LOCALHOST, port, b"question", read), serve);
        answer.unwrap();
    }

    #[tokio::test]
    async fn where_nobody_listens_there_is_no_waiting() {
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port();
        let asked = exchange_at(Ipv4Addr::LOCALHOST, port, b"?", |_| Some(Ok(()))).await;
        assert!(matches!(asked, Err(MapError::Io(_))), "{asked:?}");
    }
}
