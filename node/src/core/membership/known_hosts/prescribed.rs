//! Known hosts that are prescribed: the node has these neighbours and keeps them, whoever else it hears of.
//!
//! For simulations on a given graph. The views are as wide as the list, so no host moves another out. A host that is lost is
//! asked again with the next exchange of known hosts.

use super::KnownHosts;
use crate::core::contact::Contact;
use crate::core::identity::NodeId;

/// The only hosts that a node may know.
#[derive(Debug)]
pub(super) struct PrescribedHosts {
    /// In ascending order.
    ids: Vec<NodeId>,
    /// Those that were lost since the last exchange.
    absent: Vec<Contact>,
}

impl KnownHosts {
    /// Knows these hosts, which become neighbours as they can be reached, and never others. For a node that has just started.
    pub fn prescribe(&mut self, hosts: Vec<Contact>) {
        let mut ids: Vec<NodeId> = hosts.iter().map(|host| host.id).collect();
        ids.sort_unstable();
        (self.active_max, self.passive_max) = (hosts.len().max(1), hosts.len().max(1));
        self.active.clear();
        self.passive = hosts;
        self.prescribed = Some(PrescribedHosts { ids, absent: Vec::new() });
    }

    /// Whether this host may be known.
    pub(super) fn admits(&self, host: NodeId) -> bool {
        self.prescribed.as_ref().is_none_or(|prescribed| prescribed.ids.binary_search(&host).is_ok())
    }

    /// A host was lost.
    pub(super) fn put_aside(&mut self, host: Contact) {
        match &mut self.prescribed {
            None => self.former.add(host),
            Some(prescribed) if prescribed.absent.iter().all(|absent| absent.id != host.id) => {
                prescribed.absent.push(host);
            }
            Some(_) => {}
        }
    }

    /// A host that may have been lost is a neighbour.
    pub(super) fn is_back(&mut self, host: NodeId) {
        match &mut self.prescribed {
            None => self.former.back(host),
            Some(prescribed) => prescribed.absent.retain(|absent| absent.id != host),
        }
    }

    /// Prescribed hosts that were lost may be asked again.
    pub(super) fn recall_absent(&mut self) {
        let Some(prescribed) = &mut self.prescribed else { return };
        for host in std::mem::take(&mut prescribed.absent) {
            // It may have been heard of meanwhile.
            if self.get(host.id).is_none() {
                self.passive.push(host);
            }
        }
    }
}
