//! What a verb has to say for itself.

use std::fmt;
use std::time::Duration;

use super::churn::CHURN_DRAWS_MAX;
use super::connect::PAIRS_MAX;
use super::state::{NodeLife, OPS_MAX, PlanState, SeedStream};
use crate::net::zone::ZONES_MAX;
use crate::plan::Check;
use crate::plan::{EndCondition, NetworkIndex, TimedOp, TopologyFile};
use crate::topology::check::NameTable;
use crate::topology::check::TopologyModel;
use crate::topology::diagnostics::{DiagnosticSink, LineIndex, Span};
use crate::topology::fields::{Fields, MapSpec, Spanned};
use crate::topology::form::ValueForm;
use crate::topology::roster::NodeRoster;
use crate::topology::tree::YamlNode;

/// A verb of the file format.
#[derive(Debug)]
pub(crate) struct Verb {
    /// Its name in the file.
    pub(crate) name: &'static str,
    /// Names that it had in earlier versions: they are errors that name the new one.
    pub(crate) formerly: &'static [&'static str],
    /// What it does, in one sentence.
    pub(crate) doc: &'static str,
    /// The keys of its map.
    pub(crate) keys: &'static MapSpec,
    /// What may stand under the verb in place of such a map.
    pub(crate) short: Option<ValueForm>,
    /// A whole step that uses it.
    pub(crate) example: &'static str,
    /// Reads a step. Where a value is faulty, which is reported, any other may stand for it.
    pub(crate) read: StepReader,
}

/// What a verb makes of its map.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StepReader {
    /// A step.
    One(fn(&StepSource<'_>, &mut DiagnosticSink) -> Box<dyn StepSpec>),
    /// Other steps of the file, in its place.
    Rounds(for<'t> fn(&StepSource<'t>, &mut DiagnosticSink) -> Rounds<'t>),
}

/// Steps that are played several times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds<'t> {
    /// How often.
    pub(crate) times: u64,
    /// In order.
    pub(crate) steps: &'t [YamlNode],
}

/// Where a step is read from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepSource<'t> {
    /// The value of its verb.
    pub(crate) node: &'t YamlNode,
    /// Place of its verb.
    pub(crate) span: &'t Span,
    /// As [`Verb::keys`].
    pub(crate) keys: &'static MapSpec,
    /// Lines of the file.
    pub(crate) lines: &'t LineIndex,
}

impl<'t> StepSource<'t> {
    /// The keys under the verb.
    pub(crate) fn fields(&self, problems: &mut DiagnosticSink) -> Fields<'t> {
        Fields::open(self.node, self.span, self.keys, problems)
    }
}

/// A step as written: validated first, then scheduled.
pub(crate) trait StepSpec: fmt::Debug {
    /// Looks up what the step names and reports what cannot be. `span` is the place of its verb.
    fn validate(&mut self, _span: &Span, _names: &NameTable<'_>, _problems: &mut DiagnosticSink) {}

    /// Reports what only the nodes of the plan show to be impossible.
    fn validate_nodes(
        &self,
        _span: &Span,
        _model: &TopologyModel,
        _nodes: &NodeRoster,
        _problems: &mut DiagnosticSink,
    ) {
    }

    /// Its operations, in order of time; `state` becomes what is true after it.
    ///
    /// # Errors
    /// If the step cannot be carried out.
    fn schedule(&self, _state: &mut PlanState<'_>, _seeds: &SeedStream) -> Result<Vec<TimedOp>, ScheduleError> {
        Ok(Vec::new())
    }

    /// When it ends.
    fn ends(&self, ops: &[TimedOp], state: &PlanState<'_>) -> EndCondition;

    /// What it does, in one line.
    fn summary(&self, ops: &[TimedOp]) -> String;

    /// Whether it may run beside other steps: it has operations at times of its own, and looks at nothing but them.
    fn may_run_beside(&self) -> bool {
        true
    }

    /// Whether nodes work for it, which must be alive then. Such steps are scheduled after those that start and end nodes.
    fn uses_nodes(&self) -> bool {
        false
    }

    /// Checks that it evaluates, once validated.
    fn checks(&self) -> &[Spanned<Check>] {
        &[]
    }

    /// Whether a node joins on every network for it.
    fn wants_fresh_nodes(&self) -> bool {
        false
    }

    /// Files beside the topology that it was made from, once validated.
    fn files(&self) -> Vec<TopologyFile> {
        Vec::new()
    }

    /// Networks that nodes move to, and how many at most.
    fn arrivals(&self) -> Vec<(NetworkIndex, u64)> {
        Vec::new()
    }

    /// Networks whose routers take new external addresses, each as often as it does so.
    fn readdressed(&self) -> Vec<NetworkIndex> {
        Vec::new()
    }
}

/// A step that ends when its last operation has, each of which takes at most `each`.
pub(crate) fn done_after(ops: &[TimedOp], each: Duration) -> EndCondition {
    let last = ops.last().map_or(Duration::ZERO, |timed| timed.after);
    EndCondition::Done { deadline: last + each }
}

/// A count for a summary; `None` is all.
pub(crate) fn count_text(count: Option<u64>) -> String {
    count.map_or("all".to_owned(), |count| count.to_string())
}

/// A step that cannot be scheduled. Nothing of the plan is used then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScheduleError {
    /// Earlier steps have ended all nodes that could act.
    #[error("no node of {names} is alive at this step")]
    NoneAlive {
        /// As named in the file.
        names: String,
    },
    /// The step is about more nodes than there are in such a state.
    #[error("{found} nodes of {names} are {life} at this step, and it takes {wanted}")]
    TooFewNodes {
        /// As named in the file.
        names: String,
        /// The state that the step begins from.
        life: NodeLife,
        /// How many it takes.
        wanted: u64,
        /// How many there are.
        found: usize,
    },
    /// A pair takes two nodes.
    #[error("fewer than two nodes of {names} are alive at this step")]
    NoPair {
        /// As named in the file.
        names: String,
    },
    /// No item exists by then.
    #[error("no step before this one stores an item")]
    NothingStored,
    /// What is searched for must have a name.
    #[error("no item that is stored before this step has {}", if *terms == 1 { "a keyword".to_owned() } else { format!("{terms} keywords") })]
    NoKeywords {
        /// Keywords of a query.
        terms: usize,
    },
    /// More items than exist by then.
    #[error("{wanted} items are more than the {stored} stored before this step")]
    FewerStored {
        /// Items to fetch.
        wanted: u64,
        /// Items stored by then.
        stored: u64,
    },
    /// The plan would be too large.
    #[error("with this step the plan has more than {OPS_MAX} operations")]
    TooManyOps,
    /// Churn would take too long to draw.
    #[error("so many nodes for so many seconds are more than {CHURN_DRAWS_MAX} draws")]
    TooManyDraws,
    /// A partition with a side without nodes.
    #[error("no node is on the side of {names}")]
    EmptySide {
        /// As named in the file.
        names: String,
    },
    /// A node cannot be cut off from itself.
    #[error("{node} is on two sides")]
    OnTwoSides {
        /// Name of the node.
        node: String,
    },
    /// Partitions that are in force at once have names of their own.
    #[error("a partition called {name} is in force at this step")]
    PartitionInForce {
        /// Name of the partition.
        name: String,
    },
    /// Packets have no room for so many marks.
    #[error("with this step the partitions divide the nodes into more than {ZONES_MAX} sets")]
    TooManyZones,
    /// Nothing to heal.
    #[error("no partition{} is in force at this step", name.as_ref().map_or(String::new(), |name| format!(" called {name}")))]
    NotPartitioned {
        /// Name of the partition, if one is named.
        name: Option<String>,
    },
    /// What is in memory has no disk.
    #[error("{node} keeps its blocks in memory")]
    NoDisk {
        /// Name of the node.
        node: String,
    },
    /// Steps beside each other that both start or end a node.
    #[error("two of its steps start or end {node}")]
    EndedTwice {
        /// Name of the node.
        node: String,
    },
    /// A node that moves comes to another network.
    #[error("{node} is on {network} already")]
    AlreadyThere {
        /// Name of the node.
        node: String,
        /// Name of the network.
        network: String,
    },
    /// More nodes come than the subnet was made for: some that are named by their network came there by steps before.
    #[error("no address is left on {network} for {node}")]
    NetworkFull {
        /// Name of the node.
        node: String,
        /// Name of the network.
        network: String,
    },
    /// The simulator gives each identity an address of its own; on other backends they share one.
    #[error("{node} has several identities, which cannot move as one")]
    SeveralIdentities {
        /// Name of the node.
        node: String,
    },
    /// A trace of nodes with names that the topology does not have.
    #[error("{file}, line {line}: there is no node {node} of {names}")]
    TracedStranger {
        /// Name of the file.
        file: String,
        /// Line of the file, from 1.
        line: usize,
        /// As the file calls the node.
        node: String,
        /// As named in the topology.
        names: String,
    },
    /// A trace of more nodes than there are.
    #[error("{file}, line {line}: this is node {traced} of the trace, and there are {nodes} of {names}")]
    TracedTooMany {
        /// Name of the file.
        file: String,
        /// Line of the file, from 1.
        line: usize,
        /// Number of the node in the file, from 1.
        traced: usize,
        /// Nodes that take part.
        nodes: usize,
        /// As named in the topology.
        names: String,
    },
    /// Only one of several steps at once can have nodes join for it.
    #[error("two of its steps have fresh nodes join")]
    FreshTwice,
    /// Choosing would take too long.
    #[error("this step has more than {PAIRS_MAX} pairs of nodes to choose from")]
    TooManyPairs,
}

impl ScheduleError {
    /// What to change in the file.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            ScheduleError::NoPair { .. } => "name at least two: among: [a, b]",
            ScheduleError::NoneAlive { .. } => "have churn replace or spare some of them",
            ScheduleError::TooFewNodes { .. } => "name other nodes, or change the steps before",
            ScheduleError::NothingStored => "store before: - store: {items: 60}",
            ScheduleError::NoKeywords { .. } => {
                "store some before: - store: {items: 60, keywords: {terms: 200, each: 3}}"
            }
            ScheduleError::FewerStored { .. } => "fetch all of them: items: all",
            ScheduleError::EmptySide { .. } => "name a side that has nodes",
            ScheduleError::OnTwoSides { .. } => "name it on one side, or on none if it reaches both",
            ScheduleError::PartitionInForce { .. } => "heal it before, or give this one another name: name: second",
            ScheduleError::TooManyZones => "use fewer sides, or fewer different partitions",
            ScheduleError::NotPartitioned { .. } => "partition before: - partition: [alpha, beta]",
            ScheduleError::NoDisk { .. } => "give its node group a disk: store: disk",
            ScheduleError::EndedTwice { .. } => "let one step alone be about it, or put one after the other",
            ScheduleError::AlreadyThere { .. } => "name another network, or only nodes that are elsewhere",
            ScheduleError::NetworkFull { .. } => {
                "name node groups or nodes instead of networks, or say how many: count: 3"
            }
            ScheduleError::SeveralIdentities { .. } => "name other nodes, or leave its `sybil` out",
            ScheduleError::TracedStranger { .. } => {
                "name nodes of the topology that take part, or let no line name one: then they are taken in order"
            }
            ScheduleError::TracedTooMany { .. } => "have more nodes take part, or use a part of the file",
            ScheduleError::FreshTwice => "let one of them alone name fresh nodes",
            ScheduleError::TooManyPairs => "name fewer nodes: among: [a, b]",
            ScheduleError::TooManyOps | ScheduleError::TooManyDraws => "use fewer nodes or items, or less time",
        }
    }
}
