//! What a get has asked of each peer, and what came of it: the evidence of why it failed.

use std::time::Duration;

use super::super::DataCx;
use crate::core::identity::NodeId;
use crate::core::io::LinkPath;
use crate::core::time::Time;

/// Most questions of one get that are kept: the first ones.
const ASKED_MAX: usize = 64;

/// A question of a get to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedPeer {
    /// The peer that was asked.
    pub peer: NodeId,
    /// Time from the command to the question.
    pub after: Duration,
    /// Path of the link when the question was sent; `None` if the link had to be made first.
    pub path: Option<LinkPath>,
    /// Time from the question to its end; `None` while it is open.
    pub took: Option<Duration>,
    /// What came of it.
    pub answer: PeerAnswer,
}

/// What came of a question to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAnswer {
    /// No answer by the end of the get.
    Silent,
    /// It had a block that was wanted.
    Had,
    /// It had none of the blocks.
    Lacked,
    /// Its link was lost or could not be made.
    Unreachable,
}

/// The questions of one get, in order.
#[derive(Debug, Default)]
pub(super) struct SearchTrace(Vec<AskedPeer>);

impl SearchTrace {
    /// A peer is asked now, by a get that began at `began`.
    pub(super) fn asked(&mut self, cx: &DataCx<'_, '_>, began: Time, peer: NodeId) {
        if self.0.len() < ASKED_MAX {
            let (after, path) = (cx.now.since(began), cx.link_path(peer));
            self.0.push(AskedPeer { peer, after, path, took: None, answer: PeerAnswer::Silent });
        }
    }

    /// The last open question to a peer has come to its end.
    pub(super) fn ended(&mut self, now: Time, began: Time, peer: NodeId, answer: PeerAnswer) {
        let is_open = |asked: &&mut AskedPeer| asked.peer == peer && asked.took.is_none();
        if let Some(asked) = self.0.iter_mut().rev().find(is_open) {
            asked.took = Some(now.since(began).saturating_sub(asked.after));
            asked.answer = answer;
        }
    }

    /// Every question that was kept.
    pub(super) fn into_asked(self) -> Vec<AskedPeer> {
        self.0
    }
}
