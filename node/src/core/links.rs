//! Links to peers: which are up, which are being made, and what waits to be sent.
//!
//! A message to a peer without a link starts an [`attempt`]: direct dials, an introduction, at last a relay.
//! Known hosts decide whom to be linked to; here is only how.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use smallvec::SmallVec;

use super::contact::{Contact, Via};
use super::crossing::Method;
use super::identity::NodeId;
use super::io::{DialId, Output, Path, Sink, Target};
use super::message::{Message, WiderMessage};
use super::stats::Stats;
use super::time::{Deadline, Time};

mod attempt;
mod book;
mod place;
#[cfg(test)]
mod tests;

use attempt::{Attempt, Step};
use book::Book;
pub use place::Place;
pub(super) use place::is_ipv6_host;

/// Most links of an ordinary node.
pub const LINKS_MAX: usize = 256;
/// Most links of an ambassador, which keeps one to each peer that it introduces.
pub const LINKS_MAX_AMBASSADOR: usize = 4_096;
/// Most links being made at once.
pub const ATTEMPTS_MAX: usize = 128;
/// A link of an ordinary node that nothing was sent or received over for so long is closed, unless it is wanted.
pub const UNUSED_AFTER: Duration = Duration::from_secs(60);
/// Most ambassadors that are asked how they see this node.
const OBSERVERS_MAX: usize = 3;
/// Hosts of other networks that must see this node at one address for it to be believed.
const OBSERVERS_AGREE: usize = 3;
/// How often unused links are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(15);

/// Links and how to make them.
#[derive(Debug)]
pub struct Links<M> {
    up: BTreeMap<NodeId, Link>,
    attempts: BTreeMap<NodeId, Attempt<M>>,
    dials: BTreeMap<DialId, NodeId>,
    book: Book,
    place: Place,
    failed: Vec<NodeId>,
    next_dial: u64,
    sweep_at: Time,
    links_max: usize,
    serving: bool,
    home: Option<NodeId>,
}

/// A link that is up.
#[derive(Debug)]
struct Link {
    /// Whether the peer has said who it is, over this link.
    greeted: bool,
    remote: Option<SocketAddr>,
    /// Own address as the peer saw it when the link came up.
    seen: Option<SocketAddr>,
    dialled: bool,
    introduced: bool,
    /// Whether the peer has dialled without an introduction, and without having been dialled from here.
    unasked: bool,
    /// What led from a relayed link to this one.
    method: Option<Method>,
    /// Where an ambassador that introduced it saw the peer.
    vouched: Option<IpAddr>,
    used: Time,
    /// When it was first wanted, until it runs without a relay.
    wanted: Option<Time>,
    contact: Option<Contact>,
}

/// A link as the transport tells of it.
#[derive(Clone, Copy, Debug)]
pub struct LinkIs {
    /// Who is at the other end.
    pub peer: NodeId,
    /// Its address as seen from here; `None` if relayed.
    pub remote: Option<SocketAddr>,
    /// Whether this side dialled.
    pub dialled: bool,
}

impl<M> Links<M> {
    /// None yet.
    pub fn new(ambassador: bool) -> Self {
        Links {
            up: BTreeMap::new(),
            attempts: BTreeMap::new(),
            dials: BTreeMap::new(),
            book: Book::default(),
            place: Place::default(),
            failed: Vec::new(),
            next_dial: 0,
            sweep_at: Time::ZERO,
            links_max: if ambassador { LINKS_MAX_AMBASSADOR } else { LINKS_MAX },
            serving: ambassador,
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
    pub fn set_place(&mut self, place: Place) {
        self.place = place;
    }

    /// Where this node is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Sends over the link to `peer`. Without one, an attempt to make it begins, with `known` as how to reach the peer.
    /// If that fails the message is lost and [`Links::take_failed`] tells.
    pub fn send<O>(
        &mut self,
        now: Time,
        peer: NodeId,
        message: Message<M>,
        known: Option<&Contact>,
        stats: &mut Stats,
        sink: &mut Sink<M, O>,
    ) {
        if let Some(link) = self.up.get_mut(&peer) {
            link.used = now;
            stats.messages_sent += 1;
            sink.send(peer, message);
            return;
        }
        if !self.attempts.contains_key(&peer) && !self.begin(now, peer, known, stats, sink) {
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
        } else if !self.up.contains_key(&peer) && !self.begin(now, peer, known, stats, sink) {
            self.fail(peer);
        }
    }

    /// Dials whoever is at `address`; the link that comes of it is told by its remote address.
    pub fn dial_anybody<O>(&mut self, address: SocketAddr, stats: &mut Stats, sink: &mut Sink<M, O>) -> DialId {
        stats.dials += 1;
        let dial = self.new_dial();
        sink.push(Output::Dial { dial, peer: None, to: Target::Address(address) });
        dial
    }

    /// Takes note of how a peer may be reached, as told by another.
    pub fn learn(&mut self, contact: &Contact) {
        if contact.is_bounded() && !self.up.contains_key(&contact.id) {
            self.book.note(contact);
        }
    }

    /// How a peer may be reached: its own word if it is linked, else hearsay.
    pub fn contact(&self, peer: NodeId) -> Option<&Contact> {
        self.up.get(&peer).and_then(|link| link.contact.as_ref()).or_else(|| self.book.get(peer))
    }

    /// Whether a link is up.
    pub fn is_up(&self, peer: NodeId) -> bool {
        self.up.contains_key(&peer)
    }

    /// Every linked peer, in a stable order.
    pub fn linked(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.up.keys().copied()
    }

    /// The address of a linked peer as seen from here; `None` if it is relayed or not linked.
    pub fn remote(&self, peer: NodeId) -> Option<SocketAddr> {
        self.up.get(&peer).and_then(|link| link.remote)
    }

    /// How the link to `peer` runs, if it is up.
    pub fn path(&self, peer: NodeId) -> Option<Path> {
        self.up.get(&peer).map(|link| self.path_of(link))
    }

    fn path_of(&self, link: &Link) -> Path {
        let contact = link.contact.as_ref();
        let peer_behind_nat = contact.is_some_and(|contact| contact.via.is_some());
        let mapped = if link.dialled { contact.and_then(|contact| contact.mapped) } else { self.place.mapped };
        match link.remote {
            None => Path::Relayed,
            Some(remote) if self.place.is_near(remote) && contact.is_none_or(|c| c.local.contains(&remote)) => {
                Path::Lan
            }
            Some(remote) if remote.is_ipv6() => Path::Direct,
            Some(_) if matches!(link.method, Some(Method::Predicted | Method::Birthday)) => Path::Predicted,
            Some(remote) if mapped.is_some() && (!link.dialled || mapped == Some(remote)) => Path::Mapped,
            Some(_) if link.introduced && peer_behind_nat && self.place.is_behind_nat() => Path::Punched,
            Some(_) => Path::Direct,
        }
    }

    /// The host of another network from which `peer`, who has said who it is, has dialled, if neither an introduction nor a dial
    /// from here can have opened a way for it.
    pub fn unasked_caller(&self, peer: NodeId) -> Option<IpAddr> {
        let link = self.up.get(&peer).filter(|link| link.unasked && link.greeted && self.path_of(link) != Path::Lan)?;
        link.remote.map(|remote| remote.ip())
    }

    /// Whether peers on enough hosts of other networks see this node at `ip`.
    pub fn agree_on(&self, ip: IpAddr) -> bool {
        let mut hosts: SmallVec<[IpAddr; OBSERVERS_AGREE]> = SmallVec::new();
        for link in self.up.values().filter(|link| link.seen.is_some_and(|seen| seen.ip() == ip)) {
            let host = link.remote.filter(|&remote| !self.place.is_near(remote)).map(|remote| remote.ip());
            hosts.extend(host.filter(|host| !hosts.contains(host)));
            if hosts.len() == OBSERVERS_AGREE {
                return true;
            }
        }
        false
    }

    /// A linked ambassador on another network through which `me` could be met: nodes that choose among the same choose different
    /// ones.
    pub fn shelter(&self, me: NodeId) -> Option<Via> {
        let candidates = self.up.iter().filter(|(_, link)| link.contact.as_ref().is_some_and(|c| c.ambassador));
        let vias = candidates.filter_map(|(&id, link)| Some(Via { id, address: link.remote? }));
        vias.filter(|via| !self.place.is_near(via.address)).min_by_key(|via| via.id.prefix() ^ me.prefix())
    }

    /// Linked ambassadors, in a stable order.
    pub fn ambassadors(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.up.iter().filter(|(_, link)| link.contact.as_ref().is_some_and(|c| c.ambassador)).map(|(&id, _)| id)
    }

    /// A link is up, or runs over another path now: says hello and sends what has waited. Whether it is a new one.
    pub fn link_up<O>(
        &mut self,
        now: Time,
        LinkIs { peer, remote, dialled }: LinkIs,
        me: &Contact,
        stats: &mut Stats,
        sink: &mut Sink<M, O>,
    ) -> bool {
        let attempt = self.attempts.remove(&peer);
        self.dials.retain(|_, dialled| *dialled != peer);
        let known = self.up.remove(&peer);
        let is_new = known.is_none();
        let unasked = is_new && attempt.is_none() && !dialled;
        let greeted = known.as_ref().is_some_and(|link| link.greeted);
        let vouched = attempt.as_ref().and_then(Attempt::vouched).or(known.as_ref().and_then(|link| link.vouched));
        let introduced =
            attempt.as_ref().is_some_and(Attempt::was_introduced) || known.as_ref().is_some_and(|link| link.introduced);
        let wanted = match &known {
            Some(link) => link.wanted,
            None => attempt.as_ref().filter(|attempt| !attempt.is_answering()).map(Attempt::began),
        };
        if let (true, Some(wanted)) = (is_new, wanted) {
            stats.link_seconds.record(now.since(wanted));
        }
        if let (Some(_), Some(wanted)) = (remote, wanted) {
            stats.link_direct_seconds.record(now.since(wanted));
        }
        let wanted = wanted.filter(|_| remote.is_none());
        let contact = known.and_then(|link| link.contact).or_else(|| self.book.take(peer));
        self.up.insert(
            peer,
            Link {
                greeted,
                remote,
                seen: None,
                dialled,
                introduced,
                unasked,
                method: None,
                vouched,
                used: now,
                wanted,
                contact,
            },
        );
        let hello = WiderMessage::Hello { contact: me.clone(), seen: remote };
        let waiting = attempt.map(Attempt::into_waiting).unwrap_or_default();
        for message in std::iter::once(Message::Wider(hello)).chain(waiting) {
            stats.messages_sent += 1;
            sink.send(peer, message);
        }
        self.ask_awaited(now, peer, stats, sink);
        is_new
    }

    /// A link to `ambassador` is up: whoever waits to be introduced by it asks now.
    fn ask_awaited<O>(&mut self, now: Time, ambassador: NodeId, stats: &mut Stats, sink: &mut Sink<M, O>) {
        for (&peer, attempt) in self.attempts.iter_mut().filter(|(_, attempt)| attempt.awaits(ambassador)) {
            attempt.asked(now);
            stats.messages_sent += 1;
            sink.send(ambassador, Message::Wider(WiderMessage::Introduce { peer }));
        }
    }

    /// A link is gone. Whether it was there.
    pub fn link_down(&mut self, peer: NodeId) -> bool {
        match self.up.remove(&peer) {
            Some(Link { contact: Some(contact), .. }) => self.book.note(&contact),
            Some(_) => {}
            None => return false,
        }
        true
    }

    /// A linked peer said who it is.
    pub fn greeted(&mut self, peer: NodeId, contact: Contact) {
        if let Some(link) = self.up.get_mut(&peer) {
            (link.contact, link.greeted) = (Some(contact), true);
        }
    }

    /// A linked peer said how it sees this node.
    pub fn seen_as(&mut self, peer: NodeId, seen: Option<SocketAddr>) {
        if let Some(link) = self.up.get_mut(&peer) {
            link.seen = seen;
        }
    }

    /// How a linked peer must still see this node, or the link is dead: QUIC takes a new address from a client, from a server
    /// it does not.
    pub fn must_be_seen_as(&self, peer: NodeId) -> Option<SocketAddr> {
        self.up.get(&peer).filter(|link| !link.dialled)?.seen
    }

    /// Whether a linked peer has said who it is.
    pub fn is_greeted(&self, peer: NodeId) -> bool {
        self.up.get(&peer).is_some_and(|link| link.greeted)
    }

    /// Something came over the link.
    pub fn used(&mut self, now: Time, peer: NodeId) {
        if let Some(link) = self.up.get_mut(&peer) {
            link.used = now;
        }
    }

    /// Gives a peer up: closes its link, ends its attempt, forgets how to reach it.
    pub fn abandon<O>(&mut self, peer: NodeId, sink: &mut Sink<M, O>) {
        self.attempts.remove(&peer);
        self.dials.retain(|_, dialled| *dialled != peer);
        self.book.take(peer);
        if self.up.remove(&peer).is_some() {
            sink.push(Output::Close { peer });
        }
    }

    /// An ambassador has introduced `contact` on behalf of one side or the other: dial it.
    pub fn introduced<O>(
        &mut self,
        now: Time,
        by: NodeId,
        contact: &Contact,
        stats: &mut Stats,
        sink: &mut Sink<M, O>,
    ) {
        let peer = contact.id;
        let vouched = contact.outside.or(contact.local.first().copied()).map(|address| address.ip());
        if let Some(link) = self.up.get_mut(&peer) {
            link.vouched = vouched;
        }
        if self.up.get(&peer).is_some_and(|link| link.remote.is_some()) {
            return;
        }
        self.learn(contact);
        if !self.attempts.contains_key(&peer) && self.attempts.len() >= ATTEMPTS_MAX {
            return;
        }
        let attempt = self.attempts.entry(peer).or_insert_with(|| Attempt::answering(now));
        let addresses = attempt.introduced(now, by, vouched, self.place.dialable(contact));
        self.dial_all(peer, addresses, stats, sink);
    }

    /// Has an ambassador tell both sides of a relayed link where it sees them now.
    pub fn introduce_again<O>(&mut self, peer: NodeId, stats: &mut Stats, sink: &mut Sink<M, O>) {
        if let Some(introducer) = self.introducer(self.contact(peer)) {
            stats.messages_sent += 1;
            sink.send(introducer, Message::Wider(WiderMessage::Introduce { peer }));
        }
    }

    /// The link to `peer` carries nothing any more: it is closed and another is made.
    pub fn relink<O>(&mut self, now: Time, peer: NodeId, stats: &mut Stats, sink: &mut Sink<M, O>) {
        if self.link_down(peer) {
            sink.push(Output::Close { peer });
            self.want(now, peer, None, stats, sink);
        }
    }

    /// Peers linked directly, but on other networks.
    pub fn distant(&self) -> Vec<NodeId> {
        let is_distant = |link: &Link| link.remote.is_some_and(|remote| !self.place.is_near(remote));
        self.up.iter().filter(|(_, link)| is_distant(link)).map(|(&peer, _)| peer).collect()
    }

    /// A way past the relay has been found for a linked peer: dial it there.
    pub fn cross<O>(&mut self, now: Time, peer: NodeId, to: Target, stats: &mut Stats, sink: &mut Sink<M, O>) {
        let relayed = self.up.get(&peer).is_some_and(|link| link.remote.is_none());
        if relayed && (self.attempts.contains_key(&peer) || self.attempts.len() < ATTEMPTS_MAX) {
            self.attempts.entry(peer).or_insert_with(|| Attempt::answering(now));
            self.dial(peer, to, stats, sink);
        }
    }

    /// The link to `peer` got rid of the relay by this.
    pub fn crossed(&mut self, peer: NodeId, method: Method) {
        if let Some(link) = self.up.get_mut(&peer) {
            (link.method, link.introduced) = (Some(method), true);
        }
    }

    /// A relayed link: whether this side dialled it, and where an ambassador saw the peer when it introduced it.
    pub fn relayed(&self, peer: NodeId) -> Option<(bool, Option<IpAddr>)> {
        let link = self.up.get(&peer).filter(|link| link.remote.is_none())?;
        Some((link.dialled, link.vouched))
    }

    /// Linked ambassadors on other networks, by the addresses that lead to them; each at another host.
    pub fn observers(&self) -> Vec<SocketAddr> {
        let ambassador = |link: &&Link| link.contact.as_ref().is_some_and(|contact| contact.ambassador);
        let remotes = self.up.values().filter(ambassador).filter_map(|link| link.remote);
        let mut observers: Vec<SocketAddr> = Vec::new();
        // What they see is of use only where a NAT may be between.
        for remote in remotes.filter(|&remote| remote.is_ipv4() && !self.place.is_near(remote)) {
            if observers.len() < OBSERVERS_MAX && observers.iter().all(|other| other.ip() != remote.ip()) {
                observers.push(remote);
            }
        }
        observers
    }

    /// An ambassador does not know a peer to whom it was asked to introduce this node.
    pub fn not_introduced<O>(&mut self, now: Time, peer: NodeId, stats: &mut Stats, sink: &mut Sink<M, O>) {
        if let Some(step) = self.attempts.get_mut(&peer).map(Attempt::not_introduced) {
            self.take_step(now, peer, step, stats, sink);
        }
    }

    /// A dial has failed. Whether it was one of an attempt's.
    pub fn dial_failed<O>(&mut self, now: Time, dial: DialId, stats: &mut Stats, sink: &mut Sink<M, O>) -> bool {
        stats.dials_failed += 1;
        let Some(peer) = self.dials.remove(&dial) else { return false };
        if let Some(attempt) = self.attempts.get_mut(&peer) {
            let step = attempt.dial_failed(now, dial);
            self.take_step(now, peer, step, stats, sink);
        }
        true
    }

    /// Goes on with what is due: later stages of attempts, links that nobody uses. `wanted` are not closed.
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
        let attempts = self.attempts.values().map(Attempt::due).min().unwrap_or(Time::NEVER);
        let sweep = if self.up.is_empty() { Time::NEVER } else { self.sweep_at };
        Deadline { at: attempts, why: "a link attempt" }.or(Deadline { at: sweep, why: "unused links" })
    }

    /// The next peer to whom no link could be made, since the last call.
    pub fn take_failed(&mut self) -> Option<NodeId> {
        self.failed.pop()
    }

    /// Whether [`Links::take_failed`] has one.
    pub fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Sets the gauges of links by path.
    pub fn gauges(&self, stats: &mut Stats) {
        for link in self.up.values() {
            *match self.path_of(link) {
                Path::Lan => &mut stats.links_lan,
                Path::Direct => &mut stats.links_direct,
                Path::Mapped => &mut stats.links_mapped,
                Path::Punched => &mut stats.links_punched,
                Path::Predicted => &mut stats.links_predicted,
                Path::Relayed => &mut stats.links_relayed,
            } += 1;
        }
    }

    /// Begins an attempt; `false` if there is no way to try.
    fn begin<O>(
        &mut self,
        now: Time,
        peer: NodeId,
        known: Option<&Contact>,
        stats: &mut Stats,
        sink: &mut Sink<M, O>,
    ) -> bool {
        if self.attempts.len() >= ATTEMPTS_MAX {
            return false;
        }
        let contact = self.book.get(peer).or(known);
        let addresses = contact.map(|contact| self.place.dialable(contact)).unwrap_or_default();
        // A NAT's outside address may be near as well: then what is behind it is not.
        let local = |address: &SocketAddr| contact.is_some_and(|contact| contact.local.contains(address));
        let near = addresses.first().is_some_and(|address| local(address) && self.place.is_near(*address));
        let needs_introduction = contact.is_none_or(|contact| contact.via.is_some()) && !near;
        // One heard of before it met its own ambassador has no address that means anything here.
        let introducer = if needs_introduction || addresses.is_empty() { self.introducer(contact) } else { None };
        // Its own ambassador is the last resort: there is no link to it yet.
        let via =
            contact.and_then(|contact| contact.via).filter(|via| needs_introduction && introducer != Some(via.id));
        if addresses.is_empty() && introducer.is_none() && via.is_none() {
            return false;
        }
        self.attempts.insert(peer, Attempt::new(now, introducer.is_some(), via));
        self.dial_all(peer, addresses, stats, sink);
        if let Some(introducer) = introducer {
            stats.messages_sent += 1;
            sink.send(introducer, Message::Wider(WiderMessage::Introduce { peer }));
        } else if via.is_some() {
            self.not_introduced(now, peer, stats, sink);
        }
        true
    }

    /// A linked ambassador for an introduction: the peer's own if possible, else this node's.
    fn introducer(&self, contact: Option<&Contact>) -> Option<NodeId> {
        let via = contact.and_then(|contact| contact.via).map(|via| via.id);
        let likely = [via, self.home].into_iter().flatten().find(|id| self.up.contains_key(id));
        likely.or_else(|| self.ambassadors().next())
    }

    fn dial_all<O>(&mut self, peer: NodeId, addresses: Vec<SocketAddr>, stats: &mut Stats, sink: &mut Sink<M, O>) {
        for address in addresses {
            self.dial(peer, Target::Address(address), stats, sink);
        }
    }

    fn dial<O>(&mut self, peer: NodeId, to: Target, stats: &mut Stats, sink: &mut Sink<M, O>) {
        let dial = self.new_dial();
        stats.dials += 1;
        self.dials.insert(dial, peer);
        self.attempts.get_mut(&peer).expect("dials belong to an attempt").dialled(dial);
        sink.push(Output::Dial { dial, peer: Some(peer), to });
    }

    fn new_dial(&mut self) -> DialId {
        self.next_dial += 1;
        DialId(self.next_dial)
    }

    fn take_step<O>(&mut self, now: Time, peer: NodeId, step: Step, stats: &mut Stats, sink: &mut Sink<M, O>) {
        match step {
            Step::Wait => {}
            Step::Relay(relay) if self.up.contains_key(&relay) => {
                self.dial(peer, Target::Relay { relay }, stats, sink);
            }
            Step::Relay(_) => {}
            Step::Reach(via) => self.reach(now, peer, via, stats, sink),
            Step::GiveUp => self.end_attempt(peer),
        }
    }

    fn end_attempt(&mut self, peer: NodeId) {
        self.dials.retain(|_, dialled| *dialled != peer);
        let Some(attempt) = self.attempts.remove(&peer) else { return };
        if !attempt.is_answering() && !self.up.contains_key(&peer) {
            self.book.take(peer);
            self.fail(peer);
        }
    }

    /// Makes a link to the ambassador of `peer`, to ask for an introduction; or asks, if there is one.
    fn reach<O>(&mut self, now: Time, peer: NodeId, via: Via, stats: &mut Stats, sink: &mut Sink<M, O>) {
        let Some(attempt) = self.attempts.get_mut(&peer) else { return };
        attempt.reaching(now, via.id);
        if self.up.contains_key(&via.id) {
            self.ask_awaited(now, via.id, stats, sink);
        } else if !self.attempts.contains_key(&via.id) {
            self.begin(now, via.id, Some(&Contact::public(via.id, via.address)), stats, sink);
        }
    }

    fn fail(&mut self, peer: NodeId) {
        if !self.failed.contains(&peer) {
            self.failed.push(peer);
        }
    }

    fn sweep<O>(&mut self, now: Time, wanted: impl Fn(NodeId) -> bool, sink: &mut Sink<M, O>) {
        let relayed = self.up.values().any(|link| link.remote.is_none());
        let is_ambassador = |link: &Link| link.contact.as_ref().is_some_and(|contact| contact.ambassador);
        // What an ambassador is there for, and what may carry the packets of a relayed link, is in use though silent.
        let kept = |link: &Link| (self.serving && !link.dialled) || (relayed && is_ambassador(link));
        let idle = |link: &Link| now.since(link.used) >= UNUSED_AFTER && !kept(link);
        let excess = self.up.len().saturating_sub(self.links_max);
        let mut unwanted: Vec<(Time, NodeId)> =
            self.up.iter().filter(|&(&peer, _)| !wanted(peer)).map(|(&peer, link)| (link.used, peer)).collect();
        unwanted.sort_unstable();
        let mut closed = Vec::new();
        for (position, (_, peer)) in unwanted.into_iter().enumerate() {
            if position < excess || idle(&self.up[&peer]) {
                closed.push(peer);
            }
        }
        for peer in closed {
            self.link_down(peer);
            sink.push(Output::Close { peer });
        }
    }
}
