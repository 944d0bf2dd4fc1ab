//! Plays a node over real sockets: one loop that hands inputs to the core one at a time and does what it wants done.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`identity`] | the key that a node is |
//! | [`transport`] | links over QUIC, direct and relayed |
//! | [`store`] | blocks on a disk |
//! | [`multicast`] | announcements on the LAN |
//! | `portmap` | ports that the NAT forwards here |
//! | [`resolver`] | looking up the names of ambassadors |
//! | [`behaviours`] | what the application answers to peers |
//! | [`command`] | commands with typed outcomes |
//! | [`handle`] | commands to a running node |
//! | [`search`] | hits of a search as they come |
//! | [`api`] | the control API and the metrics |
//!
//! Only this loop touches the core. Everything else is a task that talks to it through a bounded queue.

use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use crate::core::NodeCore;
use crate::core::config::Config;
use crate::core::interposer::Interposer;
use crate::core::io::{Command, CommandId, Input, LocalAddress, Outcome, Output, Sink};
use crate::core::message::Announcement;
use crate::core::storage::{BlockStore, MemoryStore, StoreCompletion, StoreContents, StoreRequest};
use crate::core::time::{Deadline, Time};
use crate::core::transport::{RelayQuota, TransportEvent};
use crate::overlay::Overlay;
use behaviours::{Behaviours, Reply, Server};
use clock::Clock;
use handle::{CommandReply, InspectedNode, NodeHandle, ToNode};
use identity::{Identity, IdentityError};
use multicast::{Lan, LanError};
use portmap::PortMapping;
use resolver::{Lookups, Resolver, SystemResolver};
use store::{OpenStoreError, OpenedStore, StoreThread};
use transport::{KEY_LOG_VARIABLE, Transport, TransportError, key_log_file};

pub mod api;
pub mod behaviours;
mod clock;
pub mod command;
pub mod handle;
pub mod identity;
mod interfaces;
pub mod multicast;
pub(crate) mod portmap;
pub mod resolver;
pub mod search;
pub mod store;
pub mod store_lock;
pub mod transport;

#[cfg(fuzzing)]
pub use portmap::read_any as read_answer_of_gateway;

/// The log filter of a node's program, unless its user names another. quinn-udp warns with addresses of peers.
pub const LOG_DEFAULT: &str = "info,quinn_udp=error";
/// Longest time that a node takes to hand over and leave: longer than its overlay takes.
pub const LEAVE_DEADLINE: Duration = Duration::from_millis(9_500);
/// Pause between looks at the machine's interfaces.
const INTERFACES_EVERY: Duration = Duration::from_secs(1);
/// Time without a neighbour after which the log says so.
const ISOLATION_NOTICED_AFTER: Duration = Duration::from_secs(2);
/// Outputs done before other tasks get a turn.
const OUTPUTS_PER_TURN: usize = 1_024;
/// Commands under way; beyond, those who give them wait.
const UNDER_WAY_MAX: usize = 4_096;

/// Where a node listens, and what it takes from the system.
#[derive(Clone, Debug)]
pub struct DriverSettings {
    /// UDP address to listen at for peers; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Interfaces whose addresses are announced to peers; all but loopback if empty.
    pub interfaces: Vec<String>,
    /// Multicast group of the LAN's announcements; used if [`Config::discover`] is set.
    pub group: SocketAddrV4,
    /// Looks up the names in [`Config::join_names`].
    pub resolver: Arc<dyn Resolver>,
}

impl Default for DriverSettings {
    /// Any address, a port of the system's choice, all interfaces, Butter's group, the system's resolver.
    fn default() -> Self {
        DriverSettings {
            listen: SocketAddr::from(([0, 0, 0, 0], 0)),
            interfaces: Vec::new(),
            group: multicast::GROUP,
            resolver: Arc::new(SystemResolver),
        }
    }
}

/// Why a node does not start. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The transport cannot listen for peers.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Announcements can neither be sent nor received.
    #[error("cannot discover peers on the LAN")]
    Lan(#[from] LanError),
    /// The node's identity cannot be read or made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store is in use, or cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenStoreError),
    /// The system gives no thread to the block store, or no signals.
    #[error("cannot start the thread of the block store")]
    StoreThread(#[source] std::io::Error),
    /// The system does not tell its addresses.
    #[error("cannot list this machine's addresses")]
    Addresses(#[source] std::io::Error),
    /// SIGTERM and SIGINT cannot be handled.
    #[error("cannot handle signals")]
    Signals(#[source] std::io::Error),
    /// The control API cannot listen.
    #[error(transparent)]
    Api(#[from] api::ApiError),
}

/// What stands between a node that runs the overlay `V` and its network.
pub(crate) type InterposerOf<V> =
    dyn Interposer<<V as Overlay>::Message, <V as Overlay>::Command, <V as Overlay>::Outcome> + Send;

/// Where the blocks of a node are, if its overlay has not its own place for them.
#[derive(Debug)]
enum NodeStore {
    Memory(MemoryStore),
    /// On a disk; with what was there at the start, until the node knows it.
    Disk(StoreThread, Option<StoreContents>),
}

impl NodeStore {
    fn describe(&self) -> String {
        match self {
            NodeStore::Memory(_) => "memory".to_owned(),
            NodeStore::Disk(thread, _) => thread.folder().display().to_string(),
        }
    }

    async fn next(&mut self) -> StoreCompletion {
        match self {
            NodeStore::Memory(_) => std::future::pending().await,
            NodeStore::Disk(thread, _) => thread.next().await,
        }
    }

    async fn close(self) {
        if let NodeStore::Disk(thread, _) = self {
            thread.close().await;
        }
    }
}

/// A node with all its sockets, ready to be played.
#[derive(Debug)]
pub struct Driver<V: Overlay> {
    node: NodeCore<V>,
    interposer: Option<Box<InterposerOf<V>>>,
    settings: DriverSettings,
    clock: Clock,
    transport: Transport<V::Message>,
    lan: Option<Lan>,
    port_mapping: PortMapping,
    lookups: Lookups,
    server: Server,
    store: NodeStore,
    replies: mpsc::Receiver<Reply>,
    commands: mpsc::Receiver<ToNode<V>>,
    under_way: BTreeMap<CommandId, CommandReply<Outcome<V::Outcome>>>,
    last_command: u64,
    addresses: Vec<LocalAddress>,
    interfaces: Interval,
    deadline: Deadline,
    sink: Sink<V::Message, V::Outcome>,
    /// Done since other tasks had a turn.
    outputs: usize,
    /// Whether it was reported that the node has no neighbour.
    isolation_reported: bool,
    /// Where another node with this identity was said to be.
    double_reported: Option<SocketAddr>,
    /// Set once the node is asked to leave.
    leave_by: Option<Instant>,
    left: bool,
}

impl<V> Driver<V>
where
    V: Overlay + Send + 'static,
    V::Message: Send,
    V::Command: Send,
    V::Outcome: Send,
{
    /// Opens the sockets of a node that runs `overlay`. It does nothing until [`Driver::run`]. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// If a socket cannot be had.
    pub(crate) fn open(
        identity: &Identity,
        config: Arc<Config>,
        overlay: V,
        settings: DriverSettings,
        behaviours: Behaviours,
        store: Option<OpenedStore>,
    ) -> Result<(Self, NodeHandle<V>), StartError> {
        let store = match store {
            None => NodeStore::Memory(MemoryStore::default()),
            Some(opened) => {
                let (thread, contents) = StoreThread::start(opened).map_err(StartError::StoreThread)?;
                NodeStore::Disk(thread, Some(contents))
            }
        };
        let transport = Transport::listen(identity, settings.listen, RelayQuota::of(config.ambassador))?;
        let lan = config.discover.then(|| Lan::open(settings.group, settings.interfaces.clone())).transpose()?;
        let (server, replies) = Server::new(behaviours, config.deadline);
        let (handle, commands) = NodeHandle::new(identity.id());
        let mut interfaces = interval(INTERFACES_EVERY);
        interfaces.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut driver = Driver {
            node: NodeCore::new(identity.id(), config, identity::random_seed()?, overlay),
            interposer: None,
            lookups: Lookups::new(settings.resolver.clone()),
            settings,
            clock: Clock::start(),
            transport,
            lan,
            port_mapping: PortMapping::default(),
            server,
            store,
            replies,
            commands,
            under_way: BTreeMap::new(),
            last_command: 0,
            addresses: Vec::new(),
            interfaces,
            deadline: Deadline::NEVER,
            sink: Sink::default(),
            outputs: 0,
            isolation_reported: false,
            double_reported: None,
            leave_by: None,
            left: false,
        };
        driver.addresses = driver.local_addresses().map_err(StartError::Addresses)?;
        Ok((driver, handle))
    }

    /// Puts `interposer` between the node and its network. To be called before [`Driver::run`].
    pub(crate) fn interpose(&mut self, interposer: Box<InterposerOf<V>>) {
        self.interposer = Some(interposer);
    }

    /// Plays the node until it has left.
    pub async fn run(mut self) {
        let kept = self.store.describe();
        tracing::info!(id = %self.node.me().id, store = kept, "up");
        if let Some(file) = key_log_file() {
            tracing::warn!(file = %file.display(), "{KEY_LOG_VARIABLE} is set: whoever reads this file can read all links");
        }
        if let NodeStore::Disk(_, contents) = &mut self.store
            && let Some(contents) = contents.take()
        {
            tracing::info!(blocks = contents.blocks.len(), "back with the blocks of the store");
            self.feed(Input::StoreOpened(contents));
        }
        tracing::debug!(addresses = ?self.addresses, "listening");
        self.feed(Input::Addresses(self.addresses.clone()));
        self.feed(Input::Wake);
        while !self.left {
            self.turn().await;
            if self.outputs >= OUTPUTS_PER_TURN {
                self.outputs = 0;
                tokio::task::yield_now().await;
            }
        }
        let blocks = self.node.overlay().stored_here_alone();
        if blocks > 0 {
            tracing::warn!(blocks, "no peer has taken these blocks: they are lost with this node");
        }
        tracing::info!(id = %self.node.me().id, "left");
        tokio::join!(self.port_mapping.release(), self.transport.shutdown(), self.store.close());
    }

    /// Waits for whatever comes first and takes it.
    async fn turn(&mut self) {
        let due = self.interposer.as_ref().map_or(Time::NEVER, |interposer| interposer.due());
        let wake = self.clock.instant(self.deadline.at.min(due));
        tokio::select! {
            event = self.transport.next() => self.take_event(event),
            Some((request, result)) = self.replies.recv() => self.feed(Input::Reply { request, result }),
            Some(command) = self.commands.recv(), if self.under_way.len() < UNDER_WAY_MAX => self.take_command(command),
            (from, announcement) = next_announcement(self.lan.as_ref()) => self.take_event(TransportEvent::Announcement { from, announcement }),
            port = self.port_mapping.next() => self.take_event(TransportEvent::PortMapped(port)),
            completion = self.store.next() => self.feed(Input::Stored(completion)),
            (name, addresses) = self.lookups.next() => self.feed(Input::Resolved { name, addresses }),
            () = sleep_until_some(wake) => self.take_event(TransportEvent::Wake),
            () = sleep_until_some(self.leave_by) => {
                tracing::warn!("leaving without having handed over everything: the time is up");
                self.left = true;
            }
            _ = self.interfaces.tick() => {
                self.refresh_interfaces();
                self.report_isolation();
                self.report_double();
            }
        }
    }

    /// Hands an input to the core and does what follows from it.
    fn feed(&mut self, mut input: Input<V::Message, V::Command>) {
        let now = self.clock.now();
        if self.interposer.as_mut().is_none_or(|interposer| interposer.receive(now, &mut input)) {
            self.deadline = self.node.handle(now, input, &mut self.sink);
        }
        if let Some(interposer) = &mut self.interposer {
            interposer.emit(now, &mut self.sink);
        }
        for output in std::mem::take(&mut self.sink.0) {
            self.outputs += 1;
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output<V::Message, V::Outcome>) {
        match output {
            Output::Send { to, message } => match self.transport.send(to, &message) {
                Ok(sent) => self.node.count_sent(message.purpose(V::purpose), sent as u64),
                Err(error) => {
                    self.node.count_unsendable();
                    tracing::warn!(%error, "dropped a message that fits no frame");
                }
            },
            Output::Dial { dial, peer, to } => self.transport.dial(dial, peer, to),
            Output::MeasurePath { peer } => self.transport.measure_path(peer),
            Output::Close { peer } => self.transport.close(peer),
            Output::Announce(announcement) => {
                self.lan.iter().for_each(|lan| lan.announce(&announcement));
            }
            Output::Unicast { to, announcement } => {
                self.lan.iter().for_each(|lan| lan.answer(to, &announcement));
            }
            Output::AllowRelay { a, b } => self.transport.allow_relay(a, b),
            Output::Probe { socket, to, probe } => self.transport.probe(socket, to, &probe),
            Output::OpenSocket { socket } => self.transport.open_socket(socket),
            Output::ExpectDial { socket, from } => self.transport.expect_dial(socket, from),
            Output::CloseSocket { socket } => self.transport.close_socket(socket),
            Output::MapPort { port, lifetime } => self.port_mapping.ask(port, lifetime),
            Output::Resolve { name } => self.lookups.begin(name),
            Output::Request { request, from, route, body } => {
                if let Err(refusal) = self.server.serve(request, from, &route, body) {
                    self.feed(Input::Reply { request, result: Err(refusal) });
                }
            }
            Output::Store(request) => match &mut self.store {
                NodeStore::Disk(thread, _) => thread.submit(request),
                NodeStore::Memory(store) => {
                    let StoreRequest { id, op } = request;
                    let result = store.execute(op);
                    self.feed(Input::Stored(StoreCompletion { id, result }));
                }
            },
            Output::Partial { id, outcome } => {
                self.under_way.get(&id).inspect(|reply| reply.partial(outcome));
            }
            Output::Done { id, outcome } => {
                self.left |= matches!(outcome, Outcome::Left);
                if let Some(reply) = self.under_way.remove(&id) {
                    reply.end(outcome);
                }
            }
        }
    }

    fn take_event(&mut self, event: TransportEvent<V::Message>) {
        match &event {
            TransportEvent::LinkUp { peer, remote, dialled } => tracing::debug!(%peer, ?remote, dialled, "link up"),
            TransportEvent::LinkDown { peer } => tracing::debug!(%peer, "link down"),
            _ => {}
        }
        self.node.count_received(event.message_bytes());
        self.feed(event.into());
    }

    fn take_command(&mut self, command: ToNode<V>) {
        match command {
            ToNode::Command { command, reply } => {
                if matches!(command, Command::Leave) {
                    self.leave_by.get_or_insert_with(|| Instant::now() + LEAVE_DEADLINE);
                }
                self.last_command += 1;
                let id = CommandId(self.last_command);
                self.under_way.insert(id, reply);
                self.feed(Input::Command { id, command });
            }
            ToNode::Inspect(inspection) => inspection(&InspectedNode {
                node: &self.node,
                transport: &self.transport,
                uptime: self.clock.now().since(Time::ZERO),
            }),
        }
    }

    /// Says so when the node has no neighbour for a while, and when it has one again.
    fn report_isolation(&mut self) {
        let isolation = self.node.isolation();
        let Some(since) = isolation.since() else {
            if std::mem::take(&mut self.isolation_reported) {
                tracing::info!(neighbours = self.node.neighbours().count(), "linked to neighbours");
            }
            return;
        };
        let time = self.clock.now().since(since);
        if time < ISOLATION_NOTICED_AFTER || self.isolation_reported || self.leave_by.is_some() {
            return;
        }
        self.isolation_reported = true;
        let seconds = time.as_secs();
        if isolation.had_neighbours() {
            tracing::warn!(seconds, "no neighbour is left: looking for one");
        } else {
            tracing::info!(seconds, "no neighbour yet: looking for one");
        }
    }

    /// Says so when another node has this identity.
    fn report_double(&mut self) {
        let double = self.node.double();
        if let Some(at) = double.filter(|_| double != self.double_reported) {
            self.double_reported = double;
            tracing::warn!(%at, "another node has this identity: give each node a store of its own, for copies take each other's links");
        }
    }

    fn refresh_interfaces(&mut self) {
        if let Some(Err(error)) = self.lan.as_mut().map(Lan::refresh) {
            tracing::warn!(%error, "cannot look at the interfaces");
        }
        match self.local_addresses() {
            Ok(addresses) if addresses != self.addresses => {
                tracing::debug!(?addresses, "listening");
                self.addresses.clone_from(&addresses);
                self.feed(Input::Addresses(addresses));
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot look at the interfaces"),
        }
    }

    fn local_addresses(&self) -> std::io::Result<Vec<LocalAddress>> {
        interfaces::addresses(self.transport.local_addr()?, &self.settings.interfaces)
    }
}

async fn next_announcement(lan: Option<&Lan>) -> (SocketAddr, Announcement) {
    match lan {
        Some(lan) => lan.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until_some(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
