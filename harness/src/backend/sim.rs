//! Plays a run on the simulator: virtual time, and the same result each time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use butter::api::StoragePlace;
use butter::config::NodeConfig;
use butter::core::NodeCore;
use butter::core::blob::Blob;
use butter::core::connectivity::connect_requests::CONNECT_WITHIN;
use butter::core::identity::{BlockId, NodeId};
use butter::core::io::{AskError, Command, CommandId, Outcome};
use butter::core::random::child;
use butter::core::time::Time;
use butter::overlay::data::search::SEARCH_TIME_MAX;
use butter::overlay::data::seeded_fault::SeededFault;
use butter::overlay::data::{DataCommand, DataOutcome, DataOverlay, GetError, PutError, SearchQuery};
use rand::Rng;

use crate::adversary::{Adversary, Behaviour};
use crate::backend::{Backend, BackendError, limits};
use crate::events::RunTime;
use crate::op::{BackendEvent, FoundHits, FoundValue, LinkSnapshot, NodeSnapshot, Op, OpId, OpResult, OpTarget};
use crate::plan::{NetworkIndex, NodeIndex, Plan};
use crate::progress::Progress;
use crate::series::Scrape;
use crate::sim::data_engine::DataEngine;
use crate::sim::engine::{CompletedCommand, SimEngine, SpawnSpec};
use crate::sim::network::NodeSlot;
use crate::sim::series::SimulatedSeries;
use crate::sim::transport::{NewPlace, PacketTap};

mod configs;
mod identities;

use configs::shared_configs;
use identities::Identities;

/// Nodes that run from the start come up in random order, spread over so long per node: as fast as waiting processes are released.
const STAGGER: Duration = Duration::from_millis(1);
/// And over so long at least.
const STAGGER_MIN: Duration = Duration::from_millis(10);
/// How long a node may take to leave before it is silenced.
const LEAVE_WITHIN: Duration = Duration::from_secs(30);
/// How long beyond its own deadline a node may take to end a put, a get or a link.
const ANSWER_MARGIN: Duration = Duration::from_secs(30);

/// The simulator as a backend.
#[derive(Debug)]
pub struct SimBackend {
    plan: Plan,
    engine: DataEngine,
    /// The engine's time at which the run's clock started.
    begun: Time,
    configs: Vec<NodeConfig>,
    identities: Identities,
    /// By slot.
    lives: Vec<Life>,
    waiting: BTreeMap<CommandId, Waiting>,
    deadlines: BTreeSet<(Time, CommandId)>,
    next_command: u64,
    reports: VecDeque<BackendEvent>,
    series: SimulatedSeries,
}

/// How often a node has changed its identity, and how often it was started.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    identity: u64,
    starts: u64,
}

/// A command that a node has not ended yet.
#[derive(Debug)]
struct Waiting {
    op: OpId,
    node: NodeIndex,
    deadline: Time,
    leaving: bool,
    /// Hits of a search so far.
    hits: Vec<BlockId>,
}

impl SimBackend {
    /// A simulation of `plan`, with nothing running.
    pub fn new(plan: &Plan) -> Self {
        let (identities, wide) = Identities::of(plan);
        SimBackend {
            engine: DataEngine::new(&wide),
            begun: Time::ZERO,
            configs: shared_configs(plan),
            identities,
            lives: vec![Life::default(); wide.nodes.len()],
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            next_command: 0,
            reports: VecDeque::new(),
            series: SimulatedSeries::default(),
            plan: plan.clone(),
        }
    }

    /// Builds a fault into every node that starts from now on.
    pub fn build_in(&mut self, fault: SeededFault) {
        for config in &mut self.configs {
            config.data_mut().fault = Some(fault);
        }
    }

    /// Listens to the datagrams of a node. Whether there are any: with fidelity `packet` alone.
    pub fn tap(&mut self, slot: NodeSlot) -> bool {
        self.engine.transport_mut().tap(slot)
    }

    /// What was heard of the node that is listened to. Ends that.
    pub fn tapped(&mut self) -> Option<PacketTap> {
        self.engine.transport_mut().tapped()
    }

    /// What runs, to look at.
    pub fn engine(&self) -> &SimEngine<DataOverlay> {
        &self.engine
    }

    /// What runs, to put something between nodes and their network before they start.
    pub fn engine_mut(&mut self) -> &mut SimEngine<DataOverlay> {
        &mut self.engine
    }

    /// Lets every node that runs from the start come up; the run's clock starts then.
    pub fn start_all(&mut self) {
        let nodes: Vec<usize> = (0..self.plan.nodes.len()).filter(|&node| self.plan.nodes[node].from_start).collect();
        let window = (STAGGER * nodes.len() as u32).max(STAGGER_MIN).as_micros() as u64;
        let mut random = child(self.plan.seed, purpose::STAGGER);
        let mut starts: Vec<(u64, usize)> = nodes.into_iter().map(|node| (random.next_u64() % window, node)).collect();
        starts.sort_unstable();
        for (at, node) in starts {
            self.run_to(Time::from_micros(at));
            self.start(NodeIndex(node), false);
        }
        self.run_to(Time::from_micros(window));
        self.begun = self.engine.now();
    }

    /// Lets time pass until there is something to report, or the run's clock stands at `until`.
    pub fn advance(&mut self, until: RunTime) -> Option<BackendEvent> {
        let until = Time::from_micros(until.0.saturating_add(self.begun.as_micros()));
        loop {
            if let Some(report) = self.reports.pop_front() {
                return Some(report);
            }
            if self.engine.now() >= until {
                return None;
            }
            let overdue = self.deadlines.first().map_or(Time::NEVER, |&(deadline, _)| deadline);
            match self.engine.next(until.min(overdue)) {
                Some(finished) => self.finish(finished),
                None => self.give_up_overdue(),
            }
        }
    }

    fn run_to(&mut self, until: Time) {
        while let Some(finished) = self.engine.next(until) {
            self.finish(finished);
        }
    }

    /// Starts a node under all its identities.
    fn start(&mut self, node: NodeIndex, fresh: bool) -> NodeId {
        for slot in self.identities.further(node) {
            self.start_as(node, slot, fresh);
        }
        self.start_as(node, node.0 as NodeSlot, fresh)
    }

    fn start_as(&mut self, node: NodeIndex, slot: NodeSlot, fresh: bool) -> NodeId {
        let life = &mut self.lives[slot as usize];
        life.identity += u64::from(fresh);
        life.starts += 1;
        let starts = life.starts;
        let of_node = child(self.plan.seed, purpose::NODE + u64::from(slot)).next_u64();
        let seed = child(of_node, purpose::START + starts).next_u64();
        let id = self.id_of(slot);
        let NodeConfig { core: config, data, .. } = NodeConfig::clone(&self.configs[node.0]);
        let overlay = DataOverlay::new(data);
        let behaviours = &self.plan.nodes[node.0].behaviours;
        if !behaviours.is_empty() {
            let adversary = Adversary::new(id, behaviours, &self.hostile_ids(), seed);
            self.engine.interpose(slot, Box::new(adversary));
        }
        if self.plan.node(node).store == StoragePlace::Disk && (fresh || starts == 1) {
            self.engine.give_disk(slot);
        }
        let neighbours = self.prescribed_neighbours(node);
        self.engine.start(slot, SpawnSpec { id, config, seed, overlay, neighbours });
        id
    }

    fn kill(&mut self, node: NodeIndex) {
        self.engine.kill(node.0 as NodeSlot);
        self.identities.further(node).for_each(|slot| self.engine.kill(slot));
        self.fail_waiting(node, "the node was killed");
    }

    /// A node's commands end no more.
    fn fail_waiting(&mut self, node: NodeIndex, why: &str) {
        let lost: Vec<CommandId> =
            self.waiting.iter().filter(|(_, waiting)| waiting.node == node).map(|(&id, _)| id).collect();
        for id in lost {
            let waiting = self.take_waiting(id).expect("just seen");
            self.failed(waiting.op, node, why);
        }
    }

    fn command(&mut self, op: OpId, node: NodeIndex, command: Command<DataCommand>, within: Duration) {
        if self.engine.node(node.0 as NodeSlot).is_none() {
            return self.failed(op, node, "the node is down");
        }
        let id = CommandId(self.next_command);
        self.next_command += 1;
        let deadline = self.engine.now() + within;
        self.deadlines.insert((deadline, id));
        let leaving = matches!(command, Command::Leave);
        self.waiting.insert(id, Waiting { op, node, deadline, leaving, hits: Vec::new() });
        self.engine.command(node.0 as NodeSlot, id, command);
    }

    fn take_waiting(&mut self, id: CommandId) -> Option<Waiting> {
        let waiting = self.waiting.remove(&id)?;
        self.deadlines.remove(&(waiting.deadline, id));
        Some(waiting)
    }

    fn answer_within(&self, node: NodeIndex) -> Duration {
        self.configs[node.0].core.deadline + ANSWER_MARGIN
    }

    fn failed(&mut self, op: OpId, node: NodeIndex, why: &str) {
        self.report(Some(op), OpResult::Failed { node: Some(node), reason: why.to_owned() });
    }

    fn store_changed(&mut self, op: OpId, node: NodeIndex, done: bool) {
        match done {
            true => self.report(Some(op), OpResult::StoreChanged),
            false => self.failed(op, node, "it keeps its blocks in memory"),
        }
    }

    fn report(&mut self, op: Option<OpId>, result: OpResult) {
        let at = self.now();
        self.reports.push_back(BackendEvent { at, op, result });
    }

    fn finish(&mut self, CompletedCommand { id, outcome, is_part, .. }: CompletedCommand<DataOutcome>) {
        if is_part {
            if let (Some(waiting), Outcome::Overlay(DataOutcome::Hit(hit))) = (self.waiting.get_mut(&id), outcome) {
                waiting.hits.push(hit.id);
            }
            return;
        }
        // Those that ended too late were reported as failed.
        let Some(Waiting { op, node, hits, .. }) = self.take_waiting(id) else { return };
        let result = match outcome {
            Outcome::Overlay(DataOutcome::Hit(_)) => unreachable!("a hit is a part of a result"),
            Outcome::Overlay(DataOutcome::Searched(Ok(end))) => OpResult::Searched(FoundHits { hits, end: end.into() }),
            Outcome::Overlay(DataOutcome::Searched(Err(why))) => {
                OpResult::Failed { node: Some(node), reason: why.to_string() }
            }
            Outcome::Left => {
                self.engine.leave(node.0 as NodeSlot);
                self.identities.further(node).for_each(|slot| self.engine.kill(slot));
                self.fail_waiting(node, "the node has left");
                OpResult::NodeStopped
            }
            Outcome::Overlay(DataOutcome::Put(Ok(stored))) => OpResult::Stored(stored.blocks),
            Outcome::Overlay(DataOutcome::Put(Err(PutError::TooFewCopies { shortage, .. }))) => {
                OpResult::Failed { node: Some(node), reason: shortage.to_string() }
            }
            Outcome::Overlay(DataOutcome::Put(Err(why))) => {
                OpResult::Failed { node: Some(node), reason: why.to_string() }
            }
            Outcome::Overlay(DataOutcome::Get(Ok(found), _)) => {
                OpResult::Found(FoundValue { value: found.value.0, hops: found.hops, messages: found.messages })
            }
            Outcome::Overlay(DataOutcome::Get(
                Err(GetError::NotFound(tally) | GetError::ProbablyAbsent(tally)),
                asked,
            )) => OpResult::NotFound { asked: asked.iter().map(Into::into).collect(), messages: tally.messages },
            Outcome::Overlay(DataOutcome::Get(Err(GetError::Incomplete(tally)), asked)) => {
                OpResult::Incomplete { search: tally.into(), asked: asked.iter().map(Into::into).collect() }
            }
            Outcome::Overlay(DataOutcome::Get(Err(why @ GetError::Busy), _)) => {
                OpResult::Failed { node: Some(node), reason: why.to_string() }
            }
            Outcome::Connected(report) => OpResult::Connected(report.into()),
            Outcome::Answered(Ok(_) | Err(AskError::Refused(_))) => OpResult::PingAnswered,
            Outcome::Answered(Err(why)) => OpResult::Failed { node: Some(node), reason: why.to_string() },
        };
        self.report(Some(op), result);
    }

    /// Ends what nodes have not ended by their deadlines.
    fn give_up_overdue(&mut self) {
        let now = self.engine.now();
        while let Some(&(_, id)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            let Waiting { op, node, leaving, .. } = self.take_waiting(id).expect("every deadline is somebody's");
            if leaving {
                let why = format!("it did not leave within {} s and was silenced", LEAVE_WITHIN.as_secs());
                self.report(None, OpResult::Failed { node: Some(node), reason: why });
                self.kill(node);
                self.report(Some(op), OpResult::NodeStopped);
            } else {
                self.failed(op, node, "the node gave no answer in time");
            }
        }
    }

    /// Live nodes of the plan, each once.
    fn nodes(&self) -> impl Iterator<Item = (NodeSlot, &NodeCore<DataOverlay>)> + '_ {
        self.engine.nodes().filter(|(slot, _)| self.identities.is_first(*slot))
    }

    fn look(&self) -> Vec<NodeSnapshot> {
        let view = |(slot, node): (NodeSlot, &NodeCore<DataOverlay>)| NodeSnapshot {
            node: NodeIndex(slot as usize),
            id: node.me().id,
            known_hosts: node.known_hosts().map(|contact| contact.id).collect(),
            neighbours: node.neighbours().count(),
            links: node.linked().map(|(peer, remote)| LinkSnapshot { peer, remote }).collect(),
            // A hostile node holds nothing that counts.
            blocks: node.overlay().blocks().filter(|_| self.is_honest(slot)).collect(),
            failed_repairs: node.overlay().failed_repairs().map(Into::into).collect(),
        };
        self.nodes().map(view).collect()
    }

    /// Whether a slot is that of an honest node.
    pub fn is_honest(&self, slot: NodeSlot) -> bool {
        self.plan.nodes.get(slot as usize).is_some_and(|node| node.behaviours.is_empty())
    }

    /// What the node of a slot does that an honest one does not.
    pub fn behaviours(&self, slot: NodeSlot) -> &[Behaviour] {
        self.plan.nodes.get(slot as usize).map_or(&[], |node| &node.behaviours)
    }

    fn sample(&self) -> Vec<Scrape> {
        let nodes = self.nodes().map(|(slot, node)| self.series.of_node(NodeIndex(slot as usize), node));
        let networks = self.engine.transport().networks();
        let routers = (0..networks.len()).filter_map(|network| {
            let (counters, mappings) = networks.router(network)?;
            Some(self.series.of_router(NetworkIndex(network), counters, mappings))
        });
        nodes.chain(routers).collect()
    }
}

impl Backend for SimBackend {
    fn name(&self) -> &'static str {
        "sim"
    }

    async fn up(&mut self, progress: &mut dyn Progress) -> Result<(), BackendError> {
        limits::refuse(&self.plan)?;
        let total = self.plan.nodes.iter().filter(|node| node.from_start).count() as u64;
        progress.begin("starting nodes", total);
        self.start_all();
        progress.advance(total);
        Ok(())
    }

    fn now(&self) -> RunTime {
        RunTime(self.engine.now().as_micros() - self.begun.as_micros())
    }

    fn submit(&mut self, id: OpId, op: Op, target: OpTarget) {
        match (op, target) {
            (Op::Start { node, .. }, _) if self.engine.node(node.0 as NodeSlot).is_some() => {
                self.failed(id, node, "the node runs already");
            }
            (Op::Start { node, fresh }, _) => {
                let started = OpResult::NodeStarted { id: self.start(node, fresh) };
                self.report(Some(id), started);
            }
            (Op::Kill { node } | Op::Pause { node }, _) if self.engine.node(node.0 as NodeSlot).is_none() => {
                self.failed(id, node, "the node is down");
            }
            (Op::Kill { node }, _) => {
                self.kill(node);
                self.report(Some(id), OpResult::NodeStopped);
            }
            (Op::Pause { node }, _) => {
                self.engine.freeze(node.0 as NodeSlot);
                self.identities.further(node).for_each(|slot| self.engine.freeze(slot));
                self.report(Some(id), OpResult::NodeStopped);
            }
            (Op::Resume { node }, _) => {
                self.engine.thaw(node.0 as NodeSlot);
                self.identities.further(node).for_each(|slot| _ = self.engine.thaw(slot));
                match self.engine.node(node.0 as NodeSlot).map(|node| node.me().id) {
                    Some(started) => self.report(Some(id), OpResult::NodeStarted { id: started }),
                    None => self.failed(id, node, "the node is not paused"),
                }
            }
            (Op::Stop { node }, _) => self.command(id, node, Command::Leave, LEAVE_WITHIN),
            (Op::Put { node, item }, _) => {
                let item = &self.plan.items[item.0];
                let put = DataCommand::Put { value: Blob(item.bytes().into()), keywords: item.words() };
                self.command(id, node, Command::Overlay(put), self.answer_within(node));
            }
            (Op::Get { node, exhaustive, .. } | Op::GetAbsent { node, exhaustive, .. }, OpTarget::Item(item)) => {
                let get = DataCommand::Get { id: item, exhaustive };
                self.command(id, node, Command::Overlay(get), self.answer_within(node));
            }
            (Op::Search { node, query, limit }, _) => match SearchQuery::parse(&query) {
                Ok(query) => {
                    let deadline = self.configs[node.0].core.deadline.min(SEARCH_TIME_MAX);
                    let search = DataCommand::Search { query, limit, deadline };
                    self.command(id, node, Command::Overlay(search), self.answer_within(node));
                }
                Err(error) => self.failed(id, node, &error.to_string()),
            },
            (Op::Rebind { network, addresses }, _) => {
                self.engine.transport_mut().rebind(network, &addresses);
                self.report(Some(id), OpResult::NetworkChanged);
            }
            (Op::Move { node, network: NetworkIndex(network), address, address6 }, _) => {
                self.engine.move_node(node.0 as NodeSlot, NewPlace { network, address, address6 });
                self.report(Some(id), OpResult::NetworkChanged);
            }
            (Op::SetLink { network, up, down }, _) => {
                self.engine.transport_mut().set_link(network, &up, &down);
                self.report(Some(id), OpResult::NetworkChanged);
            }
            (Op::SetFirewall { network, policy }, _) => {
                self.engine.transport_mut().set_firewall(network, policy);
                self.report(Some(id), OpResult::NetworkChanged);
            }
            (Op::Partition { name, sides, direction }, _) => {
                self.engine.transport_mut().partition(&name, &self.identities.widen(&sides), direction);
                self.report(Some(id), OpResult::NetworkChanged);
            }
            (Op::Heal { names }, _) => {
                self.engine.transport_mut().heal(&names);
                self.report(Some(id), OpResult::NetworkChanged);
            }
            (Op::Connect { node, .. }, OpTarget::Peer(peer)) => {
                let link = Command::Connect { peer, contact: None };
                self.command(id, node, link, CONNECT_WITHIN + ANSWER_MARGIN);
            }
            (Op::Ping { node, deadline, .. }, OpTarget::Peer(peer)) => {
                let ask = Command::Ask { peer, route: String::new(), body: Blob::default() };
                self.command(id, node, ask, deadline);
            }
            (Op::FillDisk { node, full }, _) => {
                let done = self.engine.fill_disk(node.0 as NodeSlot, full);
                self.store_changed(id, node, done);
            }
            (Op::CorruptStore { node, share, seed }, _) => {
                let done = self.engine.corrupt_store(node.0 as NodeSlot, share, seed);
                self.store_changed(id, node, done);
            }
            (Op::Inspect, _) => {
                let seen = self.look();
                self.report(Some(id), OpResult::Inspected(seen));
            }
            (Op::Sample, _) => {
                let sampled = self.sample();
                self.report(Some(id), OpResult::Sampled(sampled));
            }
            (op, target) => {
                let reason = format!("{} take another target than {target:?}", op.plural());
                self.report(Some(id), OpResult::Failed { node: op.node(), reason });
            }
        }
    }

    async fn next(&mut self, until: RunTime) -> Option<BackendEvent> {
        self.advance(until)
    }

    async fn down(&mut self, _progress: &mut dyn Progress) -> Result<(), BackendError> {
        Ok(())
    }
}

/// What a generator of random numbers is for; each leaves room for as many nodes or lives as there may be.
mod purpose {
    pub(super) const STAGGER: u64 = 0;
    pub(super) const NODE: u64 = 1 << 32;
    pub(super) const START: u64 = 2 << 32;
    pub(super) const IDENTITY: u64 = 3 << 32;
}
