//! Known hosts.
use super::contact::Contact;
use super::identity::NodeId;

/// Known hosts: a small active view of neighbours and a bounded, diverse passive view.
#[derive(Debug, Default)]
pub struct KnownHosts {}

impl KnownHosts {
    /// The active view, in a stable order.
    pub fn neighbours(&self) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::empty()
    }
    /// Every known host, neighbours first.
    pub fn contacts(&self) -> impl Iterator<Item = &Contact> + '_ {
        std::iter::empty()
    }
    /// Forgets a host.
    pub fn remove(&mut self, _peer: NodeId) {}
}
