//! The peers that share groups with this node: when to beat to each, when to expect each one's beat.
//!
//! Liveness is kept per peer, however many groups two nodes share. A node with k peers sends one beat to each per heartbeat,
//! spread evenly (peer i of k at phase i/k: Butter's palpitations, made regular), so that a node that falls silent is missed
//! by the first of its peers after a k-th of the heartbeat. A node with few peers beats more often, for the same reason.

use std::time::Duration;

use crate::core::identity::NodeId;
use crate::core::time::Time;

/// Beats that a node sends per heartbeat at least, to however few peers.
const BEATS_MIN: u32 = 4;
/// Beats of a node with few peers need not be closer than this.
const BEATS_GAP: Duration = Duration::from_millis(500);
/// The first beat to a new peer, and what is told of changed groups, have this long to come through.
pub(super) const SETTLE: Duration = Duration::from_millis(500);
/// Least allowance for a late beat.
const SLACK_MIN: Duration = Duration::from_millis(150);
/// Longest pause between beats that a peer may announce.
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// Bounds of the time in which a probe must be answered.
const PROBE_MIN: Duration = Duration::from_millis(200);
const PROBE_MAX: Duration = Duration::from_secs(1);
/// The same before any round trip was measured.
const PROBE_UNKNOWN: Duration = Duration::from_millis(500);

/// What is believed of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Its beats come.
    Alive,
    /// A beat has not come, or somebody else misses it: it is being probed.
    Suspected {
        /// Names the probes.
        stamp: u64,
        /// When the second probe goes out; never, once it has.
        again: Time,
        /// When it is taken for dead.
        until: Time,
    },
    /// It did not answer. Its record stays until its groups have replaced it, or it speaks again.
    Dead,
}

/// A peer with which at least one group is shared.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: NodeId,
    pub(super) status: Status,
    /// Groups shared.
    pub(super) shared: u32,
    /// Their digests combined by exclusive or.
    pub(super) digest: u64,
    /// When `digest` changed last.
    pub(super) changed: Time,
    /// No comparison of groups before this.
    pub(super) sync_after: Time,
    /// Another's word is no reason to suspect it before this.
    pub(super) trusted_until: Time,
    /// Who else expects its beats, as it says; at most [`CONTACTS_MAX`].
    pub(super) friends: Vec<NodeId>,
    /// The state of [`Peers::version`] of which it was told.
    told: u32,
    /// Whether a comparison is under way.
    pub(super) syncing: bool,
    /// Blocks it holds, as its last beat said.
    pub(super) held: u32,
    next_beat: Time,
    expect: Time,
    /// When the beat was due that came last, as the one before announced.
    announced: Time,
    jitter_us: u32,
    rtt_us: u32,
    rtt_deviation_us: u32,
}

impl Peer {
    fn new(id: NodeId, now: Time, heartbeat: Duration) -> Self {
        Peer {
            id,
            status: Status::Alive,
            shared: 0,
            digest: 0,
            changed: now,
            sync_after: now,
            trusted_until: now,
            friends: Vec::new(),
            told: 0,
            syncing: false,
            held: 0,
            next_beat: now + SETTLE.min(heartbeat) / 2,
            expect: now + heartbeat + SETTLE + SLACK_MIN,
            announced: Time::NEVER,
            jitter_us: 0,
            rtt_us: 0,
            rtt_deviation_us: 0,
        }
    }

    /// The round trip to it, if it was measured.
    pub(super) fn rtt(&self) -> Option<Duration> {
        (self.rtt_us > 0).then(|| Duration::from_micros(self.rtt_us.into()))
    }

    /// Smoothed as TCP does (RFC 6298).
    pub(super) fn measured(&mut self, rtt: Duration) {
        let rtt = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX).clamp(1, 10_000_000);
        if self.rtt_us == 0 {
            (self.rtt_us, self.rtt_deviation_us) = (rtt, rtt / 2);
        } else {
            self.rtt_deviation_us = (3 * self.rtt_deviation_us + rtt.abs_diff(self.rtt_us)) / 4;
            self.rtt_us = (7 * self.rtt_us + rtt) / 8;
        }
    }

    /// How long it may take to answer a probe.
    pub(super) fn probe_within(&self) -> Duration {
        match self.rtt_us {
            0 => PROBE_UNKNOWN,
            rtt => Duration::from_micros((rtt + 4 * self.rtt_deviation_us).into()).clamp(PROBE_MIN, PROBE_MAX),
        }
    }

    /// Takes a beat; the next is announced for `pause` later.
    pub(super) fn beat(&mut self, now: Time, pause: Duration, patience: u32) {
        let late_us = u32::try_from(now.since(self.announced).as_micros()).unwrap_or(u32::MAX).min(10_000_000);
        self.jitter_us = (7 * self.jitter_us + late_us) / 8;
        let pause = pause.clamp(Duration::from_millis(1), PAUSE_MAX);
        self.announced = now + pause;
        self.expect = now + pause + self.slack(patience);
    }

    /// It has spoken: whatever was suspected was wrong. Its next beat is given a whole heartbeat.
    pub(super) fn spoke(&mut self, now: Time, heartbeat: Duration, patience: u32) {
        if self.status == Status::Dead {
            self.next_beat = now;
        }
        self.status = Status::Alive;
        self.announced = Time::NEVER;
        self.expect = self.expect.max(now + heartbeat + self.slack(patience));
    }

    fn slack(&self, patience: u32) -> Duration {
        Duration::from_micros(u64::from(self.jitter_us) * 4).max(SLACK_MIN) * patience
    }

    /// This node itself was stalled until `now`: what came late then was not the peer's fault.
    pub(super) fn excuse(&mut self, now: Time, patience: u32) {
        self.expect = self.expect.max(now + self.slack(patience));
        if let Status::Suspected { until, .. } = &mut self.status {
            *until = (*until).max(now + PROBE_MIN);
        }
    }

    /// Whether its beat has not come in time.
    pub(super) fn is_missed(&self, now: Time) -> bool {
        self.status == Status::Alive && self.expect <= now
    }

    /// When there is next something to do about it.
    fn due(&self) -> Time {
        match self.status {
            Status::Alive => self.next_beat.min(self.expect),
            Status::Suspected { again, until, .. } => self.next_beat.min(again).min(until),
            Status::Dead => Time::NEVER,
        }
    }
}

/// A beat to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DueBeat {
    pub(super) to: NodeId,
    /// Until the next one.
    pub(super) pause: Duration,
    pub(super) digest: u64,
    /// Whether the set of peers has changed since it was told.
    pub(super) news: bool,
}

/// All of them, in ascending order of their ids. At most one for each member of each group held.
#[derive(Debug, Default)]
pub(super) struct Peers {
    list: Vec<Peer>,
    dead: usize,
    /// Counts changes of who is in the list and not dead.
    version: u32,
}

impl Peers {
    pub(super) fn get(&self, id: NodeId) -> Option<&Peer> {
        self.list.binary_search_by(|peer| peer.id.cmp(&id)).ok().map(|at| &self.list[at])
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Peer> {
        self.list.binary_search_by(|peer| peer.id.cmp(&id)).ok().map(|at| &mut self.list[at])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> + '_ {
        self.list.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> + '_ {
        self.list.iter_mut()
    }

    /// Those that are not dead.
    pub(super) fn live(&self) -> usize {
        self.list.len() - self.dead
    }

    pub(super) fn is_dead(&self, id: NodeId) -> bool {
        self.dead > 0 && self.get(id).is_some_and(|peer| peer.status == Status::Dead)
    }

    /// Marks a peer as dead.
    pub(super) fn bury(&mut self, id: NodeId) {
        if let Some(peer) = self.get_mut(id).filter(|peer| peer.status != Status::Dead) {
            peer.status = Status::Dead;
            self.dead += 1;
            self.version += 1;
        }
    }

    /// A peer has spoken. Whether that contradicts what was believed of it.
    pub(super) fn spoke(&mut self, id: NodeId, now: Time, heartbeat: Duration, patience: u32) -> Option<Status> {
        let peer = self.get_mut(id).filter(|peer| peer.status != Status::Alive)?;
        let before = peer.status;
        peer.spoke(now, heartbeat, patience);
        if before == Status::Dead {
            self.dead -= 1;
            self.version += 1;
        }
        Some(before)
    }

    /// One more group is shared with `id`. Whether the peer is new.
    pub(super) fn share(&mut self, id: NodeId, digest: u64, now: Time, heartbeat: Duration) -> bool {
        let found = self.list.binary_search_by(|peer| peer.id.cmp(&id));
        let at = found.unwrap_or_else(|at| {
            self.list.insert(at, Peer::new(id, now, heartbeat));
            self.version += 1;
            at
        });
        let peer = &mut self.list[at];
        peer.shared += 1;
        peer.digest ^= digest;
        peer.changed = now;
        found.is_err()
    }

    /// One group less is shared with `id`.
    pub(super) fn unshare(&mut self, id: NodeId, digest: u64, now: Time) {
        let Ok(at) = self.list.binary_search_by(|peer| peer.id.cmp(&id)) else { return };
        let peer = &mut self.list[at];
        peer.shared -= 1;
        peer.digest ^= digest;
        peer.changed = now;
        if peer.shared == 0 {
            self.dead -= usize::from(peer.status == Status::Dead);
            self.list.remove(at);
            self.version += 1;
        }
    }

    /// The beats that are due. `offset` differs from node to node, so that not all beat in step.
    pub(super) fn due_beats(&mut self, now: Time, heartbeat: Duration, offset: u64) -> Vec<DueBeat> {
        let live = self.live() as u32;
        let mut due = Vec::new();
        let pause = pause(live, heartbeat);
        for (slot, peer) in (0..).zip(self.list.iter_mut().filter(|peer| peer.status != Status::Dead)) {
            if peer.next_beat <= now {
                peer.next_beat = next_slot(now, pause, slot, live, offset);
                let news = std::mem::replace(&mut peer.told, self.version) != self.version;
                due.push(DueBeat { to: peer.id, pause: peer.next_beat.since(now), digest: peer.digest, news });
            }
        }
        due
    }

    /// When there is next something to do.
    pub(super) fn due(&self) -> Time {
        self.list.iter().map(Peer::due).min().unwrap_or(Time::NEVER)
    }
}

/// Pause between two beats to the same one of `live` peers.
fn pause(live: u32, heartbeat: Duration) -> Duration {
    let wanted = u32::try_from(heartbeat.as_micros() / BEATS_GAP.as_micros()).unwrap_or(u32::MAX).clamp(1, BEATS_MIN);
    if live >= wanted { heartbeat } else { heartbeat * live.max(1) / wanted }
}

/// When the next beat to peer `slot` of `of` is due: a pause from now, or up to a quarter of it earlier, to come closer to its
/// even share of the period. Never later, for that would break a promise.
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

    const HEARTBEAT: Duration = Duration::from_secs(2);

    fn ms(ms: u64) -> Time {
        Time::from_micros(ms * 1_000)
    }

    fn peers(count: u8) -> Peers {
        let mut peers = Peers::default();
        for id in 0..count {
            peers.share(NodeId([id; 32]), 1, Time::ZERO, HEARTBEAT);
        }
        peers
    }

    /// Plays the schedule for a minute and returns every beat.
    fn play(peers: &mut Peers) -> Vec<(Time, DueBeat)> {
        let mut sent = Vec::new();
        while let Some(now) =
            Some(peers.list.iter().map(|peer| peer.next_beat).min().unwrap()).filter(|&at| at < ms(60_000))
        {
            sent.extend(peers.due_beats(now, HEARTBEAT, 77_777).into_iter().map(|beat| (now, beat)));
        }
        sent
    }

    #[test]
    fn every_beat_comes_when_the_one_before_announced_it() {
        for count in [1, 2, 4, 7] {
            let sent = play(&mut peers(count));
            for id in (0..count).map(|id| NodeId([id; 32])) {
                let own: Vec<&(Time, DueBeat)> = sent.iter().filter(|(_, beat)| beat.to == id).collect();
                assert!(own.len() >= 29);
                assert!(own.windows(2).all(|two| two[1].0 == two[0].0 + two[0].1.pause && two[0].1.pause <= HEARTBEAT));
            }
        }
    }

    #[test]
    fn beats_spread_evenly_over_the_period() {
        for (count, gap_ms) in [(1, 500), (2, 500), (4, 500), (5, 400), (8, 250)] {
            let sent = play(&mut peers(count));
            let late: Vec<Time> = sent.iter().map(|(at, _)| *at).filter(|at| *at > ms(30_000)).collect();
            let longest = late.windows(2).map(|two| two[1].since(two[0])).max().unwrap();
            assert!(longest <= Duration::from_millis(gap_ms + 1), "{count} peers: {longest:?}");
        }
    }

    #[test]
    fn a_missed_beat_is_noticed_after_its_slack_and_not_before() {
        let mut peers = peers(1);
        let peer = peers.get_mut(NodeId([0; 32])).unwrap();
        peer.beat(ms(100), HEARTBEAT, 1);
        assert!(!peer.is_missed(ms(2_249)));
        assert!(peer.is_missed(ms(2_250)));
        peer.beat(ms(2_400), HEARTBEAT, 2);
        assert!(!peer.is_missed(ms(4_699)), "300 ms late once, and twice the patience");
        assert!(peer.is_missed(ms(4_800)));
    }

    #[test]
    fn sharing_and_unsharing_cancel_out() {
        let mut peers = peers(2);
        let id = NodeId([1; 32]);
        peers.share(id, 9, ms(1), HEARTBEAT);
        peers.unshare(id, 1, ms(2));
        assert_eq!(peers.get(id).map(|peer| (peer.shared, peer.digest)), Some((1, 9)));
        peers.bury(id);
        assert_eq!(peers.live(), 1);
        peers.unshare(id, 9, ms(3));
        assert!(peers.get(id).is_none());
        assert_eq!(peers.live(), 1);
    }
}
