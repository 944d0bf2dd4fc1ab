//! Plays nodes on the simulated transport: hands each what arrives, does what it asks for, and wakes it in time.
//!
//! A node has at most one live wake-up entry in the queue. When its deadline moves ahead, the entry stays where it is and is
//! set again once it comes up; only a nearer deadline makes a new one, which voids the other.

use std::collections::VecDeque;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use butter::core::Node;
use butter::core::config::Config;
use butter::core::identity::NodeId;
use butter::core::io::{Command, CommandId, Input, Outcome, Output, Sink};
use butter::core::message::Refusal;
use butter::core::time::{Deadline, Time};
use butter::core::transport::TransportEvent;
use butter::overlay::Overlay;

use crate::plan::{NODE_PORT, NodePlan, Plan};

use super::network::Seat;
use super::transport::Transport;

/// A node as it starts.
#[derive(Debug)]
pub struct Birth<V> {
    /// Who it is.
    pub id: NodeId,
    /// Its settings, shared with others of the same.
    pub config: Arc<Config>,
    /// Decides all its randomness.
    pub seed: u64,
    /// Its overlay.
    pub overlay: V,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished<O> {
    /// When.
    pub at: Time,
    /// At which node.
    pub seat: Seat,
    /// Which.
    pub id: CommandId,
    /// How.
    pub outcome: Outcome<O>,
}

/// Many nodes and the networks between them.
#[derive(Debug)]
pub struct Engine<V: Overlay> {
    transport: Transport<V::Message>,
    places: Vec<Place<V>>,
    sink: Sink<V::Message, V::Outcome>,
    finished: VecDeque<Finished<V::Outcome>>,
    handled: u64,
}

/// A place in the plan, and the node that runs there.
#[derive(Debug)]
struct Place<V: Overlay> {
    node: Option<Box<Node<V>>>,
    address: SocketAddrV4,
    address6: Option<Ipv6Addr>,
    /// When its wake-up entry is due.
    armed: Time,
    /// When it wants to be woken.
    deadline: Time,
}

impl<V: Overlay> Engine<V> {
    /// The networks of `plan`; no node runs yet.
    pub fn new(plan: &Plan) -> Self {
        let place = |node: &NodePlan| Place {
            node: None,
            address: SocketAddrV4::new(node.address, NODE_PORT),
            address6: node.address6,
            armed: Time::NEVER,
            deadline: Time::NEVER,
        };
        Engine {
            transport: Transport::new(plan),
            places: plan.nodes.iter().map(place).collect(),
            sink: Sink::default(),
            finished: VecDeque::new(),
            handled: 0,
        }
    }

    /// The virtual clock.
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
    pub fn node(&self, seat: Seat) -> Option<&Node<V>> {
        self.places[seat as usize].node.as_deref()
    }

    /// Every node that runs, in order.
    pub fn nodes(&self) -> impl Iterator<Item = (Seat, &Node<V>)> + '_ {
        self.places.iter().enumerate().filter_map(|(seat, place)| Some((seat as Seat, place.node.as_deref()?)))
    }

    /// Starts a node.
    ///
    /// # Panics
    /// If one runs there.
    pub fn start(&mut self, seat: Seat, birth: Birth<V>) {
        let Birth { id, config, seed, overlay } = birth;
        self.transport.start(seat, id);
        let place = &mut self.places[seat as usize];
        place.node = Some(Box::new(Node::new(id, config, seed, overlay)));
        (place.armed, place.deadline) = (Time::NEVER, Time::NEVER);
        let ipv6 = place.address6.map(|ip| SocketAddr::new(ip.into(), place.address.port()));
        let listens = std::iter::once(place.address.into()).chain(ipv6).collect();
        self.handle(seat, Input::Addresses(listens));
        self.handle(seat, Input::Wake);
    }

    /// Silences a node. Its commands end no more.
    pub fn kill(&mut self, seat: Seat) {
        if self.places[seat as usize].node.take().is_some() {
            self.transport.kill(seat);
        }
    }

    /// Ends a node that has [`Outcome::Left`]: its links are closed.
    pub fn leave(&mut self, seat: Seat) {
        if self.places[seat as usize].node.take().is_some() {
            self.transport.leave(seat);
        }
    }

    /// Gives a command to a node that runs. It ends among [`Engine::next`].
    pub fn command(&mut self, seat: Seat, id: CommandId, command: Command<V::Command>) {
        self.handle(seat, Input::Command { id, command });
    }

    /// Lets time pass until a command ends, or the clock stands at `until`.
    pub fn next(&mut self, until: Time) -> Option<Finished<V::Outcome>> {
        loop {
            if let Some(finished) = self.finished.pop_front() {
                return Some(finished);
            }
            let (seat, event) = self.transport.next(until)?;
            self.arrive(seat, event);
        }
    }

    fn arrive(&mut self, seat: Seat, event: TransportEvent<V::Message>) {
        if matches!(event, TransportEvent::Wake) {
            return self.wake(seat);
        }
        if let Some(node) = &mut self.places[seat as usize].node {
            node.count_bytes(0, event.message_bytes());
        }
        self.handle(seat, event.into());
    }

    fn wake(&mut self, seat: Seat) {
        let now = self.now();
        let place = &mut self.places[seat as usize];
        if place.armed != now {
            // Voided by a nearer one.
            return;
        }
        place.armed = Time::NEVER;
        if place.deadline <= now {
            self.handle(seat, Input::Wake);
        } else {
            self.arm(seat);
        }
    }

    fn handle(&mut self, seat: Seat, input: Input<V::Message, V::Command>) {
        let now = self.now();
        let place = &mut self.places[seat as usize];
        let Some(node) = &mut place.node else { return };
        self.handled += 1;
        let mut sink = std::mem::take(&mut self.sink);
        let mut deadline = node.handle(now, input, &mut sink);
        // Requests are answered at once, as by a node without an application; that may ask for more.
        let mut sent = Sent::default();
        while !sink.0.is_empty() {
            let mut refused = Vec::new();
            for output in sink.0.drain(..) {
                perform(&mut self.transport, &mut self.finished, seat, output, &mut refused, &mut sent);
            }
            let node = place.node.as_mut().expect("nothing ends a node here");
            for request in refused {
                deadline = node.handle(now, Input::Reply { request, result: Err(Refusal::NoSuchRoute) }, &mut sink);
            }
        }
        let node = place.node.as_mut().expect("nothing ends a node here");
        node.count_bytes(sent.bytes, 0);
        (0..sent.unsendable).for_each(|_| node.count_unsendable());
        self.sink = sink;
        let Deadline { at, .. } = deadline;
        place.deadline = at;
        self.arm(seat);
    }

    fn arm(&mut self, seat: Seat) {
        let place = &mut self.places[seat as usize];
        if place.deadline < place.armed {
            place.armed = self.transport.wake_at(seat, place.deadline);
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

/// Does what a node asks for.
fn perform<M: std::fmt::Debug + bincode::Encode, O>(
    transport: &mut Transport<M>,
    finished: &mut VecDeque<Finished<O>>,
    seat: Seat,
    output: Output<M, O>,
    refused: &mut Vec<butter::core::io::RequestId>,
    sent: &mut Sent,
) {
    match output {
        Output::Send { to, message } => match transport.send(seat, to, message) {
            Ok(bytes) => sent.bytes += bytes as u64,
            Err(_) => sent.unsendable += 1,
        },
        Output::Dial { dial, peer, to } => transport.dial(seat, dial, peer, to),
        Output::Close { peer } => transport.close(seat, peer),
        Output::Announce(announcement) => transport.announce(seat, announcement),
        Output::Unicast { to, announcement } => transport.unicast(seat, to, announcement),
        Output::AllowRelay { a, b } => transport.allow_relay(seat, a, b),
        Output::Probe { socket, to, probe } => transport.probe(seat, socket, to, probe),
        Output::OpenSocket { socket } => transport.open_socket(seat, socket),
        Output::CloseSocket { socket } => transport.close_socket(seat, socket),
        Output::MapPort { port, lifetime } => transport.map_port(seat, port, lifetime),
        Output::Request { request, .. } => refused.push(request),
        Output::Done { id, outcome } => finished.push_back(Finished { at: transport.now(), seat, id, outcome }),
    }
}
