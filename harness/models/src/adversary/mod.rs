//! Hostile nodes: an honest node whose messages are changed on their way in and out.
//!
//! An [`Adversary`] stands between a node and its network. It plays one or several behaviours, each an [`Attack`] in a file of its
//! own. It is pure, as the node is: what it does follows from a seed and from what it hears.
//!
//! | file | behaviours |
//! | --- | --- |
//! | [`withhold`] | `drop`, `wrong-bytes`, `mute`: accepts blocks and does not give them back |
//! | [`boast`] | `boast`: claims the best quality, and a network of its own |
//! | [`claim_inventory`] | `claim-all`: claims to hold every block |
//! | [`steal_views`] | `steal-views`, `invent-members`: claims groups for itself, and for its allies or members that it makes up |
//! | [`accuse`] | `accuse`: reports healthy peers as silent |
//! | [`poison`] | `poison`: groups with the greatest epoch |
//! | [`delay`] | `delay`: answers late |
//! | [`reflect`] | `reflect`: aims others at a third party |
//! | [`overload`] | `flood`, `fill`, `eclipse`: more than its share of searches, storage and neighbours |

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use butter::core::contact::Contact;
use butter::core::identity::NodeId;
use butter::core::interposer::Interposer;
use butter::core::io::{Input, Output, Sink};
use butter::core::message::Message;
use butter::core::random::{Random, child};
use butter::core::time::Time;
use butter::overlay::data::{DataCommand, DataMessage, DataOutcome};
use rand::Rng;
use serde::{Deserialize, Serialize};

pub mod accuse;
pub mod boast;
pub mod claim_inventory;
pub mod delay;
pub mod overload;
pub mod poison;
pub mod reflect;
pub mod steal_views;
pub mod withhold;

use steal_views::{OtherMembers, StealGroups};

/// Pause between two actions that a behaviour takes unasked.
const ACT_EVERY: Duration = Duration::from_millis(500);

/// A behaviour of hostile nodes, as a topology names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// Accepts blocks, keeps none, and answers every search with nothing.
    Drop,
    /// Claims the best quality, an empty store and a network of its own.
    Boast,
    /// Sends views of all groups that it hears of, with itself and its allies as members.
    StealViews,
    /// The same, with itself and members that do not exist.
    InventMembers,
    /// Reports every linked peer to every other as silent.
    Accuse,
    /// Answers searches with blocks of which a byte was changed.
    WrongBytes,
    /// Sends nothing to other overlays but heartbeats and answers to probes.
    Mute,
    /// Sends blocks and views with the greatest epoch that a message may hold.
    Poison,
    /// Sends searches with the greatest range for blocks that do not exist.
    Flood,
    /// Sends made-up blocks to be stored.
    Fill,
    /// Asks every peer to be its neighbour, with urgency.
    Eclipse,
    /// Sends every message of the overlay two seconds late.
    Delay,
    /// Introduces newcomers that do not exist, at the address of an honest peer.
    Reflect,
    /// Claims to hold every block, gives none, and names itself to whoever looks for one.
    ClaimAll,
}

impl Behaviour {
    /// All, with their names in a topology.
    pub const NAMES: [(&str, Behaviour); 14] = [
        ("drop", Behaviour::Drop),
        ("boast", Behaviour::Boast),
        ("steal-views", Behaviour::StealViews),
        ("invent-members", Behaviour::InventMembers),
        ("accuse", Behaviour::Accuse),
        ("wrong-bytes", Behaviour::WrongBytes),
        ("mute", Behaviour::Mute),
        ("poison", Behaviour::Poison),
        ("flood", Behaviour::Flood),
        ("fill", Behaviour::Fill),
        ("eclipse", Behaviour::Eclipse),
        ("delay", Behaviour::Delay),
        ("reflect", Behaviour::Reflect),
        ("claim-all", Behaviour::ClaimAll),
    ];

    /// Its name in a topology.
    pub fn name(self) -> &'static str {
        let named = Behaviour::NAMES.iter().find(|(_, behaviour)| *behaviour == self);
        named.expect("every behaviour is named").0
    }

    fn attack(self) -> Box<dyn Attack> {
        match self {
            Behaviour::Drop => Box::new(withhold::DropBlocks),
            Behaviour::Boast => Box::new(boast::BoastQuality),
            Behaviour::StealViews => Box::new(StealGroups::new(OtherMembers::Allies)),
            Behaviour::InventMembers => Box::new(StealGroups::new(OtherMembers::Invented)),
            Behaviour::Accuse => Box::new(accuse::AccusePeers),
            Behaviour::WrongBytes => Box::new(withhold::FalsifyBlocks),
            Behaviour::Mute => Box::new(withhold::Silence),
            Behaviour::Poison => Box::new(poison::PoisonEpochs::default()),
            Behaviour::Flood => Box::new(overload::FloodSearches),
            Behaviour::Fill => Box::new(overload::FillStores),
            Behaviour::Eclipse => Box::new(overload::CrowdNeighbours),
            Behaviour::Delay => Box::new(delay::DelayMessages::default()),
            Behaviour::Reflect => Box::new(reflect::ReflectDials::default()),
            Behaviour::ClaimAll => Box::new(claim_inventory::ClaimInventory::default()),
        }
    }
}

/// One behaviour of a hostile node.
pub trait Attack: Debug + Send {
    /// Looks at a message before the node does. Returns whether the node sees it.
    fn hears(&mut self, act: &mut Act<'_>, from: NodeId, message: &mut Message<DataMessage>) -> bool {
        _ = (act, from, message);
        true
    }
    /// Changes a message that the node sends. Returns whether it goes out.
    fn says(&mut self, act: &mut Act<'_>, to: NodeId, message: &mut Message<DataMessage>) -> bool {
        _ = (act, to, message);
        true
    }
    /// Acts unasked, twice a second.
    fn acts(&mut self, act: &mut Act<'_>) {
        _ = act;
    }
}

/// What a behaviour knows, and what it says.
#[derive(Debug)]
pub struct Act<'a> {
    /// Id of the hostile node.
    pub me: NodeId,
    /// The contact that the node last sent of itself.
    pub contact: Option<&'a Contact>,
    /// Ids of the other hostile nodes.
    pub allies: &'a [NodeId],
    /// Peers with a link.
    pub linked: &'a BTreeSet<NodeId>,
    /// Seeded random numbers.
    pub random: &'a mut Random,
    said: &'a mut Vec<(NodeId, Message<DataMessage>)>,
}

impl Act<'_> {
    /// Sends a message of the overlay to a linked peer.
    pub fn say(&mut self, to: NodeId, message: DataMessage) {
        self.say_core(to, Message::Overlay(message));
    }

    /// Sends any message to a linked peer.
    pub fn say_core(&mut self, to: NodeId, message: Message<DataMessage>) {
        if self.linked.contains(&to) {
            self.said.push((to, message));
        }
    }
}

/// The id of a node that does not exist.
fn made_up_node(random: &mut Random) -> NodeId {
    let mut id = NodeId([0; 32]);
    random.fill_bytes(&mut id.0);
    id
}

/// A hostile node's behaviours, and what they share.
#[derive(Debug)]
pub struct Adversary {
    me: NodeId,
    contact: Option<Contact>,
    allies: Vec<NodeId>,
    attacks: Vec<Box<dyn Attack>>,
    linked: BTreeSet<NodeId>,
    random: Random,
    said: Vec<(NodeId, Message<DataMessage>)>,
    next: Time,
}

impl Adversary {
    /// The node `me` with these behaviours. `allies` are all hostile nodes, itself perhaps included.
    pub fn new(me: NodeId, behaviours: &[Behaviour], allies: &[NodeId], seed: u64) -> Self {
        Adversary {
            me,
            contact: None,
            allies: allies.iter().copied().filter(|&ally| ally != me).collect(),
            attacks: behaviours.iter().map(|behaviour| behaviour.attack()).collect(),
            linked: BTreeSet::new(),
            random: child(seed, 0),
            said: Vec::new(),
            next: Time::ZERO,
        }
    }

    /// Has every behaviour do something; whether all of them say yes.
    fn each(&mut self, mut ask: impl FnMut(&mut dyn Attack, &mut Act<'_>) -> bool) -> bool {
        let Adversary { me, contact, allies, attacks, linked, random, said, .. } = self;
        let mut act = Act { me: *me, contact: contact.as_ref(), allies, linked, random, said };
        let mut all = true;
        for attack in attacks {
            all &= ask(attack.as_mut(), &mut act);
        }
        all
    }
}

impl Interposer<DataMessage, DataCommand, DataOutcome> for Adversary {
    fn receive(&mut self, _: Time, input: &mut Input<DataMessage, DataCommand>) -> bool {
        match input {
            Input::LinkUp { peer, .. } => {
                self.linked.insert(*peer);
                true
            }
            Input::LinkDown { peer } => {
                self.linked.remove(peer);
                true
            }
            Input::Message { from, message } => {
                let from = *from;
                self.each(|attack, act| attack.hears(act, from, message))
            }
            _ => true,
        }
    }

    fn emit(&mut self, now: Time, sink: &mut Sink<DataMessage, DataOutcome>) {
        let outputs = std::mem::take(&mut sink.0);
        for mut output in outputs {
            let goes_out = match &mut output {
                Output::Send { to, message } => {
                    if let Message::Membership(membership) = message
                        && let Some(contact) = membership.sender()
                    {
                        self.contact = Some(contact.clone());
                    }
                    let to = *to;
                    self.each(|attack, act| attack.says(act, to, message))
                }
                _ => true,
            };
            if goes_out {
                sink.push(output);
            }
        }
        if now >= self.next {
            self.next = now + ACT_EVERY;
            self.each(|attack, act| {
                attack.acts(act);
                true
            });
        }
        self.said.drain(..).for_each(|(to, message)| sink.send(to, message));
    }

    fn due(&self) -> Time {
        self.next
    }
}
