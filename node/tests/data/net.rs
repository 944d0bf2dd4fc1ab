//! A network of whole nodes in which every message arrives after the same time and every dial to a live node succeeds.
//!
//! A killed node is silent at once; its peers' transports notice after [`IDLE`], as a real one's do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use butter::core::NodeCore;
use butter::core::blob::Blob;
use butter::core::config::Config;
use butter::core::identity::{BlockId, NodeId};
use butter::core::interposer::Interposer;
use butter::core::io::{Command, CommandId, DialTarget, Input, Outcome, Output, Sink};
use butter::core::message::Message;
use butter::core::path::PathMeasurement;
use butter::core::storage::{BlockStore, MemoryStore, StoreCompletion, StoreError, StoreFault, StoreOp, StoreRequest};
use butter::core::time::Time;
use butter::core::wire;
use butter::overlay::data::{
    DataCommand, DataConfig, DataMessage, DataOutcome, DataOverlay, DataStats, FinishedSearch, FoundValue, GetError,
    KeywordHit, Keywords, PutError, SearchRefusal, StoredValue,
};
use rand::Rng;

use crate::adversary::Adversary;

/// How long a message takes.
pub(crate) const DELAY: Duration = Duration::from_millis(20);
/// How long a link to a silent node stays up.
pub(crate) const IDLE: Duration = Duration::from_secs(5);
/// How long an operation on a slow store takes.
const STORE_TAKES: Duration = Duration::from_millis(5);
/// How long a dial to an unused address takes to fail.
const DIAL_FAILS: Duration = Duration::from_secs(3);

type In = Input<DataMessage, DataCommand>;

/// The path to a node that was heard so long ago.
fn path_to(at: usize, seed: u64, silence: Duration) -> In {
    let path =
        PathMeasurement { rtt: DELAY * 2, deviation: Duration::ZERO, window: 256 << 10, outstanding: 0, silence };
    Input::PathMeasured { peer: id(at, seed), path }
}

/// How one of the commands ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Put(Result<StoredValue, PutError>),
    Got(Result<FoundValue, GetError>),
    Searched(Result<FinishedSearch, SearchRefusal>),
    Left,
}

/// Nodes by number; dead ones leave a gap.
pub(crate) struct Net {
    pub(crate) nodes: Vec<Option<NodeCore<DataOverlay>>>,
    pub(crate) now: Time,
    seed: u64,
    /// Hits of each search.
    pub(crate) hits: BTreeMap<CommandId, Vec<KeywordHit>>,
    due: BTreeMap<(Time, u64), (usize, In)>,
    wakes: BTreeSet<(Time, usize)>,
    woken_at: Vec<Time>,
    links: BTreeSet<(usize, usize)>,
    /// Pairs whose messages get lost although the link stays up.
    deaf: BTreeSet<(usize, usize)>,
    /// When the first of each pair last heard of the other.
    heard: BTreeMap<(usize, usize), Time>,
    /// Nodes that do nothing until then, and then all at once: stopped processes.
    frozen: BTreeMap<usize, Time>,
    /// What stands between hostile nodes and the network.
    adversaries: BTreeMap<usize, Adversary>,
    sequence: u64,
    idle_wakes: u32,
    why: &'static str,
    commands: u64,
    ended: BTreeMap<CommandId, Ended>,
    pub(crate) messages: u64,
    messages_of_honest: u64,
    /// Blocks of nodes whose stores complete later.
    stores: BTreeMap<usize, MemoryStore>,
    /// Whether nodes leave storing to `stores`.
    deferred: bool,
    /// Whether writes to `stores` fail.
    pub(crate) write_fails: bool,
}

pub(crate) fn id(at: usize, seed: u64) -> NodeId {
    // Spread over the whole range, so that rank says nothing about age.
    let mixed = (at as u64 ^ (seed << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    NodeId(std::array::from_fn(|i| match i {
        0..8 => mixed.to_be_bytes()[i],
        8..16 => (at as u64).to_be_bytes()[i - 8],
        _ => 7,
    }))
}

fn index(id: NodeId) -> usize {
    u64::from_be_bytes(id.0[8..16].try_into().expect("8 bytes")) as usize
}

fn address(at: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, (at >> 8) as u8, at as u8], 4001))
}

/// Bytes that differ from those for any other seed in every block.
pub(crate) fn value(seed: usize, length: usize) -> Blob {
    let mut random = butter::core::random::child(seed as u64, 1);
    let mut bytes = vec![0; length];
    random.fill_bytes(&mut bytes);
    Blob::from(bytes)
}

impl Net {
    /// `count` nodes that have had ten seconds to meet.
    pub(crate) fn joined(count: usize, config: &DataConfig, seed: u64) -> Self {
        Net::with_stores(count, config, seed, false)
    }

    /// As [`Net::joined`], with stores that complete operations after [`STORE_TAKES`].
    pub(crate) fn with_slow_stores(count: usize, config: &DataConfig, seed: u64) -> Self {
        Net::with_stores(count, config, seed, true)
    }

    fn with_stores(count: usize, config: &DataConfig, seed: u64, deferred: bool) -> Self {
        let mut net = Net {
            nodes: Vec::new(),
            now: Time::ZERO,
            seed,
            hits: BTreeMap::new(),
            due: BTreeMap::new(),
            wakes: BTreeSet::new(),
            woken_at: Vec::new(),
            links: BTreeSet::new(),
            deaf: BTreeSet::new(),
            heard: BTreeMap::new(),
            frozen: BTreeMap::new(),
            adversaries: BTreeMap::new(),
            sequence: 0,
            idle_wakes: 0,
            why: "",
            commands: 0,
            ended: BTreeMap::new(),
            messages: 0,
            messages_of_honest: 0,
            stores: BTreeMap::new(),
            deferred,
            write_fails: false,
        };
        (0..count).for_each(|_| _ = net.start(config));
        net.run(Duration::from_secs(10));
        net
    }

    /// Starts a fresh node.
    pub(crate) fn start(&mut self, config: &DataConfig) -> usize {
        let at = self.nodes.len();
        self.nodes.push(None);
        self.woken_at.push(Time::NEVER);
        self.boot(at, config, self.seed << 20 | at as u64);
        at
    }

    fn boot(&mut self, at: usize, config: &DataConfig, seed: u64) {
        let data = DataOverlay::new(Arc::new(config.clone()));
        self.nodes[at] = Some(NodeCore::new(id(at, self.seed), Arc::new(Config::default()), seed, data));
        if self.deferred {
            let contents = self.stores.entry(at).or_default().contents().expect("memory does not fail");
            self.give(at, Input::StoreOpened(contents));
        }
        self.give(at, Input::Addresses(vec![address(at).into()]));
        self.give(at, Input::Wake);
    }

    pub(crate) fn node(&self, at: usize) -> &NodeCore<DataOverlay> {
        self.nodes[at].as_ref().expect("the node lives")
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes.len()).filter(|&at| self.nodes[at].is_some())
    }

    /// Live nodes that hold a block.
    pub(crate) fn holders(&self, id: BlockId) -> Vec<usize> {
        self.live().filter(|&at| self.node(at).overlay().blocks().any(|block| block == id)).collect()
    }

    /// The sum of something that all live nodes count.
    pub(crate) fn sum(&self, of: impl Fn(&DataStats) -> u64) -> u64 {
        self.live().map(|at| of(&self.node(at).overlay().stats())).sum()
    }

    /// From now on, nothing that either says reaches the other.
    pub(crate) fn deafen(&mut self, a: usize, b: usize, deaf: bool) {
        if deaf {
            self.deaf.insert((a.min(b), a.max(b)));
        } else {
            self.deaf.remove(&(a.min(b), a.max(b)));
        }
    }

    fn post(&mut self, to: usize, after: Duration, input: In) {
        self.sequence += 1;
        self.due.insert((self.now + after, self.sequence), (to, input));
    }

    /// Messages that honest nodes have sent.
    pub(crate) fn messages_of_honest(&self) -> u64 {
        self.messages_of_honest
    }

    /// Makes a node hostile.
    pub(crate) fn corrupt(&mut self, at: usize, adversary: Adversary) {
        self.adversaries.insert(at, adversary);
    }

    fn give(&mut self, at: usize, mut input: In) {
        let mut sink = Sink::default();
        let Some(node) = &mut self.nodes[at] else { return };
        let mut adversary = self.adversaries.get_mut(&at);
        let is_seen = adversary.as_mut().is_none_or(|adversary| adversary.receive(self.now, &mut input));
        let input = if is_seen { input } else { Input::Wake };
        let deadline = node.handle(self.now, input, &mut sink);
        let mut wake = deadline.at;
        if let Some(adversary) = adversary {
            adversary.emit(self.now, &mut sink);
            wake = wake.min(adversary.due());
        }
        self.why = deadline.why;
        self.wakes.remove(&(self.woken_at[at], at));
        self.woken_at[at] = wake;
        self.wakes.insert((wake, at));
        for output in sink.0 {
            self.play(at, output);
        }
    }

    fn play(&mut self, at: usize, output: Output<DataMessage, DataOutcome>) {
        match output {
            Output::Send { to, message } => {
                let to = index(to);
                let pair = (at.min(to), at.max(to));
                if self.links.contains(&pair) && !self.deaf.contains(&pair) {
                    self.heard.insert((to, at), self.now + DELAY);
                    if self.nodes[to].is_some() {
                        self.heard.insert((at, to), self.now + DELAY * 2);
                    }
                    wire::encoded_len(&message).expect("it fits a frame");
                    self.messages += 1;
                    self.messages_of_honest += u64::from(!self.adversaries.contains_key(&at));
                    self.post(to, DELAY, Input::Message { from: id(at, self.seed), message });
                }
            }
            Output::Dial { dial, peer, to: DialTarget::Address(to) } => {
                let there = self.live().find(|&other| address(other) == to);
                match there.filter(|&other| peer.is_none_or(|peer| index(peer) == other)) {
                    None => self.post(at, DIAL_FAILS, Input::DialFailed { dial }),
                    Some(other) => {
                        self.links.insert((at.min(other), at.max(other)));
                        let seed = self.seed;
                        let up = |peer, dialled| Input::LinkUp {
                            peer: id(peer, seed),
                            remote: Some(address(peer)),
                            dialled,
                        };
                        self.post(at, DELAY * 2, up(other, true));
                        self.post(other, DELAY * 2, up(at, false));
                        self.post(at, DELAY * 2, path_to(other, seed, Duration::ZERO));
                        self.post(other, DELAY * 2, path_to(at, seed, Duration::ZERO));
                    }
                }
            }
            Output::Dial { dial, .. } => self.post(at, DELAY, Input::DialFailed { dial }),
            Output::MeasurePath { peer } => {
                let to = index(peer);
                if self.links.contains(&(at.min(to), at.max(to))) {
                    let heard = self.heard.get(&(at, to)).copied().unwrap_or_default();
                    self.post(at, Duration::ZERO, path_to(to, self.seed, self.now.since(heard)));
                }
            }
            Output::Close { peer } => self.cut(at, index(peer), DELAY),
            Output::Announce(announcement) => {
                for other in self.live().filter(|&other| other != at).collect::<Vec<_>>() {
                    self.post(
                        other,
                        DELAY,
                        Input::Announcement { from: address(at), announcement: announcement.clone() },
                    );
                }
            }
            Output::Unicast { to, announcement } => {
                let there = self.live().find(|&other| address(other) == to);
                if let Some(there) = there {
                    self.post(there, DELAY, Input::Announcement { from: address(at), announcement });
                }
            }
            Output::Partial { id, outcome: Outcome::Overlay(DataOutcome::Hit(hit)) } => {
                self.hits.entry(id).or_default().push(hit);
            }
            Output::Partial { outcome, .. } => panic!("{outcome:?} is no part of a result"),
            Output::Done { id, outcome } => {
                let ended = match outcome {
                    Outcome::Overlay(DataOutcome::Searched(result)) => Ended::Searched(result),
                    Outcome::Overlay(DataOutcome::Hit(_)) => panic!("a hit is no end"),
                    Outcome::Overlay(DataOutcome::Put(result)) => Ended::Put(result),
                    Outcome::Overlay(DataOutcome::Get(result, _)) => Ended::Got(result),
                    Outcome::Left => Ended::Left,
                    Outcome::Answered(_) | Outcome::Connected(_) => unreachable!("no test asks"),
                };
                assert!(self.ended.insert(id, ended).is_none(), "a command ends once");
            }
            Output::Store(StoreRequest { id, op }) => {
                let written = matches!(op, StoreOp::Write { .. });
                let result = match self.stores.entry(at).or_default().execute(op) {
                    Ok(_) if written && self.write_fails => {
                        Err(StoreError { fault: StoreFault::Failed, reason: "a test's disk".to_owned() })
                    }
                    result => result,
                };
                self.post(at, STORE_TAKES, Input::Stored(StoreCompletion { id, result }));
            }
            Output::Request { .. } | Output::AllowRelay { .. } | Output::MapPort { .. } | Output::Resolve { .. } => {}
            Output::Probe { .. } | Output::OpenSocket { .. } | Output::CloseSocket { .. } => {}
            Output::ExpectDial { .. } => {}
        }
    }

    fn cut(&mut self, from: usize, to: usize, after: Duration) {
        if self.links.remove(&(from.min(to), from.max(to))) {
            let peer = id(from, self.seed);
            self.post(to, after, Input::LinkDown { peer });
        }
    }

    /// Silences a node.
    pub(crate) fn kill(&mut self, at: usize) {
        self.nodes[at] = None;
        self.wakes.remove(&(self.woken_at[at], at));
        let linked: Vec<usize> =
            (0..self.nodes.len()).filter(|&to| self.links.contains(&(at.min(to), at.max(to)))).collect();
        linked.into_iter().for_each(|other| self.cut(at, other, IDLE));
    }

    /// A node dies and comes back at once under its name, with nothing stored.
    pub(crate) fn restart(&mut self, at: usize, config: &DataConfig) {
        self.kill(at);
        self.stores.remove(&at);
        self.come_back(at, config);
    }

    /// A node that was killed starts again under its name, with what is in its store.
    pub(crate) fn come_back(&mut self, at: usize, config: &DataConfig) {
        self.boot(at, config, self.seed << 20 | 1 << 19 | at as u64);
    }

    /// The store of a node, for damage.
    pub(crate) fn store(&mut self, at: usize) -> &mut MemoryStore {
        self.stores.get_mut(&at).expect("the nodes have stores")
    }

    /// Has `to` receive a message as if `from` had sent it; both must be linked.
    pub(crate) fn inject(&mut self, from: usize, to: usize, message: DataMessage) {
        self.inject_core(from, to, Message::Overlay(message));
    }

    /// As [`Net::inject`], with any message.
    pub(crate) fn inject_core(&mut self, from: usize, to: usize, message: Message<DataMessage>) {
        self.give(to, Input::Message { from: id(from, self.seed), message });
    }

    /// Two nodes with a link between them.
    pub(crate) fn linked_pair(&self) -> (usize, usize) {
        self.links.iter().copied().find(|&(a, b)| self.nodes[a].is_some() && self.nodes[b].is_some()).expect("some are")
    }

    /// A node that is none of `members` and linked to one of them, and that one.
    pub(crate) fn linked_to(&self, members: &[usize]) -> (usize, usize) {
        let both_ways = self.links.iter().flat_map(|&(a, b)| [(a, b), (b, a)]);
        both_ways.into_iter().find(|(a, b)| !members.contains(a) && members.contains(b)).expect("some are")
    }

    /// What others call it.
    pub(crate) fn id(&self, at: usize) -> NodeId {
        id(at, self.seed)
    }

    pub(crate) fn command(&mut self, at: usize, command: Command<DataCommand>) -> CommandId {
        self.commands += 1;
        let id = CommandId(self.commands);
        self.give(at, Input::Command { id, command });
        id
    }

    pub(crate) fn begin_put(&mut self, at: usize, value: &Blob) -> CommandId {
        self.command(at, Command::Overlay(DataCommand::Put { value: value.clone(), keywords: Keywords::default() }))
    }

    pub(crate) fn begin_get(&mut self, at: usize, id: BlockId) -> CommandId {
        self.command(at, Command::Overlay(DataCommand::Get { id, exhaustive: false }))
    }

    /// Where a node listens.
    pub(crate) fn address(&self, at: usize) -> SocketAddr {
        address(at)
    }

    /// Asks a node to leave, waits until it says that it has, and removes it. How long that took.
    pub(crate) fn leave(&mut self, at: usize) -> Duration {
        let began = self.now;
        let command = self.command(at, Command::Leave);
        assert!(matches!(self.wait(command), Ended::Left));
        self.kill(at);
        self.now.since(began)
    }

    /// Runs until a command has ended.
    pub(crate) fn wait(&mut self, command: CommandId) -> Ended {
        let limit = self.now + Duration::from_secs(60);
        loop {
            if let Some(ended) = self.ended.remove(&command) {
                return ended;
            }
            assert!(self.step(limit), "{command:?} has not ended within a minute");
        }
    }

    pub(crate) fn put(&mut self, at: usize, value: &Blob) -> Result<StoredValue, PutError> {
        let command = self.begin_put(at, value);
        match self.wait(command) {
            Ended::Put(result) => result,
            other => panic!("a put ended as {other:?}"),
        }
    }

    pub(crate) fn get(&mut self, at: usize, id: BlockId) -> Result<FoundValue, GetError> {
        let command = self.begin_get(at, id);
        match self.wait(command) {
            Ended::Got(result) => result,
            other => panic!("a get ended as {other:?}"),
        }
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
        self.now = until;
    }

    /// Runs until something holds. How long that took; `None` if it does not come to hold in time.
    pub(crate) fn run_until(&mut self, within: Duration, holds: impl Fn(&Net) -> bool) -> Option<Duration> {
        let began = self.now;
        while !holds(self) {
            if self.now.since(began) >= within {
                return None;
            }
            self.run(Duration::from_millis(10));
        }
        Some(self.now.since(began))
    }

    /// Stops a node for a while, as SIGSTOP does.
    pub(crate) fn freeze(&mut self, at: usize, time: Duration) {
        self.frozen.insert(at, self.now + time);
    }

    /// When a node that is stopped goes on; `None` if it is not stopped.
    fn thaws(&self, at: usize) -> Option<Time> {
        self.frozen.get(&at).copied().filter(|&until| until > self.now)
    }

    /// Plays what is next, unless it is later than `until`.
    fn step(&mut self, until: Time) -> bool {
        let message = self.due.first_key_value().map_or(Time::NEVER, |((at, _), _)| *at);
        let (wake, waker) = self.wakes.first().copied().unwrap_or((Time::NEVER, 0));
        let next = message.min(wake);
        if next > until || next == Time::NEVER {
            return false;
        }
        self.now = self.now.max(next);
        if message <= wake {
            let (_, (to, input)) = self.due.pop_first().expect("just seen");
            match self.thaws(to) {
                Some(until) => self.post(to, until.since(self.now), input),
                None => self.give(to, input),
            }
        } else if let Some(until) = self.thaws(waker) {
            self.wakes.remove(&(wake, waker));
            self.woken_at[waker] = until;
            self.wakes.insert((until, waker));
        } else {
            self.give(waker, Input::Wake);
            self.idle_wakes = if self.woken_at[waker] <= self.now { self.idle_wakes + 1 } else { 0 };
            assert!(self.idle_wakes < 100, "node {waker} wants to be woken again at once: {}", self.why);
        }
        true
    }
}
