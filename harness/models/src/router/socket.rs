//! A packet socket on one interface, with what hosts leave to the network card (`packet(7)`).

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use anyhow::Context;
use nix::sys::socket::{MsgFlags, getsockopt, recv, setsockopt, sockopt};
use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};
use socket2::{Domain, SockAddr, Socket, Type};

use super::offload::{OFFLOAD_LEN, Offload};

/// Longest frame, in bytes: an IPv4 packet of 64 KiB behind an Ethernet header, with some room.
pub const FRAME_MAX: usize = 65_536 + 64;
/// Length of a buffer to receive into: a frame and what is left to do with it.
pub const RECEIVE_LEN: usize = OFFLOAD_LEN + FRAME_MAX;
/// Bytes of frames that the kernel holds for the router.
const RECEIVE_BUFFER: usize = 8 << 20;

sockopt_impl!(
    /// A `virtio_net_hdr` before each frame.
    VnetHeader, SetOnly, libc::SOL_PACKET, libc::PACKET_VNET_HDR, bool);
sockopt_impl!(
    /// Own frames are not received again.
    IgnoreOutgoing, SetOnly, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, bool);
sockopt_impl!(
    /// What was dropped since they were last read.
    Statistics, GetOnly, libc::SOL_PACKET, libc::PACKET_STATISTICS, libc::tpacket_stats);

/// An AF_PACKET socket on one interface.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
}

/// What a read brought.
#[derive(Debug)]
pub enum ReceivedFrame<'a> {
    /// A frame and what its checksum needs.
    Frame(Offload, &'a mut [u8]),
    /// A frame that asks for an unknown offload, or is too long for anything known.
    Unknown,
    /// No frame waits to be read.
    Nothing,
}

impl PacketSocket {
    /// Opens one on the interface with this index.
    ///
    /// # Errors
    /// When the kernel refuses: without NET_RAW, or one older than 4.20.
    pub fn open(index: u32) -> anyhow::Result<Self> {
        // Protocol 0 receives nothing until it is bound: no frame of another interface gets in.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None).context("cannot open a packet socket (NET_RAW?)")?;
        setsockopt(&socket, VnetHeader, &true).context("no PACKET_VNET_HDR")?;
        setsockopt(&socket, IgnoreOutgoing, &true)
            .context("no PACKET_IGNORE_OUTGOING: Linux 4.20 or newer is needed")?;
        // Beyond the machine's limit only with NET_ADMIN.
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        }
        socket.set_nonblocking(true)?;
        socket
            .bind(&link_address(index))
            .with_context(|| format!("cannot bind a packet socket to interface {index}"))?;
        Ok(PacketSocket { socket })
    }

    /// Reads a frame into `buffer` if one waits.
    ///
    /// # Errors
    /// When the interface has gone or is down.
    pub fn receive<'a>(&self, buffer: &'a mut [u8; RECEIVE_LEN]) -> io::Result<ReceivedFrame<'a>> {
        let length = match recv(self.socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC) {
            Ok(length) => length,
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => return Ok(ReceivedFrame::Nothing),
            // What the kernel says of a frame whose offload has no place in the header.
            Err(nix::Error::EINVAL) => return Ok(ReceivedFrame::Unknown),
            Err(error) => return Err(error.into()),
        };
        if length < OFFLOAD_LEN || length > buffer.len() {
            return Ok(ReceivedFrame::Unknown);
        }
        let (header, frame) = buffer[..length].split_at_mut(OFFLOAD_LEN);
        let header = <[u8; OFFLOAD_LEN]>::try_from(&*header).expect("it was split there");
        Ok(Offload::read(header).map_or(ReceivedFrame::Unknown, |offload| ReceivedFrame::Frame(offload, frame)))
    }

    /// Sends a frame; an error means that it is lost.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn send(&self, offload: Offload, frame: &[u8]) -> io::Result<()> {
        self.socket.send_vectored(&[IoSlice::new(&offload.write()), IoSlice::new(frame)]).map(drop)
    }

    /// Frames that were dropped since the last call because the router did not read them in time.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn overruns(&self) -> io::Result<u64> {
        Ok(getsockopt(&self.socket, Statistics)?.tp_drops.into())
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Every protocol on one interface; 0 is all interfaces.
pub fn link_address(index: u32) -> SockAddr {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: index as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: sockaddr_storage is at least as long as, and aligned for, sockaddr_ll, which is written whole; the length is
    // set to its size.
    let (_, address) = unsafe {
        SockAddr::try_init(|storage, length| {
            storage.cast::<libc::sockaddr_ll>().write(address);
            *length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })
    }
    .expect("nothing in it fails");
    address
}
