//! Captures what a host sends and receives: a process of its own, which `harness capture` starts in the network of the host.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `pcapng` | the file format, with the secrets that open QUIC |
//! | `sniffer` | a packet socket on all interfaces of a namespace |
//! | `key_files` | the secrets that nodes write down, as they come |
//!
//! A packet is held back for a moment, so that the secrets which open it stand before it in the file: readers go through it once.

mod key_files;
mod pcapng;
mod sniffer;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use serde::{Deserialize, Serialize};

use crate::sim::transport::PacketTap;
use key_files::KeyFiles;
use pcapng::PcapngWriter;
use sniffer::{Sniffed, Sniffer};

/// The hidden command.
pub(crate) const COMMAND: &str = "capturer";
/// How long a packet is held back.
const HELD_FOR: Duration = Duration::from_millis(300);
/// Bytes of packets that are held back.
const HELD_MAX: usize = 16 << 20;
/// Pause between looks at the secrets.
const LOOK_EVERY_MS: u16 = 50;

/// What is captured, and how it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CaptureOrder {
    /// Files of secrets.
    pub(crate) keys: Vec<PathBuf>,
    /// A line for each packet in place of the file format.
    pub(crate) text: bool,
    /// Packets after which it ends.
    pub(crate) count: Option<u64>,
    /// Time after which it ends, in milliseconds.
    pub(crate) time_ms: Option<u64>,
}

/// Writes what was heard of a simulated node. Its clock begins in 1970, and what takes the place of TLS there has no secrets.
pub(crate) fn write_simulated(path: &Path, tap: &PacketTap) -> io::Result<()> {
    /// Link-layer addresses: the simulator has none.
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    /// As hosts begin with.
    const TTL: u8 = 64;
    let mut file = PcapngWriter::new(BufWriter::new(File::create(path)?))?;
    for datagram in &tap.datagrams {
        let (from, to) = (datagram.source, datagram.destination);
        let headers = PacketBuilder::ethernet2(MAC, MAC).ipv4(from.ip().octets(), to.ip().octets(), TTL);
        let headers = headers.udp(from.port(), to.port());
        let mut frame = Vec::with_capacity(headers.size(datagram.data.len()));
        headers.write(&mut frame, &datagram.data).map_err(io::Error::other)?;
        let (time_ns, interface) = (datagram.at.as_micros() * 1_000, "eth0".to_owned());
        file.packet(&Sniffed { time_ns, interface, outgoing: datagram.outgoing, frame })?;
    }
    file.flush()?;
    if tap.left_out > 0 {
        butter_cli::output::message(&format!("{}: {} datagrams were left out", path.display(), tap.left_out));
    }
    Ok(())
}

/// The process that captures. Its output is standard output.
pub(crate) fn main(order: &str) -> anyhow::Result<()> {
    let order: CaptureOrder = serde_json::from_str(order).context("the order of a capture")?;
    let signals = end_signals().context("waiting for signals")?;
    let mut sniffer = Sniffer::open()?;
    let mut capture = Capture::new(order)?;
    let written = capture.run(&mut sniffer, &signals);
    let dropped = sniffer.dropped().unwrap_or(0);
    let lost = if dropped > 0 { format!("; the kernel has dropped {dropped}") } else { String::new() };
    butter_cli::output::message(&format!("captured {} packets{lost}", capture.packets));
    match written {
        // Whoever read has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("writing what was captured"),
    }
}

/// Signals that end a capture, which is then written to its end.
fn end_signals() -> nix::Result<SignalFd> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    signals.thread_block()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

/// Where packets go.
enum Output {
    Pcapng(PcapngWriter<BufWriter<StdoutLock<'static>>>),
    Text(BufWriter<StdoutLock<'static>>),
}

struct Capture {
    output: Output,
    keys: KeyFiles,
    held: VecDeque<(Instant, Sniffed)>,
    held_bytes: usize,
    count: Option<u64>,
    ends: Option<Instant>,
    /// Written so far.
    packets: u64,
}

impl Capture {
    fn new(order: CaptureOrder) -> anyhow::Result<Self> {
        let to = BufWriter::new(io::stdout().lock());
        let output = match order.text {
            true => Output::Text(to),
            false => Output::Pcapng(PcapngWriter::new(to).context("writing what is captured")?),
        };
        let ends = order.time_ms.map(|time| Instant::now() + Duration::from_millis(time));
        let (keys, held) = (KeyFiles::new(order.keys), VecDeque::new());
        Ok(Capture { output, keys, held, held_bytes: 0, count: order.count, ends, packets: 0 })
    }

    fn run(&mut self, sniffer: &mut Sniffer, signals: &SignalFd) -> io::Result<()> {
        // Readers of a pipe see at once that it has begun.
        self.write_secrets()?;
        self.flush()?;
        loop {
            let mut ready =
                [PollFd::new(sniffer.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            poll(&mut ready, PollTimeout::from(LOOK_EVERY_MS))?;
            let now = Instant::now();
            while let Some(packets) = sniffer.next()? {
                for packet in packets {
                    self.held_bytes += packet.frame.len();
                    self.held.push_back((now, packet));
                }
                if self.held_bytes > HELD_MAX {
                    break;
                }
            }
            let is_over = matches!(signals.read_signal(), Ok(Some(_))) || self.ends.is_some_and(|ends| now >= ends);
            if is_over {
                // Secrets of what was captured last may still come.
                std::thread::sleep(HELD_FOR);
            }
            self.write_secrets()?;
            let enough = self.release(now, is_over)?;
            self.flush()?;
            if is_over || enough {
                return Ok(());
            }
        }
    }

    fn write_secrets(&mut self) -> io::Result<()> {
        let secrets = self.keys.news();
        match &mut self.output {
            Output::Pcapng(file) if !secrets.is_empty() => file.secrets(&secrets),
            _ => Ok(()),
        }
    }

    /// Writes packets that were held long enough, or `all`. Whether that is as many as were wanted.
    fn release(&mut self, now: Instant, all: bool) -> io::Result<bool> {
        while self.count.is_none_or(|count| self.packets < count) {
            let due = |since: Instant| all || self.held_bytes > HELD_MAX || now.duration_since(since) >= HELD_FOR;
            let Some((_, packet)) = self.held.pop_front_if(|(since, _)| due(*since)) else { return Ok(false) };
            self.held_bytes -= packet.frame.len();
            self.packets += 1;
            match &mut self.output {
                Output::Pcapng(file) => file.packet(&packet)?,
                Output::Text(to) => writeln!(to, "{}", line(&packet))?,
            }
        }
        Ok(true)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.output {
            Output::Pcapng(file) => file.flush(),
            Output::Text(to) => to.flush(),
        }
    }
}

/// `1764500000.123456 eth0 > 10.1.0.10:4001 10.1.0.11:4001 udp 1252`
fn line(packet: &Sniffed) -> String {
    let (seconds, micros) = (packet.time_ns / 1_000_000_000, packet.time_ns / 1_000 % 1_000_000);
    let way = if packet.outgoing { '>' } else { '<' };
    format!("{seconds}.{micros:06} {} {way} {}", packet.interface, content(&packet.frame))
}

fn content(frame: &[u8]) -> String {
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else { return format!("malformed {}", frame.len()) };
    let (source, destination) = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => (ip.header().source_addr().to_string(), ip.header().destination_addr().to_string()),
        Some(NetSlice::Ipv6(ip)) => {
            (format!("[{}]", ip.header().source_addr()), format!("[{}]", ip.header().destination_addr()))
        }
        Some(NetSlice::Arp(_)) => return format!("arp {}", frame.len()),
        None => return format!("ethernet {}", frame.len()),
    };
    match &packet.transport {
        Some(TransportSlice::Udp(udp)) => format!(
            "{source}:{} {destination}:{} udp {}",
            udp.source_port(),
            udp.destination_port(),
            udp.payload().len()
        ),
        Some(TransportSlice::Tcp(tcp)) => format!(
            "{source}:{} {destination}:{} tcp {}",
            tcp.source_port(),
            tcp.destination_port(),
            tcp.payload().len()
        ),
        Some(TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_)) => {
            format!("{source} {destination} icmp {}", frame.len())
        }
        _ => format!("{source} {destination} ip {}", frame.len()),
    }
}
