//! Requests between applications: numbered, bounded in number and time, each ending exactly once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::blob::Blob;
use super::identity::NodeId;
use super::io::{AskError, CommandId, RequestId};
use super::message::Refusal;
use super::time::{Deadline, Time};

/// Most own requests waiting for an answer.
pub const ASKED_MAX: usize = 1_024;
/// Most requests of peers in the application's hands.
pub const SERVING_MAX: usize = 1_024;
/// Most requests of one peer in the application's hands.
pub const SERVING_MAX_PER_PEER: usize = 64;
/// Longest body or answer, in bytes: fits a frame with its route.
pub const BODY_MAX: usize = 60_000;
/// Longest route, in bytes.
pub const ROUTE_MAX: usize = 256;

/// Own requests and those of peers.
#[derive(Debug, Default)]
pub struct Requests {
    asked: BTreeMap<u64, Asked>,
    serving: BTreeMap<RequestId, Serving>,
    next: u64,
}

#[derive(Debug)]
struct Asked {
    peer: NodeId,
    command: CommandId,
    until: Time,
}

#[derive(Debug)]
struct Serving {
    peer: NodeId,
    number: u64,
    until: Time,
}

impl Requests {
    /// Registers an own request and numbers it.
    ///
    /// # Errors
    /// [`AskError::Busy`] if too many are waiting.
    pub fn ask(&mut self, now: Time, peer: NodeId, command: CommandId, within: Duration) -> Result<u64, AskError> {
        if self.asked.len() >= ASKED_MAX {
            return Err(AskError::Busy);
        }
        self.next += 1;
        self.asked.insert(self.next, Asked { peer, command, until: now + within });
        Ok(self.next)
    }

    /// An answer has come. The command that it ends, if that peer was asked.
    pub fn answered(
        &mut self,
        from: NodeId,
        number: u64,
        result: Result<Blob, Refusal>,
    ) -> Option<(CommandId, Result<Blob, AskError>)> {
        self.asked.get(&number).filter(|asked| asked.peer == from)?;
        let asked = self.asked.remove(&number)?;
        Some((asked.command, result.map_err(AskError::Refused)))
    }

    /// A peer cannot be reached, or its link is gone: the commands that this ends.
    pub fn lost(&mut self, peer: NodeId) -> Vec<CommandId> {
        self.serving.retain(|_, serving| serving.peer != peer);
        self.asked.extract_if(.., |_, asked| asked.peer == peer).map(|(_, asked)| asked.command).collect()
    }

    /// A peer asks. The request's name for the application, or why not.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if that peer, or all together, have too many under way.
    pub fn serve(&mut self, now: Time, peer: NodeId, number: u64, within: Duration) -> Result<RequestId, Refusal> {
        let of_peer = self.serving.values().filter(|serving| serving.peer == peer).count();
        if self.serving.len() >= SERVING_MAX || of_peer >= SERVING_MAX_PER_PEER {
            return Err(Refusal::Busy);
        }
        self.next += 1;
        let request = RequestId(self.next);
        self.serving.insert(request, Serving { peer, number, until: now + within });
        Ok(request)
    }

    /// The application has answered: the peer that asked, and the peer's own number. `None` if it was too late.
    pub fn served(&mut self, request: RequestId) -> Option<(NodeId, u64)> {
        self.serving.remove(&request).map(|serving| (serving.peer, serving.number))
    }

    /// The commands whose time is up.
    pub fn expire(&mut self, now: Time) -> Vec<CommandId> {
        self.serving.retain(|_, serving| serving.until > now);
        self.asked.extract_if(.., |_, asked| asked.until <= now).map(|(_, asked)| asked.command).collect()
    }

    /// When [`Requests::expire`] is due.
    pub fn deadline(&self) -> Deadline {
        let asked = self.asked.values().map(|asked| asked.until);
        let serving = self.serving.values().map(|serving| serving.until);
        Deadline { at: asked.chain(serving).min().unwrap_or(Time::NEVER), why: "a request's time" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId([1; 32]);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_the_one_who_was_asked_may_answer_and_only_once() {
        let mut requests = Requests::default();
        let number = requests.ask(Time::ZERO, PEER, CommandId(7), SECOND).unwrap();
        assert!(requests.answered(NodeId([2; 32]), number, Err(Refusal::Failed)).is_none());
        let (command, result) = requests.answered(PEER, number, Ok(Blob::from(vec![1]))).unwrap();
        assert_eq!((command, result), (CommandId(7), Ok(Blob::from(vec![1]))));
        assert!(requests.answered(PEER, number, Err(Refusal::Failed)).is_none());
    }

    #[test]
    fn every_request_ends() {
        let mut requests = Requests::default();
        requests.ask(Time::ZERO, PEER, CommandId(1), SECOND).unwrap();
        requests.ask(Time::ZERO, NodeId([2; 32]), CommandId(2), SECOND).unwrap();
        assert_eq!(requests.lost(PEER), [CommandId(1)]);
        assert_eq!(requests.expire(Time::ZERO), []);
        assert_eq!(requests.expire(requests.deadline().at), [CommandId(2)]);
        assert_eq!(requests.deadline().at, Time::NEVER);
    }

    #[test]
    fn one_peer_cannot_take_the_application_for_itself() {
        let mut requests = Requests::default();
        let taken = (0..200).filter(|&number| requests.serve(Time::ZERO, PEER, number, SECOND).is_ok()).count();
        assert_eq!(taken, SERVING_MAX_PER_PEER);
        assert!(requests.serve(Time::ZERO, NodeId([2; 32]), 0, SECOND).is_ok());
    }
}
