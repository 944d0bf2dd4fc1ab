//! Plans for tests, and runs of them on any backend. Each test takes what it needs.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use butter::core::identity::{BlockId, NodeId};
use butter_harness::backend::Backend;
use butter_harness::checks;
use butter_harness::events::{Event, EventKind, Recovery, RunTime};
use butter_harness::net::link::LinkConfig;
use butter_harness::net::nat::NatConfig;
use butter_harness::net::zone::CutDirection;
use butter_harness::op::{BackendEvent, NodeSnapshot, Op, OpId, OpResult, OpTarget};
use butter_harness::plan::builder::PlanBuilder;
use butter_harness::plan::{EndCondition, Item, ItemIndex, NetworkIndex, NodeIndex, Plan, Step, TimedOp, Uplink};
use butter_harness::planner;
use butter_harness::progress::Progress;
use butter_harness::run::{RunEnd, RunObserver, RunStatus, StopSignal, run_plan};
use butter_harness::series::{Scrape, Source};
use butter_harness::topology::Overrides;

/// How long a single report may take to come.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long a node may take to answer another.
const PING_DEADLINE: Duration = Duration::from_secs(2);

/// Keeps what is noted.
#[derive(Debug, Default)]
pub(crate) struct Notes(pub(crate) Vec<String>);

impl Progress for Notes {
    fn begin(&mut self, _: &str, _: u64) {}
    fn advance(&mut self, _: u64) {}
    fn note(&mut self, line: &str) {
        self.0.push(line.to_owned());
    }
}

impl RunObserver for Notes {
    fn event(&mut self, _: &Event) {}
    fn sampled(&mut self, _: RunTime, _: &Arc<Vec<Scrape>>) {}
    fn status(&mut self, _: &RunStatus) {}
}

/// The only item of these plans.
pub(crate) const ITEM: ItemIndex = ItemIndex(0);

fn item() -> Item {
    Item { size: 40_000, seed: 1, by: NodeIndex(1), keywords: Vec::new() }
}

/// A plan that grows: networks behind an internet with an ambassador.
pub(crate) struct Draft(pub(crate) Plan);

impl Draft {
    pub(crate) fn new(name: &str) -> Self {
        let mut draft = Draft(PlanBuilder::empty(name, 7).into_plan());
        draft.0.items = vec![item()];
        draft.network("internet", "203.0.113.0/24", None);
        draft.node("ambassador", 0, 10, true);
        draft
    }

    /// A network; behind the internet if it has a NAT.
    pub(crate) fn network(&mut self, name: &str, subnet: &str, nat: Option<NatConfig>) -> NetworkIndex {
        let address = Ipv4Addr::new(203, 0, 113, 1 + self.0.networks.len() as u8);
        let link = LinkConfig { latency: Duration::from_millis(5), ..LinkConfig::default() };
        let behind = nat.map(|nat| Uplink::new(NetworkIndex(0), address, Some(nat), link));
        self.build(|builder| builder.network_named(name, subnet, behind))
    }

    /// A node; all but ambassadors join through the first one.
    pub(crate) fn node(&mut self, name: &str, network: usize, host: u8, ambassador: bool) -> NodeIndex {
        let base = self.0.networks[network].subnet.network();
        let address = Ipv4Addr::from(u32::from(base) + u32::from(host));
        self.build(|builder| {
            let node = builder.node_named(name, NetworkIndex(network), address);
            node.ambassador = ambassador;
            node.join = if ambassador { vec![] } else { vec![NodeIndex(0)] };
            node.settings = vec![("heartbeat".into(), "1s".into()), ("refresh".into(), "1s".into())];
        });
        NodeIndex(self.0.nodes.len() - 1)
    }

    fn build<T>(&mut self, change: impl FnOnce(&mut PlanBuilder) -> T) -> T {
        let mut builder = PlanBuilder::from_plan(self.0.clone());
        let result = change(&mut builder);
        self.0 = builder.into_plan();
        result
    }

    /// An action that the plan announces: the backend prepares for it.
    pub(crate) fn announce(&mut self, op: Op) {
        let (ops, ends) = (vec![TimedOp::at_once(op)], EndCondition::Done { deadline: PATIENCE });
        self.0.steps.push(Step { verb: "churn", summary: String::new(), ops, ends, line: 1 });
    }
}

/// Two home networks with so many nodes each, and an ambassador.
pub(crate) fn homes(name: &str, nodes: u8) -> Draft {
    let mut draft = Draft::new(name);
    for (prefix, subnet, nat) in
        [("a", "10.1.0.0/24", NatConfig::full_cone()), ("b", "10.2.0.0/24", NatConfig::port_restricted())]
    {
        let network = draft.network(&format!("home-{prefix}"), subnet, Some(nat));
        for number in 1..=nodes {
            draft.node(&format!("{prefix}-{number}"), network.0, 9 + number, false);
        }
    }
    draft
}

/// The node of [`lives`] that comes back with what it had.
const KEEPER: NodeIndex = NodeIndex(2);

/// Two home networks with two nodes each, of which one is to come back with what it had.
pub(crate) fn lives() -> Draft {
    let mut draft = homes("lives", 2);
    draft.announce(Op::Start { node: KEEPER, fresh: false });
    draft
}

/// The node on the home whose NAT forgets everything, in [`changing`].
const REBOUND: NodeIndex = NodeIndex(1);
/// The node on the home whose link gets slow.
const SLOWED: NodeIndex = NodeIndex(2);
/// How slow, each way.
const SLOW: Duration = Duration::from_millis(300);

/// Two home networks with a node each: the NAT of one forgets everything, the link of the other gets slow.
pub(crate) fn changing() -> Draft {
    let mut draft = homes("changing", 1);
    let slow = || Box::new(LinkConfig { latency: SLOW, ..LinkConfig::default() });
    draft.announce(Op::Rebind { network: NetworkIndex(1), addresses: vec![Ipv4Addr::new(203, 0, 113, 200)] });
    draft.announce(Op::SetLink { network: NetworkIndex(2), up: slow(), down: slow() });
    draft
}

/// Pairs of nodes of [`cut`] on one side, the second across two NATs without an ambassador.
const SAME_SIDE: [(usize, usize); 3] = [(0, 1), (2, 4), (1, 3)];
/// Pairs on different sides: on one LAN, across NATs, and with the ambassador.
const OTHER_SIDE: [(usize, usize); 4] = [(1, 2), (4, 3), (1, 4), (2, 0)];

/// Two home networks with two nodes each, of which one is on each side of a partition; the ambassador is on the first.
pub(crate) fn cut() -> Draft {
    let mut draft = homes("cut", 2);
    let sides = [vec![0, 1, 3], vec![2, 4]].map(|side| side.into_iter().map(NodeIndex).collect()).to_vec();
    draft.announce(Op::Partition { name: "split".to_owned(), sides, direction: CutDirection::Both });
    draft.announce(Op::Heal { names: vec!["split".to_owned()] });
    draft
}

/// A LAN half of whose nodes are hostile.
pub(crate) fn liars() -> Plan {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/liars.yaml");
    planner::load(&file, &Overrides::default()).expect("it is valid")
}

/// A backend that is up, and the actions submitted to it.
pub(crate) struct Played<B> {
    pub(crate) backend: B,
    pub(crate) notes: Notes,
    ops: u64,
}

impl<B: Backend> Played<B> {
    /// Brings a backend up; what was created is removed if that fails.
    pub(crate) async fn up(mut backend: B) -> Self {
        let mut notes = Notes::default();
        if let Err(error) = backend.up(&mut notes).await {
            let left = backend.down(&mut notes).await;
            panic!("{error}\n{:?}", left.err().map(|error| error.to_string()));
        }
        Played { backend, notes, ops: 0 }
    }

    /// Plays all steps of its plan; every check has to hold.
    pub(crate) async fn play_and_check(&mut self, plan: &Plan) {
        let played = run_plan(plan, &mut self.backend, &mut self.notes, &StopSignal::default()).await;
        assert_eq!(played.ended, RunEnd::Finished);
        for result in checks::evaluate(plan, &played.events, &played.metric_history) {
            assert!(result.passed, "{result:?}");
        }
    }

    /// Plays [`liars`]. Their processes take part under two identities each, so that an honest node knows eight others.
    pub(crate) async fn play_liars(&mut self, plan: &Plan) {
        self.play_and_check(plan).await;
        let known = self.look().await.into_iter().map(|view| view.known_hosts.len()).max();
        assert_eq!(known, Some(8));
    }

    /// Does one thing and returns what came of it.
    pub(crate) async fn act(&mut self, op: Op) -> OpResult {
        self.act_on(op, OpTarget::InPlan).await
    }

    /// Does one thing that takes a target.
    pub(crate) async fn act_on(&mut self, action: Op, target: OpTarget) -> OpResult {
        self.ops += 1;
        let op = OpId(self.ops);
        self.backend.submit(op, action, target);
        let report = self.report().await;
        assert_eq!(report.op, Some(op), "{report:?}");
        report.result
    }

    /// The next report.
    pub(crate) async fn report(&mut self) -> BackendEvent {
        let until = RunTime(self.backend.now().0 + PATIENCE.as_micros() as u64);
        self.backend.next(until).await.expect("a report within its deadline")
    }

    pub(crate) async fn look(&mut self) -> Vec<NodeSnapshot> {
        match self.act(Op::Inspect).await {
            OpResult::Inspected(views) => views,
            other => panic!("{other:?}"),
        }
    }

    /// Looks until what is seen is as wanted.
    pub(crate) async fn look_until(
        &mut self,
        what: &str,
        wanted: impl Fn(&[NodeSnapshot]) -> bool,
    ) -> Vec<NodeSnapshot> {
        let until = self.backend.now().0 + PATIENCE.as_micros() as u64;
        loop {
            let views = self.look().await;
            if wanted(&views) {
                return views;
            }
            assert!(self.backend.now().0 < until, "not within {PATIENCE:?}: {what}: {views:#?}");
            let pause = RunTime(self.backend.now().0 + 200_000);
            assert!(self.backend.next(pause).await.is_none(), "nothing else was asked for");
        }
    }

    pub(crate) async fn started(&mut self, node: NodeIndex, fresh: bool) -> NodeId {
        match self.act(Op::Start { node, fresh }).await {
            OpResult::NodeStarted { id } => id,
            other => panic!("{other:?}"),
        }
    }

    /// In [`homes`] of two: what one stores another finds, and everybody tells its metrics. The value's id.
    pub(crate) async fn store_and_find(&mut self) -> BlockId {
        self.look_until("one network", |views| joined(views, 5)).await;
        let stored = self.act(Op::Put { node: NodeIndex(1), item: ITEM }).await;
        let OpResult::Stored(blocks) = stored else { panic!("{stored:?}") };
        // 40,000 bytes are ten blocks, and one that names them.
        assert!(blocks.len() >= 10, "{blocks:?}");
        let found =
            self.act_on(Op::Get { node: NodeIndex(4), item: ITEM, exhaustive: false }, OpTarget::Item(blocks[0])).await;
        let OpResult::Found(found) = found else { panic!("{found:?}") };
        assert!(found.value == item().bytes(), "other bytes");

        let OpResult::Sampled(scrapes) = self.act(Op::Sample).await else { panic!("no sample") };
        assert_eq!(scrapes.len(), 5 + 3, "five nodes, three routers");
        let routers = scrapes.iter().filter(|scrape| matches!(scrape.source, Source::Router(_)));
        assert!(routers.into_iter().all(|scrape| !scrape.series.is_empty()));
        blocks[0]
    }

    /// In [`lives`]: nodes end and come back, as themselves or as others.
    pub(crate) async fn kill_start_and_stop(&mut self) {
        let before = self.look_until("one network", |views| joined(views, 5)).await;

        // Killed: it is not seen any more. Started: somebody else, at the same place.
        assert!(matches!(self.act(Op::Kill { node: NodeIndex(1) }).await, OpResult::NodeStopped));
        assert!(self.look().await.iter().all(|view| view.node != NodeIndex(1)));
        let twice = self.act(Op::Kill { node: NodeIndex(1) }).await;
        assert!(matches!(&twice, OpResult::Failed { reason: why, .. } if why.contains("is down")), "{twice:?}");
        assert_ne!(self.started(NodeIndex(1), true).await, before[1].id);

        // Stopped: it leaves by itself. Started with what it had: the same one. Started fresh: another.
        let stopped = self.act(Op::Stop { node: KEEPER }).await;
        assert!(matches!(stopped, OpResult::NodeStopped), "{stopped:?}");
        assert_eq!(self.started(KEEPER, false).await, before[2].id);
        assert!(matches!(self.act(Op::Kill { node: KEEPER }).await, OpResult::NodeStopped));
        assert_ne!(self.started(KEEPER, true).await, before[2].id);
    }

    /// Asks from one node whether another answers in time. Both are known by what was seen of them.
    pub(crate) async fn answers(&mut self, views: &[NodeSnapshot], node: usize, peer: usize) -> bool {
        let id = views.iter().find(|view| view.node == NodeIndex(peer)).expect("a live peer").id;
        let ping = Op::Ping { node: NodeIndex(node), peer: NodeIndex(peer), deadline: PING_DEADLINE };
        match self.act_on(ping, OpTarget::Peer(id)).await {
            OpResult::PingAnswered => true,
            OpResult::Failed { .. } => false,
            other => panic!("{other:?}"),
        }
    }

    /// In [`lives`]: a node freezes, is missed, and goes on as the same.
    pub(crate) async fn pause_and_resume(&mut self) {
        let before = self.look_until("one network", |views| joined(views, 5)).await;
        assert!(self.answers(&before, 3, 1).await, "before");
        assert!(matches!(self.act(Op::Pause { node: NodeIndex(1) }).await, OpResult::NodeStopped));
        assert!(!self.answers(&before, 3, 1).await, "frozen");
        assert!(self.look().await.iter().all(|view| view.node != NodeIndex(1)));
        let twice = self.act(Op::Pause { node: NodeIndex(1) }).await;
        assert!(matches!(&twice, OpResult::Failed { reason: why, .. } if why.contains("is down")), "{twice:?}");
        let resumed = self.act(Op::Resume { node: NodeIndex(1) }).await;
        assert!(matches!(resumed, OpResult::NodeStarted { id } if id == before[1].id), "{resumed:?}");
        self.look_until("one network again", |views| joined(views, 5)).await;
        self.until_answered(&before, 3, 1).await;
    }

    /// In [`cut`]: nodes of two sides do not reach each other, on one LAN and across NATs, until that is healed.
    pub(crate) async fn partition_and_heal(&mut self, plan: &Plan) {
        let mut views = self.look_until("one network", |views| joined(views, 5)).await;
        for (node, peer) in SAME_SIDE.into_iter().chain(OTHER_SIDE) {
            self.until_answered(&views, node, peer).await;
        }
        let [partition, heal] = [0, 1].map(|step| plan.steps[step].ops[0].op.clone());
        assert!(matches!(self.act(partition).await, OpResult::NetworkChanged));
        self.sides_are_cut(&views).await;

        // Another node in the place of one that was killed is on the same side.
        let replaced = NodeIndex(1);
        assert!(matches!(self.act(Op::Kill { node: replaced }).await, OpResult::NodeStopped));
        let id = self.started(replaced, true).await;
        views.iter_mut().filter(|view| view.node == replaced).for_each(|view| view.id = id);
        self.until_answered(&views, 1, 3).await;
        self.sides_are_cut(&views).await;

        assert!(matches!(self.act(heal).await, OpResult::NetworkChanged));
        for (node, peer) in SAME_SIDE.into_iter().chain(OTHER_SIDE) {
            self.until_answered(&views, node, peer).await;
        }
    }

    async fn sides_are_cut(&mut self, views: &[NodeSnapshot]) {
        for (node, peer) in SAME_SIDE {
            assert!(self.answers(views, node, peer).await, "{node} and {peer} are on one side");
        }
        for (node, peer) in OTHER_SIDE {
            assert!(!self.answers(views, node, peer).await, "{node} and {peer} are on different sides");
        }
    }

    /// Asks until the other answers.
    async fn until_answered(&mut self, views: &[NodeSnapshot], node: usize, peer: usize) {
        let until = self.backend.now().0 + PATIENCE.as_micros() as u64;
        while !self.answers(views, node, peer).await {
            assert!(self.backend.now().0 < until, "{peer} does not answer {node} within {PATIENCE:?}");
            let pause = RunTime(self.backend.now().0 + 200_000);
            assert!(self.backend.next(pause).await.is_none(), "nothing else was asked for");
        }
    }

    /// Plays [`changing`], with the subnets that the backend has given it.
    pub(crate) async fn rebind_and_slow_down(&mut self, plan: &Plan) {
        let views = self.look_until("one network", |views| joined(views, 3)).await;
        let (ambassador, rebound) = (views[0].id, views[REBOUND.0].id);
        let played = run_plan(plan, &mut self.backend, &mut self.notes, &StopSignal::default()).await;
        assert_eq!(played.ended, RunEnd::Finished, "{:#?}", played.events);
        let recovered: Vec<Recovery> = played.events.iter().filter_map(recovery).collect();
        assert!(recovered.len() >= 2, "the node and the ambassador at least: {:#?}", played.events);
        let is_back = |recovery: &Recovery| matches!(recovery, Recovery::Back { .. });
        assert!(recovered.iter().all(is_back), "{:#?}", played.events);

        let Op::Rebind { addresses, .. } = &plan.steps[0].ops[0].op else { panic!("{:?}", plan.steps) };
        let is_seen = |views: &[NodeSnapshot]| {
            let mut links = views[0].links.iter();
            links.any(|link| link.peer == rebound && link.remote.is_some_and(|remote| addresses.contains(&ip4(remote))))
        };
        self.look_until("the node at its NAT's new address", is_seen).await;
        let asked = self.backend.now();
        let ping = Op::Ping { node: SLOWED, peer: NodeIndex(0), deadline: PATIENCE };
        assert!(matches!(self.act_on(ping, OpTarget::Peer(ambassador)).await, OpResult::PingAnswered));
        let took = Duration::from_micros(self.backend.now().0 - asked.0);
        assert!(took >= 2 * SLOW, "there and back in {took:?}");
    }

    /// Takes everything down.
    pub(crate) async fn down(&mut self) {
        self.backend.down(&mut self.notes).await.unwrap_or_else(|error| panic!("{error}"));
    }
}

fn recovery(event: &Event) -> Option<Recovery> {
    match event.kind {
        EventKind::Recovered { result, .. } => Some(result),
        _ => None,
    }
}

fn ip4(address: SocketAddr) -> Ipv4Addr {
    match address {
        SocketAddr::V4(address) => *address.ip(),
        SocketAddr::V6(_) => panic!("{address} where no node has IPv6"),
    }
}

/// Whether everybody is connected with everybody through known hosts.
pub(crate) fn joined(views: &[NodeSnapshot], live: usize) -> bool {
    let mut reached = vec![false; views.len()];
    let mut open = vec![0];
    while let Some(at) = open.pop() {
        let Some(here) = views.get(at).filter(|_| !std::mem::replace(&mut reached[at], true)) else { continue };
        let knows = |other: &NodeSnapshot| here.known_hosts.contains(&other.id) || other.known_hosts.contains(&here.id);
        open.extend((0..views.len()).filter(|&other| !reached[other] && knows(&views[other])));
    }
    views.len() == live && reached.iter().all(|reached| *reached)
}
