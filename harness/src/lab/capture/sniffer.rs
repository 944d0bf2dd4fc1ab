//! A packet socket on all interfaces of this namespace but the loopback (packet(7)).

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use anyhow::Context;
use nix::net::if_::if_indextoname;
use nix::sys::socket::{ControlMessageOwned, LinkAddr, MsgFlags, getsockopt, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};
use socket2::{Domain, Socket, Type};

use crate::net::packet::ipv6::Packet6;
use crate::net::packet::segments::{Segments, cut, cut6};
use crate::net::packet::{self, Packet};
use crate::router::frame::{ETHERNET_LEN, TYPE_IPV6};
use crate::router::offload::{OFFLOAD_LEN, Offload};

/// A frame of the longest packet, with what is left to do with it.
const RECEIVE_LEN: usize = OFFLOAD_LEN + 65_536 + 64;
/// Bytes of frames that the kernel holds.
const RECEIVE_BUFFER: usize = 8 << 20;
const LOOPBACK: &str = "lo";

sockopt_impl!(
    /// A `virtio_net_hdr` before each frame.
    VnetHeader, SetOnly, libc::SOL_PACKET, libc::PACKET_VNET_HDR, bool);
sockopt_impl!(
    /// What was dropped since they were last read.
    Statistics, GetOnly, libc::SOL_PACKET, libc::PACKET_STATISTICS, libc::tpacket_stats);

/// A packet as it is on a wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sniffed {
    /// Nanoseconds since 1970.
    pub(super) time_ns: u64,
    /// Name of the interface.
    pub(super) interface: String,
    /// Whether the host sends it.
    pub(super) outgoing: bool,
    pub(super) frame: Vec<u8>,
}

/// The socket.
#[derive(Debug)]
pub(super) struct Sniffer {
    socket: Socket,
    /// Room for one frame.
    buffer: Vec<u8>,
    /// Names of interfaces by their numbers, which are not given twice.
    interfaces: BTreeMap<usize, String>,
}

impl Sniffer {
    /// Captures from now on.
    pub(super) fn open() -> anyhow::Result<Self> {
        // Without a protocol nothing comes before the socket is set up.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None).context("cannot open a packet socket (NET_RAW?)")?;
        setsockopt(&socket, VnetHeader, &true).context("no PACKET_VNET_HDR")?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true).context("no time of packets")?;
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&crate::router::socket::link_address(0)).context("listening to all interfaces")?;
        Ok(Sniffer { socket, buffer: vec![0; RECEIVE_LEN], interfaces: BTreeMap::new() })
    }

    /// The packets of the next frame, which a host may have left whole; none of the loopback. `None` when no frame waits.
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<Sniffed>>> {
        let mut control = nix::cmsg_space!(TimeSpec);
        let mut parts = [IoSliceMut::new(&mut self.buffer)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        let received = match recvmsg::<LinkAddr>(self.socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
            Ok(received) => received,
            Err(nix::Error::EAGAIN) => return Ok(None),
            // An offload that has no place in the header, an interface that has gone down, or a signal.
            Err(nix::Error::EINVAL | nix::Error::ENETDOWN | nix::Error::EINTR) => return Ok(Some(Vec::new())),
            Err(error) => return Err(error.into()),
        };
        let time_ns = received.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(time) => {
                Some(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
            }
            _ => None,
        });
        let (length, link) = (received.bytes.min(RECEIVE_LEN), received.address);
        let Some(link) = link else { return Ok(Some(Vec::new())) };
        let Some(interface) = self.interface(link.ifindex()) else { return Ok(Some(Vec::new())) };
        if interface == LOOPBACK || length < OFFLOAD_LEN {
            return Ok(Some(Vec::new()));
        }
        let outgoing = link.pkttype() == libc::PACKET_OUTGOING;
        let header = <[u8; OFFLOAD_LEN]>::try_from(&self.buffer[..OFFLOAD_LEN]).expect("it is that long");
        let frames = on_the_wire(Offload::read(header).unwrap_or_default(), &self.buffer[OFFLOAD_LEN..length]);
        let sniffed = |frame| Sniffed { time_ns: time_ns.unwrap_or(0), interface: interface.clone(), outgoing, frame };
        Ok(Some(frames.into_iter().map(sniffed).collect()))
    }

    /// Name of an interface; `None` if it has gone before its first packet was read.
    fn interface(&mut self, index: usize) -> Option<String> {
        if let Some(known) = self.interfaces.get(&index) {
            return Some(known.clone());
        }
        let name = if_indextoname(index.try_into().ok()?).ok()?.to_string_lossy().into_owned();
        self.interfaces.insert(index, name.clone());
        Some(name)
    }

    /// Packets that came faster than they were read.
    pub(super) fn dropped(&self) -> io::Result<u64> {
        Ok(getsockopt(&self.socket, Statistics)?.tp_drops.into())
    }
}

impl AsFd for Sniffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Does what the host has left to its network card: cuts a frame that stands for several, and completes checksums.
fn on_the_wire(offload: Offload, frame: &[u8]) -> Vec<Vec<u8>> {
    let whole = || {
        let mut frame = frame.to_vec();
        if let Some((start, offset)) = offload.checksum {
            complete(&mut frame, usize::from(start), usize::from(offset));
        }
        vec![frame]
    };
    let Some((ethernet, packet)) = frame.split_at_checked(ETHERNET_LEN) else { return whole() };
    let Some(segmentation) = offload.segments else { return whole() };
    let size = usize::from(segmentation.size);
    let (v4, v6);
    let segments = match ethernet.ends_with(&TYPE_IPV6) {
        true => {
            v6 = Packet6::parse(packet);
            v6.as_ref().ok().and_then(|parsed| Some((cut6(parsed, packet, size)?, parsed.header_len)))
        }
        false => {
            v4 = Packet::parse(packet);
            v4.as_ref().ok().and_then(|parsed| Some((cut(parsed, packet, size)?, parsed.header_len)))
        }
    };
    match segments {
        Some((segments, transport_at)) => cut_up(segments, ethernet, transport_at, segmentation.tcp),
        None => whole(),
    }
}

fn cut_up(mut segments: Segments<'_>, ethernet: &[u8], transport_at: usize, tcp: bool) -> Vec<Vec<u8>> {
    /// Places of the checksum in a transport header.
    const TCP_CHECKSUM: usize = 16;
    const UDP_CHECKSUM: usize = 6;
    let (mut frames, mut frame) = (Vec::new(), ethernet.to_vec());
    while segments.next_into(&mut frame, ETHERNET_LEN) {
        let mut frame = frame.clone();
        complete(&mut frame, ETHERNET_LEN + transport_at, if tcp { TCP_CHECKSUM } else { UDP_CHECKSUM });
        frames.push(frame);
    }
    frames
}

/// Completes a checksum that begins at `start` and is stored so much further on.
fn complete(frame: &mut [u8], start: usize, offset: usize) {
    if let Some(covered) = frame.get_mut(start..).filter(|covered| covered.len() >= offset + 2) {
        packet::complete(covered, offset);
    }
}
