//! What the protocol modules of a node share while it handles one input.

use super::config::Config;
use super::contact::Contact;
use super::io::Sink;
use super::membership::known_hosts::KnownHosts;
use super::random::Random;
use super::stats::Stats;
use super::time::Time;

/// The node around a protocol module while one input is handled. `M` is the overlay's messages, `O` its outcomes.
#[derive(Debug)]
pub struct Cx<'a, M, O> {
    /// The time of the input.
    pub now: Time,
    /// The node's settings.
    pub config: &'a Config,
    /// The node's own contact, as peers get it.
    pub me: &'a mut Contact,
    /// The node's view of other hosts.
    pub hosts: &'a mut KnownHosts,
    /// The node's own random numbers; the order of draws decides a simulation.
    pub random: &'a mut Random,
    /// The node's counters.
    pub stats: &'a mut Stats,
    /// Where outputs go, in the order in which they take effect.
    pub sink: &'a mut Sink<M, O>,
    /// Whether the node is leaving: then it looks for no neighbours and no ambassador.
    pub is_leaving: bool,
}
