//! How closely the simulator's model of QUIC follows QUIC itself: `harness bench fidelity`.
//!
//! Two nodes exchange a short request and a reply, one after the other, over links of a grid: latency, loss, rate, and length of
//! the reply. Both fidelities play the same exchanges, and what they take is compared.

use std::fmt;
use std::time::Duration;

use butter::core::blob::Blob;
use butter::core::identity::NodeId;
use butter::core::io::{DialId, DialTarget};
use butter::core::message::Message;
use butter::core::time::Time;
use butter::core::transport::TransportEvent;

use crate::net::link::LinkConfig;
use crate::plan::builder::PlanBuilder;
use crate::plan::{Fidelity, NODE_PORT, Plan};
use crate::sim::network::NodeSlot;
use crate::sim::transport::Transport;
use crate::statistics::quantile;

/// Largest error of the median that a calibrated model may have, as a share.
pub const MEDIAN_ERROR_MAX: f64 = 0.10;
/// Largest error of the 95th percentile, as a share.
pub const TAIL_ERROR_MAX: f64 = 0.20;

/// One-way latencies of the grid.
pub const LATENCIES: [Duration; 3] = [Duration::from_millis(5), Duration::from_millis(40), Duration::from_millis(150)];
/// Shares of lost packets, each way.
pub const LOSSES: [f64; 3] = [0.0, 0.01, 0.03];
/// Rates in bits per second, each way.
pub const RATES: [Option<u64>; 3] = [None, Some(10_000_000), Some(1_000_000)];
/// Lengths of replies, in bytes: one packet, several, and about the longest message.
pub const REPLIES: [usize; 3] = [100, 10_000, 60_000];

/// Length of a request, in bytes.
const REQUEST_BYTES: usize = 100;
/// Exchanges over one link before another is made: both the first windows of a link and those that have settled count.
const EXCHANGES_PER_LINK: usize = 50;
/// Pause between two exchanges. Its length varies, so that exchanges do not fall into step with timers.
const PAUSE: Duration = Duration::from_millis(150);
/// By how much the pause is longer from one exchange to the next, over [`PAUSE_STEPS`] exchanges.
const PAUSE_STEP: Duration = Duration::from_micros(7_300);
const PAUSE_STEPS: u32 = 16;
/// An exchange that takes longer counts as one of this length, and the link is made anew.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(60);
/// Time for a link to come up.
const LINK_WITHIN: Duration = Duration::from_secs(10);

/// The node that replies, on the internet.
const SERVER: NodeSlot = 0;
/// The node that asks, behind the link.
const CLIENT: NodeSlot = 1;

/// A link, and the length of the replies over it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FidelityCell {
    /// One-way delay of the link.
    pub latency: Duration,
    /// Share of packets that are lost, each way.
    pub loss: f64,
    /// Bits per second, each way; `None` is unbounded.
    pub rate_bps: Option<u64>,
    /// Length of a reply, in bytes.
    pub reply_bytes: usize,
}

/// Median and 95th percentile of what exchanges took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeTimes {
    /// Half of the exchanges took no longer.
    pub median: Duration,
    /// Of twenty exchanges, one took longer.
    pub tail: Duration,
}

/// One cell as both fidelities see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CellComparison {
    /// The link and the replies.
    pub cell: FidelityCell,
    /// With QUIC itself.
    pub packet: ExchangeTimes,
    /// With the model.
    pub message: ExchangeTimes,
}

/// All cells of a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct FidelityTable {
    /// Exchanges of each cell.
    pub exchanges: usize,
    /// In the order of the grid.
    pub cells: Vec<CellComparison>,
}

impl FidelityCell {
    /// Every cell of the grid that the model is calibrated on.
    pub fn grid() -> Vec<FidelityCell> {
        let mut cells = Vec::new();
        for latency in LATENCIES {
            for rate_bps in RATES {
                for loss in LOSSES {
                    cells.extend(REPLIES.map(|reply_bytes| FidelityCell { latency, loss, rate_bps, reply_bytes }));
                }
            }
        }
        cells
    }

    fn plan(&self, seed: u64, fidelity: Fidelity) -> Plan {
        let mut builder = PlanBuilder::new(seed);
        builder.ambassador();
        let &FidelityCell { latency, loss, rate_bps, .. } = self;
        let link = LinkConfig { latency, loss, rate_bps, ..LinkConfig::default() };
        let home = builder.network(PlanBuilder::INTERNET, None, link);
        builder.node(home);
        Plan { fidelity: fidelity.into(), ..builder.into_plan() }
    }

    fn times(&self, exchanges: usize, seed: u64, fidelity: Fidelity) -> ExchangeTimes {
        let mut took = Vec::with_capacity(exchanges);
        let mut link_seed = seed;
        while took.len() < exchanges {
            link_seed = link_seed.wrapping_add(1);
            let left = EXCHANGES_PER_LINK.min(exchanges - took.len());
            if let Some(mut pair) = ExchangingPair::link(&self.plan(link_seed, fidelity)) {
                pair.exchange(self.reply_bytes, left, &mut took);
            }
        }
        took.sort_unstable();
        let at = |share| quantile(&took, share).expect("there are exchanges");
        ExchangeTimes { median: at(0.5), tail: at(0.95) }
    }
}

impl CellComparison {
    /// Plays so many exchanges of a cell in both fidelities.
    pub fn measure(cell: FidelityCell, exchanges: usize, seed: u64) -> Self {
        let times = |fidelity| cell.times(exchanges.max(1), seed, fidelity);
        CellComparison { cell, packet: times(Fidelity::Packet), message: times(Fidelity::Message) }
    }

    /// By what shares the model errs, in the median and in the tail.
    pub fn errors(&self) -> [f64; 2] {
        let error = |model: Duration, real: Duration| model.as_secs_f64() / real.as_secs_f64() - 1.0;
        [error(self.message.median, self.packet.median), error(self.message.tail, self.packet.tail)]
    }

    /// Whether neither error is larger than allowed.
    pub fn is_close(&self) -> bool {
        let [median, tail] = self.errors();
        median.abs() <= MEDIAN_ERROR_MAX && tail.abs() <= TAIL_ERROR_MAX
    }
}

impl FidelityTable {
    /// Plays so many exchanges in each cell.
    pub fn measure(cells: Vec<FidelityCell>, exchanges: usize, seed: u64) -> Self {
        let cells = cells.into_iter().map(|cell| CellComparison::measure(cell, exchanges, seed)).collect();
        FidelityTable { exchanges, cells }
    }

    /// The cells in which the model errs by more than allowed.
    pub fn misses(&self) -> impl Iterator<Item = &CellComparison> {
        self.cells.iter().filter(|cell| !cell.is_close())
    }
}

/// Two nodes that are linked, and do nothing by themselves.
struct ExchangingPair {
    transport: Transport<()>,
    request: u64,
}

impl ExchangingPair {
    /// Links them; `None` if that fails, as on a lossy link it may.
    fn link(plan: &Plan) -> Option<Self> {
        let mut transport = Transport::new(plan);
        for slot in [SERVER, CLIENT] {
            transport.start(slot, id(slot));
        }
        let server = (plan.nodes[SERVER as usize].address, NODE_PORT).into();
        transport.dial(CLIENT, DialId(0), Some(id(SERVER)), DialTarget::Address(server));
        let until = transport.now() + LINK_WITHIN;
        let mut is_up = [false; 2];
        while let Some((slot, event)) = transport.next(until) {
            if let TransportEvent::LinkUp { .. } = event {
                is_up[slot as usize] = true;
            }
        }
        (is_up == [true; 2]).then_some(ExchangingPair { transport, request: 0 })
    }

    /// Exchanges so often, and notes what each took. Ends early if the link does.
    fn exchange(&mut self, reply_bytes: usize, times: usize, took: &mut Vec<Duration>) {
        for _ in 0..times {
            self.request += 1;
            let begun = self.transport.now();
            self.say(CLIENT, SERVER, REQUEST_BYTES);
            let Some(at) = self.reply(reply_bytes, begun + EXCHANGE_WITHIN) else {
                return took.push(EXCHANGE_WITHIN);
            };
            took.push(at.since(begun));
            let pause = PAUSE + PAUSE_STEP * (self.request as u32 % PAUSE_STEPS);
            let until = self.transport.now() + pause;
            while self.transport.next(until).is_some() {}
        }
    }

    /// Lets the server answer; when that has come.
    fn reply(&mut self, reply_bytes: usize, until: Time) -> Option<Time> {
        while let Some((slot, event)) = self.transport.next(until) {
            match event {
                TransportEvent::Message { message: Message::Ask { request, .. }, .. } if request == self.request => {
                    if slot == CLIENT {
                        return Some(self.transport.now());
                    }
                    self.say(SERVER, CLIENT, reply_bytes);
                }
                TransportEvent::LinkDown { .. } => return None,
                _ => {}
            }
        }
        None
    }

    fn say(&mut self, from: NodeSlot, to: NodeSlot, bytes: usize) {
        let body = Blob::from(vec![0; bytes]);
        let message = Message::Ask { request: self.request, route: String::new(), body };
        self.transport.send(from, id(to), message).expect("it fits a frame");
    }
}

fn id(slot: NodeSlot) -> NodeId {
    let mut id = [0; 32];
    id[7] = slot as u8 + 1;
    NodeId(id)
}

impl fmt::Display for FidelityTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} exchanges in each cell: a request of {REQUEST_BYTES} B and its reply, in ms", self.exchanges)?;
        writeln!(
            f,
            "  latency   loss       rate    reply        p50 packet  message   error        p95 packet  message   error"
        )?;
        self.cells.iter().try_for_each(|cell| writeln!(f, "{cell}"))?;
        let misses = self.misses().count();
        let [median, tail] = [MEDIAN_ERROR_MAX, TAIL_ERROR_MAX].map(|share| 100.0 * share);
        write!(
            f,
            "  within {median} % of p50 and {tail} % of p95: {} of {}",
            self.cells.len() - misses,
            self.cells.len()
        )
    }
}

impl fmt::Display for CellComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        let FidelityCell { latency, loss, rate_bps, reply_bytes } = self.cell;
        let rate = rate_bps.map_or("any".to_owned(), |bps| format!("{} Mbit/s", bps / 1_000_000));
        let (latency, loss) = (latency.as_millis(), 100.0 * loss);
        write!(f, "  {latency:>4} ms {loss:>4} % {rate:>10} {reply_bytes:>6} B  ")?;
        let [median, tail] = self.errors().map(|error| 100.0 * error);
        let (packet, message) = (self.packet, self.message);
        write!(f, "  {:>14.1} {:>8.1} {median:>+6.1} %", ms(packet.median), ms(message.median))?;
        write!(f, "  {:>14.1} {:>8.1} {tail:>+6.1} %", ms(packet.tail), ms(message.tail))?;
        if self.is_close() { Ok(()) } else { write!(f, "  off") }
    }
}
