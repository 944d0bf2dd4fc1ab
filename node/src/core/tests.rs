//! Nodes among themselves, over a network that loses nothing: what the protocol modules promise together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::io::DialTarget;
use super::*;
use crate::core::blob::Blob;
use crate::core::io::CommandId;

/// An overlay that has nothing to say.
#[derive(Debug)]
pub(super) struct Silent;

#[derive(Clone, Debug, bincode::Encode, bincode::Decode)]
pub(super) struct Nothing;

impl Overlay for Silent {
    type Message = Nothing;
    type Command = ();
    type Outcome = ();

    fn handle(&mut self, input: OverlayInput<Nothing, ()>, context: &mut OverlayContext<'_, Nothing, ()>) {
        if matches!(input, OverlayInput::Leave) {
            context.left();
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline::NEVER
    }

    fn storage_free(&self) -> u64 {
        0
    }
}

type In = Input<Nothing, ()>;

/// A network in which everything arrives after a millisecond and addresses are `10.0.0.x`.
struct Net {
    nodes: Vec<Option<NodeCore<Silent>>>,
    due: BTreeMap<(Time, u64), (usize, In)>,
    wakes: Vec<Time>,
    links: BTreeSet<(usize, usize)>,
    now: Time,
    sequence: u64,
    outcomes: VecDeque<Outcome<()>>,
}

const DELAY: Duration = Duration::from_millis(1);

fn id(at: usize) -> NodeId {
    NodeId(std::array::from_fn(|i| if i < 8 { at.to_be_bytes()[i] } else { 7 }))
}

fn index(id: NodeId) -> usize {
    id.prefix() as usize
}

fn address(at: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, (at >> 8) as u8, at as u8], 4001))
}

impl Net {
    fn new(count: usize) -> Self {
        let mut net = Net {
            nodes: Vec::new(),
            due: BTreeMap::new(),
            wakes: Vec::new(),
            links: BTreeSet::new(),
            now: Time::ZERO,
            sequence: 0,
            outcomes: VecDeque::new(),
        };
        for _ in 0..count {
            net.add(Config::default());
        }
        net
    }

    fn add(&mut self, config: Config) -> usize {
        let at = self.nodes.len();
        self.nodes.push(Some(NodeCore::new(id(at), Arc::new(config), at as u64, Silent)));
        self.wakes.push(Time::NEVER);
        self.give(at, Input::Addresses(vec![address(at).into()]));
        self.give(at, Input::Wake);
        at
    }

    fn post(&mut self, to: usize, after: Duration, input: In) {
        self.sequence += 1;
        self.due.insert((self.now + after, self.sequence), (to, input));
    }

    fn give(&mut self, at: usize, input: In) {
        let mut sink = Sink::default();
        let Some(node) = &mut self.nodes[at] else { return };
        self.wakes[at] = node.handle(self.now, input, &mut sink).at;
        for output in sink.0 {
            self.play(at, output);
        }
    }

    fn play(&mut self, at: usize, output: Output<Nothing, ()>) {
        match output {
            Output::Send { to, message } => {
                let to = index(to);
                if self.links.contains(&(at.min(to), at.max(to))) {
                    self.post(to, DELAY, Input::Message { from: id(at), message });
                }
            }
            Output::Dial { dial, peer, to: DialTarget::Address(to) } => {
                let there = (0..self.nodes.len()).find(|&other| address(other) == to && self.nodes[other].is_some());
                match there.filter(|&other| peer.is_none_or(|peer| peer == id(other))) {
                    None => self.post(at, DELAY * 100, Input::DialFailed { dial }),
                    Some(other) => {
                        self.links.insert((at.min(other), at.max(other)));
                        let up = |peer, dialled| Input::LinkUp { peer: id(peer), remote: Some(address(peer)), dialled };
                        self.post(at, DELAY * 2, up(other, true));
                        self.post(other, DELAY * 2, up(at, false));
                    }
                }
            }
            Output::Dial { dial, .. } => self.post(at, DELAY, Input::DialFailed { dial }),
            Output::Close { peer } => self.cut(at, index(peer), DELAY),
            Output::Announce(announcement) => {
                for other in (0..self.nodes.len()).filter(|&other| other != at) {
                    self.post(
                        other,
                        DELAY,
                        Input::Announcement { from: address(at), announcement: announcement.clone() },
                    );
                }
            }
            Output::Unicast { to, announcement } => {
                let there = (0..self.nodes.len()).find(|&other| address(other) == to).expect("an address of ours");
                self.post(there, DELAY, Input::Announcement { from: address(at), announcement });
            }
            Output::Request { request, body, .. } => {
                let reversed: Vec<u8> = body.0.iter().rev().copied().collect();
                self.post(at, DELAY, Input::Reply { request, result: Ok(Blob::from(reversed)) });
            }
            Output::Done { outcome, .. } => self.outcomes.push_back(outcome),
            Output::MapPort { .. } => self.post(at, DELAY, Input::PortMapped(None)),
            Output::Partial { .. }
            | Output::AllowRelay { .. }
            | Output::MeasurePath { .. }
            | Output::Probe { .. }
            | Output::Resolve { .. }
            | Output::OpenSocket { .. }
            | Output::Store(_)
            | Output::ExpectDial { .. }
            | Output::CloseSocket { .. } => {}
        }
    }

    fn cut(&mut self, from: usize, to: usize, after: Duration) {
        if self.links.remove(&(from.min(to), from.max(to))) {
            self.post(to, after, Input::LinkDown { peer: id(from) });
        }
    }

    fn kill(&mut self, at: usize) {
        self.nodes[at] = None;
        for other in 0..self.nodes.len() {
            self.cut(at, other, Duration::from_secs(5));
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let message = self.due.first_key_value().map_or(Time::NEVER, |((at, _), _)| *at);
            let (waker, wake) = self.wakes.iter().copied().enumerate().min_by_key(|(_, at)| *at).expect("nodes");
            if message.min(wake) > until {
                self.now = until;
                return;
            }
            self.now = self.now.max(message.min(wake));
            if message <= wake {
                let (_, (to, input)) = self.due.pop_first().expect("just seen");
                self.give(to, input);
            } else {
                self.wakes[waker] = Time::NEVER;
                self.give(waker, Input::Wake);
            }
        }
    }

    /// Sizes of the components of the graph of neighbours, the biggest first.
    fn components(&self) -> Vec<usize> {
        let mut open: BTreeSet<usize> = (0..self.nodes.len()).filter(|&at| self.nodes[at].is_some()).collect();
        let edges = |at: usize| -> Vec<usize> {
            self.nodes[at].as_ref().map_or_else(Vec::new, |node| node.neighbours().map(index).collect())
        };
        let mut sizes = Vec::new();
        while let Some(first) = open.pop_first() {
            let (mut size, mut queue) = (0, vec![first]);
            while let Some(at) = queue.pop() {
                size += 1;
                let near: Vec<usize> = open
                    .iter()
                    .copied()
                    .filter(|&other| edges(at).contains(&other) || edges(other).contains(&at))
                    .collect();
                for other in near {
                    open.remove(&other);
                    queue.push(other);
                }
            }
            sizes.push(size);
        }
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes
    }
}

#[test]
fn peers_of_a_lan_find_each_other() {
    let mut net = Net::new(60);
    net.run(Duration::from_secs(10));
    assert_eq!(net.components(), [60]);
    for node in net.nodes.iter().flatten() {
        assert!((3..=8).contains(&node.neighbours().count()), "{} neighbours", node.neighbours().count());
        assert!(node.known_hosts().count() <= 64);
    }
}

#[test]
fn neighbours_agree_that_they_are() {
    let mut net = Net::new(40);
    net.run(Duration::from_secs(30));
    let mut one_sided = 0;
    for (at, node) in net.nodes.iter().enumerate() {
        for other in node.iter().flat_map(|node| node.neighbours().map(index)) {
            one_sided +=
                usize::from(!net.nodes[other].iter().any(|other| other.neighbours().any(|peer| peer == id(at))));
        }
    }
    assert!(one_sided <= 4, "{one_sided} of about 300 neighbours do not return it");
}

#[test]
fn when_half_of_all_die_the_rest_stay_together() {
    let mut net = Net::new(60);
    net.run(Duration::from_secs(20));
    (0..60).step_by(2).for_each(|at| net.kill(at));
    net.run(Duration::from_secs(30));
    assert_eq!(net.components(), [30]);
}

#[test]
fn with_an_ambassador_and_no_multicast_they_meet_too() {
    let mut net = Net::new(0);
    net.add(Config { ambassador: true, discover: false, ..Config::default() });
    for _ in 0..30 {
        net.add(Config { join: vec![address(0)], discover: false, ..Config::default() });
    }
    net.run(Duration::from_secs(20));
    assert_eq!(net.components(), [31]);
    // It goes and comes back: it is dialled again.
    net.kill(0);
    net.run(Duration::from_secs(20));
    net.nodes[0] = Some(NodeCore::new(id(0), Arc::new(Config { ambassador: true, ..Config::default() }), 99, Silent));
    net.give(0, Input::Addresses(vec![address(0).into()]));
    net.give(0, Input::Wake);
    net.run(Duration::from_secs(10));
    assert_eq!(net.components(), [31]);
}

#[test]
fn an_application_is_asked_and_answers() {
    let mut net = Net::new(2);
    net.run(Duration::from_secs(3));
    let ask = |peer| Command::Ask { peer, route: "reverse/".into(), body: Blob::from(b"ohce".to_vec()) };
    net.give(0, Input::Command { id: CommandId(1), command: ask(id(1)) });
    net.run(Duration::from_secs(1));
    assert!(matches!(net.outcomes.pop_front(), Some(Outcome::Answered(Ok(answer))) if answer.as_ref() == b"echo"));
    net.give(0, Input::Command { id: CommandId(2), command: ask(NodeId([9; 32])) });
    assert!(matches!(net.outcomes.pop_front(), Some(Outcome::Answered(Err(AskError::Unreachable)))));
}

#[test]
fn a_wanted_link_is_told_of_once_it_is_up() {
    let mut net = Net::new(1);
    let discreet = Config { discover: false, ..Config::default() };
    let other = net.add(discreet.clone());
    let stranger = net.add(discreet);
    let contact = Some(Box::new(Contact::at(id(other), address(other))));
    net.give(stranger, Input::Command { id: CommandId(1), command: Command::Connect { peer: id(other), contact } });
    net.run(Duration::from_secs(1));
    let Some(Outcome::Connected(report)) = net.outcomes.pop_front() else { panic!("it has not ended") };
    assert_eq!((report.path, report.took, report.tries), (Some(io::LinkPath::Lan), Some(DELAY * 2), 0));
    let unknown = Command::Connect { peer: NodeId([9; 32]), contact: None };
    net.give(stranger, Input::Command { id: CommandId(2), command: unknown });
    net.run(Duration::from_secs(29));
    assert!(net.outcomes.is_empty(), "it is tried for longer");
    net.run(Duration::from_secs(2));
    assert!(matches!(net.outcomes.pop_front(), Some(Outcome::Connected(report)) if report.path.is_none()));
}

#[test]
fn two_alone_go_on_exchanging() {
    let mut net = Net::new(2);
    net.run(Duration::from_secs(60));
    let received = net.nodes[0].as_ref().map(|node| node.stats().messages_received);
    assert!(received >= Some(5), "{received:?}");
}

#[test]
fn a_deadline_in_the_past_is_never_asked_for() {
    let mut net = Net::new(10);
    net.run(Duration::from_secs(5));
    net.give(0, Input::Command { id: CommandId(1), command: Command::Leave });
    assert!(matches!(net.outcomes.pop_front(), Some(Outcome::Left)));
    for at in 0..10 {
        net.give(at, Input::Wake);
        assert!(net.wakes[at] > net.now, "node {at} wants to be woken at {:?}, now is {:?}", net.wakes[at], net.now);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let trace = || {
        let mut net = Net::new(20);
        net.run(Duration::from_secs(20));
        let views: Vec<Vec<NodeId>> = net.nodes.iter().flatten().map(|node| node.neighbours().collect()).collect();
        (net.sequence, views)
    };
    assert_eq!(trace(), trace());
}
