//! Links to peers: which are up, which are being made, and what waits to be sent.
//!
//! A message to a peer without a link starts an [`attempt`] (made by `establish`): direct dials, an introduction, at last a relay.
//! Known hosts decide which peers to link to; this module only decides how.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::contact::Contact;
use crate::core::identity::NodeId;
use crate::core::io::{DialId, Output, Sink};
use crate::core::message::{Message, RendezvousMessage};
use crate::core::nat_report::PunchMethod;
use crate::core::path::{PathEstimate, PathMeasurement};
use crate::core::peer_map::PeerMap;
use crate::core::stats::Stats;
use crate::core::time::{Deadline, Time};

mod attempt;
mod contact_cache;
mod dial_budget;
mod establish;
mod own_addresses;
mod queries;
#[cfg(test)]
mod tests;
pub(in crate::core) mod work_budget;

use attempt::LinkAttempt;
use contact_cache::ContactCache;
use dial_budget::DialBudget;
pub use own_addresses::OwnAddresses;
pub(in crate::core) use own_addresses::is_ipv6_host;
use work_budget::WorkBudget;

/// Most links of an ordinary node.
pub const LINKS_MAX: usize = 256;
/// Most links of an ambassador, which keeps one to each peer that it introduces.
pub const LINKS_MAX_AMBASSADOR: usize = 4_096;
/// Most links being made at once.
pub const ATTEMPTS_MAX: usize = 128;
/// Most of them that others have begun.
const ANSWERING_MAX: usize = ATTEMPTS_MAX / 2;
/// A link of an ordinary node that nothing was sent or received over for so long is closed, unless it is wanted.
pub const UNUSED_AFTER: Duration = Duration::from_secs(60);
/// How often unused links are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(15);

/// Links and how to make them.
#[derive(Debug)]
pub struct Links<M> {
    up: PeerMap<Link>,
    attempts: BTreeMap<NodeId, LinkAttempt<M>>,
    dials: BTreeMap<DialId, NodeId>,
    book: ContactCache,
    budget: DialBudget,
    work: WorkBudget,
    /// Whose message is handled now: what it leads to is counted as its doing.
    speaker: Option<NodeId>,
    place: OwnAddresses,
    failed: Vec<NodeId>,
    closed: Vec<NodeId>,
    next_dial: u64,
    sweep_at: Time,
    links_max: usize,
    serving: bool,
    /// As `place` says: asked for after every input.
    behind_nat: bool,
    home: Option<NodeId>,
}

/// A link that is up.
#[derive(Debug)]
struct Link {
    /// Whether the peer has said who it is, over this link.
    greeted: bool,
    remote: Option<SocketAddr>,
    dialled: bool,
    introduced: bool,
    /// Whether the peer has dialled without an introduction, and without having been dialled from here.
    unsolicited: bool,
    /// What led from a relayed link to this one.
    method: Option<PunchMethod>,
    used: Time,
    /// When its budget of work is whole again.
    rested_at: Time,
    /// `None` until the transport has measured it.
    path: Option<PathEstimate>,
    contact: Option<Contact>,
    /// Apart, because most links have nothing of it, and a simulated node has many links.
    distant: Option<Box<RemoteLinkFacts>>,
}

/// What is of use for a link between networks.
#[derive(Clone, Copy, Debug, Default)]
struct RemoteLinkFacts {
    /// Own address as the peer saw it when the link came up.
    seen: Option<SocketAddr>,
    /// Where an ambassador that introduced it saw the peer.
    observed_ip: Option<IpAddr>,
    /// Who is asked to introduce it once more.
    asked: Option<NodeId>,
    /// When it was first wanted, until it runs without a relay.
    wanted: Option<Time>,
}

impl Link {
    fn is_ambassador(&self) -> bool {
        self.contact.as_ref().is_some_and(|contact| contact.ambassador)
    }

    fn distant(&self) -> RemoteLinkFacts {
        self.distant.as_deref().copied().unwrap_or_default()
    }

    fn distant_mut(&mut self) -> &mut RemoteLinkFacts {
        self.distant.get_or_insert_default()
    }
}

/// A link as the transport tells of it.
#[derive(Clone, Copy, Debug)]
pub struct LinkInfo {
    /// Who is at the other end.
    pub peer: NodeId,
    /// Its address as seen from here; `None` if relayed.
    pub remote: Option<SocketAddr>,
    /// Whether this side dialled.
    pub dialled: bool,
}

impl<M> Links<M> {
    /// A table without links, for an ambassador or an ordinary node.
    pub fn new(ambassador: bool) -> Self {
        Links {
            up: PeerMap::default(),
            attempts: BTreeMap::new(),
            dials: BTreeMap::new(),
            book: ContactCache::default(),
            budget: DialBudget::default(),
            work: WorkBudget::default(),
            speaker: None,
            place: OwnAddresses::default(),
            failed: Vec::new(),
            closed: Vec::new(),
            next_dial: 0,
            sweep_at: Time::ZERO,
            links_max: if ambassador { LINKS_MAX_AMBASSADOR } else { LINKS_MAX },
            serving: ambassador,
            behind_nat: false,
            home: None,
        }
    }

    /// Whether this node serves as an ambassador: then peers that have dialled it are to find it there.
    pub fn set_serving(&mut self, serving: bool) {
        self.serving = serving;
    }

    /// Tells the ambassador through which this node is met: who introduces it to others best.
    pub fn set_home(&mut self, home: Option<NodeId>) {
        self.home = home;
    }

    /// Tells where this node is.
    pub fn set_place(&mut self, place: OwnAddresses) {
        self.behind_nat = place.is_behind_nat();
        self.place = place;
    }

    /// Whether a NAT sits between this node and its ambassador.
    pub fn is_behind_nat(&self) -> bool {
        self.behind_nat
    }

    /// Where this node is.
    pub fn place(&self) -> &OwnAddresses {
        &self.place
    }

    /// Sends over the link to `peer`. Without one, an attempt to make it begins, and `known` is asked how to reach the peer.
    /// If that fails the message is lost and [`Links::take_failed`] tells.
    pub fn send<'k, O>(
        &mut self,
        now: Time,
        peer: NodeId,
        message: Message<M>,
        known: impl FnOnce() -> Option<&'k Contact>,
        stats: &mut Stats,
        sink: &mut Sink<M, O>,
    ) {
        if let Some(link) = self.up.get_mut(peer) {
            link.used = now;
            stats.messages_sent += 1;
            sink.send(peer, message);
            return;
        }
        if !self.attempts.contains_key(&peer) && !self.begin(now, peer, known(), stats, sink) {
            stats.messages_dropped += 1;
            self.fail(peer);
            return;
        }
        let attempt = self.attempts.get_mut(&peer).expect("an attempt is under way");
        if !attempt.wait_with(message) {
            stats.messages_dropped += 1;
        }
    }

    /// Begins to make a link to `peer`, with `known` as how to reach it, unless there is one. If there is no way to try,
    /// [`Links::take_failed`] tells.
    pub fn want<O>(
        &mut self,
        now: Time,
        peer: NodeId,
        known: Option<&Contact>,
        stats: &mut Stats,
        sink: &mut Sink<M, O>,
    ) {
        if let Some(attempt) = self.attempts.get_mut(&peer) {
            attempt.adopt();
        } else if !self.up.contains(peer) && !self.begin(now, peer, known, stats, sink) {
            self.fail(peer);
        }
    }

    /// Takes note of how a peer may be reached, as another peer reports it.
    pub fn learn(&mut self, contact: &Contact) {
        if contact.is_bounded() && !self.up.contains(contact.id) {
            self.book.note(contact, self.speaker);
        }
    }

    /// How a peer may be reached: its own word if it is linked, else hearsay.
    pub fn contact(&self, peer: NodeId) -> Option<&Contact> {
        self.up.get(peer).and_then(|link| link.contact.as_ref()).or_else(|| self.book.get(peer))
    }

    /// Whether a link is up.
    pub fn is_up(&self, peer: NodeId) -> bool {
        self.up.contains(peer)
    }

    /// Every linked peer, in a stable order.
    pub fn linked(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.up.peers()
    }

    /// The address of a linked peer as seen from here; `None` if it is relayed or not linked.
    pub fn remote(&self, peer: NodeId) -> Option<SocketAddr> {
        self.up.get(peer).and_then(|link| link.remote)
    }

    /// A link is up, or runs over another path now: says hello and sends what has waited. Whether it is a new one.
    pub fn link_up<O>(
        &mut self,
        now: Time,
        LinkInfo { peer, remote, dialled }: LinkInfo,
        me: &Contact,
        stats: &mut Stats,
        sink: &mut Sink<M, O>,
    ) -> bool {
        self.budget.note_link(peer, remote);
        let attempt = self.attempts.remove(&peer);
        self.dials.retain(|_, dialled| *dialled != peer);
        let known = self.up.remove(peer);
        let is_new = known.is_none();
        let known_rest = known.as_ref().map(|link| link.rested_at);
        let unsolicited = is_new && attempt.is_none() && !dialled;
        let greeted = known.as_ref().is_some_and(|link| link.greeted);
        // Both ends may have dialled, and the better of two connections takes over.
        let same_way = known.as_ref().is_some_and(|link| remote.is_some() && link.remote == remote);
        let method =
            known.as_ref().filter(|link| remote.is_some() && link.remote.is_some()).and_then(|link| link.method);
        let before = known.as_ref().map(Link::distant).unwrap_or_default();
        let observed_ip = attempt.as_ref().and_then(LinkAttempt::observed_ip).or(before.observed_ip);
        let introduced = attempt.as_ref().is_some_and(LinkAttempt::was_introduced)
            || known.as_ref().is_some_and(|link| link.introduced);
        let began = || attempt.as_ref().filter(|attempt| !attempt.is_answering()).map(LinkAttempt::began);
        let wanted = if is_new { began() } else { before.wanted };
        if let (true, Some(wanted)) = (is_new, wanted) {
            stats.link_seconds.record(now.since(wanted));
        }
        if let (Some(_), Some(wanted)) = (remote, wanted) {
            stats.link_direct_seconds.record(now.since(wanted));
        }
        let wanted = wanted.filter(|_| remote.is_none());
        // Until a better path that replaces it is measured.
        let path = known.as_ref().and_then(|link| link.path);
        let contact = known.and_then(|link| link.contact).or_else(|| self.book.take(peer));
        let seen = before.seen.filter(|_| same_way);
        let is_distant = seen.is_some() || observed_ip.is_some() || wanted.is_some();
        let distant = is_distant.then(|| RemoteLinkFacts { seen, observed_ip, asked: before.asked, wanted }.into());
        let rested_at = known_rest.unwrap_or_else(|| self.work.linked(peer));
        let link = Link {
            greeted,
            remote,
            dialled,
            introduced,
            unsolicited,
            method,
            used: now,
            rested_at,
            path,
            contact,
            distant,
        };
        self.up.insert(peer, link);
        let hello = RendezvousMessage::Hello { contact: me.clone(), seen: remote };
        let waiting = attempt.map(LinkAttempt::into_waiting).unwrap_or_default();
        for message in std::iter::once(Message::Rendezvous(hello)).chain(waiting) {
            stats.messages_sent += 1;
            sink.send(peer, message);
        }
        self.ask_awaited(now, peer, stats, sink);
        is_new
    }

    /// A link is gone. Whether it was there.
    pub fn link_down(&mut self, peer: NodeId) -> bool {
        let Some(Link { contact, used, rested_at, .. }) = self.up.remove(peer) else { return false };
        self.work.link_down(used, peer, rested_at);
        if let Some(contact) = contact {
            self.book.note(&contact, Some(peer));
        }
        true
    }

    /// A linked peer said who it is.
    pub fn greeted(&mut self, peer: NodeId, contact: Contact) {
        if let Some(link) = self.up.get_mut(peer) {
            (link.contact, link.greeted) = (Some(contact), true);
        }
    }

    /// A linked peer said how it sees this node; on one's own network that tells nothing.
    pub fn seen_as(&mut self, peer: NodeId, seen: Option<SocketAddr>) {
        if let Some(link) = self.up.get_mut(peer)
            && link.remote.is_some_and(|remote| !self.place.is_near(remote))
        {
            link.distant_mut().seen = seen;
        }
    }

    /// A message came over the link. Whether its price is within the budget of its sender, and of all.
    pub fn hears(&mut self, now: Time, peer: NodeId, price: u32) -> bool {
        let Some(link) = self.up.get_mut(peer) else { return false };
        link.used = now;
        if let Some(path) = &mut link.path {
            path.note_heard(now);
        }
        self.speaker = Some(peer);
        self.work.take(now, &mut link.rested_at, link.remote, price)
    }

    /// What follows is this node's own doing.
    pub fn own_doing(&mut self) {
        self.speaker = None;
    }

    /// The transport has measured the path of a link.
    pub fn path_measured(&mut self, now: Time, peer: NodeId, measured: &PathMeasurement) {
        if let Some(link) = self.up.get_mut(peer) {
            let heard = link.path.map_or(Time::ZERO, |path| path.heard());
            link.path = Some(PathEstimate::new(now, heard, measured));
        }
    }

    /// What is known of the path to a linked peer; `None` without a link.
    pub fn path_estimate(&self, peer: NodeId) -> Option<&PathEstimate> {
        self.up.get(peer)?.path.as_ref()
    }

    /// Gives a peer up: closes its link, ends its attempt, forgets how to reach it.
    pub fn abandon<O>(&mut self, peer: NodeId, sink: &mut Sink<M, O>) {
        self.attempts.remove(&peer);
        self.dials.retain(|_, dialled| *dialled != peer);
        self.book.take(peer);
        if let Some(Link { used, rested_at, .. }) = self.up.remove(peer) {
            self.work.link_down(used, peer, rested_at);
            self.close(peer, sink);
        }
    }

    fn close<O>(&mut self, peer: NodeId, sink: &mut Sink<M, O>) {
        self.closed.push(peer);
        sink.push(Output::Close { peer });
    }

    /// The next peer whose link this node has closed of its own accord, since the last call: no word of its end comes.
    pub fn take_closed(&mut self) -> Option<NodeId> {
        self.closed.pop()
    }

    /// The link to `peer` carries nothing any more: it is closed and another is made.
    pub fn replace_link<O>(&mut self, now: Time, peer: NodeId, stats: &mut Stats, sink: &mut Sink<M, O>) {
        if self.link_down(peer) {
            sink.push(Output::Close { peer });
            self.want(now, peer, None, stats, sink);
        }
    }

    /// The link to `peer` got rid of the relay by this.
    pub fn record_punch_method(&mut self, peer: NodeId, method: PunchMethod) {
        if let Some(link) = self.up.get_mut(peer) {
            (link.method, link.introduced) = (Some(method), true);
        }
    }

    /// Goes on with what is due: later stages of attempts, unused links. `wanted` are not closed.
    pub fn wake<O>(&mut self, now: Time, wanted: impl Fn(NodeId) -> bool, stats: &mut Stats, sink: &mut Sink<M, O>) {
        let due: Vec<NodeId> =
            self.attempts.iter().filter(|(_, attempt)| attempt.due() <= now).map(|(&peer, _)| peer).collect();
        for peer in due {
            let step = self.attempts.get_mut(&peer).expect("it was just there").wake(now);
            self.take_step(now, peer, step, stats, sink);
        }
        if now >= self.sweep_at {
            self.sweep(now, wanted, sink);
            self.sweep_at = now + SWEEP_EVERY;
        }
    }

    /// When [`Links::wake`] is due.
    pub fn deadline(&self) -> Deadline {
        let attempts = self.attempts.values().map(LinkAttempt::due).min().unwrap_or(Time::NEVER);
        let sweep = if self.up.is_empty() { Time::NEVER } else { self.sweep_at };
        Deadline { at: attempts, why: "a link attempt" }.or(Deadline { at: sweep, why: "unused links" })
    }

    /// The next peer to which no link could be made, since the last call.
    pub fn take_failed(&mut self) -> Option<NodeId> {
        self.failed.pop()
    }

    /// Whether [`Links::take_failed`] has one.
    pub fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    fn sweep<O>(&mut self, now: Time, wanted: impl Fn(NodeId) -> bool, sink: &mut Sink<M, O>) {
        let relayed = self.up.values().any(|link| link.remote.is_none());
        // What an ambassador is there for, and what may carry the packets of a relayed link, is in use though silent.
        let kept = |link: &Link| (self.serving && !link.dialled) || (relayed && link.is_ambassador());
        let idle = |link: &Link| now.since(link.used) >= UNUSED_AFTER && !kept(link);
        let excess = self.up.len().saturating_sub(self.links_max);
        let mut unwanted: Vec<(Time, NodeId)> =
            self.up.iter().filter(|&(peer, _)| !wanted(peer)).map(|(peer, link)| (link.used, peer)).collect();
        unwanted.sort_unstable();
        let unwanted = unwanted.into_iter().map(|(_, peer)| peer).enumerate();
        let closed = unwanted.filter(|&(position, peer)| position < excess || self.up.get(peer).is_some_and(idle));
        let closed: Vec<NodeId> = closed.map(|(_, peer)| peer).collect();
        for peer in closed {
            self.link_down(peer);
            self.close(peer, sink);
        }
    }
}
