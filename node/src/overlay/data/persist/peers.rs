//! Peers that share groups with this node: when to send each a heartbeat, when to expect one.
//!
//! Liveness is tracked per peer, however many groups two nodes share. A node with k peers sends one heartbeat to each per
//! interval, evenly spread: peer i at phase i/k (Butter's palpitations, made regular). So the first peer misses a silent
//! node after 1/k of the interval. A node with few peers sends more often, for the same reason.

use std::time::Duration;

use super::possession::PossessionRecord;
use crate::core::identity::NodeId;
use crate::core::path::PathEstimate;
use crate::core::patience::{self, Bounds, Exchange};
use crate::core::time::Time;

/// Fewest heartbeats that a node sends per interval, however few its peers.
const HEARTBEATS_MIN: u32 = 4;
/// Least pause between heartbeats of a node with few peers.
const HEARTBEATS_GAP: Duration = Duration::from_millis(500);
/// Time for the first heartbeat of a new peer and for changed views to arrive.
pub(super) const SETTLE: Duration = Duration::from_millis(500);
/// Allowance for a late heartbeat: it may be lost once, and wait for what goes ahead of it.
const SLACK: Bounds = Bounds::new(Duration::from_millis(150), Duration::from_secs(5));
/// Longest pause between heartbeats that a peer may announce.
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// How long a linked peer may take to answer a probe.
const PROBE_ANSWER: Bounds = Bounds::new(Duration::from_millis(200), Duration::from_secs(10));
/// The same for a peer without a link: that has to be made first, perhaps with an ambassador's help.
const PROBE_ANSWER_UNLINKED: Bounds = Bounds::new(Duration::from_secs(1), Duration::from_secs(5));
/// Tries that finding a way to a peer is worth, in the back-off of its wait.
const UNLINKED_ATTEMPT: u32 = 1;
/// Length of a probe and of its answer.
const PROBE_BYTES: u64 = 128;

/// Liveness of a peer, as this node believes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerStatus {
    /// Its heartbeats arrive.
    Alive,
    /// A heartbeat is missing here or at another peer: probes are under way.
    Suspected {
        /// Identifies the probes.
        stamp: u64,
        /// When the second probe is sent; never, once it was.
        again: Time,
        /// When the peer is declared dead, unless its link still brings something.
        until: Time,
        /// Whether the transport was asked when it last heard the peer.
        asked: bool,
    },
    /// It did not answer. Its record stays until its groups have replaced it or it is heard from again.
    Dead,
}

/// A peer that shares at least one group with this node. Each wake looks at all of them: what that takes no part in is apart.
#[derive(Debug)]
pub(super) struct GroupPeer {
    pub(super) id: NodeId,
    pub(super) status: PeerStatus,
    next_heartbeat: Time,
    expect: Time,
    /// Exclusive or of the digests of the groups shared with it.
    pub(super) digest: u64,
    /// Number of those groups.
    pub(super) shared: u32,
    /// Blocks that it stores, as its last heartbeat said.
    pub(super) held: u32,
    /// [`GroupPeers::version`] of the last peer list sent to it.
    list_version_sent: u32,
    pub(super) detail: Box<PeerDetail>,
}

/// What is of use only when something comes from a peer, or is missing.
#[derive(Debug)]
pub(super) struct PeerDetail {
    /// When [`GroupPeer::digest`] last changed.
    pub(super) changed: Time,
    /// No comparison of views before this.
    pub(super) sync_after: Time,
    /// Suspicions of other peers are ignored before this.
    pub(super) trusted_until: Time,
    /// When the next heartbeat is due, as the last one announced.
    announced: Time,
    /// The path to it when it was last linked.
    path: Option<PathEstimate>,
    jitter_us: u32,
    /// Its incarnation, as its last heartbeat said; 0 before the first.
    pub(super) incarnation: u64,
    /// Questions for blocks, and what came of them.
    pub(super) possession: PossessionRecord,
    /// Its other group peers, as its last peer list says; at most [`CONTACTS_MAX`].
    pub(super) peer_list: Vec<NodeId>,
    /// The peer whose invitation named it first.
    pub(super) named_by: Option<NodeId>,
}

impl GroupPeer {
    fn new(id: NodeId, now: Time, heartbeat: Duration, path: Option<PathEstimate>) -> Self {
        let expect = now + heartbeat + SETTLE + path_slack(path.as_ref());
        let detail = PeerDetail {
            changed: now,
            sync_after: now,
            trusted_until: now,
            announced: Time::NEVER,
            path,
            jitter_us: 0,
            incarnation: 0,
            possession: PossessionRecord::default(),
            peer_list: Vec::new(),
            named_by: None,
        };
        GroupPeer {
            id,
            status: PeerStatus::Alive,
            next_heartbeat: now + SETTLE.min(heartbeat) / 2,
            expect,
            digest: 0,
            shared: 0,
            held: 0,
            list_version_sent: 0,
            detail: Box::new(detail),
        }
    }

    /// Records a heartbeat that announces the next one for `pause` later.
    pub(super) fn record_heartbeat(&mut self, now: Time, pause: Duration, patience: u32) {
        let detail = &mut *self.detail;
        let late_us = u32::try_from(now.since(detail.announced).as_micros()).unwrap_or(u32::MAX).min(10_000_000);
        detail.jitter_us = (7 * detail.jitter_us + late_us) / 8;
        let pause = pause.clamp(Duration::from_millis(1), PAUSE_MAX);
        detail.announced = now + pause;
        self.expect = now + pause + self.slack(patience);
    }

    /// Any message clears a suspicion. The next heartbeat gets a whole interval.
    pub(super) fn heard_from(&mut self, now: Time, heartbeat: Duration, patience: u32) {
        if self.status == PeerStatus::Dead {
            self.next_heartbeat = now;
        }
        self.status = PeerStatus::Alive;
        self.detail.announced = Time::NEVER;
        self.expect = self.expect.max(now + heartbeat + self.slack(patience));
    }

    /// Blocks that it stores, as far as known: what it shares with this node it cannot deny.
    pub(super) fn load(&self) -> u64 {
        self.held.max(self.shared).into()
    }

    /// Whether it says that it stores less than it shares with this node: it wants to be chosen, or has just got some.
    pub(super) fn understates(&self) -> bool {
        self.held < self.shared
    }

    fn slack(&self, patience: u32) -> Duration {
        SLACK.clamp(self.usual_lateness().max(path_slack(self.detail.path.as_ref()))) * patience
    }

    /// How late its heartbeats may come without a loss: its machine may be busy.
    fn usual_lateness(&self) -> Duration {
        Duration::from_micros(u64::from(self.detail.jitter_us) * 4)
    }

    /// Takes note of the path to it, if it is linked.
    pub(super) fn note_path(&mut self, path: Option<PathEstimate>) {
        self.detail.path = path.or(self.detail.path);
    }

    /// How long it may take to answer a probe.
    pub(super) fn probe_wait(&self, is_linked: bool) -> Duration {
        let bounds = if is_linked { PROBE_ANSWER } else { PROBE_ANSWER_UNLINKED };
        bounds.clamp(probe_wait(self.detail.path.as_ref(), is_linked) + self.usual_lateness())
    }

    /// This node itself was stalled until `now`: a late heartbeat was not the peer's fault.
    pub(super) fn extend_allowance(&mut self, now: Time, patience: u32) {
        self.expect = self.expect.max(now + self.slack(patience));
        if let PeerStatus::Suspected { until, .. } = &mut self.status {
            *until = (*until).max(now + PROBE_ANSWER.floor);
        }
    }

    /// Something that came from it at `heard`, be it no heartbeat, proves it alive for a while.
    pub(super) fn excuse(&mut self, heard: Time, patience: u32) {
        self.expect = self.expect.max(heard + self.slack(patience));
    }

    /// Has a heartbeat sent to it at `at` instead of in its turn.
    pub(super) fn send_heartbeat_at(&mut self, at: Time) {
        self.next_heartbeat = self.next_heartbeat.min(at);
    }

    /// Whether its heartbeat is overdue.
    pub(super) fn is_missed(&self, now: Time) -> bool {
        self.status == PeerStatus::Alive && self.expect <= now
    }

    /// When its next timer is due.
    fn due(&self) -> Time {
        match self.status {
            PeerStatus::Alive => self.next_heartbeat.min(self.expect),
            PeerStatus::Suspected { again, until, .. } => self.next_heartbeat.min(again).min(until),
            PeerStatus::Dead => Time::NEVER,
        }
    }
}

/// A heartbeat to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DueHeartbeat {
    pub(super) to: NodeId,
    /// Pause until the next one.
    pub(super) pause: Duration,
    pub(super) digest: u64,
    /// Whether the set of peers has changed since the last list was sent.
    pub(super) list_changed: bool,
}

/// All group peers, in ascending order of their ids. At most one for each member of each group.
#[derive(Debug, Default)]
pub(super) struct GroupPeers {
    list: Vec<GroupPeer>,
    dead: usize,
    /// Counts changes of the set of live peers.
    version: u32,
}

impl GroupPeers {
    pub(super) fn get(&self, id: NodeId) -> Option<&GroupPeer> {
        self.list.binary_search_by(|peer| peer.id.cmp(&id)).ok().map(|at| &self.list[at])
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut GroupPeer> {
        self.list.binary_search_by(|peer| peer.id.cmp(&id)).ok().map(|at| &mut self.list[at])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &GroupPeer> + '_ {
        self.list.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut GroupPeer> + '_ {
        self.list.iter_mut()
    }

    /// Peers of which `namer` alone has said so far that they are members.
    pub(super) fn unheard_of(&self, namer: NodeId) -> usize {
        let is_unheard = |peer: &&GroupPeer| peer.detail.named_by == Some(namer) && peer.detail.incarnation == 0;
        self.list.iter().filter(is_unheard).count()
    }

    /// Grows with every change of the set of live peers.
    pub(super) fn version(&self) -> u64 {
        self.version.into()
    }

    /// Number of peers that are not dead.
    pub(super) fn live(&self) -> usize {
        self.list.len() - self.dead
    }

    pub(super) fn is_dead(&self, id: NodeId) -> bool {
        self.dead > 0 && self.get(id).is_some_and(|peer| peer.status == PeerStatus::Dead)
    }

    /// Marks a peer as dead.
    pub(super) fn mark_dead(&mut self, id: NodeId) {
        if let Some(peer) = self.get_mut(id).filter(|peer| peer.status != PeerStatus::Dead) {
            peer.status = PeerStatus::Dead;
            self.dead += 1;
            self.version += 1;
        }
    }

    /// A peer was heard from. Returns its status before, unless it was alive.
    pub(super) fn heard_from(
        &mut self,
        id: NodeId,
        now: Time,
        heartbeat: Duration,
        patience: u32,
    ) -> Option<PeerStatus> {
        let peer = self.get_mut(id).filter(|peer| peer.status != PeerStatus::Alive)?;
        let before = peer.status;
        peer.heard_from(now, heartbeat, patience);
        if before == PeerStatus::Dead {
            self.dead -= 1;
            self.version += 1;
        }
        Some(before)
    }

    /// Counts one more group shared with `id`, to which `path` leads.
    pub(super) fn share(
        &mut self,
        id: NodeId,
        digest: u64,
        now: Time,
        heartbeat: Duration,
        path: Option<PathEstimate>,
    ) {
        let found = self.list.binary_search_by(|peer| peer.id.cmp(&id));
        let at = found.unwrap_or_else(|at| {
            self.list.insert(at, GroupPeer::new(id, now, heartbeat, path));
            self.version += 1;
            at
        });
        let peer = &mut self.list[at];
        peer.shared += 1;
        peer.digest ^= digest;
        peer.detail.changed = now;
    }

    /// Counts one group less shared with `id`.
    pub(super) fn unshare(&mut self, id: NodeId, digest: u64, now: Time) {
        let Ok(at) = self.list.binary_search_by(|peer| peer.id.cmp(&id)) else { return };
        let peer = &mut self.list[at];
        peer.shared -= 1;
        peer.digest ^= digest;
        peer.detail.changed = now;
        if peer.shared == 0 {
            self.dead -= usize::from(peer.status == PeerStatus::Dead);
            self.list.remove(at);
            self.version += 1;
        }
    }

    /// The heartbeats that are due. `offset` differs from node to node, so that nodes do not synchronise.
    pub(super) fn due_heartbeats(&mut self, now: Time, heartbeat: Duration, offset: u64) -> Vec<DueHeartbeat> {
        let live = self.live() as u32;
        let mut due = Vec::new();
        let pause = pause(live, heartbeat);
        for (slot, peer) in (0..).zip(self.list.iter_mut().filter(|peer| peer.status != PeerStatus::Dead)) {
            if peer.next_heartbeat <= now {
                peer.next_heartbeat = next_slot(now, pause, slot, live, offset);
                let list_changed = std::mem::replace(&mut peer.list_version_sent, self.version) != self.version;
                due.push(DueHeartbeat {
                    to: peer.id,
                    pause: peer.next_heartbeat.since(now),
                    digest: peer.digest,
                    list_changed,
                });
            }
        }
        due
    }

    /// When the next timer is due.
    pub(super) fn due(&self) -> Time {
        self.list.iter().map(GroupPeer::due).min().unwrap_or(Time::NEVER)
    }
}

/// How late a heartbeat may be over `path`: QUIC may have to send it again, and what goes ahead of it takes time.
fn path_slack(path: Option<&PathEstimate>) -> Duration {
    let wait =
        path.map_or(Duration::ZERO, |path| patience::probe_timeout(path) + path.transfer_time(path.outstanding()));
    SLACK.clamp(wait)
}

/// How long a peer may take to answer a probe. Without a link, `path` is the one that it was last linked by.
fn probe_wait(path: Option<&PathEstimate>, is_linked: bool) -> Duration {
    let (bounds, attempt) = if is_linked { (PROBE_ANSWER, 0) } else { (PROBE_ANSWER_UNLINKED, UNLINKED_ATTEMPT) };
    let exchange = Exchange { request_bytes: PROBE_BYTES, answer_bytes: PROBE_BYTES, attempt };
    patience::answer_wait(path, exchange, bounds)
}

/// Pause between two heartbeats to the same one of `live` peers.
fn pause(live: u32, heartbeat: Duration) -> Duration {
    let wanted =
        u32::try_from(heartbeat.as_micros() / HEARTBEATS_GAP.as_micros()).unwrap_or(u32::MAX).clamp(1, HEARTBEATS_MIN);
    if live >= wanted { heartbeat } else { heartbeat * live.max(1) / wanted }
}

/// When the next heartbeat to peer `slot` of `of` is due: a pause from now, or up to a quarter of it earlier, to approach its
/// even share of the period. Never later: the last heartbeat announced it.
fn next_slot(now: Time, pause: Duration, slot: u32, of: u32, offset: u64) -> Time {
    let period = (pause.as_micros() as u64).max(1);
    let latest = now.as_micros().saturating_add(period);
    let phase = (offset % period + period * u64::from(slot) / u64::from(of.max(1))) % period;
    let early = (latest % period + period - phase) % period;
    Time::from_micros(latest - early.min(period / 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::path::PathMeasurement;

    const HEARTBEAT: Duration = Duration::from_secs(2);

    fn ms(ms: u64) -> Time {
        Time::from_micros(ms * 1_000)
    }

    fn peers(count: u8) -> GroupPeers {
        let mut peers = GroupPeers::default();
        for id in 0..count {
            peers.share(NodeId([id; 32]), 1, Time::ZERO, HEARTBEAT, None);
        }
        peers
    }

    /// Runs the schedule for a minute and returns every heartbeat.
    fn play(peers: &mut GroupPeers) -> Vec<(Time, DueHeartbeat)> {
        let mut sent = Vec::new();
        while let Some(now) =
            Some(peers.list.iter().map(|peer| peer.next_heartbeat).min().unwrap()).filter(|&at| at < ms(60_000))
        {
            sent.extend(peers.due_heartbeats(now, HEARTBEAT, 77_777).into_iter().map(|beat| (now, beat)));
        }
        sent
    }

    #[test]
    fn each_heartbeat_is_sent_when_the_previous_one_announced_it() {
        for count in [1, 2, 4, 7] {
            let sent = play(&mut peers(count));
            for id in (0..count).map(|id| NodeId([id; 32])) {
                let own: Vec<&(Time, DueHeartbeat)> = sent.iter().filter(|(_, beat)| beat.to == id).collect();
                assert!(own.len() >= 29);
                assert!(own.windows(2).all(|two| two[1].0 == two[0].0 + two[0].1.pause && two[0].1.pause <= HEARTBEAT));
            }
        }
    }

    #[test]
    fn heartbeats_spread_evenly_over_the_period() {
        for (count, gap_ms) in [(1, 500), (2, 500), (4, 500), (5, 400), (8, 250)] {
            let sent = play(&mut peers(count));
            let late: Vec<Time> = sent.iter().map(|(at, _)| *at).filter(|at| *at > ms(30_000)).collect();
            let longest = late.windows(2).map(|two| two[1].since(two[0])).max().unwrap();
            assert!(longest <= Duration::from_millis(gap_ms + 1), "{count} peers: {longest:?}");
        }
    }

    #[test]
    fn overdue_heartbeat_is_missed_only_after_its_slack() {
        let mut peers = peers(1);
        let peer = peers.get_mut(NodeId([0; 32])).unwrap();
        peer.record_heartbeat(ms(100), HEARTBEAT, 1);
        assert!(!peer.is_missed(ms(2_249)));
        assert!(peer.is_missed(ms(2_250)));
        assert_eq!(peer.probe_wait(true), PROBE_ANSWER.clamp(probe_wait(None, true)));
        peer.record_heartbeat(ms(2_400), HEARTBEAT, 2);
        assert!(!peer.is_missed(ms(4_699)), "300 ms late once, and twice the patience");
        assert!(peer.is_missed(ms(4_800)));
        assert_eq!(peer.probe_wait(true), probe_wait(None, true) + Duration::from_millis(150), "its machine is busy");
    }

    #[test]
    fn waits_for_a_peer_grow_with_its_path_and_with_what_is_outstanding() {
        let path = |rtt_ms, outstanding| {
            let measured = PathMeasurement {
                rtt: Duration::from_millis(rtt_ms),
                deviation: Duration::from_millis(rtt_ms / 10),
                window: 15_000,
                outstanding,
                silence: Duration::ZERO,
            };
            PathEstimate::new(Time::ZERO, Time::ZERO, &measured)
        };
        let lan = path(1, 0);
        assert_eq!(path_slack(Some(&lan)), SLACK.floor);
        assert!(probe_wait(Some(&lan), true) < PROBE_ANSWER.floor * 5 / 4);
        let mobile = path(300, 0);
        assert_eq!(path_slack(Some(&mobile)), Duration::from_millis(300 + 4 * 30 + 25));
        assert!(probe_wait(Some(&mobile), true) > 4 * path_slack(Some(&mobile)));
        let busy = path(300, 60_000);
        assert_eq!(path_slack(Some(&busy)), path_slack(Some(&mobile)) + Duration::from_millis(1_200));
        assert!(probe_wait(None, false) > probe_wait(Some(&lan), true), "a link has to be made first");
        let mut peers = peers(1);
        let peer = peers.get_mut(NodeId([0; 32])).unwrap();
        peer.note_path(Some(busy));
        peer.record_heartbeat(ms(100), HEARTBEAT, 1);
        assert!(!peer.is_missed(ms(3_700)) && peer.is_missed(ms(3_800)));
    }

    #[test]
    fn unsharing_a_group_reverts_sharing_it() {
        let mut peers = peers(2);
        let id = NodeId([1; 32]);
        peers.share(id, 9, ms(1), HEARTBEAT, None);
        peers.unshare(id, 1, ms(2));
        assert_eq!(peers.get(id).map(|peer| (peer.shared, peer.digest)), Some((1, 9)));
        peers.mark_dead(id);
        assert_eq!(peers.live(), 1);
        peers.unshare(id, 9, ms(3));
        assert!(peers.get(id).is_none());
        assert_eq!(peers.live(), 1);
    }
}
