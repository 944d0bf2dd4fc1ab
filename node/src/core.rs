//! The node, pure: `handle(now, input, &mut sink) -> Deadline`.
//!
//! [`Node`] owns the protocol modules and is the only place where they meet. Time is an argument, randomness is seeded,
//! everything it wants done goes into a [`Sink`]. The same code runs over real sockets and in the simulator.

use std::sync::Arc;

use crate::overlay::Overlay;

pub mod blob;
pub mod config;
pub mod contact;
pub mod identity;
pub mod io;
pub mod known_hosts;
pub mod links;
pub mod message;
pub mod random;
pub mod stats;
pub mod time;
pub mod wire;

use config::Config;
use contact::Contact;
use identity::NodeId;
use io::{Input, Sink};
use known_hosts::KnownHosts;
use links::Links;
use stats::Stats;
use time::{Deadline, Time};

/// A peer: known hosts, discovery, links, requests, and the overlay `V` on top.
#[derive(Debug)]
pub struct Node<V: Overlay> {
    hosts: KnownHosts,
    #[expect(dead_code)]
    links: Links<V::Message>,
    stats: Stats,
    overlay: V,
    me: Contact,
}

impl<V: Overlay> Node<V> {
    /// A node that has just started and knows nobody. Give it [`Input::Addresses`] and then [`Input::Wake`] to begin.
    ///
    /// `seed` decides all its randomness; two nodes of one network must not share one.
    pub fn new(id: NodeId, _config: Arc<Config>, _seed: u64, overlay: V) -> Self {
        let me =
            Contact { id, local: Vec::new(), outside: None, via: None, ambassador: false, quality: Default::default() };
        Node { hosts: KnownHosts::default(), links: Links::default(), stats: Stats::default(), overlay, me }
    }

    /// Takes one input; what follows from it goes to `sink`. Returns when the node wants [`Input::Wake`].
    pub fn handle(
        &mut self,
        _now: Time,
        _input: Input<V::Message, V::Command>,
        _sink: &mut Sink<V::Message, V::Outcome>,
    ) -> Deadline {
        Deadline::NEVER
    }

    /// This node, as others are told of it.
    pub fn me(&self) -> &Contact {
        &self.me
    }

    /// The active view.
    pub fn neighbours(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.hosts.neighbours()
    }

    /// Every known host, neighbours first.
    pub fn known_hosts(&self) -> impl Iterator<Item = &Contact> + '_ {
        self.hosts.contacts()
    }

    /// What it has counted, with gauges as of now.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        self.overlay.gauges(&mut stats);
        stats
    }

    /// The overlay.
    pub fn overlay(&self) -> &V {
        &self.overlay
    }
}
