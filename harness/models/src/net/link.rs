//! What a link does to a packet: delay, loss, copies, late arrivals, damage, and a rate with a bounded queue.
//!
//! - here: [`LinkConfig`], and the [`Link`] that decides on each packet.
//! - `delay`: latency, and jitter of several distributions, which stays the same for a while.
//! - `loss`: independent, or in bursts.
//! - `rate`: the queue before a rate.
//! - [`presets`]: links as people have them.
//!
//! All arithmetic that decides a packet's fate is on integers (floating point only turns a share into a threshold, by single
//! operations that IEEE 754 rounds alike everywhere), so that a seed gives the same run on every machine.

use std::time::Duration;

use butter::core::random::{Random, child};
use butter::core::time::Time;
use rand::Rng;
use serde::{Deserialize, Serialize};

mod delay;
mod loss;
pub mod presets;
mod rate;
#[cfg(test)]
mod tests;

use delay::Delay;
use loss::Loss;
use rate::Rate;

/// How a link behaves, in one direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkConfig {
    /// One-way delay, before jitter is added.
    #[serde(with = "crate::duration_text")]
    pub latency: Duration,
    /// Standard deviation of the delay; packets keep their order. What it is for a packet, it is for those that are sent within
    /// [`LinkConfig::coherence`] after it.
    #[serde(with = "crate::duration_text")]
    pub jitter: Duration,
    /// How the delay is spread around the latency.
    pub distribution: Distribution,
    /// Share of packets lost, 0..1.
    pub loss: f64,
    /// Mean number of packets lost in a row, at least [`burst_min`]; `None` where each is lost or not by itself.
    pub loss_burst: Option<f64>,
    /// Share of packets that arrive twice, 0..1.
    pub duplicate: f64,
    /// Share of packets that come late, by [`LinkConfig::reorder_gap`], and so behind some that were sent after them; 0..1.
    pub reorder: f64,
    /// How late those are.
    #[serde(with = "crate::duration_text")]
    pub reorder_gap: Duration,
    /// Share of packets with one flipped bit, 0..1.
    pub corrupt: f64,
    /// Bits per second; `None` is unbounded.
    pub rate_bps: Option<u64>,
    /// Longest queue before a rate, in bytes; what does not fit is dropped.
    pub queue_bytes: u64,
    /// Longest packet, in bytes with its IP header; `None` is as long as the networks on both sides take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<LinkMtu>,
}

/// The longest packet that a link takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkMtu {
    /// Its length in bytes, with its IP header.
    pub bytes: u16,
    /// Whether longer ones vanish without a word. Otherwise their senders are sent an ICMP error (RFC 1191, RFC 8201).
    pub is_black_hole: bool,
}

/// How delays are spread around their mean. All have the same standard deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Bell-shaped, up to six deviations: many small causes.
    #[default]
    Normal,
    /// All equally likely, up to √3 deviations.
    Uniform,
    /// Pareto's with shape 3: most come a little early, few very late. One in a thousand is ten deviations late.
    Pareto,
}

/// Queue before a rate where the file names none, in bytes.
pub const QUEUE_BYTES: u64 = 256 * 1024;
/// For how long jitter stays what it is, in its standard deviations.
///
/// If each packet had its own, declared delays would not be true of dense packets: these keep their order, so each would take as long
/// as the slowest of those right before it (at 4,000 packets per second, 40 ms with a deviation of 5 became 47.5 with 2.5). In real
/// networks the queues that make jitter fill and empty in time, too.
///
/// When jitter that lasts for T falls by d, the packets of the time d after that wait, d/2 on average: which adds d²/2T to the mean
/// delay. Two draws of deviation σ differ by 2σ² in the mean square, half of it by falling; so the mean delay is σ²/2T too long:
/// with T = 10σ, a twentieth of σ.
pub const COHERENCE_DEVIATIONS: u32 = 10;
/// How late a packet is that comes late, where the file does not say.
pub const REORDER_GAP: Duration = Duration::from_millis(10);

impl Default for LinkConfig {
    /// A perfect link.
    fn default() -> Self {
        LinkConfig {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            distribution: Distribution::Normal,
            loss: 0.0,
            loss_burst: None,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_gap: REORDER_GAP,
            corrupt: 0.0,
            rate_bps: None,
            queue_bytes: QUEUE_BYTES,
            mtu: None,
        }
    }
}

impl LinkConfig {
    /// The same, as long as it is out of order: no packet arrives.
    #[must_use]
    pub fn losing_all(&self) -> Self {
        LinkConfig { loss: 1.0, loss_burst: None, ..self.clone() }
    }

    /// Whether a packet's size or number matters to it: then several packets may not be sent as one.
    pub fn counts_packets(&self) -> bool {
        self.loss > 0.0 || self.rate_bps.is_some() || self.mtu.is_some() || self.alters()
    }

    /// Whether a link can be so: what [`Link::new`] demands.
    pub fn is_sound(&self) -> bool {
        let shares = [self.loss, self.duplicate, self.reorder, self.corrupt];
        let burst = self.loss_burst.is_none_or(|burst| self.loss < 1.0 && burst >= burst_min(self.loss));
        shares.iter().all(|share| (0.0..=1.0).contains(share)) && burst && self.rate_bps != Some(0)
    }

    /// How long jitter stays what it is: see [`COHERENCE_DEVIATIONS`].
    pub fn coherence(&self) -> Duration {
        self.jitter.saturating_mul(COHERENCE_DEVIATIONS)
    }

    /// Whether it does nothing but delay, each packet as long as any other.
    pub fn only_delays(&self) -> bool {
        self.jitter.is_zero() && !self.counts_packets()
    }

    /// Whether packets may arrive otherwise than once, in order and whole.
    fn alters(&self) -> bool {
        self.duplicate > 0.0 || self.reorder > 0.0 || self.corrupt > 0.0
    }
}

/// The least mean number of packets in a row that can make up such a share of losses: beyond a half, losses meet even if no
/// two packets that arrive do.
pub fn burst_min(loss: f64) -> f64 {
    (loss / (1.0 - loss)).max(1.0)
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transit {
    /// It arrives then, as it was sent.
    Arrives(Time),
    /// It arrives then, and something befell it.
    Altered(Time, Alteration),
    /// It is dropped, for this reason.
    Drop(LinkDrop),
}

/// What befell a packet that arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alteration {
    /// It arrives late, so that others overtake it.
    pub late: bool,
    /// A copy of it arrives right behind it.
    pub twice: bool,
    /// This bit of it, counted from its beginning, is flipped.
    pub flipped: Option<u32>,
}

/// Why a link drops a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinkDrop {
    /// Chosen at random, as the loss model says.
    Lost,
    /// The queue is full.
    QueueFull,
    /// The packet is longer than the link takes.
    TooBig,
}

/// A link with its queue and its luck.
#[derive(Debug)]
pub struct Link {
    delay: Delay,
    loss: Loss,
    rate: Option<Rate>,
    mtu: usize,
    alters: Option<Alters>,
    random: Random,
    /// Of the packets that are not late.
    last_arrival: Time,
}

/// What may befall a packet that arrives.
#[derive(Debug)]
struct Alters {
    duplicate: Chance,
    reorder: Chance,
    gap: Duration,
    corrupt: Chance,
}

/// A share, as the bound below which 53 random bits mean yes.
#[derive(Clone, Copy, Debug)]
struct Chance(u64);

impl Chance {
    /// # Panics
    /// If it is no share: a checked configuration has none but shares.
    fn new(share: f64) -> Self {
        assert!((0.0..=1.0).contains(&share), "a share is from 0 to 1");
        Chance((share * (1u64 << 53) as f64) as u64)
    }

    /// Draws; but not for what never happens.
    fn strikes(self, random: &mut Random) -> bool {
        self.0 > 0 && random.next_u64() >> 11 < self.0
    }
}

impl Link {
    /// An idle one.
    ///
    /// # Panics
    /// If the rate is zero, a share is none, or the burst is below [`burst_min`]: a checked configuration is right.
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        let mut random = child(seed, 0);
        Link {
            delay: Delay::new(&config),
            loss: Loss::new(&config, &mut random),
            rate: config.rate_bps.map(|bps| Rate::new(bps, config.queue_bytes)),
            mtu: config.mtu.map_or(usize::MAX, |mtu| mtu.bytes.into()),
            alters: config.alters().then(|| Alters::new(&config)),
            random,
            last_arrival: Time::ZERO,
        }
    }

    /// From now on it behaves so. It begins idle, like another link that takes its place: what is under way still arrives as
    /// decided, and may be overtaken.
    ///
    /// # Panics
    /// As [`Link::new`].
    pub fn change(&mut self, config: LinkConfig) {
        *self = Link::new(config, self.random.next_u64());
    }

    /// Sends a packet of so many bytes (with its IP header). The moments given never run backwards; nor do those of packets
    /// that arrive and are not late.
    pub fn send(&mut self, now: Time, bytes: usize) -> Transit {
        if bytes > self.mtu {
            return Transit::Drop(LinkDrop::TooBig);
        }
        let mut leaves_ns = now.as_micros().saturating_mul(1_000);
        if let Some(rate) = &mut self.rate {
            match rate.enqueue(leaves_ns, bytes) {
                Some(at) => leaves_ns = at,
                None => return Transit::Drop(LinkDrop::QueueFull),
            }
        }
        // What is lost is lost on the wire: it has taken its time of the rate.
        if self.loss.strikes(&mut self.random) {
            return Transit::Drop(LinkDrop::Lost);
        }
        let delay_ns = self.delay.of(leaves_ns, &mut self.random);
        let arrives = Time::from_micros(leaves_ns.saturating_add(delay_ns).div_ceil(1_000));
        self.last_arrival = self.last_arrival.max(arrives);
        match &self.alters {
            None => Transit::Arrives(self.last_arrival),
            Some(alters) => alters.draw(self.last_arrival, bytes, &mut self.random),
        }
    }
}

impl Alters {
    fn new(config: &LinkConfig) -> Self {
        Alters {
            duplicate: Chance::new(config.duplicate),
            reorder: Chance::new(config.reorder),
            gap: config.reorder_gap,
            corrupt: Chance::new(config.corrupt),
        }
    }

    fn draw(&self, at: Time, bytes: usize, random: &mut Random) -> Transit {
        let late = self.reorder.strikes(random);
        let twice = self.duplicate.strikes(random);
        let flipped = self.corrupt.strikes(random).then(|| below(random, bytes.saturating_mul(8)));
        let alteration = Alteration { late, twice, flipped };
        if alteration == Alteration::default() {
            return Transit::Arrives(at);
        }
        Transit::Altered(if late { at + self.gap } else { at }, alteration)
    }
}

/// A number below `end`, each about as likely.
fn below(random: &mut Random, end: usize) -> u32 {
    (((random.next_u64() >> 32) * end.min(u32::MAX as usize) as u64) >> 32) as u32
}
