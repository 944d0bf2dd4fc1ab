//! Nodes that hear each other late, twice, from the wrong peer or not at all, and noise besides, stay within their bounds.

#![no_main]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::Arbitrary;
use butter::core::NodeCore;
use butter::core::blob::Blob;
use butter::core::config::Config;
use butter::core::identity::{BlockId, NodeId};
use butter::core::io::{Command, CommandId, DialTarget, ForwardedPort, Input, Output, RequestId, Sink, SocketId};
use butter::core::message::Refusal;
use butter::core::probe::{Probe, Token};
use butter::core::time::Time;
use butter::core::wire;
use butter::overlay::data::message::DataMessage;
use butter::overlay::data::{DataCommand, DataConfig, DataOutcome, DataOverlay, Keywords, SearchQuery};
use libfuzzer_sys::fuzz_target;

const NODES: usize = 4;
/// Inputs that may come at one moment before the node is at work for ever.
const WAKES_MAX: usize = 1_000;
/// Frames under way; the oldest are lost.
const UNDER_WAY_MAX: usize = 256;
/// Bytes that a node keeps at most.
const STORAGE: u64 = 64 << 10;
/// A get of a block with such a number is a search for keywords.
const SEARCHES_FROM: u8 = 192;

type In = Input<DataMessage, DataCommand>;
type Out = Output<DataMessage, DataOutcome>;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Link {
        a: u8,
        b: u8,
        relayed: bool,
    },
    Unlink {
        a: u8,
        b: u8,
    },
    /// The oldest but `skip` arrives, as if `from` had sent it if that is given, with a byte changed.
    Deliver {
        skip: u8,
        from: Option<u8>,
        change: Option<(u16, u8)>,
        again: bool,
    },
    DialFails {
        node: u8,
        skip: u8,
    },
    DialSucceeds {
        node: u8,
        skip: u8,
    },
    Noise {
        to: u8,
        from: u8,
        frame: &'a [u8],
    },
    Announced {
        to: u8,
        from: (u8, u16),
        frame: &'a [u8],
    },
    Probed {
        to: u8,
        socket: u8,
        from: (u8, u16),
        datagram: &'a [u8],
    },
    AnswerProbe {
        skip: u8,
        seen: (u8, u16),
    },
    SocketOpened {
        node: u8,
        socket: u8,
        port: u16,
    },
    Mapped {
        node: u8,
        external_address: Option<(u8, u16)>,
        lifetime_s: u16,
    },
    Moved {
        node: u8,
        hosts: [u8; 2],
    },
    Put {
        node: u8,
        length: u16,
    },
    Get {
        node: u8,
        block: u8,
    },
    Ask {
        node: u8,
        peer: u8,
        length: u16,
    },
    Want {
        node: u8,
        peer: u8,
    },
    Reply {
        node: u8,
        request: u8,
        refused: bool,
    },
    Leave {
        node: u8,
    },
    Wait {
        ms: u16,
    },
}

struct World {
    nodes: Vec<NodeCore<DataOverlay>>,
    wakes: Vec<Time>,
    frames: VecDeque<(usize, NodeId, Vec<u8>)>,
    dials: Vec<VecDeque<(butter::core::io::DialId, Option<NodeId>, DialTarget)>>,
    probes: VecDeque<(usize, SocketId, SocketAddr, Token)>,
    blocks: Vec<BlockId>,
    config: Arc<Config>,
    now: Time,
    commands: u64,
}

fn id(at: usize) -> NodeId {
    NodeId([at as u8; 32])
}

/// Some of private networks, some public.
fn address((host, port): (u8, u16)) -> SocketAddr {
    let octets = if host < 128 { [10, 0, host >> 5, host] } else { [203, 0, 113 + (host >> 6), host] };
    (octets, port).into()
}

impl World {
    fn new() -> Self {
        let config = Config { active: 3, passive: 4, ..Config::default() };
        let data = Arc::new(DataConfig { storage: STORAGE, replicas: 2, ..DataConfig::default() });
        let mut world = World {
            nodes: vec![],
            wakes: vec![Time::NEVER; NODES],
            frames: VecDeque::new(),
            dials: vec![VecDeque::new(); NODES],
            probes: VecDeque::new(),
            blocks: vec![],
            config: Arc::new(config.clone()),
            now: Time::ZERO,
            commands: 0,
        };
        for at in 0..NODES {
            let join = if at == 0 { vec![] } else { vec![address((200, 4001))] };
            let config = Config { ambassador: at == 0, join, ..config.clone() };
            let overlay = DataOverlay::new(Arc::clone(&data));
            world.nodes.push(NodeCore::new(id(at), Arc::new(config), at as u64, overlay));
        }
        for at in 0..NODES {
            world.give(at, Input::Addresses(vec![address((at as u8 * 60, 4001)).into()]));
            world.give(at, Input::Wake);
        }
        world
    }

    fn give(&mut self, at: usize, input: In) {
        let mut sink = Sink::default();
        self.wakes[at] = self.nodes[at].handle(self.now, input, &mut sink).at;
        for output in sink.0 {
            self.take(at, output);
        }
        let stats = self.nodes[at].stats();
        assert!(stats.neighbours <= self.config.active as u64, "{} neighbours", stats.neighbours);
        let most = (self.config.active + self.config.passive) as u64;
        assert!(stats.known_hosts <= most, "{} known hosts", stats.known_hosts);
        let stored = self.nodes[at].overlay().stats().stored_bytes;
        assert!(stored <= STORAGE, "{stored} bytes stored");
    }

    fn take(&mut self, at: usize, output: Out) {
        match output {
            Output::Send { to, message } => {
                // Checks that it is bounded.
                let frame = wire::encode(&message).expect("a node's own messages fit a frame");
                let to = usize::from(to.0[0]);
                if to < NODES {
                    self.frames.push_back((to, id(at), frame));
                    self.frames.truncate(UNDER_WAY_MAX);
                }
            }
            Output::Dial { dial, peer, to } => self.dials[at].push_back((dial, peer, to)),
            Output::Probe { socket, to, probe: Probe::Request { token } } => {
                self.probes.push_back((at, socket, to, token));
                self.probes.truncate(UNDER_WAY_MAX);
            }
            Output::Done { outcome: butter::core::io::Outcome::Overlay(DataOutcome::Put(Ok(stored))), .. } => {
                self.blocks.extend(stored.blocks);
                self.blocks.truncate(UNDER_WAY_MAX);
            }
            _ => {}
        }
    }

    fn command(&mut self, at: usize, command: Command<DataCommand>) {
        self.commands += 1;
        self.give(at, Input::Command { id: CommandId(self.commands), command });
    }

    fn deliver(&mut self, to: usize, from: NodeId, frame: &[u8]) {
        if let Ok(message) = wire::decode(frame) {
            self.give(to, Input::Message { from, message });
        }
    }

    fn wait(&mut self, until: Time) {
        let mut wakes = 0;
        while let Some(at) = (0..NODES).filter(|at| self.wakes[*at] <= until).min_by_key(|at| self.wakes[*at]) {
            wakes = if self.wakes[at] > self.now { 0 } else { wakes + 1 };
            assert!(wakes < WAKES_MAX, "node {at} is at work for ever");
            self.now = self.now.max(self.wakes[at]);
            self.give(at, Input::Wake);
        }
        self.now = until;
    }

    fn play(&mut self, step: Step<'_>) {
        let node = |number: u8| usize::from(number) % NODES;
        match step {
            Step::Link { a, b, relayed } => {
                let (a, b) = (node(a), node(b));
                for (at, peer, dialled) in [(a, b, true), (b, a, false)] {
                    let remote = (!relayed).then(|| address((peer as u8 * 60, 4001)));
                    self.give(at, Input::LinkUp { peer: id(peer), remote, dialled });
                }
            }
            Step::Unlink { a, b } => {
                let (a, b) = (node(a), node(b));
                self.give(a, Input::LinkDown { peer: id(b) });
                self.give(b, Input::LinkDown { peer: id(a) });
            }
            Step::Deliver { skip, from, change, again } => {
                let Some((to, sender, mut frame)) = self.frames.remove(usize::from(skip)) else { return };
                if again {
                    self.frames.push_back((to, sender, frame.clone()));
                }
                if let Some((at, value)) = change {
                    let at = usize::from(at) % frame.len();
                    frame[at] = value;
                }
                self.deliver(to, from.map_or(sender, |from| NodeId([from; 32])), &frame);
            }
            Step::DialFails { node: at, skip } => {
                let Some((dial, ..)) = self.dials[node(at)].remove(skip.into()) else { return };
                self.give(node(at), Input::DialFailed { dial });
            }
            Step::DialSucceeds { node: at, skip } => {
                let at = node(at);
                let Some((_, peer, to)) = self.dials[at].remove(skip.into()) else { return };
                let peer = peer.unwrap_or(id(0));
                let remote = match to {
                    DialTarget::Address(to) | DialTarget::From { to, .. } => Some(to),
                    DialTarget::Relay { .. } => None,
                };
                self.give(at, Input::LinkUp { peer, remote, dialled: true });
                if let Some(there) = (0..NODES).find(|there| id(*there) == peer) {
                    self.give(there, Input::LinkUp { peer: id(at), remote, dialled: false });
                }
            }
            Step::Noise { to, from, frame } => {
                let frame: Vec<_> = [wire::VERSION].iter().chain(frame).copied().collect();
                self.deliver(node(to), NodeId([from; 32]), &frame);
            }
            Step::Announced { to, from, frame } => {
                let frame: Vec<_> = [wire::VERSION].iter().chain(frame).copied().collect();
                let Ok(announcement) = wire::decode(&frame) else { return };
                self.give(node(to), Input::Announcement { from: address(from), announcement });
            }
            Step::Probed { to, socket, from, datagram } => {
                let Some(probe) = Probe::decode(datagram) else { return };
                self.give(
                    node(to),
                    Input::ProbeReceived { socket: SocketId(socket.into()), from: address(from), probe },
                );
            }
            Step::AnswerProbe { skip, seen } => {
                let Some((at, socket, from, token)) = self.probes.remove(skip.into()) else { return };
                let probe = Probe::Response { token, seen: address(seen), other: Some(address((200, 4002))) };
                self.give(at, Input::ProbeReceived { socket, from, probe });
            }
            Step::SocketOpened { node: at, socket, port } => {
                self.give(node(at), Input::SocketOpened { socket: SocketId(socket.into()), port });
            }
            Step::Mapped { node: at, external_address, lifetime_s } => {
                let lifetime = Duration::from_secs(lifetime_s.into());
                let mapping = external_address
                    .map(|external_address| ForwardedPort { external_address: address(external_address), lifetime });
                self.give(node(at), Input::PortMapped(mapping));
            }
            Step::Moved { node: at, hosts } => {
                self.give(node(at), Input::Addresses(hosts.map(|host| address((host, 4001)).into()).to_vec()));
            }
            Step::Put { node: at, length } => {
                let value = Blob(vec![length as u8; usize::from(length) + 1].into());
                let words = (0..length % 3).map(|number| format!("word{number}"));
                let keywords = Keywords::new(words).expect("these are keywords");
                self.command(node(at), Command::Overlay(DataCommand::Put { value, keywords }));
            }
            Step::Get { node: at, block } => {
                if block >= SEARCHES_FROM {
                    let query = SearchQuery::parse("word0 OR word1 NOT word2").expect("this is a query");
                    let search = DataCommand::Search { query, limit: block.into(), deadline: Duration::from_secs(9) };
                    return self.command(node(at), Command::Overlay(search));
                }
                let block = self.blocks.get(usize::from(block)).copied().unwrap_or(BlockId([block; 32]));
                self.command(node(at), Command::Overlay(DataCommand::Get { id: block, exhaustive: false }));
            }
            Step::Ask { node: at, peer, length } => {
                let body = Blob(vec![0; length.into()].into());
                self.command(node(at), Command::Ask { peer: id(node(peer)), route: String::new(), body });
            }
            Step::Want { node: at, peer } => {
                self.command(node(at), Command::Connect { peer: NodeId([peer; 32]), contact: None });
            }
            Step::Reply { node: at, request, refused } => {
                let result = if refused { Err(Refusal::Failed) } else { Ok(Blob::default()) };
                self.give(node(at), Input::Reply { request: RequestId(request.into()), result });
            }
            Step::Leave { node: at } => self.command(node(at), Command::Leave),
            Step::Wait { ms } => self.wait(self.now + Duration::from_millis(ms.into())),
        }
    }
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let mut world = World::new();
    for step in steps {
        world.play(step);
    }
    // Whatever happened, time goes on.
    world.wait(world.now + Duration::from_secs(120));
});
