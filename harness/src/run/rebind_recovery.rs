//! Links over a NAT that has forgotten everything: each end of them asks the other until it is answered.
//!
//! Right before a rebind every node tells its links. After it, each end of every link that led through that NAT asks its peer,
//! again and again, until an answer comes: a link that is merely still listed proves nothing. How the link comes back, as it
//! was or made anew, is the nodes' affair.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use butter::core::identity::NodeId;

use super::{ANSWER_MARGIN, CHANGE_DEADLINE, Runner};
use crate::backend::Backend;
use crate::events::{EventKind, Recovery, RunTime};
use crate::op::{LinkSnapshot, NodeSnapshot, Op, OpId, OpTarget};
use crate::plan::{NetworkIndex, NodeIndex, Plan};

/// An end without an answer by then is lost.
const RECOVER_WITHIN: Duration = Duration::from_secs(30);
/// How long one question may take.
const PING_DEADLINE: Duration = Duration::from_secs(1);
/// Pause before it is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Most ends that ask at once; those beyond are not watched.
const ENDS_MAX: usize = 4_096;

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LinkEnd {
    /// Who asks.
    pub(super) node: NodeIndex,
    pub(super) peer: NodeIndex,
}

/// A rebind that waits for a look at the links before it.
#[derive(Clone, Debug)]
pub(super) struct Rebind {
    pub(super) step: usize,
    pub(super) network: NetworkIndex,
    pub(super) addresses: Vec<Ipv4Addr>,
}

/// Which ends have no answer yet.
#[derive(Debug, Default)]
pub(super) struct RebindRecovery {
    waiting: Vec<Rebind>,
    open: BTreeMap<LinkEnd, Open>,
    /// When they ask; those that wait for an answer are not in it.
    due: BTreeSet<(RunTime, LinkEnd)>,
    /// By pending rebind: the ends of links over that NAT, with the identities at both.
    ends_over: BTreeMap<OpId, Vec<(LinkEnd, [NodeId; 2])>>,
    /// Rebinds so far.
    rebinds: usize,
}

/// An end without an answer.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Number of the rebind, from 0.
    rebind: usize,
    since: RunTime,
    /// Who was at either end then.
    ids: [NodeId; 2],
}

impl RebindRecovery {
    /// A rebind waits for the next look.
    pub(super) fn wait(&mut self, rebind: Rebind) {
        self.waiting.push(rebind);
    }

    /// Rebinds of a step that wait.
    pub(super) fn waiting_of(&self, step: usize) -> usize {
        self.waiting.iter().filter(|rebind| rebind.step == step).count()
    }

    /// Whether every end has its answer, or will get none.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.open.is_empty()
    }

    /// A rebind failed: no link is watched for it.
    pub(super) fn forget(&mut self, rebind: OpId) {
        self.ends_over.remove(&rebind);
    }

    /// When the next end asks.
    pub(super) fn due(&self) -> RunTime {
        self.due.first().map_or(RunTime(u64::MAX), |&(at, _)| at)
    }

    /// A NAT has forgotten everything: these ask from now on. How many of them are new.
    fn begin(&mut self, since: RunTime, now: RunTime, ends: Vec<(LinkEnd, [NodeId; 2])>) -> usize {
        let before = self.open.len();
        for (end, ids) in ends {
            // One that already asks is the earlier rebind's.
            if self.open.len() < ENDS_MAX && !self.open.contains_key(&end) {
                self.open.insert(end, Open { rebind: self.rebinds, since, ids });
                self.due.insert((now, end));
            }
        }
        self.rebinds += 1;
        self.open.len() - before
    }

    /// The next end to ask now.
    fn next(&mut self, now: RunTime) -> Option<(LinkEnd, Open)> {
        let &(_, end) = self.due.first().filter(|(at, _)| *at <= now)?;
        self.due.pop_first();
        Some((end, self.open[&end]))
    }
}

impl<B: Backend> Runner<'_, B> {
    /// Does the rebinds that waited for this look. Without views nothing is known of links, and none are watched.
    pub(super) fn rebind_waiting(&mut self, now: RunTime, views: &[NodeSnapshot]) {
        for Rebind { step, network, addresses } in std::mem::take(&mut self.rebind_recovery.waiting) {
            let ends = ends_over(self.plan, network, views);
            let rebind = Op::Rebind { network, addresses };
            let id = self.submit(now, rebind, OpTarget::InPlan, Some(step), CHANGE_DEADLINE);
            self.rebind_recovery.ends_over.insert(id, ends);
        }
    }

    /// A NAT has no mapping since `began`, when its router received the rebind.
    pub(super) fn rebound(
        &mut self,
        op: OpId,
        began: RunTime,
        at: RunTime,
        network: NetworkIndex,
        addresses: Vec<Ipv4Addr>,
    ) {
        let ends = self.rebind_recovery.ends_over.remove(&op).unwrap_or_default();
        let ends = self.rebind_recovery.begin(began, at, ends);
        self.record(at, EventKind::Rebound { network, addresses, ends });
    }

    /// Has those ask whose turn it is.
    pub(super) fn ping_ends(&mut self, now: RunTime) {
        while let Some((end, open)) = self.rebind_recovery.next(now) {
            let who = [end.node, end.peer].map(|node| self.state.identity(node));
            if who != open.ids.map(Some) {
                self.settle(now, end, Recovery::Gone);
                continue;
            }
            let ping = Op::Ping { node: end.node, peer: end.peer, deadline: PING_DEADLINE };
            self.submit(now, ping, OpTarget::Peer(open.ids[1]), None, PING_DEADLINE + ANSWER_MARGIN);
        }
    }

    /// The link has carried a question there and its answer back.
    pub(super) fn answered(&mut self, at: RunTime, end: LinkEnd) {
        if let Some(open) = self.rebind_recovery.open.get(&end) {
            let after_us = at.0.saturating_sub(open.since.0);
            self.settle(at, end, Recovery::Back { after_us });
        }
    }

    /// No answer: it is asked again, as long as there is time.
    pub(super) fn unanswered(&mut self, at: RunTime, end: LinkEnd) {
        let Some(open) = self.rebind_recovery.open.get(&end) else { return };
        if at >= open.since.plus(RECOVER_WITHIN) {
            self.settle(at, end, Recovery::Lost);
        } else {
            self.rebind_recovery.due.insert((at.plus(AGAIN_AFTER), end));
        }
    }

    fn settle(&mut self, at: RunTime, end: LinkEnd, result: Recovery) {
        if let Some(Open { rebind, .. }) = self.rebind_recovery.open.remove(&end) {
            self.record(at, EventKind::Recovered { rebind, node: end.node, peer: end.peer, result });
        }
    }
}

/// The ends of all links that lead through the NAT of a network, in order, with who is at either end.
fn ends_over(plan: &Plan, network: NetworkIndex, views: &[NodeSnapshot]) -> Vec<(LinkEnd, [NodeId; 2])> {
    let inside = plan.networks_within(network);
    let nodes: BTreeMap<NodeId, NodeIndex> = views.iter().map(|view| (view.id, view.node)).collect();
    let is_inside = |node: NodeIndex| inside.contains(&plan.node(node).network);
    let stays_inside = |ip: Ipv4Addr| inside.iter().any(|&network| plan.network(network).subnet.contains(&ip));
    let leads = |node: NodeIndex, peer: NodeIndex, link: &LinkSnapshot| match link.remote.map(|remote| remote.ip()) {
        // Nothing translates IPv6, so nothing of it is forgotten.
        Some(IpAddr::V6(_)) => false,
        Some(IpAddr::V4(ip)) if is_inside(node) => !stays_inside(ip),
        // Relays are outside.
        None if is_inside(node) => true,
        _ => is_inside(peer),
    };
    let of = |view: &NodeSnapshot| {
        let ends = view.links.iter().filter_map(|link| {
            let &peer = nodes.get(&link.peer)?;
            leads(view.node, peer, link).then_some((LinkEnd { node: view.node, peer }, [view.id, link.peer]))
        });
        ends.collect::<Vec<_>>()
    };
    views.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// Which nodes ping which peers after the NAT of `alpha` was rebound.
    fn ends(links: &[(usize, usize, Option<&str>)]) -> Vec<(usize, usize)> {
        let mut plan = testing::plan();
        // A network behind alpha, with a node.
        let mut inner = plan.networks[2].clone();
        (inner.name, inner.subnet) = ("inner".into(), "10.3.0.0/24".parse().unwrap());
        inner.behind.as_mut().unwrap().to = NetworkIndex(1);
        plan.networks.push(inner);
        let mut node = plan.nodes[2].clone();
        (node.network, node.address) = (NetworkIndex(3), [10, 3, 0, 10].into());
        plan.nodes.push(node);
        let id = |node: usize| NodeId([node as u8; 32]);
        let view = |node: usize| {
            let own = links.iter().filter(|(from, ..)| *from == node);
            let link = |&(_, to, remote): &(usize, usize, Option<&str>)| LinkSnapshot {
                peer: id(to),
                remote: remote.map(|remote| remote.parse().unwrap()),
            };
            let links = own.map(link).collect();
            NodeSnapshot {
                node: NodeIndex(node),
                id: id(node),
                known_hosts: vec![],
                neighbours: 0,
                links,
                blocks: vec![],
                failed_repairs: vec![],
            }
        };
        let views: Vec<_> = (0..4).map(view).collect();
        ends_over(&plan, NetworkIndex(1), &views).into_iter().map(|(end, _)| (end.node.0, end.peer.0)).collect()
    }

    const AMBASSADOR: usize = 0;
    const ALPHA: usize = 1;
    const BETA: usize = 2;
    const INNER: usize = 3;

    #[test]
    fn links_out_of_a_network_lead_through_its_nat_also_from_one_behind_it() {
        let out = [(ALPHA, AMBASSADOR, Some("203.0.113.10:1")), (INNER, AMBASSADOR, Some("203.0.113.10:1"))];
        assert_eq!(ends(&out), [(ALPHA, AMBASSADOR), (INNER, AMBASSADOR)]);
        let into = [(AMBASSADOR, ALPHA, Some("203.0.113.2:1")), (BETA, INNER, None)];
        assert_eq!(ends(&into), [(AMBASSADOR, ALPHA), (BETA, INNER)]);
    }

    #[test]
    fn links_within_it_do_so_only_through_its_outside_or_a_relay() {
        assert_eq!(ends(&[(ALPHA, INNER, Some("10.3.0.10:1")), (INNER, ALPHA, Some("10.1.0.10:1"))]), []);
        assert_eq!(
            ends(&[(ALPHA, INNER, Some("203.0.113.2:9")), (INNER, ALPHA, None)]),
            [(ALPHA, INNER), (INNER, ALPHA)]
        );
    }

    #[test]
    fn links_elsewhere_and_over_ipv6_do_not() {
        assert_eq!(ends(&[(BETA, AMBASSADOR, Some("203.0.113.10:1")), (AMBASSADOR, BETA, None)]), []);
        assert_eq!(ends(&[(ALPHA, BETA, Some("[2001:db8::1]:1")), (BETA, ALPHA, Some("[2001:db8::2]:1"))]), []);
    }
}
