//! Links to peers.
use super::contact::Contact;
use super::identity::NodeId;
use super::io::Sink;
use super::message::Message;
use super::stats::Stats;
use super::time::Time;

/// Links.
#[derive(Debug)]
pub struct Links<M>(std::marker::PhantomData<M>);

impl<M> Default for Links<M> {
    fn default() -> Self {
        Links(std::marker::PhantomData)
    }
}

impl<M> Links<M> {
    /// Sends, linking first if needed.
    pub fn send<O>(
        &mut self,
        _now: Time,
        _peer: NodeId,
        _message: Message<M>,
        _stats: &mut Stats,
        _sink: &mut Sink<M, O>,
    ) {
    }
    /// Takes note of a contact.
    pub fn learn(&mut self, _contact: &Contact) {}
    /// How a peer may be reached.
    pub fn contact(&self, _peer: NodeId) -> Option<&Contact> {
        None
    }
    /// Whether a link is up.
    pub fn is_up(&self, _peer: NodeId) -> bool {
        false
    }
    /// Gives a peer up.
    pub fn abandon<O>(&mut self, _peer: NodeId, _sink: &mut Sink<M, O>) {}
}
