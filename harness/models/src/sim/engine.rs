//! Plays nodes on the simulated transport: hands each what arrives, does what it asks for, and wakes it in time.
//!
//! A node has at most one live wake-up entry in the queue. When its deadline moves ahead, the entry stays where it is and is
//! set again once it comes up; only a nearer deadline makes a new one, which voids the other.

use std::collections::{BTreeSet, VecDeque};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use butter::core::NodeCore;
use butter::core::config::Config;
use butter::core::contact::Contact;
use butter::core::identity::NodeId;
use butter::core::interposer::Interposer;
use butter::core::io::{Command, CommandId, Input, LocalAddress, Outcome, Output, RequestId, Sink};
use butter::core::message::Refusal;
use butter::core::storage::{BlockStore, MemoryStore, StoreCompletion, StoreRequest};
use butter::core::time::{Deadline, Time};
use butter::core::transport::TransportEvent;
use butter::overlay::Overlay;

use crate::plan::{NODE_PORT, NodePlan, Plan};

use super::disk::ModelDisk;
use super::network::NodeSlot;
use super::transport::{NewPlace, Transport};

/// A node as it starts.
#[derive(Debug)]
pub struct SpawnSpec<V> {
    /// Identity of the new node.
    pub id: NodeId,
    /// Its settings, shared with others of the same.
    pub config: Arc<Config>,
    /// Decides all its randomness.
    pub seed: u64,
    /// Overlay that the node runs.
    pub overlay: V,
    /// The neighbours that it keeps, if they are prescribed.
    pub neighbours: Option<Vec<Contact>>,
}

/// A command that has ended, or brought a part of its result.
#[derive(Debug)]
pub struct CompletedCommand<O> {
    /// Virtual time of the completion.
    pub at: Time,
    /// Slot of the node that ran it.
    pub slot: NodeSlot,
    /// Identifier of the completed command.
    pub id: CommandId,
    /// What the command came to.
    pub outcome: Outcome<O>,
    /// Whether this is a part of its result, and the end follows.
    pub is_part: bool,
}

/// Many nodes and the networks between them.
#[derive(Debug)]
pub struct SimEngine<V: Overlay> {
    transport: Transport<V::Message>,
    places: Vec<Place<V>>,
    sink: Sink<V::Message, V::Outcome>,
    finished: VecDeque<CompletedCommand<V::Outcome>>,
    /// When nodes look at their machines' interfaces that are others by then.
    looks: BTreeSet<(Time, NodeSlot)>,
    handled: u64,
}

/// What may stand between a node with the overlay `V` and its network.
type InterposerOf<V> = dyn Interposer<<V as Overlay>::Message, <V as Overlay>::Command, <V as Overlay>::Outcome>;

/// A place in the plan, and the node that runs there.
#[derive(Debug)]
struct Place<V: Overlay> {
    node: Option<Box<NodeCore<V>>>,
    /// What stands between the node and its network, if it is hostile.
    interposer: Option<Box<InterposerOf<V>>>,
    /// For overlays that do not store blocks themselves.
    store: MemoryStore,
    /// The node's disk, if it has one.
    disk: Option<ModelDisk>,
    /// The node while it is frozen.
    frozen: Option<Box<NodeCore<V>>>,
    address: SocketAddrV4,
    address6: Option<Ipv6Addr>,
    /// When its wake-up entry is due.
    armed: Time,
    /// When it wants to be woken.
    deadline: Time,
}

impl<V: Overlay> Place<V> {
    /// Where a node listens there.
    fn listens(&self) -> Vec<LocalAddress> {
        let ipv6 = self.address6.map(|ip| SocketAddr::new(ip.into(), self.address.port()));
        std::iter::once(self.address.into()).chain(ipv6).map(|address: SocketAddr| address.into()).collect()
    }
}

impl<V: Overlay> SimEngine<V> {
    /// The networks of `plan`; no node runs yet.
    pub fn new(plan: &Plan) -> Self {
        let place = |node: &NodePlan| Place {
            node: None,
            interposer: None,
            store: MemoryStore::default(),
            disk: None,
            frozen: None,
            address: SocketAddrV4::new(node.address, NODE_PORT),
            address6: node.address6,
            armed: Time::NEVER,
            deadline: Time::NEVER,
        };
        SimEngine {
            transport: Transport::new(plan),
            places: plan.nodes.iter().map(place).collect(),
            sink: Sink::default(),
            finished: VecDeque::new(),
            looks: BTreeSet::new(),
            handled: 0,
        }
    }

    /// The virtual clock, from the start.
    pub fn now(&self) -> Time {
        self.transport.now()
    }

    /// Events of the queue, and inputs that nodes have handled.
    pub fn counts(&self) -> (u64, u64) {
        (self.transport.events(), self.handled)
    }

    /// The transport, to look at.
    pub fn transport(&self) -> &Transport<V::Message> {
        &self.transport
    }

    /// What lies between the nodes, to change.
    pub fn transport_mut(&mut self) -> &mut Transport<V::Message> {
        &mut self.transport
    }

    /// A node that runs.
    pub fn node(&self, slot: NodeSlot) -> Option<&NodeCore<V>> {
        self.places[slot as usize].node.as_deref()
    }

    /// Every node that runs, in order.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeSlot, &NodeCore<V>)> + '_ {
        self.places.iter().enumerate().filter_map(|(slot, place)| Some((slot as NodeSlot, place.node.as_deref()?)))
    }

    /// Starts a node.
    ///
    /// # Panics
    /// If one runs there.
    pub fn start(&mut self, slot: NodeSlot, spawn_spec: SpawnSpec<V>) {
        let SpawnSpec { id, config, seed, overlay, neighbours } = spawn_spec;
        self.transport.start(slot, id);
        let place = &mut self.places[slot as usize];
        let mut node = Box::new(NodeCore::new(id, config, seed, overlay));
        if let Some(neighbours) = neighbours {
            node.prescribe_neighbours(neighbours);
        }
        place.node = Some(node);
        place.store = MemoryStore::default();
        (place.armed, place.deadline) = (Time::NEVER, Time::NEVER);
        let listens = place.listens();
        if let Some(contents) = self.places[slot as usize].disk.as_ref().map(ModelDisk::contents) {
            self.handle(slot, Input::StoreOpened(contents));
        }
        self.handle(slot, Input::Addresses(listens));
        self.handle(slot, Input::Wake);
    }

    /// Takes a node to another network, whether it runs or not. One that runs notices when it next looks.
    pub fn move_node(&mut self, slot: NodeSlot, to: NewPlace) {
        let noticed = self.transport.move_node(slot, to);
        let place = &mut self.places[slot as usize];
        (place.address, place.address6) = (SocketAddrV4::new(to.address, NODE_PORT), to.address6);
        if place.node.is_some() || place.frozen.is_some() {
            self.looks.insert((noticed, slot));
        }
    }

    /// A node looks at its machine's interfaces. One that is frozen does when it goes on.
    fn look(&mut self, at: Time, slot: NodeSlot) {
        let place = &self.places[slot as usize];
        if place.frozen.is_none() {
            self.looks.remove(&(at, slot));
            let listens = place.listens();
            self.handle(slot, Input::Addresses(listens));
        }
    }

    /// The next look that is due by `until` of a node that runs.
    fn next_look(&self, until: Time) -> Option<(Time, NodeSlot)> {
        let mut due = self.looks.range(..=(until, NodeSlot::MAX)).copied();
        due.find(|&(_, slot)| self.places[slot as usize].frozen.is_none())
    }

    /// Puts something between a place and its network: whatever node runs there is hostile from now on.
    pub fn interpose(&mut self, slot: NodeSlot, interposer: Box<dyn Interposer<V::Message, V::Command, V::Outcome>>) {
        self.places[slot as usize].interposer = Some(interposer);
    }

    /// Gives the next node that starts there an empty disk. The nodes after it find what is on it.
    pub fn give_disk(&mut self, slot: NodeSlot) {
        self.places[slot as usize].disk = Some(ModelDisk::default());
    }

    /// Has the disk of a node be full, or have room again. Whether there is a disk.
    pub fn fill_disk(&mut self, slot: NodeSlot, full: bool) -> bool {
        self.places[slot as usize].disk.as_mut().map(|disk| disk.fill(full)).is_some()
    }

    /// Damages a share of the blocks on the disk of a node. Whether there is a disk.
    pub fn corrupt_store(&mut self, slot: NodeSlot, share: f64, seed: u64) -> bool {
        self.places[slot as usize].disk.as_mut().map(|disk| disk.corrupt(share, seed)).is_some()
    }

    /// Silences a node. Its commands end no more.
    pub fn kill(&mut self, slot: NodeSlot) {
        let place = &mut self.places[slot as usize];
        if place.node.take().is_some() || place.frozen.take().is_some() {
            place.disk.iter_mut().for_each(ModelDisk::crash);
            self.transport.kill(slot);
        }
    }

    /// Freezes a node: it neither handles nor sends anything, and its peers miss it as they do a dead one.
    pub fn freeze(&mut self, slot: NodeSlot) {
        let place = &mut self.places[slot as usize];
        if let Some(node) = place.node.take() {
            place.frozen = Some(node);
            self.transport.freeze(slot);
        }
    }

    /// Lets a frozen node go on. Whether it was frozen.
    pub fn thaw(&mut self, slot: NodeSlot) -> bool {
        let place = &mut self.places[slot as usize];
        let Some(node) = place.frozen.take() else { return false };
        let (id, peers): (NodeId, Vec<NodeId>) = (node.me().id, node.linked().map(|(peer, _)| peer).collect());
        place.node = Some(node);
        (place.armed, place.deadline) = (Time::NEVER, Time::NEVER);
        if !self.transport.thaw(slot, id) {
            for peer in peers {
                self.handle(slot, Input::LinkDown { peer });
            }
        }
        self.handle(slot, Input::Wake);
        true
    }

    /// Ends a node that has [`Outcome::Left`]: its links are closed.
    pub fn leave(&mut self, slot: NodeSlot) {
        let place = &mut self.places[slot as usize];
        if place.node.take().is_some() {
            // No node is left to hear what was written.
            place.disk.iter_mut().for_each(|disk| _ = disk.sync());
            self.transport.leave(slot);
        }
    }

    /// Gives a command to a node that runs. It ends among [`SimEngine::next`].
    pub fn command(&mut self, slot: NodeSlot, id: CommandId, command: Command<V::Command>) {
        self.handle(slot, Input::Command { id, command });
    }

    /// Lets time pass until a command ends, or the clock stands at `until`.
    pub fn next(&mut self, until: Time) -> Option<CompletedCommand<V::Outcome>> {
        loop {
            if let Some(finished) = self.finished.pop_front() {
                return Some(finished);
            }
            let look = self.next_look(until);
            match (self.transport.next(look.map_or(until, |(at, _)| at)), look) {
                (Some((slot, event)), _) => self.arrive(slot, event),
                (None, Some((at, slot))) => self.look(at, slot),
                (None, None) => return None,
            }
        }
    }

    fn arrive(&mut self, slot: NodeSlot, event: TransportEvent<V::Message>) {
        if matches!(event, TransportEvent::Wake) {
            return self.wake(slot);
        }
        if let Some(node) = &mut self.places[slot as usize].node {
            node.count_received(event.message_bytes());
        }
        self.handle(slot, event.into());
    }

    fn wake(&mut self, slot: NodeSlot) {
        let now = self.now();
        let place = &mut self.places[slot as usize];
        if place.armed != now {
            // Voided by a nearer one.
            return;
        }
        place.armed = Time::NEVER;
        let synced = place.disk.as_mut().filter(|disk| disk.due() <= now).map_or(Vec::new(), ModelDisk::sync);
        for completion in synced {
            self.handle(slot, Input::Stored(completion));
        }
        if self.places[slot as usize].deadline <= now {
            self.handle(slot, Input::Wake);
        } else {
            self.arm(slot);
        }
    }

    fn handle(&mut self, slot: NodeSlot, mut input: Input<V::Message, V::Command>) {
        let now = self.now();
        let place = &mut self.places[slot as usize];
        let Some(node) = &mut place.node else { return };
        self.handled += 1;
        let mut sink = std::mem::take(&mut self.sink);
        let is_seen = place.interposer.as_mut().is_none_or(|interposer| interposer.receive(now, &mut input));
        let mut deadline = Deadline { at: place.deadline, why: "as before" };
        if is_seen {
            deadline = node.handle(now, input, &mut sink);
        }
        if let Some(interposer) = &mut place.interposer {
            interposer.emit(now, &mut sink);
        }
        // Requests are answered at once, as by a node without an application; that may ask for more.
        let mut sent = Sent::default();
        while !sink.0.is_empty() {
            let mut answers = Vec::new();
            let node = place.node.as_mut().expect("nothing ends a node here");
            for output in sink.0.drain(..) {
                let purpose = match &output {
                    Output::Send { message, .. } => Some(message.purpose(V::purpose)),
                    _ => None,
                };
                let before = sent.bytes;
                perform(&mut self.transport, &mut self.finished, slot, output, &mut answers, &mut sent);
                if let Some(purpose) = purpose {
                    node.count_sent(purpose, sent.bytes - before);
                }
            }
            for answer in answers {
                let input = match answer {
                    LocalAnswer::Refused(request) => Input::Reply { request, result: Err(Refusal::NoSuchRoute) },
                    LocalAnswer::Store(request) => match &mut place.disk {
                        Some(disk) => match disk.submit(now, request) {
                            Some(completion) => Input::Stored(completion),
                            None => continue,
                        },
                        None => {
                            let StoreRequest { id, op } = request;
                            Input::Stored(StoreCompletion { id, result: place.store.execute(op) })
                        }
                    },
                };
                deadline = node.handle(now, input, &mut sink);
            }
        }
        let node = place.node.as_mut().expect("nothing ends a node here");
        (0..sent.unsendable).for_each(|_| node.count_unsendable());
        self.sink = sink;
        let Deadline { at, .. } = deadline;
        place.deadline = place.interposer.as_ref().map_or(at, |interposer| at.min(interposer.due()));
        self.arm(slot);
    }

    fn arm(&mut self, slot: NodeSlot) {
        let place = &mut self.places[slot as usize];
        let due = place.disk.as_ref().map_or(Time::NEVER, ModelDisk::due).min(place.deadline);
        if due < place.armed {
            place.armed = self.transport.wake_at(slot, due);
        }
    }
}

/// Counts what a node has sent over links, for its metrics.
#[derive(Debug, Default)]
struct Sent {
    bytes: u64,
    /// Messages that were dropped because they are too long for a frame.
    unsendable: u32,
}

/// An input that answers an output at once.
enum LocalAnswer {
    /// A request of a peer: there is no application.
    Refused(RequestId),
    /// An operation on the node's store.
    Store(StoreRequest),
}

/// Does what a node asks for.
fn perform<M: std::fmt::Debug + bincode::Encode + bincode::Decode<()>, O>(
    transport: &mut Transport<M>,
    finished: &mut VecDeque<CompletedCommand<O>>,
    slot: NodeSlot,
    output: Output<M, O>,
    answers: &mut Vec<LocalAnswer>,
    sent: &mut Sent,
) {
    match output {
        Output::Send { to, message } => match transport.send(slot, to, message) {
            Ok(bytes) => sent.bytes += bytes as u64,
            Err(_) => sent.unsendable += 1,
        },
        Output::Dial { dial, peer, to } => transport.dial(slot, dial, peer, to),
        Output::MeasurePath { peer } => transport.measure_path(slot, peer),
        Output::Close { peer } => transport.close(slot, peer),
        Output::Announce(announcement) => transport.announce(slot, announcement),
        Output::Unicast { to, announcement } => transport.unicast(slot, to, announcement),
        Output::AllowRelay { a, b } => transport.allow_relay(slot, a, b),
        Output::Probe { socket, to, probe } => transport.probe(slot, socket, to, probe),
        Output::OpenSocket { socket } => transport.open_socket(slot, socket),
        Output::ExpectDial { socket, from } => transport.expect_dial(slot, socket, from),
        Output::CloseSocket { socket } => transport.close_socket(slot, socket),
        Output::Resolve { name } => unreachable!("plans join by address and not by name: {name}"),
        Output::MapPort { port, lifetime } => transport.map_port(slot, port, lifetime),
        Output::Request { request, .. } => answers.push(LocalAnswer::Refused(request)),
        Output::Store(request) => answers.push(LocalAnswer::Store(request)),
        Output::Partial { id, outcome } => {
            finished.push_back(CompletedCommand { at: transport.now(), slot, id, outcome, is_part: true });
        }
        Output::Done { id, outcome } => {
            finished.push_back(CompletedCommand { at: transport.now(), slot, id, outcome, is_part: false });
        }
    }
}
