//! Observing a router: a host inside and a host outside, with sockets that write to each other through it.
//!
//! What comes in is certain; that something does not come in is concluded only after something else has come in by the same way
//! that was sent later. So a slow machine changes how long the probe takes, not what it finds.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::UdpSocket;
use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::{ALIVE_AFTER, DeclaredRouter, EXPIRY_WATCHED, ObservedLink, ObservedNat, ObservedRouter, fits, lateness};
use crate::net::nat::{Dependence, NatConfig};
use crate::netns::Namespace;

/// How long anything that should come in may take: on the worst link that is probed ([`super::limits`]) one packet in twelve gets
/// through where the one before did not, so that 300 tries fail once in 10¹¹ times.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause before what did not come in is sent again.
const AGAIN: Duration = Duration::from_millis(50);
/// What may still be under way when what was sent after it has come in, beside what the link puts late.
const SETTLED: Duration = Duration::from_millis(20);
/// Copies of what may not come in: one at least passes a link that loses.
const COPIES: usize = 100;
/// How often that is looked at before it is found that what is declared to come in does not: on the worst link all copies are lost once in
/// 5,000 times, and so three times in a row once in 10¹¹.
const LOOKS: usize = 3;
/// Pause between what keeps a mapping from being idle: far below the shortest life ([`super::limits::LIFE_MIN`]).
const KEEP_PAUSE: Duration = Duration::from_millis(100);
/// Round trips, of which the shortest counts.
const ROUND_TRIPS: usize = 7;
/// Pause between their beginnings: twice what a packet takes of the slowest link ([`super::limits::RATE_MIN`]).
const ROUND_TRIP_PAUSE: Duration = Duration::from_millis(10);
/// Packets in each direction to count losses.
const SAMPLE: u32 = 200;
/// Packets that are sent at a time, and the pause between.
const BURST_LEN: usize = 20;
const BURST_PAUSE: Duration = Duration::from_millis(5);
/// Bits of those on the wire, and room for what else is sent meanwhile.
const BURST_BITS: u64 = BURST_LEN as u64 * 100 * 8;
/// How often delay and losses are measured before they are found to differ from what is declared, and the pause between, until which
/// jitter is another, too: a machine that is busy for a moment delays packets, and loses some.
const MEASURED_MAX: usize = 10;
const MEASURED_PAUSE: Duration = Duration::from_millis(200);
/// How long they are, at most: a link that hardly lets anything pass takes long to measure.
const MEASURED_FOR: Duration = Duration::from_secs(60);
/// Beyond the declared life of a mapping, until it has surely gone.
const EXPIRY_SLACK: Duration = Duration::from_secs(1);

/// Wants no answer.
const PLAIN: u8 = 0;
/// Wants to be answered with [`PLAIN`] and the same number.
const ECHO: u8 = 1;
/// One byte of the above, and a number.
const MESSAGE_LEN: usize = 9;
/// A message with its UDP and IP headers.
pub(super) const PACKET_LEN: u32 = 20 + 8 + MESSAGE_LEN as u32;

/// A host of the probe.
#[derive(Clone, Debug)]
pub(crate) struct ProbeHost {
    pub(crate) namespace: Namespace,
    /// [`ProbeHost::ADDRESSES`].
    pub(crate) addresses: Vec<Ipv4Addr>,
}

/// A message that came in.
#[derive(Clone, Copy, Debug)]
struct Received {
    from: SocketAddrV4,
    at: Instant,
}

/// A socket that notes what comes in.
#[derive(Debug)]
struct ProbeSocket {
    socket: Arc<UdpSocket>,
    address: SocketAddrV4,
    received: Arc<Inbox>,
    listening: AbortHandle,
}

#[derive(Debug, Default)]
struct Inbox {
    messages: Mutex<BTreeMap<u64, Received>>,
    news: Notify,
}

/// Numbers of messages.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

fn number() -> u64 {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// Mappings of one inside host that the probe needs at a time.
pub(crate) const MAPPINGS_MAX: u32 = 16;

impl ProbeHost {
    /// How many it has: to write from another host outside is to write from another address.
    pub(crate) const ADDRESSES: usize = 2;

    /// A new socket on one of the addresses.
    async fn probe_socket(&self, address: usize) -> anyhow::Result<ProbeSocket> {
        let address = self.addresses[address];
        let bind = move || {
            let socket = std::net::UdpSocket::bind((address, 0)).with_context(|| format!("binding to {address}"))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let socket = Arc::new(UdpSocket::from_std(self.namespace.run(bind).await?)?);
        let SocketAddr::V4(address) = socket.local_addr()? else { bail!("an IPv4 socket has another address") };
        let received = Arc::new(Inbox::default());
        let listening = tokio::spawn(listen(Arc::clone(&socket), Arc::clone(&received))).abort_handle();
        Ok(ProbeSocket { socket, address, received, listening })
    }
}

async fn listen(socket: Arc<UdpSocket>, inbox: Arc<Inbox>) {
    let mut buffer = [0; 64];
    loop {
        // An error is an ICMP message about something sent: noted by what does not come in.
        let Ok((length, SocketAddr::V4(from))) = socket.recv_from(&mut buffer).await else { continue };
        let Some((kind, number)) = read(&buffer[..length]) else { continue };
        if kind == ECHO {
            let _ = socket.send_to(&write(PLAIN, number), from).await;
        }
        let received = Received { from, at: Instant::now() };
        inbox.messages.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_insert(received);
        inbox.news.notify_waiters();
    }
}

fn write(kind: u8, number: u64) -> [u8; MESSAGE_LEN] {
    let mut message = [kind; MESSAGE_LEN];
    message[1..].copy_from_slice(&number.to_be_bytes());
    message
}

fn read(message: &[u8]) -> Option<(u8, u64)> {
    let (&kind, number) = message.split_first()?;
    Some((kind, u64::from_be_bytes(number.try_into().ok()?)))
}

impl ProbeSocket {
    async fn send(&self, to: SocketAddrV4, kind: u8, number: u64) -> anyhow::Result<()> {
        // Refused is what an ICMP message about an earlier one makes of the next.
        match self.socket.send_to(&write(kind, number), to).await {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionRefused => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn has(&self, number: u64) -> Option<Received> {
        self.received.messages.lock().unwrap_or_else(PoisonError::into_inner).get(&number).copied()
    }

    async fn hears(&self, number: u64, within: Duration) -> Option<Received> {
        let wait = async {
            loop {
                let news = self.received.news.notified();
                if let Some(received) = self.has(number) {
                    return received;
                }
                news.await;
            }
        };
        timeout(within, wait).await.ok()
    }

    /// Sends there now and then, so that the mapping which leads there is never idle.
    fn keep(&self, to: SocketAddrV4) -> Keeper {
        let (socket, number) = (Arc::clone(&self.socket), number());
        let keep = async move {
            loop {
                let _ = socket.send_to(&write(PLAIN, number), to).await;
                sleep(KEEP_PAUSE).await;
            }
        };
        Keeper(tokio::spawn(keep).abort_handle())
    }
}

impl Drop for ProbeSocket {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Keeps a mapping until it is dropped.
#[derive(Debug)]
#[must_use]
struct Keeper(AbortHandle);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends until it comes in: who it came from, as seen there.
async fn carry(from: &ProbeSocket, to: SocketAddrV4, at: &ProbeSocket) -> anyhow::Result<Option<SocketAddrV4>> {
    let (number, deadline) = (number(), Instant::now() + PATIENCE);
    while Instant::now() < deadline {
        from.send(to, PLAIN, number).await?;
        if let Some(received) = at.hears(number, AGAIN + AGAIN).await {
            return Ok(Some(received.from));
        }
    }
    Ok(None)
}

/// Observes the router of a network. Whoever has a permit of `measuring` is alone with as few others.
pub(crate) async fn observe(
    network: &str,
    declared: &DeclaredRouter,
    inside: &ProbeHost,
    outside: &ProbeHost,
    measuring: &Semaphore,
) -> anyhow::Result<ObservedRouter> {
    let observe = Field { declared, inside, outside };
    let nat = match &declared.nat {
        Some(nat) => Some(observe.nat(nat).await?),
        None => None,
    };
    let _permit = measuring.acquire().await?;
    let mut measured = observe.measure().await?;
    let deadline = Instant::now() + MEASURED_FOR;
    for _ in 1..MEASURED_MAX {
        if fits(declared, &measured).is_ok() || Instant::now() > deadline {
            break;
        }
        sleep(MEASURED_PAUSE.max(declared.up.coherence()).max(declared.down.coherence())).await;
        measured = measured.least(observe.measure().await?);
    }
    Ok(ObservedRouter { network: network.to_owned(), nat, measured })
}

struct Field<'a> {
    declared: &'a DeclaredRouter,
    inside: &'a ProbeHost,
    outside: &'a ProbeHost,
}

impl Field<'_> {
    /// Writes from inside to outside: the address seen there.
    async fn out(&self, near: &ProbeSocket, far: &ProbeSocket) -> anyhow::Result<SocketAddrV4> {
        carry(near, far.address, far).await?.context("nothing gets out")
    }

    async fn nat(&self, declared: &NatConfig) -> anyhow::Result<ObservedNat> {
        let idle = self.life(declared);
        let (mapping, filtering, hairpin, idle) =
            tokio::try_join!(self.mapping(), self.filtering(declared), self.hairpin(declared), idle)?;
        let (alive, expired) = idle;
        Ok(ObservedNat { mapping, filtering, hairpin, alive, expired })
    }

    /// One socket inside writes to three outside.
    async fn mapping(&self) -> anyhow::Result<Dependence> {
        let near = self.inside.probe_socket(0).await?;
        let (far, port, host) = (
            self.outside.probe_socket(0).await?,
            self.outside.probe_socket(0).await?,
            self.outside.probe_socket(1).await?,
        );
        let first = self.out(&near, &far).await?;
        let (to_port, to_host) = (self.out(&near, &port).await?, self.out(&near, &host).await?);
        Ok(match (to_port == first, to_host == first) {
            (true, true) => Dependence::EndpointIndependent,
            (true, false) => Dependence::AddressDependent,
            (false, _) => Dependence::AddressAndPortDependent,
        })
    }

    /// One socket inside writes to one outside, and others answer.
    async fn filtering(&self, declared: &NatConfig) -> anyhow::Result<Dependence> {
        let near = self.inside.probe_socket(0).await?;
        let (far, port, host) = (
            self.outside.probe_socket(0).await?,
            self.outside.probe_socket(0).await?,
            self.outside.probe_socket(1).await?,
        );
        let mapped = self.out(&near, &far).await?;
        let _kept = near.keep(far.address);
        let (from_port, from_host) = (number(), number());
        let mut seen = Dependence::AddressAndPortDependent;
        for _ in 0..LOOKS {
            self.copies(&[(&port, mapped, from_port), (&host, mapped, from_host)]).await?;
            self.fence(&far, mapped, &near).await?;
            seen = match (near.has(from_port), near.has(from_host)) {
                (_, Some(_)) => Dependence::EndpointIndependent,
                (Some(_), None) => Dependence::AddressDependent,
                (None, None) => Dependence::AddressAndPortDependent,
            };
            if seen == declared.filtering {
                break;
            }
        }
        Ok(seen)
    }

    /// Sends many copies of each message: its sender, its target and its number. Always two in a row, because a link may lose just
    /// every other packet.
    async fn copies(&self, messages: &[(&ProbeSocket, SocketAddrV4, u64)]) -> anyhow::Result<()> {
        for turn in 1..=COPIES / 2 {
            for (from, to, number) in messages {
                from.send(*to, PLAIN, *number).await?;
                from.send(*to, PLAIN, *number).await?;
            }
            if (2 * turn * messages.len()).is_multiple_of(BURST_LEN) {
                sleep(self.burst_pause()).await;
            }
        }
        Ok(())
    }

    /// Pause after so many packets as are sent at a time, so that no queue fills.
    fn burst_pause(&self) -> Duration {
        let rate = self.declared.up.rate_bps.into_iter().chain(self.declared.down.rate_bps).min();
        let takes = rate.map(|rate| Duration::from_secs(BURST_BITS) / rate.min(u32::MAX.into()) as u32);
        BURST_PAUSE.max(takes.unwrap_or_default())
    }

    /// Waits until what was sent inwards before has come in, if it ever does.
    async fn fence(&self, far: &ProbeSocket, mapped: SocketAddrV4, near: &ProbeSocket) -> anyhow::Result<()> {
        carry(far, mapped, near).await?.context("an answer to what was sent does not come in")?;
        sleep(SETTLED + lateness(&self.declared.down)).await;
        Ok(())
    }

    /// Two sockets inside write to each other's address outside.
    async fn hairpin(&self, declared: &NatConfig) -> anyhow::Result<Option<bool>> {
        if declared.mapping != Dependence::EndpointIndependent {
            return Ok(None);
        }
        let (one, other) = (self.inside.probe_socket(0).await?, self.inside.probe_socket(0).await?);
        let (far, numbers) = (self.outside.probe_socket(0).await?, (number(), number()));
        let first = self.out(&one, &far).await?;
        let _kept = (one.keep(far.address), other.keep(far.address));
        let mapped = (first, self.out(&other, &far).await?);
        self.copies(&[(&one, mapped.1, numbers.0), (&other, mapped.0, numbers.1)]).await?;
        // Outwards and inwards again, as far as a hairpinned packet can go.
        self.out(&one, &far).await?;
        self.fence(&far, mapped.0, &one).await?;
        Ok(Some(other.has(numbers.0).is_some() || one.has(numbers.1).is_some()))
    }

    /// Whether a mapping that is left idle lives, and dies in time.
    async fn life(&self, declared: &NatConfig) -> anyhow::Result<(bool, Option<bool>)> {
        let (near, far, control) = (
            self.inside.probe_socket(0).await?,
            self.outside.probe_socket(0).await?,
            self.inside.probe_socket(0).await?,
        );
        let posts = [&near, &far, &control];
        let idle = ALIVE_AFTER.min(declared.udp_timeout / 2);
        let mut mapped = self.out(&near, &far).await?;
        let mut alive = self.answered_after(idle, mapped, posts).await?;
        for _ in 1..LOOKS {
            if alive {
                break;
            }
            mapped = self.out(&near, &far).await?;
            alive = self.answered_after(idle, mapped, posts).await?;
        }
        if declared.udp_timeout > EXPIRY_WATCHED {
            return Ok((alive, None));
        }
        let beyond = declared.udp_timeout + EXPIRY_SLACK;
        Ok((alive, Some(!self.answered_after(beyond, mapped, posts).await?)))
    }

    /// Whether an answer comes in through a mapping that was idle for so long.
    async fn answered_after(
        &self,
        idle: Duration,
        mapped: SocketAddrV4,
        [near, far, control]: [&ProbeSocket; 3],
    ) -> anyhow::Result<bool> {
        sleep(idle).await;
        let answer = number();
        self.copies(&[(far, mapped, answer)]).await?;
        let way = self.out(control, far).await?;
        let _kept = control.keep(far.address);
        self.fence(far, way, control).await?;
        Ok(near.has(answer).is_some())
    }

    async fn measure(&self) -> anyhow::Result<ObservedLink> {
        let (near, far) = (self.inside.probe_socket(0).await?, self.outside.probe_socket(0).await?);
        let mapped = self.out(&near, &far).await?;
        let round_trip_s = self.round_trip(&near, &far).await?.as_secs_f64();
        let _kept = near.keep(far.address);
        let (loss_up, loss_down) = tokio::join!(self.loss(&near, far.address, &far), self.loss(&far, mapped, &near));
        Ok(ObservedLink { round_trip_s, sample: SAMPLE, loss_up: loss_up?, loss_down: loss_down? })
    }

    /// The shortest of some.
    async fn round_trip(&self, near: &ProbeSocket, far: &ProbeSocket) -> anyhow::Result<Duration> {
        let deadline = Instant::now() + PATIENCE;
        let mut sent: Vec<(u64, Instant)> = Vec::new();
        let mut trips: Vec<Duration> = Vec::new();
        while trips.len() < ROUND_TRIPS && Instant::now() < deadline {
            sent.push((number(), Instant::now()));
            near.send(far.address, ECHO, sent[sent.len() - 1].0).await?;
            sleep(ROUND_TRIP_PAUSE).await;
            sent.retain(|(number, at)| match near.has(*number) {
                Some(received) => {
                    trips.push(received.at - *at);
                    false
                }
                None => true,
            });
        }
        trips.into_iter().min().context("no round trip comes to its end")
    }

    /// The share of a sample that does not arrive.
    async fn loss(&self, from: &ProbeSocket, to: SocketAddrV4, at: &ProbeSocket) -> anyhow::Result<f64> {
        let numbers: Vec<u64> = (0..SAMPLE).map(|_| number()).collect();
        for burst in numbers.chunks(BURST_LEN) {
            for &number in burst {
                from.send(to, PLAIN, number).await?;
            }
            sleep(self.burst_pause()).await;
        }
        carry(from, to, at).await?.context("nothing passes any more")?;
        sleep(SETTLED + lateness(&self.declared.up).max(lateness(&self.declared.down))).await;
        let arrived = numbers.iter().filter(|number| at.has(**number).is_some()).count();
        Ok(1.0 - arrived as f64 / f64::from(SAMPLE))
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::{BURST_MAX, LOSS_END};
    use super::*;
    use crate::net::link::burst_min;

    /// How likely none of so many copies arrives, sent as those of so many messages, on a link that loses this share in bursts and
    /// damages that share of the others.
    fn none_arrives((loss, burst, corrupt): (f64, f64, f64), copies: usize, messages: usize) -> f64 {
        let (begin, end) = (loss / (burst * (1.0 - loss)), 1.0 / burst);
        let (mut good, mut bad) = (1.0 - loss, loss);
        for packet in 0..copies * messages {
            if (packet / 2).is_multiple_of(messages) {
                good *= corrupt;
            }
            (good, bad) = (good * (1.0 - begin) + bad * end, good * begin + bad * (1.0 - end));
        }
        good + bad
    }

    /// On the worst of all links that are probed.
    fn worst(copies: usize, messages: usize) -> f64 {
        let mut worst: f64 = 0.0;
        for loss in (0..80).map(|percent| f64::from(percent) / 100.0) {
            // With what is damaged, as many as may be.
            let corrupt = 1.0 - (1.0 - LOSS_END) / (1.0 - loss);
            let least = burst_min(loss);
            for burst in [least, f64::midpoint(least, BURST_MAX), BURST_MAX] {
                worst = worst.max(none_arrives((loss, burst, corrupt), copies, messages));
            }
        }
        worst
    }

    #[test]
    fn what_should_come_in_does() {
        let tries = (PATIENCE.as_millis() / (2 * AGAIN).as_millis()) as usize;
        assert!(worst(tries, 1) < 1e-11, "{}", worst(tries, 1));
        for messages in [1, 2] {
            let missed = worst(COPIES, messages);
            assert!(missed < 2e-4 && missed.powi(LOOKS as i32) < 1e-11, "{missed}");
        }
    }
}
