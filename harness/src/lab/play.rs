//! A file's steps on a lab that is up.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::difference::differences;
use super::homes::LabHomes;
use super::places::Places;
use super::protocol::{LabReply, PlayRequest};
use super::slots::is_slot;
use super::steps_file;
use crate::backend::held::{HeldHosts, HeldState};
use crate::backend::{Backend, BackendError};
use crate::checks;
use crate::error_class::ErrorClass;
use crate::events::{Event, EventKind, RunTime};
use crate::net::autoconf::autoconfigured;
use crate::op::{BackendEvent, Op, OpId, OpTarget};
use crate::plan::{Check, Network, NetworkIndex, NodeIndex, NodePlan, Plan};
use crate::planner;
use crate::progress::Progress;
use crate::results::directory::Recorder;
use crate::results::incidents::Incident;
use crate::run::{RunObserver, RunSoFar, RunStatus};
use crate::series::Scrape;
use crate::steps::state::{HeldNode, NodeLife};
use crate::topology::Overrides;

/// Differences that a refusal names.
const NAMED_MAX: usize = 10;

/// The plan of a file's steps for a lab as it is now; or the refusal.
pub(super) fn plan_of(
    request: &PlayRequest,
    hosts: &dyn HeldHosts,
    of_lab: &Overrides,
    homes: &LabHomes,
) -> Result<(Plan, Places), LabReply> {
    let refused = |error: String, remedy: Option<String>| LabReply::Refused { error, remedy, class: ErrorClass::User };
    let lab = hosts.plan();
    let folder = request.file.parent().map(std::path::Path::to_owned);
    let overrides =
        Overrides { seed: request.seed.or(of_lab.seed), set: [&of_lab.set[..], &request.set[..]].concat(), folder };
    let text = steps_file::complete(&request.text, &lab.source);
    let name = request.file.display().to_string();
    let plan = planner::read_held(&name, &text, &overrides, &held_nodes(hosts))
        .map_err(|diagnostics| LabReply::Invalid(diagnostics.render(request.color).trim_end().to_owned()))?;
    let differences = differences(&homes.as_declared(&lab), &plan);
    let differences: Vec<String> = differences.iter().map(ToString::to_string).collect();
    if !differences.is_empty() {
        let shown = differences[..differences.len().min(NAMED_MAX)].join("\n  ");
        let more = differences.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
        return Err(refused(
            format!("{name} describes another lab than the one that is up:\n  {shown}{more}"),
            Some("play a file with `steps` alone, or bring the lab to the file first: harness up FILE".to_owned()),
        ));
    }
    placed(plan, &lab, homes)
        .map_err(|error| refused(error, Some("have the steps in the file that the lab is deployed from".to_owned())))
}

/// The plan with the addresses of the lab, whose nodes and networks are the same by name, and their places in the lab.
fn placed(mut plan: Plan, lab: &Plan, homes: &LabHomes) -> Result<(Plan, Places), String> {
    let places = Places::of(&plan, lab)?;
    for (index, network) in places.networks.iter().enumerate() {
        let (here, there) = (plan.networks[index].subnet, lab.network(*network));
        if here.prefix_len() != there.subnet.prefix_len() {
            let name = &there.name;
            return Err(format!("its steps need another number of addresses on network {name} than the lab has"));
        }
        plan.relocate(NetworkIndex(index), there.subnet);
    }
    for (node, place) in plan.nodes.iter_mut().zip(&places.nodes) {
        let there = lab.node(*place);
        let network = places.networks.iter().position(|network| *network == there.network);
        node.network = network.map_or(node.network, NetworkIndex);
        (node.address, node.address6) = (there.address, there.address6);
    }
    readdress_moves(&mut plan, &places, lab, homes)?;
    Ok((plan, places))
}

/// Gives each node that moves an address that is free in the lab.
fn readdress_moves(plan: &mut Plan, places: &Places, lab: &Plan, homes: &LabHomes) -> Result<(), String> {
    let mut free: BTreeMap<NetworkIndex, std::vec::IntoIter<Ipv4Addr>> = BTreeMap::new();
    for timed in plan.steps.iter_mut().flat_map(|step| &mut step.ops) {
        let Op::Move { network, address, address6, .. } = &mut timed.op else { continue };
        let there = places.networks[network.0];
        let free = free.entry(there).or_insert_with(|| homes.free_addresses(lab, there).into_iter());
        let Network { name, ipv6, .. } = lab.network(there);
        *address = free.next().ok_or_else(|| format!("network {name} has too few free addresses for its moves"))?;
        *address6 = address6.and(ipv6.as_ref()).map(|ipv6| autoconfigured(ipv6.subnet, *address));
    }
    Ok(())
}

/// What the nodes are by now, for the planner.
fn held_nodes(hosts: &dyn HeldHosts) -> BTreeMap<String, HeldNode> {
    let life = |state| match state {
        HeldState::Unstarted => NodeLife::Unstarted,
        HeldState::Up => NodeLife::Up,
        HeldState::Paused => NodeLife::Paused,
        HeldState::Down => NodeLife::Down,
    };
    let plan = hosts.plan();
    let nodes = plan.nodes.iter().enumerate().filter(|(_, node)| !is_slot(node));
    let held = |(index, node): (usize, &NodePlan)| {
        let network = plan.network(node.network).name.clone();
        (node.name.clone(), HeldNode { life: life(hosts.state(NodeIndex(index))), network })
    };
    nodes.map(held).collect()
}

/// The nodes that run and answer.
pub(super) fn live(hosts: &dyn HeldHosts) -> Vec<NodeIndex> {
    (0..hosts.plan().nodes.len()).map(NodeIndex).filter(|node| hosts.state(*node) == HeldState::Up).collect()
}

/// The backend of a lab, as a run of its own sees it: its clock begins now, its nodes have the numbers of its plan, and no report
/// of an earlier run comes.
pub(super) struct PlayBackend<'b, B> {
    backend: &'b mut B,
    began: RunTime,
    /// Where the numbers of its operations begin.
    first: u64,
    places: &'b Places,
}

impl<'b, B: Backend> PlayBackend<'b, B> {
    /// A run that begins now.
    pub(super) fn new(backend: &'b mut B, first: u64, places: &'b Places) -> Self {
        let began = backend.now();
        PlayBackend { backend, began, first, places }
    }
}

impl<B: Backend> Backend for PlayBackend<'_, B> {
    fn name(&self) -> &'static str {
        self.backend.name()
    }

    /// It is up already.
    async fn up(&mut self, _: &mut dyn Progress) -> Result<(), BackendError> {
        Ok(())
    }

    fn now(&self) -> RunTime {
        RunTime(self.backend.now().0.saturating_sub(self.began.0))
    }

    fn submit(&mut self, id: OpId, op: Op, target: OpTarget) {
        self.backend.submit(OpId(self.first + id.0), self.places.in_lab(op), target);
    }

    async fn next(&mut self, until: RunTime) -> Option<BackendEvent> {
        let until = RunTime(until.0.saturating_add(self.began.0));
        loop {
            let event = self.backend.next(until).await?;
            let op = event.op.map(|OpId(id)| id.checked_sub(self.first).map(OpId));
            if let Some(None) = op {
                continue;
            }
            let Some(result) = self.places.in_play(event.result) else { continue };
            let at = RunTime(event.at.0.saturating_sub(self.began.0));
            return Some(BackendEvent { at, op: op.flatten(), result });
        }
    }

    /// It stays up.
    async fn down(&mut self, _: &mut dyn Progress) -> Result<(), BackendError> {
        Ok(())
    }
}

/// Passes on what happens, as lines, and to the record. Lines that are not read in time are left out.
pub(super) struct PlayObserver<'p> {
    pub(super) plan: &'p Plan,
    pub(super) replies: mpsc::Sender<LabReply>,
    /// What writes the record, if one is written.
    pub(super) recorder: Option<&'p mut Recorder>,
}

impl PlayObserver<'_> {
    fn line(&self, line: String) {
        let _ = self.replies.try_send(LabReply::Line(line));
    }
}

impl RunObserver for PlayObserver<'_> {
    fn event(&mut self, event: &Event) {
        if let Some(recorder) = &mut self.recorder {
            recorder.event(event);
        }
        match &event.kind {
            EventKind::StepBegan { step, .. } => {
                let summary = &self.plan.steps[*step].summary;
                self.line(format!("step {} of {}: {summary}", step + 1, self.plan.steps.len()));
            }
            EventKind::StepEnded { step, problem: Some(problem) } => {
                self.line(format!("step {} did not end as planned: {problem}", step + 1));
            }
            _ => {
                if let Some(incident) = Incident::of(event) {
                    let about = incident.about(self.plan).map_or(String::new(), |about| format!("{about}: "));
                    self.line(format!("incident: {about}{}", incident.what));
                }
            }
        }
    }

    fn sampled(&mut self, at: RunTime, scrapes: &Arc<Vec<Scrape>>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.sampled(at, scrapes);
        }
    }

    fn status(&mut self, _: &RunStatus) {}

    fn unmet(&mut self, wanted: &[Check], so_far: &RunSoFar<'_>) -> Option<String> {
        checks::unmet(wanted, so_far)
    }
}
