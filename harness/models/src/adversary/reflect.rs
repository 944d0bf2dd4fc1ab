//! Nodes that aim others at a third party.

use std::sync::Arc;

use butter::core::contact::{Contact, ContactAddresses, Quality};
use butter::core::identity::NodeId;
use butter::core::message::{MembershipMessage, Message};
use butter::overlay::data::DataMessage;

use super::{Act, Attack, made_up_node};

/// Newcomers that are made up at a time, for each peer.
const NEWCOMERS_AT_ONCE: usize = 4;

/// `reflect`: introduces newcomers that do not exist, all at the address of one honest peer.
#[derive(Debug, Default)]
pub struct ReflectDials {
    victim: Option<(NodeId, Arc<ContactAddresses>)>,
}

impl Attack for ReflectDials {
    fn hears(&mut self, act: &mut Act<'_>, from: NodeId, message: &mut Message<DataMessage>) -> bool {
        if let Message::Membership(message) = message
            && let Some(contact) = message.sender().filter(|contact| contact.id == from)
            && self.victim.is_none()
            && !act.allies.contains(&from)
        {
            self.victim = Some((from, Arc::clone(&contact.addresses)));
        }
        true
    }

    fn acts(&mut self, act: &mut Act<'_>) {
        let Some((victim, addresses)) = &self.victim else { return };
        for peer in act.linked.iter().copied().filter(|peer| peer != victim).collect::<Vec<_>>() {
            for _ in 0..NEWCOMERS_AT_ONCE {
                let id = made_up_node(act.random);
                let quality = Quality { uptime_s: 0, storage_free_kib: 0, hosts: 0 };
                let newcomer = Contact { id, addresses: Arc::clone(addresses), ambassador: false, quality };
                let join = MembershipMessage::ForwardJoin { newcomer, ttl: 0 };
                act.say_core(peer, Message::Membership(join));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use butter::core::random::child;

    use super::*;

    #[test]
    fn all_peers_but_the_victim_are_aimed_at_its_address() {
        let [victim, other] = [1, 2].map(|id| NodeId([id; 32]));
        let linked = BTreeSet::from([victim, other]);
        let (mut random, mut said) = (child(1, 0), Vec::new());
        let mut act = Act {
            me: NodeId([3; 32]),
            contact: None,
            allies: &[],
            linked: &linked,
            random: &mut random,
            said: &mut said,
        };
        let addresses = ContactAddresses { local: vec!["10.0.0.1:4001".parse().unwrap()], ..Default::default() };
        let quality = Quality { uptime_s: 0, storage_free_kib: 0, hosts: 0 };
        let contact = Contact { id: victim, addresses: Arc::new(addresses), ambassador: false, quality };
        let mut reflect = ReflectDials::default();
        reflect.acts(&mut act);
        assert!(act.said.is_empty());
        let mut join = Message::Membership(MembershipMessage::Join(contact.clone()));
        assert!(reflect.hears(&mut act, victim, &mut join));
        reflect.acts(&mut act);
        assert_eq!(act.said.len(), NEWCOMERS_AT_ONCE);
        for (to, message) in act.said.iter() {
            let Message::Membership(MembershipMessage::ForwardJoin { newcomer, .. }) = message else {
                panic!("{message:?}")
            };
            assert_eq!((*to, &newcomer.addresses), (other, &contact.addresses));
        }
    }
}
